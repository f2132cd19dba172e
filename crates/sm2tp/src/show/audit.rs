//! Who changed what, a line each.

use serde_json::Value;

use super::{all, line, plain, time, word};

pub(super) fn list(out: &mut String, value: &Value) {
    let lines = all(value);
    if lines.is_empty() {
        line(out, "Nothing was changed yet.");
    }
    for kept in lines {
        let by = format!("{} {}", word(kept, "by_kind"), word(kept, "by"));
        let org = kept["org"].as_str().map_or_else(String::new, |org| format!(" ({org})"));
        let at = time(kept["at"].as_u64().unwrap_or_default());
        let (id, by, what, about) = (&kept["id"], by.trim(), word(kept, "what"), word(kept, "about"));
        // A name with a line break in it shall not look like another line.
        let text = format!("{id:>6}  {at}  {by}: {what}{org} {about}").replace('\n', " ");
        line(out, plain(text.trim_end()).as_str());
    }
}
