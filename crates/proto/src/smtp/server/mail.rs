//! The mail transaction: MAIL, RCPT, DATA and the message (RFC 5321 §3.3).

use std::collections::HashSet;

use super::{Answer, Ask, Envelope, Greeting, Session, State, Step, Tls, ehlo_first};
use crate::smtp::client::Protocol;
use crate::smtp::command::MailParams;
use crate::smtp::data::DataError;
use crate::smtp::params::RcptOptions;
use crate::smtp::refusal::{Refusal, plain_reply, reply};
use crate::{Address, Enhanced};

/// What is known between MAIL and the final dot.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    /// The recipients again, to find one among 50 000 without reading them all.
    named: HashSet<Address>,
    /// Recipients that were refused: by the shell, by their syntax, or as too many.
    pub(super) refused: usize,
    /// RCPT commands that were answered with yes, those that named somebody again too.
    accepted: usize,
}

impl Session {
    pub(super) fn mail(&mut self, path: Option<Address>, params: MailParams) -> Step {
        if params.options.require_tls && self.offers.tls != Tls::On {
            // RFC 8689 §3: not offered outside TLS.
            return self.bad(&Refusal::new(555, Enhanced(5, 5, 4), "REQUIRETLS is offered under TLS only"));
        }
        if self.offers.mails_max.is_some_and(|max| max <= self.tally.mails) {
            return self.close(&Refusal::new(
                421,
                Enhanced(4, 7, 0),
                "Enough messages on this connection, open another",
            ));
        }
        let octets_max = self.offers.octets_max;
        if params.size.is_some_and(|size| octets_max < size) {
            return self.idle(DataError::TooLarge { octets_max }.refusal().to_reply());
        }
        let greeting = match self.take_state() {
            State::Greeted(greeting) => greeting,
            State::Fresh => {
                self.state = State::Fresh;
                return self.bad(&ehlo_first());
            }
            state => {
                self.state = state;
                return self.bad(&Refusal::new(503, Enhanced(5, 5, 1), "A transaction is open already"));
            }
        };
        let envelope = Envelope { sender: path.clone(), recipients: Vec::new(), params: params.clone() };
        self.state =
            State::SenderAsked(greeting, Transaction { envelope, named: HashSet::new(), refused: 0, accepted: 0 });
        Step::Ask(Ask::Sender { path, params })
    }

    pub(super) fn sender_answered(&mut self, greeting: Greeting, transaction: Transaction, answer: Answer) -> Step {
        match answer {
            Answer::No(refusal) => {
                self.state = State::Greeted(greeting);
                self.idle(refusal.to_reply())
            }
            answer => {
                self.tally.mails = self.tally.mails.saturating_add(1);
                self.state = State::Mail(greeting, transaction);
                Step::Reply(yes(answer, Enhanced(2, 1, 0)))
            }
        }
    }

    /// Whether addresses may hold more than ASCII: MAIL said so.
    pub(super) fn takes_utf8(&self) -> bool {
        matches!(&self.state, State::Mail(_, transaction) if transaction.envelope.params.options.utf8)
    }

    /// A recipient that is named twice keeps what was asked for it first.
    pub(super) fn rcpt(&mut self, path: Address, options: RcptOptions) -> Step {
        let (greeting, mut transaction) = match self.take_state() {
            State::Mail(greeting, transaction) => (greeting, transaction),
            state @ State::Chunked(..) => {
                self.state = state;
                return self.idle(chunks_began().to_reply());
            }
            state => {
                // Not counted as an error: a client that pipelines has sent its recipients before it reads that its
                // sender was refused (RFC 2920 §3.1).
                self.state = state;
                return self.idle(Refusal::new(503, Enhanced(5, 5, 1), "Send MAIL first").to_reply());
            }
        };
        let room = transaction.envelope.recipients.len() < self.offers.recipients_max;
        if transaction.named.contains(&path) {
            transaction.accepted += 1;
            self.state = State::Mail(greeting, transaction);
            return self.idle(reply(250, Enhanced(2, 1, 5), "Ok, already named"));
        }
        if !room {
            // RFC 5321 §4.5.3.1.10: a client sends the rest in a further transaction.
            let refusal = Refusal::new(452, Enhanced(4, 5, 3), "Too many recipients, send the rest separately");
            return self.recipient_refused(greeting, transaction, &refusal);
        }
        self.state = State::RecipientAsked(greeting, transaction, path.clone());
        Step::Ask(Ask::Recipient { path, options })
    }

    pub(super) fn recipient_answered(
        &mut self,
        greeting: Greeting,
        mut transaction: Transaction,
        path: Address,
        answer: Answer,
    ) -> Step {
        if let Answer::No(refusal) = answer {
            return self.recipient_refused(greeting, transaction, &refusal);
        }
        transaction.named.insert(path.clone());
        transaction.envelope.recipients.push(path);
        transaction.accepted += 1;
        self.state = State::Mail(greeting, transaction);
        Step::Reply(yes(answer, Enhanced(2, 1, 5)))
    }

    fn recipient_refused(&mut self, greeting: Greeting, mut transaction: Transaction, refusal: &Refusal) -> Step {
        transaction.refused += 1;
        if self.offers.recipients_max.saturating_mul(REFUSED_FACTOR_MAX) < transaction.refused {
            return self.close(&Refusal::new(421, Enhanced(4, 5, 3), "Far too many recipients"));
        }
        self.state = State::Mail(greeting, transaction);
        Step::Reply(refusal.to_reply())
    }

    pub(super) fn data_wanted(&mut self) -> Step {
        match self.take_state() {
            State::Mail(greeting, transaction) if !transaction.envelope.recipients.is_empty() => {
                self.state = State::Content(greeting, transaction);
                Step::ReadData(plain_reply(354, &["End data with <CR><LF>.<CR><LF>".to_owned()]))
            }
            state => {
                let refusal = no_content_yet(&state);
                self.state = state;
                self.idle(refusal.to_reply())
            }
        }
    }

    pub(super) fn content(
        &mut self,
        greeting: Greeting,
        transaction: Transaction,
        content: Result<Vec<u8>, DataError>,
    ) -> Step {
        let replies = self.replies(&transaction);
        match content {
            Ok(content) => {
                self.state = State::MessageAsked(greeting, replies);
                Step::Ask(Ask::Message { envelope: transaction.envelope, content })
            }
            Err(error) => {
                self.state = State::Greeted(greeting);
                self.idle(error.refusal().to_reply().repeat(replies))
            }
        }
    }

    pub(super) fn message_answered(&mut self, greeting: Greeting, replies: usize, answer: Answer) -> Step {
        self.state = State::Greeted(greeting);
        match answer {
            Answer::No(refusal) => self.idle(refusal.to_reply().repeat(replies)),
            answer => {
                self.tally.idle = 0;
                Step::Reply(yes(answer, Enhanced(2, 0, 0)).repeat(replies))
            }
        }
    }

    /// How often the message is answered: in LMTP for each RCPT that was, also one that named somebody again (RFC 2033
    /// §4.2). Repeated RCPTs are bounded by the commands of a connection that bring no message further.
    pub(super) fn replies(&self, transaction: &Transaction) -> usize {
        if self.protocol == Protocol::Lmtp { transaction.accepted } else { 1 }
    }
}

/// Why there is no message to be read in this state.
pub(super) fn no_content_yet(state: &State) -> Refusal {
    match state {
        State::Mail(_, transaction) if 0 < transaction.refused => {
            Refusal::new(554, Enhanced(5, 5, 1), "No valid recipients")
        }
        State::Mail(..) => Refusal::new(503, Enhanced(5, 5, 1), "Send RCPT first"),
        State::Chunked(..) => chunks_began(),
        _ => Refusal::new(503, Enhanced(5, 5, 1), "Send MAIL first"),
    }
}

/// RFC 3030 §2: DATA and BDAT are never mixed, and the envelope is closed with the first chunk.
fn chunks_began() -> Refusal {
    Refusal::new(503, Enhanced(5, 5, 1), "The message has begun with BDAT: send the rest so, or RSET")
}

fn yes(answer: Answer, enhanced: Enhanced) -> Vec<u8> {
    match answer {
        Answer::YesSaying(text) => reply(250, enhanced, &text),
        Answer::Yes | Answer::No(_) | Answer::Scram(_) => reply(250, enhanced, "Ok"),
    }
}

/// How many times `recipients_max` recipients of one transaction are refused before the connection closes. Whoever
/// goes on after so many tries out addresses; the answers cost us, and a directory, more than the questions cost him.
pub const REFUSED_FACTOR_MAX: usize = 10;
