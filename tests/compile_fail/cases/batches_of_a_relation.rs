//! Batches of items that a relation orders, of a source that can fail.

use futures::stream;
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([Ok::<_, ()>(1), Ok(2)])
        .try_ordered_unless(|n| *n, |a, b| a != b, 8)
        .batches(10)
        .and_then(|batch| async move { Ok(batch.len()) });
}
