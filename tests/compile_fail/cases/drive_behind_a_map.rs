//! Behind a `.map` the handlers would stand still while the closure is awaited.

use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n })
        .map(|(n, _offset)| n)
        .drive(|_| async {});
}
