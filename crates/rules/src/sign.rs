//! Which domain signs a mail (DKIM, RFC 6376): the one that its author's domain stands for, if this org may use it.
//!
//! A signature says "this domain answers for this mail", and DMARC (RFC 7489 §3.1) takes it as proof that the address in
//! `From` is real. So the danger here is one org that gets the signature of another.

use sm2tp_proto::Domain;

/// The domains of the addresses in `From`, as far as they say who wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// All addresses are of this domain.
    Domain(Domain),
    /// No such field. RFC 6376 §5.4: `From` must be signed.
    Nobody,
    /// More than one field, addresses of several domains, or what cannot be read: whom a receiver shows is unknown.
    Unclear,
}

/// Who may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// An org with domains of its own.
    WithDomains,
    /// An org that may use every sender domain, such as the trusted networks.
    Any {
        /// Even the domains that are those of another org.
        listed: Listed,
    },
    /// This node: its own reports.
    Node,
}

/// Whether an org without domains of its own may use those that another org lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Kept,
    Shared,
}

/// Whose domain it is, by the lists of the orgs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Nobody,
    /// The org that sends lists it, alone or with others.
    Sender,
    /// Only other orgs list it.
    Others,
}

/// What is known about one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    pub author: &'a Author,
    pub party: Party,
    /// Signs where the author's domain has no key.
    pub default: Option<&'a Domain>,
    /// This node's own name.
    pub hostname: &'a str,
}

/// Why a mail leaves without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    NoAuthor,
    UnclearAuthor,
    /// The author's domain is not one that the sender may use, and the default would vouch for it.
    NotYours,
    /// Neither the author's domain nor a parent has a key, and there is no default.
    NoKey,
}

/// The domain whose keys sign.
///
/// `has_key` and `owner` are asked about single domains, at most [`PARENTS_MAX`] of them.
///
/// # Errors
/// [`Unsigned`] says why there is none.
pub fn domain(
    facts: &Facts<'_>,
    has_key: impl Fn(&str) -> bool,
    owner: impl Fn(&str) -> Owner,
) -> Result<String, Unsigned> {
    let author = match facts.author {
        Author::Domain(domain) => domain.as_str(),
        Author::Nobody => return Err(Unsigned::NoAuthor),
        Author::Unclear => return Err(Unsigned::UnclearAuthor),
    };
    let may_write = may_write(facts, author, &owner);
    if may_write {
        let is_usable = |domain: &&str| has_key(domain) && may_sign(facts, domain, &owner);
        if let Some(domain) = with_parents(author).find(is_usable) {
            return Ok(domain.to_owned());
        }
    }
    match facts.default.map(Domain::as_str) {
        Some(default) if !has_key(default) || owner(default) == Owner::Others => Err(Unsigned::NoKey),
        // DMARC compares by organisational domain: a signature of relay.example.org makes a From at example.org true.
        Some(default) if !may_write && related(default, author) => Err(Unsigned::NotYours),
        Some(default) => Ok(default.to_owned()),
        None if may_write => Err(Unsigned::NoKey),
        None => Err(Unsigned::NotYours),
    }
}

/// May the sender write as this domain? The nearest domain above it that an org lists decides.
fn may_write(facts: &Facts<'_>, author: &str, owner: &impl Fn(&str) -> Owner) -> bool {
    let nearest = with_parents(author).map(owner).find(|owner| *owner != Owner::Nobody).unwrap_or(Owner::Nobody);
    match (facts.party, nearest) {
        (Party::Node, _) => author == facts.hostname,
        (Party::Any { listed: Listed::Shared }, _) => true,
        (Party::Any { listed: Listed::Kept }, owner) => owner != Owner::Others,
        (Party::WithDomains, owner) => owner == Owner::Sender,
    }
}

/// May a key of this domain sign for a sender that may write as a domain below it?
fn may_sign(facts: &Facts<'_>, domain: &str, owner: &impl Fn(&str) -> Owner) -> bool {
    match facts.party {
        Party::Any { listed: Listed::Shared } => true,
        // The host name is this node's own, whoever lists it.
        Party::Node if domain == facts.hostname => true,
        _ => owner(domain) != Owner::Others,
    }
}

/// `a.b.example`, `b.example`: nobody has keys for a top-level domain.
pub(crate) fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    let parents = std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent));
    parents.take_while(|domain| domain.contains('.')).take(PARENTS_MAX)
}

/// Whether DMARC could take one for the other. Where organisational domains begin is in a list that changes; two equal
/// labels at the end are the least that all of them have, so this says yes rather too often.
fn related(a: &str, b: &str) -> bool {
    let end = |domain: &str| domain.rsplit('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    end(a) == end(b)
}

/// Names have at most 127 labels; nobody's mail is from more than a few.
const PARENTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Party = Party::Any { listed: Listed::Kept };
    const ALL: Party = Party::Any { listed: Listed::Shared };
    const OWN: Party = Party::WithDomains;

    /// The sending org lists a.example, x.a.example and shared.example; another one b.example, b.a.example,
    /// shared.example and mother.example.
    fn owner(domain: &str) -> Owner {
        match domain {
            "a.example" | "sub.mother.example" | "shared.example" => Owner::Sender,
            "b.example" | "b.a.example" | "mother.example" => Owner::Others,
            _ => Owner::Nobody,
        }
    }

    #[track_caller]
    fn check(party: Party, author: &str, keys: &[&str], default: Option<&str>, want: Result<&str, Unsigned>) {
        let (author, default) = (Domain::parse(author).unwrap(), default.map(|text| Domain::parse(text).unwrap()));
        let author = Author::Domain(author);
        let facts = Facts { author: &author, party, default: default.as_ref(), hostname: "relay.node.example" };
        let got = domain(&facts, |domain| keys.contains(&domain), owner);
        assert_eq!(got.as_deref().map_err(|why| *why), want, "{party:?} {author:?} {keys:?} {default:?}");
    }

    #[test]
    fn the_authors_domain_or_the_nearest_parent_with_a_key_signs() {
        let keys = ["a.example", "news.a.example", "n.example"];
        check(OWN, "a.example", &keys, None, Ok("a.example"));
        check(OWN, "x.news.a.example", &keys, None, Ok("news.a.example"));
        check(OWN, "x.a.example", &keys, None, Ok("a.example"));
        check(OWN, "shared.example", &["shared.example"], None, Ok("shared.example"));
        check(ANY, "x.n.example", &keys, None, Ok("n.example"));
        check(OWN, "a.example", &["b.example"], None, Err(Unsigned::NoKey));
        check(ANY, "n.example", &["example"], None, Err(Unsigned::NoKey));
    }

    #[test]
    fn an_org_never_gets_the_signature_of_another() {
        let keys = ["a.example", "b.example", "b.a.example", "mother.example", "n.example"];
        for party in [OWN, ANY] {
            check(party, "b.example", &keys, None, Err(Unsigned::NotYours));
            check(party, "x.b.example", &keys, None, Err(Unsigned::NotYours));
            // Below a domain of mine, and another's.
            check(party, "b.a.example", &keys, None, Err(Unsigned::NotYours));
            // Mine, but the parent with the key is another's.
            check(party, "sub.mother.example", &keys, None, Err(Unsigned::NoKey));
        }
        // With domains of its own, it writes as those only.
        check(OWN, "n.example", &keys, None, Err(Unsigned::NotYours));
        check(ANY, "n.example", &keys, None, Ok("n.example"));
        // Where the administrator said so.
        check(ALL, "b.example", &keys, None, Ok("b.example"));
    }

    #[test]
    fn the_default_signs_the_rest_but_never_makes_a_false_author_true() {
        let keys = ["relay.node.example", "b.example", "relay.hoster.example"];
        let default = Some("relay.node.example");
        check(OWN, "a.example", &keys, Some("b.example"), Err(Unsigned::NoKey));
        check(OWN, "a.example", &keys, Some("keyless.example"), Err(Unsigned::NoKey));
        check(OWN, "a.example", &keys, default, Ok("relay.node.example"));
        check(OWN, "elsewhere.test", &keys, default, Ok("relay.node.example"));
        check(OWN, "b.example", &keys, default, Ok("relay.node.example"));
        // The organisational domain of the default, a neighbour, and the default itself.
        for author in ["node.example", "boss.node.example", "relay.node.example"] {
            check(OWN, author, &keys, default, Err(Unsigned::NotYours));
        }
    }

    #[test]
    fn this_nodes_reports_are_signed_as_its_host_and_nothing_else() {
        let keys = ["relay.node.example", "node.example", "a.example"];
        check(Party::Node, "relay.node.example", &keys, None, Ok("relay.node.example"));
        check(Party::Node, "relay.node.example", &["node.example"], None, Ok("node.example"));
        check(Party::Node, "a.example", &keys, None, Err(Unsigned::NotYours));
    }

    #[test]
    fn mail_without_a_clear_author_is_not_vouched_for() {
        for (author, want) in [(Author::Nobody, Unsigned::NoAuthor), (Author::Unclear, Unsigned::UnclearAuthor)] {
            let default = Domain::parse("relay.node.example").unwrap();
            let facts = Facts { author: &author, party: ALL, default: Some(&default), hostname: "relay.node.example" };
            assert_eq!(domain(&facts, |_| true, |_| Owner::Nobody), Err(want));
        }
    }
}
