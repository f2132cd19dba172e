//! Ways out: what left by each, how well each provider takes it, and who refuses it.

use std::collections::HashSet;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};
use sm2tp_rules::classify::Said;
use sm2tp_store::LedgerError;
use sm2tp_store::ledger::figures::Of;
use sm2tp_store::ledger::refused_exits;
use sm2tp_store::ledger::sends::{self, Named};

use super::{Problem, Refusal, stats};
use crate::smtp::Onward;
use crate::{House, now};

/// A way out as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exit {
    pub name: String,
    /// Empty: what the system chooses.
    pub addresses: Vec<IpAddr>,
    /// Its name in EHLO.
    pub hello: String,
}

/// All ways out with their counts of the last weeks; also those that the configuration does not have any more.
pub(super) async fn list(house: &House) -> Result<Value, Problem> {
    let since = stats::since(stats::DAYS);
    let (sent, refused) = house
        .ledger
        .read(move |sql| {
            let sent = sends::of(sql, Of::Exit, None, since, EXITS_MAX)?;
            Ok::<_, LedgerError>((sent, refused_exits(sql)?))
        })
        .await?;
    let known = house.exits.iter().map(|exit| exit.name.clone());
    let mut names: Vec<String> = known.chain(sent.iter().map(|named| named.name.clone())).collect();
    // A refusal of a node with one way out that has no name is about that one.
    names.extend(refused.iter().map(|refused| refused.exit.clone()).filter(|name| !name.is_empty()));
    let paused = house.paused.list();
    names.extend(paused.iter().map(|pause| pause.exit.clone()));
    let mut seen = HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
    let rules = house.federation.publisher.classifier.rules();
    let link = |text: &str| rules.classify(&Said::of_text(text)).link.map(|link| link.to_string());
    let only = names.len() == 1;
    let exit = |name: &String| {
        let of_exit: Vec<&Named> = sent.iter().filter(|named| named.name == *name).collect();
        let all = sends::sum(&of_exit.iter().map(|named| (*named).clone()).collect::<Vec<_>>());
        let providers = of_exit
            .iter()
            .filter(|named| named.sends.ended() != 0)
            .map(|named| json!({ "provider": named.part, "sends": named.sends, "score": stats::judged(&named.sends) }));
        let refusals = refused.iter().filter(|refused| refused.exit == *name || only && refused.exit.is_empty());
        let refusals = refusals.map(|refused| {
            let mut value = json!(refused);
            value["link"] = link(&refused.text).into();
            value
        });
        json!({
            "exit": name,
            "configured": house.exits.iter().find(|exit| exit.name == *name),
            "paused": paused.iter().find(|pause| pause.exit == *name),
            "sends": all,
            "score": stats::judged(&all),
            "providers": providers.collect::<Vec<_>>(),
            "refused": refusals.collect::<Vec<_>>(),
        })
    };
    Ok(json!({ "days": stats::DAYS, "exits": names.iter().map(exit).collect::<Vec<_>>() }))
}

/// Lets no more mail leave by a way out: it takes another that it may use, or waits. What is on a connection goes on.
pub(super) async fn pause(house: &House, onward: &Onward, exit: &str, note: &str) -> Result<Value, Problem> {
    let exit = exit.trim();
    if !house.exits.iter().any(|known| known.name == exit) {
        let known: Vec<String> = house.exits.iter().map(|exit| exit.name.clone()).collect();
        let exit = exit.to_owned();
        let refusal = if known.is_empty() { Refusal::NoExits { exit } } else { Refusal::NoExit { exit, known } };
        return Err(Problem::NotFound(refusal));
    }
    let note: String = note.trim().chars().take(NOTE_MAX).collect();
    let pause = house.paused.pause(exit, &note, now())?;
    tell(onward);
    let paused = house.paused.list();
    let open = house.exits.iter().filter(|exit| paused.iter().all(|pause| pause.exit != exit.name));
    Ok(json!({ "exit": exit, "paused": pause, "open": open.map(|exit| &exit.name).collect::<Vec<_>>() }))
}

pub(super) async fn resume(house: &House, onward: &Onward, exit: &str) -> Result<Value, Problem> {
    let exit = exit.trim();
    let Some(pause) = house.paused.resume(exit)? else {
        return Err(Problem::NotFound(Refusal::NotPaused { exit: exit.to_owned() }));
    };
    tell(onward);
    Ok(json!({ "exit": exit, "paused": null, "since": pause.since }))
}

/// The relay hears of it; one that does not run reads the file when it starts. A word that waits already says the same.
fn tell(onward: &Onward) {
    let _ = onward.exits.try_send(());
}

/// A sentence or two; as with the decisions on senders.
const NOTE_MAX: usize = 500;
/// Nobody has as many ways out.
const EXITS_MAX: u64 = 100;
