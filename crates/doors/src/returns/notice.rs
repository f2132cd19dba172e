//! The mail that tells an organisation of complaints and of readers who left: one a day at most.

use mail_builder::MessageBuilder;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use sm2tp_store::accounts::Untold;

/// The language of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    French,
}

/// The notice; `who` are the addresses of those who complained, as far as the send log still has them.
pub(super) fn mail(hostname: &str, untold: &Untold, who: &[String], language: Language, now: u64) -> Vec<u8> {
    let (subject, text) = match language {
        Language::English => english(untold, who),
        Language::French => french(untold, who),
    };
    let from = format!("postmaster@{hostname}");
    MessageBuilder::new()
        .date(Date::new(i64::try_from(now).unwrap_or(i64::MAX)))
        .message_id(format!("complaints.{now}.{}@{hostname}", untold.told_at))
        .from(("SM2TP", from.as_str()))
        .to(untold.contact.clear())
        .subject(subject)
        // RFC 3834 §5: no robot answers to a robot.
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .text_body(text)
        .write_to_vec()
        .unwrap_or_default()
}

fn english(untold: &Untold, who: &[String]) -> (String, String) {
    let subject = format!("{}: complaints about your mail", untold.org);
    let mut text = format!(
        "Since the last notice of this kind, recipients of mail of {}\n\
         - complained at their provider: {}\n\
         - left with the unsubscribe link: {}\n\n\
         No more bulk mail of yours goes to them: it is refused with \"the recipient complained\n\
         about or opted out of mail of this sender\". Please take them off your lists.\n",
        untold.org, untold.complaints, untold.optouts
    );
    list(&mut text, "\nWho complained, as far as we know:\n", who, untold.complaints, "\nand others\n");
    text.push_str(
        "\nPeople complain about mail that they did not ask for, or cannot get rid of. A share of\n\
         complaints above 0.1 % makes providers put all your mail into the spam folder.\n",
    );
    (subject, text)
}

fn french(untold: &Untold, who: &[String]) -> (String, String) {
    let subject = format!("{}\u{a0}: plaintes au sujet de vos messages", untold.org);
    let mut text = format!(
        "Depuis le dernier avis de ce genre, des destinataires des messages de {}\n\
         - se sont plaints auprès de leur fournisseur\u{a0}: {}\n\
         - se sont désinscrits par le lien\u{a0}: {}\n\n\
         Ils ne reçoivent plus d’envois en nombre de votre part\u{a0}: ces envois sont refusés, avec la\n\
         mention «\u{a0}the recipient complained about or opted out of mail of this sender\u{a0}».\n\
         Merci de les retirer de vos listes.\n",
        untold.org, untold.complaints, untold.optouts
    );
    list(
        &mut text,
        "\nQui s’est plaint, pour autant que nous le sachions\u{a0}:\n",
        who,
        untold.complaints,
        "\net d’autres\n",
    );
    text.push_str(
        "\nOn se plaint de messages que l’on n’a pas demandés ou dont on n’arrive pas à se débarrasser.\n\
         Au-delà de 0,1\u{a0}% de plaintes, les fournisseurs classent tous vos messages en indésirables.\n",
    );
    (subject, text)
}

fn list(text: &mut String, title: &str, who: &[String], complaints: u64, more: &str) {
    if who.is_empty() {
        return;
    }
    text.push_str(title);
    for address in who {
        text.push_str(&format!("  {address}\n"));
    }
    if (who.len() as u64) < complaints {
        text.push_str(more);
    }
}

#[cfg(test)]
mod tests {
    use sm2tp_proto::Address;

    use super::*;

    #[test]
    fn a_notice_says_how_many_and_who_in_both_languages() {
        let contact = Address::parse("list@asso.example").unwrap();
        let untold = Untold { org: "asso".into(), contact, complaints: 2, optouts: 3, told_at: 0 };
        let who = ["jean@x.example".to_owned()];
        for (language, want) in [(Language::English, "and others"), (Language::French, "et d=E2=80=99autres")] {
            let mail = String::from_utf8(mail("relay.example.org", &untold, &who, language, 1_800_000_000)).unwrap();
            let found = [
                "To: <list@asso.example>",
                "provider: 2",
                "fournisseur=C2=A0: 2",
                "jean@x.example",
                want,
                "Auto-Submitted",
            ];
            let hits = found.iter().filter(|text| mail.contains(**text)).count();
            assert!(5 <= hits, "{mail}");
        }
    }
}
