//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Consumes the purchases of an online shop from Kafka, one at a time per customer and many customers at once. Without
/// --brokers, a mock cluster in this process is filled and consumed.
#[derive(Parser)]
#[command(name = "kafka")]
pub struct Args {
    /// The brokers of a cluster, such as localhost:9092
    #[arg(long, value_name = "HOST:PORT,..")]
    pub brokers: Option<String>,

    /// The topic of the purchases
    #[arg(long, default_value = "purchases")]
    pub topic: String,

    /// The group that consumes them
    #[arg(long, default_value = "billing")]
    pub group: String,

    /// Only publish the file of purchases; a topic that is missing is created, with 8 partitions
    #[arg(long, requires = "brokers")]
    pub publish: bool,

    /// The file of purchases
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../micro_service/data/purchases.csv"))]
    pub data: PathBuf,

    /// The maximum number of purchases handled at once
    #[arg(long, value_name = "N", default_value = "64")]
    pub max_parallel: NonZeroUsize,

    /// Where purchases go that cannot be handled; by default, they are only counted
    #[arg(long, value_name = "TOPIC")]
    pub dead_letters: Option<String>,

    /// Write the result of each purchase exactly once, to --results; dead letters are still written at least once
    #[arg(long, requires_all = ["brokers", "results"])]
    pub transactional: bool,

    /// The topic of the results, for readers with isolation.level=read_committed
    #[arg(long, value_name = "TOPIC", requires = "transactional")]
    pub results: Option<String>,

    /// How often a remote call that failed is tried again; one call in a hundred fails
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(..=20))]
    pub retries: u32,

    /// Where Prometheus scrapes, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,

    /// Which protocol of groups; `consumer` needs Kafka 4
    #[arg(long, default_value = "classic", requires = "brokers")]
    pub protocol: Protocol,

    /// A name for this process that no other of the group has. If it is restarted soon, its partitions stay its own
    #[arg(long, value_name = "ID", requires = "brokers")]
    pub instance: Option<String>,

    /// A property of librdkafka, such as sasl.username; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = property, requires = "brokers")]
    pub set: Vec<(String, String)>,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Protocol {
    /// Partitions move by the assignor cooperative-sticky
    Classic,
    /// KIP-848: the broker moves them
    Consumer,
}

impl Args {
    /// All topics that are read or written.
    pub fn topics(&self) -> Vec<&str> {
        let mut topics = vec![self.topic.as_str()];
        topics.extend(self.dead_letters.as_deref());
        topics.extend(self.results.as_deref());
        topics
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write it as NAME=VALUE, such as sasl.username=alice")?;
    Ok((name.to_owned(), value.to_owned()))
}
