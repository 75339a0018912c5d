//! What must hold for a client session whatever its server sends: looks at every packet it sends, every
//! event it reports, every ticket and mark it gave out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use oxmqtt_protocol::codec::{
    Ack, Packet, Properties, Publish, QoS, ReasonCode, Version, decode, parse_frame,
};
use oxmqtt_protocol::session::{Closed, Event, Handover, ServerLimits, Session, Ticket};

/// A QoS 1 or 2 message that the session accepted.
struct Accepted {
    seq: u32,
    ticket: Arc<Ticket>,
    /// The connection it was sent on last.
    sent_on: Option<u32>,
    outcome: Option<ReasonCode>,
    reported: bool,
    dropped: bool,
}

impl Accepted {
    fn is_unfinished(&self) -> bool {
        !self.dropped && self.outcome.is_none()
    }
}

/// A QoS 0 message: its mark, and where in the stream of its connection it ends.
struct Marked {
    mark: u64,
    end: usize,
    epoch: u32,
    written: bool,
}

/// What holds for one connection; the default is none.
#[derive(Default)]
struct Connection {
    open: bool,
    connect_sent: bool,
    disconnect_sent: bool,
    /// Set by CONNACK.
    limits: Option<ServerLimits>,
    /// The Server Keep Alive of CONNACK.
    keep_alive: Option<Duration>,
    last_seq: Option<u32>,
    requests: Vec<u16>,
    /// QoS 1 messages given to the application and not acknowledged.
    unacknowledged: usize,
    /// QoS 2 messages given to it and not completed.
    unreleased: BTreeSet<u16>,
}

pub struct Observer {
    version: Version,
    own_receive_maximum: usize,
    /// The largest packet that may be received: by the settings, and on this connection.
    set_packet_size: usize,
    packet_size: usize,
    epoch: u32,
    connection: Connection,
    accepted: Vec<Accepted>,
    marked: Vec<Marked>,
    stream: Vec<u8>,
    pub deliveries: Vec<(u16, QoS, u32)>,
    /// QoS 2 messages given to the application last under their identifier, and not acknowledged.
    at_hand: BTreeMap<u16, u32>,
    pub written: usize,
}

impl Observer {
    pub fn new(version: Version, packet_size: usize) -> Self {
        Self {
            version,
            own_receive_maximum: 65_535,
            set_packet_size: packet_size,
            packet_size,
            epoch: 0,
            connection: Connection::default(),
            accepted: Vec::new(),
            marked: Vec::new(),
            stream: Vec::new(),
            deliveries: Vec::new(),
            at_hand: BTreeMap::new(),
            written: 0,
        }
    }

    pub fn connected(&mut self, epoch: u32, properties: &Properties) {
        assert!(!self.connection.open, "the end of the last connection was not reported");
        self.epoch = epoch;
        self.own_receive_maximum = properties.receive_maximum().unwrap_or(65_535).into();
        let announced = properties.maximum_packet_size().map(|size| size as usize);
        self.packet_size = announced.unwrap_or(self.set_packet_size);
        self.connection = Connection { open: true, ..Connection::default() };
        self.stream.clear();
        self.written = 0;
    }

    pub fn accepted(&mut self, seq: u32, ticket: Arc<Ticket>) {
        let (sent_on, outcome) = (None, None);
        let accepted = Accepted { seq, ticket, sent_on, outcome, reported: false, dropped: false };
        self.accepted.push(accepted);
    }

    pub fn marked(&mut self, mark: u64, end: usize) {
        let last = self.marked.last().map(|earlier| earlier.mark);
        assert!(last < Some(mark), "marks count upwards");
        self.marked.push(Marked { mark, end, epoch: self.epoch, written: false });
    }

    pub fn requested(&mut self, id: u16) {
        assert!(id != 0 && !self.connection.requests.contains(&id), "identifier {id} in use");
        self.connection.requests.push(id);
    }

    pub fn dropped(&mut self, ticket: &Arc<Ticket>) {
        let accepted = self.find(ticket);
        assert!(accepted.is_unfinished(), "{} was dropped late", accepted.seq);
        accepted.dropped = true;
    }

    /// The application is through with a message; it may be of an old connection.
    pub fn acknowledged(&mut self, id: u16, qos: QoS, epoch: u32) {
        if qos == QoS::ExactlyOnce {
            if self.at_hand.get(&id) == Some(&epoch) {
                self.at_hand.remove(&id);
            }
        } else if epoch == self.epoch && self.connection.open {
            self.connection.unacknowledged -= 1;
        }
    }

    /// QoS and identifier of a message in flight, for a server that answers.
    pub fn in_flight(&self, index: usize) -> Option<u16> {
        let mut ids = self.accepted.iter().filter(|a| self.is_in_flight(a));
        let count = ids.clone().count();
        ids.nth(index.checked_rem(count)?).map(|accepted| accepted.ticket.packet_id())
    }

    /// The keep-alive that holds: the server's, or the one that CONNECT named.
    pub fn keep_alive(&self, own: Duration) -> Duration {
        self.connection.keep_alive.unwrap_or(own)
    }

    fn is_in_flight(&self, accepted: &Accepted) -> bool {
        self.connection.open && accepted.sent_on == Some(self.epoch) && accepted.outcome.is_none()
    }

    fn find(&mut self, ticket: &Arc<Ticket>) -> &mut Accepted {
        let mut all = self.accepted.iter_mut();
        all.find(|accepted| Arc::ptr_eq(&accepted.ticket, ticket)).expect("a ticket given out")
    }

    /// Takes what the session has to say and returns its packets.
    pub fn observe(&mut self, session: &mut Session, output: &[u8]) -> Vec<Packet> {
        let events: Vec<_> = session.drain_events().collect();
        // Messages that waited for CONNACK leave with it.
        for event in &events {
            if let Event::ConnAck { reason: ReasonCode::SUCCESS, properties, .. } = event {
                let seconds = properties.server_keep_alive();
                self.connection.keep_alive = seconds.map(|s| Duration::from_secs(s.into()));
                self.connection.limits = Some(match self.version {
                    Version::V5 => ServerLimits::from_connack(properties),
                    _ => ServerLimits::default(),
                });
            }
        }
        let packets = self.packets(output);
        for (packet, size) in &packets {
            self.check_packet(packet, *size);
        }
        for event in events {
            self.check_event(event);
        }
        self.check_state(session);
        packets.into_iter().map(|(packet, _)| packet).collect()
    }

    /// The whole packets of the output so far, each with its size.
    fn packets(&mut self, output: &[u8]) -> Vec<(Packet, usize)> {
        assert!(output.is_empty() || self.connection.open, "output without a connection");
        self.stream.extend_from_slice(output);
        let mut found = Vec::new();
        while let Some(frame) = parse_frame(&self.stream).expect("a fixed header") {
            if frame.packet_len() > self.stream.len() {
                break;
            }
            let rest = self.stream.split_off(frame.packet_len());
            let source = Bytes::from(std::mem::replace(&mut self.stream, rest));
            let body = &source[frame.header_len..];
            let packet = decode(self.version, frame.first, body, &source).expect("a packet");
            found.push((packet, frame.packet_len()));
        }
        found
    }

    fn check_packet(&mut self, packet: &Packet, size: usize) {
        assert!(packet.packet_type().is_sent_by_client(self.version), "{packet:?}");
        assert!(!self.connection.disconnect_sent, "{packet:?} after DISCONNECT");
        let is_connect = matches!(packet, Packet::Connect(_));
        assert_ne!(is_connect, self.connection.connect_sent, "CONNECT first, and once: {packet:?}");
        let limits = self.connection.limits.unwrap_or_default();
        match packet {
            Packet::Connect(_) => self.connection.connect_sent = true,
            Packet::Disconnect(packet) => {
                self.connection.disconnect_sent = true;
                let explained = packet.properties.as_ref().is_some_and(|list| !list.is_empty());
                assert!(!explained || size <= limits.maximum_packet_size, "{size} bytes");
            }
            Packet::Publish(publish) => {
                assert!(limits.admit(publish.qos(), publish.retain(), size).is_ok(), "{publish:?}");
                self.check_publish(publish);
            }
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => {
                assert!(size <= limits.maximum_packet_size, "{size} bytes");
            }
            Packet::PubRel(ack) => self.check_release(ack),
            Packet::PubRec(ack) => {
                let id = ack.packet_id;
                assert!(!self.at_hand.contains_key(&id), "PUBREC {id} before the application");
            }
            Packet::PubComp(ack) => {
                self.connection.unreleased.remove(&ack.packet_id);
            }
            _ => {}
        }
    }

    fn check_publish(&mut self, publish: &Publish) {
        if publish.qos() == QoS::AtMostOnce {
            return;
        }
        assert!(self.connection.limits.is_some(), "{publish:?} before CONNACK");
        let id = publish.packet_id();
        assert!(!self.connection.requests.contains(&id), "identifier {id} in use");
        let others = self.accepted.iter().filter(|a| self.is_in_flight(a));
        assert!(others.clone().all(|a| a.ticket.packet_id() != id), "identifier {id} in use");
        let seq = seq_of(publish.payload());
        self.pass(seq);
        let epoch = self.epoch;
        let accepted = self.accepted.iter_mut().find(|a| a.seq == seq).expect("accepted");
        assert!(!accepted.dropped && accepted.outcome.is_none(), "{publish:?} is over");
        assert_eq!(accepted.ticket.packet_id(), id);
        assert_eq!(publish.dup(), accepted.sent_on.is_some(), "DUP of {publish:?}");
        accepted.sent_on = Some(epoch);
    }

    /// PUBREL moves a message that an earlier connection sent into this one's flight.
    fn check_release(&mut self, ack: &Ack) {
        let epoch = self.epoch;
        let is_it = |a: &&mut Accepted| a.is_unfinished() && a.ticket.packet_id() == ack.packet_id;
        let Some(accepted) = self.accepted.iter_mut().find(is_it) else { return };
        let before = accepted.sent_on.replace(epoch).expect("PUBREL of a message never sent");
        let seq = accepted.seq;
        if before != epoch {
            self.pass(seq);
        }
    }

    fn pass(&mut self, seq: u32) {
        let last = self.connection.last_seq.replace(seq);
        assert!(last < Some(seq), "{seq} after {last:?}");
    }

    fn check_event(&mut self, event: Event) {
        assert!(self.connection.open, "{event:?} without a connection");
        let online = self.connection.limits.is_some();
        match event {
            Event::ConnAck { session_present, reason, .. } => {
                assert!(!session_present || reason == ReasonCode::SUCCESS);
            }
            Event::Message(message) => {
                assert!(online && message.epoch == self.epoch, "{message:?}");
                let topic = message.topic_bytes();
                assert!(!topic.is_empty() && std::str::from_utf8(topic).is_ok());
                let publish = &message.publish;
                assert!(publish.body_len() < self.packet_size, "{publish:?} is too large");
                if publish.qos() != QoS::AtMostOnce {
                    self.deliveries.push((publish.packet_id(), publish.qos(), self.epoch));
                    if publish.qos() == QoS::ExactlyOnce {
                        self.at_hand.insert(publish.packet_id(), self.epoch);
                        self.connection.unreleased.insert(publish.packet_id());
                    } else {
                        self.connection.unacknowledged += 1;
                    }
                    let connection = &self.connection;
                    let counted = connection.unacknowledged + connection.unreleased.len();
                    assert!(counted <= self.own_receive_maximum);
                }
            }
            Event::Acked { ticket, packet_id, reason, .. } => {
                assert_eq!((ticket.packet_id(), ticket.outcome()), (packet_id, Some(reason)));
                assert_eq!(ticket.reported_outcome(), None);
                ticket.mark_reported();
                assert_eq!(ticket.reported_outcome(), Some(reason));
                let accepted = self.find(&ticket);
                assert!(!accepted.dropped && !accepted.reported, "{packet_id} ended twice");
                assert!(reason.is_failure() || accepted.sent_on.is_some(), "never sent");
                accepted.reported = true;
            }
            Event::Sent { packet_ids, .. } => assert!(!packet_ids.is_empty()),
            Event::SubAck { packet_id, .. } | Event::UnsubAck { packet_id, .. } => {
                let requests = &mut self.connection.requests;
                let at = requests.iter().position(|id| *id == packet_id).expect("a request");
                requests.swap_remove(at);
            }
            Event::Auth { .. } | Event::Trace(_) => {}
            Event::Closed(closed) => {
                let accepted = matches!(closed, Closed::KeepAlive);
                assert!(!accepted || online, "keep-alive before CONNACK");
                self.connection = Connection::default();
            }
        }
    }

    fn check_state(&mut self, session: &Session) {
        for accepted in &mut self.accepted {
            let outcome = accepted.ticket.outcome();
            assert!(accepted.outcome.is_none() || accepted.outcome == outcome, "changed its mind");
            accepted.outcome = outcome;
            assert_eq!(accepted.ticket.is_dropped(), accepted.dropped);
            assert_eq!(outcome.is_some(), accepted.reported || accepted.dropped, "not reported");
        }
        // A dropped message that was sent keeps its place until it is acknowledged, unseen.
        let placed = |a: &&Accepted| self.connection.open && a.sent_on == Some(self.epoch);
        let dropped = self.accepted.iter().filter(placed).filter(|a| a.dropped).count();
        let known = self.accepted.iter().filter(|a| self.is_in_flight(a)).count();
        let in_flight = session.in_flight();
        assert!(
            (known..=known + dropped).contains(&in_flight),
            "{in_flight} in flight, not {known}"
        );
        let own = match session.config().max_inflight {
            0 => 65_535,
            own => own,
        };
        let granted = self.connection.limits.map_or(0, |limits| limits.receive_maximum);
        assert!(in_flight <= usize::from(own.min(granted)), "{in_flight} in flight");
        let unfinished = self.accepted.iter().filter(|a| a.is_unfinished()).count();
        assert_eq!(session.unfinished(), unfinished);
        let most = session.config().max_queued;
        assert!(most == 0 || unfinished <= most, "{unfinished} in the queue");
        for marked in &mut self.marked {
            let here = self.connection.open && marked.epoch == self.epoch;
            marked.written |= here && marked.end <= self.written;
            let expected = match (marked.written, here) {
                (true, _) => Handover::Written,
                (false, true) => Handover::Waiting,
                (false, false) => Handover::Lost,
            };
            assert_eq!(session.handover(marked.mark), expected);
        }
        if !self.connection.open {
            assert!(!session.is_online() && !session.has_output() && session.unsent() == 0);
        }
    }
}

/// The number that a payload begins with.
fn seq_of(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes))
}
