//! Each socket that Postfix asks at is killed, hung and started again in turn, while mail comes in: nothing is refused,
//! nothing is lost, and nobody waits longer than docs/beside.md says.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::beside::{refusal, sockets};
use crate::client::Client;
use crate::mta::Postfix;
use crate::node::Node;
use crate::programs::run;
use crate::sink::Sink;
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(30);
/// How long Postfix waits for an answer of the policy service here, instead of five seconds: it asks twice, a second apart.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(3);

/// Clients that send one mail after the other, each to a recipient of its own.
struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    sent: Receiver<Sent>,
    all: Vec<String>,
}

struct Sent {
    to: String,
    took: Duration,
    /// What was said to it, where that was no yes.
    refused: Option<String>,
}

impl Load {
    fn start(server: SocketAddr) -> Self {
        let (over, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (tell, sent) = channel();
        let client = || {
            let (over, number, tell) = (over.clone(), number.clone(), tell.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let to = format!("r{}@recipients.test", number.fetch_add(1, Ordering::Relaxed));
                    let began = Instant::now();
                    let mail = |client: &mut Client| client.mail("a@senders.test", &[&to], "Subject: x\r\n\r\nhello");
                    let refused = Client::greet(server).and_then(|mut client| mail(&mut client)).err();
                    let sent = Sent { to, took: began.elapsed(), refused: refused.map(|error| error.to_string()) };
                    if tell.send(sent).is_err() {
                        return;
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Self { over, clients, sent, all: Vec::new() }
    }

    /// The next mails, of each client two at least that began in this phase: all are taken, none later than that.
    #[track_caller]
    fn goes_on(&mut self, phase: &str, longest: Duration) {
        // Those that had begun before, and a round of those that began since.
        for _ in 0..3 * CLIENTS {
            let sent = self.sent.recv_timeout(LONG).unwrap_or_else(|_| panic!("{phase}: no mail was taken any more"));
            assert_eq!(sent.refused, None, "{phase}: {}", sent.to);
            assert!(sent.took <= longest + SLACK, "{phase}: {} took {:?}, longer than {longest:?}", sent.to, sent.took);
            self.all.push(sent.to);
        }
    }

    /// All mail that was taken.
    fn end(mut self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        for sent in self.sent.try_iter() {
            assert_eq!(sent.refused, None, "{}", sent.to);
            self.all.push(sent.to);
        }
        self.all
    }
}

/// Kills, starts, hangs and wakes a node. The delays are of a mail with one recipient.
fn trouble(load: &mut Load, name: &str, node: &mut Node, down: Duration, hung: Duration) {
    load.goes_on(&format!("{name} runs"), down);
    node.kill();
    load.goes_on(&format!("{name} is down"), down);
    node.serve();
    load.goes_on(&format!("{name} is back"), down);
    let pid = node.pid().to_string();
    run("kill", &["-STOP", &pid], "");
    load.goes_on(&format!("{name} hangs"), hung);
    run("kill", &["-CONT", &pid], "");
    load.goes_on(&format!("{name} has woken"), hung);
}

#[test]
fn a_socket_that_is_killed_hung_or_started_again_under_load_stops_no_mail_and_loses_none() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let dir = sockets.path().display();
    let node = |section: &str, socket: &str| {
        Node::start(&format!(
            "hostname = \"relay.example.org\"\n[{section}]\nlisten = [\"unix:{dir}/{socket}.sock\"]\n"
        ))
    };
    let (mut policy, mut map, mut milter) =
        (node("policy", "policy"), node("socketmap", "map"), node("milter", "milter"));
    for each in [&policy, &milter] {
        each.run(&["suppress", "add", "gone@recipients.test"]);
    }
    let seconds = TIMEOUT.as_secs();
    let ask = format!("check_policy_service {{ unix:{dir}/policy.sock, timeout={seconds}s, default_action=DUNNO }}");
    let limits = "connect_timeout=1s, command_timeout=1s, content_timeout=1s, default_action=accept";
    let postfix = Postfix::start(
        "relay.senders.test",
        &format!(
            "smtpd_recipient_restrictions = {ask}, permit_mynetworks, reject\nsmtpd_end_of_data_restrictions = {ask}\n\
             smtpd_delay_open_until_valid_rcpt = no\nsmtp_delivery_status_filter = socketmap:unix:{dir}/map.sock:dsn\n\
             smtpd_milters = {{ unix:{dir}/milter.sock, {limits} }}\nrelayhost = [127.0.0.1]:{}\n",
            sink.address.port()
        ),
    );
    let server = postfix.address.to_string();
    let mut load = Load::start(postfix.address);
    let second = Duration::from_secs(1);
    // RCPT and the end of the mail: a second each when it is down, twice the time-out and a second when it hangs.
    trouble(&mut load, "the policy service", &mut policy, 2 * second, 2 * (2 * TIMEOUT + second));
    // Down, mail flows at once; hung, after one time-out for the connection and one for the answer.
    trouble(&mut load, "the milter", &mut milter, Duration::ZERO, 2 * second);
    // It is asked when a mail leaves: nobody who brings one waits.
    trouble(&mut load, "the socketmap", &mut map, Duration::ZERO, Duration::ZERO);
    let taken = load.end();
    let arrived = || sink.mails().iter().map(|mail| mail.to[0].clone()).collect::<Vec<_>>();
    wait_until("all of it has arrived", LONG, || arrived().len() >= taken.len());
    let (arrived, wanted): (Vec<_>, HashSet<_>) = (arrived(), taken.iter().cloned().collect());
    assert_eq!(arrived.len(), wanted.len(), "each once");
    assert_eq!(arrived.into_iter().collect::<HashSet<_>>(), wanted);
    // All of them are asked again.
    let refused = |server: &str| refusal(server, "gone@recipients.test");
    milter.kill();
    wait_until("the policy service is asked", LONG, || {
        refused(&server).contains("Recipient address rejected: not sent")
    });
    milter.serve();
    policy.kill();
    wait_until("the milter is asked", LONG, || refused(&server).starts_with("550 5.7.1 not sent"));
    let log = postfix.log();
    assert!(!log.contains("status=deferred") && !log.contains("status=bounced"), "{log}");
}

/// The danger that docs/beside.md tells of: these tables have no default. What is promised is that nothing is refused for good and
/// nothing is lost.
#[test]
fn tables_over_the_socketmap_that_do_not_answer_make_mail_wait_and_lose_none() {
    let (sockets, sink) = (sockets("postfix"), Sink::start());
    let dir = sockets.path().display();
    let mut node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[relay]\nroutes = {{ \"recipients.test\" = \"{}\" }}\n\
         [socketmap]\nlisten = [\"unix:{dir}/map.sock\"]\ntables = [\"access\", \"routes\"]\n",
        sink.address
    ));
    node.ask(&["suppress", "add", "gone@recipients.test"]);
    let postfix = Postfix::start(
        "relay.senders.test",
        &format!(
            "smtpd_recipient_restrictions = check_recipient_access socketmap:unix:{dir}/map.sock:access, permit_mynetworks, \
             reject\ntransport_maps = socketmap:unix:{dir}/map.sock:routes\nminimal_backoff_time = 1s\n\
             maximal_backoff_time = 1s\nqueue_run_delay = 1s\n"
        ),
    );
    let server = postfix.address.to_string();
    let refused_for_good = |said: &str| said.starts_with("550");
    assert!(refused_for_good(&refusal(&server, "gone@recipients.test")));
    let mut taken = Vec::new();
    let mut brings = |phase: &str| {
        for n in 0..3 {
            let to = format!("{phase}{n}@recipients.test");
            let said = refusal(&server, &to);
            assert!(said.is_empty() || said.starts_with("451 4.3.0"), "{said}");
            taken.extend(said.is_empty().then_some(to));
        }
        taken.len()
    };
    assert_eq!(brings("before"), 3);
    node.kill();
    assert_eq!(brings("down"), 3, "451: the client keeps its mail");
    node.serve();
    wait_until("it is asked again", LONG, || refused_for_good(&refusal(&server, "gone@recipients.test")));
    assert_eq!(brings("back"), 6);

    let pid = node.pid().to_string();
    run("kill", &["-STOP", &pid], "");
    let waits = thread::spawn({
        let server = server.clone();
        move || refusal(&server, "hung@recipients.test")
    });
    // Up to a hundred seconds, then 451; here the node wakes before.
    thread::park_timeout(2 * TIMEOUT);
    assert!(!waits.is_finished(), "a table has no default, so the client waits");
    run("kill", &["-CONT", &pid], "");
    assert_eq!(waits.join().unwrap(), "");
    taken.push("hung@recipients.test".to_owned());
    let arrived = || sink.mails().iter().map(|mail| mail.to[0].clone()).collect::<HashSet<_>>();
    wait_until("all of it has arrived", LONG, || arrived() == taken.iter().cloned().collect());
}

const CLIENTS: usize = 3;
