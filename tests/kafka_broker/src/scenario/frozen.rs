//! Frozen: a member sleeps past its session, another one takes its partitions over, and it wakes up.
//!
//! What is promised of the one that wakes up:
//!
//! - nothing is lost, and no committed position goes back: what it commits before it knows is refused;
//! - as soon as it knows, what runs in it is dropped at its next await, and it begins nothing more of what it has lost;
//! - no key goes back to an earlier record, in any process, unless that record is repeated;
//! - it joins again and works on.
//!
//! What is not promised, by this client or any other: that it does nothing before it knows. Until then it finishes what it
//! had begun, and may begin what it had read, while the other one handles the same key. The judge counts this apart.

use std::time::Duration;

use anyhow::Result;
use kafka_judge::event::What;
use ordered_by_group::positions::Done;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::{Progress, Stage};

const PARTITIONS: usize = 8;
/// A handler that ends only when it is dropped, in the member that freezes.
const NEVER: &str = "3600000";
const WORK: usize = 100;
const KNOWS_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// When the member wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakesUp {
    /// As soon as the other one has done what hung, and is behind with the rest.
    Early,
    /// When the other one has done and committed all there is.
    Late,
}

pub fn frozen(cast: &Cast, protocol: Protocol, wakes_up: WakesUp) -> Result<Outcome> {
    let mut name = format!("{}, {protocol}, frozen", cast.member_name());
    let protocol = protocol.to_string();
    let args = ["--protocol", protocol.as_str()];
    let mut stage = Stage::new(&cast.brokers, "frozen", PARTITIONS as u32)?;
    let takes_over = stage.start_member(&cast.member, &args)?;
    // In a clean drain, it would wait longer for what hangs than is waited for here.
    let hangs = ["--stuck-for", NEVER, "--drain-within", "45000"];
    let hangs = [&args[..], &hangs].concat();
    let freezes = stage.start_member(&cast.member, &hangs)?;
    stage.until_shared_out(&[takes_over, freezes], ENDS_WITHIN)?;

    let held = stage.held_by(freezes)?;
    let stuck = held.first().map(ToString::to_string).unwrap_or_default();
    let producer = stage.start_producer(&cast.producer, &["--stuck", &stuck])?;
    stage.until_done_by(takes_over, 1, ENDS_WITHIN)?;
    stage.until("it hangs, and works beside", ENDS_WITHIN, |progress, _| {
        progress.is_stuck(freezes) && progress.done_by(freezes) >= WORK
    })?;
    let joins = vec![
        stage.joined_after(takes_over)?,
        stage.joined_after(freezes)?,
    ];
    stage.freeze(freezes)?;
    let gives_up = stage.given_up_by(freezes)? + held.len();

    stage.until("the other one goes on", ENDS_WITHIN, |progress, _| {
        progress.held_by(takes_over).len() == PARTITIONS && progress.has_done_stuck(takes_over)
    })?;
    let producer = match wakes_up {
        WakesUp::Early => {
            name += ", wakes up early";
            stage.wake(freezes)?;
            producer
        }
        WakesUp::Late => {
            name += ", wakes up late";
            stage.terminate(producer)?;
            stage.until_all_committed(ENDS_WITHIN)?;
            stage.wake(freezes)?;
            stage.start_producer(&cast.producer, &[])?
        }
    };
    stage.until(
        "it knows that it has nothing",
        KNOWS_WITHIN,
        |progress, _| {
            progress.given_up_by(freezes) >= gives_up && !progress.runs_what_it_gave_up(freezes)
        },
    )?;
    stage.write(freezes, What::Reached);

    stage.until_shared_out(&[takes_over, freezes], ENDS_WITHIN)?;
    let done = stage.done_by(freezes)?;
    stage.until_done_by(freezes, done + WORK, ENDS_WITHIN)?;
    stage.terminate(producer)?;
    stage.until_all_done(ENDS_WITHIN)?;
    let leaves = vec![stage.terminate(freezes)?, stage.terminate(takes_over)?];
    Ok(Outcome {
        name,
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}

/// The oldest record of the only partition hangs in both members. What the other one has done past it is committed, and the
/// one that wakes up has the partition again when the other one leaves.
pub fn frozen_with_a_stuck_head(cast: &Cast, protocol: Protocol) -> Result<Outcome> {
    let name = format!("{}, {protocol}, frozen, stuck head", cast.member_name());
    let protocol = protocol.to_string();
    let args = ["--protocol", protocol.as_str()];
    let hangs = ["--stuck-for", NEVER, "--drain-within", "1000"];
    let hangs = [&args[..], &hangs, &["--stop-within", "1000"]].concat();
    let mut stage = Stage::new(&cast.brokers, "frozen", 1)?;
    let one = stage.start_member(&cast.member, &hangs)?;
    let other = stage.start_member(&cast.member, &hangs)?;
    let producer = stage.start_producer(&cast.producer, &["--stuck"])?;
    let hangs_in = |progress: &Progress, member: u32, done: usize| {
        progress.is_stuck(member) && progress.done_by(member) >= done
    };
    stage.until("one hangs, and works beside", ENDS_WITHIN, |progress, _| {
        hangs_in(progress, one, WORK) || hangs_in(progress, other, WORK)
    })?;
    let (freezes, takes_over) = match stage.held_by(other)?.is_empty() {
        true => (one, other),
        false => (other, one),
    };
    let mut joins = vec![stage.joined_after(freezes)?];
    stage.freeze(freezes)?;
    let gives_up = stage.given_up_by(freezes)? + 1;

    let produced = stage.produced()? as u64;
    let is_more = |(next, text): &(i64, String)| {
        let done = Done::decode(*next, text).unwrap_or_default();
        done.len() > produced
    };
    stage.until("more is committed", ENDS_WITHIN, |_, committed| {
        committed.get(&0).is_some_and(is_more)
    })?;
    joins.push(stage.joined_after(takes_over)?);
    stage.wake(freezes)?;
    stage.until("it knows", KNOWS_WITHIN, |progress, _| {
        progress.given_up_by(freezes) >= gives_up && !progress.runs_what_it_gave_up(freezes)
    })?;
    stage.write(freezes, What::Reached);

    let done = stage.done_by(freezes)?;
    let mut leaves = vec![stage.terminate(takes_over)?];
    stage.until("it has the partition", ENDS_WITHIN, |progress, _| {
        hangs_in(progress, freezes, done + WORK)
    })?;
    stage.terminate(producer)?;
    leaves.push(stage.terminate(freezes)?);
    let last = stage.start_member(&cast.member, &args)?;
    stage.until_all_committed(ENDS_WITHIN)?;
    leaves.push(stage.terminate(last)?);
    Ok(Outcome {
        name,
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}
