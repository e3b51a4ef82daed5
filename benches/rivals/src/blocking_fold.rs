//! The blog's `runParallelOrBlock`: a fold over the stream whose state is the set of running handlers.
//!
//! What it lacks: it blocks at the first item that may not run yet, so that what comes after it is not even read. There
//! is no commit position; the blog leaves it to the reader.

use std::collections::HashSet;
use std::pin::pin;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};

use crate::work::{Handler, Item, Limits, Results};

pub async fn run(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut source = pin!(source.fuse());
    let mut running = FuturesUnordered::new();
    let mut groups = HashSet::with_capacity(limits.max_parallel);
    let mut blocked = None;
    loop {
        if let Some(item) = blocked.take_if(|item: &mut Item| {
            running.len() < limits.max_parallel && groups.insert(item.key)
        }) {
            let handled = handler.handle(item);
            running.push(async move { (handled.await, item) });
        }
        tokio::select! {
            biased;
            Some(item) = source.next(), if blocked.is_none() => blocked = Some(item),
            Some((amount, item)) = running.next() => {
                groups.remove(&item.key);
                results.take(amount, item.offset);
            }
            else => break,
        }
    }
}
