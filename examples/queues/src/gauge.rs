//! Prints the progress, one line per second.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::figures::{count, rate};
use crate::ledger::Ledger;
use crate::queue::Backlog;

pub struct Gauge {
    started: Instant,
    ledger: Arc<Ledger>,
    queues: RefCell<Vec<Backlog>>,
}

impl Gauge {
    pub fn start(ledger: Arc<Ledger>) -> Self {
        Self {
            started: Instant::now(),
            ledger,
            queues: RefCell::default(),
        }
    }

    pub fn queues_are(&self, queues: Vec<Backlog>) {
        self.queues.replace(queues);
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows how it goes, for as long as it is polled.
    pub async fn show(&self) -> Infallible {
        let period = Duration::from_secs(1);
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut before, mut since) = (0, self.started);
        loop {
            ticks.tick().await;
            let handled = self.ledger.handled();
            let rate = rate(u64::from(handled - before), since.elapsed());
            (before, since) = (handled, Instant::now());
            self.say(&self.line(rate));
        }
    }

    fn line(&self, rate: u64) -> String {
        let queues = self.queues.borrow();
        let backlogs: Vec<_> = queues.iter().map(|queue| count(queue.len())).collect();
        format!(
            "{} handled/s, not yet committed in each queue: {}",
            count(rate),
            backlogs.join(" "),
        )
    }

    /// Nobody may be listening any more, and the work goes on.
    pub fn say(&self, line: &str) {
        let elapsed = self.elapsed().as_secs_f64();
        let _ = writeln!(std::io::stderr(), "{elapsed:5.2} s: {line}");
    }
}
