//! What a person has to look at after a salvage: a list, and contents that nobody knows where to send.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::found::Refusal;
use super::pages::Row;

/// The list, as it is written.
pub(super) struct List {
    dir: PathBuf,
    file: BufWriter<File>,
}

impl List {
    /// Begins the list in the folder of the damaged files.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(new_file(&dir.join("list.txt"))?);
        file.write_all(HEAD.as_bytes())?;
        Ok(Self { dir: dir.to_owned(), file })
    }

    /// A line about a mail.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn say(&mut self, mail: u64, text: &str) -> io::Result<()> {
        writeln!(self.file, "mail {mail}: {}", plain(text))
    }

    /// A row that was not taken over.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn row(&mut self, page: u32, why: Refusal, row: &Row) -> io::Result<()> {
        let why = match why {
            Refusal::Nonsense => "a row that does not make sense",
            Refusal::Twice => "a row that was found twice",
        };
        writeln!(self.file, "page {page}: {why}: {}", plain(&format!("{:?} {:?}", row.rowid, row.fields)))
    }

    /// A content of which nobody can say any more where it goes, as a file of its own.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn content(&mut self, mail: u64, content: &[u8]) -> io::Result<()> {
        let name = format!("mail-{mail}.eml");
        new_file(&self.dir.join(&name))?.write_all(content)?;
        self.say(mail, &format!("its content is in {name} ({} octets){}", content.len(), fields(content)))
    }

    /// # Errors
    /// Where it cannot be written.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        File::open(&self.dir)?.sync_all()
    }
}

/// What a person recognises a mail by.
fn fields(content: &[u8]) -> String {
    let end = content.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(content.len());
    let header = String::from_utf8_lossy(&content[..end]).replace("\r\n ", " ").replace("\r\n\t", " ");
    let is_shown = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["from", "to", "subject", "date", "message-id"].iter().any(|shown| name.eq_ignore_ascii_case(shown))
    };
    header
        .split("\r\n")
        .filter(is_shown)
        .map(|line| format!("; {}", line.chars().take(FIELD_MAX).collect::<String>()))
        .collect()
}

/// On one line, and harmless to a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)
}

const HEAD: &str = "\
What a salvage of the queue could not put back by itself. A mail that is named here with a file was in the queue, or was
done and its file had not been removed yet: ask its sender, or look into the log, before you send it again.

";
/// Characters of a field that are shown.
const FIELD_MAX: usize = 300;
