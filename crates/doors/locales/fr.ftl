# The words of the pages, in French. Each key stands in both files; docs/decisions/0053-words.md says how.

## The status page of a node without accounts
title = État du relais
since = Tout est compté depuis l’installation.
nobody = Aucune donnée personnelle sur cette page.
waiting = En attente de vous
waiting-breaker = Un fournisseur répond en masse « adresse inconnue », même pour des adresses qui recevaient encore ; on ne le croit pas
waiting-sender = Des émetteurs au comportement inhabituel sont bloqués, ou le seraient si la surveillance n’était pas en simple observation
waiting-rules = Vos règles de lecture des réponses sont inutilisables ; les précédentes restent en vigueur
waiting-exit = Une sortie est en pause ; des messages peuvent l’attendre
left = Messages traités
accepted = Acceptés des expéditeurs
delivered = Remis
deferred = Essais reportés
bounced = Abandonnés et signalés
dropped = Retirés à la main
canary = Laissés passer pour mesure
report = Avis aux expéditeurs
why = Pourquoi des messages ont été abandonnés
none = Aucun.
cause = Cause
count = Nombre
cause-address = L’adresse n’existe pas : rejet définitif
cause-mailbox = Boîte pleine ou désactivée
cause-content = Message refusé comme indésirable ; l’adresse est bonne
cause-ip = Notre adresse IP est sur une liste de blocage ou a mauvaise réputation
cause-auth = SPF, DKIM ou DMARC : un enregistrement DNS à réparer
cause-rate = Ralenti ou mis en attente par le serveur du destinataire
cause-policy = Une règle du serveur du destinataire
cause-network = Injoignable : réseau, DNS ou surcharge
cause-unknown = Raison inconnue
queue = File d’attente
lane-normal = En route
lane-slow = File lente
lane-held = En attente d’une décision
lane-any = toutes
oldest = Message le plus ancien
outbox = Résultats pas encore comptés
stopped = Bloqués avant l’envoi
stopped-why = Raison
stop-own-hard = Adresse déjà connue comme inexistante
stop-imported = Déjà revenue ailleurs : liste importée
stop-own-soft = Échecs répétés depuis ce nœud
stop-federated = Signalée comme inexistante par d’autres nœuds
stop-listed = Mise à la main sur la liste de blocage
stop-opted-out = La personne ne veut plus de messages de cet expéditeur
light = Rejets réels
light-none = Trop peu d’envois pour juger
light-green = Bon : moins de 0,4 %
light-watch = Au-dessus de l’objectif de 0,4 %
light-amber = Orange : 2 % ou plus ; regardez les listes de vos expéditeurs
light-red = Rouge : 5 % ou plus ; les fournisseurs ralentissent un tel expéditeur
light-stop = Stop : 10 % ou plus ; les fournisseurs bloquent un tel expéditeur
of-sends = des envois qui ont abouti ou échoué

## The public score
score = Comment arrive notre courrier
score-days = Les 30 derniers jours, pour tout le nœud.
score-share = Part
score-count = Messages
score-of = Sur
score-bounces = Adresses inexistantes
score-complaints = Plaintes
score-stopped = Bloqués par notre liste
score-explained = La première part se rapporte à tous les messages menés à terme ; notre objectif : moins de 0,4 %. La deuxième se rapporte aux messages remis, la troisième à tous ceux qui devaient partir. Ce que la liste a bloqué n’entre pas dans la première.
score-signed = La même chose pour les programmes, signée avec la clé de ce nœud :
score-key = Empreinte de la clé :
score-unjudged = Trop peu de messages pour juger
score-green = Vert : tout va bien
score-fair = Correct : au-dessus de l’objectif, sans inquiétude
score-amber = Orange : des listes sont à nettoyer
score-slow = Rouge : ces envois devraient être ralentis
score-stop = Rouge : ces envois ne devraient pas partir

## The public page of newsletters
unsubscribe = Se désinscrire
unsubscribe-asks = Vous ne voulez plus recevoir les lettres d’information de { $org } ?
unsubscribe-button = Me désinscrire
unsubscribe-done = C’est fait : vous ne recevrez plus les lettres d’information de { $org }.
unsubscribe-unknown = Ce lien n’est pas valable, ou ne l’est plus. Rien n’a été changé. Prenez le lien d’un message plus récent, ou répondez au message.

## The public page of confirmations
confirm = Recevoir de nouveau les messages
confirm-form = Les messages à votre adresse sont bloqués et vous voulez de nouveau les recevoir ? Demandez-le ici. Un message avec un lien part à cette adresse, et à aucune autre.
confirm-address = Votre adresse électronique
confirm-org = L’organisation dont les messages vous manquent, si vous la connaissez
confirm-ask = Demander
confirm-no-address = Ce n’est pas une adresse électronique.
confirm-sent = Si des messages à cette adresse sont bloqués ici et que personne ne l’a demandé depuis une semaine, un message part vers elle. Il contient un lien ; la page derrière ce lien a un bouton.
confirm-asks = Voulez-vous de nouveau recevoir les messages de { $who } à votre adresse ?
confirm-button = Oui, je le veux
confirm-done = C’est fait : les messages de { $who } vous parviennent de nouveau. Demandez aux expéditeurs de renvoyer ce qui vous a manqué.
confirm-unknown = Ce lien n’est pas valable, ou ne l’est plus. Rien n’a été changé.

## Counts and the federation
returned = Rejetés après remise
complained = Plaintes
unsubscribed = Désinscriptions
known = Adresses déjà rencontrées
federation = Fédération
fingerprint = Empreinte de ce nœud :
published = Événements publiés
received = Événements reçus
pending = Événements en attente de publication
peers = Pairs
no-peers = Pas encore de pairs : sm2tp peer invite URL
name = Nom
state = État
state-invited = Invité ; son administrateur n’a pas répondu
state-asking = Demande ; à vous de répondre : sm2tp peer accept
state-accepted = Accepté
weight = Poids
read = Lecture
yes = oui
no = non
polled = Dernière réponse
never = jamais
trouble = Problème
no-trouble = aucun
trouble-away = Le dernier essai ({ $ago }) a échoué :
trouble-answered = Il répond, mais tout n’est pas en ordre :
ago-s = il y a { $n } s
ago-m = il y a { $n } min
ago-h = il y a { $n } h
ago-d = il y a { $n } jours

## What stands on every page for persons
skip = Aller au contenu
menu = Pages
logout = Se déconnecter
back = Retour
change = Modifier
screen-overview = Vue d’ensemble
screen-accounts = Comptes
screen-account = Mon compte
screen-login = Connexion
open-page = Personne n’a encore de compte pour les pages de ce nœud. Sur cette machine, sous l’utilisateur du nœud :

## Login
password = Mot de passe
code = Code
code-help = Six chiffres, si vous avez activé un second facteur ; sinon laissez vide.
login-lost = Mot de passe ou téléphone perdu ? Quiconque a accès à la machine vous en donne un autre :
login-wrong = Le nom, le mot de passe ou le code est faux.
login-wait = { $n ->
    [one] Trop de mots de passe faux sont venus de votre adresse. Réessayez dans { $shown } minute.
    *[other] Trop de mots de passe faux sont venus de votre adresse. Réessayez dans { $shown } minutes.
    }
done-logout = Vous êtes déconnecté·e.

## The overview
today = Aujourd’hui (UTC)
sends-accepted = Acceptés des expéditeurs
sends-delivered = Remis
sends-failed = Abandonnés
sends-stopped = Bloqués avant l’envoi
sends-complained = Plaintes
light-days = Les 30 derniers jours.
why-today = Pourquoi des messages ont été abandonnés aujourd’hui
providers-today = Par fournisseur, aujourd’hui
provider = Fournisseur
came-to-end = Menés à terme
share-delivered = Dont remis
light-weeks = Feu sur 30 jours
waiting-peer = Un autre nœud demande à devenir pair
waiting-held = { $n ->
    [one] { $shown } destinataire est en attente d’une décision
    *[other] { $shown } destinataires sont en attente d’une décision
    }

## Accounts
role = Rôle
role-owner = Propriétaire
role-owner-help = Tout, y compris les comptes, les pairs et les réglages.
role-operator = Exploitant·e
role-operator-help = Le travail quotidien pour toutes les organisations : file d’attente, émetteurs, blocages.
role-org-administrator = Responsable d’une organisation
role-org-administrator-help = Les messages d’une organisation, et rien d’autre.
role-read-only = Lecture seule
role-read-only-help = Voit tout et ne change rien.
role-org = Organisation (pour son ou sa responsable)
last-login = Dernière connexion
account-add = Ajouter un compte
account-role = Changer le rôle
account-more = Autres changements
account-remove = Supprimer le compte
done-account = Le compte est créé.
done-account-role = Le rôle a été changé.
done-account-password = Le mot de passe a été changé, et toutes les sessions du compte sont terminées.
done-account-logout = Toutes les sessions du compte sont terminées.
done-account-removed = Le compte a été supprimé.
password-change = Changer le mot de passe
password-now = Mot de passe actuel
password-new = Nouveau mot de passe
password-again = Encore une fois le même
password-help = Au moins 12 caractères. Quelques mots à la suite se retiennent facilement.
done-password = Votre mot de passe a été changé ; partout ailleurs vous êtes déconnecté·e.
factor = Second facteur
factor-on = En plus du mot de passe, vous tapez un code que montre votre téléphone.
factor-off = Votre mot de passe suffit à ouvrir votre compte. Un code de votre téléphone en plus arrête quiconque aurait découvert le mot de passe.
factor-begin = Activer un second facteur
factor-drop = Désactiver le second facteur
factor-type = Tapez ce secret dans une application de codes à usage unique (FreeOTP, Aegis et d’autres), type « basé sur l’heure » :
factor-open = Ou, si ce téléphone est celui de l’application :
factor-link = L’ouvrir dans l’application
factor-code = Le code que l’application affiche maintenant
factor-set = Activer
done-factor = Désormais un code est demandé en plus du mot de passe.
done-factor-off = Le second facteur est désactivé.
sessions = Sessions
sessions-help = Un navigateur où vous vous êtes connecté·e le reste une semaine au plus, et 12 heures sans utilisation.
sessions-end = Se déconnecter partout

## When something is not done
trouble-form = Ce formulaire n’est pas de votre session actuelle : il est resté ouvert trop longtemps, ou une autre page l’a envoyé. Rien n’a été changé. Revenez en arrière, rechargez la page et envoyez-le de nouveau.
trouble-refused = Cela n’a pas été fait :
trouble-forbidden = Votre rôle ne le permet pas. Rien n’a été changé.
trouble-later = Ce n’est pas possible pour l’instant. Rien n’est perdu ; réessayez dans une minute. Le journal du nœud dit pourquoi.
trouble-nothing = Il n’y a rien de ce nom.
trouble-password = Le mot de passe actuel est un autre. Rien n’a été changé.
trouble-guesses = Trop de mots de passe faux. Rien n’a été changé ; attendez quelques minutes.
trouble-twice = Les deux nouveaux mots de passe diffèrent. Rien n’a été changé.
trouble-code = Ce n’est pas le code de ce secret. Vérifiez l’heure du téléphone et recommencez.

## Suppression
screen-suppression = Adresses bloquées
address = Adresse
for-org = Pour les messages de
any-org = tout le nœud
search = Chercher
suppression-help = Tapez une adresse : la page dit si on lui écrit, sinon pourquoi, qui l’a dit, et comment en sortir.
latest = Derniers blocages
latest-none = Aucune adresse n’est bloquée.
stream = Type de message
stream-personal = personnel
stream-transactional = transactionnel
stream-bulk = en nombre
stream-forwarded = transféré
stream-of-org = comme son organisation
decision = Décision
decision-send = on lui écrit
decision-hold = retenu pour décision
decision-refuse = on ne lui écrit pas
why-head = Pourquoi
ways-head = Comment en sortir
why-listed = L’administrateur a mis cette adresse sur la liste de blocage.
why-listed-by-org = L’organisation a mis cette adresse sur sa liste de blocage.
why-opted-out = Le destinataire s’est plaint de cet expéditeur ou s’est désabonné.
why-own-hard = Un message précédent à cette adresse a été refusé avec { $code }, la dernière fois le { $at }.
why-no-domain = Son domaine n’existe pas ou n’accepte pas de courrier, d’après le DNS.
why-imported = Le courrier à cette adresse est revenu ailleurs : { $from }.
why-federated = Nœuds indépendants qui disent cette adresse inexistante : { $sources } (score { $score }).
why-federated-domain = Nœuds indépendants qui disent son domaine inexistant : { $sources } (score { $score }).
way-time = D’elle-même le { $at }.
way-person = À la main, avec une note.
way-delivery = Par une remise, d’un message qui peut encore essayer.
way-org = L’organisation l’autorise pour ses propres messages.
way-recipient = La personne le dit elle-même, par un lien envoyé à elle seule.
decide = Décider
decide-node = Cela vaut pour les messages de toutes les organisations.
decide-org = Cela vaut pour les messages de { $org } seulement.
note = Note (pourquoi ; d’autres la liront)
act-remove = Écrire de nouveau à cette adresse
act-confirm = Demander à la personne par courriel
act-allow = Lui écrire quoi qu’on en dise
act-add = Ne plus écrire à cette adresse
done-suppressed = L’adresse est sur la liste de blocage. Ce qui l’attendait retourne à ses expéditeurs.
done-allowed = L’adresse est sur la liste d’autorisation.
done-released = On écrit de nouveau à cette adresse.
done-asked = Un message avec un lien part vers l’adresse.
seen-here = Ce que ce nœud a vu lui-même
seen-nothing = Aucun serveur n’a encore rien dit à ce nœud qui compte pour ou contre elle.
own-delivered = Dernière remise
own-hard-first = Premier rejet définitif
own-hard-last = Dernier rejet définitif
own-soft-last = Dernier échec temporaire
own-soft-days = Jours avec de tels échecs
by-rule = Compris par la règle
last-reply = Les mots du serveur
on-lists = Sur des listes
on-no-list = Sur aucune liste.
list-suppress = liste de blocage
list-allow = liste d’autorisation
list-optout = désabonnement ou plainte
list-own-hard = refusée par son serveur
said-by-nodes = Ce que disent d’autres nœuds
said-by-none = Aucun autre nœud n’a signalé cette adresse.
node = Nœud
said = Dit
when = Quand
counts-for = Compte pour
vote-unknown = un nœud sans nom
class-1 = n’existe pas
class-2 = n’a rien reçu pendant longtemps
class-5 = son domaine n’accepte pas de courrier
class-other = autre chose
left-out-contradicts-itself = non compté : ce nœud se contredit
left-out-provider-freeze = non compté : le fournisseur était alors en panne
left-out-doubted-month = non compté : ce mois-là, ce nœud s’est souvent trompé
left-out-quarantine = non compté : ce nœud est en quarantaine
left-out-too-far = non compté : trop loin
left-out-no-weight = non compté : son poids est nul
left-out-expired = non compté : trop ancien
left-out-own-delivery = non compté : ce nœud y a remis du courrier récemment
send-log = Journal d’envoi
send-log-empty = Rien n’est conservé à ce sujet.
what = Quoi
server = Serveur
reply = Réponse
domain = Domaine
org = Organisation
note-or-reply = Note ou réponse
kind-accepted = accepté
kind-delivered = remis
kind-deferred = reporté
kind-bounced = abandonné
kind-returned = revenu plus tard
kind-stopped = bloqué
kind-stopped-reported = bloqué et signalé
kind-canary = laissé passer pour mesure
kind-dropped = retiré à la main
kind-report = avis à l’expéditeur

## Senders
screen-senders = Émetteurs
sender = Émetteur
sender-find = Un identifiant ou une adresse d’expéditeur
senders-all = Voir tous les émetteurs
senders-unusual = Ne voir que les inhabituels
senders-none = Personne n’est ralenti ni bloqué.
watch-off = La surveillance est désactivée : rien n’est compté.
watch-observe = La surveillance ne fait que regarder : ce qu’elle ralentirait ou bloquerait continue.
watch-learn = La surveillance ralentit et bloque ; pour les émetteurs encore mal connus, les proportions comptent et les volumes pas encore.
watch-enforce = La surveillance ralentit et bloque.
level-normal = normal
level-slow = file lente
level-blocked = bloqué
by-watch = par la surveillance
by-person = par une personne
org-unusual = Tous les émetteurs de l’organisation ensemble sont inhabituels :
release-was = Ce qui était étrange
was-mended = La cause est supprimée (mot de passe changé, liste nettoyée)
was-normal = Rien d’anormal : l’apprendre comme habituel
release-mail = Les messages retenus avec lui
mail-keep = continuent d’attendre
mail-send = partent
mail-drop = sont supprimés, sans avis
act-release = Débloquer
act-slow = Ralentir
act-block = Bloquer
done-sender-released = L’émetteur peut de nouveau écrire normalement.
done-sender-slow = L’émetteur est dans la file lente.
done-sender-blocked = L’émetteur est bloqué.
sender-facts = Ce qu’on sait
wrote-first = Premier message
wrote-last = Dernier message
known-recipients = Destinataires connus de lui
held-with-it = Retenus avec lui
turned-away = Refusés depuis le blocage
newcomer = Nouveau venu
learned-until = Apprentissage jusqu’au
campaign = Campagne annoncée
campaign-left = encore { $left }, jusqu’au { $until }
networks = Réseaux d’où il a écrit
networks-none = Aucun connu.
network-new = nouveau
counted = Compté
ten-minutes = 10 minutes
an-hour = une heure
a-day = un jour
usual = Habituel au plus
count-mails = Messages
count-asked = Destinataires nommés
count-counted = Dont non annoncés
count-new = Jamais contactés avant
count-elsewhere = Depuis un réseau nouveau
count-odd-hours = À une heure étrange
count-large = Au-delà du nombre habituel par message
count-suppressed = Vers des adresses bloquées
count-answered = Réponses définitives
count-delivered = Remis
count-unknown = Inexistants
count-refused = Refusés comme indésirables
count-complained = Plaintes
changes = Décisions jusqu’ici
changes-none = Aucune.

## Organisations
screen-orgs = Organisations
orgs-none = Pas encore d’organisation.
domains = Domaines d’expédition
domains-help = Plusieurs séparés par des espaces. Vide : tous les domaines.
any-domain = tous
logins = Identifiants
login = Identifiant
logins-none = Pas encore d’identifiant : personne ne peut envoyer pour cette organisation.
login-add = Ajouter un identifiant
login-help = Un identifiant existant reçoit le nouveau mot de passe.
no-scram = pas de SCRAM
limits = Limites
limits-none = Aucune limite.
limit-only-as = n’envoie que comme { $addresses }
limit-also-as = peut aussi envoyer comme { $addresses }
limit-message-size = au plus { $n } octets par message
limit-recipients = au plus { $n } destinataires par message
limit-connections = au plus { $n } connexions
limit-rate-mails = au plus { $rate } messages
limit-rate-recipients = au plus { $rate } destinataires
org-may = Ce qu’elle peut faire
org-queue = sa file d’attente
org-add = Ajouter une organisation
org-change = Changer les domaines et le type de message
org-remove = Supprimer l’organisation
org-remove-help = Ses identifiants disparaissent avec elle. Ses messages déjà acceptés sont remis tout de même.
remove = Supprimer
done-org = L’organisation est enregistrée.
done-org-removed = L’organisation a été supprimée.
done-login = L’identifiant est enregistré.
done-login-removed = L’identifiant a été supprimé.
score-nothing = Rien n’a abouti ces 30 derniers jours.
count-of = { $count } sur { $of }

## The queue
screen-queue = File d’attente
queue-empty = Rien n’attend.
mail = Message
recipient = Destinataire
recipient-domain = Domaine du destinataire
mail-from = Adresse de retour
lane = File
attempts = Essais
next-try = Prochain essai
waits-because = Pourquoi il attend
note-held = retenu par une personne
note-let-go = libéré : les autres nœuds ne doutent plus de l’adresse
note-released = libéré par une personne
stage-connect = à la connexion
stage-ehlo = aux salutations
stage-starttls = à la demande de chiffrement
stage-mail = au nom de l’expéditeur
stage-rcpt = au nom du destinataire
stage-data = avant le message
stage-eod = après le message
stage-dsn = plus tard, par un avis
note-federated = { $n ->
    [one] { $shown } autre nœud dit cette adresse inexistante
    *[other] { $shown } autres nœuds disent cette adresse inexistante
    }
note-federated-domain = { $n ->
    [one] { $shown } autre nœud dit son domaine inexistant
    *[other] { $shown } autres nœuds disent son domaine inexistant
    }
note-sender-blocked = son émetteur est bloqué
next-page = Page suivante
all-these = Tous ceux-ci
act-retry = Réessayer maintenant
act-hold = Retenir
act-let-go = Laisser partir ce qui est retenu
act-drop = Supprimer sans remettre
act-yes = Oui
sure-retry = Réessayer maintenant ?
sure-hold = Retenir jusqu’à ce qu’une personne décide ?
sure-release = Laisser partir ce qui est retenu ?
sure-drop = Supprimer définitivement, sans avis à l’expéditeur ?
sure-many = Au moins { $shown } destinataires.
done-queue-retry = Un nouvel essai part maintenant.
done-queue-hold = C’est retenu.
done-queue-release = C’est reparti.
done-queue-drop = C’est supprimé.
envelope = Enveloppe
received-at = Reçu
octets = Octets
message-id = Message-ID
stream-known-by = Le type est connu par
known-by-login = son identifiant envoie de tels messages
known-by-port = il est arrivé sur le port de tels messages
known-by-org = son organisation envoie de tels messages
known-by-network = son réseau envoie de tels messages
known-by-field = son champ SM2TP-Stream le dit
known-by-list-unsubscribe = il a un champ List-Unsubscribe
known-by-list-id = il a un champ List-Id
known-by-precedence = son champ Precedence le dit
known-by-auto-submitted = son champ Auto-Submitted dit qu’un programme l’a écrit
known-by-feedback-id = il a un champ Feedback-ID, que des programmes écrivent
known-by-volume = son émetteur a eu beaucoup de destinataires depuis une heure
recipients-left = Destinataires en attente
mail-gone = Ce message n’est plus dans la file d’attente.
mail-life = Ce qu’il est devenu
mail-life-none = Le journal d’envoi n’en dit rien.
rule-and-exit = Règle, sortie
header = En-têtes du message
waiting-for-address = { $n ->
    [one] { $shown } destinataire avec cette adresse attend dans la file.
    *[other] { $shown } destinataires avec cette adresse attendent dans la file.
    }
why-own-soft = { $n ->
    [one] La boîte n’a pas pu recevoir de courrier pendant { $shown } jour.
    *[other] La boîte n’a pas pu recevoir de courrier { $shown } jours différents.
    }
sure-count = { $n ->
    [one] { $shown } destinataire.
    *[other] { $shown } destinataires.
    }

## The federation
screen-federation = Fédération
peers-none = Pas encore de pairs.
peer = Pair
peer-invited = invité ; son administrateur n’a pas répondu
peer-asking = demande ; à vous de répondre
peer-accepted = accepté
peer-unread = pas lu
peer-invite = Inviter un nœud
peer-url = Son adresse
peer-note = Un mot à son administrateur
peer-invite-help = Son administrateur accepte, après que vous avez comparé tous deux les deux empreintes de vive voix.
peer-accept = Accepter
peer-compared = Son administrateur et moi nous sommes lu les deux empreintes
peer-weight = Poids (de 0 à 1) : combien comptent ses propres événements
peer-read = Lire chez lui
peer-trust = Changer le poids et la lecture
peer-take = Laisser entrer ce qui attend
peer-forgive = Le laisser reprendre à sa prochaine époque
peer-remove = Mettre fin à la relation
peer-remove-help = On ne lit plus rien chez lui, et il ne lit plus rien ici. Ce qu’il a dit perd son poids.
peer-since = Connu depuis
peer-answered = Dernière réponse
peer-caught-up = Tout lu
peer-read-us = Dernière lecture ici
events-in = Événements reçus
events-out = Événements pris par lui
tag-key-lapses = Aucune clé d’empreintes de la fédération n’est connue pour la suite, après le
tag-key-lapses-help = Rien de nouveau ne sera alors transmis aux autres. C’est le nœud fondateur qui fait la clé suivante ; s’il ne revient pas, un membre refonde la fédération avec sm2tp key found.
origins = Nœuds derrière les pairs
origins-known = Connus
origins-behind = Nœuds venus par lui
events-behind = Leurs événements
agreement = Accord avec ce qui a été vu ici
agreement-unknown = pas encore connu
agreement-agrees = d’accord
agreement-quarantine = quarantaine : pas cru
agreement-counts = { $agreed } confirmés, { $contradicted } contredits
quarantined-since = En quarantaine depuis
contradicts = Il a signé deux choses pour une même place : on ne le lit plus.
fingerprints = Empreintes
fingerprint-other = De l’autre nœud
fingerprint-own = De ce nœud
fingerprints-help = Comparez-les de vive voix, au téléphone ou autour d’une table, pas par courriel.
trouble-compare = Comparez d’abord les deux empreintes de vive voix et cochez la case. Rien n’a été changé.
done-peer-invited = L’invitation est partie.
done-peer-accepted = La relation est établie.
done-peer-weighed = C’est modifié.
done-peer-taken = Ce qui attendait est entré.
done-peer-forgiven = Il reprend à sa prochaine époque.
done-peer-removed = La relation est terminée.

## Alerts
screen-alerts = Alertes
alerts-open = Ce qui ne va pas
alerts-none = Tout va bien, pour autant que ce nœud le sache.
alerts-over = Ce qui n’allait pas
alerts-told = Qui est prévenu
alerts-nobody = Personne : [alerts] dans la configuration ne nomme ni adresse ni webhook.
alerts-test = Envoyer un essai
done-alert-test = Un essai part vers tous ceux qui seraient prévenus.
trouble-not-told = L’essai n’a pas été accepté partout :
not-taken = Pas pris par les webhooks
since-head = Depuis
until-head = Jusqu’à
breakers = Fournisseurs qu’on ne croit pas
breaker-forget = Le fournisseur s’est trompé : oublier ces rejets
breaker-believe = Le fournisseur avait raison : les compter
done-breaker-forgotten = Ce qui était mis de côté est oublié.
done-breaker-believed = Ce qui était mis de côté compte.

## Audit log, settings, DNS
screen-audit = Journal d’audit
audit-help = Qui a changé quoi, pendant 400 jours. Les destinataires y figurent comme empreintes, comme partout.
audit-none = Rien n’a encore été changé.
audit-person = sur les pages
audit-token = un programme
audit-command-line = ligne de commande
did-queue-retry = a relancé des messages
did-queue-hold = a retenu des messages
did-queue-release = a libéré des messages retenus
did-queue-drop = a supprimé des messages de la file
did-erase = a effacé ce qui est gardé d’une adresse
did-suppress-add = a mis une adresse sur la liste de blocage
did-suppress-allow = a mis une adresse sur la liste d’autorisation
did-suppress-remove = a retiré une adresse des listes
did-suppress-confirm = a demandé son accord à un destinataire
did-suppress-import = a repris une liste
did-exports-write = a fait écrire les listes en fichiers
did-log-import = a fait compter un ancien journal
did-sender-decide = a décidé du sort d’un émetteur
did-sender-announce = a annoncé un envoi en nombre
did-org-add = a ajouté ou modifié une organisation
did-org-remove = a supprimé une organisation
did-org-login = a ajouté un identifiant ou changé son mot de passe
did-org-import = a repris des identifiants
did-org-logout = a supprimé un identifiant
did-org-returns = a changé le traitement des retours
did-org-suppression = a changé les règles d’arrêt des messages
did-org-limits = a changé des limites
did-peer-invite = a invité un nœud
did-peer-accept = a accepté un pair
did-peer-trust = a changé le poids d’un pair
did-peer-remove = a mis fin à une relation
did-key = a changé les clés du nœud
did-dkim-new = a créé des clés DKIM
did-dkim-rotate = a préparé le remplacement de clés DKIM
did-dkim-remove = a supprimé une clé DKIM
did-exit-pause = a mis une sortie en pause
did-exit-resume = a remis une sortie en service
did-ledger-rebuild = a fait reconstruire les tables
did-alerts-test = a fait envoyer une alerte d’essai
did-breaker-decide = a tranché au sujet d’un fournisseur
did-replay-replies = a fait relire d’anciennes réponses
did-report-take = a remis un avis de retour
did-webhook-new = a ajouté un webhook
did-webhook-remove = a supprimé un webhook
did-webhook-redeliver = a fait rappeler un webhook
did-token-new = a créé un jeton
did-token-revoke = a révoqué un jeton
did-account-add = a ajouté une personne
did-account-password = a changé le mot de passe d’une personne
did-account-role = a changé un rôle
did-account-factor-off = a retiré un second facteur
did-account-logout = a fermé toutes les sessions d’une personne
did-account-remove = a supprimé une personne
did-own-password = a changé son mot de passe
did-own-factor-on = a activé son second facteur
did-own-factor-off = a désactivé son second facteur
did-test-mail = a envoyé un message d’essai
who = Qui
about = À propos de
screen-settings = Réglages
settings-help = Les réglages sont dans le fichier de configuration du nœud ; cette page les montre et n’en change aucun.
settings-first = Le nœud
setting = Réglage
value = Valeur
source = Source
source-file = le fichier
source-default = valeur par défaut
source-none = non défini
setting-example = par exemple
screen-dns = DNS
dns-help = Copiez ces enregistrements dans les zones de vos domaines. SPF et DMARC sont des propositions : un enregistrement existant peut en dire plus.
dns-own = Cette machine
dns-address = Son nom mène à elle
dns-reverse = Chacune de ses adresses porte son nom (demandez à votre hébergeur)
dns-exits = chaque adresse d’où part le courrier
dns-returns = Le courrier qui revient mène ici
dns-no-domain = Pas encore de domaine d’expédition : ce sont les organisations qui en ont.
dns-no-key = Aucune clé ne signe les messages de ce domaine (DKIM).
dns-dkim = DKIM : la clé ({ $state })
dns-spf = SPF : qui envoie pour ce domaine
dns-dmarc = DMARC : ce que les autres font des faux
dns-incoming = Courrier qui arrive à ce domaine
dns-incoming-help = Cela concerne les serveurs qui reçoivent son courrier, et non ce nœud : ils disent aux autres d’employer TLS et demandent des rapports.
dns-tlsrpt = TLSRPT : les autres rendent compte de TLS
dns-mta-sts = MTA-STS : les autres emploient TLS avec un certificat connu, ou n’envoient rien
sts-now = La politique en ce moment
sts-late = Son serveur web n’a pas répondu en quelques secondes ; sm2tp doctor attend plus longtemps.
sts-silent = Le DNS ne répond pas.
sts-absent = Il n’y a pas d’enregistrement : qui écrit à ce domaine peut être détourné, ou amené à envoyer en clair.
sts-broken = Il y a plusieurs enregistrements, ou un seul sans numéro : ils comptent pour rien.
sts-no-host = L’enregistrement est là, mais le serveur web de la politique n’a pas d’adresse.
sts-unfetched = La politique ne peut pas être lue : qui écrit à ce domaine n’en a donc pas.
sts-off = La politique dit qu’il n’y en a plus (mode none).
sts-others-enforced = Ces serveurs prennent le courrier sans être dans la politique, donc n’en reçoivent pas de qui la suit : { $hosts }.
sts-others-testing = Ces serveurs prennent le courrier sans être dans la politique : { $hosts }. Elle est à l’essai, donc le courrier arrive encore.
sts-testing = Elle est là et nomme tous les serveurs, à l’essai : elle n’oblige encore personne.
sts-fine = Elle est là, en vigueur, et nomme tous les serveurs.
dns-each-mx = chaque serveur de son enregistrement MX
dkim-waiting = signera plus tard
dkim-signing = signe
dkim-retired = ne signe plus ; gardez son enregistrement pour l’instant
dns-check = Interroger le DNS maintenant
dns-equal = Il y est.
dns-other = Il y en a un autre
dns-missing = Il n’y est pas.
dns-no-answer = Le DNS ne répond pas
parked = { $n ->
    [one] { $shown } événement attend, car c’est plus que d’habitude.
    *[other] { $shown } événements attendent, car c’est plus que d’habitude.
    }
breaker-parked = { $n ->
    [one] { $shown } rejet est mis de côté.
    *[other] { $shown } rejets sont mis de côté.
    }

## Figures
screen-figures = Chiffres
span = Période
show = Afficher
figures-all = Messages menés à terme, et messages bloqués
as-table = Les mêmes chiffres en tableau
figures-providers = Remis, par fournisseur et par jour
figures-of-providers = Sur des semaines, et en courbe
figures-none = Rien n’a été envoyé à un fournisseur connu pendant cette période.
of-mails = { $n ->
    [one] sur { $shown } message
    *[other] sur { $shown } messages
    }
span-days = { $n ->
    [one] { $shown } jour
    *[other] { $shown } jours
    }

## Programmes : jetons et webhooks
screen-programs = Programmes
programs-help = Ce que d’autres programmes peuvent faire ici, et lesquels apprennent ce que deviennent les messages.
tokens = Jetons
tokens-none = Aucun programme n’a encore de jeton.
token-may = Peut
token-made-head = Créé
token-ends = Expire
token-rate = au plus { $rate } requêtes
token-revoke = Révoquer
token-new = Créer un jeton
token-name = Pour quel programme
more = Plus
scopes-mail = déposer des messages
scopes-follow = déposer des messages et suivre ce qu’ils deviennent
scopes-watch = surveiller le nœud : chiffres, file d’attente, alertes
scopes-all = tout ce que permet le rôle
scopes-own = D’autres droits, à la place du choix ci-dessus
scopes-help = Des mots comme ceux que montre le champ, séparés par des espaces ; docs/api.md les donne tous.
token-login = Un identifiant au nom duquel il dépose
token-days = Jours jusqu’à l’expiration ; vide : jamais
token-how = Comment les programmes s’en servent, et tout ce qu’ils peuvent faire :
secret-once = Ce secret n’est montré qu’une fois
secret-kept = Je l’ai noté
token-made = Copiez-le maintenant dans le programme, qui l’envoie dans le champ Authorization, derrière le mot Bearer. Le nœud ne garde que de quoi le reconnaître ; si vous le perdez, créez-en un autre.
webhook-made = Donnez-le au programme appelé : il s’en sert pour vérifier la signature de chaque appel (standardwebhooks.com).
done-token-revoked = Le jeton est révoqué.
webhooks = Webhooks
webhooks-help = Un programme qui a sa propre adresse est appelé dès qu’on sait ce que devient un message.
webhook-new = Prévenir un programme
webhook-url = Son adresse (https)
webhook-events = Il apprend
webhook-waiting = En attente
webhook-dead = Non pris
webhook-gone = Il a répondu qu’il ne veut plus rien.
webhook-redeliver = Rappeler
done-webhook-removed = Le webhook est supprimé.
done-webhook-redelivered = Il est rappelé.
event-delivered = remis
event-deferred = reporté
event-bounced = abandonné
event-complained = plainte
event-suppressed = bloqué par une liste
dead-help = Ce que le programme n’a pas pris à temps. C’est gardé une semaine.
dead-none = Il a tout pris.
redeliver-all = Tout rappeler
webhook-lost = { $n ->
    [one] { $shown } de plus a été omis : trop attendaient
    *[other] { $shown } de plus ont été omis : trop attendaient
    }

## Le direct
screen-tail = En direct
tail-help = Ce qui se passe, au moment où cela se passe. Des destinataires on ne voit que le domaine ; rien n’en est conservé.
tail-reload = Actualiser
tail-pause = Mettre en pause
tail-go = Reprendre
tail-live = Les nouvelles lignes arrivent d’elles-mêmes.
tail-away = Le nœud ne répond pas ; on lui redemande.
tail-skipped = Trop rapide à montrer ; lignes passées :
tail-none = Rien ne s’est passé depuis que quelqu’un regarde.

## Les sorties
screen-exits = Sorties
exits-help = D’où partent les messages, et comment ils y sont reçus : les 30 derniers jours.
exits-none = Rien n’est encore parti de ce nœud.
exit = Sortie
exit-addresses = Part de
exit-address = Adresse
exit-system = l’adresse que choisit le système
exit-hello = Se présente comme (EHLO)
exit-gone = La configuration ne l’a plus.
exit-fine = Personne ne la refuse en ce moment.
exit-refused = Refusée en ce moment
exit-refuses-now = la refuse
exit-last = le dernier
exit-removal = Demander le retrait
exit-no-link = La réponse ne nomme aucune page de retrait. Cherchez la page « postmaster » du fournisseur.
exit-is-paused = En pause
exit-pause = La mettre en pause
exit-pause-help = Rien ne partira par elle tant que vous ne l’aurez pas remise en service, même après un redémarrage. Les messages qui ont droit à une autre sortie la prennent ; les autres attendent, sans qu’aucun essai leur soit compté.
exit-pause-act = Ne plus rien laisser partir par elle
exit-resume = Remettre en service
done-exit-paused = Plus rien ne part par cette sortie ; les envois en cours se terminent.
done-exit-resumed = Les messages repartent par cette sortie.
other-providers = Tous les autres
sites = Serveurs que des messages attendent
sites-none = Aucun message n’attend un serveur, et aucune connexion n’est ouverte.
site-hosts = Serveurs
site-waiting = En attente
site-connections = Connexions
site-paused = Laissé en paix jusqu’au
site-shut = la remise en service de sa sortie
block-lists = Listes de blocage
block-lists-help = Les interroger apprend à leurs exploitants que ce nœud demande ; on ne le fait donc jamais de soi-même.
block-lists-ask = Interroger maintenant les listes usuelles
block-lists-none = Il n’y a pas d’adresse à vérifier : le système ou un relais la choisit.
block-list = Liste de blocage
list-listed = sur la liste
list-fine = pas sur la liste
list-refuses = ne nous répond pas
exit-refusals = { $n ->
    [one] { $shown } refus
    *[other] { $shown } refus sans un oui entre-temps
    }

## La file d’attente, suite
queue-sums = Pour qui on attend, et pourquoi
first-try = le premier essai n’a pas encore eu lieu
found-none = Aucun message avec ce Message-ID n’a été pris ici, ou le journal d’envoi ne l’a plus.

## Limites des organisations
limits-change = Modifier les limites
limits-help = Un champ vide ne fixe pas de limite. Ce que la configuration fixe pour tout le monde vaut toujours.
limits-of-org = Tout { $org } ensemble
limits-of-login = L’identifiant { $login }
limits-set = Fixer ces limites
set-message-size = Octets par message
set-recipients = Destinataires par message
set-connections = Connexions simultanées
set-rate-mails = Messages par durée
set-rate-recipients = Destinataires par durée
set-addresses = Adresses d’expéditeur en plus des domaines
set-own-only = Ses propres adresses seulement
done-limits = Les limites ont été modifiées.
trouble-limit = Une limite est un nombre entier ; une cadence est un nombre et une durée, par exemple 500/h, 20/min ou 2000/d. Rien n’a été changé.

## Les listes en fichiers
list-files = Importer et exporter des listes
import = Importer
import-help = Les listes d’autres programmes : Amazon SES, SendGrid, Mailgun, Postmark, Brevo, Sympa, Mailman, ou une adresse par ligne. Le format se reconnaît de lui-même. Au-delà de 8 Mo : sm2tp suppress import.
import-file = Un fichier
import-pasted = ou son texte
import-reason = Pourquoi elles y sont
import-reason-said = la liste le dit
import-try = Dire seulement ce qui se passerait
import-would = Ce qui se passerait
import-did = Ce qui s’est passé
import-broke-off = L’import s’est interrompu ; ce qui était pris le reste :
import-read = Entrées lues
import-taken = Prises
import-known = Déjà là
import-left = Laissées de côté
import-first = Les premières
reason-listed = mises à la main
reason-bounce = les messages sont revenus
reason-complaint = elles se sont plaintes
reason-unsubscribe = elles se sont désabonnées
leave-soft = la boîte était pleine ou désactivée un moment, ce qui ne dit rien de définitif
leave-blocked = c’est le message ou son expéditeur qui fut refusé : cela ne dit rien de l’adresse
leave-unsaid = la liste ne dit pas pourquoi : choisissez-le ci-dessous
leave-no-org = une plainte ou un désabonnement concerne une organisation : choisissez-la ci-dessous
leave-unknown-org = son organisation n’existe pas ici
leave-delivered-since = un message y a été remis depuis
leave-allowed = sur la liste d’autorisation de ce nœud
leave-future = sa date est dans le futur
leave-expired = si ancienne qu’elle est expirée
leave-foreign-key = une empreinte d’un autre nœud
leave-no-normal-form = pas une adresse à laquelle écrire
leave-too-long = plus longue que toute entrée de liste
leave-open-quote = un guillemet qui ne se ferme pas
leave-nul = pas du texte
leave-json = JSON cassé ; la suite ne peut être lue
leave-cut = la liste s’arrête au milieu
leave-no-address = pas d’adresse dedans
leave-address = pas une adresse à laquelle on peut écrire
leave-date = une date incompréhensible
leave-tag = une empreinte, une clé ou un domaine qu’aucun nœud n’écrit
leave-not-stopped = la liste dit qu’on écrit encore à cette adresse
leave-event = ce qui s’est passé n’arrête personne (envoyé, remis, ouvert…), ou le mot n’est pas connu
export = Exporter
export-help = La liste de ce nœud, en tableau. Elle contient des empreintes et non des adresses : le nœud n’en garde pas. Un autre nœud avec la même clé peut l’importer.
export-csv = Télécharger en CSV

## La carte
map = Qui nous a dit quoi
map-help = Plus un trait est large, plus il est venu d’événements par là.
map-own = ce nœud
map-through = Venu par
map-directly = lui-même
map-left-out = { $n ->
    [one] { $shown } nœud n’est pas dessiné.
    *[other] { $shown } nœuds ne sont pas dessinés.
    }

## Le second facteur, suite
factor-scan = Scannez ceci avec une application de codes à usage unique (FreeOTP, Aegis et d’autres) :
factor-code-picture = Code QR du secret ci-dessous

## La première fois
screen-start = Premiers pas
setup-first = Bienvenue
setup-first-help = Personne n’a encore de compte pour ces pages. Le premier est celui du ou de la propriétaire : le vôtre.
setup-code = Code de ce nœud
setup-code-help = Seul qui peut lire les fichiers du nœud l’a. Sur la machine :
setup-begin = Créer mon compte
setup-wrong-code = Ce n’est pas le code.
setup-in-browser = Ou dans ce navigateur :
done-first-account = Bienvenue. Il reste trois étapes.
step-org = Qui envoie
step-org-help = Un message appartient toujours à une organisation, avec les domaines qui suivent l’@ de ses expéditeurs.
step-domain = Domaine de ses expéditeurs
step-dns = Ce que le DNS doit dire
step-dns-later = Indiquez d’abord une organisation et son domaine.
step-dns-help = Une clé signe les messages, et les enregistrements permettent aux autres de vérifier.
step-dns-records = enregistrements à copier
step-key = Créer une clé
step-test = Un message d’essai à vous-même
step-test-later = Indiquez d’abord une organisation et son domaine.
step-test-help = Il prend le chemin de tous les messages. De préférence vers une adresse chez un grand fournisseur : vous y verrez s’il arrive dans la boîte de réception.
test-from = De
test-to = À
test-send = Envoyer le message d’essai
test-no-door = Ce nœud ne prend pas de messages : sa configuration n’a pas de [smtp], ou pas d’[http] qui le connaisse.
test-no-org = Aucune organisation n’a le domaine de cette adresse d’expéditeur. Rien n’a été envoyé.
test-subject = Message d’essai de { $host }
test-text = Voici le message d’essai que vous avez demandé sur les pages de { $host }. S’il est dans votre boîte de réception, tout fonctionne. S’il est parmi les indésirables, regardez encore une fois la page du DNS.
test-delivered = Le serveur du destinataire l’a pris. Regardez maintenant dans votre boîte.
test-deferred = Le serveur a dit « plus tard » ; un nouvel essai aura lieu de lui-même.
test-under-way = Il est en route.
test-failed = Il n’a pas été pris.
test-again = Actualiser
done-key = La clé est créée. Copiez son enregistrement dans le DNS.
start-first = Pas encore d’organisation : premiers pas
start-test = S’envoyer un message d’essai

## Les réglages, suite
settings-own = Fixé sur les pages ou par une commande
settings-own-none = Rien n’est fixé pour une organisation ou un identifiant.
source-database = la base de données

## What a change was about, in the audit log (control/line.rs)
about-name = { $name }
about-of = { $name } : { $what }
about-and = { $before }, { $next }
about-recipient = { $tag } chez { $domain }
about-no-tag = quelqu’un chez { $domain }
about-no-address = pas une adresse
about-an-address = une adresse
about-stream-only = { $recipient }, courrier { $stream } seulement
about-entries = entrées : { $count }, { $from }
about-results = résultats : { $count }, { $from }
about-logins = identifiants : { $count }
about-mail = message { $mail }
about-all-mail = tous les messages
about-mail-for = tous les messages pour { $domain }
about-mail-in = tous les messages, { $lane }
about-mail-for-in = tous les messages pour { $domain }, { $lane }
about-slow = { $name } : ralenti
about-block = { $name } : bloqué
about-released = { $name } : débloqué, { $was }, { $waiting }
about-mended = la cause est réglée
about-normal = tout était en ordre
about-keep = ce qui est retenu attend encore
about-send = ce qui est retenu part
about-drop = ce qui est retenu est supprimé
about-announced = { $name } : { $count } destinataires jusqu’au { $until }
about-domains = domaines { $domains }
about-stream = courrier { $stream }
about-return-path = adresse de retour : { $to }
about-sender = celle de l’émetteur
about-node = celle de ce nœud
about-unsubscribe = désinscription en un clic : { $is }
about-on = oui
about-off = non
about-contact = un autre contact
about-no-contact = pas de contact
about-as-node = comme le nœud
about-setting = { $name } = { $value }
about-limit = { $name } : { $value }
about-unlimited = { $name } : sans limite
about-addresses = adresses : { $count }
about-own-addresses = ses propres adresses seulement
about-all-addresses = toutes les adresses de l’organisation
about-person = { $name } : { $role }
about-person-of = { $name } : { $role } ({ $org })
about-weight = poids { $weight }
about-read = on le lit
about-unread = on ne le lit pas
about-taken = ce qui attendait entre
about-forgiven = pardonné
about-note = { $name } : { $note }
about-log-key = une nouvelle clé de journal dans { $seconds } s
about-revoked = la clé de journal est révoquée
about-revoked-after = la clé de journal est révoquée après { $segment }
about-tag-key = une nouvelle clé d’empreintes dans { $seconds } s
about-founded = une fédération est fondée
about-joined = le nœud rejoint la fédération de la clé d’empreintes { $key }
about-key-to = la clé du nœud part dans { $file }
about-key-from = la clé du nœud vient de { $file }
about-descriptor = un descripteur signé
about-selector = { $domain } { $selector }
about-selectors = { $domain }, sélecteurs suivants
about-token = { $name } : { $role }, { $scopes }
about-verdict = { $name } : { $verdict }
about-believe = cru
about-forget = ses refus sont oubliés
