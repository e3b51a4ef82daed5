//! The methods of a running stream are those of a trait, which must be in scope.

mod pipeline {
    use futures::stream;
    use ordered_by_group::Running;
    use ordered_by_group::prelude::*;

    pub fn results() -> impl Running<Item = (u32, u64), Offset = u64> {
        stream::iter([1, 2])
            .ordered_by_group(|n| *n, 8)
            .then(|n| async move { n })
    }
}

fn main() {
    let _ = pipeline::results().drive(|_| async {});
}
