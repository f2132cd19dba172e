//! The words for the persons who use the pages.

use std::path::PathBuf;

use clap::Subcommand;
use sm2tp_doors::control::{AccountChange, Request};

use crate::Failure;
use crate::password::password;

#[derive(Debug, Subcommand)]
pub enum Account {
    /// List the persons with their roles.
    List,
    /// Add a person. At a terminal the password is asked for.
    Add {
        name: String,
        /// owner, operator, org-administrator or read-only (docs/web.md).
        #[arg(long)]
        role: String,
        /// The organisation of an org-administrator.
        #[arg(long)]
        org: Option<String>,
        /// A file whose first line is the password; without it, that of standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Give a person another password; it is logged out everywhere.
    Password {
        name: String,
        /// A file whose first line is the password; without it, that of standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Give a person another role.
    Role {
        name: String,
        #[arg(long)]
        role: String,
        /// The organisation of an org-administrator.
        #[arg(long)]
        org: Option<String>,
    },
    /// Ask for no code any more: its telephone is lost.
    FactorOff { name: String },
    /// Log a person out everywhere.
    Logout { name: String },
    /// Remove a person.
    Remove { name: String },
}

impl Account {
    /// What the node is asked.
    pub fn request(self) -> Result<Request, Failure> {
        let change = match self {
            Self::List => return Ok(Request::AccountList),
            Self::Add { name, role, org, password_file } => {
                let password = password(&name, password_file.as_deref())?;
                AccountChange::Add { name, role, org, password }
            }
            Self::Password { name, password_file } => {
                let password = password(&name, password_file.as_deref())?;
                AccountChange::Password { name, password }
            }
            Self::Role { name, role, org } => AccountChange::Role { name, role, org },
            Self::FactorOff { name } => AccountChange::FactorOff { name },
            Self::Logout { name } => AccountChange::Logout { name },
            Self::Remove { name } => AccountChange::Remove { name },
        };
        Ok(Request::Account { change })
    }
}
