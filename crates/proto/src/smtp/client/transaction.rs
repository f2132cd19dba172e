//! One mail transaction on the sending side: commands out in groups, replies matched in order (RFC 2920 §3.1).

use std::collections::VecDeque;

use super::{Capabilities, Do, Plan, Protocol, Rcpt, RecipientResult, Results, Spoken, Unsupported};
use crate::smtp::params::Form;
use crate::{Address, Reply};

/// A transaction between MAIL and its end.
#[derive(Debug)]
pub(super) struct Transaction {
    protocol: Protocol,
    pipelining: bool,
    /// Commands that are not written yet.
    pending: VecDeque<(Awaited, Vec<u8>)>,
    /// What the replies to come are answers to.
    awaited: VecDeque<Awaited>,
    recipients: Vec<Fate>,
    /// MAIL was refused: what is pending is not written any more.
    broken_off: bool,
    /// The server has seen an end of data, so that no RSET is needed.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Rset,
    Mail,
    /// Index of the recipient in the plan.
    Rcpt(usize),
    Data,
    /// The message itself, in one chunk behind its commands.
    Chunk,
    Eod,
    /// LMTP: what the end means for one recipient.
    EodFor(usize),
    /// The end of a message for nobody.
    LoneDot,
}

#[derive(Debug)]
enum Fate {
    Open,
    /// RCPT was answered 2xx.
    Accepted,
    Settled(RecipientResult),
}

/// What follows from a reply.
#[derive(Debug)]
pub(super) enum Next {
    Do(Do),
    /// The transaction is over; `reset`: a further one needs RSET first.
    Over {
        reset: bool,
    },
    /// So is the connection.
    Dead,
}

impl Transaction {
    pub(super) fn new(plan: Plan<'_>, server: &Capabilities, protocol: Protocol) -> Self {
        let (obstacle, from) = match sender(&plan, server) {
            Ok(from) => (None, from),
            Err(what) => (Some(what), String::new()),
        };
        let mut recipients = Vec::with_capacity(plan.recipients.len());
        let mut pending = VecDeque::new();
        for (index, recipient) in plan.recipients.iter().enumerate() {
            let command = obstacle.map_or_else(|| rcpt(recipient, server), Err);
            recipients.push(match command {
                Ok(command) => {
                    pending.push_back((Awaited::Rcpt(index), command));
                    Fate::Open
                }
                Err(what) => Fate::Settled(RecipientResult::Unsupported(what)),
            });
        }
        if !pending.is_empty() {
            pending.push_front((Awaited::Mail, mail(&plan, server, &from)));
            pending.push_back(match is_chunk(&plan, server, protocol) {
                true => (Awaited::Chunk, format!("BDAT {} LAST\r\n", plan.octets).into_bytes()),
                false => (Awaited::Data, b"DATA\r\n".to_vec()),
            });
        }
        Self {
            protocol,
            pipelining: server.pipelining,
            pending,
            awaited: VecDeque::new(),
            recipients,
            broken_off: false,
            ended: false,
        }
    }

    /// What is written first; none where no recipient can be spoken of.
    pub(super) fn start(&mut self, reset: bool) -> Option<Do> {
        if reset && !self.pending.is_empty() {
            self.pending.push_front((Awaited::Rset, b"RSET\r\n".to_vec()));
        }
        (!self.pending.is_empty()).then(|| self.group())
    }

    pub(super) fn reply(&mut self, reply: Reply) -> Next {
        let Some(awaited) = self.awaited.pop_front() else { return Next::Dead };
        if reply.code == 421 {
            // RFC 5321 §3.8: the server closes; nothing that it accepted before will arrive.
            self.settle(&RecipientResult::Refused { spoken: awaited.spoken(), reply });
            return Next::Dead;
        }
        if awaited == Awaited::Chunk && self.is_lost_count(reply.code) {
            // Nothing about the mail, which goes with DATA next time. The message may be taken for commands now.
            self.settle(&RecipientResult::Garbled { spoken: Spoken::Eod, reply });
            return Next::Dead;
        }
        let outcome = match reply.code {
            200..300 if awaited != Awaited::Data => Outcome::Yes,
            300..400 if awaited == Awaited::Data => Outcome::Yes,
            400.. => Outcome::No,
            _ if matches!(awaited, Awaited::Rset | Awaited::LoneDot) => Outcome::Yes,
            _ => {
                self.settle(&RecipientResult::Garbled { spoken: awaited.spoken(), reply });
                return Next::Dead;
            }
        };
        let nobody = awaited == Awaited::Data && matches!(outcome, Outcome::Yes) && !self.any_accepted();
        if nobody && self.protocol == Protocol::Lmtp {
            // RFC 2033 §4.2: the end would be answered once for each of nobody, and so never.
            return Next::Dead;
        }
        if let Some(step) = self.answered(awaited, outcome, reply) {
            return Next::Do(step);
        }
        self.go_on()
    }

    /// What the connection's end leaves.
    pub(super) fn lost(mut self) -> Results {
        let spoken = self.spoken().unwrap_or(Spoken::Mail);
        self.settle(&RecipientResult::Lost { spoken });
        self.results(false)
    }

    pub(super) fn results(self, reusable: bool) -> Results {
        let recipients = self.recipients.into_iter().map(|fate| match fate {
            Fate::Settled(result) => result,
            Fate::Open | Fate::Accepted => RecipientResult::Lost { spoken: Spoken::Mail },
        });
        Results { recipients: recipients.collect(), reusable }
    }

    pub(super) fn spoken(&self) -> Option<Spoken> {
        self.awaited.front().map(|awaited| awaited.spoken())
    }

    /// Notes the answer to one command; a step where it asks for something to be written at once.
    fn answered(&mut self, awaited: Awaited, outcome: Outcome, reply: Reply) -> Option<Do> {
        let spoken = awaited.spoken();
        match (awaited, outcome) {
            (Awaited::Rset | Awaited::LoneDot, _) => self.ended |= awaited == Awaited::LoneDot,
            (Awaited::Mail, Outcome::Yes) => {}
            (Awaited::Mail, Outcome::No) => {
                self.broken_off = true;
                self.settle(&RecipientResult::Refused { spoken, reply });
            }
            (Awaited::Rcpt(index), outcome) => {
                if let Some(fate @ Fate::Open) = self.recipients.get_mut(index) {
                    *fate = match outcome {
                        Outcome::Yes => Fate::Accepted,
                        Outcome::No => Fate::Settled(RecipientResult::Refused { spoken, reply }),
                    };
                }
            }
            (Awaited::Data, Outcome::Yes) if self.any_accepted() => {
                match self.protocol {
                    Protocol::Smtp => self.awaited.push_back(Awaited::Eod),
                    Protocol::Lmtp => self.await_each_accepted(),
                }
                return Some(Do::SendBody);
            }
            // RFC 2920 §3.1: DATA was written before it was known that nobody is left. The server waits for a message
            // now and gets an empty one, which it must not deliver to anybody.
            (Awaited::Data, Outcome::Yes) => {
                self.awaited.push_back(Awaited::LoneDot);
                return Some(Do::Send(b".\r\n".to_vec()));
            }
            (Awaited::Data, Outcome::No) => self.settle(&RecipientResult::Refused { spoken, reply }),
            (Awaited::Eod, outcome) => {
                self.ended = true;
                self.settle(&outcome.at_the_end(reply));
            }
            (Awaited::Chunk, outcome) => {
                // RFC 3030 §2: after a refused chunk the server waits for RSET.
                self.ended = matches!(outcome, Outcome::Yes);
                self.settle(&outcome.at_the_end(reply));
            }
            (Awaited::EodFor(index), outcome) => {
                self.ended = true;
                if let Some(fate @ Fate::Accepted) = self.recipients.get_mut(index) {
                    *fate = Fate::Settled(outcome.at_the_end(reply));
                }
            }
        }
        None
    }

    fn await_each_accepted(&mut self) {
        let accepted = self.recipients.iter().enumerate().filter(|(_, fate)| matches!(fate, Fate::Accepted));
        self.awaited.extend(accepted.map(|(index, _)| Awaited::EodFor(index)));
    }

    fn go_on(&mut self) -> Next {
        if !self.awaited.is_empty() {
            return Next::Do(Do::Continue);
        }
        let only_data = matches!(self.pending.front(), Some((Awaited::Data, _)));
        if self.pending.is_empty() || self.broken_off || (only_data && !self.any_accepted()) {
            return Next::Over { reset: !self.ended };
        }
        Next::Do(self.group())
    }

    /// The commands that are written together.
    fn group(&mut self) -> Do {
        let count = if self.pipelining { COMMANDS_AT_ONCE_MAX } else { 1 };
        let count = count.min(self.pending.len());
        let mut bytes = Vec::with_capacity(self.pending.range(..count).map(|(_, command)| command.len()).sum());
        for (awaited, command) in self.pending.drain(..count) {
            bytes.extend_from_slice(&command);
            self.awaited.push_back(awaited);
        }
        if self.awaited.back() == Some(&Awaited::Chunk) { Do::SendAtOnce(bytes) } else { Do::Send(bytes) }
    }

    /// The server offers BDAT and does not know it, or waits for another command. 503 is right where nobody was accepted.
    fn is_lost_count(&self, code: u16) -> bool {
        matches!(code, 500 | 501 | 502 | 504) || code == 503 && self.any_accepted()
    }

    fn any_accepted(&self) -> bool {
        self.recipients.iter().any(|fate| matches!(fate, Fate::Accepted))
    }

    /// Tells everybody whose fate is not settled.
    fn settle(&mut self, result: &RecipientResult) {
        for fate in &mut self.recipients {
            if !matches!(fate, Fate::Settled(_)) {
                *fate = Fate::Settled(result.clone());
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Yes,
    No,
}

impl Outcome {
    fn at_the_end(self, reply: Reply) -> RecipientResult {
        match self {
            Self::Yes => RecipientResult::Delivered(reply),
            Self::No => RecipientResult::Refused { spoken: Spoken::Eod, reply },
        }
    }
}

impl Awaited {
    fn spoken(self) -> Spoken {
        match self {
            Self::Rset | Self::Mail => Spoken::Mail,
            Self::Rcpt(_) => Spoken::Rcpt,
            Self::Data => Spoken::Data,
            Self::Chunk | Self::Eod | Self::EodFor(_) | Self::LoneDot => Spoken::Eod,
        }
    }
}

/// The sender as it is spoken here; or what keeps the message from being sent to anybody here.
fn sender(plan: &Plan<'_>, server: &Capabilities) -> Result<String, Unsupported> {
    if let Some(octets_max) = server.octets_max.filter(|octets_max| *octets_max < plan.octets) {
        return Err(Unsupported::Size { octets_max });
    }
    if plan.options.require_tls && !server.require_tls {
        return Err(Unsupported::RequireTls);
    }
    if plan.header == Form::Utf8 && !server.smtp_utf8 {
        return Err(Unsupported::SmtpUtf8);
    }
    plan.mail_from.map_or(Ok(String::new()), |path| spoken(path, server))
}

/// Whether the message goes right behind its commands (RFC 3030 §4.2): one round trip instead of two. Not a large one, which
/// would travel in vain where no recipient is taken; and not in LMTP, whose servers answer the end in their own way.
fn is_chunk(plan: &Plan<'_>, server: &Capabilities, protocol: Protocol) -> bool {
    plan.may_chunk
        && protocol == Protocol::Smtp
        && server.chunking
        && server.pipelining
        && plan.octets <= CHUNK_OCTETS_MAX
        && plan.recipients.len() <= CHUNK_RECIPIENTS_MAX
}

/// RFC 6531 §3.2: without SMTPUTF8 a domain goes as the DNS has it, and a local part beyond ASCII not at all.
fn spoken(path: &Address, server: &Capabilities) -> Result<String, Unsupported> {
    if server.smtp_utf8 || !path.needs_utf8() {
        return Ok(path.clear());
    }
    path.to_ascii().map(|path| path.clear()).ok_or(Unsupported::SmtpUtf8)
}

fn rcpt(recipient: &Rcpt<'_>, server: &Capabilities) -> Result<Vec<u8>, Unsupported> {
    let mut command = String::with_capacity(COMMAND_OCTETS_USUAL);
    command.push_str("RCPT TO:<");
    command.push_str(&spoken(recipient.path, server)?);
    command.push('>');
    if server.dsn {
        recipient.options.dsn(Form::Ascii, &mut command);
    }
    command.push_str("\r\n");
    Ok(command.into_bytes())
}

fn mail(plan: &Plan<'_>, server: &Capabilities, from: &str) -> Vec<u8> {
    let mut command = String::with_capacity(COMMAND_OCTETS_USUAL);
    command.push_str("MAIL FROM:<");
    command.push_str(from);
    command.push('>');
    if server.size {
        command.push_str(" SIZE=");
        command.push_str(&plan.octets.to_string());
    }
    let paths = plan.mail_from.into_iter().chain(plan.recipients.iter().map(|recipient| recipient.path));
    let utf8 = server.smtp_utf8 && (plan.header == Form::Utf8 || paths.into_iter().any(Address::needs_utf8));
    // RFC 6531 §3.1: who offers SMTPUTF8 offers 8BITMIME.
    if server.eight_bit_mime && (plan.eight_bit || utf8) {
        command.push_str(" BODY=8BITMIME");
    }
    if utf8 {
        command.push_str(" SMTPUTF8");
    }
    if plan.options.require_tls {
        command.push_str(" REQUIRETLS");
    }
    if server.dsn {
        plan.options.dsn(&mut command);
    }
    command.push_str("\r\n");
    command.into_bytes()
}

/// Commands written before their replies are read. Replies of at most 512 octets to all of them fit into the smallest
/// socket buffers in use, so that neither side waits for the other to read (RFC 2920 §3.1, the deadlock).
const COMMANDS_AT_ONCE_MAX: usize = 100;
/// Most commands are shorter.
const COMMAND_OCTETS_USUAL: usize = 128;
/// Most mail is smaller.
const CHUNK_OCTETS_MAX: u64 = 128 * 1024;
/// With RSET, MAIL and BDAT in one group.
const CHUNK_RECIPIENTS_MAX: usize = COMMANDS_AT_ONCE_MAX - 3;
