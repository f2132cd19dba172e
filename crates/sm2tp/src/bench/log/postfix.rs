//! What Postfix writes of a mail's life.

use sm2tp_proto::Enhanced;
use sm2tp_proto::log::{Reach, Status};

use super::answers::{Answer, Kind};
use super::people::{Fate, Letter, Recipient};
use super::world::{Event, Truth, World};

/// A mail under way.
struct Mail {
    letter: Letter,
    minor: u32,
    id: String,
    instance: &'static str,
    /// The last answers of those who wait.
    waiting: Vec<Truth>,
}

/// One thing that happens on a mail server: mostly a mail.
pub fn happens(world: &mut World, minor: u32, long_ids: bool, now: u64) {
    let instance = world.one(&["postfix", "postfix", "postfix", "postfix", "postfix-out"]);
    match world.dice.within(0, 100) {
        0..=7 => noise(world, instance, now),
        8..=9 => probe(world, long_ids, instance, now),
        10 => refused_whole(world, long_ids, instance, now),
        _ => {
            let letter = Letter::new(world);
            let id = queue_id(world, long_ids);
            let mut mail = Mail { letter, minor, id, instance, waiting: Vec::new() };
            let mut at = mail.come(world, now);
            match world.dice.within(0, 100) {
                0..=3 => mail.filtered(world, long_ids, &mut at),
                4 => mail.forwarded(world, long_ids, &mut at),
                _ => {}
            }
            mail.tries(world, long_ids, at);
        }
    }
}

impl Mail {
    fn write(&self, world: &mut World, at: u64, daemon: &'static str, text: &str) {
        self.tell(world, at, daemon, text, Vec::new());
    }

    fn tell(&self, world: &mut World, at: u64, daemon: &'static str, text: &str, truths: Vec<Truth>) {
        world.add(at, Event { daemon, instance: self.instance, body: format!("{}: {text}", self.id), truths });
    }

    /// Up to the first line of the queue manager.
    fn come(&self, world: &mut World, now: u64) -> u64 {
        let login = match &self.letter.login {
            Some(login) => format!(", sasl_method=PLAIN, sasl_username={login}"),
            None => String::new(),
        };
        line(world, now, "smtpd", self.instance, "connect from unknown[192.0.2.77]");
        if world.dice.happens(0.7) {
            line(world, now, "smtpd", self.instance, TLS_IN);
        }
        let daemon = world.one(&["smtpd", "submission/smtpd"]);
        self.write(world, now, daemon, &format!("client=unknown[192.0.2.77]{login}"));
        self.write(world, now, "cleanup", &format!("message-id=<{}>", self.letter.message_id));
        self.active(world, now);
        let bye = "disconnect from unknown[192.0.2.77] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8";
        line(world, now, "smtpd", self.instance, bye);
        now + world.dice.within(0, 4)
    }

    fn active(&self, world: &mut World, at: u64) {
        let (sender, count) = (&self.letter.sender, self.letter.recipients.len());
        let size = 500 + world.dice.within(0, 90_000);
        self.write(world, at, "qmgr", &format!("from=<{sender}>, size={size}, nrcpt={count} (queue active)"));
    }

    /// Through a content filter on the same machine, which gives it back as another mail; this one ends.
    fn filtered(&mut self, world: &mut World, long_ids: bool, at: &mut u64) {
        let inner = std::mem::replace(&mut self.id, queue_id(world, long_ids));
        let before =
            world.dice.happens(0.5).then(|| format!(", orig_queue_id={inner}, orig_client=unknown[192.0.2.77]"));
        let came = format!("client=localhost[127.0.0.1]{}", before.unwrap_or_default());
        self.write(world, *at, "smtpd", &came);
        self.write(world, *at, "cleanup", &format!("message-id=<{}>", self.letter.message_id));
        self.active(world, *at);
        let outer = std::mem::replace(&mut self.id, inner);
        for recipient in &self.letter.recipients {
            let text = format!(
                "to=<{}>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0.1/0/0/0.9, dsn=2.0.0, status=sent (250 2.0.0 from \
                 MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {outer})",
                recipient.address
            );
            self.write(world, *at, "smtp", &text);
        }
        self.removed(world, *at);
        self.id = outer;
        *at += 1;
    }

    /// By an alias to another mail, which has the same Message-ID.
    fn forwarded(&mut self, world: &mut World, long_ids: bool, at: &mut u64) {
        let inner = std::mem::replace(&mut self.id, queue_id(world, long_ids));
        self.write(world, *at, "cleanup", &format!("message-id=<{}>", self.letter.message_id));
        self.active(world, *at);
        let outer = std::mem::replace(&mut self.id, inner);
        let text = format!(
            "to=<list@org.test>, relay=local, delay=0.1, delays=0.1/0/0/0, dsn=2.0.0, status=sent (forwarded as {outer})"
        );
        self.write(world, *at, "local", &text);
        self.removed(world, *at);
        self.id = outer;
        *at += 1;
    }

    fn tries(mut self, world: &mut World, long_ids: bool, mut at: u64) {
        let recipients = self.letter.recipients.clone();
        if world.dice.happens(0.6) {
            line(world, at, "smtp", self.instance, TLS_OUT);
        }
        let mut failed = false;
        for recipient in &recipients {
            failed |= matches!(recipient.fate, Fate::Refused(_));
            self.first_try(world, recipient, at);
        }
        if !self.waiting.is_empty() && world.dice.happens(0.05) {
            self.notice(world, long_ids, "sender delay notification", at);
        }
        if !self.waiting.is_empty() && world.dice.happens(0.1) {
            at += world.dice.within(10, 200);
            self.put_back(world, long_ids, at);
        }
        if recipients.iter().any(|recipient| matches!(recipient.fate, Fate::Late(_) | Fate::Never(_))) {
            at += world.dice.within(300, 4000);
            self.active(world, at);
            for recipient in &recipients {
                self.next_try(world, recipient, at);
            }
        }
        if recipients.iter().any(|recipient| matches!(recipient.fate, Fate::Never(_))) {
            at += LIFE_S;
            let word = world.one(&["expired", "force-expired"]);
            let text = format!("from=<{}>, status={word}, returned to sender", self.letter.sender);
            // The answer may be older than its mail's queue id.
            let truths = self.waiting.drain(..).map(|last| Truth {
                at,
                queue_id: self.id.clone(),
                original: None,
                reach: Reach::Nobody,
                status: Status::Expired,
                ..last
            });
            let truths = truths.collect();
            self.tell(world, at, "qmgr", &text, truths);
            failed = true;
        }
        if failed {
            self.notice(world, long_ids, "sender non-delivery notification", at);
        } else if world.dice.happens(0.02) {
            self.notice(world, long_ids, "sender delivery status notification", at);
        }
        self.removed(world, at);
    }

    fn first_try(&mut self, world: &mut World, recipient: &Recipient, at: u64) {
        match recipient.fate {
            Fate::Taken(words) => self.taken(world, recipient, words, at),
            Fate::Here => {
                let (status, text) = (Status::Sent, "delivered to mailbox");
                let (relay, host) = world.one(&[
                    ("virtual", "virtual"),
                    ("local", "local"),
                    ("relay.test[private/dovecot-lmtp]", "relay.test"),
                ]);
                let truth = Truth {
                    host: Some(host.to_owned()),
                    reach: Reach::Here,
                    ..self.truth(recipient, at, status, text)
                };
                self.result(world, recipient, relay, "local", Truth { enhanced: Some(Enhanced(2, 0, 0)), ..truth });
            }
            Fate::Refused(answer) => self.answered(world, recipient, &answer, Status::Bounced, at),
            Fate::Late(answer) | Fate::Never(answer) => {
                if world.dice.happens(0.1) {
                    self.suspended(world, recipient, &answer, at);
                } else {
                    self.answered(world, recipient, &answer, Status::Deferred, at);
                }
            }
        }
    }

    fn next_try(&mut self, world: &mut World, recipient: &Recipient, at: u64) {
        match recipient.fate {
            Fate::Late(_) => self.taken(world, recipient, "250 2.0.0 Ok: queued as 77", at),
            Fate::Never(answer) if world.dice.happens(0.3) => self.suspended(world, recipient, &answer, at),
            Fate::Never(answer) => self.answered(world, recipient, &answer, Status::Deferred, at),
            _ => {}
        }
    }

    fn taken(&mut self, world: &mut World, recipient: &Recipient, words: &'static str, at: u64) {
        let truth = self.truth(recipient, at, Status::Sent, words);
        let truth = Truth { code: Some(250), enhanced: Some(Enhanced(2, 0, 0)), ..truth };
        let (mx, ip) = recipient.mx;
        self.result(world, recipient, &format!("{mx}[{ip}]:25"), "smtp", truth);
    }

    fn answered(&mut self, world: &mut World, recipient: &Recipient, answer: &Answer, status: Status, at: u64) {
        let mut text = sentence(answer, recipient);
        if world.dice.happens(0.005) {
            text.push_str(&" voir la page d'aide".repeat(120));
        }
        let truth = self.truth(recipient, at, status, &text);
        let mut truth = Truth { code: answer.code, enhanced: Some(answer.dsn), ..truth };
        let (mx, ip) = recipient.mx;
        let mut relay = format!("{mx}[{ip}]:25");
        if matches!(answer.kind, Kind::Connect | Kind::Dns) {
            "none".clone_into(&mut relay);
            (truth.host, truth.reach) = (None, Reach::Nobody);
        }
        self.result(world, recipient, &relay, "smtp", truth);
    }

    /// The queue manager repeats what another mail was told.
    fn suspended(&mut self, world: &mut World, recipient: &Recipient, answer: &Answer, at: u64) {
        let text = format!("delivery temporarily suspended: {}", sentence(answer, recipient));
        let truth = self.truth(recipient, at, Status::Deferred, &text);
        let truth = Truth { host: None, reach: Reach::Nobody, again: true, enhanced: Some(answer.dsn), ..truth };
        self.result(world, recipient, "none", "error", truth);
    }

    fn result(
        &mut self,
        world: &mut World,
        recipient: &Recipient,
        relay: &str,
        daemon: &'static str,
        mut truth: Truth,
    ) {
        let original =
            recipient.original.as_ref().map(|original| format!("orig_to=<{original}>, ")).unwrap_or_default();
        let used = if world.dice.happens(0.1) { "conn_use=2, " } else { "" };
        let tls = if 11 <= self.minor && truth.reach == Reach::Server { "tls=dane-only/halfdane, " } else { "" };
        let Enhanced(class, subject, detail) = truth.enhanced.unwrap_or(Enhanced(4, 0, 0));
        let status = match truth.status {
            Status::Deferred if world.dice.happens(0.05) => "SOFTBOUNCE",
            status => status.as_str(),
        };
        let mut text = format!(
            "to=<{}>, {original}relay={relay}, {used}delay=1.2, delays=0.1/0/0.4/0.7, {tls}dsn={class}.{subject}.{detail}, \
             status={status} ({})",
            recipient.address, truth.text
        );
        // Postfix cuts, and its last bracket goes first.
        let cut = text.len() - text.floor_char_boundary(CUT_OCTETS - self.id.len());
        if 0 < cut {
            text.truncate(text.len() - cut);
            truth.text.truncate(truth.text.len() + 1 - cut);
        }
        self.keep(&truth);
        self.tell(world, truth.at, daemon, &text, vec![truth]);
    }

    /// What an expiry will tell.
    fn keep(&mut self, truth: &Truth) {
        let place = self.waiting.iter().position(|last| last.recipient == truth.recipient);
        match (truth.status, place) {
            (Status::Deferred, Some(place)) if !truth.again => self.waiting[place] = truth.clone(),
            (Status::Deferred, None) => self.waiting.push(truth.clone()),
            (Status::Deferred, Some(_)) => {}
            (_, place) => drop(place.map(|place| self.waiting.remove(place))),
        }
    }

    fn truth(&self, recipient: &Recipient, at: u64, status: Status, text: &str) -> Truth {
        Truth { status, ..self.letter.truth(&self.id, recipient, at, text) }
    }

    /// `postsuper -r`: the same mail under another queue id, and nobody says that the old one is gone.
    fn put_back(&mut self, world: &mut World, long_ids: bool, at: u64) {
        self.write(world, at, "postsuper", "requeued");
        let old = std::mem::replace(&mut self.id, queue_id(world, long_ids));
        self.write(world, at, "pickup", &format!("uid=102 from=<{}> orig_id={old}", self.letter.sender));
        self.write(world, at, "cleanup", &format!("message-id=<{}>", self.letter.message_id));
        self.active(world, at);
    }

    /// A report of the mail's own sender, and its delivery.
    fn notice(&self, world: &mut World, long_ids: bool, what: &str, at: u64) {
        let id = queue_id(world, long_ids);
        self.write(world, at, "bounce", &format!("{what}: {id}"));
        let letter = Letter {
            sender: String::new(),
            login: None,
            message_id: format!("20261121.{id}@relay.test"),
            recipients: vec![Recipient {
                address: self.letter.sender.clone(),
                original: None,
                mx: ("mx.org.test", "192.0.2.44"),
                fate: Fate::Taken("250 ok"),
            }],
        };
        let mut report = Self { letter, minor: self.minor, id, instance: self.instance, waiting: Vec::new() };
        report.write(world, at, "cleanup", &format!("message-id=<{}>", report.letter.message_id));
        report.active(world, at);
        let recipient = report.letter.recipients[0].clone();
        report.taken(world, &recipient, "250 ok", at);
        report.removed(world, at);
    }

    fn removed(&self, world: &mut World, at: u64) {
        if !world.never_ends {
            self.write(world, at, "qmgr", "removed");
            world.free(at, self.id.clone());
        }
    }
}

fn sentence(answer: &Answer, recipient: &Recipient) -> String {
    let ((mx, ip), said) = (recipient.mx, answer.said_to(&recipient.address).replace('\n', " "));
    match answer.kind {
        Kind::Rcpt => format!("host {mx}[{ip}] said: {said} (in reply to RCPT TO command)"),
        Kind::EndOfData => format!("host {mx}[{ip}] said: {said} (in reply to end of DATA command)"),
        Kind::Banner => format!("host {mx}[{ip}] refused to talk to me: {said}"),
        Kind::Lost => format!("lost connection with {mx}[{ip}] while sending {said}"),
        Kind::Connect => format!("connect to {mx}[{ip}]:25: {said}"),
        Kind::Dns => said,
    }
}

fn line(world: &mut World, at: u64, daemon: &'static str, instance: &'static str, body: &str) {
    world.add(at, Event { daemon, instance, body: body.to_owned(), truths: Vec::new() });
}

/// Strangers, warnings, statistics.
fn noise(world: &mut World, instance: &'static str, now: u64) {
    let (daemon, body) = world.one(&[
        ("smtpd", "NOQUEUE: reject: RCPT from x[192.0.2.5]: 554 5.7.1 <a@b.test>: Relay access denied; from=<c@d.test> to=<a@b.test> proto=ESMTP helo=<x>"),
        ("smtpd", "warning: x[192.0.2.5]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"),
        ("smtpd", "lost connection after AUTH from x[192.0.2.5]"),
        ("anvil", "statistics: max connection rate 1/60s for (submission:192.0.2.5) at Nov 20 00:00:10"),
        ("smtp", "connect to mx.dest.test[192.0.2.1]:25: Connection refused"),
        ("qmgr", "4F2C31A0B9: skipped, still being delivered"),
    ]);
    line(world, now, daemon, instance, body);
}

/// Postfix asks whether an address exists (verify(8)): no mail, whatever the answer.
fn probe(world: &mut World, long_ids: bool, instance: &'static str, now: u64) {
    let id = queue_id(world, long_ids);
    let word = world.one(&["deliverable", "undeliverable"]);
    line(
        world,
        now,
        "qmgr",
        instance,
        &format!("{id}: from=<double-bounce@relay.test>, size=247, nrcpt=1 (queue active)"),
    );
    let text = format!(
        "{id}: to=<who@dest.test>, relay=mx.dest.test[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, dsn=5.1.1, status={word} (host \
         mx.dest.test[192.0.2.1] said: 550 5.1.1 no)"
    );
    line(world, now, "smtp", instance, &text);
    line(world, now, "qmgr", instance, &format!("{id}: removed"));
    world.free(now, id);
}

/// Refused after its content.
fn refused_whole(world: &mut World, long_ids: bool, instance: &'static str, now: u64) {
    let id = queue_id(world, long_ids);
    line(
        world,
        now,
        "smtpd",
        instance,
        &format!("{id}: client=x[192.0.2.5], sasl_method=PLAIN, sasl_username=mallory"),
    );
    line(world, now, "cleanup", instance, &format!("{id}: message-id=<spam@x>"));
    let text = format!(
        "{id}: milter-reject: END-OF-MESSAGE from x[192.0.2.5]: 5.7.1 spam; from=<a@b> to=<c@d> proto=ESMTP helo=<x>"
    );
    line(world, now, "cleanup", instance, &text);
    world.free(now, id);
}

fn queue_id(world: &mut World, long_ids: bool) -> String {
    let number = world.number();
    if long_ids {
        return format!("4jX8{:0>7}z{}", letters(number), letters(number % 2704 + 52));
    }
    // Short ones are used again as soon as they are free.
    world.used_again().unwrap_or_else(|| format!("{:05X}{:X}", number % 0xf_4240, 0x0010_0000 + number))
}

/// A number in the letters of Postfix's long queue ids, which have no vowels.
fn letters(mut number: u64) -> String {
    const LETTERS: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    let mut out = Vec::new();
    while out.is_empty() || 0 < number {
        out.push(char::from(LETTERS[(number % 52) as usize]));
        number /= 52;
    }
    out.iter().rev().collect()
}

/// Octets of a line from its queue id on.
const CUT_OCTETS: usize = 2000 - ": ".len();
/// `maximal_queue_lifetime` of this world: short, so that a log of two days has mails that expire.
const LIFE_S: u64 = 4 * 3600;
const TLS_IN: &str = "Anonymous TLS connection established from unknown[192.0.2.77]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 \
                      (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256";
const TLS_OUT: &str = "Trusted TLS connection established to mx.dest.test[192.0.2.1]:25: TLSv1.3 with cipher \
                       TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits)";
