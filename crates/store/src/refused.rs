//! What a person asks of the ledger and cannot have, each reason with its values, so that a page can say it in the reader's
//! language.

use sm2tp_proto::AddressError;
use thiserror::Error;

/// Why it was not done; whoever asked can put it right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("there is no org {org:?}")]
    NoOrg { org: String },
    #[error("{name:?} is no name for an org: 1 to {octets_max} characters, and not \"{taken}\"")]
    OrgName { name: String, octets_max: usize, taken: &'static str },
    #[error("there is no login {login:?}")]
    NoLogin { login: String },
    #[error("org {org:?} has no login {login:?}")]
    NoLoginOf { org: String, login: String },
    #[error("a login has 1 to {octets_max} printable characters")]
    LoginName { octets_max: usize },
    #[error("a password has at least {characters_min} characters")]
    LoginPassword { characters_min: usize },
    #[error("only a login can be kept to its own addresses: name it with --login")]
    NotOfALogin,
    #[error("a login that has no addresses of its own cannot be kept to them: name them with --address")]
    NoOwnAddresses,
    #[error("at most {max} addresses; allow their domain instead")]
    ManyAddresses { max: usize },
    #[error("{text:?} is no address: {source}")]
    Address {
        text: String,
        #[source]
        source: AddressError,
    },
    #[error("there is no person {name:?}")]
    NoPerson { name: String },
    #[error("there is a person {name:?} already")]
    PersonThere { name: String },
    #[error("there are {max} persons, which is the limit")]
    ManyPersons { max: usize },
    #[error("{name:?} is no name for a person: 1 to {octets_max} printable characters, no space around them")]
    PersonName { name: String, octets_max: usize },
    #[error("a password for the pages has at least {characters_min} characters, and {octets_max} octets at most")]
    PersonPassword { characters_min: usize, octets_max: usize },
    #[error("{name:?} is the only owner: make another one first")]
    OnlyOwner { name: String },
    #[error("this is no secret")]
    NoSecret,
    #[error("this is not the code that belongs to the secret")]
    WrongCode,
    #[error("{provider} is believed: nothing was set aside")]
    Believed { provider: String },
}
