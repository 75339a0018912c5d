//! CONNECT, and AUTH behind it: who may come in, and which session waits.

use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;

use super::broker::Broker;
use super::connection::Phase;
use super::ids::{ConnectionId, SessionId};
use super::session::Session;
use super::settings::{DEFAULT_WINDOW, MAX_SESSIONS, TOPIC_ALIASES};
use super::timers::Timer;
use oxmqtt_protocol::codec::{
    Auth, ConnAck, Connect, DecodeError, Packet, PacketType, Properties, PropertiesBuilder,
    PropertyId, PropertyValue, ReasonCode, Version, Will, decode,
};

impl Broker {
    pub(super) fn handle_first_packet(
        &mut self,
        id: ConnectionId,
        packet_type: Option<PacketType>,
        first: u8,
        body: &[u8],
        source: &Bytes,
        now: Instant,
    ) -> Result<(), DecodeError> {
        if packet_type != Some(PacketType::Connect) {
            // [MQTT-3.1.0-1]. Nothing can be answered, for the version is not known.
            self.drop_connection(id, now);
            return Ok(());
        }
        let version = match Connect::requested_version(body) {
            Ok(version) => version,
            Err(error) => {
                self.refuse_connection(id, error.reason_code(), now);
                return Ok(());
            }
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.version = version;
        }
        match decode(version, first, body, source) {
            Ok(Packet::Connect(connect)) => self.handle_connect(id, connect, now),
            Ok(_) => self.drop_connection(id, now),
            Err(error) => self.refuse_connection(id, error.reason_code(), now),
        }
        Ok(())
    }

    fn handle_connect(&mut self, id: ConnectionId, connect: Box<Connect>, now: Instant) {
        if let Some(reason) = self.faults.take_refusal() {
            return self.refuse_connection(id, reason, now);
        }
        if let Some(users) = &self.settings.users {
            let password = connect.username.as_ref().and_then(|name| users.get(name));
            if password.is_none() || password != connect.password.as_ref() {
                return self.refuse_connection(id, ReasonCode::BAD_USER_NAME_OR_PASSWORD, now);
            }
        }
        let method = connect.properties.authentication_method();
        let wanted = self.settings.authentication.as_ref().map(|settings| settings.method.as_str());
        if method != wanted {
            return self.refuse_connection(id, ReasonCode::BAD_AUTHENTICATION_METHOD, now);
        }
        if wanted.is_none() {
            return self.accept(id, &connect, None, now);
        }
        let data = connect.properties.authentication_data().map(Bytes::copy_from_slice);
        self.authenticate(id, connect, 0, data, now);
    }

    /// Compares the data of a step of CONNECT's authentication, and answers.
    fn authenticate(
        &mut self,
        id: ConnectionId,
        connect: Box<Connect>,
        step: usize,
        data: Option<Bytes>,
        now: Instant,
    ) {
        match self.check_step(step, data.as_ref()) {
            Step::Refused => self.refuse_connection(id, ReasonCode::NOT_AUTHORIZED, now),
            Step::Done(answer) => self.accept(id, &connect, Some(answer), now),
            Step::Next(answer) => {
                self.send_auth(id, ReasonCode::CONTINUE_AUTHENTICATION, &answer);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.phase = Phase::Authenticating(connect, step + 1);
                }
            }
        }
    }

    pub(super) fn handle_auth(
        &mut self,
        id: ConnectionId,
        auth: &Auth,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let wanted = self.settings.authentication.as_ref().map(|settings| settings.method.as_str());
        if wanted.is_none() || auth.properties.authentication_method() != wanted {
            // [MQTT-4.12.0-5]
            return Err(DecodeError::Protocol("AUTH with another authentication method"));
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let data = auth.properties.authentication_data().map(Bytes::copy_from_slice);
        let expected = ReasonCode::CONTINUE_AUTHENTICATION;
        match std::mem::replace(&mut connection.phase, Phase::New) {
            Phase::Authenticating(connect, step) if auth.reason == expected => {
                self.authenticate(id, connect, step, data, now);
                return Ok(());
            }
            phase => connection.phase = phase,
        }
        let step = match (auth.reason, connection.reauthenticating) {
            (ReasonCode::RE_AUTHENTICATE, None) => 0,
            (ReasonCode::CONTINUE_AUTHENTICATION, Some(step)) => step,
            _ => return Err(DecodeError::Protocol("AUTH out of turn")),
        };
        connection.reauthenticating = None;
        match self.check_step(step, data.as_ref()) {
            Step::Refused => self.disconnect(id, ReasonCode::NOT_AUTHORIZED, now),
            Step::Done(answer) => self.send_auth(id, ReasonCode::SUCCESS, &answer),
            Step::Next(answer) => {
                self.send_auth(id, ReasonCode::CONTINUE_AUTHENTICATION, &answer);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.reauthenticating = Some(step + 1);
                }
            }
        }
        Ok(())
    }

    fn check_step(&self, number: usize, data: Option<&Bytes>) -> Step {
        let Some(settings) = &self.settings.authentication else { return Step::Refused };
        let Some(step) = settings.steps.get(number) else { return Step::Refused };
        if step.expected.is_some() && step.expected.as_ref() != data {
            return Step::Refused;
        }
        let answer = step.answer.clone();
        if number + 1 == settings.steps.len() { Step::Done(answer) } else { Step::Next(answer) }
    }

    fn send_auth(&mut self, id: ConnectionId, reason: ReasonCode, data: &[u8]) {
        let mut list = PropertiesBuilder::new(PacketType::Auth);
        self.push_authentication(&mut list, data);
        self.send(id, &Packet::Auth(Auth { reason, properties: list.build() }));
    }

    fn push_authentication(&self, list: &mut PropertiesBuilder, data: &[u8]) {
        if let Some(settings) = &self.settings.authentication {
            let method = PropertyValue::Text(&settings.method);
            // Both were checked when the broker was made.
            let _ = list.push(PropertyId::AuthenticationMethod, method);
            if !data.is_empty() {
                let _ = list.push(PropertyId::AuthenticationData, PropertyValue::Binary(data));
            }
        }
    }

    /// Lets the client in.
    fn accept(&mut self, id: ConnectionId, connect: &Connect, data: Option<Bytes>, now: Instant) {
        let Some(version) = self.connections.get(&id).map(|connection| connection.version) else {
            return;
        };
        let v5 = version == Version::V5;
        let is_nameless = connect.client_id.is_empty();
        if is_nameless && !v5 && (version == Version::V31 || !connect.clean_start) {
            // [MQTT-3.1.3-8] of 3.1.1
            return self.refuse_connection(id, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, now);
        }
        let client_id = if is_nameless {
            self.last_assigned += 1;
            ByteString::from(format!("auto-{}", self.last_assigned))
        } else {
            ByteString::from(&*connect.client_id)
        };
        let (session, session_present) =
            match self.prepare_session(&client_id, connect.clean_start, now) {
                Some(prepared) => prepared,
                None => return self.refuse_connection(id, ReasonCode::QUOTA_EXCEEDED, now),
            };
        let expiry = match connect.properties.session_expiry_interval() {
            Some(u32::MAX) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None if v5 || connect.clean_start => Some(Duration::ZERO),
            None => None,
        };
        if let Some(state) = self.sessions.get_mut(&session) {
            state.connection = Some(id);
            state.expiry = expiry;
            let size = size_of::<Session>() + 2 * client_id.len();
            let will = connect.will.as_ref().map(Will::detach);
            state.kept = self.memory.keep(size + will.as_ref().map_or(0, Will::size));
            state.will = will;
            state.sent = 0;
        }
        self.timers.cancel(Timer::Connect(id));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = Phase::Online(session);
            connection.clean_start = connect.clean_start;
            connection.keep_alive = connect.keep_alive;
            connection.window = connect.properties.receive_maximum().unwrap_or(DEFAULT_WINDOW);
            if let Some(size) = connect.properties.maximum_packet_size() {
                connection.maximum_packet_size = size as usize;
            }
            if let Some(patience) = connection.patience() {
                self.timers.set(Timer::KeepAlive(id), now + patience);
            }
        }
        let properties = if v5 {
            self.connack_properties(is_nameless.then_some(&*client_id), data)
        } else {
            Properties::default()
        };
        self.changes += 1;
        let reason = ReasonCode::SUCCESS;
        self.send(id, &Packet::ConnAck(ConnAck { session_present, reason, properties }));
        self.pump(session, now);
    }

    fn connack_properties(&self, assigned: Option<&str>, data: Option<Bytes>) -> Properties {
        let mut list = PropertiesBuilder::new(PacketType::ConnAck);
        let settings = &self.settings;
        if let Some(name) = assigned {
            let _ = list.push(PropertyId::AssignedClientIdentifier, PropertyValue::Text(name));
        }
        if settings.receive_maximum != u16::MAX {
            let value = PropertyValue::TwoByte(settings.receive_maximum);
            let _ = list.push(PropertyId::ReceiveMaximum, value);
        }
        let size = PropertyValue::FourByte(settings.maximum_packet_size);
        let _ = list.push(PropertyId::MaximumPacketSize, size);
        let aliases = PropertyValue::TwoByte(TOPIC_ALIASES);
        let _ = list.push(PropertyId::TopicAliasMaximum, aliases);
        if let Some(data) = data {
            self.push_authentication(&mut list, &data);
        }
        list.build()
    }

    /// The session of this client, and whether it was there already; `None` when there are too many.
    fn prepare_session(
        &mut self,
        client_id: &ByteString,
        clean_start: bool,
        now: Instant,
    ) -> Option<(SessionId, bool)> {
        if let Some(&existing) = self.by_client_id.get(client_id) {
            let connection = self.sessions.get(&existing).and_then(|session| session.connection);
            if let Some(connection) = connection {
                // [MQTT-3.1.4-3]
                self.disconnect(connection, ReasonCode::SESSION_TAKEN_OVER, now);
            }
            if clean_start {
                self.end_session(existing, now); // [MQTT-3.1.2-4]
            }
        }
        // The session may have ended with its connection.
        if let Some(&existing) = self.by_client_id.get(client_id) {
            self.timers.cancel(Timer::Will(existing)); // [MQTT-3.1.3-9]
            self.timers.cancel(Timer::Expiry(existing));
            return Some((existing, true));
        }
        if self.sessions.len() >= MAX_SESSIONS || !self.memory.has_room() {
            return None;
        }
        Some((self.new_session(client_id.clone()), false))
    }

    /// Answers CONNECT with a refusal.
    pub(super) fn refuse_connection(&mut self, id: ConnectionId, reason: ReasonCode, now: Instant) {
        let Some(connection) = self.connections.get(&id) else { return };
        let reason = match connection.version {
            Version::V5 => reason,
            Version::V31 | Version::V311 => return_code(reason),
        };
        let connack = ConnAck { reason, ..ConnAck::default() };
        self.send(id, &Packet::ConnAck(connack));
        self.close(id, now);
    }
}

/// What a step of the authentication led to.
enum Step {
    Refused,
    Next(Bytes),
    Done(Bytes),
}

/// The return code of MQTT 3 (table 3.1 of 3.1.1).
fn return_code(reason: ReasonCode) -> ReasonCode {
    ReasonCode(match reason {
        ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => 1,
        ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => 2,
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => 4,
        ReasonCode::NOT_AUTHORIZED | ReasonCode::BANNED | ReasonCode::BAD_AUTHENTICATION_METHOD => {
            5
        }
        ReasonCode(code @ 1..=5) => code,
        _ => 3,
    })
}
