//! Servers that are slow in every way that the protocol leaves them, in virtual time.

use rustls::RootCertStore;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::client::{Rcpt, RecipientResult};
use sm2tp_proto::smtp::params::Form;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(300);
/// As late as the RFC allows a server to be.
const JUST_IN_TIME: Duration = Duration::from_secs(299);

/// A server that lets `pause` pass before each reply, and between two octets of a message that it reads.
#[derive(Clone, Copy)]
struct Server {
    reply: Duration,
    octet: Duration,
    /// The lines of its greeting beside its name.
    offers: &'static str,
    /// Octets of a chunk after which it hangs up.
    chunk_max: usize,
}

/// Answers at once.
const QUICK: Server = Server { reply: Duration::ZERO, octet: Duration::ZERO, offers: "", chunk_max: usize::MAX };
const CHUNKS: Server = Server { offers: "250-PIPELINING\r\n250-CHUNKING\r\n", ..QUICK };

impl Server {
    async fn serve(self, mut stream: DuplexStream) -> io::Result<()> {
        self.say(&mut stream, "220 slow.test\r\n").await?;
        loop {
            let line = self.hear(&mut stream).await?;
            match &line[..4] {
                "EHLO" => self.say(&mut stream, &format!("250-slow.test\r\n{}250 HELP\r\n", self.offers)).await?,
                "BDAT" => {
                    let octets: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
                    for read in 0..octets {
                        if self.chunk_max <= read {
                            return Ok(());
                        }
                        let _ = stream.read_u8().await?;
                        sleep(self.octet).await;
                    }
                    self.say(&mut stream, "250 taken\r\n").await?;
                }
                "DATA" => {
                    self.say(&mut stream, "354 go on\r\n").await?;
                    self.message(&mut stream).await?;
                    // RFC 5321 §4.5.3.2.6 gives twice the time here.
                    sleep(self.reply).await;
                    self.say(&mut stream, "250 taken\r\n").await?;
                }
                _ => self.say(&mut stream, "250 ok\r\n").await?,
            }
        }
    }

    async fn say(self, stream: &mut DuplexStream, text: &str) -> io::Result<()> {
        sleep(self.reply).await;
        stream.write_all(text.as_bytes()).await
    }

    async fn hear(self, stream: &mut DuplexStream) -> io::Result<String> {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(stream.read_u8().await?));
        }
        Ok(line)
    }

    async fn message(self, stream: &mut DuplexStream) -> io::Result<()> {
        let mut last = [0; 5];
        while &last != b"\r\n.\r\n" {
            last.rotate_left(1);
            last[4] = stream.read_u8().await?;
            sleep(self.octet).await;
        }
        Ok(())
    }
}

fn target(tls: &Arc<ClientConfig>) -> Target<'_> {
    Target {
        host: "slow.test",
        tls_name: "slow.test",
        address: ([127, 0, 0, 1], 25).into(),
        level: Level::Clear,
        speaks: Speaks::Smtp,
        login: None,
        tls: tls.clone(),
        source: None,
        hello: "relay.test",
    }
}

/// What became of a mail for so many recipients, and how long that took.
async fn sent(server: Server, recipients: usize, content: &[u8]) -> (Sent, Duration) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = Arc::new(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    // A small window: what the server does not read, the client cannot write.
    let (ours, theirs) = tokio::io::duplex(64);
    let serving = tokio::spawn(server.serve(theirs));
    let connection = Connection::greet(Box::new(ours), None, &target(&tls), ANSWER).await;
    let connection = connection.unwrap_or_else(|trouble| panic!("{trouble:?}"));
    let address = Address::parse("bob@slow.test").unwrap();
    let options = (MailOptions::default(), RcptOptions::default());
    let rcpts = vec![Rcpt { path: &address, options: &options.1 }; recipients];
    let plan = Plan {
        mail_from: None,
        recipients: &rcpts,
        octets: content.len() as u64,
        eight_bit: false,
        header: Form::Ascii,
        options: &options.0,
        may_chunk: true,
    };
    let began = Instant::now();
    let sent = connection.send(plan, Outgoing { fields: b"", content }).await;
    serving.abort();
    (sent, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_all_the_time_that_the_rfc_gives_it_gets_its_mail() {
    let server = Server { reply: JUST_IN_TIME, ..QUICK };
    let (sent, took) = sent(server, 1, b"Subject: x\r\n\r\nhello\r\n").await;
    assert!(sent.results.recipients[0].is_delivered(), "{:?}", sent.results);
    assert!(sent.open.is_some() && JUST_IN_TIME * 5 <= took);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_it_for_a_hundred_recipients_is_left_and_nothing_was_delivered() {
    let server = Server { reply: JUST_IN_TIME, ..QUICK };
    let (sent, took) = sent(server, 100, b"Subject: x\r\n\r\nhello\r\n").await;
    assert_eq!((sent.lost, sent.open.is_none()), (LocalFailure::TooSlow, true));
    assert!(sent.results.recipients.iter().all(|result| matches!(result, RecipientResult::Lost { .. })));
    // 100 recipients have ten minutes and five seconds each; the last step that began in time ended.
    assert!((MINUTE * 18..MINUTE * 25).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_a_message_octet_by_octet_is_left_after_minutes() {
    let server = Server { octet: Duration::from_secs(4), ..QUICK };
    let (sent, took) = sent(server, 1, "Subject: x\r\n\r\n".repeat(1000).as_bytes()).await;
    assert_eq!((sent.lost, sent.open.is_none()), (LocalFailure::TooSlow, true));
    assert!((MINUTE * 10..MINUTE * 16).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_has_the_time_that_a_large_message_needs() {
    // Ten octets a millisecond, a little more than what is waited for.
    let server = Server { octet: Duration::from_micros(100), ..QUICK };
    let (sent, _) = sent(server, 1, &b"a line of 32 octets, with its end\r\n".repeat(1000)).await;
    assert!(sent.results.recipients[0].is_delivered(), "{:?}", sent.results);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_passes_while_the_answers_to_its_commands_come_back() {
    // The answers alone are fifty times what the line holds: who did not read them while writing would wait for ever.
    let (sent, _) = sent(CHUNKS, 97, &b"a line\r\n.a dot that stays alone\r\n".repeat(1000)).await;
    assert!(sent.results.recipients.iter().all(RecipientResult::is_delivered), "{:?}", sent.results);
    assert!(sent.open.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_read_octet_by_octet_ends_as_a_message_does() {
    let server = Server { octet: Duration::from_secs(4), ..CHUNKS };
    let (sent, took) = sent(server, 1, "Subject: x\r\n\r\n".repeat(1000).as_bytes()).await;
    assert_eq!((sent.lost, sent.open.is_none()), (LocalFailure::TooSlow, true));
    assert!((MINUTE * 10..MINUTE * 60).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_in_a_chunk_has_not_taken_it() {
    let server = Server { chunk_max: 10, ..CHUNKS };
    let (sent, _) = sent(server, 2, &b"Subject: x\r\n".repeat(100)).await;
    assert!(sent.open.is_none());
    assert!(sent.results.recipients.iter().all(|result| matches!(result, RecipientResult::Lost { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_greeting_that_drips_is_waited_for_as_long_as_one_that_does_not_come() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let dripping = tokio::spawn(async move {
        for octet in std::iter::once(b'2').chain(std::iter::repeat(b'x')) {
            if theirs.write_all(&[octet]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(20)).await;
        }
    });
    let mut wire = Wire::new(Box::new(ours), None, ANSWER, Stretch::opening(ANSWER));
    let began = Instant::now();
    assert_eq!(wire.reply(1).await, Err(LocalFailure::Timeout));
    assert_eq!(began.elapsed(), ANSWER);
    dripping.abort();
}

#[tokio::test(start_paused = true)]
async fn an_opening_ends_though_each_of_its_steps_came_in_time() {
    let opening = Stretch::opening(ANSWER);
    for _ in 0..5 {
        let until = opening.step().unwrap();
        assert_eq!(until - Instant::now(), ANSWER, "a step has all of its time");
        sleep(JUST_IN_TIME).await;
    }
    assert_eq!(opening.step(), Err(LocalFailure::TooSlow));
    let end = Stretch::end(ANSWER);
    assert_eq!(end.step_of(DOT_ANSWERS).unwrap() - Instant::now(), MINUTE * 10);
    sleep(MINUTE * 30).await;
    assert_eq!(end.step_of(DOT_ANSWERS), Err(LocalFailure::TooSlow));
}
