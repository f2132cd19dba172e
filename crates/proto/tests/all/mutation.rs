//! Seeded mutations: whatever comes over the wire, nothing panics, memory stays bounded, and how the octets are cut
//! into reads changes nothing.

use sm2tp_proto::smtp::client::{ClientSession, Do, Hello, Plan, Rcpt, ReplyBuffer, Spoken, StartTls};
use sm2tp_proto::smtp::line::LINE_OCTETS_MAX;
use sm2tp_proto::smtp::params::Form;
use sm2tp_proto::smtp::server::{AuthOffer, Offers, Tls};
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_proto::{Address, Reply};

use crate::dialogue::{Move, dialogues};
use crate::fuzz::drive::{Dice, mutate};
use crate::shell::Shell;

const ROUNDS: u64 = 20_000;

const TOKENS: &[&[u8]] = &[
    b"\r\n.\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"\r\n.",
    b"\r\r\n",
    b"\xff",
    b"\xc3\xa9",
    b" ",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"*\r\n",
    b"=\r\n",
    b"DATA\r\n",
    b"BDAT 7 LAST\r\n",
    b"BDAT 3\r\n",
    b"BDAT 0 LAST\r\n",
    b" SMTPUTF8",
    b" NOTIFY=NEVER",
    b"RSET\r\n",
    b"EHLO x\r\n",
    b"MAIL FROM:<>\r\n",
    b"STARTTLS\r\n",
    b"RCPT TO:<b@example.test>\r\n",
    b"AUTH PLAIN ",
    b"AUTH LOGIN\r\n",
    b"AGFubmEAc2VjcmV0",
    b" SIZE=1",
    b"@",
    b"+",
];

fn pick<'a, T: ?Sized>(dice: &mut Dice, from: &[&'a T]) -> &'a T {
    from[dice.below(from.len())]
}

/// Everything that can be seen from outside after these reads.
fn run<'a>(offers: &Offers, reads: impl Iterator<Item = &'a [u8]>) -> (String, bool, bool, String) {
    let mut shell = Shell::open(offers.clone());
    reads.for_each(|bytes| shell.read(bytes));
    let octets_max = usize::try_from(offers.octets_max).unwrap();
    // Between two chunks there is a line and half a message.
    assert!(shell.held_max <= LINE_OCTETS_MAX + octets_max);
    for (_, content) in &shell.messages {
        check_message(content);
    }
    (String::from_utf8(shell.out).unwrap(), shell.closed, shell.handshake, format!("{:?}", shell.messages))
}

/// What is taken has CRLF line ends and nothing that another program could take for one.
fn check_message(content: &[u8]) {
    assert!(content.is_empty() || content.ends_with(b"\r\n"));
    for (index, byte) in content.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(content.get(index + 1), Some(&b'\n')),
            b'\n' => assert_eq!(content[index - 1], b'\r'),
            byte => assert_ne!(*byte, 0),
        }
    }
}

fn seeds() -> Vec<(Offers, Vec<u8>)> {
    let seed = |moves: &[(usize, Move)]| {
        let bytes = moves.iter().filter_map(|(_, step)| match step {
            Move::Client(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        bytes.collect::<Vec<_>>().concat()
    };
    dialogues().into_iter().map(|dialogue| (dialogue.offers, seed(&dialogue.moves))).collect()
}

#[test]
fn mutated_dialogues_end_the_same_however_they_are_cut() {
    let seeds = seeds();
    let others: Vec<Vec<u8>> = seeds.iter().map(|(_, bytes)| bytes.clone()).collect();
    let mut took = 0;
    for seed in 0..ROUNDS {
        let mut dice = Dice(seed);
        let (mut offers, mut bytes) = seeds[dice.below(seeds.len())].clone();
        bytes.truncate(5000);
        mutate(&mut dice, &mut bytes, &others, TOKENS);
        if dice.below(3) == 0 {
            offers = Offers { tls: Tls::On, auth: AuthOffer::Yes, octets_max: 200, recipients_max: 3, ..offers };
        }
        let whole = run(&offers, std::iter::once(bytes.as_slice()));
        let (mut rest, mut reads) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (read, tail) = rest.split_at((1 + dice.below(9)).min(rest.len()));
            reads.push(read);
            rest = tail;
        }
        assert_eq!(run(&offers, reads.into_iter()), whole, "seed {seed}: {}", bytes.escape_ascii());
        took += usize::from(whole.3.len() > 2);
    }
    assert!(1000 < took, "only {took} rounds had a message taken: the mutations are too wild to test anything");
}

#[test]
fn each_dialogue_cut_anywhere_ends_the_same() {
    for (offers, bytes) in seeds().into_iter().filter(|(_, bytes)| bytes.len() < 2000) {
        let whole = run(&offers, std::iter::once(bytes.as_slice()));
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(run(&offers, [head, tail].into_iter()), whole, "{at}");
        }
    }
}

const REPLIES: &[&str] = &[
    "220 hi",
    "250 ok",
    "250 ok",
    "250 ok",
    "250-mx\n250-PIPELINING\n250-SIZE 100\n250 STARTTLS",
    "354 go",
    "354 go",
    "250-mx\n250 SMTPUTF8",
    "450 later",
    "550 5.1.1 no",
    "421 bye",
    "251 forwarded",
    "334 what",
    "554 no",
    "502 what",
    "500 what",
];

/// One random conversation; what must hold whatever the server says.
fn converse(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let starttls = [StartTls::Never, StartTls::IfOffered, StartTls::Required][dice.below(3)];
    let mut session = ClientSession::open(Hello::new("relay.example.org", starttls));
    let addresses = ["a@x.test", "b@x.test", "é@x.test"].map(|text| Address::parse(text).unwrap());
    let (options, wishes) = (MailOptions::default(), RcptOptions::default());
    let recipients: Vec<_> = addresses[..dice.below(4)].iter().map(|path| Rcpt { path, options: &wishes }).collect();
    let plan = Plan {
        mail_from: None,
        recipients: &recipients,
        octets: 90 + dice.roll() % 20,
        eight_bit: true,
        header: Form::Ascii,
        options: &options,
        may_chunk: dice.below(2) == 0,
    };
    let (mut step, mut body, mut delivered) = (Do::Continue, false, 0);
    for _ in 0..60 {
        body |= matches!(step, Do::SendBody | Do::SendAtOnce(_));
        (session, step) = match step {
            Do::StartTls => session.tls_started(),
            Do::Ready => session.begin(plan),
            Do::Finished(results) => {
                assert_eq!(results.recipients.len(), recipients.len());
                let count = results.recipients.iter().filter(|result| result.is_delivered()).count();
                assert!(count == 0 || body, "delivered without a message");
                delivered += count;
                if !results.reusable || dice.below(3) == 0 {
                    break;
                }
                body = false;
                session.begin(plan)
            }
            Do::GiveUp(_) => break,
            Do::Send(bytes) if dice.below(40) == 0 => {
                assert!(bytes.ends_with(b"\r\n"));
                let lost = session.lost().map(|results| results.recipients);
                assert!(lost.is_none_or(|lost| lost.len() == recipients.len()));
                break;
            }
            Do::Send(_) | Do::SendBody | Do::SendAtOnce(_) | Do::Continue => {
                let likely = match session.spoken() {
                    Some(Spoken::Connect) => "220 hi",
                    Some(Spoken::Data) => "354 go",
                    _ => "250 ok",
                };
                let text = if dice.below(3) == 0 { pick(&mut dice, REPLIES) } else { likely };
                session.reply(Reply::parse(text).unwrap())
            }
        };
    }
    delivered
}

#[test]
fn no_server_confuses_the_client() {
    let delivered: usize = (0..ROUNDS).map(converse).sum();
    assert!(1000 < delivered, "{delivered}");
}

#[test]
fn mutated_replies_come_out_the_same_however_they_are_cut() {
    let read = |bytes: &[u8], chunk: usize| {
        let (mut buffer, mut replies) = (ReplyBuffer::new(), Vec::new());
        for mut read in bytes.chunks(chunk) {
            while !read.is_empty() {
                match buffer.push(read) {
                    Ok(progress) => {
                        read = &read[progress.consumed..];
                        replies.extend(progress.reply);
                    }
                    Err(error) => return (replies, Some(error)),
                }
            }
        }
        (replies, None)
    };
    let others = [REPLIES.join("\r\n").into_bytes(), b"250-a\r\n250-5.1.1 b\r\n250 c\r\n".repeat(20)];
    for seed in 0..ROUNDS {
        let mut dice = Dice(seed);
        let mut bytes = others[dice.below(2)].clone();
        mutate(&mut dice, &mut bytes, &others, TOKENS);
        let whole = read(&bytes, bytes.len().max(1));
        assert_eq!(read(&bytes, 1), whole, "seed {seed}");
        assert_eq!(read(&bytes, 1 + dice.below(30)), whole, "seed {seed}");
        for result in &whole.0 {
            assert!(result.text.len() < 64 * 1024);
        }
    }
}
