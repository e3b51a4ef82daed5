//! Topic: making one.

use std::time::Duration;

use anyhow::Result;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

pub(super) fn create(brokers: &str, topic: &str, partitions: u32) -> Result<()> {
    let client: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()?;
    let partitions = i32::try_from(partitions)?;
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let timeout = Some(Duration::from_secs(30));
    let options = AdminOptions::new()
        .request_timeout(timeout)
        .operation_timeout(timeout);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let results = runtime.block_on(client.create_topics([&topic], &options))?;
    for result in results {
        result.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
    }
    Ok(())
}
