//! Typed access to one section of the file; every mistake becomes an error at its place.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::error::{ConfigError, Source};
use super::keys;
use super::values::{Wrong, quoted};

/// One section, or the absence of it, which reads like a section without keys.
pub(super) struct Section<'s> {
    source: Source<'s>,
    name: &'static str,
    table: Option<&'s DeTable<'s>>,
    header: Range<usize>,
}

impl<'s> Section<'s> {
    /// The keys before the first section.
    pub(super) fn top(source: Source<'s>, table: &'s DeTable<'s>) -> Self {
        Self { source, name: "", table: Some(table), header: 0..0 }
    }

    /// The section `name`, `None` where the file does not have it.
    pub(super) fn open(&self, name: &'static str) -> Option<Self> {
        let value = self.table?.get(name)?;
        Some(Self { source: self.source, name, table: value.get_ref().as_table(), header: value.span() })
    }

    /// The section `name`, whether the file has it or not.
    pub(super) fn open_or_empty(&self, name: &'static str) -> Self {
        self.open(name).unwrap_or(Self { source: self.source, name, table: None, header: 0..0 })
    }

    /// As it stands between the brackets.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the file says something about `key`.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Where to point at for `key`: its value, or the section if the value is a default.
    pub(super) fn place(&self, key: &'static str) -> Range<usize> {
        self.value(key).map_or(self.header.clone(), |value| value.span())
    }

    /// The error that what `key` says is wrong.
    pub(super) fn wrong(&self, place: Range<usize>, key: &'static str, wrong: &Wrong) -> ConfigError {
        self.source.error(place, format!("{}: {}", self.title(key), wrong.what), self.help(key, &wrong.allowed))
    }

    /// The error that `key` is not there.
    pub(super) fn missing(&self, key: &'static str) -> ConfigError {
        let allowed = if self.name.is_empty() { "at the top of the file, before the first section" } else { "" };
        self.source.error(self.header.clone(), format!("{} is missing", self.title(key)), self.help(key, allowed))
    }

    /// A text that `read` understands.
    pub(super) fn text<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key).map(|value| self.read_text(key, value, &read)).transpose()
    }

    /// A list of texts that `read` understands, each with its place.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<Option<Vec<Spanned<T>>>, ConfigError> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        let read_one = |item| Ok(Spanned::new(Spanned::span(item), self.read_text(key, item, &read)?));
        items.iter().map(read_one).collect::<Result<_, _>>().map(Some)
    }

    /// A list of tables, each with the keys of the section `name` of the table of keys.
    pub(super) fn tables(&self, key: &'static str, name: &'static str) -> Result<Option<Vec<Self>>, ConfigError> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        let open = |item: &'s Spanned<DeValue<'s>>| {
            let DeValue::Table(table) = item.get_ref() else { return Err(self.not_a("list of tables", key, item)) };
            if let Some(known) = keys::section(name) {
                known.check(&self.source, table)?;
            }
            Ok(Self { source: self.source, name, table: Some(table), header: item.span() })
        };
        items.iter().map(open).collect::<Result<_, _>>().map(Some)
    }

    /// A text that `read` understands, or a table with the keys of the section `name` that `open` reads.
    pub(super) fn text_or_table<T>(
        &self,
        key: &'static str,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, Wrong>,
        open: impl Fn(&Self) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key).map(|value| self.read_either(key, name, value, &read, &open)).transpose()
    }

    fn read_either<T>(
        &self,
        key: &'static str,
        name: &'static str,
        value: &'s Spanned<DeValue<'s>>,
        read: impl Fn(&str) -> Result<T, Wrong>,
        open: impl Fn(&Self) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let DeValue::Table(table) = value.get_ref() else { return self.read_text(key, value, read) };
        if let Some(known) = keys::section(name) {
            known.check(&self.source, table)?;
        }
        open(&Self { source: self.source, name, table: Some(table), header: value.span() })
    }

    /// A table whose keys are texts and whose values are as [`Self::text_or_table`] reads them, in the order of the
    /// file. The key `must` tells such a value from a name that was cut at its dot.
    pub(super) fn pairs<K, V>(
        &self,
        key: &'static str,
        (name, must): (&'static str, &'static str),
        read_key: impl Fn(&str) -> Result<K, Wrong>,
        read: impl Fn(&str) -> Result<V, Wrong>,
        open: impl Fn(&Self) -> Result<V, ConfigError>,
    ) -> Result<Vec<(Spanned<K>, V)>, ConfigError> {
        const NAMES: &str = "names with dots in double quotes";
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let DeValue::Table(table) = value.get_ref() else { return Err(self.not_a("table", key, value)) };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut pairs = Vec::with_capacity(entries.len());
        for (owner, value) in entries {
            if value.get_ref().as_table().is_some_and(|table| !table.contains_key(must)) {
                // TOML takes `example.org = "…"` for a table `example` with a key `org`.
                let wrong =
                    Wrong::new(format!("{} is no text: is it a part of a name?", quoted(owner.get_ref())), NAMES);
                return Err(self.wrong(owner.span(), key, &wrong));
            }
            let read_owner = read_key(owner.get_ref()).map_err(|wrong| self.wrong(owner.span(), key, &wrong))?;
            let value = self.read_either(key, name, value, &read, &open)?;
            pairs.push((Spanned::new(owner.span(), read_owner), value));
        }
        Ok(pairs)
    }

    /// A whole number in `range`.
    pub(super) fn whole(&self, key: &'static str, range: RangeInclusive<u32>) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let DeValue::Integer(integer) = value.get_ref() else { return Err(self.not_a("whole number", key, value)) };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Ok(Some(number));
        }
        let allowed = format!("{} to {}", range.start(), range.end());
        Err(self.wrong(value.span(), key, &Wrong::new(format!("`{integer}` is out of range"), allowed)))
    }

    /// Three whole numbers in `range`, none larger than the next.
    pub(super) fn three(&self, key: &'static str, range: RangeInclusive<u32>) -> Result<Option<[u32; 3]>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else { return Err(self.not_a("list", key, value)) };
        let number = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::Integer(integer) => u32::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        let numbers: Option<Vec<u32>> = items.iter().map(number).collect();
        match numbers.as_deref() {
            Some(&[one, two, three])
                if one <= two && two <= three && range.contains(&one) && range.contains(&three) =>
            {
                Ok(Some([one, two, three]))
            }
            _ => {
                let allowed = format!("three rising numbers from {} to {}", range.start(), range.end());
                Err(self.wrong(value.span(), key, &Wrong::new("these are not three rising numbers", allowed)))
            }
        }
    }

    /// A number from 0 to 1.
    pub(super) fn share(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        let wrong = |text: &str| Wrong::new(format!("`{text}` is not a share"), "0.0 (none) to 1.0 (all)");
        self.number(key, 0.0..=1.0, wrong)
    }

    /// A number that is a sum of shares, one for each witness.
    pub(super) fn score(&self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        let wrong = |text: &str| {
            Wrong::new(format!("`{text}` is out of range"), format!("{} to {:.1}", SCORES.start(), SCORES.end()))
        };
        self.number(key, SCORES, wrong)
    }

    fn number(
        &self,
        key: &'static str,
        range: RangeInclusive<f64>,
        wrong: impl Fn(&str) -> Wrong,
    ) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let (text, number) = match value.get_ref() {
            DeValue::Float(float) => (float.to_string(), float.as_str().parse::<f64>().ok()),
            DeValue::Integer(integer) => (integer.to_string(), integer.as_str().parse::<f64>().ok()),
            _ => return Err(self.not_a("number", key, value)),
        };
        // NaN lies in no range, so it is refused here as well.
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(value.span(), key, &wrong(&text))),
        }
    }

    fn value(&self, key: &'static str) -> Option<&'s Spanned<DeValue<'s>>> {
        debug_assert!(self.example(key).is_some(), "{key} is not in the table of keys");
        self.table?.get(key)
    }

    fn items(&self, key: &'static str) -> Result<Option<&'s DeArray<'s>>, ConfigError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else { return Err(self.not_a("list", key, value)) };
        Ok(Some(items))
    }

    fn read_text<T>(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<T, ConfigError> {
        let DeValue::String(text) = value.get_ref() else { return Err(self.not_a("text in quotes", key, value)) };
        read(text).map_err(|wrong| self.wrong(value.span(), key, &wrong))
    }

    fn not_a(&self, wanted: &str, key: &'static str, value: &Spanned<DeValue<'_>>) -> ConfigError {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} must be a {wanted}, not {found}", self.title(key));
        self.source.error(value.span(), message, self.help(key, ""))
    }

    fn title(&self, key: &str) -> String {
        if self.name.is_empty() { format!("`{key}`") } else { format!("`{key}` in [{}]", self.name) }
    }

    fn help(&self, key: &'static str, allowed: &str) -> String {
        let example = format!("example: {key} = {}", self.example(key).unwrap_or_default());
        if allowed.is_empty() { example } else { format!("allowed: {allowed}; {example}") }
    }

    fn example(&self, key: &str) -> Option<&'static str> {
        keys::section(self.name)?.example(key)
    }
}

/// A score in which a share would be nothing, and one that no number of witnesses reaches.
pub const SCORES: RangeInclusive<f64> = 0.1..=100.0;
