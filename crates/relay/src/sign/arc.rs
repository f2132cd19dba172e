//! Seals mail that is passed on (ARC, RFC 8617): what it proved when it arrived, in the name of this node, so that the next
//! receiver can believe a signature that the way broke.
//!
//! As with DKIM the fields go before the content of each attempt, and the spool is never rewritten: so what is found is
//! what can be found at that moment.

mod arrival;
mod set;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use mail_auth::MessageAuthenticator;
use sm2tp_proto::Domain;
use sm2tp_proto::header;
use sm2tp_rules::seal::{self, Names, Unsealed};
use sm2tp_rules::sign::Owner;
use sm2tp_store::dkim::{Algorithm, DkimKeys, Key};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::arrival::Keys;
use self::set::Draft;
use super::{Fields, SignError};
use crate::body::Body;
use crate::dns::{Dns, Missing};
use crate::now;

/// Who seals mail that is passed on; `[dkim] seal` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealing {
    Off,
    /// This domain.
    By(Domain),
    /// The default of signatures or this node's own name, where they have a key.
    ByUs,
}

/// Seals mail; one for the whole relay.
pub(super) struct Sealer {
    dns: Dns,
    library: MessageAuthenticator,
    sealing: Sealing,
    patience: Duration,
    /// More at once than cores would only queue elsewhere.
    at_once: Semaphore,
}

/// A seal, or why there is none.
pub(super) type Sealed = Result<Vec<u8>, Unsealed>;

impl Sealer {
    pub(super) fn new(dns: Dns, sealing: Sealing) -> Self {
        // The library never asks it (see `arrival`).
        let library = MessageAuthenticator(dns.resolver());
        let at_once = Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get));
        Self { dns, library, sealing, patience: ANSWERS, at_once }
    }

    /// The key that seals: RSA, the one kind that all who verify chains understand.
    pub(super) fn key(
        &self,
        keys: &DkimKeys,
        default: Option<&Domain>,
        hostname: &str,
        owner: impl Fn(&str) -> Owner,
    ) -> Result<Arc<Key>, Unsealed> {
        let chosen = match &self.sealing {
            Sealing::Off => return Err(Unsealed::NoKey),
            Sealing::By(domain) => Some(domain),
            Sealing::ByUs => None,
        };
        let rsa = |domain: &str| keys.signing(domain, now()).into_iter().find(|key| key.algorithm() == Algorithm::Rsa);
        let names = Names { chosen, default, hostname };
        let domain = seal::domain(names, |domain| rsa(domain).is_some(), owner)?;
        rsa(&domain).ok_or(Unsealed::NoKey)
    }

    /// The set for a content before which `signed` goes. Waits for the DNS, for [`ANSWERS`] at most.
    ///
    /// # Errors
    /// [`SignError`] where the key fails.
    pub(super) async fn seal(
        &self,
        key: Arc<Key>,
        hostname: String,
        content: &Arc<Body>,
        signed: &Fields,
    ) -> Result<Sealed, SignError> {
        let read = content.clone();
        let wanted = aside(move || Ok(arrival::wanted(&read).ok_or(Unsealed::Unreadable))).await?;
        let keys = match wanted {
            Ok(names) => self.look_up(names).await,
            Err(why) => return Ok(Err(why)),
        };
        let (library, content, signed) = (self.library.clone(), content.clone(), signed.clone());
        let _permit = self.at_once.acquire().await.map_err(|_| SignError::Task)?;
        let handle = Handle::current();
        // All its answers are there: it never waits.
        aside(move || handle.block_on(set(&key, &hostname, &content, &signed, &keys, &library))).await
    }

    /// What the DNS says of these keys. What it has not said in time counts as no answer.
    async fn look_up(&self, names: Vec<String>) -> Keys {
        let mut asking = JoinSet::new();
        for name in names {
            let (dns, patience) = (self.dns.clone(), self.patience);
            asking.spawn(async move {
                let answer = timeout(patience, dns.texts(&name)).await.unwrap_or(Err(Missing::Failure));
                (name, answer)
            });
        }
        let mut keys = Keys::default();
        while let Some(answer) = asking.join_next().await {
            if let Ok((name, answer)) = answer {
                keys.add(name, answer);
            }
        }
        keys
    }
}

/// Does work with the octets of strangers where other tasks do not wait for it. What makes the library fall over costs the
/// seal, not the mail.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<Result<T, Unsealed>, SignError> + Send + 'static,
) -> Result<Result<T, Unsealed>, SignError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => {
            tracing::error!(%error, "a mail could not be read for a seal; it leaves without");
            Ok(Err(Unsealed::Unreadable))
        }
        Err(_) => Err(SignError::Task),
    }
}

async fn set(
    key: &Key,
    hostname: &str,
    content: &[u8],
    signed: &[u8],
    keys: &Keys,
    library: &MessageAuthenticator,
) -> Result<Sealed, SignError> {
    let fields = header::fields(signed).zip(header::fields(content));
    let Some((ours, theirs)) = fields else { return Ok(Err(Unsealed::Unreadable)) };
    if !theirs.iter().any(|field| field.name.eq_ignore_ascii_case("From")) {
        return Ok(Err(Unsealed::Unreadable));
    }
    let Some(arrival) = arrival::verified(content, keys, library).await else { return Ok(Err(Unsealed::Unreadable)) };
    let seal = match seal::next(arrival.chain) {
        Ok(seal) => seal,
        Err(why) => return Ok(Err(why)),
    };
    let draft = Draft { seal, key, hostname, arrival: &arrival, now: now() };
    draft.write(&[ours, theirs].concat(), content).map_or(Ok(Err(Unsealed::Unreadable)), |set| set.map(Ok))
}

/// How long the DNS may take for the keys of one mail, which holds up a connection to its site: who wants to slow others
/// down can write names into a mail that nobody answers for. The mail leaves then without a seal, or with one that says
/// what is not known.
const ANSWERS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
