//! Table: what `sm2tp doctor` says. A key with `!` behind it is what to do.

use crate::words::Table;

pub const WORDS: Table = &[
    ("machine", "THE MACHINE", "LA MACHINE"),
    ("node", "THE NODE", "LE NŒUD"),
    ("exit", "THE WAYS OUT", "LES SORTIES"),
    ("domain", "THE DOMAINS THAT YOU WRITE FROM", "LES DOMAINES D’OÙ VOUS ÉCRIVEZ"),
    ("beside", "THE MAIL SERVER BESIDE", "LE SERVEUR DE COURRIEL À CÔTÉ"),
    ("peers", "PEERS", "LES PAIRS"),
    ("fine", "in order", "en ordre"),
    ("note", "note", "à savoir"),
    ("warning", "warning", "attention"),
    ("fault", "fault", "défaut"),
    (
        "sum",
        "Faults: {faults}, warnings: {warnings}, notes: {notes}, in order: {fine}.",
        "Défauts : {faults}, avertissements : {warnings}, à savoir : {notes}, en ordre : {fine}.",
    ),
    // The machine.
    ("disk-fine", "{about}: {free} free", "{about} : {free} libres"),
    (
        "disk-low",
        "{about}: only {free} free. With less than 32 MiB no mail is taken any more.",
        "{about} : seulement {free} libres. Sous 32 Mio, plus aucun courriel n’est accepté.",
    ),
    (
        "disk-low!",
        "Make room, or put the data directory on a larger disk.",
        "Faites de la place, ou mettez le dossier des données sur un disque plus grand.",
    ),
    (
        "disk-unknown",
        "{about}: nobody says how much room there is ({why}).",
        "{about} : on ne sait pas combien de place il reste ({why}).",
    ),
    ("clock-fine", "The clock is kept by NTP.", "L’horloge est tenue par NTP."),
    (
        "clock-alone",
        "Nobody sets the clock of this machine. Signatures, retries and what peers tell go by it.",
        "Personne ne met l’horloge à l’heure. Les signatures, les nouvelles tentatives et ce que disent les pairs en dépendent.",
    ),
    (
        "clock-alone!",
        "timedatectl set-ntp true (package systemd-timesyncd), or install chrony.",
        "timedatectl set-ntp true (paquet systemd-timesyncd), ou installez chrony.",
    ),
    (
        "clock-past",
        "The clock says {now}, which is before this program was written.",
        "L’horloge indique {now}, avant que ce programme ne soit écrit.",
    ),
    ("clock-past!", "Set it, then restart the node.", "Mettez-la à l’heure, puis redémarrez le nœud."),
    (
        "clock-unknown",
        "Whether the clock (now {now}) is kept cannot be asked here: there is no timedatectl that answers.",
        "On ne peut pas savoir ici si l’horloge ({now}) est tenue : aucun timedatectl ne répond.",
    ),
    ("data-fine", "{about} is for the node alone.", "{about} est réservé au nœud."),
    ("data-missing", "{about} is not there.", "{about} n’existe pas."),
    (
        "data-missing!",
        "The package makes it; otherwise: install -d -o sm2tp -g sm2tp -m 700 {about}",
        "Le paquet le crée ; sinon : install -d -o sm2tp -g sm2tp -m 700 {about}",
    ),
    (
        "data-open",
        "Everybody on this machine can look into {about}: waiting mail and keys are there.",
        "Tout le monde sur cette machine peut regarder dans {about} : le courriel en attente et les clés y sont.",
    ),
    ("data-open!", "chmod o-rwx {about}", "chmod o-rwx {about}"),
    (
        "data-closed",
        "Whoever runs this cannot write to {about}.",
        "Qui lance cette commande ne peut pas écrire dans {about}.",
    ),
    (
        "data-closed!",
        "Run it as the user of the node: runuser -u sm2tp -- sm2tp doctor",
        "Lancez-la avec le compte du nœud : runuser -u sm2tp -- sm2tp doctor",
    ),
    (
        "data-foreign",
        "{about} belongs to another user than its folder: the node cannot write it.",
        "{about} n’appartient pas au même compte que son dossier : le nœud ne peut pas y écrire.",
    ),
    (
        "data-foreign!",
        "chown -R sm2tp:sm2tp on the data directory, and run commands as that user.",
        "chown -R sm2tp:sm2tp sur le dossier des données, et lancez les commandes avec ce compte.",
    ),
    (
        "secret-open",
        "{about} holds a secret, and everybody on this machine may open it (mode {mode}).",
        "{about} contient un secret, et tout le monde sur cette machine peut l’ouvrir (mode {mode}).",
    ),
    (
        "secret-open!",
        "chmod o-rwx {about}; the user of the node must still be able to read it.",
        "chmod o-rwx {about} ; le compte du nœud doit encore pouvoir le lire.",
    ),
    ("config-open", "Everybody may change {about}.", "Tout le monde peut changer {about}."),
    ("config-open!", "chmod o-w {about}", "chmod o-w {about}"),
    ("certificate-fine", "{about} is valid until {to}.", "{about} est valable jusqu’au {to}."),
    (
        "certificate-absent",
        "The SMTP door is open to other machines and has no certificate: nobody can log in there.",
        "La porte SMTP est ouverte à d’autres machines et n’a pas de certificat : personne ne peut s’y identifier.",
    ),
    (
        "certificate-absent!",
        "Set tls_certificate and tls_key in [smtp], or the section [acme].",
        "Mettez tls_certificate et tls_key dans [smtp], ou la section [acme].",
    ),
    ("certificate-broken", "{about} cannot be used: {why}", "{about} est inutilisable : {why}"),
    (
        "certificate-broken!",
        "PEM files that the user of the node may read, the certificate with its chain and the key that goes with it.",
        "Il faut des fichiers PEM que le compte du nœud peut lire : le certificat avec sa chaîne, et la clé qui va avec.",
    ),
    (
        "certificate-over",
        "{about} has ended on {to}: mail programs refuse the connection.",
        "{about} a expiré le {to} : les logiciels de courriel refusent la connexion.",
    ),
    (
        "certificate-over!",
        "Renew it; the node reads the new one by itself.",
        "Renouvelez-le ; le nœud lira le nouveau tout seul.",
    ),
    ("certificate-early", "{about} is valid only from {from} on.", "{about} n’est valable qu’à partir du {from}."),
    ("certificate-early!", "Is the clock right?", "L’horloge est-elle juste ?"),
    (
        "certificate-soon",
        "{about} ends on {to}, and should have been renewed by now.",
        "{about} expire le {to} et devrait déjà être renouvelé.",
    ),
    (
        "certificate-soon!",
        "Look why its renewal does not work (certbot renew --dry-run, or the log for [acme]).",
        "Voyez pourquoi le renouvellement échoue (certbot renew --dry-run, ou le journal pour [acme]).",
    ),
    (
        "certificate-other",
        "{about} is not for {host}, the name of this node.",
        "{about} n’est pas pour {host}, le nom de ce nœud.",
    ),
    (
        "certificate-other!",
        "Get one with that name, if mail programs are set to it.",
        "Prenez-en un avec ce nom si les logiciels de courriel l’utilisent.",
    ),
    ("log-missing", "{about}, which is to be followed, is not there.", "{about}, à suivre, n’existe pas."),
    (
        "log-missing!",
        "Without rsyslog, they are in the journal of systemd: name that in [logs] follow (journal = \"system\").",
        "Sans rsyslog, ils sont dans le journal de systemd : indiquez-le dans [logs] follow (journal = \"system\").",
    ),
    ("log-closed", "{about}, which is to be followed, cannot be read.", "{about}, à suivre, ne peut pas être lu."),
    ("log-closed!", "usermod -aG adm sm2tp, then restart the node.", "usermod -aG adm sm2tp, puis redémarrez le nœud."),
    (
        "inotify",
        "No more files can be watched ({why}); logs are looked at every second instead.",
        "On ne peut pas surveiller plus de fichiers ({why}) ; les journaux sont alors relus chaque seconde.",
    ),
    (
        "inotify!",
        "Raise fs.inotify.max_user_instances and max_user_watches (sysctl).",
        "Augmentez fs.inotify.max_user_instances et max_user_watches (sysctl).",
    ),
    // The node.
    (
        "database-fine",
        "{about} answers; machines of this node there: {machines}.",
        "{about} répond ; machines de ce nœud : {machines}.",
    ),
    (
        "database-away",
        "{about}: {why}. Mail goes on; what happens waits on this machine, and nothing can be changed meanwhile.",
        "{about} : {why}. Le courrier continue ; ce qui se passe attend sur cette machine, et rien ne peut être changé d’ici là.",
    ),
    (
        "database-away!",
        "Start the database, or look at [store] and at the network between. What waits is counted by itself then.",
        "Démarrez la base de données, ou regardez [store] et le réseau entre les deux. Ce qui attend sera compté de soi-même.",
    ),
    (
        "machine-silent",
        "{about}: this machine of the node was last heard of on {since}.",
        "{about} : cette machine du nœud a donné signe de vie pour la dernière fois le {since}.",
    ),
    (
        "machine-silent!",
        "Look at it. If it is gone for good: delete its row of the table machine.",
        "Allez la voir. Si elle a disparu pour de bon : supprimez sa ligne de la table machine.",
    ),
    ("node-fine", "The node runs and answers.", "Le nœud tourne et répond."),
    (
        "node-down",
        "No node answers at {about}; organisations, keys and peers were not looked at.",
        "Aucun nœud ne répond sur {about} ; organisations, clés et pairs n’ont pas été regardés.",
    ),
    (
        "node-down!",
        "systemctl start sm2tp, then journalctl -u sm2tp",
        "systemctl start sm2tp, puis journalctl -u sm2tp",
    ),
    ("door-closed", "Nobody answers at {about} ({door}).", "Personne ne répond sur {about} ({door})."),
    (
        "door-closed!",
        "The configuration was changed after the start, or a firewall stands in between: systemctl restart sm2tp",
        "La configuration a changé depuis le démarrage, ou un pare-feu bloque : systemctl restart sm2tp",
    ),
    // The ways out.
    (
        "smarthost",
        "All mail leaves through a smart host: others see its address, not yours.",
        "Tout part par un relais : les autres voient son adresse, pas la vôtre.",
    ),
    (
        "exit-unknown",
        "Exit {about}: this machine has no public address of its own; it is behind a translation of addresses.",
        "Sortie {about} : cette machine n’a pas d’adresse publique ; elle est derrière une traduction d’adresses.",
    ),
    (
        "exit-unknown!",
        "Name the address in [relay] source where it is on this machine; otherwise look at reverse DNS and SPF of the public address by hand.",
        "Indiquez l’adresse dans [relay] source si elle est sur cette machine ; sinon vérifiez à la main le DNS inverse et le SPF de l’adresse publique.",
    ),
    (
        "reverse-fine",
        "{about} is called {names}, and that name leads back to it.",
        "{about} s’appelle {names}, et ce nom y ramène.",
    ),
    (
        "reverse-absent",
        "{about} has no name in the reverse DNS: many servers refuse mail from it.",
        "{about} n’a pas de nom dans le DNS inverse : beaucoup de serveurs refusent son courriel.",
    ),
    (
        "reverse-absent!",
        "Let your provider set it to {hello}, often in the customer area.",
        "Faites mettre {hello} par votre hébergeur, souvent dans l’espace client.",
    ),
    (
        "reverse-unconfirmed",
        "{about} is called {names}, but that name does not lead back to it: for receivers it is as if it had none.",
        "{about} s’appelle {names}, mais ce nom n’y ramène pas : pour les destinataires, c’est comme s’il n’y en avait pas.",
    ),
    (
        "reverse-unconfirmed!",
        "Give the name an A or AAAA record with {about}, or set the reverse DNS to {hello}.",
        "Donnez à ce nom un enregistrement A ou AAAA avec {about}, ou mettez le DNS inverse à {hello}.",
    ),
    (
        "reverse-other",
        "{about} is called {names}, and the node says that it is {hello}. Some receivers mind.",
        "{about} s’appelle {names}, et le nœud dit être {hello}. Certains destinataires n’aiment pas cela.",
    ),
    (
        "reverse-other!",
        "Set the reverse DNS to {hello}, or hostname (for one exit: hello) to the name of the address.",
        "Mettez le DNS inverse à {hello}, ou hostname (pour une sortie : hello) au nom de l’adresse.",
    ),
    ("reverse-unknown", "The reverse DNS of {about} does not answer.", "Le DNS inverse de {about} ne répond pas."),
    ("hello-fine", "{about} leads to the addresses of the exits.", "{about} mène aux adresses des sorties."),
    (
        "hello-absent",
        "{about}, which is said in EHLO, has no address in the DNS.",
        "{about}, annoncé dans EHLO, n’a pas d’adresse dans le DNS.",
    ),
    ("hello-absent!", "Publish an A record (and AAAA) for it.", "Publiez un enregistrement A (et AAAA) pour ce nom."),
    ("hello-other", "{about} does not lead to {addresses}.", "{about} ne mène pas à {addresses}."),
    (
        "hello-other!",
        "Add these addresses to its A and AAAA records.",
        "Ajoutez ces adresses à ses enregistrements A et AAAA.",
    ),
    (
        "probe-unknown",
        "Port 25 was not tried: the mail servers of {about} were not found.",
        "Le port 25 n’a pas été essayé : les serveurs de {about} n’ont pas été trouvés.",
    ),
    ("port-fine", "From {about}, {target} greets: {text}", "Depuis {about}, {target} salue : {text}"),
    (
        "port-refused",
        "From {about}, {target} answers, but not with a welcome: {text}",
        "Depuis {about}, {target} répond, mais sans bienvenue : {text}",
    ),
    (
        "port-refused!",
        "Its text says why; see docs/providers.md and the page about listed addresses.",
        "Son texte dit pourquoi ; voyez docs/providers.md et la page sur les adresses listées.",
    ),
    (
        "port-closed",
        "From {about}, {target} cannot be reached: {text}",
        "Depuis {about}, {target} est injoignable : {text}",
    ),
    (
        "port-closed!",
        "Most often the provider of this machine closes port 25 for new customers: ask it to open it, or use a smart host.",
        "Le plus souvent, l’hébergeur ferme le port 25 aux nouveaux clients : demandez-lui de l’ouvrir, ou passez par un relais.",
    ),
    ("list-fine", "{about} is not on {zone}.", "{about} n’est pas sur {zone}."),
    (
        "list-refuses",
        "{zone} does not answer questions about {about} from this resolver.",
        "{zone} ne répond pas aux questions sur {about} venant de ce résolveur.",
    ),
    (
        "list-refuses!",
        "Ask through a resolver of your own (unbound), not through a public one.",
        "Interrogez-la par votre propre résolveur (unbound), pas par un résolveur public.",
    ),
    ("listed", "{about} is on the blocklist {zone}. {text}", "{about} est sur la liste de blocage {zone}. {text}"),
    (
        "listed!",
        "Find the cause first (sm2tp sender list), then ask for removal on the page of the list; see listed.md in the documentation.",
        "Trouvez d’abord la cause (sm2tp sender list), puis demandez le retrait sur la page de la liste ; voyez listed.md dans la documentation.",
    ),
    // The domains.
    ("domains-many", "{about} more domains were not looked at.", "{about} autres domaines n’ont pas été regardés."),
    ("dns-silent", "{about}: the DNS does not answer.", "{about} : le DNS ne répond pas."),
    (
        "mail-absent",
        "{about} takes no mail ({why}): bounces and answers find no way back, and some receivers refuse such senders.",
        "{about} ne reçoit pas de courriel ({why}) : les rejets et les réponses n’arrivent nulle part, et certains destinataires refusent de tels émetteurs.",
    ),
    ("mail-absent!", "Publish an MX record for it.", "Publiez un enregistrement MX."),
    (
        "mail-nowhere",
        "{about}: its mail servers ({hosts}) have no address.",
        "{about} : ses serveurs de courriel ({hosts}) n’ont pas d’adresse.",
    ),
    ("mail-nowhere!", "Publish A or AAAA records for them.", "Publiez leurs enregistrements A ou AAAA."),
    ("spf-fine", "{about}: SPF lets {address} send.", "{about} : SPF autorise {address}."),
    (
        "spf-absent",
        "{about} has no SPF record: the big providers refuse or suspect its mail.",
        "{about} n’a pas d’enregistrement SPF : les grands fournisseurs refusent ou suspectent son courriel.",
    ),
    ("spf-absent!", "Publish: {about} TXT \"{record}\"", "Publiez : {about} TXT \"{record}\""),
    (
        "spf-fail",
        "{about}: its SPF record forbids {address} to send: mail is refused.",
        "{about} : son enregistrement SPF interdit {address} : le courriel est refusé.",
    ),
    ("spf-fail!", "Put {mechanism} into it, before \"all\".", "Ajoutez-y {mechanism}, avant « all »."),
    (
        "spf-soft",
        "{about}: its SPF record does not know {address} (~all): mail is suspected.",
        "{about} : son enregistrement SPF ne connaît pas {address} (~all) : le courriel est suspecté.",
    ),
    ("spf-soft!", "Put {mechanism} into it, before \"all\".", "Ajoutez-y {mechanism}, avant « all »."),
    (
        "spf-neutral",
        "{about}: its SPF record says nothing about {address}.",
        "{about} : son enregistrement SPF ne dit rien de {address}.",
    ),
    (
        "spf-neutral!",
        "Put {mechanism} into it, and \"-all\" at its end.",
        "Ajoutez-y {mechanism}, et « -all » à la fin.",
    ),
    (
        "spf-broken",
        "{about}: its SPF record is wrong ({why}), which counts as none or worse.",
        "{about} : son enregistrement SPF est faux ({why}), ce qui vaut une absence, ou pire.",
    ),
    (
        "spf-broken!",
        "One record, at most ten look-ups, and no mechanism that does not exist.",
        "Un seul enregistrement, dix requêtes au plus, et aucun mécanisme inventé.",
    ),
    ("dkim-fine", "{name} is published as this node signs.", "{name} est publié tel que ce nœud signe."),
    (
        "dkim-absent",
        "{about}: this node has no key, so its mail leaves unsigned. Gmail, Yahoo and Microsoft want a signature.",
        "{about} : ce nœud n’a pas de clé, donc son courriel part sans signature. Gmail, Yahoo et Microsoft en veulent une.",
    ),
    (
        "dkim-absent!",
        "sm2tp dkim new {about}, and publish what it shows.",
        "sm2tp dkim new {about}, et publiez ce qu’il affiche.",
    ),
    (
        "dkim-missing",
        "{name} is not published: receivers cannot check the signatures, and take them for false.",
        "{name} n’est pas publié : les destinataires ne peuvent pas vérifier les signatures et les prennent pour fausses.",
    ),
    ("dkim-missing!", "sm2tp dkim record {about}", "sm2tp dkim record {about}"),
    (
        "dkim-other",
        "{name} is published with another value than this node signs with: signatures are false.",
        "{name} est publié avec une autre valeur que celle de ce nœud : les signatures sont fausses.",
    ),
    (
        "dkim-other!",
        "Compare: sm2tp dkim check {about}; publish what sm2tp dkim record {about} shows.",
        "Comparez : sm2tp dkim check {about} ; publiez ce qu’affiche sm2tp dkim record {about}.",
    ),
    ("dmarc-fine", "{about}: DMARC is there ({name}).", "{about} : DMARC est là ({name})."),
    (
        "dmarc-none",
        "{about}: DMARC asks receivers to do nothing (p=none). That is right to begin with.",
        "{about} : DMARC ne demande rien aux destinataires (p=none). C’est bien pour commencer.",
    ),
    (
        "dmarc-none!",
        "When the reports show only mail of yours: p=quarantine, then p=reject.",
        "Quand les rapports ne montrent que votre courriel : p=quarantine, puis p=reject.",
    ),
    (
        "dmarc-absent",
        "{about} has no DMARC record; Gmail and Yahoo want one from who sends much.",
        "{about} n’a pas d’enregistrement DMARC ; Gmail et Yahoo en veulent un de qui envoie beaucoup.",
    ),
    ("dmarc-absent!", "Publish: _dmarc.{about} TXT \"{record}\"", "Publiez : _dmarc.{about} TXT \"{record}\""),
    (
        "dmarc-two",
        "{about}: there are two DMARC records at {name}, which counts as none.",
        "{about} : il y a deux enregistrements DMARC sur {name}, ce qui vaut une absence.",
    ),
    ("dmarc-two!", "Remove one.", "Retirez-en un."),
    (
        "sts-fine",
        "{about}: MTA-STS is there, and its policy names the servers that take the mail.",
        "{about} : MTA-STS est là, et sa politique nomme les serveurs qui reçoivent le courriel.",
    ),
    (
        "sts-testing",
        "{about}: the MTA-STS policy is for testing: whoever sits between can still read the mail that you receive.",
        "{about} : la politique MTA-STS est en test : qui est sur le chemin peut encore lire le courriel que vous recevez.",
    ),
    (
        "sts-testing!",
        "After some weeks without bad reports: mode: enforce, and another id in the record.",
        "Après quelques semaines sans mauvais rapport : mode: enforce, et un autre id dans l’enregistrement.",
    ),
    (
        "sts-none",
        "{about} withdraws its MTA-STS policy (mode: none).",
        "{about} retire sa politique MTA-STS (mode: none).",
    ),
    (
        "sts-fetch",
        "{about}: the MTA-STS policy cannot be fetched: {why}",
        "{about} : la politique MTA-STS ne peut pas être lue : {why}",
    ),
    (
        "sts-fetch!",
        "It must be at https://mta-sts.{about}/.well-known/mta-sts.txt, as text/plain, with a good certificate and no redirect.",
        "Elle doit se trouver sur https://mta-sts.{about}/.well-known/mta-sts.txt, en text/plain, avec un bon certificat et sans redirection.",
    ),
    (
        "sts-mx",
        "{about}: the MTA-STS policy does not name {hosts}: who obeys it does not deliver there.",
        "{about} : la politique MTA-STS ne nomme pas {hosts} : qui la respecte n’y livre pas.",
    ),
    (
        "sts-mx!",
        "A line \"mx:\" for each of them, and another id in the record.",
        "Une ligne « mx: » pour chacun, et un autre id dans l’enregistrement.",
    ),
    (
        "sts-absent",
        "{about} has no MTA-STS: who sits between can read the mail that you receive. It is about mail to you, not from you.",
        "{about} n’a pas de MTA-STS : qui est sur le chemin peut lire le courriel que vous recevez. Cela concerne ce que vous recevez, pas ce que vous envoyez.",
    ),
    (
        "sts-broken",
        "{about}: the record _mta-sts.{about} is wrong: two of them, or no id.",
        "{about} : l’enregistrement _mta-sts.{about} est faux : deux, ou sans id.",
    ),
    ("sts-broken!", "One record: v=STSv1; id=20260101", "Un seul : v=STSv1; id=20260101"),
    (
        "sts-host",
        "{about}: MTA-STS is announced, but {host} has no address: the policy cannot be fetched.",
        "{about} : MTA-STS est annoncé, mais {host} n’a pas d’adresse : la politique ne peut pas être lue.",
    ),
    (
        "sts-host!",
        "Publish {host} with the policy at https://{host}/.well-known/mta-sts.txt, or remove the record.",
        "Publiez {host} avec la politique sur https://{host}/.well-known/mta-sts.txt, ou retirez l’enregistrement.",
    ),
    // Beside.
    ("postfix-fine", "Postfix says what it must say to ask this node.", "Postfix est réglé pour interroger ce nœud."),
    (
        "postfix-missing",
        "Postfix does not ask this node everything: {changes}",
        "Postfix n’interroge pas ce nœud sur tout : {changes}",
    ),
    (
        "postfix-missing!",
        "sm2tp postfix config shows why, --apply does it; then postfix reload.",
        "sm2tp postfix config explique, --apply le fait ; ensuite postfix reload.",
    ),
    ("postfix-unknown", "Postfix could not be asked: {why}", "Postfix n’a pas pu être interrogé : {why}"),
    ("exim-fine", "Exim asks this node ({about}).", "Exim interroge ce nœud ({about})."),
    (
        "exim-missing",
        "Exim does not ask this node: {about} does not name {socket}.",
        "Exim n’interroge pas ce nœud : {about} ne nomme pas {socket}.",
    ),
    (
        "exim-missing!",
        "sm2tp exim config shows what it must say; then update-exim4.conf and systemctl reload exim4.",
        "sm2tp exim config montre ce qu’il faut y mettre ; ensuite update-exim4.conf et systemctl reload exim4.",
    ),
    (
        "exim-unknown",
        "Whether Exim asks this node is not known: {about}: {why}",
        "On ne sait pas si Exim interroge ce nœud : {about} : {why}",
    ),
    (
        "exim-unknown!",
        "Run it as root, or compare the configuration with sm2tp exim config.",
        "Lancez-la avec le compte root, ou comparez la configuration avec sm2tp exim config.",
    ),
    (
        "beside-nobody",
        "Doors for a mail server are open ([policy], [socketmap], [milter]), and neither Postfix nor Exim is on this machine.",
        "Des portes pour un serveur de courriel sont ouvertes ([policy], [socketmap], [milter]), et il n’y a ni Postfix ni Exim ici.",
    ),
    // Peers.
    ("peer-fine", "{about} answers, and its news are here.", "{about} répond, et ses nouvelles sont là."),
    ("peer-new", "{about} has told nothing yet.", "{about} n’a encore rien dit."),
    (
        "peer-late",
        "{about}: its news are {hours} hours behind.",
        "{about} : ses nouvelles ont {hours} heures de retard.",
    ),
    (
        "peer-late!",
        "sm2tp peer list shows why; write to its administrator.",
        "sm2tp peer list dit pourquoi ; écrivez à son administrateur.",
    ),
    ("peer-trouble", "{about}: {why}", "{about} : {why}"),
    ("peer-trouble!", "If it lasts, write to its administrator.", "Si cela dure, écrivez à son administrateur."),
    (
        "peer-quarantined",
        "{about} calls addresses dead to which this node delivers; it is not believed any more.",
        "{about} dit mortes des adresses où ce nœud livre ; on ne le croit plus.",
    ),
    (
        "peer-quarantined!",
        "Talk to its administrator; sm2tp peer trust {about} when it is mended.",
        "Parlez à son administrateur ; sm2tp peer trust {about} quand c’est réparé.",
    ),
    (
        "peer-contradicts",
        "{about} signed two different things under one number: it was restored from a copy, or it lies.",
        "{about} a signé deux choses différentes sous un même numéro : il a été restauré d’une copie, ou il ment.",
    ),
    (
        "peer-contradicts!",
        "Telephone its administrator before anything else.",
        "Téléphonez à son administrateur avant toute chose.",
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn both_languages_fill_in_the_same() {
        crate::words::agree(super::WORDS);
    }
}
