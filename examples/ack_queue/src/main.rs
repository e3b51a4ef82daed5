//! A queue whose broker wants one acknowledgement per message: NATS JetStream, over its own protocol, under faults.
//!
//! A message's group is its subject, and its offset is the means to acknowledge it. A message is acknowledged as soon as its
//! handler is done, whatever else is still running: that is `and_then_unordered`, and no position is ever committed.
//! Meanwhile a child process that handles the messages is killed, the server is killed, acknowledgements are lost, leases
//! run out, and handlers fail and give their messages back. At the end everything is counted.
//!
//! ```text
//! cargo run -p ack_queue
//! cargo run -p ack_queue -- --mode at-most-once
//! ```
//!
//! How a group keeps its order, whatever goes wrong:
//!
//! - JetStream delivers new messages *before* it redelivers messages that were not acknowledged. So a consumer that starts,
//!   or that missed a delivery, begins at the oldest message that is not acknowledged ([`queue`], [`receive`]).
//! - A message that is redelivered while it is being handled, or later, runs after its first delivery, since both are in the
//!   same group. Its handler finds that it is done, and changes nothing ([`handle`]).
//! - A message that is given back takes the messages behind it in its group along ([`given_back`]).

use std::pin::pin;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::args::{Args, Role};
use crate::broker::Broker;
use crate::conduct::conduct;
use crate::consume::consume;
use crate::refused::Refused;
use crate::stop::asked_to_stop;

mod args;
mod broker;
mod conduct;
mod consume;
mod consumer;
mod delivery;
mod faults;
mod given_back;
mod handle;
mod journal;
mod leases;
mod message;
mod mode;
mod publish;
mod queue;
mod receive;
mod refused;
mod report;
mod server;
mod stop;
mod tally;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ack_queue: {error:#}");
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

async fn run(args: Args) -> Result<ExitCode> {
    if let Some(Role::Consume(task)) = args.role {
        return consume(task).await.map(|()| ExitCode::SUCCESS);
    }
    let mut stop = pin!(asked_to_stop());
    let mut broker = tokio::select! {
        broker = Broker::prepare(args.settings.url.as_deref()) => broker?,
        code = &mut stop => return Ok(code),
    };
    let ended = tokio::select! {
        report = conduct(&args.settings, &mut broker) => report.and_then(|report| report.print()),
        code = &mut stop => Ok(code),
    };
    broker.clean_up().await?;
    ended
}
