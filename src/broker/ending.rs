//! How connections and sessions end, and the will that they leave (3.1.2.5).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::broker::Broker;
use super::connection::Phase;
use super::ids::{ConnectionId, SessionId};
use super::message::{Message, make_publish};
use super::timers::Timer;
use oxmqtt_protocol::codec::{
    DecodeError, Disconnect, Packet, PacketType, Properties, PropertiesBuilder, PropertyId,
    PublishParts, ReasonCode, Version,
};

impl Broker {
    pub(super) fn handle_disconnect(
        &mut self,
        id: ConnectionId,
        packet: &Disconnect,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let Some(session) = connection.session() else { return Ok(()) };
        let asked = packet.properties.as_ref().and_then(Properties::session_expiry_interval);
        if let (Some(seconds), Some(state)) = (asked, self.sessions.get_mut(&session)) {
            if state.expiry == Some(Duration::ZERO) && seconds != 0 {
                // 3.14.2.2.2
                return Err(DecodeError::Protocol("session expiry in DISCONNECT, none in CONNECT"));
            }
            let seconds_or_never = (seconds != u32::MAX).then_some(seconds);
            state.expiry = seconds_or_never.map(|seconds| Duration::from_secs(seconds.into()));
        }
        let with_will = packet.reason.is_some_and(|reason| reason != ReasonCode::SUCCESS);
        self.leave(id, with_will, now);
        self.close(id, now);
        Ok(())
    }

    /// The client broke a rule.
    pub(super) fn fail(&mut self, id: ConnectionId, error: DecodeError, now: Instant) {
        match self.connections.get(&id).map(|connection| &connection.phase) {
            Some(Phase::Online(_)) => self.disconnect(id, error.reason_code(), now),
            Some(Phase::Authenticating(..)) => {
                self.refuse_connection(id, error.reason_code(), now);
            }
            _ => self.drop_connection(id, now),
        }
    }

    /// Ends a connection, with the reason if the version has a packet for it.
    pub(super) fn disconnect(&mut self, id: ConnectionId, reason: ReasonCode, now: Instant) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.version == Version::V5 && connection.session().is_some() {
            let packet = Disconnect::new(reason, Properties::default());
            self.send(id, &Packet::Disconnect(packet));
        }
        self.close(id, now);
    }

    /// Ends a connection without a word, and without what was to be sent.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.out = Vec::new();
        }
        self.close(id, now);
    }

    /// Reads no more; the driver closes when everything is sent.
    pub(super) fn close(&mut self, id: ConnectionId, now: Instant) {
        self.leave(id, true, now);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Closing;
            connection.late.clear();
        }
        self.signal(id);
    }

    /// Takes the session off its connection.
    pub(super) fn leave(&mut self, id: ConnectionId, with_will: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(session) = connection.session() else { return };
        connection.phase = Phase::Closing;
        self.changes += 1;
        let Some(state) = self.sessions.get_mut(&session) else { return };
        state.connection = None;
        state.sent = 0;
        if !with_will {
            state.will = None; // [MQTT-3.14.4-3]
        }
        let expiry = state.expiry;
        if expiry == Some(Duration::ZERO) {
            return self.end_session(session, now);
        }
        if let Some(will) = &state.will {
            let delay = will.properties.will_delay_interval().unwrap_or(0);
            if delay == 0 {
                self.publish_will(session, now);
            } else {
                self.timers.set(Timer::Will(session), now + Duration::from_secs(delay.into()));
            }
        }
        if let Some(expiry) = expiry {
            self.timers.set(Timer::Expiry(session), now + expiry);
        }
    }

    /// Forgets a session; a will that was delayed is published [MQTT-3.1.2-8].
    pub(super) fn end_session(&mut self, session: SessionId, now: Instant) {
        self.publish_will(session, now);
        self.timers.cancel(Timer::Expiry(session));
        let Some(state) = self.sessions.remove(&session) else { return };
        self.by_client_id.remove(&state.client_id);
        for filter in state.subscriptions.keys() {
            self.subscriptions.remove(filter, session);
        }
    }

    pub(super) fn publish_will(&mut self, session: SessionId, now: Instant) {
        self.timers.cancel(Timer::Will(session));
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(will) = state.will.take() else { return };
        let client_id = state.client_id.clone();
        let mut list = PropertiesBuilder::new(PacketType::Publish);
        for (id, value) in &will.properties {
            if id != PropertyId::WillDelayInterval {
                let _ = list.push(id, value);
            }
        }
        let properties = list.build();
        let parts = PublishParts {
            qos: will.qos,
            retain: will.retain,
            topic: &will.topic,
            packet_id: 1,
            properties: properties.as_bytes(),
            payload: &will.payload,
            ..PublishParts::default()
        };
        // What CONNECT held can be encoded.
        if let Ok(publish) = make_publish(Version::V5, &parts) {
            let message =
                Arc::new(Message::new(publish, client_id, Version::V5, &self.memory, now));
            self.publish_recorded(&message, Some(session), now);
        }
    }
}
