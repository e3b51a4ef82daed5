//! Transactions: results and offsets are written together, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use ordered_by_group::kafka::CommitBy;
use ordered_by_group::kafka::rdkafka::TopicPartitionList;
use ordered_by_group::kafka::rdkafka::consumer::ConsumerGroupMetadata;
use ordered_by_group::kafka::rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use ordered_by_group::kafka::rdkafka::message::{Header, OwnedHeaders};
use ordered_by_group::kafka::rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use crate::args::Args;
use crate::cluster::{Cluster, property};
use crate::quiet::Quiet;
use crate::results::{Covered, ResultOf, Results};

const WITHIN: Duration = Duration::from_secs(10);

pub struct Transactions {
    /// With a thread that polls: an abort waits for the reports of what was not delivered.
    producer: ThreadedProducer<Quiet>,
    /// An abort that failed, and is to be tried again before anything else.
    is_aborting: AtomicBool,
    topic: String,
    results: Results,
}

impl Transactions {
    pub async fn begin(
        args: &Args,
        cluster: &Cluster,
        topic: &str,
        results: Results,
    ) -> Result<Self> {
        let producer: ThreadedProducer<Quiet> = cluster
            .config()
            .set("transactional.id", id(args))
            // Readers of what is committed wait for a process that was killed for so long.
            .set("transaction.timeout.ms", "10000")
            .set("linger.ms", "5")
            .create_with_context(Quiet::default())
            .map_err(|error| property(&error))?;
        let starting = producer.clone();
        tokio::task::spawn_blocking(move || starting.init_transactions(WITHIN))
            .await?
            .context("the brokers take no transactions")?;
        Ok(Self {
            producer,
            is_aborting: AtomicBool::new(false),
            topic: topic.to_owned(),
            results,
        })
    }

    pub fn commit_by(self) -> CommitBy {
        let transactions = Arc::new(self);
        CommitBy::with(move |offsets, group| {
            let transactions = Arc::clone(&transactions);
            async move {
                let commit = move || transactions.commit(&offsets, &group);
                let committed = tokio::task::spawn_blocking(commit).await;
                committed.unwrap_or(Err(KafkaError::Canceled))
            }
        })
    }

    /// Writes the offsets, and the results of what they say is done. The others wait for the next commit.
    fn commit(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> KafkaResult<()> {
        if self.is_aborting.load(Ordering::Relaxed) {
            self.abort()?;
        }
        let covered = self.results.covered(offsets);
        self.producer.begin_transaction()?;
        let written = self.send(&covered).and_then(|()| {
            self.producer
                .send_offsets_to_transaction(offsets, group, WITHIN)?;
            self.producer.commit_transaction(WITHIN)
        });
        match &written {
            Ok(()) => self.results.remove(&covered),
            Err(_) => {
                self.is_aborting.store(true, Ordering::Relaxed);
                self.abort()?;
            }
        }
        written
    }

    fn abort(&self) -> KafkaResult<()> {
        self.producer.abort_transaction(WITHIN)?;
        self.is_aborting.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn send(&self, covered: &Covered) -> KafkaResult<()> {
        for ResultOf { position, purchase } in covered.iter() {
            let key = purchase.customer.to_string();
            let payload = format!(
                "{} items for ${}.{:02}",
                purchase.items,
                purchase.cents / 100,
                purchase.cents % 100
            );
            let from = format!("{} at {}", position.partition(), position.offset());
            let mut record = BaseRecord::to(&self.topic)
                .key(&key)
                .payload(&payload)
                .headers(OwnedHeaders::new().insert(Header {
                    key: "from",
                    value: Some(&from),
                }));
            while let Err((error, back)) = self.producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error);
                }
                self.producer.flush(WITHIN)?;
                record = back;
            }
        }
        Ok(())
    }
}

/// The name of the producer. One that begins with the name of another ends what that has left open, so the names of two
/// processes that run must differ.
fn id(args: &Args) -> String {
    let instance = args.instance.clone().unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        format!(
            "{}-{}",
            std::process::id(),
            now.unwrap_or_default().as_nanos()
        )
    });
    format!("{}-{instance}", args.group)
}
