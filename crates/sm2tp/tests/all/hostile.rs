//! Clients that send rubbish, too much, too fast or nothing at all: each gets a clear answer, and the node goes on.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, exchange, try_send};
use crate::node::Node;
use crate::programs::Certificate;
use crate::sink::Sink;
use crate::wait::{Random, wait_until};

/// A node with these lines in its [smtp] section, and what it delivers to.
fn node_with(smtp: &str) -> (Node, Sink) {
    let sink = Sink::start();
    let node = Node::start(&format!(
        "hostname = \"relay.example.org\"\n[smtp]\nlisten = [\"127.0.0.1:0\"]\ntrusted_networks = [\"127.0.0.1\"]\n{smtp}\n\
         [relay]\nsmarthost = \"{}\"\n",
        sink.address
    ));
    (node, sink)
}

/// The node takes and delivers an ordinary mail, and that was the only one.
#[track_caller]
fn goes_on(node: &Node, sink: &Sink) {
    // The seat of the last client is free a moment after that client is gone.
    wait_until("a mail is taken", Duration::from_secs(12), || {
        try_send(node.smtp(), "anna@good.test", &["after@example.test"], "after the storm").is_ok()
    });
    let mail = sink.mail_to("after@example.test");
    assert!(mail.text().contains("Subject: after the storm"));
    node.wait_for_empty_queue();
    assert_eq!(sink.mails().len(), 1, "nothing else was taken");
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

/// Each line is a reply: three digits and a space or hyphen, in ASCII.
#[track_caller]
fn check_replies(said: &str) {
    let bad = said.split_terminator("\r\n").find(|line| {
        let code = line.get(..3).unwrap_or("");
        !matches!(code.parse::<u16>(), Ok(200..=599))
            || !matches!(line.as_bytes().get(3), Some(b' ' | b'-'))
            || !line.is_ascii()
    });
    assert_eq!(bad, None, "{said:?}");
}

#[test]
fn rubbish_of_all_kinds_is_answered_and_forgotten() {
    let (node, sink) = node_with("");
    let seed = 0x5eed_0002;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let long = vec![b'a'; 3_000_000];
    let pieces: &[&[u8]] = &[
        b"EHLO a.example\r\n",
        b"MAIL FROM:<a@b.test>\r\n",
        b"MAIL FROM:<a@b.test> SMTPUTF8 RET=FULL ENVID=x+20y\r\n",
        b"RCPT TO:<c@d.test> NOTIFY=SUCCESS,DELAY ORCPT=utf-8;\\x{E9}@d.test\r\n",
        b"BDAT 7\r\na\nb\0c\rd",
        b"BDAT 0 LAST\r\n",
        b"BDAT 99999999\r\n",
        b"RCPT TO:<c@d.test>\r\n",
        b"RSET\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\xff\xfe",
        b"AUTH PLAIN\r\n",
        b"=\r\n",
        b"*\r\n",
        b"STARTTLS\r\n",
        b"VRFY x\r\n",
        b"\x16\x03\x01\x02\x00",
        b"MAIL FROM:<",
        b">",
        b"@",
        b"\"",
        b" SIZE=",
        b"HELO x\r\n",
        b"NOOP\n",
        b"RCPT TO:<\0@\0>\r\n",
        b"BDAT 5\r\n",
        &long,
    ];
    for _ in 0..60 {
        let count = 1 + random.below(40);
        let octets: Vec<u8> =
            (0..count).flat_map(|_| pieces[random.below(pieces.len() as u64) as usize].to_vec()).collect();
        check_replies(&exchange(node.smtp(), &octets));
    }
    goes_on(&node, &sink);
}

#[test]
fn line_ends_that_are_none_are_refused_in_commands_and_in_messages() {
    let (node, sink) = node_with("");
    let begin = "EHLO a.example\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n";
    for bad in ["NOOP\nNOOP\r\n", "NOOP\rNOOP\r\n", "NO\0OP\r\n"] {
        let said = exchange(node.smtp(), format!("{begin}{bad}QUIT\r\n").as_bytes());
        assert!(said.contains("\r\n500 5.5.2 ") && said.contains("\r\n221 "), "{bad:?}: {said}");
    }
    for end in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r\n\0.\r\n", "\r\n.\0\r\n", "\r\n.\r\r\n"] {
        let hidden = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@d.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";
        let octets = format!("{begin}DATA\r\nSubject: x\r\n\r\ntext{end}{hidden}\r\n.\r\nNOOP\r\nQUIT\r\n");
        let said = exchange(node.smtp(), octets.as_bytes());
        assert_eq!(said.matches("\r\n354 ").count(), 1, "{end:?}: {said}");
        assert!(said.contains("\r\n550 5.6.0 ") && said.contains("\r\n221 "), "{end:?}: {said}");
    }
    goes_on(&node, &sink);
}

#[test]
fn a_hundred_thousand_recipients_are_each_answered_in_bounded_memory() {
    const COUNT: usize = 100_000;
    let (node, sink) = node_with("recipients_max = 50000\nconnections_per_client_max = 10");
    let before = node.memory_peak_reset_kib();
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    let began = Instant::now();
    let (mut taken, mut put_off) = (0, 0);
    for first in (0..COUNT).step_by(1000) {
        let commands: String = (first..first + 1000).map(|n| format!("RCPT TO:<recipient{n}@d{n}.test>\r\n")).collect();
        client.write(commands.as_bytes()).unwrap();
        for _ in 0..1000 {
            match client.reply().unwrap().get(..9).unwrap() {
                "250 2.1.5" => taken += 1,
                "452 4.5.3" => put_off += 1,
                other => panic!("{other}"),
            }
        }
    }
    let took = began.elapsed();
    println!("{COUNT} recipients in {took:?}");
    // A look-up in a list for each of them would take minutes.
    assert!(took < Duration::from_secs(20), "{COUNT} recipients took {took:?}");
    assert_eq!((taken, put_off), (50_000, 50_000));
    client.say("RSET", "250").unwrap();
    client.say("QUIT", "221").unwrap();
    let grown = node.memory_peak_kib() - before;
    println!("memory grew by {grown} KiB");
    assert!(grown < 64 * 1024, "memory grew by {grown} KiB");
    goes_on(&node, &sink);
}

#[test]
fn whoever_tries_out_recipients_without_end_is_shown_the_door() {
    let (node, sink) = node_with("recipients_max = 10");
    let mut octets = "EHLO a.example\r\nMAIL FROM:<anna@good.test>\r\n".to_owned();
    (0..100_000).for_each(|n| octets.push_str(&format!("RCPT TO:<recipient{n}@d.test>\r\n")));
    let said = exchange(node.smtp(), octets.as_bytes());
    assert_eq!((said.matches("250 2.1.5").count(), said.matches("452 4.5.3").count()), (10, 100));
    assert!(said.trim_end().lines().last().unwrap().starts_with("421 4.5.3"), "{said}");
    goes_on(&node, &sink);
}

#[test]
fn a_message_over_the_size_is_refused_to_its_end_in_bounded_memory() {
    let (node, sink) = node_with("message_size_max = \"1 MiB\"\nmemory_max = \"4 MiB\"");
    let before = node.memory_peak_reset_kib();
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say(&format!("MAIL FROM:<anna@good.test> SIZE={}", 1024 * 1024 + 1), "552 5.3.4").unwrap();
    client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    client.say("RCPT TO:<bob@example.test>", "250").unwrap();
    client.say("DATA", "354").unwrap();
    let line = [vec![b'x'; 1022], b"\r\n".to_vec()].concat();
    let chunk = line.repeat(1024);
    (0..200).for_each(|_| client.write(&chunk).unwrap());
    // Its end is found all the same, and the session goes on.
    client.say(".", "552 5.3.4").unwrap();
    client.say("NOOP", "250").unwrap();
    let grown = node.memory_peak_kib() - before;
    println!("memory grew by {grown} KiB");
    assert!(grown < 64 * 1024, "memory grew by {grown} KiB for a message of 200 MiB");
    client.say("QUIT", "221").unwrap();
    goes_on(&node, &sink);
}

#[test]
fn messages_beyond_the_memory_are_put_off_and_not_dropped() {
    let (node, sink) = node_with("message_size_max = \"1 MiB\"\nmemory_max = \"1 MiB\"");
    let open = |_| {
        let mut client = Client::greet(node.smtp()).unwrap();
        client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
        client.say("RCPT TO:<bob@example.test>", "250").unwrap();
        client.write(b"DATA\r\n").unwrap();
        (client.reply().unwrap(), client)
    };
    let clients: Vec<_> = (0..10).map(open).collect();
    let taken = clients.iter().filter(|(reply, _)| reply.starts_with("354")).count();
    assert!((1..10).contains(&taken), "{taken} of 10 may send");
    for (reply, _) in clients.iter().filter(|(reply, _)| !reply.starts_with("354")) {
        assert!(reply.starts_with("421 4.3.1"), "{reply}");
    }
    drop(clients);
    // They went without an end of their message: nothing of it is kept, and their memory is free again.
    wait_until("there is memory again", Duration::from_secs(10), || open(0).0.starts_with("354"));
    goes_on(&node, &sink);
}

#[test]
fn one_client_cannot_take_all_connections() {
    let (node, sink) = node_with("connections_per_client_max = 5");
    let mut clients: Vec<_> = (0..5).map(|_| Client::greet(node.smtp()).unwrap()).collect();
    for _ in 0..300 {
        let said = exchange(node.smtp(), b"");
        assert!(said.starts_with("421 4.7.0 relay.example.org"), "{said}");
    }
    // Those who were there first are still served.
    for client in &mut clients {
        client.say("NOOP", "250").unwrap();
    }
    clients.truncate(4);
    wait_until("a seat is free", Duration::from_secs(10), || Client::greet(node.smtp()).is_ok());
    wait_until("and free again", Duration::from_secs(10), || Client::greet(node.smtp()).is_ok());
    drop(clients);
    wait_until("all seats are free", Duration::from_secs(10), || {
        (0..5).map(|_| Client::greet(node.smtp())).collect::<Result<Vec<_>, _>>().is_ok()
    });
    goes_on(&node, &sink);
}

#[test]
fn a_client_that_falls_silent_is_sent_away() {
    let (node, sink) = node_with("command_timeout = \"1s\"");
    let mut silent = Client::greet(node.smtp()).unwrap();
    let mut in_data = Client::greet(node.smtp()).unwrap();
    in_data.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    in_data.say("RCPT TO:<bob@example.test>", "250").unwrap();
    in_data.say("DATA", "354").unwrap();
    in_data.write(b"Subject: half a message\r\n").unwrap();
    for client in [&mut silent, &mut in_data] {
        client.expect("421 4.4.2").unwrap();
        assert_eq!(client.line().unwrap(), None);
    }
    goes_on(&node, &sink);
}

#[test]
fn a_client_that_speaks_octet_by_octet_does_not_keep_its_seat() {
    let (node, sink) = node_with("command_timeout = \"2s\"");
    let mut client = Client::greet(node.smtp()).unwrap();
    // A command has to be whole within the time: whoever sends an octet now and then would stay for weeks.
    wait_until("the client is sent away", Duration::from_secs(12), || {
        thread::park_timeout(Duration::from_millis(300));
        client.write(b"a").is_err()
    });
    goes_on(&node, &sink);
}

#[test]
fn a_client_that_never_reads_its_answers_fills_no_memory_and_keeps_no_seat() {
    let smtp = "command_timeout = \"2s\"\nconnections_per_client_max = 1\nrecipients_max = 50000";
    let (node, sink) = node_with(smtp);
    let before = node.memory_peak_reset_kib();
    let mut stream = TcpStream::connect(node.smtp()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(b"EHLO a.example\r\nMAIL FROM:<anna@good.test>\r\n").unwrap();
    // More answers than the system keeps for a connection; until the node stops reading, or has sent us away.
    for first in (0..500_000).step_by(1000) {
        let commands: String = (first..first + 1000).map(|n| format!("RCPT TO:<recipient{n}@d.test>\r\n")).collect();
        if stream.write_all(commands.as_bytes()).is_err() {
            break;
        }
    }
    let grown = node.memory_peak_kib() - before;
    println!("memory grew by {grown} KiB");
    assert!(grown < 32 * 1024, "memory grew by {grown} KiB");
    goes_on(&node, &sink);
    drop(stream);
}

#[test]
fn what_is_said_in_clear_behind_starttls_is_not_heard_after_the_handshake() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_with(&certificate.config());
    let mut client = Client::greet(node.smtp()).unwrap();
    let injected =
        "STARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@good.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\n";
    client.write(injected.as_bytes()).unwrap();
    client.expect("220").unwrap();
    let mut client = client.start_tls(&certificate);
    // Nothing was heard: there is no greeting, no sender, no recipient.
    client.say("DATA", "503").unwrap();
    client.say("EHLO client.example.org", "250").unwrap();
    client.say("RCPT TO:<bob@example.test>", "503").unwrap();
    client.say("QUIT", "221").unwrap();
    goes_on(&node, &sink);
}

#[test]
fn a_handshake_that_is_none_ends_that_connection_only() {
    let certificate = Certificate::new("relay.example.org");
    let (node, sink) = node_with(&format!("{}command_timeout = \"1s\"", certificate.config()));
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16; 5000], &[0; 100], b""] {
        let mut client = Client::greet(node.smtp()).unwrap();
        client.say("STARTTLS", "220").unwrap();
        client.write(rubbish).unwrap();
        // Some alert of TLS, or nothing; then it is over.
        wait_until("the connection ends", Duration::from_secs(10), || !matches!(client.line(), Ok(Some(_))));
    }
    goes_on(&node, &sink);
}

#[test]
fn chunks_without_end_hold_no_more_than_a_message_and_their_octets_are_no_commands() {
    let (node, sink) = node_with("message_size_max = \"1 MiB\"");
    let mut client = Client::greet(node.smtp()).unwrap();
    client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    client.say("RCPT TO:<bob@example.test>", "250").unwrap();
    let before = node.memory_peak_reset_kib();
    // 200 MB in one chunk of a message that may have one.
    client.write(b"BDAT 200000000 LAST\r\n").unwrap();
    let piece = b"RSET\r\nMAIL FROM:<eve@good.test>\r\n".repeat(3000);
    let mut left = 200_000_000_usize;
    while left != 0 {
        let count = left.min(piece.len());
        client.write(&piece[..count]).unwrap();
        left -= count;
    }
    let said = client.reply().unwrap();
    assert!(said.starts_with("552 5.3.4"), "{said}");
    let grown = node.memory_peak_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    client.say("NOOP", "250 2.0.0").unwrap();
    // A chunk of one octet is no way to make us answer for ever.
    client.say("MAIL FROM:<anna@good.test>", "250").unwrap();
    client.say("RCPT TO:<bob@example.test>", "250").unwrap();
    let mut said = String::new();
    for _ in 0..2000 {
        if client.write(b"BDAT 1\r\na").is_err() {
            break;
        }
        said = client.reply().unwrap_or(said);
        if said.starts_with("421") {
            break;
        }
    }
    assert!(said.starts_with("421 4.7.0"), "{said}");
    goes_on(&node, &sink);
}

#[test]
fn parameters_without_end_and_values_that_are_none_are_answered_each_with_one_line() {
    let (node, sink) = node_with("");
    let mut client = Client::greet(node.smtp()).unwrap();
    let many = "NOTIFY=NEVER ".repeat(100_000);
    let long = "A".repeat(1500);
    for bad in [
        format!("MAIL FROM:<a@b.test> {many}"),
        format!("MAIL FROM:<a@b.test> ENVID={long}"),
        "MAIL FROM:<a@b.test> ENVID=a+0D+0ARCPT+20TO:<x@y.test>".to_owned(),
        "MAIL FROM:<a@b.test> RET=FULL RET=FULL".to_owned(),
        format!("MAIL FROM:<a@b.test> {}", "A ".repeat(900)),
    ] {
        let said = client.say(&bad, "5").unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    client.say("MAIL FROM:<a@b.test>", "250").unwrap();
    for bad in ["ORCPT=rfc822;a+00b@c.test", "ORCPT=rfc822", "NOTIFY=NEVER,NEVER", "NOTIFY=", "ORCPT=utf-8;\\x{D800}"] {
        client.say(&format!("RCPT TO:<c@d.test> {bad}"), "501").unwrap();
    }
    drop(client);
    goes_on(&node, &sink);
}
