//! What is added to mail that is passed on (ARC, RFC 8617): who seals it, and what the seal says of the chain that came.
//!
//! A seal says "so it was when I got it". The danger is one that says more than was found: a broken chain passed on as good.

use sm2tp_proto::Domain;

use crate::sign::{Owner, with_parents};

/// The chain of a message as it arrived, found by the steps of RFC 8617 §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// No field of one.
    Absent,
    /// Each seal of it and the signature of its last set verify. `last` is the instance of that set, at least 1.
    Valid { last: u32 },
    /// Something of it does not verify. `last` is the highest instance that can be read, if one can.
    Broken { last: Option<u32> },
    /// Its last seal says itself that the chain is broken.
    Ended,
    /// The DNS did not say whether there is a key: nobody knows.
    Unknown,
}

/// The tag `cv=` (RFC 8617 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// There was no chain.
    None,
    Pass,
    /// The chain ends here.
    Fail,
}

/// What the next set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The tag `i=`, from 1 to [`INSTANCE_MAX`].
    pub instance: u32,
    pub validation: Validation,
}

/// Why a mail that is passed on leaves without a seal of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsealed {
    /// No domain that may seal has an RSA key, or the administrator wants no seals.
    NoKey,
    /// Its header is larger than anybody's, or can be read in two ways, or names no author.
    Unreadable,
    Ended,
    Unknown,
    /// The chain has as many sets as it may have.
    Full,
    /// There are fields of a chain, and no instance in them to count on from.
    NoInstance,
}

/// Whose name may stand in a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// The domain that the administrator chose; only this one then.
    pub chosen: Option<&'a Domain>,
    /// Signs mail whose own domain has no key.
    pub default: Option<&'a Domain>,
    /// This node's own name.
    pub hostname: &'a str,
}

/// The next set of a chain.
///
/// # Errors
/// [`Unsealed`] says why there is to be none.
pub fn next(chain: Chain) -> Result<Seal, Unsealed> {
    let (last, validation) = match chain {
        Chain::Absent => (0, Validation::None),
        Chain::Valid { last } => (last, Validation::Pass),
        Chain::Broken { last: Some(last) } => (last, Validation::Fail),
        Chain::Broken { last: None } => return Err(Unsealed::NoInstance),
        // RFC 8617 §5.1, step 2.
        Chain::Ended => return Err(Unsealed::Ended),
        // RFC 8617 §5.2.1 calls this a failure. To say so would end for good a chain that the next server may find whole.
        Chain::Unknown => return Err(Unsealed::Unknown),
    };
    if INSTANCE_MAX <= last {
        return Err(Unsealed::Full);
    }
    Ok(Seal { instance: last + 1, validation })
}

/// The domain that seals: the chosen one, else the default of signatures, else the host name or the nearest domain above
/// it. What is not chosen must not be another org's: receivers hold seals for or against a domain.
///
/// # Errors
/// [`Unsealed::NoKey`].
pub fn domain(
    names: Names<'_>,
    has_key: impl Fn(&str) -> bool,
    owner: impl Fn(&str) -> Owner,
) -> Result<String, Unsealed> {
    let found = match names.chosen {
        Some(chosen) => Some(chosen.as_str()).filter(|domain| has_key(domain)),
        None => {
            let own = with_parents(names.hostname);
            let may = |domain: &&str| has_key(domain) && (*domain == names.hostname || owner(domain) != Owner::Others);
            names.default.map(Domain::as_str).into_iter().chain(own).find(may)
        }
    };
    found.map(str::to_owned).ok_or(Unsealed::NoKey)
}

/// RFC 8617 §4.2.1.
pub const INSTANCE_MAX: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_goes_on_as_it_was_found_and_never_better() {
        #[track_caller]
        fn check(chain: Chain, want: Result<(u32, Validation), Unsealed>) {
            assert_eq!(next(chain).map(|seal| (seal.instance, seal.validation)), want, "{chain:?}");
        }
        check(Chain::Absent, Ok((1, Validation::None)));
        check(Chain::Valid { last: 1 }, Ok((2, Validation::Pass)));
        check(Chain::Valid { last: 49 }, Ok((50, Validation::Pass)));
        check(Chain::Valid { last: 50 }, Err(Unsealed::Full));
        check(Chain::Broken { last: Some(3) }, Ok((4, Validation::Fail)));
        check(Chain::Broken { last: Some(50) }, Err(Unsealed::Full));
        check(Chain::Broken { last: Some(u32::MAX) }, Err(Unsealed::Full));
        check(Chain::Broken { last: None }, Err(Unsealed::NoInstance));
        check(Chain::Ended, Err(Unsealed::Ended));
        check(Chain::Unknown, Err(Unsealed::Unknown));
    }

    #[test]
    fn one_domain_of_the_node_seals() {
        /// Other orgs list others.example and node.example.
        fn owner(domain: &str) -> Owner {
            if ["others.example", "node.example"].contains(&domain) { Owner::Others } else { Owner::Nobody }
        }
        #[track_caller]
        fn check(chosen: Option<&str>, default: Option<&str>, keys: &[&str], want: Option<&str>) {
            let parse = |name: Option<&str>| name.map(|name| Domain::parse(name).unwrap());
            let (chosen, default) = (parse(chosen), parse(default));
            let names = Names { chosen: chosen.as_ref(), default: default.as_ref(), hostname: "a.relay.node.example" };
            let got = domain(names, |domain| keys.contains(&domain), owner);
            assert_eq!(got.ok().as_deref(), want, "{chosen:?} {default:?} {keys:?}");
        }
        check(None, None, &["a.relay.node.example", "relay.node.example"], Some("a.relay.node.example"));
        check(None, None, &["relay.node.example", "node.example"], Some("relay.node.example"));
        check(None, None, &["node.example"], None);
        check(None, Some("default.example"), &["default.example", "relay.node.example"], Some("default.example"));
        check(None, Some("keyless.example"), &["relay.node.example"], Some("relay.node.example"));
        check(None, Some("others.example"), &["others.example", "relay.node.example"], Some("relay.node.example"));
        check(Some("others.example"), None, &["others.example"], Some("others.example"));
        check(Some("keyless.example"), Some("default.example"), &["default.example"], None);
    }
}
