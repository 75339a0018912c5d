//! One connection: large reads into the broker, large writes out of it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::super::ConnectionId;
use super::layers::{LayerSettings, Layers};
use super::shared::Shared;

const READ_SIZE: usize = 64 << 10;
/// Reads in a row, before others get their turn.
const READS: usize = 2;
/// How long the rest of the client's bytes is read behind the end.
const LINGER: Duration = Duration::from_millis(500);
/// How long a client that is to go has for reading what it is sent.
const FAREWELL: Duration = Duration::from_secs(2);
/// After an error of accept, such as no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

thread_local! {
    /// Received bytes of all connections pass through this.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: std::net::TcpListener,
    settings: LayerSettings,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                let Ok(layers) = Layers::new(&settings) else { continue };
                let (id, waker) = shared.open(address.to_string());
                let link = Link {
                    shared: Arc::clone(&shared),
                    id,
                    waker,
                    stream,
                    layers,
                    output: Vec::new(),
                    raw: Vec::new(),
                    sent: 0,
                };
                tokio::spawn(link.run());
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

struct Link {
    shared: Arc<Shared>,
    id: ConnectionId,
    waker: Arc<AtomicWaker>,
    stream: TcpStream,
    layers: Layers,
    /// What the broker gave, before the layers.
    output: Vec<u8>,
    /// What goes to the socket, and how much of it went.
    raw: Vec<u8>,
    sent: usize,
}

/// The broker wants the connection closed, and all was sent.
struct Finished;

impl Link {
    async fn run(mut self) {
        let mut farewell = None;
        let end = poll_fn(|cx| {
            let end = self.poll(cx);
            if end.is_pending() && self.shared.with(|broker, _| broker.wants_close(self.id)) {
                let sleep = farewell.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
                if sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            end
        })
        .await;
        self.shared.close(self.id);
        if let Ok(Finished) = end {
            self.say_goodbye().await;
        }
        // A forked child may have a copy of the descriptor.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Finished>> {
        self.waker.register(cx.waker());
        let mut reads = 0;
        loop {
            // The layers may have to say something too, such as their part of a handshake.
            let is_blocked = self.poll_write(cx)?.is_pending();
            let wants_close = self.shared.with(|broker, _| broker.wants_close(self.id));
            if wants_close {
                return if is_blocked { Poll::Pending } else { Poll::Ready(Ok(Finished)) };
            }
            if reads == READS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads += 1;
            if self.poll_read(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sends until there is no more, or the socket takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        loop {
            if self.sent == self.raw.len() {
                self.raw.clear();
                self.sent = 0;
                self.output.clear();
                let (id, output) = (self.id, &mut self.output);
                self.shared.with(|broker, now| broker.take_output(id, output, now));
                self.layers.encode(&mut self.output, &mut self.raw)?;
                if self.raw.is_empty() {
                    return Ok(Poll::Ready(()));
                }
            }
            let rest = self.raw.get(self.sent..).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// Reads once, and hands over what came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        INPUT.with_borrow_mut(|input| {
            let mut buffer = ReadBuf::new(input);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
                Poll::Ready(Ok(())) => {
                    let (shared, id) = (&self.shared, self.id);
                    let result = self.layers.decode(buffer.filled(), |plain| {
                        shared.with(|broker, now| broker.handle_input(id, plain, now));
                    });
                    if let Err(error) = result {
                        // The alert or the close frame still goes out.
                        self.layers.encode(&mut Vec::new(), &mut self.raw)?;
                        let rest = self.raw.get(self.sent..).unwrap_or_default();
                        let _ = self.stream.try_write(rest);
                        return Err(error);
                    }
                    Ok(Poll::Ready(()))
                }
                Poll::Ready(Err(error)) => Err(error),
                Poll::Pending => Ok(Poll::Pending),
            }
        })
    }

    /// Ends our side, and reads the rest of the client's: closing with unread bytes would make the
    /// kernel reset the connection, and take back what the client had not read.
    async fn say_goodbye(&mut self) {
        let mut raw = Vec::new();
        self.layers.close(&mut raw);
        let _ = self.stream.try_write(&raw);
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        let until = Instant::now() + LINGER;
        let mut rest = vec![0; 1 << 10];
        loop {
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut rest);
                let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
                read.map(|result| result.is_ok() && !buffer.filled().is_empty())
            });
            match tokio::time::timeout_at(until.into(), read).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
    }
}
