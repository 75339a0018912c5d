//! A whole client session, driven by operations and by bytes of a server that does as it likes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    Ack, ConnAck, Packet, PacketType, Properties, PropertyId, QoS, ReasonCode, Version,
};
use oxmqtt_protocol::session::{
    ConnectOptions, LocalError, Outgoing, Receipt, RequestError, Session, SessionConfig,
    SubscriptionRequest,
};

use super::allocation::{held, peak_of};
use super::generate::{connect, properties, server_packet, subscription};
use super::input::Input;
use super::observer::Observer;

/// Operations after which the rest of the input is left alone.
const OPERATIONS: usize = 120;

pub fn session(data: &[u8]) {
    let before = held();
    Driver::new(Input::new(data)).run();
    assert_eq!(held(), before, "memory outlives its session");
}

struct Driver<'a> {
    input: Input<'a>,
    session: Session,
    observer: Observer,
    version: Version,
    now: Instant,
    /// Output that the transport holds and has not taken.
    taken: usize,
    seq: u32,
    keep_alive: Duration,
    /// When the server was last heard, or when reading was last suspended.
    heard: Instant,
}

impl<'a> Driver<'a> {
    fn new(mut input: Input<'a>) -> Self {
        let kind = input.byte();
        let version =
            [Version::V5, Version::V311, Version::V31, Version::V5][usize::from(kind) % 4];
        let flags = input.byte();
        let session = Session::new(SessionConfig {
            version,
            max_inflight: u16::from(flags & 7),
            max_queued: usize::from(flags >> 3 & 7) * 2,
            max_packet_size: if kind & 0x80 != 0 { 200 } else { 16 << 20 },
            accepts_auth: kind & 0x40 != 0,
            report_acked: true,
            report_sent: true,
            trace: flags & 0x80 != 0,
        });
        let now = Instant::now();
        let observer = Observer::new(version, session.config().max_packet_size);
        let keep_alive = Duration::ZERO;
        Self { input, session, observer, version, now, taken: 0, seq: 0, keep_alive, heard: now }
    }

    fn run(mut self) {
        for _ in 0..OPERATIONS {
            if self.input.is_empty() {
                break;
            }
            self.step();
            self.look();
        }
        self.close();
    }

    fn step(&mut self) {
        match self.input.byte() % 20 {
            0 => self.connect(),
            1 => {
                let bytes = self.input.bytes(80);
                self.feed(bytes);
            }
            2..=4 => self.receive_packets(),
            5..=8 => self.publish(false),
            9 => self.acknowledge(),
            10 => self.request(),
            11 | 12 => self.write(),
            13 => self.wait(),
            14 if self.session.config().accepts_auth && self.input.flag() => {
                let reason = ReasonCode(0x18 + self.input.byte() % 2);
                let data = self.input.bytes(20);
                self.session.authenticate(reason, Some(data), self.now);
            }
            14 => {
                let list = properties(self.version, PacketType::Disconnect, &mut self.input);
                self.session.disconnect(ReasonCode(0), list, self.now);
            }
            15 => self.close(),
            16 => self.drop_unfinished(),
            17 | 18 => self.answer(),
            _ => self.publish(true),
        }
    }

    /// Takes output and events, as a driver does after each step.
    fn look(&mut self) -> Vec<Packet> {
        let mut output = Vec::new();
        self.session.take_output(&mut output);
        self.taken += output.len();
        assert_eq!(self.session.unsent(), self.taken, "bytes that are nowhere");
        let packets = self.observer.observe(&mut self.session, &output);
        if self.session.wants_close() && self.input.flag() {
            self.close();
        }
        packets
    }

    fn connect(&mut self) {
        self.close();
        let flags = self.input.byte();
        let mut wanted = connect(self.version, &mut self.input);
        if self.version == Version::V5 && flags & 8 != 0 {
            let list = [PropertyId::ReceiveMaximum as u8, 0, 1 + (flags >> 4) % 4];
            wanted.properties =
                Properties::from_encoded(PacketType::Connect.into(), Bytes::copy_from_slice(&list))
                    .expect("a Receive Maximum");
        }
        let options = ConnectOptions {
            client_id: wanted.client_id,
            clean_start: wanted.clean_start,
            keep_alive: wanted.keep_alive % 100,
            username: wanted.username,
            password: wanted.password,
            will: wanted.will,
            properties: wanted.properties,
            bridge: wanted.bridge,
            connack_timeout: Duration::from_secs(5),
        };
        let epoch = self.session.connect(&options, self.now).expect("a CONNECT to be written");
        self.observer.connected(epoch, &options.properties);
        self.keep_alive = Duration::from_secs(options.keep_alive.into());
        self.heard = self.now;
        self.look();
        if flags & 3 != 0 {
            let session_present = flags & 4 != 0;
            let properties = properties(self.version, PacketType::ConnAck, &mut self.input);
            let connack = ConnAck { session_present, reason: ReasonCode::SUCCESS, properties };
            self.receive(&[Packet::ConnAck(connack)]);
        }
    }

    fn close(&mut self) {
        self.session.handle_closed(Some("cut"));
        self.taken = 0;
        self.observer.observe(&mut self.session, &[]);
        assert_eq!(self.session.poll_timeout(), None);
        assert!(!self.session.wants_close() && !self.session.is_disconnecting());
    }

    /// Packets of the server, in two reads, cut anywhere.
    fn receive(&mut self, packets: &[Packet]) {
        let mut bytes = Vec::new();
        for packet in packets {
            packet.encode(self.version, &mut bytes).expect("a packet of a server");
        }
        let (first, second) = bytes.split_at(self.input.below(256).min(bytes.len()));
        if !first.is_empty() {
            self.feed(first);
            self.look();
        }
        self.feed(second);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.heard = self.now;
        let unfinished = self.session.unfinished();
        let chunk = Bytes::copy_from_slice(bytes);
        let ((), peak) = peak_of(|| self.session.handle_input(chunk, self.now));
        // The smallest packets become events of some hundred bytes; what a length claims is not
        // believed. Messages that waited for the quota are written out again.
        let limit = 512 * (bytes.len() + unfinished) + (16 << 10);
        assert!(peak <= limit, "{peak} bytes for {}", bytes.len());
    }

    fn publish(&mut self, directly: bool) {
        let flags = self.input.byte();
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtMostOnce, QoS::ExactlyOnce];
        let qos = if directly { QoS::AtMostOnce } else { qos[usize::from(flags & 3)] };
        let properties = properties(self.version, PacketType::Publish, &mut self.input);
        let topic_alias = properties.topic_alias();
        let mut topic = self.input.topic();
        if topic_alias.is_some() && flags & 4 != 0 {
            topic.clear();
        }
        let mut payload = self.seq.to_be_bytes().to_vec();
        payload.extend_from_slice(self.input.bytes(30));
        let message = Outgoing {
            topic: &topic,
            payload: &payload,
            qos,
            retain: flags & 8 != 0,
            properties: properties.as_bytes(),
            topic_alias,
        };
        match self.session.publish(&message) {
            Ok(Receipt::Tracked { ticket }) => {
                assert_ne!(qos, QoS::AtMostOnce);
                self.observer.accepted(self.seq, ticket);
            }
            Ok(Receipt::Buffered { packet_id, mark }) => {
                assert!(qos == QoS::AtMostOnce && packet_id != 0);
                self.observer.marked(mark, self.observer.written + self.session.unsent());
            }
            Err(refused) => {
                let offline = refused.error == LocalError::NotConnected;
                assert!(!offline || qos == QoS::AtMostOnce, "{refused:?}");
            }
        }
        self.seq += 1;
        if directly && self.taken == 0 {
            self.write_directly();
        }
    }

    /// The caller's thread writes a part of the output itself.
    fn write_directly(&mut self) {
        let output = self.session.output();
        let count = usize::from(self.input.byte()).min(output.len());
        let part = output[..count].to_vec();
        self.observer.written += count;
        self.session.handle_sent_directly(count, self.now);
        self.observer.observe(&mut self.session, &part);
    }

    /// The transport takes a part of what it holds.
    fn write(&mut self) {
        let count = match self.input.byte() {
            0..0x80 => self.taken,
            small => usize::from(small & 0x3f).min(self.taken),
        };
        self.taken -= count;
        self.observer.written += count;
        self.session.handle_written(count, self.now);
    }

    fn acknowledge(&mut self) {
        let waiting = self.observer.deliveries.len();
        if waiting == 0 {
            return;
        }
        let index = self.input.below(256) % waiting;
        let (id, qos, epoch) = self.observer.deliveries.swap_remove(index);
        self.observer.acknowledged(id, qos, epoch);
        let due = self.session.is_online() && epoch == self.session.epoch();
        self.session.acknowledge(id, qos, epoch);
        let packets = self.look();
        let sent = packets.iter().any(|packet| match packet {
            Packet::PubAck(ack) => qos == QoS::AtLeastOnce && ack.packet_id == id,
            Packet::PubRec(ack) => qos == QoS::ExactlyOnce && ack.packet_id == id,
            _ => false,
        });
        // A server that releases a message before its PUBREC wants none any more, and one that sends it
        // again by the next connection gets it there.
        assert!(sent == due || qos == QoS::ExactlyOnce, "{id}: {packets:?}");
    }

    fn request(&mut self) {
        let subscribe = self.input.flag();
        let count = 1 + self.input.below(3);
        let (packet, request) = if subscribe {
            let filters = (0..count).map(|_| subscription(self.version, &mut self.input));
            (PacketType::Subscribe, SubscriptionRequest::Subscribe(filters.collect()))
        } else {
            let filters = (0..count).map(|_| self.input.filter().into());
            (PacketType::Unsubscribe, SubscriptionRequest::Unsubscribe(filters.collect()))
        };
        let properties = properties(self.version, packet, &mut self.input);
        match self.session.request(request, properties) {
            Ok(id) => self.observer.requested(id),
            Err(RequestError::Local(LocalError::NotConnected)) => {}
            Err(RequestError::Local(LocalError::PacketTooLarge)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Time passes, deadline by deadline, as a driver lives it.
    fn wait(&mut self) {
        let target = self.now + Duration::from_millis(u64::from(self.input.two_byte()) * 3);
        let reading = self.input.below(4) != 0;
        let mut idle = 0;
        while let Some(deadline) = self.session.poll_timeout().filter(|at| *at <= target) {
            let stands = deadline <= self.now;
            idle = if stands { idle + 1 } else { 0 };
            assert!(idle < 3, "a deadline that time does not move");
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now, reading, || 0);
            self.look();
        }
        self.now = target;
        if !reading {
            self.heard = self.now;
        }
        let bound = self.observer.keep_alive(self.keep_alive) * 3 / 2;
        if self.session.is_online() && !bound.is_zero() {
            assert!(self.now - self.heard <= bound, "a dead server goes unnoticed");
        }
    }

    fn drop_unfinished(&mut self) {
        let unfinished = self.session.unfinished();
        let dropped = self.session.drop_unfinished();
        assert_eq!(dropped.len(), unfinished);
        for (ticket, packet) in dropped {
            assert_eq!(packet.first().map(|first| first >> 4), Some(PacketType::Publish as u8));
            self.observer.dropped(&ticket);
        }
    }

    /// The server answers a message in flight: with the right acknowledgement as a rule.
    fn answer(&mut self) {
        let flags = self.input.byte();
        let Some(packet_id) = self.observer.in_flight(usize::from(flags >> 4)) else { return };
        let mut ack = Ack::new(packet_id);
        if self.version == Version::V5 && flags & 0xc == 0xc {
            ack.reason = ReasonCode::QUOTA_EXCEEDED;
        }
        let packet = match flags & 3 {
            0 => Packet::PubAck(ack),
            1 | 2 => Packet::PubRec(ack),
            _ => Packet::PubComp(ack),
        };
        self.receive(&[packet]);
    }

    fn receive_packets(&mut self) {
        let count = 1 + self.input.below(3);
        let packets: Vec<_> =
            (0..count).map(|_| server_packet(self.version, &mut self.input)).collect();
        self.receive(&packets);
    }
}
