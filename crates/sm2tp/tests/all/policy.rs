//! What the policy service says besides yes and no, with a real Postfix: hold all of it, send it another way, add a field.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::beside::{refusal, sockets};
use crate::client::{Client, exchange};
use crate::mta::Postfix;
use crate::node::Node;
use crate::peers::{federation, peer};
use crate::programs::{run, try_swaks};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A Postfix that asks at each stage, and gives its mail to the sink.
fn postfix(sockets: &Path, sink: &Sink) -> Postfix {
    let ask =
        format!("check_policy_service {{ unix:{}/policy.sock, timeout=5s, default_action=DUNNO }}", sockets.display());
    Postfix::start(
        "relay.senders.test",
        &format!(
            "smtpd_recipient_restrictions = {ask}, permit_mynetworks, reject\n\
             smtpd_data_restrictions = {ask}\nsmtpd_end_of_data_restrictions = {ask}\n\
             smtpd_delay_open_until_valid_rcpt = no\nrelayhost = [127.0.0.1]:{}\n",
            sink.address.port()
        ),
    )
}

fn send(postfix: &Postfix, to: &str) {
    assert_eq!(refusal(&postfix.address.to_string(), to), "");
}

fn dsn(recipient: &str, header: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.recipients.test\nTo: <returns@returns.test>\nSubject: Undelivered\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n\nSorry.\n--x\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.recipients.test\n\n\
         Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n\
         Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: User unknown\n\n--x\nContent-Type: text/rfc822-headers\n\n{header}\n--x--\n"
    )
}

pub fn count(node: &Node, kind: &str) -> u64 {
    let answer = node.get("/api/v1/status");
    let json: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let counters = json["counters"].as_array().unwrap();
    counters.iter().filter(|counter| counter["kind"] == kind).map(|counter| counter["count"].as_u64().unwrap()).sum()
}

#[test]
fn mail_of_a_slow_sender_leaves_postfix_by_the_slow_lane_of_the_relay() {
    let (sockets, sink, slow) = (sockets("postfix"), Sink::start(), free_address());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\nlisten_slow = [\"{slow}\"]\n\
         trusted_networks = [\"127.0.0.1\"]\n[relay]\nsmarthost = \"{}\"\n[watch]\nmode = \"enforce\"\n\
         [policy]\nlisten = [\"unix:{}/policy.sock\"]\nfilter = [{{ to = \"smtp:[127.0.0.1]:{}\", senders = \"slow\" }}]\n",
        sink.address,
        sockets.path().display(),
        slow.port()
    ));
    let postfix = postfix(sockets.path(), &sink);
    send(&postfix, "anna@recipients.test");
    let anna = sink.mail_to("anna@recipients.test").text();
    assert!(!anna.contains("(SM2TP)"), "a sender that is normal goes Postfix's own way: {anna}");

    node.ask(&["sender", "slow", "a@senders.test", "--org", "local", "--note", "looks odd"]);
    // One mail a minute leaves the slow lane: of two, one waits in it.
    send(&postfix, "bob@recipients.test");
    let bob = sink.mail_to("bob@recipients.test").text();
    assert!(bob.contains("by relay.example.org (SM2TP)"), "{bob}");
    send(&postfix, "carl@recipients.test");
    wait_until("it waits in the slow lane", LONG, || {
        let queue = node.queue();
        queue.len() == 1 && queue[0]["recipient"] == "carl@recipients.test" && queue[0]["lane"] == "slow"
    });
    assert!(postfix.log().contains("filter: END-OF-MESSAGE from"), "{}", postfix.log());

    node.ask(&["sender", "block", "a@senders.test", "--org", "local"]);
    let said = refusal(&postfix.address.to_string(), "dora@recipients.test");
    assert!(
        said.starts_with("450 4.7.1 <dora@recipients.test>: Recipient address rejected: mail of this sender"),
        "{said}"
    );
}

#[test]
fn a_mail_that_postfix_sends_through_the_relay_counts_once_against_limits() {
    let (sockets, sink, smtp) = (sockets("postfix"), Sink::start(), free_address());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"{smtp}\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nsmarthost = \"{}\"\n[policy]\nlisten = [\"unix:{}/policy.sock\"]\n\
         filter = [{{ to = \"smtp:[127.0.0.1]:{}\", orgs = [\"local\"] }}]\n",
        sink.address,
        sockets.path().display(),
        smtp.port()
    ));
    node.ask(&["org", "limits", "local", "--rate-mails", "2/d", "--rate-recipients", "2/d"]);
    let postfix = postfix(sockets.path(), &sink);
    for to in ["anna@recipients.test", "bob@recipients.test"] {
        send(&postfix, to);
        let mail = sink.mail_to(to).text();
        assert!(mail.contains("by relay.example.org (SM2TP)"), "{mail}");
    }
    let said = refusal(&postfix.address.to_string(), "carl@recipients.test");
    assert!(said.contains("may send 2 mails a day"), "{said}");
    // Who comes to the relay without Postfix is counted there.
    let mut direct = Client::greet(smtp).unwrap();
    direct.say("MAIL FROM:<a@senders.test>", "450 4.7.1").unwrap();
}

#[test]
fn a_prepended_token_is_in_the_delivered_mail_and_brings_the_bounce_home() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let postfix = postfix(sockets.path(), &sink);
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[http]\nlisten = [\"127.0.0.1:0\"]\n[returns]\ndomain = \"returns.test\"\n\
         [policy]\nlisten = [\"unix:{}/policy.sock\"]\ntrace = \"on\"\n\
         [logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n",
        sockets.path().display(),
        postfix.dir().join("maillog").display()
    ));
    send(&postfix, "gone@recipients.test");
    let mail = sink.mail_to("gone@recipients.test");
    let text = mail.text();
    let header = text.split_once("\r\n\r\n").unwrap().0.replace("\r\n", "\n");
    assert_eq!(header.matches("X-SM2TP-Ref: ").count(), 1, "{header}");
    assert_eq!(mail.from, "a@senders.test", "the return path is the sender's");
    // All recipients of a mail would see it, so only mail to one has it.
    send(&postfix, "anna@recipients.test,bob@recipients.test");
    assert!(!sink.mail_to("anna@recipients.test").text().contains("X-SM2TP-Ref"));

    wait_until("the log was read", LONG, || count(&node, "delivered") == 3);
    assert_eq!(node.decision("gone@recipients.test", "bulk")["decision"], "send");
    let (folder, report) = (Folder::new("report"), dsn("gone@recipients.test", &header));
    let path = folder.write("report.eml", &report).display().to_string();
    let taken = node.run(&["report", "--take", &path]);
    assert_eq!(taken.exit, 0, "{}{}", taken.stdout, taken.stderr);
    wait_until("it is counted", LONG, || count(&node, "returned") == 1);
    let decision = node.decision("gone@recipients.test", "bulk");
    assert_eq!((decision["decision"].as_str(), decision["rule"].as_str()), (Some("refuse"), Some("own-hard")));
    // The sender had it in its own mailbox, from where it may have come here.
    assert!(node.queue().is_empty(), "{:?}", node.queue());
    // Without the token it changes nothing.
    let unproved = dsn("anna@recipients.test", "Subject: hello");
    let path = folder.write("other.eml", &unproved).display().to_string();
    assert_eq!(node.run(&["report", "--take", &path]).exit, 0);
    wait_until("it is seen", LONG, || count(&node, "unattributed") == 1);
    assert_eq!(node.decision("anna@recipients.test", "bulk")["decision"], "send");
}

#[test]
fn what_the_relay_would_hold_waits_in_postfix_where_the_administrator_wants_that() {
    let refused = |to: &str| to.starts_with("gone").then(|| "550 5.1.1 User unknown".to_owned());
    let (sockets, sink, at_a, at_b) = (sockets("postfix"), Sink::with(refused), free_address(), free_address());
    let a = Node::start(&format!(
        "hostname = \"relay-a.example.org\"\n[http]\nlisten = [\"{at_a}\"]\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
         trusted_networks = [\"127.0.0.1\"]\n[relay]\nsmarthost = \"{}\"\nroutes = {{ \"recipients.test\" = \"{}\" }}\n{}",
        sink.address,
        sink.address,
        federation(at_a)
    ));
    let b = Node::start(&format!(
        "hostname = \"relay-b.example.org\"\n[http]\nlisten = [\"{at_b}\"]\n\
         [policy]\nlisten = [\"unix:{}/policy.sock\"]\nstream = \"bulk\"\nheld = \"hold\"\n\
         [milter]\nlisten = [\"unix:{}/milter.sock\"]\nstream = \"bulk\"\nheld = \"hold\"\ndecide = \"on\"\n{}",
        sockets.path().display(),
        sockets.path().display(),
        federation(at_b)
    ));
    peer(&a, &b);
    let server = a.smtp().to_string();
    let said = try_swaks(&["--server", &server, "--from", "a@senders.test", "--to", "gone@recipients.test"]);
    assert_eq!(said.exit, 0, "{}{}", said.stdout, said.stderr);
    wait_until("B has heard of it", LONG, || b.decision("gone@recipients.test", "bulk")["decision"] == "hold");

    let postfix = postfix(sockets.path(), &Sink::start());
    send(&postfix, "gone@recipients.test");
    let log = postfix.log();
    let held = log.lines().find(|line| line.contains(": hold: RCPT from")).unwrap_or_else(|| panic!("{log}"));
    assert!(held.contains("sm2tp: 1 other mail hoster") && held.contains("to=<gone@recipients.test>"), "{held}");
    let queue = |postfix: &Postfix| run("postqueue", &["-c", &postfix.dir().display().to_string(), "-j"], "");
    let held = queue(&postfix);
    assert!(held.contains("\"queue_name\": \"hold\"") && held.contains("gone@recipients.test"), "{held}");

    let by_milter = Postfix::start(
        "relay.senders.test",
        &format!(
            "smtpd_recipient_restrictions = permit_mynetworks, reject\nsmtpd_milters = unix:{}/milter.sock\n",
            sockets.path().display()
        ),
    );
    send(&by_milter, "gone@recipients.test");
    let held = queue(&by_milter);
    assert!(held.contains("\"queue_name\": \"hold\"") && held.contains("gone@recipients.test"), "{held}");
}

#[test]
fn a_sender_that_blasts_through_postfix_is_slowed_and_blocked_at_its_door() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[watch]\nmode = \"enforce\"\n[policy]\nlisten = [\"unix:{}/policy.sock\"]\n",
        sockets.path().display()
    ));
    let postfix = postfix(sockets.path(), &sink);
    let mut client = Client::greet(postfix.address).unwrap();
    let mut blast =
        |n: usize| client.mail("a@senders.test", &[&format!("r{n}@recipients.test")], "Subject: x\r\n\r\nx");
    let refused = (0..300).find_map(|n| blast(n).err().map(|refusal| (n, refusal.to_string())));
    let (taken, refusal) = refused.expect("somebody slows it");
    // The second slow one; Postfix was asked at two stages, and each recipient counts once.
    assert!((53..56).contains(&taken), "{taken} {refusal}");
    assert!(refusal.contains("450 4.7.1") && refusal.contains("goes to one recipient a minute"), "{refusal}");
    // Postfix hangs up on a client that hears many errors.
    let blocked = (1000..1100).find_map(|n| {
        let mut again = Client::greet(postfix.address).unwrap();
        let heard = again.mail("a@senders.test", &[&format!("r{n}@recipients.test")], "Subject: x\r\n\r\nx");
        heard.err().map(|it| it.to_string()).filter(|it| it.contains("mail of this sender is stopped"))
    });
    assert!(blocked.is_some_and(|it| it.contains("450 4.7.1")));
    let shown = node.ask(&["sender", "show", "a@senders.test"]);
    assert_eq!(shown["evidence"]["level"], "blocked", "{shown}");
}

#[test]
fn mail_that_a_relay_alone_asks_about_is_watched_and_what_took_a_detour_to_it_counts_once() {
    let node = Node::start(
        "hostname = \"relay.example.org\"\n[watch]\nmode = \"enforce\"\n[policy]\nlisten = [\"127.0.0.1:0\"]\n\
         filter = [{ to = \"smtp:[127.0.0.1]:2525\", senders = \"slow\" }, { to = \"other:\", streams = [\"bulk\"] }]\n",
    );
    let ask = |sender: &str, context: &str, state: &str, n: usize| {
        let text = format!(
            "request=smtpd_access_policy\nprotocol_state={state}\ninstance={context}.{n}\nclient_address=127.0.0.1\n\
             policy_context={context}\nsender={sender}@site.test\nrecipient=r{n}@dest.test\nsize=100\n\n"
        );
        exchange(node.policy(), text.as_bytes())
    };
    // Programs send to the relay straight, and nobody else asks about their mail.
    let refused =
        (0..300).map(|n| ask("web", "relay", "RCPT", n)).position(|said| said.contains("one recipient a minute"));
    assert!(refused.is_some_and(|taken| (53..57).contains(&taken)), "{refused:?}");
    // What came in by another door, and is led to the relay, is asked about there and does not count again: 38 of them do not pass.
    for n in 0..30 {
        assert_eq!(ask("news", "bulk", "RCPT", n), "action=DUNNO\n\n", "{n}");
        assert_eq!(ask("news", "bulk", "END-OF-MESSAGE", n), "action=FILTER other:\n\n", "{n}");
        assert_eq!(ask("news", "relay", "RCPT", n), "action=DUNNO\n\n", "{n}");
    }
    let shown = node.ask(&["sender", "show", "news@site.test"]);
    assert_eq!(shown["evidence"]["level"], "normal", "{shown}");
}
