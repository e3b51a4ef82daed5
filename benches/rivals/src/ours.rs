//! This crate.

use std::pin::pin;

use futures::{Stream, StreamExt as _};
use ordered_by_group::prelude::*;

use crate::work::{Handler, Item, Limits, Results};

/// Results as they finish; the frontier is the commit position.
pub async fn unordered(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut running = pin!(
        source
            .ordered_by_group(|item| item.key, limits.max_parallel)
            .look_ahead(limits.look_ahead)
            .offsets(|item| item.offset)
            .then_unordered(|item| handler.handle(item))
    );
    while let Some((amount, offset)) = running.next().await {
        results.take(amount, *offset.offset());
        if let Some(frontier) = offset.frontier() {
            results.commit(*frontier);
        }
    }
}

/// Results in source order; each offset is a commit position.
pub async fn ordered(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut running = pin!(
        source
            .ordered_by_group(|item| item.key, limits.max_parallel)
            .look_ahead(limits.look_ahead)
            .offsets(|item| item.offset)
            .then(|item| handler.handle(item))
    );
    while let Some((amount, offset)) = running.next().await {
        results.take(amount, offset);
        results.commit(offset);
    }
}
