//! The text of a page: enough to read a report that has no other part.

/// The words of the page, a line for each paragraph, cell or item; entities undone. Each octet is looked at once.
pub(super) fn text_of(page: &str) -> String {
    let mut text = String::with_capacity(page.len() / 2);
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        push_words(&mut text, &rest[..open]);
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some(close) = rest.find('>') else { return text };
        let name = tag_name(&rest[1..close]);
        // `<jean@example.org>` in a page that forgot to escape it is no tag.
        if rest[1..close].contains('@') && !rest[1..close].contains([' ', '=', '"']) {
            push_words(&mut text, &rest[..=close]);
        } else if BLOCKS.iter().any(|block| name.eq_ignore_ascii_case(block)) {
            text.push('\n');
        }
        rest = &rest[close + 1..];
        if let Some(hidden) = HIDDEN.iter().find(|hidden| name.eq_ignore_ascii_case(hidden)) {
            rest = after_end_tag(rest, hidden);
        }
    }
    push_words(&mut text, rest);
    text
}

/// The name in `<name attribute>`, `</name>`, `<name/>`.
fn tag_name(tag: &str) -> &str {
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len())]
}

fn after_end_tag<'t>(rest: &'t str, name: &str) -> &'t str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        from += at + 2;
        if tag_name(&rest[from..]).eq_ignore_ascii_case(name) {
            return rest[from..].find('>').map_or("", |end| &rest[from + end + 1..]);
        }
    }
    ""
}

fn push_words(text: &mut String, words: &str) {
    let mut rest = words;
    while let Some(at) = rest.find('&') {
        push_plain(text, &rest[..at]);
        rest = &rest[at..];
        let end = rest.as_bytes().iter().take(ENTITY_OCTETS_MAX).position(|octet| *octet == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((c, end)) => {
                text.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    push_plain(text, rest);
}

/// Line ends of the source are blanks on a page.
fn push_plain(text: &mut String, words: &str) {
    text.extend(words.chars().map(|c| if c == '\n' { ' ' } else { c }));
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
}

const BLOCKS: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];
const HIDDEN: &[&str] = &["head", "script", "style", "template", "title"];
/// Those that reports in the languages of their readers use.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("ccedil", 'ç'),
    ("ugrave", 'ù'),
    ("ucirc", 'û'),
    ("ocirc", 'ô'),
    ("icirc", 'î'),
    ("iuml", 'ï'),
    ("Eacute", 'É'),
    ("Agrave", 'À'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("szlig", 'ß'),
    ("aacute", 'á'),
    ("iacute", 'í'),
    ("oacute", 'ó'),
    ("uacute", 'ú'),
    ("ntilde", 'ñ'),
    ("atilde", 'ã'),
    ("otilde", 'õ'),
    ("rsquo", '\''),
    ("lsquo", '\''),
    ("laquo", '"'),
    ("raquo", '"'),
    ("#64", '@'),
    ("commat", '@'),
    ("hellip", '…'),
    ("ndash", '-'),
    ("mdash", '-'),
];
const ENTITY_OCTETS_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_lines() {
        let page = "<html><head><title>x</title></head><style>p{}</style><body><p>It wasn&#39;t &lt;<b>delivered</b>&gt; to\n\
                    <a href=\"mailto:jean@example.org\">jean@example.org</a></p><table><tr><td>caf&eacute;</td></tr></table>\
                    <!-- > hidden --><jean@example.org> a & b &unknown; <broken";
        let lines: Vec<String> =
            text_of(page).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["It wasn't <delivered> to jean@example.org", "café", "<jean@example.org> a & b &unknown;"]);
    }
}
