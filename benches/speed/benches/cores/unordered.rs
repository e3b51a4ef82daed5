//! `buffer_unordered` of tasks. It keeps no order within a group.

use std::pin::pin;

use futures::StreamExt as _;

use crate::MAX_PARALLEL;
use crate::work::{Outcome, Work};

pub async fn run(work: &'static Work) -> Outcome {
    let tasks = work
        .source()
        .map(|number| tokio::spawn(async move { work.handle(number) }));
    let mut results = pin!(tasks.buffer_unordered(MAX_PARALLEL));
    let mut outcome = Outcome::default();
    while let Some(handled) = results.next().await {
        outcome.add(handled.expect("the handler finishes"));
    }
    outcome
}
