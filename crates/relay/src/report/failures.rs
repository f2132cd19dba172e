//! Where no server spoke: what failed, in the words of each language and in the codes of RFC 3463.

use sm2tp_proto::Enhanced;
use sm2tp_rules::LocalFailure;

use super::Language;

/// What a person reads, to stand behind a colon.
pub(crate) fn words(failure: LocalFailure, language: Language) -> &'static str {
    match language {
        Language::English => english(failure),
        Language::French => french(failure),
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

fn english(failure: LocalFailure) -> &'static str {
    match failure {
        LocalFailure::NoSuchDomain => "the domain does not exist (NXDOMAIN)",
        LocalFailure::NullMx => "the domain takes no mail (null MX, RFC 7505)",
        LocalFailure::NoMailHost => "the domain's mail host has no address in the DNS",
        LocalFailure::DnsFailure => "the DNS did not say where the mail has to go",
        LocalFailure::ConnectRefused => "the connection was refused or the host cannot be reached",
        LocalFailure::ConnectTimeout => "the host did not answer to a connection in time",
        LocalFailure::Timeout => "the server stopped answering",
        LocalFailure::TooSlow => "the server was so slow that the delivery took too long",
        LocalFailure::ConnectionLost => "the connection was lost before the server had answered",
        LocalFailure::TlsFailure => "no encrypted connection could be made",
        LocalFailure::StsFailure => "the domain enforces MTA-STS and no host of it met its policy (RFC 8461)",
        LocalFailure::DaneFailure => {
            "the host did not show a key that DNSSEC names, or the names could not be read (RFC 7672)"
        }
        LocalFailure::RequireTls => {
            "the message must travel encrypted and no host of the domain offers that (RFC 8689)"
        }
        LocalFailure::Loop => "the domain's mail would come back to this server: its MX records name this machine",
        LocalFailure::LoginRefused => "the smart host did not take the login of this server",
        LocalFailure::NoExit => "none of the local addresses to send from is usable",
        LocalFailure::BadReply => "what the server said is no SMTP",
        LocalFailure::Unsupported => "the server does not take addresses or headers beyond ASCII (SMTPUTF8)",
        LocalFailure::TooLarge => "the message is larger than the server takes",
        LocalFailure::Unsigned => "it could not be signed (DKIM); this is a fault of our own server",
        LocalFailure::Expired => "it could not be delivered in time",
    }
}

fn french(failure: LocalFailure) -> &'static str {
    match failure {
        LocalFailure::NoSuchDomain => "le domaine n'existe pas (NXDOMAIN)",
        LocalFailure::NullMx => "le domaine n'accepte aucun courrier (MX nul, RFC 7505)",
        LocalFailure::NoMailHost => "le serveur de messagerie du domaine n'a pas d'adresse dans le DNS",
        LocalFailure::DnsFailure => "le DNS n'a pas indiqué où remettre le courrier",
        LocalFailure::ConnectRefused => "la connexion a été refusée ou le serveur est injoignable",
        LocalFailure::ConnectTimeout => "le serveur n'a pas répondu à temps à la demande de connexion",
        LocalFailure::Timeout => "le serveur a cessé de répondre",
        LocalFailure::TooSlow => "le serveur était si lent que la remise a pris trop de temps",
        LocalFailure::ConnectionLost => "la connexion a été perdue avant que le serveur ait répondu",
        LocalFailure::TlsFailure => "aucune connexion chiffrée n'a pu être établie",
        LocalFailure::StsFailure => {
            "le domaine impose MTA-STS et aucun de ses serveurs n'a respecté sa politique (RFC 8461)"
        }
        LocalFailure::DaneFailure => {
            "le serveur n'a présenté aucune clé annoncée par DNSSEC, ou celles-ci n'ont pas pu être lues (RFC 7672)"
        }
        LocalFailure::RequireTls => {
            "le message doit voyager chiffré et aucun serveur du domaine ne le permet (RFC 8689)"
        }
        LocalFailure::Loop => {
            "le courrier de ce domaine reviendrait à notre serveur\u{a0}: ses enregistrements MX désignent cette machine"
        }
        LocalFailure::LoginRefused => "le relais de sortie (smart host) a refusé l'identifiant de notre serveur",
        LocalFailure::NoExit => "aucune des adresses d'envoi de notre serveur n'est utilisable",
        LocalFailure::BadReply => "la réponse du serveur n'est pas conforme à SMTP",
        LocalFailure::Unsupported => {
            "le serveur n'accepte ni adresses ni en-têtes avec des caractères non ASCII (SMTPUTF8)"
        }
        LocalFailure::TooLarge => "le message dépasse la taille acceptée par le serveur",
        LocalFailure::Unsigned => "il n'a pas pu être signé (DKIM)\u{a0}; la faute en revient à notre serveur",
        LocalFailure::Expired => "il n'a pas pu être distribué à temps",
    }
}
