//! Enhanced authentication: AUTH packets both ways (OASIS MQTT 5.0, clause 4.12).

use std::time::Instant;

use crate::codec::{
    Auth, Packet, PacketType, Properties, PropertiesBuilder, PropertyId, PropertyValue, ReasonCode,
};

use super::error::PeerError;
use super::event::Event;
use super::{Exchange, Phase, Session};

/// The application's answer may take this many times as long as the server's CONNACK.
const PATIENCE: u32 = 10;

impl Session {
    /// CONNECT has begun an exchange, if it names a method.
    pub(super) fn begin_exchange(&mut self) {
        let begun = self.config.accepts_auth && self.own.authentication_method.is_some();
        self.exchange = if begun { Exchange::Server } else { Exchange::Idle };
    }

    /// AUTH of the server: a step of an exchange that the client began, by the method of CONNECT
    /// [MQTT-4.12.0-5].
    pub(super) fn handle_auth(&mut self, auth: Auth, now: Instant) -> Result<(), PeerError> {
        let Auth { reason, properties } = auth;
        let method = self.own.authentication_method.as_deref();
        if !self.config.accepts_auth || method.is_none() {
            return Err(PeerError::Protocol("AUTH that was not asked for")); // [MQTT-4.12.0-6]
        }
        if properties.authentication_method() != method {
            let text = "authentication method other than that of CONNECT";
            return Err(PeerError::Protocol(text));
        }
        self.own.check_problem_information(&properties)?;
        self.exchange = match (&mut self.phase, self.exchange, reason) {
            (phase, Exchange::Server, ReasonCode::CONTINUE_AUTHENTICATION) => {
                if let Phase::AwaitConnAck { deadline, timeout } = phase {
                    *deadline = now + *timeout * PATIENCE;
                }
                Exchange::Application
            }
            (Phase::Online, Exchange::Server, ReasonCode::SUCCESS) => Exchange::Idle,
            _ => return Err(PeerError::Protocol("AUTH that was not due")),
        };
        self.events.push(Event::Auth { reason, properties });
        Ok(())
    }

    /// Sends AUTH: the answer to one of the server [MQTT-4.12.0-3], or the begin of a new exchange on
    /// the connection that stands [MQTT-4.12.1-1]. False when it is not due.
    pub fn authenticate(&mut self, reason: ReasonCode, data: Option<&[u8]>, now: Instant) -> bool {
        let is_due = match (&self.phase, self.exchange, reason) {
            (
                Phase::AwaitConnAck { .. } | Phase::Online,
                Exchange::Application,
                ReasonCode::CONTINUE_AUTHENTICATION,
            ) => true,
            (Phase::Online, Exchange::Idle, ReasonCode::RE_AUTHENTICATE) => {
                self.config.accepts_auth
            }
            _ => false,
        };
        let Some(properties) = self.auth_properties(data).filter(|_| is_due) else {
            return false;
        };
        let before = self.out.bytes.len();
        if self.send(&Packet::Auth(Auth { reason, properties })).is_err() {
            return false;
        }
        let size = self.out.bytes.len() - before;
        if size > self.server.maximum_packet_size {
            self.out.withdraw(size);
            return false;
        }
        self.exchange = Exchange::Server;
        if let Phase::AwaitConnAck { deadline, timeout } = &mut self.phase {
            *deadline = now + *timeout;
        }
        true
    }

    fn auth_properties(&self, data: Option<&[u8]>) -> Option<Properties> {
        let method = self.own.authentication_method.as_deref()?;
        let mut builder = PropertiesBuilder::new(PacketType::Auth);
        builder.push(PropertyId::AuthenticationMethod, PropertyValue::Text(method)).ok()?;
        if let Some(data) = data {
            builder.push(PropertyId::AuthenticationData, PropertyValue::Binary(data)).ok()?;
        }
        Some(builder.build())
    }
}
