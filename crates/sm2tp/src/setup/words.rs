//! Table: what `sm2tp setup` asks and says.

use crate::words::Table;

pub const WORDS: Table = &[
    (
        "hostname",
        "1/5  Full name of this machine, as the DNS has it:",
        "1/5  Nom complet de cette machine, tel que le DNS le connaît :",
    ),
    ("domain", "2/5  Domain that people write from:", "2/5  Domaine d’où l’on écrit :"),
    (
        "org",
        "3/5  Short name of the organisation that it belongs to:",
        "3/5  Nom court de l’organisation à laquelle il appartient :",
    ),
    (
        "login",
        "4/5  First login, for a server or a program that sends:",
        "4/5  Premier identifiant, pour un serveur ou un logiciel qui envoie :",
    ),
    (
        "admin",
        "5/5  Address of who is told when something goes wrong:",
        "5/5  Adresse de la personne à prévenir quand quelque chose ne va pas :",
    ),
    (
        "no-terminal",
        "there is no terminal to ask at: say --yes, with --domain and --admin",
        "il n’y a pas de terminal où poser les questions : dites --yes, avec --domain et --admin",
    ),
    ("must-be-given", "{option} must be given with --yes", "avec --yes, il faut donner {option}"),
    (
        "too-often",
        "that was no answer five times; nothing was changed",
        "cinq réponses inutilisables ; rien n’a été changé",
    ),
    (
        "wrong-name",
        "“{text}” is no full name, such as relay.example.org.",
        "« {text} » n’est pas un nom complet, comme relay.example.org.",
    ),
    ("wrong-word", "“{text}”: one word is wanted, without spaces.", "« {text} » : il faut un seul mot, sans espace."),
    ("wrong-address", "“{text}” is no mail address.", "« {text} » n’est pas une adresse de courriel."),
    ("nothing-changed", "nothing was changed", "rien n’a été changé"),
    ("written", "{file}: written, with every key that there is.", "{file} : écrit, avec toutes les clés possibles."),
    ("kept", "{file}: left as it is.", "{file} : laissé tel quel."),
    ("made", "Organisation, login and keys are there.", "L’organisation, l’identifiant et les clés sont là."),
    (
        "tried",
        "A mail went through a node with this configuration and arrived, {signed}. It did not leave this machine.",
        "Un courriel a traversé un nœud ainsi configuré et il est arrivé, {signed}. Il n’a pas quitté cette machine.",
    ),
    ("signed", "signed", "signé"),
    ("unsigned", "not signed", "sans signature"),
    ("records", "Publish these records in the DNS:", "Publiez ces enregistrements dans le DNS :"),
    (
        "no-address",
        "No public address was found on this machine. Publish the one from which it reaches the Internet as an A record of the host \
         name, which the SPF records name, and let your provider set its reverse DNS to the host name.",
        "Aucune adresse publique n’a été trouvée sur cette machine. Publiez celle avec laquelle elle sort sur Internet comme \
         enregistrement A du nom de la machine, que nomment les enregistrements SPF, et faites mettre par votre hébergeur ce nom dans \
         son DNS inverse.",
    ),
    (
        "password",
        "Login {login}, password {password}. It is not shown again; sm2tp org login sets another one. Logging in needs TLS: \
         tls_certificate in [smtp], or [acme]. Programs of this machine need no login.",
        "Identifiant {login}, mot de passe {password}. Il ne sera plus montré ; sm2tp org login en met un autre. S’identifier demande \
         TLS : tls_certificate dans [smtp], ou [acme]. Les logiciels de cette machine n’ont pas besoin d’identifiant.",
    ),
    (
        "person",
        "To see and decide on the pages of this node (http://127.0.0.1:8025, docs/web.md): name {login}, password {password}. It is not shown \
         again; sm2tp account password sets another one.",
        "Pour voir et décider sur les pages de ce nœud (http://127.0.0.1:8025, docs/web.md) : nom {login}, mot de passe {password}. Il ne \
         sera plus montré ; sm2tp account password en met un autre.",
    ),
    (
        "next",
        "Then:\n  systemctl enable --now sm2tp\n  sm2tp alerts test      a real mail to the administrator\n  sm2tp doctor           \
         what is not as it should be yet",
        "Ensuite :\n  systemctl enable --now sm2tp\n  sm2tp alerts test      un vrai courriel à l’administrateur\n  sm2tp doctor           \
         ce qui n’est pas encore comme il faut",
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn both_languages_fill_in_the_same() {
        crate::words::agree(super::WORDS);
    }
}
