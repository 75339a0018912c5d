//! The real session with a virtual clock, a network that can fail at any byte, an application, and
//! the reference models of server and client. Every packet and event is checked when it appears.

use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use oxmqtt_protocol::codec::{PacketType, QoS, ReasonCode, Version};
use oxmqtt_protocol::session::{ConnectOptions, Session, SessionConfig};

use super::client::{Client, Use};
use super::fault::{Fault, Stats};
use super::link::{ASSIGNED, End, Grant, Link, Note, Packet};
use super::mutant::{Mutant, with_early_pubcomp, without_dup, without_named_topics};
use super::server::{Naming, Server, seq_of};
use super::violation::ensure;
use crate::session_rig::{SECOND, options, properties};
use crate::session_wire::{Sent, parse};

/// What the socket's buffer takes when nobody reads.
const SOCKET_BUFFER: usize = 400;

/// What a run is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    pub(crate) max_inflight: u16,
    pub(crate) receive_maximum: u16,
    pub(crate) alias_maximum: u16,
    pub(crate) packet: usize,
    /// Seconds.
    pub(crate) keep_alive: u16,
    pub(crate) manual_ack: bool,
    pub(crate) named: bool,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) session: Session,
    pub(crate) options: ConnectOptions,
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) link: Option<Link>,
    /// The server has a session of which the client was not told.
    pub(crate) fresh: bool,
    /// A clean start was not answered with CONNACK.
    clean_unanswered: bool,
    assigned: bool,
    /// QoS 0 messages that left for a network that carries nothing.
    pub(crate) vanished: Vec<u32>,
    pub(crate) stats: Stats,
    pub(crate) mutant: Option<Mutant>,
    /// For the mutant: QoS 2 messages delivered by an earlier connection, by identifier.
    pub(crate) redeliver: Vec<(u16, u32, u32)>,
}

/// All worlds begin at the same time, so that equal states are equal.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

impl World {
    pub(crate) fn new(settings: Settings, mutant: Option<Mutant>) -> Self {
        let config = SessionConfig {
            version: settings.version,
            max_inflight: settings.max_inflight,
            report_acked: true,
            report_sent: true,
            ..SessionConfig::default()
        };
        let mut options = ConnectOptions { keep_alive: settings.keep_alive, ..options() };
        let mut receive_maximum = usize::from(u16::MAX);
        if settings.version == Version::V5 {
            receive_maximum = settings.receive_maximum.into();
            let mut list = vec![0x21];
            list.extend(settings.receive_maximum.to_be_bytes());
            if settings.alias_maximum > 0 {
                list.push(0x22);
                list.extend(settings.alias_maximum.to_be_bytes());
            }
            list.push(0x27);
            list.extend((settings.packet as u32).to_be_bytes());
            options.properties = properties(PacketType::Connect, &list);
            if !settings.named {
                options.client_id = "".into();
            }
        }
        // The server leaves the last alias alone.
        let aliases = settings.alias_maximum.saturating_sub(1);
        Self {
            settings,
            session: Session::new(config),
            options,
            now: beginning(),
            server: Server::new(settings.version, receive_maximum, aliases),
            client: Client::default(),
            link: None,
            fresh: true,
            assigned: false,
            vanished: Vec::new(),
            clean_unanswered: false,
            stats: Stats::default(),
            mutant,
            redeliver: Vec::new(),
        }
    }

    /// Whether a message counts as published only when the server passed it on. A persistent session
    /// of MQTT 3 relies on PUBREC: the server is the owner from then on.
    pub(crate) fn is_strict(&self) -> bool {
        self.settings.version == Version::V5
    }

    pub(crate) fn is_online(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_online)
    }

    /// Whether the server accepted and its packets arrive.
    pub(crate) fn is_flowing(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.accepted && link.vanished.is_none())
    }

    /// Starts a connection; CONNECT is on its way.
    pub(crate) fn dial(&mut self, clean: bool) {
        self.cut();
        self.options.clean_start = clean;
        self.session.connect(&self.options, self.now).unwrap();
        self.stats.connections += 1;
        let interval = SECOND * self.settings.keep_alive.into();
        let due = self.now + self.options.connack_timeout;
        let mut link = Link::new(self.now, interval, due);
        link.clean = clean;
        self.clean_unanswered |= clean;
        self.link = Some(link);
        let mut buffer = Vec::new();
        self.session.take_output(&mut buffer);
        self.session.handle_written(buffer.len(), self.now);
        let packets = parse(self.settings.version, &buffer);
        let [Sent::Connect(body)] = &packets[..] else {
            panic!("CONNECT alone is due, not {packets:?}");
        };
        let reused = body.windows(2).any(|id| id == ASSIGNED);
        let due = self.assigned && !self.settings.named;
        ensure!(Reaction, reused == due, "assigned identifier: known {due}, used {reused}");
    }

    /// The server accepts; it may have lost the session.
    pub(crate) fn accept(&mut self, keep: bool, mut grant: Grant) {
        let version = self.settings.version;
        let Some(link) = &mut self.link else { return };
        link.accepted = true;
        // MQTT 3.1 cannot say that a session was lost.
        let clean = std::mem::take(&mut self.clean_unanswered);
        let present = (keep || version == Version::V31) && !self.fresh && !clean;
        if version != Version::V5 {
            grant = Grant::ALL;
        }
        grant.assign &= self.options.client_id.is_empty() && !self.assigned;
        if !present {
            if !self.fresh && !keep {
                self.stats.count(Fault::SessionLost);
                if self.server.holds_unreleased() {
                    self.stats.count(Fault::SessionLostBeforePubRel);
                }
            }
            self.server.lose_session();
            self.client.handle_new_session();
            self.fresh = true;
        }
        let said =
            present && version != Version::V31 && self.mutant != Some(Mutant::ForgetsReceipts);
        let list = if version == Version::V5 { grant.properties() } else { Vec::new() };
        let bytes = crate::session_wire::connack(version, said, 0, &list);
        link.down.push(Packet::new(bytes, Note::Accept { grant, fresh: !present }));
        for packet in self.server.resume() {
            link.down.push(packet);
        }
    }

    /// Puts a packet of the server on its way.
    pub(crate) fn push(&mut self, packet: Packet) {
        if let Some(link) = &mut self.link
            && link.vanished.is_none()
        {
            link.down.push(packet);
        }
    }

    /// The transport breaks, if there is one.
    pub(crate) fn cut(&mut self) {
        if self.link.is_some() {
            self.close(Some("cut"));
        }
    }

    fn close(&mut self, error: Option<&str>) {
        self.session.handle_closed(error);
        let mut closed = Vec::new();
        self.check_events(&mut closed);
        let Some(link) = self.link.take() else { return };
        ensure!(Closed, closed.len() == 1, "{} Closed events for a connection", closed.len());
        for closed in closed {
            self.check_closed(&link, &closed, error.is_some());
        }
        self.server.handle_cut();
        self.client.handle_cut();
        let quiet = !self.session.has_output()
            && self.session.poll_timeout().is_none()
            && !self.session.wants_close()
            && !self.session.is_online();
        ensure!(Silence, quiet, "a closed session wants something");
        ensure!(Memory, self.session.unsent() == 0, "bytes for a closed connection");
        self.client.check_tickets();
    }

    /// The network carries up to `count` bytes to the server.
    pub(crate) fn carry_up(&mut self, count: usize) {
        let Some(link) = &mut self.link else { return };
        let mut count = count.min(link.up.len());
        if let Some(hole) = &mut link.vanished {
            count = count.min(SOCKET_BUFFER.saturating_sub(hole.len()));
            hole.extend(link.up.drain(..count));
            let (packets, _) = crate::session_wire::parse_whole(self.settings.version, hole);
            for packet in packets {
                if let Sent::Publish { qos: 0, payload, .. } = packet {
                    self.vanished.push(seq_of(&payload));
                }
            }
        } else if link.stalled {
            return;
        } else {
            let bytes: Vec<u8> = link.up.drain(..count).collect();
            for packet in self.server.receive(&bytes) {
                link.down.push(packet);
            }
        }
        if count > 0 {
            (link.sent, link.drained) = (self.now, self.now);
            if let Some(asked) = &mut link.asked {
                asked.carry(count, self.now);
            }
            self.session.handle_written(count, self.now);
        }
        let handed_over = std::mem::take(&mut self.server.handed_over);
        for seq in handed_over {
            self.client.check_handed_over(seq);
        }
        self.observe();
    }

    /// The network carries up to `count` bytes to the client.
    pub(crate) fn carry_down(&mut self, count: usize) {
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        if link.vanished.is_some() || link.down.len() == 0 {
            return;
        }
        let mut notes = Vec::new();
        let (bytes, part) = link.down.take(count, |note| notes.push(note));
        let mut bytes = bytes;
        for note in notes {
            let epoch = self.session.epoch();
            self.handle_note(note, epoch);
        }
        let Some(link) = &mut self.link else { return };
        link.may_end = part;
        link.hear(now);
        if self.mutant == Some(Mutant::PublishedTooSoon) {
            bytes = with_early_pubcomp(&bytes);
        }
        self.session.handle_input(Bytes::from(bytes), now);
        if self.is_online() {
            ensure!(Reaction, self.session.is_online() || part.is_some(), "not online");
        }
        self.observe();
    }

    fn handle_note(&mut self, note: Note, epoch: u32) {
        let Some(link) = &mut self.link else { return };
        if link.end.is_some() {
            return;
        }
        match note {
            Note::Accept { grant, fresh } => {
                if let Some(seconds) = grant.keep_alive {
                    link.interval = SECOND * seconds.into();
                    self.stats.count(Fault::ServerKeepAlive);
                }
                let own = match self.settings.max_inflight {
                    0 => u16::MAX,
                    own => own,
                };
                link.quota = own.min(grant.receive_maximum).into();
                link.grant = Some(grant);
                if link.deferred {
                    link.end_with(End::Requested);
                }
                self.fresh = false;
                self.assigned |= grant.assign;
                if fresh {
                    self.redeliver.clear();
                    if self.settings.manual_ack {
                        self.client.to_acknowledge.clear();
                    }
                    if self.mutant == Some(Mutant::DropsOnSessionLoss) {
                        self.session.drop_unfinished();
                    }
                }
            }
            Note::Ends { id, reason } => {
                self.client.handle_end(id, reason);
                link.in_flight.remove(&id);
            }
            Note::Final(end) => link.end_with(end),
            Note::Publish { id: Some(id) } => {
                if self.mutant == Some(Mutant::DeliversAgain)
                    && let Some(&(_, seq, _)) = self
                        .redeliver
                        .iter()
                        .find(|(known, _, before)| *known == id && *before != epoch)
                {
                    let topic = super::server::topic_of(seq);
                    self.client.handle_message(seq, QoS::ExactlyOnce, topic.as_bytes());
                }
            }
            Note::PubRec { id } => {
                if let Some(&Use::Message(seq)) = self.client.ids.get(&id) {
                    self.client.of(seq).received = true;
                }
            }
            Note::Nothing | Note::Publish { id: None } | Note::PubRel { .. } => {}
        }
    }

    /// Looks at what the session sends and says.
    pub(crate) fn observe(&mut self) {
        let mut buffer = Vec::new();
        self.session.take_output(&mut buffer);
        if self.mutant == Some(Mutant::NoDup) {
            without_dup(&mut buffer);
        }
        if self.mutant == Some(Mutant::AliasTooSoon) {
            buffer = without_named_topics(&buffer);
        }
        let mut at = 0;
        let starts = super::mutant::first_bytes(&buffer);
        let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([buffer.len()]);
        for (packet, end) in parse(self.settings.version, &buffer).iter().zip(ends) {
            self.check_packet(packet, end - at);
            at = end;
        }
        if !buffer.is_empty() {
            let link = self.link.as_mut();
            ensure!(Silence, link.is_some(), "bytes without a connection: {buffer:02x?}");
            if let Some(link) = link {
                link.up.extend(buffer);
            }
        }
        let mut closed = Vec::new();
        self.check_events(&mut closed);
        ensure!(Closed, closed.is_empty(), "{closed:?} while the transport stands");
        if self.mutant == Some(Mutant::AcknowledgesTooSoon) {
            for &(id, qos, epoch, _) in &self.client.to_acknowledge {
                self.session.acknowledge(id, qos, epoch);
            }
            if self.session.has_output() {
                return self.observe();
            }
        }
        if self.session.wants_close() {
            self.close(None);
        }
        self.check_figures();
    }

    /// Everything goes up, gets its answers in order, and everything comes down.
    pub(crate) fn round_trip(&mut self) {
        self.carry_up(usize::MAX);
        while let Some(answer) = self.server.answer(0, false) {
            self.push(answer);
        }
        self.carry_down(usize::MAX);
    }

    pub(crate) fn acknowledge(&mut self, index: usize) {
        let waiting = &mut self.client.to_acknowledge;
        if !waiting.is_empty() {
            let index = index % waiting.len();
            let (id, qos, mut epoch, seq) = waiting.remove(index);
            if self.settings.manual_ack {
                // The application knows no connections; what comes again it acknowledges then.
                let current = self.session.epoch();
                if qos == QoS::AtLeastOnce && epoch != current {
                    return;
                }
                epoch = current;
            }
            self.client.handle_acknowledged(seq);
            self.session.acknowledge(id, qos, epoch);
            self.observe();
        }
    }

    /// The application fails at a message, and acknowledges it never.
    pub(crate) fn fail(&mut self, index: usize) {
        let waiting = &mut self.client.to_acknowledge;
        if !waiting.is_empty() {
            let index = index % waiting.len();
            let (id, qos, epoch, seq) = waiting.remove(index);
            self.stats.count(Fault::ApplicationFails);
            self.client.handle_failed(seq);
            self.session.leave_unacknowledged(id, qos, epoch);
            self.observe();
        }
    }

    pub(crate) fn deliver(&mut self, qos: u8, naming: Naming) {
        if self.is_flowing()
            && let Some(packet) = self.server.send(qos, naming)
        {
            self.push(packet);
        }
    }

    pub(crate) fn disconnect(&mut self) {
        if let Some(link) = &mut self.link
            && link.end.is_none()
            && link.goodbye.is_none()
        {
            if link.grant.is_none() && self.client.unfinished > 0 {
                link.deferred = true;
            } else {
                link.end_with(End::Requested);
            }
        }
        let now = self.now;
        let had = self.session.disconnect(ReasonCode(0), Default::default(), now);
        ensure!(Closed, had == self.link.is_some(), "disconnect() says {had}");
        self.observe();
    }
}
