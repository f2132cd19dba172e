//! `suppress export --files`: what was written.

use serde_json::Value;

use super::{all, line, word};

pub(super) fn written(out: &mut String, value: &Value) {
    for file in all(value) {
        let done = if file["changed"] == true { "written" } else { "as it was" };
        let left_out = match &file["left_out"] {
            none if *none == 0 => String::new(),
            some => format!(", {some} left out"),
        };
        line(out, &format!("{:24} {done}, {} entries{left_out}", word(file, "file"), file["entries"]));
    }
}
