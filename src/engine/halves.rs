//! The halves of a connected socket, TCP or unix alike, and what the kernel knows of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

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
pub(super) enum WriteHalf {
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

impl WriteHalf {
    pub(super) fn stream(&self) -> Stream<'_> {
        match self {
            Self::Tcp(half) => Stream::Tcp(half.as_ref()),
            #[cfg(unix)]
            Self::Unix(half) => Stream::Unix(half.as_ref()),
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
    pub(super) fn held(self, below: Option<Below>) -> usize {
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
