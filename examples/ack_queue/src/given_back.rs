//! Messages that were given back to the broker, and the messages that have to wait for them.
//!
//! The broker redelivers a message when the delay after it was given back is over. Until then it delivers later messages,
//! also those of the same group. These are given back as well, until the first has been redelivered and handled: the
//! group stands still, as it would if its handler waited.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::faults::backoff;

/// State only for groups with something given back.
#[derive(Default)]
pub struct GivenBack {
    /// Of each group, by the place in the stream.
    groups: HashMap<u32, BTreeMap<u64, Wait>>,
}

struct Wait {
    failures: u32,
    until: Instant,
}

/// So that it comes after what it waits for, should that be due by now.
const BEHIND: Duration = Duration::from_millis(20);

impl GivenBack {
    pub fn failures(&self, group: u32, sequence: u64) -> u32 {
        let wait = self
            .groups
            .get(&group)
            .and_then(|waits| waits.get(&sequence));
        wait.map_or(0, |wait| wait.failures)
    }

    /// It failed: for how long it is given back.
    pub fn failed(&mut self, group: u32, sequence: u64) -> Duration {
        let failures = self.failures(group, sequence) + 1;
        let delay = backoff(failures);
        let until = Instant::now() + delay;
        let waits = self.groups.entry(group).or_default();
        waits.insert(sequence, Wait { failures, until });
        delay
    }

    /// If an earlier one of its group is given back: for how long this one is, too.
    pub fn behind(&mut self, group: u32, sequence: u64) -> Option<Duration> {
        let waits = self.groups.get_mut(&group)?;
        let (_, earliest) = waits.range(..sequence).next()?;
        let until = earliest.until;
        waits
            .entry(sequence)
            .or_insert(Wait { failures: 0, until })
            .until = until;
        Some(until.saturating_duration_since(Instant::now()) + BEHIND)
    }

    pub fn done(&mut self, group: u32, sequence: u64) {
        if let Some(waits) = self.groups.get_mut(&group) {
            waits.remove(&sequence);
            if waits.is_empty() {
                self.groups.remove(&group);
            }
        }
    }
}
