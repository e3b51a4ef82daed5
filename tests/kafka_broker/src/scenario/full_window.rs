//! Full window: the only slot is taken for twice as long as a member may go without a poll.

use std::time::Duration;

use anyhow::Result;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const MAX_POLL_INTERVAL: &str = "6000";
const TAKES: &str = "12000";
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// What happens while the slot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    Nothing,
    /// A second member joins, so the first one has to give up what it cannot finish in time.
    AnotherJoins,
}

pub fn full_window(cast: &Cast, protocol: Protocol, meanwhile: Meanwhile) -> Result<Outcome> {
    let mut name = format!("{}, {protocol}, full window", cast.member_name());
    let protocol = protocol.to_string();
    let args = [
        &["--protocol", protocol.as_str()][..],
        &["--slots", "1", "--takes", "0", "1", "--stuck-for", TAKES],
        &["--max-poll-interval", MAX_POLL_INTERVAL],
    ]
    .concat();
    let mut stage = Stage::new(&cast.brokers, "full-window", 8)?;
    let producer = stage.start_producer(&cast.producer, &["--stuck", "--rate", "200"])?;

    let mut members = vec![stage.start_member(&cast.member, &args)?];
    let first = members[0];
    stage.until("the slot is taken", ENDS_WITHIN, |progress, _| {
        progress.is_stuck(first)
    })?;
    let mut joins = Vec::new();
    if meanwhile == Meanwhile::AnotherJoins {
        name += ", another joins";
        let second = stage.start_member(&cast.member, &args)?;
        stage.until_done_by(second, 1, ENDS_WITHIN)?;
        joins.push(stage.joined_after(second)?);
        members.push(second);
    }
    stage.until("the slot is free", ENDS_WITHIN, |progress, _| {
        !members.iter().any(|member| progress.is_stuck(*member))
            && members.iter().any(|member| progress.done_by(*member) > 0)
    })?;
    stage.terminate(producer)?;
    stage.until_all_done(ENDS_WITHIN)?;
    let mut leaves = Vec::new();
    for member in members {
        leaves.push(stage.terminate(member)?);
    }
    Ok(Outcome {
        name,
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}
