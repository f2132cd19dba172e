//! What an entry of another program's list means in our words: its reason, read with our own rules where a server's words
//! stand beside it.

use std::fmt;

use sm2tp_proto::lists::{Entry, Format, Reason, Who};
use sm2tp_rules::imported::Claim;
use sm2tp_rules::{Cause, Classifier, Said, Strength};

use crate::control::{Listed, Whom};

/// Why an entry is left out before the node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The mailbox was full, or off for a while.
    Soft,
    /// The message was refused, or its sender.
    Blocked,
    /// The list does not say why.
    Unsaid,
}

/// The entry as the node takes it. `default`: the reason of entries that have none.
///
/// # Errors
/// Why it is left out.
pub fn judge(entry: Entry, format: Format, default: Option<Reason>, classifier: &Classifier) -> Result<Listed, Skip> {
    let reason = match (entry.reason, default, format) {
        (Reason::Unsaid, Some(default), _) => default,
        // A person who makes a list of addresses and imports it wants them not to be written to.
        (Reason::Unsaid, None, Format::Plain) => Reason::Listed,
        (reason, _, _) => reason,
    };
    let claim = match reason {
        Reason::Bounce | Reason::Answer => bounce(&entry, reason, format, classifier)?,
        Reason::Complaint => Claim::Complaint,
        Reason::Unsubscribe => Claim::Unsubscribed,
        // A word of a newer version stops all mail rather than none.
        Reason::Listed => Claim::Listed { stream: entry.stream.as_deref().and_then(|stream| stream.parse().ok()) },
        Reason::Soft => return Err(Skip::Soft),
        Reason::Blocked => return Err(Skip::Blocked),
        Reason::Unsaid => return Err(Skip::Unsaid),
    };
    let who = match entry.who {
        Who::Address(address) => Whom::Address(address),
        Who::Tag { tag, key_id, domain } => Whom::Tag { tag, key_id, domain },
    };
    let words = entry.text.map(|text| text.chars().take(WORDS_CHARS_MAX).collect());
    Ok(Listed { who, claim, at: entry.at, org: entry.org.filter(|org| !org.is_empty()), words })
}

/// What a person sees of whom an entry is about.
#[must_use]
pub fn shown(who: &Who) -> &str {
    match who {
        Who::Address(address) => address,
        Who::Tag { tag, .. } => tag,
    }
}

/// The same, of an entry on its way to the node.
#[must_use]
pub fn whom(who: &Whom) -> &str {
    match who {
        Whom::Address(address) => address,
        Whom::Tag { tag, .. } => tag,
    }
}

/// Providers put refused messages, full mailboxes and dead addresses on the same list: where the words of the server are
/// there, they are believed, and not the name of the list.
fn bounce(entry: &Entry, reason: Reason, format: Format, classifier: &Classifier) -> Result<Claim, Skip> {
    let claim = |strength, inactive| Claim::Bounce {
        strength,
        inactive,
        code: entry.code.unwrap_or(0),
        enhanced: entry.enhanced,
    };
    let is_said = entry.text.is_some() || entry.code.is_some() || entry.enhanced.is_some();
    if format == Format::Own || !is_said {
        let strength = if entry.is_weak { Strength::Weak } else { Strength::Strong };
        return Ok(claim(strength, entry.is_repeated));
    }
    let text = entry.text.as_deref().unwrap_or("");
    let mut said = Said::of_text(text);
    said.code = said.code.or(entry.code);
    said.enhanced = said.enhanced.or(entry.enhanced);
    let outcome = classifier.classify(&said);
    match outcome.cause {
        Cause::Address => Ok(claim(outcome.strength, outcome.sub.as_deref() == Some("inactive"))),
        Cause::Mailbox => Err(Skip::Soft),
        // Words that nobody knows leave what the list itself says.
        Cause::Unknown if reason == Reason::Bounce => Ok(claim(Strength::Strong, false)),
        Cause::Unknown => Ok(claim(Strength::Weak, false)),
        _ => Err(Skip::Blocked),
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Soft => "the mailbox was full or off for a while, which says nothing for good",
            Self::Blocked => "the message was refused, or its sender: that says nothing of the address",
            Self::Unsaid => "the list does not say why: import it with --reason",
        })
    }
}

/// Of a reply, for those who ask later why.
const WORDS_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use sm2tp_proto::lists::{Line, Reader};
    use sm2tp_rules::classify::Classifier;

    use super::*;

    #[track_caller]
    fn check(list: &str, want: &[&str]) {
        let classifier = Classifier::shipped();
        let (mut reader, mut lines) = (Reader::new(None), Vec::new());
        reader.push(list.as_bytes(), &mut lines);
        reader.finish(&mut lines);
        let format = reader.format().unwrap();
        let said = |line| match line {
            Line::Refused { fault, .. } => format!("{fault:?}"),
            Line::Entry(entry) => match judge(entry, format, None, &classifier) {
                Ok(Listed { claim: Claim::Bounce { strength, inactive, .. }, .. }) => {
                    format!("{strength}{}", if inactive { " inactive" } else { "" })
                }
                Ok(listed) => format!("{:?}", listed.claim),
                Err(skip) => format!("{skip:?}"),
            },
        };
        let got: Vec<String> = lines.into_iter().map(said).collect();
        assert_eq!(got, want, "{list}");
    }

    #[test]
    fn the_words_of_a_server_are_believed_before_the_name_of_the_list() {
        check(
            "status,reason,email,created\n\
             5.1.1,550 5.1.1 The email account that you tried to reach does not exist,a@x.example,1443651125\n\
             5.7.1,\"550 5.7.1 Our system has detected that this message is likely unsolicited mail\",b@x.example,1443651125\n\
             5.2.2,552 5.2.2 mailbox full,c@x.example,1443651125\n\
             ,something that nobody knows,d@x.example,1443651125\n",
            &["strong", "Blocked", "Soft", "weak"],
        );
    }

    #[test]
    fn a_word_of_the_provider_holds_where_nothing_else_is_said() {
        check("a@x.example,BOUNCE\nb@x.example,COMPLAINT\n", &["strong", "Complaint"]);
        check(
            r#"[{"email":"a@x.example","reason":{"code":"hardBounce","message":"This address bounced"},"blockedAt":""}]"#,
            &["strong"],
        );
        check("a@x.example\n", &["Listed { stream: None }"]);
        check("email,created\na@x.example,1443651125\n", &["Unsaid"]);
        check("bounce 1580000000 1580927145 3\nemail d@x.example\n", &["strong inactive"]);
    }
}
