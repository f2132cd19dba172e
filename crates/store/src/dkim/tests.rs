//! Tests of DKIM keys: their files, their lives, and what is refused.

use super::*;
use crate::testing::TempDir;

const DAY: u64 = 86_400;
const NOW: u64 = 1_800_000_000;
const ED25519: Source<'static> = Source::Random(&[Algorithm::Ed25519]);

fn domain() -> Domain {
    Domain::parse("asso.example").unwrap()
}

fn selectors(keys: &[Arc<Key>]) -> Vec<&str> {
    keys.iter().map(|key| key.selector.as_str()).collect()
}

#[test]
fn keys_are_kept_in_files_that_only_their_owner_reads() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    let made = keys.create(&domain(), None, &Source::Random(&Algorithm::ALL), NOW).unwrap();
    assert_eq!(selectors(&made), ["sm2tp1-rsa", "sm2tp1-ed25519"]);
    assert_eq!(made.iter().map(|key| key.bits()).collect::<Vec<_>>(), [2048, 256]);
    let again = DkimKeys::open(dir.path()).unwrap();
    for (kept, made) in again.signing("asso.example", NOW).iter().zip(&made) {
        assert_eq!(kept.record().unwrap(), made.record().unwrap());
    }
    assert!(again.signing("asso.example", NOW - 1).is_empty() && again.signing("b.asso.example", NOW).is_empty());
    for name in ["index.json", "sm2tp1-rsa._domainkey.asso.example.pem"] {
        let path = dir.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = DkimKeys::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains(name) && error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn what_is_wrong_in_the_directory_is_named_and_never_skipped() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    keys.create(&domain(), Some("s"), &ED25519, NOW).unwrap();
    let file = dir.path().join("s._domainkey.asso.example.pem");
    let index = dir.path().join("index.json");
    let (good_key, good_index) = (fs::read(&file).unwrap(), fs::read_to_string(&index).unwrap());
    let check = |path: &Path, text: &str, want: &str| {
        let kept = fs::read(path).unwrap();
        fs::write(path, text).unwrap();
        let error = DkimKeys::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains(want) && error.contains(&path.display().to_string()), "{error}");
        fs::write(path, kept).unwrap();
    };
    check(&file, "", "no private key in PEM form");
    check(&index, "{", "is no index of DKIM keys");
    check(&index, &good_index.replace("\"v\": 1", "\"v\": 2"), "version is 2");
    check(&index, &good_index.replace("\"ed25519\"", "\"rsa\""), "is not a key for rsa");
    write_secret(&dir.path().join("t._domainkey.asso.example.pem"), &good_key).unwrap();
    assert!(matches!(DkimKeys::open(dir.path()), Err(DkimError::Stray { .. })));
    fs::remove_file(dir.path().join("t._domainkey.asso.example.pem")).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(matches!(DkimKeys::open(dir.path()), Err(DkimError::File(KeysError::Io { .. }))));
}

#[test]
fn a_rotation_overlaps_and_says_when_the_old_record_may_go() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    let old = keys.create(&domain(), Some("old"), &ED25519, NOW).unwrap();
    let begin = NOW + 2 * DAY;
    let new = keys.rotate(&domain(), None, NOW, begin).unwrap();
    assert_eq!(selectors(&new), ["sm2tp1-ed25519"]);
    let keys = DkimKeys::open(dir.path()).unwrap();
    let states = |now| keys.all().iter().map(|key| key.state(now)).collect::<Vec<_>>();
    assert_eq!(states(NOW), [State::Signing, State::Waiting]);
    assert_eq!(selectors(&keys.signing("asso.example", begin - 1)), ["old"]);
    assert_eq!(selectors(&keys.signing("asso.example", begin)), ["sm2tp1-ed25519"]);
    assert_eq!(states(begin), [State::Retired, State::Signing]);
    assert_eq!(states(begin + SIGNATURE_LIFE_S - 1), [State::Retired, State::Signing]);
    assert_eq!(states(begin + SIGNATURE_LIFE_S), [State::Over, State::Signing]);
    assert_eq!(keys.all()[0].record().unwrap(), old[0].record().unwrap());

    // While one waits, another is refused, and --now ends the wait.
    assert!(matches!(keys.rotate(&domain(), None, NOW, begin), Err(DkimError::Rotating { .. })));
    let version = keys.version();
    assert_eq!(selectors(&keys.rotate(&domain(), None, NOW + 9, NOW + 9).unwrap()), ["sm2tp1-ed25519"]);
    assert_ne!(keys.version(), version);
    assert_eq!(selectors(&keys.signing("asso.example", NOW + 9)), ["sm2tp1-ed25519"]);
    // Numbers are not used twice, not even after the key is gone.
    keys.remove(&domain(), "sm2tp1-ed25519").unwrap();
    assert!(matches!(keys.rotate(&domain(), None, NOW + 9, NOW + 9), Err(DkimError::NoKey(_))));
    assert_eq!(selectors(&keys.create(&domain(), None, &ED25519, NOW + 9).unwrap()), ["sm2tp2-ed25519"]);
    assert_eq!(DkimKeys::open(dir.path()).unwrap().all().len(), 2);
}

#[test]
fn an_own_key_is_taken_over_and_given_back_as_it_was() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    let pem = Secret::generate(Algorithm::Ed25519).unwrap().to_pem().unwrap();
    let taken = keys.create(&domain(), Some("Mail"), &Source::Pem(&pem), NOW).unwrap();
    assert_eq!(taken[0].record().unwrap().name, "mail._domainkey.asso.example");
    assert_eq!(*taken[0].secret.to_pem().unwrap(), *pem);
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_kept() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    keys.create(&domain(), Some("s"), &ED25519, NOW).unwrap();
    let other = Domain::parse("b.example").unwrap();
    let long = "a".repeat(64);
    for selector in ["", "a b", "../etc", "a..b", "-a", "a_b", long.as_str()] {
        let error = keys.create(&other, Some(selector), &ED25519, NOW).err().unwrap();
        assert!(matches!(error, DkimError::Selector(_)), "{selector}: {error}");
    }
    let local = Domain::parse("localhost").unwrap();
    assert!(matches!(keys.create(&local, None, &ED25519, NOW), Err(DkimError::Domain(_))));
    assert!(matches!(keys.create(&domain(), Some("t"), &ED25519, NOW), Err(DkimError::Exists { .. })));
    assert!(matches!(keys.create(&other, None, &Source::Pem("x"), NOW), Err(DkimError::Unusable(_))));
    assert!(matches!(keys.rotate(&domain(), Some("s"), NOW, NOW), Err(DkimError::Used { .. })));
    assert!(matches!(keys.remove(&other, "s"), Err(DkimError::NoSelector { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn names_beyond_ascii_are_kept_as_the_dns_writes_them() {
    let dir = TempDir::new();
    let keys = DkimKeys::open(dir.path()).unwrap();
    let made = keys.create(&Domain::parse("café.example").unwrap(), Some("s"), &ED25519, NOW).unwrap();
    assert_eq!(made[0].record().unwrap().name, "s._domainkey.xn--caf-dma.example");
}
