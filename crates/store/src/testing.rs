//! A directory that goes with the test that made it, and what a relay would tell.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sm2tp_rules::{Cause, Fate, Scope, Stage, Stream, Strength};

use crate::ledger::{self, Ledger};
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

/// The ledger of a folder, the same when it is opened again: in its file or, where `SM2TP_STORE_TESTS=postgres` asks for it, in a
/// schema of its own of a PostgreSQL that ends with the tests.
pub(crate) fn ledger(dir: &Path) -> Ledger {
    match std::env::var("SM2TP_STORE_TESTS").as_deref() {
        #[cfg(feature = "postgres")]
        Ok("postgres") => Ledger::open_shared(&cluster::shared(dir, "first")).unwrap(),
        Ok(other) => panic!("SM2TP_STORE_TESTS={other}: postgres, and the feature of that name"),
        Err(_) => Ledger::open(&ledger::path(dir)).unwrap(),
    }
}

/// A PostgreSQL for all tests of this process.
#[cfg(feature = "postgres")]
pub(crate) mod cluster {
    use std::io::{BufRead, BufReader};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::{Arc, OnceLock};

    use rustls::{ClientConfig, RootCertStore};

    use crate::sql::Sql;
    use crate::sql::postgres::{Access, Postgres, Shared};

    /// Its standard input ends with this process, and it with that.
    struct Cluster {
        folder: PathBuf,
        _child: Child,
    }

    static CLUSTER: OnceLock<Cluster> = OnceLock::new();

    fn start() -> Cluster {
        let folder = std::env::temp_dir().join(format!("sm2tp-store-pg-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
        let mut command = Command::new(script);
        let mut child = command.arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "scripts/postgres says why it does not run");
        Cluster { folder, _child: child }
    }

    /// Takes no certificate at all: a Unix socket needs none.
    fn nobody() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
    }

    /// The schema of a folder.
    pub(crate) fn shared(dir: &Path, machine: &str) -> Shared {
        let cluster = CLUSTER.get_or_init(start);
        let name: String = dir.display().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        let at = |options: &str| {
            let url = format!("postgres://postgres@/postgres?host={}{options}", cluster.folder.display());
            Shared::new(&url, None, &nobody(), machine).unwrap()
        };
        let (folder, name) = (dir.to_owned(), format!("s{}", name.to_lowercase()));
        let plain = at("");
        let schema = format!("CREATE SCHEMA IF NOT EXISTS {name}");
        // A thread of its own: a connection waits for its answers.
        let making = std::thread::spawn(move || Postgres::open(&plain, Access::Write)?.batch(&schema));
        making.join().unwrap().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        at(&format!("&options=-csearch_path%3D{name}"))
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
