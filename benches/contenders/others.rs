//! How much the rest of the machine was used meanwhile: a figure is as good as the machine was idle.

use std::fs;
use std::time::Instant;

/// How much processor time the kernel has counted, and when.
pub struct Others {
    busy: f64,
    start: Instant,
}

impl Others {
    /// Looks from here on.
    pub fn watch() -> Self {
        Self {
            busy: busy_seconds(),
            start: Instant::now(),
        }
    }

    /// How many processors others used on the average, given how many seconds of them were ours.
    pub fn processors(&self, ours: f64) -> f64 {
        let others = busy_seconds() - self.busy - ours;
        others.max(0.0) / self.start.elapsed().as_secs_f64()
    }
}

/// What all processors spent on anything, in seconds: the kernel counts hundredths. Zero where there is no `/proc`.
fn busy_seconds() -> f64 {
    let all = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = all.lines().next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // Of user, nice, system, idle, iowait, irq, softirq and steal, two are idle.
    let busy = ticks.iter().take(8).sum::<f64>() - ticks.iter().skip(3).take(2).sum::<f64>();
    busy / 100.0
}
