//! Lists as files, for mail servers and other tools that read them, also while this node is down (decision 0026): written
//! when they change, each at once or not at all.

mod contents;
mod files;

use std::fmt::Write;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use sm2tp_proto::date;
use sm2tp_proto::maps::{self, File, Form, What, cdb, cell};
use sm2tp_rules::Stream;
use sm2tp_store::LedgerError;
use sm2tp_store::sql::{self, SqlError};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::contents::Contents;
pub use self::contents::{Route, Speaks};
use crate::House;

/// Which files are written, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    pub dir: PathBuf,
    pub files: Vec<File>,
    /// A file knows no sender: it refuses what mail of the organisation `local` in this stream would be refused.
    pub stream: Stream,
    pub routes: Vec<Route>,
    /// The shortest time between two looks at what has changed.
    pub every: Duration,
    /// The kind of table that postmap(1) makes of each text file; none: none is made.
    pub postmap: Option<String>,
}

/// What was done with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    pub file: String,
    pub entries: usize,
    /// Entries that a table of a mail server cannot hold, or that did not fit.
    pub left_out: usize,
    pub changed: bool,
}

/// Why files could not be written.
#[derive(Debug, Error)]
pub enum ExportError {
    #[error("there is no section [exports] in the configuration")]
    Nothing,
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(transparent)]
    TooLarge(#[from] cdb::TooLarge),
    #[error("postmap {0}")]
    Postmap(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The files of a node. Clones share them.
#[derive(Debug, Clone)]
pub struct Exports(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    /// The command line and the node itself may want it at the same time.
    writing: Mutex<()>,
}

impl Exports {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner { settings, writing: Mutex::new(()) }))
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// [`ExportError`]: the files before it are written, this one and those after it are as they were.
    pub async fn write(&self, house: &House) -> Result<Vec<Written>, ExportError> {
        let _alone = self.0.writing.lock().await;
        let settings = &self.0.settings;
        files::folder(&settings.dir).map_err(|error| ExportError::File { path: settings.dir.clone(), error })?;
        let (mut written, mut last): (_, Option<(What, Contents)>) = (Vec::new(), None);
        let mut files = settings.files.clone();
        files.sort_by_key(|file| file.what);
        for file in files {
            // What several files say in several forms is found once.
            let contents = match last {
                Some((what, contents)) if what == file.what => contents,
                _ => self.contents(house, file.what).await?,
            };
            written.push(self.write_one(file, &contents).await?);
            last = Some((file.what, contents));
        }
        Ok(written)
    }

    async fn contents(&self, house: &House, what: What) -> Result<Contents, ExportError> {
        let settings = &self.0.settings;
        Ok(match what {
            What::Suppress => contents::suppressed(house, settings.stream).await?,
            What::Logins => contents::logins(house),
            What::Senders => contents::senders(house),
            What::Transport => contents::routes(&settings.routes, Route::postfix),
            What::TransportExim => contents::routes(&settings.routes, Route::exim),
        })
    }

    async fn write_one(&self, file: File, contents: &Contents) -> Result<Written, ExportError> {
        let settings = &self.0.settings;
        let (name, octets) = (file.name(), octets(file.form, contents)?);
        let path = settings.dir.join(&name);
        let changed = files::replace(&settings.dir, &name, &octets)
            .map_err(|error| ExportError::File { path: path.clone(), error })?;
        if let (Form::Text, Some(kind)) = (file.form, &settings.postmap) {
            let table = settings.dir.join(format!("{name}.{}", suffix(kind)));
            // A table that could not be made the last time is made now.
            if changed || !files::is_newer(&table, &path) {
                let (kind, path) = (kind.clone(), path.clone());
                let made = spawn_blocking(move || files::postmap(&kind, &path)).await;
                made.unwrap_or_else(|error| Err(error.to_string())).map_err(ExportError::Postmap)?;
            }
        }
        Ok(Written { file: name, entries: contents.entries.len(), left_out: contents.left_out, changed })
    }

    /// What changes when a file does: a newer event in the ledger, or other senders that are stopped.
    async fn mark(&self, house: &House) -> Result<(u64, Vec<String>), ExportError> {
        let newest = house.ledger.read(|sql| {
            Ok(sql::first(sql, "SELECT COALESCE(MAX(id), 0) FROM event", &[], |row| row.uint(0))?.unwrap_or(0))
        });
        let stopped = [contents::logins(house), contents::senders(house)];
        let names = stopped.into_iter().flat_map(|contents| contents.entries.into_keys());
        Ok((newest.await?, names.collect()))
    }
}

/// Writes what has changed, for who asks for it.
pub(crate) async fn written(house: &House) -> Result<Value, ExportError> {
    let exports = house.exports.as_ref().ok_or(ExportError::Nothing)?;
    Ok(json!(exports.write(house).await?))
}

/// What a file would say of this recipient, if it could hold every address; none: nothing.
pub(crate) fn refusal(house: &House, stream: Stream, recipient: &str) -> Option<String> {
    contents::judge(house, stream, recipient).map(|(_, entry)| entry.value)
}

/// Keeps the files as they should be, until `stop` is done. Trouble is said once, and tried again.
pub async fn run(exports: Exports, house: House, stop: impl Future<Output = ()> + Send) {
    let (mut stop, mut known, mut looked, mut troubled) = (pin!(stop), None, Instant::now(), false);
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            () = &mut stop => return,
        }
        let began = Instant::now();
        let result = match exports.mark(&house).await {
            // What time alone changes, and what other nodes say, is no event of this ledger.
            Ok(mark) if known.as_ref() == Some(&mark) && began - looked < LOOK_ANYWAY => Ok(()),
            Ok(mark) => {
                looked = began;
                exports.write(&house).await.map(|written| {
                    known = Some(mark);
                    let cut = written.iter().find(|file| contents::ENTRIES_MAX <= file.entries);
                    if let Some(file) = cut {
                        tracing::warn!(file = %file.file, "a file is full: not everything is in it");
                    }
                })
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &result
            && !troubled
        {
            tracing::error!(%error, "lists could not be written to files; it is tried again");
        }
        troubled = result.is_err();
        // Where looking takes long, it takes a tenth of a processor at most.
        wait = exports.0.settings.every.max(began.elapsed() * SHARE);
    }
}

fn octets(form: Form, contents: &Contents) -> Result<Vec<u8>, cdb::TooLarge> {
    let pairs = contents.entries.iter().map(|(key, entry)| (key.as_str(), entry.value.as_str()));
    match form {
        Form::Cdb => cdb::write(pairs.map(|(key, value)| (key.as_bytes(), value.as_bytes()))),
        Form::Text => Ok(maps::text(pairs).into_bytes()),
        Form::Csv => Ok(csv(contents).into_bytes()),
        Form::Json => Ok(objects(contents).into_bytes()),
    }
}

fn csv(contents: &Contents) -> String {
    let mut text = "key,value,why,until\n".to_owned();
    for (key, entry) in &contents.entries {
        let until = entry.until.map(date::rfc3339).unwrap_or_default();
        let _ = writeln!(text, "{},{},{},{until}", cell(key), cell(&entry.value), cell(entry.why));
    }
    text
}

/// An array with a line for each entry, so that line tools can read it as well.
fn objects(contents: &Contents) -> String {
    let object = |(key, entry): (&String, &contents::Entry)| {
        let until = entry.until.map(date::rfc3339);
        json!({ "key": key, "value": entry.value, "why": entry.why, "until": until }).to_string()
    };
    let objects: Vec<String> = contents.entries.iter().map(object).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// What postmap(1) puts behind the name of a table's source.
fn suffix(kind: &str) -> &str {
    match kind {
        "hash" | "btree" => "db",
        other => other,
    }
}

impl From<SqlError> for ExportError {
    fn from(error: SqlError) -> Self {
        Self::Ledger(error.into())
    }
}

/// A dead address may be tried again after a day, and other nodes are heard every five minutes: nobody notices ten.
const LOOK_ANYWAY: Duration = Duration::from_secs(600);
/// Ten times as long as a look took, until the next one.
const SHARE: u32 = 10;
