//! Four ways to handle items that keep each group in order.

use std::collections::{BTreeSet, HashSet};

use futures::StreamExt as _;
use futures::stream::{self, FuturesUnordered};
use ordered_by_group::prelude::*;

use crate::item::Item;
use crate::recorder::{Recorder, SLOTS, Timeline};

/// How many items a batch of the fork-join holds: two per slot.
const BATCH: usize = 2 * SLOTS;

#[derive(Clone, Copy)]
pub enum Way {
    Serial,
    ForkJoin,
    BlockingFold,
    OrderedByGroup,
}

impl Way {
    pub const ALL: [Self; 4] = [
        Self::Serial,
        Self::ForkJoin,
        Self::BlockingFold,
        Self::OrderedByGroup,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Serial => "One at a time",
            Self::ForkJoin => "Fork-join",
            Self::BlockingFold => "Blocking fold",
            Self::OrderedByGroup => "ordered-by-group",
        }
    }

    pub fn note(self) -> &'static str {
        match self {
            Self::Serial => "three slots are never used",
            Self::ForkJoin => "batches of eight: each waits for the slowest item of the one before",
            Self::BlockingFold => "an item that may not run yet holds back everything behind it",
            Self::OrderedByGroup => "an item waits only for its own group, or for a slot",
        }
    }

    pub async fn run(self, items: &[Item]) -> Timeline {
        let recorder = Recorder::new();
        match self {
            Self::Serial => serial(items, &recorder).await,
            Self::ForkJoin => fork_join(items, &recorder).await,
            Self::BlockingFold => blocking_fold(items, &recorder).await,
            Self::OrderedByGroup => ordered_by_group(items, &recorder).await,
        }
        recorder.into_timeline()
    }
}

async fn serial(items: &[Item], recorder: &Recorder) {
    for item in items {
        recorder.read(item);
        recorder.handle(*item).await;
        recorder.commit(item.offset).await;
    }
}

/// Reads a batch, runs its groups at once, and waits for all of them.
async fn fork_join(items: &[Item], recorder: &Recorder) {
    for batch in items.chunks(BATCH) {
        let mut groups = Vec::<Vec<Item>>::new();
        for item in batch {
            recorder.read(item);
            match groups.iter_mut().find(|of| of[0].group == item.group) {
                Some(group) => group.push(*item),
                None => groups.push(vec![*item]),
            }
        }
        let run = async |group| {
            for item in group {
                recorder.handle(item).await;
            }
        };
        stream::iter(groups).for_each_concurrent(SLOTS, run).await;
        recorder.commit(batch[batch.len() - 1].offset).await;
    }
}

/// Starts each item as it is read, and reads no further while an item may not run yet. Commits are not part of the idea:
/// here an offset is committed once it and everything before it are done.
async fn blocking_fold(items: &[Item], recorder: &Recorder) {
    let mut running = FuturesUnordered::new();
    let mut groups = HashSet::new();
    let mut commits = Contiguous::default();
    for item in items {
        recorder.read(item);
        while groups.len() == SLOTS || groups.contains(&item.group) {
            let finished: Item = running
                .next()
                .await
                .expect("every group in the set has a running item");
            groups.remove(&finished.group);
            commits.add(finished, recorder).await;
        }
        groups.insert(item.group);
        running.push(recorder.handle(*item));
    }
    while let Some(finished) = running.next().await {
        commits.add(finished, recorder).await;
    }
}

/// Commits an offset once everything before it is done.
#[derive(Default)]
struct Contiguous {
    next: u64,
    finished: BTreeSet<u64>,
}

impl Contiguous {
    async fn add(&mut self, item: Item, recorder: &Recorder) {
        self.finished.insert(item.offset);
        while self.finished.remove(&self.next) {
            recorder.commit(self.next).await;
            self.next += 1;
        }
    }
}

async fn ordered_by_group(items: &[Item], recorder: &Recorder) {
    stream::iter(items)
        .inspect(|item| recorder.read(item))
        .ordered_by_group(|item| item.group, SLOTS)
        .then(|item| recorder.handle(*item))
        .drive(|(_, offset)| recorder.commit(offset))
        .await;
}
