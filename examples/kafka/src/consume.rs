//! The consumer: a member of the group, until all is done or somebody stops it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use metrics::endpoint;
use ordered_by_group::Monitor;
use ordered_by_group::kafka::{Error, Kafka, Message, Settings};
use ordered_by_group::prelude::*;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::args::{Args, Protocol};
use crate::cluster::Cluster;
use crate::customers::Customers;
use crate::dead_letters::DeadLetters;
use crate::decode::decode;
use crate::handle::handle;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::quiet::Quiet;
use crate::refused::Refused;
use crate::report::Report;
use crate::results::Results;
use crate::say::say;
use crate::stop::asked_to_stop;
use crate::transactions::Transactions;

const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// What the handlers share.
struct Service {
    customers: Customers,
    dead_letters: DeadLetters,
    /// `None`: they are only applied.
    results: Option<Results>,
    retries: u32,
}

/// Consumes until it is asked to stop, or until so many rows are done.
pub async fn consume(args: &Args, cluster: &Cluster, rows: Option<u64>) -> Result<()> {
    let monitor = Monitor::new().timed(Instant::now);
    if let Some(address) = args.metrics {
        serve_metrics(address, &monitor).await?;
    }
    let results = Results::default();
    let progress = Arc::new(Progress::new(monitor.clone(), results.clone()));
    let service = Service {
        customers: Customers::default(),
        dead_letters: DeadLetters::of(args, cluster)?,
        results: args.transactional.then(|| results.clone()),
        retries: args.retries,
    };
    let mut settings = Settings::default()
        .drain_within(DRAIN_WITHIN)
        .observer(Arc::clone(&progress));
    if let Some(topic) = &args.results {
        let transactions = Transactions::begin(args, cluster, topic, results).await?;
        settings = settings.commit_by(transactions.commit_by());
    }
    let (kafka, driver) = subscribe(args, cluster, settings)?;
    tokio::spawn(driver);

    let mut report = Report::default();
    let ended = tokio::select! {
        biased;
        ended = work(args, &kafka, &service, &monitor, rows, &mut report) => ended,
        never = progress.show() => match never {},
    };
    // Also after a failure: what is done is committed, and the group is left.
    let closed = kafka.close().await;
    ended?;
    closed?;
    report.print(&service.customers, &progress)
}

fn subscribe(
    args: &Args,
    cluster: &Cluster,
    settings: Settings,
) -> Result<(Kafka<Quiet>, ordered_by_group::kafka::Driver)> {
    let mut config = cluster.config();
    config
        .set("group.id", &args.group)
        .set("auto.offset.reset", "earliest");
    match args.protocol {
        Protocol::Classic => config.set("partition.assignment.strategy", "cooperative-sticky"),
        Protocol::Consumer => config.set("group.protocol", "consumer"),
    };
    if let Some(instance) = &args.instance {
        config.set("group.instance.id", instance);
    }
    Kafka::subscribe(&config, &[&args.topic], Quiet::default(), settings).map_err(|error| {
        match error {
            Error::Setting { .. } | Error::Client(_) => {
                Refused(format!("{error}; correct or remove it from --set")).into()
            }
            error => error.into(),
        }
    })
}

async fn work(
    args: &Args,
    kafka: &Kafka<Quiet>,
    service: &Service,
    monitor: &Monitor,
    rows: Option<u64>,
    report: &mut Report,
) -> Result<()> {
    let mut pipeline = std::pin::pin!(
        kafka
            .messages()
            .map_err(anyhow::Error::from)
            .try_ordered_by_group(|message| message.group(), args.max_parallel.get())
            .offsets(|message| message.position())
            .partitions(|message| message.partition())
            .monitor(monitor)
            .and_then_unordered(|message| async move {
                let position = message.position();
                position
                    .run(|| process(&message, service))
                    .await
                    .transpose()
            })
            .try_drive(|(outcome, offset)| {
                if let (Some(results), Some(Outcome::Applied(purchase))) =
                    (&service.results, &outcome)
                {
                    // Before it is settled: a commit that covers it finds it there.
                    results.push(offset.offset().clone(), *purchase);
                }
                // `None`: it was left, because its partition is given up.
                offset.offset().settle(outcome.is_some());
                if let Some(outcome) = outcome {
                    report.count(&outcome);
                    if rows == Some(report.handled()) {
                        kafka.stop();
                    }
                }
                async { Ok(()) }
            })
    );
    tokio::select! {
        ended = &mut pipeline => return ended,
        () = asked_to_stop() => say("stopping: what runs is finished"),
    }
    kafka.stop();
    match timeout(DRAIN_WITHIN, pipeline).await {
        Ok(ended) => ended,
        Err(_) => {
            say(&format!(
                "not all has finished in {DRAIN_WITHIN:?}; the rest is left"
            ));
            Ok(())
        }
    }
}

/// Processes one message. One that cannot be handled is an outcome, not an error: it holds nothing up.
async fn process(message: &Message<'_>, service: &Service) -> Result<Outcome> {
    let applied = match decode(message.payload().unwrap_or_default()) {
        Ok(purchase) => {
            let row = message.offset().unsigned_abs() + 1;
            let handled = handle(row, &purchase, &service.customers, service.retries).await;
            handled.map(|customer| {
                service.customers.put(purchase.customer, customer);
                purchase
            })
        }
        Err(reason) => Err(reason),
    };
    match applied {
        Ok(purchase) => Ok(Outcome::Applied(purchase)),
        Err(reason) => {
            service.dead_letters.send(message, &reason).await?;
            Ok(Outcome::DeadLetter)
        }
    }
}

async fn serve_metrics(address: std::net::SocketAddr, monitor: &Monitor) -> Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Refused(format!(
            "nothing can be served at {address}: {error}; name another with --metrics"
        ))
    })?;
    let address = listener.local_addr().context("it has an address")?;
    say(&format!("http://{address}/metrics"));
    tokio::spawn(endpoint::serve(listener, monitor.clone()));
    Ok(())
}
