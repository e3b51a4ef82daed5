//! What this run has done, and the lines that say so while it goes on.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::ledger::Posted;
use crate::report::{count, rate};

pub struct Tally {
    started: Instant,
    all_rows: u64,
    pub position: u64,
    /// Batches that were posted, each in a transaction of its own.
    pub calls: u64,
    /// How often the position was set, in a transaction of its own, too.
    pub commits: u64,
    pub rows: u64,
    pub most_rows: u64,
    pub again: u64,
    pub time: Duration,
}

impl Tally {
    pub fn after(position: u64, all_rows: u64) -> Self {
        if (1..all_rows).contains(&position) {
            say(&format!(
                "continuing after row {} of {}",
                count(position),
                count(all_rows)
            ));
        }
        Self {
            started: Instant::now(),
            all_rows,
            position,
            calls: 0,
            commits: 0,
            rows: 0,
            most_rows: 0,
            again: 0,
            time: Duration::ZERO,
        }
    }

    /// Adds what came of a batch.
    pub fn add(&mut self, posted: Posted) {
        // A batch that is wholly left out makes no statement.
        self.calls += u64::from(posted.rows > 0);
        self.rows += posted.rows;
        self.most_rows = self.most_rows.max(posted.rows);
        self.again += posted.again;
    }

    /// Says where the position is, whenever it has passed another percent of the rows.
    pub fn committed(&mut self, position: u64) {
        self.commits += 1;
        self.time = self.started.elapsed();
        let percent = |position| 100 * position / self.all_rows;
        if percent(position) > percent(self.position) {
            say(&format!(
                "{:3} %, {} rows/s, {} calls, committed row {}",
                percent(position),
                count(rate(self.rows, self.time)),
                count(self.calls),
                count(position)
            ));
        }
        self.position = position;
    }
}

/// Ignores errors: the work continues even if nobody is listening.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
