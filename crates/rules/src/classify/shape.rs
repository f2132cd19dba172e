//! The shape of a reply that no rule knew: its words without anybody in them, so that it can be counted and passed on.

/// The words of a reply with everything masked that differs from mail to mail or points to a person: addresses, links,
/// host names, numbers, identifiers, whatever stands in quotes, and the `private` words (the parts of the addresses that
/// the mail was about), also where they are parts of a word. Lower case, visible characters only, at most 240 octets.
/// Codes of providers like `LPN007_510` stay: they are what somebody needs who writes a rule.
#[must_use]
pub fn shape(text: &str, private: &[&str]) -> String {
    let head = &text[..text.floor_char_boundary(LOOKED_AT_OCTETS)];
    let private: Vec<String> = parts(private);
    let unquoted = without_quotes(head);
    let mut out = String::new();
    for word in unquoted.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let masked = mask(word, &private);
        let repeats = masked.starts_with('<') && out.ends_with(&masked);
        if repeats {
            continue;
        }
        if SHAPE_OCTETS_MAX < out.len() + masked.len() + 1 {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&masked);
    }
    out
}

/// Everything that is said of addresses, cut into words of three letters and more.
fn parts(private: &[&str]) -> Vec<String> {
    let lower = private.iter().map(|text| text.to_lowercase());
    let mut parts: Vec<String> = lower
        .flat_map(|text| {
            let pieces: Vec<String> = text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
            pieces.into_iter().chain([text])
        })
        .filter(|part| PRIVATE_LETTERS_MIN <= part.chars().count())
        .collect();
    parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    parts
}

/// A name, an address or a folder stands in quotes: `Mailbox of "Jean Dupont"`. An apostrophe inside a word is none.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '\'', '«', '“', '‘', '`']) {
        let (before, from) = rest.split_at(at);
        let quote = from.chars().next().unwrap_or('"');
        let after = &from[quote.len_utf8()..];
        let end = match quote {
            '«' => '»',
            '“' => '”',
            '‘' => '’',
            other => other,
        };
        out.push_str(before);
        let opens = !before.ends_with(char::is_alphanumeric);
        let closed = after.find(end).filter(|end| opens && *end <= QUOTED_OCTETS_MAX);
        if let Some(len) = closed {
            out.push_str(" <quoted> ");
            rest = &after[len + end.len_utf8()..];
        } else {
            // Half a pair: what it opens is unknown, so it only separates.
            out.push(if opens { ' ' } else { '\'' });
            rest = after;
        }
    }
    out + rest
}

fn mask(word: &str, private: &[String]) -> String {
    let body = word.trim_matches(|c: char| !c.is_alphanumeric());
    if word.contains('@') || word.contains('＠') {
        "<address>".to_owned()
    } else if word.contains("://") || word.to_ascii_lowercase().contains("www.") {
        "<link>".to_owned()
    } else if body.is_empty() {
        String::from(word.chars().next().filter(char::is_ascii_punctuation).unwrap_or('-'))
    } else if word == "<quoted>" {
        word.to_owned()
    } else if is_provider_code(body) && !names_somebody(body, private) {
        body.to_owned()
    } else {
        masked_word(body, private)
    }
}

fn masked_word(body: &str, private: &[String]) -> String {
    let lower = body.to_lowercase();
    let digits = lower.chars().filter(char::is_ascii_digit).count();
    let letters = lower.chars().filter(|c| c.is_alphabetic()).count();
    if letters == 0 {
        return "<number>".to_owned();
    }
    if names_somebody(&lower, private) {
        return "<private>".to_owned();
    }
    if is_host(&lower) {
        return "<host>".to_owned();
    }
    let strange = lower.chars().any(|c| !c.is_alphanumeric() && !matches!(c, '\'' | '-' | '’' | '/' | ':' | ',' | '.'));
    if 0 < digits || WORD_LETTERS_MAX < letters || strange {
        return "<id>".to_owned();
    }
    lower
}

fn names_somebody(word: &str, private: &[String]) -> bool {
    let lower = word.to_lowercase();
    private.iter().any(|part| lower.contains(part.as_str()))
}

/// Letters and digits in groups after underscores, in capitals: `OFR_416`, `SFR_IN_301`, `OXSUS0001_403`. No name of a
/// person and no identifier of a mail is written so.
fn is_provider_code(body: &str) -> bool {
    let mut groups = body.split('_');
    let first = groups.next().unwrap_or_default();
    let prefix = first.bytes().take_while(u8::is_ascii_uppercase).count();
    let others: Vec<&str> = groups.collect();
    let short = |group: &&str| {
        (1..=4).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    (2..=8).contains(&prefix)
        && first.len() <= 12
        && first[prefix..].bytes().all(|b| b.is_ascii_digit())
        && (1..=3).contains(&others.len())
        && others.iter().all(short)
        && others.last().is_some_and(|last| last.bytes().any(|b| b.is_ascii_digit()))
}

/// Labels with dots between them, the last one of letters: also `jean.dupont`, which is as well.
fn is_host(lower: &str) -> bool {
    let labels: Vec<&str> = lower.split('.').collect();
    2 <= labels.len()
        && labels.iter().all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

/// Replies are shorter; what comes behind is the same again for another line.
const LOOKED_AT_OCTETS: usize = 1024;
/// Enough for two sentences, few enough that a thousand of them are a page.
const SHAPE_OCTETS_MAX: usize = 240;
/// The longest words of the languages of mail; what is longer is an identifier.
const WORD_LETTERS_MAX: usize = 22;
/// Beyond it the other quote belongs to something else.
const QUOTED_OCTETS_MAX: usize = 120;
/// Shorter parts of an address are parts of too many words.
const PRIVATE_LETTERS_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let private = ["jean.dupont", "example.org", "news", "asso-dupuis.example"];
        assert_eq!(shape(text, &private), want);
    }

    #[test]
    fn what_differs_from_mail_to_mail_is_masked_and_the_words_stay() {
        check("550 5.9.9 Not today, see https://x.example/?u=jean", "<number> not today see <link>");
        check(
            "554 host mx1.provider.test[192.0.2.1] refused 4bQ2x1z0 (LPN007_999)",
            "<number> host <id> refused <id> LPN007_999",
        );
        check("452 try 17 times in 00:05:00", "<number> try <number> times in <number>");
        check("no thanks: OFR_777, SFR_IN_301, OXSUS0001_403", "no thanks OFR_777 SFR_IN_301 OXSUS0001_403");
    }

    #[test]
    fn nobody_is_left_in_a_shape() {
        check(
            "550 <Jean.Dupont@example.org>: mailbox of Dupont is odd",
            "<number> <address> mailbox of <private> is odd",
        );
        check("550 \"Jean Dupont\" has gone, 'dupont' too", "<number> <quoted> has gone <quoted> too");
        check("550 sender news of Asso-Dupuis refused", "<number> sender <private> of <private> refused");
        check("550 user JEANDUPONT42 odd", "<number> user <private> odd");
        check("550 DUPONT_42 odd", "<number> <private> odd");
        check("550 marie.curie is odd, so is pierre_curie and m-curie7", "<number> <host> is odd so is <id> and <id>");
        check("550 «Jean» isn't here", "<number> <quoted> isn't here");
    }

    #[test]
    fn a_shape_is_short_and_can_be_shown_anywhere() {
        let long = "a strange word ".repeat(100_000);
        assert!(shape(&long, &[]).len() <= SHAPE_OCTETS_MAX);
        let nasty = shape("\u{1b}]0;x\u{7}<script>alert(1)</script>\u{202e}\u{0}\r\n ok", &[]);
        assert!(nasty.chars().all(|c| !c.is_control()), "{nasty:?}");
        for text in ["", "\"", "'", "''", "@", "::", "«", "\u{fffd}\u{fffd}"] {
            assert!(shape(text, &["", "x"]).len() <= SHAPE_OCTETS_MAX);
        }
    }
}
