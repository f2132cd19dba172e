//! ESMTP parameters that stay with a mail until its last server: DSN (RFC 3461), SMTPUTF8 (RFC 6531), REQUIRETLS (RFC 8689).
//!
//! They are read, checked and written again in one form: as they stand behind MAIL and RCPT. The spool keeps that form.

use std::fmt::{self, Write};

use thiserror::Error;

/// What MAIL asked of every server on the way. Most mails ask for nothing, and then it costs no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailOptions {
    /// RFC 6531: addresses or header may hold more than ASCII.
    pub utf8: bool,
    /// RFC 8689: rather no delivery than one without verified TLS.
    pub require_tls: bool,
    /// RFC 8689 §3: rather read by others than no delivery. The author says it in the header, so no command carries it.
    pub tls_waived: bool,
    /// RFC 3461 §4.3: what a report attaches.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4: what the sender calls this mail; decoded, printable ASCII.
    pub envid: Option<Box<str>>,
}

/// What RCPT asked for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptOptions {
    /// RFC 3461 §4.1; none where nothing was said.
    pub notify: Option<Notify>,
    /// RFC 3461 §4.2.
    pub orcpt: Option<Box<Orcpt>>,
}

/// What a report attaches of the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    Full,
    Headers,
}

/// Of what the sender wants to hear: a set. The empty one is NEVER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Notify(u8);

/// The address that a recipient had at first, before anybody forwarded: its kind and itself, decoded.
///
/// Like [`crate::Address`] it is shown to nobody by accident (I2).
#[derive(Clone, PartialEq, Eq)]
pub struct Orcpt {
    kind: Box<str>,
    address: Box<str>,
}

/// Why a parameter is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParamError {
    #[error("the parameter is unknown")]
    Unknown,
    #[error("the value of the parameter is wrong, or it is given twice")]
    Value,
}

impl MailOptions {
    /// Takes one parameter; the keyword in any case.
    ///
    /// # Errors
    /// [`ParamError`].
    pub fn take(&mut self, key: &str, value: Option<&str>) -> Result<(), ParamError> {
        let twice = match key.to_ascii_uppercase().as_str() {
            "SMTPUTF8" => flag(&mut self.utf8, value)?,
            "REQUIRETLS" => flag(&mut self.require_tls, value)?,
            "RET" => self.ret.replace(Ret::parse(value)?).is_some(),
            "ENVID" => self.envid.replace(envid(value)?).is_some(),
            _ => return Err(ParamError::Unknown),
        };
        if twice { Err(ParamError::Value) } else { Ok(()) }
    }

    /// The parameters as the spool keeps them; none where nothing was asked.
    #[must_use]
    pub fn stored(&self) -> Option<String> {
        let mut out = String::new();
        if self.utf8 {
            out.push_str(" SMTPUTF8");
        }
        if self.require_tls {
            out.push_str(" REQUIRETLS");
        }
        if self.tls_waived {
            out.push_str(" TLS-REQUIRED=NO");
        }
        self.dsn(&mut out);
        stored(&out)
    }

    /// Reads what [`Self::stored`] wrote.
    ///
    /// # Errors
    /// [`ParamError`] where a newer version or a damaged disk wrote it.
    pub fn from_stored(text: Option<&str>) -> Result<Self, ParamError> {
        let mut options = Self::default();
        each(text.unwrap_or_default(), |key, value| match (key, value) {
            TLS_WAIVED => {
                options.tls_waived = true;
                Ok(())
            }
            _ => options.take(key, value),
        })?;
        Ok(options)
    }

    /// Writes RET and ENVID for a server that offers DSN, each behind a space.
    pub(super) fn dsn(&self, out: &mut String) {
        match self.ret {
            Some(Ret::Full) => out.push_str(" RET=FULL"),
            Some(Ret::Headers) => out.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &self.envid {
            out.push_str(" ENVID=");
            xtext(envid, out);
        }
    }
}

impl RcptOptions {
    /// Takes one parameter; the keyword in any case.
    ///
    /// # Errors
    /// [`ParamError`].
    pub fn take(&mut self, key: &str, value: Option<&str>) -> Result<(), ParamError> {
        let twice = match key.to_ascii_uppercase().as_str() {
            "NOTIFY" => self.notify.replace(Notify::parse(value)?).is_some(),
            "ORCPT" => self.orcpt.replace(Box::new(Orcpt::parse(value)?)).is_some(),
            _ => return Err(ParamError::Unknown),
        };
        if twice { Err(ParamError::Value) } else { Ok(()) }
    }

    /// True where the sender wants to hear of it. Who says nothing hears of failures and delays (RFC 3461 §4.1).
    #[must_use]
    pub fn wants(&self, what: Notify) -> bool {
        self.notify.unwrap_or(Notify::DEFAULT).0 & what.0 != 0
    }

    /// The parameters as the spool keeps them; none where nothing was asked.
    #[must_use]
    pub fn stored(&self) -> Option<String> {
        let mut out = String::new();
        self.dsn(Form::Ascii, &mut out);
        stored(&out)
    }

    /// Reads what [`Self::stored`] wrote.
    ///
    /// # Errors
    /// [`ParamError`] where a newer version or a damaged disk wrote it.
    pub fn from_stored(text: Option<&str>) -> Result<Self, ParamError> {
        let mut options = Self::default();
        each(text.unwrap_or_default(), |key, value| options.take(key, value))?;
        Ok(options)
    }

    /// Writes NOTIFY and ORCPT for a server that offers DSN, each behind a space.
    pub(super) fn dsn(&self, form: Form, out: &mut String) {
        if let Some(notify) = self.notify {
            out.push_str(&format!(" NOTIFY={notify}"));
        }
        if let Some(orcpt) = &self.orcpt {
            out.push_str(&format!(" ORCPT={};", orcpt.kind));
            match (orcpt.is_utf8(), form) {
                (true, form) => out.push_str(&unitext(&orcpt.address, form)),
                (false, _) => xtext(&orcpt.address, out),
            }
        }
    }
}

/// What may stand in an address that is written into a command or a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Everything else as `\x{…}` (RFC 6533 §3, `utf-8-addr-xtext`).
    Ascii,
    /// Where SMTPUTF8 is spoken (`utf-8-addr-unitext`).
    Utf8,
}

impl Ret {
    fn parse(value: Option<&str>) -> Result<Self, ParamError> {
        match value.unwrap_or_default().to_ascii_uppercase().as_str() {
            "FULL" => Ok(Self::Full),
            "HDRS" => Ok(Self::Headers),
            _ => Err(ParamError::Value),
        }
    }
}

impl Notify {
    pub const NEVER: Self = Self(0);
    pub const SUCCESS: Self = Self(1);
    pub const FAILURE: Self = Self(2);
    pub const DELAY: Self = Self(4);
    const DEFAULT: Self = Self(Self::FAILURE.0 | Self::DELAY.0);
    const WORDS: [(&'static str, Self); 3] =
        [("SUCCESS", Self::SUCCESS), ("FAILURE", Self::FAILURE), ("DELAY", Self::DELAY)];

    /// NEVER stands alone; the others make a list (RFC 3461 §4.1).
    fn parse(value: Option<&str>) -> Result<Self, ParamError> {
        let value = value.unwrap_or_default();
        if value.eq_ignore_ascii_case("NEVER") {
            return Ok(Self::NEVER);
        }
        let mut notify = Self::NEVER;
        for word in value.split(',') {
            let known = Self::WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            notify.0 |= known.ok_or(ParamError::Value)?.1.0;
        }
        Ok(notify)
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As it is written in SMTP.
impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = Self::WORDS.iter().filter(|(_, one)| self.0 & one.0 != 0).map(|(word, _)| *word).collect();
        f.write_str(if words.is_empty() { "NEVER".to_owned() } else { words.join(",") }.as_str())
    }
}

impl Orcpt {
    /// `rfc822;jean+40example.org` or `utf-8;jos\x{E9}@example.org`. What is no printable text is refused in either
    /// form: it ends as a field of a report.
    fn parse(value: Option<&str>) -> Result<Self, ParamError> {
        let value = value.filter(|value| value.len() <= ORCPT_OCTETS_MAX).ok_or(ParamError::Value)?;
        let (kind, address) = value.split_once(';').ok_or(ParamError::Value)?;
        let fine = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fine {
            return Err(ParamError::Value);
        }
        let address = if kind.eq_ignore_ascii_case(UTF8) { un_unitext(address) } else { un_xtext(address) };
        let address = address.filter(|address| !address.is_empty()).ok_or(ParamError::Value)?;
        // Escaped it may be longer than it came, and then it could not be stored nor sent on.
        let octets = kind.len() + 1 + unitext(&address, Form::Ascii).len();
        if kind.eq_ignore_ascii_case(UTF8) && ORCPT_OCTETS_MAX < octets {
            return Err(ParamError::Value);
        }
        Ok(Self { kind: kind.into(), address: address.into() })
    }

    /// `rfc822`, `utf-8`, …: as it was written.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The address in clear, for a field of a report: where that is ASCII, an address of kind `utf-8` is escaped.
    #[must_use]
    pub fn clear(&self, form: Form) -> String {
        if self.is_utf8() { unitext(&self.address, form) } else { self.address.to_string() }
    }

    fn is_utf8(&self) -> bool {
        self.kind.eq_ignore_ascii_case(UTF8)
    }
}

impl fmt::Debug for Orcpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};…", self.kind)
    }
}

/// Sets a parameter without value; answers whether it was set before.
fn flag(flag: &mut bool, value: Option<&str>) -> Result<bool, ParamError> {
    if value.is_some() { Err(ParamError::Value) } else { Ok(std::mem::replace(flag, true)) }
}

fn envid(value: Option<&str>) -> Result<Box<str>, ParamError> {
    let value = value.filter(|value| (1..=ENVID_OCTETS_MAX).contains(&value.len())).ok_or(ParamError::Value)?;
    un_xtext(value).map(Into::into).ok_or(ParamError::Value)
}

/// Without the first space; none where nothing was written.
fn stored(out: &str) -> Option<String> {
    out.strip_prefix(' ').map(str::to_owned)
}

/// Goes through `KEY=value KEY`.
pub(super) fn each<E>(words: &str, mut take: impl FnMut(&str, Option<&str>) -> Result<(), E>) -> Result<(), E> {
    words.split(' ').filter(|word| !word.is_empty()).try_for_each(|word| match word.split_once('=') {
        Some((key, value)) => take(key, Some(value)),
        None => take(word, None),
    })
}

/// Reads xtext (RFC 3461 §4) that stands for printable ASCII; none where it does not.
///
/// `+` is followed by two upper-case hexadecimal digits; `=` stands nowhere.
pub(super) fn un_xtext(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, tail @ ..] = rest {
        let (octet, tail) = match (byte, tail) {
            (b'+', [high, low, tail @ ..]) => (hex(*high)? << 4 | hex(*low)?, tail),
            (b'!'..=b'~', tail) if !b"+=".contains(byte) => (*byte, tail),
            _ => return None,
        };
        out.push(Some(octet).filter(|octet| matches!(octet, b' '..=b'~'))?.into());
        rest = tail;
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn xtext(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if !b"+=".contains(&byte) => out.push(byte.into()),
            _ => out.push_str(&format!("+{byte:02X}")),
        }
    }
}

/// Reads `utf-8-addr-xtext` and `utf-8-addr-unitext` (RFC 6533 §3); none where it is neither.
fn un_unitext(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (digits, tail) = rest.strip_prefix("x{")?.split_once('}')?;
                let fine = (2..=6).contains(&digits.len()) && digits.bytes().all(|digit| hex(digit).is_some());
                let code = Some(digits).filter(|_| fine).and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
                out.push(char::from_u32(code).filter(|c| !c.is_control())?);
                rest = tail;
            }
            '+' | '=' | ' ' => return None,
            c if c.is_control() => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// Writes an address of kind `utf-8` as RFC 6533 §3 has it: also where its own syntax would allow the character.
pub fn unitext(address: &str, form: Form) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        let plain = if c.is_ascii() { c.is_ascii_graphic() && !"+=\\".contains(c) } else { form == Form::Utf8 };
        if plain {
            out.push(c);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
        }
    }
    out
}

const UTF8: &str = "utf-8";
/// How the spool keeps it; no client may say so.
const TLS_WAIVED: (&str, Option<&str>) = ("TLS-REQUIRED", Some("NO"));
/// RFC 3461 §4.4, in characters as it is written.
pub const ENVID_OCTETS_MAX: usize = 100;
/// RFC 3461 §4.2, in characters as it is written, with the kind.
pub const ORCPT_OCTETS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(words: &str) -> Result<MailOptions, ParamError> {
        MailOptions::from_stored(Some(words))
    }

    fn rcpt(words: &str) -> Result<RcptOptions, ParamError> {
        RcptOptions::from_stored(Some(words))
    }

    /// What is taken comes out as `want`, and that again as itself.
    #[track_caller]
    fn check(words: &str, want: &str) {
        let written = mail(words).map(|options| options.stored()).or_else(|_| rcpt(words).map(|o| o.stored()));
        assert_eq!(written, Ok(Some(want.to_owned())), "{words}");
        if words != want {
            check(want, want);
        }
    }

    #[track_caller]
    fn refused(words: &str) {
        assert_eq!((mail(words).ok(), rcpt(words).ok()), (None, None), "{words}");
    }

    #[test]
    fn what_is_asked_is_read_and_written_the_same() {
        check("smtputf8 requiretls ret=full envid=QQ314159", "SMTPUTF8 REQUIRETLS RET=FULL ENVID=QQ314159");
        check("ENVID=a+20b+2Bc+3D RET=hdrs", "RET=HDRS ENVID=a+20b+2Bc+3D");
        check("NOTIFY=delay,FAILURE", "NOTIFY=FAILURE,DELAY");
        check("notify=never ORCPT=rfc822;a+2Bb+40x.test", "NOTIFY=NEVER ORCPT=rfc822;a+2Bb@x.test");
        check("ORCPT=utf-8;jos\\x{E9}\\x{2B}@x.test", "ORCPT=utf-8;jos\\x{E9}\\x{2B}@x.test");
        check("ORCPT=UTF-8;josé@x.test", "ORCPT=UTF-8;jos\\x{E9}@x.test");
        assert_eq!(MailOptions::default().stored(), None);
        assert_eq!(RcptOptions::default().stored(), None);
        assert_eq!(MailOptions::from_stored(None), Ok(MailOptions::default()));
        // What the header said is kept, and nobody can say it in a command.
        let waived = MailOptions { tls_waived: true, ..MailOptions::default() };
        assert_eq!(MailOptions::from_stored(waived.stored().as_deref()), Ok(waived));
        assert_eq!(MailOptions::default().take("TLS-REQUIRED", Some("NO")), Err(ParamError::Unknown));
    }

    #[test]
    fn what_is_wrong_or_twice_is_refused() {
        for words in [
            "SMTPUTF8=1",
            "SMTPUTF8 SMTPUTF8",
            "REQUIRETLS=YES",
            "RET",
            "RET=ALL",
            "RET=FULL RET=FULL",
            "ENVID",
            "ENVID=",
            "ENVID=a=b",
            "ENVID=a+0D+0AX-Evil:+20b",
            "ENVID=a+2b",
            "ENVID=a+2",
            "ENVID=+",
            "ENVID=é",
            "NOTIFY",
            "NOTIFY=",
            "NOTIFY=NEVER,FAILURE",
            "NOTIFY=FAILURE,",
            "NOTIFY=SUCCESS NOTIFY=DELAY",
            "ORCPT=rfc822",
            "ORCPT=rfc822;",
            "ORCPT=;a@x.test",
            "ORCPT=rf(c;a@x.test",
            "ORCPT=rfc822;a+00b",
            "ORCPT=rfc822;josé@x.test",
            "ORCPT=utf-8;a\\x{0D}b",
            "ORCPT=utf-8;a\\x{85}b",
            "ORCPT=utf-8;a\\x{e9}b",
            "ORCPT=utf-8;a\\x{D800}b",
            "ORCPT=utf-8;a\\x{110000}b",
            "ORCPT=utf-8;a\\x{1F4A91F4A9}b",
            "ORCPT=utf-8;a\\x{E9",
            "ORCPT=utf-8;a\\xE9",
            "ORCPT=utf-8;a+b@x.test",
            "X",
            "=",
        ] {
            refused(words);
        }
        check(&format!("ENVID={}", "a".repeat(ENVID_OCTETS_MAX)), &format!("ENVID={}", "a".repeat(ENVID_OCTETS_MAX)));
        refused(&format!("ENVID={}", "a".repeat(ENVID_OCTETS_MAX + 1)));
        refused(&format!("ORCPT=rfc822;{}", "a".repeat(ORCPT_OCTETS_MAX)));
        // Each é is stored as six characters.
        check(&format!("ORCPT=utf-8;{}", "é".repeat(82)), &format!("ORCPT=utf-8;{}", "\\x{E9}".repeat(82)));
        refused(&format!("ORCPT=utf-8;{}", "é".repeat(83)));
    }

    #[test]
    fn who_says_nothing_hears_of_failures_and_delays() {
        let wants = |words: &str| {
            let options = rcpt(words).unwrap();
            [Notify::SUCCESS, Notify::FAILURE, Notify::DELAY].map(|what| options.wants(what))
        };
        assert_eq!(wants(""), [false, true, true]);
        assert_eq!(wants("NOTIFY=NEVER"), [false, false, false]);
        assert_eq!(wants("NOTIFY=SUCCESS,DELAY"), [true, false, true]);
    }

    #[test]
    fn an_original_recipient_is_shown_to_nobody_by_accident() {
        assert_eq!(format!("{:?}", rcpt("ORCPT=rfc822;a@x.test").unwrap().orcpt), "Some(rfc822;…)");
    }
}
