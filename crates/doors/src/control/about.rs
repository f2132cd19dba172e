//! Table: what each control request is, what it is about, and how much of its answer an administrator of one organisation
//! sees.

use serde_json::Value;
use sm2tp_rules::access::{Area, Why};
use sm2tp_rules::imported::Claim;
use sm2tp_store::accounts::{LimitsChange, WishesChange};
use sm2tp_store::ledger::Replay;

use super::access::Asker;
use super::{Erasing, ImportMode, Problem, Request, Which, tokens};
use crate::House;

/// What is taken out of an answer for somebody who may see one organisation only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Nothing,
    /// Entries of a list whose field names another organisation; under this name, or the answer itself.
    List {
        of: Option<&'static str>,
        field: &'static str,
    },
    /// Keys of domains that are not its own.
    Domains,
    /// Who else wrote there, and what waits for it.
    Explanation,
}

impl Request {
    /// Its name, which is the value of `do`, and what it is about.
    #[expect(clippy::too_many_lines, reason = "a table: a line for each request")]
    pub(super) fn kind(&self) -> (&'static str, Area) {
        match self {
            Self::Explain { .. } => ("explain", Area::Suppression),
            Self::QueueList { .. } => ("queue-list", Area::Queue),
            Self::QueueShow { .. } => ("queue-show", Area::Queue),
            Self::QueueLog { .. } => ("queue-log", Area::Queue),
            Self::QueueFind { .. } => ("queue-find", Area::Queue),
            Self::QueueSums { .. } => ("queue-sums", Area::Queue),
            Self::SiteList => ("site-list", Area::Queue),
            Self::ExitList => ("exit-list", Area::Alerts),
            Self::ExitPause { .. } => ("exit-pause", Area::Queue),
            Self::ExitResume { .. } => ("exit-resume", Area::Queue),
            Self::SettingList => ("setting-list", Area::Settings),
            Self::QueueRetry { .. } => ("queue-retry", Area::Queue),
            Self::QueueHold { .. } => ("queue-hold", Area::Queue),
            // What the watch holds is let go by who may overrule the watch.
            Self::QueueRelease { .. } => ("queue-release", Area::Senders),
            Self::QueueDrop { .. } => ("queue-drop", Area::Queue),
            Self::Erase { .. } => ("erase", Area::Ledger),
            Self::SuppressList { .. } => ("suppress-list", Area::Suppression),
            Self::SuppressAdd { .. } => ("suppress-add", Area::Suppression),
            Self::SuppressAllow { .. } => ("suppress-allow", Area::Suppression),
            Self::SuppressRemove { .. } => ("suppress-remove", Area::Suppression),
            Self::SuppressConfirm { .. } => ("suppress-confirm", Area::Suppression),
            Self::SuppressImport { .. } => ("suppress-import", Area::Suppression),
            Self::SuppressExport { .. } => ("suppress-export", Area::Suppression),
            Self::ExportsWrite => ("exports-write", Area::Ledger),
            Self::LogImport { .. } => ("log-import", Area::Ledger),
            Self::SenderList { .. } => ("sender-list", Area::Senders),
            Self::SenderShow { .. } => ("sender-show", Area::Senders),
            Self::SenderDecide { .. } => ("sender-decide", Area::Senders),
            Self::SenderAnnounce { .. } => ("sender-announce", Area::Senders),
            Self::OrgList => ("org-list", Area::Orgs),
            Self::OrgAdd { .. } => ("org-add", Area::Orgs),
            Self::OrgRemove { .. } => ("org-remove", Area::Orgs),
            Self::OrgLogin { .. } => ("org-login", Area::Logins),
            Self::OrgImport { .. } => ("org-import", Area::Logins),
            Self::OrgLogout { .. } => ("org-logout", Area::Logins),
            Self::OrgReturns { .. } => ("org-returns", Area::Returns),
            Self::OrgSuppression { .. } => ("org-suppression", Area::Orgs),
            Self::OrgLimits { .. } => ("org-limits", Area::Orgs),
            Self::PeerInvite { .. } => ("peer-invite", Area::Peers),
            Self::PeerShow { .. } => ("peer-show", Area::Peers),
            Self::PeerAccept { .. } => ("peer-accept", Area::Peers),
            Self::PeerTrust { .. } => ("peer-trust", Area::Peers),
            Self::PeerRemove { .. } => ("peer-remove", Area::Peers),
            Self::PeerList => ("peer-list", Area::Peers),
            Self::Key { .. } => ("key", Area::Peers),
            Self::DkimNew { .. } => ("dkim-new", Area::Dkim),
            Self::DkimList { .. } => ("dkim-list", Area::Dkim),
            Self::DkimRotate { .. } => ("dkim-rotate", Area::Dkim),
            Self::DkimRemove { .. } => ("dkim-remove", Area::Dkim),
            Self::AccountList => ("account-list", Area::Persons),
            Self::Account { change } => (change.word(), Area::Persons),
            Self::Overview { .. } => ("overview", Area::Stats),
            Self::Stats { .. } => ("stats", Area::Stats),
            Self::StatsProviders { .. } => ("stats-providers", Area::Stats),
            Self::StatsOf { .. } => ("stats-of", Area::Stats),
            Self::Evidence { .. } => ("evidence", Area::Stats),
            Self::LedgerRebuild => ("ledger-rebuild", Area::Ledger),
            Self::AlertsList => ("alerts-list", Area::Alerts),
            Self::AlertsTest => ("alerts-test", Area::Alerts),
            Self::LedgerProgress => ("ledger-progress", Area::Ledger),
            Self::BreakerList => ("breaker-list", Area::Ledger),
            Self::BreakerDecide { .. } => ("breaker-decide", Area::Ledger),
            Self::UnknownReplies => ("unknown-replies", Area::Ledger),
            Self::ReplayReplies { .. } => ("replay-replies", Area::Ledger),
            Self::ReportTake { .. } => ("report-take", Area::Ledger),
            Self::AuditList { .. } => ("audit-list", Area::Audit),
            Self::WebhookNew { .. } => ("webhook-new", Area::Webhooks),
            Self::WebhookList { .. } => ("webhook-list", Area::Webhooks),
            Self::WebhookRemove { .. } => ("webhook-remove", Area::Webhooks),
            Self::WebhookDead { .. } => ("webhook-dead", Area::Webhooks),
            Self::WebhookRedeliver { .. } => ("webhook-redeliver", Area::Webhooks),
            Self::Tail { .. } => ("tail", Area::Tail),
            Self::TailLast { .. } => ("tail-last", Area::Tail),
            Self::TokenNew { .. } => ("token-new", Area::Tokens),
            Self::TokenList => ("token-list", Area::Tokens),
            Self::TokenRevoke { .. } => ("token-revoke", Area::Tokens),
        }
    }

    /// Its name.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.kind().0
    }

    /// Whether it changes something.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::Explain { .. }
            | Self::QueueList { .. }
            | Self::QueueShow { .. }
            | Self::QueueLog { .. }
            | Self::AccountList
            | Self::SuppressList { .. }
            | Self::SuppressExport { .. }
            | Self::SenderList { .. }
            | Self::SenderShow { .. }
            | Self::OrgList
            | Self::PeerShow { .. }
            | Self::PeerList
            | Self::DkimList { .. }
            | Self::Stats { .. }
            | Self::StatsProviders { .. }
            | Self::StatsOf { .. }
            | Self::Evidence { .. }
            | Self::AlertsList
            | Self::LedgerProgress
            | Self::BreakerList
            | Self::UnknownReplies
            | Self::TokenList
            | Self::QueueFind { .. }
            | Self::Overview { .. }
            | Self::QueueSums { .. }
            | Self::SiteList
            | Self::ExitList
            | Self::SettingList
            | Self::WebhookList { .. }
            | Self::WebhookDead { .. }
            | Self::Tail { .. }
            | Self::TailLast { .. }
            | Self::AuditList { .. } => false,
            Self::SuppressImport { import } => import.mode == ImportMode::Keep,
            Self::Erase { erasing, .. } => *erasing == Erasing::Erase,
            Self::Key { wanted } => wanted.changes(),
            Self::OrgReturns { change, .. } => *change != WishesChange::default(),
            Self::OrgLimits { change, .. } => *change != LimitsChange::default(),
            Self::OrgSuppression { change, reset, .. } => *reset || **change != Default::default(),
            Self::ReplayReplies { mode } => *mode == Replay::Apply,
            _ => true,
        }
    }

    /// The organisation that it names.
    pub(super) fn org(&self) -> Option<&str> {
        match self {
            Self::OrgAdd { name, .. }
            | Self::OrgRemove { name }
            | Self::OrgReturns { name, .. }
            | Self::OrgSuppression { name, .. }
            | Self::OrgLimits { name, .. } => Some(name),
            Self::OrgLogin { org, .. } | Self::OrgImport { org, .. } => Some(org),
            Self::Explain { org, .. }
            | Self::SuppressList { org, .. }
            | Self::SuppressConfirm { org, .. }
            | Self::SuppressExport { org, .. }
            | Self::QueueLog { org, .. }
            | Self::Stats { org, .. }
            | Self::StatsProviders { org, .. }
            | Self::Evidence { org, .. }
            | Self::AuditList { org, .. } => org.as_deref(),
            Self::SuppressAdd { entry } | Self::SuppressAllow { entry } | Self::SuppressRemove { entry } => {
                entry.org.as_deref()
            }
            Self::SuppressImport { import } => import.org.as_deref(),
            Self::TokenNew { wanted } => wanted.org.as_deref(),
            Self::WebhookNew { wanted } => Some(&wanted.org),
            Self::WebhookList { org } | Self::Tail { org, .. } | Self::TailLast { org, .. } => org.as_deref(),
            Self::QueueFind { org, .. } | Self::QueueSums { org } | Self::Overview { org } => org.as_deref(),
            Self::SenderShow { who } | Self::SenderDecide { who, .. } | Self::SenderAnnounce { who, .. } => {
                who.org.as_deref()
            }
            Self::QueueList { those, .. } => those.org.as_deref(),
            Self::QueueRetry { which }
            | Self::QueueHold { which }
            | Self::QueueRelease { which }
            | Self::QueueDrop { which } => match which {
                Which::Those(those) => those.org.as_deref(),
                Which::Mail(_) => None,
            },
            _ => None,
        }
    }

    /// Whether its organisation is found by what it names.
    pub(super) fn is_looked_up(&self) -> bool {
        match self {
            Self::QueueShow { .. }
            | Self::OrgLogout { .. }
            | Self::TokenRevoke { .. }
            | Self::WebhookRemove { .. }
            | Self::WebhookDead { .. }
            | Self::WebhookRedeliver { .. }
            | Self::DkimList { domain: Some(_) } => true,
            Self::QueueRetry { which }
            | Self::QueueHold { which }
            | Self::QueueRelease { which }
            | Self::QueueDrop { which } => matches!(which, Which::Mail(_)),
            _ => false,
        }
    }
}

/// Names `own` as the organisation where none is named.
pub(super) fn keep_to(request: &mut Request, own: &str) {
    let org = match request {
        Request::Explain { org, .. }
        | Request::SuppressList { org, .. }
        | Request::SuppressConfirm { org, .. }
        | Request::SuppressExport { org, .. }
        | Request::QueueLog { org, .. }
        | Request::Stats { org, .. }
        | Request::StatsProviders { org, .. }
        | Request::Evidence { org, .. }
        | Request::QueueFind { org, .. }
        | Request::QueueSums { org }
        | Request::Overview { org }
        | Request::WebhookList { org }
        | Request::Tail { org, .. }
        | Request::TailLast { org, .. }
        | Request::AuditList { org, .. } => org,
        Request::SuppressAdd { entry } | Request::SuppressAllow { entry } | Request::SuppressRemove { entry } => {
            &mut entry.org
        }
        Request::SuppressImport { import } => &mut import.org,
        Request::TokenNew { wanted } if wanted.role == "org-administrator" => &mut wanted.org,
        Request::SenderShow { who } | Request::SenderDecide { who, .. } | Request::SenderAnnounce { who, .. } => {
            &mut who.org
        }
        Request::QueueList { those, .. } => &mut those.org,
        Request::QueueRetry { which }
        | Request::QueueHold { which }
        | Request::QueueRelease { which }
        | Request::QueueDrop { which } => match which {
            Which::Those(those) => &mut those.org,
            Which::Mail(_) => return,
        },
        _ => return,
    };
    org.get_or_insert_with(|| own.to_owned());
}

/// What follows for all organisations is not believed of one: a list of bounces is evidence of the whole node. And nobody gives
/// more than he has.
pub(super) fn given(asker: &Asker, request: &Request) -> Result<(), Problem> {
    if let Request::TokenNew { wanted } = request {
        return tokens::may_give(asker, wanted);
    }
    let (Some(org), Request::SuppressImport { import }) = (asker.rights.role.org(), request) else { return Ok(()) };
    match import.entries.iter().any(|entry| matches!(entry.claim, Claim::Bounce { .. })) {
        true => Err(Why::WholeNode { org: org.into(), action: request.action() }.into()),
        false => Ok(()),
    }
}

/// What an administrator of one organisation does not see of the answer.
pub(super) fn filter(request: &Request) -> Filter {
    match request {
        Request::Explain { .. } => Filter::Explanation,
        Request::SenderList { .. } => Filter::List { of: Some("senders"), field: "org" },
        Request::OrgList => Filter::List { of: None, field: "name" },
        Request::TokenList => Filter::List { of: None, field: "org" },
        Request::DkimList { domain: None } => Filter::Domains,
        _ => Filter::Nothing,
    }
}

impl Filter {
    /// Takes it out.
    pub(super) fn apply(self, house: &House, org: &str, value: &mut Value) {
        let retain = |list: &mut Value, fits: &dyn Fn(&Value) -> bool| {
            if let Some(list) = list.as_array_mut() {
                list.retain(fits);
            }
        };
        match self {
            Self::Nothing => {}
            Self::List { of, field } => {
                let list = match of {
                    Some(of) => &mut value[of],
                    None => &mut *value,
                };
                retain(list, &|entry| entry[field] == org);
            }
            Self::Domains => retain(value, &|key| {
                key["domain"].as_str().is_some_and(|domain| house.accounts.lists(domain, org) == Some(true))
            }),
            Self::Explanation => {
                retain(&mut value["log"], &|line| line["org"] == org);
                retain(&mut value["lists"], &|line| line["org"].is_null() || line["org"] == org);
                value["waiting"] = Value::Null;
                value["waiting_more"] = Value::Null;
            }
        }
    }
}
