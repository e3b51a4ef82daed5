//! Clock: the time that all processes of the machine share.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is negative, and the sum lasts for 584 years.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
