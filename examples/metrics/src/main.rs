//! Metrics: what a pipeline is doing, for Prometheus or for OpenTelemetry.
//!
//! Orders of a hundred customers are handled, one at a time and in order per customer. With `--stuck`, the handler of one order
//! never ends: `oldest_unfinished` grows, the results behind it gather in `finished`, and when the window is full,
//! `emitted` and `admitted` stand still.
//!
//! ```text
//! cargo run -p metrics
//! cargo run -p metrics -- --stuck
//! curl http://127.0.0.1:9464/metrics
//! cargo run -p metrics -- --opentelemetry --orders 1000
//! ```

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use futures::stream;
use metrics::{endpoint, instruments};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use ordered_by_group::prelude::*;
use ordered_by_group::{Monitor, without_slot};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// Handles orders, and shows its figures to Prometheus or OpenTelemetry.
#[derive(Parser)]
struct Args {
    /// Where Prometheus scrapes
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    prometheus: SocketAddr,

    /// Print what OpenTelemetry exports every ten seconds and at the end, instead
    #[arg(long, conflicts_with = "prometheus")]
    opentelemetry: bool,

    /// The number of orders; without it, there is no end to them
    #[arg(long, value_name = "N")]
    orders: Option<u64>,

    /// Let the handler of the hundredth order never end
    #[arg(long)]
    stuck: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let monitor = Monitor::new().timed(Instant::now);
    if args.opentelemetry {
        let provider = meter_provider();
        instruments::observe(&provider.meter("metrics"), &monitor);
        serve_orders(&args, &monitor).await;
        provider.shutdown()?;
    } else {
        let listener = TcpListener::bind(args.prometheus)
            .await
            .with_context(|| format!("nothing can be served at {}", args.prometheus))?;
        eprintln!("http://{}/metrics", listener.local_addr()?);
        // Read from whichever thread serves it, while the stream is driven in this one.
        tokio::spawn(endpoint::serve(listener, monitor.clone()));
        serve_orders(&args, &monitor).await;
    }
    Ok(())
}

/// A service would export over OTLP.
fn meter_provider() -> SdkMeterProvider {
    let exporter = opentelemetry_stdout::MetricExporter::default();
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(10));
    SdkMeterProvider::builder()
        .with_reader(reader.build())
        .build()
}

async fn serve_orders(args: &Args, monitor: &Monitor) {
    stream::iter(0..args.orders.unwrap_or(u64::MAX))
        .ordered_by_group(|order| customer(*order), 16)
        .monitor(monitor)
        .then(|order| handle(order, args.stuck))
        .drive(|_| async {})
        .await;
}

/// The first of a hundred customers sends every fifth order.
fn customer(order: u64) -> u64 {
    if order.is_multiple_of(5) {
        0
    } else {
        order % 100
    }
}

/// Takes 20 ms, and each tenth time the bank must be asked, which takes no slot.
async fn handle(order: u64, is_one_stuck: bool) {
    if is_one_stuck && order == 99 {
        pending::<()>().await;
    }
    if order % 10 == 9 {
        without_slot(sleep(Duration::from_millis(200))).await;
    }
    sleep(Duration::from_millis(20)).await;
}
