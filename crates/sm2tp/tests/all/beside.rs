//! A node beside a real Postfix and a real Exim, which ask it before they take a recipient and when an answer says "later".

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::mta::Postfix;
use crate::node::Node;
use crate::other_mtas::{Mta, folder};
use crate::programs::{run, try_swaks};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

/// A folder whose sockets the group of a mail server may use, and others may not.
fn sockets(group: &str) -> Folder {
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
fn refusal(server: &str, to: &str) -> String {
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
fn exim_refuses_whom_the_node_stops_and_goes_on_without_it() {
    let (sockets, sink, address) = (sockets("Debian-exim"), Sink::start(), free_address());
    let mut node = node(sockets.path());
    let text = EXIM
        .replace("{socket}", &sockets.join("policy.sock").display().to_string())
        .replace("{sink}", &sink.address.port().to_string());
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

/// As in docs/beside.md, around an own ACL that takes everything.
const EXIM: &str = r"
primary_hostname = exim.test
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/spool/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6 = true
exim_path = {exim}
exim_user = Debian-exim
exim_group = Debian-exim
host_lookup =
rfc1413_query_timeout = 0s
never_users =
keep_environment =
tls_advertise_hosts =
SM2TP_POLICY = {socket}
acl_smtp_rcpt = acl_sm2tp_rcpt
acl_smtp_data = acl_data
begin acl
acl_sm2tp_rcpt:
  warn    set acl_m_sm2tp = ${readsocket{SM2TP_POLICY}{request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=$sender_host_address\nclient_name=$sender_host_name\nhelo_name=$sender_helo_name\nsender=$sender_address\nrecipient=$local_part@$domain\nsasl_username=$authenticated_id\nqueue_id=$message_exim_id\npolicy_context=exim\n\n}{2s}{ }{action=DUNNO}}
  deny    condition = ${if match{$acl_m_sm2tp}{\N^action=(?i)(?:reject|5\d\d)\s+(.*?)\s*$\N}}
          message   = ${sg{$acl_m_sm2tp}{\N^action=(?i)(reject\s*)?|\s+$\N}{}}
  defer   condition = ${if match{$acl_m_sm2tp}{\N^action=(?i)(?:defer\w*|4\d\d)\s+(.*?)\s*$\N}}
          message   = ${sg{$acl_m_sm2tp}{\N^action=(?i)(defer\w*\s*)?|\s+$\N}{}}
  require acl = acl_check_rcpt
  accept
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
