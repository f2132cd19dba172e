//! The control socket: the command line of this machine asks the running node, one JSON line each way.
//!
//! The socket lies in the data directory and has mode 0600: who may use it may also read the files beside it. The same
//! [`answer`] serves a command line that finds no node running and opens the store itself.

mod about;
mod access;
mod addresses;
mod alerts;
mod dkim;
mod erase;
mod exits;
mod explain;
mod keys;
mod line;
mod lists;
mod logins;
mod logs;
mod orgs;
mod peers;
mod persons;
mod queue;
mod refusal;
mod replies;
mod returns;
mod senders;
mod settings;
mod socket;
pub(crate) mod stats;
mod tokens;
mod webhooks;

pub(crate) use self::access::keep;
pub use self::access::{Asker, By, answer_to};
pub use self::addresses::Entry;
pub use self::dkim::Removal;
pub use self::erase::Erasing;
pub use self::exits::Exit;
pub use self::keys::OfKeys;
pub(crate) use self::line::mail_of;
pub use self::lists::{After, IMPORT_ENTRIES_MAX, Import, ImportMode, Listed, Whom};
pub use self::logins::{HashedLogin, IMPORT_LOGINS_MAX};
pub use self::logs::{OLD_RESULTS_MAX, OldLog, OldResult};
pub use self::persons::AccountChange;
pub use self::queue::{Those, Which};
pub(crate) use self::queue::{Waiting, let_go, of_sender};
pub use self::refusal::Refusal;
pub use self::senders::{Deciding, ItsMail, Only, Was, Who};
pub use self::socket::{ask, listen, serve};
pub use self::stats::Days;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sm2tp_proto::Address;
use sm2tp_rules::Stream;
use sm2tp_rules::access::Why;
use sm2tp_rules::suppress::OfOrg;
use sm2tp_store::accounts::{LimitsChange, WishesChange};
use sm2tp_store::dkim::{Algorithm, DkimError};
use sm2tp_store::exits::PausedError;
use sm2tp_store::federated::FederatedError;
use sm2tp_store::keys::KeysError;
use sm2tp_store::ledger::{Replay, Verdict};
use sm2tp_store::tokens::{TokenError, Wanted};
use sm2tp_store::webhooks::WebhookError;
use sm2tp_store::{LedgerError, SpoolError};
use thiserror::Error;

use crate::confirm::NotAsked;
use crate::exports::{self, ExportError};
use crate::identity::IdentityError;
use crate::peering::{self, PeeringError, Trusting};
use crate::smtp::Onward;
use crate::{House, now};

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Explain {
        address: String,
        org: Option<String>,
        stream: Option<Stream>,
    },
    QueueList {
        those: Those,
        /// Behind this mail, or behind this recipient of it.
        after: u64,
        #[serde(default)]
        after_index: Option<u32>,
        limit: usize,
    },
    QueueShow {
        mail: u64,
    },
    /// What the send log has about a mail, from a time on (unix seconds).
    QueueLog {
        mail: u64,
        since: u64,
        org: Option<String>,
    },
    /// Mails with this Message-ID, as long as the send log has them.
    QueueFind {
        message_id: String,
        org: Option<String>,
    },
    /// What waits, by domain and by organisation.
    QueueSums {
        org: Option<String>,
    },
    /// The sites that mail is for, with their connections and pauses.
    SiteList,
    QueueRetry {
        which: Which,
    },
    QueueHold {
        which: Which,
    },
    QueueRelease {
        which: Which,
    },
    QueueDrop {
        which: Which,
    },
    Erase {
        address: String,
        erasing: Erasing,
    },
    SuppressList {
        /// Of this organisation; without one, all lists, and what bounced.
        #[serde(default)]
        org: Option<String>,
        limit: usize,
    },
    SuppressAdd {
        entry: Entry,
    },
    SuppressAllow {
        entry: Entry,
    },
    SuppressRemove {
        entry: Entry,
    },
    SuppressConfirm {
        address: String,
        org: Option<String>,
    },
    SuppressImport {
        import: Import,
    },
    SuppressExport {
        org: Option<String>,
        after: After,
    },
    ExportsWrite,
    ExitList,
    /// No mail leaves by this way out until a person resumes it.
    ExitPause {
        exit: String,
        #[serde(default)]
        note: String,
    },
    ExitResume {
        exit: String,
    },
    SettingList,
    LogImport {
        log: OldLog,
    },
    SenderList {
        only: Only,
    },
    SenderShow {
        who: Who,
    },
    SenderDecide {
        who: Who,
        deciding: Deciding,
        note: String,
    },
    SenderAnnounce {
        who: Who,
        recipients: u32,
        until: u64,
        note: String,
    },
    OrgList,
    OrgAdd {
        name: String,
        domains: Option<Vec<String>>,
        stream: Option<Stream>,
    },
    OrgRemove {
        name: String,
    },
    OrgLogin {
        org: String,
        login: String,
        password: String,
        stream: Option<Stream>,
    },
    /// With passwords that another program has hashed (`{SCHEME}hash`); at most [`IMPORT_LOGINS_MAX`].
    OrgImport {
        org: String,
        logins: Vec<HashedLogin>,
        stream: Option<Stream>,
    },
    OrgLogout {
        login: String,
    },
    OrgReturns {
        name: String,
        change: WishesChange,
    },
    OrgSuppression {
        name: String,
        change: Box<OfOrg>,
        reset: bool,
    },
    OrgLimits {
        name: String,
        login: Option<String>,
        change: LimitsChange,
    },
    PeerInvite {
        url: String,
        note: Option<String>,
        weight: f64,
        read: bool,
    },
    PeerShow {
        who: String,
    },
    PeerAccept {
        who: String,
        weight: f64,
        read: bool,
    },
    PeerTrust {
        who: String,
        trust: Trusting,
    },
    PeerRemove {
        who: String,
    },
    PeerList,
    Key {
        wanted: OfKeys,
    },
    DkimNew {
        domain: String,
        selector: Option<String>,
        algorithm: Option<Algorithm>,
        pem: Option<String>,
    },
    DkimList {
        domain: Option<String>,
    },
    DkimRotate {
        domain: String,
        selector: Option<String>,
        wait_s: u64,
    },
    DkimRemove {
        domain: String,
        selector: String,
        which: Removal,
    },
    AccountList,
    Account {
        change: AccountChange,
    },
    /// What the first page shows.
    Overview {
        org: Option<String>,
    },
    Stats {
        org: Option<String>,
        days: Option<u64>,
    },
    /// The same for each provider, day by day.
    StatsProviders {
        org: Option<String>,
        days: u64,
    },
    StatsOf {
        address: String,
    },
    Evidence {
        org: Option<String>,
        days: Option<u64>,
    },
    LedgerRebuild,
    AlertsList,
    AlertsTest,
    LedgerProgress,
    BreakerList,
    BreakerDecide {
        provider: String,
        verdict: Verdict,
    },
    UnknownReplies,
    ReplayReplies {
        mode: Replay,
    },
    AuditList {
        org: Option<String>,
        before: Option<u64>,
        limit: usize,
    },
    TokenNew {
        wanted: Wanted,
    },
    TokenList,
    TokenRevoke {
        id: String,
    },
    WebhookNew {
        wanted: sm2tp_store::webhooks::Wanted,
    },
    WebhookList {
        org: Option<String>,
    },
    WebhookRemove {
        id: String,
    },
    WebhookDead {
        id: String,
        before: Option<u64>,
        limit: usize,
    },
    WebhookRedeliver {
        id: String,
        event: Option<u64>,
    },
    /// Lines of the live tail behind this number; none: from now on.
    Tail {
        after: Option<u64>,
        org: Option<String>,
    },
    /// The last lines of it that there are.
    TailLast {
        org: Option<String>,
        limit: usize,
    },
    // In base64.
    ReportTake {
        recipient: Option<String>,
        content: String,
    },
}

/// The line that comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Ok(Value),
    Error {
        /// Exit code of sysexits.
        exit: u8,
        message: String,
    },
}

/// Why a request was not done, with the exit code that the command line ends with.
#[derive(Debug, Error)]
pub enum Problem {
    #[error(transparent)]
    Input(Refusal),
    #[error(transparent)]
    NotFound(Refusal),
    /// Something of this machine, which who asked cannot put right.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Federated(#[from] FederatedError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Peering(#[from] PeeringError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Dkim(#[from] DkimError),
    #[error(transparent)]
    NotAsked(#[from] NotAsked),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error(transparent)]
    Exits(#[from] PausedError),
    #[error("{0}")]
    Forbidden(Why),
}

impl Problem {
    /// sysexits: 65 for what was asked, 75 for what may work later, 77 for what is not allowed.
    #[must_use]
    pub fn exit(&self) -> u8 {
        match self {
            Self::Input(_) | Self::NotFound(_) | Self::Spool(SpoolError::NotQueued { .. }) => 65,
            Self::Spool(error) if error.is_corrupt() => 65,
            Self::Ledger(LedgerError::Refused(_)) => 65,
            Self::NotAsked(NotAsked::NothingToLift | NotAsked::NoTag) => 65,
            Self::NotAsked(_) => 75,
            Self::Token(TokenError::Ledger(_) | TokenError::Random(_)) => 75,
            Self::Token(_) => 65,
            Self::Webhook(WebhookError::Ledger(_) | WebhookError::Random(_)) => 75,
            Self::Webhook(_) => 65,
            Self::Forbidden(_) => 77,
            Self::Dkim(DkimError::File(_)) => 75,
            Self::Dkim(_) => 65,
            Self::Identity(IdentityError::Store(_) | IdentityError::Keys(KeysError::Io { .. })) => 75,
            Self::Identity(_) => 65,
            Self::Peering(error) => error.exit(),
            Self::Export(ExportError::Nothing) => 65,
            Self::Exits(PausedError::TooMany) => 65,
            Self::Federated(FederatedError::Unknown(_) | FederatedError::NotKept { .. }) => 65,
            Self::Ledger(_) | Self::Spool(_) | Self::Export(_) | Self::Exits(_) => 75,
            Self::Failed(_) | Self::Federated(_) => 75,
        }
    }

    fn ended_early(error: &tokio::task::JoinError) -> Self {
        Self::Failed(format!("the task ended early: {error}"))
    }
}

/// An answer as it goes over the socket.
#[must_use]
pub fn reply(answer: Result<Value, Problem>) -> Reply {
    match answer {
        Ok(value) => Reply::Ok(value),
        Err(problem) => Reply::Error { exit: problem.exit(), message: problem.to_string() },
    }
}

/// Does what the command line of this machine asked.
///
/// # Errors
/// [`Problem`] says why not, in words for a person.
pub async fn answer(house: &House, onward: &Onward, request: Request) -> Result<Value, Problem> {
    access::answered(house, onward, &Asker::command_line(""), request).await
}

/// What is allowed already is done.
#[expect(clippy::too_many_lines, reason = "a table: a line for each request, and no request without one")]
async fn done(house: &House, onward: &Onward, asker: &Asker, request: Request) -> Result<Value, Problem> {
    match request {
        Request::Explain { address, org, stream } => explain::explain(house, &address, org, stream).await,
        Request::Erase { address, erasing } => erase::erase(house, &address, erasing).await,
        Request::SuppressList { org, limit } => addresses::list(house, org, limit).await,
        Request::SuppressAdd { entry } => addresses::suppress(house, onward, entry).await,
        Request::SuppressAllow { entry } => addresses::allow(house, entry).await,
        Request::SuppressConfirm { address, org } => addresses::confirm(house, onward, &address, org).await,
        Request::SuppressRemove { entry } => addresses::release(house, entry).await,
        Request::SuppressImport { import } => lists::import(house, import).await,
        Request::SuppressExport { org, after } => lists::export(house, org, after).await,
        Request::ExportsWrite => Ok(exports::written(house).await?),
        Request::LogImport { log } => logs::import(house, log).await,
        Request::QueueList { those, after, after_index, limit } => {
            queue::list(house, those, (after, after_index), limit).await
        }
        Request::QueueShow { mail } => queue::show(house, mail).await,
        Request::QueueLog { mail, since, org } => queue::log(house, mail, since, org).await,
        Request::QueueFind { message_id, org } => queue::find(house, &message_id, org).await,
        Request::QueueSums { org } => Ok(json!(house.spool.sums(org).await?)),
        Request::SiteList => queue::sites(onward).await,
        Request::ExitList => exits::list(house).await,
        Request::ExitPause { exit, note } => exits::pause(house, onward, &exit, &note).await,
        Request::ExitResume { exit } => exits::resume(house, onward, &exit).await,
        Request::SettingList => settings::list(house),
        Request::QueueRetry { which } => queue::retry(house, onward, which).await,
        Request::QueueHold { which } => queue::hold(house, onward, which).await,
        Request::QueueRelease { which } => queue::release(house, onward, which).await,
        Request::QueueDrop { which } => queue::drop(house, onward, which).await,
        Request::SenderList { only } => Ok(senders::list(house, only)),
        Request::SenderShow { who } => senders::show(house, &who).await,
        Request::SenderDecide { who, deciding, note } => senders::decide(house, onward, &who, &deciding, &note).await,
        Request::SenderAnnounce { who, recipients, until, note } => {
            senders::announce(house, &who, recipients, until, &note).await
        }
        Request::OrgList => orgs::list(house).await,
        Request::OrgAdd { name, domains, stream } => orgs::add(house, &name, domains, stream).await,
        Request::OrgRemove { name } => orgs::remove(house, &name).await,
        Request::OrgLogin { org, login, password, stream } => logins::add(house, &org, &login, &password, stream).await,
        Request::OrgImport { org, logins, stream } => logins::take_over(house, &org, logins, stream).await,
        Request::OrgLogout { login } => logins::remove(house, &login).await,
        Request::OrgReturns { name, change } => returns::wishes(house, &name, change).await,
        Request::OrgSuppression { name, change, reset } => orgs::suppression(house, &name, *change, reset).await,
        Request::ReportTake { recipient, content } => returns::take(house, recipient.as_deref(), &content).await,
        Request::OrgLimits { name, login, change } => orgs::limits(house, &name, login.as_deref(), change).await,
        Request::PeerInvite { url, note, weight, read } => peers::invite(house, &url, note, weight, read).await,
        Request::PeerShow { who } => peers::peer(peering::show(house, &who).await?, house).await,
        Request::PeerAccept { who, weight, read } => peers::accept(house, &who, weight, read).await,
        Request::PeerTrust { who, trust } => peers::trusted(house, peering::trust(house, &who, trust).await?).await,
        Request::PeerRemove { who } => peers::peer(peering::remove(house, &who).await?, house).await,
        Request::PeerList => peers::list(house).await,
        Request::Key { wanted } => keys::answer(house, wanted).await,
        Request::DkimNew { domain, selector, algorithm, pem } => {
            dkim::new(house, &domain, selector, algorithm, pem).await
        }
        Request::DkimList { domain } => dkim::list(house, domain.as_deref()),
        Request::DkimRotate { domain, selector, wait_s } => dkim::rotate(house, &domain, selector, wait_s).await,
        Request::DkimRemove { domain, selector, which } => dkim::remove(house, &domain, selector, which).await,
        Request::AccountList => Ok(persons::list(house)),
        Request::Account { change } => persons::change(house, change).await,
        Request::AlertsList => alerts::list(house).await,
        Request::AlertsTest => alerts::test(house, onward).await,
        Request::BreakerList => Ok(json!(house.ledger.breakers().list(now()))),
        Request::BreakerDecide { provider, verdict } => replies::breaker_decide(house, provider, verdict).await,
        Request::UnknownReplies => replies::unknown(house).await,
        Request::ReplayReplies { mode } => replies::replay(house, mode).await,
        Request::LedgerRebuild => Ok(json!({ "events": house.ledger.rebuild().await? })),
        Request::Overview { org } => stats::overview(house, org).await,
        Request::Stats { org, days } => stats::stats(house, org, days.unwrap_or(stats::DAYS)).await,
        Request::Evidence { org, days } => stats::evidence(house, org, days.unwrap_or(stats::DAYS)).await,
        Request::StatsProviders { org, days } => stats::providers(house, org, days).await,
        Request::StatsOf { address } => stats::of_address(house, &address).await,
        Request::LedgerProgress => Ok(progress(house)),
        Request::AuditList { org, before, limit } => access::audit(house, org, before, limit).await,
        Request::TokenNew { wanted } => tokens::new(house, asker, &wanted).await,
        Request::TokenList => Ok(json!(house.tokens.list())),
        Request::TokenRevoke { id } => tokens::revoke(house, &id).await,
        Request::WebhookNew { wanted } => webhooks::new(house, wanted).await,
        Request::WebhookList { org } => webhooks::list(house, org).await,
        Request::WebhookRemove { id } => webhooks::remove(house, &id).await,
        Request::WebhookDead { id, before, limit } => webhooks::dead(house, &id, before, limit).await,
        Request::WebhookRedeliver { id, event } => webhooks::redeliver(house, &id, event).await,
        Request::Tail { after, org } => Ok(json!(house.ledger.tail().since(after, org.as_deref(), now()))),
        Request::TailLast { org, limit } => Ok(json!(house.ledger.tail().last(org.as_deref(), limit, now()))),
    }
}

/// How far a rebuild of the views has come; null where none runs.
fn progress(house: &House) -> Value {
    let now = house.ledger.progress().now();
    now.map_or(Value::Null, |(done, total)| json!({ "done": done, "total": total }))
}

fn address(text: &str) -> Result<Address, Problem> {
    Address::parse(text.trim()).map_err(|source| Problem::Input(Refusal::Address { text: text.to_owned(), source }))
}

fn share(weight: f64) -> Result<f64, Problem> {
    if (0.0..=1.0).contains(&weight) { Ok(weight) } else { Err(Problem::Input(Refusal::Weight)) }
}
