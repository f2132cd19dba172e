//! PostgreSQL as the database of several machines of one node (decision 0075).
//!
//! A connection belongs to one thread, as that to a file does. It comes back by itself; while the database is away, what is asked
//! of it fails at once, so that nobody waits for it. One machine writes at a time: what is written in a transaction is
//! computed from what was read in it.

mod tls;
mod types;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Statement};

use self::tls::Tls;
use self::types::Read;
use super::{Row, Sql, SqlError, Value};
use crate::ledger::Area;

/// Where the database of a node is, and which machine asks.
#[derive(Debug, Clone)]
pub struct Shared {
    config: Box<Config>,
    /// None: what goes there stays on this machine.
    tls: Option<Tls>,
    /// A name that no other machine of the node has.
    machine: String,
}

/// A connection with one owner.
pub struct Postgres {
    shared: Shared,
    access: Access,
    runtime: Runtime,
    live: Option<Live>,
    /// Within a transaction, no other connection can take the place of one that was lost.
    within: bool,
    /// What the other machines must read again after this transaction.
    touched: BTreeSet<Area>,
    /// When it may be tried again, and how long to wait after that.
    again: Option<Instant>,
    wait: Duration,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

struct Live {
    client: Client,
    statements: HashMap<String, Statement>,
    leads: bool,
}

impl Shared {
    /// Reads `postgres://user@host/database`, with the options of libpq. `password` stands elsewhere, where not everybody reads it.
    /// A database on another machine must show a certificate that `tls` takes, whatever the address says of it; one on this
    /// machine where the address asks for it (`sslmode=require`).
    ///
    /// # Errors
    /// [`SqlError::Refused`] where it is no such address, or would carry what is kept over a network in clear.
    pub fn new(url: &str, password: Option<&str>, tls: &Arc<ClientConfig>, machine: &str) -> Result<Self, SqlError> {
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| SqlError::Refused(said(&error)))?;
        let mode = config.get_ssl_mode();
        let is_far = !is_near(&config);
        if is_far && mode == SslMode::Disable {
            let what =
                "sslmode=disable is for a Unix socket or an address of this machine: what goes to another is encrypted";
            return Err(SqlError::Refused(what.into()));
        }
        let is_encrypted = is_far || mode == SslMode::Require;
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = password {
            config.password(password);
        }
        config.application_name("sm2tp").connect_timeout(CONNECT_MAX).keepalives_idle(Duration::from_secs(15));
        let tls = is_encrypted.then(|| Tls(tls.clone()));
        Ok(Self { config: Box::new(config), tls, machine: machine.to_owned() })
    }

    #[must_use]
    pub fn machine(&self) -> &str {
        &self.machine
    }

    /// Whether the database lets this machine in now.
    ///
    /// # Errors
    /// [`SqlError::Away`] where nobody answers, [`SqlError::Refused`] where it does not.
    pub fn answers(&self) -> Result<(), SqlError> {
        Postgres::open(self, Access::Read).map(drop)
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        // The connection ends with the client; what is wrong with it is told to who asks next.
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(connection);
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(connection);
                Ok(client)
            }
        }
    }
}

impl Postgres {
    /// Connects.
    ///
    /// # Errors
    /// [`SqlError::Away`] where nobody answers, [`SqlError::Refused`] where it is not let in.
    pub fn open(shared: &Shared, access: Access) -> Result<Self, SqlError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| SqlError::Away(error.to_string()))?;
        let mut opened = Self {
            shared: shared.clone(),
            access,
            runtime,
            live: None,
            within: false,
            touched: BTreeSet::new(),
            again: None,
            wait: AGAIN_MIN,
        };
        opened.live()?;
        Ok(opened)
    }

    fn live(&mut self) -> Result<(), SqlError> {
        if !self.within && self.live.is_some() {
            // What the network said meanwhile is heard only while this thread asks something: a database that was started again has
            // closed this connection.
            self.runtime.block_on(tokio::task::yield_now());
        }
        if self.live.as_ref().is_some_and(|live| !live.client.is_closed()) {
            return Ok(());
        }
        self.live = None;
        if self.within {
            return Err(SqlError::Away("it was lost in the middle of a transaction".into()));
        }
        if self.again.is_some_and(|again| Instant::now() < again) {
            return Err(SqlError::Away("it was away a moment ago".into()));
        }
        match self.connect() {
            Ok(live) => {
                (self.live, self.again, self.wait) = (Some(live), None, AGAIN_MIN);
                Ok(())
            }
            Err(error) => {
                self.again = Some(Instant::now() + self.wait);
                self.wait = (self.wait * 2).min(AGAIN_MAX);
                Err(error)
            }
        }
    }

    fn connect(&self) -> Result<Live, SqlError> {
        let settings = match self.access {
            Access::Write => SETTINGS.to_owned(),
            Access::Read => format!("{SETTINGS} SET default_transaction_read_only = on;"),
        };
        self.runtime.block_on(async {
            let connecting = timeout(CONNECT_MAX, self.shared.connect()).await;
            let client =
                connecting.map_err(|_| SqlError::Away("no answer".into()))?.map_err(|error| trouble(&error))?;
            timeout(CONNECT_MAX, client.batch_execute(&settings))
                .await
                .map_err(|_| SqlError::Away("no answer".into()))?
                .map_err(|error| trouble(&error))?;
            Ok(Live { client, statements: HashMap::new(), leads: false })
        })
    }

    /// Does something with the connection, within the time that an answer may take. One that is of no use any more goes.
    fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Live) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, SqlError> {
        self.live()?;
        let Self { runtime, live, .. } = self;
        let Some(connected) = live.as_mut() else { return Err(SqlError::Away("no connection".into())) };
        let done = runtime.block_on(async { timeout(ANSWER_MAX, work(connected)).await });
        let error = match done {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => trouble(&error),
            Err(_) => SqlError::Away(format!("no answer within {} s", ANSWER_MAX.as_secs())),
        };
        if error.is_away() {
            *live = None;
        }
        Err(error)
    }

    /// Answers with the first column of the last row.
    fn simple(&mut self, sql: &str) -> Result<Option<String>, SqlError> {
        let messages = self.with(async |live| live.client.simple_query(sql).await)?;
        Ok(messages.into_iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// So that the other machines read again what this transaction changed.
    fn announce(&mut self) -> Result<(), SqlError> {
        for area in std::mem::take(&mut self.touched) {
            let values = [area.as_str().into(), self.shared.machine.as_str().into()];
            self.execute(ANNOUNCE, &values)?;
        }
        Ok(())
    }
}

impl Live {
    async fn prepare(&mut self, sql: &str, values: &[Value]) -> Result<Statement, tokio_postgres::Error> {
        let types: Vec<Type> = values.iter().map(types::of).collect();
        let mut name = String::with_capacity(sql.len() + types.len());
        name.push_str(sql);
        name.extend(values.iter().map(types::letter));
        if let Some(statement) = self.statements.get(&name) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(sql, &types).await?;
        if STATEMENTS_MAX <= self.statements.len() {
            self.statements.clear();
        }
        self.statements.insert(name, statement.clone());
        Ok(statement)
    }
}

impl Sql for Postgres {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, SqlError> {
        if self.within {
            self.touched.extend(Area::of(sql));
        }
        let changed = self.with(async |live| {
            let statement = live.prepare(sql, values).await?;
            live.client.execute_raw(&statement, values.iter().map(|value| value as &(dyn ToSql + Sync))).await
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn rows(
        &mut self,
        sql: &str,
        values: &[Value],
        each: &mut dyn FnMut(&Row) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        if self.within {
            self.touched.extend(Area::of(sql));
        }
        let mut wrong = None;
        let done = self.with(async |live| {
            let statement = live.prepare(sql, values).await?;
            let parameters = values.iter().map(|value| value as &(dyn ToSql + Sync));
            let mut rows = pin!(live.client.query_raw(&statement, parameters).await?);
            while let Some(row) = rows.try_next().await? {
                let read = (0..row.len()).map(|column| row.try_get::<_, Read>(column).map(|read| read.0));
                let row = Row(read.collect::<Result<_, _>>()?);
                if wrong.is_none() {
                    wrong = each(&row).err();
                }
            }
            Ok(())
        });
        done.and_then(|()| wrong.map_or(Ok(()), Err))
    }

    fn batch(&mut self, sql: &str) -> Result<(), SqlError> {
        self.with(async |live| live.client.batch_execute(sql).await)
    }

    /// Its rows are free for others at once; when their octets are written over, and when its log goes, it decides itself.
    fn overwrite(&mut self, _: &[Vec<u8>]) -> Result<(), SqlError> {
        self.batch("VACUUM")?;
        Err(SqlError::Refused("PostgreSQL writes over what was removed in its own time".into()))
    }

    fn begin(&mut self) -> Result<(), SqlError> {
        self.touched.clear();
        let begin = if self.access == Access::Write { BEGIN } else { LOOK };
        match self.simple(begin) {
            Ok(_) => {
                self.within = true;
                Ok(())
            }
            Err(error) => {
                // The lock was not given in time: the transaction is open, and of no use.
                self.rollback();
                Err(error)
            }
        }
    }

    fn commit(&mut self) -> Result<(), SqlError> {
        let done = self.announce().and_then(|()| self.simple("COMMIT").map(drop));
        if done.is_err() {
            self.rollback();
        }
        self.within = false;
        done
    }

    fn rollback(&mut self) {
        self.within = false;
        // Whoever lost the connection has nothing to take back.
        if self.live.is_some() && self.simple("ROLLBACK").is_err() {
            self.live = None;
        }
    }

    fn leads(&mut self) -> Result<bool, SqlError> {
        self.live()?;
        if self.live.as_ref().is_some_and(|live| live.leads) {
            return Ok(true);
        }
        let leads = self.simple(LEAD)?.as_deref() == Some("t");
        if let Some(live) = &mut self.live {
            live.leads = leads;
        }
        Ok(leads)
    }
}

/// Whether nothing that is said to it leaves this machine.
fn is_near(config: &Config) -> bool {
    let names = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    });
    // Where addresses are given, names are for certificates only.
    let addresses = config.get_hostaddrs();
    if addresses.is_empty() { names } else { addresses.iter().all(IpAddr::is_loopback) }
}

/// In the database's own words, or of the network.
fn trouble(error: &tokio_postgres::Error) -> SqlError {
    let Some(told) = error.as_db_error() else {
        // A wrong certificate is for a person to mend, and no network that comes back.
        return if is_wrong_certificate(error) { SqlError::Refused(said(error)) } else { SqlError::Away(said(error)) };
    };
    // 08: connection; 57P: it is being stopped, or starts; 25P03: we were silent for too long; 55P03: others write.
    // 53300: too many connections.
    let code = told.code().code();
    let is_away = code.starts_with("08") || code.starts_with("57P") || ["25P03", "55P03", "53300"].contains(&code);
    let words = told.detail().map_or_else(|| told.message().to_owned(), |more| format!("{}: {more}", told.message()));
    if is_away { SqlError::Away(words) } else { SqlError::Refused(words) }
}

fn is_wrong_certificate(error: &tokio_postgres::Error) -> bool {
    use std::error::Error as _;
    let of_tls = error.source().and_then(|source| source.downcast_ref::<io::Error>()).and_then(io::Error::get_ref);
    of_tls.is_some_and(|inner| matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

/// With what is behind it.
fn said(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A machine that is lost in the middle of a transaction must not hold the others up for ever; what others write within this time
/// is waited for.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '15s'; \
    SET client_min_messages = 'warning'; SET standard_conforming_strings = on;";
/// One writer of a node at a time: ids of events are committed in their order, and nothing is computed from what another one
/// changes at the same moment. The numbers stand for this program and for what it asks; a node is a schema.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(1396527956, hashtext(current_schema()))";
/// All that is read is of one moment.
const LOOK: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
const LEAD: &str = "SELECT pg_try_advisory_lock(1396527957, hashtext(current_schema()))";
const ANNOUNCE: &str = "INSERT INTO changed (area, machine, version) VALUES ($1, $2, 1) \
    ON CONFLICT (area, machine) DO UPDATE SET version = changed.version + 1";
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Of one statement; the largest adds up the hours of a year.
const ANSWER_MAX: Duration = Duration::from_secs(120);
const AGAIN_MIN: Duration = Duration::from_millis(100);
/// A database that was started again is found so soon.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Statements that are kept prepared; there are some 250 in the program.
const STATEMENTS_MAX: usize = 500;
