//! The mails of the day: letters between people, and newsletters.

use super::mailserver::SPAM_SUBJECT;
use super::people::{Dice, Lists};
use super::traffic::Letter;

/// The letters of people at one node: most to one recipient, some to a few, a handful with a slip of the pen, and one
/// mailbox whose owner forwards what filters call spam.
#[must_use]
pub fn personal(node: &str, lists: &Lists) -> Vec<Letter> {
    let mut dice = Dice::new(node.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)));
    let mut letters: Vec<_> = (0..PERSONAL)
        .map(|number| {
            let count = if number % 6 == 0 { 2 + dice.below(3) } else { 1 };
            let mut to: Vec<_> = (0..count).map(|_| lists.people[dice.below(lists.people.len())].clone()).collect();
            // Nobody is named twice in one mail.
            to.sort();
            to.dedup();
            letter(format!("{node}-p{number}"), to, format!("Nouvelles, {number}"))
        })
        .collect();
    let half = lists.mistyped.len() / 2;
    let mistyped = if node == "a" { &lists.mistyped[..half] } else { &lists.mistyped[half..] };
    for (number, address) in mistyped.iter().enumerate() {
        letters.push(letter(format!("{node}-m{number}"), vec![address.clone()], "Bonjour".to_owned()));
    }
    for (number, domain) in SPAM_DOMAINS.iter().enumerate() {
        if let Some(address) = lists.people.iter().find(|address| address.ends_with(domain)) {
            let subject = format!("Fwd: {SPAM_SUBJECT} DE 500 EUROS");
            letters.push(letter(format!("{node}-s{number}"), vec![address.clone()], subject));
        }
    }
    dice.shuffle(&mut letters);
    letters
}

/// A newsletter: the first half one mail for each recipient, as list programs do it, the rest ten to a mail.
#[must_use]
pub fn newsletter(mark: &str, subject: &str, list: &[String]) -> Vec<Letter> {
    let (single, together) = list.split_at(list.len() / 2);
    let groups = single.chunks(1).chain(together.chunks(10));
    groups.enumerate().map(|(number, to)| letter(format!("{mark}-{number}"), to.to_vec(), subject.to_owned())).collect()
}

fn letter(id: String, to: Vec<String>, subject: String) -> Letter {
    Letter { id, to, subject, tries: 0 }
}

/// Letters of people at one node.
const PERSONAL: usize = 75;
const SPAM_DOMAINS: &[&str] = &["@laposte.example", "@free.example", "@orange.example"];
