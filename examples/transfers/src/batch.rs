//! Collects rows into batches: a durable commit takes milliseconds, so many rows share one.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::bank::{BRANCH_SUM, Outcome};
use crate::checkpoint::Checkpoint;

const AT_LATEST: Duration = Duration::from_millis(250);

/// Takes the outcomes, in source order, and says when a commit is due.
pub struct Batch {
    commit_every: u64,
    started: Instant,
    worked_before: Duration,
    rows: u64,
    last_commit: Instant,
    checkpoint: Checkpoint,
}

impl Batch {
    pub fn after(checkpoint: Checkpoint, commit_every: NonZeroU64) -> Self {
        let now = Instant::now();
        Self {
            commit_every: commit_every.get(),
            started: now,
            worked_before: checkpoint.worked,
            rows: 0,
            last_commit: now,
            checkpoint: Checkpoint {
                runs: checkpoint.runs + 1,
                ..checkpoint
            },
        }
    }

    pub fn add(&mut self, outcome: &Outcome, row: u64) -> Option<Checkpoint> {
        self.rows += 1;
        let checkpoint = &mut self.checkpoint;
        checkpoint.row = row;
        match outcome {
            Outcome::Transfer => {}
            Outcome::TransferBefore => checkpoint.handled_again += 1,
            Outcome::Audit { sum } => {
                checkpoint.audits += 1;
                checkpoint.violations += u64::from(*sum != BRANCH_SUM);
            }
        }
        let is_due = self.rows >= self.commit_every || self.last_commit.elapsed() >= AT_LATEST;
        is_due.then(|| self.rest())
    }

    /// What is not yet in a commit.
    pub fn rest(&mut self) -> Checkpoint {
        self.rows = 0;
        self.last_commit = Instant::now();
        self.checkpoint.worked = self.worked_before + self.started.elapsed();
        self.checkpoint
    }
}
