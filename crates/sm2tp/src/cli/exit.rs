//! The words of `sm2tp exit`.

use clap::Subcommand;
use sm2tp_doors::control::Request;

#[derive(Debug, Subcommand)]
pub enum WayOut {
    /// List ways out with what left by them in the last weeks, who refuses them, and which are paused.
    List,
    /// Let no more mail leave by a way out, over restarts too: it takes another that it may use, or waits. What is on a
    /// connection already goes on.
    Pause {
        /// As `exits` in [relay] names it; the only one of a node is called default.
        #[arg(value_name = "EXIT")]
        exit: String,
        /// Why, for those who look later.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Let mail leave by it again.
    Resume {
        #[arg(value_name = "EXIT")]
        exit: String,
    },
}

impl From<WayOut> for Request {
    fn from(exit: WayOut) -> Self {
        match exit {
            WayOut::List => Self::ExitList,
            WayOut::Pause { exit, note } => Self::ExitPause { exit, note },
            WayOut::Resume { exit } => Self::ExitResume { exit },
        }
    }
}
