//! A password: from a file, a pipe or the keyboard, never from an argument, which every user of the machine can read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::{Exit, Failure};

/// The password for `login`: the first line of `file` or of standard input. A person at a terminal is asked, twice.
pub fn password(login: &str, file: Option<&Path>) -> Result<String, Failure> {
    let read = match file {
        Some(path) => File::open(path).and_then(|file| first_line(BufReader::new(file))),
        None if io::stdin().is_terminal() => asked(login),
        None => first_line(io::stdin().lock()),
    };
    let place = file.map_or_else(|| "standard input".into(), |path| path.display().to_string());
    let password =
        read.map_err(|error| Failure::new(Exit::Input, format!("{place}: the password cannot be read: {error}")))?;
    if password.is_empty() {
        return Err(Failure::new(Exit::Input, format!("{place}: the password is empty; nothing was changed")));
    }
    Ok(password)
}

/// The first line without its end.
fn first_line(input: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.take(PASSWORD_OCTETS_MAX).read_line(&mut line)?;
    if line.len() as u64 == PASSWORD_OCTETS_MAX {
        return Err(io::Error::other("its line is too long"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Typed blind, so typed twice.
fn asked(login: &str) -> io::Result<String> {
    let terminal = Hidden::new()?;
    let password = terminal.ask(&format!("Password of {login}: "))?;
    let again = terminal.ask("The same again: ")?;
    if password == again { Ok(password) } else { Err(io::Error::other("the two differ; nothing was changed")) }
}

/// The terminal without echo, for as long as this lives.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        // The key that would end the process (Ctrl-C) ends the line: a killed process leaves its terminal without echo.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VEOL] = before.special_codes[SpecialCodeIndex::VINTR];
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }

    fn ask(&self, question: &str) -> io::Result<String> {
        let mut out = io::stderr();
        write!(out, "{question}")?;
        out.flush()?;
        let mut input = io::stdin().lock();
        // A terminal gives a line at a time, whichever key ended it.
        let octets = input.fill_buf()?.to_vec();
        input.consume(octets.len());
        let line = String::from_utf8(octets).map_err(|_| io::Error::other("it is not UTF-8"))?;
        writeln!(out)?;
        let interrupt = char::from(self.before.special_codes[SpecialCodeIndex::VINTR]);
        if interrupt != '\0' && line.ends_with(interrupt) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "given up; nothing was changed"));
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may be gone; then nobody sees what it echoes.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Much longer than what a person or a password manager makes up.
const PASSWORD_OCTETS_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        assert_eq!(first_line(&b"with a space \r\nsecond\n"[..]).unwrap(), "with a space ");
        assert_eq!(first_line(&b"no end"[..]).unwrap(), "no end");
        assert_eq!(first_line(&b""[..]).unwrap(), "");
        assert!(first_line(&[b'x'; 5000][..]).is_err());
    }
}
