//! One answer for every door (I5): may this sender write to this recipient now?

use sm2tp_proto::{Address, Domain, Enhanced};

use crate::allowance::{self, Exceeded, Holder};
use crate::outcome::Stream;
use crate::rate::{Gcra, Per, Rate};
use crate::suppress::{self, Decision, Recipient, Stopped, Why};
use crate::watch::{Patience, Standing};

/// Who asks, as the door learned it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sender<'a> {
    /// The org's own domains. Without any domain or address it may use all (the org `local` of a trusted network).
    pub domains: &'a [Domain],
    /// Addresses besides them.
    pub addresses: &'a [Address],
    /// MAIL FROM; none for the null return path of reports.
    pub mail_from: Option<&'a Address>,
    pub stream: Stream,
    /// What the sender watch says of it.
    pub standing: Standing,
}

/// Which way accepted mail of this sender goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    #[default]
    Normal,
    /// The slow lane, but for what is held anyway.
    Slow,
}

/// What the door does.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Take it. `canary` names what would have held it.
    Accept { canary: Option<Why> },
    /// Take it into the lane `held`; a person decides, or time does.
    Hold(Why),
    /// Take it, do not send it, and tell the sender so with a report.
    Report(Why),
    /// Do not take it.
    Refuse(Refusal),
}

/// Why it is not taken, and what the other side is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// The sender uses a domain that is not its own.
    SenderDomain {
        domain: Domain,
    },
    /// The sender may use certain addresses only, and this is none of them.
    SenderAddress,
    Suppressed {
        why: Why,
        until: Option<u64>,
    },
    Limit(Exceeded),
    /// The sender watch blocked it, or a person did.
    Blocked(Patience),
    /// The sender watch slowed it, or a person did, and its minute is not over. In seconds.
    Slow {
        wait_s: u64,
    },
}

/// Asked at MAIL FROM: may this org use this sender address (R3)?
///
/// # Errors
/// The refusal to hand to the client.
pub fn sender(sender: &Sender<'_>) -> Result<(), Refusal> {
    way(sender)?;
    let Some(from) = sender.mail_from else { return Ok(()) };
    let any = sender.domains.is_empty() && sender.addresses.is_empty();
    if any
        || sender.domains.iter().any(|own| own.is_same(from.domain()))
        || sender.addresses.iter().any(|own| own.is_same(from))
    {
        Ok(())
    } else if sender.domains.is_empty() {
        Err(Refusal::SenderAddress)
    } else {
        Err(Refusal::SenderDomain { domain: from.domain().clone() })
    }
}

/// Asked when a recipient was counted, and before a mail is kept: does the sender watch let it go on, and which way?
///
/// # Errors
/// The refusal to hand to the client.
pub fn way(sender: &Sender<'_>) -> Result<Way, Refusal> {
    match sender.standing {
        Standing::Normal => Ok(Way::Normal),
        Standing::Slow => Ok(Way::Slow),
        Standing::Blocked(patience) => Err(Refusal::Blocked(patience)),
    }
}

/// Asked about a recipient of a sender that goes [`Way::Slow`], where the mail server has no slow lane: one a minute.
/// `last` is what was answered last; `now_us` in unix microseconds.
///
/// # Errors
/// The refusal to hand to the client.
pub fn turn(last: Gcra, now_us: u64) -> Result<Gcra, Refusal> {
    SLOWLY.take(last, now_us).map_err(|wait_s| Refusal::Slow { wait_s })
}

/// Asked at MAIL FROM: may this mail begin? `octets` as the client estimates them; `now_us` in unix microseconds.
///
/// # Errors
/// The refusal to hand to the client.
pub fn mail(from: &Sender<'_>, octets: Option<u64>, holders: &mut [Holder<'_>], now_us: u64) -> Result<(), Refusal> {
    sender(from)?;
    allowance::mail(holders, octets, now_us).map_err(Refusal::Limit)
}

/// Asked at RCPT TO of a recipient that is taken or held, when the mail has `named` others.
///
/// # Errors
/// The refusal to hand to the client.
pub fn counted(named: usize, holders: &mut [Holder<'_>], now_us: u64) -> Result<(), Refusal> {
    allowance::recipient(holders, named, now_us).map_err(Refusal::Limit)
}

/// Asked after the content, whose size is known now.
///
/// # Errors
/// The refusal to hand to the client.
pub fn content(octets: u64, holders: &[Holder<'_>]) -> Result<(), Refusal> {
    allowance::size(holders, octets).map_err(Refusal::Limit)
}

/// Asked when a client turns out to be of an organisation: may that have one more connection?
///
/// # Errors
/// The refusal to hand to the client.
pub fn connection(holders: &mut [Holder<'_>]) -> Result<(), Refusal> {
    allowance::connection(holders).map_err(Refusal::Limit)
}

/// Asked at RCPT TO. `chance` is a random number in `[0, 1)` for the canaries.
#[must_use]
pub fn recipient(
    from: &Sender<'_>,
    recipient: &Recipient,
    limits: &suppress::Limits,
    now: u64,
    chance: f64,
) -> Verdict {
    if let Err(refusal) = sender(from) {
        return Verdict::Refuse(refusal);
    }
    // Reports about our own failures are never suppressed: the person who waits for one must get it.
    if from.mail_from.is_none() {
        return Verdict::Accept { canary: None };
    }
    match suppress::decide(recipient, from.stream, limits, now, chance) {
        Decision::Send => Verdict::Accept { canary: None },
        Decision::Canary(why) => Verdict::Accept { canary: Some(why) },
        Decision::Hold(why) => Verdict::Hold(why),
        Decision::Refuse(why, _) if limits.stopped == Stopped::Report => Verdict::Report(why),
        Decision::Refuse(why, until) => Verdict::Refuse(Refusal::Suppressed { why, until }),
    }
}

impl Refusal {
    /// One word, as stops are counted under.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SenderDomain { .. } => "sender-domain",
            Self::SenderAddress => "sender-address",
            Self::Suppressed { why, .. } => why.as_str(),
            Self::Limit(exceeded) => exceeded.as_str(),
            Self::Blocked(_) => "sender-blocked",
            Self::Slow { .. } => "sender-slow",
        }
    }

    /// What stands in the way, as an operator reads it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Suppressed { why, .. } => why.to_string(),
            _ => self.reply().2,
        }
    }

    /// SMTP code, enhanced code and words for the other side.
    #[must_use]
    pub fn reply(&self) -> (u16, Enhanced, String) {
        match self {
            Self::SenderDomain { domain } => (
                550,
                Enhanced(5, 7, 1),
                format!("you may not send as {domain}: it is not a domain of your organisation"),
            ),
            Self::SenderAddress => (
                550,
                Enhanced(5, 7, 1),
                "you may not send as this address: it is none of those that you may use".to_owned(),
            ),
            // A mailing program that is told 550 strikes its readers off; one that is told 450 asks again, and a person at
            // a mail program sees either at once.
            Self::Blocked(Patience::TryAgain) => (
                450,
                Enhanced(4, 7, 1),
                "mail of this sender is stopped because it is unusual, until the administrator has looked; try again later"
                    .to_owned(),
            ),
            Self::Blocked(Patience::GiveUp) => {
                (550, Enhanced(5, 7, 1), "mail of this sender is stopped, ask the administrator".to_owned())
            }
            Self::Slow { wait_s } => (
                450,
                Enhanced(4, 7, 1),
                format!(
                    "mail of this sender goes to one recipient a minute because it is unusual; try again in {}",
                    allowance::wait(*wait_s)
                ),
            ),
            Self::Limit(exceeded) => {
                let (code, enhanced) = exceeded.codes();
                (code, enhanced, exceeded.to_string())
            }
            Self::Suppressed { why, .. } => {
                let enhanced = match why {
                    Why::Hard { enhanced: Some(enhanced), .. } if enhanced.0 == 5 => *enhanced,
                    Why::NoMailDomain { .. } => Enhanced(5, 1, 2),
                    Why::Soft { .. } => Enhanced(5, 2, 2),
                    Why::Listed(_) | Why::OptedOut => Enhanced(5, 7, 1),
                    Why::Hard { .. } | Why::Imported { .. } | Why::Federated { .. } => Enhanced(5, 1, 1),
                };
                (550, enhanced, format!("not sent: {why}"))
            }
        }
    }
}

/// The slow lane (DESIGN §1).
const SLOWLY: Rate = Rate::new(1, Per::Minute);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Streams;

    #[test]
    fn an_org_uses_its_own_domains_only_and_reports_always_pass() {
        let own = [Domain::parse("asso.example").unwrap()];
        let (mine, other) = (Address::parse("a@asso.example").unwrap(), Address::parse("a@bank.example").unwrap());
        let lists = suppress::Lists { suppressed: Streams::ALL, ..suppress::Lists::default() };
        let listed = Recipient { node: lists, ..Recipient::default() };
        let ask = |mail_from, domains| {
            let standing = Standing::Normal;
            let from = Sender { domains, addresses: &[], mail_from, stream: Stream::Personal, standing };
            recipient(&from, &Recipient::default(), &suppress::Limits::default(), 0, 0.0)
        };
        assert_eq!(ask(Some(&mine), &own), Verdict::Accept { canary: None });
        assert!(matches!(ask(Some(&other), &own), Verdict::Refuse(Refusal::SenderDomain { .. })));
        assert_eq!(ask(Some(&other), &[]), Verdict::Accept { canary: None });
        let (stream, standing) = (Stream::Transactional, Standing::Normal);
        let null = Sender { domains: &own, addresses: &[], mail_from: None, stream, standing };
        let limits = suppress::Limits::default();
        assert_eq!(recipient(&null, &listed, &limits, 0, 0.0), Verdict::Accept { canary: None });
        // What is stopped is refused, or taken and reported, as its org has it.
        let from = Sender { mail_from: Some(&mine), ..null };
        let stopped = recipient(&from, &listed, &limits, 0, 0.0);
        assert!(matches!(stopped, Verdict::Refuse(Refusal::Suppressed { .. })), "{stopped:?}");
        let limits = suppress::Limits { stopped: Stopped::Report, ..limits };
        let why = Why::Listed(suppress::Level::Node);
        assert_eq!(recipient(&from, &listed, &limits, 0, 0.0), Verdict::Report(why));
    }

    #[test]
    fn addresses_besides_the_domains_may_be_used_and_alone_they_are_the_only_ones() {
        let own = [Domain::parse("asso.example").unwrap()];
        let addresses = [Address::parse("Anna@home.example").unwrap()];
        #[track_caller]
        fn check(domains: &[Domain], addresses: &[Address], from: &str, want: Result<(), &str>) {
            let from = Address::parse(from).unwrap();
            let (stream, standing) = (Stream::Personal, Standing::Normal);
            let asked = Sender { domains, addresses, mail_from: Some(&from), stream, standing };
            assert_eq!(sender(&asked).map_err(|refusal| refusal.as_str()), want);
        }
        check(&own, &addresses, "bob@asso.example", Ok(()));
        check(&own, &addresses, "Anna@HOME.example", Ok(()));
        check(&own, &addresses, "bob@home.example", Err("sender-domain"));
        // RFC 5890: the same name, however a program writes it.
        let own = [Domain::parse("exämple.fr").unwrap()];
        check(&own, &[], "anna@xn--exmple-cua.fr", Ok(()));
        check(&[], &addresses, "Anna@home.example", Ok(()));
        check(&[], &addresses, "bob@asso.example", Err("sender-address"));
        check(&[], &[], "bob@bank.example", Ok(()));
    }

    #[test]
    fn who_is_blocked_sends_nothing_and_who_is_slow_sends_slowly() {
        let from = Address::parse("a@asso.example").unwrap();
        #[track_caller]
        fn check(from: Option<&Address>, standing: Standing, want: Result<Way, (u16, &str)>) {
            let stream = Stream::Personal;
            let asked = Sender { domains: &[], addresses: &[], mail_from: from, stream, standing };
            let said = |refusal: Refusal| (refusal.reply().0, refusal.as_str());
            assert_eq!(way(&asked).map_err(said), want);
            assert_eq!(sender(&asked).map_err(said), want.map(drop));
        }
        check(Some(&from), Standing::Normal, Ok(Way::Normal));
        check(Some(&from), Standing::Slow, Ok(Way::Slow));
        check(Some(&from), Standing::Blocked(Patience::TryAgain), Err((450, "sender-blocked")));
        check(None, Standing::Blocked(Patience::GiveUp), Err((550, "sender-blocked")));
        let minute = 60_000_000;
        let first = turn(Gcra::default(), minute).unwrap();
        let early = turn(first, minute + minute / 3).unwrap_err();
        assert_eq!((early.reply().0, early.as_str(), early), (450, "sender-slow", Refusal::Slow { wait_s: 40 }));
        assert!(turn(first, 2 * minute).is_ok());
    }

    #[test]
    fn a_refusal_names_its_reason() {
        #[track_caller]
        fn check(why: Why, want: (u16, Enhanced, &str)) {
            let (code, enhanced, text) = Refusal::Suppressed { why, until: None }.reply();
            assert_eq!((code, enhanced, text.as_str()), want);
        }
        let refused = "not sent: earlier mail to this address was refused with 550 5.1.1";
        let no_domain = "not sent: its domain does not exist or takes no mail, as the DNS says";
        check(Why::Hard { at: 1, code: 550, enhanced: Some(Enhanced(5, 1, 1)) }, (550, Enhanced(5, 1, 1), refused));
        check(Why::NoMailDomain { at: 1 }, (550, Enhanced(5, 1, 2), no_domain));
    }
}
