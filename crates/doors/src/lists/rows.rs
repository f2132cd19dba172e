//! Our own list as a table: tags, never addresses, because this node keeps none.

use serde_json::Value;
use sm2tp_proto::date;
use sm2tp_proto::maps::cell;

/// An entry of an export as a line of CSV, without its end.
#[must_use]
pub fn row(entry: &Value) -> String {
    COLUMNS.map(|column| cell(&value(entry, column))).join(",")
}

/// What stands in a column; empty where nothing does.
#[must_use]
pub fn value(entry: &Value, column: &str) -> String {
    if column == "date" {
        return date::rfc3339(entry["at"].as_u64().unwrap_or(0));
    }
    match &entry[column] {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_u64() != Some(0) => number.to_string(),
        _ => String::new(),
    }
}

/// The names of the columns, in their order.
pub const COLUMNS: [&str; 11] =
    ["tag", "key_id", "domain", "reason", "org", "stream", "date", "code", "enhanced", "strength", "note"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_row() {
        let entry = serde_json::json!({
            "tag": "00ff", "key_id": "01", "domain": "x.example", "reason": "bounce", "org": "", "at": 1_580_927_145,
            "code": 550, "enhanced": "5.1.1", "strength": "strong", "note": "no, not here",
        });
        let want = "00ff,01,x.example,bounce,,,2020-02-05T18:25:45Z,550,5.1.1,strong,\"no, not here\"";
        assert_eq!(row(&entry), want);
    }
}
