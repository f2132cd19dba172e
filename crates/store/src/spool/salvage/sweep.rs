//! All pages of a damaged database, one after the other: rows that are whole go into the new one, and of the others it is worked
//! out which mails they may have been about.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::Connection;

use super::found::{self, About, Found, Gaps, Refusal};
use super::list::List;
use super::pages::{Page, Pages};
use crate::spool::SpoolError;

/// What the sweep brought, besides rows.
#[derive(Debug)]
pub(super) struct Swept {
    /// Mails of which something was damaged, or that may be done.
    pub held: BTreeSet<u64>,
    /// Recipients whose rows were lost and are there again.
    pub put_back: BTreeSet<(u64, u32)>,
    /// Mails of which rows may be missing.
    pub gaps: Gaps,
    pub highest: Highest,
    /// The highest number that the ledger was told by the rows, where it is known.
    pub told: Option<u64>,
    pub pages: u64,
    pub rows: u64,
}

/// The highest numbers that were ever used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Highest {
    pub mail: u64,
    pub outbox: u64,
}

/// How the pages hang together.
#[derive(Default)]
struct Map {
    about: HashMap<u32, About>,
    /// Of each page the one above it, and the numbers that it may hold: above the first, up to the second.
    above: HashMap<u32, (u32, Option<i64>, Option<i64>)>,
    below: HashMap<u32, Vec<u32>>,
    /// Pages with the rests of long rows.
    rests: HashSet<u32>,
    formless: Vec<u32>,
    /// Pages with something that is no row.
    hurt: Vec<u32>,
}

/// Reads every page, and writes the rows into `connection`.
pub(super) fn sweep(pages: &Pages, connection: &Connection, list: &mut List) -> Result<Swept, SpoolError> {
    let map = Map::draw(pages);
    let reached = map.reached();
    let lost: Vec<u32> = map.formless.iter().copied().filter(|page| !map.rests.contains(page)).collect();
    let mut swept = Swept {
        held: BTreeSet::new(),
        put_back: BTreeSet::new(),
        gaps: Gaps::default(),
        highest: Highest::default(),
        told: None,
        pages: (lost.len() + map.hurt.len()) as u64,
        rows: 0,
    };
    for page in lost.iter().chain(&map.hurt) {
        if let Some((first, last)) = map.mails_of(*page) {
            swept.gaps.add(first, last);
        }
    }
    for number in pages.numbers() {
        let Page::Rows { rows, damaged } = pages.page(number) else { continue };
        // Not reached, it hangs below a damaged page; or it was given back, and its rows with it.
        let is_sure = !damaged && (pages.free_known || reached.contains(&number));
        for row in &rows {
            let found = Found::of(row);
            match found {
                Found::Mail(mail, _) => swept.highest.mail = swept.highest.mail.max(mail),
                Found::Recipient(mail, _) => swept.highest.mail = swept.highest.mail.max(mail),
                Found::Outbox(id, _) => swept.highest.outbox = swept.highest.outbox.max(id),
                Found::Used("mail", used) => swept.highest.mail = swept.highest.mail.max(used),
                Found::Used("outbox", used) => {
                    swept.highest.outbox = swept.highest.outbox.max(used);
                    swept.told = swept.told.max(Some(used)).filter(|_| is_sure);
                }
                _ => {}
            }
            let refused = found::put(connection, &found)?.err();
            let mail = match found {
                Found::Mail(mail, _) | Found::Recipient(mail, _) => Some(mail),
                _ => None,
            };
            if let Some(why) = refused {
                swept.rows += 1;
                list.row(number, why, row)?;
            }
            // A mail of which a row is wrong, or may be of yesterday, is looked at by a person.
            swept.held.extend(mail.filter(|_| refused.is_some() || !is_sure));
            if refused == Some(Refusal::Nonsense)
                && let Some(mail) = mail
            {
                swept.gaps.add(mail, mail);
            }
        }
    }
    Ok(swept)
}

impl Map {
    fn draw(pages: &Pages) -> Self {
        let mut map = Self::default();
        for number in pages.numbers() {
            match pages.page(number) {
                Page::Rows { rows, damaged } => {
                    let about = rows.iter().map(|row| Found::of(row).about()).find(|about| *about != About::Other);
                    map.about.insert(number, about.unwrap_or(About::Other));
                    map.rests.extend(rows.iter().flat_map(|row| row.rests.iter().copied()));
                    if damaged {
                        map.hurt.push(number);
                    }
                    map.hang(number, pages.below_index(number));
                }
                Page::Inner { children } => map.hang(number, children),
                Page::Formless => map.formless.push(number),
                Page::Free => {}
            }
        }
        map
    }

    /// Notes the pages below one, with the highest number that each may hold.
    fn hang(&mut self, above: u32, children: Vec<(u32, Option<i64>)>) {
        let mut low = None;
        for (page, high) in &children {
            self.above.insert(*page, (above, low, *high));
            low = *high;
        }
        self.below.insert(above, children.into_iter().map(|(page, _)| page).collect());
    }

    /// All pages below those that a new database begins with, which stay where they are.
    fn reached(&self) -> HashSet<u32> {
        let (mut reached, mut open) = (HashSet::new(), (2..=ROOTS_LAST).collect::<Vec<_>>());
        while let Some(page) = open.pop() {
            if reached.insert(page) {
                open.extend(self.below.get(&page).into_iter().flatten());
            }
        }
        reached
    }

    /// Of which mails the rows of a page were, at most: from the first to the last, both of them; none where it was of another table.
    fn mails_of(&self, page: u32) -> Option<(u64, u64)> {
        let Some((above, _, _)) = self.above.get(&page) else {
            // Nobody says what it was.
            return Some((0, u64::MAX));
        };
        let is_about =
            |about| self.below.get(above).into_iter().flatten().any(|page| self.about.get(page) == Some(&about));
        let known = [About::Mails, About::Recipients, About::Other].map(is_about);
        if known == [false, false, true] {
            return None;
        }
        let (low, high) = self.range(page, DEPTH_MAX);
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        // The mail at the border may have recipients on both sides of it.
        Some((low.map_or(0, number), high.map_or(u64::MAX, number)))
    }

    /// The numbers that a page may hold, as far as the pages above it say.
    fn range(&self, page: u32, depth: u32) -> (Option<i64>, Option<i64>) {
        let Some((above, low, high)) = self.above.get(&page).filter(|_| 0 < depth) else { return (None, None) };
        let (lowest, highest) = match (low, high) {
            (Some(_), Some(_)) => (None, None),
            _ => self.range(*above, depth - 1),
        };
        (low.or(lowest), high.or(highest))
    }
}

/// The tables of a spool begin on the first pages of its file, in the order in which they are made.
const ROOTS_LAST: u32 = 7;
/// A database as large as the disk is less deep.
const DEPTH_MAX: u32 = 20;
