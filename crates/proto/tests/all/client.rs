//! The sending side against scripted servers: what is written, and what becomes of each recipient.

use sm2tp_proto::smtp::client::{
    ClientSession, Do, GiveUp, Hello, Login, Passwords, Plan, Protocol, Rcpt, RecipientResult, Results, Spoken,
    StartTls, Unsupported,
};
use sm2tp_proto::smtp::params::Form;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_proto::{Address, Reply};

fn reply(text: &str) -> Reply {
    Reply::parse(text).unwrap()
}

fn hello(starttls: StartTls) -> Hello {
    Hello::new("relay.example.org", starttls)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// Goes through `(reply, what must follow)`; what is sent is compared as text.
#[track_caller]
fn talk(mut session: ClientSession, script: &[(&str, &str)]) -> (ClientSession, Option<Results>) {
    let mut results = None;
    for (said, want) in script {
        let step;
        (session, step) = session.reply(reply(said));
        results = None;
        let got = match step {
            Do::Send(bytes) | Do::SendAtOnce(bytes) => {
                String::from_utf8(bytes).unwrap().trim_end().replace("\r\n", "|")
            }
            Do::Finished(finished) => {
                results = Some(finished);
                "finished".to_owned()
            }
            Do::GiveUp(why) => format!("{why:?}").split_once([' ', '{']).unwrap().0.to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        assert_eq!(got, *want, "after {said:?}");
    }
    (session, results)
}

fn ready(offers: &str) -> ClientSession {
    let session = ClientSession::open(hello(StartTls::Never));
    let ehlo = format!("250-mx.test\n{offers}250 HELP");
    talk(session, &[("220 mx.test", "EHLO relay.example.org"), (&ehlo, "ready")]).0
}

#[track_caller]
fn begin(session: ClientSession, recipients: &[&str], want: &str) -> ClientSession {
    let sender = address("anna@good.test");
    let recipients: Vec<Address> = recipients.iter().map(|text| address(text)).collect();
    let recipients: Vec<Rcpt<'_>> = recipients.iter().map(plain).collect();
    let (session, step) = session.begin(Plan { eight_bit: true, ..plan(Some(&sender), &recipients, 1000) });
    let (Do::Send(bytes) | Do::SendAtOnce(bytes)) = step else { panic!("{step:?}") };
    assert_eq!(String::from_utf8(bytes).unwrap().trim_end().replace("\r\n", "|"), want);
    session
}

fn plain(path: &Address) -> Rcpt<'_> {
    static NOTHING: RcptOptions = RcptOptions { notify: None, orcpt: None };
    Rcpt { path, options: &NOTHING }
}

fn plan<'a>(mail_from: Option<&'a Address>, recipients: &'a [Rcpt<'a>], octets: u64) -> Plan<'a> {
    static NOTHING: MailOptions =
        MailOptions { utf8: false, require_tls: false, tls_waived: false, ret: None, envid: None };
    Plan { mail_from, recipients, octets, eight_bit: false, header: Form::Ascii, options: &NOTHING, may_chunk: true }
}

fn short(results: &Results) -> Vec<String> {
    let word = |result: &RecipientResult| match result {
        RecipientResult::Delivered(reply) => format!("delivered {}", reply.code),
        RecipientResult::Refused { spoken, reply } => format!("{spoken:?} {}", reply.code),
        RecipientResult::Garbled { spoken, reply } => format!("garbled {spoken:?} {}", reply.code),
        RecipientResult::Lost { spoken } => format!("lost {spoken:?}"),
        RecipientResult::Unsupported(what) => format!("{what:?}"),
    };
    results.recipients.iter().map(word).collect()
}

#[track_caller]
fn check(end: (ClientSession, Option<Results>), want: &[&str], reusable: bool) -> ClientSession {
    let results = end.1.unwrap();
    assert_eq!(short(&results), want);
    assert_eq!(results.reusable, reusable);
    end.0
}

const ALL: &str = "250-PIPELINING\n250-SIZE 5000\n250-8BITMIME\n";

#[test]
fn without_pipelining_commands_go_one_by_one() {
    let session = begin(ready(""), &["a@x.test", "b@x.test"], "MAIL FROM:<anna@good.test>");
    let end = talk(
        session,
        &[
            ("250 ok", "RCPT TO:<a@x.test>"),
            ("550 5.1.1 no", "RCPT TO:<b@x.test>"),
            ("250 ok", "DATA"),
            ("354 go", "sendbody"),
            ("250 taken", "finished"),
        ],
    );
    let session = check(end, &["Rcpt 550", "delivered 250"], true);
    // A finished transaction needs no RSET.
    let session = begin(session, &["c@x.test"], "MAIL FROM:<anna@good.test>");
    let end = talk(session, &[("250 ok", "RCPT TO:<c@x.test>"), ("450 later", "finished")]);
    let session = check(end, &["Rcpt 450"], true);
    // One that was broken off does.
    let session = begin(session, &["c@x.test"], "RSET");
    assert_eq!(session.spoken(), Some(Spoken::Mail));
    talk(session, &[("250 ok", "MAIL FROM:<anna@good.test>"), ("250 ok", "RCPT TO:<c@x.test>")]);
}

#[test]
fn with_pipelining_replies_are_matched_in_order() {
    let group = "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|DATA";
    let session = begin(ready(ALL), &["a@x.test", "b@x.test"], group);
    let script = [("250 ok", "continue"), ("250 ok", "continue"), ("550 no", "continue"), ("354 go", "sendbody")];
    let session = talk(session, &script).0;
    assert_eq!(session.spoken(), Some(Spoken::Eod));
    let session = check(talk(session, &[("552 too big", "finished")]), &["Eod 552", "Rcpt 550"], true);
    begin(session, &["a@x.test", "b@x.test"], group);
}

const CHUNKS: &str = "250-PIPELINING\n250-CHUNKING\n";

#[test]
fn a_message_goes_right_behind_its_commands_where_the_server_offers_chunks() {
    let group = "MAIL FROM:<anna@good.test>|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|BDAT 1000 LAST";
    let begin = |session| begin(session, &["a@x.test", "b@x.test"], group);
    let one_of_two = [("250 ok", "continue"), ("250 ok", "continue"), ("550 no", "continue")];
    let to_the_end = |last| [&one_of_two[..], &[(last, "finished")]].concat();
    let session = begin(ready(CHUNKS));
    assert_eq!(session.spoken(), Some(Spoken::Mail));
    let session = check(talk(session, &to_the_end("250 taken")), &["delivered 250", "Rcpt 550"], true);
    let session = check(talk(begin(session), &to_the_end("552 too big")), &["Eod 552", "Rcpt 550"], true);
    // RFC 3030 §2: a chunk that was refused leaves the transaction open.
    let (_, step) = session.begin(plan(None, &[plain(&address("a@x.test"))], 10));
    assert_eq!(step, Do::SendAtOnce(b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.test>\r\nBDAT 10 LAST\r\n".to_vec()));
    // Nobody is left, and the server says so.
    let nobody = [("250 ok", "continue"), ("550 no", "continue"), ("550 no", "continue"), ("503 nobody", "finished")];
    check(talk(begin(ready(CHUNKS)), &nobody), &["Rcpt 550", "Rcpt 550"], true);
    let sender = [("550 listed", "continue"), ("503 x", "continue"), ("503 x", "continue"), ("503 x", "finished")];
    check(talk(begin(ready(CHUNKS)), &sender), &["Mail 550", "Mail 550"], true);
    let cut = talk(begin(ready(CHUNKS)), &one_of_two).0;
    assert_eq!(short(&cut.lost().unwrap()), ["lost Eod", "Rcpt 550"]);
}

#[test]
fn a_server_that_offers_chunks_and_does_not_know_them_says_nothing_about_the_mail() {
    for (code, want) in [("500", "garbled Eod 500"), ("502", "garbled Eod 502"), ("503", "garbled Eod 503")] {
        let session =
            begin(ready(CHUNKS), &["a@x.test"], "MAIL FROM:<anna@good.test>|RCPT TO:<a@x.test>|BDAT 1000 LAST");
        let last = format!("{code} what");
        check(talk(session, &[("250 ok", "continue"), ("250 ok", "continue"), (&last, "finished")]), &[want], false);
    }
    // The words of the message may have been taken for commands.
    let session = begin(ready(CHUNKS), &["a@x.test"], "MAIL FROM:<anna@good.test>|RCPT TO:<a@x.test>|BDAT 1000 LAST");
    let refused = [("250 ok", "continue"), ("550 no", "continue"), ("500 what", "finished")];
    check(talk(session, &refused), &["Rcpt 550"], false);
}

#[test]
fn a_message_waits_for_data_where_a_chunk_could_harm() {
    let to = address("a@x.test");
    let recipients = [plain(&to)];
    let many = vec![plain(&to); 98];
    for (offers, plan) in [
        (CHUNKS, Plan { may_chunk: false, ..plan(None, &recipients, 10) }),
        (CHUNKS, plan(None, &recipients, 128 * 1024 + 1)),
        (CHUNKS, plan(None, &many, 10)),
        ("250-PIPELINING\n", plan(None, &recipients, 10)),
        ("250-CHUNKING\n", plan(None, &recipients, 10)),
    ] {
        let (_, step) = ready(offers).begin(plan);
        assert!(matches!(step, Do::Send(_)), "{offers} {step:?}");
    }
}

#[test]
fn a_message_for_nobody_is_ended_with_a_lone_dot() {
    let group = "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|DATA";
    let session = begin(ready(ALL), &["a@x.test"], group);
    let script = [("250 ok", "continue"), ("550 no", "continue"), ("354 go", "."), ("250 queued nothing", "finished")];
    let session = check(talk(session, &script), &["Rcpt 550"], true);
    let session = begin(session, &["a@x.test"], group);
    // The usual answer is no 354; then RSET goes in front of the next group.
    let script = [("250 ok", "continue"), ("550 no", "continue"), ("554 nobody", "finished")];
    let session = check(talk(session, &script), &["Rcpt 550"], true);
    begin(session, &["a@x.test"], &format!("RSET|{group}"));
}

#[test]
fn a_refused_sender_is_told_to_each_recipient() {
    let group = "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|DATA";
    let session = begin(ready(ALL), &["a@x.test", "b@x.test"], group);
    let script = [("550 listed", "continue"), ("503 x", "continue"), ("250 odd", "continue"), ("354 odder", ".")];
    let session = talk(session, &script).0;
    check(talk(session, &[("554 no", "finished")]), &["Mail 550", "Mail 550"], true);
    let session = begin(ready(""), &["a@x.test"], "MAIL FROM:<anna@good.test>");
    check(talk(session, &[("451 later", "finished")]), &["Mail 451"], true);
}

#[test]
fn a_421_is_told_to_all_who_are_left_and_ends_the_connection() {
    let group = "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|RCPT TO:<c@x.test>|DATA";
    let session = begin(ready(ALL), &["a@x.test", "b@x.test", "c@x.test"], group);
    let script =
        [("250 ok", "continue"), ("250 ok", "continue"), ("550 no", "continue"), ("421 4.7.0 bye", "finished")];
    let session = check(talk(session, &script), &["Rcpt 421", "Rcpt 550", "Rcpt 421"], false);
    assert_eq!(session.spoken(), None);
    let sender = address("anna@good.test");
    let (_, step) = session.begin(plan(Some(&sender), &[plain(&sender)], 1));
    let Do::Finished(results) = step else { panic!("{step:?}") };
    assert_eq!((short(&results), results.reusable), (vec!["lost Mail".to_owned()], false));
}

#[test]
fn replies_that_make_no_sense_end_the_connection() {
    for (script, want) in [
        (&[("354 go", "finished")][..], "garbled Mail 354"),
        (&[("250 ok", "RCPT TO:<a@x.test>"), ("354 go", "finished")], "garbled Rcpt 354"),
        (&[("250 ok", "RCPT TO:<a@x.test>"), ("250 ok", "DATA"), ("250 ok", "finished")], "garbled Data 250"),
        (
            &[("250 ok", "RCPT TO:<a@x.test>"), ("250 ok", "DATA"), ("354 go", "sendbody"), ("354 go", "finished")],
            "garbled Eod 354",
        ),
    ] {
        let session = begin(ready(""), &["a@x.test"], "MAIL FROM:<anna@good.test>");
        check(talk(session, script), &[want], false);
    }
}

#[test]
fn many_recipients_go_in_groups() {
    let names: Vec<String> = (0..250).map(|n| format!("r{n}@x.test")).collect();
    let recipients: Vec<Address> = names.iter().map(|name| address(name)).collect();
    let recipients: Vec<Rcpt<'_>> = recipients.iter().map(plain).collect();
    let (mut session, mut step) = ready("250-PIPELINING\n").begin(plan(None, &recipients, 10));
    let mut groups = Vec::new();
    let results = loop {
        match step {
            Do::Send(bytes) => {
                groups.push(bytes.split(|byte| *byte == b'\n').count() - 1);
                (session, step) = session.reply(reply("250 ok"));
            }
            Do::Continue if groups.iter().sum::<usize>() == 252 && session.spoken() == Some(Spoken::Data) => {
                (session, step) = session.reply(reply("354 go"));
            }
            Do::Continue | Do::SendBody => (session, step) = session.reply(reply("250 ok")),
            Do::Finished(results) => break results,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(groups, [100, 100, 52]);
    assert!(results.recipients.iter().all(RecipientResult::is_delivered));
}

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let (to, accent) = (address("a@x.test"), address("josé@x.test"));
    let unsupported = |offers: &str, plan| {
        let (session, step) = ready(offers).begin(plan);
        let Do::Finished(results) = step else { panic!("{step:?}") };
        (session, results)
    };
    let recipients = [plain(&to)];
    let (session, results) = unsupported(ALL, plan(None, &recipients, 5001));
    let want = RecipientResult::Unsupported(Unsupported::Size { octets_max: 5000 });
    assert_eq!((results.recipients, results.reusable), (vec![want], true));
    begin(session, &["a@x.test"], "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|DATA");

    assert_eq!(short(&unsupported("", plan(Some(&accent), &recipients, 1)).1), ["SmtpUtf8"]);
    let header = Plan { header: Form::Utf8, ..plan(None, &recipients, 1) };
    assert_eq!(short(&unsupported("250-8BITMIME\n", header).1), ["SmtpUtf8"]);
    let (_, step) = ready("250-8BITMIME\n250-SMTPUTF8\n").begin(header);
    assert_eq!(step, Do::Send(b"MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\n".to_vec()));
    // One recipient of two: the other is spoken of.
    let session = begin(ready(""), &["josé@x.test", "a@x.test"], "MAIL FROM:<anna@good.test>");
    let script = [("250 ok", "RCPT TO:<a@x.test>"), ("250 ok", "DATA"), ("354 go", "sendbody"), ("250 ok", "finished")];
    check(talk(session, &script), &["SmtpUtf8", "delivered 250"], true);
    let offers = "250-8BITMIME\n250-SMTPUTF8\n";
    begin(ready(offers), &["josé@x.test"], "MAIL FROM:<anna@good.test> BODY=8BITMIME SMTPUTF8");
}

#[test]
fn a_broken_connection_leaves_what_is_known() {
    let group = "MAIL FROM:<anna@good.test> SIZE=1000 BODY=8BITMIME|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|DATA";
    let session = begin(ready(ALL), &["a@x.test", "b@x.test"], group);
    let session = talk(session, &[("250 ok", "continue"), ("550 no", "continue")]).0;
    assert_eq!(short(&session.lost().unwrap()), ["Rcpt 550", "lost Rcpt"]);
    assert_eq!(ready("").lost(), None);
}

#[test]
fn greetings_fall_back_and_give_up() {
    let open = |starttls| ClientSession::open(hello(starttls));
    let ehlo = ("220 hi", "EHLO relay.example.org");
    let (helo, tls) = (("502 what", "HELO relay.example.org"), ("250-mx\n250 STARTTLS", "STARTTLS"));
    talk(open(StartTls::IfOffered), &[ehlo, helo, ("250 ok", "ready"), ("421 idle too long", "Unasked")]);
    talk(open(StartTls::Required), &[ehlo, helo, ("250 ok", "NoStartTls")]);
    talk(open(StartTls::Never), &[ehlo, ("250-mx\n250 STARTTLS", "ready")]);
    talk(open(StartTls::IfOffered), &[ehlo, tls, ("454 no", "ready")]);
    talk(open(StartTls::IfOffered), &[ehlo, tls, ("421 no", "Refused")]);
    talk(open(StartTls::Required), &[ehlo, tls, ("454 no", "NoStartTls")]);
    talk(open(StartTls::Never), &[("554 go away", "Refused")]);
    talk(open(StartTls::Never), &[("250 hi", "Garbled")]);
    talk(open(StartTls::Never), &[ehlo, ("450 greylisted", "Refused")]);
    talk(open(StartTls::Never), &[ehlo, helo, ("550 no", "Refused")]);

    let session = talk(open(StartTls::Required), &[ehlo, tls, ("220 go", "starttls")]).0;
    let (session, step) = session.tls_started();
    assert_eq!(step, Do::Send(b"EHLO relay.example.org\r\n".to_vec()));
    assert!(!session.capabilities().starttls && session.is_tls());
    // Offered again by a confused server: TLS is on, nothing more to do.
    let (session, step) = session.reply(reply("250-mx\n250-STARTTLS\n250 PIPELINING"));
    assert_eq!(step, Do::Ready);
    assert!(session.capabilities().pipelining);
    assert_eq!(session.quit(), b"QUIT\r\n");
    let (_, step) = open(StartTls::Never).reply(reply("554 5.7.1 go away"));
    let Do::GiveUp(GiveUp::Refused { spoken, reply }) = step else { panic!("{step:?}") };
    assert_eq!((spoken, reply.code), (Spoken::Connect, 554));
}

fn ready_lmtp() -> ClientSession {
    let hello = Hello { protocol: Protocol::Lmtp, ..hello(StartTls::Never) };
    let greeting = [("220 lmtp", "LHLO relay.example.org"), ("250-lmtp\n250 PIPELINING", "ready")];
    talk(ClientSession::open(hello), &greeting).0
}

#[test]
fn lmtp_answers_the_end_once_for_each_recipient_it_accepted() {
    let group = "MAIL FROM:<anna@good.test>|RCPT TO:<a@x.test>|RCPT TO:<b@x.test>|RCPT TO:<c@x.test>|DATA";
    let to_data = [
        ("250 ok", "continue"),
        ("250 ok", "continue"),
        ("550 no", "continue"),
        ("250 ok", "continue"),
        ("354 go", "sendbody"),
        ("250 kept", "continue"),
    ];
    let begin = || talk(begin(ready_lmtp(), &["a@x.test", "b@x.test", "c@x.test"], group), &to_data).0;
    let ended = talk(begin(), &[("452 4.2.2 full", "finished")]);
    check(ended, &["delivered 250", "Rcpt 550", "Eod 452"], true);
    check(talk(begin(), &[("421 bye", "finished")]), &["delivered 250", "Rcpt 550", "Eod 421"], false);
    assert_eq!(short(&begin().lost().unwrap()), ["delivered 250", "Rcpt 550", "lost Eod"]);
}

#[test]
fn lmtp_for_nobody_ends_the_connection() {
    let session = begin(ready_lmtp(), &["a@x.test"], "MAIL FROM:<anna@good.test>|RCPT TO:<a@x.test>|DATA");
    check(
        talk(session, &[("250 ok", "continue"), ("550 no", "continue"), ("354 go", "finished")]),
        &["Rcpt 550"],
        false,
    );
    // No HELO in LMTP.
    let hello = Hello { protocol: Protocol::Lmtp, ..hello(StartTls::Never) };
    talk(ClientSession::open(hello), &[("220 lmtp", "LHLO relay.example.org"), ("500 what", "Refused")]);
}

#[test]
fn requiretls_goes_only_to_a_server_that_offers_it() {
    let to = address("a@x.test");
    let options = MailOptions { require_tls: true, ..MailOptions::default() };
    let recipients = [plain(&to)];
    let plan = Plan { options: &options, ..plan(None, &recipients, 1) };
    let (_, step) = ready(ALL).begin(plan);
    let Do::Finished(results) = step else { panic!("{step:?}") };
    assert_eq!((short(&results), results.reusable), (vec!["RequireTls".to_owned()], true));
    let (_, step) = ready("250-REQUIRETLS\n").begin(plan);
    assert_eq!(step, Do::Send(b"MAIL FROM:<> REQUIRETLS\r\n".to_vec()));
}

#[test]
fn a_password_waits_for_tls() {
    let login = |passwords| Login {
        user: "user".into(),
        password: "pencil".to_owned().into(),
        nonce: "fyko+d2lbbFgONRv9qkxdawL".into(),
        passwords,
    };
    let open = |starttls, passwords| ClientSession::open(Hello { login: Some(login(passwords)), ..hello(starttls) });
    let ehlo = ("220 hi", "EHLO relay.example.org");
    let plain = ("250-mx\n250 AUTH PLAIN", "AUTH PLAIN AHVzZXIAcGVuY2ls");
    talk(open(StartTls::Never, Passwords::EvenInClear), &[ehlo, plain, ("235 ok", "ready")]);
    talk(open(StartTls::Never, Passwords::EvenInClear), &[ehlo, plain, ("535 no", "NoLogin")]);
    talk(open(StartTls::Never, Passwords::InTls), &[ehlo, ("250-mx\n250 AUTH PLAIN", "NoLogin")]);
    talk(open(StartTls::Never, Passwords::EvenInClear), &[ehlo, ("250-mx\n250 AUTH GSSAPI", "NoLogin")]);
    let offer = ("250-mx\n250-AUTH PLAIN\n250 STARTTLS", "STARTTLS");
    let session = talk(open(StartTls::Required, Passwords::InTls), &[ehlo, offer, ("220 go", "starttls")]).0;
    let session = session.tls_started().0;
    talk(session, &[plain, ("235 ok", "ready")]);
    let encrypted = Hello { login: Some(login(Passwords::InTls)), ..hello(StartTls::Never) };
    talk(ClientSession::open_encrypted(encrypted), &[ehlo, plain, ("235 ok", "ready")]);
}

#[test]
fn what_was_asked_for_the_mail_goes_to_servers_that_offer_dsn() {
    let options = MailOptions::from_stored(Some("RET=HDRS ENVID=a+2Bb")).unwrap();
    let asked = RcptOptions::from_stored(Some("NOTIFY=SUCCESS ORCPT=utf-8;\\x{E9}@y.test")).unwrap();
    let to = address("a@x.test");
    let recipients = [Rcpt { path: &to, options: &asked }, plain(&to)];
    let plan = Plan { options: &options, ..plan(None, &recipients, 1) };
    let (_, step) = ready("250-PIPELINING\n250-DSN\n").begin(plan);
    let want = "MAIL FROM:<> RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<a@x.test> NOTIFY=SUCCESS ORCPT=utf-8;\\x{E9}@y.test\r\n\
                RCPT TO:<a@x.test>\r\nDATA\r\n";
    assert_eq!(step, Do::Send(want.as_bytes().to_vec()));
    let (_, step) = ready("").begin(plan);
    assert_eq!(step, Do::Send(b"MAIL FROM:<>\r\n".to_vec()));
}

#[test]
fn a_domain_beyond_ascii_goes_as_the_dns_has_it_where_smtputf8_is_not_spoken() {
    let offers = "250-PIPELINING\n";
    let want = "MAIL FROM:<anna@good.test>|RCPT TO:<a@xn--exmple-cua.test>|DATA";
    begin(ready(offers), &["a@exämple.test"], want);
    let offers = "250-PIPELINING\n250-SMTPUTF8\n";
    begin(ready(offers), &["a@exämple.test"], "MAIL FROM:<anna@good.test> SMTPUTF8|RCPT TO:<a@exämple.test>|DATA");
}
