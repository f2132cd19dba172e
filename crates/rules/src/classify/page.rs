//! `docs/providers.md` explains every code of the tables, and none that is not there.

use std::collections::BTreeSet;

use super::file::{self, Take};
use super::{SHIPPED, book};

/// The codes of all tables as the page writes them: `ofr_416`, `sfr_in_x01`; a long range by its two ends.
fn in_tables() -> BTreeSet<String> {
    let read = file::read(&SHIPPED, &file::Places::of(&SHIPPED)).unwrap();
    let mut codes = BTreeSet::new();
    for table in read.provider.iter().flat_map(|provider| &provider.table) {
        let prefix = match table.take {
            Take::LastNumber => format!("{}_", table.prefix.as_ref()),
            Take::Whole => table.prefix.as_ref().clone(),
        };
        for key in table.codes.iter().flat_map(|code| &code.as_ref().is) {
            let keys = match book::Key::parse(key) {
                book::Key::Range(first, last) => {
                    let width = key.find('-').unwrap_or(0);
                    let all: Vec<u32> =
                        if last - first <= LISTED_MAX { (first..=last).collect() } else { vec![first, last] };
                    all.iter().map(|n| format!("{n:0width$}")).collect()
                }
                book::Key::Word(word) => vec![word.replace('?', "x")],
            };
            codes.extend(keys.iter().map(|key| format!("{prefix}{key}")));
        }
    }
    codes
}

fn page() -> String {
    // A test may read files; the crate may not (I1).
    #[allow(clippy::disallowed_methods)]
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md")).unwrap()
}

/// The codes in backticks of a line, without the bracket that closes them. Of `OXSUS0001_403` and `LPN007_416` the end
/// counts, as it does in a reply.
fn quoted(line: &str) -> impl Iterator<Item = String> {
    line.split('`').skip(1).step_by(2).map(|word| {
        let word = word.to_lowercase();
        let word = word.trim_end_matches([')', ']']);
        match (LAST_NUMBER.iter().find(|prefix| word.starts_with(*prefix)), word.rsplit_once('_')) {
            (Some(prefix), Some((_, number))) => format!("{prefix}_{number}"),
            _ => word.to_owned(),
        }
    })
}

#[test]
fn the_page_explains_every_code_of_the_tables_and_no_other() {
    let page = page();
    let all: BTreeSet<String> = page.lines().flat_map(quoted).collect();
    let tables = in_tables();
    let missing: Vec<_> = tables.iter().filter(|code| !all.contains(*code)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let first = rows.filter_map(|row| row.split(" |").next()).map(|cell| format!("`{cell}"));
    let strange: Vec<_> =
        first.flat_map(|cell| quoted(&cell).collect::<Vec<_>>()).filter(|word| !tables.contains(word)).collect();
    assert!(strange.is_empty(), "on the page, but in no table: {strange:?}");
}

#[test]
fn the_page_names_every_provider_and_its_hosts() {
    let page = page();
    let read = file::read(&SHIPPED, &file::Places::of(&SHIPPED)).unwrap();
    for provider in &read.provider {
        let id = provider.id.as_ref();
        assert!(page.contains(&format!("provider={id}`")) || page.contains(&format!("(`{id}`)")), "{id}");
        for mx in &provider.mx {
            assert!(page.contains(&format!("`{mx}`")), "{id}: {mx}");
        }
    }
}

/// Prefixes of tables whose codes are the last number of a word.
const LAST_NUMBER: [&str; 3] = ["ofr", "lpn", "oxs"];
/// Longer ranges stand on the page by their ends.
const LISTED_MAX: u32 = 9;
