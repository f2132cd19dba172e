//! A directory that goes with the test that made it, and what a relay would tell.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sm2tp_rules::{Cause, Fate, Scope, Stage, Stream, Strength};

use crate::told::{Answer, Told, Verdict, What};

pub(crate) struct TempDir(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TempDir {
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// Where a sync costs nothing, if the machine has such a place: for tests that sync thousands of times.
    pub(crate) fn quick() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(folder: &Path) -> Self {
        let name = format!("sm2tp-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A temporary answer that `rule` understood; as unknown, whatever it was.
pub(crate) fn deferred(recipient: &str, text: &str, rule: &str) -> Told {
    let verdict = Verdict {
        cause: Cause::Unknown,
        sub: None,
        fate: Fate::Later,
        scope: Scope::Recipient,
        strength: Strength::Weak,
        rule: rule.into(),
        rules: Some("0".into()),
    };
    let answer = Answer {
        stage: Some(Stage::Rcpt),
        code: Some(450),
        text: text.into(),
        verdict: Some(verdict),
        ..Answer::default()
    };
    Told {
        v: Told::VERSION,
        at: 1_800_000_123,
        org: "asso".into(),
        login: None,
        stream: Stream::Bulk,
        mail: 1,
        message_id: None,
        mail_from: Some("news@asso.example".into()),
        recipient: Some(recipient.into()),
        token: None,
        report: false,
        what: What::Deferred { answer },
    }
}
