//! The queue in the broker: a stream that keeps a message until it is acknowledged, and its only consumer.

use std::time::Duration;

use anyhow::Result;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};

/// How long a message belongs to who received it: not acknowledged and not extended by then, it is delivered again.
pub const LEASE: Duration = Duration::from_secs(1);

/// The most messages that are delivered and not acknowledged: the prefetch. What waits in the window is among them, so
/// the window is of the same size.
pub const PREFETCH: usize = 256;

const CONSUMER: &str = "handlers";

pub async fn connect(url: &str) -> Result<Client> {
    let client = ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(50))
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(Duration::from_secs(2)))
        .connect(url)
        .await?;
    Ok(client)
}

pub async fn create(broker: &Context, queue: &str) -> Result<Stream> {
    let stream = broker
        .create_stream(Config {
            name: queue.to_owned(),
            subjects: vec![format!("{queue}.*")],
            retention: RetentionPolicy::WorkQueue,
            ..Config::default()
        })
        .await?;
    Ok(stream)
}

pub fn subject(queue: &str, group: u32) -> String {
    format!("{queue}.{group}")
}

/// The messages from the oldest that is not acknowledged on, in the order in which they were published.
///
/// A consumer that exists already would deliver first what it has never delivered, and what a dead process has left
/// behind only when each lease runs out. A new one knows of no deliveries: it begins at the oldest message in the stream,
/// and that is the oldest which is not acknowledged. It also shuts out a process that is still there.
pub async fn begin(client: &Client, queue: &str, prefetch: usize) -> Result<pull::Stream> {
    let mut broker = jetstream::new(client.clone());
    broker.set_timeout(Duration::from_secs(1));
    let stream = broker.get_stream(queue).await?;
    // It fails if there is none, and then there is nothing to delete.
    let _ = stream.delete_consumer(CONSUMER).await;
    let consumer: PullConsumer = stream
        .create_consumer(pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: LEASE,
            max_ack_pending: prefetch as i64,
            ..pull::Config::default()
        })
        .await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(prefetch)
        .heartbeat(Duration::from_millis(500))
        .expires(Duration::from_secs(5))
        .messages()
        .await?;
    Ok(messages)
}
