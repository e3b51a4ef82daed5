//! The same work for each contender: pull a message, run its handler, take its result and offset, and check them.

mod one_yield;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use futures_buffered::BufferedStreamExt as _;
use ordered_by_group::{Access, Monitor, prelude::*};
use tokio::sync::{Mutex, Semaphore};

use one_yield::OneYield;

/// How many different keys there are.
pub const KEYS: u64 = 10_000;

/// What a handler does before it returns.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Nothing: it is ready at its first poll.
    Ready,
    /// It wakes itself and returns Pending, once.
    OneYield,
    /// It awaits `tokio::task::yield_now`, once.
    TokioYield,
    /// One in ten awaits `tokio::task::yield_now`; the others are ready.
    MostlyReady,
}

/// A way to run handlers on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `ordered_by_group(..).then_unordered(..)`
    OursUnordered,
    /// `ordered_by_group(..).then(..)`
    Ours,
    /// `ordered_by_group(..).prefetch().then_unordered(..)`
    AheadUnordered,
    /// `ordered_by_group(..).prefetch().then(..)`
    Ahead,
    /// `ordered_by_group(..).monitor(..).then(..)`; the monitor may have a clock
    Watched { timed: bool },
    /// `futures`: `map(..).buffer_unordered(n)`
    BufferUnordered,
    /// `futures`: `map(..).buffered(n)`
    Buffered,
    /// `futures-buffered`: `map(..).buffered_unordered(n)`
    FuturesBufferedUnordered,
    /// `futures-buffered`: `map(..).buffered_ordered(n)`
    FuturesBuffered,
    /// `ordered_by_groups` with two keys an item, `then_unordered(..)`
    TwoKeysUnordered,
    /// `ordered_by_groups` with two keys an item, `then(..)`
    TwoKeys,
    /// `ordered_by_access`: one key exclusive and one shared, and one item in `every` touches `keys` more; `then_unordered(..)`
    AccessUnordered { every: u64, keys: u64 },
    /// The same, `then(..)`
    Access { every: u64, keys: u64 },
    /// `ordered_unless`, of equal keys; `then_unordered(..)`
    UnlessUnordered,
    /// The same, `then(..)`
    Unless,
    /// `buffer_unordered(1_024)` of handlers that lock a mutex per key, and then a semaphore of n
    KeyedMutexAndSemaphore,
}

impl Contender {
    pub const ALL: [Self; 6] = [
        Self::OursUnordered,
        Self::Ours,
        Self::BufferUnordered,
        Self::Buffered,
        Self::FuturesBufferedUnordered,
        Self::FuturesBuffered,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::OursUnordered => "ours, completion order",
            Self::Ours => "ours, source order",
            Self::AheadUnordered => "ours, read ahead, completion order",
            Self::Ahead => "ours, read ahead, source order",
            Self::Watched { timed: false } => "ours, watched, source order",
            Self::Watched { timed: true } => "ours, timed, source order",
            Self::BufferUnordered => "buffer_unordered",
            Self::Buffered => "buffered",
            Self::FuturesBufferedUnordered => "futures-buffered, unordered",
            Self::FuturesBuffered => "futures-buffered, ordered",
            Self::TwoKeysUnordered => "ours, two keys, completion order",
            Self::TwoKeys => "ours, two keys, source order",
            Self::AccessUnordered { .. } => "ours, by access, completion order",
            Self::Access { .. } => "ours, by access, source order",
            Self::UnlessUnordered => "ours, by a relation, completion order",
            Self::Unless => "ours, by a relation, source order",
            Self::KeyedMutexAndSemaphore => "keyed mutex and semaphore",
        }
    }

    /// Runs `items` messages through, `max_parallel` at once, and checks what comes out.
    pub async fn run(self, work: Work, items: u64, max_parallel: usize) {
        match work {
            Work::Ready => {
                let handle = |message: Message| async move { message.amount };
                self.run_with(items, max_parallel, handle).await;
            }
            Work::OneYield => {
                let handle = |message: Message| async move {
                    OneYield(false).await;
                    message.amount
                };
                self.run_with(items, max_parallel, handle).await;
            }
            Work::TokioYield => {
                let handle = |message: Message| async move {
                    tokio::task::yield_now().await;
                    message.amount
                };
                self.run_with(items, max_parallel, handle).await;
            }
            Work::MostlyReady => {
                let handle = |message: Message| async move {
                    if message.offset.is_multiple_of(10) {
                        tokio::task::yield_now().await;
                    }
                    message.amount
                };
                self.run_with(items, max_parallel, handle).await;
            }
        }
    }

    async fn run_with<Fut>(
        self,
        items: u64,
        max_parallel: usize,
        handle: impl Fn(Message) -> Fut + Copy,
    ) where
        Fut: Future<Output = u64>,
    {
        let handle_with_offset = move |message: Message| {
            let offset = message.offset;
            let handled = handle(message);
            async move { (handled.await, offset) }
        };
        match self {
            Self::OursUnordered => {
                let results = messages(items)
                    .ordered_by_group(|message| message.key, max_parallel)
                    .offsets(|message| message.offset)
                    .then_unordered(handle)
                    .map(|(result, offset)| (result, *offset.offset()));
                check(items, false, results).await;
            }
            Self::Ours => {
                let results = messages(items)
                    .ordered_by_group(|message| message.key, max_parallel)
                    .offsets(|message| message.offset)
                    .then(handle);
                check(items, true, results).await;
            }
            Self::AheadUnordered => {
                let results = messages(items)
                    .ordered_by_group(|message| message.key, max_parallel)
                    .offsets(|message| message.offset)
                    .prefetch()
                    .then_unordered(handle)
                    .map(|(result, offset)| (result, *offset.offset()));
                check(items, false, results).await;
            }
            Self::Ahead => {
                let results = messages(items)
                    .ordered_by_group(|message| message.key, max_parallel)
                    .offsets(|message| message.offset)
                    .prefetch()
                    .then(handle);
                check(items, true, results).await;
            }
            Self::Watched { timed } => {
                let monitor = match timed {
                    true => Monitor::new().timed(std::time::Instant::now),
                    false => Monitor::new(),
                };
                let results = messages(items)
                    .ordered_by_group(|message| message.key, max_parallel)
                    .offsets(|message| message.offset)
                    .monitor(&monitor)
                    .then(handle);
                check(items, true, results).await;
                assert_eq!(monitor.snapshot().emitted_total, items);
            }
            Self::BufferUnordered => {
                let results = messages(items)
                    .map(handle_with_offset)
                    .buffer_unordered(max_parallel);
                check(items, false, results).await;
            }
            Self::Buffered => {
                let results = messages(items)
                    .map(handle_with_offset)
                    .buffered(max_parallel);
                check(items, true, results).await;
            }
            Self::FuturesBufferedUnordered => {
                let results = messages(items)
                    .map(handle_with_offset)
                    .buffered_unordered(max_parallel);
                check(items, false, results).await;
            }
            Self::FuturesBuffered => {
                let results = messages(items)
                    .map(handle_with_offset)
                    .buffered_ordered(max_parallel);
                check(items, true, results).await;
            }
            Self::TwoKeysUnordered => {
                let results = messages(items)
                    .ordered_by_groups(|message| [message.key, other_key(message)], max_parallel)
                    .offsets(|message| message.offset)
                    .then_unordered(handle)
                    .map(|(result, offset)| (result, *offset.offset()));
                check(items, false, results).await;
            }
            Self::TwoKeys => {
                let results = messages(items)
                    .ordered_by_groups(|message| [message.key, other_key(message)], max_parallel)
                    .offsets(|message| message.offset)
                    .then(handle);
                check(items, true, results).await;
            }
            Self::AccessUnordered { every, keys } => {
                let results = messages(items)
                    .ordered_by_access(|message| accesses(message, every, keys), max_parallel)
                    .offsets(|message| message.offset)
                    .then_unordered(handle)
                    .map(|(result, offset)| (result, *offset.offset()));
                check(items, false, results).await;
            }
            Self::Access { every, keys } => {
                let results = messages(items)
                    .ordered_by_access(|message| accesses(message, every, keys), max_parallel)
                    .offsets(|message| message.offset)
                    .then(handle);
                check(items, true, results).await;
            }
            Self::UnlessUnordered => {
                let results = messages(items)
                    .ordered_unless(|message| message.key, |a, b| a != b, max_parallel)
                    .offsets(|message| message.offset)
                    .then_unordered(handle)
                    .map(|(result, offset)| (result, *offset.offset()));
                check(items, false, results).await;
            }
            Self::Unless => {
                let results = messages(items)
                    .ordered_unless(|message| message.key, |a, b| a != b, max_parallel)
                    .offsets(|message| message.offset)
                    .then(handle);
                check(items, true, results).await;
            }
            Self::KeyedMutexAndSemaphore => {
                let mut locks = HashMap::<u64, Arc<Mutex<()>>>::new();
                let slots = Semaphore::new(max_parallel);
                let results = messages(items)
                    .map(|message| {
                        let lock = locks.entry(message.key).or_default().clone();
                        let slots = &slots;
                        async move {
                            let _group = lock.lock().await;
                            let _slot = slots.acquire().await.expect("it is never closed");
                            handle_with_offset(message).await
                        }
                    })
                    .buffer_unordered(1_024);
                check(items, false, results).await;
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Message {
    key: u64,
    offset: u64,
    amount: u64,
}

fn messages(items: u64) -> impl Stream<Item = Message> {
    stream::iter((0..items).map(|offset| Message {
        // A multiplier that is prime to the number of keys: each key comes once in 10,000 messages, in no visible order.
        key: offset.wrapping_mul(7_919) % KEYS,
        offset,
        amount: offset ^ 0x5555,
    }))
}

/// A second key, far from the first.
fn other_key(message: &Message) -> u64 {
    (message.key + KEYS / 2) % KEYS
}

/// One exclusive and one shared; one message in `every` is a barrier to `keys` more.
fn accesses(message: &Message, every: u64, keys: u64) -> impl Iterator<Item = Access<u64>> + use<> {
    let barrier = message.offset % every == every - 1;
    let more = 0..if barrier { keys } else { 0 };
    [
        Access::Exclusive(message.key),
        Access::Shared(other_key(message)),
    ]
    .into_iter()
    .chain(more.map(Access::Exclusive))
}

async fn check(items: u64, in_source_order: bool, results: impl Stream<Item = (u64, u64)>) {
    let mut results = std::pin::pin!(results);
    let (mut count, mut offsets, mut amounts) = (0, 0_u64, 0_u64);
    while let Some((amount, offset)) = results.next().await {
        assert!(!in_source_order || offset == count);
        count += 1;
        offsets = offsets.wrapping_add(offset);
        amounts = amounts.wrapping_add(amount);
    }
    assert_eq!(count, items);
    assert_eq!(offsets, items * (items - 1) / 2);
    assert!(amounts > 0);
}
