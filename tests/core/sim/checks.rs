//! What is checked of each packet, event and figure, as soon as it is there.

use oxmqtt_protocol::codec::{QoS, Version};
use oxmqtt_protocol::session::{Closed, Event, Handover};

use super::client::{Fate, Use, refusal};
use super::clock::Asked;
use super::hostile::NOBODYS;
use super::link::{End, Grant, Link};
use super::mutant::Mutant;
use super::server::seq_of;
use super::violation::{Property, ensure, violated};
use super::world::World;
use crate::session_wire::Sent;

impl World {
    pub(crate) fn check_closed(&mut self, link: &Link, closed: &Closed, broken: bool) {
        let now = self.now;
        let right = match (closed, link.end) {
            (Closed::Requested, Some(End::Requested)) => true,
            (Closed::Requested, None) => link.deferred,
            (Closed::ByServer { reason, .. }, Some(End::ByServer(said))) => {
                reason.unwrap_or_default().0 == said
            }
            (Closed::Refused(reason), Some(End::Refused(said))) => reason.0 == said,
            (Closed::Protocol(error), Some(End::Breach(reasons))) => {
                reasons.contains(&error.reason_code().0)
            }
            (Closed::Protocol(error), None) => {
                let early =
                    |end| matches!(end, End::Breach(r) if r.contains(&error.reason_code().0));
                link.may_end.is_some_and(early)
            }
            (Closed::KeepAlive, None) => {
                let silent = now - link.heard;
                let asked = &link.asked;
                let is_due = asked.as_ref().is_some_and(|asked| asked.has_expired(now));
                ensure!(Deadline, is_due, "given up too soon: {asked:?}");
                ensure!(Deadline, silent >= link.interval / 2, "given up after {silent:?}");
                true
            }
            (Closed::ConnAckTimeout, None) => link.grant.is_none() && now >= link.connack_due,
            (Closed::Lost(_), None) => broken,
            _ => false,
        };
        let (end, part) = (link.end, link.may_end);
        ensure!(Reaction, right, "closed for {closed:?}, due was {end:?}, in part {part:?}");
        if let Closed::Protocol(error) = closed {
            let due = (self.settings.version == Version::V5).then_some(error.reason_code().0);
            ensure!(Reaction, link.goodbye == due, "DISCONNECT {:02x?}", link.goodbye);
        }
    }

    pub(crate) fn check_figures(&self) {
        let (said, due) = (self.session.unfinished(), self.client.unfinished);
        ensure!(Loss, said >= due, "{said} unfinished, due are {due}");
        ensure!(Memory, said == due, "{said} unfinished, due are {due}");
        let (said, due) =
            (self.session.in_flight(), self.link.as_ref().map_or(0, |l| l.in_flight.len()));
        ensure!(Memory, said == due, "{said} in flight, due are {due}");
        let (said, due) = (self.session.unsent(), self.link.as_ref().map_or(0, |l| l.up.len()));
        ensure!(Memory, said == due, "{said} bytes unsent, due are {due}");
    }

    pub(crate) fn check_packet(&mut self, packet: &Sent, size: usize) {
        let Some(link) = &mut self.link else {
            violated(Property::Silence, format!("{packet:?} without a connection"))
        };
        ensure!(Silence, link.goodbye.is_none(), "{packet:?} after DISCONNECT");
        let (id, seq) = match packet {
            Sent::Publish { dup, qos, retain, topic, id, list, payload } => {
                let seq = seq_of(payload);
                let topic = match list.as_slice() {
                    [0x23, 0, alias] if topic.is_empty() => link.told.get(alias).cloned(),
                    [0x23, 0, alias] => {
                        link.told.insert(*alias, topic.clone());
                        Some(topic.clone())
                    }
                    _ => Some(topic.clone()),
                };
                let meant = &self.client.of(seq).topic;
                ensure!(Alias, topic.as_ref() == Some(meant), "{packet:?} to {meant}: {topic:?}");
                if let Some(grant) = &link.grant {
                    let refused = refusal(*qos, *retain, size, grant);
                    ensure!(Limit, refused.is_none(), "{packet:?} in spite of {grant:?}");
                }
                if *qos == 0 {
                    return;
                }
                let accepted = self.client.of(seq);
                let due = !accepted.dropped && accepted.outcome.is_none();
                ensure!(Duplicate, due, "finished: {packet:?}");
                ensure!(Dup, *dup == accepted.sent, "DUP of {packet:?}");
                ensure!(Duplicate, link.publishes.insert(seq), "twice: {packet:?}");
                ensure!(Limit, link.grant.is_some(), "before CONNACK: {packet:?}");
                accepted.sent = true;
                (*id, seq)
            }
            Sent::PubRel(id, _) => match self.client.ids.get(id) {
                Some(Use::Message(seq)) if !link.in_flight.contains(id) => (*id, *seq),
                _ => return,
            },
            Sent::PingReq => {
                let (now, waiting) = (self.now, link.up.len());
                link.asked.get_or_insert_with(|| Asked::new(now, link.interval, waiting));
                link.sent = now;
                return;
            }
            Sent::Disconnect(reason) => {
                link.goodbye = Some(*reason);
                link.drained = self.now;
                let due = match link.end.or(link.may_end) {
                    Some(End::Requested) => *reason == 0,
                    Some(End::Breach(reasons)) => reasons.contains(reason),
                    _ => false,
                };
                let (end, part) = (link.end, link.may_end);
                ensure!(Reaction, due, "{packet:?}, due was {end:?}, in part {part:?}");
                return;
            }
            Sent::Subscribe(id) | Sent::Unsubscribe(id) => {
                let known = matches!(self.client.ids.get(id), None | Some(Use::Request { .. }));
                ensure!(Identifier, known, "{packet:?} in use");
                return;
            }
            _ => return,
        };
        let usage = self.client.ids.insert(id, Use::Message(seq));
        let same = usage.is_none_or(|used| used == Use::Message(seq));
        ensure!(Identifier, same, "{id} of {packet:?} stands for {usage:?}");
        ensure!(Order, link.last_seq < Some(seq), "{packet:?} after {:?}", link.last_seq);
        link.last_seq = Some(seq);
        link.in_flight.insert(id);
        let (in_flight, quota) = (link.in_flight.len(), link.quota);
        ensure!(Quota, in_flight <= quota, "{in_flight} in flight of {quota}");
    }

    pub(crate) fn check_events(&mut self, closed: &mut Vec<Closed>) {
        let events: Vec<Event> = self.session.drain_events().collect();
        let strict = self.is_strict();
        for event in events {
            ensure!(Closed, closed.is_empty(), "{event:?} after {closed:?}");
            match event {
                Event::Message(message) => {
                    let (qos, id) = (message.publish.qos(), message.publish.packet_id());
                    let seq = seq_of(message.publish.payload());
                    if seq == NOBODYS {
                        continue;
                    }
                    self.stats.delivered += 1;
                    self.client.handle_message(seq, qos, message.topic_bytes());
                    if qos != QoS::AtMostOnce {
                        self.client.to_acknowledge.push((id, qos, message.epoch, seq));
                    }
                    if self.mutant == Some(Mutant::DeliversAgain) {
                        self.redeliver.retain(|(known, ..)| *known != id);
                        self.redeliver.push((id, seq, message.epoch));
                    }
                }
                Event::Acked { ticket, reason, .. } => {
                    let grant = self.link.as_ref().and_then(|link| link.grant);
                    let server = &self.server;
                    self.client.handle_acked(&ticket, reason.0, grant.as_ref(), server, strict);
                }
                Event::SubAck { packet_id, .. } | Event::UnsubAck { packet_id, .. } => {
                    let free = !self.client.ids.contains_key(&packet_id);
                    ensure!(Reaction, free, "an answer to {packet_id} that did not come");
                }
                Event::Closed(reason) => closed.push(reason),
                Event::ConnAck { .. }
                | Event::Auth { .. }
                | Event::Sent { .. }
                | Event::Trace(_) => {}
            }
        }
    }

    /// A QoS 0 message counts as written exactly when the transport took it.
    pub(crate) fn check_handover(&self) {
        for (seq, accepted) in self.client.accepted.iter().enumerate() {
            if let Fate::Mark(mark) = accepted.fate {
                let seq = seq as u32;
                let written = self.session.handover(mark) == Handover::Written;
                let taken = self.server.qos_0.contains(&seq) || self.vanished.contains(&seq);
                ensure!(Ticket, written == taken, "QoS 0 message {seq}: written {written}");
            }
        }
    }

    /// Server, network and application do their duty: all gets finished, and nothing is lost.
    pub(crate) fn finish(&mut self) {
        self.dial(false);
        self.server.release_withheld();
        self.accept(true, Grant { receive_maximum: 3, ..Grant::ALL });
        for round in 0.. {
            ensure!(Progress, round < 10_000, "no end in sight");
            self.round_trip();
            while !self.client.to_acknowledge.is_empty() {
                self.acknowledge(round);
            }
            let Some(link) = &self.link else { break };
            if link.up.is_empty() && link.down.len() == 0 && self.server.questions() == 0 {
                break;
            }
        }
        ensure!(Reaction, self.session.is_online(), "a good connection ended");
        let left = self.server.unacknowledged();
        ensure!(Loss, left == 0, "{left} messages of the server are not acknowledged");
        let kept = self.session.unreleased().count();
        ensure!(Memory, kept == 0, "{kept} identifiers kept for nothing");
        self.client.check_tickets();
        self.client.check_finished(&self.session, &self.server, self.is_strict());
        self.check_handover();
    }
}
