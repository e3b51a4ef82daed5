//! Settings are not a running stream before a verb finishes them.

use futures::stream;
use ordered_by_group::Running;
use ordered_by_group::prelude::*;

fn results() -> impl Running<Item = (u32, u64), Offset = u64> {
    stream::iter([1, 2]).ordered_by_group(|n| *n, 8)
}

fn main() {
    let _ = results();
}
