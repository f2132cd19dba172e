//! Passwords that were right, as salted hashes, with whom they let in.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Person;

/// One password for each login: the last that was right.
pub(super) struct Memory {
    salt: [u8; 32],
    known: HashMap<String, Known>,
}

struct Known {
    hash: [u8; 32],
    person: Person,
    /// When the directory was asked, in unix seconds.
    asked_at: u64,
}

impl Memory {
    pub(super) fn new(salt: [u8; 32]) -> Self {
        Self { salt, known: HashMap::new() }
    }

    /// Whom this password let in, and when the directory said so.
    pub(super) fn right(&self, login: &str, password: &str) -> Option<(Person, u64)> {
        let known = self.known.get(login)?;
        bool::from(known.hash[..].ct_eq(&self.hash(login, password))).then(|| (known.person.clone(), known.asked_at))
    }

    pub(super) fn keep(&mut self, login: &str, password: &str, person: Person, now: u64, keep_s: u64) {
        if KNOWN_MAX <= self.known.len() && !self.known.contains_key(login) {
            self.known.retain(|_, known| now < known.asked_at.saturating_add(keep_s));
            if KNOWN_MAX <= self.known.len() {
                return;
            }
        }
        let hash = self.hash(login, password);
        self.known.insert(login.to_owned(), Known { hash, person, asked_at: now });
    }

    pub(super) fn forget(&mut self, login: &str) {
        self.known.remove(login);
    }

    fn hash(&self, login: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [&self.salt[..], login.as_bytes(), password.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Logins that are remembered, some hundred octets each. Who comes beyond them is asked about each time.
const KNOWN_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn person(org: &str) -> Person {
        Person { org: Some(org.to_owned()), addresses: None }
    }

    #[test]
    fn the_last_right_password_of_a_login_is_known_and_no_other() {
        let mut memory = Memory::new([7; 32]);
        memory.keep("anna", "one", person("a"), 100, 60);
        memory.keep("bob", "one", person("b"), 100, 60);
        assert_eq!(memory.right("anna", "one"), Some((person("a"), 100)));
        memory.keep("anna", "two", person("a"), 200, 60);
        assert_eq!(memory.right("anna", "one"), None);
        assert_eq!(memory.right("anna", "two"), Some((person("a"), 200)));
        memory.forget("anna");
        assert_eq!(memory.right("anna", "two"), None);
        assert_eq!(memory.right("bob", "one"), Some((person("b"), 100)));
        assert_eq!(memory.right("nobody", "one"), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for_and_the_oldest_make_room() {
        let mut memory = Memory::new([7; 32]);
        (0..KNOWN_MAX).for_each(|n| memory.keep(&format!("login{n}"), "p", person("a"), 100, 60));
        memory.keep("late", "p", person("a"), 150, 60);
        assert_eq!((memory.known.len(), memory.right("late", "p")), (KNOWN_MAX, None));
        memory.keep("later", "p", person("a"), 200, 60);
        assert_eq!((memory.known.len(), memory.right("later", "p")), (1, Some((person("a"), 200))));
    }
}
