//! Mail that comes back: which addresses are ours, how reports come in, and what is counted of them.
//!
//! Reports come through the SMTP door, from a command, or from a mailbox of another server. Each way ends in the inbox, on
//! stable storage, before anybody is told that the report was taken; [`count`] takes them from there, each once.

mod boxes;
mod count;
mod mbox;
mod notice;
#[cfg(test)]
mod octets;
mod reading;
mod traced;

use std::sync::Arc;

use sm2tp_proto::smtp::Refusal;
use sm2tp_proto::{Address, Domain, Enhanced};
use sm2tp_rules::returned::BOUNCE_DAYS_MAX;
use sm2tp_store::SpoolError;
use sm2tp_store::returns::{Arrived, Inbox, Returns};
use tokio::sync::Notify;

pub use self::boxes::{Boxes, follow};
pub use self::count::{Counting, run};
pub use self::notice::Language;
pub(crate) use self::reading::is_from_a_machine;
pub use self::traced::keep;
pub(crate) use self::traced::{Leaving, UnderWay};

/// What a node has of mail that comes back; clones share it.
#[derive(Clone)]
pub struct Back {
    /// Of the return paths.
    pub domain: Domain,
    pub returns: Returns,
    pub inbox: Inbox,
    /// Where links to unsubscribe lead; none: there are none.
    pub unsubscribe_url: Option<String>,
    /// Something is in the inbox.
    wake: Arc<Notify>,
    /// Mail of another mail server that leaves with a token.
    traced: traced::Traced,
}

/// To whom a report came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To the return path of one mail to one recipient.
    Token(String),
    /// To an address that providers and people are given.
    Everybody,
}

impl Back {
    #[must_use]
    pub fn new(domain: Domain, returns: Returns, inbox: Inbox, unsubscribe_url: Option<String>) -> Self {
        Self { domain, returns, inbox, unsubscribe_url, wake: Arc::default(), traced: traced::Traced::default() }
    }

    /// Whether mail to this address is a report for us.
    #[must_use]
    pub fn is_ours(&self, address: &Address) -> bool {
        self.domain.is_same(address.domain())
    }

    /// Whether a report to this address, which is ours, is taken: with a token that we made, or to [`EVERYBODY`]. Forged
    /// and late reports end here, before their content.
    ///
    /// # Errors
    /// What the client is told.
    pub fn recipient(&self, address: &Address, now: u64) -> Result<To, Refusal> {
        let local = local(address);
        if EVERYBODY.contains(&local.as_str()) {
            return Ok(To::Everybody);
        }
        match self.returns.check(&local, now, BOUNCE_DAYS_MAX) {
            Ok(_) => Ok(To::Token(local)),
            Err(error) => {
                tracing::debug!(%error, "a report to no return path of ours was refused");
                let text = "There is no such address here, or not any more";
                Err(Refusal::new(550, Enhanced(5, 1, 1), text))
            }
        }
    }

    /// Keeps a report. When this answers `Ok`, it is on stable storage (I4).
    ///
    /// # Errors
    /// [`SpoolError`]: it was not kept.
    pub async fn take(&self, to: To, mut content: Vec<u8>, now: u64) -> Result<(), SpoolError> {
        // The token says whose it is; of a whole mail that came back the beginning says why.
        content.truncate(REPORT_OCTETS_MAX);
        let token = match to {
            To::Token(token) => Some(token),
            To::Everybody => None,
        };
        self.inbox.keep(vec![Arrived { at: now, token, content, passed_on: false }], None).await?;
        self.wake.notify_one();
        Ok(())
    }
}

/// A mail with CRLF at the end of each line, as SMTP has it, where a machine wrote it with its own. A CR elsewhere and NUL
/// go: no door takes them, and behind one a server may see another end of the mail than we do.
#[must_use]
pub fn with_crlf(content: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(content.len() + content.len() / 32);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        whole.extend(line.iter().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0)));
        if line.ends_with(b"\n") {
            whole.extend_from_slice(b"\r\n");
        }
    }
    whole
}

/// The local part of an address of ours: a token, or a word of [`EVERYBODY`].
fn local(address: &Address) -> String {
    let clear = address.clear();
    clear.rsplit_once('@').map_or("", |(local, _)| local).to_ascii_lowercase()
}

/// Local parts for everybody: the first for reports that find no other way, the second for the feedback loops of providers.
pub const EVERYBODY: [&str; 2] = ["returns", "fbl"];
/// Octets of a report that are read. Those of machines have some thousand; what is longer brings a whole mail back.
pub const REPORT_OCTETS_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_from_a_file_has_the_line_ends_of_smtp_and_no_others() {
        for (content, want) in
            [(&b"a\nb\r\nc"[..], &b"a\r\nb\r\nc"[..]), (b"a\r.\r\nb\0\n", b"a.\r\nb\r\n"), (b"a\r\r\n.\r", b"a\r\n.")]
        {
            assert_eq!(with_crlf(content), want, "{}", content.escape_ascii());
        }
    }
}
