//! The transports a connection can run on. Python dials; a connected socket arrives here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

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
}

/// The receiving half, owned by the I/O task.
#[derive(Debug)]
pub(super) enum Reader {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
}

/// The sending half, shared with threads that send directly.
#[derive(Debug)]
pub(super) enum Writer {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

impl Socket {
    /// Registers the socket with the runtime whose context is entered.
    pub(super) fn split(self) -> io::Result<(Reader, Arc<Writer>)> {
        self.socket.set_nonblocking(true)?;
        match self.family {
            SocketFamily::Tcp => {
                self.socket.set_tcp_nodelay(true)?;
                let stream = TcpStream::from_std(self.socket.into())?;
                let (reader, writer) = stream.into_split();
                Ok((Reader::Tcp(reader), Arc::new(Writer::Tcp(writer))))
            }
            #[cfg(unix)]
            SocketFamily::Unix => {
                let stream = UnixStream::from_std(self.socket.into())?;
                let (reader, writer) = stream.into_split();
                Ok((Reader::Unix(reader), Arc::new(Writer::Unix(writer))))
            }
        }
    }
}

impl Reader {
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

impl Writer {
    /// Sends what the socket takes at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(half) => half.try_write(bytes),
        }
    }

    /// Has the kernel acknowledge what was read at once. A server that answers in two pieces without
    /// TCP_NODELAY, as mosquitto does by default, holds the second back until then, and the kernel
    /// would wait up to 40 ms for something to send along with the acknowledgement.
    pub(super) fn acknowledge_promptly(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(half) = self {
            let _ = rustix::net::sockopt::set_tcp_quickack(half.as_ref(), true);
        }
    }

    pub(super) fn duplicate(&self) -> io::Result<socket2::Socket> {
        match self {
            Self::Tcp(half) => socket2::SockRef::from(half.as_ref()).try_clone(),
            #[cfg(unix)]
            Self::Unix(half) => socket2::SockRef::from(half.as_ref()).try_clone(),
        }
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => half.as_ref().poll_write_ready(cx),
            #[cfg(unix)]
            Self::Unix(half) => half.as_ref().poll_write_ready(cx),
        }
    }
}
