//! Which messages go wrong, and how long each takes: the same in every run.

use std::time::Duration;

use crate::message::mix;
use crate::queue::LEASE;

/// How often the handler fails before it succeeds.
pub fn failures(number: u64) -> u32 {
    match number % 100 {
        7 => 1,
        31 => 2,
        _ => 0,
    }
}

/// Whether its first acknowledgement never reaches the server.
pub fn loses_acknowledgement(number: u64) -> bool {
    number % 50 == 24
}

/// Whether nobody extends its lease the first time, and its handler takes longer than that.
pub fn outlives_lease(number: u64) -> bool {
    number % 100 == 43
}

/// 5 to 25 ms, evenly.
pub fn work(number: u64) -> Duration {
    Duration::from_micros(5_000 + mix(!number) % 20_001)
}

/// The work of a handler that outlives its lease.
pub const LONG_WORK: Duration = LEASE.saturating_mul(3).checked_div(2).unwrap();

/// How long to wait after so many failures: doubling, up to a second.
pub fn backoff(failures: u32) -> Duration {
    let doubled = Duration::from_millis(100) * 2_u32.pow(failures.clamp(1, 5) - 1);
    doubled.min(Duration::from_secs(1))
}
