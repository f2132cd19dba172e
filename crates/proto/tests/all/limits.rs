//! What a hostile client cannot make the session do: hold memory, talk for ever, or say yes.

use sm2tp_proto::smtp::server::{BAD_COMMANDS_MAX, IDLE_COMMANDS_MAX, REFUSED_FACTOR_MAX};

use crate::dialogue::offers;
use crate::shell::Shell;

fn replies(shell: &mut Shell) -> Vec<String> {
    let out = String::from_utf8(std::mem::take(&mut shell.out)).unwrap();
    out.split_terminator("\r\n").map(str::to_owned).collect()
}

/// Sends the same again and again until the connection closes; how many replies began with each code.
fn until_closed(shell: &mut Shell, line: impl Fn(usize) -> String, most: usize) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for n in 0..most {
        shell.read(line(n).as_bytes());
        for reply in replies(shell) {
            match counts.iter_mut().find(|(code, _)| reply.starts_with(code.as_str())) {
                Some((_, count)) => *count += 1,
                None => counts.push((reply[..3].to_owned(), 1)),
            }
        }
        if shell.closed {
            return counts;
        }
    }
    panic!("still open after {most}: {counts:?}");
}

#[test]
fn a_hundred_thousand_recipients_are_cut_short() {
    for domain in ["example.test", "refused.test", "é.test"] {
        let mut shell = Shell::open(offers());
        shell.read(b"HELO x\r\nMAIL FROM:<a@good.test>\r\n");
        replies(&mut shell);
        let counts = until_closed(&mut shell, |n| format!("RCPT TO:<r{n}@{domain}>\r\n"), 100_000);
        let answered: usize = counts.iter().map(|(_, count)| count).sum();
        assert!(answered <= 100 + 100 * REFUSED_FACTOR_MAX + 1, "{domain}: {counts:?}");
        assert!(counts.contains(&("421".into(), 1)));
        assert!(shell.messages.is_empty());
    }
}

#[test]
fn talk_that_leads_nowhere_ends() {
    let idle = IDLE_COMMANDS_MAX as usize;
    for line in
        ["NOOP\r\n", "RSET\r\n", "EHLO x\r\n", "VRFY x\r\n", "RCPT TO:<a@b.test>\r\n", "HELO x\r\nMAIL FROM:<>\r\n"]
    {
        let mut shell = Shell::open(offers());
        until_closed(&mut shell, |_| line.to_owned(), idle + 1);
    }
    for line in ["X\r\n", "\n\r\n", "MAIL FROM:<a>\r\n", "\r\n", "AUTH PLAIN\r\n", "STARTTLS\r\n"] {
        let mut shell = Shell::open(offers());
        let counts = until_closed(&mut shell, |_| line.to_owned(), BAD_COMMANDS_MAX as usize + 1);
        assert!(counts.contains(&("421".into(), 1)), "{line:?}");
    }
}

#[test]
fn a_long_connection_with_messages_goes_on() {
    let mut shell = Shell::open(offers());
    shell.read(b"EHLO x\r\n");
    for _ in 0..3 * IDLE_COMMANDS_MAX {
        shell.read(b"RSET\r\nMAIL FROM:<a@good.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n");
        shell.read(b"x\r\n.\r\n");
    }
    assert!(!shell.closed);
    assert_eq!(shell.messages.len(), 3 * IDLE_COMMANDS_MAX as usize);
}

#[test]
fn a_message_without_end_holds_no_more_than_its_limit() {
    let mut shell = Shell::open(offers());
    shell.read(b"HELO x\r\nMAIL FROM:<a@good.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n");
    let line = [b'a'; 4096];
    (0..10_000).for_each(|_| shell.read(&line));
    assert!(shell.held_max <= 10_000, "{}", shell.held_max);
    shell.read(b"\r\n.\r\nQUIT\r\n");
    assert!(shell.closed && shell.messages.is_empty());
}
