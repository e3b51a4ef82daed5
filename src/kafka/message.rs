//! Message: one record, and its position.

use std::fmt;

use rdkafka::Timestamp;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _, OwnedMessage};

use crate::kafka::Partition;
use crate::positions::Position;

/// A message, and its [position](Self::position).
///
/// It borrows what librdkafka has fetched and copies nothing, unless it was fetched while nobody read (see
/// [a full window](crate::kafka#a-full-window)). While one message of a fetch is kept, so is all of that fetch, up to
/// `fetch.message.max.bytes` (1 MiB) and more: [`detach`](Self::detach) what you keep for long.
pub struct Message<'a> {
    record: Record<'a>,
    position: Position<Partition>,
}

pub(super) enum Record<'a> {
    Borrowed(BorrowedMessage<'a>),
    Owned(OwnedMessage),
}

impl<'a> Message<'a> {
    pub(super) fn new(record: Record<'a>, position: Position<Partition>) -> Self {
        Self { record, position }
    }

    /// Returns the key for [`try_ordered_by_group`](crate::TryStreamExt::try_ordered_by_group): messages of one partition
    /// with equal keys form a group.
    ///
    /// It is a hash of the topic, the partition and the key. It does not change with the assignment, so a message that is
    /// read again waits for its own earlier handler. Equal keys of two topics are two groups, and a message without a key is
    /// a group of its own. If two keys have the same hash by chance, they wait for each other, and no more.
    ///
    /// It differs from process to process: do not store it.
    pub fn group(&self) -> u64 {
        let partition = self.position.partition();
        partition.hash_message(self.key(), self.offset())
    }

    /// Returns the position, for [`offsets`](crate::TryOrdered::offsets) and for
    /// [`run`](crate::positions::Position::run). It must be [settled](crate::positions::Position::settle).
    pub fn position(&self) -> Position<Partition> {
        self.position.clone()
    }

    /// Returns the partition, for [`partitions`](crate::TryOrdered::partitions).
    pub fn partition(&self) -> Partition {
        self.position.partition().clone()
    }

    /// Returns the name of the topic.
    pub fn topic(&self) -> &str {
        self.position.partition().topic()
    }

    /// Returns the offset.
    pub fn offset(&self) -> i64 {
        self.position.offset()
    }

    /// Returns the key, if there is one.
    pub fn key(&self) -> Option<&[u8]> {
        match &self.record {
            Record::Borrowed(record) => record.key(),
            Record::Owned(record) => record.key(),
        }
    }

    /// Returns the payload. It is `None` for a tombstone, which in a compacted topic says that the key was deleted.
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.record {
            Record::Borrowed(record) => record.payload(),
            Record::Owned(record) => record.payload(),
        }
    }

    /// Returns when the message was made, or written to the log.
    pub fn timestamp(&self) -> Timestamp {
        match &self.record {
            Record::Borrowed(record) => record.timestamp(),
            Record::Owned(record) => record.timestamp(),
        }
    }

    /// Returns the headers, if there are any. Their methods are those of the trait
    /// [`Headers`](rdkafka::message::Headers).
    pub fn headers(&self) -> Option<&BorrowedHeaders> {
        match &self.record {
            Record::Borrowed(record) => record.headers(),
            Record::Owned(record) => record.headers().map(|headers| headers.as_borrowed()),
        }
    }

    /// Copies the message, to keep it or to send it on. The copy has no position.
    pub fn detach(&self) -> OwnedMessage {
        match &self.record {
            Record::Borrowed(record) => record.detach(),
            Record::Owned(record) => record.clone(),
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("partition", self.position.partition())
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}
