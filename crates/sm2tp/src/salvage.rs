//! `sm2tp queue salvage`: what can be read of a damaged queue, while no node runs.

use std::process::ExitCode;

use serde_json::json;
use sm2tp_store::spool::{self, Salvaged};

use crate::config::Config;
use crate::{Exit, Failure, open, say};

/// Salvages, and says what became of the queue.
pub fn run(config: &Config, as_json: bool) -> Result<ExitCode, Failure> {
    let dir = config.data_dir.join("spool");
    if !dir.join("queue.sqlite").exists() {
        let message = format!("{}: there is no queue here; was a node ever started with this data_dir?", dir.display());
        return Err(Failure::new(Exit::Unavailable, message));
    }
    let _lock = open::alone(config)?;
    let salvaged = spool::salvage(&dir, &open::fresh_name(&dir)?).map_err(|error| open::unusable(&dir, &error))?;
    if as_json {
        say(&json!({ "whole": salvaged.is_none(), "salvaged": salvaged }).to_string());
    } else {
        say(&salvaged.map_or_else(|| "The queue database is whole; nothing was changed.".to_owned(), |s| in_words(&s)));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(salvaged: &Salvaged) -> String {
    let Salvaged { kept_in, mails, recipients, happenings, held, loose, pages, rows } = salvaged;
    let kept_in = kept_in.display();
    let mut lines = vec![
        format!(
            "{pages} pages and {rows} rows of the queue could not be read; the damaged files are kept in {kept_in}."
        ),
        format!(
            "In the queue again: {mails} mails for {recipients} recipients ({happenings} results not counted yet)."
        ),
    ];
    if 0 < *held {
        lines.push(format!(
            "{held} of these recipients wait for you (lane held): they may have been served already. sm2tp queue list \
             --lane held"
        ));
    }
    if 0 < *loose {
        lines.push(format!(
            "{loose} contents of which nobody knows any more to whom they go are in that folder as .eml."
        ));
    }
    lines.push(format!("What to look at stands in {kept_in}/list.txt. The node may be started."));
    lines.join("\n")
}
