//! Mail that comes back, from the command line: what organisations want of it, and reports that a command hands over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sm2tp_store::accounts::{ReturnPath, Unsubscribe, WishesChange};

use super::{Problem, Refusal, Request, address};
use crate::returns::To;
use crate::{House, now};

impl Request {
    /// To take a report, which came to `recipient` where that is known.
    #[must_use]
    pub fn report(recipient: Option<String>, content: &[u8]) -> Self {
        Self::ReportTake { recipient, content: STANDARD.encode(content) }
    }
}

/// Without a change, what holds. What the node cannot give is refused rather than promised.
pub(super) async fn wishes(house: &House, org: &str, change: WishesChange) -> Result<Value, Problem> {
    let back = house.returns.as_ref();
    if change.return_path == Some(ReturnPath::Node) && back.is_none() {
        return Err(Problem::Input(Refusal::NoReturns));
    }
    let has_links = back.is_some_and(|back| back.unsubscribe_url.is_some());
    if change.unsubscribe == Some(Unsubscribe::On) && !has_links {
        return Err(Problem::Input(Refusal::NoUnsubscribe));
    }
    let wishes = house.accounts.change_wishes(org, change).await?;
    Ok(json!({ "org": org, "returns": wishes }))
}

/// Keeps a report; it is counted by the node that runs, or by the next one.
pub(super) async fn take(house: &House, recipient: Option<&str>, content: &str) -> Result<Value, Problem> {
    let Some(back) = &house.returns else {
        return Err(Problem::NotFound(Refusal::NoReturns));
    };
    let content = STANDARD.decode(content).map_err(|_| Problem::Input(Refusal::NotBase64))?;
    let to = match recipient.map(address).transpose()?.filter(|address| back.is_ours(address)) {
        Some(address) => back
            .recipient(&address, now())
            .map_err(|refusal| Problem::Input(Refusal::NotOurReturns { said: refusal.text }))?,
        // Its header may say to whom it came.
        None => To::Everybody,
    };
    back.take(to, content, now()).await?;
    Ok(json!({ "taken": true }))
}
