//! Counts deliveries, and prints a line per second.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use ordered_by_group::Monitor;
use tokio::time::MissedTickBehavior;

use crate::delivery::Outcome;

pub struct Gauge {
    started: Instant,
    monitor: Monitor,
    counts: Cell<Counts>,
}

#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Requests that have no answer yet.
    pub sending: usize,
    pub retries: u64,
    pub delivered: u64,
    pub given_up: u64,
    /// So many deliveries, from the first on, are dealt with.
    pub committed: usize,
}

impl Gauge {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            monitor: Monitor::new(),
            counts: Cell::default(),
        }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    pub async fn sending<F: Future>(&self, request: F) -> F::Output {
        self.change(|counts| counts.sending += 1);
        let output = request.await;
        self.change(|counts| counts.sending -= 1);
        output
    }

    pub fn retried(&self) {
        self.change(|counts| counts.retries += 1);
    }

    pub fn outcome(&self, outcome: Outcome) {
        self.change(|counts| match outcome {
            Outcome::Delivered => counts.delivered += 1,
            Outcome::DeadLettered | Outcome::Skipped => counts.given_up += 1,
        });
    }

    pub fn committed(&self, deliveries: usize) {
        self.change(|counts| counts.committed = deliveries);
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Shows how it goes, for as long as it is polled.
    pub async fn show(&self) -> Infallible {
        let period = Duration::from_secs(1);
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Nobody may be listening any more, and the work goes on.
            let _ = writeln!(std::io::stderr(), "{}", self.line());
        }
    }

    fn line(&self) -> String {
        let counts = self.counts();
        format!(
            "{:2} s: {} delivered, {} given up, {} sending, {} waiting, {} committed",
            self.started.elapsed().as_secs(),
            HumanCount(counts.delivered),
            HumanCount(counts.given_up),
            counts.sending,
            self.monitor.snapshot().running - counts.sending,
            HumanCount(counts.committed as u64),
        )
    }
}
