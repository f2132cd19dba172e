//! TLS of the doors: certificate and key from PEM files, read again when they change.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    Pem {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{path}: there is no certificate in this file")]
    Empty { path: PathBuf },
    #[error("certificate and key do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

impl TlsError {
    /// The file that is wrong, where it is one of them.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Pem { path, .. } | Self::Empty { path } => Some(path),
            Self::Pair(_) => None,
        }
    }
}

/// A certificate with its key: what new connections get, and the files where the next one will lie.
///
/// Whoever renews certificates (certbot, a copy from another machine) replaces the files and need not tell us.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// How the files looked when they were last read, whether that went well or not.
    seen: Mutex<[Stamp; 2]>,
}

/// What changes when a file is written or another one put in its place; none where it cannot be looked at.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// Asks that files be read again; each is answered when that is done.
pub type Again = mpsc::Receiver<oneshot::Sender<()>>;

/// Why the files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It is time: they are read where they look different from the last time.
    Clock,
    /// A person asked (SIGHUP): they are read anyway.
    Asked,
}

impl Certificates {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        // Before the files are read: what changes meanwhile is found at the next look.
        let seen = [stamp(certificate), stamp(key)];
        let current = pair(certificate, key)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(seen),
        }))
    }

    /// Shakes hands with the certificate that is the current one at that moment.
    ///
    /// # Errors
    /// [`TlsError::Pair`] where the TLS library cannot be set up.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files for as long as the node runs, and at once when `again` asks for it.
    pub async fn follow(self: Arc<Self>, mut again: Again, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let (occasion, asker) = tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => (Occasion::Clock, None),
                Some(asker) = again.recv() => (Occasion::Asked, Some(asker)),
                () = &mut stop => return,
            };
            let look = self.clone();
            // A file system that hangs must not hang the doors.
            if tokio::task::spawn_blocking(move || look.look(occasion)).await.is_err() {
                tracing::error!("the certificate files could not be looked at");
            }
            // Who asked may have waited long enough.
            asker.map(|asker| asker.send(()));
        }
    }

    /// Takes a new pair, or keeps the one in use and says once what is wrong with the new one.
    pub fn look(&self, occasion: Occasion) {
        let now = [stamp(&self.certificate), stamp(&self.key)];
        let before = std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now);
        if before == now && occasion == Occasion::Clock {
            return;
        }
        match pair(&self.certificate, &self.key) {
            Ok(pair) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                tracing::info!(certificate = %self.certificate.display(), "the TLS certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the new TLS certificate cannot be used; the one in use stays");
            }
        }
    }
}

impl Certificates {
    /// From when to when the certificate in use is valid, in unix seconds.
    #[must_use]
    pub fn life(&self) -> Option<(u64, u64)> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.cert.first().and_then(life)
    }

    /// Whether the certificate in use is for this host, as a client checks it.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(certificate) = current.cert.first() else { return false };
        let parsed = ParsedCertificate::try_from(certificate);
        parsed
            .is_ok_and(|parsed| ServerName::try_from(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok()))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.certificate.display())
    }
}

/// When a certificate that is valid from one to the other (unix seconds) should have been renewed. An authority's client
/// renews a third before the end; of what is left then, half may pass.
#[must_use]
pub fn renewed_by((from, to): (u64, u64)) -> u64 {
    to.saturating_sub(RENEWAL_S.min(to.saturating_sub(from) / 6))
}

/// From when to when a certificate is valid, in unix seconds.
pub(crate) fn life(certificate: &CertificateDer<'_>) -> Option<(u64, u64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let second = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).ok();
    Some((second(parsed.validity().not_before)?, second(parsed.validity().not_after)?))
}

fn stamp(path: &Path) -> Stamp {
    // Follows links: certbot's `live` folder has nothing else.
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}

fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .map_err(pem(certificate))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    Ok(CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider())?)
}

/// Two looks at two files cost nothing; a renewed certificate has weeks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Of a certificate for a year.
const RENEWAL_S: u64 = 14 * 86_400;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn make(dir: &Path) -> (PathBuf, PathBuf) {
        std::fs::create_dir_all(dir).unwrap();
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        let done = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=relay.example.org", "-out"])
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (certificate, key)
    }

    fn in_use(certificates: &Certificates) -> Vec<u8> {
        certificates.current.read().unwrap().cert[0].to_vec()
    }

    #[test]
    fn what_looks_the_same_is_not_read_and_what_changed_is() {
        let dir = std::env::temp_dir().join(format!("sm2tp-tls-{}", std::process::id()));
        let (certificate, key) = make(&dir.join("a"));
        let (second, second_key) = make(&dir.join("b"));
        let certificates = Certificates::read(&certificate, &key).unwrap();
        let first = in_use(&certificates);
        certificates.look(Occasion::Clock);
        assert_eq!(in_use(&certificates), first);
        // As certbot does it: another file under the same name.
        std::fs::rename(&second, &certificate).unwrap();
        certificates.look(Occasion::Clock);
        assert_eq!(in_use(&certificates), first, "the key has not followed yet");
        std::fs::rename(&second_key, &key).unwrap();
        certificates.look(Occasion::Clock);
        assert_ne!(in_use(&certificates), first);
        let second = in_use(&certificates);
        std::fs::remove_file(&key).unwrap();
        certificates.look(Occasion::Clock);
        certificates.look(Occasion::Asked);
        assert_eq!(in_use(&certificates), second);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
