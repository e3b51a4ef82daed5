//! Shows the progress: a bar in a terminal, plain lines elsewhere.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressFinish, ProgressStyle};
use ordered_by_group::{Monitor, Snapshot};
use tokio::time::{Interval, MissedTickBehavior};

/// How far the rows are: what the monitor shows, and what is committed.
pub struct Gauge {
    started: Instant,
    committed_before: u64,
    committed: Cell<u64>,
    monitor: Monitor,
}

impl Gauge {
    pub fn new(committed_before: u64) -> Self {
        Self {
            started: Instant::now(),
            committed_before,
            committed: Cell::new(committed_before),
            monitor: Monitor::new(),
        }
    }

    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    pub fn committed(&self, row: u64) {
        self.committed.set(row);
    }

    fn line(&self, now: &Snapshot) -> String {
        let rate = handled(now) as f64 / self.started.elapsed().as_secs_f64();
        format!(
            "{} rows/s, {} running, {} waiting, committed row {}",
            HumanCount(rate as u64),
            now.running,
            HumanCount(now.waiting as u64),
            HumanCount(self.committed.get()),
        )
    }
}

/// Rows whose results have come out, or wait for their turn.
fn handled(now: &Snapshot) -> u64 {
    now.emitted_total + now.finished as u64
}

pub struct Progress {
    rows: u64,
    /// `None` if there is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn start(rows: u64, gauge: &Gauge) -> Self {
        let committed = gauge.committed_before;
        if committed > 0 {
            say(&format!(
                "continuing after row {} of {}",
                HumanCount(committed),
                HumanCount(rows)
            ));
        }
        let bar = std::io::stderr().is_terminal().then(|| bar(rows));
        Self { rows, bar }
    }

    /// Shows the progress for as long as it is polled.
    pub async fn show(&self, gauge: &Gauge) -> Infallible {
        let mut ticks = self.ticks();
        loop {
            ticks.tick().await;
            let now = gauge.monitor.snapshot();
            let (done, line) = (gauge.committed_before + handled(&now), gauge.line(&now));
            match &self.bar {
                Some(bar) => {
                    bar.set_position(done);
                    bar.set_message(line);
                }
                None => say(&format!("{:3} %, {line}", 100 * done / self.rows)),
            }
        }
    }

    fn ticks(&self) -> Interval {
        let period = Duration::from_millis(if self.bar.is_some() { 100 } else { 250 });
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

fn bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len}\n{msg}")
        .expect("the template is well-formed");
    ProgressBar::new(rows)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}

/// Ignores errors: the work continues even if nobody is listening.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
