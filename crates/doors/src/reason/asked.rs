//! Table: the reasons of control requests.

use sm2tp_proto::mta_sts::{FetchFailure, PolicyError};
use sm2tp_proto::{AddressError, DomainError, Enhanced};
use sm2tp_rules::access::{NoRole, Why};
use sm2tp_rules::suppress::Contradiction;
use sm2tp_store::confirm::TooOften;

use super::Reason;
use crate::confirm::NotAsked;
use crate::control::{Problem, Refusal};
use crate::exports::ExportError;

impl From<&Problem> for Reason {
    fn from(problem: &Problem) -> Self {
        match problem {
            Problem::Input(refusal) | Problem::NotFound(refusal) => refusal.into(),
            Problem::Failed(why) => Self::new("not-machine").said("why", why),
            Problem::Federated(error) => error.into(),
            Problem::Ledger(error) => error.into(),
            Problem::Spool(error) => error.into(),
            Problem::Peering(error) => error.into(),
            Problem::Identity(error) => error.into(),
            Problem::Dkim(error) => error.into(),
            Problem::NotAsked(error) => error.into(),
            Problem::Export(error) => error.into(),
            Problem::Token(error) => error.into(),
            Problem::Webhook(error) => error.into(),
            Problem::Exits(error) => error.into(),
            Problem::Forbidden(why) => why.into(),
        }
    }
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        let new = Self::new;
        match refusal {
            Refusal::Address { text, source } => new("not-address").text("text", text).because("why", source),
            Refusal::Domain { text, source } => new("not-domain").text("text", text).because("why", source),
            Refusal::NoNormalForm { text } => new("not-normal").text("text", text),
            Refusal::NoOrg { org } => new("not-org").text("org", org),
            Refusal::Role(error) => error.into(),
            Refusal::Weight => new("not-weight"),
            Refusal::Days { max } => new("not-days").number("max", *max),
            Refusal::ManyEntries { max } => new("not-entries").number("max", *max),
            Refusal::ManyLogins { max } => new("not-logins").number("max", *max),
            Refusal::ManyResults { max } => new("not-results").number("max", *max),
            Refusal::LogName => new("not-log-name"),
            Refusal::PageBegin => new("not-page-begin"),
            Refusal::LongWait => new("not-long-wait"),
            Refusal::KeySigns { selector, domain } => {
                new("not-key-signs").text("selector", selector).text("domain", domain)
            }
            Refusal::MessageId => new("not-message-id"),
            Refusal::Lane => new("not-lane"),
            Refusal::NobodyToTell => new("not-nobody-to-tell"),
            Refusal::NothingToSign => new("not-nothing-to-sign"),
            Refusal::NotWritten { sender, org } => new("not-written").text("sender", sender).text("org", org),
            Refusal::CampaignOver => new("not-campaign-over"),
            Refusal::CampaignLong { days_max } => new("not-campaign-long").number("max", *days_max),
            Refusal::LongNote { octets_max } => new("not-long-note").number("max", *octets_max),
            Refusal::NoSender { name } => new("not-sender").text("name", name),
            Refusal::SeveralOrgs { name, orgs } => new("not-one-org").text("name", name).text("orgs", orgs.join(", ")),
            Refusal::TokenLogin { login } => new("not-token-login").text("login", login),
            Refusal::NoConfirmPage => new("not-confirm-page"),
            Refusal::NoExit { exit, known } => new("not-exit").text("exit", exit).text("known", known.join(", ")),
            Refusal::NoExits { exit } => new("not-exits").text("exit", exit),
            Refusal::NotPaused { exit } => new("not-paused").text("exit", exit),
            Refusal::NoReturns => new("not-returns"),
            Refusal::NoUnsubscribe => new("not-unsubscribe"),
            Refusal::NotBase64 => new("not-base64"),
            Refusal::NotOurReturns { said } => new("not-smtp").said("why", said),
            Refusal::Mail { enhanced, said } => match enhanced {
                Enhanced(5, 1 | 2, _) => new("not-mail-address").said("why", said),
                Enhanced(5, 3, _) => new("not-mail-large").said("why", said),
                Enhanced(5, ..) => new("not-mail-allowed").said("why", said),
                Enhanced(_, 7, _) => new("not-mail-limit").said("why", said),
                _ => new("not-mail-now").said("why", said),
            },
            Refusal::Contradiction(error) => error.into(),
        }
    }
}

impl From<&AddressError> for Reason {
    fn from(error: &AddressError) -> Self {
        Self::new(match error {
            AddressError::NoAt => "not-address-at",
            AddressError::EmptyLocal => "not-address-empty",
            AddressError::LongLocal => "not-address-long-local",
            AddressError::BadLocal => "not-address-characters",
            AddressError::TooLong => "not-address-long",
            AddressError::SourceRoute => "not-address-route",
            AddressError::Domain(error) => return error.into(),
        })
    }
}

impl From<&DomainError> for Reason {
    fn from(error: &DomainError) -> Self {
        Self::new(match error {
            DomainError::Empty => "not-domain-empty",
            DomainError::TooLong => "not-domain-long",
            DomainError::BadLabel => "not-domain-label",
            DomainError::BadCharacter => "not-domain-characters",
            DomainError::Literal => "not-domain-literal",
        })
    }
}

impl From<&Why> for Reason {
    fn from(why: &Why) -> Self {
        match why {
            Why::Role { role, action } => {
                Self::new("not-role").word("role", format!("role-{role}")).text("action", action)
            }
            Why::OtherOrg { org } => Self::new("not-other-org").text("org", org),
            Why::WholeNode { org, action } => Self::new("not-whole-node").text("org", org).text("action", action),
            Why::Scope(action) => Self::new("not-scope").text("action", action),
        }
    }
}

impl From<&NoRole> for Reason {
    fn from(error: &NoRole) -> Self {
        match error {
            NoRole::Unknown(role) => Self::new("not-role-known").text("role", role),
            NoRole::NoOrg => Self::new("not-role-without-org"),
            NoRole::HasOrg(role) => Self::new("not-role-with-org").word("role", format!("role-{role}")),
        }
    }
}

impl From<&Contradiction> for Reason {
    fn from(error: &Contradiction) -> Self {
        match error {
            Contradiction::SpreadBeyondWindow { spread_s, window_s } => {
                Self::new("not-spread").number("spread", *spread_s).number("window", *window_s)
            }
            Contradiction::RefusedBeforeHeld { held, suppressed } => {
                let decimal = |number: &f64| number.to_string().replace('.', ",");
                Self::new("not-scores").text("held", decimal(held)).text("refused", decimal(suppressed))
            }
        }
    }
}

impl From<&NotAsked> for Reason {
    fn from(error: &NotAsked) -> Self {
        match error {
            NotAsked::NothingToLift => Self::new("not-asked-nothing"),
            NotAsked::NoTag => Self::new("not-asked-normal"),
            NotAsked::TooOften(error) => error.into(),
            NotAsked::Strangers(wait_s) => Self::new("not-asked-strangers").number("seconds", *wait_s),
            NotAsked::NoLink => Self::new("not-asked-link"),
            NotAsked::Ledger(error) => error.into(),
            NotAsked::Spool(error) => error.into(),
        }
    }
}

impl From<&TooOften> for Reason {
    fn from(error: &TooOften) -> Self {
        match error {
            TooOften::Address { until } => Self::new("not-asked-lately").time("until", *until),
            TooOften::Silent => Self::new("not-asked-silent"),
            TooOften::Org => Self::new("not-asked-org"),
        }
    }
}

impl From<&ExportError> for Reason {
    fn from(error: &ExportError) -> Self {
        match error {
            ExportError::Nothing => Self::new("not-exports"),
            ExportError::File { path, error } => Self::new("not-file").text("path", path.display()).said("why", error),
            ExportError::TooLarge(_) => Self::new("not-cdb"),
            ExportError::Postmap(why) => Self::new("not-postmap").said("why", why),
            ExportError::Ledger(error) => error.into(),
        }
    }
}

impl From<&FetchFailure> for Reason {
    fn from(failure: &FetchFailure) -> Self {
        match failure {
            FetchFailure::Web(why) => Self::new("not-web").said("why", why),
            FetchFailure::Status(status) => Self::new("not-web-status").number("status", *status),
            FetchFailure::NotPlain => Self::new("not-web-plain"),
            FetchFailure::NotPublic => Self::new("not-web-public"),
            FetchFailure::Tls(why) => Self::new("not-web-tls").said("why", why),
            FetchFailure::Policy(error) => error.into(),
        }
    }
}

impl From<&PolicyError> for Reason {
    fn from(error: &PolicyError) -> Self {
        Self::new(match error {
            PolicyError::TooLong => "not-policy-long",
            PolicyError::NotText => "not-policy-text",
            PolicyError::Version => "not-policy-version",
            PolicyError::Mode => "not-policy-mode",
            PolicyError::MaxAge => "not-policy-age",
            PolicyError::NoHost => "not-policy-host",
            PolicyError::BadHost => "not-policy-bad-host",
            PolicyError::TooManyHosts => "not-policy-hosts",
        })
    }
}
