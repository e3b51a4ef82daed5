//! Handler: what a member does with each record: it waits, and writes down that it began and ended.

use std::ops::RangeInclusive;
use std::time::Duration;

use kafka_judge::event::{Record, What};
use ordered_by_group::kafka;
use rdkafka::Message;
use tokio::time::sleep;

use crate::journal::Journal;

/// The key of records whose handler may take a time of its own.
pub const STUCK: &str = "stuck";

/// Handles records.
#[derive(Debug)]
pub struct Handler {
    journal: Journal,
    /// How long it takes, in milliseconds.
    takes: RangeInclusive<u64>,
    /// The same for records with the key [`STUCK`], if it is another time.
    stuck_for: Option<u64>,
}

/// Writes down at its drop that the handler was dropped half-way.
struct Begun<'a> {
    journal: &'a Journal,
    record: Option<Record>,
}

impl Handler {
    pub fn new(journal: Journal, takes: RangeInclusive<u64>, stuck_for: Option<u64>) -> Self {
        Self {
            journal,
            takes,
            stuck_for,
        }
    }

    /// Handles a record.
    pub async fn handle(&self, record: Record) {
        let takes = self.time_for(&record);
        let begun = Begun::new(&self.journal, record);
        sleep(takes).await;
        begun.end();
    }

    /// Always the same for a record, and spread evenly over all of them.
    fn time_for(&self, record: &Record) -> Duration {
        if let Some(millis) = self.stuck_for.filter(|_| record.key == STUCK) {
            return Duration::from_millis(millis);
        }
        let (from, to) = (*self.takes.start(), *self.takes.end());
        let number = record.offset.unsigned_abs() * 8 + u64::from(record.partition.unsigned_abs());
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Duration::from_millis(from + spread % (to - from + 1))
    }
}

impl<'a> Begun<'a> {
    fn new(journal: &'a Journal, record: Record) -> Self {
        journal.write(What::Start(record.clone()));
        Self {
            journal,
            record: Some(record),
        }
    }

    fn end(mut self) {
        if let Some(record) = self.record.take() {
            self.journal.write(What::End(record));
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.journal.write(What::Drop(record));
        }
    }
}

/// A record as it goes into the journal.
fn record(topic: &str, partition: i32, offset: i64, key: Option<&[u8]>) -> Record {
    Record {
        topic: topic.to_owned(),
        partition,
        offset,
        key: String::from_utf8_lossy(key.unwrap_or(b"-")).into_owned(),
    }
}

/// The record of a message of the client.
pub fn record_of(message: &impl Message) -> Record {
    record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
    )
}

/// The same of a message of the module `kafka`.
pub fn record_of_ours(message: &kafka::Message<'_>) -> Record {
    record(
        message.topic(),
        message.partition().number(),
        message.offset(),
        message.key(),
    )
}
