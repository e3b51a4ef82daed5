//! Everything at once: `buffer_unordered` of `futures`, and that of `futures-buffered`.
//!
//! What they lack: order within a group, and in completion order a commit position. They stand here for the price of
//! running futures at all.

use std::pin::pin;

use futures::{Stream, StreamExt as _};
use futures_buffered::BufferedStreamExt as _;

use crate::work::{Handler, Item, Limits, Results};

pub async fn futures_unordered(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let running = source
        .map(|item| with_offset(&handler, item))
        .buffer_unordered(limits.max_parallel);
    take_all(running, results).await;
}

pub async fn futures_buffered_unordered(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let running = source
        .map(|item| with_offset(&handler, item))
        .buffered_unordered(limits.max_parallel);
    take_all(running, results).await;
}

fn with_offset<H: Handler>(handler: &H, item: Item) -> impl Future<Output = (u64, u64)> {
    let handled = handler.handle(item);
    async move { (handled.await, item.offset) }
}

async fn take_all(running: impl Stream<Item = (u64, u64)>, results: &mut Results) {
    let mut running = pin!(running);
    while let Some((amount, offset)) = running.next().await {
        results.take(amount, offset);
    }
}
