//! Webhooks over real HTTP on the loopback interface. Some of the endpoints are slow, fail, recover or refuse.
//!
//! Deliveries to one endpoint arrive one at a time and in order; many endpoints are served at once. A failed delivery is
//! retried after a back-off, and an endpoint that keeps failing is left alone by its circuit breaker. Neither wait holds a
//! slot, so the healthy endpoints are done as if the others did not exist. A flag says what happens to a delivery that is
//! given up.
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
        // The reader has gone away, as `head -1` does.
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
    // In completion order, an endpoint that fails for a long time fills the window with its own deliveries only.
    stream::iter(Delivery::all(args))
        .ordered_by_group(|delivery| delivery.endpoint, args.max_parallel)
        .offsets(|delivery| delivery.number)
        .monitor(gauge.monitor())
        .try_then_unordered(|delivery| courier.deliver(delivery))
        .try_drive(|(outcome, offset)| {
            gauge.outcome(outcome);
            // Here a service would make its position durable.
            gauge.committed(offset.frontier().map_or(0, |last| last + 1));
            async { Ok(()) }
        })
        .await
}
