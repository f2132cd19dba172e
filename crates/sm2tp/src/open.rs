//! Opens everything that a node keeps, from its configuration.

use std::error::Error;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::geteuid;
use sm2tp_doors::confirm::Confirm;
use sm2tp_doors::control;
use sm2tp_doors::identity::{self, Facts};
use sm2tp_doors::returns::{Back, Language};
use sm2tp_doors::turned_away::TurnedAway;
use sm2tp_doors::web::Setting;
use sm2tp_doors::{Federation, House, Meters, now};
use sm2tp_federation::descriptor::SignedDescriptor;
use sm2tp_federation::publish::SealRules;
use sm2tp_proto::Domain;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::sites::SiteBook;
use sm2tp_rules::{Classifier, Source, suppress};
use sm2tp_store::accounts::{Accounts, Scram};
use sm2tp_store::confirm::Confirmations;
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::exits::Paused;
use sm2tp_store::federated::{Federated, Publisher};
use sm2tp_store::keys::{self, Keys};
use sm2tp_store::ledger::{self, Ledger};
use sm2tp_store::returns::{Inbox, Returns};
use sm2tp_store::spool::Spool;
use sm2tp_store::tokens::Tokens;
use sm2tp_store::{Book, LedgerError, Persons, Senders};

use crate::beside::{self, networks};
use crate::config::{self, Config, Switch};
use crate::{Exit, Failure, alerts, database};

/// A node's house with what only its opener needs.
pub struct Opened {
    pub house: House,
    pub rulebook: Rulebook,
    /// No other process may open the same directory while this lives.
    pub lock: File,
}

/// Opens or makes the data directory and all that is in it.
pub async fn open(config: &Config, config_file: &Path) -> Result<Opened, Failure> {
    let dir = &config.data_dir;
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    own(dir)?;
    close_to_others(dir).map_err(|error| unusable(dir, &error))?;
    let lock = lock(&dir.join("lock"))?;
    let rulebook = Rulebook::new(classifier(config_file)?);
    let keys = Keys::open(&dir.join("keys"), now()).map_err(|error| unusable(dir, &error))?;
    let dkim = DkimKeys::open(&dkim(config)).map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    let paused = Paused::open(dir).map_err(|error| unusable(dir, &error))?;
    let spool = spool(dir)?;
    let (ledger, file) = database::open(config, spool.name())?;
    let accounts = accounts(config, &ledger, &keys).await.map_err(|error| unusable(&file, &error))?;
    let persons = Persons::load(ledger.clone()).await.map_err(|error| unusable(&file, &error))?;
    let watch_key = keys.watch_secret();
    let federated = federated(config, &dir.join("segments"), &ledger, &keys).await?;
    database::is_of(&federated, &keys).await?;
    let limits = limits(config);
    let book = Book::new(ledger.views().clone(), federated.clone(), accounts.clone(), limits, &keys.tags);
    let publisher = publisher(config, &keys, (&federated, &ledger), &rulebook);
    let descriptor = describe(config, &keys, &federated).await?;
    let federation = Federation {
        store: federated,
        publisher,
        keys: Arc::new(Mutex::new(keys)),
        descriptor: Arc::new(RwLock::new(descriptor)),
        changing: Arc::default(),
        quotas: config.belief.quotas.clone(),
        private_peers: networks(&config.federation.private_peers),
        poll: config.federation.poll,
        head_wait: config.federation.head_wait,
    };
    let returns = config.returns.as_ref().map(|asked| returns(config, asked, &ledger)).transpose()?;
    let alerts = alerts::alerting(config, config_file, &ledger)?;
    let url = config.suppression.confirm_url.as_ref();
    let confirm = url.map(|url| confirm(config, url, returns.as_ref(), &ledger)).transpose()?;
    let senders = senders(config, &ledger, watch_key).await.map_err(|error| unusable(&file, &error))?;
    let tokens = Tokens::load(ledger.clone()).await.map_err(|error| unusable(&file, &error))?;
    let meters = Arc::new(if ledger.is_shared() { Meters::shared() } else { Meters::default() });
    let house = House {
        detoured: Arc::default(),
        hostname: config.hostname.as_str().into(),
        spool,
        ledger,
        accounts,
        persons,
        book,
        dkim,
        senders,
        tokens,
        private_webhooks: networks(config.http.as_ref().map_or(&[], |http| &http.private_webhooks)),
        days: control::Days::default(),
        exits: exits(config),
        paused,
        settings: settings(config_file),
        federation,
        turned_away: TurnedAway::default(),
        meters,
        returns,
        alerts,
        confirm,
        exports: beside::exports(config),
    };
    Ok(Opened { house, rulebook, lock })
}

fn publisher(
    config: &Config,
    keys: &Keys,
    (federated, ledger): (&Federated, &Ledger),
    rulebook: &Rulebook,
) -> Publisher {
    Publisher {
        federated: federated.clone(),
        views: ledger.views().clone(),
        own: keys.node_key(),
        log_key: keys.signer(),
        classifier: rulebook.clone(),
        hold_down_s: config.federation.hold_down.as_secs(),
        rules: config.federation.seal_after.map_or_else(SealRules::default, |after| SealRules::after(after.as_secs())),
    }
}

/// What pages show of the ways out.
fn exits(config: &Config) -> Arc<[control::Exit]> {
    let exits = config.relay.iter().flat_map(|relay| &relay.exits);
    let shown = |exit: &config::Exit| control::Exit {
        name: exit.name.clone(),
        addresses: exit.addresses.clone(),
        hello: exit.hello.clone().unwrap_or_else(|| config.hostname.clone()),
    };
    exits.map(shown).collect()
}

/// A file that went away since it was read is shown as if it said nothing.
fn settings(config_file: &Path) -> Arc<[Setting]> {
    config::settings(&std::fs::read_to_string(config_file).unwrap_or_default()).into()
}

async fn senders(config: &Config, ledger: &Ledger, key: [u8; 32]) -> Result<Senders, LedgerError> {
    let watch = &config.watch;
    Senders::open(ledger, watch.mode, watch.limits.clone(), key).await
}

async fn accounts(config: &Config, ledger: &Ledger, keys: &Keys) -> Result<Accounts, LedgerError> {
    let scram = match config.smtp.as_ref().map(|smtp| smtp.scram) {
        Some(Switch::Off) => Scram::Off,
        Some(Switch::On) | None => Scram::Keep { pretend: keys.scram_secret() },
    };
    Accounts::load(ledger.clone(), scram).await
}

async fn federated(config: &Config, segments: &Path, ledger: &Ledger, keys: &Keys) -> Result<Federated, Failure> {
    let belief = config.belief.limits.clone();
    let opened = Federated::open(ledger.clone(), segments, keys.node_key(), belief).await;
    opened.map_err(|error| unusable(segments, &error))
}

fn spool(data_dir: &Path) -> Result<Spool, Failure> {
    let dir = data_dir.join("spool");
    Spool::open(&dir, &fresh_name(data_dir)?).map_err(|error| match error.is_corrupt() {
        true => Failure::new(Exit::Input, format!("{}: {error}", dir.display())),
        false => unusable(&dir, &error),
    })
}

/// Mail that comes back: keys of tokens, and reports that wait.
fn returns(config: &Config, asked: &config::Returns, ledger: &Ledger) -> Result<Back, Failure> {
    let dir = &config.data_dir;
    let domain = Domain::parse(&asked.domain)
        .map_err(|error| Failure::new(Exit::Configuration, format!("[returns] domain: {error}")))?;
    let keys = dir.join("keys");
    let returns = Returns::open(&keys, ledger.clone(), now()).map_err(|error| unusable(&keys, &error))?;
    let (spool, name) = (dir.join("spool"), fresh_name(dir)?);
    let inbox = Inbox::open(&spool, &name).map_err(|error| unusable(&spool, &error))?;
    Ok(Back::new(domain, returns, inbox, asked.unsubscribe_url.clone()))
}

/// Recipients that are asked whether they want mail again. The keys of links are those of mail that comes back.
fn confirm(config: &Config, url: &str, back: Option<&Back>, ledger: &Ledger) -> Result<Confirm, Failure> {
    let keys = config.data_dir.join("keys");
    let returns = match back {
        Some(back) => back.returns.clone(),
        None => Returns::open(&keys, ledger.clone(), now()).map_err(|error| unusable(&keys, &error))?,
    };
    let language = match config.language {
        config::Language::En => Language::English,
        config::Language::Fr => Language::French,
    };
    Ok(Confirm::new(url, Confirmations::new(returns, ledger.clone()), language))
}

/// The data directory of a node that does not run, for nobody else while the answer lives.
pub fn alone(config: &Config) -> Result<File, Failure> {
    own(&config.data_dir)?;
    lock(&config.data_dir.join("lock"))
}

/// For a spool that has none yet.
pub fn fresh_name(dir: &Path) -> Result<String, Failure> {
    let name = keys::random().map_err(|error| unusable(dir, &error))?;
    Ok(hex(&name[..8]))
}

/// Where the DKIM keys are.
pub fn dkim(config: &Config) -> PathBuf {
    config.data_dir.join("keys/dkim")
}

/// A directory of an earlier version, or one that a person made: the group may be an administrator's choice, the rest of
/// the machine is not.
fn close_to_others(dir: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(dir)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    tracing::warn!(dir = %dir.display(), "everybody on this machine could read the data directory; that is over now");
    std::fs::set_permissions(dir, Permissions::from_mode(mode & !OTHERS))
}

/// Whether a node, or a command that prepares one, was ever here.
pub fn is_begun(config: &Config) -> bool {
    ledger::path(&config.data_dir).exists()
}

/// Whether who runs this may use the data directory, or make it. Nothing is made.
pub fn usable(dir: &Path) -> Result<(), Failure> {
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        let message = format!("data_dir = {:?}: {} is not a directory", dir.display(), there.display());
        return Err(Failure::new(Exit::Configuration, message));
    }
    if access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        return Ok(());
    }
    let what = if there == dir {
        "this user may not write there".to_owned()
    } else {
        format!("it does not exist, and this user may not make it in {}", there.display())
    };
    Err(Failure::new(Exit::NoPermission, format!("data_dir = {:?}: {what}; {INSTALLED}", dir.display())))
}

/// What root makes in the directory of another user, that user's node cannot open.
fn own(dir: &Path) -> Result<(), Failure> {
    let owner = std::fs::metadata(dir).map_err(|error| unusable(dir, &error))?.uid();
    let user = geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    let message = format!(
        "{} belongs to the user with number {owner}, this runs as number {user}: all commands run as the user of the \
         node, runuser -u sm2tp -- sm2tp …",
        dir.display()
    );
    Err(Failure::new(Exit::NoPermission, message))
}

/// Two processes in one spool would deliver everything twice.
fn lock(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| unusable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::new(
            Exit::Temporary,
            format!("{} is held: another sm2tp works in this directory", path.display()),
        )),
        Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
    }
}

/// The administrator's own rules beside the configuration are asked before the shipped ones.
pub fn classifier(config_file: &Path) -> Result<Classifier, Failure> {
    let own = own_file(&own_rules(config_file))?;
    let Some((file, text)) = &own else { return Ok(Classifier::shipped()) };
    Classifier::load(&[Source { file, text }, Classifier::shipped_source()])
        .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))
}

/// Where the administrator's own rules are, if there are any.
pub fn own_rules(config_file: &Path) -> PathBuf {
    config_file.with_file_name("replies.toml")
}

/// As [`own_rules`], for sites.
pub fn own_sites(config_file: &Path) -> PathBuf {
    config_file.with_file_name("sites.toml")
}

/// How fast sites are met: the administrator's own file before the shipped one.
pub fn sites(config: &Config, config_file: &Path) -> Result<SiteBook, Failure> {
    let own = own_file(&own_sites(config_file))?;
    let own = own.iter().map(|(file, text)| Source { file, text });
    let sources: Vec<_> = own.chain([SiteBook::shipped_source()]).collect();
    let book = SiteBook::load(&sources).map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
    let asked = config.relay.as_ref().and_then(|relay| relay.connections_per_site_max);
    Ok(match asked {
        Some(connections_max) => book.with_default_connections(connections_max),
        None => book,
    })
}

/// A file of the administrator beside the configuration: its name for errors, and its text.
fn own_file(path: &Path) -> Result<Option<(String, String)>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn limits(config: &Config) -> suppress::Limits {
    let asked = &config.suppression;
    suppress::Limits {
        strict: asked.strict_streams,
        personal_retry_after_s: asked.personal_retry_after.as_secs(),
        hard_expiry_s: asked.hard_expiry.as_secs(),
        inactive_recheck_s: asked.inactive_recheck.as_secs(),
        ambiguous_spread_s: asked.ambiguous_spread.as_secs(),
        soft_max: u16::try_from(asked.soft_limit).unwrap_or(u16::MAX),
        soft_window_s: asked.soft_window.as_secs(),
        soft_spread_s: asked.soft_spread.as_secs(),
        soft_half_life_s: asked.soft_half_life.as_secs(),
        complaint: asked.complaint_streams,
        federated: asked.federated_streams,
        delivery_fresh_s: asked.delivery_fresh.as_secs(),
        newer_sources_min: asked.newer_sources,
        held_score: asked.held_score,
        suppressed_score: asked.suppressed_score,
        suppressed_sources_min: asked.suppressed_sources,
        doubtful: asked.doubtful,
        canary_share: config.federation.canary_share,
        stopped: asked.stopped,
    }
}

/// What the node says of itself; signed anew, with the next number, when something in it has changed.
async fn describe(config: &Config, keys: &Keys, store: &Federated) -> Result<SignedDescriptor, Failure> {
    let (name, contact) = (config.federation.name.clone(), config.federation.contact.clone());
    let mut facts = Facts { name, api: api(config), contact };
    // Machines of one node have names of their own, and their node one.
    if store.is_shared()
        && config.federation.url.is_none()
        && let Ok(Some(known)) = store.descriptor(keys.node_key()).await
    {
        let known = known.descriptor();
        facts = Facts { name: known.name.clone(), api: known.api.clone(), contact: known.contact.clone() };
    }
    let described = identity::open(keys, store, facts, now()).await;
    described.map_err(|error| Failure::new(Exit::Configuration, format!("own descriptor: {error}")))
}

/// Where peers reach `/fed/v1`. Without a public address it is the HTTP door on loopback, which only peers on this
/// machine can use.
fn api(config: &Config) -> String {
    let listen = config.http.as_ref().and_then(|http| http.listen.first());
    match (&config.federation.url, listen) {
        (Some(url), _) => url.clone(),
        (None, Some(listen)) => format!("http://{listen}/fed/v1"),
        (None, None) => "http://127.0.0.1:8025/fed/v1".to_owned(),
    }
}

/// How long `sm2tp` commands wait for a node to answer.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(60);

/// What is wrong with a file of the node. More rights, or more patience: the exit code tells which.
pub fn unusable(path: &Path, error: &(dyn Error + 'static)) -> Failure {
    if is_forbidden(error) {
        return Failure::new(Exit::NoPermission, format!("{}: {error}; {INSTALLED}", path.display()));
    }
    Failure::new(Exit::Temporary, format!("{}: {error}", path.display()))
}

fn is_forbidden(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) || error.source().is_some_and(is_forbidden)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// How the directory comes into being, and who uses it.
pub const INSTALLED: &str = "all commands run as the user of the node, which owns its data directory (see README.md): \
                             runuser -u sm2tp -- sm2tp …";
/// What a mode allows to who is neither owner nor of the group.
const OTHERS: u32 = 0o007;
