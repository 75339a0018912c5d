//! A descriptor that becomes readable when the inbox has something for the application.

use std::io;

#[cfg(unix)]
pub(super) use unix::Waker;
#[cfg(windows)]
pub(super) use windows::Waker;

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};

    use super::io;

    /// An eventfd on Linux, a pipe elsewhere.
    #[derive(Debug)]
    pub(crate) struct Waker {
        read: OwnedFd,
        #[cfg(not(target_os = "linux"))]
        write: OwnedFd,
    }

    impl Waker {
        #[cfg(target_os = "linux")]
        pub(crate) fn new() -> io::Result<Self> {
            use rustix::event::{EventfdFlags, eventfd};
            Ok(Self { read: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
        }

        #[cfg(not(target_os = "linux"))]
        pub(crate) fn new() -> io::Result<Self> {
            let (read, write) = rustix::pipe::pipe()?;
            for end in [&read, &write] {
                rustix::io::ioctl_fionbio(end, true)?;
                rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            }
            Ok(Self { read, write })
        }

        pub(crate) fn wake(&self) {
            #[cfg(target_os = "linux")]
            let _ = rustix::io::write(&self.read, &1u64.to_ne_bytes());
            #[cfg(not(target_os = "linux"))]
            let _ = rustix::io::write(&self.write, &[1]);
        }

        pub(crate) fn clear(&self) {
            let _ = rustix::io::read(&self.read, &mut [0u8; 8]);
        }

        pub(crate) fn descriptor(&self) -> RawFd {
            self.read.as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod windows {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::windows::io::{AsRawSocket, RawSocket};

    use super::io;

    /// A pair of loopback sockets: `select` knows no other descriptors.
    #[derive(Debug)]
    pub(crate) struct Waker {
        read: TcpStream,
        write: TcpStream,
    }

    impl Waker {
        pub(crate) fn new() -> io::Result<Self> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let write = TcpStream::connect(listener.local_addr()?)?;
            let read = loop {
                let (read, peer) = listener.accept()?;
                if peer == write.local_addr()? {
                    break read;
                }
            };
            write.set_nodelay(true)?;
            write.set_nonblocking(true)?;
            read.set_nonblocking(true)?;
            Ok(Self { read, write })
        }

        pub(crate) fn wake(&self) {
            let _ = (&self.write).write(&[1]);
        }

        pub(crate) fn clear(&self) {
            let _ = (&self.read).read(&mut [0u8; 64]);
        }

        pub(crate) fn descriptor(&self) -> RawSocket {
            self.read.as_raw_socket()
        }
    }
}
