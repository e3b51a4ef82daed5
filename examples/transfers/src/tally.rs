//! What all rows up to some row came to, in this run and those before.

use std::time::{Duration, Instant};

use crate::bank::{BRANCH_SUM, Outcome};
use crate::checkpoint::Checkpoint;

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
    pub fn add(&mut self, outcomes: &[(Outcome, u64)]) -> Checkpoint {
        let checkpoint = &mut self.checkpoint;
        for (outcome, row) in outcomes {
            checkpoint.row = *row;
            match outcome {
                Outcome::Transfer => {}
                Outcome::TransferBefore => checkpoint.handled_again += 1,
                Outcome::Audit { sum } => {
                    checkpoint.audits += 1;
                    checkpoint.violations += u64::from(*sum != BRANCH_SUM);
                }
            }
        }
        checkpoint.worked = self.worked_before + self.started.elapsed();
        *checkpoint
    }
}
