//! Erasure of one address (decision 0041): what is kept of it here, and its removal.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_store::federated::Everything;
use sm2tp_store::ledger::Whom;

use super::{Problem, address, queue};
use crate::{House, exports, now};

/// How far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Erasing {
    /// Says what there is.
    Look,
    Erase,
}

/// What is kept of an address, and with [`Erasing::Erase`] was. What waits for it in the queue is counted and left: it is
/// somebody's mail, and goes when it is delivered or dropped.
pub(super) async fn erase(house: &House, text: &str, erasing: Erasing) -> Result<Value, Problem> {
    let address = address(text)?;
    let whom = Whom { tags: house.book.all_tags(&address), address };
    let (waiting, more) = queue::waiting(house, &whom.address).await?;
    let login = house.accounts.account(text.trim());
    let publisher = &house.federation.publisher;
    let all = match erasing {
        Erasing::Look => publisher.kept_of(whom).await?,
        Erasing::Erase => erased(house, whom).await?,
    };
    let Everything { ledger, is_overwritten, told, heard } = all;
    let mut others = Vec::new();
    for (origin, records) in heard {
        let name = house.federation.store.name(origin).await?;
        others.push(json!({ "origin": name, "fingerprint": origin.fingerprint(), "records": records }));
    }
    Ok(json!({
        "address": text.trim(),
        "erased": erasing == Erasing::Erase,
        "overwritten": is_overwritten,
        "kept": ledger,
        "told": told,
        "heard": others,
        "waiting": waiting,
        "waiting_may_be_more": more,
        "login_of": login.map(|account| account.org.to_string()),
    }))
}

/// First what is kept, then the octets that it leaves behind in the queue's files, then the lists for other programs.
async fn erased(house: &House, whom: Whom) -> Result<Everything, Problem> {
    let octets = whom.octets();
    let mut all = house.federation.publisher.erase(whom, now()).await?;
    if let Err(error) = house.spool.overwrite(octets).await {
        tracing::warn!(%error, "the queue cannot be written anew: what was erased may stand in unused parts of its files");
        all.is_overwritten = false;
    }
    if house.exports.is_some() {
        exports::written(house).await?;
    }
    Ok(all)
}
