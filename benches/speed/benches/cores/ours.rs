//! The operator, whose handlers run on the runtime's workers.

use std::pin::pin;

use futures::StreamExt as _;
use ordered_by_group::prelude::*;

use crate::MAX_PARALLEL;
use crate::work::{Outcome, Work};

pub async fn in_source_order(work: &'static Work) -> Outcome {
    let ordered = work
        .source()
        .ordered_by_group(move |number| work.key(*number), MAX_PARALLEL);
    let mut results = pin!(
        ordered
            .spawned()
            .then(move |number| async move { work.handle(number) })
    );
    let (mut outcome, mut next) = (Outcome::default(), 0);
    while let Some((handled, offset)) = results.next().await {
        assert_eq!(offset, next);
        next += 1;
        outcome.add(handled);
    }
    outcome
}

pub async fn in_completion_order(work: &'static Work) -> Outcome {
    let ordered = work
        .source()
        .ordered_by_group(move |number| work.key(*number), MAX_PARALLEL);
    let mut results = pin!(
        ordered
            .spawned()
            .then_unordered(move |number| async move { work.handle(number) })
    );
    let (mut outcome, mut frontier) = (Outcome::default(), None);
    while let Some((handled, offset)) = results.next().await {
        assert!(offset.frontier().copied() >= frontier);
        frontier = offset.frontier().copied();
        outcome.add(handled);
    }
    assert_eq!(frontier, outcome.count.checked_sub(1));
    outcome
}
