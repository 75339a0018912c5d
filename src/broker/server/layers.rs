//! What lies between the socket and the broker's bytes: TLS, WebSocket, or one within the other.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use super::websocket::WebSocket;

/// The layers of a listener.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerSettings {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) websocket: bool,
}

/// The layers of a connection; they transform bytes and do no input or output.
pub(super) struct Layers {
    tls: Option<Box<ServerConnection>>,
    websocket: Option<WebSocket>,
    decrypted: Vec<u8>,
    plain: Vec<u8>,
}

impl Layers {
    pub(super) fn new(settings: &LayerSettings) -> Result<Self, rustls::Error> {
        let tls = match &settings.tls {
            Some(config) => {
                let mut tls = ServerConnection::new(Arc::clone(config))?;
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
            None => None,
        };
        let websocket = settings.websocket.then(WebSocket::default);
        Ok(Self { tls, websocket, decrypted: Vec::new(), plain: Vec::new() })
    }

    /// Takes received bytes apart and hands over the payload. On an error the connection is over; what
    /// is to be said about it comes with the next [`Self::encode`].
    pub(super) fn decode(&mut self, raw: &[u8], then: impl FnOnce(&[u8])) -> io::Result<()> {
        let bytes = match &mut self.tls {
            None => raw,
            Some(tls) => {
                self.decrypted.clear();
                decrypt(tls, raw, &mut self.decrypted)?;
                &self.decrypted
            }
        };
        let Some(websocket) = &mut self.websocket else {
            if !bytes.is_empty() {
                then(bytes);
            }
            return Ok(());
        };
        self.plain.clear();
        let result = websocket.decode(bytes, &mut self.plain);
        if !self.plain.is_empty() {
            then(&self.plain);
        }
        result
    }

    /// Appends what is to be sent: the bytes of `output`, and the layers' own.
    pub(super) fn encode(&mut self, output: &mut Vec<u8>, raw: &mut Vec<u8>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            match &mut self.websocket {
                None if raw.is_empty() => std::mem::swap(output, raw),
                None => raw.append(output),
                Some(websocket) => websocket.encode(output, raw),
            }
            return Ok(());
        };
        match &mut self.websocket {
            None => tls.writer().write_all(output)?,
            Some(websocket) => {
                let mut frames = Vec::new();
                websocket.encode(output, &mut frames);
                tls.writer().write_all(&frames)?;
            }
        }
        while tls.wants_write() {
            tls.write_tls(raw)?;
        }
        Ok(())
    }

    /// Appends the end of each layer.
    pub(super) fn close(&mut self, raw: &mut Vec<u8>) {
        if let Some(websocket) = &mut self.websocket {
            websocket.close();
        }
        // A vector takes everything.
        let _ = self.encode(&mut Vec::new(), raw);
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = self.encode(&mut Vec::new(), raw);
        }
    }
}

fn decrypt(tls: &mut ServerConnection, mut raw: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
    while !raw.is_empty() {
        tls.read_tls(&mut raw)?;
        let state = tls
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let has_ended = state.peer_has_closed();
        match tls.reader().read_to_end(plain) {
            Ok(_) => {
                return if has_ended { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if has_ended {
            break;
        }
    }
    Ok(())
}
