//! What a session tells the application, in the order it happened.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{AckKind, Properties, Publish, ReasonCode};

use super::error::PeerError;
use super::ticket::Ticket;

/// What happened, for the application; [`Session::drain_events`](super::Session::drain_events) gives
/// them in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// The server answered CONNECT, with success or refusal.
    ConnAck {
        /// Whether the server has a session of this client.
        session_present: bool,
        /// Success, or why it refused.
        reason: ReasonCode,
        /// Properties of CONNACK.
        properties: Properties,
    },
    /// A message came.
    Message(Message),
    /// A QoS > 0 publish came to its end; `ticket` holds how.
    Acked {
        /// The message's ticket.
        ticket: Arc<Ticket>,
        /// Its packet identifier, free again.
        packet_id: u16,
        /// The packet that ended it.
        kind: AckKind,
        /// Success, or why it failed.
        reason: ReasonCode,
        /// Properties of that packet.
        properties: Properties,
    },
    /// QoS 0 publishes were handed to the transport: their identifiers in order, and the mark
    /// behind the last.
    Sent {
        /// Their packet identifiers, in order.
        packet_ids: Box<[u16]>,
        /// The mark behind the last.
        through: u64,
    },
    /// AUTH: the answer is due, or, with success, an exchange has come to its end.
    Auth {
        /// Success, continue authentication, or re-authenticate.
        reason: ReasonCode,
        /// Properties of AUTH.
        properties: Properties,
    },
    /// The server answered SUBSCRIBE.
    SubAck {
        /// The packet identifier that [`Session::request`](super::Session::request) gave.
        packet_id: u16,
        /// One reason code for each filter.
        reasons: Bytes,
        /// Properties of SUBACK.
        properties: Properties,
    },
    /// The server answered UNSUBSCRIBE; `reasons` is empty in MQTT 3.x.
    UnsubAck {
        /// The packet identifier that [`Session::request`](super::Session::request) gave.
        packet_id: u16,
        /// One reason code for each filter.
        reasons: Bytes,
        /// Properties of UNSUBACK.
        properties: Properties,
    },
    /// A packet for the log, if [`SessionConfig::trace`](super::SessionConfig::trace) asks for it.
    Trace(Trace),
    /// The connection ended; no event of this connection follows.
    Closed(Closed),
}

impl Event {
    /// Whether the event means nothing once its connection was given up.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::ConnAck { .. }
                | Self::Auth { .. }
                | Self::SubAck { .. }
                | Self::UnsubAck { .. }
                | Self::Closed(_)
        )
    }

    /// Bytes that the event keeps in memory while it waits. A queue has up to twice as many places as
    /// events.
    pub fn weight(&self) -> usize {
        2 * size_of::<Self>() + self.held()
    }

    /// Bytes of packets that it keeps.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Message(message) => message.held(),
            Self::Sent { packet_ids, .. } => packet_ids.len() * 2,
            Self::SubAck { reasons, properties, .. }
            | Self::UnsubAck { reasons, properties, .. } => {
                reasons.len() + properties.as_bytes().len()
            }
            Self::ConnAck { properties, .. }
            | Self::Auth { properties, .. }
            | Self::Acked { properties, .. } => properties.as_bytes().len(),
            Self::Trace(Trace::SentPublish { packet }) => packet.len(),
            Self::Trace(_) | Self::Closed(_) => 0,
        }
    }

    /// Copies what it keeps out of the bytes that were received with it, so that those can be freed.
    pub(super) fn detach(&mut self) {
        match self {
            Self::Message(message) => message.publish = message.publish.detach(),
            Self::SubAck { reasons, properties, .. }
            | Self::UnsubAck { reasons, properties, .. } => {
                *reasons = Bytes::copy_from_slice(reasons);
                *properties = properties.detach();
            }
            Self::ConnAck { properties, .. }
            | Self::Auth { properties, .. }
            | Self::Acked { properties, .. } => *properties = properties.detach(),
            Self::Sent { .. } | Self::Trace(_) | Self::Closed(_) => {}
        }
    }
}

/// An application message for the application.
#[derive(Clone, Debug)]
pub struct Message {
    /// The packet.
    pub publish: Publish,
    /// The topic that the packet named by its alias only.
    pub aliased_topic: Option<Box<[u8]>>,
    /// The connection it came by; acknowledgements go to no other.
    pub epoch: u32,
}

impl Message {
    /// Bytes that the message keeps in memory.
    pub(super) fn held(&self) -> usize {
        self.publish.body_len() + self.aliased_topic.as_ref().map_or(0, |topic| topic.len())
    }

    /// The topic name, also where the packet has only an alias.
    pub fn topic_bytes(&self) -> &[u8] {
        match &self.aliased_topic {
            Some(topic) => topic,
            None => self.publish.topic_bytes(),
        }
    }
}

/// Packets that were exchanged without the application's doing, for its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// PINGREQ went out.
    SentPingReq,
    /// PINGRESP came.
    ReceivedPingResp,
    /// An acknowledgement went out, with its packet identifier.
    SentAck(AckKind, u16),
    /// An acknowledgement came, with its packet identifier.
    ReceivedAck(AckKind, u16),
    /// A queued PUBLISH went out.
    SentPublish {
        /// The packet, encoded.
        packet: Bytes,
    },
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub enum Closed {
    /// `disconnect()` was carried out.
    Requested,
    /// The server sent DISCONNECT (MQTT 5.0), with what was in it.
    ByServer {
        /// Absent means normal disconnection.
        reason: Option<ReasonCode>,
        /// Properties of DISCONNECT.
        properties: Option<Properties>,
    },
    /// The server refused CONNECT with this reason or return code.
    Refused(ReasonCode),
    /// The server broke the protocol.
    Protocol(PeerError),
    /// Nothing was heard of the server for one and a half keep-alives.
    KeepAlive,
    /// The server did not answer CONNECT in time.
    ConnAckTimeout,
    /// The transport failed or ended.
    Lost(Arc<str>),
}
