//! Table: the words of the pages, in English and in French.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lang {
    En,
    Fr,
}

impl Lang {
    /// The first of the two in `Accept-Language`, by its quality; English where neither is there.
    pub(super) fn of(accept: &str) -> Self {
        let mut best = (0.0, Self::En);
        for item in accept.split(',').take(32) {
            let (tag, quality) = item.split_once(";q=").unwrap_or((item, "1"));
            let lang = match tag.trim().split('-').next().unwrap_or_default() {
                "fr" => Self::Fr,
                "en" => Self::En,
                _ => continue,
            };
            let quality: f64 = quality.trim().parse().unwrap_or(0.0);
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

/// Key, English, French.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    ("title", "Status of the relay", "État du relais"),
    ("since", "All figures are since the installation.", "Tous les chiffres sont depuis l’installation."),
    ("nobody", "This page shows nothing about single people.", "Cette page ne montre rien sur des personnes."),
    ("left", "What left", "Ce qui est parti"),
    ("accepted", "Taken from senders", "Pris en charge"),
    ("delivered", "Delivered", "Remis"),
    ("deferred", "Tries put off", "Essais reportés"),
    ("bounced", "Given up and reported", "Abandonnés et signalés"),
    ("dropped", "Removed by hand", "Retirés à la main"),
    ("canary", "Let through as a test", "Laissés passer pour mesure"),
    ("report", "Reports to senders", "Avis aux expéditeurs"),
    ("why", "Why mail was given up", "Pourquoi des messages ont été abandonnés"),
    ("none", "None.", "Aucun."),
    ("cause", "Cause", "Cause"),
    ("count", "Count", "Nombre"),
    ("cause-address", "The address does not exist: hard bounce", "L’adresse n’existe pas : rejet définitif"),
    ("cause-mailbox", "Mailbox full or switched off", "Boîte pleine ou désactivée"),
    (
        "cause-content",
        "The message was refused as unwanted; the address is good",
        "Message refusé comme indésirable ; l’adresse est bonne",
    ),
    (
        "cause-ip",
        "Our IP address is on a blocklist or distrusted",
        "Notre adresse IP est sur une liste de blocage ou mal vue",
    ),
    (
        "cause-auth",
        "SPF, DKIM or DMARC: a DNS record to repair",
        "SPF, DKIM ou DMARC : un enregistrement DNS à réparer",
    ),
    ("cause-rate", "Too fast for the recipient’s server", "Trop rapide pour le serveur du destinataire"),
    ("cause-policy", "A rule of the recipient’s server", "Une règle du serveur du destinataire"),
    ("cause-network", "Not reached: network, DNS or overload", "Injoignable : réseau, DNS ou surcharge"),
    ("cause-unknown", "Unknown reason", "Raison inconnue"),
    ("queue", "Queue", "File d’attente"),
    ("lane-normal", "On its way", "En route"),
    ("lane-slow", "Slow lane", "File lente"),
    ("lane-held", "Waiting for a person", "En attente d’une décision"),
    ("oldest", "Oldest mail", "Message le plus ancien"),
    ("outbox", "Happenings not yet counted", "Événements pas encore comptés"),
    ("stopped", "Stopped before sending", "Bloqués avant l’envoi"),
    ("stopped-why", "Reason", "Raison"),
    ("stop-own-hard", "Known here as dead: hard bounce before", "Connue ici comme morte : rejet définitif déjà reçu"),
    ("stop-own-soft", "Failed here again and again", "Échecs répétés ici"),
    ("stop-federated", "Other nodes reported it as dead", "D’autres nœuds la signalent comme morte"),
    ("stop-listed", "On the suppression list, by hand", "Sur la liste de blocage, à la main"),
    (
        "stop-opted-out",
        "The person does not want mail of this sender",
        "La personne ne veut plus de messages de cet expéditeur",
    ),
    ("light", "Real bounces", "Rejets réels"),
    ("light-none", "Too few sends to judge", "Trop peu d’envois pour juger"),
    ("light-green", "Good: under 0.4 %", "Bon : moins de 0,4 %"),
    ("light-watch", "Above the goal of 0.4 %", "Au-dessus de l’objectif de 0,4 %"),
    (
        "light-amber",
        "Amber: 2 % or more; look at the lists of your senders",
        "Orange : 2 % ou plus ; regardez les listes de vos expéditeurs",
    ),
    (
        "light-red",
        "Red: 5 % or more; providers slow such a sender down",
        "Rouge : 5 % ou plus ; les fournisseurs ralentissent un tel expéditeur",
    ),
    (
        "light-stop",
        "Stop: 10 % or more; providers block such a sender",
        "Stop : 10 % ou plus ; les fournisseurs bloquent un tel expéditeur",
    ),
    ("of-sends", "of the sends that were decided", "des envois qui ont abouti ou échoué"),
    ("known", "Addresses with own experience", "Adresses dont ce nœud a l’expérience"),
    ("federation", "Federation", "Fédération"),
    ("fingerprint", "Fingerprint of this node", "Empreinte de ce nœud"),
    ("published", "Own events published", "Événements publiés"),
    ("received", "Events of others", "Événements reçus"),
    ("pending", "Own events that wait", "Événements en attente de publication"),
    ("peers", "Peers", "Pairs"),
    ("no-peers", "No peers yet: sm2tp peer invite URL", "Pas encore de pairs : sm2tp peer invite URL"),
    ("name", "Name", "Nom"),
    ("state", "State", "État"),
    ("state-invited", "Invited; its administrator has not answered", "Invité ; son administrateur n’a pas répondu"),
    (
        "state-asking",
        "Asks; you have not answered: sm2tp peer accept",
        "Demande ; à vous de répondre : sm2tp peer accept",
    ),
    ("state-accepted", "Accepted", "Accepté"),
    ("weight", "Weight", "Poids"),
    ("read", "Read", "Lu"),
    ("yes", "yes", "oui"),
    ("no", "no", "non"),
    ("polled", "Last contact", "Dernier contact"),
    ("never", "never", "jamais"),
    ("trouble", "Trouble", "Problème"),
    ("ago-s", "s ago", "s"),
    ("ago-m", "min ago", "min"),
    ("ago-h", "h ago", "h"),
    ("ago-d", "days ago", "jours"),
    ("before-ago", "", "il y a"),
];
