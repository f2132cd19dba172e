//! What a person does with DKIM keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_proto::Domain;
use sm2tp_store::dkim::{Algorithm, DkimError, DkimKeys, Key, SIGNATURE_LIFE_S, Source, State, ascii};
use tokio::task::spawn_blocking;

use super::{Problem, Refusal};
use crate::{House, now};

pub(super) async fn new(
    house: &House,
    domain: &str,
    selector: Option<String>,
    algorithm: Option<Algorithm>,
    pem: Option<String>,
) -> Result<Value, Problem> {
    let domain = parsed(domain)?;
    change(house, move |keys| {
        let algorithms = algorithm.map_or(Algorithm::ALL.to_vec(), |algorithm| vec![algorithm]);
        let source = pem.as_deref().map_or(Source::Random(&algorithms), Source::Pem);
        keys.create(&domain, selector.as_deref(), &source, now())
    })
    .await
}

pub(super) async fn rotate(
    house: &House,
    domain: &str,
    selector: Option<String>,
    wait_s: u64,
) -> Result<Value, Problem> {
    let domain = parsed(domain)?;
    if WAIT_S_MAX < wait_s {
        return Err(Problem::Input(Refusal::LongWait));
    }
    let now = now();
    change(house, move |keys| keys.rotate(&domain, selector.as_deref(), now, now + wait_s)).await
}

/// How a key may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// Only one that does not sign.
    Unused,
    Any,
}

pub(super) async fn remove(house: &House, domain: &str, selector: String, which: Removal) -> Result<Value, Problem> {
    let (domain, now) = (parsed(domain)?, now());
    let name = ascii(&domain);
    let known = house.dkim.all().into_iter().find(|key| Some(&key.domain) == name.as_ref() && key.selector == selector);
    let state = known.as_ref().map(|key| key.state(now));
    if state == Some(State::Signing) && which == Removal::Unused {
        return Err(Problem::Input(Refusal::KeySigns { selector, domain: domain.to_string() }));
    }
    let (keys, of, gone) = (house.dkim.clone(), domain.clone(), selector.clone());
    run(move || keys.remove(&of, &gone)).await?;
    // What it signed a moment ago is on its way, and is checked when it arrives.
    let last = state.filter(|state| *state != State::Waiting).map(|_| now + SIGNATURE_LIFE_S);
    let record_until = known.and_then(|key| key.record_until()).or(last).filter(|until| now < *until);
    let signing = name.map_or(0, |domain| house.dkim.signing(domain.as_str(), now).len());
    Ok(json!({ "removed": selector, "domain": domain.as_str(), "signing": signing, "record_until": record_until }))
}

/// All keys, or those of one domain, with their records. A domain without keys is a mistake of who asks for it.
pub(super) fn list(house: &House, domain: Option<&str>) -> Result<Value, Problem> {
    let domain = domain.map(parsed).transpose()?;
    let wanted = domain.as_ref().and_then(ascii);
    let keys: Vec<_> =
        house.dkim.all().into_iter().filter(|key| wanted.as_ref().is_none_or(|domain| key.domain == *domain)).collect();
    match domain {
        Some(domain) if keys.is_empty() => Err(DkimError::NoKey(domain).into()),
        _ => keys.iter().map(|key| shown(key)).collect::<Result<_, _>>().map(Value::Array),
    }
}

/// Files are written and RSA keys searched for: not on a thread that others wait for.
async fn change(
    house: &House,
    make: impl FnOnce(&DkimKeys) -> Result<Vec<Arc<Key>>, DkimError> + Send + 'static,
) -> Result<Value, Problem> {
    let keys = house.dkim.clone();
    let made = run(move || make(&keys)).await?;
    made.iter().map(|key| shown(key)).collect::<Result<_, _>>().map(Value::Array)
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T, DkimError> + Send + 'static) -> Result<T, Problem> {
    let done = spawn_blocking(work).await;
    Ok(done.map_err(|error| Problem::ended_early(&error))??)
}

/// A key as people see it; the secret half is shown to nobody.
fn shown(key: &Key) -> Result<Value, Problem> {
    let record = key.record().map_err(DkimError::from)?;
    Ok(json!({
        "domain": key.domain.as_str(),
        "selector": key.selector,
        "algorithm": key.algorithm(),
        "bits": key.bits(),
        "state": key.state(now()).as_str(),
        "since": key.since,
        "until": key.until,
        "record_until": key.record_until(),
        "record": {
            "name": record.name,
            "value": record.value,
            "strings": record.strings(),
            "zone": record.zone_line(),
        },
    }))
}

fn parsed(domain: &str) -> Result<Domain, Problem> {
    Domain::parse(domain).map_err(|source| Problem::Input(Refusal::Domain { text: domain.to_owned(), source }))
}

const WAIT_S_MAX: u64 = 366 * 86_400;
