//! A consumer that writes a record for each that it handles, exactly once: outputs and offsets in one transaction.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser;
use futures::future::{Either, select};
use kafka_broker_tests::args::Args;
use kafka_broker_tests::handler::{Handler, record_of_ours};
use kafka_broker_tests::stop::terminated;
use kafka_judge::event::Record;
use ordered_by_group::kafka::rdkafka::consumer::{ConsumerGroupMetadata, DefaultConsumerContext};
use ordered_by_group::kafka::rdkafka::error::{KafkaError, KafkaResult};
use ordered_by_group::kafka::rdkafka::producer::{
    BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer,
};
use ordered_by_group::kafka::rdkafka::{ClientConfig, Offset, TopicPartitionList};
use ordered_by_group::kafka::{CommitBy, Error, Kafka, Observer, Partition, Settings};
use ordered_by_group::positions::{Done, Position};
use ordered_by_group::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Parser)]
struct Transactional {
    #[command(flatten)]
    member: Args,

    /// The name of the producer. One with the same name ends what another one has left open.
    #[arg(long)]
    transactional_id: String,

    /// The topic to write. It has as many partitions as the other.
    #[arg(long)]
    output: String,
}

/// What is to be written, in the order in which it was done.
#[derive(Clone, Default)]
struct Outputs(Arc<Mutex<Vec<Output>>>);

#[derive(Clone)]
struct Output {
    position: Position<Partition>,
    record: Record,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Transactional::parse();
    let stop = terminated()?;
    let handler = &args.member.handler()?;
    let outputs = Outputs::default();
    let transaction = Arc::new(Transaction::new(&args, outputs.clone())?);
    let settings = Settings::default()
        .commit_every(args.member.commit_every())
        .commit_by(CommitBy::with(move |offsets, group| {
            let transaction = Arc::clone(&transaction);
            async move {
                let commit = move || transaction.commit(&offsets, &group);
                let committed = tokio::task::spawn_blocking(commit).await;
                committed.unwrap_or(Err(KafkaError::Canceled))
            }
        }))
        .observer(outputs.clone());
    let topics = [args.member.topic.as_str()];
    let config = args.member.config();
    let (kafka, driver) = Kafka::subscribe(&config, &topics, DefaultConsumerContext, settings)?;
    let driver = tokio::spawn(driver);
    consume(&kafka, args.member.slots, handler, &outputs, stop).await?;
    kafka.close().await?;
    driver.await??;
    Ok(())
}

async fn consume(
    kafka: &Kafka,
    slots: usize,
    handler: &Handler,
    outputs: &Outputs,
    stop: impl Future<Output = ()> + Unpin,
) -> Result<(), Error> {
    let work = kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), slots)
        .offsets(|message| message.position())
        .partitions(|message| message.partition())
        .and_then_unordered(|message| async move {
            let record = record_of_ours(&message);
            let handled = message.position().run(|| handler.handle(record.clone()));
            Ok(handled.await.map(|()| record))
        })
        .try_drive(|(outcome, offset)| {
            let position = offset.offset();
            let is_done = outcome.is_some();
            if let Some(record) = outcome {
                outputs.push(position.clone(), record);
            }
            // Behind the output: a commit that contains it finds it there.
            position.settle(is_done);
            async { Ok(()) }
        });
    match select(std::pin::pin!(work), stop).await {
        Either::Left((worked, _)) => worked,
        Either::Right(((), work)) => {
            kafka.stop();
            work.await
        }
    }
}

impl Outputs {
    fn push(&self, position: Position<Partition>, record: Record) {
        self.lock().push(Output { position, record });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Output>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Outputs {
    fn commit_refused(&self, error: &(dyn std::error::Error + 'static)) {
        eprintln!("commit refused: {error}");
    }

    fn given_up(&self, partition: &Partition) {
        // What was not committed is done again by the next owner.
        self.lock()
            .retain(|output| output.position.partition() != partition);
    }
}

struct Transaction {
    /// With a thread that polls: an abort waits for the reports of what was not delivered.
    producer: ThreadedProducer<DefaultProducerContext>,
    is_aborting: AtomicBool,
    topic: String,
    outputs: Outputs,
}

impl Transaction {
    fn new(args: &Transactional, outputs: Outputs) -> KafkaResult<Self> {
        let member = &args.member;
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", &member.brokers)
            .set("transactional.id", &args.transactional_id)
            .set("transaction.timeout.ms", "10000")
            .create()?;
        producer.init_transactions(TIMEOUT)?;
        Ok(Self {
            producer,
            is_aborting: AtomicBool::new(false),
            topic: args.output.clone(),
            outputs,
        })
    }

    /// Writes the offsets, and the outputs of what they say is done. The others wait for the next commit.
    fn commit(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> KafkaResult<()> {
        let is_written = |output: &Output| is_done(offsets, &output.record);
        let outputs = self.outputs.lock();
        let written: Vec<_> = outputs
            .iter()
            .filter(|output| is_written(output))
            .cloned()
            .collect();
        drop(outputs);
        self.write(&written, offsets, group)?;
        // What has come meanwhile is in none of these offsets.
        self.outputs.lock().retain(|output| !is_written(output));
        Ok(())
    }

    fn write(
        &self,
        written: &[Output],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> KafkaResult<()> {
        if self.is_aborting.load(Ordering::Relaxed) {
            self.abort()?;
        }
        self.producer.begin_transaction()?;
        let sent = self.send(written).and_then(|()| {
            self.producer
                .send_offsets_to_transaction(offsets, group, TIMEOUT)?;
            self.producer.commit_transaction(TIMEOUT)
        });
        if sent.is_err() {
            self.is_aborting.store(true, Ordering::Relaxed);
            self.abort()?;
        }
        sent
    }

    /// If it fails, it is to be tried again before anything else.
    fn abort(&self) -> KafkaResult<()> {
        self.producer.abort_transaction(TIMEOUT)?;
        self.is_aborting.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn send(&self, written: &[Output]) -> KafkaResult<()> {
        for Output { record, .. } in written {
            let payload = record.to_string();
            let output = BaseRecord::to(&self.topic)
                .partition(record.partition)
                .key(&record.key)
                .payload(&payload);
            self.producer.send(output).map_err(|(error, _)| error)?;
        }
        Ok(())
    }
}

/// Whether the offsets to commit contain a record.
fn is_done(offsets: &TopicPartitionList, record: &Record) -> bool {
    let partition = offsets.find_partition(&record.topic, record.partition);
    let Some((partition, Offset::Offset(next))) =
        partition.map(|partition| (partition.metadata().to_owned(), partition.offset()))
    else {
        return false;
    };
    record.offset < next
        || Done::decode(next, &partition).is_some_and(|done| done.contains(record.offset))
}
