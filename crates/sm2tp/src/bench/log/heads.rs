//! What stands before the text of a line: times and names as syslog, postlogd and Exim write them.

use std::fmt::Write;

use sm2tp_proto::date;

use super::world::Event;

/// How lines begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// `Nov 21 23:15:08 relay postfix/smtp[1]: `, of syslog and of postlogd alike.
    Rfc3164,
    /// `2026-11-21T23:49:06.582466+00:00 relay postfix/smtp[1]: `.
    Rfc3339,
    /// `<22>1 2026-… relay postfix 1 - -  `, without the daemon.
    Rfc5424,
    /// `2026-11-21 23:49:06 `.
    Exim,
    /// `2026-11-21 23:49:06.123 +0100 [1] `.
    EximWithZone,
}

impl Head {
    /// Puts a line without its end behind `into`.
    pub fn write(self, into: &mut String, at: u64, number: u64, event: &Event) {
        let Event { daemon, instance, body, .. } = event;
        let (pid, micros) = (1000 + number % 20_000, number * 7919 % 1_000_000);
        let program = if *daemon == "exim" { "exim".to_owned() } else { format!("{instance}/{daemon}") };
        let full = date::rfc3339(at);
        let (date, time) = (&full[..10], &full[11..19]);
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Rfc3164 => {
                let (_, month, day) = date::date(at / 86_400);
                let month = MONTHS[month as usize - 1];
                write!(into, "{month} {day:>2} {time} relay {program}[{pid}]: {body}")
            }
            Self::Rfc3339 => write!(into, "{date}T{time}.{micros:06}+00:00 relay {program}[{pid}]: {body}"),
            Self::Rfc5424 => write!(into, "<22>1 {date}T{time}.{micros:06}Z relay {instance} {pid} - -  {body}"),
            Self::Exim => write!(into, "{date} {time} {body}"),
            Self::EximWithZone => {
                let later = date::rfc3339(at + 3600);
                let (date, time, millis) = (&later[..10], &later[11..19], micros / 1000);
                write!(into, "{date} {time}.{millis:03} +0100 [{pid}] {body}")
            }
        };
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
