//! Who is written to: mailboxes, dead addresses, and the lists of two newsletters that overlap. The same in every run.

use std::collections::HashMap;

use super::providers::{HOME_A, HOME_B, PROVIDERS};

/// Every mailbox that exists.
#[derive(Debug, Default)]
pub struct Directory(HashMap<String, Mailbox>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailbox {
    Open,
    Full,
}

/// The lists of the day.
#[derive(Debug, Default)]
pub struct Lists {
    /// Mailboxes that take mail, in an order that mixes the domains.
    pub people: Vec<String>,
    pub newsletter_a: Vec<String>,
    /// Shares three of five dead addresses with that of A.
    pub newsletter_b: Vec<String>,
    /// Recipients of a second, small mailing of A: some of them were found dead by the first.
    pub reminder_a: Vec<String>,
    /// Addresses with a slip of the pen, for letters.
    pub mistyped: Vec<String>,
}

/// A stream of numbers that is the same in every run (xorshift64*, Vigna 2014).
#[derive(Debug)]
pub struct Dice(u64);

impl Directory {
    #[must_use]
    pub fn mailbox(&self, address: &str) -> Option<Mailbox> {
        self.0.get(address).copied()
    }
}

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap_or(0) % end.max(1)
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }
}

/// Makes all mailboxes and all lists.
#[must_use]
pub fn populate() -> (Directory, Lists) {
    let (mut directory, mut lists) = (Directory::default(), Lists::default());
    let (mut dead, mut full) = (Vec::new(), Vec::new());
    for (shift, provider) in PROVIDERS.iter().enumerate() {
        let address = |number: usize| person(number, shift, provider.domain);
        let open: Vec<_> = (0..provider.people).map(address).collect();
        full.extend((0..provider.full).map(|number| address(provider.people + number)));
        dead.extend((0..provider.dead).map(|number| address(provider.people + provider.full + number)));
        // A reads the first part, B the last, and the middle reads both.
        lists.newsletter_a.extend(open.iter().take(provider.people * 11 / 20).cloned());
        lists.newsletter_b.extend(open.iter().skip(provider.people * 3 / 10).take(provider.people * 17 / 40).cloned());
        lists.people.extend(open);
    }
    let homes = ["news", "anna"].map(|local| format!("{local}@{HOME_A}"));
    let homes = homes.into_iter().chain(["news", "bruno"].map(|local| format!("{local}@{HOME_B}")));
    directory.0.extend(lists.people.iter().cloned().chain(homes).map(|address| (address, Mailbox::Open)));
    directory.0.extend(full.iter().map(|address| (address.clone(), Mailbox::Full)));
    let mut dice = Dice::new(SEED);
    dice.shuffle(&mut lists.people);
    lists.mistyped = (0..6).map(|number| mistype(&lists.people[number * 7])).collect();
    deal_dead(&mut lists, &dead);
    lists.newsletter_a.extend(full);
    dice.shuffle(&mut lists.newsletter_a);
    dice.shuffle(&mut lists.newsletter_b);
    (directory, lists)
}

/// Of five dead addresses three are in both lists, one in that of A alone and one in that of B alone.
fn deal_dead(lists: &mut Lists, dead: &[String]) {
    for (number, address) in dead.iter().enumerate() {
        match number % 5 {
            0..=2 => {
                lists.newsletter_a.push(address.clone());
                lists.newsletter_b.push(address.clone());
            }
            3 => lists.newsletter_a.push(address.clone()),
            _ => lists.newsletter_b.push(address.clone()),
        }
    }
    let known = dead.iter().enumerate().filter(|(number, _)| number % 5 == 3).map(|(_, address)| address.clone());
    lists.reminder_a = lists.people.iter().take(28).cloned().chain(known).collect();
}

fn person(number: usize, shift: usize, domain: &str) -> String {
    let first = FIRST_NAMES[number % FIRST_NAMES.len()];
    let last = LAST_NAMES[(number / FIRST_NAMES.len() + shift * 3) % LAST_NAMES.len()];
    format!("{first}.{last}@{domain}")
}

/// The first two letters in the wrong order and one too many: nobody has that address.
fn mistype(address: &str) -> String {
    let mut letters: Vec<char> = address.chars().collect();
    letters.swap(0, 1);
    letters.insert(2, 'x');
    letters.into_iter().collect()
}

const SEED: u64 = 0x5332_5450;

const FIRST_NAMES: &[&str] = &[
    "anne", "bruno", "claire", "denis", "elise", "farid", "gaelle", "hugo", "ines", "jean", "karim", "lea", "marc",
    "nadia", "olivier", "paul", "quentin", "rachel", "samir", "therese", "ugo", "valerie", "william", "yann", "zoe",
];

const LAST_NAMES: &[&str] = &[
    "martin",
    "bernard",
    "dubois",
    "petit",
    "durand",
    "leroy",
    "moreau",
    "simon",
    "laurent",
    "garcia",
    "roux",
    "fournier",
    "girard",
    "bonnet",
    "lambert",
    "fontaine",
    "rousseau",
    "vincent",
    "muller",
    "faure",
    "mercier",
    "blanc",
    "guerin",
    "boyer",
    "chevalier",
    "garnier",
    "francois",
    "legrand",
    "gauthier",
    "perrin",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_lists_overlap_as_the_demonstration_says() {
        let (directory, lists) = populate();
        let dead = |list: &[String]| -> HashSet<String> {
            list.iter().filter(|address| directory.mailbox(address).is_none()).cloned().collect()
        };
        let (a, b) = (dead(&lists.newsletter_a), dead(&lists.newsletter_b));
        assert_eq!((a.len(), b.len(), a.intersection(&b).count()), (60, 60, 45));
        for (list, near) in [(&lists.newsletter_a, 600), (&lists.newsletter_b, 500)] {
            assert!(list.len().abs_diff(near) < 40, "{}", list.len());
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len(), "nobody stands in a list twice");
        }
        assert_eq!(dead(&lists.reminder_a).len(), 15);
        assert_eq!(dead(&lists.mistyped).len(), 6);
        assert!(dead(&lists.mistyped).is_disjoint(&a));
    }
}
