//! The embedded broker with a few clients that do as they like, and one that is as it should be.

use std::time::{Duration, Instant};

use bytes::Bytes;
use oxmqtt_broker::{Authentication, AuthenticationStep, Broker, ConnectionId, Settings};
use oxmqtt_protocol::codec::{
    Packet, PacketType, PublishParts, QoS, ReasonCode, Version, decode, parse_frame,
};

use super::allocation::{held, peak_of};
use super::generate::{client_packet, connect};
use super::input::Input;

/// Operations after which the rest of the input is left alone.
const OPERATIONS: usize = 100;
/// Clients at once.
const CLIENTS: usize = 4;

pub fn broker(data: &[u8]) {
    let before = held();
    Driver::new(Input::new(data)).run();
    assert_eq!(held(), before, "memory outlives its broker");
}

struct Client {
    id: ConnectionId,
    version: Version,
    /// What it was sent and has not read.
    unread: Vec<u8>,
}

struct Driver<'a> {
    input: Input<'a>,
    broker: Broker,
    clients: Vec<Client>,
    now: Instant,
}

impl<'a> Driver<'a> {
    fn new(mut input: Input<'a>) -> Self {
        let flags = input.byte();
        let step = || AuthenticationStep { expected: None, answer: Bytes::from_static(b"?") };
        let broker = Broker::new(Settings {
            users: None,
            authentication: (flags & 0xc0 == 0xc0).then(|| Authentication {
                method: "SCRAM-SHA-1".into(),
                steps: vec![step(), step()],
            }),
            maximum_packet_size: if flags & 1 == 0 { 16 << 20 } else { 200 },
            receive_maximum: 1 + u16::from(flags >> 1 & 3),
            record: 4,
            max_unsent: if flags & 8 == 0 { 16 << 20 } else { 500 },
            max_kept: 256 << 20,
        });
        Self { input, broker, clients: Vec::new(), now: Instant::now() }
    }

    fn run(mut self) {
        for _ in 0..OPERATIONS {
            if self.input.is_empty() {
                break;
            }
            self.step();
            while self.broker.poll_ready().is_some() {}
            assert!(self.broker.clients().len() <= self.clients.len());
        }
        self.serve_a_stranger();
    }

    fn step(&mut self) {
        match self.input.byte() % 16 {
            0 | 1 => self.connect(),
            2 => {
                let bytes = self.input.bytes(80);
                self.send(bytes);
            }
            3..=9 => self.send_packets(),
            10 | 11 => self.read(),
            12 => self.leave(),
            13 => self.wait(),
            14 => self.publish(),
            _ => self.fail(),
        }
    }

    fn connect(&mut self) {
        if self.clients.len() == CLIENTS {
            self.leave();
        }
        let versions = [Version::V5, Version::V311, Version::V31];
        let version = versions[self.input.below(versions.len())];
        let mut packet = connect(version, &mut self.input);
        packet.client_id = ["a", "b", "c", ""][self.input.below(4)].into();
        let id = self.broker.open("here".into(), self.now);
        self.clients.push(Client { id, version, unread: Vec::new() });
        let mut bytes = Vec::new();
        // What cannot be written is not sent.
        if Packet::Connect(Box::new(packet)).encode(version, &mut bytes).is_ok() {
            self.broker.handle_input(id, &bytes, self.now);
        }
    }

    fn chosen(&mut self) -> Option<usize> {
        let count = self.clients.len();
        (count > 0).then(|| self.input.below(count))
    }

    /// Packets in two pieces, cut anywhere.
    fn send_packets(&mut self) {
        let Some(index) = self.chosen() else { return };
        let (id, version) = (self.clients[index].id, self.clients[index].version);
        let mut bytes = Vec::new();
        for _ in 0..=self.input.below(3) {
            let packet = client_packet(version, &mut self.input);
            packet.encode(version, &mut bytes).expect("a packet of a client");
        }
        let (first, second) = bytes.split_at(self.input.below(256).min(bytes.len()));
        self.feed(id, first);
        self.feed(id, second);
    }

    fn send(&mut self, bytes: &[u8]) {
        if let Some(index) = self.chosen() {
            self.feed(self.clients[index].id, bytes);
        }
    }

    fn feed(&mut self, id: ConnectionId, bytes: &[u8]) {
        let ((), peak) = peak_of(|| self.broker.handle_input(id, bytes, self.now));
        // A packet comes to each client once for each of its subscriptions, and buffers double.
        let limit = 2_048 * bytes.len() + (64 << 10);
        assert!(peak <= limit, "{peak} bytes for {}", bytes.len());
    }

    /// Everything that is there for a client, which its version can read.
    fn read(&mut self) {
        let Some(index) = self.chosen() else { return };
        let client = &mut self.clients[index];
        loop {
            let mut output = Vec::new();
            self.broker.take_output(client.id, &mut output, self.now);
            if output.is_empty() {
                break;
            }
            client.unread.extend_from_slice(&output);
        }
        let source = Bytes::from(std::mem::take(&mut client.unread));
        let mut at = 0;
        while let Some(frame) = parse_frame(&source[at..]).expect("a fixed header") {
            let Some(body) = source.get(at + frame.header_len..at + frame.packet_len()) else {
                break;
            };
            let packet = decode(client.version, frame.first, body, &source);
            let packet = packet.unwrap_or_else(|error| panic!("{error}: {body:x?}"));
            assert!(!matches!(
                packet.packet_type(),
                PacketType::Connect
                    | PacketType::Subscribe
                    | PacketType::Unsubscribe
                    | PacketType::PingReq
            ));
            at += frame.packet_len();
        }
        client.unread = source[at..].to_vec();
    }

    fn leave(&mut self) {
        if let Some(index) = self.chosen() {
            let client = self.clients.swap_remove(index);
            self.broker.handle_closed(client.id, self.now);
        }
    }

    /// Time passes, deadline by deadline, as a driver lives it.
    fn wait(&mut self) {
        let target = self.now + Duration::from_millis(u64::from(self.input.two_byte()) * 10);
        let mut idle = 0;
        while let Some(deadline) = self.broker.poll_timeout().filter(|at| *at <= target) {
            idle = if deadline <= self.now { idle + 1 } else { 0 };
            assert!(idle < 3, "a deadline that time does not move");
            self.now = self.now.max(deadline);
            self.broker.handle_timeout(self.now);
        }
        self.now = target;
    }

    fn publish(&mut self) {
        let topic = self.input.topic();
        let flags = self.input.byte();
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        let parts = PublishParts {
            qos: qos[usize::from(flags % 3)],
            retain: flags & 0x80 != 0,
            topic: &topic,
            payload: self.input.bytes(40),
            ..PublishParts::default()
        };
        self.broker.publish(&parts, self.now).expect("a valid topic");
    }

    fn fail(&mut self) {
        let count = u32::from(self.input.byte() % 4);
        match self.input.byte() % 6 {
            0 => self.broker.lose_acks(count),
            1 => self.broker.delay_acks(Duration::from_millis(u64::from(count) * 100)),
            2 => self.broker.refuse(ReasonCode(0x80 + count as u8), count),
            3 => self.broker.cut_after(u64::from(self.input.byte()), count),
            4 => self.broker.restart(count & 1 == 0, self.now),
            _ => {
                self.broker.drop_connections(None, self.now);
            }
        }
    }

    /// Whatever happened: who comes now is served.
    fn serve_a_stranger(&mut self) {
        self.broker.refuse(ReasonCode::SUCCESS, 0);
        self.broker.cut_after(0, 0);
        self.broker.lose_acks(0);
        self.broker.delay_acks(Duration::ZERO);
        self.broker.restart(false, self.now);
        let id = self.broker.open("there".into(), self.now);
        let hello = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01z";
        let subscribe = b"\x82\x06\x00\x01\x00\x01z\x00";
        let publish = b"\x30\x04\x00\x01zx";
        let mut heard = Vec::new();
        for bytes in [&hello[..], subscribe, publish] {
            self.broker.handle_input(id, bytes, self.now);
            let mut output = Vec::new();
            self.broker.take_output(id, &mut output, self.now);
            heard.push(output);
        }
        // With authentication, a client of MQTT 3.1.1 is refused.
        if heard[0] == [0x20, 2, 0, 0] {
            assert_eq!(heard[1..], [&b"\x90\x03\x00\x01\x00"[..], publish]);
        } else {
            assert_eq!(heard[0].len(), 4, "{heard:x?}");
        }
    }
}
