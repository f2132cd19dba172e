//! How a connection to one host must be encrypted: the strictest of what the message, the domain and the administrator
//! ask for. REQUIRETLS of the message, then DANE, then MTA-STS, then the configuration.

/// What is known before a connection is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub configured: Configured,
    pub dane: Dane,
    pub sts: Sts,
    pub asked: Asked,
    pub origin: Origin,
    /// A handshake with this host failed lately, and mail went in clear after it.
    pub lately_broken: bool,
}

/// The administrator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configured {
    Off,
    Opportunistic,
    /// Encrypted, whatever the certificate.
    Required,
    /// Encrypted, with a certificate for the name of the host: a smart host that gets a password.
    Verified,
}

/// What DNSSEC says of the host's keys (RFC 7672 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dane {
    /// Not looked for, or nothing that DNSSEC vouches for.
    Absent,
    /// There are TLSA records, and none that this program can use.
    Unusable,
    Usable,
    /// The records may exist and could not be had: to go on would let an attacker switch them off.
    Failed,
}

/// What MTA-STS says of the host (RFC 8461 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sts {
    /// No policy, or one in mode `none`.
    Absent,
    /// Only to be reported.
    Testing {
        covered: bool,
    },
    Enforce {
        covered: bool,
    },
}

/// What the message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// REQUIRETLS (RFC 8689 §2).
    Required,
    /// The header `TLS-Required: No` (RFC 8689 §3): better read by others than not at all.
    Waived,
}

/// How the name of the host was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the DNS as anybody may have forged it.
    Dns,
    /// From the DNS with DNSSEC, or from a person.
    Proven,
}

/// How to meet the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Use {
        level: Level,
        why: Why,
    },
    /// Not this host, not now.
    Refuse(Why),
}

/// From open to closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Clear,
    /// Encrypted where it is offered, whatever the certificate.
    IfOffered,
    Encrypted,
    /// With a certificate of a known authority for the name of the host.
    Certificate,
    /// With a key that the TLSA records name.
    Dane,
}

/// Whose wish decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Configured,
    Default,
    LatelyBroken,
    RequireTls,
    /// REQUIRETLS, and the host's name is not proven by anything.
    RequireTlsUnproven,
    TlsNotRequired,
    Dane,
    DaneUnusable,
    DaneFailed,
    Sts,
    StsForeignHost,
}

/// Decides for one host and one message.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let enforced = matches!(facts.sts, Sts::Enforce { .. });
    match facts.asked {
        Asked::Required => return require(facts),
        Asked::Waived if facts.configured != Configured::Verified => return waive(facts),
        _ => {}
    }
    if facts.configured == Configured::Off {
        return Decision::Use { level: Level::Clear, why: Why::Configured };
    }
    match facts.dane {
        Dane::Usable => return Decision::Use { level: Level::Dane, why: Why::Dane },
        Dane::Failed => return Decision::Refuse(Why::DaneFailed),
        // RFC 7672 §2.2: unusable records still say that the host has TLS.
        Dane::Unusable if !enforced => return Decision::Use { level: Level::Encrypted, why: Why::DaneUnusable },
        Dane::Unusable | Dane::Absent => {}
    }
    match (facts.sts, facts.configured) {
        (Sts::Enforce { covered: false }, _) => Decision::Refuse(Why::StsForeignHost),
        (Sts::Enforce { covered: true }, _) => Decision::Use { level: Level::Certificate, why: Why::Sts },
        (_, Configured::Verified) => Decision::Use { level: Level::Certificate, why: Why::Configured },
        (_, Configured::Required) => Decision::Use { level: Level::Encrypted, why: Why::Configured },
        _ if facts.lately_broken => Decision::Use { level: Level::Clear, why: Why::LatelyBroken },
        _ => Decision::Use { level: Level::IfOffered, why: Why::Default },
    }
}

/// RFC 8689 §4.2.1: a proven name, a good certificate, and the next server must take the duty over.
fn require(facts: &Facts) -> Decision {
    let covered = matches!(facts.sts, Sts::Enforce { covered: true } | Sts::Testing { covered: true });
    match facts.dane {
        _ if facts.configured == Configured::Off => Decision::Refuse(Why::RequireTls),
        Dane::Failed => Decision::Refuse(Why::DaneFailed),
        Dane::Usable => Decision::Use { level: Level::Dane, why: Why::RequireTls },
        _ if facts.sts == (Sts::Enforce { covered: false }) => Decision::Refuse(Why::StsForeignHost),
        _ if covered || facts.origin == Origin::Proven => {
            Decision::Use { level: Level::Certificate, why: Why::RequireTls }
        }
        _ => Decision::Refuse(Why::RequireTlsUnproven),
    }
}

/// RFC 8689 §4.2.2: policies of the domain are set aside, the administrator's is not.
fn waive(facts: &Facts) -> Decision {
    match facts.configured {
        Configured::Off => Decision::Use { level: Level::Clear, why: Why::Configured },
        Configured::Required => Decision::Use { level: Level::Encrypted, why: Why::Configured },
        _ if facts.lately_broken => Decision::Use { level: Level::Clear, why: Why::LatelyBroken },
        _ => Decision::Use { level: Level::IfOffered, why: Why::TlsNotRequired },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Facts = Facts {
        configured: Configured::Opportunistic,
        dane: Dane::Absent,
        sts: Sts::Absent,
        asked: Asked::Nothing,
        origin: Origin::Dns,
        lately_broken: false,
    };
    const ENFORCE: Sts = Sts::Enforce { covered: true };

    #[track_caller]
    fn check(facts: Facts, level: Level, why: Why) {
        assert_eq!(decide(&facts), Decision::Use { level, why }, "{facts:?}");
    }

    #[track_caller]
    fn refused(facts: Facts, why: Why) {
        assert_eq!(decide(&facts), Decision::Refuse(why), "{facts:?}");
    }

    #[test]
    fn without_any_policy_the_configuration_decides() {
        check(PLAIN, Level::IfOffered, Why::Default);
        check(Facts { lately_broken: true, ..PLAIN }, Level::Clear, Why::LatelyBroken);
        check(Facts { configured: Configured::Off, ..PLAIN }, Level::Clear, Why::Configured);
        for lately_broken in [false, true] {
            let required = Facts { configured: Configured::Required, lately_broken, ..PLAIN };
            check(required, Level::Encrypted, Why::Configured);
            let verified = Facts { configured: Configured::Verified, ..required };
            check(verified, Level::Certificate, Why::Configured);
            check(Facts { asked: Asked::Waived, ..verified }, Level::Certificate, Why::Configured);
        }
    }

    #[test]
    fn an_enforced_policy_wants_a_certificate_and_its_own_hosts() {
        check(Facts { sts: ENFORCE, lately_broken: true, ..PLAIN }, Level::Certificate, Why::Sts);
        refused(Facts { sts: Sts::Enforce { covered: false }, ..PLAIN }, Why::StsForeignHost);
    }

    #[test]
    fn a_policy_on_trial_changes_nothing() {
        for covered in [false, true] {
            check(Facts { sts: Sts::Testing { covered }, ..PLAIN }, Level::IfOffered, Why::Default);
        }
    }

    #[test]
    fn dane_goes_before_mta_sts_and_a_failed_look_up_never_opens_the_door() {
        for sts in [Sts::Absent, ENFORCE, Sts::Enforce { covered: false }] {
            check(Facts { dane: Dane::Usable, sts, lately_broken: true, ..PLAIN }, Level::Dane, Why::Dane);
            refused(Facts { dane: Dane::Failed, sts, ..PLAIN }, Why::DaneFailed);
        }
        check(Facts { dane: Dane::Unusable, lately_broken: true, ..PLAIN }, Level::Encrypted, Why::DaneUnusable);
        check(Facts { dane: Dane::Unusable, sts: ENFORCE, ..PLAIN }, Level::Certificate, Why::Sts);
    }

    #[test]
    fn requiretls_wants_a_proven_name_and_a_good_certificate() {
        let asked = Facts { asked: Asked::Required, lately_broken: true, ..PLAIN };
        refused(asked, Why::RequireTlsUnproven);
        refused(Facts { configured: Configured::Off, origin: Origin::Proven, ..asked }, Why::RequireTls);
        refused(Facts { dane: Dane::Failed, ..asked }, Why::DaneFailed);
        refused(Facts { sts: Sts::Enforce { covered: false }, origin: Origin::Proven, ..asked }, Why::StsForeignHost);
        check(Facts { dane: Dane::Usable, ..asked }, Level::Dane, Why::RequireTls);
        check(Facts { sts: ENFORCE, ..asked }, Level::Certificate, Why::RequireTls);
        check(Facts { sts: Sts::Testing { covered: true }, ..asked }, Level::Certificate, Why::RequireTls);
        check(Facts { origin: Origin::Proven, ..asked }, Level::Certificate, Why::RequireTls);
    }

    #[test]
    fn a_message_that_waives_tls_passes_by_the_policies_of_the_domain_only() {
        let waived = Facts { asked: Asked::Waived, dane: Dane::Failed, sts: Sts::Enforce { covered: false }, ..PLAIN };
        check(waived, Level::IfOffered, Why::TlsNotRequired);
        check(Facts { lately_broken: true, ..waived }, Level::Clear, Why::LatelyBroken);
        check(Facts { configured: Configured::Required, ..waived }, Level::Encrypted, Why::Configured);
        check(Facts { configured: Configured::Off, ..waived }, Level::Clear, Why::Configured);
    }
}
