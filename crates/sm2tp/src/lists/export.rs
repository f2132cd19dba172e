//! Our own list as a file: tags, never addresses, because this node keeps none.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use sm2tp_doors::control::{After, Request};
use sm2tp_doors::lists::{COLUMNS, row, value};

use super::args::ExportFormat;
use crate::ask::Node;
use crate::config::Config;
use crate::{Exit, Failure};

/// Writes the list to standard output, page by page.
pub async fn export(
    config: &Config,
    config_file: &Path,
    org: Option<String>,
    format: ExportFormat,
) -> Result<ExitCode, Failure> {
    let mut node = Node::new(config, config_file);
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut after, mut count) = (After::default(), 0_u64);
    let mut write = |text: &str| writeln!(out, "{text}");
    // Whoever reads us may have had enough: then there is nobody left to write for.
    let begun = match format {
        ExportFormat::Csv => write(&COLUMNS.join(",")),
        ExportFormat::Json => write("["),
    };
    if begun.is_err() {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let page = node.ask(&Request::SuppressExport { org: org.clone(), after }).await?;
        for entry in page["entries"].as_array().map_or(&[][..], Vec::as_slice) {
            let text = match format {
                ExportFormat::Csv => row(entry),
                ExportFormat::Json => object(entry, count),
            };
            count += 1;
            if write(&text).is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if page["next"].is_null() {
            break;
        }
        after = serde_json::from_value(page["next"].clone()).map_err(|error| {
            Failure::new(Exit::Unavailable, format!("the node's answer is not understood: {error}"))
        })?;
    }
    let ended = if format == ExportFormat::Json { write("]") } else { Ok(()) };
    let _ = ended.and_then(|()| out.flush());
    Ok(ExitCode::SUCCESS)
}

fn object(entry: &Value, before: u64) -> String {
    let fields: Vec<(&str, String)> = COLUMNS.iter().map(|column| (*column, value(entry, column))).collect();
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    let fields = fields.map(|(column, value)| format!("{}:{}", Value::from(*column), Value::from(value.as_str())));
    format!("{}{{{}}}", if before == 0 { " " } else { "," }, fields.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_an_object() {
        let entry = serde_json::json!({
            "tag": "00ff", "key_id": "01", "domain": "x.example", "reason": "bounce", "org": "", "at": 1_580_927_145,
            "code": 550, "enhanced": "5.1.1", "strength": "strong", "note": "no, not here",
        });
        let object: Value = serde_json::from_str(object(&entry, 0).trim()).unwrap();
        assert_eq!((&object["date"], &object["code"]), (&"2020-02-05T18:25:45Z".into(), &"550".into()));
    }
}
