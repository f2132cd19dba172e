//! `sm2tp classify`: replies on standard input, what they mean on standard output.

use std::io::{self, BufRead, BufWriter, Read, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use sm2tp_rules::{Classifier, Outcome, Said, Stage};

use crate::{Exit, Failure};

/// One input line; what is missing is read out of the text where it stands there.
#[derive(Deserialize)]
pub struct Line {
    pub text: String,
    mx: Option<String>,
    stage: Option<String>,
}

impl Line {
    /// No reply of a server begins with a brace: such a line is JSON, or a mistake.
    pub fn read(line: &str) -> Result<Self, serde_json::Error> {
        if line.trim_start().starts_with('{') {
            return serde_json::from_str(line);
        }
        Ok(Self { text: line.to_owned(), mx: None, stage: None })
    }

    pub fn classify(&self, classifier: &Classifier) -> Outcome {
        let stage = self.stage.as_deref().and_then(stage);
        classifier.classify(&Said { stage, mx: self.mx.as_deref(), ..Said::of_text(&self.text) })
    }
}

/// Reads until the end of standard input; one output line for each input line, in order, so that a program can pair them
/// by number. A line that is broken JSON is taken as a reply, and the exit code says at the end that there was one.
pub fn run(classifier: &Classifier, as_json: bool) -> Result<ExitCode, Failure> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let unreadable = |error| Failure::new(Exit::Input, format!("standard input: {error}"));
    let (mut number, mut broken) = (0_u64, None);
    while let Some(line) = next(&mut input).map_err(unreadable)? {
        number += 1;
        let outcome = Line::read(&line).map(|line| line.classify(classifier)).unwrap_or_else(|error| {
            broken.get_or_insert_with(|| format!("standard input: line {number} is broken JSON: {error}"));
            classifier.classify(&Said::of_text(&line))
        });
        let text = if as_json { in_json(&outcome) } else { in_words(classifier, &outcome) };
        // Whoever reads us may have had enough: then there is nobody left to tell.
        if writeln!(output, "{text}").is_err() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let _ = output.flush();
    let Some(message) = broken else { return Ok(ExitCode::SUCCESS) };
    // Said apart, with --json too: standard output has a line for each line of input and no other.
    eprintln!("{message}");
    Ok(ExitCode::from(Exit::Input as u8))
}

/// The next line, cut at [`LINE_OCTETS_MAX`]; what is beyond it is read and forgotten.
fn next(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if input.take(LINE_OCTETS_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with(b"\n") && line.len() as u64 == LINE_OCTETS_MAX {
        input.skip_until(b'\n')?;
    }
    while line.last().is_some_and(|octet| matches!(octet, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

fn stage(word: &str) -> Option<Stage> {
    match word.to_ascii_lowercase().as_str() {
        "helo" => Some(Stage::Ehlo),
        word => word.parse().ok(),
    }
}

fn in_json(outcome: &Outcome) -> String {
    let mut line = json!({
        "cause": outcome.cause,
        "sub": outcome.sub.as_deref(),
        "message": outcome.fate,
        "scope": outcome.scope,
        "strength": outcome.strength,
        "rule": &*outcome.rule,
        "provider": outcome.provider.as_deref(),
        "code": outcome.code,
        "enhanced": outcome.enhanced.map(|enhanced| enhanced.to_string()),
    });
    // Only where the server names a page: lines of other replies stay what programs know.
    if let Some(link) = outcome.link.as_deref() {
        line["link"] = link.into();
    }
    line.to_string()
}

fn in_words(classifier: &Classifier, outcome: &Outcome) -> String {
    let sub = outcome.sub.as_deref().map(|sub| format!("/{sub}")).unwrap_or_default();
    let provider = outcome.provider.as_deref().map(|provider| format!(" provider={provider}")).unwrap_or_default();
    let wait = outcome.retry_after_s.map(|s| format!(" wait={s}s")).unwrap_or_default();
    let link = outcome.link.as_deref().map(|link| format!(" see={link}")).unwrap_or_default();
    let origin = classifier.explain(&outcome.rule).map(|origin| format!(" ({origin})")).unwrap_or_default();
    format!(
        "{}{sub} message={} scope={} strength={}{wait}{provider} rule={}{origin}{link}",
        outcome.cause, outcome.fate, outcome.scope, outcome.strength, outcome.rule
    )
}

/// The classifier looks at the first 4 KiB of a text; a JSON line may be longer.
const LINE_OCTETS_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_and_plain_texts_are_told_apart_and_long_lines_are_cut() {
        let classifier = Classifier::shipped();
        let classify = |line| Line::read(line).unwrap().classify(&classifier);
        let plain = classify("550 5.1.1 No such user");
        let structured = classify(r#"{"text":"550 5.1.1 No such user","stage":"connect"}"#);
        assert_eq!(plain.cause.as_str(), "address");
        assert_ne!(structured.cause.as_str(), "address");
        let blocked = classify("550 5.7.1 Blocked, see https://lists.example/why?ip=192.0.2.1");
        assert!(
            in_json(&blocked).contains(r#""link":"https://lists.example/why?ip=192.0.2.1""#),
            "{}",
            in_json(&blocked)
        );
        assert!(!in_json(&plain).contains("link"));
        let long = [vec![b'x'; 3 * 1024 * 1024], b"\nsecond\r\n".to_vec()].concat();
        let mut input = io::BufReader::new(&long[..]);
        assert_eq!(next(&mut input).unwrap().unwrap().len() as u64, LINE_OCTETS_MAX);
        assert_eq!(next(&mut input).unwrap().as_deref(), Some("second"));
        assert_eq!(next(&mut input).unwrap(), None);
    }
}
