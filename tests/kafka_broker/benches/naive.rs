//! The naive member in the scenarios of the tests: one line each, to put beside those of the module `kafka`.
//!
//! `KAFKA_BROKERS=127.0.0.1:19092 cargo bench -p kafka_broker_tests`

use std::env;

use anyhow::{Context as _, Result};
use kafka_broker_tests::args::Protocol;
use kafka_broker_tests::scenario::{Cast, ComeAndGo, Pace, come_and_go, cycles, stop, stuck_head};

fn main() -> Result<()> {
    let way = "start a broker with `tests/kafka_broker/broker start FOLDER`, and set KAFKA_BROKERS=127.0.0.1:19092";
    let cast = Cast {
        brokers: env::var("KAFKA_BROKERS").context(way)?,
        producer: env!("CARGO_BIN_EXE_producer").into(),
        member: env!("CARGO_BIN_EXE_naive").into(),
    };
    let plays = [
        (Protocol::Range, Pace::Fast),
        (Protocol::CooperativeSticky, Pace::Fast),
        (Protocol::Consumer, Pace::Fast),
        (Protocol::Range, Pace::Slow),
    ];
    for (protocol, pace) in plays {
        let play = ComeAndGo {
            protocol,
            members: 2,
            cycles: cycles(),
            pace,
            args: Vec::new(),
        };
        println!("{}", come_and_go(&cast, &play)?);
    }
    println!("{}", stuck_head(&cast, false)?);
    println!("{}", stop(&cast, Protocol::Range)?);
    Ok(())
}
