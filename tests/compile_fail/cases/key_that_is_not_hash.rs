//! A key that is not `Hash`.

use futures::stream;
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([1.0, 2.0])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n });
}
