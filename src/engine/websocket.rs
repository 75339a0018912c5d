//! WebSocket framing (RFC 6455) of one client connection, without input and output.
//!
//! Frame headers are the `tungstenite` crate's; the payload streams past in pieces of any size, so
//! that a large message needs no buffer here.

use std::io::Cursor;

use tungstenite::error::{Error as HeaderError, ProtocolError};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The longest payload of a control frame (clause 5.5).
const MAX_CONTROL: usize = 125;
/// The longest header of an unmasked frame.
const MAX_HEADER: usize = 10;

/// What the server did wrong; the connection fails with this status code (clause 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a text frame on the WebSocket")]
    Text,
    #[error("a masked frame from the WebSocket server")]
    Masked,
    #[error("reserved bits in a WebSocket frame")]
    ReservedBits,
    #[error("a reserved opcode in a WebSocket frame")]
    ReservedOpcode,
    #[error("a WebSocket frame length that is too large or not the shortest form")]
    Length,
    #[error("a WebSocket control frame that is fragmented or too long")]
    Control,
    #[error("WebSocket fragments out of order")]
    Fragment,
    #[error("a malformed WebSocket close frame")]
    Close,
    #[error("a WebSocket close reason that is not UTF-8")]
    CloseReason,
}

impl Fault {
    pub fn close_code(self) -> u16 {
        match self {
            Self::Text => CloseCode::Unsupported.into(),
            Self::CloseReason => CloseCode::Invalid.into(),
            _ => CloseCode::Protocol.into(),
        }
    }
}

/// How the server's side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By a close frame, with its status code if it had one.
    Closed(Option<u16>),
    Fault(Fault),
}

/// What the next received byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Header,
    /// A data frame of which so many payload bytes are to come.
    Payload(u64),
    /// A control frame with a payload of this length.
    Control(Control, usize),
}

/// The frames of one connection, both ways.
#[derive(Debug)]
pub struct WebSocket {
    expect: Expect,
    /// The last data frame was not the end of its message.
    fragmented: bool,
    /// A header, or the payload of a control frame, as far as it has come.
    partial: [u8; MAX_CONTROL],
    partial_len: usize,
    end: Option<End>,
    /// The payload to answer the latest ping with.
    pong: Option<Box<[u8]>>,
    /// The close frame to send: its status code, if it has one.
    close: Option<Option<u16>>,
    closed: bool,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            expect: Expect::Header,
            fragmented: false,
            partial: [0; MAX_CONTROL],
            partial_len: 0,
            end: None,
            pong: None,
            close: None,
            closed: false,
        }
    }
}

impl WebSocket {
    /// Moves the payload in received bytes to their front and returns its length. Behind the end of
    /// the connection there is none.
    pub fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut payload) = (0, 0);
        while self.end.is_none() && at < bytes.len() {
            match self.expect {
                Expect::Payload(left) => {
                    let rest = bytes.len() - at;
                    let count = usize::try_from(left).unwrap_or(rest).min(rest);
                    bytes.copy_within(at..at + count, payload);
                    at += count;
                    payload += count;
                    self.expect_payload(left - count as u64);
                }
                Expect::Header => {
                    self.keep(bytes[at]);
                    at += 1;
                    if let Err(fault) = self.handle_header() {
                        self.fail(fault);
                    }
                }
                Expect::Control(kind, length) => {
                    self.keep(bytes[at]);
                    at += 1;
                    if self.partial_len == length {
                        self.handle_control(kind);
                    }
                }
            }
        }
        payload
    }

    /// How the server's side ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Appends one masked binary frame.
    ///
    /// # Errors
    /// The system has no random numbers for the mask.
    pub fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), getrandom::Error> {
        encode_frame(OpCode::Data(Data::Binary), payload, output)
    }

    /// Appends the answers that are due: to a ping, to a close frame, to a fault.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_replies(&mut self, output: &mut Vec<u8>) -> Result<(), getrandom::Error> {
        if self.closed {
            return Ok(());
        }
        if let Some(payload) = self.pong.take() {
            encode_frame(OpCode::Control(Control::Pong), &payload, output)?;
        }
        if let Some(code) = self.close.take() {
            let payload = code.map(u16::to_be_bytes);
            let payload = payload.as_ref().map_or(&[][..], |code| code);
            encode_frame(OpCode::Control(Control::Close), payload, output)?;
            self.closed = true;
        }
        Ok(())
    }

    /// Has a close frame sent with the next replies: we have nothing more to say.
    pub fn close(&mut self) {
        self.close.get_or_insert(Some(CloseCode::Normal.into()));
    }

    /// A close frame has been encoded; nothing may follow it.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.partial.get_mut(self.partial_len) {
            *slot = byte;
            self.partial_len += 1;
        }
    }

    fn handle_header(&mut self) -> Result<(), Fault> {
        let partial = &self.partial[..self.partial_len];
        let mut cursor = Cursor::new(partial);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) if partial.len() < MAX_HEADER => return self.check_start(),
            Err(HeaderError::Protocol(ProtocolError::InvalidOpcode(_))) => {
                return Err(Fault::ReservedOpcode);
            }
            Ok(None) | Err(_) => return Err(Fault::Length),
        };
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::ReservedBits);
        }
        if header.len(length) != self.partial_len || length > i64::MAX as u64 {
            return Err(Fault::Length);
        }
        self.partial_len = 0;
        match header.opcode {
            OpCode::Control(kind) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if !header.is_final || length > MAX_CONTROL {
                    return Err(Fault::Control);
                }
                self.expect = Expect::Control(kind, length);
                if length == 0 {
                    self.handle_control(kind);
                }
                return Ok(());
            }
            OpCode::Data(Data::Binary) if !self.fragmented => {}
            OpCode::Data(Data::Continue) if self.fragmented => {}
            OpCode::Data(Data::Text) => return Err(Fault::Text),
            OpCode::Data(_) => return Err(Fault::Fragment),
        }
        self.fragmented = !header.is_final;
        self.expect_payload(length);
        Ok(())
    }

    /// What the first two bytes of an unfinished header give away.
    fn check_start(&self) -> Result<(), Fault> {
        match self.partial[..self.partial_len] {
            [_, second, ..] if second & 0x80 != 0 => Err(Fault::Masked),
            _ => Ok(()),
        }
    }

    fn expect_payload(&mut self, left: u64) {
        self.expect = if left == 0 { Expect::Header } else { Expect::Payload(left) };
    }

    fn handle_control(&mut self, kind: Control) {
        let payload = &self.partial[..self.partial_len];
        match kind {
            Control::Ping => self.pong = Some(payload.into()),
            Control::Close => match parse_close(payload) {
                Ok(code) => {
                    self.end = Some(End::Closed(code));
                    self.close.get_or_insert(code);
                }
                Err(fault) => self.fail(fault),
            },
            Control::Pong | Control::Reserved(_) => {}
        }
        self.partial_len = 0;
        self.expect = Expect::Header;
    }

    fn fail(&mut self, fault: Fault) {
        self.end = Some(End::Fault(fault));
        self.close.get_or_insert(Some(fault.close_code()));
    }
}

/// The status code of a close frame (clause 5.5.1).
fn parse_close(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::Close) };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(Fault::Close);
    }
    std::str::from_utf8(reason).map_err(|_| Fault::CloseReason)?;
    Ok(Some(code))
}

fn encode_frame(
    opcode: OpCode,
    payload: &[u8],
    output: &mut Vec<u8>,
) -> Result<(), getrandom::Error> {
    let mask = getrandom::u32()?.to_ne_bytes();
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    output.reserve(header.len(payload.len() as u64) + payload.len());
    // A vector takes everything.
    let _ = header.format(payload.len() as u64, output);
    let start = output.len();
    output.extend_from_slice(payload);
    apply_mask(&mut output[start..], mask);
    Ok(())
}

/// Clause 5.3, eight bytes at a time.
fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
