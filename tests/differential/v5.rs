//! MQTT 5.0 as rumqttc reads and writes it.

use bytes::{Bytes, BytesMut};
use oxmqtt_protocol::codec::{
    Ack, ConnAck, Connect, Disconnect, Packet, PacketType, Properties, PropertyContext,
    PublishParts, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscriptionOptions,
    UnsubAck, Unsubscribe, Version, Will,
};
use rumqttc::v5::mqttbytes as theirs;
use rumqttc::v5::mqttbytes::v5;

use super::v5_reasons as reasons;
use super::{Answer, publish};

pub(super) fn read(bytes: &[u8]) -> Result<Answer, String> {
    let mut stream = BytesMut::from(bytes);
    let packet = v5::Packet::read(&mut stream, None).map_err(|error| error.to_string())?;
    assert!(stream.is_empty(), "bytes behind the packet");
    let mut written = BytesMut::new();
    packet.write(&mut written, None).map_err(|error| format!("cannot be written: {error}"))?;
    Ok(Answer { packet: convert(packet)?, written: written.to_vec() })
}

/// A property list in the making, in rumqttc's order; it holds what rumqttc found, right or wrong.
#[derive(Default)]
struct List(Vec<u8>);

impl List {
    fn byte(&mut self, id: u8, value: Option<u8>) -> &mut Self {
        self.0.extend(value.into_iter().flat_map(|value| [id, value]));
        self
    }

    fn two_byte(&mut self, id: u8, value: Option<u16>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend(value.to_be_bytes());
        }
        self
    }

    fn four_byte(&mut self, id: u8, value: Option<u32>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend(value.to_be_bytes());
        }
        self
    }

    fn var_int(&mut self, id: u8, value: usize) -> &mut Self {
        self.0.push(id);
        let mut rest = value;
        while rest > 0x7f {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    fn binary(&mut self, id: u8, value: Option<&[u8]>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(id);
            self.0.extend((value.len() as u16).to_be_bytes());
            self.0.extend(value);
        }
        self
    }

    fn text(&mut self, id: u8, value: Option<&String>) -> &mut Self {
        self.binary(id, value.map(String::as_bytes))
    }

    fn pairs(&mut self, pairs: &[(String, String)]) -> &mut Self {
        for (name, value) in pairs {
            self.text(0x26, Some(name));
            self.0.extend((value.len() as u16).to_be_bytes());
            self.0.extend(value.as_bytes());
        }
        self
    }

    fn build(&mut self, context: impl Into<PropertyContext>) -> Result<Properties, String> {
        let encoded = Bytes::from(std::mem::take(&mut self.0));
        Properties::from_encoded(context.into(), encoded).map_err(|error| error.to_string())
    }
}

/// The properties of the packets that have only a reason string and user properties.
macro_rules! explained {
    ($packet:ident, $kind:ident) => {{
        let mut list = List::default();
        if let Some(p) = &$packet.properties {
            list.text(0x1f, p.reason_string.as_ref()).pairs(&p.user_properties);
        }
        list.build(PacketType::$kind)?
    }};
}

macro_rules! ack {
    ($packet:ident, $kind:ident, $reason:ident) => {
        Packet::$kind(Ack {
            packet_id: $packet.pkid,
            reason: ReasonCode(reasons::$reason($packet.reason)),
            properties: explained!($packet, $kind),
        })
    };
}

fn qos(qos: theirs::QoS) -> QoS {
    match qos {
        theirs::QoS::AtMostOnce => QoS::AtMostOnce,
        theirs::QoS::AtLeastOnce => QoS::AtLeastOnce,
        theirs::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn convert(packet: v5::Packet) -> Result<Packet, String> {
    Ok(match packet {
        v5::Packet::Auth(_) => return Err("AUTH is never read".into()),
        v5::Packet::Connect(packet, will, login) => {
            Packet::Connect(Box::new(connect(packet, will, login)?))
        }
        v5::Packet::ConnAck(packet) => connack(packet)?,
        v5::Packet::Publish(packet) => from_publish(packet)?,
        v5::Packet::PubAck(packet) => ack!(packet, PubAck, puback),
        v5::Packet::PubRec(packet) => ack!(packet, PubRec, pubrec),
        v5::Packet::PubRel(packet) => ack!(packet, PubRel, pubrel),
        v5::Packet::PubComp(packet) => ack!(packet, PubComp, pubcomp),
        v5::Packet::PingReq(_) => Packet::PingReq,
        v5::Packet::PingResp(_) => Packet::PingResp,
        v5::Packet::Subscribe(packet) => subscribe(packet)?,
        v5::Packet::SubAck(packet) => Packet::SubAck(SubAck {
            packet_id: packet.pkid,
            properties: explained!(packet, SubAck),
            reasons: packet.return_codes.into_iter().map(reasons::suback).collect(),
        }),
        v5::Packet::Unsubscribe(packet) => {
            let mut list = List::default();
            if let Some(p) = &packet.properties {
                list.pairs(&p.user_properties);
            }
            Packet::Unsubscribe(Unsubscribe {
                packet_id: packet.pkid,
                properties: list.build(PacketType::Unsubscribe)?,
                filters: packet.filters.into_iter().map(Into::into).collect(),
            })
        }
        v5::Packet::UnsubAck(packet) => Packet::UnsubAck(UnsubAck {
            packet_id: packet.pkid,
            properties: explained!(packet, UnsubAck),
            reasons: packet.reasons.into_iter().map(reasons::unsuback).collect(),
        }),
        v5::Packet::Disconnect(packet) => {
            let mut list = List::default();
            if let Some(p) = &packet.properties {
                list.four_byte(0x11, p.session_expiry_interval)
                    .text(0x1f, p.reason_string.as_ref())
                    .pairs(&p.user_properties)
                    .text(0x1c, p.server_reference.as_ref());
            }
            let properties = list.build(PacketType::Disconnect)?;
            Packet::Disconnect(Disconnect::new(ReasonCode(packet.reason_code as u8), properties))
        }
    })
}

fn connect(
    packet: v5::Connect,
    will: Option<v5::LastWill>,
    login: Option<v5::Login>,
) -> Result<Connect, String> {
    let mut list = List::default();
    if let Some(p) = &packet.properties {
        list.four_byte(0x11, p.session_expiry_interval)
            .two_byte(0x21, p.receive_maximum)
            .four_byte(0x27, p.max_packet_size)
            .two_byte(0x22, p.topic_alias_max)
            .byte(0x19, p.request_response_info)
            .byte(0x17, p.request_problem_info)
            .pairs(&p.user_properties)
            .text(0x15, p.authentication_method.as_ref())
            .binary(0x16, p.authentication_data.as_deref());
    }
    let credential = |text: &str| (!text.is_empty()).then(|| Bytes::from(text.to_owned()));
    Ok(Connect {
        client_id: packet.client_id.into(),
        clean_start: packet.clean_start,
        keep_alive: packet.keep_alive,
        username: login.as_ref().and_then(|login| credential(&login.username)),
        password: login.as_ref().and_then(|login| credential(&login.password)),
        will: will.map(from_will).transpose()?,
        properties: list.build(PacketType::Connect)?,
        bridge: false,
    })
}

fn from_will(will: v5::LastWill) -> Result<Will, String> {
    let mut list = List::default();
    if let Some(p) = &will.properties {
        list.four_byte(0x18, p.delay_interval)
            .byte(0x01, p.payload_format_indicator)
            .four_byte(0x02, p.message_expiry_interval)
            .text(0x03, p.content_type.as_ref())
            .text(0x08, p.response_topic.as_ref())
            .binary(0x09, p.correlation_data.as_deref())
            .pairs(&p.user_properties);
    }
    Ok(Will {
        topic: will.topic.try_into().map_err(|_| "will topic is not UTF-8")?,
        payload: will.message,
        qos: qos(will.qos),
        retain: will.retain,
        properties: list.build(PropertyContext::Will)?,
    })
}

fn connack(packet: v5::ConnAck) -> Result<Packet, String> {
    let mut list = List::default();
    if let Some(p) = &packet.properties {
        list.four_byte(0x11, p.session_expiry_interval)
            .two_byte(0x21, p.receive_max)
            .byte(0x24, p.max_qos)
            .byte(0x25, p.retain_available)
            .four_byte(0x27, p.max_packet_size)
            .text(0x12, p.assigned_client_identifier.as_ref())
            .two_byte(0x22, p.topic_alias_max)
            .text(0x1f, p.reason_string.as_ref())
            .pairs(&p.user_properties)
            .byte(0x28, p.wildcard_subscription_available)
            .byte(0x29, p.subscription_identifiers_available)
            .byte(0x2a, p.shared_subscription_available)
            .two_byte(0x13, p.server_keep_alive)
            .text(0x1a, p.response_information.as_ref())
            .text(0x1c, p.server_reference.as_ref())
            .text(0x15, p.authentication_method.as_ref())
            .binary(0x16, p.authentication_data.as_deref());
    }
    Ok(Packet::ConnAck(ConnAck {
        session_present: packet.session_present,
        reason: ReasonCode(reasons::connack(packet.code)),
        properties: list.build(PacketType::ConnAck)?,
    }))
}

fn from_publish(packet: v5::Publish) -> Result<Packet, String> {
    let mut list = List::default();
    if let Some(p) = &packet.properties {
        list.byte(0x01, p.payload_format_indicator)
            .four_byte(0x02, p.message_expiry_interval)
            .two_byte(0x23, p.topic_alias)
            .text(0x08, p.response_topic.as_ref())
            .binary(0x09, p.correlation_data.as_deref())
            .pairs(&p.user_properties);
        for id in &p.subscription_identifiers {
            list.var_int(0x0b, *id);
        }
        list.text(0x03, p.content_type.as_ref());
    }
    let properties = list.build(PacketType::Publish)?;
    Ok(publish(
        Version::V5,
        &PublishParts {
            dup: packet.dup,
            qos: qos(packet.qos),
            retain: packet.retain,
            topic: std::str::from_utf8(&packet.topic).map_err(|_| "topic is not UTF-8")?,
            packet_id: packet.pkid,
            properties: properties.as_bytes(),
            payload: &packet.payload,
        },
    ))
}

fn subscribe(packet: v5::Subscribe) -> Result<Packet, String> {
    let mut list = List::default();
    if let Some(p) = &packet.properties {
        if let Some(id) = p.id {
            list.var_int(0x0b, id);
        }
        list.pairs(&p.user_properties);
    }
    let filters = packet.filters.into_iter().map(|filter| {
        let options = SubscriptionOptions {
            qos: qos(filter.qos),
            no_local: filter.nolocal,
            retain_as_published: filter.preserve_retain,
            retain_handling: match filter.retain_forward_rule {
                v5::RetainForwardRule::OnEverySubscribe => RetainHandling::SendOnSubscribe,
                v5::RetainForwardRule::OnNewSubscribe => RetainHandling::SendIfNew,
                v5::RetainForwardRule::Never => RetainHandling::DoNotSend,
            },
        };
        (filter.path.into(), options)
    });
    Ok(Packet::Subscribe(Subscribe {
        packet_id: packet.pkid,
        filters: filters.collect(),
        properties: list.build(PacketType::Subscribe)?,
    }))
}
