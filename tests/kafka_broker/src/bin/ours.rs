//! The consumer of the module `kafka`.
#![forbid(unsafe_code)]

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use clap::Parser as _;
use futures::future::{Either, select};
use kafka_broker_tests::args::{Args, Drain};
use kafka_broker_tests::handler::{Handler, record_of_ours};
use kafka_broker_tests::journal::Journal;
use kafka_broker_tests::stop::terminated;
use kafka_judge::event::{self, What};
use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
use ordered_by_group::kafka::{Error, Kafka, Observer, Partition, Settings};
use ordered_by_group::positions;
use ordered_by_group::prelude::*;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let handler = &args.handler()?;
    let stop = terminated()?;
    let topics = [args.topic.as_str()];
    let (kafka, driver) = Kafka::subscribe(
        &args.config(),
        &topics,
        DefaultConsumerContext,
        settings(&args)?,
    )?;
    let driver = tokio::spawn(driver);
    consume(&kafka, &args, handler, stop).await?;
    kafka.close().await?;
    driver.await??;
    Ok(())
}

/// Handles messages until it is told to stop, or the source fails.
async fn consume(
    kafka: &Kafka,
    args: &Args,
    handler: &Handler,
    stop: impl Future<Output = ()> + Unpin,
) -> Result<(), Error> {
    let work = kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), args.slots)
        .offsets(|message| message.position())
        .partitions(|message| message.partition())
        .and_then_unordered(|message| async move {
            let position = message.position();
            let handled = position.run(|| handler.handle(record_of_ours(&message)));
            Ok(handled.await)
        })
        .try_drive(|(outcome, offset)| {
            offset.offset().settle(outcome.is_some());
            ready(Ok(()))
        });
    let mut work = pin!(work);
    match select(work.as_mut(), stop).await {
        Either::Left((worked, _)) => worked,
        Either::Right(((), work)) => {
            kafka.stop();
            match args.stop_within {
                Some(millis) => {
                    let worked = timeout(Duration::from_millis(millis), work);
                    worked.await.unwrap_or(Ok(()))
                }
                None => work.await,
            }
        }
    }
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    let settings = Settings::default()
        .observer(Held(Journal::open(&args.journal)?))
        .commit_every(args.commit_every())
        .metadata(args.metadata)
        .drain(match args.drain {
            Drain::Running => positions::Drain::Running,
            Drain::Admitted => positions::Drain::Admitted,
        });
    Ok(match args.drain_within {
        Some(millis) => settings.drain_within(Duration::from_millis(millis)),
        None => settings,
    })
}

/// Writes down which partitions it holds.
struct Held(Journal);

impl Observer for Held {
    fn assigned(&self, partition: &Partition, _next: Option<i64>) {
        self.0.write(What::Assigned(in_journal(partition)));
    }

    fn given_up(&self, partition: &Partition) {
        self.0.write(What::GivenUp(in_journal(partition)));
    }
}

fn in_journal(partition: &Partition) -> event::Partition {
    event::Partition {
        topic: partition.topic().to_owned(),
        number: partition.number(),
    }
}
