//! MQTT 3.1.1 as rumqttc reads and writes it.

use bytes::{Bytes, BytesMut};
use oxmqtt_protocol::codec::{
    Ack, ConnAck, Connect, Disconnect, Packet, Properties, PublishParts, QoS, ReasonCode, SubAck,
    Subscribe, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
use rumqttc::mqttbytes as theirs;
use rumqttc::mqttbytes::v4;

use super::{Answer, publish};

const MAX: usize = 1 << 28;

pub(super) fn read(bytes: &[u8]) -> Result<Answer, String> {
    let mut stream = BytesMut::from(bytes);
    let packet = v4::Packet::read(&mut stream, MAX).map_err(|error| error.to_string())?;
    assert!(stream.is_empty(), "bytes behind the packet");
    let mut written = BytesMut::new();
    packet.write(&mut written, MAX).map_err(|error| format!("cannot be written: {error}"))?;
    Ok(Answer { packet: convert(packet), written: written.to_vec() })
}

fn qos(qos: theirs::QoS) -> QoS {
    match qos {
        theirs::QoS::AtMostOnce => QoS::AtMostOnce,
        theirs::QoS::AtLeastOnce => QoS::AtLeastOnce,
        theirs::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn convert(packet: v4::Packet) -> Packet {
    let properties = Properties::default();
    match packet {
        v4::Packet::Connect(packet) => Packet::Connect(Box::new(connect(packet))),
        v4::Packet::ConnAck(packet) => Packet::ConnAck(ConnAck {
            session_present: packet.session_present,
            reason: ReasonCode(packet.code as u8),
            properties,
        }),
        v4::Packet::Publish(packet) => publish(
            Version::V311,
            &PublishParts {
                dup: packet.dup,
                qos: qos(packet.qos),
                retain: packet.retain,
                topic: &packet.topic,
                packet_id: packet.pkid,
                properties: &[],
                payload: &packet.payload,
            },
        ),
        v4::Packet::PubAck(packet) => Packet::PubAck(Ack::new(packet.pkid)),
        v4::Packet::PubRec(packet) => Packet::PubRec(Ack::new(packet.pkid)),
        v4::Packet::PubRel(packet) => Packet::PubRel(Ack::new(packet.pkid)),
        v4::Packet::PubComp(packet) => Packet::PubComp(Ack::new(packet.pkid)),
        v4::Packet::Subscribe(packet) => {
            let filters = packet.filters.into_iter().map(|filter| {
                let options =
                    SubscriptionOptions { qos: qos(filter.qos), ..SubscriptionOptions::default() };
                (filter.path.into(), options)
            });
            let (packet_id, filters) = (packet.pkid, filters.collect());
            Packet::Subscribe(Subscribe { packet_id, properties, filters })
        }
        v4::Packet::SubAck(packet) => {
            let reasons = packet.return_codes.into_iter().map(|code| match code {
                v4::SubscribeReasonCode::Success(granted) => granted as u8,
                v4::SubscribeReasonCode::Failure => 0x80,
            });
            let (packet_id, reasons) = (packet.pkid, reasons.collect());
            Packet::SubAck(SubAck { packet_id, properties, reasons })
        }
        v4::Packet::Unsubscribe(packet) => {
            let filters = packet.topics.into_iter().map(Into::into).collect();
            Packet::Unsubscribe(Unsubscribe { packet_id: packet.pkid, properties, filters })
        }
        v4::Packet::UnsubAck(packet) => {
            let (packet_id, reasons) = (packet.pkid, Bytes::new());
            Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })
        }
        v4::Packet::PingReq => Packet::PingReq,
        v4::Packet::PingResp => Packet::PingResp,
        v4::Packet::Disconnect => Packet::Disconnect(Disconnect::default()),
    }
}

fn connect(packet: v4::Connect) -> Connect {
    let credential = |text: &str| (!text.is_empty()).then(|| Bytes::from(text.to_owned()));
    let login = packet.login.as_ref();
    Connect {
        client_id: packet.client_id.into(),
        clean_start: packet.clean_session,
        keep_alive: packet.keep_alive,
        username: login.and_then(|login| credential(&login.username)),
        password: login.and_then(|login| credential(&login.password)),
        will: packet.last_will.map(|will| Will {
            topic: will.topic.into(),
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            properties: Properties::default(),
        }),
        properties: Properties::default(),
        bridge: false,
    }
}
