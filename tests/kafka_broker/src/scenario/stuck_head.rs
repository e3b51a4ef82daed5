//! Stuck head: the first record of a partition hangs, all others are done, and the member is killed and started again.

use std::time::Duration;

use anyhow::Result;
use ordered_by_group::positions::Done;

use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const RECORDS: usize = 3_000;
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// `knows` says whether the member commits what is done past the position, so that this can be waited for.
pub fn stuck_head(cast: &Cast, knows: bool) -> Result<Outcome> {
    let mut stage = Stage::new(&cast.brokers, "stuck-head", 1)?;
    let count = RECORDS.to_string();
    let produce = ["--stuck", "--rate", "3000", "--count", &count];
    let producer = stage.start_producer(&cast.producer, &produce)?;

    let never = ["--stuck-for", "3600000"];
    let hangs = stage.start_member(&cast.member, &never)?;
    stage.ended(producer)?;
    stage.until(
        "all but one are done",
        ENDS_WITHIN,
        |progress, committed| {
            let is_known = committed.get(&0).is_some_and(|(next, text)| {
                let done = Done::decode(*next, text).unwrap_or_default();
                done.len() == RECORDS as u64
            });
            progress.unfinished(committed) == 1
                && progress.produced() == RECORDS + 1
                && (is_known || !knows)
        },
    )?;
    stage.kill(hangs)?;

    let again = stage.start_member(&cast.member, &[])?;
    // All of them are done as soon as the stuck one is. What may be repeated comes after it.
    stage.until_all_committed(ENDS_WITHIN)?;
    let joins = vec![stage.joined_after(again)?];
    let leaves = vec![stage.terminate(again)?];
    Ok(Outcome {
        name: format!("{}, stuck head, kill -9", cast.member_name()),
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}
