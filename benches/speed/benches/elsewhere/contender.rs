//! The same work for each contender: ask for each item, wait for the answer, take result and offset, check them.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use futures_buffered::BufferedStreamExt as _;
use ordered_by_group::prelude::*;
use tokio::time::sleep;

use crate::answers::{Ask, answer};
use crate::counts::Probe;

const KEYS: u64 = 10_000;
const COMMIT: Duration = Duration::from_millis(1);
const MOST_IN_A_COMMIT: usize = 1_024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    OursUnordered,
    Ours,
    #[cfg(feature = "tokio")]
    SpawnedUnordered,
    #[cfg(feature = "tokio")]
    Spawned,
    BufferUnordered,
    Buffered,
    FuturesBufferedUnordered,
    FuturesBuffered,
    /// `buffer_unordered` of handlers that each run in a task of their own
    TaskAnItem,
    /// Tasks that take every n-th item each, and hand nothing back: no less can be done in tasks
    TasksAlone,
}

/// What is done with the results.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Nothing that takes time.
    Nothing,
    /// A commit of one millisecond for each.
    Each,
    /// A commit of one millisecond for whatever is there.
    Chunks,
}

impl Contender {
    pub const ALL: &[Self] = &[
        Self::OursUnordered,
        Self::Ours,
        #[cfg(feature = "tokio")]
        Self::SpawnedUnordered,
        #[cfg(feature = "tokio")]
        Self::Spawned,
        Self::BufferUnordered,
        Self::Buffered,
        Self::FuturesBufferedUnordered,
        Self::FuturesBuffered,
        Self::TaskAnItem,
        Self::TasksAlone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::OursUnordered => "ours, completion order",
            Self::Ours => "ours, source order",
            #[cfg(feature = "tokio")]
            Self::SpawnedUnordered => "ours, spawned, completion order",
            #[cfg(feature = "tokio")]
            Self::Spawned => "ours, spawned, source order",
            Self::BufferUnordered => "buffer_unordered",
            Self::Buffered => "buffered",
            Self::FuturesBufferedUnordered => "futures-buffered, unordered",
            Self::FuturesBuffered => "futures-buffered, ordered",
            Self::TaskAnItem => "buffer_unordered, a task an item",
            Self::TasksAlone => "tasks alone, without results",
        }
    }

    /// Whether it is not ours, and runs in one task, too.
    pub fn is_peer(self) -> bool {
        matches!(
            self,
            Self::BufferUnordered
                | Self::Buffered
                | Self::FuturesBufferedUnordered
                | Self::FuturesBuffered
        )
    }

    /// Whether there is anything to commit.
    pub fn has_results(self) -> bool {
        self != Self::TasksAlone
    }

    /// Runs so many items through.
    pub async fn run<A, P>(self, ask: A, probe: P, commit: Commit, items: u64, max_parallel: usize)
    where
        A: Ask,
        P: Probe,
    {
        let counting = probe.clone();
        let handle = move |number| counting.clone().handler(ask.ask(number));
        let counting = probe.clone();
        let handle_with_offset = move |number| {
            let handled = counting.clone().handler(ask.ask(number));
            async move { (handled.await, number) }
        };
        let source = stream::iter(0..items);
        // A multiplier that is prime to the number of keys: each comes once in 10,000 items, in no visible order.
        let ours = stream::iter(0..items)
            .ordered_by_group(|number| number.wrapping_mul(7_919) % KEYS, max_parallel);
        let mut check = Check::new(items);
        macro_rules! drive {
            ($results:expr, $offset:expr, $is_ordered:expr) => {{
                let (results, offset) = ($results, $offset);
                check.is_ordered = $is_ordered;
                match commit {
                    Commit::Nothing => {
                        check
                            .all(results.map(|(answer, n)| (answer, offset(&n))))
                            .await
                    }
                    Commit::Each => {
                        let consume = |(answer, n)| {
                            check.one(answer, offset(&n));
                            sleep(COMMIT)
                        };
                        results.drive(consume).await
                    }
                    Commit::Chunks => {
                        let consume = |chunk: Vec<_>| {
                            let chunk = chunk.into_iter();
                            chunk.for_each(|(answer, n)| check.one(answer, offset(&n)));
                            sleep(COMMIT)
                        };
                        results.drive_chunks(MOST_IN_A_COMMIT, consume).await
                    }
                }
            }};
        }
        macro_rules! peer {
            ($results:expr, $is_ordered:expr) => {{
                let results = $results;
                check.is_ordered = $is_ordered;
                match commit {
                    Commit::Nothing => check.all(results).await,
                    Commit::Each => {
                        let consume = |(answer, number)| {
                            check.one(answer, number);
                            sleep(COMMIT)
                        };
                        results.for_each(consume).await
                    }
                    Commit::Chunks => {
                        let consume = |chunk: Vec<_>| {
                            let chunk = chunk.into_iter();
                            chunk.for_each(|(answer, number)| check.one(answer, number));
                            sleep(COMMIT)
                        };
                        results
                            .ready_chunks(MOST_IN_A_COMMIT)
                            .for_each(consume)
                            .await
                    }
                }
            }};
        }
        match self {
            Self::OursUnordered => drive!(ours.then_unordered(handle), own_offset, false),
            Self::Ours => drive!(ours.then(handle), |&n: &u64| n, true),
            #[cfg(feature = "tokio")]
            Self::SpawnedUnordered => {
                drive!(ours.spawned().then_unordered(handle), own_offset, false)
            }
            #[cfg(feature = "tokio")]
            Self::Spawned => drive!(ours.spawned().then(handle), |&n: &u64| n, true),
            Self::BufferUnordered => {
                let results = source.map(handle_with_offset);
                peer!(results.buffer_unordered(max_parallel), false)
            }
            Self::Buffered => {
                peer!(source.map(handle_with_offset).buffered(max_parallel), true)
            }
            Self::FuturesBufferedUnordered => {
                let results = source.map(handle_with_offset);
                peer!(results.buffered_unordered(max_parallel), false)
            }
            Self::FuturesBuffered => {
                let results = source.map(handle_with_offset);
                peer!(results.buffered_ordered(max_parallel), true)
            }
            Self::TaskAnItem => {
                let results = source
                    .map(|number| tokio::spawn(handle_with_offset(number)))
                    .buffer_unordered(max_parallel)
                    .map(|joined| joined.expect("no handler panics"));
                peer!(results, false)
            }
            Self::TasksAlone => {
                let task = |first| {
                    let handle = handle_with_offset.clone();
                    tokio::spawn(async move {
                        let mut check = Check::new(items);
                        for number in (first..items).step_by(max_parallel) {
                            let (answer, number) = handle(number).await;
                            check.one(answer, number);
                        }
                        check
                    })
                };
                let tasks: Vec<_> = (0..max_parallel as u64).map(task).collect();
                for task in tasks {
                    check.add(task.await.expect("no handler panics"));
                }
            }
        }
        check.end();
    }
}

fn own_offset(offset: &ordered_by_group::Unordered<u64>) -> u64 {
    *offset.offset()
}

/// Sees to it that each item gives one result, the right one, and in source order where that is promised.
struct Check {
    items: u64,
    is_ordered: bool,
    count: u64,
    sum: u64,
}

impl Check {
    fn new(items: u64) -> Self {
        Self {
            items,
            is_ordered: false,
            count: 0,
            sum: 0,
        }
    }

    async fn all(&mut self, results: impl Stream<Item = (u64, u64)>) {
        let mut results = pin!(results);
        while let Some((answer, number)) = results.next().await {
            self.one(answer, number);
        }
    }

    fn one(&mut self, answered: u64, number: u64) {
        assert!(!self.is_ordered || number == self.count);
        assert_eq!(answered, answer(number));
        self.count += 1;
        self.sum += number;
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }

    fn end(&self) {
        assert_eq!(self.count, self.items);
        assert_eq!(self.sum, self.items * (self.items - 1) / 2);
    }
}
