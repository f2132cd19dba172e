//! Signs what leaves (DKIM, RFC 6376): finds out who wrote, asks the rules which domain signs, and gives the fields that
//! go before the message. The spool is never rewritten: each attempt is signed anew, from the content as it was taken.
//!
//! Mail that is passed on is sealed besides ([`arc`]). Nobody else knows the library.

mod arc;
mod cache;
mod canonical;
mod dkim;
mod threads;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sm2tp_proto::Domain;
use sm2tp_proto::header::{self, Field};
use sm2tp_rules::Stream;
use sm2tp_rules::sign::{self, Author, Facts, Listed, Owner, Party, Unsigned};
use sm2tp_store::accounts::Accounts;
use sm2tp_store::dkim::{Algorithm, DkimKeys, Key, ascii};
use sm2tp_store::spool::Mail;
use thiserror::Error;

use self::arc::Sealer;
pub use self::arc::Sealing;
use self::cache::Cache;
use self::threads::Threads;
use crate::body::Body;
use crate::dns::Dns;
use crate::now;

/// How mail is signed; `[dkim]` of the configuration.
#[derive(Debug, Clone)]
pub struct Signing {
    /// One signature for each; none: nothing is signed.
    pub algorithms: Vec<Algorithm>,
    /// Signs where the author's domain has no key.
    pub default: Option<Domain>,
    /// Whether mail of orgs without domains of their own is signed for domains that another org lists.
    pub listed: Listed,
    pub sealing: Sealing,
}

/// The fields that go before a message; each ends with CRLF. Empty for mail that nobody here vouches for.
pub(crate) type Fields = Arc<[u8]>;

/// Why a mail that should be signed is not. It is not sent then: where a domain's policy is to refuse unsigned mail, it
/// would come back for good, and waiting costs only time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SignError {
    #[error("the key {selector}._domainkey.{domain} cannot sign: {why}")]
    Key { selector: String, domain: Domain, why: String },
    #[error("the task that signs has ended early")]
    Task,
}

/// Signs mail; one for the whole relay.
pub(crate) struct Signer {
    keys: DkimKeys,
    accounts: Accounts,
    hostname: String,
    signing: Signing,
    sealer: Sealer,
    cache: Cache,
    threads: Threads,
    complained_at: AtomicU64,
}

impl Signer {
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn start(
        keys: DkimKeys,
        accounts: Accounts,
        hostname: String,
        signing: Signing,
        dns: Dns,
    ) -> io::Result<Self> {
        Ok(Self {
            sealer: Sealer::new(dns, signing.sealing.clone()),
            keys,
            accounts,
            hostname,
            signing,
            cache: Cache::default(),
            threads: Threads::start()?,
            complained_at: AtomicU64::new(0),
        })
    }

    /// The fields to write before this content.
    ///
    /// # Errors
    /// [`SignError`]; a person was told, once a minute at most.
    pub(crate) async fn sign(&self, mail: &Mail, content: &Arc<Body>) -> Result<Fields, SignError> {
        if self.keys.is_empty() || self.signing.algorithms.is_empty() && !is_passed_on(mail) {
            return Ok(Fields::default());
        }
        let cell = self.cache.cell(mail.id, self.keys.version());
        let signed = cell.get_or_try_init(|| self.make(mail, content)).await.cloned();
        self.complain(signed.as_ref().err());
        signed
    }

    /// The fields to write before this content where some of our own go with it, whole and with their line ends; they are
    /// signed with the rest, and are the last of what this gives. Not for mail that is passed on.
    ///
    /// # Errors
    /// [`SignError`]; a person was told, once a minute at most.
    pub(crate) async fn sign_with(&self, mail: &Mail, content: &Arc<Body>, own: &str) -> Result<Fields, SignError> {
        if self.signing.algorithms.is_empty() || self.keys.is_empty() {
            return Ok(own.as_bytes().into());
        }
        let end = content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 4);
        let message = [own.as_bytes(), &content[..end]].concat();
        let signed = self.signature(mail, content, Some(message)).await;
        self.complain(signed.as_ref().err());
        Ok([&signed?[..], own.as_bytes()].concat().into())
    }

    fn complain(&self, error: Option<&SignError>) {
        let Some(error) = error else { return };
        let (now, last) = (now(), self.complained_at.load(Ordering::Relaxed));
        if last + COMPLAIN_S <= now {
            self.complained_at.store(now, Ordering::Relaxed);
            tracing::error!(%error, "mail waits because it cannot be signed; see `sm2tp dkim list`");
        }
    }

    async fn make(&self, mail: &Mail, content: &Arc<Body>) -> Result<Fields, SignError> {
        let signed = self.signature(mail, content, None).await?;
        // RFC 8617 §5.1: the seal comes after all other changes.
        if is_passed_on(mail) { self.seal(mail, content, signed).await } else { Ok(signed) }
    }

    /// `header` is the header as it leaves, where that is not the one of the content.
    async fn signature(&self, mail: &Mail, content: &Arc<Body>, header: Option<Vec<u8>>) -> Result<Fields, SignError> {
        if is_of_a_stranger(mail) {
            return Ok(Fields::default());
        }
        let fields = header::fields(header.as_deref().unwrap_or(content));
        let names = fields.as_deref().and_then(dkim::names);
        let author = fields.as_deref().filter(|_| names.is_some()).map_or(Author::Unclear, author);
        let (Ok(domain), Some(names)) = (self.domain(mail, &author), names) else { return Ok(Fields::default()) };
        let keys = self.keys(&domain);
        let content = content.clone();
        let signing = move || dkim::sign(&keys, &names, header.as_deref().unwrap_or(&content), &content);
        self.threads.done(signing).await.ok_or(SignError::Task)?
    }

    fn domain(&self, mail: &Mail, author: &Author) -> Result<String, Unsigned> {
        let party = match self.accounts.has_domains(&mail.org) {
            _ if mail.is_report => Party::Node,
            true => Party::WithDomains,
            false => Party::Any { listed: self.signing.listed },
        };
        let facts = Facts { author, party, default: self.signing.default.as_ref(), hostname: &self.hostname };
        let owner = |domain: &str| self.owner(domain, mail);
        let domain = sign::domain(&facts, |domain| !self.keys(domain).is_empty(), owner);
        if let Err(why) = &domain {
            tracing::debug!(mail = mail.id, org = %mail.org, ?author, ?why, "not signed");
        }
        domain
    }

    /// The fields with a seal before them, where there is to be one.
    async fn seal(&self, mail: &Mail, content: &Arc<Body>, signed: Fields) -> Result<Fields, SignError> {
        let (default, owner) = (self.signing.default.as_ref(), |domain: &str| self.owner(domain, mail));
        let sealed = match self.sealer.key(&self.keys, default, &self.hostname, owner) {
            Ok(key) => self.sealer.seal(key, self.hostname.clone(), content, &signed).await?,
            Err(why) => Err(why),
        };
        match sealed {
            Ok(set) => Ok([&set[..], &signed].concat().into()),
            Err(why) => {
                tracing::debug!(mail = mail.id, org = %mail.org, ?why, "not sealed");
                Ok(signed)
            }
        }
    }

    fn owner(&self, domain: &str, mail: &Mail) -> Owner {
        match self.accounts.lists(domain, &mail.org) {
            None => Owner::Nobody,
            Some(true) => Owner::Sender,
            Some(false) => Owner::Others,
        }
    }

    /// The keys with which a domain signs now.
    fn keys(&self, domain: &str) -> Vec<Arc<Key>> {
        let mut keys = self.keys.signing(domain, now());
        keys.retain(|key| self.signing.algorithms.contains(&key.algorithm()));
        keys
    }
}

/// Mail that somebody else wrote and that was here before, on its way to another place.
fn is_passed_on(mail: &Mail) -> bool {
    mail.stream == Stream::Forwarded && !mail.is_report
}

/// A report that came in and goes on to the sender: anybody may have written it, with any name of ours in `From`, so nobody
/// here vouches for it.
fn is_of_a_stranger(mail: &Mail) -> bool {
    mail.stream == Stream::Forwarded && mail.is_report
}

/// Who wrote, by the `From` field.
fn author(fields: &[Field<'_>]) -> Author {
    let mut from = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("From"));
    let Some(field) = from.next() else { return Author::Nobody };
    // RFC 5322 §3.6 allows one; receivers differ in which of two they show.
    let domains = header::domains(field.value).filter(|_| from.next().is_none());
    match domains.as_deref() {
        Some([domain]) => ascii(domain).map_or(Author::Unclear, Author::Domain),
        _ => Author::Unclear,
    }
}

/// Seconds between two complaints in the log.
const COMPLAIN_S: u64 = 60;
