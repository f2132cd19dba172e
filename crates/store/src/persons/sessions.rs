//! Sessions: that a browser which shows a random number is the one that a person logged in with.
//!
//! The number is kept as its hash. A session ends after some hours without use, after a week in any case, when the person
//! logs out, and when its password changes.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::{Person, Persons};
use crate::keys;
use crate::ledger::LedgerError;
use crate::sql::{Sql, SqlError};

/// A session as its pages need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub person: Person,
    /// What each form of this session carries, so that no other site can send one for this person. Whoever reads the
    /// file cannot make it.
    pub form_token: String,
    /// Unix seconds.
    pub until: u64,
}

/// The hash of the number that the browser has.
pub(super) type Name = [u8; 32];

/// One session in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    person: String,
    began_at: u64,
    seen_at: u64,
    /// When `seen_at` was last written.
    kept_at: u64,
}

impl Persons {
    /// Begins a session; answers with the number for the browser, 43 characters. A person has so many at most: the one that
    /// was not used for the longest time makes room.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be kept.
    pub async fn begin(&self, person: &str, now: u64) -> Result<String, LedgerError> {
        self.person(person)?;
        let random = keys::random().map_err(|error| LedgerError::Failed(error.to_string()))?;
        let token = URL_SAFE_NO_PAD.encode(random);
        let name = name_of(&token);
        let gone: Vec<Name> = {
            let known = self.known();
            let over = known.sessions.iter().filter(|(_, held)| held.is_over(now)).map(|(name, _)| *name);
            let mut own: Vec<_> = known.sessions.iter().filter(|(_, held)| held.person == person).collect();
            own.sort_by_key(|(_, held)| std::cmp::Reverse(held.seen_at));
            over.chain(own.iter().skip(SESSIONS_MAX - 1).map(|(name, _)| **name)).collect()
        };
        let (of, ends) = (person.to_owned(), gone.clone());
        self.ledger
            .write(move |sql| {
                for name in &ends {
                    sql.execute("DELETE FROM session WHERE name = $1", &[name[..].into()])?;
                }
                let insert = "INSERT INTO session (name, person, began_at, seen_at) VALUES ($1, $2, $3, $3)";
                sql.execute(insert, &[name[..].into(), of.into(), now.into()])?;
                Ok(())
            })
            .await?;
        let mut known = self.known_mut();
        gone.iter().for_each(|name| drop(known.sessions.remove(name)));
        let held = Held { person: person.to_owned(), began_at: now, seen_at: now, kept_at: now };
        known.sessions.insert(name, held);
        Ok(token)
    }

    /// The session that a browser shows; none where there is none any more.
    ///
    /// # Errors
    /// [`LedgerError`] where nothing can be written.
    pub async fn session(&self, token: &str, now: u64) -> Result<Option<Session>, LedgerError> {
        // What is no number of ours is not hashed: it may be long.
        if token.len() != TOKEN_OCTETS {
            return Ok(None);
        }
        let name = name_of(token);
        let (session, is_due) = {
            let mut known = self.known_mut();
            let Some(held) = known.sessions.get_mut(&name).filter(|held| !held.is_over(now)) else { return Ok(None) };
            held.seen_at = held.seen_at.max(now);
            let is_due = held.kept_at.saturating_add(KEPT_S) <= now;
            if is_due {
                held.kept_at = now;
            }
            let (person, until) = (held.person.clone(), held.until());
            let Some(kept) = known.persons.get(&person) else { return Ok(None) };
            (Session { person: kept.person.clone(), form_token: form_token(token), until }, is_due)
        };
        if is_due {
            let update = "UPDATE session SET seen_at = $2 WHERE name = $1";
            self.execute(update, vec![name[..].into(), now.into()]).await?;
        }
        Ok(Some(session))
    }

    /// Ends one session.
    ///
    /// # Errors
    /// [`LedgerError`] where nothing can be written.
    pub async fn end(&self, token: &str) -> Result<(), LedgerError> {
        let name = name_of(token);
        // First in memory, which is what is asked.
        self.known_mut().sessions.remove(&name);
        self.execute("DELETE FROM session WHERE name = $1", vec![name[..].into()]).await.map(drop)
    }

    /// Ends all sessions of a person.
    ///
    /// # Errors
    /// [`LedgerError`] where nothing can be written.
    pub async fn end_all(&self, person: &str) -> Result<(), LedgerError> {
        self.known_mut().sessions.retain(|_, held| held.person != person);
        self.execute("DELETE FROM session WHERE person = $1", vec![person.into()]).await.map(drop)
    }
}

impl Held {
    fn until(&self) -> u64 {
        self.began_at.saturating_add(LIFE_S).min(self.seen_at.saturating_add(IDLE_S))
    }

    /// One from the future is over as well: a clock that was ahead must not make sessions that outlive it.
    fn is_over(&self, now: u64) -> bool {
        self.until() <= now || now.saturating_add(CLOCK_S) < self.began_at
    }
}

pub(super) fn read(sql: &mut dyn Sql) -> Result<HashMap<Name, Held>, SqlError> {
    let mut found = HashMap::new();
    sql.rows("SELECT name, person, began_at, seen_at FROM session", &[], &mut |row| {
        let (began_at, seen_at) = (row.uint(2)?, row.uint(3)?);
        found.insert(row.octets(0)?, Held { person: row.text(1)?.to_owned(), began_at, seen_at, kept_at: seen_at });
        Ok(())
    })?;
    Ok(found)
}

fn name_of(token: &str) -> Name {
    Sha256::digest(token.as_bytes()).into()
}

/// Another hash of the number than the one that is kept.
fn form_token(token: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(b"sm2tp form\0");
    digest.update(token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// A week, however much it is used.
pub const LIFE_S: u64 = 7 * 86_400;
/// A working day with its breaks.
const IDLE_S: u64 = 12 * 3600;
/// The use of a session is written so often at most.
const KEPT_S: u64 = 600;
/// How far a clock may go back before sessions that began meanwhile are over.
const CLOCK_S: u64 = 3600;
/// Browsers of one person.
const SESSIONS_MAX: usize = 20;
/// 32 octets in base64.
const TOKEN_OCTETS: usize = 43;

#[cfg(test)]
mod tests {
    use sm2tp_rules::access::Role;

    use super::*;

    use crate::testing::TempDir;

    const NOW: u64 = 1_800_000_000;

    async fn open(dir: &TempDir) -> Persons {
        Persons::load(crate::testing::ledger(dir.path())).await.unwrap()
    }

    async fn with_anna(dir: &TempDir) -> Persons {
        let persons = open(dir).await;
        persons.add("anna", Role::Owner, "correct horse battery", NOW).await.unwrap();
        persons
    }

    #[tokio::test]
    async fn a_session_survives_a_restart_and_ends_with_its_time_or_by_logout() {
        let dir = TempDir::quick();
        let persons = with_anna(&dir).await;
        let token = persons.begin("anna", NOW).await.unwrap();
        assert_eq!(token.len(), TOKEN_OCTETS);
        for persons in [persons.clone(), open(&dir).await] {
            let session = persons.session(&token, NOW + 1).await.unwrap().unwrap();
            assert_eq!(session.person.name, "anna");
            assert_ne!(session.form_token, token);
            assert_eq!(persons.session(&token, NOW + 1 + IDLE_S).await.unwrap(), None);
        }
        // Used all the time it lasts a week.
        for at in (0..LIFE_S).step_by(3600) {
            assert!(persons.session(&token, NOW + at).await.unwrap().is_some(), "{at}");
        }
        assert_eq!(persons.session(&token, NOW + LIFE_S).await.unwrap(), None);
        let token = persons.begin("anna", NOW).await.unwrap();
        assert_eq!(persons.session(&token, NOW - CLOCK_S - 1).await.unwrap(), None);
        persons.end(&token).await.unwrap();
        for persons in [persons, open(&dir).await] {
            assert_eq!(persons.session(&token, NOW).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_kept_opens_no_session() {
        let dir = TempDir::quick();
        let persons = with_anna(&dir).await;
        let token = persons.begin("anna", NOW).await.unwrap();
        let kept = persons
            .ledger
            .read(|sql| Ok(crate::sql::first(sql, "SELECT name FROM session", &[], |row| row.octets::<32>(0))?));
        let kept = kept.await.unwrap().unwrap();
        assert_eq!(kept, name_of(&token));
        for tried in [URL_SAFE_NO_PAD.encode(kept), hex::encode(kept), String::new(), "x".repeat(TOKEN_OCTETS)] {
            assert_eq!(persons.session(&tried, NOW).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_new_password_and_a_removal_end_all_sessions_and_the_oldest_makes_room() {
        let dir = TempDir::quick();
        let persons = with_anna(&dir).await;
        persons.add("bob", Role::Owner, "correct horse battery", NOW).await.unwrap();
        let bobs = persons.begin("bob", NOW).await.unwrap();
        let mut tokens = Vec::new();
        for n in 0..=SESSIONS_MAX as u64 {
            tokens.push(persons.begin("anna", NOW + n).await.unwrap());
        }
        let at = NOW + 100;
        assert_eq!(persons.session(&tokens[0], at).await.unwrap(), None);
        assert!(persons.session(&tokens[1], at).await.unwrap().is_some());
        persons.set_password("anna", "another long password").await.unwrap();
        for token in &tokens {
            assert_eq!(persons.session(token, at).await.unwrap(), None);
        }
        assert!(persons.session(&bobs, at).await.unwrap().is_some());
        persons.remove("bob").await.unwrap();
        assert_eq!(persons.session(&bobs, at).await.unwrap(), None);
    }
}
