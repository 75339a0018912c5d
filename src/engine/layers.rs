//! What may lie between the packets and the socket: WebSocket, TLS by rustls, or one in the other.
//!
//! Both transform bytes and do neither input nor output of their own. The reading and the sending half
//! share them behind one lock.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::ClientConnection;
use tokio::io::ReadBuf;

use super::halves::{ReadHalf, Stream};
use super::websocket::{End, WebSocket};

/// Bytes that are encoded at once; no more than that waits here for the socket.
const ENCODE_SIZE: usize = 64 << 10;
/// A larger buffer is given back as soon as it is empty, so that an idle connection holds none.
const KEEP_BUFFER: usize = 1 << 10;
/// A TLS record and what goes with it. Raw bytes are taken in pieces so much smaller than the reader's
/// buffer that it has room for what they complete.
const MAX_RECORD: usize = 17 << 10;

thread_local! {
    /// Encrypted bytes of all connections pass through this.
    static RAW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The layers of one connection, after their handshakes.
#[derive(Debug, Default)]
pub struct Layers {
    pub(super) tls: Option<Box<ClientConnection>>,
    pub(super) websocket: Option<Box<WebSocket>>,
    /// What came right behind the answer to the WebSocket handshake.
    pub(super) early: Vec<u8>,
    /// Encoded bytes; those before `sent` are through.
    pending: Vec<u8>,
    sent: usize,
    /// How many bytes of the caller of `try_write` are among `pending`.
    offered: usize,
    /// Raw bytes that the socket took since somebody asked.
    taken: usize,
    finished: bool,
}

/// Shared by the halves of a stream.
#[derive(Clone, Debug)]
pub(super) struct SharedLayers(Arc<Mutex<Layers>>);

impl SharedLayers {
    pub(super) fn new(layers: Layers) -> Self {
        Self(Arc::new(Mutex::new(layers)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Layers) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As a socket's, with one condition: bytes that were refused by `WouldBlock` have to be the first
    /// of the next call, because they may be on their way already.
    pub(super) fn try_write(&self, stream: Stream<'_>, bytes: &[u8]) -> io::Result<usize> {
        self.with(|layers| layers.try_write(stream, bytes))
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        half: &mut ReadHalf,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|layers| layers.poll_read(cx, half, buffer))
    }

    /// How many raw bytes the socket took since the last call.
    pub(super) fn take_raw_count(&self) -> usize {
        self.with(|layers| std::mem::take(&mut layers.taken))
    }

    /// Takes leave of the server, layer by layer.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<()> {
        self.with(|layers| {
            if layers.finish().is_err() {
                return Poll::Ready(());
            }
            layers.poll_flush(cx, stream).map(|_| ())
        })
    }
}

impl Layers {
    fn try_write(&mut self, stream: Stream<'_>, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        if self.offered == 0 {
            let count = bytes.len().min(ENCODE_SIZE);
            self.encode(&bytes[..count])?;
            self.offered = count;
            self.flush(stream)?;
        }
        Ok(std::mem::take(&mut self.offered))
    }

    /// Sends what is pending, then the layers' own replies.
    fn flush(&mut self, stream: Stream<'_>) -> io::Result<()> {
        loop {
            while let Some(rest) = self.pending.get(self.sent..).filter(|rest| !rest.is_empty()) {
                let count = stream.try_write(rest)?;
                self.sent += count;
                self.taken += count;
            }
            self.sent = 0;
            self.pending.clear();
            self.encode_replies()?;
            if self.pending.is_empty() {
                if self.pending.capacity() > KEEP_BUFFER {
                    self.pending = Vec::new();
                }
                return Ok(());
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, stream: Stream<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.flush(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn encode(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(websocket) = &mut self.websocket else {
            return self.seal(bytes);
        };
        if websocket.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut frame = Vec::new();
        let output = if self.tls.is_some() { &mut frame } else { &mut self.pending };
        websocket.encode(bytes, output)?;
        self.seal(&frame)
    }

    fn encode_replies(&mut self) -> io::Result<()> {
        let mut replies = Vec::new();
        if let Some(websocket) = &mut self.websocket {
            let output = if self.tls.is_some() { &mut replies } else { &mut self.pending };
            websocket.encode_replies(output)?;
        }
        self.seal(&replies)
    }

    /// Encrypts into `pending`, with what TLS has to say itself.
    fn seal(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.pending.extend_from_slice(bytes);
            return Ok(());
        };
        io::Write::write_all(&mut tls.writer(), bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.pending)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.finished, true) {
            return Ok(());
        }
        if let Some(websocket) = &mut self.websocket {
            websocket.close();
        }
        self.encode_replies()?;
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.seal(&[])
    }

    /// Puts at least one byte into an empty buffer; none is the end.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        half: &mut ReadHalf,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // Errors of the sending side come up there, and reading goes on in any case.
            let _ = self.poll_flush(cx, half.stream());
            if self.finished {
                // What still comes is only read to be thrown away.
                return half.poll_read(cx, buffer);
            }
            if let Some(end) = self.websocket.as_ref().and_then(|websocket| websocket.end()) {
                return Poll::Ready(match end {
                    End::Closed(_) => Ok(()),
                    End::Fault(fault) => Err(io::Error::new(io::ErrorKind::InvalidData, fault)),
                });
            }
            if self.early.is_empty() {
                match ready!(self.poll_plaintext(cx, half, buffer)) {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(error) => {
                        let _ = self.poll_flush(cx, half.stream());
                        return Poll::Ready(Err(error));
                    }
                }
            } else {
                buffer.put_slice(&std::mem::take(&mut self.early));
            }
            if let Some(websocket) = &mut self.websocket {
                let count = websocket.decode(buffer.filled_mut());
                buffer.set_filled(count);
            }
            if !buffer.filled().is_empty() {
                let _ = self.poll_flush(cx, half.stream());
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads below the WebSocket; true at the end of the stream.
    fn poll_plaintext(
        &mut self,
        cx: &mut Context<'_>,
        half: &mut ReadHalf,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let Some(tls) = &mut self.tls else {
            return half.poll_read(cx, buffer).map_ok(|()| buffer.filled().is_empty());
        };
        let room = buffer.remaining().saturating_sub(MAX_RECORD);
        poll_open(cx, half, tls, room, buffer)
    }
}

/// Reads at most `size` encrypted bytes and decrypts them into an empty buffer; true at the end. What
/// came before the end or a fault is handed over first.
fn poll_open(
    cx: &mut Context<'_>,
    half: &mut ReadHalf,
    tls: &mut ClientConnection,
    size: usize,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<bool>> {
    match tls.process_new_packets() {
        Ok(state) if state.peer_has_closed() => return Poll::Ready(Ok(true)),
        Ok(_) => {}
        Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
    }
    RAW.with_borrow_mut(|raw| {
        raw.resize(raw.len().max(size), 0);
        let mut raw = ReadBuf::new(&mut raw[..size]);
        ready!(half.poll_read(cx, &mut raw))?;
        let mut raw = raw.filled();
        if raw.is_empty() {
            return Poll::Ready(Ok(true));
        }
        while !raw.is_empty() {
            tls.read_tls(&mut raw)?;
            // An error comes again at the next call.
            let is_over = tls.process_new_packets().map_or(true, |state| state.peer_has_closed());
            while let Ok(count @ 1..) = tls.reader().read(buffer.initialize_unfilled()) {
                buffer.advance(count);
            }
            if is_over {
                break;
            }
        }
        Poll::Ready(Ok(false))
    })
}
