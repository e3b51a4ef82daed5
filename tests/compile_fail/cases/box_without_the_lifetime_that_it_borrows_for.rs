//! A box says how long what its stream borrows lives.

use futures::stream;
use ordered_by_group::BoxRunning;
use ordered_by_group::prelude::*;

fn lengths(words: &[String]) -> BoxRunning<'static, (usize, u64), u64> {
    stream::iter(words)
        .ordered_by_group(|word| word.len(), 8)
        .then(|word| async move { word.len() })
        .boxed_running()
}

fn main() {
    let _ = lengths(&[]);
}
