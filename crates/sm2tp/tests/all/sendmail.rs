//! A real Sendmail tells the milter its mail: recipients refused and left out, a return path of the node, and a node that is gone.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::beside::refusal;
use crate::node::{Node, said};
use crate::other_mtas::Mta;
use crate::programs::{need_root, program};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);
/// Where `scripts/other-mtas` unpacks it.
const ROOT: &str = "/opt/sm2tp-test-mtas/sendmail/usr";

/// A Sendmail that takes mail here, tells it to this milter and gives all of it to the sink.
#[track_caller]
fn sendmail(address: SocketAddr, milter: SocketAddr, sink: &Sink) -> Mta {
    need_root();
    let daemon = Path::new(ROOT).join("libexec/sendmail/sendmail");
    assert!(daemon.exists(), "{} is missing. Install it: scripts/other-mtas", daemon.display());
    let folder = Folder::new("sendmail");
    fs::create_dir(folder.join("queue")).unwrap();
    // No name of this machine is asked of the DNS.
    folder.write("switch", "hosts\tfiles\naliases\tfiles\n");
    folder.write("hosts", "127.0.0.1 relay.senders.test\n");
    let text = MACROS
        .replace("{cf}", &format!("{ROOT}/share/sendmail/cf"))
        .replace("{dir}", &folder.path().display().to_string())
        .replace("{port}", &address.port().to_string())
        .replace("{sink}", &sink.address.port().to_string())
        .replace("{milter}", &milter.port().to_string());
    let macros = folder.write("sendmail.mc", &text);
    let made = said(Command::new(program("m4")).arg(&macros), "");
    assert_eq!(made.exit, 0, "{}", made.stderr);
    let config = folder.write("sendmail.cf", &made.stdout);
    let mut command = Command::new(program("unshare"));
    // A host name without a dot keeps it waiting for a minute.
    command
        .args(["--uts", "sh", "-c", "hostname relay.senders.test && exec \"$0\" -bD -q1s -C \"$1\""])
        .args([&daemon, &config]);
    Mta::start("Sendmail", folder, &mut command, address)
}

#[test]
fn sendmail_refuses_or_leaves_out_whom_the_node_stops_and_goes_on_without_it() {
    let (sink, milter) = (Sink::start(), free_address());
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n[relay]\nsmarthost = \"{}\"\n\
         [returns]\ndomain = \"returns.test\"\n[milter]\nlisten = [\"{milter}\"]\n",
        sink.address
    ));
    node.ask(&["suppress", "add", "gone@recipients.test", "--note", "left"]);
    node.ask(&["org", "returns", "local", "--return-path", "node"]);
    let address = free_address();
    let _sendmail = sendmail(address, milter, &sink);
    let server = address.to_string();
    let said = refusal(&server, "gone@recipients.test");
    assert!(said.starts_with("550 5.7.1 ") && said.contains("... not sent: "), "{said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    let anna = sink.mail_to("anna@recipients.test");
    let token = anna.from.strip_suffix("@returns.test").unwrap_or_else(|| panic!("{}", anna.from));
    assert!(anna.text().contains(&format!("X-SM2TP-Ref: {token}")), "{}", anna.text());

    node.ask(&["org", "suppression", "local", "--stopped", "report"]);
    assert_eq!(refusal(&server, "gone@recipients.test,bob@recipients.test"), "");
    assert_eq!(sink.mail_to("bob@recipients.test").to, ["bob@recipients.test"]);
    assert!(sink.mail_to("a@senders.test").text().contains("Final-Recipient: rfc822; gone@recipients.test"));

    node.kill();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "a node that is down stops nothing (I8)");
    assert_eq!(sink.mail_to("gone@recipients.test").from, "a@senders.test");
    node.serve();
    node.ask(&["org", "suppression", "local", "--stopped", "refuse"]);
    wait_until("it is asked again", LONG, || refusal(&server, "gone@recipients.test").starts_with("550 5.7.1 "));
    assert!(!node.log().contains("ERROR"), "{}", node.log());
}

const MACROS: &str = "\
divert(-1)
define(`_CF_DIR_', `{cf}/')
divert(0)dnl
include(`{cf}/m4/cf.m4')
OSTYPE(`linux')dnl
define(`QUEUE_DIR', `{dir}/queue')dnl
define(`confPID_FILE', `{dir}/pid')dnl
define(`STATUS_FILE', `{dir}/statistics')dnl
define(`HELP_FILE', `')dnl
define(`ALIAS_FILE', `')dnl
define(`confCW_FILE', `-o {dir}/none')dnl
define(`confCT_FILE', `-o {dir}/none')dnl
define(`confHOST_STATUS_DIRECTORY', `')dnl
define(`confSERVICE_SWITCH_FILE', `{dir}/switch')dnl
define(`confHOSTS_FILE', `{dir}/hosts')dnl
define(`confDOMAIN_NAME', `relay.senders.test')dnl
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe')dnl
define(`confTO_IDENT', `0')dnl
define(`confDELIVERY_MODE', `i')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {sink}')dnl
DAEMON_OPTIONS(`Port={port}, Addr=127.0.0.1, Name=MTA')dnl
INPUT_MAIL_FILTER(`sm2tp', `S=inet:{milter}@127.0.0.1, T=C:5s;S:10s;R:10s;E:30s')dnl
MAILER(smtp)dnl
";
