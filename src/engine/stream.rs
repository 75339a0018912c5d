//! The transports a connection can run on. Python dials; a connected socket arrives here, with the
//! layers whose handshakes are done.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::halves::{Below, ReadHalf, Stream, WriteHalf};
use super::layers::{Layers, SharedLayers};

/// What kind of socket Python connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketFamily {
    Tcp,
    #[cfg(unix)]
    Unix,
}

/// A connected stream socket that Python gave away.
#[derive(Debug)]
pub struct Socket {
    pub family: SocketFamily,
    pub socket: socket2::Socket,
    pub below: Option<Below>,
}

/// The receiving half, owned by the I/O task.
#[derive(Debug)]
pub(super) struct Reader {
    half: ReadHalf,
    layers: Option<SharedLayers>,
    below: Option<Below>,
}

/// The sending half, shared with threads that send directly.
#[derive(Debug)]
pub(super) struct Writer {
    half: WriteHalf,
    layers: Option<SharedLayers>,
    below: Option<Below>,
}

impl Socket {
    /// Registers the socket with the runtime whose context is entered.
    pub(super) fn split(self, layers: Option<Layers>) -> io::Result<(Reader, Arc<Writer>)> {
        self.socket.set_nonblocking(true)?;
        let (reading, writing) = match self.family {
            SocketFamily::Tcp => {
                self.socket.set_tcp_nodelay(true)?;
                let (reader, writer) = TcpStream::from_std(self.socket.into())?.into_split();
                (ReadHalf::Tcp(reader), WriteHalf::Tcp(writer))
            }
            #[cfg(unix)]
            SocketFamily::Unix => {
                let (reader, writer) = UnixStream::from_std(self.socket.into())?.into_split();
                (ReadHalf::Unix(reader), WriteHalf::Unix(writer))
            }
        };
        let layers = layers.map(SharedLayers::new);
        let below = self.below;
        let reader = Reader { half: reading, layers: layers.clone(), below };
        Ok((reader, Arc::new(Writer { half: writing, layers, below })))
    }
}

impl Reader {
    /// As [`Writer::held`].
    pub(super) fn held(&self) -> usize {
        self.half.stream().held(self.below)
    }

    /// Puts at least one byte of the server's into the buffer; none is the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &self.layers {
            None => self.half.poll_read(cx, buffer),
            Some(layers) => layers.poll_read(cx, &mut self.half, buffer),
        }
    }
}

impl Writer {
    fn stream(&self) -> Stream<'_> {
        self.half.stream()
    }

    /// Bytes that the socket took and the peer has not acknowledged, as far as that can be known.
    pub(super) fn held(&self) -> usize {
        self.stream().held(self.below)
    }

    /// Sends what the socket takes at once. After `WouldBlock` the next call has to begin with the
    /// same bytes.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.layers {
            None => self.stream().try_write(bytes),
            Some(layers) => layers.try_write(self.stream(), bytes),
        }
    }

    /// How many bytes the socket took since the last call, when those before the layers were `count`.
    pub(super) fn take_raw_count(&self, count: usize) -> usize {
        self.layers.as_ref().map_or(count, SharedLayers::take_raw_count)
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_write_ready(cx)
    }

    /// Sends what the layers say at the end. Nothing may be written behind it.
    pub(super) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.layers {
            None => Poll::Ready(()),
            Some(layers) => layers.poll_finish(cx, self.stream()),
        }
    }

    /// Has the kernel acknowledge what was read at once. A server that answers in two pieces without
    /// TCP_NODELAY, as mosquitto does by default, holds the second back until then, and the kernel
    /// would wait up to 40 ms for something to send along with the acknowledgement.
    pub(super) fn acknowledge_promptly(&self) {
        #[cfg(target_os = "linux")]
        if let Stream::Tcp(stream) = self.stream() {
            let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
        }
    }

    pub(super) fn duplicate(&self) -> io::Result<socket2::Socket> {
        match self.stream() {
            Stream::Tcp(stream) => socket2::SockRef::from(stream).try_clone(),
            #[cfg(unix)]
            Stream::Unix(stream) => socket2::SockRef::from(stream).try_clone(),
        }
    }
}
