//! What an organisation or one of its logins is allowed: size, recipients, mails in a time, connections.
//!
//! The allowance of an organisation holds for all its logins together, that of a login beside it. Both are asked; what
//! one refuses is refused.

use std::fmt;

use serde::{Deserialize, Serialize};
use sm2tp_proto::Enhanced;

use crate::rate::{Gcra, Rate};

/// The limits that a person set; none: as much as the node takes from anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// Octets of one message.
    pub message_size: Option<u64>,
    /// Recipients of one mail.
    pub recipients: Option<u32>,
    /// Mails in a time.
    pub rate_mails: Option<Rate>,
    /// Recipients of all mails together in a time.
    pub rate_recipients: Option<Rate>,
    /// Connections at a time.
    pub connections: Option<u32>,
}

/// A change of an allowance; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowanceChange {
    pub message_size: Option<Change<u64>>,
    pub recipients: Option<Change<u32>>,
    pub rate_mails: Option<Change<Rate>>,
    pub rate_recipients: Option<Change<Rate>>,
    pub connections: Option<Change<u32>>,
}

/// A new limit, or none any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change<T> {
    None,
    To(T),
}

impl AllowanceChange {
    /// The allowance with this change.
    #[must_use]
    pub fn apply(self, old: Allowance) -> Allowance {
        fn one<T>(change: Option<Change<T>>, old: Option<T>) -> Option<T> {
            match change {
                None => old,
                Some(Change::None) => None,
                Some(Change::To(new)) => Some(new),
            }
        }
        Allowance {
            message_size: one(self.message_size, old.message_size),
            recipients: one(self.recipients, old.recipients),
            rate_mails: one(self.rate_mails, old.rate_mails),
            rate_recipients: one(self.rate_recipients, old.rate_recipients),
            connections: one(self.connections, old.connections),
        }
    }
}

/// What passed under an allowance lately, and what is open now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub mails: Gcra,
    pub recipients: Gcra,
    pub connections: u32,
}

/// One who is allowed so much: an organisation, or a login of it.
pub struct Holder<'a> {
    pub whose: Whose,
    pub allowance: &'a Allowance,
    pub used: &'a mut Used,
}

/// Whose allowance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    Org,
    Login,
}

/// An allowance that would be exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    pub whose: Whose,
    pub what: What,
}

/// Which of its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Size { max: u64 },
    Recipients { max: u32 },
    Mails { rate: Rate, wait_s: u64 },
    RecipientRate { rate: Rate, wait_s: u64 },
    Connections { max: u32 },
}

/// One more connection? If so, it is counted; the door takes it off again when it closes.
///
/// # Errors
/// [`Exceeded`]; then nothing was counted for anybody.
pub fn connection(holders: &mut [Holder<'_>]) -> Result<(), Exceeded> {
    for holder in &*holders {
        if let Some(max) = holder.allowance.connections.filter(|max| *max <= holder.used.connections) {
            return Err(Exceeded { whose: holder.whose, what: What::Connections { max } });
        }
    }
    holders.iter_mut().for_each(|holder| holder.used.connections += 1);
    Ok(())
}

/// One more mail, of so many octets as far as the client said?
///
/// # Errors
/// [`Exceeded`]; then nothing was counted for anybody.
pub fn mail(holders: &mut [Holder<'_>], octets: Option<u64>, now_us: u64) -> Result<(), Exceeded> {
    size(holders, octets.unwrap_or(0))?;
    let taken = take(holders, |allowance| allowance.rate_mails, |used| used.mails, now_us)
        .map_err(|(whose, rate, wait_s)| Exceeded { whose, what: What::Mails { rate, wait_s } })?;
    holders.iter_mut().zip(taken).for_each(|(holder, mails)| holder.used.mails = mails);
    Ok(())
}

/// One more recipient of a mail that has `named` already?
///
/// # Errors
/// [`Exceeded`]; then nothing was counted for anybody.
pub fn recipient(holders: &mut [Holder<'_>], named: usize, now_us: u64) -> Result<(), Exceeded> {
    for holder in &*holders {
        let over = |max: &u32| usize::try_from(*max).unwrap_or(usize::MAX) <= named;
        if let Some(max) = holder.allowance.recipients.filter(over) {
            return Err(Exceeded { whose: holder.whose, what: What::Recipients { max } });
        }
    }
    let taken = take(holders, |allowance| allowance.rate_recipients, |used| used.recipients, now_us)
        .map_err(|(whose, rate, wait_s)| Exceeded { whose, what: What::RecipientRate { rate, wait_s } })?;
    holders.iter_mut().zip(taken).for_each(|(holder, recipients)| holder.used.recipients = recipients);
    Ok(())
}

/// A message of so many octets?
///
/// # Errors
/// [`Exceeded`].
pub fn size(holders: &[Holder<'_>], octets: u64) -> Result<(), Exceeded> {
    for holder in holders {
        if let Some(max) = holder.allowance.message_size.filter(|max| *max < octets) {
            return Err(Exceeded { whose: holder.whose, what: What::Size { max } });
        }
    }
    Ok(())
}

/// What each holder is to remember if all let it pass.
fn take(
    holders: &[Holder<'_>],
    rate: impl Fn(&Allowance) -> Option<Rate>,
    state: impl Fn(&Used) -> Gcra,
    now_us: u64,
) -> Result<Vec<Gcra>, (Whose, Rate, u64)> {
    let one = |holder: &Holder<'_>| {
        let before = state(holder.used);
        rate(holder.allowance)
            .map_or(Ok(before), |rate| rate.take(before, now_us).map_err(|wait_s| (holder.whose, rate, wait_s)))
    };
    holders.iter().map(one).collect()
}

impl Allowance {
    /// Nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Used {
    /// Nothing is left to remember.
    #[must_use]
    pub fn is_over(&self, now_us: u64) -> bool {
        self.connections == 0 && self.mails.is_over(now_us) && self.recipients.is_over(now_us)
    }
}

impl Exceeded {
    /// One word, as stops are counted under.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self.what {
            What::Size { .. } => "message-size",
            What::Recipients { .. } => "recipients",
            What::Mails { .. } => "rate-mails",
            What::RecipientRate { .. } => "rate-recipients",
            What::Connections { .. } => "connections",
        }
    }

    /// SMTP code and enhanced code: 4xx where waiting helps, or sending the rest separately (RFC 5321 §4.5.3.1.10).
    #[must_use]
    pub fn codes(&self) -> (u16, Enhanced) {
        match self.what {
            What::Size { .. } => (552, Enhanced(5, 3, 4)),
            What::Recipients { .. } => (452, Enhanced(4, 5, 3)),
            What::Mails { .. } | What::RecipientRate { .. } => (450, Enhanced(4, 7, 1)),
            What::Connections { .. } => (421, Enhanced(4, 7, 0)),
        }
    }
}

/// For the client, who may show it to a person.
impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.whose {
            Whose::Org => "your organisation",
            Whose::Login => "this login",
        };
        match self.what {
            What::Size { max } => write!(f, "{whose} may send messages of at most {max} octets"),
            What::Recipients { max } => {
                write!(f, "{whose} may send a mail to at most {max} recipients, send the rest separately")
            }
            What::Mails { rate, wait_s } => {
                write!(f, "{whose} may send {}, try again in {}", rate.of("mails"), wait(wait_s))
            }
            What::RecipientRate { rate, wait_s } => {
                write!(f, "{whose} may write to {}, try again in {}", rate.of("recipients"), wait(wait_s))
            }
            What::Connections { max } => write!(f, "{whose} may have {max} connections at a time"),
        }
    }
}

/// How long to wait, in words.
#[must_use]
pub fn wait(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000_000_000;

    fn allowance(json: &str) -> Allowance {
        serde_json::from_str(json).unwrap()
    }

    /// An organisation with this allowance and a login of it with that one.
    fn with<T>(
        org: &str,
        login: &str,
        used: &mut [Used; 2],
        ask: impl FnOnce(&mut [Holder<'_>]) -> Result<T, Exceeded>,
    ) -> Result<T, String> {
        let (org, login) = (allowance(org), allowance(login));
        let [of_org, of_login] = used;
        let mut holders = [
            Holder { whose: Whose::Org, allowance: &org, used: of_org },
            Holder { whose: Whose::Login, allowance: &login, used: of_login },
        ];
        ask(&mut holders).map_err(|exceeded| format!("{} {} {exceeded}", exceeded.codes().0, exceeded.codes().1))
    }

    #[test]
    fn without_limits_everything_passes() {
        let used = &mut [Used::default(); 2];
        for _ in 0..10_000 {
            with("{}", "{}", used, |holders| mail(holders, Some(u64::MAX), T0)).unwrap();
            with("{}", "{}", used, |holders| recipient(holders, 1_000_000, T0)).unwrap();
        }
        assert_eq!(used[0].mails, Gcra::default());
    }

    #[test]
    fn each_limit_refuses_in_words_that_say_whose_it_is() {
        #[track_caller]
        fn check(org: &str, login: &str, ask: impl Fn(&mut [Holder<'_>]) -> Result<(), Exceeded>, want: &str) {
            let used = &mut [Used::default(); 2];
            let mut last = Ok(());
            for _ in 0..3 {
                last = with(org, login, used, &ask);
            }
            assert_eq!(last, Err(want.to_owned()));
        }
        let sized = |holders: &mut [Holder<'_>]| mail(holders, Some(1001), T0);
        check(
            r#"{"message_size":1000}"#,
            "{}",
            sized,
            "552 5.3.4 your organisation may send messages of at most 1000 octets",
        );
        let rate = "450 4.7.1 this login may send 2 mails an hour, try again in 30 minutes";
        check(r#"{"rate_mails":"9/d"}"#, r#"{"rate_mails":"2/h"}"#, sized, rate);
        let rate = "450 4.7.1 your organisation may write to 2 recipients a minute, try again in 30 seconds";
        check(r#"{"rate_recipients":"2/min"}"#, "{}", |holders| recipient(holders, 0, T0), rate);
        let many = "452 4.5.3 this login may send a mail to at most 3 recipients, send the rest separately";
        check("{}", r#"{"recipients":3}"#, |holders| recipient(holders, 3, T0), many);
        let open = "421 4.7.0 your organisation may have 2 connections at a time";
        check(r#"{"connections":2}"#, "{}", connection, open);
    }

    #[test]
    fn what_one_refuses_is_counted_for_neither() {
        let used = &mut [Used::default(); 2];
        let (org, login) = (r#"{"rate_mails":"5/h","connections":5}"#, r#"{"rate_mails":"1/h","connections":1}"#);
        for _ in 0..9 {
            let _ = with(org, login, used, |holders| mail(holders, None, T0));
            let _ = with(org, login, used, connection);
        }
        assert_eq!((used[0].connections, used[1].connections), (1, 1));
        for _ in 0..4 {
            with(org, "{}", used, |holders| mail(holders, None, T0)).unwrap();
        }
        assert!(with(org, "{}", used, |holders| mail(holders, None, T0)).is_err());
    }
}
