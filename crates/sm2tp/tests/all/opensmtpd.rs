//! A real OpenSMTPD that asks the node through its filter, and goes on whatever happens to the node.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::beside::{refusal, sockets};
use crate::node::{Node, SM2TP};
use crate::other_mtas::{Mta, folder};
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::{free_address, wait_until};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn open_smtpd_refuses_whom_the_node_stops_and_survives_it_dead_and_hung() {
    let (sockets, sink, address) = (sockets("opensmtpd"), Sink::start(), free_address());
    let socket = format!("unix:{}/policy.sock", sockets.path().display());
    let mut node = Node::start(&format!("hostname = \"relay.example.org\"\n[policy]\nlisten = [\"{socket}\"]\n"));
    node.ask(&["suppress", "add", "gone@recipients.test", "--note", "left"]);
    // The filter runs as a user of its own, who may not look into the folder of this build.
    let programs = folder();
    let program = programs.join("sm2tp");
    fs::copy(SM2TP, &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let printed = node.ask(&["opensmtpd", "config"]);
    let filter = printed["filter"].as_str().unwrap().replace(SM2TP, &program.display().to_string());
    let text = format!(
        "{filter}\nlisten on 127.0.0.1 port {} filter \"sm2tp\"\n\
         action \"sink\" relay host smtp://127.0.0.1:{}\nmatch from any for any action \"sink\"\n",
        address.port(),
        sink.address.port()
    );
    let _smtpd = Mta::open_smtpd_with(address, &text);
    let (server, refused) = (address.to_string(), "550 5.7.1 not sent: ");
    let said = refusal(&server, "gone@recipients.test");
    assert!(said.starts_with(refused), "{said}");
    assert_eq!(refusal(&server, "anna@recipients.test"), "");
    sink.mail_to("anna@recipients.test");

    let signal = |node: &Node, signal: &str| run("kill", &[signal, &node.pid().to_string()], "");
    signal(&node, "-STOP");
    let began = Instant::now();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "a node that hangs stops nothing (I8)");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    signal(&node, "-CONT");
    wait_until("it asks again", LONG, || refusal(&server, "gone@recipients.test").starts_with(refused));

    node.kill();
    assert_eq!(refusal(&server, "gone@recipients.test"), "", "nor does one that is down");
    node.serve();
    wait_until("it asks again", LONG, || refusal(&server, "gone@recipients.test").starts_with(refused));
    // Its queue is that of the machine: what is left would go out with the next test.
    wait_until("all mail has left", LONG, || run("find", &["/var/spool/smtpd/queue", "-type", "f"], "").is_empty());
}
