//! Files that others read while they are replaced: whole or not at all, and readable by the group of their folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes the folder where it is missing. An administrator who made it chose its group: files take it where the folder has
/// the set-group-id bit, as sockets do.
pub(super) fn folder(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o2750))
}

/// Replaces a file where it is not the same already; says whether it was replaced. Who has the old one open keeps it.
pub(super) fn replace(dir: &Path, name: &str, octets: &[u8]) -> io::Result<bool> {
    let (path, new) = (dir.join(name), dir.join(format!(".{name}.new")));
    let same_size = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == octets.len() as u64);
    if same_size && fs::read(&path)? == octets {
        return Ok(false);
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new)?;
    // The umask of this program takes the group away.
    file.set_permissions(fs::Permissions::from_mode(0o640))?;
    file.write_all(octets)?;
    // Before the name: after a crash the file is the old one or the new one, never an empty one.
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(true)
}

/// Whether a file is there and not older than another.
pub(super) fn is_newer(path: &Path, than: &Path) -> bool {
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((written(path), written(than)), (Ok(path), Ok(than)) if than <= path)
}

/// Lets postmap(1) make a table of a text file; on a thread of its own. What went wrong comes back in its own words.
pub(super) fn postmap(kind: &str, path: &Path) -> Result<(), String> {
    let table = format!("{kind}:{}", path.display());
    let program = if Path::new(POSTMAP).exists() { POSTMAP } else { "postmap" };
    let mut command = Command::new("timeout");
    command.args([POSTMAP_TIME_MAX_S, program, table.as_str()]).stdin(Stdio::null());
    let said = command.output().map_err(|error| format!("{table}: {error}"))?;
    match said.status.code() {
        Some(0) => Ok(()),
        Some(TIMED_OUT) => Err(format!("{table}: it hangs")),
        _ => Err(format!("{table}: {}", String::from_utf8_lossy(&said.stderr).trim())),
    }
}

/// Where Debian has it; the PATH of a service may lack that folder.
const POSTMAP: &str = "/usr/sbin/postmap";
/// It makes a table of a million lines in seconds; a lock that somebody holds may last for ever.
const POSTMAP_TIME_MAX_S: &str = "120";
/// How timeout(1) says that the time was over.
const TIMED_OUT: i32 = 124;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_it_changes() {
        let dir = std::env::temp_dir().join(format!("sm2tp-exports-{}", std::process::id()));
        folder(&dir).unwrap();
        let replaced = |octets: &[u8]| replace(&dir, "suppress.txt", octets).unwrap();
        assert!(replaced(b"a") && !replaced(b"a") && replaced(b"b") && replaced(b"") && !replaced(b""));
        let mode = fs::metadata(dir.join("suppress.txt")).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode, fs::read_dir(&dir).unwrap().count()), (0o640, 1));
        fs::remove_dir_all(dir).unwrap();
    }
}
