//! All rules of all files in the order in which they are asked, compiled into one automaton over their literals.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::conditions::CodeRange;
use super::file::{
    self, CodeEntry, FullExample, Places, ProviderEntry, RuleEntry, RuleFile, RuleOrigin, RulesError, Take,
};
use super::plain::plain;
use super::reading::STAGE_SIGNS;
use super::wait::patience_signs;
use super::{Provider, Source};
use crate::outcome::{Cause, Fate, Scope, Stage, Strength};

/// The compiled rules. A rule's place in `rules` is its rank: the first that holds decides.
pub(super) struct Book {
    pub automaton: AhoCorasick,
    /// For each literal of the automaton, what it is good for.
    pub uses: Vec<Vec<Use>>,
    pub patterns: Vec<Pattern>,
    /// Patterns of several parts.
    pub slots: usize,
    pub tables: Vec<Table>,
    pub rules: Vec<Rule>,
    /// Ranks of rules that need no literal.
    pub always: Vec<usize>,
    pub providers: Vec<Provider>,
    /// MX suffix to index into `providers`.
    pub suffixes: HashMap<String, usize>,
}

/// One rule as it is asked.
pub(super) struct Rule {
    pub name: Arc<str>,
    pub origin: RuleOrigin,
    pub examples: Vec<FullExample>,
    /// Indices of providers, empty for all.
    pub providers: Vec<usize>,
    pub stages: Vec<Stage>,
    pub codes: Vec<CodeRange>,
    pub verdict: Verdict,
    /// Whose code table this is: named in the outcome where the MX is unknown.
    pub owner: Option<usize>,
}

/// What a rule says where it says something.
pub(super) struct Verdict {
    pub cause: Cause,
    pub sub: Option<Arc<str>>,
    pub fate: Option<Fate>,
    pub scope: Option<Scope>,
    pub strength: Strength,
    pub wait_s: Option<u32>,
}

/// Literals that must follow each other; one entry of `any` or `unless`.
pub(super) struct Pattern {
    pub rule: usize,
    pub vetoes: bool,
    pub parts: usize,
    /// Where a scan notes how far a pattern of several parts has come.
    pub slot: usize,
}

/// A family of codes behind a prefix.
pub(super) struct Table {
    pub take: Take,
    pub codes: Vec<(Vec<Key>, usize)>,
}

/// Which codes a line of a table is about.
pub(super) enum Key {
    /// `988-990`
    Range(u32, u32),
    /// `416`, or `?01` where any one character may stand for `?`.
    Word(String),
}

/// What the find of a literal means.
pub(super) struct Use {
    pub what: What,
    pub left_edge: bool,
    pub right_edge: bool,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    Part {
        pattern: usize,
        index: usize,
    },
    Table(usize),
    Sign(usize),
    Stage(Stage),
    /// The text may name a time to wait.
    Patience,
}

impl Key {
    pub(super) fn parse(word: &str) -> Self {
        let ends = word.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        ends.map_or_else(|| Self::Word(word.to_ascii_lowercase()), |(first, last)| Self::Range(first, last))
    }

    pub(super) fn is(&self, found: &str) -> bool {
        match self {
            Self::Range(first, last) => found.parse().is_ok_and(|n: u32| (*first..=*last).contains(&n)),
            Self::Word(word) => {
                word.len() == found.len() && word.bytes().zip(found.bytes()).all(|(w, f)| w == b'?' || w == f)
            }
        }
    }
}

/// Compiles the sources in their order.
pub(super) fn bind(sources: &[Source<'_>]) -> Result<Book, RulesError> {
    let mut binder = Binder::default();
    let mut files = Vec::new();
    for source in sources {
        let places = Places::of(source);
        let read = file::read(source, &places)?;
        binder.providers(&read.provider, &places)?;
        files.push((places, read));
    }
    for (places, read) in files {
        binder.file(&places, read)?;
    }
    binder.finish()
}

#[derive(Default)]
struct Binder {
    literals: Vec<String>,
    known_literals: HashMap<String, usize>,
    uses: Vec<Vec<Use>>,
    patterns: Vec<Pattern>,
    slots: usize,
    tables: Vec<Table>,
    rules: Vec<Rule>,
    always: Vec<usize>,
    providers: Vec<Provider>,
    suffixes: HashMap<String, usize>,
    /// Names of rules in earlier files: a later rule of the same name is replaced by the earlier one.
    replaced: HashSet<String>,
}

impl Binder {
    /// Providers come first in all files: an administrator's rule may name a provider that we ship.
    fn providers(&mut self, entries: &[ProviderEntry], places: &Places) -> Result<(), RulesError> {
        for entry in entries {
            let at = places.origin(entry.id.span());
            let id = entry.id.as_ref();
            let index = self.provider(id).unwrap_or_else(|| {
                let name = Arc::from(entry.name.as_deref().unwrap_or(id));
                self.providers.push(Provider { id: Arc::from(id.as_str()), code: 0, name });
                self.providers.len() - 1
            });
            let known = self.providers[index].code;
            match entry.code {
                Some(found) if known != 0 && known != found => {
                    return Err(RulesError::ProviderCode { at, provider: id.clone(), found, known });
                }
                Some(found) => self.providers[index].code = found,
                None => {}
            }
            for mx in &entry.mx {
                self.suffixes.entry(mx.trim_matches('.').to_ascii_lowercase()).or_insert(index);
            }
            for sign in &entry.signs {
                self.literal(sign, What::Sign(index), &at)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, places: &Places, read: RuleFile) -> Result<(), RulesError> {
        let mut names = HashSet::new();
        for entry in read.provider {
            self.tables(entry, places, &mut names)?;
        }
        for entry in read.rule {
            let at = places.origin(entry.name.span());
            once(&mut names, entry.name.as_ref(), &at)?;
            if !self.replaced.contains(entry.name.as_ref()) {
                self.rule(entry, at)?;
            }
        }
        self.replaced.extend(names);
        Ok(())
    }

    fn tables(&mut self, entry: ProviderEntry, places: &Places, names: &mut HashSet<String>) -> Result<(), RulesError> {
        let id = entry.id.into_inner();
        let owner = self.provider(&id);
        for table in entry.table {
            let at = places.origin(table.prefix.span());
            let index = self.tables.len();
            let keyed: Vec<usize> = if table.anywhere { Vec::new() } else { owner.into_iter().collect() };
            let prefix = table.prefix.into_inner();
            // A prefix that begins with a letter begins a word: "ofr" is not to be found in "gaufr_416".
            let edge = if prefix.starts_with(|c: char| c.is_alphanumeric()) { "|" } else { "" };
            self.literal(&format!("{edge}{prefix}"), What::Table(index), &at)?;
            self.tables.push(Table { take: table.take, codes: Vec::new() });
            for code in table.codes {
                let at = places.origin(code.span());
                let code = code.into_inner();
                let mut name = format!("{id}-{}-{}", table.name, code.is.first().map_or("", String::as_str));
                code.code.iter().for_each(|said| name.extend(["-", said]));
                once(names, &name, &at)?;
                if !self.replaced.contains(&name) {
                    let keys = code.is.iter().map(|key| Key::parse(key)).collect();
                    self.tables[index].codes.push((keys, self.rules.len()));
                    self.code(code, name, at, &keyed, owner)?;
                }
            }
        }
        Ok(())
    }

    fn code(
        &mut self,
        entry: CodeEntry,
        name: String,
        origin: RuleOrigin,
        keyed: &[usize],
        owner: Option<usize>,
    ) -> Result<(), RulesError> {
        let (cause, sub) = file::says(&entry.says, &origin)?;
        let examples = examples(entry.example.into_list(), &name, &origin)?;
        let strength = entry.strength.unwrap_or(Strength::Strong);
        let verdict = Verdict { cause, sub, fate: entry.fate, scope: entry.scope, strength, wait_s: entry.wait_s };
        self.rules.push(Rule {
            name: Arc::from(name),
            codes: codes(&entry.code, &origin)?,
            origin,
            examples,
            providers: keyed.to_vec(),
            stages: entry.stage,
            verdict,
            owner,
        });
        Ok(())
    }

    fn rule(&mut self, entry: RuleEntry, origin: RuleOrigin) -> Result<(), RulesError> {
        let name = entry.name.into_inner();
        let rank = self.rules.len();
        let (cause, sub) = file::says(&entry.says, &origin)?;
        let examples = examples(entry.example.into_list(), &name, &origin)?;
        if entry.any.is_empty() && entry.code.is_empty() && entry.stage.is_empty() {
            return Err(RulesError::NoCondition { at: origin, rule: name });
        }
        let codes = codes(&entry.code, &origin)?;
        let providers = entry.provider.iter().map(|id| self.known_provider(id, &origin)).collect::<Result<_, _>>()?;
        for literals in &entry.any {
            self.pattern(literals, rank, false, &origin)?;
        }
        for literals in &entry.unless {
            self.pattern(literals, rank, true, &origin)?;
        }
        if entry.any.is_empty() {
            self.always.push(rank);
        }
        let strength = entry.strength.unwrap_or(Strength::Strong);
        let verdict = Verdict { cause, sub, fate: entry.fate, scope: entry.scope, strength, wait_s: entry.wait_s };
        let stages = entry.stage;
        self.rules.push(Rule {
            name: Arc::from(name),
            origin,
            examples,
            providers,
            stages,
            codes,
            verdict,
            owner: None,
        });
        Ok(())
    }

    fn pattern(&mut self, text: &str, rule: usize, vetoes: bool, at: &RuleOrigin) -> Result<(), RulesError> {
        let pattern = self.patterns.len();
        let mut parts = 0;
        for part in text.split(" & ") {
            self.literal(part, What::Part { pattern, index: parts }, at)?;
            parts += 1;
        }
        self.patterns.push(Pattern { rule, vetoes, parts, slot: self.slots });
        self.slots += usize::from(1 < parts);
        Ok(())
    }

    fn literal(&mut self, text: &str, what: What, at: &RuleOrigin) -> Result<(), RulesError> {
        let (left_edge, rest) = text.strip_prefix('|').map_or((false, text), |rest| (true, rest));
        let (right_edge, word) = rest.strip_suffix('|').map_or((false, rest), |rest| (true, rest));
        if word.is_empty() || plain(word, None, None) != word.trim() {
            return Err(RulesError::Literal { at: at.clone(), literal: text.to_owned() });
        }
        let index = *self.known_literals.entry(word.to_owned()).or_insert_with(|| {
            self.literals.push(word.to_owned());
            self.uses.push(Vec::new());
            self.uses.len() - 1
        });
        self.uses[index].push(Use { what, left_edge, right_edge });
        Ok(())
    }

    fn provider(&self, id: &str) -> Option<usize> {
        self.providers.iter().position(|provider| &*provider.id == id)
    }

    fn known_provider(&self, id: &str, at: &RuleOrigin) -> Result<usize, RulesError> {
        self.provider(id).ok_or_else(|| {
            let known = self.providers.iter().map(|provider| &*provider.id).collect::<Vec<_>>().join(", ");
            RulesError::Provider { at: at.clone(), provider: id.to_owned(), known }
        })
    }

    fn finish(mut self) -> Result<Book, RulesError> {
        let built_in = RuleOrigin { file: Arc::from("built-in signs"), line: 1 };
        for (sign, stage) in STAGE_SIGNS {
            self.literal(sign, What::Stage(*stage), &built_in)?;
        }
        for sign in patience_signs() {
            self.literal(&sign, What::Patience, &built_in)?;
        }
        // Four hundred kilobytes; the dense kind needs ten megabytes, which other work drives out of the processor's
        // caches between two replies: it runs fewer instructions and takes a third longer.
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&self.literals);
        let automaton = automaton.map_err(|error| RulesError::TooMany { what: error.to_string() })?;
        Ok(Book {
            automaton,
            uses: self.uses,
            patterns: self.patterns,
            slots: self.slots,
            tables: self.tables,
            rules: self.rules,
            always: self.always,
            providers: self.providers,
            suffixes: self.suffixes,
        })
    }
}

fn codes(words: &[String], at: &RuleOrigin) -> Result<Vec<CodeRange>, RulesError> {
    let read =
        |code: &String| CodeRange::parse(code).ok_or_else(|| RulesError::Code { at: at.clone(), code: code.clone() });
    words.iter().map(read).collect()
}

fn once(names: &mut HashSet<String>, name: &str, at: &RuleOrigin) -> Result<(), RulesError> {
    if names.insert(name.to_owned()) {
        return Ok(());
    }
    Err(RulesError::Twice { at: at.clone(), rule: name.to_owned() })
}

fn examples(list: Vec<FullExample>, rule: &str, at: &RuleOrigin) -> Result<Vec<FullExample>, RulesError> {
    if list.is_empty() {
        return Err(RulesError::NoExample { at: at.clone(), rule: rule.to_owned() });
    }
    Ok(list)
}
