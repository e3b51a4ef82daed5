//! A loop that handles one item after the other.

use futures::StreamExt as _;

use crate::work::{Outcome, Work};

pub async fn run(work: &'static Work) -> Outcome {
    let mut source = work.source();
    let mut outcome = Outcome::default();
    while let Some(number) = source.next().await {
        outcome.add(work.handle(number));
    }
    outcome
}
