//! Whose fault is this answer? Replies of mail servers to outcomes, by rules that are data (`DESIGN.md` §5).

mod book;
mod conditions;
#[cfg(test)]
mod corpus;
mod delivered;
mod file;
mod link;
mod local;
#[cfg(test)]
mod page;
mod plain;
mod reading;
mod reported;
mod rulebook;
mod scan;
mod shape;
mod wait;

use std::fmt;
use std::sync::Arc;

use sm2tp_proto::Enhanced;

pub use self::file::{RuleOrigin, RulesError};
pub use self::local::local;
pub use self::rulebook::Rulebook;
pub use self::shape::shape;
use crate::outcome::{Cause, Fate, Outcome, Scope, Stage, Strength};
use book::{Book, Rule};
use scan::Scan;

/// A rule file and its name, which errors and explanations repeat.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

/// The rules of all files, ready to be asked. Immutable: build once, share in an `Arc`, swap on reload.
pub struct Classifier {
    book: Book,
    version: Arc<str>,
}

/// Who runs a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The word of outcomes and rules: `orange`, `google`.
    pub id: Arc<str>,
    /// The provider code of the federation, 0 for those that have none.
    pub code: u8,
    /// The name that people know.
    pub name: Arc<str>,
}

/// What was said, and what is known about the circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// Where in the dialogue; none where a log or a report does not tell.
    pub stage: Option<Stage>,
    /// The host name of the MX that spoke.
    pub mx: Option<&'a str>,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// The words; codes may stand in them, too.
    pub text: &'a str,
}

/// An example that does not hit its own rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleMiss {
    pub rule: Arc<str>,
    pub origin: RuleOrigin,
    pub text: String,
    /// The rule that decided instead.
    pub hit: Arc<str>,
}

impl<'a> Said<'a> {
    /// A bare reply text as in logs, `550-5.1.1 …`: finds the code and the enhanced code, also behind
    /// "host X said:", "refused to talk to me:" and `220-banner 421`. The stage stays open.
    #[must_use]
    pub fn of_text(text: &'a str) -> Self {
        let (code, enhanced) = reading::codes(text);
        Self { stage: None, mx: None, code, enhanced, text }
    }

    /// Codes that the caller did not know are looked for in the text.
    fn with_codes(mut self) -> Self {
        if self.code.is_none() {
            let (code, enhanced) = reading::codes(self.text);
            self.code = code;
            self.enhanced = self.enhanced.or(enhanced);
        }
        if self.enhanced.is_none() {
            self.enhanced = reading::enhanced(self.text, self.code.map(|code| code / 100));
        }
        self
    }

    fn is_temporary(&self) -> bool {
        match (self.code, self.enhanced) {
            (Some(code), _) => code < 500,
            (None, enhanced) => enhanced.is_some_and(|enhanced| enhanced.0 == 4),
        }
    }
}

impl Classifier {
    /// The rules that come with the program.
    #[must_use]
    pub fn shipped() -> Self {
        Self::load(&[SHIPPED]).expect("a test loads the shipped rules")
    }

    /// The source of [`Classifier::shipped`], to be put behind an administrator's own.
    #[must_use]
    pub fn shipped_source() -> Source<'static> {
        SHIPPED
    }

    /// Compiles rule files. Rules of earlier sources are asked before those of later ones; inside a file the code
    /// tables of providers come before the rules, each in the order of the file. A later rule with the name of an
    /// earlier one is replaced by it.
    ///
    /// # Errors
    /// [`RulesError`] names file, line, what is wrong and what is allowed.
    pub fn load(sources: &[Source<'_>]) -> Result<Self, RulesError> {
        let version = Arc::from(format!("{:016x}", fingerprint(sources)));
        Ok(Self { book: book::bind(sources)?, version })
    }

    /// Tells these rules from others: 16 hexadecimal digits over the texts of the files. Kept with each outcome, so that
    /// outcomes of older rules can be found and read again.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// What an answer means. Looks at the first 4 KiB of the text; never fails.
    #[must_use]
    pub fn classify(&self, said: &Said<'_>) -> Outcome {
        let said = said.with_codes();
        let plain = plain::plain(said.text, said.code, said.enhanced);
        let scan = Scan::new(&self.book, &plain);
        let stage = stage(&said, &scan);
        let by_mx = said.mx.and_then(|mx| self.provider_index(mx));
        let provider = by_mx.or(scan.sign);
        let rule = scan.ranks().map(|rank| &self.book.rules[rank]).find(|rule| holds(rule, &said, stage, provider));
        let wait_s = || scan.patience.then(|| wait::wait_s(&plain)).flatten();
        match rule {
            Some(rule) => self.outcome(rule, &said, stage, provider, wait_s),
            None => self.unknown(&said, provider, wait_s),
        }
    }

    /// The provider whose MX suffix is the longest that fits.
    #[must_use]
    pub fn provider(&self, mx: &str) -> Option<&Provider> {
        self.provider_index(mx).map(|index| &self.book.providers[index])
    }

    /// All providers that the files describe.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.book.providers
    }

    /// Where a rule is written.
    #[must_use]
    pub fn explain(&self, rule: &str) -> Option<&RuleOrigin> {
        self.book.rules.iter().find(|found| &*found.name == rule).map(|found| &found.origin)
    }

    /// The examples of all rules, in the order of the rules.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.book.rules.iter().flat_map(|rule| &rule.examples).map(|example| example.text.as_str())
    }

    /// Examples that another rule takes: in the shipped file a mistake, in a pair of files perhaps what the
    /// administrator wants.
    #[must_use]
    pub fn example_misses(&self) -> Vec<ExampleMiss> {
        let mut misses = Vec::new();
        for rule in &self.book.rules {
            for example in &rule.examples {
                let said = Said { mx: example.mx.as_deref(), stage: example.stage, ..Said::of_text(&example.text) };
                let hit = self.classify(&said).rule;
                if hit != rule.name {
                    let text = example.text.clone();
                    misses.push(ExampleMiss { rule: Arc::clone(&rule.name), origin: rule.origin.clone(), text, hit });
                }
            }
        }
        misses
    }

    fn provider_index(&self, mx: &str) -> Option<usize> {
        let host = plain::head(mx).trim_end_matches('.').to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(index) = self.book.suffixes.get(rest) {
                return Some(*index);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    fn outcome(
        &self,
        rule: &Rule,
        said: &Said<'_>,
        stage: Option<Stage>,
        provider: Option<usize>,
        wait_s: impl FnOnce() -> Option<u32>,
    ) -> Outcome {
        let verdict = &rule.verdict;
        let temporary = said.is_temporary();
        let usual = conditions::usual_fate(verdict.cause, temporary);
        let fate = verdict.fate.unwrap_or(usual);
        // A temporary answer about an address ends nothing, whatever the rule says.
        let fate = if verdict.cause == Cause::Address && temporary { Fate::Later } else { fate };
        let wait_s = if fate == Fate::Final { None } else { wait_s().or(verdict.wait_s) };
        Outcome {
            cause: verdict.cause,
            sub: verdict.sub.clone(),
            fate,
            scope: verdict.scope.unwrap_or_else(|| conditions::usual_scope(verdict.cause, verdict.sub.as_deref())),
            strength: conditions::sure(verdict.cause, verdict.strength, stage, (temporary, said.enhanced)),
            rule: Arc::clone(&rule.name),
            provider: self.provider_id(provider.or(rule.owner)),
            code: said.code,
            enhanced: said.enhanced,
            retry_after_s: wait_s,
            link: link(said),
        }
    }

    fn unknown(&self, said: &Said<'_>, provider: Option<usize>, wait_s: impl FnOnce() -> Option<u32>) -> Outcome {
        let fate = conditions::usual_fate(Cause::Unknown, said.is_temporary());
        Outcome {
            cause: Cause::Unknown,
            sub: None,
            fate,
            scope: Scope::Recipient,
            strength: Strength::Weak,
            rule: Arc::from(NO_RULE),
            provider: self.provider_id(provider),
            code: said.code,
            enhanced: said.enhanced,
            retry_after_s: if fate == Fate::Final { None } else { wait_s() },
            link: link(said),
        }
    }

    fn provider_id(&self, index: Option<usize>) -> Option<Arc<str>> {
        index.map(|index| Arc::clone(&self.book.providers[index].id))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier").field("rules", &self.book.rules.len()).finish_non_exhaustive()
    }
}

/// FNV-1a over all texts: it has to notice a change, not to withstand an attack.
fn fingerprint(sources: &[Source<'_>]) -> u64 {
    let octets = sources.iter().flat_map(|source| source.text.bytes().chain([0]));
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

/// The caller knows the stage best; a log line may still tell "end of data" from DATA.
fn stage(said: &Said<'_>, scan: &Scan<'_>) -> Option<Stage> {
    match (said.stage, scan.stage) {
        (None, None) if reading::is_banner(said.text) => Some(Stage::Connect),
        // A report is told later; its words say when in the dialogue it was.
        (None | Some(Stage::Data | Stage::Dsn), Some(told)) => Some(told),
        (known, _) => known,
    }
}

fn link(said: &Said<'_>) -> Option<Arc<str>> {
    link::link(plain::head(said.text)).map(Arc::from)
}

fn holds(rule: &Rule, said: &Said<'_>, stage: Option<Stage>, provider: Option<usize>) -> bool {
    conditions::possible_at(rule.verdict.cause, stage)
        && (rule.stages.is_empty() || stage.is_some_and(|stage| rule.stages.contains(&stage)))
        && (rule.codes.is_empty() || rule.codes.iter().any(|code| code.holds(said.code, said.enhanced)))
        && (rule.providers.is_empty() || provider.is_some_and(|provider| rule.providers.contains(&provider)))
}

/// The name in the outcome where no rule holds.
pub const NO_RULE: &str = "none";
const SHIPPED: Source<'static> = Source { file: "replies.toml", text: include_str!("../data/replies.toml") };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::LocalFailure;

    /// A reply and its circumstances, and cause, fate and strength that it must have.
    #[track_caller]
    fn check(stage: Option<Stage>, text: &str, want: (Cause, Fate, Strength)) {
        let outcome = Classifier::shipped().classify(&Said { stage, ..Said::of_text(text) });
        assert_eq!((outcome.cause, outcome.fate, outcome.strength), want, "{text}: {outcome:?}");
    }

    #[track_caller]
    fn check_wait(text: &str, want: Option<u32>) {
        assert_eq!(Classifier::shipped().classify(&Said::of_text(text)).retry_after_s, want, "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, want: &str) {
        let error = Classifier::load(&[Source { file: "own.toml", text }]).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn every_example_hits_its_own_rule() {
        let classifier = Classifier::load(&[SHIPPED]).unwrap_or_else(|error| panic!("{error}"));
        let misses = classifier.example_misses();
        for miss in &misses {
            println!("{} {} is taken by {}: {}", miss.origin, miss.rule, miss.hit, miss.text);
        }
        assert_eq!(misses.len(), 0);
    }

    #[test]
    fn thirty_providers_are_known_and_their_numbers_differ() {
        let classifier = Classifier::shipped();
        let mut codes: Vec<u8> = classifier.providers().iter().map(|provider| provider.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert!(30 <= codes.len() && codes.len() == classifier.providers().len() && !codes.contains(&0), "{codes:?}");
    }

    #[test]
    fn the_longest_suffix_on_a_label_border_names_the_provider() {
        let classifier = Classifier::shipped();
        let id = |mx: &str| classifier.provider(mx).map(|provider| provider.id.to_string());
        assert_eq!(id("SMTP-IN.orange.fr.").as_deref(), Some("orange"));
        assert_eq!(id("example-org.mail.protection.outlook.com").as_deref(), Some("microsoft"));
        assert_eq!(id("mx.notorange.fr"), None);
        assert_eq!(id(""), None);
    }

    #[test]
    fn who_speaks_before_rcpt_cannot_mean_the_address() {
        let refused = (Cause::Ip, Fate::Elsewhere, Strength::Weak);
        check(Some(Stage::Connect), "550 5.1.1 User unknown", refused);
        check(Some(Stage::Ehlo), "552 5.2.2 Mailbox full", refused);
        check(Some(Stage::Connect), "554 spam", refused);
        check(Some(Stage::Mail), "550 5.1.1 User unknown", (Cause::Auth, Fate::Final, Strength::Weak));
        check(None, "host mx[192.0.2.1] refused to talk to me: 550 5.1.1 User unknown", refused);
        for stage in [Stage::Connect, Stage::Ehlo, Stage::StartTls, Stage::Mail] {
            for code in ["", "450 ", "550 ", "550 5.1.1 ", "450 4.2.2 ", "553 5.1.3 ", "550 5.7.504 "] {
                let text = format!("{code}user unknown, mailbox full, OFR_416, LPN004_420, ?p=NoSuchUser");
                let said = Said { stage: Some(stage), ..Said::of_text(&text) };
                let cause = Classifier::shipped().classify(&said).cause;
                assert!(!matches!(cause, Cause::Address | Cause::Mailbox), "{stage} {text}: {cause}");
            }
        }
    }

    #[test]
    fn one_answer_condemns_only_when_it_is_permanent_and_about_the_recipient() {
        check(Some(Stage::Rcpt), "550 5.1.1 User unknown", (Cause::Address, Fate::Final, Strength::Strong));
        check(Some(Stage::Rcpt), "450 4.1.1 User unknown", (Cause::Address, Fate::Later, Strength::Weak));
        check(Some(Stage::Eod), "550 User unknown", (Cause::Address, Fate::Final, Strength::Weak));
        check(
            Some(Stage::Rcpt),
            "550 Requested action not taken: mailbox unavailable",
            (Cause::Address, Fate::Final, Strength::Weak),
        );
    }

    #[test]
    fn the_first_digit_does_not_decide_what_happens_to_the_message() {
        let refused = (Cause::Content, Fate::Final, Strength::Strong);
        check(Some(Stage::Eod), "550 5.5.0 Service refusé. Veuillez essayer plus tard. LPN007_510", refused);
        check(
            None,
            "421 4.7.0 Our system has detected that this message is suspicious due to the nature of the content \
                     and/or the links within.",
            refused,
        );
        check(None, "451 4.7.1 Mail deferred due to antispam policy", refused);
        check(
            None,
            "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred",
            (Cause::Ip, Fate::Elsewhere, Strength::Strong),
        );
        check(
            None,
            "421 4.7.26 Unauthenticated email from example.org is not accepted",
            (Cause::Auth, Fate::Hold, Strength::Strong),
        );
    }

    #[test]
    fn a_data_centre_name_is_not_a_block_list_of_yahoo() {
        let classifier = Classifier::shipped();
        let text = "550 5.4.1 Recipient address rejected: Access denied [BL2NAM02FT061.prod.protection.outlook.com]";
        for mx in [None, Some("x.mail.protection.outlook.com"), Some("mta6.am0.yahoodns.net")] {
            let outcome = classifier.classify(&Said { mx, ..Said::of_text(text) });
            assert_eq!(outcome.cause, Cause::Address, "{mx:?}");
        }
    }

    #[test]
    fn code_words_name_their_provider_where_the_mx_does_not() {
        let outcome = Classifier::shipped().classify(&Said::of_text("550 5.1.1 Invalid recipient. OFR_416 [416]"));
        assert_eq!(outcome.provider.as_deref(), Some("orange"));
        assert_eq!(&*outcome.rule, "orange-ofr-416");
        assert_eq!(outcome.sub.as_deref(), Some("no-user"));
    }

    #[test]
    fn times_to_wait_are_taken_from_the_words_or_the_rule() {
        check_wait("451 4.7.1 Greylisting in action, please come back in 00:05:00", Some(300));
        check_wait("450 4.2.0 Greylisted for 300 seconds", Some(300));
        check_wait("421 Too many connections, try again in 99999999 seconds", Some(86_400));
        check_wait(
            "421 Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/",
            Some(86_400),
        );
        check_wait("450 4.7.1 Service refused due to bad behavior SFR_IN_301", Some(7200));
        check_wait("550 5.1.1 User unknown, try again in 300 seconds", None);
    }

    #[test]
    fn hostile_texts_cost_little_and_break_nothing() {
        let classifier = Classifier::shipped();
        let long = "550 5.1.1 user unknown ".repeat(500_000);
        assert_eq!(classifier.classify(&Said::of_text(&long)).cause, Cause::Address);
        let parts = "user ".repeat(2000);
        let bytes: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let noise = String::from_utf8_lossy(&bytes);
        let wide = "é".repeat(5000);
        for text in
            ["", "\0", "@", "<@", "550", "550-", "5.1.1", "\u{1b}]0;x\u{7}", "[", "ofr", "(as", &parts, &noise, &wide]
        {
            let said = Said::of_text(text);
            for stage in Stage::ALL {
                let outcome = classifier.classify(&Said { stage: Some(*stage), mx: Some(text), ..said });
                assert!(outcome.retry_after_s.is_none_or(|s| (1..=86_400).contains(&s)), "{outcome:?}");
            }
        }
    }

    #[test]
    fn an_unknown_answer_blames_nobody() {
        check(None, "550 Nope", (Cause::Unknown, Fate::Final, Strength::Weak));
        check(Some(Stage::Rcpt), "599 ", (Cause::Unknown, Fate::Final, Strength::Weak));
        assert_eq!(&*Classifier::shipped().classify(&Said::of_text("550 Nope")).rule, NO_RULE);
    }

    const OWN: &str = r#"
version = 1

[[provider]]
id = "neighbour"
mx = ["neighbour.example"]

[[rule]]
name = "neighbour-full"
says = "mailbox.full"
provider = ["neighbour"]
any = ["user unknown"]
example = { text = "550 5.1.1 user unknown", mx = "mx1.neighbour.example" }

[[rule]]
name = "dmarc"
says = "policy"
any = ["|dmarc|"]
example = "550 5.7.1 rejected by DMARC policy"
"#;

    #[test]
    fn an_administrators_rules_come_first_and_replace_shipped_ones_of_the_same_name() {
        let both = Classifier::load(&[Source { file: "own.toml", text: OWN }, SHIPPED]).unwrap();
        let said = Said::of_text("550 5.1.1 user unknown");
        assert_eq!(both.classify(&said).cause, Cause::Address);
        let outcome = both.classify(&Said { mx: Some("mx1.neighbour.example"), ..said });
        assert_eq!((outcome.cause, outcome.provider.as_deref()), (Cause::Mailbox, Some("neighbour")));
        assert_eq!(both.classify(&Said::of_text("550 rejected by DMARC policy")).cause, Cause::Policy);
        assert_eq!(both.explain("neighbour-full").unwrap().to_string(), "own.toml:9");
        assert_eq!(both.explain("dmarc").unwrap().file.as_ref(), "own.toml");
        assert_eq!(both.explain("spf").unwrap().file.as_ref(), "replies.toml");
        assert_eq!(both.explain("nothing"), None);
        assert!(both.example_misses().iter().all(|miss| &*miss.hit == "dmarc"), "{:?}", both.example_misses());
    }

    #[test]
    fn a_wrong_rule_file_says_where_and_what_is_allowed() {
        let rule = |rest: &str| format!("version = 1\n\n[[rule]]\nname = \"r\"\n{rest}\n");
        let full = |rest: &str| rule(&format!("says = \"ip\"\nexample = \"550 x\"\n{rest}"));
        check_error("version = 2", "own.toml:1: version 2 is not known; this program reads `version = 1`");
        check_error("version = 1\n[[rule", "own.toml:2: ");
        check_error(&rule("says = \"ip\"\nany = [\"x\"]"), "own.toml:4: rule \"r\" has no example");
        check_error(&full("any = [\"x\"]\ncolour = 3"), "own.toml:8: unknown field `colour`, expected one of");
        check_error(&full(""), "would hit every reply");
        check_error(
            &rule("says = \"bad\"\nany = [\"x\"]\nexample = \"x\""),
            "allowed is CAUSE or CAUSE.SUB with CAUSE one of address",
        );
        check_error(&full("any = [\"User\"]"), "own.toml:4: \"User\" can never hit");
        check_error(&full("any = [\"\"]"), "can never hit");
        check_error(&full("code = [\"five\"]"), "code \"five\" is not known; allowed are \"550\"");
        check_error(&full("any = [\"x\"]\nprovider = [\"nobody\"]"), "provider \"nobody\" is not described");
        check_error(
            &full("any = [\"x\"]\nfate = \"never\""),
            "own.toml:8: unknown variant `never`, expected one of `final`",
        );
        check_error(
            &full("any = [\"x\"]\n[[rule]]\nname = \"r\"\nsays = \"ip\"\nany = [\"y\"]\nexample = \"y\""),
            "stands twice",
        );
        check_error(
            "version = 1\n[[provider]]\nid = \"a\"\ncode = 1\n[[provider]]\nid = \"a\"\ncode = 2",
            "has code 2 here and 1",
        );
    }

    #[test]
    fn local_failures_are_named_without_any_text() {
        assert_eq!(&*local(LocalFailure::NoSuchDomain).rule, "local-no-such-domain");
    }
}
