//! What Exim writes of a mail's life into its main log.

use sm2tp_proto::Enhanced;
use sm2tp_proto::log::{Reach, Status};

use super::answers::{Answer, Kind};
use super::people::{Fate, Letter, Recipient};
use super::world::{Event, Truth, World};

struct Mail {
    letter: Letter,
    id: String,
    minor: u32,
    /// With Exim's extra selectors.
    selectors: bool,
}

/// One thing that happens on a mail server: mostly a mail.
pub fn happens(world: &mut World, minor: u32, selectors: bool, now: u64) {
    if world.dice.happens(0.08) {
        return noise(world, now);
    }
    let letter = Letter::new(world);
    let id = id(world, minor);
    let mail = Mail { letter, id, minor, selectors };
    mail.comes(world, now);
    let at = now + world.dice.within(0, 4);
    mail.tries(world, at);
}

impl Mail {
    fn write(&self, world: &mut World, at: u64, text: &str) {
        self.tell(world, at, text, Vec::new());
    }

    fn tell(&self, world: &mut World, at: u64, text: &str, truths: Vec<Truth>) {
        world.add(at, Event { daemon: "exim", instance: "", body: format!("{} {text}", self.id), truths });
    }

    fn comes(&self, world: &mut World, now: u64) {
        let Letter { sender, login, message_id, recipients } = &self.letter;
        let by = match login {
            Some(login) => {
                format!("P=esmtpsa{} A=plain_dov:{login}", self.extra(" X=TLS1.3:ECDHE_X25519__RSA:256 CV=no"))
            }
            None => "P=esmtp".to_owned(),
        };
        let port = self.extra(":51244 I=[192.0.2.2]:587");
        let subject = world.one(&[
            "Bonjour",
            r#"re: A=plain:mallory id=z \"quoted\" for x@y"#,
            "Réunion de lundi: ordre du jour",
            "=> a@b R=x T=y",
        ]);
        let mut text = format!("<= {sender} H=(helo) [192.0.2.77]{port} {by} S=4711 id={message_id}");
        if self.selectors {
            let all: Vec<&str> = recipients.iter().map(|recipient| recipient.address.as_str()).collect();
            text.push_str(&format!(" T=\"{subject}\" from <{sender}> for {}", all.join(" ")));
        }
        self.write(world, now, &text);
    }

    fn tries(&self, world: &mut World, mut at: u64) {
        let recipients = &self.letter.recipients;
        for (number, recipient) in recipients.iter().enumerate() {
            self.first_try(world, recipient, number, at);
        }
        if recipients.iter().any(|recipient| matches!(recipient.fate, Fate::Late(_) | Fate::Never(_))) {
            at += world.dice.within(60, 900);
            for recipient in recipients {
                self.too_early(world, recipient, at);
            }
            at += world.dice.within(300, 4000);
            for recipient in recipients {
                match recipient.fate {
                    Fate::Late(_) => self.taken(world, recipient, "250 2.0.0 Ok: queued as 77", "=>", at),
                    Fate::Never(answer) => self.answered(world, recipient, &answer, Status::Deferred, at),
                    _ => {}
                }
            }
        }
        let never = |recipient: &&Recipient| matches!(recipient.fate, Fate::Never(_));
        if recipients.iter().any(|recipient| never(&recipient)) {
            at += LIFE_S;
            for recipient in recipients.iter().filter(never) {
                let text = format!("** {}: retry timeout exceeded", address(recipient));
                let truth = Truth { status: Status::Bounced, ..self.nowhere(recipient, at, "retry timeout exceeded") };
                self.tell(world, at, &text, vec![truth]);
            }
        }
        if recipients.iter().any(|recipient| matches!(recipient.fate, Fate::Refused(_) | Fate::Never(_))) {
            self.report(world, at);
        }
        self.completed(world, at);
    }

    fn first_try(&self, world: &mut World, recipient: &Recipient, number: usize, at: u64) {
        match recipient.fate {
            Fate::Taken(words) => self.taken(world, recipient, words, if number == 0 { "=>" } else { "->" }, at),
            Fate::Here => {
                let text = format!("=> {}{} R=local_user T=maildir_home", address(recipient), self.senders());
                let truth = Truth { status: Status::Sent, ..self.nowhere(recipient, at, "") };
                self.tell(world, at, &text, vec![truth]);
            }
            Fate::Refused(answer) => self.answered(world, recipient, &answer, Status::Bounced, at),
            Fate::Late(answer) | Fate::Never(answer) => {
                self.answered(world, recipient, &answer, Status::Deferred, at);
            }
        }
    }

    fn taken(&self, world: &mut World, recipient: &Recipient, words: &str, flag: &str, at: u64) {
        let ((mx, ip), senders) = (recipient.mx, self.senders());
        let (port, times) = (self.extra(":25* I=[192.0.2.2]:48222"), self.extra(" QT=2.114s DT=0.882s"));
        let tls = self.extra(r#" X=TLS1.3:ECDHE_X25519__RSA:256 CV=yes DN="CN=mx.dest.test,O=A B""#);
        let text = format!(
            "{flag} {}{senders} R=dnslookup T=remote_smtp H={mx} [{ip}]{port}{tls} C=\"{words}\"{times}",
            address(recipient)
        );
        let truth = self.truth(recipient, at, words);
        let enhanced = words.get(4..).and_then(Enhanced::at_start);
        let truth = Truth { status: Status::Sent, code: Some(250), enhanced, ..truth };
        self.tell(world, at, &text, vec![truth]);
    }

    fn answered(&self, world: &mut World, recipient: &Recipient, answer: &Answer, status: Status, at: u64) {
        let bounced = status == Status::Bounced;
        let flag = if bounced { "**" } else { "==" };
        if answer.kind == Kind::Dns {
            let words = if bounced { "Unrouteable address" } else { "host lookup did not complete" };
            let router = if bounced { "" } else { " R=dnslookup defer (-1)" };
            let truth = Truth { status, ..self.nowhere(recipient, at, words) };
            return self.tell(world, at, &format!("{flag} {}{router}: {words}", address(recipient)), vec![truth]);
        }
        let ((mx, ip), said) = (recipient.mx, answer.said_to(&recipient.address).replace('\n', "\\n"));
        // Old versions name the host in the sentence.
        let (named, within) = match self.minor {
            ..95 => (String::new(), format!("host {mx} [{ip}]: ")),
            _ => (format!(" H={mx} [{ip}]{}", self.extra(":25 I=[192.0.2.2]:48222")), String::new()),
        };
        let to = &recipient.address;
        let error = "SMTP error from remote mail server after";
        let (number, words, named) = match answer.kind {
            Kind::Rcpt => (-44, format!("{error} RCPT TO:<{to}>: {within}{said}"), named),
            Kind::EndOfData => (-46, format!("{error} end of data: {within}{said}"), named),
            Kind::Banner => (-52, format!("{error} initial connection: {within}{said}"), named),
            Kind::Lost => (
                -18,
                format!("Remote host closed connection in response to pipelined RCPT TO:<{to}>"),
                format!(" H={mx} [{ip}]"),
            ),
            Kind::Connect | Kind::Dns => (110, said, format!(" H={mx} [{ip}]")),
        };
        if world.dice.happens(0.3) {
            self.write(world, at, &format!("H={mx} [{ip}]: {words}"));
        }
        let (defer, times) =
            if bounced { (String::new(), "") } else { (format!(" defer ({number})"), self.extra(" DT=0.100s")) };
        let text = format!(
            "{flag} {}{} R=dnslookup T=remote_smtp{defer}{named}{times}: {words}",
            address(recipient),
            self.senders()
        );
        let truth = self.truth(recipient, at, &words);
        let enhanced = answer.code.map(|_| answer.dsn);
        self.tell(world, at, &text, vec![Truth { status, code: answer.code, enhanced, ..truth }]);
    }

    /// A queue run before the time: nobody is asked.
    fn too_early(&self, world: &mut World, recipient: &Recipient, at: u64) {
        if !matches!(recipient.fate, Fate::Late(_) | Fate::Never(_)) || world.dice.happens(0.5) {
            return;
        }
        let words = "retry time not reached for any host for 'dest.test'";
        let text = format!("== {} R=dnslookup T=remote_smtp defer (-54): {words}", address(recipient));
        let truth = Truth { status: Status::Deferred, again: true, ..self.nowhere(recipient, at, words) };
        self.tell(world, at, &text, vec![truth]);
    }

    fn report(&self, world: &mut World, at: u64) {
        let recipient = Recipient {
            address: self.letter.sender.clone(),
            original: None,
            mx: ("mx.org.test", "192.0.2.44"),
            fate: Fate::Taken("250 ok"),
        };
        let (id, parent) = (id(world, self.minor), &self.id);
        let letter = Letter {
            sender: String::new(),
            login: None,
            message_id: String::new(),
            recipients: vec![recipient.clone()],
        };
        let report = Self { letter, id, minor: self.minor, selectors: self.selectors };
        report.write(world, at, &format!("<= <> R={parent} U=Debian-exim P=local S=2567"));
        report.taken(world, &recipient, "250 ok", "=>", at);
        report.completed(world, at);
    }

    fn completed(&self, world: &mut World, at: u64) {
        if !world.never_ends {
            self.write(world, at, &format!("Completed{}", self.extra(" QT=3.001s")));
        }
    }

    fn truth(&self, recipient: &Recipient, at: u64, text: &str) -> Truth {
        self.letter.truth(&self.id, recipient, at, text)
    }

    /// No host is named.
    fn nowhere(&self, recipient: &Recipient, at: u64, text: &str) -> Truth {
        Truth { host: None, reach: Reach::Here, ..self.truth(recipient, at, text) }
    }

    fn extra(&self, field: &'static str) -> &'static str {
        if self.selectors { field } else { "" }
    }

    fn senders(&self) -> String {
        let sender = &self.letter.sender;
        if self.selectors { format!(" F=<{sender}> P=<{sender}>") } else { String::new() }
    }
}

/// The address, and what it was before an alias.
fn address(recipient: &Recipient) -> String {
    match &recipient.original {
        Some(original) => format!("{} <{original}>", recipient.address),
        None => recipient.address.clone(),
    }
}

fn noise(world: &mut World, now: u64) {
    let body = world.one(&[
        "Start queue run: pid=18142",
        "H=(vm) [192.0.2.5] F=<a@b.test> rejected RCPT <b@dest.test>: Relay not permitted",
        "H=(vm) [192.0.2.5] F=<a@b.test> A=plain:x temporarily rejected RCPT <b@dest.test>: over quota",
        "no host name found for IP address 192.0.2.5",
        "1xUvCg-0004it-1z Message is frozen",
        "SMTP connection from (x) [192.0.2.5] lost D=1m",
    ]);
    world.add(now, Event { daemon: "exim", instance: "", body: body.to_owned(), truths: Vec::new() });
}

fn id(world: &mut World, minor: u32) -> String {
    let number = world.number();
    let digits = format!("{number:011}");
    match minor {
        ..97 => format!("1xU{}-{}-1z", &digits[8..], &digits[2..8]),
        _ => format!("1xU{}-{digits}-1zzz", &digits[8..]),
    }
}

const LIFE_S: u64 = 4 * 3600;
