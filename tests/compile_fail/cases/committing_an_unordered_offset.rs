//! An offset that came out of source order is no position to commit.

use futures::stream;
use ordered_by_group::prelude::*;

async fn commit(_position: u64) {}

fn main() {
    let _ = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then_unordered(|n| async move { n })
        .drive(|(_, offset)| commit(offset));
}
