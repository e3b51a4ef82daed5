//! One key, in batches: a handler takes what waits of its group.

use std::fmt;
use std::hash::Hash;

use super::waiting::{Queue, Waiting};
use super::{Arrival, ByGroup, ByGroupAhead, Feeds, Order, Prefetch, WithHasher};
use crate::engine::hashing::{Given, HashKeys};
use crate::engine::sealed::Sealed;

/// An order whose handlers may take several items at once: that of `ordered_by_group`, since there what waits behind an item
/// has the same key.
pub trait Gather: Sealed {
    /// The same order, in batches.
    type InBatches;

    #[doc(hidden)]
    fn in_batches(self, max: usize) -> Self::InBatches;
}

/// The order of `ordered_by_group` with `batches`: read ahead, so that batches can gather.
pub struct ByGroupInBatches<F, K, S, T> {
    order: ByGroupAhead<F, K, S, T>,
    max: usize,
    /// The tickets of what has joined the item in each place.
    joined: Waiting<()>,
    queues: Vec<Queue>,
}

impl<F, K, S, T> ByGroupInBatches<F, K, S, T> {
    fn new(order: ByGroupAhead<F, K, S, T>, max: usize) -> Self {
        Self {
            order,
            max,
            joined: Waiting::new(),
            queues: Vec::new(),
        }
    }
}

impl<F, K, S, T> Gather for ByGroup<F, K, S, T> {
    type InBatches = ByGroupInBatches<F, K, S, T>;

    fn in_batches(self, max: usize) -> Self::InBatches {
        self.ahead().in_batches(max)
    }
}

impl<F, K, S, T> Gather for ByGroupAhead<F, K, S, T> {
    type InBatches = ByGroupInBatches<F, K, S, T>;

    fn in_batches(self, max: usize) -> Self::InBatches {
        ByGroupInBatches::new(self, max)
    }
}

impl<F, K, S, T> Gather for ByGroupInBatches<F, K, S, T> {
    type InBatches = Self;

    fn in_batches(self, max: usize) -> Self {
        Self { max, ..self }
    }
}

impl<F, K, S, T> Prefetch for ByGroupInBatches<F, K, S, T> {
    type Ahead = Self;

    fn ahead(self) -> Self {
        self
    }
}

impl<F, K, S, T> WithHasher for ByGroupInBatches<F, K, S, T> {
    type With<H> = ByGroupInBatches<F, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByGroupInBatches::new(self.order.with_hasher(hasher), self.max)
    }
}

impl<F, K, S, T> Feeds for ByGroupInBatches<F, K, S, T> {
    type Input = Vec<T>;
}

impl<F, K, S, T> Order<T> for ByGroupInBatches<F, K, S, T>
where
    F: FnMut(&T) -> K,
    K: Hash + Eq,
    S: HashKeys,
{
    const READS_AHEAD: bool = true;
    const GATHERS: bool = true;

    type Claim = <ByGroupAhead<F, K, S, T> as Order<T>>::Claim;

    fn alone(item: T) -> Vec<T> {
        vec![item]
    }

    fn arrive(&mut self, item: &T) -> Arrival<Self::Claim> {
        self.order.arrive(item)
    }

    fn wait(&mut self, group: usize, ticket: u64, item: T) {
        self.order.wait(group, ticket, item);
    }

    fn wait_for_slot(&mut self, claim: Self::Claim, ticket: u64, item: T) {
        self.order.wait_for_slot(claim, ticket, item);
    }

    fn hold(&mut self, place: usize, claim: Self::Claim) {
        self.order.hold(place, claim);
    }

    fn release(&mut self, place: usize) {
        self.part(place);
        self.order.release(place);
    }

    fn has_ready(&self) -> bool {
        self.order.has_ready()
    }

    fn oldest_ready(&self) -> Option<u64> {
        self.order.oldest_ready()
    }

    fn start_ready(&mut self, place: usize, mut joins: impl FnMut(u64) -> bool) -> Vec<T> {
        let first = self.order.start_ready(place, |_| false);
        if place >= self.queues.len() {
            self.queues.resize(place + 1, Queue::EMPTY);
        }
        let before = self.joined.len();
        let behind = self.order.waiting_behind(place).take(self.max - 1);
        for ticket in behind.take_while(|&ticket| joins(ticket)) {
            self.joined.push(&mut self.queues[place], ticket, ());
        }
        let joined = self.joined.len() - before;
        // Of the right size, so that a batch is one allocation.
        let mut batch = Vec::with_capacity(1 + joined);
        batch.push(first);
        batch.extend((0..joined).map(|_| self.order.take_behind(place)));
        batch
    }

    fn joined(&self, place: usize) -> impl Iterator<Item = u64> {
        let queue = self.queues.get(place).unwrap_or(&Queue::EMPTY);
        self.joined.tickets(queue)
    }

    fn part(&mut self, place: usize) {
        if let Some(queue) = self.queues.get_mut(place) {
            while self.joined.pop(queue).is_some() {}
        }
    }

    fn all_joined(&self) -> usize {
        self.joined.len()
    }

    fn count_depths(&mut self) {
        self.order.count_depths();
    }

    fn deepest(&self) -> usize {
        self.order.deepest()
    }

    fn shrink(&mut self) {
        self.order.shrink();
        self.joined.shrink(self.queues.iter_mut());
    }

    fn waiting(&self) -> usize {
        self.order.waiting()
    }

    fn groups(&self) -> usize {
        self.order.groups()
    }

    fn clear(&mut self) {
        self.order.clear();
        self.joined.clear();
        self.queues.clear();
    }
}

impl<F, K, S, T> fmt::Debug for ByGroupInBatches<F, K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByGroupInBatches").finish_non_exhaustive()
    }
}
