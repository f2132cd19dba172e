//! The configuration with all its keys, and the answers in it.

use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::answers::Answers;
use crate::config::{EXAMPLE, Language};
use crate::{Exit, Failure, open, serve};

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    New,
    /// Somebody has written one before; it stays.
    Kept,
}

/// Writes the configuration where there is none, or only the one that the package brought.
pub fn write(file: &Path, answers: &Answers, data_dir: Option<&Path>, language: Language) -> Result<Written, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) if !is_untouched(&text) => {
            // A mistake in it is said before anything is made.
            let config = serve::load(file)?;
            if config.hostname != answers.hostname {
                let message = format!(
                    "{}: hostname is {:?} there, and {:?} was answered; nothing was changed",
                    file.display(),
                    config.hostname,
                    answers.hostname
                );
                return Err(Failure::new(Exit::Input, message));
            }
            return Ok(Written::Kept);
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(open::unusable(file, &error)),
        _ => {}
    }
    let cannot = |error: std::io::Error| open::unusable(file, &error);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let new = file.with_extension("toml.new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(&new).map_err(cannot)?;
    // The node reads it as a user of its own; secrets are in files of their own.
    let filled = out
        .set_permissions(Permissions::from_mode(0o644))
        .and_then(|()| out.write_all(filled(answers, data_dir, language).as_bytes()))
        .and_then(|()| out.sync_all());
    filled.and_then(|()| std::fs::rename(&new, file)).map_err(cannot)?;
    Ok(Written::New)
}

/// Whether nobody has changed a key since it was installed.
fn is_untouched(text: &str) -> bool {
    let keys = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    keys(text) == keys(EXAMPLE)
}

/// The example with the answers; every other key stays as it is, commented.
fn filled(answers: &Answers, data_dir: Option<&Path>, language: Language) -> String {
    let lines = EXAMPLE.lines().skip(1).map(|line| match (line, data_dir) {
        (line, _) if line.starts_with("hostname = ") => format!("hostname = {:?}", answers.hostname),
        (line, Some(dir)) if line.starts_with("#data_dir = ") => format!("data_dir = {:?}", dir.display().to_string()),
        // Mail servers and programs of this machine may send at once.
        (line, _) if line.starts_with("#trusted_networks = ") => line.trim_start_matches('#').to_owned(),
        (line, _) if line.starts_with("#mail = ") => format!("mail = [{:?}]", answers.admin),
        ("#language = \"en\"", _) if language == Language::Fr => "language = \"fr\"".to_owned(),
        (line, _) => line.to_owned(),
    });
    let mut once = false;
    let lines: Vec<String> = lines
        .map(|line| match line.starts_with("trusted_networks = ") {
            // The doors beside a mail server have the key, too, in sections that stay closed.
            true if std::mem::replace(&mut once, true) => format!("#{line}"),
            _ => line,
        })
        .collect();
    format!("# Configuration of SM2TP: sm2tp.toml(5).\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn answers() -> Answers {
        Answers {
            hostname: "mx1.asso.example".into(),
            domain: "asso.example".into(),
            org: "asso".into(),
            login: "relay@asso.example".into(),
            admin: "admin@asso.example".into(),
        }
    }

    #[test]
    fn the_answers_stand_in_the_file_and_all_else_is_as_shipped() {
        let text = filled(&answers(), Some(Path::new("/srv/sm2tp")), Language::Fr);
        let config = config::parse("sm2tp.toml", &text).unwrap();
        assert_eq!((config.hostname.as_str(), config.language), ("mx1.asso.example", Language::Fr));
        assert_eq!(config.data_dir, Path::new("/srv/sm2tp"));
        assert_eq!(config.alerts.mail, ["admin@asso.example"]);
        assert_eq!(config.smtp.unwrap().trusted_networks.len(), 2);
        assert!(config.policy.is_none() && config.milter.is_none());
        let lines = |text: &str| text.lines().count();
        assert_eq!(lines(&text), lines(EXAMPLE));
        assert!(is_untouched(EXAMPLE) && !is_untouched(&text));
    }
}
