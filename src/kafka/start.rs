//! Start: where a partition begins.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::Partition;
use crate::kafka::shared::Shared;
use crate::positions::{Done, Lease};

/// Where a partition begins, and what is done past it.
pub(super) struct Start {
    topic: Arc<str>,
    number: i32,
    from: Offset,
    done: Done,
    /// The position that the broker has.
    committed: Option<i64>,
    /// Whether this process knows more than the broker.
    is_ahead: bool,
}

/// Reads where partitions begin, from what the group has committed or from what the user says.
pub(super) fn starts(list: &TopicPartitionList, reads_metadata: bool) -> KafkaResult<Vec<Start>> {
    let mut starts = Vec::with_capacity(list.count());
    for element in list.elements() {
        element.error()?;
        let (committed, done) = match element.offset() {
            Offset::Offset(next) if reads_metadata => (Some(next), done_past(next, &element)),
            Offset::Offset(next) => (Some(next), Done::default()),
            _ => (None, Done::default()),
        };
        starts.push(Start {
            topic: element.topic().into(),
            number: element.partition(),
            from: element.offset(),
            done,
            committed,
            is_ahead: false,
        });
    }
    Ok(starts)
}

/// What the metadata says is done past the position. If it is not ours, nothing is.
fn done_past(next: i64, element: &TopicPartitionListElem<'_>) -> Done {
    // rdkafka panics on metadata that is not UTF-8, and has no other way to read it.
    let text = catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned()));
    let done = text.ok().and_then(|text| Done::decode(next, &text));
    done.unwrap_or_default()
}

impl Start {
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    pub(super) fn from(&self) -> Offset {
        self.from
    }

    pub(super) fn next(&self) -> Option<i64> {
        match self.from {
            Offset::Offset(next) => Some(next),
            _ => None,
        }
    }

    /// Begins behind what this process has done already, though it could not be committed, and what others have committed
    /// since.
    pub(super) fn or_kept(mut self, shared: &Shared) -> Self {
        if let Some(kept) = shared.take_kept(&self.topic, self.number, self.committed) {
            let (next, done) = kept.done.join(self.done, kept.next);
            self.from = Offset::Offset(next);
            self.done = done;
            self.is_ahead = true;
        }
        self
    }

    pub(super) fn committed(&self) -> Option<i64> {
        self.committed
    }

    pub(super) fn into_lease(self) -> Arc<Lease<Partition>> {
        let (next, number) = (self.next(), self.number);
        let lease = Lease::with_epoch(
            |epoch| Partition::new(self.topic, number, epoch),
            next,
            self.done,
        );
        if self.is_ahead {
            lease.touch();
        }
        lease
    }
}
