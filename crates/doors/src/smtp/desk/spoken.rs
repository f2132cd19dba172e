//! What a client said of itself, and how.

use sm2tp_proto::smtp::MailOptions;
use sm2tp_proto::smtp::server::Session;

use super::Desk;
use crate::smtp::trace::{Protocol, Service, Via};

/// What a client said of itself, and how.
pub(super) struct Spoken {
    pub helo: String,
    pub tls: bool,
    pub login: bool,
    pub protocol: Protocol,
}

impl Spoken {
    pub(super) fn of(session: &Session) -> Self {
        let protocol = if session.is_esmtp() { Protocol::Esmtp } else { Protocol::Smtp };
        let (tls, login) = (session.is_tls(), session.login().is_some());
        Self { helo: session.helo().unwrap_or_default().to_owned(), tls, login, protocol }
    }

    /// A program with a token. What protects its connection is another program's business.
    pub(super) fn over_http() -> Self {
        Self { helo: String::new(), tls: false, login: true, protocol: Protocol::Http }
    }
}

impl Desk {
    /// How a message came in, for its trace.
    pub(super) fn via<'a>(&'a self, spoken: &'a Spoken, service: Service, options: &MailOptions) -> Via<'a> {
        Via {
            hostname: &self.shared.settings.hostname,
            service,
            helo: &spoken.helo,
            client: self.client.known(),
            tls: spoken.tls,
            login: spoken.login,
            protocol: spoken.protocol,
            utf8: options.utf8,
        }
    }
}
