//! Webhooks over real HTTP on the loopback, to endpoints of which some are slow, failing, coming back or refusing.
//!
//! The deliveries to an endpoint arrive one at a time and in their order, those to many endpoints at once. What fails is
//! tried again after a back-off, an endpoint that goes on failing is left in peace by its circuit breaker, and neither
//! wait holds a slot: the healthy endpoints are done as if the others did not exist. What becomes of a delivery that
//! is given up is a flag.
//!
//! ```text
//! cargo run -p webhooks
//! cargo run -p webhooks -- --on-failure stop
//! cargo run -p webhooks -- --hold-slots
//! ```

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use futures::stream;
use ordered_by_group::prelude::*;

use crate::args::Args;
use crate::broken_pipe::is_broken_pipe;
use crate::courier::Courier;
use crate::delivery::Delivery;
use crate::gauge::Gauge;
use crate::report::Report;
use crate::server::Server;

mod args;
mod breaker;
mod broken_pipe;
mod client;
mod courier;
mod delivery;
mod endpoint;
mod gauge;
mod report;
mod server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on, as behind `| head -1`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webhooks: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let server = Server::start(args.endpoints).await?;
    let gauge = Gauge::start();
    let courier = Courier::new(&args, server.url(), &gauge)?;

    let served = tokio::select! {
        biased;
        served = serve(&args, &courier, &gauge) => served,
        never = gauge.show() => match never {},
    };
    let printed = Report::new(&args, &gauge, &courier, &server).print();
    served.and(printed)
}

async fn serve(args: &Args, courier: &Courier<'_>, gauge: &Gauge) -> Result<()> {
    // In completion order, an endpoint that fails for long fills the window with its own deliveries alone.
    stream::iter(Delivery::all(args))
        .ordered_by_group(|delivery| delivery.endpoint, args.max_parallel)
        .offsets(|delivery| delivery.number)
        .try_then_unordered(|delivery| gauge.running(courier.deliver(delivery)))
        .try_drive(|(outcome, offset)| {
            gauge.outcome(outcome);
            // Here a service would make its position durable.
            gauge.committed(offset.frontier().map_or(0, |last| last + 1));
            async { Ok(()) }
        })
        .await
}
