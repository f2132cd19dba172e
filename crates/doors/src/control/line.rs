//! Table: what each change is about, for the line that is kept of it: no recipient, no password, and no word of a language
//! but by its key (`crate::reason`).

use serde_json::{Value, json};

use super::keys::OfKeys;
use super::persons::AccountChange;
use super::senders::{Deciding, ItsMail, Was};
use super::{Entry, Request, Those, Which};
use crate::peering::Trusting;
use crate::reason::Reason;

impl Request {
    /// None where its name says it all. `shown` makes of a recipient what may stand there.
    #[expect(clippy::too_many_lines, reason = "a table: a line for each request")]
    pub(super) fn about(&self, shown: impl Fn(&str) -> Reason) -> Option<Reason> {
        let new = Reason::new;
        let of = |entry: &Entry| match entry.stream {
            Some(stream) => new("about-stream-only")
                .because("recipient", shown(&entry.address))
                .word("stream", format!("stream-{stream}")),
            None => shown(&entry.address),
        };
        Some(match self {
            Self::SuppressAdd { entry } | Self::SuppressAllow { entry } | Self::SuppressRemove { entry } => of(entry),
            Self::SuppressConfirm { address, .. } => shown(address),
            // Of whom is what was to be forgotten.
            Self::Erase { .. } => new("about-an-address"),
            Self::SuppressImport { import } => {
                new("about-entries").number("count", import.entries.len()).text("from", import.from)
            }
            Self::QueueRetry { which }
            | Self::QueueHold { which }
            | Self::QueueRelease { which }
            | Self::QueueDrop { which } => which.about(),
            Self::LogImport { log } => {
                new("about-results").number("count", log.results.len()).text("from", &log.source)
            }
            Self::SenderDecide { who, deciding, .. } => deciding.about(&who.sender),
            Self::SenderAnnounce { who, recipients, until, .. } => {
                new("about-announced").text("name", &who.sender).number("count", *recipients).time("until", *until)
            }
            Self::OrgAdd { domains, stream, .. } => all([
                domains.as_ref().map(|domains| new("about-domains").text("domains", domains.join(" "))),
                stream.map(|stream| new("about-stream").word("stream", format!("stream-{stream}"))),
            ])?,
            Self::OrgLogin { login: name, .. } | Self::OrgLogout { login: name } => named(name),
            Self::OrgImport { logins, .. } => new("about-logins").number("count", logins.len()),
            Self::OrgReturns { change, .. } => {
                let change = json!(change);
                let word = |name: &str| Some(new("about-return-path").word("to", format!("about-{name}")));
                let contact =
                    |contact: &str| new(if contact.is_empty() { "about-no-contact" } else { "about-contact" });
                all([
                    change["return_path"].as_str().and_then(word),
                    change["unsubscribe"].as_str().map(|is| new("about-unsubscribe").word("is", format!("about-{is}"))),
                    change["contact"].as_str().map(contact),
                ])?
            }
            Self::OrgSuppression { change, reset, .. } => {
                let reset = reset.then(|| new("about-as-node"));
                all(reset.into_iter().chain(settings(&json!(change))).map(Some))?
            }
            Self::OrgLimits { login, change, .. } => {
                let addresses = change.addresses.as_ref();
                let more = [
                    addresses.map(|list| new("about-addresses").number("count", list.len())),
                    change
                        .own_addresses_only
                        .map(|only| new(if only { "about-own-addresses" } else { "about-all-addresses" })),
                ];
                let changed = all(more.into_iter().chain(limits(&json!(change.allowance)).map(Some)))?;
                match login {
                    Some(login) => new("about-of").text("name", login).because("what", changed),
                    None => changed,
                }
            }
            Self::Account { change } => change.about(),
            Self::PeerInvite { url: who, weight, read, .. } | Self::PeerAccept { who, weight, read } => {
                Trusting::Weigh { weight: Some(*weight), read: Some(*read) }.about(who)
            }
            Self::PeerTrust { who, trust } => trust.about(who),
            Self::ExitPause { exit, note } if !note.is_empty() => {
                new("about-note").text("name", exit).text("note", note)
            }
            Self::PeerRemove { who: name } | Self::ExitPause { exit: name, .. } | Self::ExitResume { exit: name } => {
                named(name)
            }
            Self::Key { wanted } => return wanted.about(),
            Self::DkimNew { domain, selector, .. } | Self::DkimRotate { domain, selector, .. } => match selector {
                Some(selector) => new("about-selector").text("domain", domain).text("selector", selector),
                None => new("about-selectors").text("domain", domain),
            },
            Self::DkimRemove { domain, selector, .. } => {
                new("about-selector").text("domain", domain).text("selector", selector)
            }
            Self::TokenNew { wanted } => new("about-token")
                .text("name", &wanted.name)
                .word("role", format!("role-{}", wanted.role))
                .text("scopes", &wanted.scopes),
            Self::TokenRevoke { id } | Self::WebhookRemove { id } | Self::WebhookRedeliver { id, .. } => named(id),
            // What stands behind the host may be a secret of its own.
            Self::WebhookNew { wanted } => named(wanted.url.split('/').nth(2).unwrap_or_default()),
            Self::BreakerDecide { provider, verdict } => {
                let verdict = json!(verdict);
                new("about-verdict")
                    .text("name", provider)
                    .word("verdict", format!("about-{}", verdict.as_str().unwrap_or_default()))
            }
            _ => return None,
        })
    }
}

impl Which {
    fn about(&self) -> Reason {
        let new = Reason::new;
        let lane = |lane: &str| format!("lane-{lane}");
        match self {
            // A number that is copied has no signs between its digits.
            Self::Mail(mail) => mail_of(*mail),
            Self::Those(Those { domain, lane: of, .. }) => match (domain, of) {
                (None, None) => new("about-all-mail"),
                (Some(domain), None) => new("about-mail-for").text("domain", domain),
                (None, Some(of)) => new("about-mail-in").word("lane", lane(of)),
                (Some(domain), Some(of)) => new("about-mail-for-in").text("domain", domain).word("lane", lane(of)),
            },
        }
    }
}

/// One mail, by its number in the queue.
pub(crate) fn mail_of(mail: u64) -> Reason {
    Reason::new("about-mail").text("mail", mail)
}

impl Deciding {
    fn about(&self, sender: &str) -> Reason {
        match self {
            Self::Slow => Reason::new("about-slow").text("name", sender),
            Self::Block => Reason::new("about-block").text("name", sender),
            Self::Release { was, waiting } => {
                let was = match was {
                    Was::Mended => "about-mended",
                    Was::Normal => "about-normal",
                };
                let waiting = match waiting {
                    ItsMail::Keep => "about-keep",
                    ItsMail::Send => "about-send",
                    ItsMail::Drop => "about-drop",
                };
                Reason::new("about-released")
                    .text("name", sender)
                    .word("was", was.to_owned())
                    .word("waiting", waiting.to_owned())
            }
        }
    }
}

impl Trusting {
    fn about(self, who: &str) -> Reason {
        let new = Reason::new;
        let what = match self {
            Self::Weigh { weight, read } => all([
                weight.map(|weight| new("about-weight").text("weight", weight)),
                read.map(|read| new(if read { "about-read" } else { "about-unread" })),
            ]),
            Self::TakeParked => Some(new("about-taken")),
            Self::Forgive => Some(new("about-forgiven")),
        };
        match what {
            Some(what) => new("about-of").text("name", who).because("what", what),
            None => named(who),
        }
    }
}

impl OfKeys {
    fn about(&self) -> Option<Reason> {
        let new = Reason::new;
        Some(match self {
            Self::Show | Self::Export { .. } => return None,
            Self::Rotate { wait_s } => new("about-log-key").number("seconds", *wait_s),
            Self::Revoke { after: None } => new("about-revoked"),
            Self::Revoke { after: Some((epoch, segno)) } => {
                new("about-revoked-after").text("segment", format_args!("{epoch}.{segno}"))
            }
            Self::Tag { wait_s } => new("about-tag-key").number("seconds", *wait_s),
            Self::Found => new("about-founded"),
            Self::Join { key_id } => new("about-joined").text("key", key_id),
            Self::Offline { file } => new("about-key-to").text("file", file.display()),
            Self::Online { file } => new("about-key-from").text("file", file.display()),
            Self::Import { .. } => new("about-descriptor"),
        })
    }
}

impl AccountChange {
    /// Whom it is about, and which role; never a password.
    fn about(&self) -> Reason {
        match self {
            Self::Add { name, role, org, .. } | Self::Role { name, role, org } => {
                let role = format!("role-{role}");
                match org {
                    Some(org) => Reason::new("about-person-of").text("name", name).word("role", role).text("org", org),
                    None => Reason::new("about-person").text("name", name).word("role", role),
                }
            }
            Self::Password { name, .. } | Self::FactorOff { name } | Self::Logout { name } | Self::Remove { name } => {
                named(name)
            }
        }
    }
}

/// A name alone.
fn named(name: &str) -> Reason {
    Reason::new("about-name").text("name", name)
}

/// One behind the other; none where there is none.
fn all(parts: impl IntoIterator<Item = Option<Reason>>) -> Option<Reason> {
    let then = |before, next| Reason::new("about-and").because("before", before).because("next", next);
    parts.into_iter().flatten().reduce(then)
}

/// Rules of an organisation, as the configuration calls them.
fn settings(change: &Value) -> impl Iterator<Item = Reason> {
    let set = change.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Reason::new("about-setting").text("name", name).text("value", value)
    })
}

/// Limits that are set, or taken away.
fn limits(change: &Value) -> impl Iterator<Item = Reason> {
    let set = change.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| {
        let name = format!("set-{}", name.replace('_', "-"));
        match &value["to"] {
            Value::Null => Reason::new("about-unlimited").word("name", name),
            Value::String(rate) => Reason::new("about-limit").word("name", name).text("value", rate),
            number => Reason::new("about-limit").word("name", name).text("value", number),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::Lang;
    use crate::http::words::tests::entries;
    use crate::reason::tests::named_in;
    use crate::reason::{in_one, kept, words};

    #[track_caller]
    fn check(request: Value, english: &str, french: &str) {
        let request: Request = serde_json::from_value(request).unwrap();
        let shown = |_: &str| Reason::new("about-recipient").text("tag", "ab12").text("domain", "x.example");
        let (text, reason) = words(request.about(shown));
        assert_eq!(text, english);
        let pieces = kept(&text, reason.as_ref(), Lang::Fr);
        assert!(pieces.iter().all(|piece| piece.lang.is_empty()), "{pieces:?}");
        assert_eq!(in_one(pieces), french);
    }

    #[test]
    fn a_change_is_said_in_both_languages() {
        check(json!({ "do": "queue-hold", "which": { "mail": 1234 } }), "mail 1234", "message 1234");
        check(
            json!({ "do": "queue-drop", "which": { "those": { "domain": "x.example", "lane": "slow" } } }),
            "all mail for x.example, Slow lane",
            "tous les messages pour x.example, File lente",
        );
        check(
            json!({ "do": "suppress-add", "entry": { "address": "a@x.example", "stream": "bulk" } }),
            "ab12 at x.example, bulk only",
            "ab12 chez x.example, courrier en nombre seulement",
        );
        check(
            json!({ "do": "org-limits", "name": "asso", "login": "anna", "change": {
                "addresses": ["a@x.example"], "message_size": "none", "rate_mails": { "to": "20/min" } } }),
            "anna: addresses: 1, Octets of a message: no limit, Mails in a time: 20/min",
            "anna\u{a0}: adresses\u{a0}: 1, Octets par message\u{a0}: sans limite, Messages par durée\u{a0}: 20/min",
        );
        check(
            json!({ "do": "peer-trust", "who": "B", "trust": { "what": "weigh", "weight": 0.5, "read": false } }),
            "B: weight 0.5, it is not read",
            "B\u{a0}: poids 0.5, on ne le lit pas",
        );
        check(json!({ "do": "alerts-test" }), "", "");
    }

    #[test]
    fn every_word_has_its_values_in_both_languages_and_none_is_left_over() {
        let own = include_str!("line.rs").split("#[cfg(test)]").next().unwrap();
        let named = named_in(&[own, include_str!("access.rs"), include_str!("../web/start.rs")], "about-");
        let whole: Vec<_> = named.iter().filter(|(key, _)| !key.contains('{')).collect();
        // Those that are put together: words of a request.
        let made = ["about-sender", "about-node", "about-on", "about-off", "about-believe", "about-forget"];
        for source in [include_str!("../../locales/en.ftl"), include_str!("../../locales/fr.ftl")] {
            let entries = entries(source);
            let known: BTreeSet<&str> = entries.keys().copied().filter(|key| key.starts_with("about-")).collect();
            for (key, names) in &whole {
                let text = entries.get(&key[..]).unwrap_or_else(|| panic!("{key} has no words"));
                let values: BTreeSet<String> =
                    text.split("{ $").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap().to_owned()).collect();
                assert!(values.is_subset(names), "{key}: {values:?} {names:?}");
            }
            let left: Vec<_> = known.iter().filter(|key| !named.contains_key(**key) && !made.contains(key)).collect();
            assert!(left.is_empty(), "nobody says {left:?}");
        }
    }
}
