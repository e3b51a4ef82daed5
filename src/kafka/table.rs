//! Table: the leases of the partitions that are assigned.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::TopicPartitionList;

use crate::kafka::Partition;
use crate::kafka::pace::Pace;
use crate::positions::Lease;

/// The leases, by topic and partition.
#[derive(Default)]
pub(super) struct Table {
    topics: HashMap<Arc<str>, HashMap<i32, Slot>>,
    len: usize,
}

/// A lease, and why its partition is paused.
pub(super) struct Slot {
    pub(super) lease: Arc<Lease<Partition>>,
    /// It holds too much.
    pub(super) is_full: bool,
    /// It holds too much, and is not paused: the reader waits until it holds less.
    pub(super) is_held: bool,
    pub(super) pace: Pace,
    /// Nobody reads.
    pub(super) is_unread: bool,
    /// How many of its messages were left when this was last told.
    pub(super) left: usize,
    /// The position that the broker has.
    pub(super) committed: Option<i64>,
}

impl Slot {
    fn new(lease: Arc<Lease<Partition>>, committed: Option<i64>) -> Self {
        Self {
            lease,
            is_full: false,
            is_held: false,
            pace: Pace::default(),
            is_unread: false,
            left: 0,
            committed,
        }
    }

    /// It holds too much, and is to be paused. `false` if it was already.
    pub(super) fn fill(&mut self) -> bool {
        self.pace.pause();
        !std::mem::replace(&mut self.is_full, true)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_full || self.is_unread
    }
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, topic: &str, number: i32) -> Option<&Slot> {
        self.topics.get(topic)?.get(&number)
    }

    /// The slot of a lease, if it is still there.
    pub(super) fn slot_of(&mut self, lease: &Lease<Partition>) -> Option<&mut Slot> {
        let partition = lease.partition();
        let slots = self.topics.get_mut(partition.topic())?;
        let slot = slots.get_mut(&partition.number())?;
        (slot.lease.partition() == partition).then_some(slot)
    }

    /// Puts in a lease, in place of the one that was there. `committed` is the position that the broker has.
    pub(super) fn insert(&mut self, lease: Arc<Lease<Partition>>, committed: Option<i64>) {
        let partition = lease.partition();
        let topic = Arc::clone(partition.shared_topic());
        let number = partition.number();
        let slots = self.topics.entry(topic).or_default();
        if slots.insert(number, Slot::new(lease, committed)).is_none() {
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, lease: &Lease<Partition>) {
        if self.slot_of(lease).is_none() {
            return;
        }
        let partition = lease.partition();
        if let Some(slots) = self.topics.get_mut(partition.topic()) {
            slots.remove(&partition.number());
            self.len -= 1;
            if slots.is_empty() {
                self.topics.remove(partition.topic());
            }
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.topics.values().flat_map(HashMap::values)
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.topics.values_mut().flat_map(HashMap::values_mut)
    }

    pub(super) fn leases(&self) -> Vec<Arc<Lease<Partition>>> {
        self.slots().map(|slot| Arc::clone(&slot.lease)).collect()
    }

    /// The leases of the partitions in a list.
    pub(super) fn leases_in(&self, list: &TopicPartitionList) -> Vec<Arc<Lease<Partition>>> {
        let elements = list.elements();
        let slots = elements
            .iter()
            .filter_map(|element| self.get(element.topic(), element.partition()));
        slots.map(|slot| Arc::clone(&slot.lease)).collect()
    }
}
