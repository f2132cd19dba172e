//! The words of `sm2tp webhook` and `sm2tp tail`.

use clap::{Args, Subcommand};
use sm2tp_doors::control::Request;
use sm2tp_store::webhooks::Wanted;

#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Tell a program what becomes of the mail of an organisation. Its secret is printed once.
    New {
        /// https://shop.example.org/mail-events
        url: String,
        #[arg(long, value_name = "NAME")]
        org: String,
        /// delivered, deferred, bounced, complained or suppressed; repeat it for several. Without it, all of them.
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
    },
    /// List webhooks, with what waits for them and what they did not take.
    List {
        #[arg(long, value_name = "NAME")]
        org: Option<String>,
    },
    /// List what a webhook did not take, the latest first. It is kept for a week.
    Dead {
        id: String,
        /// Only events with a number below this one: the next page.
        #[arg(long, value_name = "N")]
        before: Option<u64>,
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Let a webhook be called again with what it did not take.
    Redeliver {
        id: String,
        /// Only this event.
        #[arg(long, value_name = "N")]
        event: Option<u64>,
    },
    /// Remove a webhook with what waits for it.
    Remove { id: String },
}

/// What happens, as it happens, until it is ended with Ctrl-C. Recipients are shown as their domain.
#[derive(Debug, Args)]
pub struct Tail {
    /// Of this organisation; without it, of all.
    #[arg(long, value_name = "NAME")]
    pub org: Option<String>,
}

impl From<Webhook> for Request {
    fn from(webhook: Webhook) -> Self {
        match webhook {
            Webhook::New { url, org, events } => Self::WebhookNew { wanted: Wanted { org, url, events } },
            Webhook::List { org } => Self::WebhookList { org },
            Webhook::Dead { id, before, limit } => Self::WebhookDead { id, before, limit },
            Webhook::Redeliver { id, event } => Self::WebhookRedeliver { id, event },
            Webhook::Remove { id } => Self::WebhookRemove { id },
        }
    }
}
