//! A broker with clients that are nothing but packets.

use std::time::{Duration, Instant};

use bytes::Bytes;
use oxmqtt_broker::{Broker, ConnectionId, Settings};
use oxmqtt_protocol::codec::*;

pub(crate) struct Rig {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
}

/// A client's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) version: Version,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self { broker: Broker::new(settings), now: Instant::now() }
    }

    pub(crate) fn open(&mut self, version: Version) -> Link {
        Link { id: self.broker.open("test".into(), self.now), version }
    }

    pub(crate) fn send(&mut self, link: Link, packet: &Packet) {
        let mut bytes = Vec::new();
        packet.encode(link.version, &mut bytes).unwrap();
        self.send_bytes(link, &bytes);
    }

    pub(crate) fn send_bytes(&mut self, link: Link, bytes: &[u8]) {
        self.broker.handle_input(link.id, bytes, self.now);
        while self.broker.poll_ready().is_some() {}
    }

    pub(crate) fn raw(&mut self, link: Link) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut bytes = Vec::new();
            self.broker.take_output(link.id, &mut bytes, self.now);
            if bytes.is_empty() {
                return all;
            }
            all.extend_from_slice(&bytes);
        }
    }

    /// What the client is sent since the last call.
    pub(crate) fn packets(&mut self, link: Link) -> Vec<Packet> {
        let bytes = Bytes::from(self.raw(link));
        let mut packets = Vec::new();
        let mut at = 0;
        while let Some(frame) = parse_frame(&bytes[at..]).unwrap() {
            let body = &bytes[at + frame.header_len..at + frame.packet_len()];
            packets.push(decode(link.version, frame.first, body, &bytes).unwrap());
            at += frame.packet_len();
        }
        assert_eq!(at, bytes.len());
        packets
    }

    pub(crate) fn is_closed(&self, link: Link) -> bool {
        self.broker.wants_close(link.id)
    }

    pub(crate) fn lose(&mut self, link: Link) {
        self.broker.handle_closed(link.id, self.now);
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.broker.handle_timeout(self.now);
    }

    pub(crate) fn connect(&mut self, version: Version, connect: Connect) -> (Link, ConnAck) {
        let link = self.open(version);
        self.send(link, &Packet::Connect(Box::new(connect)));
        match self.packets(link).into_iter().next() {
            Some(Packet::ConnAck(connack)) => (link, connack),
            other => panic!("{other:?} in place of CONNACK"),
        }
    }

    /// A client with a clean start.
    pub(crate) fn client(&mut self, version: Version, name: &str) -> Link {
        let (link, connack) = self.connect(version, named(name, true));
        assert_eq!(connack.reason, ReasonCode::SUCCESS);
        link
    }

    pub(crate) fn subscribe(&mut self, link: Link, filter: &str, qos: QoS) -> Vec<Packet> {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        self.subscribe_with(link, filter, options, Properties::default())
    }

    /// Subscribes; what comes behind the SUBACK.
    pub(crate) fn subscribe_with(
        &mut self,
        link: Link,
        filter: &str,
        options: SubscriptionOptions,
        properties: Properties,
    ) -> Vec<Packet> {
        let filters = vec![(filter.into(), options)];
        self.send(link, &Packet::Subscribe(Subscribe { packet_id: 9, properties, filters }));
        let mut packets = self.packets(link);
        let Packet::SubAck(suback) = packets.remove(0) else { panic!("no SUBACK") };
        assert_eq!(suback.reasons[..], [options.qos as u8]);
        packets
    }

    pub(crate) fn publish(&mut self, link: Link, topic: &str, qos: QoS, payload: &[u8]) {
        self.publish_parts(
            link,
            &PublishParts { topic, qos, payload, packet_id: 1, ..<_>::default() },
        );
    }

    pub(crate) fn publish_parts(&mut self, link: Link, parts: &PublishParts<'_>) {
        let mut bytes = Vec::new();
        encode_publish(&mut bytes, link.version, parts).unwrap();
        self.send_bytes(link, &bytes);
    }

    pub(crate) fn ack(&mut self, link: Link, kind: AckKind, packet_id: u16) {
        let mut bytes = Vec::new();
        encode_ack(&mut bytes, link.version, kind, packet_id, ReasonCode::SUCCESS, &[]);
        self.send_bytes(link, &bytes);
    }

    /// The payloads of the messages that the client is sent since the last call.
    pub(crate) fn payloads(&mut self, link: Link) -> Vec<String> {
        payloads(&self.packets(link))
    }
}

pub(crate) fn payloads(packets: &[Packet]) -> Vec<String> {
    let messages = packets.iter().filter_map(|packet| match packet {
        Packet::Publish(publish) => Some(String::from_utf8_lossy(publish.payload()).into_owned()),
        _ => None,
    });
    messages.collect()
}

pub(crate) fn named(name: &str, clean_start: bool) -> Connect {
    Connect { client_id: name.into(), clean_start, ..Connect::default() }
}

pub(crate) fn properties(
    context: impl Into<PropertyContext>,
    list: &[(PropertyId, PropertyValue<'_>)],
) -> Properties {
    let mut builder = PropertiesBuilder::new(context);
    for (id, value) in list {
        builder.push(*id, *value).unwrap();
    }
    builder.build()
}

/// A client of MQTT 5.0 whose session lives so long.
pub(crate) fn lasting(name: &str, seconds: u32) -> Connect {
    let expiry = (PropertyId::SessionExpiryInterval, PropertyValue::FourByte(seconds));
    Connect { properties: properties(PacketType::Connect, &[expiry]), ..named(name, false) }
}
