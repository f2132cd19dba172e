//! The report of `log scan` as a page: one file that needs nothing else, without script. What is in a log was written by
//! strangers, so everything is escaped, and the page forbids a browser to load or run anything.

use std::fmt::Write;

use super::report::{Cell, Report, Section, tag};

pub(super) fn html(report: &Report) -> String {
    let words = &report.words;
    let (lang, title) = (tag(words.lang), escaped(words.say("page")));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    );
    // Writing to a String cannot fail.
    for sum in &report.sums {
        let _ = writeln!(out, "<p>{}</p>", escaped(sum));
    }
    let _ = writeln!(out, "<p class=\"calm\">{}</p>\n</header>", escaped(words.say("personal")));
    let _ = writeln!(out, "<nav aria-label=\"{}\">\n<ul>", escaped(words.say("contents")));
    for (number, section) in report.sections.iter().enumerate() {
        let _ = writeln!(out, "<li><a href=\"#s{number}\">{}</a></li>", escaped(section.title));
    }
    out += "</ul>\n</nav>\n<main>\n";
    for (number, section) in report.sections.iter().enumerate() {
        put(&mut out, number, section);
    }
    out + "</main>\n</body>\n</html>\n"
}

fn put(out: &mut String, number: usize, section: &Section) {
    let _ =
        writeln!(out, "<section aria-labelledby=\"s{number}\">\n<h2 id=\"s{number}\">{}</h2>", escaped(section.title));
    // A wide table is scrolled by itself, also with the keyboard.
    let _ = write!(out, "<div tabindex=\"0\" role=\"region\" aria-labelledby=\"s{number}\">\n<table>\n<tr>");
    for (column, title) in section.columns.iter().enumerate() {
        let class = if section.is_number(column) { " class=\"number\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escaped(title));
    }
    *out += "</tr>\n";
    let count = |cell: &Cell| if let Cell::Count(count) = cell { *count } else { 0 };
    let most = section.rows.iter().flatten().map(count).max().unwrap_or(0).max(1);
    for row in &section.rows {
        *out += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let text = escaped(&cell.shown());
            let _ = match cell {
                _ if column == 0 => write!(out, "<th scope=\"row\">{text}</th>"),
                Cell::Text(_) => write!(out, "<td class=\"text\">{text}</td>"),
                Cell::Count(count) if section.over_time => {
                    let percent = count * 100 / most;
                    write!(out, "<td>{text}<i style=\"width:{percent}%\"></i></td>")
                }
                Cell::Count(_) | Cell::Octets(_) => write!(out, "<td>{text}</td>"),
            };
        }
        *out += "</tr>\n";
    }
    *out += "</table>\n</div>\n</section>\n";
}

/// As text or within quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // They turn round what stands behind them, or cannot be seen.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fbfaf7; --line: #c9c5bb; --calm: #5a6570; --bar: #7a9cc6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e3dc; --paper: #171b20; --line: #3c444d; --calm: #9aa5b0; --bar: #45618a; } }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; } p { margin: .25rem 0; }
a { color: inherit; } .calm { color: var(--calm); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; list-style: none; }
div { overflow-x: auto; }
table { border-collapse: collapse; min-width: 100%; }
th, td { padding: .2rem .6rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; font-weight: normal; }
th[scope=col] { color: var(--calm); } .number { text-align: right; }
th[scope=row], .text { overflow-wrap: anywhere; min-width: 8rem; }
td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.text { text-align: left; white-space: normal; }
td i { display: block; height: .25rem; margin-left: auto; background: var(--bar); }
@media print { nav { display: none; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_stranger_writes_becomes_part_of_the_page() {
        assert_eq!(escaped("<script>\"a\" & 'b'\n"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39; ");
        assert_eq!(escaped("a\u{202e}b"), "a\u{fffd}b");
    }
}
