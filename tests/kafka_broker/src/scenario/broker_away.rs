//! Broker away: the broker stops while records are produced and handled, and comes back.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use kafka_judge::event::What;

use crate::args::Protocol;
use crate::broker::Broker;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const AWAY: Duration = Duration::from_secs(30);
const WORK: usize = 200;
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// `cast` must play on this broker.
pub fn broker_away(cast: &Cast, broker: &Broker, protocol: Protocol) -> Result<Outcome> {
    let protocol = protocol.to_string();
    let name = format!("{}, {protocol}, broker away for 30 s", cast.member_name());
    let mut stage = Stage::new(&cast.brokers, "broker-away", 8)?;
    let producer = stage.start_producer(&cast.producer, &["--rate", "100"])?;
    let member = stage.start_member(&cast.member, &["--protocol", &protocol])?;
    stage.until_done_by(member, WORK, ENDS_WITHIN)?;
    let joins = vec![stage.joined_after(member)?];

    stage.write(member, What::CutOff);
    broker.stop()?;
    thread::sleep(AWAY);
    broker.start_again()?;
    stage.write(member, What::Reached);

    let produced = stage.produced()?;
    stage.until("more is produced", ENDS_WITHIN, |progress, _| {
        progress.produced() >= produced + WORK
    })?;
    stage.terminate(producer)?;
    stage.until_all_done(ENDS_WITHIN)?;
    let leaves = vec![stage.terminate(member)?];
    Ok(Outcome {
        name,
        verdict: stage.verdict()?,
        joins,
        leaves,
    })
}
