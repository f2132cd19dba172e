//! What a mail server beside us sends: policy requests, socketmap queries, milter frames, sentences about deliveries.

use sm2tp_proto::delivery::{Delivery, What};
use sm2tp_proto::milter::{Answer, Change, Event, FrameReader, Session, Wants};
use sm2tp_proto::policy::{PolicyError, REQUEST_OCTETS_MAX, RequestReader};
use sm2tp_proto::smtpd_filter::{Sessions, Step, answer};
use sm2tp_proto::socketmap::QueryReader;

/// The same requests however the octets are cut, up to the first that is none.
pub fn policy(bytes: &[u8]) {
    assert_eq!(requests(bytes, 1), requests(bytes, usize::MAX));
    assert_eq!(requests(bytes, 7), requests(bytes, usize::MAX));
}

fn requests(bytes: &[u8], chunk: usize) -> Vec<String> {
    let (mut reader, mut seen) = (RequestReader::default(), Vec::new());
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        loop {
            match reader.next_request() {
                Ok(Some(request)) => seen.push(format!("{request:?}")),
                Ok(None) => break,
                Err(PolicyError::TooLong) => {
                    assert!(REQUEST_OCTETS_MAX < bytes.len(), "a short request is too long");
                    return seen;
                }
                Err(_) => return seen,
            }
        }
    }
    seen
}

/// Likewise for queries.
pub fn socketmap(bytes: &[u8]) {
    assert_eq!(queries(bytes, 1), queries(bytes, usize::MAX));
    assert_eq!(queries(bytes, 3), queries(bytes, usize::MAX));
}

fn queries(bytes: &[u8], chunk: usize) -> Vec<String> {
    let (mut reader, mut seen) = (QueryReader::default(), Vec::new());
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        while let Ok(Some(query)) = reader.next_query() {
            seen.push(format!("{query:?}"));
        }
    }
    seen
}

/// Likewise for the frames of a milter client; and what is written back are whole frames, one at least where it was asked.
pub fn milter(bytes: &[u8]) {
    for wants in [Wants::ToDecide, Wants::ToMark] {
        assert_eq!(events(bytes, 1, wants), events(bytes, usize::MAX, wants));
        assert_eq!(events(bytes, 5, wants), events(bytes, usize::MAX, wants));
    }
}

fn events(bytes: &[u8], chunk: usize, wants: Wants) -> Vec<String> {
    let (mut reader, mut session, mut seen) = (FrameReader::default(), Session::new(wants), Vec::new());
    let changes = vec![
        Change::Insert { name: "X-SM2TP-Ref", value: "a\0b".into() },
        Change::Leave("<b@dest.test>".into()),
        Change::Quarantine("why\0not".into()),
    ];
    for octets in bytes.chunks(chunk.min(bytes.len().max(1))) {
        reader.feed(octets);
        loop {
            let Ok(frame) = reader.next_frame() else { return seen };
            let Some(frame) = frame else { break };
            let mut out = Vec::new();
            let Ok(event) = session.take(frame, &mut out) else { return seen };
            let is_end = matches!(event, Event::End { .. });
            let answer = if is_end { Answer::Change(changes.clone()) } else { Answer::Continue };
            session.answer(&answer, &mut out);
            let written = frames(&out);
            assert!(!is_end || written != 0, "the end of a mail waits for an answer");
            seen.push(format!("{event:?} {written}"));
            if event == Event::Quit {
                return seen;
            }
        }
    }
    seen
}

/// How many frames these octets are.
fn frames(mut octets: &[u8]) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = octets.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!(0 < length && length <= rest.len(), "a torn frame was written");
        (count, octets) = (count + 1, &rest[length..]);
    }
    assert!(octets.is_empty(), "octets behind the last frame");
    count
}

/// Each question of OpenSMTPD gets one line, and a question to the policy service is one that it reads.
pub fn smtpd_filter(bytes: &[u8]) {
    let mut sessions = Sessions::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        match sessions.line(line, "bulk") {
            Step::Nothing => {}
            Step::Say(text) => assert!(text.ends_with('\n') && !text.contains("\n\n"), "{text:?}"),
            Step::Ask { asked, question } => {
                let mut reader = RequestReader::default();
                reader.feed(question.as_bytes());
                assert!(matches!(reader.next_request(), Ok(Some(_))), "{question:?}");
                let refused = answer(&asked, &format!("action=550 5.1.1 {line}\n\n"));
                assert_eq!(refused.matches('\n').count(), 1, "{refused:?}");
            }
        }
    }
}

/// A reply that was found begins with its code, and a host with something.
pub fn deliveries(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for told in [Delivery::by_postfix(&text), Delivery::by_exim(&text, None)] {
        assert_ne!(told.host, Some(""));
        if let What::Reply { text, .. } = told.what
            && told.host.is_none()
        {
            assert!(text.starts_with(|c: char| c.is_ascii_digit()), "{text:?}");
        }
    }
}
