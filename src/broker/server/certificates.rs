//! Who the broker is under TLS, and whom it lets in: certificates from files, or of an authority made up
//! for the test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
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
    #[error(transparent)]
    Clients(#[from] VerifierBuilderError),
}

/// An authority that exists for one test.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate.
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, TlsError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "oxmqtt test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = authority.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(authority, key),
        })
    }

    /// A client's certificate and its private key, in PEM.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn issue_client(&self, name: &str) -> Result<(String, String), TlsError> {
        let (certificate, key) = self.issue(name, vec![], ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn issue(
        &self,
        common_name: &str,
        names: Vec<String>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<(Certificate, KeyPair), TlsError> {
        let mut subject = CertificateParams::new(names)?;
        subject.distinguished_name.push(DnType::CommonName, common_name);
        subject.use_authority_key_identifier_extension = true;
        subject.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        subject.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        Ok((subject.signed_by(&key, &self.issuer)?, key))
    }
}

/// The server's certificate chain and key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A certificate of this authority for these host names and addresses.
    ///
    /// # Errors
    /// One of the names is not a DNS name and not an address.
    pub fn generate(authority: &Authority, names: Vec<String>) -> Result<Self, TlsError> {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        let (certificate, key) = authority.issue("oxmqtt test broker", names, purpose)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Self { chain: vec![certificate.der().clone()], key })
    }

    /// A certificate chain and its private key, in PEM.
    ///
    /// # Errors
    /// The PEM is malformed or incomplete.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self { chain: certificates_of(certificates)?, key: PrivateKeyDer::from_pem_slice(key)? })
    }
}

/// Who may connect by TLS.
#[derive(Debug)]
pub enum Clients {
    /// Everybody.
    Anyone,
    /// Those with a certificate of one of these authorities.
    CertifiedBy(Vec<CertificateDer<'static>>),
}

impl Clients {
    pub fn of_authority(authority: &Authority) -> Self {
        Self::CertifiedBy(vec![authority.der.clone()])
    }

    /// # Errors
    /// The PEM is malformed, or has no certificate.
    pub fn from_pem(authorities: &[u8]) -> Result<Self, TlsError> {
        Ok(Self::CertifiedBy(certificates_of(authorities)?))
    }
}

fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(TlsError::NoCertificate) } else { Ok(certificates) }
}

/// What the listeners of TLS do.
#[derive(Clone, Debug)]
pub struct TlsSettings(pub(super) Arc<ServerConfig>);

impl TlsSettings {
    /// # Errors
    /// rustls does not accept the key or a certificate.
    pub fn new(identity: Identity, clients: Clients) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = match clients {
            Clients::Anyone => WebPkiClientVerifier::no_client_auth(),
            Clients::CertifiedBy(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority)?;
                }
                let provider = Arc::clone(&provider);
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?
            }
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain, identity.key)?;
        Ok(Self(Arc::new(config)))
    }
}
