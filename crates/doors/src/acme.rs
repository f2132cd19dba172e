//! Certificates by ACME (RFC 8555): asked for with http-01, renewed at two thirds of their life. The only file that knows
//! instant-acme and rcgen.
//!
//! Until the first certificate is there, one that signs itself stands in, so that the doors open.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::timeout;

use crate::now;
use crate::tls::{self, Certificates, Occasion};

/// From whom certificates come, and for what name.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of the authority.
    pub directory: String,
    /// Mail address to which it writes when something is wrong.
    pub contact: String,
    /// The root of an authority that is not a public one; PEM.
    pub root: Option<PathBuf>,
    pub hostname: String,
    /// Where account and certificate are kept.
    pub dir: PathBuf,
}

/// Why there is no new certificate.
#[derive(Debug, Error)]
pub enum AcmeError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Authority(#[from] instant_acme::Error),
    #[error("the authority offers no http-01 challenge for {0}")]
    NoChallenge(String),
    #[error("the authority did not find our answer at http://{0}/.well-known/acme-challenge/")]
    NotFound(String),
    #[error("{0}")]
    Key(#[from] rcgen::Error),
    #[error("the authority was not done within {} seconds", WHOLE.as_secs())]
    Timeout,
}

/// What the HTTP door answers to the authority; clones share it.
#[derive(Clone, Default)]
pub struct Challenges(Arc<RwLock<HashMap<String, String>>>);

impl Challenges {
    /// The answer to a challenge that is open.
    #[must_use]
    pub fn answer(&self, token: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    fn open(&self, token: String, answer: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token, answer);
    }

    fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// An account at one authority, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    directory: String,
    credentials: AccountCredentials,
}

/// Asks for certificates when it is time.
pub struct Renewal {
    settings: Settings,
    challenges: Challenges,
}

/// The file with certificate and key, made with a stand-in where there is none yet.
///
/// # Errors
/// [`AcmeError`] where it cannot be written.
pub fn prepare(settings: &Settings) -> Result<PathBuf, AcmeError> {
    fs::create_dir_all(&settings.dir).map_err(at(&settings.dir))?;
    let pair = settings.dir.join(PAIR);
    if !pair.exists() {
        let made = rcgen::generate_simple_self_signed([settings.hostname.clone()])?;
        let text = format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem());
        write_secret(&pair, &text)?;
    }
    Ok(pair)
}

impl Renewal {
    #[must_use]
    pub fn new(settings: Settings, challenges: Challenges) -> Self {
        Self { settings, challenges }
    }

    /// Renews for as long as the node runs.
    pub async fn run(self, certificates: Arc<Certificates>, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut failures = 0;
        loop {
            let wait_s = match wait_s(&self.pair(), now()) {
                0 => self.try_once(&certificates, &mut failures).await,
                wait_s => wait_s.min(LOOK_S),
            };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(wait_s)) => {}
                () = &mut stop => return,
            }
        }
    }

    /// Answers with the seconds to wait afterwards.
    async fn try_once(&self, certificates: &Certificates, failures: &mut u32) -> u64 {
        let renewed = timeout(WHOLE, self.renew()).await.unwrap_or(Err(AcmeError::Timeout));
        self.challenges.close();
        match renewed {
            Ok(()) => {
                *failures = 0;
                tracing::info!(hostname = self.settings.hostname, "a certificate was issued");
                certificates.look(Occasion::Asked);
                match wait_s(&self.pair(), now()) {
                    // Of no duration: an authority, or a clock, that is wrong is not asked on and on.
                    0 => AGAIN_FIRST_S,
                    wait_s => wait_s.min(LOOK_S),
                }
            }
            Err(error) => {
                let wait_s = match &error {
                    // Each request needs the number that the last answer gave; a busy authority forgets some. RFC 8555 §6.5
                    // wants another try, and the library has given up after three.
                    AcmeError::Authority(error) if says(error, "badNonce") && *failures < STALE_TRIES_MAX => {
                        1 << *failures
                    }
                    _ => again_s(*failures, life_of(&self.pair())),
                };
                *failures = failures.saturating_add(1);
                tracing::error!(%error, again_s = wait_s, "no certificate was issued; the one in use stays");
                wait_s
            }
        }
    }

    fn pair(&self) -> PathBuf {
        self.settings.dir.join(PAIR)
    }

    async fn renew(&self) -> Result<(), AcmeError> {
        match self.order(&self.account().await?).await {
            // It was set up anew, or threw the account away.
            Err(AcmeError::Authority(error)) if says(&error, "accountDoesNotExist") => {
                tracing::warn!("the authority does not know our account any more; a new one is made");
                let path = self.settings.dir.join(ACCOUNT);
                fs::remove_file(&path).map_err(at(&path))?;
                self.order(&self.account().await?).await
            }
            done => done,
        }
    }

    async fn order(&self, account: &Account) -> Result<(), AcmeError> {
        let names = [Identifier::Dns(self.settings.hostname.clone())];
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::Http01);
            let mut challenge = challenge.ok_or_else(|| AcmeError::NoChallenge(self.settings.hostname.clone()))?;
            self.challenges.open(challenge.token.clone(), challenge.key_authorization().as_str().to_owned());
            challenge.set_ready().await?;
        }
        let patience = RetryPolicy::new().timeout(Duration::from_secs(120));
        if order.poll_ready(&patience).await? != OrderStatus::Ready {
            return Err(AcmeError::NotFound(self.settings.hostname.clone()));
        }
        // A new key each time.
        let key = rcgen::KeyPair::generate()?;
        let request = rcgen::CertificateParams::new([self.settings.hostname.clone()])?.serialize_request(&key)?;
        order.finalize_csr(request.der()).await?;
        let chain = order.poll_certificate(&patience).await?;
        // Both in one file: no moment, and no crash, in which they do not go together.
        write_secret(&self.pair(), &format!("{}{chain}", key.serialize_pem()))
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let builder = || match &self.settings.root {
            Some(root) => Account::builder_with_root(root),
            None => Account::builder(),
        };
        let path = self.settings.dir.join(ACCOUNT);
        let kept: Option<Kept> = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        if let Some(kept) = kept.filter(|kept| kept.v == VERSION && kept.directory == self.settings.directory) {
            return Ok(builder()?.from_credentials(kept.credentials).await?);
        }
        let contact = format!("mailto:{}", self.settings.contact);
        let new = NewAccount { contact: &[&contact], terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder()?.create(&new, self.settings.directory.clone(), None).await?;
        let kept = Kept { v: VERSION, directory: self.settings.directory.clone(), credentials };
        let text = serde_json::to_string(&kept).map_err(|error| at(&path)(io::Error::other(error)))?;
        write_secret(&path, &text)?;
        Ok(account)
    }
}

/// Seconds until the certificate in this file is to be renewed: at two thirds of its life; at once where it is a stand-in
/// or cannot be read.
fn wait_s(pair: &Path, now: u64) -> u64 {
    let Some((begin, end)) = life_of(pair) else { return 0 };
    (begin + end.saturating_sub(begin) / 3 * 2).saturating_sub(now)
}

/// Seconds until the next try, after so many failures in a row: doubled each time, and in proportion to the life of the
/// certificate in use, so that one of a few hours is not over before the second try.
fn again_s(failures: u32, life: Option<(u64, u64)>) -> u64 {
    let life_s = life.map_or(u64::MAX, |(begin, end)| end.saturating_sub(begin));
    let first_s = AGAIN_FIRST_S.min(life_s / 30).max(1);
    first_s.saturating_mul(1 << failures.min(10)).min(AGAIN_MAX_S.min(life_s / 10).max(1))
}

/// Whether the authority names this trouble (RFC 8555 §6.7).
fn says(error: &instant_acme::Error, trouble: &str) -> bool {
    let instant_acme::Error::Api(problem) = error else { return false };
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(trouble)
}

/// From when to when a certificate that somebody else signed is valid, in unix seconds.
fn life(certificate: &CertificateDer<'_>) -> Option<(u64, u64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let is_stand_in = parsed.issuer() == parsed.subject();
    if is_stand_in { None } else { tls::life(certificate) }
}

/// The same of the first one in a file.
fn life_of(pair: &Path) -> Option<(u64, u64)> {
    CertificateDer::from_pem_file(pair).ok().as_ref().and_then(life)
}

/// Writes beside and renames; for its owner alone, as a key must be.
fn write_secret(path: &Path, text: &str) -> Result<(), AcmeError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AcmeError + use<> {
    let path = path.to_owned();
    move |source| AcmeError::Io { path, source }
}

const PAIR: &str = "pair.pem";
const ACCOUNT: &str = "account.json";
const VERSION: u32 = 1;
/// One request for a certificate, with all its waiting.
const WHOLE: Duration = Duration::from_secs(300);
/// The certificate is looked at this often.
const LOOK_S: u64 = 12 * 3600;
/// Seconds in all until then: half a minute.
const STALE_TRIES_MAX: u32 = 5;
/// After a failure, doubled each time. Public authorities allow few failures an hour.
const AGAIN_FIRST_S: u64 = 900;
const AGAIN_MAX_S: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    fn settings(name: &str) -> Settings {
        Settings {
            directory: "https://ca.example/directory".into(),
            contact: "postmaster@example.org".into(),
            root: None,
            hostname: "relay.example.org".into(),
            dir: std::env::temp_dir().join(format!("sm2tp-acme-{name}-{}", std::process::id())),
        }
    }

    #[test]
    fn a_stand_in_is_renewed_at_once_and_kept_secret() {
        let settings = settings("stand-in");
        let pair = prepare(&settings).unwrap();
        assert_eq!(fs::metadata(&pair).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&pair).unwrap();
        assert_eq!(prepare(&settings).unwrap(), pair);
        assert_eq!(fs::read(&pair).unwrap(), before);
        Certificates::read(&pair, &pair).unwrap();
        assert_eq!(wait_s(&pair, 0), 0);
        fs::write(&pair, "damaged").unwrap();
        assert_eq!(wait_s(&pair, 0), 0);
        fs::remove_dir_all(&settings.dir).unwrap();
    }

    #[test]
    fn tries_become_rare_and_are_still_several_in_what_is_left_of_a_life() {
        let tries = |life_s: Option<u64>| (0..9).map(move |n| again_s(n, life_s.map(|life_s| (1000, 1000 + life_s))));
        let (minute, hour, day) = (60, 3600, 86_400);
        let doubled = [900, 1800, hour, 2 * hour, 4 * hour, 8 * hour, 16 * hour, day, day];
        assert_eq!(tries(None).collect::<Vec<_>>(), doubled, "a stand-in");
        assert_eq!(tries(Some(90 * day)).collect::<Vec<_>>(), doubled);
        assert_eq!(tries(Some(6 * day)).max(), Some(14 * hour + 24 * minute));
        // Two hours are left to one of six, when it is to be renewed.
        let short: Vec<u64> = tries(Some(6 * hour)).collect();
        assert_eq!(short[..3], [12 * minute, 24 * minute, 36 * minute]);
        assert_eq!(again_s(u32::MAX, Some((5, 0))), 1);
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let settings = settings("renewal");
        fs::create_dir_all(&settings.dir).unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let mut params = CertificateParams::new([settings.hostname.clone()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2027, 1, 1), date_time_ymd(2027, 3, 31));
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let pair = settings.dir.join(PAIR);
        fs::write(&pair, certificate.pem()).unwrap();
        let begin = 1_798_761_600;
        let days = |seconds: u64| seconds as f64 / 86_400.0;
        assert!((days(wait_s(&pair, begin)) - 89.0 * 2.0 / 3.0).abs() < 0.1);
        assert_eq!(wait_s(&pair, begin + 60 * 86_400), 0);
        fs::remove_dir_all(&settings.dir).unwrap();
    }
}
