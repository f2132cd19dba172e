//! Lists as files: written when they change, read by a real Postfix and a real Exim, also while the node is down.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::beside::{refusal, sockets};
use crate::mta::Postfix;
use crate::node::{Node, said};
use crate::programs::{program, run};
use crate::sink::Sink;
use crate::wait::{Folder, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A node that follows the log of this Postfix and writes files here.
fn node(dir: &Path, log: &Path) -> Node {
    Node::start(&format!(
        "hostname = \"relay.example.org\"\n[logs]\nfollow = [{{ format = \"postfix\", path = {log:?} }}]\n\
         [relay]\nroutes = {{ \"dest.test\" = \"192.0.2.25:2601\", \"inside.test\" = \"lmtp://127.0.0.1:24\" }}\n\
         [exports]\ndir = {dir:?}\nevery = \"1s\"\npostmap = \"lmdb\"\n\
         files = [\"suppress.cdb\", \"suppress.txt\", \"suppress.csv\", \"suppress.json\", \"logins.cdb\", \"senders.txt\", \
         \"transport.cdb\", \"transport-exim.cdb\"]\n"
    ))
}

/// What postmap(1) finds; none: nothing.
fn found(table: &str, key: &str) -> Option<String> {
    let said = said(Command::new(program("postmap")).args(["-q", key, table]), "");
    assert!(said.stderr.is_empty(), "postmap -q {key} {table}: {}", said.stderr);
    (said.exit == 0).then(|| said.stdout.trim().to_owned())
}

/// A configuration of Exim in this folder.
fn exim_config(folder: &Folder, text: &str) -> String {
    let text = format!("log_file_path = {}/%slog\n{text}", folder.path().display());
    folder.write("exim.conf", &text).display().to_string()
}

/// What Exim finds.
fn exim(config: &str, file: &Path, key: &str) -> String {
    let asked = format!("${{lookup{{{key}}}cdb{{{}}}{{$value}}{{nothing}}}}", file.display());
    run("exim4", &["-C", config, "-be", &asked], "").trim().to_owned()
}

#[test]
fn postfix_and_exim_refuse_whom_a_file_names_while_the_node_is_down() {
    let refused = "550 5.1.1 No such user here";
    let sink = Sink::with(move |to| to.starts_with("gone").then(|| refused.to_owned()));
    let maps = sockets("postfix");
    let dir = maps.path().display().to_string();
    // Postfix does not start without a table that its configuration names.
    let (relay, file) = (format!("relayhost = [127.0.0.1]:{}\n", sink.address.port()), format!("cdb:{dir}/suppress"));
    let logged = Postfix::start("logged.senders.test", &relay);
    let mut node = node(maps.path(), &logged.dir().join("maillog"));
    let written = node.ask(&["suppress", "export", "--files"]);
    assert_eq!(written.as_array().unwrap().len(), 8, "{written}");
    let asking = format!("smtpd_recipient_restrictions = check_recipient_access {file}, permit_mynetworks, reject\n");
    let postfix = Postfix::start("relay.senders.test", &format!("{relay}{asking}"));
    let server = postfix.address.to_string();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "nothing is known of it yet");

    assert_eq!(refusal(&logged.address.to_string(), "gone@recipients.test"), "");
    let value = "550 5.1.1 not sent: earlier mail to this address was refused";
    wait_until("the file", LONG, || found(&file, "gone@recipients.test").is_some_and(|found| found.starts_with(value)));
    let line = found(&file, "gone@recipients.test").unwrap();
    for other in [format!("lmdb:{dir}/suppress.txt"), format!("texthash:{dir}/suppress.txt")] {
        wait_until(&other, LONG, || found(&other, "gone@recipients.test").as_ref() == Some(&line));
    }
    let folder = Folder::new("exim");
    let config = exim_config(&folder, "");
    assert_eq!(exim(&config, &maps.join("suppress.cdb"), "gone@recipients.test"), line);
    assert_eq!(exim(&config, &maps.join("suppress.cdb"), "anna@recipients.test"), "nothing");
    let mode = std::fs::metadata(maps.join("suppress.cdb")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "addresses in clear, for the group of the folder alone");

    node.kill();
    let says = "550 5.1.1 <gone@recipients.test>: Recipient address rejected: not sent: earlier mail";
    // It looks once in a while whether a table has changed.
    wait_until("Postfix refuses it", LONG, || refusal(&server, "gone@recipients.test").starts_with(says));
    assert_eq!(refusal(&server, "anna@recipients.test"), "");

    node.serve();
    node.ask(&["suppress", "remove", "gone@recipients.test", "--note", "it works again"]);
    wait_until("it is off the file", LONG, || found(&file, "gone@recipients.test").is_none());
    let in_words = node.run(&["suppress", "export", "--files"]).stdout;
    assert!(in_words.contains("suppress.cdb") && in_words.contains("as it was, 0 entries"), "{in_words}");
}

#[test]
fn files_name_stopped_senders_and_routes_and_never_a_tag() {
    let folder = Folder::new("maps");
    let maps = folder.join("made");
    let node = node(&maps, &folder.join("mail.log"));
    node.add_login("shop", "correct horse", "asso.test", "bulk");
    node.ask(&["suppress", "add", "gone@recipients.test", "--note", "nobody wrote to it"]);
    node.ask(&["sender", "block", "shop", "--note", "a stolen password"]);
    node.ask(&["sender", "block", "Form@asso.test", "--org", "local", "--note", "a contact form"]);
    let written = node.ask(&["suppress", "export", "--files"]);
    let dir = maps.display().to_string();
    let of = |name: &str| written.as_array().unwrap().iter().find(|file| file["file"] == name).unwrap().clone();
    // It is known as a tag alone, which is no address.
    assert_eq!((&of("suppress.cdb")["entries"], &of("logins.cdb")["entries"]), (&0.into(), &2.into()), "{written}");
    assert_eq!(std::fs::read_to_string(maps.join("suppress.csv")).unwrap(), "key,value,why,until\n");
    assert_eq!(
        std::fs::read_to_string(maps.join("suppress.json")).unwrap().split_whitespace().collect::<String>(),
        "[]"
    );
    let stopped = "450 4.7.1 mail of this sender is stopped";
    assert!(found(&format!("cdb:{dir}/logins"), "shop").unwrap().starts_with(stopped));
    assert!(found(&format!("lmdb:{dir}/senders.txt"), "form@asso.test").unwrap().starts_with(stopped));
    assert_eq!(found(&format!("lmdb:{dir}/senders.txt"), "shop"), None, "a login is no address");

    let transport = format!("cdb:{dir}/transport");
    assert_eq!(found(&transport, "dest.test").as_deref(), Some("smtp:[192.0.2.25]:2601"));
    assert_eq!(found(&transport, "inside.test").as_deref(), Some("lmtp:[127.0.0.1]:24"));
    assert_eq!(of("transport-exim.cdb")["left_out"], 1, "Exim needs a transport of its own for LMTP");
    let config = exim_config(&folder, &EXIM.replace("{file}", &format!("{dir}/transport-exim.cdb")));
    let routed = run("exim4", &["-C", &config, "-bt", "anna@dest.test"], "");
    assert!(routed.contains("host 192.0.2.25") && routed.contains("port=2601"), "{routed}");
    node.ask(&["sender", "release", "shop"]);
    wait_until("it may write again", LONG, || found(&format!("cdb:{dir}/logins"), "shop").is_none());
}

#[test]
fn the_socketmap_answers_for_addresses_and_routes_only_where_it_is_told_to() {
    let node = |tables: &str| {
        Node::start(&format!(
            "hostname = \"relay.example.org\"\n[relay]\nroutes = {{ \"dest.test\" = \"192.0.2.25:2601\" }}\n\
             [socketmap]\nlisten = [\"127.0.0.1:0\"]\n{tables}\n"
        ))
    };
    let asking = node("tables = [\"access\", \"routes\"]");
    for node in [&asking, &node("")] {
        node.ask(&["suppress", "add", "gone@recipients.test", "--note", "left"]);
        let table = |name: &str, key: &str| found(&format!("socketmap:inet:{}:{name}", node.socketmap()), key);
        let is_told = std::ptr::eq(node, &asking);
        let refused = table("access", "Gone@Recipients.test");
        assert_eq!(refused.is_some_and(|refused| refused.starts_with("550 5.7.1 not sent: ")), is_told);
        assert_eq!(table("access", "anna@recipients.test"), None);
        assert_eq!(table("routes", "anna@dest.test").as_deref(), is_told.then_some("smtp:[192.0.2.25]:2601"));
        assert_eq!(table("routes", "*"), None);
    }
}

const EXIM: &str = "\
begin routers
by_the_node:
  driver = manualroute
  transport = remote
  self = send
  route_data = ${lookup{$domain}cdb{{file}}}
begin transports
remote:
  driver = smtp
";
