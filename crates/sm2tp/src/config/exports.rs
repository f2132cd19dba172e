//! `[exports]`: lists as files, for mail servers and tools that read them.

use std::path::PathBuf;
use std::time::Duration;

use sm2tp_proto::maps::{File, Form, What};
use toml::Spanned;

use super::error::ConfigError;
use super::reader::Section;
use super::sections::within;
use super::values::{HOUR, Wrong, path, quoted, word};

/// `[exports]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exports {
    /// The folder.
    pub dir: PathBuf,
    /// At least one, each once.
    pub files: Vec<File>,
    /// The shortest time between two looks at what has changed.
    pub every: Duration,
    /// The kind of table that postmap makes of each text file; `None`: none.
    pub postmap: Option<String>,
}

pub(super) fn exports(section: &Section<'_>) -> Result<Exports, ConfigError> {
    let listed = section.list("files", file)?.filter(|files| !files.is_empty());
    let listed = listed.ok_or_else(|| section.missing("files"))?;
    let mut files: Vec<File> = Vec::new();
    for listed in &listed {
        let file = *listed.get_ref();
        if files.contains(&file) {
            let wrong = Wrong::new(format!("{} stands here twice", quoted(&file.name())), "each file once");
            return Err(section.wrong(Spanned::span(listed), "files", &wrong));
        }
        files.push(file);
    }
    let postmap = section.text("postmap", word(TABLES))?;
    if postmap.is_some() && files.iter().all(|file| file.form != Form::Text) {
        let wrong = Wrong::new("there is no text file to make a table of", "together with a .txt file in `files`");
        return Err(section.wrong(section.place("postmap"), "postmap", &wrong));
    }
    Ok(Exports {
        dir: section.text("dir", path)?.ok_or_else(|| section.missing("dir"))?,
        files,
        every: within(section, "every", Duration::from_secs(1), HOUR, 30)?,
        postmap: postmap.map(str::to_owned),
    })
}

/// The name of a file says what is in it, and in which form.
fn file(name: &str) -> Result<File, Wrong> {
    let known = What::ALL.into_iter().flat_map(|what| Form::ALL.map(|form| File { what, form }));
    let found = known.into_iter().find(|file| file.name() == name);
    found.ok_or_else(|| {
        let (what, form) = (What::ALL.map(What::as_str).join(", "), Form::ALL.map(Form::as_str).join(", "));
        let allowed = format!("one of {what}, a dot, and one of {form}, such as suppress.cdb");
        Wrong::new(format!("{} is no file that can be written", quoted(name)), allowed)
    })
}

const TABLES: &[(&str, &str)] = &[("hash", "hash"), ("btree", "btree"), ("lmdb", "lmdb"), ("cdb", "cdb")];
