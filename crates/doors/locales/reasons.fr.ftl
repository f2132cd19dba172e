# Why something was not done, in French. In English each reason says itself (`Display`); docs/decisions/0076-reasons.md says
# how. `{ $why }` is another reason, or what the machine or a library said.

## Addresses and domains
not-address = « { $text } » n’est pas une adresse : { $why }.
not-address-at = il n’y a pas d’arobase (@)
not-address-empty = il n’y a rien avant l’arobase
not-address-long-local = ce qui précède l’arobase dépasse 64 octets
not-address-characters = ce qui précède l’arobase contient un caractère qui demanderait des guillemets, ou un caractère de contrôle
not-address-long = elle dépasse 254 octets
not-address-route = les routes (@relais:nom@domaine) ne sont plus acceptées
not-domain = « { $text } » n’est pas un domaine : { $why }.
not-domain-empty = le nom de domaine est vide
not-domain-long = le nom de domaine est trop long
not-domain-label = une partie du nom de domaine est vide ou dépasse 63 octets
not-domain-characters = le nom de domaine contient un caractère qu’aucun nom n’a
not-domain-literal = une adresse IP entre crochets n’est pas acceptée : ce relais écrit à des noms de domaine
not-normal = « { $text } » n’a pas de forme normale : rien n’est gardé à son sujet.

## Organisations, identifiants, personnes
not-org = Il n’y a pas d’organisation « { $org } » ; la page des organisations les montre toutes.
not-org-name = « { $name } » ne peut pas nommer une organisation : il faut 1 à { $max } caractères, et « { $taken } » est pris.
not-login = Il n’y a pas d’identifiant « { $login } ».
not-login-of = L’organisation « { $org } » n’a pas d’identifiant « { $login } ».
not-login-name = Un identifiant a de 1 à { $max } caractères imprimables.
not-login-password = Un mot de passe a au moins { $min } caractères.
not-of-a-login = Seul un identifiant peut être tenu à ses propres adresses : choisissez-en un.
not-own-addresses = Un identifiant sans adresse à lui ne peut pas y être tenu : indiquez ses adresses.
not-addresses = { $max } adresses au plus ; au-delà, autorisez leur domaine.
not-person = Il n’y a pas de personne « { $name } ».
not-person-twice = Il y a déjà une personne « { $name } ».
not-persons = Il y a déjà { $max } personnes : c’est la limite.
not-person-name = « { $name } » ne peut pas nommer une personne : il faut 1 à { $max } caractères imprimables, sans espace au bord.
not-person-password = Un mot de passe pour ces pages a au moins { $min } caractères, et { $max } octets au plus.
not-only-owner = « { $name } » est seul·e propriétaire : désignez d’abord une autre personne.
not-secret = Ce n’est pas un secret.
not-code = Ce n’est pas le code de ce secret.

## Who may do what
not-role = Le rôle « { $role } » ne le permet pas ({ $action }).
not-other-org = Il n’y a rien de tel dans l’organisation { $org }.
not-whole-node = Cela concerne tout le nœud ; qui est responsable de { $org } ne s’occupe que de celle-ci ({ $action }).
not-scope = Le jeton n’a pas le droit { $action }.
not-role-known = « { $role } » n’est pas un rôle ; il y a owner, operator, org-administrator et read-only.
not-role-without-org = Qui est responsable d’une organisation l’est d’une seule : choisissez laquelle.
not-role-with-org = Le rôle « { $role } » vaut pour tout le nœud et n’a pas d’organisation.

## Mail and senders
not-queued = Le message { $mail } n’est pas dans la file d’attente.
not-message-id = Un Message-ID est un mot avec une arobase, tel qu’il est dans l’en-tête du message.
not-lane = Une file est normal, slow ou held.
not-smtp = La porte SMTP de ce nœud répond : { $why }
not-written = { $sender } de { $org } n’a rien envoyé depuis que la surveillance existe.
not-sender = Il n’y a pas d’identifiant « { $name } », et personne de ce nom n’a envoyé de message.
not-one-org = « { $name } » envoie pour plusieurs organisations, indiquez laquelle : { $orgs }.
not-campaign-over = Cet envoi serait déjà terminé.
not-campaign-long = Un envoi s’annonce pour { $max } jours au plus : ensuite il est habituel, ou c’en est un autre.
not-long-note = Une note a { $max } octets au plus.
not-exit = Il n’y a pas de sortie « { $exit } » ; ce nœud a : { $known }.
not-exits = Il n’y a pas de sortie « { $exit } » : ce nœud ne transmet aucun message.
not-paused = La sortie « { $exit } » n’est pas en pause.
not-pauses = Trop de sorties sont en pause.
not-returns = Ce nœud ne prend pas les retours : sa configuration n’a pas de domaine [returns].
not-unsubscribe = Il n’y a pas de lien de désinscription : il manque unsubscribe_url dans [returns].
not-base64 = L’avis n’est pas en base64.

## Lists and numbers
not-weight = Un poids va de 0 à 1.
not-days = Le nombre de jours va de 1 à { $max }.
not-entries = Un lot a { $max } entrées au plus.
not-logins = { $max } identifiants au plus à la fois.
not-results = Un lot a { $max } résultats au plus.
not-log-name = Un journal porte le nom de son fichier.
not-page-begin = Une page commence après une empreinte.
not-spread = Des échecs temporaires ne peuvent pas s’étaler sur plus de jours qu’on n’en regarde : un étalement de { $spread } s, une fenêtre de { $window } s.
not-scores = Les messages seraient refusés avant d’être retenus : retenus à partir de { $held }, refusés à partir de { $refused }.
not-believed = { $provider } est cru : rien n’a été mis de côté.
not-nobody-to-tell = Il n’y a personne à prévenir : [alerts] n’a ni mail ni webhook.
not-confirm-page = Il n’y a pas de page pour cela : il manque confirm_url dans [suppression].
not-asked-nothing = Rien de ce que cette personne pourrait lever n’arrête les messages vers cette adresse ; regardez ce que la page d’exclusion en dit.
not-asked-normal = Cette adresse n’a pas de forme normale : rien n’est gardé à son sujet.
not-asked-strangers = Trop d’inconnus ont demandé ces derniers temps ; la prochaine demande sera possible dans { $seconds } s.
not-asked-link = Aucun lien ne peut être fait : la machine n’a pas d’octets aléatoires.
not-asked-lately = Cette personne a été interrogée il y a peu ; elle ne le sera pas de nouveau avant le { $until }.
not-asked-silent = Cette personne a été interrogée plusieurs fois en six mois et n’a pas répondu ; seul·e l’administrateur·rice peut la débloquer.
not-asked-org = Cette organisation a interrogé autant de personnes en un jour qu’elle le peut.
not-exports = Il n’y a pas de section [exports] dans la configuration.
not-cdb = Un fichier cdb contient 4 Gio au plus.
not-postmap = postmap : { $why }

## MTA-STS
not-web = Le serveur web ne répond pas comme il faut ({ $why }).
not-web-status = Le serveur web répond par le statut { $status }.
not-web-plain = Ce que le serveur web envoie n’est pas en text/plain.
not-web-public = Aucune des adresses du serveur web n’est de l’Internet public : il n’est pas interrogé.
not-web-tls = Le certificat ou le chiffrement du serveur web ne convient pas ({ $why }).
not-policy-long = La politique est trop longue.
not-policy-text = La politique n’est pas du texte.
not-policy-version = La politique ne commence pas par la ligne version de STSv1.
not-policy-mode = La politique n’a pas de mode connu.
not-policy-age = La politique n’a pas de max_age en secondes.
not-policy-host = La politique ne nomme aucun serveur.
not-policy-bad-host = La politique nomme quelque chose qui n’est pas un serveur.
not-policy-hosts = La politique nomme trop de serveurs.

## DKIM
not-long-wait = De nouvelles clés attendent un an au plus.
not-key-signs = { $selector } signe en ce moment : faites d’abord de nouvelles clés pour { $domain }.
not-dkim-index = { $path } n’est pas un index de clés DKIM : { $why }
not-dkim-stray = { $path } n’est pas dans l’index à côté : reprenez-le avec « sm2tp dkim new DOMAINE --from-file », ou déplacez-le.
not-dkim-file = Le fichier de clé : { $why }.
not-dkim-domain = On ne peut pas signer pour « { $domain } » : il faut un nom avec un point, en lettres que le DNS connaît.
not-dkim-selector = « { $selector } » n’est pas un sélecteur : des lettres, des chiffres et des traits d’union, séparés par des points.
not-dkim-twice = { $domain } a déjà une clé { $algorithm }, avec le sélecteur { $selector } ; remplacez-la plutôt.
not-dkim-used = Le sélecteur { $selector } de { $domain } a déjà servi ; un nom ne sert jamais pour deux clés.
not-dkim-key = { $domain } n’a pas de clé ; faites-en une.
not-dkim-no-selector = { $domain } n’a pas de clé avec le sélecteur { $selector }.
not-dkim-rotating = Un remplacement est en cours pour { $domain } : ses nouvelles clés signent à partir du { $since }.
not-dkim-full = Ce nœud a autant de clés DKIM qu’il peut en avoir ; supprimez-en d’anciennes.
not-pem = il ne contient pas de clé privée au format PEM (-----BEGIN PRIVATE KEY----- ou -----BEGIN RSA PRIVATE KEY-----)
not-pem-several = il contient plus d’une clé privée
not-pem-encrypted = sa clé est chiffrée ; retirez d’abord la phrase de passe : openssl pkey -in FICHIER -out NOUVEAU
not-pem-kind = sa clé n’est ni RSA ni Ed25519 ; DKIM n’en connaît pas d’autre
not-pem-small = sa clé RSA est trop courte, et les destinataires s’en méfient (RFC 8301)
not-pem-large = sa clé RSA a { $bits } bits, plus que ce que les destinataires doivent comprendre (RFC 8301)
not-pem-damaged = sa clé est abîmée ({ $why })
not-pem-library = aucune clé ne peut être faite ou employée : la bibliothèque de chiffrement refuse

## Tokens and webhooks
not-token = Il n’y a pas de jeton « { $id } ».
not-tokens = Il y a trop de jetons ; révoquez-en.
not-token-scope = Un droit est all, ou un domaine suivi de read ou write, par exemple queue:read : « { $word } » n’en est pas un.
not-token-name = Le nom d’un jeton a de 1 à 100 caractères imprimables.
not-token-over = Ce jeton serait déjà périmé.
not-token-login = « { $login } » n’est pas un identifiant de l’organisation du jeton.
not-webhook = Il n’y a pas de webhook « { $id } ».
not-webhooks = Une organisation ne peut pas avoir plus de webhooks.
not-webhook-event = Il n’y a pas d’événement « { $name } ».
not-webhook-url = « { $url } » ne peut pas être appelé : { $why }.
not-url = ce n’est pas une URL
not-url-long = elle est trop longue
not-url-https = elle ne commence pas par https://
not-url-login = elle contient un identifiant
not-url-private = cette adresse n’est pas de l’Internet public
not-url-own = c’est cette machine

## Peers
not-peer = Il n’y a pas de pair « { $who } » : donnez son serveur, son nom, son empreinte ou sa clé.
not-peer-one = « { $who } » peut être { $candidates } : donnez l’empreinte.
not-peer-own = C’est ce nœud lui-même.
not-peer-twice = { $name } ({ $fingerprint }) est déjà un pair.
not-peer-asked = { $name } n’a rien demandé ; c’est à son administration d’accepter votre invitation.
not-peer-accepted = { $name } n’est pas encore un pair : acceptez-le d’abord, ou attendez sa réponse.
not-peer-elsewhere = Vous avez écrit { $typed }, mais ce nœud dit qu’on le joint à { $says } : demandez à son administration ce qui est juste.
not-peer-descriptor = Ce que { $host } dit de lui-même n’est pas un descripteur : { $why }.
not-api = « { $text } » ne convient pas : { $why }.
not-api-server = ce n’est pas l’adresse d’un serveur
not-api-scheme = elle ne commence ni par https:// ni par http://
not-api-plain = http:// est pour cette machine seulement ; entre machines, la fédération parle https
not-api-more = elle contient plus qu’un serveur et un chemin
not-api-path = elle ne finit pas par /fed/v1
not-reached = { $host } est injoignable : { $why }
not-private = { $host } est une adresse derrière cette machine ; private_peers dans [federation] la permettrait.
not-redirect = { $host } répond { $status }, ce qui renvoie ailleurs : ce n’est pas suivi.
not-stranger = { $host } refuse notre signature (401) : il n’a pas accepté ce nœud, ou une horloge est fausse.
not-busy = { $host } demande de revenir plus tard (429).
not-status = { $host } répond à { $path } par le statut { $status }.
not-answer-long = { $host } répond à { $path } par plus de { $max } octets.
not-meaning = La réponse de { $host } n’est pas ce qui était demandé ({ $why }).
not-client = Aucun client HTTP ne peut être fait ({ $why }).
not-signed = Notre requête ne peut pas être signée ({ $why }).
not-answer-late = pas de réponse à temps ({ $why })
not-answer-name = ce nom n’est pas trouvé dans le DNS ({ $why })
not-answer-private = ce nom ne mène à aucune adresse publique ; private_peers dans [federation] en permettrait d’autres
not-answer-refused = connexion refusée ({ $why })
not-answer-broken = connexion coupée ({ $why })
not-answer-way = aucune route vers ce serveur ({ $why })
not-answer-certificate = certificat refusé ({ $why })
not-answer = pas de réponse ({ $why })
not-feed = Son flux est illisible ({ $why }).
not-descriptor = Son descripteur : { $why }.
not-descriptor-long = il a { $octets } octets, plus que la limite
not-descriptor-json = ce n’est pas le JSON d’un descripteur ({ $why })
not-descriptor-base64 = sa charge ou sa signature n’est pas du base64 de la bonne longueur
not-descriptor-signature = la signature n’est pas celle de la clé de nœud { $node }
not-descriptor-key = la clé qui signe n’est pas celle du nœud { $node }
not-descriptor-seq = son numéro { $seq } est trop grand
not-descriptor-text = { $field } a { $octets } octets, plus que la limite, ou un caractère de contrôle
not-descriptor-api = « { $text } » n’est pas une adresse en https:// ou http://
not-other-node = Un autre nœud y répond : { $node }.
not-no-descriptor = Il sert des segments du nœud { $node } sans le descripteur de celui-ci.
not-segment-forged = Le segment { $segment } du nœud { $node } est abîmé ou falsifié ({ $why }).
not-segment-other = À la place du segment { $segment } du nœud { $node }, il en sert un autre.
not-segment-gap = Il ne sert pas ce qui précède le segment { $segment } du nœud { $node }.
not-tag-keys = Ses clés d’empreintes : { $why }
not-known = « { $name } » n’est pas connu ici.
not-kept = Le segment { $segment } du nœud { $origin } n’est pas gardé ici.
not-segment = Un segment est abîmé ({ $why }).
not-index = L’index des empreintes : { $why }

## Keys of the node
not-retired = Ce nœud est retiré : il ne dit plus rien.
not-ever-signed = Rien n’a jamais été signé pour ce nœud, et sa clé n’est pas ici.
not-waiting-read = Un descripteur qui attend d’être signé est illisible ({ $why }).
not-nothing-to-sign = Rien n’attend d’être signé.
not-older = Il porte le numéro { $seq }, et un descripteur de numéro { $known } est déjà connu.
not-after = { $segment } vient après le dernier segment de ce nœud, { $last }.
not-key-open = { $path } est lisible par d’autres (mode { $mode }) ; une clé secrète a le mode 600 : chmod 600 { $path }
not-key-malformed = { $path } ne contient pas 64 chiffres hexadécimaux.
not-key-under-way = Une nouvelle clé de journal est déjà en route : voyez « sm2tp key show ».
not-key-here = La clé du nœud n’est pas ici : elle a été emportée avec « sm2tp key offline ».
not-key-away = La clé du nœud est ici.
not-key-of-node = { $path } n’est pas la clé de ce nœud.
not-key-of-federation = La clé d’empreintes est celle d’une autre fédération ; la personne qui l’a fondée la change.
not-tag-key = Aucune clé d’empreintes { $id } valable aujourd’hui n’est connue ici : sm2tp key show les montre.
not-random = Il n’y a pas d’octets aléatoires ({ $why }).

## What fails on this machine
not-machine = La machine n’a pas pu le faire ({ $why }).
not-system = { $why }
not-file = { $path } : { $why }
not-in-file = { $path } : { $why }.
not-file-there = { $path } existe déjà.
not-ledger-closed = Le grand livre est fermé.
not-ledger-newer = Le grand livre a le format { $found }, cette version connaît le { $known } : installez la version qui l’a écrit.
not-database = La base de données refuse ({ $why }).
not-database-away = La base de données ne répond pas ({ $why }).
not-stored = Ce qui est gardé est illisible ({ $why }).
not-disk = Le disque refuse ({ $why }).
not-sync = Le disque n’a pas pu mettre des données à l’abri ; la file est arrêtée jusqu’au redémarrage du nœud ({ $why }).
not-spool-full = Le disque n’a plus que { $free } octets libres ; aucun message n’est pris avant qu’il en ait { $min }.
not-spool-behind = La base de la file a { $steps } étapes de retard et ne peut être écrite ; aucun message n’est pris d’ici là.
not-spool-stopped = La file est arrêtée après un échec du disque ; redémarrez le nœud quand le disque va bien.
not-queue-damaged = La base de la file est abîmée ; arrêtez le nœud et lancez « sm2tp queue salvage », qui garde ce qui est lisible ({ $why }).
not-queue-database = La base de la file refuse ({ $why }).
not-salvage = Un sauvetage de la file a été interrompu : relancez « sm2tp queue salvage ».
not-body = Le contenu du message { $mail } est abîmé (fichier { $segment }, à { $offset }).
not-mail-size = Un message de plus de 4 Gio.
not-spool-newer = La file a le format { $found }, cette version connaît le { $known } : installez la version qui l’a écrite.
not-spool-closed = La file est fermée.
