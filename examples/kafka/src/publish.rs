//! The publisher: every row of the file, with its customer as key, so that a customer's purchases stay in order.

use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::HumanCount;
use ordered_by_group::kafka::rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::args::Args;
use crate::cluster::{Cluster, property};
use crate::input::{Input, key};
use crate::quiet::Quiet;
use crate::say::say;

const WITHIN: Duration = Duration::from_secs(30);

pub async fn publish(args: &Args, cluster: &Cluster) -> Result<()> {
    let input = Input::read(&args.data)?;
    let producer: FutureProducer<Quiet> = cluster
        .config()
        // Or a retry could overtake what was sent after it.
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .create_with_context(Quiet::default())
        .map_err(|error| property(&error))?;

    let mut sent = Vec::new();
    for row in input.lines() {
        let record = FutureRecord::to(&args.topic).key(key(row)).payload(row);
        let delivery = producer
            .send_result(record)
            .map_err(|(error, _)| error)
            .with_context(|| format!("nothing can be published to {}", args.topic))?;
        sent.push(delivery);
    }
    let rows = sent.len();
    for delivery in sent {
        let delivered = delivery.await?.map_err(|(error, _)| error);
        delivered.with_context(|| format!("not every row was published to {}", args.topic))?;
    }
    producer.flush(WITHIN)?;
    say(&format!(
        "published {} rows to {}",
        HumanCount(rows as u64),
        args.topic
    ));
    Ok(())
}
