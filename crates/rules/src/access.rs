//! Who may do what: a role, what it is about, and the answer with its reason.
//!
//! One table for all doors that know persons: pages, interface, command line. A door finds out who asks and which
//! organisation the question is about; what follows from that is here.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::outcome::UnknownWord;

words! {
    /// What something is about.
    Area {
        /// Mail that is handed in.
        Mail = "mail",
        Queue = "queue",
        /// Addresses that are not written to, and why: lists, explanations.
        Suppression = "suppression",
        /// What the watch makes of senders. Whoever lets held mail go decides about its sender too.
        Senders = "senders",
        /// Organisations: their domains, limits, rules.
        Orgs = "orgs",
        Logins = "logins",
        /// What an organisation wants of mail that comes back.
        Returns = "returns",
        /// Programs of an organisation that are told what became of its mail.
        Webhooks = "webhooks",
        Dkim = "dkim",
        /// Counts, scores, and what suppression is worth.
        Stats = "stats",
        /// What happens, as it happens.
        Tail = "tail",
        /// What is believed of answers: breakers, replies that no rule knew, reports, old logs, views made again.
        Ledger = "ledger",
        Alerts = "alerts",
        /// Other nodes.
        Peers = "peers",
        Tokens = "tokens",
        Persons = "persons",
        /// Who did what.
        Audit = "audit",
        Settings = "settings",
    }
}

words! {
    /// Whether something is only looked at.
    Deed { See = "read", Change = "write" }
}

/// Something that may be allowed. Written as `queue:read`; a token has such words as its scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    pub area: Area,
    pub deed: Deed,
}

/// What a person or a program is to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Everything: also who else may do what, and whom the node trusts.
    Owner,
    /// All that the daily work needs, for all organisations.
    Operator,
    /// What is its own business, for this organisation alone.
    OrgAdministrator { org: Arc<str> },
    /// Sees everything, changes nothing.
    ReadOnly,
}

/// Which actions a token was made for; it never has more than its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    All,
    /// Some, sorted, each once.
    Of(Vec<Action>),
}

/// All that decides what somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub role: Role,
    pub scopes: Scopes,
}

/// Why something is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Why {
    #[error("{role} may not do this ({action})")]
    Role { role: &'static str, action: Action },
    /// Also where there is no such thing at all: who may not see it does not learn which.
    #[error("there is no such thing in the organisation {org}")]
    OtherOrg { org: Arc<str> },
    #[error("this is about the whole node, and an administrator of {org} is asked about {org} only ({action})")]
    WholeNode { org: Arc<str>, action: Action },
    #[error("the token has no scope {0}")]
    Scope(Action),
}

/// A text that is no role, or a role that lacks its organisation or has one too many.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoRole {
    #[error("a role is owner, operator, org-administrator or read-only, and not {0:?}")]
    Unknown(String),
    #[error("the role org-administrator is of one organisation: name it")]
    NoOrg,
    #[error("the role {0} is of the whole node and has no organisation")]
    HasOrg(String),
}

/// Whether `role` may do `action` to something of `org`; none: it is about the whole node, or about several organisations.
///
/// # Errors
/// [`Why`] not.
pub fn may(role: &Role, org: Option<&str>, action: Action) -> Result<(), Why> {
    let fine = match role {
        Role::Owner => true,
        Role::Operator => action.deed == Deed::See || !OWNER_ALONE.contains(&action.area),
        Role::ReadOnly => action.deed == Deed::See,
        Role::OrgAdministrator { org: own } => {
            let areas = if action.deed == Deed::See { ORG_SEES } else { ORG_CHANGES };
            match org {
                _ if !areas.contains(&action.area) => false,
                Some(org) if *org == **own => true,
                Some(_) => return Err(Why::OtherOrg { org: own.clone() }),
                None => return Err(Why::WholeNode { org: own.clone(), action }),
            }
        }
    };
    if fine { Ok(()) } else { Err(Why::Role { role: role.as_str(), action }) }
}

impl Rights {
    /// Those of a role, whole.
    #[must_use]
    pub fn of(role: Role) -> Self {
        Self { role, scopes: Scopes::All }
    }

    /// As [`may`], within the scopes.
    ///
    /// # Errors
    /// [`Why`] not.
    pub fn may(&self, org: Option<&str>, action: Action) -> Result<(), Why> {
        match &self.scopes {
            Scopes::Of(actions) if !actions.contains(&action) => Err(Why::Scope(action)),
            _ => may(&self.role, org, action),
        }
    }

    /// Whether whoever has these may give `other` to somebody else: nobody gives more than he has.
    ///
    /// # Errors
    /// The first [`Why`] of an action that would be more.
    pub fn cover(&self, other: &Self) -> Result<(), Why> {
        let org = other.role.org();
        Action::all().filter(|action| other.may(org, *action).is_ok()).try_for_each(|action| self.may(org, action))
    }
}

impl Role {
    /// From the word and the organisation, as they are stored and given.
    ///
    /// # Errors
    /// [`NoRole`] where they do not go together.
    pub fn new(word: &str, org: Option<&str>) -> Result<Self, NoRole> {
        let role = match (word, org) {
            ("org-administrator", Some(org)) => return Ok(Self::OrgAdministrator { org: org.into() }),
            ("org-administrator", None) => return Err(NoRole::NoOrg),
            ("owner", _) => Self::Owner,
            ("operator", _) => Self::Operator,
            ("read-only", _) => Self::ReadOnly,
            _ => return Err(NoRole::Unknown(word.to_owned())),
        };
        if org.is_some() { Err(NoRole::HasOrg(word.to_owned())) } else { Ok(role) }
    }

    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::OrgAdministrator { .. } => "org-administrator",
            Self::ReadOnly => "read-only",
        }
    }

    /// The organisation that it ends at; none: it is of the whole node.
    #[must_use]
    pub fn org(&self) -> Option<&str> {
        match self {
            Self::OrgAdministrator { org } => Some(org),
            _ => None,
        }
    }
}

impl Action {
    #[must_use]
    pub fn see(area: Area) -> Self {
        Self { area, deed: Deed::See }
    }

    #[must_use]
    pub fn change(area: Area) -> Self {
        Self { area, deed: Deed::Change }
    }

    /// Every action there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Area::ALL.iter().flat_map(|area| Deed::ALL.iter().map(|deed| Self { area: *area, deed: *deed }))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.area, self.deed)
    }
}

impl FromStr for Action {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let (area, deed) = text.split_once(':').ok_or_else(|| UnknownWord(text.to_owned()))?;
        Ok(Self { area: area.parse()?, deed: deed.parse()? })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Of(actions) => {
                let words: Vec<String> = actions.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(" "))
            }
        }
    }
}

/// `all`, or words like `queue:read` apart by spaces or commas.
impl FromStr for Scopes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        if text.trim() == "all" {
            return Ok(Self::All);
        }
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let mut actions = words.map(str::parse).collect::<Result<Vec<Action>, _>>()?;
        actions.sort_unstable();
        actions.dedup();
        if actions.is_empty() { Err(UnknownWord(text.to_owned())) } else { Ok(Self::Of(actions)) }
    }
}

/// Who else may do what, and whom the node trusts.
const OWNER_ALONE: &[Area] = &[Area::Persons, Area::Tokens, Area::Peers, Area::Settings];
/// Nothing of the node as a whole, and nothing of which the counts of others can be read.
const ORG_SEES: &[Area] = &[
    Area::Mail,
    Area::Queue,
    Area::Suppression,
    Area::Senders,
    Area::Orgs,
    Area::Logins,
    Area::Returns,
    Area::Webhooks,
    Area::Dkim,
    Area::Stats,
    Area::Tail,
    Area::Tokens,
    Area::Audit,
];
/// Not its limits, its domains or what the watch thinks of its senders: those protect the others from it.
const ORG_CHANGES: &[Area] =
    &[Area::Mail, Area::Queue, Area::Suppression, Area::Logins, Area::Returns, Area::Webhooks, Area::Tokens];

#[cfg(test)]
mod tests {
    use super::*;

    fn asso() -> Role {
        Role::OrgAdministrator { org: "asso".into() }
    }

    fn action(text: &str) -> Action {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(role: &Role, org: Option<&str>, text: &str, expected: bool) {
        assert_eq!(may(role, org, action(text)).is_ok(), expected, "{role:?} {org:?} {text}");
    }

    #[test]
    fn each_role_has_its_table() {
        let cases: [(&str, [bool; 4]); 12] = [
            // owner, operator, administrator of this org, read-only
            ("queue:read", [true, true, true, true]),
            ("queue:write", [true, true, true, false]),
            ("senders:read", [true, true, true, true]),
            ("senders:write", [true, true, false, false]),
            ("orgs:write", [true, true, false, false]),
            ("logins:write", [true, true, true, false]),
            ("peers:read", [true, true, false, true]),
            ("peers:write", [true, false, false, false]),
            ("persons:write", [true, false, false, false]),
            ("tokens:write", [true, false, true, false]),
            ("ledger:read", [true, true, false, true]),
            ("mail:write", [true, true, true, false]),
        ];
        for (text, expected) in cases {
            for (role, fine) in [Role::Owner, Role::Operator, asso(), Role::ReadOnly].iter().zip(expected) {
                check(role, Some("asso"), text, fine);
            }
        }
    }

    #[test]
    fn an_administrator_of_an_org_may_do_nothing_outside_it() {
        for action in Action::all() {
            assert!(may(&asso(), Some("other"), action).is_err(), "{action}");
            assert!(may(&asso(), None, action).is_err(), "{action}");
        }
    }

    #[test]
    fn who_only_reads_changes_nothing() {
        for action in Action::all() {
            assert_eq!(may(&Role::ReadOnly, None, action).is_ok(), action.deed == Deed::See, "{action}");
        }
    }

    #[test]
    fn scopes_narrow_a_role_and_never_widen_it() {
        let narrow = Rights { role: Role::Operator, scopes: "queue:read, peers:write".parse().unwrap() };
        assert_eq!(narrow.may(None, action("queue:read")), Ok(()));
        assert_eq!(narrow.may(None, action("queue:write")), Err(Why::Scope(action("queue:write"))));
        assert!(matches!(narrow.may(None, action("peers:write")), Err(Why::Role { .. })));
    }

    #[test]
    fn nobody_gives_more_than_he_has() {
        let of = |role: Role, scopes: &str| Rights { role, scopes: scopes.parse().unwrap() };
        let owner = of(Role::Owner, "all");
        for fine in [of(Role::Owner, "all"), of(asso(), "all"), of(Role::ReadOnly, "all")] {
            assert_eq!(owner.cover(&fine), Ok(()));
        }
        let own = of(asso(), "mail:write queue:read");
        assert_eq!(own.cover(&of(asso(), "mail:write")), Ok(()));
        for more in [
            of(asso(), "all"),
            of(asso(), "queue:write"),
            of(Role::ReadOnly, "queue:read"),
            of(Role::OrgAdministrator { org: "other".into() }, "mail:write"),
        ] {
            assert!(own.cover(&more).is_err(), "{more:?}");
        }
    }

    #[test]
    fn roles_and_scopes_are_read_as_they_are_written() {
        for (word, org) in [("owner", None), ("operator", None), ("org-administrator", Some("a")), ("read-only", None)]
        {
            let role = Role::new(word, org).unwrap();
            assert_eq!((role.as_str(), role.org()), (word, org));
        }
        assert_eq!(Role::new("org-administrator", None), Err(NoRole::NoOrg));
        assert_eq!(Role::new("owner", Some("a")), Err(NoRole::HasOrg("owner".into())));
        assert!(Role::new("root", None).is_err());
        for action in Action::all() {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        let scopes: Scopes = "queue:write,mail:write  queue:write".parse().unwrap();
        assert_eq!(scopes.to_string(), "mail:write queue:write");
        assert_eq!("all".parse(), Ok(Scopes::All));
        for bad in ["", "queue", "queue:drop", "queue:read all", ":"] {
            assert!(bad.parse::<Scopes>().is_err(), "{bad:?}");
        }
    }
}
