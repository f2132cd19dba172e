//! MTA-STS policies (RFC 8461): fetched over HTTPS, kept on disk until they expire, whatever happens to the domain's DNS
//! or web server meanwhile.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use rustls::ClientConfig;
use sm2tp_proto::Domain;
use sm2tp_proto::mta_sts::{FetchFailure, POLICY_OCTETS_MAX, Policy, PolicyError, record_id};

use crate::dns::Dns;
use crate::now;
use crate::reach::Reach;

/// The policies that are known. Clones share them.
#[derive(Clone)]
pub struct Policies {
    folder: Option<Arc<Path>>,
    tls: Arc<ClientConfig>,
    reach: Reach,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

#[derive(Debug, Clone)]
struct Known {
    kept: Option<Kept>,
    /// Not fetched again before (RFC 8461 §3.3).
    next_fetch_at: u64,
    failure: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Kept {
    id: String,
    fetched_at: u64,
    policy: Arc<Policy>,
}

impl Policies {
    /// Reads what an earlier run kept in `folder`; without a folder nothing outlives this run.
    #[must_use]
    pub fn open(folder: Option<PathBuf>, tls: Arc<ClientConfig>, reach: Reach) -> Self {
        let mut known = HashMap::new();
        for path in folder.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path()) {
            let Some(domain) = path.file_name().and_then(|name| name.to_str()) else { continue };
            match read(&path) {
                Some(kept) if now() < kept.expires_at() && known.len() < POLICIES_MAX => {
                    known.insert(domain.to_owned(), Known { kept: Some(kept), next_fetch_at: 0, failure: None });
                }
                // Expired, or from a write that was cut short: it is fetched again when it is needed.
                _ => drop(fs::remove_file(&path)),
            }
        }
        Self { folder: folder.map(Into::into), tls, reach, known: Arc::new(Mutex::new(known)) }
    }

    /// The policy of a domain; none where it has none, or none that could be had.
    pub async fn of(&self, domain: &Domain, dns: &Dns) -> Option<Arc<Policy>> {
        let name = file_name(domain.as_str())?;
        let known = self.known(&name);
        let kept = known.as_ref().and_then(|known| known.kept.clone()).filter(|kept| now() < kept.expires_at());
        let id = dns
            .texts(&format!("_mta-sts.{name}"))
            .await
            .ok()
            .and_then(|texts| record_id(texts.iter().map(String::as_str)));
        // RFC 8461 §5.1: a record that is gone does not take back a policy that holds.
        let Some(id) = id else { return kept.map(|kept| kept.policy) };
        let fresh = kept.as_ref().is_some_and(|kept| kept.id == id && now() < kept.fetched_at + REFRESH_S);
        if fresh || known.as_ref().is_some_and(|known| now() < known.next_fetch_at) {
            return kept.map(|kept| kept.policy);
        }
        match self.fetch(&name, dns).await {
            Ok(policy) => {
                let policy = Arc::new(policy);
                let kept = Kept { id, fetched_at: now(), policy: policy.clone() };
                self.keep(&name, &kept);
                self.remember(name, Known { kept: Some(kept), next_fetch_at: now() + FETCH_AGAIN_S, failure: None });
                Some(policy)
            }
            Err(failure) => {
                tracing::warn!(domain = %name, %failure, kept = kept.is_some(), "the MTA-STS policy could not be fetched");
                let policy = kept.as_ref().map(|kept| kept.policy.clone());
                self.remember(
                    name,
                    Known { kept, next_fetch_at: now() + FETCH_AGAIN_S, failure: Some(failure.as_str()) },
                );
                policy
            }
        }
    }

    /// The policy that was last found to hold for this domain.
    #[must_use]
    pub fn held(&self, domain: &str) -> Option<Arc<Policy>> {
        self.known(domain).and_then(|known| known.kept).map(|kept| kept.policy)
    }

    /// Why the last fetch failed, as RFC 8460 names it; told once for each failure.
    #[must_use]
    pub fn take_failure(&self, domain: &str) -> Option<&'static str> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(domain)?.failure.take()
    }

    /// The policy as the web server of a domain gives it now, from one of its addresses that may be asked.
    pub(crate) async fn fetch(&self, domain: &str, dns: &Dns) -> Result<Policy, FetchFailure> {
        let host = format!("mta-sts.{domain}");
        let found = dns.addresses(&host).await.map_err(|failure| FetchFailure::Web(failure.to_string()))?;
        let client = self.reach.client((&host, HTTPS_PORT), &found.found, &self.tls, FETCH_TIMEOUT);
        let client = client.map_err(|error| FetchFailure::Web(error.to_string()))?.ok_or(FetchFailure::NotPublic)?;
        let asked = client.get(format!("https://{host}/.well-known/mta-sts.txt")).send().await;
        let mut answer = asked.map_err(|error| failure(&error))?;
        // RFC 8461 §3.3: 3xx is not followed, and counts as no policy.
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchFailure::Status(answer.status().as_u16()));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("text/plain") {
            return Err(FetchFailure::NotPlain);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failure(&error))? {
            if POLICY_OCTETS_MAX < body.len() + chunk.len() {
                return Err(PolicyError::TooLong.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Policy::parse(&body)?)
    }

    fn known(&self, domain: &str) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned()
    }

    fn remember(&self, domain: String, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if POLICIES_MAX <= all.len() && !all.contains_key(&domain) {
            // One without a policy goes first; it costs only another look-up.
            let gone = all.iter().find(|(_, known)| known.kept.is_none()).or_else(|| all.iter().next());
            if let Some(gone) = gone.map(|(domain, _)| domain.clone()) {
                all.remove(&gone);
            }
        }
        all.insert(domain, known);
    }

    fn keep(&self, domain: &str, kept: &Kept) {
        let Some(folder) = &self.folder else { return };
        if let Err(error) = write(folder, domain, kept) {
            tracing::warn!(%error, domain, "an MTA-STS policy cannot be kept on disk; it holds until the next start");
        }
    }
}

impl Kept {
    fn expires_at(&self) -> u64 {
        self.fetched_at + self.policy.max_age_s
    }
}

fn failure(error: &reqwest::Error) -> FetchFailure {
    let mut words = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut is_tls = false;
    while let Some(error) = source {
        is_tls |= error.downcast_ref::<rustls::Error>().is_some()
            || error.downcast_ref::<io::Error>().is_some_and(|error| {
                error.get_ref().is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some())
            });
        words = error.to_string();
        source = error.source();
    }
    if is_tls { FetchFailure::Tls(words) } else { FetchFailure::Web(words) }
}

/// A domain as a name in DNS and of a file; none where it is no plain name.
fn file_name(domain: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte == b'_';
    (domain.len() <= 253 && !domain.starts_with('.') && domain.bytes().all(plain)).then(|| domain.to_ascii_lowercase())
}

/// The first line holds version, id and time; the policy follows as it is written in RFC 8461.
fn write(folder: &Path, domain: &str, kept: &Kept) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join(format!(".{domain}"));
    let mut file = fs::File::create(&new)?;
    write!(file, "{FILE_VERSION} {} {}\n{}", kept.id, kept.fetched_at, kept.policy.text())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(domain))
}

fn read(path: &Path) -> Option<Kept> {
    let text = fs::read_to_string(path).ok()?;
    let (head, policy) = text.split_once('\n')?;
    let [FILE_VERSION, id, fetched_at] = head.split(' ').collect::<Vec<_>>()[..] else { return None };
    let policy = Policy::parse(policy.as_bytes()).ok()?;
    // A clock that was wrong must not make a policy hold for ever.
    let fetched_at = fetched_at.parse::<u64>().ok()?.min(now());
    Some(Kept { id: id.to_owned(), fetched_at, policy: Arc::new(policy) })
}

const FILE_VERSION: &str = "sm2tp-mta-sts-1";
const HTTPS_PORT: u16 = 443;
/// RFC 8461 §3.3 proposes one minute.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// RFC 8461 §3.3: not more than one attempt in five minutes.
const FETCH_AGAIN_S: u64 = 300;
/// RFC 8461 §3.3: looked at once a day, so that it is renewed long before it expires.
const REFRESH_S: u64 = 86_400;
/// Domains whose policy, or whose lack of a reachable one, is remembered; each is some hundred octets.
const POLICIES_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_broken_is_not() {
        let folder = std::env::temp_dir().join(format!("sm2tp-sts-{}", std::process::id()));
        let policy = Policy::parse(b"version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 600").unwrap();
        let kept = |fetched_at| Kept { id: "7".into(), fetched_at, policy: Arc::new(policy.clone()) };
        write(&folder, "good.example", &kept(now())).unwrap();
        write(&folder, "old.example", &kept(now() - 601)).unwrap();
        write(&folder, "future.example", &kept(now() + 9_000_000)).unwrap();
        fs::write(folder.join("cut.example"), "sm2tp-mta-sts-1 7").unwrap();
        fs::write(folder.join("other.example"), "sm2tp-mta-sts-2 7 1\nx").unwrap();
        let tls = crate::tls::TlsClient::new(None).unwrap().certified;
        let policies = Policies::open(Some(folder.clone()), tls, Reach::public_and(|_| true));
        for (domain, there) in [("good", true), ("old", false), ("cut", false), ("other", false), ("future", true)] {
            assert_eq!(policies.known(&format!("{domain}.example")).is_some(), there, "{domain}");
        }
        assert_eq!(*policies.known("good.example").unwrap().kept.unwrap().policy, policy);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "what is of no use is gone");
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_policy_holds_though_its_web_server_or_its_record_is_gone() {
        let policy = Arc::new(Policy::parse(b"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 600").unwrap());
        let policies =
            Policies::open(None, crate::tls::TlsClient::new(None).unwrap().certified, Reach::public_and(|_| true));
        for domain in ["moved.test", "gone.test", "expired.test"] {
            let fetched_at = if domain == "expired.test" { now() - 601 } else { now() };
            let kept = Kept { id: "1".into(), fetched_at, policy: policy.clone() };
            policies.remember(domain.into(), Known { kept: Some(kept), next_fetch_at: 0, failure: None });
        }
        let record = "v=STSv1; id=2";
        let zone = ["moved", "new", "expired"].iter().fold(crate::testing::Zone::default(), |zone, domain| {
            zone.text(&format!("_mta-sts.{domain}.test"), record)
        });
        let dns = zone.serve(crate::Trust::Nothing, crate::IpUse::V4First);
        for (domain, holds) in [("moved", true), ("gone", true), ("expired", false), ("new", false), ("none", false)] {
            let domain = Domain::parse(&format!("{domain}.test")).unwrap();
            assert_eq!(policies.of(&domain, &dns).await.is_some(), holds, "{domain}");
        }
        assert!(now() < policies.known("new.test").unwrap().next_fetch_at, "nobody knocks again at once");
    }

    #[tokio::test]
    async fn a_web_server_behind_this_machine_is_not_asked() {
        let tls = crate::tls::TlsClient::new(None).unwrap().certified;
        let policies = Policies::open(None, tls, Reach::public_and(|_| false));
        let zone = crate::testing::Zone::default().ip("mta-sts.a.test", "127.0.0.1").ip("mta-sts.b.test", "fd00::1");
        let dns = zone.serve(crate::Trust::Nothing, crate::IpUse::V4First);
        for domain in ["a.test", "b.test"] {
            assert_eq!(policies.fetch(domain, &dns).await, Err(FetchFailure::NotPublic), "{domain}");
        }
    }

    #[test]
    fn names_that_are_no_names_touch_no_file() {
        for bad in ["../etc/passwd", ".hidden", "a/b", "a b", "é.example"] {
            assert_eq!(file_name(bad), None, "{bad}");
        }
        assert_eq!(file_name("Example.ORG").as_deref(), Some("example.org"));
    }
}
