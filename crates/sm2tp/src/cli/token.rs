//! The words of `sm2tp token`.

use clap::{Subcommand, ValueEnum};
use sm2tp_doors::control::Request;
use sm2tp_rules::rate::Rate;
use sm2tp_store::tokens::Wanted;

use crate::sender::until;

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token for a program. Its secret is printed once, and kept nowhere.
    New {
        /// What program gets it, for those who look later.
        name: String,
        /// What the program is to the node (docs/api.md).
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// Of an org-administrator: of which organisation.
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
        /// What it may do, as queue:read or mail:write; repeat it for several. `all`: whatever its role may.
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// Whose mail it hands in; without it, mail of its organisation.
        #[arg(long, value_name = "LOGIN", requires = "org")]
        login: Option<String>,
        /// Requests in a time: 600/min, 2000/h; 6000/min by default.
        #[arg(long, value_name = "RATE")]
        rate: Option<Rate>,
        /// When it ends: a time from now (90d) or a day (2027-12-24). Without it, it does not end by itself.
        #[arg(long, value_name = "WHEN", value_parser = until)]
        expires: Option<u64>,
    },
    /// List tokens, without their secrets.
    List,
    /// End a token, at once.
    Revoke {
        /// As `token list` shows it.
        id: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything.
    Owner,
    /// The daily work, for all organisations.
    Operator,
    /// What is its own business, for one organisation.
    OrgAdministrator,
    /// Sees everything, changes nothing.
    ReadOnly,
}

impl From<Token> for Request {
    fn from(token: Token) -> Self {
        match token {
            Token::New { name, role, org, scopes, login, rate, expires } => {
                let role = match role {
                    Role::Owner => "owner",
                    Role::Operator => "operator",
                    Role::OrgAdministrator => "org-administrator",
                    Role::ReadOnly => "read-only",
                };
                let (role, scopes) = (role.to_owned(), scopes.join(" "));
                Self::TokenNew { wanted: Wanted { name, role, org, scopes, login, rate, expires_at: expires } }
            }
            Token::List => Self::TokenList,
            Token::Revoke { id } => Self::TokenRevoke { id },
        }
    }
}
