//! The ways to handle items on two cores.

use crate::work::{Outcome, Work};
use crate::{join_set, ours, serial, shards, unordered};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Serial,
    Ours,
    OursUnordered,
    BufferUnordered,
    JoinSet,
    Shards,
    ShardsAlone,
}

impl Contender {
    /// The serial loop first: the others are compared with it.
    pub const ALL: [Self; 7] = [
        Self::Serial,
        Self::Ours,
        Self::OursUnordered,
        Self::BufferUnordered,
        Self::JoinSet,
        Self::Shards,
        Self::ShardsAlone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial loop",
            Self::Ours => "**`spawned`, source order**",
            Self::OursUnordered => "**`spawned`, completion order**",
            Self::BufferUnordered => "`buffer_unordered`, a task an item",
            Self::JoinSet => "`JoinSet`, a task an item",
            Self::Shards => "two shards by key",
            Self::ShardsAlone => "two shards by key, no results",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursUnordered)
    }

    /// Whether the items of a group are handled one at a time, in their order.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::BufferUnordered | Self::JoinSet)
    }

    /// In a task of its own: the thread of `block_on` is none of the workers.
    pub async fn run(self, work: &'static Work) -> Outcome {
        let running = match self {
            Self::Serial => tokio::spawn(serial::run(work)),
            Self::Ours => tokio::spawn(ours::in_source_order(work)),
            Self::OursUnordered => tokio::spawn(ours::in_completion_order(work)),
            Self::BufferUnordered => tokio::spawn(unordered::run(work)),
            Self::JoinSet => tokio::spawn(join_set::run(work)),
            Self::Shards => tokio::spawn(shards::with_results(work)),
            Self::ShardsAlone => tokio::spawn(shards::without_results(work)),
        };
        running.await.expect("all handlers finish")
    }
}
