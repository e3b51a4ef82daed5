//! Outputs: one for each record, with its key and payload, in the partition of the same number.

use std::collections::HashMap;
use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::checks::sequence;
use crate::measure::Failure;
use crate::topics::{self, WITHIN};

/// What each producer writes first, without a key. It is not counted.
pub const FIRST: &str = "first";

/// A topic for the outputs of one run. Dropped, it is deleted.
pub struct Outputs {
    brokers: String,
    pub topic: String,
    partitions: i32,
}

/// Writes outputs, and waits until the brokers have them.
pub struct Acknowledged {
    producer: FutureProducer,
    topic: String,
}

impl Outputs {
    pub fn new(brokers: &str, topic: String, partitions: i32) -> Result<Self, Failure> {
        topics::create(brokers, &topic, partitions)??;
        Ok(Self {
            brokers: brokers.to_owned(),
            topic,
            partitions,
        })
    }

    /// Its producer has written before, so that connecting is not measured.
    pub fn acknowledged(&self) -> Result<Acknowledged, KafkaError> {
        let producer: FutureProducer = self.config().create()?;
        let first = FutureRecord::<(), _>::to(&self.topic).payload(FIRST);
        let written = block_on(producer.send(first, Timeout::Never));
        written.map_err(|(error, _)| error)?;
        Ok(Acknowledged {
            producer,
            topic: self.topic.clone(),
        })
    }

    /// Of producers. The transactional ones are idempotent, so the others are as well.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "1000000");
        config
    }

    /// How many outputs a reader of what is committed sees. An error if they are not in the order of their keys, or if one
    /// is missing or there twice.
    pub fn count(&self, in_order: bool) -> Result<u64, Failure> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.topic)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            // At the end, the broker waits so long before it says so.
            .set("fetch.wait.max.ms", "10")
            .set("isolation.level", "read_committed")
            .create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        let mut next = HashMap::<_, u64>::new();
        let (mut count, mut read_to_end) = (0, 0);
        while read_to_end < self.partitions {
            let polled = consumer.poll(WITHIN).ok_or("the outputs do not come")?;
            let message = match polled {
                Ok(message) => message,
                Err(KafkaError::PartitionEOF(_)) => {
                    read_to_end += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let Some(key) = message.key() else {
                continue;
            };
            count += 1;
            let next = next.entry((message.partition(), key.to_vec())).or_default();
            let sequence = sequence(message.payload().unwrap_or_default());
            if in_order && sequence != *next {
                return Err(format!("output {sequence} of a key in place of {next}").into());
            }
            *next += 1;
        }
        Ok(count)
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        let Ok(admin) = topics::admin(&self.brokers) else {
            return;
        };
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(5)));
        // What is left is found by its name.
        let _ = block_on(admin.delete_topics(&[&self.topic], &options));
    }
}

impl Acknowledged {
    pub async fn write(
        &self,
        partition: i32,
        key: &[u8],
        payload: &[u8],
    ) -> Result<(), KafkaError> {
        let record = FutureRecord::to(&self.topic)
            .partition(partition)
            .key(key)
            .payload(payload);
        let delivered = self.producer.send(record, Timeout::Never).await;
        delivered.map(drop).map_err(|(error, _)| error)
    }
}
