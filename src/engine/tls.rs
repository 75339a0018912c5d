//! TLS by rustls: what a client trusts and shows.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::handshake::HandshakeError;

/// Sessions that a client can resume; it talks to one server, or to a few in turn.
const SESSIONS: usize = 8;

/// What a client trusts and shows; PEM throughout.
#[derive(Debug, Default)]
pub struct TlsOptions<'a> {
    /// The authorities to trust; the system's when `None`.
    pub ca_certs: Option<&'a [u8]>,
    /// The client's certificate chain, and its private key.
    pub identity: Option<(&'a [u8], &'a [u8])>,
    pub alpn: Vec<Vec<u8>>,
    /// TLS 1.3 only.
    pub tls13_only: bool,
}

/// Why TLS cannot be set up so.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    #[error("no certificate in ca_certs")]
    NoAuthority,
    #[error("no certificate in certfile")]
    NoCertificate,
    #[error("the private key is encrypted")]
    EncryptedKey,
    #[error("no private key in keyfile")]
    NoKey,
    #[error("the system has no trusted certificates")]
    NoSystemRoots,
    #[error("malformed PEM: {0}")]
    Pem(pem::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// A client's TLS settings, shared by its connections.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    strict: Arc<ClientConfig>,
    any_name: Arc<ClientConfig>,
}

impl TlsConfig {
    /// # Errors
    /// The PEM is malformed or incomplete, or rustls does not accept what is in it.
    pub fn new(options: &TlsOptions<'_>) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(match options.ca_certs {
            Some(pem) => trusted(pem)?,
            None => system_roots()?,
        });
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        let strict = build(options, &provider, Arc::clone(&verifier) as _)?;
        let any_name = build(options, &provider, Arc::new(AnyName(verifier)))?;
        Ok(Self { strict: Arc::new(strict), any_name: Arc::new(any_name) })
    }

    /// Starts a connection to the server of that name or address; `any_name` accepts another's
    /// certificate from a trusted authority.
    ///
    /// # Errors
    /// The name is not a DNS name and not an address.
    pub fn connect(&self, name: &str, any_name: bool) -> Result<ClientConnection, HandshakeError> {
        let config = if any_name { &self.any_name } else { &self.strict };
        // As `ssl` does: no certificate has the dot at the end of a complete name.
        let name = Some(name)
            .filter(|name| !name.ends_with('.'))
            .and_then(|name| ServerName::try_from(name).ok())
            .ok_or_else(|| rustls::Error::General(format!("{name:?} is not a server name")))?;
        let mut connection = ClientConnection::new(Arc::clone(config), name.to_owned())?;
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

fn build(
    options: &TlsOptions<'_>,
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, TlsSetupError> {
    let versions: &[_] = if options.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match options.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(certificates(chain)?, private_key(key)?)?
        }
    };
    config.alpn_protocols.clone_from(&options.alpn);
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

fn trusted(pem: &[u8]) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(TlsSetupError::Pem)?)?;
    }
    if roots.is_empty() { Err(TlsSetupError::NoAuthority) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    // The system's bundle may hold certificates that rustls cannot use; the others serve.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsSetupError::NoSystemRoots) } else { Ok(roots) }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(TlsSetupError::Pem)?;
    if chain.is_empty() { Err(TlsSetupError::NoCertificate) } else { Ok(chain) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    // PKCS #8 and the older form that OpenSSL writes, which names its cipher in a header.
    let encrypted: [&[u8]; 2] = [b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| memchr::memmem::find(pem, mark).is_some()) {
        return Err(TlsSetupError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsSetupError::NoKey,
        error => TlsSetupError::Pem(error),
    })
}

/// Asks for a certificate of a trusted authority, whatever name it has.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The name is looked at last, when all else was found in order.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
