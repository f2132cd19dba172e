//! The rule file as it is written: TOML, and what is said about it when it is wrong.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::Source;
use crate::outcome::{Cause, Fate, Scope, Stage, Strength};

/// A rule file that cannot be used: where, what is wrong, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    #[error("{at}: {what}")]
    Syntax { at: RuleOrigin, what: String },
    #[error("{at}: version {found} is not known; this program reads `version = {VERSION}`")]
    Version { at: RuleOrigin, found: u32 },
    #[error("{at}: rule {rule:?} has no example; give a reply that must hit it: example = \"550 5.1.1 User unknown\"")]
    NoExample { at: RuleOrigin, rule: String },
    #[error("{at}: rule {rule:?} stands twice in this file; names are unique, for example {rule:?} and \"{rule}-2\"")]
    Twice { at: RuleOrigin, rule: String },
    #[error("{at}: rule {rule:?} would hit every reply; give it `any`, `code` or `stage`: any = [\"user unknown\"]")]
    NoCondition { at: RuleOrigin, rule: String },
    #[error("{at}: says = {says:?} is not known; allowed is CAUSE or CAUSE.SUB with CAUSE one of {}", causes())]
    Says { at: RuleOrigin, says: String },
    #[error(
        "{at}: {literal:?} can never hit; allowed is lower case without accents, single blanks, `|` at an edge of \
             a word, ` & ` between parts: any = [\"user & |unknown|\"]"
    )]
    Literal { at: RuleOrigin, literal: String },
    #[error(
        "{at}: code {code:?} is not known; allowed are \"550\", \"550-554\", \"5xx\", \"5.1.1\", \"x.2.2\", \
             \"5.7.606-649\", \"5.4.x\""
    )]
    Code { at: RuleOrigin, code: String },
    #[error("{at}: provider {provider:?} is not described; allowed are the ids of the [[provider]] entries: {known}")]
    Provider { at: RuleOrigin, provider: String, known: String },
    #[error(
        "{at}: provider {provider:?} has code {found} here and {known} elsewhere; codes are for ever, leave it out"
    )]
    ProviderCode { at: RuleOrigin, provider: String, found: u8, known: u8 },
    #[error("the literals of all rule files together are too many for one automaton: {what}")]
    TooMany { what: String },
}

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOrigin {
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One file, read but not yet compiled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    version: Spanned<u32>,
    #[serde(default)]
    pub provider: Vec<ProviderEntry>,
    #[serde(default)]
    pub rule: Vec<RuleEntry>,
}

/// Who runs a mail server, and the codes it puts into its replies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProviderEntry {
    pub id: Spanned<String>,
    /// For people.
    pub name: Option<String>,
    /// The number of the federation (`FEDERATION.md`); never reused.
    pub code: Option<u8>,
    /// Ends of MX host names, on a border between labels.
    #[serde(default)]
    pub mx: Vec<String>,
    /// Literals that show who speaks where the MX is not known.
    #[serde(default)]
    pub signs: Vec<String>,
    #[serde(default)]
    pub table: Vec<TableEntry>,
}

/// A family of codes: a prefix and what may follow it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableEntry {
    pub name: String,
    pub prefix: Spanned<String>,
    pub take: Take,
    /// The prefix is so peculiar that it means this provider whatever the MX.
    #[serde(default)]
    pub anywhere: bool,
    pub codes: Vec<Spanned<CodeEntry>>,
}

/// Which part of the word behind the prefix is the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Take {
    /// `ofr006_102`: 102.
    LastNumber,
    /// `[bl21]`: 21.
    Whole,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeEntry {
    pub is: Vec<String>,
    pub says: String,
    #[serde(default)]
    pub stage: Vec<Stage>,
    /// Reply or enhanced codes: some providers say the same word with a 4xx and with a 5xx and mean two things.
    #[serde(default)]
    pub code: Vec<String>,
    pub fate: Option<Fate>,
    pub scope: Option<Scope>,
    pub strength: Option<Strength>,
    pub wait_s: Option<u32>,
    #[serde(default)]
    pub example: Examples,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleEntry {
    pub name: Spanned<String>,
    pub says: String,
    #[serde(default)]
    pub provider: Vec<String>,
    #[serde(default)]
    pub stage: Vec<Stage>,
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub any: Vec<String>,
    #[serde(default)]
    pub unless: Vec<String>,
    pub fate: Option<Fate>,
    pub scope: Option<Scope>,
    pub strength: Option<Strength>,
    /// The pause that the provider documents, in seconds, where the reply names none.
    pub wait_s: Option<u32>,
    #[serde(default)]
    pub example: Examples,
}

/// Replies that must hit the rule: a text, a text with its circumstances, or a list of both.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged, expecting = "example is a reply text, { text = \"…\", mx = \"…\", stage = \"…\" } or a list of them")]
pub(super) enum Examples {
    #[default]
    None,
    One(Example),
    Many(Vec<Example>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "example is a reply text, { text = \"…\", mx = \"…\", stage = \"…\" } or a list of them")]
pub(super) enum Example {
    Text(String),
    Full(FullExample),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FullExample {
    pub text: String,
    pub mx: Option<String>,
    pub stage: Option<Stage>,
}

impl Examples {
    pub(super) fn into_list(self) -> Vec<FullExample> {
        let list = match self {
            Self::None => Vec::new(),
            Self::One(example) => vec![example],
            Self::Many(examples) => examples,
        };
        let full = |example| match example {
            Example::Text(text) => FullExample { text, mx: None, stage: None },
            Example::Full(full) => full,
        };
        list.into_iter().map(full).collect()
    }
}

/// Where the lines of a source end. Each of some hundred rules asks for its own, and counting from the first line each time
/// took as long as reading the file.
pub(super) struct Places {
    file: Arc<str>,
    line_ends: Vec<usize>,
}

impl Places {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let octets = source.text.bytes().enumerate();
        let line_ends = octets.filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at).collect();
        Self { file: Arc::from(source.file), line_ends }
    }

    /// The line in which a span of octets begins.
    pub(super) fn origin(&self, span: Range<usize>) -> RuleOrigin {
        let line = self.line_ends.partition_point(|end| *end < span.start) + 1;
        RuleOrigin { file: Arc::clone(&self.file), line }
    }
}

/// Reads one source.
pub(super) fn read(source: &Source<'_>, places: &Places) -> Result<RuleFile, RulesError> {
    let read: RuleFile = toml::from_str(source.text).map_err(|error| RulesError::Syntax {
        at: places.origin(error.span().unwrap_or(0..0)),
        what: error.message().to_owned(),
    })?;
    match *read.version.as_ref() {
        VERSION => Ok(read),
        found => Err(RulesError::Version { at: places.origin(read.version.span()), found }),
    }
}

/// `address.no-user`: cause and sub-cause.
pub(super) fn says(says: &str, at: &RuleOrigin) -> Result<(Cause, Option<Arc<str>>), RulesError> {
    let unknown = || RulesError::Says { at: at.clone(), says: says.to_owned() };
    let (cause, sub) = says.split_once('.').map_or((says, None), |(cause, sub)| (cause, Some(sub)));
    if sub.is_some_and(|sub| sub.is_empty() || !sub.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')) {
        return Err(unknown());
    }
    Ok((cause.parse().map_err(|_| unknown())?, sub.map(Arc::from)))
}

fn causes() -> String {
    Cause::ALL.iter().map(|cause| cause.as_str()).collect::<Vec<_>>().join(", ")
}

const VERSION: u32 = 1;
