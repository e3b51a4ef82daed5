//! `then` is for handlers that cannot fail, so its stream has no errors to stop at.

use futures::stream;
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 8)
        .then(|n| async move { n })
        .try_drive(|_| async { Ok::<_, ()>(()) });
}
