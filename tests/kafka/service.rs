//! What most tests run: the pipeline of the documentation.

use std::future::Future;
use std::time::Duration;

use ordered_by_group::kafka::rdkafka::consumer::{ConsumerContext, DefaultConsumerContext};
use ordered_by_group::kafka::rdkafka::{ClientConfig, TopicPartitionList};
use ordered_by_group::kafka::{Error, Kafka, Message, Settings};
use ordered_by_group::prelude::*;
use tokio::task::JoinHandle;

use crate::cluster::{LONG, partitions};

pub type Driving = JoinHandle<Result<(), Error>>;

pub fn assign(
    config: &ClientConfig,
    assigned: &[(&str, i32)],
    settings: Settings,
) -> (Kafka, Driving) {
    assign_list(config, &partitions(assigned), settings)
}

pub fn assign_list(
    config: &ClientConfig,
    list: &TopicPartitionList,
    settings: Settings,
) -> (Kafka, Driving) {
    let (kafka, driver) = Kafka::assign(config, list, DefaultConsumerContext, settings).unwrap();
    (kafka, tokio::spawn(driver))
}

pub fn subscribe(config: &ClientConfig, topics: &[&str], settings: Settings) -> (Kafka, Driving) {
    let (kafka, driver) =
        Kafka::subscribe(config, topics, DefaultConsumerContext, settings).unwrap();
    (kafka, tokio::spawn(driver))
}

/// Handles messages until the stream ends. The handler is given each message.
pub async fn serve<C, F>(kafka: &Kafka<C>, handle: impl Fn(&Message<'_>) -> F) -> Result<(), Error>
where
    C: ConsumerContext + 'static,
    F: Future<Output = ()>,
{
    let handle = &handle;
    kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), 16)
        .offsets(|message| message.position())
        .partitions(|message| message.partition())
        .and_then_unordered(|message| async move {
            Ok(message.position().run(|| handle(&message)).await)
        })
        .try_drive(|(outcome, offset)| {
            offset.offset().settle(outcome.is_some());
            async { Ok(()) }
        })
        .await
}

/// Waits until something is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(LONG, waits).await;
    in_time.expect("it never came to be");
}
