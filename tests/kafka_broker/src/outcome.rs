//! Outcome: what a scenario came to, said in one line.

use std::fmt;
use std::time::Duration;

use kafka_judge::Verdict;

/// What a scenario came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was done, such as `ours, range, 2 members, 6 cycles`.
    pub name: String,
    pub verdict: Verdict,
    /// How long each member took from its start to its first handler.
    pub joins: Vec<Duration>,
    /// How long each member took from SIGTERM to its end.
    pub leaves: Vec<Duration>,
}

impl Outcome {
    /// Returns the median of the joins.
    pub fn join(&self) -> Duration {
        let mut joins = self.joins.clone();
        joins.sort();
        joins.get(joins.len() / 2).copied().unwrap_or_default()
    }

    /// Returns the slowest leave.
    pub fn leave(&self) -> Duration {
        self.leaves.iter().copied().max().unwrap_or_default()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, verdict, .. } = self;
        let (join, leave) = (self.join().as_millis(), self.leave().as_millis());
        write!(f, "{name}: {verdict}, join {join} ms, leave {leave} ms")
    }
}
