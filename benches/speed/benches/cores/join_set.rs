//! A `JoinSet` of bounded size. It keeps no order within a group.

use futures::StreamExt as _;
use tokio::task::JoinSet;

use crate::MAX_PARALLEL;
use crate::work::{Outcome, Work};

pub async fn run(work: &'static Work) -> Outcome {
    let mut source = work.source();
    let mut tasks = JoinSet::new();
    let mut outcome = Outcome::default();
    while let Some(number) = source.next().await {
        if tasks.len() == MAX_PARALLEL {
            let handled = tasks.join_next().await.expect("tasks run");
            outcome.add(handled.expect("the handler finishes"));
        }
        tasks.spawn(async move { work.handle(number) });
    }
    while let Some(handled) = tasks.join_next().await {
        outcome.add(handled.expect("the handler finishes"));
    }
    outcome
}
