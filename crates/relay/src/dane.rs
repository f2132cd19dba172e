//! Certificates against TLSA records (RFC 6698, RFC 7671, RFC 7672).

use std::fmt;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use sha2::{Digest, Sha256, Sha512};

/// One TLSA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub data: Vec<u8>,
}

impl Tlsa {
    /// RFC 7672 §3.1.3: PKIX usages say nothing for mail; the rest must be something that we can compute.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let length_fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, TRUST_ANCHOR | END_ENTITY) && matches!(self.selector, 0 | 1) && length_fits
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            0 => certificate.to_vec(),
            _ => match ParsedCertificate::try_from(certificate) {
                Ok(parsed) => parsed.subject_public_key_info().to_vec(),
                Err(_) => return false,
            },
        };
        match self.matching {
            0 => selected == self.data,
            1 => Sha256::digest(&selected)[..] == self.data[..],
            2 => Sha512::digest(&selected)[..] == self.data[..],
            _ => false,
        }
    }
}

/// As a zone file has it.
impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// The keys that the records of a host name.
#[derive(Debug)]
pub struct Named {
    records: Vec<Tlsa>,
    /// Any of these names may stand in a certificate under a trust anchor (RFC 7672 §3.2.3).
    names: Vec<ServerName<'static>>,
}

impl Named {
    #[must_use]
    pub fn new(records: Vec<Tlsa>, names: Vec<ServerName<'static>>) -> Self {
        Self { records: records.into_iter().filter(Tlsa::is_usable).collect(), names }
    }

    /// Whether the records name this certificate.
    ///
    /// # Errors
    /// What is wrong with it under the last record that was tried.
    pub fn verify(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        // RFC 7672 §3.1.1: under usage 3 neither the names nor the dates of the certificate count.
        if self.of(END_ENTITY).any(|record| record.matches(end)) {
            return Ok(());
        }
        self.anchored(end, chain, now, algorithms)
    }

    fn of(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.records.iter().filter(move |record| record.usage == usage)
    }

    /// Usage 2: some certificate of the chain, or the record itself, is the anchor of a good chain.
    fn anchored(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        for record in self.of(TRUST_ANCHOR) {
            for certificate in chain.iter().take(CHAIN_MAX).filter(|certificate| record.matches(certificate)) {
                // One that cannot be an anchor is none; another record may still fit.
                let _ = roots.add(certificate.clone().into_owned());
            }
            if (record.selector, record.matching) == (0, 0) {
                let _ = roots.add(CertificateDer::from(record.data.clone()));
            }
        }
        if roots.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        let parsed = ParsedCertificate::try_from(end)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, chain, now, algorithms)?;
        let mut wrong_name = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in &self.names {
            match verify_server_name(&parsed, name) {
                Ok(()) => return Ok(()),
                Err(error) => wrong_name = error,
            }
        }
        Err(wrong_name)
    }
}

/// DANE-TA.
const TRUST_ANCHOR: u8 = 2;
/// DANE-EE.
const END_ENTITY: u8 = 3;
/// Certificates of one chain that are compared; honest chains have two to five.
const CHAIN_MAX: usize = 10;
