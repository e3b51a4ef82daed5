//! `buffer_unordered`, and a mutex per key that each handler locks first.
//!
//! What it lacks: a mutex for each key ever seen stays in memory. There is no commit position. That lock order is
//! stream order hangs on three things that nobody promises together: futures are first polled in the order of the
//! stream, the mutex is fair, and nothing is awaited before it. And waiters hold the slots of others, or, with a
//! semaphore for the slots and a wide buffer for the waiters, each item pays for two locks and is polled at least once
//! whether it may run or not.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use tokio::sync::{Mutex, Semaphore};

use crate::work::{Handler, Item, Limits, Results};

/// The buffer is as wide as there may be handlers: who waits for a lock holds a slot.
pub async fn alone(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut locks = HashMap::<u64, Arc<Mutex<()>>>::new();
    let mut running = pin!(
        source
            .map(|item| {
                let lock = locks.entry(item.key).or_default().clone();
                let handler = &handler;
                async move {
                    let _group = lock.lock().await;
                    (handler.handle(item).await, item.offset)
                }
            })
            .buffer_unordered(limits.max_parallel)
    );
    while let Some((amount, offset)) = running.next().await {
        results.take(amount, offset);
    }
}

/// The buffer is as wide as the window, and who has the lock waits for a slot.
pub async fn with_semaphore(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut locks = HashMap::<u64, Arc<Mutex<()>>>::new();
    let slots = Semaphore::new(limits.max_parallel);
    let mut running = pin!(
        source
            .map(|item| {
                let lock = locks.entry(item.key).or_default().clone();
                let (handler, slots) = (&handler, &slots);
                async move {
                    let _group = lock.lock().await;
                    let _slot = slots.acquire().await.expect("it is never closed");
                    (handler.handle(item).await, item.offset)
                }
            })
            .buffer_unordered(limits.look_ahead)
    );
    while let Some((amount, offset)) = running.next().await {
        results.take(amount, offset);
    }
}
