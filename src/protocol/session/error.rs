//! Errors with their blame: [`LocalError`] is the caller's, [`PeerError`] the server's.

use std::collections::TryReserveError;

use thiserror::Error;

use crate::codec::{DecodeError, EncodeError, ReasonCode};

/// Why a request of the application was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LocalError {
    #[error("not connected")]
    NotConnected,
    #[error("the queue of unfinished messages is full")]
    QueueFull,
    #[error("all 65,535 packet identifiers are in use")]
    NoPacketIdentifier,
    #[error("the packet is larger than the server's Maximum Packet Size")]
    PacketTooLarge,
    #[error("the QoS is above the server's Maximum QoS")]
    QosNotSupported,
    #[error("the server does not support retained messages")]
    RetainNotSupported,
    #[error("the topic alias is above the server's Topic Alias Maximum")]
    TopicAliasInvalid,
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
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Protocol(&'static str),
    #[error("more unacknowledged messages than the Receive Maximum")]
    ReceiveMaximumExceeded,
    #[error("{0}")]
    TopicAlias(&'static str),
    #[error("packet of {0} bytes exceeds the Maximum Packet Size")]
    PacketTooLarge(usize),
    #[error("{0} bytes of properties in one packet")]
    PropertiesTooLarge(usize),
    #[error("more bytes of messages not released than the client holds")]
    HoldsTooMuch,
    #[error("the server does not read the acknowledgements of what it sends")]
    AnswersUnread,
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
