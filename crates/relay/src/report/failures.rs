//! Where no server spoke: what failed, in the codes of RFC 3463.

use sm2tp_proto::Enhanced;
use sm2tp_rules::LocalFailure;

use super::Language;

/// What a person reads, to stand behind a colon.
pub(crate) fn words(failure: LocalFailure, language: Language) -> &'static str {
    match language {
        Language::English => failure.english(),
        Language::French => failure.french(),
    }
}

/// The code of a report that nothing will be tried any more.
pub(crate) fn final_code(failure: LocalFailure) -> Enhanced {
    let (subject, detail) = subject_and_detail(failure);
    Enhanced(5, subject, detail)
}

/// The code of a report that it goes on.
pub(crate) fn passing_code(failure: LocalFailure) -> Enhanced {
    let (subject, detail) = subject_and_detail(failure);
    Enhanced(4, subject, detail)
}

/// Whether a certain host has to do with it, whose name helps who looks for the cause.
pub(crate) fn concerns_host(failure: LocalFailure) -> bool {
    use LocalFailure as L;
    match failure {
        L::NoSuchDomain | L::NullMx | L::NoMailHost | L::DnsFailure | L::Loop | L::NoExit | L::Unsigned => false,
        // No host of the domain did it, so that to name one would mislead.
        L::RequireTls | L::StsFailure | L::Expired => false,
        L::ConnectRefused
        | L::ConnectTimeout
        | L::Timeout
        | L::TooSlow
        | L::ConnectionLost
        | L::TlsFailure
        | L::DaneFailure => true,
        L::LoginRefused | L::BadReply | L::Unsupported | L::TooLarge => true,
    }
}

/// Subject and detail of RFC 3463 §3, and of the RFCs that added to it.
fn subject_and_detail(failure: LocalFailure) -> (u16, u16) {
    use LocalFailure as L;
    match failure {
        L::NoSuchDomain => (1, 2),
        // RFC 7505 §5.
        L::NullMx => (1, 10),
        L::Unsigned => (3, 0),
        L::TooLarge => (3, 4),
        L::ConnectRefused | L::ConnectTimeout => (4, 1),
        L::Timeout | L::TooSlow | L::ConnectionLost => (4, 2),
        L::DnsFailure => (4, 3),
        L::NoMailHost | L::NoExit => (4, 4),
        L::Loop => (4, 6),
        L::Expired => (4, 7),
        L::BadReply => (5, 0),
        // RFC 6531 §3.5.
        L::Unsupported => (6, 7),
        L::TlsFailure | L::StsFailure | L::DaneFailure => (7, 5),
        // RFC 4954 §6.
        L::LoginRefused => (7, 8),
        // RFC 8689 §7.
        L::RequireTls => (7, 30),
    }
}
