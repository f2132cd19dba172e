//! Opens the ledger: a file of this machine, or a database that several machines share.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

#[cfg(feature = "postgres")]
use super::machines::Machines;
use super::machines::Pictures;
use super::tail::Tail;
use super::{Counted, Job, Ledger, LedgerError, Progress, owner, rebuild, schema};
#[cfg(feature = "postgres")]
use crate::sql::postgres::{Access, Postgres, Shared};
use crate::sql::{self, SqlError};

impl Ledger {
    /// Opens or makes the ledger file and loads its views.
    ///
    /// # Errors
    /// [`LedgerError`] where the file cannot be opened or has a newer format.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = path.to_owned();
        let pictures = Pictures::default();
        let (opening, progress) = (pictures.clone(), Progress::default());
        let making = progress.clone();
        let writer = owner("ledger", move || {
            let mut connection = sql::open_sqlite(&file)?;
            if schema::prepare(&connection)? {
                sql::transaction::<_, LedgerError>(&mut connection, |sql| Ok(rebuild(sql, &making)?))?;
            }
            opening.load(&mut connection)?;
            Ok(Box::new(connection))
        })?;
        let file = path.to_owned();
        let reader = owner("ledger-reader", move || {
            let connection = sql::open_sqlite(&file)?;
            connection.pragma_update(None, "query_only", "ON").map_err(SqlError::from)?;
            Ok(Box::new(connection))
        })?;
        Ok(Self::of((writer, reader), pictures, progress))
    }

    /// Opens the database that several machines share, makes its tables where there are none, and loads the views. It answers
    /// when they are loaded.
    ///
    /// # Errors
    /// [`LedgerError`] where the database does not answer, does not let in, or has a newer format.
    #[cfg(feature = "postgres")]
    pub fn open_shared(shared: &Shared) -> Result<Self, LedgerError> {
        let pictures = Pictures::shared(Machines::new(shared.machine()));
        let (opening, progress) = (pictures.clone(), Progress::default());
        let (making, of_writer) = (progress.clone(), shared.clone());
        let writer = owner("ledger", move || {
            let mut connection = Postgres::open(&of_writer, Access::Write)?;
            sql::transaction::<_, LedgerError>(&mut connection, |sql| {
                if schema::prepare_shared(sql)? {
                    rebuild(sql, &making)?;
                }
                opening.begin(sql)?;
                Ok(opening.load(sql)?)
            })?;
            Ok(Box::new(connection))
        })?;
        let of_reader = shared.clone();
        let reader = owner("ledger-reader", move || Ok(Box::new(Postgres::open(&of_reader, Access::Read)?)))?;
        Ok(Self::of((writer, reader), pictures, progress))
    }

    fn of((writer, reader): (mpsc::Sender<Job>, mpsc::Sender<Job>), pictures: Pictures, progress: Progress) -> Self {
        Self {
            writer,
            reader,
            pictures,
            watching: Arc::default(),
            progress,
            counted: Counted::default(),
            tail: Tail::default(),
        }
    }
}
