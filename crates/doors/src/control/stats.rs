//! `sm2tp stats`: what became of the mail of some days, and the score that it gives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sm2tp_rules::score::{Limits, Score, Sends, score};
use sm2tp_rules::worth::worth;
use sm2tp_store::ledger::addresses;
use sm2tp_store::ledger::figures::Of;
use sm2tp_store::ledger::sends::{self, By, Named};
use sm2tp_store::{Ledger, LedgerError};

use super::{Problem, Refusal, address};
use crate::{House, now};

/// What happened within `days`, of one organisation or of the node.
pub(super) async fn stats(house: &House, org: Option<String>, days: u64) -> Result<Value, Problem> {
    let since = asked(house, org.as_deref(), days)?;
    let found = house.ledger.read(move |sql| {
        let one = org.as_deref();
        let time = if days <= HOURS_SHOWN_DAYS { By::Hour } else { By::Day };
        let series = sends::by(sql, time, one, since)?;
        let sum = sends::sum(&series);
        let mut value = json!({
            "org": one,
            "days": days,
            "since": since,
            "sends": sum,
            "score": judged(&sum),
            "providers": list(&sends::by(sql, By::Provider, one, since)?, "name"),
            "sender_domains": list(&sends::of(sql, Of::SenderDomain, one, since, NAMES_MAX)?, "org"),
            "causes": sends::causes(sql, one, since)?
                .into_iter()
                .map(|(cause, count)| json!({ "cause": cause, "count": count }))
                .collect::<Vec<_>>(),
            "series": series.iter().map(point).collect::<Vec<_>>(),
        });
        match one {
            Some(_) => value["logins"] = list(&sends::by(sql, By::Login, one, since)?, "name"),
            // Which organisation writes to which domain, or leaves through which exit, is not counted (R11).
            None => {
                value["orgs"] = list(&sends::by(sql, By::Org, None, since)?, "name");
                value["exits"] = list(&sends::of(sql, Of::Exit, None, since, NAMES_MAX)?, "provider");
                value["domains"] = list(&sends::of(sql, Of::Domain, None, since, NAMES_MAX)?, "name");
            }
        }
        Ok::<_, LedgerError>(value)
    });
    Ok(found.await?)
}

/// What happened to the mail of each provider, day by day.
pub(super) async fn providers(house: &House, org: Option<String>, days: u64) -> Result<Value, Problem> {
    let since = asked(house, org.as_deref(), days)?;
    let found =
        house.ledger.read(move |sql| Ok::<_, LedgerError>(sends::by(sql, By::ProviderDay, org.as_deref(), since)?));
    Ok(Value::Array(days_of(&found.await?)))
}

/// Each name with its days.
fn days_of(named: &[Named]) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    for Named { name, part, sends } in named.iter().filter(|named| !named.name.is_empty()) {
        let point = json!({ "at": part.parse::<u64>().unwrap_or_default(), "sends": sends });
        match rows.last_mut().filter(|row| row["name"] == name.as_str()) {
            Some(row) => row["points"].as_array_mut().into_iter().for_each(|points| points.push(point.clone())),
            None => rows.push(json!({ "name": name, "points": [point] })),
        }
    }
    rows
}

/// What suppression was worth within `days`, to one organisation or to the node (R27).
pub(super) async fn evidence(house: &House, org: Option<String>, days: u64) -> Result<Value, Problem> {
    let since = asked(house, org.as_deref(), days)?;
    let counts = house.ledger.worth(since, org.clone()).await?;
    Ok(json!({ "org": org, "days": days, "since": since, "counts": counts, "worth": worth(&counts) }))
}

/// What is counted of one address, under any tag that it may have.
pub(super) async fn of_address(house: &House, text: &str) -> Result<Value, Problem> {
    let address = address(text)?;
    let tags: Vec<_> = house.book.all_tags(&address).into_iter().map(|(_, tag)| tag).collect();
    let found = house.ledger.read(move |sql| Ok(addresses::of_recipient(sql, &tags)?)).await?;
    Ok(json!({ "address": text.trim(), "figures": found }))
}

/// What the first page shows: what became of today's mail, and how it stands over the usual days.
pub(super) async fn overview(house: &House, org: Option<String>) -> Result<Value, Problem> {
    let since = asked(house, org.as_deref(), 1)?;
    let one = org.clone();
    let (today, causes) = house
        .ledger
        .read(move |sql| {
            let today = sends::by(sql, By::ProviderDay, one.as_deref(), since)?;
            Ok::<_, LedgerError>((today, sends::causes(sql, one.as_deref(), since)?))
        })
        .await?;
    let before = house.days.before_today(&house.ledger, By::ProviderDay, org.as_deref()).await?;
    let by_day = sends::together(&before, &today);
    let weeks = sends::whole(&by_day);
    let causes = causes.into_iter().map(|(cause, count)| json!({ "cause": cause, "count": count }));
    Ok(json!({
        "org": org,
        "today": { "sends": sends::sum(&today), "providers": list(&today, "name"), "causes": causes.collect::<Vec<_>>() },
        "weeks": { "days": DAYS, "score": judged(&sends::sum(&weeks)), "providers": list(&weeks, "name"),
            "by_day": days_of(&by_day) },
    }))
}

/// The score of each organisation over the usual days, for those who list them.
pub(super) async fn lights(house: &House) -> Result<Vec<(String, Score)>, Problem> {
    let today = since(1);
    let today = house.ledger.read(move |sql| Ok::<_, LedgerError>(sends::by(sql, By::Org, None, today)?)).await?;
    let weeks = sends::together(&house.days.before_today(&house.ledger, By::Org, None).await?, &today);
    Ok(weeks.into_iter().map(|Named { name, sends, .. }| (name, judged(&sends))).collect())
}

/// Sums of the usual days before today, which hardly change any more: added up from hundreds of thousands of rows, they are
/// kept for some minutes. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Days(Arc<Mutex<HashMap<Asked, Kept>>>);

/// By what is added up, and of which organisation; none: of all.
type Asked = (By, Option<String>);

#[derive(Debug)]
struct Kept {
    /// When the first of the days began, and when the sums were made (unix seconds).
    since: u64,
    made_at: u64,
    sums: Arc<[Named]>,
}

impl Days {
    /// Adds up what the first page of the node shows, so that who opens it first does not wait for that.
    pub(crate) async fn warm(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        for by in [By::ProviderDay, By::Org] {
            self.before_today(ledger, by, None).await?;
        }
        Ok(())
    }

    /// What is too old is still shown, while it is made again.
    async fn before_today(&self, ledger: &Ledger, by: By, org: Option<&str>) -> Result<Arc<[Named]>, LedgerError> {
        let (key, now, from) = ((by, org.map(str::to_owned)), now(), since(DAYS));
        let mut is_old = false;
        let kept = self.known().get_mut(&key).filter(|kept| kept.since == from).map(|kept| {
            is_old = KEPT_S <= now.abs_diff(kept.made_at);
            // Once is enough.
            kept.made_at = if is_old { now } else { kept.made_at };
            kept.sums.clone()
        });
        let Some(sums) = kept else { return self.make(ledger, key, from).await };
        if is_old {
            let (days, ledger) = (self.clone(), ledger.clone());
            tokio::spawn(async move {
                if let Err(error) = days.make(&ledger, key, from).await {
                    tracing::warn!(%error, "counts of the last weeks could not be read; those before are shown");
                }
            });
        }
        Ok(sums)
    }

    async fn make(&self, ledger: &Ledger, key: Asked, from: u64) -> Result<Arc<[Named]>, LedgerError> {
        let ((by, org), until) = (key.clone(), since(1));
        let sums =
            ledger.read(move |sql| Ok::<_, LedgerError>(sends::between(sql, by, org.as_deref(), (from, until))?));
        let sums: Arc<[Named]> = sums.await?.into();
        let mut known = self.known();
        if ORGS_KEPT_MAX <= known.len() {
            known.clear();
        }
        known.insert(key, Kept { since: from, made_at: now(), sums: sums.clone() });
        Ok(sums)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Asked, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of the day so many days ago, today among them: days are what is left of old hours.
pub(crate) fn since(days: u64) -> u64 {
    (now() / DAY_S).saturating_sub(days.saturating_sub(1)) * DAY_S
}

pub(crate) fn judged(sends: &Sends) -> Score {
    score(sends, &Limits::default())
}

/// When the days of a question began, if it can be answered.
fn asked(house: &House, org: Option<&str>, days: u64) -> Result<u64, Problem> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Problem::Input(Refusal::Days { max: DAYS_MAX }));
    }
    if let Some(name) = org.filter(|name| !house.accounts.has_org(name)) {
        return Err(Problem::NotFound(Refusal::NoOrg { org: name.to_owned() }));
    }
    Ok(since(days))
}

/// Rows with their numbers; `part` is the name of what tells them apart beside their own.
fn list(named: &[Named], part: &str) -> Value {
    let row = |Named { name, part: of, sends }: &Named| {
        let mut row = json!({ "name": name, "sends": sends, "score": judged(sends) });
        if part != "name" {
            row[part] = of.as_str().into();
        }
        row
    };
    // Reports of ours went there, and nothing else.
    named.iter().filter(|named| named.sends != Sends::default()).map(row).collect()
}

fn point(named: &Named) -> Value {
    json!({ "at": named.name.parse::<u64>().unwrap_or_default(), "sends": named.sends })
}

const DAY_S: u64 = 86_400;
/// Days of a score where nobody says how many: a monthly newsletter is in it.
pub(crate) const DAYS: u64 = 30;
/// Counts are kept so long.
const DAYS_MAX: u64 = 800;
/// Up to so many days every hour is shown.
pub(crate) const HOURS_SHOWN_DAYS: u64 = 2;
/// A bounce that comes back late, or an old log that is imported, is seen in the light after so long.
const KEPT_S: u64 = 600;
/// Sums that are kept; each has some dozens of names.
const ORGS_KEPT_MAX: usize = 200;
/// Names of each list: a person reads the first.
const NAMES_MAX: u64 = 50;
