//! The ledger of the configuration: a file in the data directory, or a database that several machines share (decision 0075).

use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(feature = "postgres")]
use std::time::Duration;

use serde_json::json;
use sm2tp_store::backup::Source;
use sm2tp_store::federated::Federated;
use sm2tp_store::keys::Keys;
use sm2tp_store::ledger::machines::Machine;
use sm2tp_store::ledger::{self, Ledger};
#[cfg(feature = "postgres")]
use sm2tp_store::spool::Spool;
#[cfg(feature = "postgres")]
use sm2tp_store::sql::postgres::Shared;
#[cfg(feature = "postgres")]
use sm2tp_store::transfer::{self, Step};

use crate::cli::Migrate;
use crate::config::{self, Config};
use crate::{Exit, Failure, open, outward, say};

/// Opens the ledger. Answers with where it is, for who says what is wrong with it. `machine` is a name that no other machine of the
/// node has.
pub fn open(config: &Config, machine: &str) -> Result<(Ledger, PathBuf), Failure> {
    let Some(store) = &config.store else {
        let file = ledger::path(&config.data_dir);
        let ledger = Ledger::open(&file).map_err(|error| open::unusable(&file, &error))?;
        return Ok((ledger, file));
    };
    let place = PathBuf::from(&store.database);
    shared_ledger(store, machine, &place).map(|ledger| (ledger, place))
}

#[cfg(feature = "postgres")]
fn shared_ledger(store: &config::Store, machine: &str, place: &Path) -> Result<Ledger, Failure> {
    let shared = shared(store, machine)?;
    Ledger::open_shared(&shared).map_err(|error| {
        let exit = if error.is_away() { Exit::Temporary } else { Exit::Configuration };
        Failure::new(exit, format!("{}: {error}", place.display()))
    })
}

#[cfg(not(feature = "postgres"))]
fn shared_ledger(_: &config::Store, _: &str, place: &Path) -> Result<Ledger, Failure> {
    let what = "this program was built without PostgreSQL (cargo feature `postgres`)";
    Err(Failure::new(Exit::Configuration, format!("{}: {what}", place.display())))
}

/// Whether `[store]` can be used, as far as that is known without asking the database.
#[cfg(feature = "postgres")]
pub fn check(config: &Config) -> Result<(), Failure> {
    config.store.as_ref().map_or(Ok(()), |store| shared(store, "").map(drop))
}

#[cfg(not(feature = "postgres"))]
pub fn check(config: &Config) -> Result<(), Failure> {
    config.store.as_ref().map_or(Ok(()), |store| shared_ledger(store, "", Path::new(&store.database)).map(drop))
}

/// Waits until the database answers. A machine that was started before that of the database, after a power cut, must come up by
/// itself; what is wrong otherwise is said by who opens it.
#[cfg(feature = "postgres")]
pub async fn awaited(config: &Config) -> Result<(), Failure> {
    let Some(store) = &config.store else { return Ok(()) };
    let shared = shared(store, "")?;
    let mut is_told = false;
    loop {
        let asked = shared.clone();
        // A connection waits for its answers, which no task may.
        match tokio::task::spawn_blocking(move || asked.answers()).await {
            Ok(Err(error)) if error.is_away() => {
                if !is_told {
                    tracing::warn!(%error, "the database does not answer: this machine takes mail as soon as it does");
                }
                is_told = true;
                tokio::time::sleep(AGAIN).await;
            }
            _ => return Ok(()),
        }
    }
}

#[cfg(not(feature = "postgres"))]
pub async fn awaited(_: &Config) -> Result<(), Failure> {
    Ok(())
}

/// What `[store]` names, as the machine of this name.
#[cfg(feature = "postgres")]
pub fn shared(store: &config::Store, machine: &str) -> Result<Shared, Failure> {
    let wrong = |why: String| Failure::new(Exit::Configuration, format!("[store]: {why}"));
    let password = store.password_file.as_deref().map(|path| {
        outward::secret_line(path).map_err(|why| wrong(format!("password_file {}: {why}", path.display())))
    });
    let password = password.transpose()?;
    let tls = sm2tp_relay::trusting(store.ca_file.as_deref()).map_err(|error| wrong(format!("ca_file: {error}")))?;
    Shared::new(&store.database, password.as_ref().map(|password| password.as_str()), &tls, machine)
        .map_err(|error| wrong(format!("database: {error}")))
}

/// Where the ledger is, for who copies it.
#[cfg(feature = "postgres")]
pub fn source(config: &Config) -> Result<Source, Failure> {
    let Some(store) = &config.store else { return Ok(Source::File) };
    let machine = machine(config)?;
    shared(store, &machine).map(Source::Shared)
}

#[cfg(not(feature = "postgres"))]
pub fn source(_: &Config) -> Result<Source, Failure> {
    Ok(Source::File)
}

/// What the machines of the node are, where there are several.
#[cfg(feature = "postgres")]
pub fn machines(config: &Config) -> Option<Result<Vec<Machine>, String>> {
    let shared = match source(config) {
        Ok(Source::Shared(shared)) => shared,
        Ok(Source::File) => return None,
        Err(failure) => return Some(Err(failure.message)),
    };
    Some(ledger::machines::all(&shared).map_err(|error| error.to_string()))
}

#[cfg(not(feature = "postgres"))]
pub fn machines(_: &Config) -> Option<Result<Vec<Machine>, String>> {
    None
}

/// The name of its queue, which no other machine has.
#[cfg(feature = "postgres")]
fn machine(config: &Config) -> Result<String, Failure> {
    let dir = config.data_dir.join("spool");
    Spool::name_of(&dir).map_err(|error| open::unusable(&dir, &error))
}

/// All machines of a node have its keys.
pub async fn is_of(federated: &Federated, keys: &Keys) -> Result<(), Failure> {
    if !federated.is_shared() {
        return Ok(());
    }
    let own = keys.node_key().to_string();
    let known = federated.setting_or("node", &own).await;
    let known = known.map_err(|error| Failure::new(Exit::Temporary, error.to_string()))?;
    if known == own {
        return Ok(());
    }
    let what = format!(
        "the database is that of the node {known}, and the keys here are those of another, {own}: copy the folder keys of the first \
         machine into data_dir, with owner and mode"
    );
    Err(Failure::new(Exit::Configuration, what))
}

/// Copies the ledger of this machine into a database that has none yet, and compares both. The node does not run meanwhile.
#[cfg(feature = "postgres")]
pub fn migrate(
    config: &Config,
    Migrate { to, password_file, ca_file }: &Migrate,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let _alone = open::alone(config)?;
    let file = ledger::path(&config.data_dir);
    if !file.exists() {
        let what = "there is no ledger in a file here that could be moved: no node was ever here, or its database is elsewhere";
        return Err(Failure::new(Exit::Unavailable, what));
    }
    let machine = machine(config)?;
    let (database, password_file, ca_file) = (to.clone(), password_file.clone(), ca_file.clone());
    let store = config::Store { database, password_file, ca_file };
    let shared = shared(&store, &machine)?;
    let mut shown = 0;
    let show = |step: &Step| {
        // A line for each table, and one now and then in a long one.
        if !as_json && (step.done == step.rows || shown + SHOWN_EVERY <= step.done) {
            shown = if step.done == step.rows { 0 } else { step.done };
            say(&format!("{} {}: {} of {} rows", step.what, step.table, step.done, step.rows));
        }
    };
    let moved = transfer::to_shared(&file, &config.data_dir.join("segments"), &shared, show);
    let moved = moved.map_err(|error| Failure::new(Exit::Temporary, format!("{to}: {error}; nothing has changed")))?;
    if as_json {
        let told = json!({ "database": to, "tables": moved.tables, "rows": moved.rows, "segments": moved.segments });
        say(&told.to_string());
    } else {
        say(&format!(
            "{} rows of {} tables and {} segments are in the database and the same as in {}, which stays as it is. Now name the \
             database in [store] and start the node; what happens from then on is in the database alone.",
            moved.rows,
            moved.tables,
            moved.segments,
            file.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "postgres"))]
pub fn migrate(_: &Config, Migrate { to, .. }: &Migrate, _: bool) -> Result<ExitCode, Failure> {
    let what = "this program was built without PostgreSQL (cargo feature `postgres`)";
    Err(Failure::new(Exit::Configuration, format!("{to}: {what}")))
}

/// As long as a connection that was lost waits at most.
#[cfg(feature = "postgres")]
const AGAIN: Duration = Duration::from_secs(2);
/// Rows after which a long table says how far it is.
const SHOWN_EVERY: u64 = 100_000;
