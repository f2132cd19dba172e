//! Why what was asked for is not done, each reason with its values. `Display` is what the command line and programs read;
//! `crate::reason` says the same on pages in the reader's language.

use sm2tp_proto::{AddressError, DomainError, Enhanced};
use sm2tp_rules::access::NoRole;
use sm2tp_rules::suppress::Contradiction;
use thiserror::Error;

/// What is wrong with a request; whoever asked can put it right.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refusal {
    #[error("{text:?} is no address: {source}")]
    Address {
        text: String,
        #[source]
        source: AddressError,
    },
    #[error("{text:?}: {source}")]
    Domain {
        text: String,
        #[source]
        source: DomainError,
    },
    #[error("{text:?} has no normal form, so nothing is kept about it")]
    NoNormalForm { text: String },
    #[error("there is no organisation {org:?}: see sm2tp org list")]
    NoOrg { org: String },
    #[error(transparent)]
    Role(#[from] NoRole),
    #[error("a weight is from 0 to 1")]
    Weight,
    #[error("days are from 1 to {max}")]
    Days { max: u64 },
    #[error("a batch has at most {max} entries")]
    ManyEntries { max: usize },
    #[error("at most {max} logins at once")]
    ManyLogins { max: usize },
    #[error("a batch has at most {max} results")]
    ManyResults { max: usize },
    #[error("a log is named by its file")]
    LogName,
    #[error("a page begins behind a tag")]
    PageBegin,
    #[error("new keys may wait a year at most")]
    LongWait,
    #[error("{selector} signs now: make new keys with `sm2tp dkim rotate {domain}`, or say --now")]
    KeySigns { selector: String, domain: String },
    #[error("a Message-ID is a word with an @, as the header of the mail has it")]
    MessageId,
    #[error("a lane is normal, slow or held")]
    Lane,
    #[error("nobody is to be told: [alerts] has neither mail nor webhook")]
    NobodyToTell,
    #[error("nothing waits to be signed")]
    NothingToSign,
    #[error("{sender} of {org} has not written since it is watched")]
    NotWritten { sender: String, org: String },
    #[error("the campaign would be over already")]
    CampaignOver,
    #[error("a campaign is announced for {days_max} days at most: afterwards it is usual, or another one")]
    CampaignLong { days_max: u64 },
    #[error("a note has {octets_max} octets at most")]
    LongNote { octets_max: usize },
    #[error("there is no login {name}, and nobody of this name has written")]
    NoSender { name: String },
    #[error("{name} is a sender of several organisations, name one with --org: {}", orgs.join(", "))]
    SeveralOrgs { name: String, orgs: Vec<String> },
    #[error("{login:?} is no login of the organisation of the token")]
    TokenLogin { login: String },
    #[error("there is no page for it: [suppression] has no confirm_url")]
    NoConfirmPage,
    #[error("there is no exit {exit:?}; this node has {}", known.join(", "))]
    NoExit { exit: String, known: Vec<String> },
    #[error("there is no exit {exit:?}; this node has none: it relays no mail")]
    NoExits { exit: String },
    #[error("the exit {exit:?} is not paused")]
    NotPaused { exit: String },
    #[error("this node takes no reports: its configuration has no [returns] domain")]
    NoReturns,
    #[error("there are no links to unsubscribe: [returns] has no unsubscribe_url")]
    NoUnsubscribe,
    #[error("the report is not base64")]
    NotBase64,
    #[error("{said}")]
    NotOurReturns { said: String },
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// What the SMTP door of this node answered, in the words of SMTP.
    #[error("{said}")]
    Mail { enhanced: Enhanced, said: String },
}
