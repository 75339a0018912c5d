//! Who the broker is under TLS: certificates from files, or an authority made up for the test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why the broker cannot speak TLS so.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot make a certificate: {0}")]
    Made(#[from] rcgen::Error),
    #[error("malformed PEM: {0}")]
    Pem(#[from] pem::Error),
    #[error("no certificate")]
    NoCertificate,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The server's certificate and key.
#[derive(Debug)]
pub struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// The certificate of the authority that was made up, in PEM.
    pub ca_pem: Option<String>,
}

impl Identity {
    /// A new authority, and a certificate of it for these host names and addresses.
    ///
    /// # Errors
    /// One of the names is not a DNS name and not an address.
    pub fn generate(names: Vec<String>) -> Result<Self, TlsError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "oxmqtt test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let ca_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "oxmqtt test broker");
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let certificate = server.signed_by(&server_key, &issuer)?;
        let key = PrivatePkcs8KeyDer::from(server_key.serialize_der());
        let config = config(vec![certificate.der().clone()], key.into())?;
        Ok(Self { config, ca_pem: Some(ca_pem) })
    }

    /// A certificate chain and its private key, in PEM.
    ///
    /// # Errors
    /// The PEM is malformed or incomplete, or rustls does not accept what is in it.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let config = config(chain, PrivateKeyDer::from_pem_slice(key)?)?;
        Ok(Self { config, ca_pem: None })
    }
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
