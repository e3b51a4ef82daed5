//! Behind a `.map` it is an ordinary stream.

use futures::{StreamExt as _, stream};
use ordered_by_group::Running;
use ordered_by_group::prelude::*;

async fn consume<S: Running>(results: S) {
    results.drive(|_| async {}).await;
}

fn main() {
    let results = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n })
        .map(|(n, _offset)| n);
    let _ = consume(results);
}
