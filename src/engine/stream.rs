//! The transports a connection can run on. Python dials; a connected socket arrives here, with the
//! layers whose handshakes are done.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

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

/// The descriptor of the socket to the server, where somebody else moves our bytes there. It stays
/// theirs: it is only asked a question, which does no harm when it has come to stand for something else.
#[derive(Clone, Copy, Debug)]
pub struct Below(pub i32);

#[derive(Debug)]
pub(super) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
}

#[derive(Debug)]
enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

/// Either half's socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream<'a> {
    Tcp(&'a TcpStream),
    #[cfg(unix)]
    Unix(&'a UnixStream),
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

impl ReadHalf {
    pub(super) fn stream(&self) -> Stream<'_> {
        match self {
            Self::Tcp(half) => Stream::Tcp(half.as_ref()),
            #[cfg(unix)]
            Self::Unix(half) => Stream::Unix(half.as_ref()),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Unix(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }
}

impl Stream<'_> {
    /// Sends what the socket takes at once.
    pub(super) fn try_write(self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    pub(super) fn poll_write_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Bytes that were written and that the peer has not acknowledged, on a unix socket those that it
    /// has not read. 0 where the system does not say. What a relay has yet to pass on was not written, so
    /// the socket below it is the one to ask.
    fn held(self, below: Option<Below>) -> usize {
        match (self, below) {
            (_, Some(below)) if below.0 >= 0 => below.held(),
            (Self::Tcp(stream), _) => held_by(stream),
            #[cfg(unix)]
            (Self::Unix(stream), _) => held_by(stream),
        }
    }
}

impl Below {
    #[cfg(unix)]
    fn held(self) -> usize {
        // SAFETY: the call reads a figure of the descriptor's queue and changes nothing. If its owner has
        // closed it the call fails; if it stands for another file by now, the figure means nothing, and a
        // peer gets a little more or less time.
        #[allow(unsafe_code)]
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(self.0) };
        held_by(&descriptor)
    }

    #[cfg(not(unix))]
    fn held(self) -> usize {
        0
    }
}

/// SIOCOUTQ.
#[cfg(all(
    any(target_os = "linux", target_os = "android"),
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "s390x"
    )
))]
fn held_by(socket: &impl std::os::fd::AsFd) -> usize {
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int, on sockets and terminals alike.
    #[allow(unsafe_code)]
    let held = unsafe {
        rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<{ SIOCOUTQ }, std::ffi::c_int>::new())
    };
    held.ok().and_then(|held| usize::try_from(held).ok()).unwrap_or(0)
}

#[cfg(not(all(
    any(target_os = "linux", target_os = "android"),
    any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "loongarch64",
        target_arch = "s390x"
    )
)))]
fn held_by<T>(_: &T) -> usize {
    0
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
        match &self.half {
            WriteHalf::Tcp(half) => Stream::Tcp(half.as_ref()),
            #[cfg(unix)]
            WriteHalf::Unix(half) => Stream::Unix(half.as_ref()),
        }
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
