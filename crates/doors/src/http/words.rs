//! Table: the words of the pages, in English and in French.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Fr,
}

impl Lang {
    /// The one of the two that `Accept-Language` (RFC 9110 §12.5.4) wants most; `otherwise` where neither is there.
    pub(super) fn of(accept: &str, otherwise: Self) -> Self {
        let mut best = (0.0, otherwise);
        for item in accept.split(',').take(ASKED_MAX) {
            let mut parts = item.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().split('-').next().unwrap_or_default();
            let lang = match tag.to_ascii_lowercase().as_str() {
                "fr" => Self::Fr,
                "en" => Self::En,
                _ => continue,
            };
            let mut parameters = parts.filter_map(|part| part.split_once('='));
            let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            let quality: f64 = quality.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
            if best.0 < quality {
                best = (quality, lang);
            }
        }
        best.1
    }

    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
        }
    }

    /// The word for a key; a key that is in no table stands for itself.
    pub(super) fn word(self, key: &str) -> String {
        let found = WORDS.iter().find(|(known, _, _)| *known == key);
        found.map_or_else(
            || key.to_owned(),
            |(_, en, fr)| match self {
                Self::En => (*en).to_owned(),
                Self::Fr => (*fr).to_owned(),
            },
        )
    }
}

/// Languages of one browser that are looked at; people who set them set three.
const ASKED_MAX: usize = 32;

/// Key, English, French. No line breaks before a sign that French sets off: `\u{a0}` before `:` and `%`, `\u{202f}` before `;`.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    ("title", "Status of the relay", "État du relais"),
    ("since", "Everything is counted since the installation.", "Tout est compté depuis l’installation."),
    ("nobody", "No personal data on this page.", "Aucune donnée personnelle sur cette page."),
    ("waiting", "Waiting for you", "En attente de vous"),
    (
        "waiting-breaker",
        "A provider says “no such user” in bulk, also for addresses that took mail lately; it is not believed",
        "Un fournisseur répond en masse «\u{a0}adresse inconnue\u{a0}», même pour des adresses qui recevaient encore\u{202f}; on ne le croit pas",
    ),
    (
        "waiting-sender",
        "Senders are blocked because they are unusual, or would be if the watch were to enforce it",
        "Des émetteurs au comportement inhabituel sont bloqués, ou le seraient si la surveillance n’était pas en simple observation",
    ),
    (
        "waiting-rules",
        "Your rules for replies cannot be used; the ones before them stay",
        "Vos règles de lecture des réponses sont inutilisables\u{202f}; les précédentes restent en vigueur",
    ),
    ("left", "Mail so far", "Messages traités"),
    ("accepted", "Accepted from senders", "Acceptés des expéditeurs"),
    ("delivered", "Delivered", "Remis"),
    ("deferred", "Attempts deferred", "Essais reportés"),
    ("bounced", "Given up and reported", "Abandonnés et signalés"),
    ("dropped", "Removed by hand", "Retirés à la main"),
    ("canary", "Let through as a test", "Laissés passer pour mesure"),
    ("report", "Reports to senders", "Avis aux expéditeurs"),
    ("why", "Why mail was given up", "Pourquoi des messages ont été abandonnés"),
    ("none", "None.", "Aucun."),
    ("cause", "Cause", "Cause"),
    ("count", "Count", "Nombre"),
    ("cause-address", "The address does not exist: hard bounce", "L’adresse n’existe pas\u{a0}: rejet définitif"),
    ("cause-mailbox", "Mailbox full or switched off", "Boîte pleine ou désactivée"),
    (
        "cause-content",
        "The message was refused as unwanted; the address is good",
        "Message refusé comme indésirable\u{202f}; l’adresse est bonne",
    ),
    (
        "cause-ip",
        "Our IP address is on a blocklist or has a bad reputation",
        "Notre adresse IP est sur une liste de blocage ou a mauvaise réputation",
    ),
    (
        "cause-auth",
        "SPF, DKIM or DMARC: a DNS record to repair",
        "SPF, DKIM ou DMARC\u{a0}: un enregistrement DNS à réparer",
    ),
    (
        "cause-rate",
        "Slowed down or made to wait by the recipient’s server",
        "Ralenti ou mis en attente par le serveur du destinataire",
    ),
    ("cause-policy", "A rule of the recipient’s server", "Une règle du serveur du destinataire"),
    ("cause-network", "Not reached: network, DNS or overload", "Injoignable\u{a0}: réseau, DNS ou surcharge"),
    ("cause-unknown", "Unknown reason", "Raison inconnue"),
    ("queue", "Queue", "File d’attente"),
    ("lane-normal", "On its way", "En route"),
    ("lane-slow", "Slow lane", "File lente"),
    ("lane-held", "Waiting for a person", "En attente d’une décision"),
    ("oldest", "Oldest mail", "Message le plus ancien"),
    ("outbox", "Results not counted yet", "Résultats pas encore comptés"),
    ("stopped", "Stopped before sending", "Bloqués avant l’envoi"),
    ("stopped-why", "Reason", "Raison"),
    ("stop-own-hard", "Known here as dead: hard bounce before", "Adresse déjà connue comme inexistante"),
    ("stop-imported", "Came back elsewhere: from an imported list", "Déjà revenue ailleurs\u{a0}: liste importée"),
    ("stop-own-soft", "Failed here again and again", "Échecs répétés depuis ce nœud"),
    ("stop-federated", "Other nodes reported it as dead", "Signalée comme inexistante par d’autres nœuds"),
    ("stop-listed", "Put on the suppression list by hand", "Mise à la main sur la liste d’exclusion"),
    (
        "stop-opted-out",
        "The person does not want mail of this sender",
        "La personne ne veut plus de messages de cet expéditeur",
    ),
    ("light", "Real bounces", "Rejets réels"),
    ("light-none", "Too few sends to judge", "Trop peu d’envois pour juger"),
    ("light-green", "Good: under 0.4%", "Bon\u{a0}: moins de 0,4\u{a0}%"),
    ("light-watch", "Above the goal of 0.4%", "Au-dessus de l’objectif de 0,4\u{a0}%"),
    (
        "light-amber",
        "Amber: 2% or more; look at the lists of your senders",
        "Orange\u{a0}: 2\u{a0}% ou plus\u{202f}; regardez les listes de vos expéditeurs",
    ),
    (
        "light-red",
        "Red: 5% or more; providers slow such a sender down",
        "Rouge\u{a0}: 5\u{a0}% ou plus\u{202f}; les fournisseurs ralentissent un tel expéditeur",
    ),
    (
        "light-stop",
        "Stop: 10% or more; providers block such a sender",
        "Stop\u{a0}: 10\u{a0}% ou plus\u{202f}; les fournisseurs bloquent un tel expéditeur",
    ),
    ("of-sends", "of all mail delivered or given up", "des envois qui ont abouti ou échoué"),
    ("score", "How well our mail arrives", "Comment arrive notre courrier"),
    ("score-days", "The last 30 days, of the whole node.", "Les 30 derniers jours, pour tout le nœud."),
    ("score-share", "Share", "Part"),
    ("score-count", "Mails", "Messages"),
    ("score-of", "Of", "Sur"),
    ("score-bounces", "Addresses that do not exist", "Adresses inexistantes"),
    ("score-complaints", "Complaints", "Plaintes"),
    ("score-stopped", "Stopped by our list", "Bloqués par notre liste"),
    (
        "score-explained",
        "The first is a share of all mail that came to an end; house goal: under 0.4\u{a0}%. The second is a share of delivered mail, the third of all that was to be sent. Mail that the list stopped is not in the first.",
        "La première part se rapporte à tous les messages menés à terme\u{202f}; notre objectif\u{a0}: moins de 0,4\u{a0}%. La deuxième se rapporte aux messages remis, la troisième à tous ceux qui devaient partir. Ce que la liste a bloqué n’entre pas dans la première.",
    ),
    (
        "score-signed",
        "The same for programs, signed with the key of this node:",
        "La même chose pour les programmes, signée avec la clé de ce nœud\u{a0}:",
    ),
    ("score-key", "Fingerprint of the key:", "Empreinte de la clé\u{a0}:"),
    ("score-unjudged", "Too few mails to judge", "Trop peu de messages pour juger"),
    ("score-green", "Green: as it should be", "Vert\u{a0}: tout va bien"),
    (
        "score-fair",
        "Fair: above the goal, no reason to worry",
        "Correct\u{a0}: au-dessus de l’objectif, sans inquiétude",
    ),
    ("score-amber", "Amber: lists should be cleaned", "Orange\u{a0}: des listes sont à nettoyer"),
    ("score-slow", "Red: such mail should leave slowly", "Rouge\u{a0}: ces envois devraient être ralentis"),
    ("score-stop", "Red: such mail should not leave", "Rouge\u{a0}: ces envois ne devraient pas partir"),
    ("unsubscribe", "Unsubscribe", "Se désinscrire"),
    (
        "unsubscribe-asks",
        "Do you want no more newsletters of {org}?",
        "Vous ne voulez plus recevoir les lettres d’information de {org}\u{202f}?",
    ),
    ("unsubscribe-button", "Unsubscribe", "Me désinscrire"),
    (
        "unsubscribe-done",
        "Done: you get no more newsletters of {org}.",
        "C’est fait\u{a0}: vous ne recevrez plus les lettres d’information de {org}.",
    ),
    (
        "unsubscribe-unknown",
        "This link is not valid, or not any more. Nothing was changed. Take the link of a newer mail, or answer to the mail.",
        "Ce lien n’est pas valable, ou ne l’est plus. Rien n’a été changé. Prenez le lien d’un message plus récent, ou \
         répondez au message.",
    ),
    ("confirm", "Get mail again", "Recevoir de nouveau les messages"),
    (
        "confirm-form",
        "Is mail to your address stopped, and do you want it again? Then ask here. A mail with a link goes to that \
         address, and to no other.",
        "Les messages à votre adresse sont bloqués et vous voulez de nouveau les recevoir\u{202f}? Demandez-le ici. Un message \
         avec un lien part à cette adresse, et à aucune autre.",
    ),
    ("confirm-address", "Your mail address", "Votre adresse électronique"),
    (
        "confirm-org",
        "The organisation whose mail you miss, if you know it",
        "L’organisation dont les messages vous manquent, si vous la connaissez",
    ),
    ("confirm-ask", "Ask", "Demander"),
    ("confirm-no-address", "This is no mail address.", "Ce n’est pas une adresse électronique."),
    (
        "confirm-sent",
        "If mail to this address is stopped here, and nobody has asked within the last week, a mail is on its way to it. \
         It has a link; the page behind it has a button.",
        "Si des messages à cette adresse sont bloqués ici et que personne ne l’a demandé depuis une semaine, un message part \
         vers elle. Il contient un lien\u{202f}; la page derrière ce lien a un bouton.",
    ),
    (
        "confirm-asks",
        "Do you want mail of {who} at your address again?",
        "Voulez-vous de nouveau recevoir les messages de {who} à votre adresse\u{202f}?",
    ),
    ("confirm-button", "Yes, I want it", "Oui, je le veux"),
    (
        "confirm-done",
        "Done: mail of {who} comes to you again. Ask its senders to send once more what you have missed.",
        "C’est fait\u{a0}: les messages de {who} vous parviennent de nouveau. Demandez aux expéditeurs de renvoyer ce qui vous \
         a manqué.",
    ),
    (
        "confirm-unknown",
        "This link is not valid, or not any more. Nothing was changed.",
        "Ce lien n’est pas valable, ou ne l’est plus. Rien n’a été changé.",
    ),
    ("returned", "Given up after delivery", "Rejetés après remise"),
    ("complained", "Complaints", "Plaintes"),
    ("unsubscribed", "Unsubscribed", "Désinscriptions"),
    ("known", "Addresses met before", "Adresses déjà rencontrées"),
    ("federation", "Federation", "Fédération"),
    ("fingerprint", "Fingerprint of this node:", "Empreinte de ce nœud\u{a0}:"),
    ("published", "Own events published", "Événements publiés"),
    ("received", "Events of others", "Événements reçus"),
    ("pending", "Own events waiting to be published", "Événements en attente de publication"),
    ("peers", "Peers", "Pairs"),
    ("no-peers", "No peers yet: sm2tp peer invite URL", "Pas encore de pairs\u{a0}: sm2tp peer invite URL"),
    ("name", "Name", "Nom"),
    ("state", "State", "État"),
    (
        "state-invited",
        "Invited; its administrator has not answered",
        "Invité\u{202f}; son administrateur n’a pas répondu",
    ),
    (
        "state-asking",
        "Asks; you have not answered: sm2tp peer accept",
        "Demande\u{202f}; à vous de répondre\u{a0}: sm2tp peer accept",
    ),
    ("state-accepted", "Accepted", "Accepté"),
    ("weight", "Weight", "Poids"),
    ("read", "Read", "Lecture"),
    ("yes", "yes", "oui"),
    ("no", "no", "non"),
    ("polled", "Last answer", "Dernière réponse"),
    ("never", "never", "jamais"),
    ("trouble", "Problem", "Problème"),
    ("no-trouble", "none", "aucun"),
    ("trouble-away", "The last try ({ago}) failed:", "Le dernier essai ({ago}) a échoué\u{a0}:"),
    ("trouble-answered", "It answers, but not everything is right:", "Il répond, mais tout n’est pas en ordre\u{a0}:"),
    ("ago-s", "s ago", "s"),
    ("ago-m", "min ago", "min"),
    ("ago-h", "h ago", "h"),
    ("ago-d", "days ago", "jours"),
    ("before-ago", "", "il y a"),
];
