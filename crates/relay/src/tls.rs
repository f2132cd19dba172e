//! TLS to recipient servers: which certificates are taken, and what a failed handshake means.
//!
//! Opportunistic TLS hides mail from those who only listen; who could forge the DNS could also forge the host, so a
//! certificate that does not fit is no reason to send in clear instead (RFC 7435).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sm2tp_rules::tls::Configured;

use crate::StartError;
use crate::dane::{Named, Tlsa};

/// How TLS is used towards recipient servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    Off,
    /// Where the server offers it; in clear where its handshake fails.
    Opportunistic,
    /// Never in clear.
    Required,
}

/// What the handshakes of the relay need.
#[derive(Clone)]
pub struct TlsClient {
    /// Takes any certificate.
    pub any: Arc<ClientConfig>,
    /// Takes certificates of known authorities for the name of the host.
    pub certified: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
}

/// Why TLS did not come about (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsTrouble {
    NotOffered,
    NameMismatch,
    Expired,
    NotTrusted,
    /// Anything else in the handshake.
    Handshake,
}

impl TlsClient {
    /// Reads the authorities of the system, and those of `roots` besides.
    ///
    /// # Errors
    /// [`StartError`] where `roots` cannot be read or holds no certificate.
    pub fn new(roots: Option<&Path>) -> Result<Self, StartError> {
        let certified = trusting(roots)?;
        let provider = certified.crypto_provider().clone();
        let any = configured(&provider, Takes::Any)?;
        Ok(Self { any, certified, provider })
    }

    /// Takes what these records name (RFC 7672); `names` may stand in a certificate under a trust anchor.
    ///
    /// # Errors
    /// Where the provider supports no version of TLS; it supports 1.2 and 1.3.
    pub fn dane(&self, records: Vec<Tlsa>, names: &[&str]) -> Result<Arc<ClientConfig>, rustls::Error> {
        let names = names.iter().filter_map(|name| ServerName::try_from((*name).to_owned()).ok()).collect();
        configured(&self.provider, Takes::Named(Named::new(records, names)))
    }

    /// Random octets as hexadecimal digits, for what must never be used twice.
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        let mut octets = [0; 18];
        self.provider.secure_random.fill(&mut octets).ok()?;
        Some(octets.iter().map(|octet| format!("{octet:02x}")).collect())
    }
}

impl From<TlsUse> for Configured {
    fn from(tls: TlsUse) -> Self {
        match tls {
            TlsUse::Off => Self::Off,
            TlsUse::Opportunistic => Self::Opportunistic,
            TlsUse::Required => Self::Required,
        }
    }
}

impl TlsTrouble {
    /// What a failed handshake was about.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let Some(rustls::Error::InvalidCertificate(why)) = error.get_ref().and_then(|inner| inner.downcast_ref())
        else {
            return Self::Handshake;
        };
        match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::NameMismatch,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::UnknownIssuer => Self::NotTrusted,
            _ => Self::Handshake,
        }
    }

    /// As RFC 8460 §4.3 names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "starttls-not-supported",
            Self::NameMismatch => "certificate-host-mismatch",
            Self::Expired => "certificate-expired",
            Self::NotTrusted => "certificate-not-trusted",
            Self::Handshake => "validation-failure",
        }
    }
}

/// Takes certificates of the authorities of the system, and of those in the file `roots` besides (PEM).
///
/// # Errors
/// [`StartError`] where `roots` cannot be read or holds no certificate.
pub fn trusting(roots: Option<&Path>) -> Result<Arc<ClientConfig>, StartError> {
    let mut store = RootCertStore::empty();
    // What a machine has of broken certificates in its store is no business of ours.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = roots {
        let unusable = |why: String| StartError::Roots { path: path.to_owned(), why };
        let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let own: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
        if own.is_empty() {
            return Err(unusable("it holds no certificate in PEM".to_owned()));
        }
        store.add_parsable_certificates(own);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn configured(provider: &Arc<CryptoProvider>, takes: Takes) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { takes, provider: provider.clone() }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whose certificates are taken. That the server holds the key of the one it shows is checked in any case.
#[derive(Debug)]
struct Verifier {
    takes: Takes,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Takes {
    Any,
    Named(Named),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Takes::Named(named) = &self.takes {
            named.verify(end, chain, now, self.provider.signature_verification_algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
