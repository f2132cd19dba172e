//! Table: what is said of nodes whose words cannot be used, in English and French.

use super::{Words, reason, utc};

pub(super) fn silent(peer: &str, since: u64, trouble: Option<&str>) -> Words {
    words(
        format!("The peer {peer} does not answer"),
        format!("It answered last at {}.{}", utc(since), reason(trouble, " The last try: ")),
        "Ask its administrator; sm2tp peer list shows when it was tried.".to_owned(),
    )
}

pub(super) fn unusable(peer: &str, trouble: &str) -> Words {
    words(
        format!("What the peer {peer} says cannot be used"),
        format!("It answers, but: {trouble}"),
        "Nothing of that was taken. Tell its administrator; sm2tp peer remove ends it.".to_owned(),
    )
}

pub(super) fn silent_in_french(peer: &str, since: u64, trouble: Option<&str>) -> Words {
    words(
        format!("Le pair {peer} ne répond pas"),
        format!("Dernière réponse le {}.{}", utc(since), reason(trouble, " Dernier essai\u{a0}: ")),
        "Demandez à son administrateur\u{a0}; sm2tp peer list montre les derniers essais.".to_owned(),
    )
}

pub(super) fn unusable_in_french(peer: &str, trouble: &str) -> Words {
    words(
        format!("Ce que dit le pair {peer} est inutilisable"),
        format!("Il répond, mais quelque chose ne va pas. {trouble}"),
        "Rien n’en a été retenu. Prévenez son administrateur\u{a0}; sm2tp peer remove y met fin.".to_owned(),
    )
}

pub(super) fn quarantined(origin: &str, contradicted: u32, agreed: u32) -> Words {
    Words {
        title: format!("The node {origin} contradicts our own deliveries and is not believed"),
        more: format!(
            "This node delivered lately to {contradicted} addresses and domains that it calls dead or full, and saw the same as it of \
             {agreed}. What it says counts nothing; it is kept."
        ),
        todo:
            "Ask its administrator what went wrong. It is believed again by itself as soon as its words agree; sm2tp \
               peer list shows how they do."
                .to_owned(),
    }
}

pub(super) fn quarantined_in_french(origin: &str, contradicted: u32, agreed: u32) -> Words {
    Words {
        title: format!("Le nœud {origin} contredit nos propres remises et n’est plus cru"),
        more: format!(
            "Ce nœud a remis récemment du courrier à {contradicted} adresses et domaines que l’autre déclare inexistants ou pleins, \
             et a constaté la même chose pour {agreed}. Ce que dit l’autre ne compte plus\u{a0}; c’est conservé."
        ),
        todo: "Demandez à son administrateur ce qui s’est passé. Il sera cru à nouveau, de soi-même, dès que ses \
               déclarations concorderont\u{a0}; sm2tp peer list montre où il en est."
            .to_owned(),
    }
}

pub(super) fn contradicts(origin: &str, fingerprint: &str) -> Words {
    words(
        format!("The node {origin} contradicts itself"),
        "It signed two different segments for one place of its log: a backup that was restored without its knowledge, or \
         somebody who tells each something else. Nothing of it counts, and peers have the proof."
            .to_owned(),
        format!(
            "Tell its administrator. When it goes on in a new epoch: sm2tp peer trust '{fingerprint}' --forgive lets it."
        ),
    )
}

pub(super) fn contradicts_in_french(origin: &str, fingerprint: &str) -> Words {
    words(
        format!("Le nœud {origin} se contredit"),
        "Il a signé deux segments différents pour une même place de son journal\u{a0}: une sauvegarde restaurée à son insu, ou \
         quelqu’un qui ne dit pas la même chose à tous. Plus rien de lui ne compte, et les pairs ont la preuve."
            .to_owned(),
        format!(
            "Prévenez son administrateur. Quand il repart dans une nouvelle époque\u{a0}: sm2tp peer trust '{fingerprint}' \
             --forgive le laisse continuer."
        ),
    )
}

pub(super) fn parked(origin: &str, fingerprint: &str, (segments, events): (u64, u64), bound: &str) -> Words {
    words(
        format!("The node {origin} tells more than is usual"),
        format!(
            "{events} events in {segments} segments were not fetched: {bound}. Their signed headers are kept; what it says \
             of other days is taken as before."
        ),
        format!(
            "Ask its administrator whether that is right. If it is: sm2tp peer trust '{fingerprint}' --take-parked. \
             [belief] has the amounts."
        ),
    )
}

pub(super) fn parked_in_french(origin: &str, fingerprint: &str, (segments, events): (u64, u64), bound: &str) -> Words {
    words(
        format!("Le nœud {origin} en dit plus que d’habitude"),
        format!(
            "{events} événements en {segments} segments n’ont pas été demandés\u{a0}: {}. Leurs en-têtes signés sont \
             conservés\u{a0}; ce qu’il dit des autres jours est pris comme avant.",
            bound_in_french(bound)
        ),
        format!(
            "Demandez à son administrateur si c’est normal. Si oui\u{a0}: sm2tp peer trust '{fingerprint}' --take-parked. \
             Les quantités sont dans [belief]."
        ),
    )
}

/// It is kept as the text of [`sm2tp_federation::quota::Parked`]; one that is not known stays as it is.
fn bound_in_french(bound: &str) -> String {
    let read = |unit: &str, end: &str| {
        let (count, rest) = bound.split_once(unit)?;
        Some((count, rest.strip_suffix(end)?))
    };
    if let Some((events, limit)) = read(" events of one day; ", " are usual for this origin") {
        format!("{events} événements d’un jour, et {limit} sont habituels pour cette origine")
    } else if let Some((events, limit)) = read(" events of one day; ", " are the limit for any origin") {
        format!("{events} événements d’un jour, et {limit} sont la limite pour toute origine")
    } else if let Some((octets, limit)) = read(" octets of this origin; ", " are its share of the disk") {
        format!("{octets} octets de cette origine, et {limit} sont sa part du disque")
    } else if let Some((octets, limit)) = read(" octets of origins of one peer; ", " are their share of the disk") {
        format!("{octets} octets des origines d’un même pair, et {limit} sont leur part du disque")
    } else {
        bound.to_owned()
    }
}

/// `is_over`: as the finding has it.
pub(super) fn tag_key_ends(key_id: &str, at: u64) -> Words {
    words(
        "The tag key of the federation ends, and no next one is known".to_owned(),
        format!("The key {key_id} is good until {}. {KEPT_TO_ITSELF}", utc(at)),
        ANOTHER_KEY.to_owned(),
    )
}

pub(super) fn tag_key_ended(key_id: &str, at: u64) -> Words {
    words(
        "The tag key of the federation has ended: this node tells the others nothing new".to_owned(),
        format!("The key {key_id} was good until {}. {KEPT_TO_ITSELF}", utc(at)),
        ANOTHER_KEY.to_owned(),
    )
}

pub(super) fn tag_key_ends_in_french(key_id: &str, at: u64) -> Words {
    words(
        "La clé d’empreintes de la fédération arrive à son terme, et la suivante n’est pas connue".to_owned(),
        format!("La clé {key_id} est valable jusqu’au {}. {KEPT_TO_ITSELF_IN_FRENCH}", utc(at)),
        ANOTHER_KEY_IN_FRENCH.to_owned(),
    )
}

pub(super) fn tag_key_ended_in_french(key_id: &str, at: u64) -> Words {
    words(
        "La clé d’empreintes de la fédération a pris fin : ce nœud n’apprend plus rien de nouveau aux autres"
            .to_owned(),
        format!("La clé {key_id} était valable jusqu’au {}. {KEPT_TO_ITSELF_IN_FRENCH}", utc(at)),
        ANOTHER_KEY_IN_FRENCH.to_owned(),
    )
}

fn words(title: String, more: String, todo: String) -> Words {
    Words { title, more, todo }
}

const KEPT_TO_ITSELF: &str = "Until there is another, what this node finds out after that is not told. What others said goes on \
    counting.";
const KEPT_TO_ITSELF_IN_FRENCH: &str = "Tant qu’il n’y en a pas d’autre, ce que ce nœud constate ensuite n’est pas transmis. Ce que \
    les autres ont dit compte toujours.";
const ANOTHER_KEY: &str = "The node that founded the federation makes the next one by itself, six weeks before: ask its \
    administrator. If it does not come back, one member founds the federation anew with sm2tp key found, and a day later the \
    others join it with sm2tp key join; docs/node-keys.md says how.";
const ANOTHER_KEY_IN_FRENCH: &str = "Le nœud qui a fondé la fédération fait la suivante de lui-même, six semaines avant : demandez à \
    son administrateur. S’il ne revient pas, un membre refonde la fédération avec sm2tp key found, et un jour plus tard les autres \
    la rejoignent avec sm2tp key join ; docs/node-keys.md (en anglais) dit comment.";

#[cfg(test)]
mod tests {
    use sm2tp_federation::quota::Parked;

    use super::bound_in_french;

    #[test]
    fn every_bound_is_said_in_french() {
        for bound in [
            Parked::Unusual { events: 12, limit: 5 },
            Parked::Excessive { events: 12, limit: 5 },
            Parked::OriginDisk { octets: 12, limit: 5 },
            Parked::IntroducerDisk { octets: 12, limit: 5 },
        ] {
            let said = bound_in_french(&bound.to_string());
            assert!(said.starts_with("12 ") && said.contains(", et 5 sont "), "{said}");
        }
        assert_eq!(bound_in_french("too many"), "too many");
    }
}
