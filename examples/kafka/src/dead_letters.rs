//! Dead letters: what cannot be handled goes to a topic of its own and holds nothing up.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ordered_by_group::kafka::Message;
use ordered_by_group::kafka::rdkafka::message::{Header, OwnedHeaders};
use ordered_by_group::kafka::rdkafka::producer::{FutureProducer, FutureRecord};

use crate::args::Args;
use crate::cluster::{Cluster, property};
use crate::quiet::Quiet;

pub struct DeadLetters {
    /// `None`: they are only counted.
    to: Option<(String, FutureProducer<Quiet>)>,
}

impl DeadLetters {
    pub fn of(args: &Args, cluster: &Cluster) -> Result<Self> {
        let Some(topic) = &args.dead_letters else {
            return Ok(Self { to: None });
        };
        let producer = cluster
            .config()
            .set("enable.idempotence", "true")
            .create_with_context(Quiet::default())
            .map_err(|error| property(&error))?;
        Ok(Self {
            to: Some((topic.clone(), producer)),
        })
    }

    /// Returns when it is written. Only then may the message be settled.
    pub async fn send(&self, message: &Message<'_>, reason: &str) -> Result<()> {
        let Some((topic, producer)) = &self.to else {
            return Ok(());
        };
        let from = format!("{} at {}", message.partition(), message.offset());
        let headers = OwnedHeaders::new()
            .insert(header("reason", reason))
            .insert(header("from", &from));
        let record = FutureRecord::to(topic)
            .key(message.key().unwrap_or_default())
            .payload(message.payload().unwrap_or_default())
            .headers(headers);
        let sent = producer.send(record, Duration::from_secs(5)).await;
        sent.map_err(|(error, _)| error)
            .with_context(|| format!("a dead letter cannot be written to {topic}"))?;
        Ok(())
    }
}

fn header<'a>(key: &'a str, value: &'a str) -> Header<'a, &'a str> {
    let value = Some(value);
    Header { key, value }
}
