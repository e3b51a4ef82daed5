//! `impl Stream` hides the methods that `impl Running` has.

use futures::{Stream, stream};
use ordered_by_group::prelude::*;

fn results() -> impl Stream<Item = (u32, u64)> {
    stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n })
}

fn main() {
    let _ = results().drive(|_| async {});
}
