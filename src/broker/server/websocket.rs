//! The server's side of WebSocket (RFC 6455), without input and output.

use std::io::{self, Cursor};

use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest head of a request.
const MAX_HEAD: usize = 16 << 10;
/// The longest payload of a control frame (clause 5.5).
const MAX_CONTROL: usize = 125;
/// The longest header of a frame.
const MAX_HEADER: usize = 14;
/// The only subprotocol there is [MQTT-6.0.0-3].
const SUBPROTOCOL: &str = "mqtt";
const PROTOCOL_ERROR: [u8; 2] = 1_002_u16.to_be_bytes();
const NORMAL: [u8; 2] = 1_000_u16.to_be_bytes();

#[derive(Debug, Default)]
enum Expect {
    /// The request of the handshake.
    #[default]
    Head,
    /// The header of a frame.
    Header,
    /// So many payload bytes of a data frame.
    Payload(u64),
    /// The payload of a control frame.
    Control(Control, usize),
}

#[derive(Debug, Default)]
pub(super) struct WebSocket {
    expect: Expect,
    /// What of the head, a header or a control frame has come.
    partial: Vec<u8>,
    mask: [u8; 4],
    masked: usize,
    /// The last data frame was not the end of its message.
    fragmented: bool,
    /// Answers, as they go out; each kind is there once at the most.
    replies: Vec<u8>,
    /// The answer to the latest ping: a flood of them fills no memory.
    pong: Option<Vec<u8>>,
    closed: bool,
}

fn fault(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl WebSocket {
    /// Appends the payload in received bytes to `plain`.
    pub(super) fn decode(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            if let Expect::Payload(left) = self.expect {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (payload, rest) = bytes.split_at(count);
                self.unmask(payload, plain);
                bytes = rest;
                self.expect_payload(left - count as u64);
                continue;
            }
            if matches!(self.expect, Expect::Head) {
                self.partial.extend_from_slice(bytes);
                let rest = self.handle_head()?;
                return self.decode(&rest, plain);
            }
            let Some((first, rest)) = bytes.split_first() else { break };
            self.partial.push(*first);
            bytes = rest;
            let result = match self.expect {
                Expect::Control(kind, length) if self.partial.len() == length => {
                    self.handle_control(kind)
                }
                Expect::Header => self.handle_header(),
                _ => Ok(()),
            };
            if let Err(error) = result {
                self.reply_close(&PROTOCOL_ERROR);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Appends `output` as one binary frame, behind the answers that are due.
    pub(super) fn encode(&mut self, output: &mut Vec<u8>, raw: &mut Vec<u8>) {
        raw.append(&mut self.replies);
        if let Some(payload) = self.pong.take().filter(|_| !self.closed) {
            put_frame(OpCode::Control(Control::Pong), &payload, raw);
        }
        if !output.is_empty() && !self.closed {
            put_frame(OpCode::Data(Data::Binary), output, raw);
        }
        output.clear();
    }

    pub(super) fn close(&mut self) {
        if !matches!(self.expect, Expect::Head) {
            self.reply_close(&NORMAL);
        }
    }

    fn reply_close(&mut self, code: &[u8]) {
        if !self.closed {
            put_frame(OpCode::Control(Control::Close), code, &mut self.replies);
            self.closed = true;
        }
    }

    /// Answers the request once it is complete; what came behind it.
    fn handle_head(&mut self) -> io::Result<Vec<u8>> {
        let head = self.partial.get(..MAX_HEAD).unwrap_or(&self.partial);
        let (length, request) = match Request::try_parse(head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) if head.len() < MAX_HEAD => return Ok(Vec::new()),
            Ok(None) | Err(_) => return Err(self.refuse_head()),
        };
        let Ok(mut response) = create_response(&request) else { return Err(self.refuse_head()) };
        let offered = request.headers().get_all("Sec-WebSocket-Protocol").into_iter();
        let is_offered = offered
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|name| name.trim() == SUBPROTOCOL);
        if is_offered {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert("Sec-WebSocket-Protocol", name);
        }
        write_response(&mut self.replies, &response)
            .map_err(|_| fault("a response that cannot be written"))?;
        let rest = self.partial.split_off(length);
        self.partial.clear();
        self.expect = Expect::Header;
        Ok(rest)
    }

    fn refuse_head(&mut self) -> io::Error {
        let refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        self.replies.extend_from_slice(refusal);
        fault("not a WebSocket handshake")
    }

    fn handle_header(&mut self) -> io::Result<()> {
        let mut cursor = Cursor::new(&self.partial);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) if self.partial.len() < MAX_HEADER => return Ok(()),
            Ok(None) | Err(_) => return Err(fault("a malformed frame header")),
        };
        let Some(mask) = header.mask else { return Err(fault("a frame without mask")) }; // clause 5.1
        if header.rsv1 || header.rsv2 || header.rsv3 || length > i64::MAX as u64 {
            return Err(fault("reserved bits in a frame"));
        }
        self.partial.clear();
        (self.mask, self.masked) = (mask, 0);
        match header.opcode {
            OpCode::Control(kind) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if !header.is_final || length > MAX_CONTROL {
                    return Err(fault("a control frame that is fragmented or too long"));
                }
                self.expect = Expect::Control(kind, length);
                if length == 0 { self.handle_control(kind) } else { Ok(()) }
            }
            // [MQTT-6.0.0-1]
            OpCode::Data(Data::Text) => Err(fault("a text frame")),
            OpCode::Data(kind) if (kind == Data::Continue) != self.fragmented => {
                Err(fault("fragments out of order"))
            }
            OpCode::Data(_) => {
                self.fragmented = !header.is_final;
                self.expect_payload(length);
                Ok(())
            }
        }
    }

    fn expect_payload(&mut self, left: u64) {
        self.expect = if left == 0 { Expect::Header } else { Expect::Payload(left) };
    }

    fn handle_control(&mut self, kind: Control) -> io::Result<()> {
        let masked = std::mem::take(&mut self.partial);
        let mut payload = Vec::new();
        self.unmask(&masked, &mut payload);
        self.expect = Expect::Header;
        match kind {
            Control::Ping => {
                self.pong = Some(payload);
                Ok(())
            }
            Control::Close => {
                self.reply_close(payload.get(..2).unwrap_or_default());
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Control::Pong | Control::Reserved(_) => Ok(()),
        }
    }

    /// Clause 5.3.
    fn unmask(&mut self, payload: &[u8], plain: &mut Vec<u8>) {
        let [a, b, c, d] = self.mask;
        let start = self.masked % 4;
        let turned = [a, b, c, d, a, b, c, d];
        let mask = turned.get(start..start + 4).unwrap_or(&turned);
        plain.reserve(payload.len());
        for chunk in payload.chunks(4) {
            plain.extend(chunk.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
        self.masked = start + payload.len();
    }
}

fn put_frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask: None, ..FrameHeader::default() };
    out.reserve(header.len(payload.len() as u64) + payload.len());
    // A vector takes everything.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}
