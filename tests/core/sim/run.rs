//! What each step does to the world.

use oxmqtt_protocol::codec::{Properties, QoS, Version};
use oxmqtt_protocol::session::{LocalError, Outgoing, Receipt, SubscriptionRequest};

use super::client::{Fate, Use, refusal};
use super::fault::Fault;
use super::hostile::{before_connack, wrong_connack};
use super::link::{End, Grant, Note, Packet};
use super::server::Naming;
use super::step::{Own, Reply, Step};
use super::violation::ensure;
use super::world::World;
use crate::session_rig::{SECOND, outgoing};
use crate::session_wire::connack;

impl World {
    pub(crate) fn perform(&mut self, step: Step) {
        self.stats.steps += 1;
        match step {
            Step::Publish { qos, padding, retain, own } => self.publish(qos, padding, retain, own),
            Step::PublishMany(count) => self.publish_many(count),
            Step::Subscribe { filters } => self.request(filters, true),
            Step::Unsubscribe => self.request(1, false),
            Step::Acknowledge(index) => self.acknowledge(index.into()),
            Step::Fail(index) => self.fail(index.into()),
            Step::DropUnfinished => self.drop_unfinished(),
            Step::Disconnect => self.disconnect_now(),
            Step::SkipIdentifiers(count) => self.skip_identifiers(count),
            Step::Connect { keep, clean, reply } => self.connect(keep, clean, reply),
            Step::Up(count) => self.carry_up(in_bytes(count)),
            Step::Down(count) => self.carry_down_counted(in_bytes(count)),
            Step::DownByBytes(count) => self.carry_down_by_bytes(count),
            Step::Cut => self.cut_counted(),
            Step::Vanish => self.vanish(),
            Step::Stall(stalled) => self.stall(stalled),
            Step::Wait { tenths, reading } => {
                let interval = SECOND * self.settings.keep_alive.max(1).into();
                self.wait(interval * tenths.into() / 10, reading);
            }
            Step::Leap(seconds) => {
                self.stats.count(Fault::ClockLeap);
                self.leap(SECOND * seconds.into());
            }
            Step::SlowDownload => self.slow_download(),
            Step::TwoRoundTrips => self.two_round_trips(),
            Step::Answer { index, refuse } => self.answer(index.into(), refuse),
            Step::Deliver { qos, naming } => self.deliver(qos, naming),
            Step::Flood(count) => self.flood(count),
            Step::Copy => self.copy(),
            Step::Withhold(withhold) => self.withhold(withhold),
            Step::Stray { fault, id } => self.stray(fault, id),
            Step::StrayFlood => self.stray_flood(),
            Step::Breach { fault, variant } => self.breach(fault, variant),
            Step::WrongAck { variant } => self.wrong_ack(variant),
            Step::AckOfUnsent => self.ack_of_unsent(),
            Step::SubAckCount { more } => self.suback_count(more),
        }
    }

    /// All that is under way arrives; then whether the connection is as good as before.
    pub(super) fn settle_down(&mut self) -> bool {
        self.carry_down(usize::MAX);
        self.is_online() && self.is_flowing() && self.session.is_online()
    }

    fn publish(&mut self, qos: u8, padding: u16, retain: bool, own: Own) {
        let seq = self.client.accepted.len() as u32;
        let (alias, topic) = match own {
            Own::Named(alias) if self.is_strict() => (Some(alias), format!("n{}", seq % 3)),
            Own::Alone(alias) if self.is_strict() => (Some(alias), String::new()),
            _ => (None, "t".to_owned()),
        };
        // With an alias either far too large or small enough, with and without the topic.
        let padding = if alias.is_some() && padding > 0 { 300 } else { padding };
        let list = alias.map_or(Vec::new(), |alias| vec![0x23, 0, alias]);
        let mut payload = seq.to_be_bytes().to_vec();
        payload.resize(4 + usize::from(padding), b'.');
        let level = QoS::try_from(qos).unwrap();
        let message = Outgoing {
            retain,
            topic: &topic,
            properties: &list,
            topic_alias: alias.map(Into::into),
            ..outgoing(level, &payload)
        };
        let properties = usize::from(self.is_strict()) + list.len();
        let rest = 2 + topic.len() + 2 * usize::from(qos > 0) + properties + payload.len();
        let size = 1 + if rest > 127 { 2 } else { 1 } + rest;
        let grant = self.link.as_ref().and_then(|link| link.grant);
        let grant = grant.filter(|_| self.session.is_online());
        let meant = match alias {
            Some(alias) if topic.is_empty() => self.client.meant.get(&alias).cloned(),
            _ => Some(topic.clone()),
        };
        let unnamed = alias == Some(0)
            || meant.is_none()
            || grant.is_some_and(|grant| alias > Some(grant.aliases));
        let due = match grant {
            _ if unnamed => Some(0x94),
            Some(grant) => refusal(qos, retain, size, &grant),
            // Whether the server takes aliases is not known before CONNACK.
            None if qos == 0 && self.link.is_some() && alias.is_some() => Some(0x94),
            None => None,
        };
        let fate = match self.session.publish(&message) {
            Ok(Receipt::Buffered { mark, .. }) => Fate::Mark(mark),
            Ok(Receipt::Tracked { ticket }) => Fate::Ticket(ticket),
            Err(refused) => {
                if let Some(alias) = alias
                    && !topic.is_empty()
                    && self.client.meant.get(&alias) != Some(&topic)
                {
                    self.client.meant.remove(&alias);
                }
                let offline = refused.error == LocalError::NotConnected && qos == 0;
                let right = due == Some(refused.error.reason_code().0) || offline;
                ensure!(Limit, right, "{refused:?} of {qos}, {size} bytes");
                match due {
                    Some(0x9B) => self.stats.count(Fault::LowMaximumQos),
                    Some(0x9A) => self.stats.count(Fault::RetainUnavailable),
                    Some(0x94) => self.stats.count(Fault::AliasRefused),
                    Some(_) => self.stats.count(Fault::SmallMaximumPacketSize),
                    None => {}
                }
                return self.observe();
            }
        };
        ensure!(Limit, due.is_none(), "accepted in spite of {due:02x?}");
        self.stats.published += 1;
        if self.link.as_ref().is_some_and(|link| link.vanished.is_some()) {
            self.stats.count(Fault::HalfOpenPublishing);
        }
        if matches!(own, Own::Alone(_)) && alias.is_some() {
            self.stats.count(Fault::AliasAlone);
        }
        self.client.accept(fate, (qos, retain, size), &meant.unwrap_or_default(), alias);
        self.observe();
    }

    fn publish_many(&mut self, count: u16) {
        self.stats.count(Fault::ManyQueued);
        for number in 0..count {
            self.publish(1 + (number % 2) as u8, 0, false, Own::Topic);
        }
    }

    fn request(&mut self, filters: u8, subscribe: bool) {
        let names = (0..filters).map(|number| format!("f{number}"));
        let request = if subscribe {
            SubscriptionRequest::Subscribe(names.map(|f| (f.into(), Default::default())).collect())
        } else {
            SubscriptionRequest::Unsubscribe(names.map(Into::into).collect())
        };
        if let Ok(id) = self.session.request(request, Properties::default()) {
            let before = self.client.ids.insert(id, Use::Request { filters, subscribe });
            ensure!(Identifier, before.is_none(), "{id} stands for {before:?}");
            self.server.filters.insert(id, filters);
        }
        self.observe();
    }

    fn drop_unfinished(&mut self) {
        let dropped = self.session.drop_unfinished();
        if !dropped.is_empty() {
            self.stats.count(Fault::UnfinishedDropped);
        }
        let tickets: Vec<_> = dropped.into_iter().map(|(ticket, _)| ticket).collect();
        self.client.drop_unfinished(&tickets);
        for ticket in tickets {
            let id = ticket.packet_id();
            if !self.link.as_ref().is_some_and(|link| link.in_flight.contains(&id)) {
                self.client.ids.remove(&id);
            }
        }
        self.observe();
    }

    fn disconnect_now(&mut self) {
        if self.link.as_ref().is_some_and(|link| link.grant.is_none()) {
            self.stats.count(Fault::ClientGoesWhileConnecting);
        }
        self.disconnect();
    }

    /// A refused QoS 0 message uses up an identifier all the same.
    fn skip_identifiers(&mut self, count: u16) {
        if self.link.is_some() {
            return;
        }
        self.stats.count(Fault::IdentifiersWrap);
        for _ in 0..count {
            let refused = self.session.publish(&outgoing(QoS::AtMostOnce, b""));
            ensure!(Limit, refused.is_err(), "QoS 0 without a connection");
        }
    }

    fn connect(&mut self, keep: bool, clean: bool, reply: Reply) {
        let version = self.settings.version;
        // MQTT 3.1 never tells that a clean start was carried out.
        let clean = clean && version != Version::V31;
        self.cut_counted();
        match reply {
            Reply::Accept(grant) => {
                self.dial(clean);
                if grant.receive_maximum < 3 && self.is_strict() {
                    self.stats.count(Fault::SmallQuota);
                }
                if grant.assign && self.is_strict() && !self.settings.named {
                    self.stats.count(Fault::AssignedIdentifier);
                }
                self.accept(keep, grant);
            }
            Reply::Refuse(reason) => {
                self.dial(clean);
                self.stats.count(Fault::ConnectRefused);
                let bytes = connack(version, false, reason, &[]);
                self.push(Packet::new(bytes, Note::Final(End::Refused(reason))));
            }
            Reply::Nothing => {
                self.dial(clean);
                self.stats.count(Fault::NoConnAck);
            }
            Reply::Early(variant) => {
                self.dial(clean);
                self.stats.count(Fault::BeforeConnAck);
                self.push(before_connack(version, variant));
            }
            Reply::Wrong(fault, variant) => {
                self.dial(clean || fault == Fault::PresentOnCleanStart);
                self.stats.count(fault);
                self.push(wrong_connack(fault, version, variant));
            }
        }
    }

    fn carry_down_counted(&mut self, count: usize) {
        if let Some(link) = &self.link
            && link.down.notes().take(4).count() == 4
            && count > link.down.len()
        {
            self.stats.count(Fault::ManyPacketsAtOnce);
        }
        self.carry_down(count);
    }

    fn carry_down_by_bytes(&mut self, count: u8) {
        if self.is_flowing() {
            self.stats.count(Fault::OneByteSegments);
        }
        for _ in 0..count {
            self.carry_down(1);
        }
    }

    fn cut_counted(&mut self) {
        let Some(link) = &self.link else { return };
        let mut idle = link.up.is_empty();
        let mut found = Vec::new();
        if link.down.in_packet {
            found.push(Fault::CutInPacketDown);
        }
        if !self.server.partial_input().is_empty() {
            found.push(Fault::CutInPacketUp);
        }
        for note in link.down.notes() {
            idle = false;
            found.extend(match note {
                Note::PubRec { .. } => Some(Fault::CutBeforePubRec),
                Note::PubRel { .. } => Some(Fault::CutBeforePubRel),
                Note::Ends { id, .. } => match self.client.ids.get(&id) {
                    Some(Use::Message(seq)) => match self.client.accepted[*seq as usize].qos {
                        1 => Some(Fault::CutBeforePubAck),
                        _ => Some(Fault::CutBeforePubComp),
                    },
                    _ => None,
                },
                _ => None,
            });
        }
        if idle {
            found.push(Fault::CutWhileIdle);
        }
        for fault in found {
            self.stats.count(fault);
        }
        self.cut();
    }

    fn vanish(&mut self) {
        let partial = self.server.partial_input().to_vec();
        let Some(link) = &mut self.link else { return };
        if link.vanished.is_none() {
            link.vanished = Some(partial);
            self.stats.count(Fault::HalfOpenIdle);
        }
    }

    fn stall(&mut self, stalled: bool) {
        if let Some(link) = &mut self.link {
            link.stalled = stalled;
            if stalled {
                self.stats.count(Fault::PeerStopsReading);
            }
        }
    }

    /// A packet comes byte by byte, slower than any keep-alive, and no PINGRESP in between.
    fn slow_download(&mut self) {
        if !self.settle_down() {
            return;
        }
        self.deliver(0, Naming::Topic);
        let Some(link) = &self.link else { return };
        let (interval, bytes) = (link.interval, link.down.len());
        self.stats.count(Fault::SlowDownload);
        for _ in 0..bytes {
            self.carry_down(1);
            self.wait(interval * 9 / 20, true);
            ensure!(Deadline, self.session.is_online(), "given up in a slow download");
        }
    }

    /// Messages that wait for the server; those that were dropped in flight do so, too.
    fn outstanding(&self) -> usize {
        let in_flight = self.link.iter().flat_map(|link| &link.in_flight);
        let dropped = in_flight.filter(|id| match self.client.ids.get(id) {
            Some(Use::Message(seq)) => self.client.accepted[*seq as usize].dropped,
            _ => false,
        });
        self.client.unfinished + dropped.count()
    }

    fn two_round_trips(&mut self) {
        if !self.settle_down() || self.link.as_ref().is_some_and(|link| link.stalled) {
            return;
        }
        let before = self.outstanding();
        self.round_trip();
        self.round_trip();
        if before > 0 && self.is_online() && self.session.is_online() {
            let after = self.outstanding();
            ensure!(Progress, after < before, "{before} unfinished messages, and still {after}");
        }
    }

    fn answer(&mut self, index: usize, refuse: bool) {
        if !self.is_flowing() {
            return;
        }
        let Some(packet) = self.server.answer(index, refuse) else { return };
        if let Note::Ends { reason, .. } = packet.note
            && reason >= 0x80
        {
            self.stats.count(Fault::RefusedMessage);
        }
        self.push(packet);
    }

    fn flood(&mut self, count: u8) {
        if !self.is_flowing() {
            return;
        }
        self.stats.count(Fault::FloodOfTiny);
        for _ in 0..count {
            self.deliver(1, Naming::Topic);
        }
        self.carry_down(usize::MAX);
    }

    fn copy(&mut self) {
        if self.is_flowing()
            && let Some(packet) = self.server.send_copy()
        {
            self.stats.count(Fault::DuplicateQos2);
            self.push(packet);
        }
    }

    fn withhold(&mut self, withhold: bool) {
        if withhold {
            self.stats.count(Fault::NeverReleased);
            self.server.withholding = true;
        } else {
            let packets = self.server.release_withheld();
            packets.into_iter().for_each(|packet| self.push(packet));
        }
    }
}

fn in_bytes(count: u16) -> usize {
    if count == u16::MAX { usize::MAX } else { count.into() }
}

impl Step {
    /// A connection that the server accepts without limits.
    pub(crate) fn connect(keep: bool, quota: u16) -> Self {
        let grant = Grant { receive_maximum: quota, ..Grant::ALL };
        Self::Connect { keep, clean: false, reply: Reply::Accept(grant) }
    }
}
