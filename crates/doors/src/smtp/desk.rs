//! Who may send what to whom: turns what the session asks into facts, asks the rules, and keeps accepted mail.

use std::net::IpAddr;
use std::sync::Arc;

use sm2tp_proto::smtp::server::{Answer, Ask, Envelope, ScramMaterial, Session};
use sm2tp_proto::smtp::{RcptOptions, Refusal, Secret, count_received};
use sm2tp_proto::{Address, Enhanced};
use sm2tp_rules::admit::{self, Sender, Verdict};
use sm2tp_store::Bounce;
use sm2tp_store::accounts::{Account, Accounts};
use sm2tp_store::keys;
use sm2tp_store::spool::{Lane, NewMail, NewRecipient};

use super::Shared;
use super::bcc::without_bcc;
use super::trace::{self, Via};
use crate::{now, random};

/// The desk of one connection.
pub(super) struct Desk {
    shared: Arc<Shared>,
    client: IpAddr,
    account: Option<Account>,
    sender: Option<Address>,
    recipients: Vec<NewRecipient>,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, client: IpAddr) -> Self {
        let settings = &shared.settings;
        let account = (settings.trusted)(client).then(|| Accounts::local(settings.trusted_stream));
        Self { client, account, sender: None, recipients: Vec::new(), shared }
    }

    pub(super) async fn answer(&mut self, ask: Ask, session: &Session) -> Answer {
        match ask {
            Ask::Login { login, password } => self.login(&login, &password).await,
            Ask::ScramKeys { login } => self.scram_keys(&login),
            Ask::Proved { login } => self.proved(&login),
            Ask::Disproved { login } => self.wrong(&login),
            Ask::Sender { path, .. } => self.sender(path),
            Ask::Recipient { path, options } => self.recipient(&path, options),
            Ask::Message { envelope, content } => self.message(envelope, content, session).await,
        }
    }

    async fn login(&mut self, login: &str, password: &Secret) -> Answer {
        match self.shared.house.accounts.verify(login, password.reveal(), now()).await {
            Some(account) => {
                self.account = Some(account);
                Answer::Yes
            }
            None => self.wrong(login),
        }
    }

    fn scram_keys(&self, login: &str) -> Answer {
        let keys = self.shared.house.accounts.scram_keys(login);
        let Ok(random) = keys::random() else {
            return no(454, Enhanced(4, 7, 0), "No login is possible now, try again later");
        };
        let mut fresh = [0; 18];
        fresh.copy_from_slice(&random[..18]);
        Answer::Scram(Box::new(ScramMaterial { keys, fresh }))
    }

    fn proved(&mut self, login: &str) -> Answer {
        match self.shared.house.accounts.account(login) {
            Some(account) => {
                self.account = Some(account);
                Answer::Yes
            }
            // Removed since the challenge.
            None => self.wrong(login),
        }
    }

    fn wrong(&self, login: &str) -> Answer {
        tracing::info!(client = %self.client, login = %login.escape_debug(), "a login failed");
        no(535, Enhanced(5, 7, 8), "Login or password wrong")
    }

    fn sender(&mut self, path: Option<Address>) -> Answer {
        self.recipients.clear();
        let Some(account) = &self.account else {
            return no(530, Enhanced(5, 7, 0), "Authentication required: this server relays for its members only");
        };
        let asked = Sender { domains: &account.domains, mail_from: path.as_ref(), stream: account.stream };
        if let Err(refusal) = admit::sender(&asked) {
            return refused(&refusal);
        }
        self.sender = path;
        Answer::Yes
    }

    /// RCPT TO: the one answer of `rules::admit` (I5).
    fn recipient(&mut self, path: &Address, options: RcptOptions) -> Answer {
        let Some(account) = &self.account else {
            return no(530, Enhanced(5, 7, 0), "Authentication required");
        };
        let (now, book) = (now(), &self.shared.house.book);
        let asked = Sender { domains: &account.domains, mail_from: self.sender.as_ref(), stream: account.stream };
        let facts = book.recipient(path, &account.org, now);
        let (lane, note, canary) = match admit::recipient(&asked, &facts, book.limits(), now, random()) {
            Verdict::Accept { canary } => (Lane::Normal, None, canary.is_some()),
            Verdict::Hold(why) => (Lane::Held, Some(format!("{}: {why}", why.as_str())), false),
            Verdict::Refuse(refusal) => {
                self.shared.stops.refused(account, &refusal, now);
                return refused(&refusal);
            }
        };
        // The session asks about no recipient twice.
        self.recipients.push(NewRecipient { address: path.clone(), lane, note, canary, options });
        Answer::Yes
    }

    async fn message(&mut self, envelope: Envelope, content: Vec<u8>, session: &Session) -> Answer {
        let Some(account) = self.account.clone() else {
            return no(530, Enhanced(5, 7, 0), "Authentication required");
        };
        if RECEIVED_MAX < count_received(&content) {
            return no(554, Enhanced(5, 4, 6), "This message has been through too many servers: it is in a loop");
        }
        let (received_at, hostname) = (now(), &self.shared.settings.hostname);
        let via = Via {
            hostname,
            helo: session.helo().unwrap_or_default(),
            client: self.client,
            tls: session.is_tls(),
            login: session.login().is_some(),
            esmtp: session.is_esmtp(),
            utf8: envelope.params.options.utf8,
        };
        let content = without_bcc(content);
        let traced = trace::trace(&content, &via, received_at);
        let content: Arc<[u8]> = traced.content.into();
        let hold_s = self.shared.settings.hold_s;
        let mail = NewMail {
            org: account.org,
            login: account.login,
            stream: account.stream,
            mail_from: envelope.sender,
            message_id: traced.message_id,
            received_at,
            recipients: std::mem::take(&mut self.recipients),
            held_until: received_at.saturating_add(hold_s),
            content: content.clone(),
            is_report: false,
            options: envelope.params.options,
        };
        match self.shared.house.spool.accept(mail).await {
            Ok(queued) => {
                let id = queued.mail.id;
                // The relay may have stopped: the mail is in the spool, and the next start finds it.
                let _ = self.shared.onward.mails.send((queued, content)).await;
                Answer::YesSaying(format!("queued as {id}"))
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be kept; its client was told to try again");
                if error.is_full() {
                    no(452, Enhanced(4, 3, 1), "Insufficient system storage, try again later")
                } else {
                    no(452, Enhanced(4, 3, 0), "The message could not be stored, try again later")
                }
            }
        }
    }
}

fn refused(refusal: &admit::Refusal) -> Answer {
    let (code, enhanced, text) = refusal.reply();
    no(code, enhanced, &text)
}

fn no(code: u16, enhanced: Enhanced, text: &str) -> Answer {
    Answer::No(Refusal::new(code, enhanced, text))
}

/// RFC 5321 §6.3: more Received lines than this are a loop.
const RECEIVED_MAX: usize = 30;
