//! Table: the words of `log scan`, in English and in French.

use crate::words::Table;

/// Key, English, French. No line breaks before a sign that French sets off: `\u{a0}` before `:` and `%`.
pub(super) const TITLES: Table = &[
    (
        "sums",
        "{lines} lines: {sent} sent, {deferred} deferred, {bounced} bounced, {expired} expired.",
        "{lines} lignes\u{a0}: {sent} remis, {deferred} différés, {bounced} rejetés, {expired} expirés.",
    ),
    (
        "again",
        "Of the deferred, {again} repeat an older answer; {inner} more passed a filter on the same machine.",
        "Parmi les différés, {again} répètent une réponse plus ancienne\u{202f}; {inner} autres sont passés par un filtre de \
         la même machine.",
    ),
    (
        "came",
        "{came} mails came in ({in}), {out} were delivered; {refused} recipients or mails were refused at the door, {aside} held or \
         thrown away; {complaints} complaints of the mail server itself.",
        "{came} messages sont arrivés ({in}), {out} ont été remis\u{202f}; {refused} destinataires ou messages refusés à \
         l’entrée, {aside} retenus ou jetés\u{202f}; {complaints} avertissements du serveur lui-même.",
    ),
    (
        "different",
        "{senders} senders, {recipients} recipients, {domains} recipient domains, {hosts} servers.",
        "{senders} expéditeurs, {recipients} destinataires, {domains} domaines destinataires, {hosts} serveurs.",
    ),
    ("page", "What the log of the mail server says", "Ce que dit le journal du serveur de messagerie"),
    (
        "personal",
        "This page names people: keep it as you keep the log.",
        "Cette page contient des données personnelles\u{a0}: conservez-la comme le journal lui-même.",
    ),
    ("contents", "Contents", "Sommaire"),
    ("days", "By day", "Par jour"),
    ("hours", "By hour of the day", "Par heure de la journée"),
    ("troubles", "Why and where", "Pourquoi et où"),
    ("domains", "Recipient domains", "Domaines destinataires"),
    ("hosts", "Servers that mail was handed to", "Serveurs à qui le courrier a été remis"),
    ("senders", "Senders", "Expéditeurs"),
    ("wrong", "Senders that look wrong", "Expéditeurs suspects"),
    ("senders-size", "Senders by size", "Expéditeurs par volume"),
    ("recipients", "Recipients", "Destinataires"),
    ("recipients-size", "Recipients by size", "Destinataires par volume"),
    ("refusals", "Refused at the door", "Refusés à l’entrée"),
    ("complaints", "What the mail server complains of", "Avertissements du serveur"),
    ("day", "Day", "Jour"),
    ("hour", "Hour", "Heure"),
    ("came-in", "came", "arrivés"),
    ("refused", "refused", "refusés"),
    ("sent", "sent", "remis"),
    ("deferred", "deferred", "différés"),
    ("bounced", "bounced", "rejetés"),
    ("expired", "expired", "expirés"),
    ("octets", "size", "taille"),
    ("mails", "mails", "messages"),
    ("where", "Where", "Où"),
    ("cause", "Why", "Pourquoi"),
    ("count", "count", "nombre"),
    ("last", "last words", "dernière réponse"),
    ("domain", "Recipient domain", "Domaine destinataire"),
    ("host", "Server", "Serveur"),
    ("sender", "Sender", "Expéditeur"),
    ("recipient", "Recipient", "Destinataire"),
    ("reason", "Stage and reason", "Étape et raison"),
    ("text", "Text", "Texte"),
    ("why", "why", "pourquoi"),
    (
        "bad",
        "{bad} of {ended} recipients do not exist ({percent} %): an old or a bought list, or a stolen mailbox",
        "{bad} destinataires sur {ended} n’existent pas ({percent}\u{a0}%)\u{a0}: liste ancienne ou achetée, ou boîte volée",
    ),
    (
        "spam",
        "{percent} % of its mail was refused as spam: look at what it sends",
        "{percent}\u{a0}% de ses messages ont été refusés comme indésirables\u{a0}: regardez ce qu’il envoie",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_fill_in_the_same() {
        crate::words::agree(TITLES);
    }
}
