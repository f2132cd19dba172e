//! The table of networks that an administrator gives (`companies` of `[watch]`), read at the start and when its file changes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sm2tp_doors::tls::Again;
use sm2tp_rules::places::{Places, Reading};
use sm2tp_store::senders::Senders;

use crate::again::{Look, Stamp, follow, stamp};
use crate::log::unpacked;
use crate::{Exit, Failure};

/// Keeps the table in use the same as its file.
pub struct Follower {
    file: PathBuf,
    senders: Senders,
    seen: Stamp,
}

impl Follower {
    /// Reads the table for the first time.
    ///
    /// # Errors
    /// [`Exit::Configuration`] where it cannot be used.
    pub fn start(file: &Path, senders: &Senders) -> Result<Self, Failure> {
        let seen = stamp(file);
        let places = read(file)?;
        tracing::info!(file = %file.display(), ranges = places.len(), "the table of networks was read");
        senders.know_places(places);
        Ok(Self { file: file.to_owned(), senders: senders.clone(), seen })
    }

    /// Looks at the file for as long as the node runs.
    pub async fn run(mut self, again: Again, stop: impl Future<Output = ()> + Send) {
        follow("the networks of companies", LOOK_EVERY, move |why| self.look(why), again, stop).await;
    }

    /// Takes a new table, or keeps the one in use and says what is wrong with the new one.
    fn look(&mut self, why: Look) {
        let found = stamp(&self.file);
        if std::mem::replace(&mut self.seen, found) == found && why == Look::Due {
            return;
        }
        match read(&self.file) {
            Ok(places) => {
                tracing::info!(ranges = places.len(), "the table of networks was read again");
                self.senders.know_places(places);
            }
            Err(failure) => {
                tracing::error!(error = %failure.message, "the new table of networks cannot be used; the one in use stays");
            }
        }
    }
}

/// Reads a table, compressed or not.
///
/// # Errors
/// [`Exit::Configuration`], with the line.
pub fn read(file: &Path) -> Result<Places, Failure> {
    let read = || table(BufReader::new(unpacked(File::open(file)?)?));
    read().map_err(|error| Failure::new(Exit::Configuration, format!("{}: {error}", file.display())))
}

fn table(mut input: impl BufRead) -> io::Result<Places> {
    let (mut reading, mut line) = (Reading::default(), Vec::new());
    loop {
        line.clear();
        // One octet more than a line may have shows that it is longer.
        let octets = input.by_ref().take(LINE_OCTETS_MAX + 1).read_until(b'\n', &mut line)?;
        if octets == 0 {
            return reading.finish().map_err(io::Error::other);
        }
        let text = String::from_utf8_lossy(&line);
        // What is left of a line that is too long is no line of the table.
        reading.line(text.trim_end_matches(['\n', '\r'])).map_err(io::Error::other)?;
    }
}

/// A table is renewed once a day or more seldom.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Two addresses, a number, a country, and a name of a line or two.
const LINE_OCTETS_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_table_is_read_compressed_or_not_and_another_file_is_said_with_its_line() {
        let dir = std::env::temp_dir().join(format!("sm2tp-companies-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, table) = (dir.join("table.tsv.gz"), "192.0.2.0\t192.0.2.255\t64500\tFR\tEXAMPLE\r\n");
        let check = |want: Result<usize, &str>| {
            let got = read(&file).map(|places| places.len()).map_err(|failure| failure.message);
            match (got, want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want),
                (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
                other => panic!("{other:?}"),
            }
        };
        check(Err("table.tsv.gz: No such file"));
        std::fs::write(&file, table).unwrap();
        check(Ok(1));
        let mut packed = GzEncoder::new(File::create(&file).unwrap(), Compression::fast());
        packed.write_all(table.as_bytes()).unwrap();
        packed.finish().unwrap();
        check(Ok(1));
        std::fs::write(&file, format!("{table}{}\n", "x".repeat(9000))).unwrap();
        check(Err("line 2 is none of a table of networks"));
        std::fs::write(&file, "").unwrap();
        check(Err("there is no range in it"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
