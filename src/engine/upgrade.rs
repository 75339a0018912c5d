//! The answer to a WebSocket handshake (RFC 6455, clause 4.1). The request is the application's to
//! shape, so Python writes it.

use tungstenite::handshake::client::Response;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;

/// The most that the head of the answer may have.
pub const MAX_HEAD: usize = 16 << 10;
/// The only subprotocol there is [MQTT-6.0.0-3].
const SUBPROTOCOL: &str = "mqtt";

/// Why the server's answer is not accepted; paho's words where it has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    #[error("WebSocket handshake error")]
    NotHttp,
    #[error("WebSocket handshake error, answer is longer than 16 KiB")]
    TooLong,
    #[error("WebSocket handshake error, connection not upgraded (status {0})")]
    Status(u16),
    #[error("WebSocket handshake error, connection not upgraded")]
    NotUpgraded,
    #[error("WebSocket handshake error, invalid secret key")]
    Key,
    #[error("WebSocket handshake error, extension that was not asked for")]
    Extension,
    #[error("WebSocket handshake error, subprotocol is not mqtt")]
    Subprotocol,
}

/// Checks the beginning of the answer to a request with this key. The length of its head, or `None`
/// while that is not complete.
///
/// # Errors
/// The server did not do what the client asked for.
pub fn check_answer(answer: &[u8], key: &str) -> Result<Option<usize>, UpgradeError> {
    let head = &answer[..answer.len().min(MAX_HEAD)];
    let (length, response) = match Response::try_parse(head) {
        Ok(Some(parsed)) => parsed,
        Ok(None) if head.len() < MAX_HEAD => return Ok(None),
        Ok(None) => return Err(UpgradeError::TooLong),
        Err(_) => return Err(UpgradeError::NotHttp),
    };
    if response.status() != 101 {
        return Err(UpgradeError::Status(response.status().as_u16()));
    }
    let values = |name: &str| {
        let values = response.headers().get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap_or_default().trim()).collect::<Vec<_>>()
    };
    let has_token = |name: &str, token: &str| {
        let values = values(name);
        let mut tokens = values.iter().flat_map(|value| value.split(','));
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    };
    if !has_token("Upgrade", "websocket") || !has_token("Connection", "upgrade") {
        return Err(UpgradeError::NotUpgraded);
    }
    if values("Sec-WebSocket-Accept") != [derive_accept_key(key.as_bytes())] {
        return Err(UpgradeError::Key);
    }
    if !values("Sec-WebSocket-Extensions").is_empty() {
        return Err(UpgradeError::Extension);
    }
    // A server may leave it out; then it speaks the only one that it was offered.
    match values("Sec-WebSocket-Protocol").as_slice() {
        [] | [SUBPROTOCOL] => Ok(Some(length)),
        _ => Err(UpgradeError::Subprotocol),
    }
}
