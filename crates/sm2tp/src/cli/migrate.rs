//! The words of `sm2tp migrate`.

use std::path::PathBuf;

use clap::Args;

/// From a file to a database that several machines share.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database, as it will stand in [store]: postgres://user@host/database.
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// A file with its password in the first line.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Who signs its certificate, where it is on another machine (PEM); besides the authorities of the system.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}
