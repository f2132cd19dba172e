//! Servers of recipients that are rude, broken or confused: no mail is lost, none is taken for delivered that was not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::send;
use crate::node::Node;
use crate::sink::Sink;
use crate::wait::wait_until;

const LONG: Duration = Duration::from_secs(20);

/// A server with a script of its own for the first connections; the later ones meet a polite sink.
struct Rough {
    address: SocketAddr,
    sink: Sink,
    connections: Arc<AtomicUsize>,
}

impl Rough {
    /// `script` gets the connection and its number, from 0, and answers whether it dealt with it.
    fn start(script: impl Fn(&mut Wire, usize) -> Option<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let rough = Self { address: listener.local_addr().unwrap(), sink: Sink::start(), connections: Arc::default() };
        let (sink, connections, script) = (rough.sink.clone(), rough.connections.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sink, script) = (sink.clone(), script.clone());
                let number = connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut wire = Wire(BufReader::new(stream));
                    if script(&mut wire, number).is_none() {
                        sink.talk(wire.0.get_ref());
                    }
                });
            }
        });
        rough
    }

    /// Only the first connection meets the script.
    fn once(script: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        Self::start(move |wire, number| (number == 0).then(|| script(wire)))
    }

    fn node(&self) -> Node {
        self.node_with("")
    }

    fn node_with(&self, relay: &str) -> Node {
        Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n\
             [relay]\nroutes = {{ \"rough.test\" = \"{}\" }}\nretry_first = \"1s\"\nretry_max = \"1s\"\n{relay}\n",
            self.address
        ))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// A mail sent through `node` arrives here once, though the first connections are what they are.
    #[track_caller]
    fn delivers_once(&self, node: &Node) {
        send(node.smtp(), "anna@good.test", &["bob@rough.test"], "rough");
        self.sink.mail_to("bob@rough.test");
        node.wait_for_empty_queue();
        assert_eq!(self.sink.mails().len(), 1);
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
}

/// The server's end of a connection.
struct Wire(BufReader<TcpStream>);

impl Wire {
    fn say(&mut self, text: &str) {
        // A client that is gone does not mind.
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line
    }

    /// Asks for the message.
    fn until_message(&mut self) {
        self.until_data();
        self.say("354 go on\r\n");
    }

    /// Greets and goes on to DATA.
    fn until_data(&mut self) {
        self.greet("250 rough.test");
        self.hear();
        self.say("250 sender ok\r\n");
        self.hear();
        self.say("250 recipient ok\r\n");
        self.hear();
    }

    /// How long it listens before it goes on without having heard anything.
    fn waits(&self, time: Duration) {
        let _ = self.0.get_ref().set_read_timeout(Some(time));
    }

    fn greet(&mut self, offers: &str) {
        self.say("220 rough.test\r\n");
        self.hear();
        self.say(&format!("{offers}\r\n"));
    }

    /// Reads the message to its end.
    fn message(&mut self) {
        while !matches!(self.hear().as_str(), ".\r\n" | "") {}
    }
}

#[test]
fn a_server_that_dies_after_the_final_dot_gets_the_mail_again() {
    let rough = Rough::once(|wire| {
        wire.until_message();
        wire.message();
    });
    let node = rough.node();
    rough.delivers_once(&node);
    assert_eq!(rough.connections(), 2);
}

#[test]
fn a_yes_before_the_message_was_written_is_no_yes() {
    let rough = Rough::once(|wire| {
        wire.until_data();
        wire.say("354 go on\r\n250 thank you\r\n");
        wire.message();
    });
    let node = rough.node();
    rough.delivers_once(&node);
}

#[test]
fn a_no_in_the_middle_of_the_message_is_heard() {
    let rough = Rough::start(|wire, _| {
        wire.until_message();
        let mut some = [0; 1000];
        let _ = wire.0.read(&mut some);
        wire.say("552 5.3.4 I have had enough of it\r\n");
        // It reads no more, and waits until the client is gone.
        wire.waits(LONG);
        while wire.0.get_ref().peek(&mut some).is_ok_and(|count| count != 0) {
            thread::yield_now();
        }
        Some(())
    });
    let node = rough.node();
    let content = format!("Subject: big\r\n\r\n{}", "line of a big mail\r\n".repeat(1_000_000));
    crate::client::Client::greet(node.smtp())
        .unwrap()
        .mail("anna@rough.test", &["bob@rough.test"], content.trim_end())
        .unwrap();
    wait_until("the mail is given up", LONG, || {
        let queue = node.queue();
        queue.iter().all(|mail| !mail.to_string().contains("bob@rough.test"))
    });
    assert!(rough.sink.mails().is_empty());
}

#[test]
fn a_server_that_speaks_at_once_and_hangs_up_is_understood() {
    let rough = Rough::start(|wire, number| match number {
        0 => {
            wire.say("421 4.3.2 not now\r\n");
            Some(())
        }
        1 => {
            wire.greet("421 4.3.2 still not now");
            Some(())
        }
        // Half closed: it says nothing more, and would go on reading.
        2 => {
            wire.until_data();
            let _ = wire.0.get_ref().shutdown(Shutdown::Write);
            wire.message();
            Some(())
        }
        _ => None,
    });
    let node = rough.node();
    rough.delivers_once(&node);
    assert_eq!(rough.connections(), 4);
}

#[test]
fn a_greeting_without_end_is_cut() {
    let rough = Rough::once(|wire| {
        for _ in 0..100_000 {
            wire.say("220-and another thing\r\n");
        }
    });
    let node = rough.node();
    rough.delivers_once(&node);
}

#[test]
fn a_banner_that_is_late_is_waited_for_and_one_that_never_comes_is_not() {
    let rough = Rough::once(|wire| {
        // Until the client has had enough.
        wire.hear();
    });
    let node = rough.node_with("answer_timeout = \"1s\"");
    rough.delivers_once(&node);
    assert!(1 < rough.connections());
}

#[test]
fn a_server_that_is_always_just_in_time_does_not_hold_a_mail_for_ever() {
    let (heard, rcpts) = (Arc::new(AtomicUsize::new(0)), 100);
    let counted = heard.clone();
    let rough = Rough::once(move |wire| {
        wire.greet("250 rough.test");
        while !wire.hear().is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
            // Nothing more comes before the answer: this only lets most of the time pass.
            wire.waits(Duration::from_millis(800));
            wire.hear();
            wire.waits(LONG);
            wire.say("250 ok\r\n");
        }
    });
    let node = rough.node_with("answer_timeout = \"1s\"");
    let recipients: Vec<String> = (0..rcpts).map(|n| format!("bob{n}@rough.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    send(node.smtp(), "anna@good.test", &recipients, "patience");
    rough.sink.mail_to("bob0@rough.test");
    node.wait_for_empty_queue();
    assert_eq!(rough.sink.mails().len(), 1);
    // Two seconds, and one more for sixty recipients; a hundred answers would have taken 80 seconds.
    assert!(heard.load(Ordering::SeqCst) < 20, "{heard:?}");
    assert!(1 < rough.connections());
}

#[test]
fn words_that_nobody_asked_for_are_no_answer_to_the_next_mail() {
    let rough = Rough::once(|wire| {
        wire.until_message();
        wire.message();
        // The first mail is taken; what follows would pass for the answers to the second one.
        wire.say("250 taken\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
        while !wire.hear().is_empty() {}
    });
    let node = rough.node();
    send(node.smtp(), "anna@good.test", &["first@rough.test"], "first");
    send(node.smtp(), "anna@good.test", &["second@rough.test"], "second");
    rough.sink.mail_to("second@rough.test");
    node.wait_for_empty_queue();
    assert_eq!(rough.sink.mails().len(), 1, "the first one was taken by the confused server");
}

#[test]
fn broken_tls_is_remembered_and_not_tried_with_each_mail() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let rough = Rough::start(move |wire, _| {
        wire.say("220 rough.test\r\n");
        wire.hear();
        wire.say("250-rough.test\r\n250 STARTTLS\r\n");
        if wire.hear() != "STARTTLS\r\n" {
            // MAIL in clear: sent away until the next connection, which the sink would greet once more.
            wire.say("451 4.3.0 come again\r\n");
            return Some(());
        }
        counted.fetch_add(1, Ordering::SeqCst);
        wire.say("220 go ahead\r\n");
        let mut hello = [0; 100];
        let _ = wire.0.read(&mut hello);
        // In the middle of the handshake: something that is no TLS, and the end.
        wire.say("500 what was that\r\n");
        Some(())
    });
    let node = rough.node();
    send(node.smtp(), "anna@good.test", &["bob@rough.test"], "one");
    wait_until("it was tried several times", LONG, || 5 < rough.connections());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "STARTTLS was asked for once");
}

#[test]
fn a_handshake_that_is_never_answered_is_broken_tls_as_well() {
    let rough = Rough::once(|wire| {
        wire.greet("250-rough.test\r\n250 STARTTLS");
        assert_eq!(wire.hear(), "STARTTLS\r\n");
        wire.say("220 go ahead\r\n");
        // Until the client has had enough.
        let _ = wire.0.read_to_end(&mut Vec::new());
    });
    let node = rough.node_with("answer_timeout = \"1s\"");
    rough.delivers_once(&node);
    assert_eq!(rough.connections(), 2, "in clear at once, on a new connection");
}

#[test]
fn answers_that_come_octet_by_octet_are_put_together() {
    let rough = Rough::once(|wire| {
        let slow = |wire: &mut Wire, text: &str| text.chars().for_each(|letter| wire.say(&letter.to_string()));
        slow(wire, "220 rough.test\r\n");
        wire.hear();
        slow(wire, "250-rough.test\r\n250 PIPELINING\r\n");
        (0..3).for_each(|_| drop(wire.hear()));
        slow(wire, "250 ok\r\n550 5.1.1 User unknown\r\n554 5.5.1 nobody\r\n");
        wire.hear();
    });
    let node = rough.node();
    send(node.smtp(), "anna@rough.test", &["gone@rough.test"], "slow");
    let report = rough.sink.mail_to("anna@rough.test");
    assert!(report.text().contains("User unknown"), "{}", report.text());
}
