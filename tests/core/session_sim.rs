//! The session beside the model of a server, with a network in between that can stop at any byte.
//! Every packet the session sends and every event it reports is checked here.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use oxmqtt::codec::{PacketType, Properties, QoS, ReasonCode, Version};
use oxmqtt::session::{
    Closed, Event, Handover, Outgoing, Receipt, Session, SubscriptionRequest, Ticket,
};

use crate::session_broker::{Broker, seq_of};
use crate::session_rig::{Rig, SECOND, outgoing, properties};
use crate::session_wire::{Sent, connack, parse};

enum Fate {
    Mark(u64),
    Ticket(Arc<Ticket>),
}

/// A message the session accepted; its place in the list is its number.
struct Accepted {
    fate: Fate,
    sent: bool,
    ended: bool,
    dropped: bool,
}

/// What holds for one connection.
#[derive(Default)]
struct Connection {
    quota: usize,
    in_flight: BTreeSet<u16>,
    last_seq: Option<u32>,
    publishes: BTreeSet<u32>,
}

pub(crate) struct Sim {
    rig: Rig,
    pub(crate) broker: Broker,
    accepted: Vec<Accepted>,
    /// What each identifier in use stands for; `None` is a request.
    ids: HashMap<u16, Option<u32>>,
    connection: Option<Connection>,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    /// How many bytes of `down` end an answer, and the identifier it sets free.
    frees: VecDeque<(usize, u16)>,
    /// The server lost its session and the client was not told yet.
    fresh: bool,
    delivered: HashMap<u32, usize>,
    to_acknowledge: Vec<(u16, QoS, u32)>,
}

impl Sim {
    pub(crate) fn new(version: Version, max_inflight: u16, receive_maximum: u8) -> Self {
        let mut rig = Rig::with(|config| {
            config.version = version;
            config.max_inflight = max_inflight;
        });
        let mut maximum = 65_535;
        if version == Version::V5 {
            maximum = receive_maximum.into();
            let list = [0x21, 0, receive_maximum];
            rig.options.properties = properties(PacketType::Connect, &list);
        }
        Self {
            rig,
            broker: Broker::new(version, maximum),
            accepted: Vec::new(),
            ids: HashMap::new(),
            connection: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            frees: VecDeque::new(),
            fresh: true,
            delivered: HashMap::new(),
            to_acknowledge: Vec::new(),
        }
    }

    fn session(&mut self) -> &mut Session {
        &mut self.rig.session
    }

    pub(crate) fn publish(&mut self, qos: QoS) {
        let seq = self.accepted.len() as u32;
        let payload = seq.to_be_bytes();
        let message: Outgoing<'_> = outgoing(qos, &payload);
        let fate = match self.session().publish(&message) {
            Ok(Receipt::Buffered { mark, .. }) => Fate::Mark(mark),
            Ok(Receipt::Tracked { ticket }) => Fate::Ticket(ticket),
            Err(refused) => {
                assert_eq!(qos, QoS::AtMostOnce, "{refused:?}");
                return;
            }
        };
        self.accepted.push(Accepted { fate, sent: false, ended: false, dropped: false });
        self.observe();
    }

    /// Uses up `count` identifiers: a refused QoS 0 message is named all the same.
    pub(crate) fn skip_identifiers(&mut self, count: u32) {
        for _ in 0..count {
            if self.connection.is_none() {
                let refused = self.session().publish(&outgoing(QoS::AtMostOnce, b""));
                assert!(refused.is_err());
            }
        }
    }

    pub(crate) fn subscribe(&mut self) {
        let filters = vec![("f".into(), Default::default())];
        let request = SubscriptionRequest::Subscribe(filters);
        let _ = self.session().request(request, Properties::default());
        self.observe();
    }

    pub(crate) fn drop_unfinished(&mut self) {
        for (ticket, _) in self.session().drop_unfinished() {
            let id = ticket.packet_id();
            let seq = self.seq_of_ticket(&ticket);
            self.accepted[seq].dropped = true;
            let in_flight = |c: &Connection| c.in_flight.contains(&id);
            if !self.connection.as_ref().is_some_and(in_flight) {
                self.ids.remove(&id);
            }
        }
        self.observe();
    }

    pub(crate) fn disconnect(&mut self) {
        let now = self.rig.now;
        self.session().disconnect(ReasonCode(0), Properties::default(), now);
        self.observe();
    }

    pub(crate) fn connect(&mut self, keep: bool, quota: u8) {
        self.cut();
        let version = self.rig.version();
        // MQTT 3.1 cannot say that a session was lost.
        let present = (keep || version == Version::V31) && !self.fresh;
        let said = present && version != Version::V31;
        self.rig.connect();
        if !present {
            self.broker.lose_session();
            self.delivered.clear();
            self.fresh = true;
        }
        let mut granted = 65_535;
        if version == Version::V5 {
            granted = quota.into();
            self.down.extend(connack(version, said, 0, &[0x21, 0, quota]));
        } else {
            self.down.extend(connack(version, said, 0, &[]));
        }
        let resumed = self.broker.resume();
        self.down.extend(resumed);
        let own = usize::from(self.session().config().max_inflight);
        self.connection = Some(Connection {
            quota: if own == 0 { granted } else { granted.min(own) },
            ..Connection::default()
        });
    }

    pub(crate) fn cut(&mut self) {
        if self.connection.take().is_none() {
            return;
        }
        self.session().handle_closed(Some("cut"));
        self.up.clear();
        self.down.clear();
        self.frees.clear();
        self.broker.handle_cut();
        let dropped = |seq: &u32| self.accepted[*seq as usize].dropped;
        self.ids.retain(|_, usage| usage.as_ref().is_some_and(|seq| !dropped(seq)));
        self.check_events();
    }

    pub(crate) fn wait(&mut self, seconds: u32, reading: bool) {
        self.rig.now += seconds * SECOND;
        let now = self.rig.now;
        self.session().handle_timeout(now, reading);
        self.observe();
    }

    /// The network carries up to `count` bytes to the server.
    pub(crate) fn carry_up(&mut self, count: usize) {
        let count = count.min(self.up.len());
        let bytes: Vec<u8> = self.up.drain(..count).collect();
        if count > 0 {
            let now = self.rig.now;
            self.session().handle_written(count, now);
        }
        let answers = self.broker.receive(&bytes);
        self.down.extend(answers);
        for seq in self.broker.handed_over.drain(..) {
            assert!(self.delivered.contains_key(&seq), "{seq} never arrived");
        }
        self.observe();
    }

    /// The network carries up to `count` bytes to the client.
    pub(crate) fn carry_down(&mut self, count: usize) {
        let count = count.min(self.down.len());
        let bytes: Bytes = self.down.drain(..count).collect::<Vec<u8>>().into();
        let online = self.rig.session.is_online();
        for free in &mut self.frees {
            free.0 = free.0.saturating_sub(count);
        }
        while let Some((0, id)) = self.frees.front().copied() {
            self.frees.pop_front();
            self.ids.remove(&id);
            if let Some(connection) = &mut self.connection {
                connection.in_flight.remove(&id);
            }
        }
        let now = self.rig.now;
        self.session().handle_input(bytes, now);
        if !online && self.rig.session.is_online() {
            self.fresh = false;
        }
        self.observe();
    }

    pub(crate) fn answer(&mut self, index: usize, refuse: bool) {
        if let Some(answer) = self.broker.answer(index, refuse) {
            self.down.extend(answer.bytes);
            if let Some(id) = answer.frees {
                self.frees.push_back((self.down.len(), id));
            }
        }
    }

    pub(crate) fn deliver(&mut self, qos: u8) {
        if self.connection.is_some()
            && let Some(bytes) = self.broker.send(qos)
        {
            self.down.extend(bytes);
        }
    }

    pub(crate) fn acknowledge(&mut self, index: usize) {
        if !self.to_acknowledge.is_empty() {
            let index = index % self.to_acknowledge.len();
            let (id, qos, epoch) = self.to_acknowledge.remove(index);
            self.session().acknowledge(id, qos, epoch);
            self.observe();
        }
    }

    /// Looks at what the session sends and says.
    fn observe(&mut self) {
        let mut buffer = Vec::new();
        self.session().take_output(&mut buffer);
        for packet in parse(self.rig.version(), &buffer) {
            self.check_packet(&packet);
        }
        self.up.extend(buffer);
        self.check_events();
        if self.rig.session.wants_close() {
            self.cut();
        }
    }

    fn check_packet(&mut self, packet: &Sent) {
        let connection = self.connection.as_mut().expect("a connection");
        let (id, seq) = match packet {
            Sent::Publish { dup, qos, id, payload, .. } => {
                let seq = seq_of(payload);
                if *qos == 0 {
                    return;
                }
                let accepted = &mut self.accepted[seq as usize];
                assert!(!accepted.dropped && !accepted.ended, "{packet:?}");
                assert_eq!(*dup, accepted.sent, "DUP of {packet:?}");
                assert!(connection.publishes.insert(seq), "twice: {packet:?}");
                accepted.sent = true;
                (*id, seq)
            }
            Sent::PubRel(id, _) => match self.ids.get(id) {
                Some(Some(seq)) if !connection.in_flight.contains(id) => (*id, *seq),
                _ => return,
            },
            Sent::Subscribe(id) => {
                assert_eq!(self.ids.insert(*id, None), None, "{packet:?} in use");
                return;
            }
            _ => return,
        };
        let usage = self.ids.insert(id, Some(seq));
        assert!(usage.is_none_or(|used| used == Some(seq)), "{id} is in use");
        assert!(connection.last_seq < Some(seq), "out of order: {packet:?}");
        connection.last_seq = Some(seq);
        connection.in_flight.insert(id);
        assert!(connection.in_flight.len() <= connection.quota, "quota");
    }

    fn seq_of_ticket(&self, ticket: &Arc<Ticket>) -> usize {
        let is_it = |accepted: &Accepted| match &accepted.fate {
            Fate::Ticket(own) => Arc::ptr_eq(own, ticket),
            Fate::Mark(_) => false,
        };
        self.accepted.iter().position(is_it).expect("accepted")
    }

    fn check_events(&mut self) {
        for event in self.rig.events() {
            match event {
                Event::Message(message) => {
                    let (qos, id) = (message.publish.qos(), message.publish.packet_id());
                    let count = self.delivered.entry(seq_of(message.publish.payload()));
                    let count = count.or_default();
                    *count += 1;
                    assert!(*count == 1 || qos == QoS::AtLeastOnce, "{message:?} again");
                    if qos != QoS::AtMostOnce {
                        self.to_acknowledge.push((id, qos, message.epoch));
                    }
                }
                Event::Acked { ticket, reason, .. } => {
                    let seq = self.seq_of_ticket(&ticket);
                    let accepted = &mut self.accepted[seq];
                    assert!(!accepted.ended && !accepted.dropped, "{seq} ended twice");
                    accepted.ended = true;
                    assert_eq!(ticket.outcome(), Some(reason));
                    let owned = self.broker.owned.contains(&(seq as u32));
                    assert!(owned || reason.is_failure(), "{seq} is not published");
                }
                Event::Closed(Closed::Protocol(error)) => panic!("the server was right: {error}"),
                _ => {}
            }
        }
    }

    /// QoS 0 is written exactly when the server has it.
    pub(crate) fn check_handover(&self) {
        for (seq, accepted) in self.accepted.iter().enumerate() {
            if let Fate::Mark(mark) = accepted.fate {
                let written = self.rig.session.handover(mark) == Handover::Written;
                assert_eq!(written, self.broker.qos_0.contains(&(seq as u32)), "{seq}");
            }
        }
    }

    /// A server that answers, a network that carries and an application that acknowledges: all is
    /// finished in the end, and nothing is lost.
    pub(crate) fn finish(&mut self) {
        self.connect(true, 3);
        for round in 0.. {
            assert!(round < 10_000, "no end in sight");
            self.carry_up(usize::MAX);
            while self.broker.questions() > 0 {
                self.answer(round, false);
            }
            self.carry_down(usize::MAX);
            while !self.to_acknowledge.is_empty() {
                self.acknowledge(round);
            }
            if self.up.is_empty() && self.down.is_empty() && self.broker.questions() == 0 {
                break;
            }
        }
        assert!(self.rig.session.is_online());
        assert_eq!((self.rig.session.unfinished(), self.rig.session.in_flight()), (0, 0));
        assert_eq!(self.broker.unacknowledged(), 0);
        assert_eq!(self.rig.session.held_messages().count(), 0);
        for (seq, accepted) in self.accepted.iter().enumerate() {
            if let Fate::Ticket(ticket) = &accepted.fate
                && !accepted.dropped
            {
                let outcome = ticket.outcome().expect("an outcome");
                let owned = self.broker.owned.contains(&(seq as u32));
                assert!(owned || outcome.is_failure(), "{seq} is lost");
            }
        }
    }
}
