//! Failures on our side of the wire: typed, never read from text.

use std::sync::Arc;

use crate::outcome::{Cause, Fate, LocalFailure, Outcome, Scope, Strength};

/// What a local failure means. Expiry never marks the address as bad: it says only that we gave up.
#[must_use]
pub fn local(failure: LocalFailure) -> Outcome {
    use LocalFailure as L;
    let (cause, sub, fate, scope, strength) = match failure {
        L::NoSuchDomain => (Cause::Address, "no-domain", Fate::Final, Scope::Domain, Strength::Strong),
        L::NullMx => (Cause::Address, "null-mx", Fate::Final, Scope::Domain, Strength::Strong),
        // A domain whose records are just being moved looks like this for an hour: one sighting is weak.
        L::NoMailHost => (Cause::Address, "no-mail-host", Fate::Final, Scope::Domain, Strength::Weak),
        L::DnsFailure => (Cause::Network, "dns", Fate::Later, Scope::Domain, Strength::Strong),
        L::ConnectRefused => (Cause::Network, "connect", Fate::Later, Scope::Domain, Strength::Strong),
        L::ConnectTimeout => (Cause::Network, "connect", Fate::Later, Scope::Domain, Strength::Strong),
        L::Timeout => (Cause::Network, "timeout", Fate::Later, Scope::Domain, Strength::Strong),
        L::TooSlow => (Cause::Network, "too-slow", Fate::Later, Scope::Domain, Strength::Strong),
        L::ConnectionLost => (Cause::Network, "connection-lost", Fate::Later, Scope::Domain, Strength::Strong),
        L::TlsFailure => (Cause::Network, "tls", Fate::Later, Scope::Domain, Strength::Strong),
        L::StsFailure => (Cause::Network, "mta-sts", Fate::Later, Scope::Domain, Strength::Strong),
        L::DaneFailure => (Cause::Network, "dane", Fate::Later, Scope::Domain, Strength::Strong),
        L::RequireTls => (Cause::Policy, "require-tls", Fate::Final, Scope::Message, Strength::Strong),
        L::Loop => (Cause::Network, "loop", Fate::Final, Scope::Domain, Strength::Strong),
        L::LoginRefused => (Cause::Network, "login", Fate::Later, Scope::Exit, Strength::Strong),
        L::NoExit => (Cause::Network, "no-exit", Fate::Later, Scope::Exit, Strength::Strong),
        L::BadReply => (Cause::Network, "bad-reply", Fate::Later, Scope::Domain, Strength::Strong),
        L::Unsupported => (Cause::Policy, "unsupported", Fate::Final, Scope::Message, Strength::Strong),
        // Our own trouble: neither the address nor its domain nor its server has anything to do with it.
        L::Unsigned => (Cause::Auth, "signing", Fate::Later, Scope::Message, Strength::Strong),
        L::TooLarge => (Cause::Policy, "size", Fate::Final, Scope::Message, Strength::Strong),
        L::Expired => (Cause::Network, "expired", Fate::Final, Scope::Domain, Strength::Strong),
    };
    Outcome {
        cause,
        sub: Some(Arc::from(sub)),
        fate,
        scope,
        strength,
        rule: Arc::from(format!("local-{failure}")),
        provider: None,
        code: None,
        enhanced: None,
        retry_after_s: None,
        link: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failure: LocalFailure, cause: Cause, fate: Fate) {
        let outcome = local(failure);
        assert_eq!((outcome.cause, outcome.fate), (cause, fate), "{failure}");
    }

    #[test]
    fn only_what_dns_says_for_sure_is_about_the_address() {
        check(LocalFailure::NoSuchDomain, Cause::Address, Fate::Final);
        check(LocalFailure::NullMx, Cause::Address, Fate::Final);
        check(LocalFailure::NoMailHost, Cause::Address, Fate::Final);
        check(LocalFailure::DnsFailure, Cause::Network, Fate::Later);
        check(LocalFailure::Expired, Cause::Network, Fate::Final);
        check(LocalFailure::Loop, Cause::Network, Fate::Final);
        check(LocalFailure::StsFailure, Cause::Network, Fate::Later);
        check(LocalFailure::DaneFailure, Cause::Network, Fate::Later);
        check(LocalFailure::RequireTls, Cause::Policy, Fate::Final);
        check(LocalFailure::Unsupported, Cause::Policy, Fate::Final);
        for failure in LocalFailure::ALL {
            let outcome = local(*failure);
            assert!(outcome.cause != Cause::Address || outcome.scope == Scope::Domain, "{failure}");
        }
    }
}
