//! Who asks: what a request is about, whether its asker may, and the line that is kept about a change.
//!
//! The command line of the machine may do everything. A person or a program comes with a role; one that is bound to an
//! organisation is asked about that one where it names none, and sees nothing of the others in an answer.

use std::sync::Arc;

use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_rules::access::{Action, Rights, Role, Why};
use sm2tp_store::SpoolError;
use sm2tp_store::audit::{Audit, Entry};

use super::{Problem, Request, Which, about, done, webhooks};
use crate::reason::{self, Reason};
use crate::smtp::Onward;
use crate::{House, now};

/// Who asks, through which door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub by: By,
    /// Of the person or the token; of the command line the user of the machine, where that is known.
    pub name: Arc<str>,
    pub rights: Rights,
}

/// What asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    CommandLine,
    Person,
    Token,
}

impl Asker {
    /// Whoever may use the socket, or the files beside it.
    #[must_use]
    pub fn command_line(user: &str) -> Self {
        Self { by: By::CommandLine, name: user.into(), rights: Rights::of(Role::Owner) }
    }
}

impl By {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine => "command-line",
            Self::Person => "person",
            Self::Token => "token",
        }
    }
}

/// Does what somebody asked, if the role allows it, and keeps a line about what was changed.
///
/// Runs to its end though nobody waits for the answer any more: who hangs up in the middle shall not leave a change behind
/// that no line tells of.
///
/// # Errors
/// [`Problem::Forbidden`] where the role does not allow it; otherwise why it was not done.
pub async fn answer_to(house: House, onward: Onward, asker: Asker, request: Request) -> Result<Value, Problem> {
    let running = tokio::spawn(async move { answered(&house, &onward, &asker, request).await });
    running.await.map_err(|error| Problem::ended_early(&error))?
}

/// As [`answer_to`], for a task that ends by itself only.
pub(super) async fn answered(
    house: &House,
    onward: &Onward,
    asker: &Asker,
    mut request: Request,
) -> Result<Value, Problem> {
    let bound = asker.rights.role.org().map(str::to_owned);
    if let Some(org) = &bound {
        about::keep_to(&mut request, org);
    }
    for (org, action) in asked(house, &request, bound.as_deref()).await? {
        if let Err(why) = asker.rights.may(org.as_deref(), action) {
            tracing::info!(by = asker.by.as_str(), name = %asker.name, what = request.word(), %why, "not allowed");
            return Err(Problem::Forbidden(why));
        }
    }
    about::given(asker, &request)?;
    let line = request.changes().then(|| entry(house, asker, &request));
    let (filter, org) = (about::filter(&request), bound);
    let mut value = done(house, onward, asker, request).await?;
    if let Some(line) = line {
        keep(house, line).await;
    }
    if let Some(org) = org {
        filter.apply(house, &org, &mut value);
    }
    Ok(value)
}

/// What a request is about: an organisation each, or the whole node. `bound`: the asker's own, who learns of nothing else.
async fn asked(
    house: &House,
    request: &Request,
    bound: Option<&str>,
) -> Result<Vec<(Option<String>, Action)>, Problem> {
    let action = request.action();
    let mut orgs: Vec<Option<String>> = match request {
        Request::QueueShow { mail }
        | Request::QueueRetry { which: Which::Mail(mail) }
        | Request::QueueHold { which: Which::Mail(mail) }
        | Request::QueueRelease { which: Which::Mail(mail) }
        | Request::QueueDrop { which: Which::Mail(mail) }
            if bound.is_some() =>
        {
            vec![of_mail(house, *mail).await?]
        }
        Request::OrgLogin { org, login, .. } => {
            // A login that there is would change its organisation.
            let before = house.accounts.account(login).map(|account| account.org.to_string());
            [Some(org.clone()), before].into_iter().flatten().map(Some).collect()
        }
        Request::WebhookRemove { id } | Request::WebhookDead { id, .. } | Request::WebhookRedeliver { id, .. }
            if bound.is_some() =>
        {
            vec![webhooks::hooks(house).org_of(id).await?]
        }
        Request::TokenRevoke { id } => vec![house.tokens.org_of(id)],
        Request::OrgLogout { login } => vec![house.accounts.account(login).map(|account| account.org.to_string())],
        Request::SuppressImport { import } => {
            let named = import.entries.iter().filter_map(|entry| entry.org.clone()).map(Some);
            [import.org.clone()].into_iter().chain(named).collect()
        }
        Request::DkimList { domain: Some(domain) } => {
            let own = bound.filter(|org| house.accounts.lists(domain, org) == Some(true));
            vec![own.map(str::to_owned)]
        }
        // What is not its own is taken out of the answer.
        Request::DkimList { domain: None } | Request::OrgList | Request::SenderList { .. } | Request::TokenList => {
            vec![bound.map(str::to_owned)]
        }
        other => vec![other.org().map(str::to_owned)],
    };
    orgs.dedup();
    // What there is not and what is another's are told alike.
    if bound.is_some() && request.is_looked_up() {
        orgs.iter_mut().for_each(|org| *org = Some(org.take().unwrap_or_default()));
    }
    Ok(orgs.into_iter().map(|org| (org, action)).collect())
}

async fn of_mail(house: &House, mail: u64) -> Result<Option<String>, Problem> {
    match house.spool.queued(mail).await {
        Ok(queued) => Ok(Some(queued.mail.org.to_string())),
        Err(SpoolError::NotQueued { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn entry(house: &House, asker: &Asker, request: &Request) -> Entry {
    let (about, reason) = reason::words(request.about(|address| shown(house, address)));
    Entry {
        about,
        reason,
        at: now(),
        by_kind: asker.by.as_str().to_owned(),
        by: asker.name.to_string(),
        what: request.word().to_owned(),
        org: request.org().map(str::to_owned),
    }
}

/// A recipient as it may stand in the list: its tag, and its domain.
fn shown(house: &House, text: &str) -> Reason {
    let Ok(address) = Address::parse(text.trim()) else { return Reason::new("about-no-address") };
    match house.book.tag(&address) {
        Some((_, tag)) => Reason::new("about-recipient").text("tag", tag).text("domain", address.domain()),
        None => Reason::new("about-no-tag").text("domain", address.domain()),
    }
}

/// What was done stays done: a list that cannot be written is a trouble of its own, and the log has the line.
pub(crate) async fn keep(house: &House, line: Entry) {
    let (by, what, about) = (line.by.clone(), line.what.clone(), line.about.clone());
    if let Err(error) = Audit::new(house.ledger.clone()).keep(line).await {
        tracing::error!(%error, by, what, about, "a change was made, and no line could be kept about it");
    }
}

/// Who changed what, the latest first.
pub(super) async fn audit(
    house: &House,
    org: Option<String>,
    before: Option<u64>,
    limit: usize,
) -> Result<Value, Problem> {
    Ok(json!(Audit::new(house.ledger.clone()).list(org, before, limit).await?))
}

impl From<Why> for Problem {
    fn from(why: Why) -> Self {
        Self::Forbidden(why)
    }
}

impl Request {
    /// What somebody must be allowed to do.
    #[must_use]
    pub fn action(&self) -> Action {
        let (_, area) = self.kind();
        if self.changes() { Action::change(area) } else { Action::see(area) }
    }
}
