//! A node beside a real Postfix and a real Exim, which ask it before they take a recipient and when an answer says "later".

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::mta::Postfix;
use crate::node::{Node, Said};
use crate::other_mtas::{Mta, folder};
use crate::programs::{run, try_swaks};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A folder whose sockets the group of a mail server may use, and others may not.
pub fn sockets(group: &str) -> Folder {
    let folder = folder();
    run("chgrp", &[group, &folder.path().display().to_string()], "");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o2750)).unwrap();
    folder
}

/// A node that has no door but these; `gone@recipients.test` is on its list.
fn node(sockets: &Path) -> Node {
    let dir = sockets.display();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[policy]\nlisten = [\"127.0.0.1:0\", \"unix:{dir}/policy.sock\"]\n\
         [socketmap]\nlisten = [\"unix:{dir}/map.sock\"]\n"
    ));
    node.run(&["suppress", "add", "gone@recipients.test", "--note", "left the association"]);
    node
}

fn postfix(sockets: &Path, sink: &Sink) -> Postfix {
    let (dir, sink) = (sockets.display(), sink.address.port());
    let ask = format!("check_policy_service {{ unix:{dir}/policy.sock, timeout=5s, default_action=DUNNO }}");
    Postfix::start(
        "relay.senders.test",
        &format!(
            "smtpd_recipient_restrictions = {ask}, permit_mynetworks, reject\n\
             smtpd_end_of_data_restrictions = {ask}\n\
             smtpd_delay_open_until_valid_rcpt = no\n\
             smtp_delivery_status_filter = socketmap:unix:{dir}/map.sock:dsn\n\
             relayhost = [127.0.0.1]:{sink}\n"
        ),
    )
}

/// What a client hears about this recipient; empty where it is taken.
pub fn refusal(server: &str, to: &str) -> String {
    let said = try_swaks(&["--server", server, "--from", "a@senders.test", "--to", to]);
    let refused = said.stdout.lines().find(|line| line.starts_with("<** "));
    assert_eq!(said.exit == 0, refused.is_none(), "{}{}", said.stdout, said.stderr);
    refused.unwrap_or_default().trim_start_matches("<** ").to_owned()
}

#[test]
fn postfix_refuses_whom_the_node_stops_and_goes_on_without_it() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let mut node = node(sockets.path());
    let postfix = postfix(sockets.path(), &sink);
    let server = postfix.address.to_string();

    let refused = "550 5.7.1 <gone@recipients.test>: Recipient address rejected: not sent: ";
    let said = refusal(&server, "gone@recipients.test");
    assert!(said.starts_with(refused), "{said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    sink.mail_to("anna@recipients.test");

    node.kill();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "a node that is down stops nothing (I8)");
    node.serve();
    // Postfix tries the connection that died once more before it makes a new one.
    wait_until("Postfix asks again", LONG, || refusal(&server, "gone@recipients.test").starts_with(refused));
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

#[test]
fn a_later_that_means_never_is_a_rejection_in_postfix_at_once_and_without_the_node_it_stays_a_later() {
    let laposte = "421 4.2.1 Service refuse. Veuillez essayer plus tard. LPN007_510";
    let greylisted = "451 4.7.1 Greylisted, please try again in 300 seconds";
    let sink = Sink::with(move |to| match to {
        "spam@recipients.test" => Some(laposte.to_owned()),
        "grey@recipients.test" => Some(greylisted.to_owned()),
        _ => None,
    });
    let sockets = sockets("postfix");
    let mut node = node(sockets.path());
    let postfix = postfix(sockets.path(), &sink);
    let message = "From: a@senders.test\nSubject: Hello\n\nHello.\n";
    let result = |to: &str| {
        let log = postfix.log();
        let line = log.lines().find(|line| line.contains(&format!("to=<{to}>")) && line.contains("status="))?;
        Some(line.split_once("dsn=").unwrap().1.to_owned())
    };
    postfix.sendmail("a@senders.test", &["grey@recipients.test"], message);
    postfix.sendmail("a@senders.test", &["spam@recipients.test"], message);
    wait_until("both were tried", LONG, || {
        result("grey@recipients.test").is_some() && result("spam@recipients.test").is_some()
    });
    let spam = result("spam@recipients.test").unwrap();
    assert!(
        spam.starts_with("5.2.1, status=bounced (sm2tp: message refused, the address is valid (laposte-"),
        "{spam}"
    );
    let grey = result("grey@recipients.test").unwrap();
    assert!(grey.starts_with("4.7.1, status=deferred (host 127.0.0.1[127.0.0.1] said: 451 4.7.1 Greylisted"), "{grey}");

    node.kill();
    postfix.sendmail("a@senders.test", &["spam@recipients.test"], &message.replace("Hello", "Again"));
    wait_until("Postfix keeps its own status", LONG, || {
        let log = postfix.log();
        log.lines().any(|line| line.contains("to=<spam@recipients.test>") && line.contains("status=deferred (host"))
    });
}

#[test]
fn postfix_is_set_up_by_one_command_and_put_back_by_another() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let node = node(sockets.path());
    let plain = format!(
        "smtpd_relay_restrictions = permit_mynetworks, reject\nrelayhost = [127.0.0.1]:{}\n",
        sink.address.port()
    );
    let postfix = Postfix::start("relay.senders.test", &plain);
    let (server, dir) = (postfix.address.to_string(), postfix.dir().display().to_string());
    let before = std::fs::read_to_string(postfix.dir().join("main.cf")).unwrap();
    let config = |more: &[&str]| node.ask(&[&["postfix", "config", "--dir", &dir][..], more].concat());

    let printed = config(&[]);
    assert_eq!((printed["changes"].as_array().unwrap().len(), &printed["applied"]), (4, &false.into()), "{printed}");
    assert_eq!(std::fs::read_to_string(postfix.dir().join("main.cf")).unwrap(), before, "only printed");
    assert_eq!(config(&["--apply"])["applied"], true);
    assert_eq!(config(&["--apply"])["changes"], serde_json::json!([]), "once is enough");
    let mode = std::fs::metadata(postfix.dir().join("main.cf")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644, "Postfix itself must read it");
    postfix.reload();
    wait_until("Postfix asks", LONG, || refusal(&server, "gone@recipients.test").starts_with("550 5.7.1"));

    let undone = config(&["--undo"]);
    assert_eq!((undone["undone"].as_array().unwrap().len(), &undone["left"]), (4, &serde_json::json!([])), "{undone}");
    postfix.reload();
    wait_until("Postfix does not ask", LONG, || refusal(&server, "gone@recipients.test").is_empty());
    let settings = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(settings(&std::fs::read_to_string(postfix.dir().join("main.cf")).unwrap()), settings(&before));
    let said = node.run(&["postfix", "config", "--dir", &dir, "--undo"]);
    assert_eq!(said.exit, 65, "{}{}", said.stdout, said.stderr);
}

#[test]
fn lists_of_master_cf_with_spaces_in_them_come_back_as_they_were() {
    let sockets = sockets("postfix");
    let node = node(sockets.path());
    let postfix = Postfix::start("relay.senders.test", "");
    let dir = postfix.dir().display().to_string();
    let master = postfix.dir().join("master.cf");
    let submission = "submission inet n - n - - smtpd\n  -o syslog_name=postfix/submission\n  \
        -o { smtpd_recipient_restrictions = permit_mynetworks,\n    check_policy_service { inet:127.0.0.1:9, default_action = 451 4.3.5 no }, reject }\n  \
        -o smtpd_milters=\n";
    std::fs::write(&master, format!("{}{submission}", std::fs::read_to_string(&master).unwrap())).unwrap();
    let services = || run("postconf", &["-c", &dir, "-P"], "");
    let before = services();
    assert!(before.contains("submission/inet/smtpd_recipient_restrictions = permit_mynetworks, check"), "{before}");

    let config = |more: &str| node.ask(&["postfix", "config", "--dir", &dir, more]);
    assert_eq!(config("--apply")["applied"], true);
    assert!(services().contains("submission/inet/smtpd_recipient_restrictions = $sm2tp_"), "{}", services());
    let undone = config("--undo");
    assert_eq!(undone["left"], serde_json::json!([]), "{undone}");
    assert_eq!(services(), before);
    let main = std::fs::read_to_string(postfix.dir().join("main.cf")).unwrap();
    assert!(!main.contains("sm2tp_"), "{main}");
    postfix.reload();
}

#[test]
fn a_relay_of_its_own_is_made_and_taken_away_but_never_with_mail_in_it() {
    let (folder, node) = (folder(), Node::prepare("hostname = \"relay.example.org\"\n[policy]\n"));
    let at = |name: &str| folder.join(name).display().to_string();
    let (dir, queue, data) = (at("postfix-relay"), at("queue"), at("data"));
    let listen = free_address().to_string();
    let words = ["postfix", "relay", "--dir", &dir, "--listen", &listen, "--queue", &queue, "--data", &data];
    let relay = |more: &str| node.run(&[&words[..], &[more]].concat());
    #[track_caller]
    fn refused(said: &Said, exit: i32, why: &str) {
        assert!(said.exit == exit && said.stderr.contains(why), "{} {}{}", said.exit, said.stdout, said.stderr);
    }
    refused(&relay("--undo"), 65, "nothing was made here");
    assert_eq!(relay("--apply").exit, 0);
    refused(&relay("--apply"), 65, "is there already");
    let main = folder.join("postfix-relay/main.cf");
    let text = std::fs::read_to_string(&main).unwrap();
    assert!(text.contains("\nsmtpd_authorized_xforward_hosts = 127.0.0.0/8 [::1]/128\n"), "{text}");
    std::fs::write(&main, format!("{text}biff = yes\n")).unwrap();
    refused(&relay("--undo"), 65, "was changed since");
    std::fs::write(&main, &text).unwrap();

    run("sendmail", &["-C", &dir, "-f", "a@senders.test", "anna@recipients.test"], "Subject: x\n\ny\n");
    refused(&relay("--undo"), 75, "1 mails wait");
    run("postsuper", &["-c", &dir, "-d", "ALL", "maildrop"], "");
    let undone = relay("--undo");
    assert_eq!(undone.exit, 0, "{}{}", undone.stdout, undone.stderr);
    for gone in [&dir, &queue, &data] {
        assert!(!Path::new(gone).exists(), "{gone}\n{}", undone.stdout);
    }
}

#[test]
fn exim_refuses_whom_the_node_stops_and_goes_on_without_it() {
    let (sockets, sink, address) = (sockets("Debian-exim"), Sink::start(), free_address());
    let mut node = node(sockets.path());
    let printed = node.ask(&["exim", "config"]);
    let file = |index: usize| printed["files"][index]["text"].as_str().unwrap().to_owned();
    let sink_port = sink.address.port().to_string();
    let text = EXIM.replace("{main}", &file(0)).replace("{acl}", &file(1)).replace("{sink}", &sink_port);
    let _exim = Mta::exim_with(address, &text);
    let server = address.to_string();
    let said = refusal(&server, "gone@recipients.test");
    // Exim folds long texts into several lines of a reply.
    assert!(said.starts_with("550-5.7.1 not sent: "), "{said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    sink.mail_to("anna@recipients.test");
    node.kill();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "a node that is down stops nothing (I8)");
}

#[test]
fn what_postfix_logs_of_a_french_provider_stops_the_next_mail_at_its_door() {
    let refused = "550 5.5.0 Adresse d au moins un destinataire invalide. Invalid recipient. OFR204_416 [416]";
    let sink = Sink::with(move |to| to.starts_with("gone").then(|| refused.to_owned()));
    let sockets = sockets("postfix");
    let postfix = postfix(sockets.path(), &sink);
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[policy]\nlisten = [\"unix:{}/policy.sock\"]\n\
         [logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n",
        sockets.path().display(),
        postfix.dir().join("maillog").display()
    ));
    let server = postfix.address.to_string();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "nothing is known of it yet");
    let stopped = "550 5.5.0 <gone@recipients.test>: Recipient address rejected: not sent: earlier mail to this address was refused";
    wait_until("the log was read", LONG, || refusal(&server, "gone@recipients.test").starts_with(stopped));

    // What is written while the node is down is read later.
    node.kill();
    assert_eq!(refusal(&server, "gone.too@recipients.test"), "");
    wait_until("Postfix has tried", LONG, || postfix.log().contains("to=<gone.too@recipients.test>"));
    node.serve();
    wait_until("the rest was read", LONG, || node.decision("gone.too@recipients.test", "bulk")["decision"] == "refuse");
}

#[test]
fn a_log_is_followed_over_rotation_and_truncation_and_half_lines() {
    let folder = Folder::new("log");
    let path = folder.join("mail.log");
    let time = run("date", &["-u", "+%Y-%m-%dT%H:%M:%S+00:00"], "");
    let line = |n: usize| {
        format!(
            "{} vm postfix/smtp[1]: 4jX8763w{n}: to=<gone{n}@dest.test>, relay=mx.dest.test[192.0.2.1]:25, delay=1, \
             delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.dest.test[192.0.2.1] said: 550 5.1.1 User unknown (in reply to \
             RCPT TO command))\n",
            time.trim()
        )
    };
    let append = |text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    append(&line(1));
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[logs]\nfollow = [{{ format = \"postfix\", path = \"{}\" }}]\n",
        path.display()
    ));
    let knows = |node: &Node, n: usize| node.decision(&format!("gone{n}@dest.test"), "bulk")["decision"] == "refuse";
    let events = |node: &Node| node.ask(&["ledger", "rebuild"])["events"].as_u64().unwrap();
    wait_until("the first line", LONG, || knows(&node, 1));
    let of_one_line = events(&node);
    let two = line(2);
    append(&two[..100]);
    append(&two[100..]);
    wait_until("a line in two pieces", LONG, || knows(&node, 2));
    // Renamed, with a last line that was written to the old file after that.
    std::fs::rename(&path, folder.join("mail.log.1")).unwrap();
    let mut old = std::fs::OpenOptions::new().append(true).open(folder.join("mail.log.1")).unwrap();
    std::io::Write::write_all(&mut old, line(3).as_bytes()).unwrap();
    append(&line(4));
    wait_until("both files", LONG, || knows(&node, 3) && knows(&node, 4));
    // After a start the end of the file is read once more, for who sent what; nothing counts twice.
    let before = events(&node);
    node.kill();
    append(&line(5));
    node.serve();
    wait_until("what was written meanwhile", LONG, || knows(&node, 5));
    assert_eq!(events(&node), before + of_one_line);
    // Cut in its place, as copytruncate does.
    std::fs::write(&path, "").unwrap();
    wait_until("the cut was seen", LONG, || {
        append(&line(6));
        knows(&node, 6)
    });
    let explained = node.ask(&["explain", "gone1@dest.test"]);
    assert_eq!(explained["own"]["reply"], "550 5.1.1 User unknown", "{explained}");
}

/// Around an own ACL that takes everything, as Debian's takes what logged in.
const EXIM: &str = r"
{main}
acl_smtp_rcpt = MAIN_ACL_CHECK_RCPT
acl_smtp_data = acl_data
begin acl
{acl}
acl_check_rcpt:
  accept
acl_data:
  accept
begin routers
to_sink:
  driver = manualroute
  route_list = * 127.0.0.1::{sink}
  transport = remote_smtp
  self = send
begin transports
remote_smtp:
  driver = smtp
begin retry
* * F,2h,1s
";
