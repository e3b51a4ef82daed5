//! What all rows up to some row came to, in this run and those before.

use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::dead_letters::DeadLetter;
use crate::handle::remote_call;
use crate::outcome::Outcome;

pub struct Tally {
    started: Instant,
    worked_before: Duration,
    checkpoint: Checkpoint,
}

impl Tally {
    pub fn after(checkpoint: Checkpoint) -> Self {
        Self {
            started: Instant::now(),
            worked_before: checkpoint.worked,
            checkpoint: Checkpoint {
                runs: checkpoint.runs + 1,
                ..checkpoint
            },
        }
    }

    /// Adds outcomes, in source order, and says what to commit for them.
    pub fn add(&mut self, outcomes: Vec<(Outcome, u64)>) -> (Checkpoint, Vec<DeadLetter>) {
        let checkpoint = &mut self.checkpoint;
        let mut dead_letters = Vec::new();
        for (outcome, row) in outcomes {
            checkpoint.row = row;
            match outcome {
                Outcome::Applied => checkpoint.remote_calls += remote_call(row),
                Outcome::AppliedBefore => {
                    checkpoint.remote_calls += remote_call(row);
                    checkpoint.handled_again += 1;
                }
                Outcome::Undecodable(dead_letter) => dead_letters.push(dead_letter),
            }
        }
        checkpoint.dead_letters += dead_letters.len() as u64;
        checkpoint.worked = self.worked_before + self.started.elapsed();
        (*checkpoint, dead_letters)
    }
}
