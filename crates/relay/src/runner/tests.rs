//! The relay as a door meets it, with a server that this test listens as.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sm2tp_proto::Address;
use sm2tp_proto::smtp::params::{MailOptions, RcptOptions};
use sm2tp_rules::retry::Schedule;
use sm2tp_rules::sign::Listed;
use sm2tp_rules::sites::SiteBook;
use sm2tp_rules::{Classifier, Stream};
use sm2tp_store::accounts::{Accounts, Scram};
use sm2tp_store::dkim::DkimKeys;
use sm2tp_store::exits::Paused;
use sm2tp_store::ledger::{self, Ledger};
use sm2tp_store::spool::{Change, Lane, NewMail, NewRecipient};

use super::*;
use crate::{
    Exit, Language, NextHop, Own, Reach, Relay, Resolvers, Settings, Signing, Speaks, TlsReports, TlsUse, Tools,
};

/// A recipient's server that takes everything and tells of each recipient.
fn server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, taken) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = told.clone();
            thread::spawn(move || serve(&stream, &told));
        }
    });
    (port, taken)
}

fn serve(mut stream: &TcpStream, told: &Sender<String>) {
    let (mut lines, mut to) = (BufReader::new(stream), Vec::new());
    let mut say = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    say("220 mx.test\r\n");
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let goes_on = match line.get(..4).unwrap_or_default() {
            "RCPT" => {
                to.push(line.trim().trim_start_matches("RCPT TO:").to_owned());
                say("250 ok\r\n")
            }
            "DATA" => {
                say("354 go on\r\n");
                while line != ".\r\n" {
                    line.clear();
                    lines.read_line(&mut line).unwrap();
                }
                to.drain(..).for_each(|to| told.send(to).unwrap());
                say("250 taken\r\n")
            }
            _ => say("250 ok\r\n"),
        };
        if !goes_on {
            return;
        }
    }
}

/// A relay without a network but loopback, and its spool.
async fn relay(folder: &std::path::Path, port: u16) -> (Relay, Spool) {
    let ledger = Ledger::open(&ledger::path(folder)).unwrap();
    let hop = NextHop { host: "127.0.0.1".into(), port, speaks: Speaks::Smtp, login: None };
    let exit = Exit {
        name: "main".into(),
        addresses: Vec::new(),
        hello: "relay.example.org".into(),
        weight: 1,
        orgs: Vec::new(),
        streams: Vec::new(),
    };
    let settings = Settings {
        hostname: "relay.example.org".into(),
        language: Language::English,
        smarthost: Some(hop),
        routes: HashMap::new(),
        port: 25,
        resolvers: Resolvers { servers: vec![([127, 0, 0, 1], 9).into()], ..Resolvers::default() },
        exits: vec![exit],
        own: Own::default(),
        tls: TlsUse::Opportunistic,
        tls_roots: None,
        policies: None,
        tls_reports: TlsReports::Off,
        reach: Reach::public_and(|_| false),
        tls_counts: None,
        connections_max: 1,
        sites: SiteBook::shipped(),
        schedule: Schedule { first_s: 60, max_s: 60, expire_personal_s: 86_400, expire_bulk_s: 86_400 },
        delay_notice_s: None,
        connect_timeout: Duration::from_secs(30),
        answer_timeout: Duration::from_secs(30),
        memory_max: 1 << 20,
        signing: Signing { algorithms: Vec::new(), default: None, listed: Listed::Kept, sealing: crate::Sealing::Off },
    };
    let spool = Spool::open(&folder.join("spool"), "test").unwrap();
    let tools = Tools {
        spool: spool.clone(),
        rulebook: sm2tp_rules::classify::Rulebook::new(Classifier::shipped()),
        breakers: ledger.breakers().clone(),
        accounts: Accounts::load(ledger, Scram::Off).await.unwrap(),
        dkim: DkimKeys::open(&folder.join("dkim")).unwrap(),
        paused: Paused::open(folder).unwrap(),
        returning: None,
    };
    (Relay::start(settings, tools).unwrap(), spool)
}

async fn accepted(spool: &Spool, to: &str) -> Queued {
    let recipient = NewRecipient {
        address: Address::parse(&format!("{to}@dest.test")).unwrap(),
        lane: Lane::Normal,
        note: None,
        stopped: false,
        canary: false,
        options: RcptOptions::default(),
    };
    let mail = NewMail {
        org: "local".into(),
        login: None,
        stream: Stream::Personal,
        mail_from: None,
        message_id: None,
        received_at: now(),
        recipients: vec![recipient],
        held_until: 0,
        content: CONTENT.into(),
        is_report: false,
        stream_by: None,
        options: MailOptions::default(),
    };
    spool.accept(mail).await.unwrap()
}

/// What a person does with a mail, recorded and told to the relay.
async fn moved(relay: &Relay, spool: &Spool, mail: u64, lane: Lane) {
    let next_at = if lane == Lane::Held { now() + 86_400 } else { now() };
    spool.record([Change::Move { mail, index: 0, lane, next_at, note: None }]).await.unwrap();
    relay.changed(vec![mail]).await;
}

async fn heard_of(relay: &Relay, queued: &Queued) {
    relay.queued(queued.clone(), CONTENT.into()).await;
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sm2tp-runner-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_be_faster_than_the_door_that_took_the_mail() {
    let folder = folder("faster");
    let (port, taken) = server();
    let (relay, spool) = relay(&folder, port).await;
    let next = || taken.recv_timeout(Duration::from_secs(30)).unwrap();
    for round in 0..20 {
        // Held before the relay heard of it, for good or until it has.
        let [held, freed, plain] =
            [accepted(&spool, "held").await, accepted(&spool, "freed").await, accepted(&spool, "plain").await];
        moved(&relay, &spool, held.mail.id, Lane::Held).await;
        moved(&relay, &spool, freed.mail.id, Lane::Held).await;
        moved(&relay, &spool, freed.mail.id, Lane::Normal).await;
        for queued in [&held, &freed, &plain] {
            heard_of(&relay, queued).await;
        }
        let mut both = [next(), next()];
        both.sort();
        assert_eq!(both, ["<freed@dest.test>", "<plain@dest.test>"], "round {round}");
        moved(&relay, &spool, held.mail.id, Lane::Normal).await;
        assert_eq!(next(), "<held@dest.test>", "round {round}");
    }
    relay.stop().await;
    assert!(taken.try_recv().is_err(), "nothing went twice");
    std::fs::remove_dir_all(folder).unwrap();
}

const CONTENT: &[u8] = b"Subject: x\r\n\r\nx\r\n";
