//! SUBSCRIBE and UNSUBSCRIBE of the clients.

use std::time::Instant;

use bytestring::ByteString;

use super::broker::Broker;
use super::ids::{ConnectionId, SessionId};
use super::session::Subscribed;
use super::settings::{MAX_SUBSCRIPTIONS, SUBSCRIPTION};
use super::subscriptions::Subscription;
use oxmqtt_protocol::codec::{
    Packet, Properties, ReasonCode, RetainHandling, SubAck, Subscribe, UnsubAck, Unsubscribe,
    Version,
};
use oxmqtt_protocol::topic;

impl Broker {
    pub(super) fn handle_subscribe(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        packet: &Subscribe,
        now: Instant,
    ) {
        let v5 = self.connections.get(&id).is_some_and(|c| c.version == Version::V5);
        let identifier = packet.properties.subscription_identifiers().next().unwrap_or(0);
        let mut reasons = Vec::with_capacity(packet.filters.len());
        let mut due = Vec::new();
        for (filter, options) in &packet.filters {
            let Some(state) = self.sessions.get_mut(&session) else { return };
            let is_shared = topic::is_shared(filter);
            let is_malformed = is_shared && topic::parse_shared(filter).is_none();
            let is_new = !state.subscriptions.contains_key(filter);
            let is_full = state.subscriptions.len() >= MAX_SUBSCRIPTIONS || !self.memory.has_room();
            if is_malformed || (is_new && is_full) {
                let quota = ReasonCode::QUOTA_EXCEEDED.0;
                reasons.push(if v5 { quota } else { ReasonCode::UNSPECIFIED_ERROR.0 });
                continue;
            }
            // In memory of its own: the packet goes.
            let filter = ByteString::from(&**filter);
            let kept = self.memory.keep(SUBSCRIPTION + filter.len());
            let subscribed = Subscribed { options: *options, _kept: kept };
            state.subscriptions.insert(filter.clone(), subscribed);
            let subscription = Subscription { session, options: *options, id: identifier };
            self.subscriptions.insert(&filter, subscription);
            reasons.push(options.qos as u8);
            let wants_retained = match options.retain_handling {
                RetainHandling::SendOnSubscribe => true,
                RetainHandling::SendIfNew => is_new,
                RetainHandling::DoNotSend => false,
            };
            if wants_retained && !is_shared {
                due.push((filter, subscription));
            }
        }
        self.changes += 1;
        self.send(
            id,
            &Packet::SubAck(SubAck {
                packet_id: packet.packet_id,
                properties: Properties::default(),
                reasons: reasons.into(),
            }),
        );
        for (filter, subscription) in due {
            for message in self.retained.matching(&filter, now) {
                self.deliver_retained(&subscription, &message, now);
            }
        }
    }

    pub(super) fn handle_unsubscribe(
        &mut self,
        id: ConnectionId,
        session: SessionId,
        packet: &Unsubscribe,
    ) {
        let mut reasons = Vec::with_capacity(packet.filters.len());
        for filter in &packet.filters {
            let Some(state) = self.sessions.get_mut(&session) else { return };
            let existed = state.subscriptions.remove(filter).is_some();
            if existed {
                self.subscriptions.remove(filter, session);
            }
            let reason =
                if existed { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED };
            reasons.push(reason.0);
        }
        self.changes += 1;
        self.send(
            id,
            &Packet::UnsubAck(UnsubAck {
                packet_id: packet.packet_id,
                properties: Properties::default(),
                reasons: reasons.into(),
            }),
        );
    }
}
