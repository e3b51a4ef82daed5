//! Batch: what is committed at once.

use std::sync::Arc;

use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::Partition;
use crate::kafka::shared::Shared;
use crate::positions::{Commit, Lease};

/// The commits of the leases that have changed.
pub(super) struct Batch(Vec<(Arc<Lease<Partition>>, Commit)>);

impl Batch {
    /// `None` if nothing has changed.
    pub(super) fn of(leases: &[Arc<Lease<Partition>>]) -> Option<Self> {
        let changed = leases
            .iter()
            .filter_map(|lease| Some((Arc::clone(lease), lease.commit()?)));
        let batch = changed.collect::<Vec<_>>();
        (!batch.is_empty()).then_some(Self(batch))
    }

    pub(super) fn list(&self, max_chars: usize) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(self.0.len());
        for (lease, commit) in &self.0 {
            let partition = lease.partition();
            let mut element = list.add_partition(partition.topic(), partition.number());
            element.set_offset(Offset::Offset(commit.next))?;
            let text = commit.done.encode(max_chars);
            if !text.is_empty() {
                element.set_metadata(text);
            }
        }
        Ok(list)
    }

    /// The commit was taken.
    pub(super) fn confirm(&self, shared: &Shared) {
        for (lease, commit) in &self.0 {
            lease.confirm(commit);
            shared.committed(lease, commit.next);
        }
    }
}
