//! Batches of items that have several keys.

use futures::stream;
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([1, 2])
        .ordered_by_groups(|n| [n % 2, 7], 8)
        .batches(10)
        .then(|batch| async move { batch.len() });
}
