//! Numbers in the text form of Prometheus (exposition format 0.0.4).

use std::fmt::{Display, Write};

/// One name with all that is said under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// The names of its labels, in the order of their values.
    pub labels: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process starts again.
    Counter,
    Gauge,
}

/// The text, as it grows.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Everything of one family: label values, and the number under them.
    pub(super) fn family<N: Display>(&mut self, family: &Family, samples: impl IntoIterator<Item = (Vec<String>, N)>) {
        let kind = if family.kind == Kind::Counter { "counter" } else { "gauge" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
        for (values, number) in samples {
            self.0.push_str(family.name);
            for (n, (label, value)) in family.labels.iter().zip(&values).enumerate() {
                let _ = write!(self.0, "{}{label}=\"{}\"", if n == 0 { '{' } else { ',' }, escaped(value));
            }
            let _ = writeln!(self.0, "{} {number}", if values.is_empty() { "" } else { "}" });
        }
    }

    /// A family that has one number.
    pub(super) fn one(&mut self, family: &Family, number: impl Display) {
        self.family(family, [(Vec::new(), number)]);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// What ends a value early would begin a sample of somebody's own.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Family = Family { name: "x_total", kind: Kind::Counter, help: "Things.", labels: &["a", "b"] };

    #[test]
    fn a_value_with_quotes_and_lines_stays_one_value() {
        let mut text = Exposition::default();
        text.family(&OF, [(vec!["q\"\\".to_owned(), "1\nx_total 9".to_owned()], 3_u64)]);
        text.one(&Family { name: "y", kind: Kind::Gauge, labels: &[], ..OF }, 1.5);
        assert_eq!(
            text.finish(),
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total{a=\"q\\\"\\\\\",b=\"1\\nx_total 9\"} 3\n\
             # HELP y Things.\n# TYPE y gauge\ny 1.5\n"
        );
    }
}
