//! Steps in which the server breaks a rule, or says what nobody asked for.

use super::client::{Fate, Use};
use super::fault::Fault;
use super::hostile::{breach, breach_of_protocol};
use super::link::{End, Note, Packet};
use super::world::World;
use crate::session_wire::{PUBACK, PUBCOMP, PUBREC, PUBREL, ack, answer};

impl World {
    pub(super) fn stray(&mut self, fault: Fault, id: u16) {
        if !self.settle_down() || self.client.ids.contains_key(&id) {
            return;
        }
        let first = match fault {
            Fault::StrayPubAck => PUBACK,
            Fault::StrayPubRec => PUBREC,
            Fault::StrayPubComp => PUBCOMP,
            Fault::StrayPubRel => PUBREL,
            _ => [0x90, 0xB0][usize::from(id % 2)],
        };
        self.stats.count(fault);
        let packet = self.server.stray(first, id);
        self.push(packet);
        self.carry_down(usize::MAX);
    }

    /// A server that does not read, and asks for one answer after the other.
    pub(super) fn stray_flood(&mut self) {
        if !self.settle_down() {
            return;
        }
        self.stats.count(Fault::FloodOfStrays);
        for _ in 0..2_000 {
            let packet = self.server.stray(PUBREL, 60_000);
            self.push(packet);
        }
        self.carry_down(usize::MAX);
    }

    pub(super) fn breach(&mut self, fault: Fault, variant: u8) {
        let settings = self.settings;
        let Some(link) = &self.link else { return };
        if !link.accepted {
            return;
        }
        let (maximum, size) = (settings.receive_maximum, settings.packet);
        let maximum = if self.is_strict() { maximum } else { u16::MAX };
        if let Some(packet) = breach(fault, settings.version, variant, maximum, size) {
            self.stats.count(fault);
            self.push(packet);
        }
    }

    pub(super) fn wrong_ack(&mut self, variant: u8) {
        if !self.settle_down() {
            return;
        }
        let Some(link) = &self.link else { return };
        let Some(id) = link.in_flight.iter().nth(usize::from(variant / 2)).copied() else { return };
        let Some(Use::Message(seq)) = self.client.ids.get(&id) else { return };
        let accepted = &self.client.accepted[*seq as usize];
        let wrong = match (accepted.qos, accepted.received) {
            (1, _) => [PUBREC, PUBCOMP],
            (_, false) => [PUBACK, PUBCOMP],
            (_, true) => [PUBACK, PUBACK],
        };
        self.stats.count(Fault::AckOfWrongKind);
        self.push(breach_of_protocol(ack(wrong[usize::from(variant % 2)], id)));
        self.carry_down(usize::MAX);
    }

    pub(super) fn ack_of_unsent(&mut self) {
        if !self.settle_down() {
            return;
        }
        let Some(link) = &self.link else { return };
        let waiting = self.client.accepted.iter().rev().find_map(|accepted| match &accepted.fate {
            Fate::Ticket(ticket) if accepted.outcome.is_none() && !accepted.dropped => {
                let id = ticket.packet_id();
                (id != 0 && !link.in_flight.contains(&id)).then_some((id, accepted.qos))
            }
            _ => None,
        });
        if let Some((id, qos)) = waiting {
            self.stats.count(Fault::AckOfUnsent);
            self.push(breach_of_protocol(ack(if qos == 1 { PUBACK } else { PUBREC }, id)));
            self.carry_down(usize::MAX);
        }
    }

    pub(super) fn suback_count(&mut self, more: bool) {
        if !self.settle_down() {
            return;
        }
        let subscribed = self.client.ids.iter().find_map(|(id, usage)| match usage {
            Use::Request { filters, subscribe: true } => Some((*id, *filters)),
            _ => None,
        });
        if let Some((id, filters)) = subscribed {
            self.stats.count(Fault::SubAckCount);
            let count = if more { filters + 1 } else { filters - 1 };
            let reasons = vec![0; count.into()];
            let bytes = answer(self.settings.version, 0x90, id, &reasons);
            let breach = End::Breach(&[0x81, 0x82]);
            self.push(Packet::new(bytes, Note::Final(breach)));
            self.carry_down(usize::MAX);
        }
    }
}
