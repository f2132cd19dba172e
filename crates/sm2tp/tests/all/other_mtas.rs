//! Exim and OpenSMTPD on both sides of a node: what they send arrives, what they are sent they take or refuse.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::client::{Client, send};
use crate::node::Node;
use crate::programs::{need_root, program, run};
use crate::sink::Sink;
use crate::wait::{Folder, free_address, wait_for, wait_until};

/// A running mail server: mail for `through.test` it gives to the node, mail for `recipients.test` to the sink.
pub struct Mta {
    name: &'static str,
    folder: Folder,
    process: Child,
    /// Given back with the value.
    turn: Option<File>,
}

impl Mta {
    pub fn start(name: &'static str, folder: Folder, command: &mut Command, address: SocketAddr) -> Self {
        let log = File::create(folder.join("output")).unwrap();
        let process = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mta = Self { name, folder, process, turn: None };
        wait_until(&format!("{name} listens"), Duration::from_secs(20), || TcpStream::connect(address).is_ok());
        mta
    }

    fn exim(address: SocketAddr, node: SocketAddr, sink: SocketAddr) -> Self {
        let text = EXIM.replace("{node}", &node.port().to_string()).replace("{sink}", &sink.port().to_string());
        Self::exim_with(address, &text)
    }

    /// Exim with this configuration behind [`EXIM_MAIN`], in which places and ports are filled in.
    pub fn exim_with(address: SocketAddr, text: &str) -> Self {
        let (exim, folder) = (program("exim4"), folder());
        for name in ["spool", "log"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let dir = folder.path().display().to_string();
        run("chown", &["-R", "Debian-exim", &dir], "");
        let text = format!("{EXIM_MAIN}{text}")
            .replace("{exim}", &exim.display().to_string())
            .replace("{dir}", &dir)
            .replace("{port}", &address.port().to_string());
        let config = folder.write("exim.conf", &text);
        Self::start("Exim", folder, Command::new(exim).arg("-C").arg(config).args(["-bdf", "-q1s"]), address)
    }

    fn open_smtpd(address: SocketAddr, node: SocketAddr, sink: SocketAddr) -> Self {
        let text = OPEN_SMTPD.replace("{port}", &address.port().to_string());
        let text = text.replace("{node}", &node.port().to_string()).replace("{sink}", &sink.port().to_string());
        Self::open_smtpd_with(address, &text)
    }

    /// OpenSMTPD with this configuration, which listens there.
    pub fn open_smtpd_with(address: SocketAddr, text: &str) -> Self {
        // It has one socket on a machine by which it is controlled, whatever its configuration says.
        let turn = File::create(std::env::temp_dir().join("sm2tp-opensmtpd.lock")).unwrap();
        turn.lock().unwrap();
        wait_until("the one before is gone", Duration::from_secs(20), || UnixStream::connect(CONTROL).is_err());
        let (smtpd, folder) = (program("smtpd"), folder());
        let config = folder.write("smtpd.conf", text);
        let mut mta = Self::start("OpenSMTPD", folder, Command::new(smtpd).arg("-dv").arg("-f").arg(config), address);
        mta.turn = Some(turn);
        mta
    }

    /// Exim's main log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log/mainlog")).unwrap_or_default()
    }
}

impl Drop for Mta {
    fn drop(&mut self) {
        run("kill", &[&self.process.id().to_string()], "");
        let _ = self.process.wait();
        // For the next one.
        drop(self.turn.take());
        if thread::panicking() {
            for name in ["output", "log/mainlog"] {
                let text = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
                eprintln!("--- {} {name}\n{text}", self.name);
            }
        }
    }
}

const CONTROL: &str = "/var/run/smtpd.sock";

/// Their users must be able to pass.
pub fn folder() -> Folder {
    need_root();
    let folder = Folder::new("mta");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A content with all that a program on the way could hurt.
const CONTENT: &str = "From: Anna <anna@good.test>\r\nTo: all\r\nSubject: Assembl\u{e9}e\r\n\r\n..\r\n..two dots\r\n\
    d\u{e9}j\u{e0} vu, \u{20ac}\r\n\r\n.. and the end";

#[track_caller]
fn check_both_ways(start: impl FnOnce(SocketAddr, SocketAddr, SocketAddr) -> Mta) {
    let (sink, address) = (Sink::start(), free_address());
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
         [relay]\nroutes = {{ \"recipients.test\" = \"{address}\", \"through.test\" = \"{0}\", \"good.test\" = \"{0}\" }}\n\
         retry_first = \"1s\"\nretry_max = \"2s\"\n",
        sink.address
    ));
    let mta = start(address, node.smtp(), sink.address);
    from_it_through_the_node(address, &sink);
    node.wait_for_empty_queue();
    from_the_node_to_it(&node, &sink);
    node.wait_for_empty_queue();
    assert!(!node.log().contains("ERROR"), "{}", node.log());
    drop(mta);
}

fn from_it_through_the_node(mta: SocketAddr, sink: &Sink) {
    let mut client = Client::greet(mta).unwrap();
    for number in 0..10 {
        client.mail("anna@good.test", &[&format!("u{number}@through.test")], CONTENT).unwrap();
    }
    client.say("QUIT", "221").unwrap();
    for number in 0..10 {
        let text = sink.mail_to(&format!("u{number}@through.test")).text();
        assert!(text.contains("by relay.example.org (SM2TP)"), "{text}");
        check_content(&text);
    }
    let mails = sink.take();
    assert_eq!(mails.len(), 10, "each once");
}

fn from_the_node_to_it(node: &Node, sink: &Sink) {
    let mut client = Client::greet(node.smtp()).unwrap();
    let all: Vec<String> = (0..10).map(|number| format!("u{number}@recipients.test")).collect();
    client.mail("anna@good.test", &all.iter().map(String::as_str).collect::<Vec<_>>(), CONTENT).unwrap();
    for to in &all {
        check_content(&sink.mail_to(to).text());
    }
    send(node.smtp(), "anna@good.test", &["gone@recipients.test"], "to nobody");
    let report =
        wait_for("the report", Duration::from_secs(20), || sink.mails().into_iter().find(|mail| mail.from.is_empty()));
    assert_eq!(report.to, ["anna@good.test"]);
    let text = report.text();
    for part in [
        "Action: failed",
        "gone@recipients.test",
        "Diagnostic-Code: smtp; 550",
        "Reporting-MTA: dns; relay.example.org",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

/// Octet for octet behind the header, and the subject.
#[track_caller]
fn check_content(text: &str) {
    assert!(text.contains("\r\nSubject: Assembl\u{e9}e\r\n"), "{text}");
    let body = CONTENT.split_once("\r\n\r\n").unwrap().1.replace("\r\n..", "\r\n.").replacen("..", ".", 1);
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.trim_end(), body);
}

#[test]
fn exim_sends_through_a_node_and_takes_from_it() {
    check_both_ways(Mta::exim);
}

#[test]
fn open_smtpd_sends_through_a_node_and_takes_from_it() {
    check_both_ways(Mta::open_smtpd);
}

/// The beginning of each configuration of Exim.
const EXIM_MAIN: &str = "\
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
";

const EXIM: &str = "\
accept_8bitmime = true
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_rcpt:
  deny recipients = gone@recipients.test
       message = Unknown user
  accept
acl_data:
  accept
begin routers
to_node:
  driver = manualroute
  domains = through.test
  route_list = * 127.0.0.1::{node}
  transport = remote_smtp
  self = send
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

const OPEN_SMTPD: &str = "\
listen on 127.0.0.1 port {port}
action \"node\" relay host smtp://127.0.0.1:{node}
action \"sink\" relay host smtp://127.0.0.1:{sink}
match from any for rcpt-to \"gone@recipients.test\" reject
match from any for domain \"through.test\" action \"node\"
match from any for any action \"sink\"
";
