//! Exactly once: outputs and offsets are written in transactions, and a member is killed again and again.

use std::time::Duration;

use anyhow::Result;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Judges what a reader sees in the topic that the members write. One member stays, the other is killed.
pub fn exactly_once(cast: &Cast, protocol: Protocol, kills: usize) -> Result<Outcome> {
    let name = format!("{}, {protocol}, {kills} x kill -9", cast.member_name());
    let mut stage = Stage::new(&cast.brokers, "exactly-once", 8)?;
    let output = stage.add_topic("output")?;
    // By range and cooperative-sticky, a static member comes back without a rebalance. By KIP-848 it would be refused until
    // its session has expired.
    let is_static = protocol != Protocol::Consumer;
    let protocol = protocol.to_string();
    let args = ["--output", &output, "--protocol", &protocol];
    let args = [&args[..], &["--commit-every", "100"]].concat();
    let names = ["stays", "dies"].map(|name| format!("{output}-{name}"));
    let [stays, dies] = names.each_ref().map(|name| {
        let mut args = args.clone();
        args.extend(["--transactional-id", name]);
        if is_static {
            args.extend(["--instance", name]);
        }
        args
    });

    let producer = stage.start_producer(&cast.producer, &["--rate", "200"])?;
    let first = stage.start_member(&cast.member, &stays)?;
    stage.until_done_by(first, 50, ENDS_WITHIN)?;
    let mut joins = Vec::new();
    for kill in 0..kills {
        let second = stage.start_member(&cast.member, &dies)?;
        // Always at another point between two commits.
        stage.until_done_by(second, 20 + kill * 7 % 40, ENDS_WITHIN)?;
        joins.push(stage.joined_after(second)?);
        stage.kill(second)?;
    }
    let last = stage.start_member(&cast.member, &dies)?;
    stage.until_done_by(last, 50, ENDS_WITHIN)?;
    stage.terminate(producer)?;
    stage.until_all_committed(ENDS_WITHIN)?;
    let leaves = vec![stage.terminate(last)?, stage.terminate(first)?];
    Ok(Outcome {
        name,
        verdict: stage.verdict_of_outputs(&output)?,
        joins,
        leaves,
    })
}
