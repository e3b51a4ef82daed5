//! One item after the other: the floor of what an item costs, and the order that the others are measured against.
//!
//! What it lacks: any parallelism. A handler that waits holds up all that comes after it.

use std::pin::pin;

use futures::{Stream, StreamExt as _};

use crate::work::{Handler, Item, Results};

pub async fn run(source: impl Stream<Item = Item>, handler: impl Handler, results: &mut Results) {
    let mut source = pin!(source);
    while let Some(item) = source.next().await {
        let amount = handler.handle(item).await;
        results.take(amount, item.offset);
        results.commit(item.offset);
    }
}
