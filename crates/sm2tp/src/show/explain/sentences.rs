//! Table: the sentences of `sm2tp explain`, in English and French.

use crate::words::Table;

pub const SENTENCES: Table = &[
    ("send", "is written to", "reçoit du courrier"),
    ("hold", "is held for a person: {why}", "est retenu pour décision\u{a0}: {why}"),
    ("refuse", "is not written to: {why}", "ne reçoit rien\u{a0}: {why}"),
    ("until", " (until {at})", " (jusqu’au {at})"),
    // Why, where the node's own words are not in this language.
    (
        "why-listed",
        "an administrator put this address on the suppression list",
        "l’administrateur a mis cette adresse sur la liste de blocage",
    ),
    (
        "why-listed-by-org",
        "the organisation put this address on its suppression list",
        "l’organisation a mis cette adresse sur sa liste de blocage",
    ),
    (
        "why-opted-out",
        "the recipient complained about or opted out of mail of this sender",
        "le destinataire s’est plaint de cet expéditeur ou s’est désabonné",
    ),
    (
        "why-own-hard",
        "earlier mail to this address was refused with {code}",
        "un message précédent à cette adresse a été refusé avec {code}",
    ),
    (
        "why-no-domain",
        "its domain does not exist or takes no mail, as the DNS says",
        "son domaine n’existe pas ou n’accepte pas de courrier, d’après le DNS",
    ),
    (
        "why-imported",
        "imported from {from} on {on}: mail to this address came back{code}",
        "importé de {from} le {on}\u{a0}: le courrier à cette adresse est revenu{code}",
    ),
    ("with-code", " with {code}", " avec {code}"),
    (
        "why-own-soft",
        "the mailbox could not take mail on {days} days",
        "la boîte n’a pas pu recevoir de courrier {days} jours différents",
    ),
    (
        "why-federated",
        "{sources} other mail hoster(s) report this address as dead (score {score})",
        "d’après {sources} autre(s) hébergeur(s), cette adresse n’existe pas (score {score})",
    ),
    // The numbers behind it.
    (
        "opted-out",
        "a complaint or an opt-out stops {streams} mail of this organisation",
        "une plainte ou un désabonnement arrête les messages {streams} de cette organisation",
    ),
    ("refused", "refused {at}, believed for {life}", "refusée le {at}, tenu pour vrai pendant {life}"),
    ("found", "found {at}, believed for {life}", "constaté le {at}, tenu pour vrai pendant {life}"),
    ("inactive", "switched off by its provider", "désactivée par son fournisseur"),
    ("again", "such mail may try again after {time}", "ce type de message peut réessayer après {time}"),
    (
        "own-soft",
        "on {days} days (stops from {from}) with {spread} between the first and the last (from {least}), within {within}; \
         the last {at}; half of it is forgotten every {half}",
        "{days} jours (bloque à partir de {from}), {spread} entre le premier et le dernier (au moins {least}), sur {within}\u{a0}; \
         le dernier le {at}\u{a0}; la moitié s’oublie tous les {half}",
    ),
    (
        "federated",
        "score {score} of {sources} independent node(s); held from {held}, refused from {refused} and {least} nodes",
        "score {score} de {sources} nœud(s) indépendant(s)\u{a0}; retenu à partir de {held}, refusé à partir de {refused} et {least} nœuds",
    ),
    ("by-rule", "by rule {rule}: {numbers}", "selon la règle {rule}\u{a0}: {numbers}"),
    // What this node saw.
    ("own", "What this node saw itself:", "Ce que ce nœud a vu lui-même\u{a0}:"),
    (
        "nothing-own",
        "No server has told this node anything yet that counts for or against it.",
        "Aucun serveur n’a encore rien dit à ce nœud qui compte pour ou contre elle.",
    ),
    ("delivered_at", "delivered {at}", "remis le {at}"),
    ("hard_first_at", "first refused {at}", "refusée la première fois le {at}"),
    ("hard_at", "refused {at}", "refusée le {at}"),
    ("smarthost", "the smart host said: {reply}", "le relais a dit\u{a0}: {reply}"),
    ("server", "the mail server said: {reply}", "le serveur a dit\u{a0}: {reply}"),
    ("somebody", "a mail server said: {reply}", "un serveur a dit\u{a0}: {reply}"),
    ("nobody", "this node found: {reply}", "ce nœud a constaté\u{a0}: {reply}"),
    ("imported", "from the list of {list}, imported {day}", "de la liste de {list}, importée le {day}"),
    ("list-said", "the list said: {reply}", "la liste disait\u{a0}: {reply}"),
    ("understood", "understood by rule {rule}", "compris par la règle {rule}"),
    (
        "soft",
        "the mailbox could not take mail on {all} day(s), {counted} within the window",
        "la boîte n’a pas pu recevoir de courrier {all} jour(s), dont {counted} dans la période qui compte",
    ),
    (
        "fresh",
        "its last delivery is fresh: what other nodes say does not count",
        "sa dernière remise est récente\u{a0}: ce que disent les autres nœuds ne compte pas",
    ),
    // Lists.
    (
        "opted_out",
        "Its owner complained about or opted out of mail of this organisation.",
        "Son titulaire s’est plaint de cette organisation ou s’en est désabonné.",
    ),
    (
        "hosted_here",
        "Its domain belongs to an organisation of this node: what others say does not count.",
        "Son domaine appartient à une organisation de ce nœud\u{a0}: ce que disent les autres ne compte pas.",
    ),
    ("listed", "An administrator put it on the suppression list", "L’administrateur l’a mise sur la liste de blocage"),
    (
        "allowed",
        "An administrator put it on the allow list, which beats everything",
        "L’administrateur l’a mise sur la liste blanche, qui l’emporte sur tout",
    ),
    (
        "listed_by_org",
        "The organisation put it on its own suppression list",
        "L’organisation l’a mise sur sa propre liste de blocage",
    ),
    (
        "allowed_by_org",
        "The organisation put it on its own allow list, which beats what servers and other nodes say",
        "L’organisation l’a mise sur sa propre liste blanche, qui l’emporte sur les serveurs et les autres nœuds",
    ),
    ("for-streams", "{sentence}, for {streams} mail.", "{sentence}, pour les messages {streams}."),
    ("entry", "list {list} of {whose}{stream}, {at}{note}", "liste {list} de {whose}{stream}, {at}{note}"),
    ("entry-stream", ", {stream} mail", ", messages {stream}"),
    ("note", ": {note}", "\u{a0}: {note}"),
    ("node", "the node", "ce nœud"),
    // Other nodes.
    ("nothing-federated", "No other node has said anything about it.", "Aucun autre nœud n’en a rien dit."),
    (
        "others",
        "Other nodes say (score {score}; held from {held}, suppressed from {refused} with {least} independent sources):",
        "Les autres nœuds disent (score {score}\u{a0}; retenu à partir de {held}, bloqué à partir de {refused} avec {least} sources \
         indépendantes)\u{a0}:",
    ),
    (
        "vote",
        "{who}: {what}, {at} (weight {weight}, counts {score} today)",
        "{who}\u{a0}: {what}, {at} (poids {weight}, compte pour {score} aujourd’hui)",
    ),
    ("vote-1", "dead address", "adresse inexistante"),
    ("vote-2", "mailbox full", "boîte pleine"),
    ("vote-5", "dead domain", "domaine inexistant"),
    ("vote-6", "taken back", "annulé"),
    ("vote-8", "delivered", "remis"),
    ("vote-other", "other", "autre"),
    (
        "behind",
        "known through {who}, {hops} hops away: one witness together with it",
        "connu par {who}, à {hops} sauts\u{a0}: un seul témoin avec lui",
    ),
    (
        "agreement",
        "of the addresses and domains that it calls dead or full this node delivered to {against}, and agrees on {with}",
        "parmi les adresses et domaines qu’il dit inexistants ou pleins, ce nœud a remis à {against} et est d’accord sur {with}",
    ),
    ("own-contradicts", "this node's own deliveries contradict it", "les remises de ce nœud disent le contraire"),
    ("own-agrees", "this node saw the same", "ce nœud a constaté la même chose"),
    (
        "came-lately",
        "it came less than {hours} h ago: it holds mail, and refuses none yet",
        "reçu il y a moins de {hours} h\u{a0}: retient le courrier, sans encore le faire refuser",
    ),
    ("left-out", "does not count: {why}", "ne compte pas\u{a0}: {why}"),
    (
        "left-out-provider-freeze",
        "the provider said \"no such user\" to nearly everybody in that hour",
        "le fournisseur répondait «\u{a0}adresse inconnue\u{a0}» à presque tout le monde à cette heure-là",
    ),
    (
        "left-out-doubted-month",
        "in that month this node said so of many addresses of ours, and most of them took mail",
        "ce mois-là, ce nœud l’a dit de beaucoup de nos adresses, et la plupart recevaient du courrier",
    ),
    (
        "left-out-own-delivery",
        "this node delivered there lately, which says more",
        "ce nœud y a remis du courrier récemment, ce qui en dit plus long",
    ),
    (
        "left-out-quarantine",
        "what this node says contradicts our own deliveries too often",
        "ce que dit ce nœud contredit trop souvent nos propres remises",
    ),
    (
        "left-out-together",
        "it says too little to be judged alone, and those it stands with contradict our own deliveries too often",
        "il en dit trop peu pour être jugé seul, et ceux avec qui il se tient contredisent trop souvent nos propres remises",
    ),
    (
        "left-out-contradicts-itself",
        "that node signed two different segments for one place",
        "ce nœud a signé deux segments différents pour une même place",
    ),
    ("left-out-too-far", "it is more than three hops away", "il est à plus de trois sauts"),
    ("left-out-expired", "it is too long ago", "c’est trop ancien"),
    ("left-out-no-weight", "nobody gave that node a weight", "personne n’a donné de poids à ce nœud"),
    (
        "belief",
        "rules: agreement {agreement}, months {months}, provider freeze {freeze}, witnesses by {witness}, a full mailbox weighs {soft}, \
         quota {quota}, canaries {canaries}; what this node saw waits {wait} h before others hear of it",
        "règles\u{a0}: concordance {agreement}, mois {months}, gel par fournisseur {freeze}, témoins par {witness}, une boîte pleine pèse \
         {soft}, quota {quota}, canaris {canaries}\u{a0}; ce que ce nœud a constaté attend {wait} h avant d’être dit aux autres",
    ),
    // The send log, the queue, and what would change it.
    ("log", "In the send log, the newest first:", "Dans le journal d’envoi, du plus récent au plus ancien\u{a0}:"),
    (
        "waiting",
        "In the queue for it: {count} (sm2tp queue list --domain {domain})",
        "En file d’attente pour elle\u{a0}: {count} (sm2tp queue list --domain {domain})",
    ),
    ("at-least", "at least {count}", "au moins {count}"),
    ("ways", "What would change it besides time:", "Ce qui y changerait quelque chose, outre le temps\u{a0}:"),
    ("delivery", "a delivery to it, such as of a personal mail", "une remise, par exemple d’un message personnel"),
    ("org", "the organisation knows better: {command}", "l’organisation en sait davantage\u{a0}: {command}"),
    (
        "recipient",
        "its owner says so, asked by one mail: {command}",
        "son titulaire le dit, interrogé par un seul message\u{a0}: {command}",
    ),
    ("release", "To write to it again: {command}", "Pour lui écrire de nouveau\u{a0}: {command}"),
];
