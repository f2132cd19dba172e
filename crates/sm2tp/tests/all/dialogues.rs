//! Runs `tests/dialogues/*.smtp` against the SMTP door of a real node; the format is told in the README there.
//!
//! What the pure session's shell decides by fixed rules is brought about here by what a node knows: an org with its
//! domain, a recipient that its server has refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::client::{Client, outside_address};
use crate::node::Node;
use crate::programs::Certificate;
use crate::script::{Dialogue, Move, Offer, dialogues};
use crate::sink::{Mail, Sink};
use crate::wait::wait_until;

/// Dialogues that no node can have, and why.
const NOT_HERE: &[(&str, &str)] = &[
    ("auth-not-offered.smtp", "a node takes logins wherever nobody can listen, so AUTH is never unknown to it"),
    ("xclient-login.smtp", "swaks says it over a socket in fronts.rs, with the fronts that it needs"),
    ("recipient-later.smtp", "a node never puts off a recipient: it takes it, holds it or refuses it"),
];

/// Dialogues whose client must not be on the node's own machine.
const FROM_OUTSIDE: &[&str] = &["auth-only-with-tls.smtp"];

/// A node with certain offers, behind which everything goes to one sink.
struct Place {
    node: Node,
    sink: Sink,
    certificate: Option<Certificate>,
    door: SocketAddr,
}

#[test]
fn each_dialogue_goes_over_a_socket_as_written() {
    let mut dialogues = dialogues();
    let names: BTreeSet<_> = dialogues.iter().map(|dialogue| dialogue.name.clone()).collect();
    let listed = NOT_HERE.iter().map(|(name, _)| *name).chain(FROM_OUTSIDE.iter().copied());
    listed.for_each(|name| assert!(names.contains(name), "{name} is in a list and not in the folder"));
    dialogues.retain(|dialogue| NOT_HERE.iter().all(|(name, _)| *name != dialogue.name));
    let (outside, inside): (Vec<_>, Vec<_>) =
        dialogues.into_iter().partition(|dialogue| FROM_OUTSIDE.contains(&dialogue.name.as_str()));
    assert!(30 <= inside.len());
    run_all(inside, Ipv4Addr::LOCALHOST.into());
    match outside_address() {
        Some(address) => run_all(outside, address),
        None => eprintln!("this machine has no address but loopback; not run: {FROM_OUTSIDE:?}"),
    }
}

/// One node for each set of offers; several dialogues with it, one after the other.
fn run_all(dialogues: Vec<Dialogue>, client: IpAddr) {
    let mut by_offer = BTreeMap::<Offer, Vec<Dialogue>>::new();
    for dialogue in dialogues {
        by_offer.entry(Offer { auth: None, ..dialogue.offer.clone() }).or_default().push(dialogue);
    }
    for (offer, dialogues) in by_offer {
        let place = Place::open(&offer, client);
        dialogues.iter().for_each(|dialogue| place.run(dialogue));
    }
}

impl Place {
    fn open(offer: &Offer, client: IpAddr) -> Self {
        let sink = Sink::with(|to| to.ends_with("@refused.test").then(|| "550 5.1.1 No such user".to_owned()));
        let certificate = offer.tls.then(|| Certificate::new("relay.example.org"));
        let node = Node::start(&format!(
            "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"{client}:0\"]\ntrusted_networks = [\"{client}\"]\n\
             scram = \"off\"\nmessage_size_max = \"{} B\"\nrecipients_max = {}\n\
             mails_per_connection_max = {}\n{}[relay]\nsmarthost = \"{}\"\n",
            offer.octets,
            offer.recipients,
            offer.mails,
            certificate.as_ref().map(Certificate::config).unwrap_or_default(),
            sink.address,
        ));
        node.add_login("anna", "secretive", "good.test", "personal");
        let door = node.smtp();
        let mut first = Client::greet(door).unwrap();
        first.mail("", &["x@refused.test"], "Subject: is it there?\r\n").unwrap();
        wait_until("the node has learned that x@refused.test is refused", Duration::from_secs(10), || {
            node.decision("x@refused.test", "personal")["decision"] == "refuse"
        });
        Self { node, sink, certificate, door }
    }

    fn run(&self, dialogue: &Dialogue) {
        let mut client = Client::dial(self.door).unwrap();
        let mut moves = &dialogue.moves[..];
        if dialogue.has_checked_sender {
            // The org `local` may use any sender; anna's may not. Her login stands before the first line of the file.
            client.expect("220").unwrap();
            client.say("EHLO client.example.org", "250").unwrap();
            client.say("AUTH PLAIN AGFubmEAc2VjcmV0aXZl", "235").unwrap();
            moves = &moves[1..];
        }
        self.sink.take();
        let mut taken = 0;
        for (number, step) in moves {
            let place = format!("{}:{number}", dialogue.name);
            match step {
                Move::Client(octets) => client.write(octets).unwrap_or_else(|error| panic!("{place}: {error}")),
                Move::Server(want, prefix) => {
                    for (want, prefix) in self.offered_here(dialogue, want, *prefix) {
                        let got = line(&mut client, &place).unwrap_or_else(|| panic!("{place}: closed, wanted {want}"));
                        let fits = if prefix { got.starts_with(&want) } else { got == want };
                        assert!(fits, "{place}: wanted {want}, got {got}");
                        taken += usize::from(got.contains("queued as"));
                    }
                }
                Move::Closed => assert_eq!(line(&mut client, &place), None, "{place}: not closed"),
                Move::Handshake => {
                    client = client.start_tls(self.certificate.as_ref().expect("the file has tls: offered"));
                }
                Move::Envelope(want) => assert_eq!(self.last(taken, &place).envelope(), *want, "{place}"),
                Move::Content(want) => check_content(&self.last(taken, &place).content, want, &place),
            }
        }
        self.node.wait_for_empty_queue();
        assert_eq!(self.sink.mails().len(), taken, "{}: as many mails as were taken", dialogue.name);
    }

    /// Logins are offered to every client on loopback; a file that is silent about them does not say so.
    fn offered_here(&self, dialogue: &Dialogue, want: &str, prefix: bool) -> Vec<(String, bool)> {
        let is_last_offer = want.starts_with("250 LIMITS ") || ["250 STARTTLS", "250 REQUIRETLS"].contains(&want);
        if !is_last_offer || !self.door.ip().is_loopback() || dialogue.offer.auth.as_deref() == Some("yes") {
            return vec![(want.to_owned(), prefix)];
        }
        vec![(want.replacen(' ', "-", 1), prefix), ("250 AUTH PLAIN LOGIN".to_owned(), false)]
    }

    /// The mail that was taken last, as it arrived.
    fn last(&self, taken: usize, place: &str) -> Mail {
        wait_until(&format!("{place}: {taken} mails arrive"), Duration::from_secs(10), || {
            self.sink.mails().len() == taken
        });
        self.sink.mails().last().unwrap_or_else(|| panic!("{place}: no message was taken")).clone()
    }
}

fn line(client: &mut Client, place: &str) -> Option<String> {
    client.line().unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// A server adds fields on top, and an empty line where there was no header; the rest is as it was.
#[track_caller]
fn check_content(got: &[u8], want: &[u8], place: &str) {
    let shown = got.escape_ascii().to_string();
    assert!(got.ends_with(want), "{place}: {shown}");
    let added = String::from_utf8_lossy(&got[..got.len() - want.len()]).into_owned();
    assert!(added.starts_with("Received: "), "{place}: {shown}");
    let ours = ["Received: ", "\t", "Message-ID: ", "Date: "];
    let foreign = added.lines().find(|line| !line.is_empty() && !ours.iter().any(|field| line.starts_with(field)));
    assert_eq!(foreign, None, "{place}: {shown}");
}
