//! Who writes reports, and mails that machines send and that are no reports: absence, challenges, receipts.

use super::mime::Mail;
use super::{Envelope, Kind, text_of};
use crate::Address;

/// True for `multipart/report; report-type=disposition-notification` (RFC 8098).
pub(super) fn is_receipt(mail: &Mail<'_>) -> bool {
    mail.report_type.as_deref() == Some("disposition-notification")
        || mail.parts.iter().any(|part| {
            matches!(
                part.media.as_str(),
                "message/disposition-notification" | "message/global-disposition-notification"
            )
        })
}

/// The kind of a mail from a machine that is no report on a delivery; none where it may be one.
pub(super) fn kind(mail: &Mail<'_>, envelope: &Envelope) -> Option<Kind> {
    let header = &mail.header;
    if CHALLENGE_FIELDS.iter().any(|name| header.has(name)) || begins(&envelope.subject, CHALLENGE_SUBJECTS) {
        return Some(Kind::Challenge);
    }
    if begins(&envelope.subject, RECEIPT_SUBJECTS) {
        return Some(Kind::Receipt);
    }
    if begins(&envelope.subject, ABSENCE_SUBJECTS) {
        return Some(Kind::AutoReply);
    }
    if envelope.is_report {
        return None;
    }
    if is_challenge_text(mail) {
        return Some(Kind::Challenge);
    }
    let automatic =
        header.first("auto-submitted").is_some_and(|value| value.to_lowercase().starts_with("auto-replied"))
            || ABSENCE_FIELDS.iter().any(|name| header.has(name))
            || ["precedence", "x-precedence", "preference"].iter().any(|name| {
                header
                    .first(name)
                    .is_some_and(|value| ["auto_reply", "auto-reply", "auto"].contains(&&*value.to_lowercase()))
            });
    automatic.then_some(Kind::AutoReply)
}

/// True for the addresses and names that mail servers report with. RFC 5321 §4.5.5 wants them to come from nobody.
pub(super) fn is_from_daemon(author: &str, from: Option<&Address>) -> bool {
    let lower = author.to_lowercase();
    let empty = author.trim().trim_matches(['<', '>', '"', ' ']).is_empty() && author.contains("<>");
    empty
        || from.is_some_and(|from| DAEMONS.iter().any(|daemon| from.is_mailbox_of(daemon)))
        || DAEMON_NAMES.iter().any(|name| lower.contains(name))
}

/// `subject` is in lower case.
pub(super) fn speaks_of_failure(subject: &str) -> bool {
    FAILURE_SUBJECTS.iter().any(|words| subject.contains(words)) || speaks_of_delay(subject)
}

pub(super) fn speaks_of_delay(subject: &str) -> bool {
    DELAY_SUBJECTS.iter().any(|words| subject.contains(words))
}

fn begins(subject: &str, words: &[&str]) -> bool {
    let subject = subject.trim_start_matches(['[', '*', ' ', '"', '(']);
    words.iter().any(|words| subject.starts_with(words))
}

fn is_challenge_text(mail: &Mail<'_>) -> bool {
    let text = text_of(mail);
    let start = super::mime::cut(&text, TEXT_OCTETS_MAX).to_lowercase().replace('\u{2019}', "'");
    let text: String = start.split_whitespace().collect::<Vec<_>>().join(" ");
    CHALLENGE_TEXTS.iter().any(|words| text.contains(words))
}

const DAEMONS: &[&str] = &[
    "mailer-daemon",
    "mailerdaemon",
    "mailer_daemon",
    "maildaemon",
    "mail-daemon",
    "mdaemon",
    "postmaster",
    "post-master",
    "mailmaster",
    "mail-delivery",
    "mmdf",
    "uucp",
    "bounce",
    "bounces",
    "mailadmin",
    "smtpd",
];
const DAEMON_NAMES: &[&str] = &[
    "mailer-daemon",
    "mail delivery",
    "delivery subsystem",
    "mail administrator",
    "system administrator",
    "postmaster",
    "administrateur système",
    "systemadministrator",
    "mail router",
    "mail transport system",
    "undeliverable",
    "internet mail delivery",
    "mail system",
    "microsoft exchange",
    "microsoft outlook",
    "no-reply@sns.amazonaws.com",
    "système de messagerie",
    "mail daemon",
];
const FAILURE_SUBJECTS: &[&str] = &[
    "undeliver",
    "non-deliver",
    "nondeliver",
    "not deliver",
    "undelivr",
    "delivery fail",
    "delivery status",
    "delivery notif",
    "delivery report",
    "delivery error",
    "delivery problem",
    "delivery incomplete",
    "delivery has failed",
    "failure notice",
    "failure delivery",
    "mail failure",
    "message failure",
    "mail delivery",
    "returned mail",
    "returned to sender",
    "returned message",
    "return to sender",
    "mail system error",
    "mail error",
    "mail could not",
    "message could not",
    "could not be delivered",
    "could not send message",
    "couldn't be delivered",
    "bounced mail",
    "bounce notification",
    "mail bounce",
    "nondelivery",
    "ndn:",
    "ndr:",
    "user unknown",
    "unknown user",
    "rejected mail",
    "message rejected",
    "you sent blocked",
    "message blocked",
    "mail blocked",
    "error sending your mail",
    "aws notification",
    "failed mail",
    "failed delivery",
    "mail rejected",
    "permanent delivery",
    "unable to deliver",
    "unzustellbar",
    "nicht zustellbar",
    "zustellung",
    "fehlgeschlagen",
    "non remis",
    "non distribu",
    "non délivr",
    "échec de la remise",
    "echec de la remise",
    "échec de remise",
    "échec de livraison",
    "notification d'état de remise",
    "notification d'échec",
    "message non",
    "erreur de distribution",
    "avis de non",
    "courrier non",
    "impossible de remettre",
    "no se puede entregar",
    "no se pudo entregar",
    "no entregado",
    "error de entrega",
    "devuelto",
    "devolución",
    "recapito",
    "non recapitabile",
    "impossibile recapitare",
    "não entregue",
    "nao entregue",
    "não foi possível entregar",
    "falha na entrega",
    "devolvid",
    "onbestelbaar",
    "niet bezorgd",
    "går inte att leverera",
    "kan ikke leveres",
    "niedostarczalne",
    "не доставлено",
    "недоставлен",
    "配信不能",
    "エラーメール",
    "送信エラー",
    "系统退信",
    "退信",
    "未送达",
    "无法投递",
];
const DELAY_SUBJECTS: &[&str] = &[
    "delayed",
    "(delay)",
    "delay notification",
    "warning: could not send",
    "warning: message",
    "still being retried",
    "not yet been delivered",
    "delivery status notification: warning",
    "retardé",
    "différé",
    "verzögert",
    "retrasad",
    "in ritardo",
    "atrasad",
    "vertraagd",
];
const ABSENCE_SUBJECTS: &[&str] = &[
    "auto:",
    "autoreply",
    "auto-reply",
    "auto reply",
    "auto response",
    "auto-response",
    "autoresponse",
    "automatic reply",
    "automated reply",
    "automatic response",
    "automated response",
    "out of office",
    "out-of-office",
    "out of the office",
    "ooo:",
    "vacation",
    "on vacation",
    "away from",
    "away until",
    "i am away",
    "i'm away",
    "on leave",
    "on holiday",
    "réponse automatique",
    "reponse automatique",
    "réponse auto",
    "absence",
    "absent",
    "en congé",
    "en vacances",
    "message d'absence",
    "je suis absent",
    "accusé de réception automatique",
    "automatische antwort",
    "automatische abwesenheit",
    "abwesenheit",
    "abwesend",
    "außer haus",
    "respuesta automática",
    "respuesta automatica",
    "fuera de la oficina",
    "fuera de oficina",
    "risposta automatica",
    "fuori sede",
    "fuori ufficio",
    "resposta automática",
    "resposta automatica",
    "ausência",
    "automatisch antwoord",
    "afwezig",
    "autosvar",
    "autosvar:",
    "automaattinen vastaus",
    "automatyczna odpowiedź",
    "автоответ",
    "自動応答",
    "自動返信",
    "自动回复",
];
const ABSENCE_FIELDS: &[&str] = &[
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-auto-reply",
    "x-mail-autoreply",
    "x-autoreply-from",
    "x-auto-response-suppress",
    "x-vacation",
    "x-ooo",
    "x-autogenerated-reply",
];
const RECEIPT_SUBJECTS: &[&str] = &[
    "read:",
    "read receipt",
    "return receipt",
    "disposition notification",
    "lu :",
    "lu:",
    "confirmation de lecture",
    "accusé de lecture",
    "gelesen:",
    "lesebestätigung",
    "leído:",
    "letto:",
    "lida:",
    "gelezen:",
    "not read:",
    "non lu :",
    "non lu:",
];
const CHALLENGE_FIELDS: &[&str] = &[
    "x-tmda-confirm",
    "x-boxtrapper-challenge",
    "x-spamarrest-challenge",
    "x-mailinblack",
    "x-challenge",
    "x-mailinblack-challenge",
];
const CHALLENGE_SUBJECTS: &[&str] = &[
    "please confirm your message",
    "please confirm your email",
    "confirm your message",
    "your email requires verification",
    "your message requires verification",
    "verification required",
    "please verify your email",
    "message verification",
    "demande d'authentification",
    "demande de confirmation",
    "confirmez l'envoi",
    "confirmez votre envoi",
    "veuillez confirmer votre",
    "votre message est en attente",
    "authentification de votre",
    "bestätigen sie ihre nachricht",
];
const CHALLENGE_TEXTS: &[&str] = &[
    "to confirm that you are a person",
    "to prove that you are a human",
    "confirm that you are human",
    "confirm that you sent the message",
    "confirm you are a real person",
    "just reply to this email to confirm",
    "simply reply to this message to have",
    "your message is being held",
    "in order to have your message delivered",
    "for your message to be delivered, please",
    "please click the link below to deliver your message",
    "click the following link to deliver",
    "click on the link below to complete the verification",
    "add yourself to my list of allowed senders",
    "this is a one-time verification",
    "protected by spam arrest",
    "using boxtrapper",
    "tmda challenge",
    "cliquez ici pour confirmer l'envoi",
    "cliquez sur le lien ci-dessous pour confirmer",
    "cliquez sur le lien suivant pour confirmer",
    "afin de vous authentifier",
    "pour que votre message soit délivré",
    "pour que votre message soit remis",
    "pour que votre message me parvienne",
    "protégée par mailinblack",
    "protégé par mailinblack",
    "vous authentifier une seule fois",
];
/// A challenge asks at once.
const TEXT_OCTETS_MAX: usize = 8 * 1024;
