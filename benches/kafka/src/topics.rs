//! Topics: made and filled once, and used by every run.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::workload::{Records, scrambled};

pub const WITHIN: Duration = Duration::from_secs(20);

/// Makes and fills the topic of these records, if it is not there.
pub fn prepare(brokers: &str, records: &Records) -> Result<(), String> {
    let topic = records.topic();
    let config = config(brokers);
    match create(brokers, &topic, records.partitions).map_err(text)? {
        Ok(()) => fill(&config, &topic, records)?,
        Err(RDKafkaErrorCode::TopicAlreadyExists) => {}
        Err(code) => return Err(format!("cannot create the topic {topic}: {code}")),
    }
    let consumer: BaseConsumer = config.create().map_err(text)?;
    let count = ends(&consumer, &topic)
        .map_err(text)?
        .iter()
        .map(|(_, end)| *end as u64)
        .sum::<u64>();
    match count == records.count {
        true => Ok(()),
        false => Err(format!(
            "the topic {topic} holds {count} records, not {}: delete it, and it will be made anew",
            records.count
        )),
    }
}

/// Makes a topic. The inner error is the broker's.
pub fn create(
    brokers: &str,
    topic: &str,
    partitions: i32,
) -> Result<Result<(), RDKafkaErrorCode>, KafkaError> {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(WITHIN));
    let made = block_on(admin(brokers)?.create_topics([&new], &options))?;
    let made = made.into_iter().next().ok_or(KafkaError::Canceled)?;
    Ok(made.map(drop).map_err(|(_, code)| code))
}

pub fn admin(brokers: &str) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    config(brokers).create()
}

/// The partitions of a topic, and how many records each holds.
pub fn ends<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
) -> Result<Vec<(i32, i64)>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), WITHIN)?;
    let partitions = metadata.topics().iter().flat_map(|of| of.partitions());
    let ends = partitions.map(|partition| {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), WITHIN)?;
        Ok((partition.id(), end))
    });
    ends.collect()
}

/// The sum of what the group of this configuration has committed.
pub fn committed(config: &ClientConfig, records: &Records) -> Result<u64, KafkaError> {
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(&records.topic(), 0, records.partitions - 1);
    let list = consumer.committed_offsets(list, WITHIN)?;
    let elements = list.elements();
    let offsets = elements.iter().filter_map(|of| of.offset().to_raw());
    Ok(offsets
        .filter_map(|offset| u64::try_from(offset).ok())
        .sum())
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000");
    config
}

fn fill(config: &ClientConfig, topic: &str, records: &Records) -> Result<(), String> {
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().map_err(text)?;
    let mut sequences = vec![0_u64; records.keys as usize];
    for n in 0..records.count {
        let number = scrambled(n) % records.keys;
        let sequence = &mut sequences[number as usize];
        let key = format!("key-{number}");
        let payload = format!("{:x<width$}", format!("{sequence}|"), width = records.bytes);
        *sequence += 1;
        let record = BaseRecord::to(topic).key(&key).payload(&payload);
        producer.send(record).map_err(|(error, _)| text(error))?;
    }
    producer.flush(3 * WITHIN).map_err(text)
}

fn text(error: KafkaError) -> String {
    error.to_string()
}
