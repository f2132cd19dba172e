//! Table: every section and key of the configuration, with an example each, and the check that a file has no others.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Source};

/// A section, its keys in the order of the documentation, and for each a value that is allowed.
pub(super) struct SectionKeys {
    /// As it stands between the brackets; empty for the keys before the first section.
    pub(super) name: &'static str,
    pub(super) keys: &'static [(&'static str, &'static str)],
}

pub(super) const SECTIONS: &[SectionKeys] = &[
    SectionKeys {
        name: "",
        keys: &[
            ("hostname", r#""relay.example.org""#),
            ("data_dir", r#""/var/lib/sm2tp""#),
            ("language", r#""fr""#),
            ("send_log_keep", r#""30d""#),
        ],
    },
    SectionKeys {
        name: "store",
        keys: &[
            ("database", r#""postgres://sm2tp@/sm2tp?host=/var/run/postgresql""#),
            ("password_file", r#""/etc/sm2tp/database.password""#),
            ("ca_file", r#""/etc/sm2tp/database-ca.pem""#),
        ],
    },
    SectionKeys {
        name: "smtp",
        keys: &[
            ("listen", r#"["127.0.0.1:2525"]"#),
            ("listen_tls", r#"["0.0.0.0:465"]"#),
            ("trusted_networks", r#"["127.0.0.1/32", "::1/128"]"#),
            ("stream", r#""personal""#),
            ("listen_slow", r#"["127.0.0.1:2528"]"#),
            ("listen_for", r#"[{ stream = "bulk", listen = ["127.0.0.1:2527"] }]"#),
            ("bulk_from", r#""200/h""#),
            ("proxy_protocol_from", r#"["192.0.2.10"]"#),
            ("xclient_from", r#"["127.0.0.1/32"]"#),
            ("xclient_login_from", r#"["127.0.0.1/32"]"#),
            ("tls_certificate", r#""/etc/sm2tp/certificate.pem""#),
            ("tls_key", r#""/etc/sm2tp/key.pem""#),
            ("scram", r#""on""#),
            ("message_size_max", r#""25 MiB""#),
            ("recipients_max", "1000"),
            ("mails_per_connection_max", "100"),
            ("connections_max", "500"),
            ("connections_per_client_max", "50"),
            ("connection_rate_per_client_max", r#""600/min""#),
            ("command_timeout", r#""5m""#),
            ("memory_max", r#""256 MiB""#),
        ],
    },
    SectionKeys {
        name: "ldap",
        keys: &[
            ("servers", r#"["ldaps://ldap.example.org"]"#),
            ("starttls", r#""on""#),
            ("root", r#""/etc/sm2tp/authority.pem""#),
            ("base", r#""ou=people,dc=example,dc=org""#),
            ("filter", r#""(uid={login})""#),
            ("bind", r#""cn=sm2tp,dc=example,dc=org""#),
            ("password_file", r#""/etc/sm2tp/ldap.password""#),
            ("name", r#""uid={login},ou=people,dc=example,dc=org""#),
            ("org", r#""asso""#),
            ("org_attribute", r#""o""#),
            ("address_attribute", r#""mail""#),
            ("stream", r#""personal""#),
            ("keep", r#""12h""#),
        ],
    },
    SectionKeys {
        name: "acme",
        keys: &[
            ("directory", r#""https://acme-v02.api.letsencrypt.org/directory""#),
            ("contact", r#""postmaster@example.org""#),
            ("root", r#""/etc/sm2tp/authority.pem""#),
        ],
    },
    SectionKeys {
        name: "http",
        keys: &[
            ("listen", r#"["127.0.0.1:8025"]"#),
            ("public_url", r#""https://relay.example.org""#),
            ("public_score", r#""off""#),
            ("metrics_from", r#"["127.0.0.1/32", "::1/128"]"#),
            ("private_webhooks", r#"["10.0.0.0/8"]"#),
        ],
    },
    SectionKeys {
        name: "relay",
        keys: &[
            ("smarthost", r#""mail.example.org:25""#),
            ("port", "25"),
            ("routes", r#"{ "example.org" = "127.0.0.1:2601" }"#),
            ("source", r#"["192.0.2.1"]"#),
            ("exits", r#"[{ name = "b", addresses = ["192.0.2.2"], hello = "b.example.org" }]"#),
            ("ip", r#""4-first""#),
            ("connections_per_site_max", "4"),
            ("tls", r#""opportunistic""#),
            ("tls_roots", r#""/etc/sm2tp/authorities.pem""#),
            ("tls_reports", r#""off""#),
            ("private_web_servers", r#"["10.0.0.0/8"]"#),
            ("retry_first", r#""5m""#),
            ("retry_max", r#""4h""#),
            ("expire_personal", r#""4d""#),
            ("expire_bulk", r#""1d""#),
            ("delay_notice", r#""4h""#),
            ("connect_timeout", r#""30s""#),
            ("answer_timeout", r#""5m""#),
        ],
    },
    SectionKeys {
        name: "dkim",
        keys: &[
            ("sign", r#""both""#),
            ("default", r#""relay.example.org""#),
            ("any_sender", r#""unlisted""#),
            ("seal", r#""relay.example.org""#),
        ],
    },
    SectionKeys {
        name: "returns",
        keys: &[
            ("domain", r#""returns.relay.example.org""#),
            ("unsubscribe_url", r#""https://relay.example.org/unsubscribe""#),
            ("lmtp", r#"["127.0.0.1:2526"]"#),
            ("maildir", r#""/var/mail/returns/""#),
            ("mbox", r#""/var/mail/returns.mbox""#),
        ],
    },
    SectionKeys {
        name: "alerts",
        keys: &[
            ("mail", r#"["admin@example.org"]"#),
            ("webhook", r#"[{ url = "https://hooks.example.org/sm2tp", secret_file = "/etc/sm2tp/webhook.secret" }]"#),
            ("language", r#""fr""#),
        ],
    },
    SectionKeys { name: "dns", keys: &[("servers", r#"["127.0.0.1:5353"]"#), ("validating", r#""off""#)] },
    SectionKeys {
        name: "federation",
        keys: &[
            ("name", r#""CHATON A""#),
            ("contact", r#""postmaster@example.org""#),
            ("url", r#""https://relay.example.org/fed/v1""#),
            ("seal_after", r#""1h""#),
            ("hold_down", r#""24h""#),
            ("private_peers", r#"["10.0.0.0/8"]"#),
            ("poll", r#""5m""#),
            ("head_wait", r#""10m""#),
            ("canary_share", "0.02"),
        ],
    },
    SectionKeys {
        name: "belief",
        keys: &[
            ("agreement", r#""on""#),
            ("contradicted_min", "10"),
            ("contradicted_share", "0.3"),
            ("months", r#""on""#),
            ("month_contradicted_min", "4"),
            ("month_contradicted_share", "0.3"),
            ("month_usual_times", "2.0"),
            ("settle_after", r#""24h""#),
            ("provider_freeze", r#""on""#),
            ("freeze_samples", "20"),
            ("freeze_share", "0.1"),
            ("freeze_times", "5.0"),
            ("hard_half_life", r#""180d""#),
            ("domain_half_life", r#""30d""#),
            ("soft_weight", "0.3"),
            ("far_weight", "0.9"),
            ("witness", r#""introducer""#),
            ("full_weight_after", r#""30d""#),
            ("quota", r#""on""#),
            ("usual_events", "2000"),
            ("usual_times", "3"),
            ("most_events", "20000"),
            ("disk", r#""20 GB""#),
            ("disk_of_origin", "0.05"),
            ("disk_of_introduced", "0.5"),
        ],
    },
    SectionKeys {
        name: "suppression",
        keys: &[
            ("hold_max", r#""24h""#),
            ("strict_streams", r#"["bulk"]"#),
            ("personal_retry_after", r#""24h""#),
            ("hard_expiry", r#""400d""#),
            ("inactive_recheck", r#""90d""#),
            ("ambiguous_spread", r#""24h""#),
            ("soft_limit", "5"),
            ("soft_window", r#""30d""#),
            ("soft_spread", r#""10d""#),
            ("soft_half_life", r#""14d""#),
            ("complaint_streams", r#"["bulk"]"#),
            ("federated_streams", r#"["bulk"]"#),
            ("held_score", "0.75"),
            ("suppressed_score", "1.5"),
            ("suppressed_sources", "2"),
            ("doubtful", r#""hold""#),
            ("delivery_fresh", r#""30d""#),
            ("newer_sources", "2"),
            ("stopped", r#""refuse""#),
            ("confirm_url", r#""https://relay.example.org/confirm""#),
        ],
    },
    SectionKeys {
        name: "watch",
        keys: &[
            ("mode", r#""learn""#),
            ("learn_for", r#""35d""#),
            ("personal_volume", "[120, 200, 400]"),
            ("personal_new", "[70, 80, 120]"),
            ("personal_elsewhere", "[30, 40, 60]"),
            ("personal_odd_hours", "[30, 40, 60]"),
            ("personal_large", "[100, 120, 200]"),
            ("transactional_volume", "[200, 400, 1500]"),
            ("transactional_new", "[40, 60, 150]"),
            ("transactional_elsewhere", "[50, 80, 150]"),
            ("transactional_odd_hours", "[50, 80, 150]"),
            ("transactional_large", "[200, 400, 1500]"),
            ("bulk_volume", "[500, 1000, 3000]"),
            ("bulk_new", "[50, 70, 150]"),
            ("bulk_elsewhere", "[50, 80, 150]"),
            ("bulk_odd_hours", "[50, 80, 150]"),
            ("bulk_large", "[200, 400, 1500]"),
            ("forwarded_volume", "[200, 400, 1500]"),
            ("forwarded_new", "[40, 60, 150]"),
            ("forwarded_elsewhere", "[50, 80, 150]"),
            ("forwarded_odd_hours", "[50, 80, 150]"),
            ("forwarded_large", "[200, 400, 1500]"),
            ("org_volume", "[1000, 2000, 6000]"),
            ("org_new", "[150, 200, 350]"),
            ("org_elsewhere", "[1000, 2000, 6000]"),
            ("org_odd_hours", "[1000, 2000, 6000]"),
            ("org_large", "[1000, 2000, 6000]"),
            ("usual_times", "6.0"),
            ("odd_times", "3.0"),
            ("block_times", "2.0"),
            ("new_share", "0.2"),
            ("large_mail", "20"),
            ("networks", "6"),
            ("dead_slow", "0.04"),
            ("dead_block", "0.07"),
            ("dead_slow_min", "10"),
            ("dead_block_min", "15"),
            ("suppressed_slow", "0.05"),
            ("suppressed_block", "0.1"),
            ("suppressed_slow_min", "8"),
            ("suppressed_block_min", "15"),
            ("refused_slow", "0.1"),
            ("refused_block", "0.25"),
            ("refused_slow_min", "8"),
            ("refused_block_min", "15"),
            ("complained_slow", "0.003"),
            ("complained_block", "0.01"),
            ("complained_slow_min", "5"),
            ("complained_block_min", "10"),
            ("share_times", "3.0"),
            ("part_of_org", "10"),
            ("warm_up", r#""14d""#),
            ("warm_up_percent", "75"),
            ("strange_for", r#""3d""#),
            ("calm_after", r#""6h""#),
            ("refuse_after", r#""24h""#),
            ("companies", r#""/var/lib/sm2tp/ip2asn-combined.tsv.gz""#),
        ],
    },
    SectionKeys {
        name: "policy",
        keys: &[
            ("listen", r#"["127.0.0.1:10040"]"#),
            ("trusted_networks", r#"["127.0.0.1/32", "::1/128"]"#),
            ("stream", r#""personal""#),
            ("held", r#""later""#),
            ("trace", r#""off""#),
            ("filter", r#"[{ to = "smtp:[127.0.0.1]:2528", senders = "slow" }]"#),
        ],
    },
    SectionKeys { name: "socketmap", keys: &[("listen", r#"["127.0.0.1:10041"]"#), ("tables", r#"["dsn"]"#)] },
    SectionKeys {
        name: "milter",
        keys: &[
            ("listen", r#"["127.0.0.1:10042"]"#),
            ("trusted_networks", r#"["127.0.0.1/32", "::1/128"]"#),
            ("stream", r#""personal""#),
            ("decide", r#""on""#),
            ("held", r#""later""#),
        ],
    },
    SectionKeys {
        name: "local",
        keys: &[("listen", r#"["unix:/run/sm2tp/local.sock"]"#), ("stream", r#""personal""#)],
    },
    SectionKeys { name: "logs", keys: &[("follow", r#"[{ format = "postfix", path = "/var/log/mail.log" }]"#)] },
    SectionKeys {
        name: "exports",
        keys: &[
            ("dir", r#""/var/spool/postfix/sm2tp""#),
            ("files", r#"["suppress.cdb", "suppress.txt"]"#),
            ("every", r#""30s""#),
            ("postmap", r#""lmdb""#),
        ],
    },
];

/// The keys of one followed log file; a table within a list, so not a section that may stand alone.
pub(super) const LOG_FILE: SectionKeys = SectionKeys {
    name: "logs.follow",
    keys: &[
        ("format", r#""postfix""#),
        ("path", r#""/var/log/mail.log""#),
        ("journal", r#""system""#),
        ("smarthost", r#""mail.example.org""#),
    ],
};

/// The keys of ports for one kind of mail.
pub(super) const PORT: SectionKeys =
    SectionKeys { name: "smtp.listen_for", keys: &[("stream", r#""bulk""#), ("listen", r#"["127.0.0.1:2527"]"#)] };

/// The keys of a way that another mail server's mail takes instead of its own.
pub(super) const FILTER: SectionKeys = SectionKeys {
    name: "policy.filter",
    keys: &[
        ("to", r#""smtp:[127.0.0.1]:2528""#),
        ("senders", r#""slow""#),
        ("orgs", r#"["asso"]"#),
        ("streams", r#"["bulk"]"#),
    ],
};

/// The keys of one exit.
pub(super) const EXIT: SectionKeys = SectionKeys {
    name: "relay.exits",
    keys: &[
        ("name", r#""b""#),
        ("addresses", r#"["192.0.2.2", "2001:db8::2"]"#),
        ("hello", r#""b.example.org""#),
        ("weight", "1"),
        ("orgs", r#"["asso"]"#),
        ("streams", r#"["bulk"]"#),
    ],
};

/// The keys of a server that takes mail on, where more than its address is said of it.
pub(super) const HOP: SectionKeys = SectionKeys {
    name: "relay.server",
    keys: &[
        ("to", r#""smtp://mail.example.org:587""#),
        ("login", r#""node@example.org""#),
        ("password_file", r#""/etc/sm2tp/smarthost.password""#),
    ],
};

/// The keys of a program that is told of alerts.
pub(super) const WEBHOOK: SectionKeys = SectionKeys {
    name: "alerts.webhook",
    keys: &[("url", r#""https://hooks.example.org/sm2tp""#), ("secret_file", r#""/etc/sm2tp/webhook.secret""#)],
};

/// Tables within others, so not sections that may stand alone.
const WITHIN: [&SectionKeys; 6] = [&LOG_FILE, &PORT, &FILTER, &EXIT, &HOP, &WEBHOOK];

/// The keys of a section of the table above; the empty name is the top of the file.
pub(super) fn section(name: &str) -> Option<&'static SectionKeys> {
    SECTIONS.iter().chain(WITHIN).find(|section| section.name == name)
}

impl SectionKeys {
    /// A value that `key` may have, written as in the file.
    pub(super) fn example(&self, key: &str) -> Option<&'static str> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, example)| *example)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|(name, _)| *name)
    }

    /// The error for the first key of `table` that this section does not know.
    pub(super) fn check(&self, source: &Source<'_>, table: &DeTable<'_>) -> Result<(), ConfigError> {
        first(self.unknown_in(source, table))
    }

    fn unknown_in(&self, source: &Source<'_>, table: &DeTable<'_>) -> Vec<(Range<usize>, ConfigError)> {
        let unknown = table.iter().filter(|(key, _)| self.example(key.get_ref()).is_none());
        unknown
            .map(|(key, _)| {
                let message = format!("unknown key `{}` in [{}]", key.get_ref(), self.name);
                let allowed = self.names().collect::<Vec<_>>().join(", ");
                let hint = elsewhere(key.get_ref()).or_else(|| did_you_mean(key.get_ref(), self.names(), ""));
                (key.span(), source.error(key.span(), message, with_hint(&allowed, hint)))
            })
            .collect()
    }
}

/// Checks all names of the file before any value is read, so that the first mistake in the order of the file is shown.
pub(super) fn check_names(source: &Source<'_>, root: &DeTable<'_>) -> Result<(), ConfigError> {
    let mut errors = Vec::new();
    for (key, value) in root {
        let name = key.get_ref().as_ref();
        let known = SECTIONS.iter().find(|section| section.name == name && !name.is_empty());
        match (known, value.get_ref()) {
            (Some(section), DeValue::Table(table)) => errors.extend(section.unknown_in(source, table)),
            (Some(section), _) => {
                let message = format!("`{name}` must be a section");
                let help = match section.keys.first() {
                    Some((key, example)) => format!("example:  [{name}]  and below it  {key} = {example}"),
                    None => String::new(),
                };
                errors.push((key.span(), source.error(key.span(), message, help)));
            }
            (None, value) if section("").is_none_or(|top| top.example(name).is_none()) => {
                errors.push((key.span(), unknown_at_top(source, key.span(), name, value)));
            }
            (None, _) => {}
        }
    }
    first(errors)
}

fn unknown_at_top(source: &Source<'_>, span: Range<usize>, name: &str, value: &DeValue<'_>) -> ConfigError {
    let sections = || SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty());
    let keys = || section("").into_iter().flat_map(SectionKeys::names);
    let list = sections().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
    if value.is_table() {
        let hint = did_you_mean(name, sections(), "[]");
        return source.error(span, format!("unknown section [{name}]"), with_hint(&list, hint));
    }
    let allowed = format!("{}, and the sections {list}", keys().collect::<Vec<_>>().join(", "));
    let hint = elsewhere(name).or_else(|| did_you_mean(name, keys(), ""));
    source.error(span, format!("unknown key `{name}` before the first section"), with_hint(&allowed, hint))
}

fn first(errors: Vec<(Range<usize>, ConfigError)>) -> Result<(), ConfigError> {
    errors.into_iter().min_by_key(|(span, _)| span.start).map_or(Ok(()), |(_, error)| Err(error))
}

fn with_hint(allowed: &str, hint: Option<String>) -> String {
    hint.map_or_else(|| format!("allowed here: {allowed}"), |hint| format!("allowed here: {allowed}; {hint}"))
}

/// Says where a key belongs that is right, but stands in the wrong section: in TOML a section reaches to the next one.
fn elsewhere(key: &str) -> Option<String> {
    let homes: Vec<_> = SECTIONS.iter().filter(|section| section.example(key).is_some()).collect();
    match homes.as_slice() {
        [] => None,
        [top] if top.name.is_empty() => {
            Some(format!("`{key}` belongs at the top of the file, before the first section"))
        }
        homes => {
            let names = homes.iter().map(|section| format!("[{}]", section.name)).collect::<Vec<_>>();
            Some(format!("`{key}` belongs in {}", names.join(" or ")))
        }
    }
}

/// The question after a misspelt word; `brackets` are put around the answer.
pub(super) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>, brackets: &str) -> Option<String> {
    let plain = word.to_lowercase().replace('-', "_");
    let near = known.map(|candidate| (distance(&plain, candidate), candidate)).min()?;
    // A third of the letters may be wrong; more, and the guess would puzzle rather than help.
    let (open, close) = brackets.split_at(brackets.len() / 2);
    (near.0 <= (near.1.len() / 3).max(1)).then(|| format!("did you mean `{open}{}{close}`?", near.1))
}

/// How many letters must be added, left out, replaced or swapped with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_far_ones_are_not() {
        let known = ["listen", "trusted_networks", "stream"];
        let hint = |word: &str| did_you_mean(word, known.into_iter(), "");
        assert_eq!(hint("trusted_network").as_deref(), Some("did you mean `trusted_networks`?"));
        assert_eq!(hint("Trusted-Networks").as_deref(), Some("did you mean `trusted_networks`?"));
        assert_eq!(hint("lisetn").as_deref(), Some("did you mean `listen`?"));
        assert_eq!(hint("password"), None);
        assert_eq!(hint(""), None);
        assert_eq!(did_you_mean("smpt", ["smtp"].into_iter(), "[]").as_deref(), Some("did you mean `[smtp]`?"));
    }

    #[test]
    fn no_name_stands_twice_in_the_table() {
        for section in SECTIONS.iter().chain(WITHIN) {
            assert_eq!(SECTIONS.iter().chain(WITHIN).filter(|other| other.name == section.name).count(), 1);
            for (key, _) in section.keys {
                assert_eq!(section.names().filter(|name| name == key).count(), 1, "{key}");
            }
        }
    }
}
