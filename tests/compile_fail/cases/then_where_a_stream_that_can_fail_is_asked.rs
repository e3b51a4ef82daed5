//! `then` is for handlers that cannot fail.

use futures::stream;
use ordered_by_group::TryRunning;
use ordered_by_group::prelude::*;

fn results() -> impl TryRunning<Item = Result<(u32, u64), String>, Offset = u64> {
    stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n })
}

fn main() {
    let _ = results();
}
