//! The command line.

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, ValueEnum};

/// Delivers webhooks over HTTP on the loopback interface: one at a time and in order per endpoint, many endpoints at once,
/// with retries and a circuit breaker for each. A quarter of the endpoints are slow, fail, recover or refuse.
#[derive(Parser)]
#[command(name = "webhooks")]
pub struct Args {
    /// What happens to a delivery whose last attempt has failed
    #[arg(long, value_name = "WHAT", default_value = "dead-letter")]
    pub on_failure: OnFailure,

    /// The number of webhooks to deliver
    #[arg(long, value_name = "N", default_value = "2000", value_parser = from_one_to(1_000_000))]
    pub deliveries: usize,

    /// The number of endpoints to deliver them to, in turn
    #[arg(long, value_name = "N", default_value = "200", value_parser = from_one_to(10_000))]
    pub endpoints: usize,

    /// The maximum number of requests at once; each takes two sockets
    #[arg(long, value_name = "N", default_value = "32", value_parser = from_one_to(256))]
    pub max_parallel: usize,

    /// Keep the slot during waits, to show what `without_slot` is for
    #[arg(long)]
    pub hold_slots: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// Write it to the dead letters and continue with its endpoint
    DeadLetter,
    /// Leave it out and continue with its endpoint
    Skip,
    /// Stop everything at the first one
    Stop,
}

fn from_one_to(most: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::new().range(1..=most)
}
