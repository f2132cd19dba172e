//! What the spool finds at a start: body files with any octets in them, and outbox entries.

use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_rules::Stream;
use sm2tp_store::spool::{Lane, NewMail, NewRecipient};
use sm2tp_store::{Spool, SpoolError, Told};

/// An entry that can be read is written again as the same.
pub fn told(bytes: &[u8]) {
    let Ok(told) = serde_json::from_slice::<Told>(bytes) else { return };
    let text = serde_json::to_string(&told).expect("what was read can be written");
    assert_eq!(serde_json::from_str::<Told>(&text).expect("what was written can be read"), told);
}

/// The file of a spool with three mails is replaced by these octets: each mail is whole, or said to be damaged.
pub fn bodies(bytes: &[u8]) {
    static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept::new()));
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::write(&kept.file, bytes).expect("the body file");
    for (id, content) in (1..).zip(CONTENTS) {
        match kept.runtime.block_on(kept.spool.content(id)) {
            Ok(found) => assert_eq!(found, content.as_bytes()),
            Err(SpoolError::Damaged { mail, .. }) => assert_eq!(mail, id),
            Err(error) => panic!("mail {id}: {error}"),
        }
    }
}

struct Kept {
    runtime: tokio::runtime::Runtime,
    spool: Spool,
    file: PathBuf,
}

impl Kept {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let dir = std::env::temp_dir().join(format!("sm2tp-fuzz-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let spool = Spool::open(&dir, "fuzz").expect("a spool");
        for content in CONTENTS {
            runtime.block_on(spool.accept(mail(content))).expect("a mail is kept");
        }
        Self { runtime, spool, file: dir.join("bodies/0000000001.seg") }
    }
}

fn mail(content: &str) -> NewMail {
    let address = |text| Address::parse(text).expect("an address");
    let (options, lane) = (RcptOptions::default(), Lane::Normal);
    NewMail {
        org: "local".into(),
        login: None,
        stream: Stream::Personal,
        mail_from: Some(address("anna@asso.example")),
        message_id: None,
        received_at: 1000,
        recipients: vec![NewRecipient {
            address: address("bob@x.example"),
            lane,
            note: None,
            stopped: false,
            canary: false,
            options,
        }],
        content: content.to_owned().into(),
        held_until: 0,
        is_report: false,
        stream_by: None,
        options: MailOptions::default(),
    }
}

const CONTENTS: [&str; 3] = ["Subject: one\r\n\r\nfirst\r\n", "", "Subject: three\r\n\r\nthe third of them\r\n"];
