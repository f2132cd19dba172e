//! What a program says over the local API: a line of JSON for each call.

use serde::Deserialize;
use sm2tp_proto::log::Status;
use sm2tp_rules::Stream;
use thiserror::Error;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Call {
    MayI(MayI),
    Happened(Happened),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MayI {
    pub recipient: String,
    /// Empty for a report, which nobody stops: so it is never left out by mistake.
    pub sender: String,
    pub login: Option<String>,
    pub stream: Option<Stream>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Happened {
    pub recipient: String,
    pub result: Status,
    /// What the server said, with its code: `550 5.1.1 no such user`.
    pub text: String,
    /// The command that was answered; without it, the end of the data, which accuses no address without need.
    pub stage: Option<Asking>,
    pub mx: Option<String>,
    pub sender: Option<String>,
    pub login: Option<String>,
    pub message_id: Option<String>,
    /// Unix seconds; now where it is not there.
    pub at: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asking {
    Connect,
    Ehlo,
    Starttls,
    Mail,
    Rcpt,
    Data,
    Eod,
}

/// Puts octets together to calls; holds one line at most, and what one call of `feed` brought.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    held: Vec<u8>,
}

/// A connection was used for something else.
#[derive(Debug, Error)]
#[error("a line of more than {CALL_OCTETS_MAX} octets")]
pub struct TooLong;

impl Calls {
    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.held.extend_from_slice(octets);
    }

    /// The next line, if it is there whole: a call, or what is wrong with it.
    ///
    /// # Errors
    /// [`TooLong`]; the connection is of no more use.
    pub(crate) fn next_call(&mut self) -> Result<Option<Result<Call, serde_json::Error>>, TooLong> {
        let Some(end) = self.held.iter().position(|octet| *octet == b'\n') else {
            return if CALL_OCTETS_MAX < self.held.len() { Err(TooLong) } else { Ok(None) };
        };
        if CALL_OCTETS_MAX < end {
            return Err(TooLong);
        }
        let line: Vec<u8> = self.held.drain(..=end).collect();
        Ok(Some(serde_json::from_slice(&line)))
    }
}

/// Replies have up to 16 KiB.
const CALL_OCTETS_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_program_says_it_is_a_call_or_an_error() {
        crate::drive::drive("local", 20_000, crate::feeds::local);
    }

    #[track_caller]
    fn check(line: &str, want: Result<&str, &str>) {
        let read = serde_json::from_str::<Call>(line).map_err(|error| error.to_string());
        match (read, want) {
            (Ok(call), Ok(want)) => assert!(format!("{call:?}").starts_with(want), "{call:?}"),
            (Err(error), Err(want)) => assert!(error.contains(want), "{error}"),
            (read, want) => panic!("{line}: {read:?}, not {want:?}"),
        }
    }

    #[test]
    fn calls_are_read_strictly() {
        check(r#"{"may_i":{"recipient":"a@b.test"}}"#, Err("missing field `sender`"));
        check(r#"{"may_i":{"recipient":"a@b.test","sender":"c@d.test","login":"x","stream":"bulk"}}"#, Ok("MayI"));
        let happened = r#"{"happened":{"recipient":"a@b.test","result":"bounced","text":"550 no","stage":"rcpt"}}"#;
        check(happened, Ok("Happened"));
        check(&happened.replace("bounced", "lost"), Err("unknown variant `lost`"));
        check(&happened.replace("rcpt", "vrfy"), Err("unknown variant `vrfy`"));
        check(r#"{"may_i":{"recipient":"a@b.test","sender":"","to":"x"}}"#, Err("unknown field `to`"));
        check(r#"{"may_i":{}}"#, Err("missing field `recipient`"));
        check(r#"{"delete":{}}"#, Err("unknown variant `delete`"));
        check("", Err("EOF"));
    }
}
