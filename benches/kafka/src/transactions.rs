//! Transactions: the outputs of an interval, and the offsets that cover them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ordered_by_group::kafka::{CommitBy, Error, Kafka, Message, Settings};
use ordered_by_group::positions::Done;
use ordered_by_group::prelude::*;
use rdkafka::consumer::{ConsumerGroupMetadata, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::consume::Consumer;
use crate::measure::Failure;
use crate::outputs::{FIRST, Outputs};
use crate::topics::WITHIN;

pub struct Transactions {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    /// What is settled and not committed: by partition and offset.
    kept: Mutex<BTreeMap<i32, BTreeMap<i64, Output>>>,
    last_commit: Mutex<Option<Instant>>,
}

struct Output {
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Transactions {
    /// Its producer has committed a transaction before, so that connecting is not measured.
    pub fn new(outputs: &Outputs) -> KafkaResult<Self> {
        let mut config = outputs.config();
        config.set("transactional.id", &outputs.topic);
        let producer: ThreadedProducer<_> = config.create()?;
        producer.init_transactions(WITHIN)?;
        producer.begin_transaction()?;
        let first = BaseRecord::<(), _>::to(&outputs.topic).payload(FIRST);
        producer.send(first).map_err(|(error, _)| error)?;
        producer.commit_transaction(WITHIN)?;
        Ok(Self {
            producer,
            topic: outputs.topic.clone(),
            kept: Mutex::default(),
            last_commit: Mutex::default(),
        })
    }

    /// Until the last transaction is committed.
    pub async fn consume(
        self: &Arc<Self>,
        consumer: &Consumer<'_>,
        every: Duration,
    ) -> Result<f64, Failure> {
        let start = Instant::now();
        let (context, settings) = (DefaultConsumerContext, self.settings(consumer, every));
        let (kafka, driver) =
            Kafka::subscribe(consumer.config, &[consumer.topic], context, settings)?;
        let driver = tokio::spawn(driver);
        let mut settled = 0;
        kafka
            .messages()
            .try_ordered_by_group(|message| message.group(), consumer.workload.in_flight)
            .offsets(|message| message.position())
            .partitions(|message| message.partition())
            .and_then_unordered(|message| output_of(message, consumer))
            .try_drive(|(outcome, offset)| {
                let position = offset.offset();
                let is_done = outcome.is_some();
                if let Some(output) = outcome {
                    let mut kept = lock(&self.kept);
                    let of_partition = kept.entry(position.partition().number()).or_default();
                    of_partition.insert(position.offset(), output);
                }
                // Behind the output: a commit that covers it finds it there.
                position.settle(is_done);
                settled += 1;
                if settled == consumer.workload.records.count {
                    kafka.stop();
                }
                async { Ok(()) }
            })
            .await?;
        kafka.close().await?;
        driver.await??;
        let last_commit = lock(&self.last_commit).ok_or("nothing was committed")?;
        Ok((last_commit - start).as_secs_f64())
    }

    fn settings(self: &Arc<Self>, consumer: &Consumer<'_>, every: Duration) -> Settings {
        let transactions = Arc::clone(self);
        let commit_by = CommitBy::with(move |offsets, group| {
            let transactions = Arc::clone(&transactions);
            async move {
                let commit = move || transactions.commit(&offsets, &group);
                let committed = tokio::task::spawn_blocking(commit).await;
                committed.unwrap_or(Err(KafkaError::Canceled))
            }
        });
        consumer.settings().commit_every(every).commit_by(commit_by)
    }

    /// A service would abort if this fails, and try again. Here outputs are missing then, which ends the bench.
    fn commit(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        for (partition, outputs) in self.take_covered(offsets) {
            for Output { key, payload } in &outputs {
                let record = BaseRecord::to(&self.topic)
                    .partition(partition)
                    .key(key)
                    .payload(payload);
                self.producer.send(record).map_err(|(error, _)| error)?;
            }
        }
        self.producer
            .send_offsets_to_transaction(offsets, group, WITHIN)?;
        self.producer.commit_transaction(WITHIN)?;
        *lock(&self.last_commit) = Some(Instant::now());
        Ok(())
    }

    /// By partition, in the order of the offsets, which is that of the keys.
    fn take_covered(&self, offsets: &TopicPartitionList) -> Vec<(i32, Vec<Output>)> {
        let mut kept = lock(&self.kept);
        let mut covered = Vec::new();
        for element in offsets.elements() {
            let number = element.partition();
            let (Offset::Offset(next), Some(of_partition)) =
                (element.offset(), kept.get_mut(&number))
            else {
                continue;
            };
            let past_it = of_partition.split_off(&next);
            let before = std::mem::replace(of_partition, past_it);
            let mut outputs: Vec<_> = before.into_values().collect();
            if let Some(done) = Done::decode(next, element.metadata()) {
                let is_done = |offset: &i64, _: &mut Output| done.contains(*offset);
                outputs.extend(of_partition.extract_if(.., is_done).map(|(_, it)| it));
            }
            covered.push((number, outputs));
        }
        covered
    }
}

async fn output_of(message: Message<'_>, consumer: &Consumer<'_>) -> Result<Option<Output>, Error> {
    let output = consumer.handle_in_lease(&message).await?;
    Ok(output.map(|()| Output {
        key: message.key().unwrap_or_default().to_vec(),
        payload: message.payload().unwrap_or_default().to_vec(),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
