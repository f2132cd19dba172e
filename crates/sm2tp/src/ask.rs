//! Commands that ask a node: over its control socket, or in its directory when it does not run.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use sm2tp_doors::control::{self, Reply, Request};
use sm2tp_doors::smtp::Onward;
use sm2tp_federation::tags::{self, TagKey};
use sm2tp_proto::Domain;
use sm2tp_rules::allowance::AllowanceChange;
use sm2tp_store::accounts::{LimitsChange, ReturnPath, Unsubscribe, WishesChange};
use sm2tp_store::ledger::{Replay, Verdict};
use tokio::time::timeout;

use crate::cli::{self, Alerts, Breaker, Command, Ledger, Org, Peer, Queue, Suppress};
use crate::config::Config;
use crate::password::password;
use crate::{Exit, Failure, erase, open, progress, say, sender, show};

/// Asks, and prints the answer.
pub async fn run(config: &Config, config_file: &Path, command: Command, as_json: bool) -> Result<ExitCode, Failure> {
    let trust = Trust::of(&command);
    let mut request = request(command)?;
    if let Request::PeerAccept { who, .. } = &mut request
        && let Trust::Asked = trust
    {
        *who = confirmed(config, config_file, who).await?;
    }
    let value = ask(config, config_file, &request).await?;
    if as_json {
        say(&value.to_string());
    } else {
        say(show::text(&request, &value).trim_end());
    }
    if let Some(next) = erase::next(&request, &value).filter(|_| !as_json && io::stdin().is_terminal()) {
        match answered(erase::QUESTION)? == "yes" {
            true => say(show::text(&next, &ask(config, config_file, &next).await?).trim_end()),
            false => say("Nothing was changed."),
        }
    }
    let failed = value.as_array().into_iter().flatten().any(|tried| tried["ok"] == false);
    if matches!(request, Request::AlertsTest) && failed {
        return Ok(ExitCode::from(Exit::Unavailable as u8));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a person has yet to say that a node is the one that it should be.
enum Trust {
    Asked,
    Given,
}

impl Trust {
    fn of(command: &Command) -> Self {
        match command {
            Command::Peer(Peer::Accept { yes: false, .. }) => Self::Asked,
            _ => Self::Given,
        }
    }
}

/// Shows who would be trusted, and asks. The answer is its fingerprint: what was shown is what is accepted, whatever
/// calls itself by that name meanwhile.
async fn confirmed(config: &Config, config_file: &Path, who: &str) -> Result<String, Failure> {
    let shown = ask(config, config_file, &Request::PeerShow { who: who.to_owned() }).await?;
    let fingerprint = shown["fingerprint"].as_str().unwrap_or_default().to_owned();
    // Who was invited accepts for itself, the node says so; and who is trusted already was decided on.
    if shown["state"] == "invited" || shown["state"] == "accepted" {
        return Ok(fingerprint);
    }
    let peer = show::text(&Request::PeerShow { who: who.to_owned() }, &shown);
    if !io::stdin().is_terminal() {
        let message = format!(
            "{peer}Nobody can be asked here whether this is the right node, and nothing was changed. Compare both \
             fingerprints with its administrator by voice, then say --yes."
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let question = "Has its administrator read the same two fingerprints to you? Type yes to trust it: ";
    match answered(&format!("{peer}{question}"))?.as_str() {
        "yes" => Ok(fingerprint),
        _ => Err(Failure::new(Exit::Input, "nothing was changed")),
    }
}

/// What the person at the terminal answers.
fn answered(question: &str) -> Result<String, Failure> {
    let (mut answer, mut out) = (String::new(), io::stderr());
    write!(out, "{question}")
        .and_then(|()| out.flush())
        .and_then(|()| io::stdin().lock().take(ANSWER_OCTETS_MAX).read_line(&mut answer))
        .map_err(|error| Failure::new(Exit::Temporary, format!("the terminal: {error}")))?;
    Ok(answer.trim().to_owned())
}

/// Asks, and gives the answer back.
pub async fn ask(config: &Config, config_file: &Path, request: &Request) -> Result<Value, Failure> {
    let socket = config.data_dir.join("control.sock");
    let asking = timeout(patience(request), control::ask(&socket, request));
    let answered = match request {
        Request::LedgerRebuild => progress::watched(asking, async || rebuilding(&socket).await).await,
        _ => asking.await,
    };
    let reply = match answered {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) if no_node(&error) => here(config, config_file, request.clone()).await?,
        Ok(Err(error)) => return Err(open::unusable(&socket, &error)),
        Err(_) => return Err(Failure::new(Exit::Temporary, "the node does not answer")),
    };
    heard(reply)
}

/// A node that is asked many times: one that runs, or its directory, opened once.
pub struct Node<'a> {
    config: &'a Config,
    config_file: &'a Path,
    opened: Option<open::Opened>,
}

impl<'a> Node<'a> {
    pub fn new(config: &'a Config, config_file: &'a Path) -> Self {
        Self { config, config_file, opened: None }
    }

    pub async fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        if self.opened.is_none() {
            let socket = self.config.data_dir.join("control.sock");
            let answered = timeout(patience(request), control::ask(&socket, request)).await;
            match answered.map_err(|_| Failure::new(Exit::Temporary, "the node does not answer"))? {
                Err(error) if no_node(&error) => self.opened = Some(own(self.config, self.config_file, request).await?),
                answered => return heard(answered.map_err(|error| open::unusable(&socket, &error))?),
            }
        }
        let Some(opened) = &self.opened else { return Err(asks_nobody()) };
        // Nobody is there to be told: a node that starts reads the spool.
        let (onward, _) = Onward::new(1);
        heard(control::reply(control::answer(&opened.house, &onward, request.clone()).await))
    }
}

fn heard(reply: Reply) -> Result<Value, Failure> {
    match reply {
        Reply::Ok(value) => Ok(value),
        Reply::Error { exit, message } => Err(Failure { exit, message }),
    }
}

/// How far a running node is with making its views again.
async fn rebuilding(socket: &Path) -> Option<(u64, u64)> {
    let asked = timeout(open::ASK_TIMEOUT, control::ask(socket, &Request::LedgerProgress)).await;
    let Ok(Ok(Reply::Ok(value))) = asked else { return None };
    Some((value["done"].as_u64()?, value["total"].as_u64()?))
}

/// How long an answer may take: what goes through a whole queue or ledger takes its time.
fn patience(request: &Request) -> Duration {
    use control::Which::Those;
    match request {
        Request::AlertsTest
        | Request::ExportsWrite
        | Request::LedgerRebuild
        | Request::Erase { .. }
        | Request::ReplayReplies { .. }
        // What waits for an address or of a sender goes with it.
        | Request::SuppressAdd { .. }
        | Request::SenderDecide { .. }
        | Request::QueueRetry { which: Those(_) }
        | Request::QueueHold { which: Those(_) }
        | Request::QueueRelease { which: Those(_) }
        | Request::QueueDrop { which: Those(_) } => open::ASK_TIMEOUT * 60,
        _ => open::ASK_TIMEOUT,
    }
}

fn no_node(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

/// No node runs: the directory is ours for a moment.
async fn here(config: &Config, config_file: &Path, request: Request) -> Result<Reply, Failure> {
    let opened = own(config, config_file, &request).await?;
    // Nobody is there to be told: a node that starts reads the spool.
    let (onward, _) = Onward::new(1);
    let ledger = opened.house.ledger.clone();
    let answering = control::answer(&opened.house, &onward, request);
    Ok(control::reply(progress::watched(answering, async || ledger.progress().now()).await))
}

async fn own(config: &Config, config_file: &Path, request: &Request) -> Result<open::Opened, Failure> {
    if !open::is_begun(config) && !begins(request) {
        let message = format!(
            "{}: no node was ever started here; `sm2tp serve` starts one (or the configuration names another data_dir)",
            config.data_dir.display()
        );
        return Err(Failure::new(Exit::Unavailable, message));
    }
    open::open(config, config_file).await
}

/// What may be said before the first start; anything else would make a node only to say that it is empty.
fn begins(request: &Request) -> bool {
    matches!(
        request,
        Request::OrgAdd { .. }
            | Request::OrgLogin { .. }
            | Request::OrgImport { .. }
            | Request::OrgLimits { .. }
            | Request::OrgReturns { .. }
            | Request::OrgSuppression { .. }
            | Request::Account { .. }
            | Request::SuppressAdd { .. }
            | Request::SuppressAllow { .. }
            | Request::SuppressRemove { .. }
            | Request::SuppressImport { .. }
            | Request::TokenNew { .. }
            | Request::PeerInvite { .. }
            | Request::DkimNew { .. }
    )
}

fn request(command: Command) -> Result<Request, Failure> {
    Ok(match command {
        Command::Explain { address, org, stream } => Request::Explain { address, org, stream },
        Command::Queue(queue) => match queue {
            Queue::Salvage => return Err(asks_nobody()),
            Queue::List { those, after, limit } => {
                Request::QueueList { those: those.into(), after, after_index: None, limit }
            }
            Queue::Show { mail } => Request::QueueShow { mail },
            Queue::Sums { org } => Request::QueueSums { org },
            Queue::Sites => Request::SiteList,
            Queue::Find { message_id } => Request::QueueFind { message_id, org: None },
            Queue::Log { mail, days } => {
                let since = sm2tp_doors::now().saturating_sub(days.saturating_mul(86_400));
                Request::QueueLog { mail, since, org: None }
            }
            Queue::Retry(which) => Request::QueueRetry { which: which.into() },
            Queue::Hold(which) => Request::QueueHold { which: which.into() },
            Queue::Release(which) => Request::QueueRelease { which: which.into() },
            Queue::Drop(which) => Request::QueueDrop { which: which.into() },
        },
        Command::Suppress(suppress) => match suppress {
            Suppress::Export { files: true, .. } => Request::ExportsWrite,
            Suppress::Import(_) | Suppress::Export { .. } => return Err(asks_nobody()),
            Suppress::List { org, limit } => Request::SuppressList { org, limit },
            Suppress::Add(entry) => Request::SuppressAdd { entry: entry.into() },
            Suppress::Allow(entry) => Request::SuppressAllow { entry: entry.into() },
            Suppress::Confirm { address, org } => Request::SuppressConfirm { address, org },
            Suppress::Remove(entry) => Request::SuppressRemove { entry: entry.into() },
        },
        Command::Org(org) => match org {
            Org::List => Request::OrgList,
            Org::Add { name, domains, any_domain, stream } => {
                let given = any_domain || !domains.is_empty();
                Request::OrgAdd { name, domains: given.then_some(domains), stream }
            }
            Org::Remove { name } => Request::OrgRemove { name },
            Org::Login { login, org, stream, password_file } => {
                let password = password(&login, password_file.as_deref())?;
                Request::OrgLogin { org, login, password, stream }
            }
            Org::Import { .. } => return Err(asks_nobody()),
            Org::Logout { login } => Request::OrgLogout { login },
            Org::Limits(limits) => limits_asked(limits),
            Org::Returns(returns) => returns_asked(returns),
            Org::Suppression(suppression) => (*suppression).into(),
        },
        Command::Account(account) => account.request()?,
        Command::Peer(peer) => peer.request(),
        Command::Alerts(Alerts::List) => Request::AlertsList,
        Command::Alerts(Alerts::Test) => Request::AlertsTest,
        Command::Breaker(breaker) => match breaker {
            Breaker::List => Request::BreakerList,
            Breaker::Forget { provider } => Request::BreakerDecide { provider, verdict: Verdict::Forget },
            Breaker::Believe { provider } => Request::BreakerDecide { provider, verdict: Verdict::Believe },
        },
        Command::Stats(asked) => asked.into(),
        Command::Erase(asked) => asked.into(),
        Command::Ledger(Ledger::Rebuild) => Request::LedgerRebuild,
        Command::Audit(audit) => audit.into(),
        Command::Token(token) => token.into(),
        Command::Webhook(webhook) => webhook.into(),
        Command::Exit(exit) => exit.into(),
        Command::Classify(asked) if asked.unknown => Request::UnknownReplies,
        Command::Classify(asked) if asked.replay => Request::ReplayReplies { mode: asked.mode() },
        Command::Sender(command) => sender::request(command),
        // The others never come here: they ask no node, or more than once.
        _ => return Err(asks_nobody()),
    })
}

impl cli::Classify {
    fn mode(&self) -> Replay {
        if self.apply { Replay::Apply } else { Replay::Show }
    }
}

fn asks_nobody() -> Failure {
    Failure::new(Exit::Usage, "this command asks no node")
}

fn limits_asked(limits: cli::Limits) -> Request {
    let addresses = match &limits.addresses[..] {
        [] => None,
        [none] if none == "none" => Some(Vec::new()),
        _ => Some(limits.addresses),
    };
    let allowance = AllowanceChange {
        message_size: limits.message_size,
        recipients: limits.recipients,
        rate_mails: limits.rate_mails,
        rate_recipients: limits.rate_recipients,
        connections: limits.connections,
    };
    let own_addresses_only = limits.own_addresses_only.map(|answer| answer == cli::YesNo::Yes);
    let change = LimitsChange { addresses, own_addresses_only, allowance };
    Request::OrgLimits { name: limits.name, login: limits.login, change }
}

fn returns_asked(returns: cli::Returns) -> Request {
    let change = WishesChange {
        return_path: returns.return_path.map(|asked| match asked {
            cli::ReturnPath::Sender => ReturnPath::Sender,
            cli::ReturnPath::Node => ReturnPath::Node,
        }),
        unsubscribe: returns.unsubscribe.map(|asked| match asked {
            cli::OnOff::On => Unsubscribe::On,
            cli::OnOff::Off => Unsubscribe::Off,
        }),
        contact: returns.contact.map(|contact| if contact == "none" { String::new() } else { contact }),
    };
    Request::OrgReturns { name: returns.name, change }
}

/// `sm2tp tag`: the tag of an address, or of a dead domain written as `@example.org`.
pub fn tag(address: &str, key_hex: &str, as_json: bool) -> Result<ExitCode, Failure> {
    let key =
        key(key_hex).ok_or_else(|| Failure::new(Exit::Input, "--key-hex wants 64 hexadecimal digits (32 octets)"))?;
    let refused = |error: &dyn std::fmt::Display| Failure::new(Exit::Input, format!("{address:?}: {error}"));
    let tag = match address.trim().strip_prefix('@') {
        Some(domain) => {
            let domain = Domain::parse(domain).map_err(|error| refused(&error))?;
            key.tag_domain(&domain).map_err(|error| refused(&error))?
        }
        None => key.tag(&tags::normalise(address).map_err(|error| refused(&error))?),
    };
    if as_json {
        say(&json!({ "tag": tag.to_string(), "key_id": key.key_id().to_string() }).to_string());
    } else {
        say(&tag.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn key(text: &str) -> Option<TagKey> {
    let digits: Vec<u8> =
        text.trim().chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let octets: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    (digits.len() == 64).then(|| octets.try_into().ok()).flatten().map(TagKey::new)
}

/// A word.
const ANSWER_OCTETS_MAX: u64 = 100;
