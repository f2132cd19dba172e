//! What a person asks and decides about senders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_rules::Stream;
use sm2tp_rules::watch::{Level, NOTE_MAX, Release};
use sm2tp_store::senders::{Decision, SenderId};

use super::queue::{self, Waiting};
use super::{Problem, Refusal};
use crate::smtp::Onward;
use crate::{House, now};

/// A sender as a person names it: without an organisation where only one has a sender of this name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    pub sender: String,
    pub org: Option<String>,
}

/// What a person decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deciding {
    Slow,
    Block,
    Release { was: Was, waiting: ItsMail },
}

/// What a person says of what was strange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Was {
    /// The cause is removed.
    Mended,
    /// Nothing was wrong with it.
    Normal,
}

/// What becomes of mail that was held with its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItsMail {
    /// It goes on waiting for a person.
    Keep,
    Send,
    /// It is removed, and nobody is told.
    Drop,
}

pub(super) fn list(house: &House, only: Only) -> Value {
    let listed = house.senders.list(now());
    let shown = listed.iter().filter(|sender| only == Only::Everybody || sender.level != Level::Normal);
    json!({ "mode": house.senders.mode(), "senders": shown.collect::<Vec<_>>() })
}

/// Which senders are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    Unusual,
    Everybody,
}

pub(super) async fn show(house: &House, who: &Who) -> Result<Value, Problem> {
    let (id, _) = find(house, who)?;
    let Some((shown, whole)) = house.senders.show(&id, now()) else {
        return Err(Problem::NotFound(Refusal::NotWritten { sender: id.name.to_string(), org: id.org.to_string() }));
    };
    let held = queue::held_with_sender(house, &id).await?;
    Ok(json!({
        "org": &*id.org,
        "sender": &*id.name,
        "mode": house.senders.mode(),
        "held": held,
        "evidence": shown,
        "org_evidence": { "level": whole.level, "english": whole.english, "french": whole.french, "counts": whole.counts },
    }))
}

pub(super) async fn decide(
    house: &House,
    onward: &Onward,
    who: &Who,
    deciding: &Deciding,
    note: &str,
) -> Result<Value, Problem> {
    let (id, stream) = find(house, who)?;
    let (decision, waiting) = match deciding {
        Deciding::Slow => (Decision::Slow, Waiting::Slow),
        Deciding::Block => (Decision::Block, Waiting::Hold),
        Deciding::Release { was, waiting } => {
            let how = if *was == Was::Normal { Release::WasNormal } else { Release::Mended };
            let waiting = match waiting {
                ItsMail::Keep => Waiting::NoLongerSlow,
                ItsMail::Send => Waiting::Send,
                ItsMail::Drop => Waiting::Drop,
            };
            (Decision::Release(how), waiting)
        }
    };
    house.senders.decide(&id, decision, checked(note)?, stream, now());
    // A decision that a restart forgets would be none.
    house.senders.save(&house.ledger).await?;
    let moved = queue::of_sender(house, onward, &id, waiting).await?;
    let held = queue::held_with_sender(house, &id).await?;
    let level = house.senders.show(&id, now()).map(|(shown, _)| shown.level);
    Ok(json!({ "org": &*id.org, "sender": &*id.name, "level": level, "moved": moved, "held": held }))
}

pub(super) async fn announce(
    house: &House,
    who: &Who,
    recipients: u32,
    until: u64,
    note: &str,
) -> Result<Value, Problem> {
    let now = now();
    if until <= now {
        return Err(Problem::Input(Refusal::CampaignOver));
    }
    if now.saturating_add(ANNOUNCED_S_MAX) < until {
        return Err(Problem::Input(Refusal::CampaignLong { days_max: ANNOUNCED_S_MAX / 86_400 }));
    }
    let (id, stream) = find(house, who)?;
    house.senders.announce(&id, recipients, until, checked(note)?, stream, now);
    house.senders.save(&house.ledger).await?;
    Ok(json!({ "org": &*id.org, "sender": &*id.name, "recipients": recipients, "until": until }))
}

fn checked(note: &str) -> Result<&str, Problem> {
    match note.len() {
        0..=NOTE_MAX => Ok(note),
        _ => Err(Problem::Input(Refusal::LongNote { octets_max: NOTE_MAX })),
    }
}

/// A login, or somebody who has written.
fn find(house: &House, who: &Who) -> Result<(SenderId, Stream), Problem> {
    let name: Arc<str> = who.sender.as_str().into();
    let login = house.accounts.account(&who.sender);
    let stream = login.as_ref().map_or(Stream::Personal, |account| account.kind.stream);
    if let Some(org) = &who.org {
        return match house.accounts.has_org(org) || !house.senders.orgs_of(&name).is_empty() {
            true => Ok((SenderId { org: org.as_str().into(), name }, stream)),
            false => Err(Problem::NotFound(Refusal::NoOrg { org: org.clone() })),
        };
    }
    let mut orgs = house.senders.orgs_of(&name);
    orgs.extend(login.map(|account| account.org.as_ref().into()));
    orgs.sort();
    orgs.dedup();
    match &orgs[..] {
        [org] => Ok((SenderId { org: org.clone(), name }, stream)),
        [] => Err(Problem::NotFound(Refusal::NoSender { name: name.to_string() })),
        several => {
            let orgs = several.iter().map(|org| org.to_string()).collect();
            Err(Problem::Input(Refusal::SeveralOrgs { name: name.to_string(), orgs }))
        }
    }
}

const ANNOUNCED_S_MAX: u64 = 31 * 86_400;
