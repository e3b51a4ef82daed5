//! The admitted items of many partitions: each in its partition's queue, and all in the order in which they arrived.

use std::hash::Hash;

use slab::Slab;

use crate::engine::hashing::Wary;
use crate::engine::keyed::Keyed;
use crate::spare::give_back;

const NONE: usize = usize::MAX;

/// Items in a slab, linked twice. A partition with no item here has no state.
pub(super) struct Partitioned<O, L, S> {
    items: Slab<Item<O, S>>,
    partitions: Keyed<L, Wary, Partition<O>>,
    /// The oldest and the newest of the items that have not come out.
    oldest: usize,
    newest: usize,
    arrived: u64,
}

struct Item<O, S> {
    offset: O,
    state: S,
    arrival: u64,
    partition: usize,
    next_of_partition: usize,
    older: usize,
    newer: usize,
}

struct Partition<O> {
    first: usize,
    last: usize,
    frontier: Option<O>,
}

impl<O, L, S> Partitioned<O, L, S> {
    pub(super) fn new() -> Self {
        Self {
            items: Slab::new(),
            partitions: Keyed::new(Wary::new()),
            oldest: NONE,
            newest: NONE,
            arrived: 0,
        }
    }

    /// How many items are here.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn next_ticket(&self) -> u64 {
        self.items.vacant_key() as u64
    }

    pub(super) fn arrival(&self, ticket: u64) -> u64 {
        let item = self.items.get(ticket as usize);
        item.map_or(self.arrived, |item| item.arrival)
    }

    /// Whether a partition has nothing here, so that an item of it may come out as it arrives.
    pub(super) fn is_unknown(&mut self, partition: &L) -> bool
    where
        L: Hash + Eq,
    {
        let hash = self.partitions.hash(partition);
        self.partitions.find(hash, partition).is_none()
    }

    /// An item arrives.
    pub(super) fn push(&mut self, offset: O, partition: L, state: S) -> usize
    where
        L: Hash + Eq,
    {
        let partition = self.partition(partition);
        let item = self.items.insert(Item {
            offset,
            state,
            arrival: self.arrived,
            partition,
            next_of_partition: NONE,
            older: self.newest,
            newer: NONE,
        });
        self.arrived += 1;
        let partition = self.partitions.value_mut(partition);
        match std::mem::replace(&mut partition.last, item) {
            NONE => partition.first = item,
            last => self.items[last].next_of_partition = item,
        }
        match std::mem::replace(&mut self.newest, item) {
            NONE => self.oldest = item,
            newest => self.items[newest].newer = item,
        }
        item
    }

    pub(super) fn state(&mut self, item: usize) -> &mut S {
        &mut self.items[item].state
    }

    pub(super) fn offset(&self, item: usize) -> &O {
        &self.items[item].offset
    }

    pub(super) fn partition_of(&self, item: usize) -> usize {
        self.items[item].partition
    }

    /// The first item of a partition that has any.
    pub(super) fn first(&self, partition: usize) -> Option<usize> {
        let first = self.partitions.get(partition)?.first;
        (first != NONE).then_some(first)
    }

    /// An item comes out: it is no longer among those that have not.
    pub(super) fn come_out(&mut self, item: usize) {
        let Item { older, newer, .. } = self.items[item];
        match older {
            NONE => self.oldest = newer,
            older => self.items[older].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.items[newer].older = older,
        }
    }

    /// Takes the first item of a partition, which has come out. The frontier is its offset; a partition that has nothing
    /// left is forgotten.
    pub(super) fn pop(&mut self, partition: usize) -> (O, S) {
        let here = self.partitions.value_mut(partition);
        let item = self.items.remove(here.first);
        here.first = item.next_of_partition;
        if here.first == NONE {
            self.partitions.close(partition);
        }
        (item.offset, item.state)
    }

    /// Up to where all of this partition has been handed over, as far as is known.
    pub(super) fn frontier(&self, partition: usize) -> Option<&O> {
        self.partitions.get(partition)?.frontier.as_ref()
    }

    /// Moves the frontier of a partition that is still known.
    pub(super) fn set_frontier(&mut self, partition: usize, frontier: O) {
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.frontier = Some(frontier);
        }
    }

    /// Whether no item that arrived before is still here and has not come out.
    pub(super) fn has_reached(&self, arrival: u64) -> bool {
        let oldest = self.items.get(self.oldest);
        oldest.is_none_or(|oldest| oldest.arrival >= arrival)
    }

    /// What has not come out, in source order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&O, &S)> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let item = self.items.get(next)?;
            next = item.newer;
            Some((&item.offset, &item.state))
        })
    }

    /// Gives back the storage once nothing is admitted.
    pub(super) fn shrink(&mut self) {
        give_back(&mut self.items);
        self.partitions.shrink();
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.partitions.clear();
        self.oldest = NONE;
        self.newest = NONE;
    }

    fn partition(&mut self, key: L) -> usize
    where
        L: Hash + Eq,
    {
        let hash = self.partitions.hash(&key);
        if let Some(partition) = self.partitions.find(hash, &key) {
            return partition;
        }
        let partition = Partition {
            first: NONE,
            last: NONE,
            frontier: None,
        };
        self.partitions.open(hash, key, partition)
    }
}
