//! Tables that a telephone shows as cards: each cell carries the heading of its column.
//!
//! It is done to the finished page, for all tables alike, so that no template can forget a cell. Every `<` of a page is a
//! template's own: what people and strangers wrote is escaped by then.

/// Gives the cells of tables with a head the words above them (`data-label`), and all parts of such tables their roles, which
/// some browsers forget once a style makes blocks of rows. Tables without a head stay as they are.
pub(super) fn labelled(html: &str) -> String {
    let mut out = String::with_capacity(html.len() + html.len() / 4);
    let mut parts = html.split("<table");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("<table");
        match part.split_once("</thead>") {
            Some((head, _)) => label(part, &headings(head), &mut out),
            None => out.push_str(part),
        }
    }
    out
}

/// The words of each column; none for one whose heading only screen readers are told.
fn headings(head: &str) -> Vec<&str> {
    let cells = head.split("<th ").skip(1);
    let words = cells.map(|cell| cell.split_once('>').and_then(|(_, words)| words.split_once("</th>")));
    words
        .map(|words| words.map_or("", |(words, _)| words))
        .map(|words| if words.contains('<') { "" } else { words })
        .collect()
}

/// Writes what follows `<table`: the table, and the page up to the next one, which has no cells.
fn label(part: &str, headings: &[&str], out: &mut String) {
    let mut tags = part.split('<');
    out.push_str(r#" role="table""#);
    out.push_str(tags.next().unwrap_or_default());
    let mut column = 0;
    for tag in tags {
        let (name, rest) = tag.split_at(tag.find([' ', '>']).unwrap_or(0));
        let (role, is_cell) = match name {
            "thead" | "tbody" => ("rowgroup", false),
            "tr" => ("row", false),
            "th" if rest.contains(r#"scope="col""#) => ("columnheader", false),
            "th" => ("rowheader", true),
            "td" => ("cell", true),
            _ => ("", false),
        };
        out.extend(["<", name]);
        if !role.is_empty() {
            out.push_str(&format!(r#" role="{role}""#));
        }
        if role == "row" {
            column = 0;
        }
        if is_cell {
            let words = headings.get(column).filter(|words| !words.is_empty());
            out.extend(words.map(|words| format!(r#" data-label="{words}""#)));
            column += 1;
        }
        out.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::labelled;

    #[track_caller]
    fn check(html: &str, expected: &str) {
        assert_eq!(labelled(html), expected);
    }

    #[test]
    fn cells_carry_the_words_above_them_and_parts_their_roles() {
        check(
            "<p><table class=\"a\"><thead><tr><th scope=\"col\" class=\"n\">A &#38; B</th><th scope=\"col\"><span \
             class=\"hidden\">Change</span></th></tr></thead>\n<tbody id=\"t\">\n<tr><th scope=\"row\"><a>1</a></th><td>2<br>\
             </td></tr></tbody></table><p>after",
            "<p><table role=\"table\" class=\"a\"><thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" \
             scope=\"col\" class=\"n\">A &#38; B</th><th role=\"columnheader\" scope=\"col\"><span class=\"hidden\">Change\
             </span></th></tr></thead>\n<tbody role=\"rowgroup\" id=\"t\">\n<tr role=\"row\"><th role=\"rowheader\" \
             data-label=\"A &#38; B\" scope=\"row\"><a>1</a></th><td role=\"cell\">2<br></td></tr></tbody></table><p>after",
        );
    }

    #[test]
    fn a_table_without_a_head_stays_and_so_does_a_page_without_tables() {
        for html in ["<p>none", "<table>\n<tr><th scope=\"row\">a</th><td>1</td></tr></table><p>x"] {
            check(html, html);
        }
    }
}
