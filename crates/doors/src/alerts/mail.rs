//! An alert as a mail.

use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use sm2tp_proto::Address;
use sm2tp_store::alerts::Message;

use super::{Language, words};

/// A mail of the node to its administrator.
pub(super) fn mail(hostname: &str, to: &Address, message: &Message, language: Language) -> Vec<u8> {
    let from = format!("postmaster@{hostname}");
    MessageBuilder::new()
        .date(Date::new(i64::try_from(message.at).unwrap_or(i64::MAX)))
        .message_id(format!("alert.{}.{}@{hostname}", message.id, message.at))
        .from(("SM2TP", from.as_str()))
        .to(to.clear())
        .subject(words::subject(hostname, message, language))
        // RFC 3834 §5: no robot answers to a robot.
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .text_body(words::body(hostname, message, language))
        .write_to_vec()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sm2tp_rules::alerts::{Finding, Part, Turn};

    use super::*;

    #[test]
    fn a_mail_says_what_happened_and_that_a_robot_wrote_it() {
        let finding = Finding::DiskLow { free_octets: 5 << 20, size_octets: 100 << 30 };
        let parts = vec![Part { turn: Turn::Opened, opened_at: 1_800_000_000, finding }];
        let message = Message { id: 7, at: 1_800_000_000, parts };
        let to = Address::parse("admin@example.org").unwrap();
        let text = String::from_utf8(mail("relay.example.org", &to, &message, Language::English)).unwrap();
        for want in ["Auto-Submitted: auto-generated", "To: <admin@example.org>", "alert.7.1800000000@", "5 MiB"] {
            assert!(text.contains(want), "{want}: {text}");
        }
    }
}
