//! Persons who use the pages: their names, roles, passwords and second factors; their sessions are in `sessions`.
//!
//! All is in memory, followed by the ledger's file: a page asks no database who looks at it. A password is kept as its
//! Argon2id hash, a session as the hash of what the browser has, so that who reads the file can be nobody else with it.

mod factor;
mod sessions;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sm2tp_rules::access::Role;

pub use self::factor::Factor;
use self::sessions::{Held, Name};
pub use self::sessions::{LIFE_S, Session};
use crate::Refused;
use crate::accounts::hash::{self, Checking};
use crate::ledger::{Ledger, LedgerError};
use crate::sql::{Sql, SqlError, Value};

/// A person as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub role: Role,
    /// Whether a code is asked for beside the password.
    pub second_factor: bool,
    /// Unix seconds.
    pub added_at: u64,
    /// Unix seconds of the last login.
    pub last_login_at: Option<u64>,
}

/// The persons of a node, in memory, followed by the ledger's file.
#[derive(Clone)]
pub struct Persons {
    ledger: Ledger,
    known: Arc<RwLock<Known>>,
    checking: Checking,
    /// The hash of no password: an unknown name costs as much time as a wrong password.
    dummy: Arc<str>,
}

#[derive(Default)]
struct Known {
    persons: HashMap<String, Kept>,
    sessions: HashMap<Name, Held>,
}

#[derive(Clone)]
struct Kept {
    person: Person,
    hash: Arc<str>,
    factor: Option<Factor>,
}

impl Persons {
    /// Reads the persons and sessions of the ledger file.
    ///
    /// # Errors
    /// [`LedgerError`] where it cannot be read.
    pub async fn load(ledger: Ledger) -> Result<Self, LedgerError> {
        let dummy = hashed("no password at all").await?;
        let known = ledger.read(|sql| Ok(read(sql)?)).await?;
        Ok(Self { ledger, known: Arc::new(RwLock::new(known)), checking: Checking::default(), dummy: dummy.into() })
    }

    /// Reads them again: another machine of this node has changed them.
    ///
    /// # Errors
    /// [`LedgerError`] where they cannot be read; those of before hold.
    pub async fn reload(&self) -> Result<(), LedgerError> {
        *self.known_mut() = self.ledger.read(|sql| Ok(read(sql)?)).await?;
        Ok(())
    }

    /// Nobody has an account yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().persons.is_empty()
    }

    /// All persons, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Person> {
        let mut list: Vec<_> = self.known().persons.values().map(|kept| kept.person.clone()).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// One person.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is none of that name.
    pub fn person(&self, name: &str) -> Result<Person, LedgerError> {
        let known = self.known();
        known.persons.get(name).map(|kept| kept.person.clone()).ok_or_else(|| nobody(name))
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where the name is taken or unusable, or the password is too short.
    pub async fn add(&self, name: &str, role: Role, password: &str, now: u64) -> Result<Person, LedgerError> {
        check_name(name)?;
        check_password(password)?;
        {
            let known = self.known();
            if known.persons.contains_key(name) {
                return Err(Refused::PersonThere { name: name.to_owned() }.into());
            }
            if PERSONS_MAX <= known.persons.len() {
                return Err(Refused::ManyPersons { max: PERSONS_MAX }.into());
            }
        }
        let hash = hashed(password).await?;
        let values = [name.into(), role.as_str().into(), role.org().into(), hash.as_str().into(), now.into()];
        let person = Person { name: name.to_owned(), role, second_factor: false, added_at: now, last_login_at: None };
        let insert = "INSERT INTO person (name, role, org, hash, added_at, factor_step) VALUES ($1, $2, $3, $4, $5, 0)";
        self.execute(insert, values.into()).await?;
        let kept = Kept { person: person.clone(), hash: hash.into(), factor: None };
        self.known_mut().persons.insert(name.to_owned(), kept);
        Ok(person)
    }

    /// Gives a person another password. All its sessions end.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person, or the password is too short.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), LedgerError> {
        self.person(name)?;
        check_password(password)?;
        let hash = hashed(password).await?;
        self.execute("UPDATE person SET hash = $2 WHERE name = $1", vec![name.into(), hash.as_str().into()]).await?;
        self.change(name, |kept| kept.hash = hash.into());
        self.end_all(name).await
    }

    /// Gives a person another role. Its sessions have it at once.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person, or no owner would be left.
    pub async fn set_role(&self, name: &str, role: Role) -> Result<Person, LedgerError> {
        self.person(name)?;
        if role != Role::Owner {
            self.leaves_an_owner(name)?;
        }
        let update = "UPDATE person SET role = $2, org = $3 WHERE name = $1";
        self.execute(update, vec![name.into(), role.as_str().into(), role.org().into()]).await?;
        self.change(name, |kept| kept.person.role = role);
        self.person(name)
    }

    /// Removes a person with its sessions.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person, or no owner would be left.
    pub async fn remove(&self, name: &str) -> Result<(), LedgerError> {
        self.leaves_an_owner(name)?;
        self.end_all(name).await?;
        self.execute("DELETE FROM person WHERE name = $1", vec![name.into()]).await?;
        self.known_mut().persons.remove(name);
        Ok(())
    }

    /// The person, if the password is right, and the code where one is wanted. What was wrong is not told, nor does the time
    /// tell it. A code is taken once.
    ///
    /// # Errors
    /// [`LedgerError`] where nothing can be written.
    pub async fn verify(
        &self,
        name: &str,
        password: &str,
        code: &str,
        now: u64,
    ) -> Result<Option<Person>, LedgerError> {
        let found = self.known().persons.get(name).cloned();
        let hash = found.as_ref().map_or_else(|| self.dummy.clone(), |kept| kept.hash.clone());
        let is_right = self.checking.is_right(hash.clone(), password).await;
        let Some(found) = found.filter(|_| is_right) else { return Ok(None) };
        let step = match &found.factor {
            Some(factor) => match factor.step_of(code, now) {
                Some(step) => Some(step),
                None => return Ok(None),
            },
            None => None,
        };
        {
            // Two logins with one code at the same time: one of them.
            let mut known = self.known_mut();
            let Some(kept) = known.persons.get_mut(name).filter(|kept| kept.hash == hash) else { return Ok(None) };
            if let (Some(factor), Some(step)) = (&mut kept.factor, step)
                && !factor.take(step)
            {
                return Ok(None);
            }
            kept.person.last_login_at = Some(now);
        }
        let update = "UPDATE person SET last_login_at = $2, factor_step = $3 WHERE name = $1";
        self.execute(update, vec![name.into(), now.into(), step.unwrap_or(0).into()]).await?;
        Ok(Some(self.person(name)?))
    }

    /// Whether this is the password of a person who is logged in already and changes it.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person.
    pub async fn has_password(&self, name: &str, password: &str) -> Result<bool, LedgerError> {
        let hash = self.known().persons.get(name).map(|kept| kept.hash.clone()).ok_or_else(|| nobody(name))?;
        Ok(self.checking.is_right(hash, password).await)
    }

    /// From now on a code is wanted beside the password, if `code` shows that the person has the secret.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person, or the code is another one.
    pub async fn set_factor(&self, name: &str, secret: &str, code: &str, now: u64) -> Result<(), LedgerError> {
        self.person(name)?;
        let mut factor = Factor::from_text(secret).ok_or(Refused::NoSecret)?;
        let step = factor.step_of(code, now).filter(|step| factor.take(*step));
        let step = step.ok_or(Refused::WrongCode)?;
        let update = "UPDATE person SET factor = $2, factor_step = $3 WHERE name = $1";
        self.execute(update, vec![name.into(), secret.into(), step.into()]).await?;
        self.change(name, |kept| (kept.person.second_factor, kept.factor) = (true, Some(factor)));
        Ok(())
    }

    /// The password is enough again: for who has lost the telephone.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] where there is no such person.
    pub async fn drop_factor(&self, name: &str) -> Result<(), LedgerError> {
        self.person(name)?;
        self.execute("UPDATE person SET factor = NULL WHERE name = $1", vec![name.into()]).await?;
        self.change(name, |kept| (kept.person.second_factor, kept.factor) = (false, None));
        Ok(())
    }

    fn leaves_an_owner(&self, name: &str) -> Result<(), LedgerError> {
        let known = self.known();
        if !known.persons.contains_key(name) {
            return Err(nobody(name));
        }
        let others = known.persons.values().filter(|kept| kept.person.role == Role::Owner && kept.person.name != name);
        let is_owner = known.persons.get(name).is_some_and(|kept| kept.person.role == Role::Owner);
        if is_owner && others.count() == 0 {
            return Err(Refused::OnlyOwner { name: name.to_owned() }.into());
        }
        Ok(())
    }

    fn change(&self, name: &str, how: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.known_mut().persons.get_mut(name) {
            how(kept);
        }
    }

    async fn execute(&self, statement: &'static str, values: Vec<Value>) -> Result<usize, LedgerError> {
        self.ledger.write(move |sql| Ok(sql.execute(statement, &values)?)).await
    }

    /// Never held across an await.
    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(sql: &mut dyn Sql) -> Result<Known, SqlError> {
    let mut known = Known { sessions: sessions::read(sql)?, ..Known::default() };
    sql.rows(PERSONS, &[], &mut |row| {
        let role = Role::new(row.text(1)?, row.text_or_null(2)?);
        let factor = row.text_or_null(5)?.map(|text| {
            let factor = Factor::from_text(text).map(|factor| factor.used(row.uint(6).unwrap_or(0)));
            factor.ok_or_else(|| SqlError::Stored("a second factor without a secret".into()))
        });
        let factor = factor.transpose()?;
        let person = Person {
            name: row.text(0)?.to_owned(),
            role: role.map_err(|error| SqlError::Stored(error.to_string()))?,
            second_factor: factor.is_some(),
            added_at: row.uint(4)?,
            last_login_at: row.uint_or_null(7)?,
        };
        known.persons.insert(person.name.clone(), Kept { person, hash: row.text(3)?.into(), factor });
        Ok(())
    })?;
    Ok(known)
}

/// Names stand in lists, logs and the audit log.
fn check_name(name: &str) -> Result<(), LedgerError> {
    let fits = !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.trim() == name;
    match fits && !name.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(Refused::PersonName { name: name.to_owned(), octets_max: NAME_OCTETS_MAX }.into()),
    }
}

fn check_password(password: &str) -> Result<(), LedgerError> {
    match password.chars().count() {
        PASSWORD_CHARACTERS_MIN.. if password.len() <= PASSWORD_OCTETS_MAX => Ok(()),
        _ => {
            let (characters_min, octets_max) = (PASSWORD_CHARACTERS_MIN, PASSWORD_OCTETS_MAX);
            Err(Refused::PersonPassword { characters_min, octets_max }.into())
        }
    }
}

async fn hashed(password: &str) -> Result<String, LedgerError> {
    let password = password.to_owned();
    let made = tokio::task::spawn_blocking(move || hash::hash(&password)).await.map_err(|_| LedgerError::Closed)?;
    made.map_err(|error| LedgerError::Failed(format!("the password: {error}")))
}

fn nobody(name: &str) -> LedgerError {
    Refused::NoPerson { name: name.to_owned() }.into()
}

const PERSONS: &str = "SELECT name, role, org, hash, added_at, factor, factor_step, last_login_at FROM person";
const NAME_OCTETS_MAX: usize = 100;
/// Whoever gets in can stop all mail: longer than what logins of mail programs need.
const PASSWORD_CHARACTERS_MIN: usize = 12;
/// What a password manager makes is far shorter; hashing megabytes would be work for strangers to give.
const PASSWORD_OCTETS_MAX: usize = 1024;
/// Kept in memory; a hoster with an administrator for each of some hundred organisations has room.
const PERSONS_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TempDir;

    const NOW: u64 = 1_800_000_000;
    const PASSWORD: &str = "correct horse battery";

    async fn open(dir: &TempDir) -> Persons {
        Persons::load(crate::testing::ledger(dir.path())).await.unwrap()
    }

    #[tokio::test]
    async fn a_person_is_known_by_name_and_password_alone_and_after_a_restart() {
        let dir = TempDir::quick();
        let persons = open(&dir).await;
        assert!(persons.is_empty());
        persons.add("anna", Role::Owner, PASSWORD, NOW).await.unwrap();
        for persons in [persons, open(&dir).await] {
            assert!(!persons.is_empty());
            let anna = persons.verify("anna", PASSWORD, "", NOW + 1).await.unwrap().unwrap();
            assert_eq!((anna.role, anna.last_login_at), (Role::Owner, Some(NOW + 1)));
            assert_eq!(persons.verify("anna", "wrong horse battery", "", NOW).await.unwrap(), None);
            assert_eq!(persons.verify("Anna", PASSWORD, "", NOW).await.unwrap(), None);
            assert_eq!(persons.verify("", "", "", NOW).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_with_a_sentence() {
        let dir = TempDir::quick();
        let persons = open(&dir).await;
        persons.add("anna", Role::Owner, PASSWORD, NOW).await.unwrap();
        persons.add("org", Role::OrgAdministrator { org: "asso".into() }, PASSWORD, NOW).await.unwrap();
        for (name, password) in [
            ("anna", PASSWORD),
            ("", PASSWORD),
            (" bob", PASSWORD),
            ("b\nob", PASSWORD),
            ("bob", "eleven char"),
            ("bob", &"long".repeat(1000)),
        ] {
            let refused = persons.add(name, Role::Operator, password, NOW).await;
            assert!(matches!(refused, Err(LedgerError::Refused(_))), "{name:?} {password:?}");
        }
        assert!(persons.remove("nobody").await.is_err());
        assert!(persons.set_password("nobody", PASSWORD).await.is_err());
    }

    #[tokio::test]
    async fn the_last_owner_stays_one() {
        let dir = TempDir::quick();
        let persons = open(&dir).await;
        persons.add("anna", Role::Owner, PASSWORD, NOW).await.unwrap();
        persons.add("bob", Role::Operator, PASSWORD, NOW).await.unwrap();
        assert!(persons.remove("anna").await.is_err());
        assert!(persons.set_role("anna", Role::ReadOnly).await.is_err());
        persons.set_role("bob", Role::Owner).await.unwrap();
        persons.set_role("anna", Role::OrgAdministrator { org: "asso".into() }).await.unwrap();
        assert!(persons.remove("bob").await.is_err());
        persons.remove("anna").await.unwrap();
        let left: Vec<_> = open(&dir).await.list().into_iter().map(|person| (person.name, person.role)).collect();
        assert_eq!(left, [("bob".to_owned(), Role::Owner)]);
    }

    #[tokio::test]
    async fn a_second_factor_is_wanted_once_its_secret_is_shown_to_be_there_and_a_code_counts_once() {
        let dir = TempDir::quick();
        let persons = open(&dir).await;
        persons.add("anna", Role::Owner, PASSWORD, NOW).await.unwrap();
        let factor = Factor::random().unwrap();
        let (secret, code) = (factor.text(), |at| factor.code(at));
        assert!(persons.set_factor("anna", &secret, "000000", NOW).await.is_err() || code(NOW) == "000000");
        persons.set_factor("anna", &secret, &code(NOW), NOW).await.unwrap();
        // The code of the enrolment is used up.
        assert_eq!(persons.verify("anna", PASSWORD, &code(NOW), NOW).await.unwrap(), None);
        for (at, persons) in [(NOW + 60, persons), (NOW + 120, open(&dir).await)] {
            assert_eq!(persons.verify("anna", PASSWORD, "", at).await.unwrap(), None);
            assert!(persons.verify("anna", PASSWORD, &code(at), at).await.unwrap().unwrap().second_factor);
            assert_eq!(persons.verify("anna", PASSWORD, &code(at), at).await.unwrap(), None, "once");
            assert_eq!(persons.verify("anna", "wrong horse battery", &code(at + 30), at).await.unwrap(), None);
        }
        let persons = open(&dir).await;
        persons.drop_factor("anna").await.unwrap();
        assert!(open(&dir).await.verify("anna", PASSWORD, "", NOW + 180).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_ledger_of_format_18_learns_persons_and_keeps_its_organisations() {
        let dir = TempDir::quick();
        let path = crate::ledger::path(dir.path());
        drop(Ledger::open(&path).unwrap());
        let old = crate::sql::open_sqlite(&path).unwrap();
        old.execute_batch(
            "DROP TABLE person; DROP TABLE session; PRAGMA user_version = 18; \
             INSERT INTO org (name, domains, stream, added_at) VALUES ('asso', '', 'personal', 1);",
        )
        .unwrap();
        drop(old);
        for is_new in [true, false] {
            let persons = Persons::load(Ledger::open(&path).unwrap()).await.unwrap();
            assert_eq!(persons.is_empty(), is_new);
            if is_new {
                persons.add("anna", Role::Owner, PASSWORD, NOW).await.unwrap();
            }
            let orgs = persons
                .ledger
                .read(|sql| Ok(crate::sql::all(sql, "SELECT name FROM org", &[], |row| Ok(row.text(0)?.to_owned()))?));
            assert_eq!(orgs.await.unwrap(), ["asso"]);
        }
    }
}
