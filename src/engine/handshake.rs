//! The handshakes of the layers, on the thread that connects: it waits, up to one deadline for all.

use std::io::{self, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use rustls::{CertificateError, ClientConnection};

use super::layers::Layers;
use super::upgrade::{MAX_HEAD, UpgradeError, check_answer};
use super::websocket::WebSocket;

/// A WebSocket handshake: the whole request, and the key that it has in `Sec-WebSocket-Key`.
#[derive(Clone)]
pub struct Upgrade {
    pub request: Vec<u8>,
    pub key: String,
}

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the handshake timed out")]
    TimedOut,
    #[error("the server closed the connection during the TLS handshake")]
    TlsEnd,
    #[error("{0}")]
    Certificate(CertificateError),
    #[error("{0}")]
    Tls(rustls::Error),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    #[error(transparent)]
    Io(io::Error),
}

impl From<rustls::Error> for HandshakeError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Self::Certificate(error),
            error => Self::Tls(error),
        }
    }
}

/// The wire while the caller waits for it. A server that refuses may close before it has read
/// everything, so a write that breaks is not an error yet: what the server said is read first.
struct Dialogue<'a> {
    socket: &'a socket2::Socket,
    deadline: Instant,
    broken: Option<io::Error>,
}

impl Dialogue<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Dialogue<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        match (&mut &*self.socket).read(buffer) {
            end @ (Ok(0) | Err(_)) => self.broken.take().map_or(end, Err),
            count => count,
        }
    }
}

impl Write for Dialogue<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        match (&mut &*self.socket).write_vectored(pieces) {
            Err(error) if is_broken(&error) => {
                self.socket.set_nonblocking(true)?;
                self.broken = Some(error);
                Ok(pieces.iter().map(|piece| piece.len()).sum())
            }
            done => done,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// Shakes hands on a connected socket: TLS first, then WebSocket within it.
///
/// # Errors
/// The server refused, misbehaved, or was too slow.
pub fn handshake(
    socket: &socket2::Socket,
    tls: Option<ClientConnection>,
    upgrade: Option<&Upgrade>,
    deadline: Instant,
) -> Result<Layers, HandshakeError> {
    socket.set_nonblocking(false).map_err(HandshakeError::Io)?;
    let mut dialogue = Dialogue { socket, deadline, broken: None };
    let mut layers = Layers::default();
    if let Some(mut connection) = tls {
        shake_tls(&mut connection, &mut dialogue)?;
        layers.tls = Some(Box::new(connection));
    }
    if let Some(upgrade) = upgrade {
        layers.early = match &mut layers.tls {
            None => upgrade_to_websocket(&mut dialogue, upgrade)?,
            Some(tls) => {
                let mut stream = rustls::Stream::new(&mut **tls, &mut dialogue);
                upgrade_to_websocket(&mut stream, upgrade)?
            }
        };
        layers.websocket = Some(Box::new(WebSocket::default()));
    }
    Ok(layers)
}

fn shake_tls(
    connection: &mut ClientConnection,
    dialogue: &mut Dialogue<'_>,
) -> Result<(), HandshakeError> {
    while connection.is_handshaking() || connection.wants_write() {
        match connection.complete_io(dialogue) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(HandshakeError::TlsEnd);
            }
            Err(error) => return Err(unwrap_error(error)),
        }
    }
    Ok(())
}

/// Returns what came behind the answer.
fn upgrade_to_websocket(
    stream: &mut (impl Read + Write),
    upgrade: &Upgrade,
) -> Result<Vec<u8>, HandshakeError> {
    stream.write_all(&upgrade.request).map_err(unwrap_error)?;
    stream.flush().map_err(unwrap_error)?;
    let mut answer = Vec::new();
    let mut piece = [0; 1 << 10];
    loop {
        let room = piece.len().min(MAX_HEAD - answer.len());
        let count = match stream.read(&mut piece[..room]) {
            Ok(count) => count,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => 0,
                _ => return Err(unwrap_error(error)),
            },
        };
        if count == 0 {
            return Err(UpgradeError::NotHttp.into());
        }
        answer.extend_from_slice(&piece[..count]);
        if let Some(length) = check_answer(&answer, &upgrade.key)? {
            return Ok(answer.split_off(length));
        }
    }
}

/// What the system, or rustls inside an error of its kind, says.
fn unwrap_error(error: io::Error) -> HandshakeError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HandshakeError::TimedOut,
        _ => match error.downcast::<rustls::Error>() {
            Ok(error) => error.into(),
            Err(error) => HandshakeError::Io(error),
        },
    }
}
