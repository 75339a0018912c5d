//! A session with a virtual clock and a transport that takes everything at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use oxmqtt_protocol::codec::{PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{
    Closed, ConnectOptions, Event, LocalError, Message, Outgoing, Receipt, Session, SessionConfig,
    Ticket,
};

use crate::session_wire::{Sent, connack, parse};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Rig {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) options: ConnectOptions,
}

/// Properties of one of our packets from their encoded list.
pub(crate) fn properties(packet: PacketType, list: &[u8]) -> Properties {
    Properties::from_encoded(packet.into(), Bytes::copy_from_slice(list)).unwrap()
}

pub(crate) fn options() -> ConnectOptions {
    ConnectOptions {
        client_id: "c".into(),
        clean_start: false,
        keep_alive: 60,
        username: None,
        password: None,
        will: None,
        properties: Properties::default(),
        bridge: false,
        connack_timeout: 5 * SECOND,
    }
}

impl Rig {
    /// A session that never was connected and reports everything.
    pub(crate) fn new(version: Version) -> Self {
        Self::with(|config| config.version = version)
    }

    pub(crate) fn with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let mut config =
            SessionConfig { report_acked: true, report_sent: true, ..SessionConfig::default() };
        change(&mut config);
        Self { session: Session::new(config), now: Instant::now(), options: options() }
    }

    /// A session whose connection stands.
    pub(crate) fn online(version: Version) -> Self {
        let mut rig = Self::new(version);
        rig.go_online(false, &[]);
        rig
    }

    pub(crate) fn version(&self) -> Version {
        self.session.config().version
    }

    /// Starts a connection; returns what was sent, CONNECT and no more.
    pub(crate) fn connect(&mut self) -> Vec<u8> {
        self.session.connect(&self.options, self.now).unwrap();
        match self.sent().as_slice() {
            [Sent::Connect(body)] => body.clone(),
            other => panic!("CONNECT alone is due, not {other:?}"),
        }
    }

    /// Connects and lets the server accept; returns what was sent after CONNECT.
    pub(crate) fn go_online(&mut self, present: bool, list: &[u8]) -> Vec<Sent> {
        self.connect();
        self.accept(present, list)
    }

    pub(crate) fn accept(&mut self, present: bool, list: &[u8]) -> Vec<Sent> {
        self.feed(&connack(self.version(), present, 0, list));
        let events = self.events();
        let accepted = |event: &Event| matches!(event, Event::ConnAck { .. });
        assert!(events.iter().any(accepted), "{events:?}");
        self.sent()
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.session.handle_input(Bytes::copy_from_slice(bytes), self.now);
    }

    /// Feeds and returns what the session sends in answer.
    pub(crate) fn exchange(&mut self, bytes: &[u8]) -> Vec<Sent> {
        self.feed(bytes);
        self.sent()
    }

    /// Takes and writes the output.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        let mut buffer = Vec::new();
        self.session.take_output(&mut buffer);
        if !buffer.is_empty() {
            self.session.handle_written(buffer.len(), self.now);
        }
        parse(self.version(), &buffer)
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.session.drain_events().collect()
    }

    pub(crate) fn messages(&mut self) -> Vec<Message> {
        let is_message = |event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        };
        self.events().into_iter().filter_map(is_message).collect()
    }

    /// Identifier and reason of the messages that ended since the last look at the events.
    pub(crate) fn acked(&mut self) -> Vec<(u16, u8)> {
        let is_acked = |event| match event {
            Event::Acked { packet_id, reason, .. } => Some((packet_id, reason.0)),
            _ => None,
        };
        self.events().into_iter().filter_map(is_acked).collect()
    }

    pub(crate) fn publish_with(
        &mut self,
        message: &Outgoing<'_>,
    ) -> Result<Arc<Ticket>, LocalError> {
        match self.session.publish(message) {
            Ok(Receipt::Tracked { ticket }) => Ok(ticket),
            Ok(Receipt::Buffered { .. }) => panic!("a ticket is due at QoS > 0"),
            Err(refused) => Err(refused.error),
        }
    }

    /// Publishes "m" to "t" at QoS 1 or 2.
    pub(crate) fn publish(&mut self, qos: QoS) -> Arc<Ticket> {
        self.publish_with(&outgoing(qos, b"m")).unwrap()
    }

    /// Publishes at QoS 0; returns its mark.
    pub(crate) fn publish_0(&mut self, payload: &[u8]) -> u64 {
        match self.session.publish(&outgoing(QoS::AtMostOnce, payload)) {
            Ok(Receipt::Buffered { mark, .. }) => mark,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn acknowledge(&mut self, id: u16, qos: QoS) -> Vec<Sent> {
        let epoch = self.session.epoch();
        self.session.acknowledge(id, qos, epoch);
        self.sent()
    }

    /// The transport breaks.
    pub(crate) fn cut(&mut self) {
        self.session.handle_closed(Some("cut"));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.session.handle_timeout(self.now, true, || 0);
    }

    /// Closes the transport as the session wants; returns why.
    pub(crate) fn closed(&mut self) -> Closed {
        assert!(self.session.wants_close(), "the session wants no close");
        self.session.handle_closed(None);
        match self.events().pop() {
            Some(Event::Closed(closed)) => closed,
            other => panic!("the end is due, not {other:?}"),
        }
    }

    /// The connection ends for a breach: DISCONNECT with `reason` in MQTT 5.0, nothing before.
    #[track_caller]
    pub(crate) fn assert_refused(&mut self, reason: u8) {
        let sent = self.sent();
        match self.version() {
            Version::V5 => assert_eq!(sent.last(), Some(&Sent::Disconnect(reason)), "{sent:?}"),
            _ => assert!(!sent.contains(&Sent::Disconnect(0)), "{sent:?}"),
        }
        match self.closed() {
            Closed::Protocol(error) => assert_eq!(error.reason_code(), ReasonCode(reason)),
            other => panic!("a breach of the protocol is due, not {other:?}"),
        }
    }
}

pub(crate) fn outgoing(qos: QoS, payload: &[u8]) -> Outgoing<'_> {
    Outgoing { topic: "t", payload, qos, retain: false, properties: &[], topic_alias: None }
}

/// DUP, QoS and packet identifier of the PUBLISH packets.
pub(crate) fn publishes(sent: &[Sent]) -> Vec<(bool, u8, u16)> {
    let is_publish = |packet: &Sent| match packet {
        Sent::Publish { dup, qos, id, .. } => Some((*dup, *qos, *id)),
        _ => None,
    };
    sent.iter().filter_map(is_publish).collect()
}
