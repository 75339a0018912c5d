//! One connection, read by one thread and written by several, on a single descriptor: a peer of ten
//! thousand clients has none to spare.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::sync::Mutex;

pub struct Link {
    stream: TcpStream,
    /// Held while bytes go out, so that packets of two threads never mix.
    writing: Mutex<()>,
}

impl Link {
    pub fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let writing = Mutex::new(());
        Link { stream, writing }
    }

    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        (&self.stream).read(buffer)
    }

    pub fn receive_all(&self, buffer: &mut [u8]) -> Result<()> {
        (&self.stream).read_exact(buffer)
    }

    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        let _writing = self.writing.lock().expect("no writer panics");
        (&self.stream).write_all(bytes)
    }
}
