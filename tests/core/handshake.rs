//! A server that refuses may close before it has read everything: what it said still counts.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use oxmqtt_engine::{
    HandshakeError, Layers, TlsConfig, TlsOptions, Upgrade, UpgradeError, handshake,
};

/// Shakes hands with a server that takes no byte, and has said `last`.
fn refused(
    last: &[u8],
    tls: Option<&TlsConfig>,
    upgrade: Option<&Upgrade>,
) -> Result<Layers, HandshakeError> {
    let (client, mut server) = UnixStream::pair().unwrap();
    server.write_all(last).unwrap();
    server.shutdown(Shutdown::Read).unwrap();
    let socket = socket2::Socket::from(OwnedFd::from(client));
    let connection = tls.map(|tls| tls.connect("broker.example.org", false).unwrap());
    handshake(&socket, connection, upgrade, Instant::now() + Duration::from_secs(60))
}

fn tls() -> TlsConfig {
    let server = rcgen::generate_simple_self_signed(["broker.example.org".to_owned()]).unwrap();
    let pem = server.cert.pem();
    TlsConfig::new(&TlsOptions { ca_certs: Some(pem.as_bytes()), ..Default::default() }).unwrap()
}

fn upgrade() -> Upgrade {
    Upgrade { request: b"GET /mqtt HTTP/1.1\r\n\r\n".to_vec(), key: "key".to_owned() }
}

#[test]
fn an_alert_is_the_reason_not_the_broken_pipe() {
    let handshake_failure = b"\x15\x03\x03\x00\x02\x02\x28";
    let Err(HandshakeError::Tls(error)) = refused(handshake_failure, Some(&tls()), None) else {
        panic!("not an error of TLS");
    };
    assert_eq!(error.to_string(), "received fatal alert: HandshakeFailure");
}

#[test]
fn a_status_is_the_reason_not_the_broken_pipe() {
    let answer = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
    let error = refused(answer, None, Some(&upgrade())).unwrap_err();
    assert!(matches!(error, HandshakeError::Upgrade(UpgradeError::Status(401))), "{error}");
}

#[test]
fn the_broken_pipe_is_the_reason_where_nothing_was_said() {
    for (tls, upgrade) in [(Some(tls()), None), (None, Some(upgrade()))] {
        let error = refused(b"", tls.as_ref(), upgrade.as_ref()).unwrap_err();
        let HandshakeError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
