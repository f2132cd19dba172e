//! The node as a service: what systemd hears of it, and the unit that runs it.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::client::{Client, get};
use crate::node::{Node, SM2TP, said};
use crate::programs::program;
use crate::wait::Folder;

const LONG: Duration = Duration::from_secs(20);

const CONFIG: &str = "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\n\
                      trusted_networks = [\"127.0.0.1\"]\n[http]\nlisten = [\"127.0.0.1:0\"]\n[relay]\n";

/// What the manager is told next, but for signs of life and of a start that goes on.
#[track_caller]
fn heard(manager: &UnixDatagram) -> String {
    let mut octets = [0; 1024];
    loop {
        let length = manager.recv(&mut octets).unwrap();
        let said = String::from_utf8(octets[..length].to_vec()).unwrap();
        if said != "WATCHDOG=1" && !said.starts_with("EXTEND_TIMEOUT_USEC=") {
            return said;
        }
    }
}

fn listening(at: &SocketAddr) -> UnixDatagram {
    let manager = UnixDatagram::bind_addr(at).unwrap();
    manager.set_read_timeout(Some(LONG)).unwrap();
    manager
}

#[test]
fn systemd_hears_of_the_start_each_reload_and_the_end() {
    let folder = Folder::new("service");
    let name = format!("sm2tp-service-{}", std::process::id());
    let path = folder.join("notify");
    let places = [
        (path.display().to_string(), SocketAddr::from_pathname(&path).unwrap()),
        (format!("@{name}"), SocketAddr::from_abstract_name(&name).unwrap()),
    ];
    for (place, address) in places {
        let manager = listening(&address);
        let mut node = Node::prepare(CONFIG);
        node.serve_with(&[("NOTIFY_SOCKET", &place)]);
        assert_eq!(heard(&manager), "READY=1\nSTATUS=relay.example.org");
        let mut client = Client::greet(node.smtp()).unwrap();
        client.say("EHLO client.example.org", "250").unwrap();
        client.say("MAIL FROM:<anna@asso.example>", "250").unwrap();

        node.hang_up();
        let reloading = heard(&manager);
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
        assert!(since.parse::<u64>().unwrap() > 0);
        assert_eq!(heard(&manager), "READY=1\nSTATUS=files were read again");

        let changed = format!("{}send_log_keep = \"1d\"\n{CONFIG}", data_dir(&node));
        fs::write(&node.config, changed).unwrap();
        node.hang_up();
        assert!(heard(&manager).starts_with("RELOADING=1\n"));
        let told = heard(&manager);
        assert!(told.ends_with("has changed: systemctl restart sm2tp"), "{told}");
        fs::write(&node.config, "hostname = 7\n").unwrap();
        node.hang_up();
        assert!(heard(&manager).starts_with("RELOADING=1\n"));
        let told = heard(&manager);
        assert!(told.ends_with("the node would not start with it: sm2tp check"), "{told}");

        client.say("RCPT TO:<marie@example.net>", "250").unwrap();
        drop(client);
        let (status, _) = node.terminate(LONG);
        assert!(status.success());
        assert!(heard(&manager).starts_with("STOPPING=1\n"));
    }
}

/// The first line of the configuration, which [`Node::prepare`] writes.
fn data_dir(node: &Node) -> String {
    let text = fs::read_to_string(&node.config).unwrap();
    format!("{}\n", text.lines().next().unwrap())
}

#[test]
fn the_watchdog_hears_of_a_node_that_answers() {
    let name = format!("sm2tp-watchdog-{}", std::process::id());
    let manager = listening(&SocketAddr::from_abstract_name(&name).unwrap());
    let mut node = Node::prepare(CONFIG);
    node.serve_with(&[("NOTIFY_SOCKET", &format!("@{name}")), ("WATCHDOG_USEC", "300000")]);
    let mut lives = 0;
    while lives < 3 {
        let mut octets = [0; 1024];
        let length = manager.recv(&mut octets).unwrap();
        lives += u32::from(&octets[..length] == b"WATCHDOG=1");
    }
    assert!(get(node.http(), "/readyz").contains("queue: ok\nledger: ok\n"));
    let other = format!("{}", std::process::id());
    let manager = listening(&SocketAddr::from_abstract_name(format!("{name}-other")).unwrap());
    let mut node = Node::prepare(CONFIG);
    node.serve_with(&[
        ("NOTIFY_SOCKET", &format!("@{name}-other")),
        ("WATCHDOG_USEC", "300000"),
        ("WATCHDOG_PID", &other),
    ]);
    assert!(node.terminate(LONG).0.success());
    manager.set_nonblocking(true).unwrap();
    let mut octets = [0; 1024];
    while let Ok(length) = manager.recv(&mut octets) {
        assert_ne!(&octets[..length], b"WATCHDOG=1", "another process was meant");
    }
}

#[test]
fn the_unit_is_valid_and_leaves_the_node_few_rights() {
    let folder = Folder::new("unit");
    let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sm2tp.service"));
    // What it runs must be there; where the package puts it is not.
    let text = fs::read_to_string(shipped).unwrap();
    let unit = folder.write("sm2tp.service", &text.replace("/usr/local/bin/sm2tp", SM2TP));
    let analyze = |words: &[&str]| said(Command::new(program("systemd-analyze")).args(words).arg(&unit), "");
    let verified = analyze(&["verify", "--man=no"]);
    assert_eq!((verified.exit, verified.stderr.as_str()), (0, ""), "{}", verified.stdout);
    let rights = analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"]);
    assert_eq!(rights.exit, 0, "more than 1.5:\n{}{}", rights.stdout, rights.stderr);
}
