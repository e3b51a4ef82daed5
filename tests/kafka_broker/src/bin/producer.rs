//! Produces records at a steady rate, and writes down what the broker has acknowledged. It ends at SIGTERM.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use kafka_broker_tests::handler::{STUCK, record_of};
use kafka_broker_tests::journal::Journal;
use kafka_broker_tests::stop::terminated;
use kafka_judge::event::What;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientConfig, ClientContext};
use tokio::time::{MissedTickBehavior, interval};

/// Produces records at a steady rate. Those of a key are all in one partition.
#[derive(Debug, Parser)]
struct Args {
    /// Where the broker listens, such as 127.0.0.1:19092.
    #[arg(long)]
    brokers: String,

    /// The topic to write.
    #[arg(long)]
    topic: String,

    /// How many partitions the topic has.
    #[arg(long, default_value_t = 8)]
    partitions: u32,

    /// The file to write down in what was acknowledged.
    #[arg(long)]
    journal: PathBuf,

    /// Records a second.
    #[arg(long, default_value_t = 200)]
    rate: u32,

    /// How many keys there are.
    #[arg(long, default_value_t = 200)]
    keys: u32,

    /// End after so many records.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    count: u64,

    /// First of all, write one record with the key `stuck`, to this partition or to partition 0.
    #[arg(long, value_name = "PARTITION", num_args = 0..=1, default_missing_value = "0")]
    stuck: Option<i32>,
}

struct Acknowledged(Journal);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, delivery: &DeliveryResult<'_>, (): ()) {
        match delivery {
            Ok(message) => self.0.write(What::Produced(record_of(message))),
            Err((error, _)) => eprintln!("not delivered: {error}"),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut stop = terminated()?;
    let acknowledged = Acknowledged(Journal::open(&args.journal)?);
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "120000")
        .create_with_context(acknowledged)?;

    if let Some(partition) = args.stuck {
        send(&producer, &args.topic, partition, STUCK)?;
    }
    let mut clock = interval(Duration::from_secs(1) / args.rate);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..args.count {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = clock.tick() => {}
        }
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let key = (spread % u64::from(args.keys)) as u32;
        let partition = (key % args.partitions) as i32;
        send(&producer, &args.topic, partition, &format!("key-{key}"))?;
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(())
}

fn send(
    producer: &ThreadedProducer<Acknowledged>,
    topic: &str,
    partition: i32,
    key: &str,
) -> anyhow::Result<()> {
    let record = BaseRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(key);
    producer.send(record).map_err(|(error, _)| error)?;
    Ok(())
}
