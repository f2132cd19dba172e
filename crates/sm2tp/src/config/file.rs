//! From the file to the configuration: reading, syntax, names, then values; the first mistake ends it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use toml::de::DeTable;

use super::error::{ConfigError, Source};
use super::reader::Section;
use super::values::quoted;
use super::{Config, keys, sections};

/// Largest file that is read, in octets. A configuration has a few kilobytes; more is another file named by mistake,
/// which must not fill the memory.
const FILE_SIZE_MAX: u64 = 1024 * 1024;

/// Reads and checks the file at `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|opened| opened.take(FILE_SIZE_MAX + 1).read_to_end(&mut octets));
    if let Err(error) = read {
        let help = match error.kind() {
            ErrorKind::NotFound => "name another file with --config FILE, or begin with one line: hostname = \"…\"",
            ErrorKind::PermissionDenied => "the user that runs sm2tp must be allowed to read it",
            _ => "",
        };
        return Err(ConfigError::of_file(&file, format!("cannot be read: {error}"), help));
    }
    if FILE_SIZE_MAX < octets.len() as u64 {
        return Err(ConfigError::of_file(&file, "larger than 1 MiB", "is this the right file? see --config FILE"));
    }
    match std::str::from_utf8(&octets) {
        Ok(text) => {
            let config = parse(&file, text)?;
            servable(Source { file: &file, text }, &config)?;
            Ok(config)
        }
        Err(error) => {
            let text = String::from_utf8_lossy(&octets);
            let place = error.valid_up_to();
            let source = Source { file: &file, text: &text };
            let help = "save the file as UTF-8; example: iconv -f latin1 -t utf-8 OLD > NEW";
            Err(source.error(place..place + 1, "this character is not UTF-8", help))
        }
    }
}

/// Checks the text of a configuration; `file` is its name in errors.
pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
    let source = Source { file, text };
    let root = DeTable::parse(text).map_err(|error| syntax_error(&source, &error))?;
    keys::check_names(&source, root.get_ref())?;
    sections::config(&Section::top(source, root.get_ref()))
}

/// Refuses what is right in itself and cannot be served: mail would be taken and lie there, a door believed to be open.
fn servable(source: Source<'_>, config: &Config) -> Result<(), ConfigError> {
    let at = |name: &str, message: &str, help: &str| {
        let root = DeTable::parse(source.text).ok();
        let keys = root.as_ref().into_iter().flat_map(|root| root.get_ref().keys());
        let place = keys.filter(|key| key.get_ref() == name).map(toml::Spanned::span).next().unwrap_or(0..0);
        Err(source.error(place, message, help))
    };
    let has_files = config.smtp.as_ref().is_some_and(|smtp| smtp.tls.is_some());
    match config.acme {
        _ if config.smtp.is_some() && config.relay.is_none() => at(
            "smtp",
            "[smtp] without [relay]: mail would be taken and never delivered",
            "add a line with [relay] at the end of the file",
        ),
        Some(_) if has_files => {
            at("acme", "certificates come from [acme] or from tls_certificate and tls_key", "remove one of them")
        }
        Some(_) if config.http.is_none() => at(
            "acme",
            "[acme] without [http]: the authority looks for an answer there",
            "add [http], and let port 80 lead to it",
        ),
        _ => Ok(()),
    }
}

/// A mistake that only shows when what the file names is looked at: the place of a value, by the names that lead to it.
/// The file is read again, which was fine a moment ago; whatever has happened to it meanwhile, the mistake is told.
pub fn blame(path: &Path, names: &[&str], message: &str, help: &str) -> ConfigError {
    let file = path.display().to_string();
    let mut text = String::new();
    let read = File::open(path).and_then(|opened| opened.take(FILE_SIZE_MAX).read_to_string(&mut text));
    let Some(root) = read.ok().and_then(|_| DeTable::parse(&text).ok()) else {
        return ConfigError::of_file(&file, message, help);
    };
    let (mut table, mut place) = (Some(root.get_ref()), 0..0);
    for name in names {
        // Domains are kept in lower case.
        let mut entries = table.into_iter().flat_map(|table| table.iter());
        let Some((_, value)) = entries.find(|(key, _)| key.get_ref().eq_ignore_ascii_case(name)) else { break };
        (table, place) = (value.get_ref().as_table(), value.span());
    }
    Source { file: &file, text: &text }.error(place, message, help)
}

/// The words of the TOML reader for the commonest slips, put so that somebody who never heard of TOML can act on them.
fn syntax_error(source: &Source<'_>, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let said = error.message();
    let name = source.text.get(span.clone()).unwrap_or_default();
    let (message, help) = if said.starts_with("string values must be quoted") {
        ("a value is missing here, or stands without quotes", "texts stand in straight double quotes: key = \"text\"")
    } else if said.starts_with("key with no value") {
        ("a key needs `=` and a value", "example: hostname = \"relay.example.org\"")
    } else if said.starts_with("missing comma between array") {
        ("a list is not finished before this place", "a comma between two texts, ] at the end: [\"one\", \"two\"]")
    } else if said.starts_with("invalid basic string") {
        ("a text is not finished on its line", "texts stand in straight double quotes: key = \"text\"")
    } else if said.starts_with("duplicate key") {
        let help = "each section once in the file, each key once in its section";
        return source.error(span, format!("{} stands twice", quoted(name)), help);
    } else {
        (said, "one key = value on each line; texts in double quotes, lists in [ ], comments after #")
    };
    source.error(span, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error for a file with these octets, without the name of its folder.
    fn error_of(octets: &[u8], name: &str) -> String {
        let folder = std::env::temp_dir().join(format!("sm2tp-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, octets).unwrap();
        let error = load(&path).map(|_| ()).map_err(|error| error.to_string());
        std::fs::remove_dir_all(&folder).unwrap();
        error.unwrap_err().replace(&format!("{}/", folder.display()), "")
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_the_reason() {
        let missing = load(Path::new("/nowhere/sm2tp.toml")).unwrap_err().to_string();
        assert!(missing.starts_with("/nowhere/sm2tp.toml: cannot be read: No such file"), "{missing}");
        let folder = load(Path::new("/")).unwrap_err().to_string();
        assert!(folder.starts_with("/: cannot be read: "), "{folder}");
        let large = error_of(&vec![b'\n'; 1024 * 1024 + 1], "large.toml");
        assert_eq!(large, "large.toml: larger than 1 MiB\n  = is this the right file? see --config FILE");
        let expected = [
            "latin1.toml:2:10: this character is not UTF-8",
            "  |",
            "2 | # Associé\u{fffd}",
            "  |          ^",
            "  = save the file as UTF-8; example: iconv -f latin1 -t utf-8 OLD > NEW",
        ];
        assert_eq!(error_of(b"a = 1\n# Associ\xc3\xa9\xe9\n", "latin1.toml"), expected.join("\n"));
    }

    #[test]
    fn no_octets_make_it_panic() {
        let text = super::super::EXAMPLE;
        let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        let pieces =
            ["\"", "[", "]", "{", "}", "=", "\n", "é", "\u{0}", "99999999999999999999", "-", "/", ":", "\\u0000"];
        for _ in 0..2000 {
            let mut mutated: String =
                text.lines().map(|line| line.trim_start_matches('#').to_owned() + "\n").skip(random(150)).collect();
            for _ in 0..=random(3) {
                let at = (0..=random(mutated.len() + 1)).rev().find(|at| mutated.is_char_boundary(*at)).unwrap();
                mutated.insert_str(at, pieces[random(pieces.len())]);
            }
            if let Err(error) = parse("f", &mutated) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
