//! Contender: what handles the records.

use std::time::Duration;

use crate::workload::Workload;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `buffer_unordered` on rdkafka's stream: no order, and one commit at the end.
    Floor,
    Completion,
    Source,
    /// Confluent's, in a process of Java.
    ParallelConsumer,
    /// In completion order. A record is settled when its output is acknowledged.
    AtLeastOnce,
    /// In completion order. Outputs and offsets are in one transaction per interval.
    Transactions(Duration),
}

impl Contender {
    /// The first one is what the others are compared with.
    pub fn of(workload: &Workload, with_parallel_consumer: bool) -> Vec<Self> {
        if workload.writes {
            let [short, long] = [100, 1_000].map(Duration::from_millis);
            return vec![
                Self::Floor,
                Self::AtLeastOnce,
                Self::Transactions(short),
                Self::Transactions(long),
            ];
        }
        let mut all = vec![Self::Floor, Self::Completion, Self::Source];
        if with_parallel_consumer {
            all.push(Self::ParallelConsumer);
        }
        all
    }

    pub fn name(self) -> String {
        match self {
            Self::Floor => "buffer_unordered".into(),
            Self::Completion => "ours, completion order".into(),
            Self::Source => "ours, source order".into(),
            Self::ParallelConsumer => "Parallel Consumer".into(),
            Self::AtLeastOnce => "ours, at least once".into(),
            Self::Transactions(every) => format!("ours, a transaction each {every:?}"),
        }
    }

    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Floor | Self::ParallelConsumer)
    }

    pub fn keeps_order(self) -> bool {
        self != Self::Floor
    }
}
