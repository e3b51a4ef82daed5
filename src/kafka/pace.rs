//! Pace: whether a partition that holds too much is worth a pause.

use std::time::{Duration, Instant};

use crate::positions::Limit;

/// How long it may take until something comes of a partition that was paused: librdkafka asks for it with the next request,
/// and the broker answers the one under way after `fetch.wait.max.ms`, which is 500 by default.
const RESUMES_WITHIN: Duration = Duration::from_millis(500);

/// How fast the items of a partition are settled, looked at from beat to beat.
#[derive(Default)]
pub(super) struct Pace {
    /// How many were settled at the last beat.
    settled: u64,
    /// Whether the reader waited for it at the last beat.
    was_held: bool,
    paused_at: Option<Instant>,
    /// The last pause was so long that it cost nothing.
    is_slow: bool,
}

impl Pace {
    /// Whether the reader, which waits for the partition, is to read the others instead: it has waited for a beat, and at its
    /// pace the partition is busy with what it has for longer than a pause takes.
    pub(super) fn beat(&mut self, settled: u64, is_held: bool, enough: u64) -> bool {
        let since = settled - std::mem::replace(&mut self.settled, settled);
        let was_held = std::mem::replace(&mut self.was_held, is_held);
        is_held && was_held && since < enough
    }

    /// Whether it need not be looked at once more before it is paused.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    pub(super) fn pause(&mut self) {
        self.paused_at = Some(Instant::now());
    }

    pub(super) fn resume(&mut self) {
        let paused_at = self.paused_at.take();
        self.is_slow = paused_at.is_some_and(|at| at.elapsed() >= RESUMES_WITHIN);
    }
}

/// How many items must be settled in a beat by a partition that is not worth a pause.
pub(super) fn enough(full: Limit, low: Limit, beat: Duration) -> u64 {
    let beats = RESUMES_WITHIN.as_millis() / beat.as_millis().max(1);
    let during_pause = (full.in_flight - low.in_flight) as u128;
    (during_pause / beats.max(1)).max(1) as u64
}
