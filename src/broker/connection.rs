//! One network connection as the broker sees it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use rustc_hash::FxHashMap;

use super::ids::SessionId;
use super::settings::DEFAULT_WINDOW;
use oxmqtt_protocol::codec::{Connect, DecodeError, Partial, Version, parse_frame};

#[derive(Debug)]
pub(super) enum Phase {
    /// CONNECT is due.
    New,
    /// CONNECT is here, and the answer to the step of that number is due.
    Authenticating(Box<Connect>, usize),
    Online(SessionId),
    /// Nothing more is read; what is in the out-buffer is sent first.
    Closing,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: String,
    pub(super) phase: Phase,
    pub(super) version: Version,
    pub(super) clean_start: bool,
    pub(super) keep_alive: u16,
    pub(super) last_received: Instant,
    partial: Partial,
    pub(super) out: Vec<u8>,
    /// The driver was told that there is something for it.
    pub(super) signalled: bool,
    pub(super) aliases: FxHashMap<u16, ByteString>,
    /// What the client takes: packets in flight, bytes in a packet.
    pub(super) window: u16,
    pub(super) maximum_packet_size: usize,
    /// Acknowledgements that are held back, and until when.
    pub(super) late: VecDeque<(Instant, Vec<u8>)>,
    /// The step of a re-authentication whose answer is due.
    pub(super) reauthenticating: Option<usize>,
    /// Bytes that passed since a cut was ordered, and which order that was.
    pub(super) passed: (u64, usize),
}

impl Connection {
    pub(super) fn new(address: String, now: Instant) -> Self {
        Self {
            address,
            phase: Phase::New,
            version: Version::V5,
            clean_start: true,
            keep_alive: 0,
            last_received: now,
            partial: Partial::default(),
            out: Vec::new(),
            signalled: false,
            aliases: FxHashMap::default(),
            window: DEFAULT_WINDOW,
            maximum_packet_size: usize::MAX,
            late: VecDeque::new(),
            reauthenticating: None,
            passed: (0, 0),
        }
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match self.phase {
            Phase::Online(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    /// Takes over received bytes; hands out all there are once they begin with a whole packet.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        maximum: usize,
    ) -> Result<Option<Bytes>, DecodeError> {
        self.append(bytes)?;
        match parse_frame(&self.partial)? {
            Some(frame) if frame.packet_len() > maximum => Err(DecodeError::PacketTooLarge),
            Some(frame) if frame.packet_len() <= self.partial.len() => {
                Ok(Some(self.partial.take()))
            }
            _ => Ok(None),
        }
    }

    /// Gives back what is not a whole packet.
    pub(super) fn give_back(&mut self, rest: &[u8]) -> Result<(), DecodeError> {
        self.append(rest)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        // One for which there is no memory is too large.
        self.partial.append(bytes).map_err(|_| DecodeError::PacketTooLarge)
    }

    /// How long the client may be silent (3.1.2.10).
    pub(super) fn patience(&self) -> Option<Duration> {
        (self.keep_alive > 0).then(|| Duration::from_millis(u64::from(self.keep_alive) * 1_500))
    }
}
