//! Outputs: what a reader sees who reads only what is committed, as events for the judge.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kafka_judge::event::{Event, Record, What};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Reads a topic from its begin to its end. Each output counts as a handler of one process, that begins and ends where it
/// stands in the topic.
pub(super) fn read(brokers: &str, topic: &str, partitions: u32) -> Result<Vec<Event>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", topic)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions)? {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut events = Vec::new();
    let mut ended = 0;
    while ended < partitions {
        match consumer.poll(ANSWERS_WITHIN) {
            Some(Ok(message)) => {
                let text = str::from_utf8(message.payload().unwrap_or_default())?;
                let record = text.parse::<Record>().map_err(anyhow::Error::msg)?;
                for what in [What::Start(record.clone()), What::End(record)] {
                    let at = events.len() as u64;
                    let process = std::process::id();
                    events.push(Event { at, process, what });
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error).context("the outputs cannot be read"),
            None => bail!("the outputs are not read within {ANSWERS_WITHIN:?}"),
        }
    }
    Ok(events)
}
