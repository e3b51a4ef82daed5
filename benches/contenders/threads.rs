//! What the kernel says of the threads of this process.

use std::fs;
use std::ops::{Add, Sub};

#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// How often a thread went to sleep.
    pub sleeps: f64,
    /// How often the kernel took the processor from a thread that wanted to go on.
    pub preemptions: f64,
    /// How long threads ran, in nanoseconds.
    pub cpu: f64,
}

impl Used {
    /// So far, by all threads whose name is wanted. Zero where there is no `/proc`.
    pub fn so_far(is_wanted: impl Fn(&str) -> bool) -> Self {
        let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
        let mut used = Self::default();
        for thread in threads.flatten() {
            let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            if !is_wanted(read("comm").trim()) {
                continue;
            }
            let (status, times) = (read("status"), read("schedstat"));
            let switches = |field| number(status.lines().find_map(|line| line.strip_prefix(field)));
            used.sleeps += switches("voluntary_ctxt_switches:");
            used.preemptions += switches("nonvoluntary_ctxt_switches:");
            used.cpu += number(times.split_whitespace().next());
        }
        used
    }
}

fn number(text: Option<&str>) -> f64 {
    text.and_then(|text| text.trim().parse().ok())
        .unwrap_or(0.0)
}

impl Add for Used {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            sleeps: self.sleeps + more.sleeps,
            preemptions: self.preemptions + more.preemptions,
            cpu: self.cpu + more.cpu,
        }
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sleeps: self.sleeps - before.sleeps,
            preemptions: self.preemptions - before.preemptions,
            cpu: self.cpu - before.cpu,
        }
    }
}
