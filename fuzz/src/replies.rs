//! What a server says to our client, and the small texts beside it: replies, stored parameters, SCRAM messages.

use sm2tp_proto::smtp::client::ReplyBuffer;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_proto::{Address, Reply, scram};

/// Replies come out the same however they are cut, within their limit.
pub fn replies(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, 1), whole);
    assert_eq!(read(bytes, 13), whole);
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code), "{}", reply.code);
        assert!(reply.text.len() < 64 * 1024);
    }
}

fn read(bytes: &[u8], chunk: usize) -> (Vec<Reply>, Option<String>) {
    let (mut buffer, mut replies) = (ReplyBuffer::new(), Vec::new());
    for mut read in bytes.chunks(chunk) {
        while !read.is_empty() {
            match buffer.push(read) {
                Ok(progress) => {
                    read = &read[progress.consumed..];
                    replies.extend(progress.reply);
                }
                Err(error) => return (replies, Some(error.to_string())),
            }
        }
    }
    (replies, None)
}

/// Lines of text as they stand in a row of the spool or in a login: what is read is written again as the same.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        if let Ok(address) = Address::parse(line) {
            assert_eq!(Address::parse(&address.clear()).as_ref(), Ok(&address), "{line}");
        }
        if let Ok(options) = MailOptions::from_stored(Some(line)) {
            assert_eq!(MailOptions::from_stored(options.stored().as_deref()).as_ref(), Ok(&options), "{line}");
        }
        if let Ok(options) = RcptOptions::from_stored(Some(line)) {
            assert_eq!(RcptOptions::from_stored(options.stored().as_deref()).as_ref(), Ok(&options), "{line}");
        }
        if let Ok(first) = scram::ClientFirst::parse(line) {
            let login = first.login().to_owned();
            let (challenge, _) = first.challenge(scram::Keys::pretended(&login, &[7; 32], 1), &[9; 18]);
            text.lines().for_each(|answer| assert!(challenge.verify(answer).is_err()));
        }
    }
}
