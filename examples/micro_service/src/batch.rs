//! Collects rows into batches: a durable commit takes milliseconds, so many rows share one.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::checkpoint::Checkpoint;
use crate::dead_letters::DeadLetter;
use crate::handle::remote_call;
use crate::outcome::Outcome;
use crate::progress::Gauge;
use crate::store::Store;

const AT_LATEST: Duration = Duration::from_millis(250);

/// Takes the outcomes, in source order, and says when a commit is due.
pub struct Batch {
    commit_every: u64,
    started: Instant,
    worked_before: Duration,
    rows: u64,
    last_commit: Instant,
    checkpoint: Checkpoint,
    dead_letters: Vec<DeadLetter>,
}

/// What a commit makes durable, beside the customers in the store.
pub struct Commit {
    checkpoint: Checkpoint,
    dead_letters: Vec<DeadLetter>,
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
            dead_letters: Vec::new(),
        }
    }

    pub fn add(&mut self, outcome: Outcome, row: u64) -> Option<Commit> {
        self.rows += 1;
        let checkpoint = &mut self.checkpoint;
        checkpoint.row = row;
        match outcome {
            Outcome::Applied => checkpoint.remote_calls += remote_call(row),
            Outcome::AppliedBefore => {
                checkpoint.remote_calls += remote_call(row);
                checkpoint.handled_again += 1;
            }
            Outcome::Undecodable(dead_letter) => {
                checkpoint.dead_letters += 1;
                self.dead_letters.push(dead_letter);
            }
        }
        let is_due = self.rows >= self.commit_every || self.last_commit.elapsed() >= AT_LATEST;
        is_due.then(|| self.rest())
    }

    /// What is not yet in a commit.
    pub fn rest(&mut self) -> Commit {
        self.rows = 0;
        self.last_commit = Instant::now();
        self.checkpoint.worked = self.worked_before + self.started.elapsed();
        Commit {
            checkpoint: self.checkpoint,
            dead_letters: std::mem::take(&mut self.dead_letters),
        }
    }
}

impl Commit {
    pub async fn make_durable(self, store: &Store, gauge: &Gauge) -> Result<()> {
        let row = self.checkpoint.row;
        store.commit(self.checkpoint, self.dead_letters).await?;
        gauge.committed(row);
        Ok(())
    }
}
