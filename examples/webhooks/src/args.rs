//! The command line.

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, ValueEnum};

/// Delivers webhooks over HTTP on the loopback: one at a time and in order to each endpoint, many endpoints at once, with
/// retries and a circuit breaker for each. A quarter of the endpoints is slow, failing, coming back or refusing.
#[derive(Parser)]
#[command(name = "webhooks")]
pub struct Args {
    /// What becomes of a delivery that failed for the last time
    #[arg(long, value_name = "WHAT", default_value = "dead-letter")]
    pub on_failure: OnFailure,

    /// How many webhooks to deliver
    #[arg(long, value_name = "N", default_value = "2000", value_parser = from_one_to(1_000_000))]
    pub deliveries: usize,

    /// How many endpoints to deliver them to, in turn
    #[arg(long, value_name = "N", default_value = "200", value_parser = from_one_to(10_000))]
    pub endpoints: usize,

    /// The most requests in work at once: each takes two sockets
    #[arg(long, value_name = "N", default_value = "32", value_parser = from_one_to(256))]
    pub max_parallel: usize,

    /// Wait with the slot in hand, to see what `without_slot` is for
    #[arg(long)]
    pub hold_slots: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// It goes to the dead letters, then its endpoint goes on
    DeadLetter,
    /// It is left out, and its endpoint goes on
    Skip,
    /// Everything stops at the first one
    Stop,
}

fn from_one_to(most: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::new().range(1..=most)
}
