//! Table: what failed where no server spoke, in words: reports to senders and pages say the same.

use crate::outcome::LocalFailure;

impl LocalFailure {
    /// The failure that is noted with this sentence, as the queue and the send log keep it.
    #[must_use]
    pub fn noted(sentence: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|failure| failure.english() == sentence)
    }

    /// What a person reads, to stand behind a colon.
    #[must_use]
    pub fn english(self) -> &'static str {
        match self {
            Self::NoSuchDomain => "the domain does not exist (NXDOMAIN)",
            Self::NullMx => "the domain takes no mail (null MX, RFC 7505)",
            Self::NoMailHost => "the domain's mail host has no address in the DNS",
            Self::DnsFailure => "the DNS did not say where the mail has to go",
            Self::ConnectRefused => "the connection was refused or the host cannot be reached",
            Self::ConnectTimeout => "the host did not answer to a connection in time",
            Self::Timeout => "the server stopped answering",
            Self::TooSlow => "the server was so slow that the delivery took too long",
            Self::ConnectionLost => "the connection was lost before the server had answered",
            Self::TlsFailure => "no encrypted connection could be made",
            Self::StsFailure => "the domain enforces MTA-STS and no host of it met its policy (RFC 8461)",
            Self::DaneFailure => {
                "the host did not show a key that DNSSEC names, or the names could not be read (RFC 7672)"
            }
            Self::RequireTls => "the message must travel encrypted and no host of the domain offers that (RFC 8689)",
            Self::Loop => "the domain's mail would come back to this server: its MX records name this machine",
            Self::LoginRefused => "the smart host did not take the login of this server",
            Self::NoExit => "none of the local addresses to send from is usable",
            Self::BadReply => "what the server said is no SMTP",
            Self::Unsupported => "the server does not take addresses or headers beyond ASCII (SMTPUTF8)",
            Self::TooLarge => "the message is larger than the server takes",
            Self::Unsigned => "it could not be signed (DKIM); this is a fault of our own server",
            Self::Expired => "it could not be delivered in time",
        }
    }

    /// La même chose, à mettre après deux points.
    #[must_use]
    pub fn french(self) -> &'static str {
        match self {
            Self::NoSuchDomain => "le domaine n’existe pas (NXDOMAIN)",
            Self::NullMx => "le domaine n’accepte aucun courrier (MX nul, RFC 7505)",
            Self::NoMailHost => "le serveur de messagerie du domaine n’a pas d’adresse dans le DNS",
            Self::DnsFailure => "le DNS n’a pas indiqué où remettre le courrier",
            Self::ConnectRefused => "la connexion a été refusée ou le serveur est injoignable",
            Self::ConnectTimeout => "le serveur n’a pas répondu à temps à la demande de connexion",
            Self::Timeout => "le serveur a cessé de répondre",
            Self::TooSlow => "le serveur était si lent que la remise a pris trop de temps",
            Self::ConnectionLost => "la connexion a été perdue avant que le serveur ait répondu",
            Self::TlsFailure => "aucune connexion chiffrée n’a pu être établie",
            Self::StsFailure => {
                "le domaine impose MTA-STS et aucun de ses serveurs n’a respecté sa politique (RFC 8461)"
            }
            Self::DaneFailure => {
                "le serveur n’a présenté aucune clé annoncée par DNSSEC, ou celles-ci n’ont pas pu être lues (RFC 7672)"
            }
            Self::RequireTls => "le message doit voyager chiffré et aucun serveur du domaine ne le permet (RFC 8689)",
            Self::Loop => {
                "le courrier de ce domaine reviendrait à notre serveur\u{a0}: ses enregistrements MX désignent cette machine"
            }
            Self::LoginRefused => "le relais de sortie (smart host) a refusé l’identifiant de notre serveur",
            Self::NoExit => "aucune des adresses d’envoi de notre serveur n’est utilisable",
            Self::BadReply => "la réponse du serveur n’est pas conforme à SMTP",
            Self::Unsupported => {
                "le serveur n’accepte ni adresses ni en-têtes avec des caractères non ASCII (SMTPUTF8)"
            }
            Self::TooLarge => "le message dépasse la taille acceptée par le serveur",
            Self::Unsigned => "il n’a pas pu être signé (DKIM)\u{a0}; la faute en revient à notre serveur",
            Self::Expired => "il n’a pas pu être distribué à temps",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_known_by_the_sentence_that_was_noted() {
        for failure in LocalFailure::ALL {
            assert_eq!(LocalFailure::noted(failure.english()), Some(*failure));
            assert_ne!(failure.english(), failure.french());
        }
        assert_eq!(LocalFailure::noted("450 4.2.0 the server stopped answering"), None);
    }
}
