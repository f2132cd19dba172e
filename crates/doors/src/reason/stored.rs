//! Table: the reasons of the store.

use sm2tp_store::dkim::{DkimError, SecretError};
use sm2tp_store::exits::PausedError;
use sm2tp_store::federated::FederatedError;
use sm2tp_store::keys::KeysError;
use sm2tp_store::sql::SqlError;
use sm2tp_store::tokens::TokenError;
use sm2tp_store::webhooks::{UrlFault, WebhookError};
use sm2tp_store::{LedgerError, Refused, SpoolError};

use super::Reason;

impl From<&LedgerError> for Reason {
    fn from(error: &LedgerError) -> Self {
        match error {
            LedgerError::Sql(error) => error.into(),
            LedgerError::Closed => Self::new("not-ledger-closed"),
            LedgerError::Thread(error) => Self::new("not-machine").said("why", error),
            LedgerError::Refused(refused) => refused.into(),
            LedgerError::Failed(why) => Self::new("not-machine").said("why", why),
        }
    }
}

impl From<&SqlError> for Reason {
    fn from(error: &SqlError) -> Self {
        match error {
            SqlError::Sqlite(error) => Self::new("not-database").said("why", error),
            SqlError::Refused(why) => Self::new("not-database").said("why", why),
            SqlError::Column { .. } | SqlError::Stored(_) => Self::new("not-stored").said("why", error),
            SqlError::Newer { found, known } => {
                Self::new("not-ledger-newer").number("found", *found).number("known", *known)
            }
            SqlError::Away(why) => Self::new("not-database-away").said("why", why),
        }
    }
}

impl From<&Refused> for Reason {
    fn from(refused: &Refused) -> Self {
        let new = Self::new;
        match refused {
            Refused::NoOrg { org } => new("not-org").text("org", org),
            Refused::OrgName { name, octets_max, taken } => {
                new("not-org-name").text("name", name).number("max", *octets_max).text("taken", taken)
            }
            Refused::NoLogin { login } => new("not-login").text("login", login),
            Refused::NoLoginOf { org, login } => new("not-login-of").text("org", org).text("login", login),
            Refused::LoginName { octets_max } => new("not-login-name").number("max", *octets_max),
            Refused::LoginPassword { characters_min } => new("not-login-password").number("min", *characters_min),
            Refused::NotOfALogin => new("not-of-a-login"),
            Refused::NoOwnAddresses => new("not-own-addresses"),
            Refused::ManyAddresses { max } => new("not-addresses").number("max", *max),
            Refused::Address { text, source } => new("not-address").text("text", text).because("why", source),
            Refused::NoPerson { name } => new("not-person").text("name", name),
            Refused::PersonThere { name } => new("not-person-twice").text("name", name),
            Refused::ManyPersons { max } => new("not-persons").number("max", *max),
            Refused::PersonName { name, octets_max } => {
                new("not-person-name").text("name", name).number("max", *octets_max)
            }
            Refused::PersonPassword { characters_min, octets_max } => {
                new("not-person-password").number("min", *characters_min).number("max", *octets_max)
            }
            Refused::OnlyOwner { name } => new("not-only-owner").text("name", name),
            Refused::NoSecret => new("not-secret"),
            Refused::WrongCode => new("not-code"),
            Refused::Believed { provider } => new("not-believed").text("provider", provider),
        }
    }
}

impl From<&SpoolError> for Reason {
    fn from(error: &SpoolError) -> Self {
        let new = Self::new;
        match error {
            SpoolError::Io(error) => new("not-disk").said("why", error),
            SpoolError::Sync(error) => new("not-sync").said("why", error),
            SpoolError::Full { free, min } => new("not-spool-full").number("free", *free).number("min", *min),
            SpoolError::Behind { steps } => new("not-spool-behind").number("steps", *steps),
            SpoolError::Stopped => new("not-spool-stopped"),
            SpoolError::Rows(why) if error.is_corrupt() => new("not-queue-damaged").said("why", why),
            SpoolError::Rows(why) => new("not-queue-database").said("why", why),
            SpoolError::Unfinished => new("not-salvage"),
            SpoolError::Damaged { mail, segment, offset } => {
                new("not-body").number("mail", *mail).number("segment", *segment).number("offset", *offset)
            }
            SpoolError::NotQueued { mail } => new("not-queued").number("mail", *mail),
            SpoolError::TooLarge => new("not-mail-size"),
            SpoolError::Newer { found, known } => {
                new("not-spool-newer").number("found", *found).number("known", *known)
            }
            SpoolError::Stored(why) => new("not-stored").said("why", why),
            SpoolError::Closed => new("not-spool-closed"),
        }
    }
}

impl From<&DkimError> for Reason {
    fn from(error: &DkimError) -> Self {
        let new = Self::new;
        match error {
            DkimError::File(error) => error.into(),
            DkimError::Secret { path, source } => {
                new("not-in-file").text("path", path.display()).because("why", source)
            }
            DkimError::Index { path, why } => new("not-dkim-index").text("path", path.display()).said("why", why),
            DkimError::Stray { path } => new("not-dkim-stray").text("path", path.display()),
            DkimError::Unusable(error) => new("not-dkim-file").because("why", error),
            DkimError::Domain(domain) => new("not-dkim-domain").text("domain", domain),
            DkimError::Selector(selector) => new("not-dkim-selector").text("selector", selector),
            DkimError::Exists { domain, selector, algorithm } => {
                new("not-dkim-twice").text("domain", domain).text("selector", selector).text("algorithm", algorithm)
            }
            DkimError::Used { domain, selector } => {
                new("not-dkim-used").text("domain", domain).text("selector", selector)
            }
            DkimError::NoKey(domain) => new("not-dkim-key").text("domain", domain),
            DkimError::NoSelector { domain, selector } => {
                new("not-dkim-no-selector").text("domain", domain).text("selector", selector)
            }
            DkimError::Rotating { domain, since } => {
                new("not-dkim-rotating").text("domain", domain).time("since", *since)
            }
            DkimError::Full => new("not-dkim-full"),
        }
    }
}

impl From<&SecretError> for Reason {
    fn from(error: &SecretError) -> Self {
        let new = Self::new;
        match error {
            SecretError::NoPem => new("not-pem"),
            SecretError::Several => new("not-pem-several"),
            SecretError::Encrypted => new("not-pem-encrypted"),
            SecretError::Foreign => new("not-pem-kind"),
            SecretError::Small => new("not-pem-small"),
            SecretError::Large { bits } => new("not-pem-large").number("bits", *bits),
            SecretError::Damaged(why) => new("not-pem-damaged").said("why", why),
            SecretError::Library => new("not-pem-library"),
        }
    }
}

impl From<&KeysError> for Reason {
    fn from(error: &KeysError) -> Self {
        let new = Self::new;
        match error {
            KeysError::Io { path, source } => new("not-file").text("path", path.display()).said("why", source),
            KeysError::Open { path, mode } => {
                new("not-key-open").text("path", path.display()).text("mode", format!("{mode:o}"))
            }
            KeysError::Malformed { path } => new("not-key-malformed").text("path", path.display()),
            KeysError::Sealed { path, source } => {
                new("not-in-file").text("path", path.display()).because("why", Self::system(source))
            }
            KeysError::Random(error) => new("not-random").said("why", error),
            KeysError::UnderWay => new("not-key-under-way"),
            KeysError::Elsewhere => new("not-key-here"),
            KeysError::Here => new("not-key-away"),
            KeysError::OtherNode { path } => new("not-key-of-node").text("path", path.display()),
            KeysError::Exists { path } => new("not-file-there").text("path", path.display()),
            KeysError::OtherFederation => new("not-key-of-federation"),
            KeysError::NoSuchTag { key_id } => new("not-tag-key").text("id", key_id),
        }
    }
}

impl From<&TokenError> for Reason {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::Role(error) => error.into(),
            TokenError::Scope(word) => Self::new("not-token-scope").text("word", &word.0),
            TokenError::Name => Self::new("not-token-name"),
            TokenError::Over => Self::new("not-token-over"),
            TokenError::TooMany => Self::new("not-tokens"),
            TokenError::Unknown(id) => Self::new("not-token").text("id", id),
            TokenError::Random(why) => Self::new("not-random").said("why", why),
            TokenError::Ledger(error) => error.into(),
        }
    }
}

impl From<&WebhookError> for Reason {
    fn from(error: &WebhookError) -> Self {
        match error {
            WebhookError::Event { name } => Self::new("not-webhook-event").text("name", name),
            WebhookError::Url { url, why } => Self::new("not-webhook-url").text("url", url).because("why", why),
            WebhookError::TooMany => Self::new("not-webhooks"),
            WebhookError::Unknown(id) => Self::new("not-webhook").text("id", id),
            WebhookError::Random(why) => Self::new("not-random").said("why", why),
            WebhookError::Ledger(error) => error.into(),
        }
    }
}

impl From<&UrlFault> for Reason {
    fn from(fault: &UrlFault) -> Self {
        Self::new(match fault {
            UrlFault::NoUrl => "not-url",
            UrlFault::TooLong => "not-url-long",
            UrlFault::NotHttps => "not-url-https",
            UrlFault::HoldsLogin => "not-url-login",
            UrlFault::Private => "not-url-private",
            UrlFault::ThisMachine => "not-url-own",
        })
    }
}

impl From<&PausedError> for Reason {
    fn from(error: &PausedError) -> Self {
        match error {
            PausedError::File { path, source } => {
                Self::new("not-file").text("path", path.display()).said("why", source)
            }
            PausedError::Content { path, why } => Self::new("not-file").text("path", path.display()).said("why", why),
            PausedError::TooMany => Self::new("not-pauses"),
        }
    }
}

impl From<&FederatedError> for Reason {
    fn from(error: &FederatedError) -> Self {
        match error {
            FederatedError::Ledger(error) => error.into(),
            FederatedError::Io { path, source } => {
                Self::new("not-file").text("path", path.display()).said("why", source)
            }
            FederatedError::Segment(error) => Self::new("not-segment").said("why", error),
            FederatedError::Index(error) => Self::new("not-index").said("why", error),
            FederatedError::Unknown(name) => Self::new("not-known").text("name", name),
            FederatedError::NotKept { origin, epoch, segno } => {
                let segment = format!("{epoch}.{segno}");
                Self::new("not-kept").text("segment", segment).text("origin", origin)
            }
            FederatedError::Refused(why) => Self::new("not-machine").said("why", why),
        }
    }
}
