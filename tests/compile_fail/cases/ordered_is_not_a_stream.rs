//! Settings are not a stream before a verb finishes them.

use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;

fn main() {
    let _ = stream::iter([1, 2]).ordered_by_group(|n| *n, 8).next();
}
