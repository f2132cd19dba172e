//! How many signatures a second one core makes: `cargo run --release -p sm2tp-store --example dkim_speed`.
//!
//! The cryptography alone, over a header of 600 octets; the hash of the body comes once for each mail. Time on the
//! processor is counted, so that a machine with other work says the same.

use std::time::Duration;

use sm2tp_proto::Domain;
use sm2tp_store::dkim::{Algorithm, DkimKeys, Source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("sm2tp-dkim-speed-{}", std::process::id()));
    let keys = DkimKeys::open(&dir)?;
    let made = keys.create(&Domain::parse("example.org")?, None, &Source::Random(&Algorithm::ALL), 0)?;
    let header = [b'x'; 600];
    for key in made {
        let (began, mut count) = (on_processor()?, 0_u32);
        while on_processor()? < began + Duration::from_secs(2) {
            for _ in 0..100 {
                key.sign(&header)?;
            }
            count += 100;
        }
        let each = (on_processor()? - began).as_secs_f64() / f64::from(count);
        println!("{:<8} {:>8.0} a second, {:>7.1} µs each", key.algorithm().as_str(), 1.0 / each, each * 1e6);
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// How long this thread has run: the first number of proc(5) schedstat, in nanoseconds.
fn on_processor() -> Result<Duration, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(first.parse()?))
}
