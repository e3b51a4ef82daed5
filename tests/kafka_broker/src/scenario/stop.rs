//! Stop: a busy member is asked to end, and another one goes on.

use std::time::Duration;

use anyhow::Result;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const RECORDS: &str = "400";
const SLOTS: usize = 64;
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Handlers take 0.2 to 2 s.
pub fn stop(cast: &Cast, protocol: Protocol) -> Result<Outcome> {
    let name = format!("{}, {protocol}, stopped when busy", cast.member_name());
    let mut stage = Stage::new(&cast.brokers, "stop", 8)?;
    let produce = ["--rate", "3000", "--count", RECORDS];
    let producer = stage.start_producer(&cast.producer, &produce)?;
    stage.ended(producer)?;

    let protocol = protocol.to_string();
    let slots = SLOTS.to_string();
    let args = ["--protocol", &protocol, "--slots", &slots];
    let args = [&args[..], &["--takes", "200", "2000"]].concat();
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    let first = stage.start_member(&cast.member, &args)?;
    stage.until("all slots are taken", ENDS_WITHIN, |progress, _| {
        progress.running_in(first) == SLOTS && progress.done_by(first) > 0
    })?;
    joins.push(stage.joined_after(first)?);
    leaves.push(stage.terminate(first)?);

    let second = stage.start_member(&cast.member, &args)?;
    stage.until_all_done(ENDS_WITHIN)?;
    joins.push(stage.joined_after(second)?);
    leaves.push(stage.terminate(second)?);
    Ok(Outcome {
        name,
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}
