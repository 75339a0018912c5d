//! Errors with their blame: [`LocalError`] is the caller's, [`PeerError`] the server's.

use std::collections::TryReserveError;

use thiserror::Error;

use crate::codec::{DecodeError, EncodeError, ReasonCode};

/// Why a request of the application was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LocalError {
    /// There is no connection, and the request is not one that waits for one.
    #[error("not connected")]
    NotConnected,
    /// The bound of waiting messages or bytes is reached.
    #[error("the queue of unfinished messages is full")]
    QueueFull,
    /// No packet identifier is free.
    #[error("all 65,535 packet identifiers are in use")]
    NoPacketIdentifier,
    /// The server accepts no packet of this size.
    #[error("the packet is larger than the server's Maximum Packet Size")]
    PacketTooLarge,
    /// The server does not support this QoS.
    #[error("the QoS is above the server's Maximum QoS")]
    QosNotSupported,
    /// The server does not support retained messages.
    #[error("the server does not support retained messages")]
    RetainNotSupported,
    /// The alias is 0, above the server's maximum, or stands for no topic yet.
    #[error("the topic alias is above the server's Topic Alias Maximum")]
    TopicAliasInvalid,
    /// There was no memory for the packet.
    #[error("out of memory")]
    OutOfMemory,
}

impl LocalError {
    /// Whether a limit that the server announced forbids the request.
    pub fn is_limit_of_server(self) -> bool {
        match self {
            Self::PacketTooLarge
            | Self::QosNotSupported
            | Self::RetainNotSupported
            | Self::TopicAliasInvalid => true,
            Self::NotConnected | Self::QueueFull | Self::NoPacketIdentifier | Self::OutOfMemory => {
                false
            }
        }
    }
}

/// What the server did wrong; the connection ends with this reason [MQTT-4.13.1-1].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// A packet is malformed.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A packet that the protocol does not allow here.
    #[error("{0}")]
    Protocol(&'static str),
    /// It exceeded the Receive Maximum.
    #[error("more unacknowledged messages than the Receive Maximum")]
    ReceiveMaximumExceeded,
    /// It used a topic alias that it had not set, or may not set.
    #[error("{0}")]
    TopicAlias(&'static str),
    /// It sent a packet larger than was allowed; the size.
    #[error("packet of {0} bytes exceeds the Maximum Packet Size")]
    PacketTooLarge(usize),
    /// It sent more properties than are accepted; their size.
    #[error("{0} bytes of properties in one packet")]
    PropertiesTooLarge(usize),
    /// It keeps more unreleased messages open than memory is granted for.
    #[error("more bytes of messages not released than the client holds")]
    HoldsTooMuch,
    /// It sends, but does not read what is answered.
    #[error("the server does not read the acknowledgements of what it sends")]
    AnswersUnread,
    /// There was no memory for one of its packets.
    #[error("out of memory for a packet")]
    OutOfMemory,
}

impl From<TryReserveError> for PeerError {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

impl From<EncodeError> for LocalError {
    /// Of a PUBLISH whose parts are checked.
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::OutOfMemory => Self::OutOfMemory,
            _ => Self::PacketTooLarge,
        }
    }
}

impl PeerError {
    /// The reason code of the DISCONNECT that says so.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            Self::Decode(error) => error.reason_code(),
            Self::Protocol(_) => ReasonCode::PROTOCOL_ERROR,
            Self::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            Self::TopicAlias(_) => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::PacketTooLarge(_) | Self::PropertiesTooLarge(_) => ReasonCode::PACKET_TOO_LARGE,
            Self::HoldsTooMuch | Self::AnswersUnread | Self::OutOfMemory => {
                ReasonCode::QUOTA_EXCEEDED
            }
        }
    }
}
