//! One key, read ahead: groups wait for a slot, too, the one with the oldest item first.

use std::fmt;
use std::hash::Hash;

use crate::engine::depths::Depths;
use crate::engine::hashing::{Given, HashKeys};
use crate::engine::keyed::{Keyed, Unlisted};
use crate::engine::order::ready::{ByPlace, ReadyItems};
use crate::engine::order::waiting::{Queue, Waiting};
use crate::engine::order::{Arrival, ByGroup, Feeds, Order, WithHasher};

/// The order of `ordered_by_group` with `prefetch`.
///
/// Each group with anything unfinished has a queue. Its first item waits for a slot, with the group in a heap by the arrival of
/// that item, or runs. So a group gives its slot back after each item, to whichever group has the oldest.
pub struct ByGroupAhead<F, K, S, T> {
    key: F,
    groups: Keyed<K, S, Queue>,
    waiting: Waiting<Arrived<T>>,
    /// Which group runs in which place.
    running: ByPlace<usize>,
    ready: ReadyItems,
    arrived: u64,
    depths: Depths,
}

struct Arrived<T> {
    item: T,
    arrival: u64,
}

impl<F, K, S, T> ByGroupAhead<F, K, S, T> {
    pub(crate) fn new(order: ByGroup<F, K, S, T>) -> Self {
        let (key, hasher) = order.into_parts();
        Self {
            key,
            groups: Keyed::new(hasher),
            waiting: Waiting::new(),
            running: ByPlace::new(),
            ready: ReadyItems::new(),
            arrived: 0,
            depths: Depths::new(),
        }
    }

    /// The tickets of what waits behind the item in this place, the oldest first.
    pub(in crate::engine::order) fn waiting_behind(
        &self,
        place: usize,
    ) -> impl Iterator<Item = u64> {
        let group = self.running.get(place);
        self.waiting.tickets(self.groups.value(group))
    }

    /// Takes the oldest item that waits behind the one in this place.
    pub(in crate::engine::order) fn take_behind(&mut self, place: usize) -> T {
        let group = self.running.get(place);
        self.take_first(group)
    }

    fn take_first(&mut self, group: usize) -> T {
        self.depths.lessen(group);
        let first = self.waiting.pop(self.groups.value_mut(group));
        first.expect("an item that waits").item
    }
}

impl<F, K, S, T> WithHasher for ByGroupAhead<F, K, S, T> {
    type With<H> = ByGroupAhead<F, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByGroupAhead::new(ByGroup::new(self.key, Given::new(hasher)))
    }
}

impl<F, K, S, T> Feeds for ByGroupAhead<F, K, S, T> {
    type Input = T;
}

impl<F, K, S, T> Order<T> for ByGroupAhead<F, K, S, T>
where
    F: FnMut(&T) -> K,
    K: Hash + Eq,
    S: HashKeys,
{
    const READS_AHEAD: bool = true;

    type Claim = Unlisted<K>;

    fn alone(item: T) -> T {
        item
    }

    fn arrive(&mut self, item: &T) -> Arrival<Unlisted<K>> {
        self.arrived += 1;
        match self.groups.look_up((self.key)(item)) {
            Ok(group) => Arrival::Waits(group),
            Err(key) => Arrival::Starts(key),
        }
    }

    fn wait(&mut self, group: usize, ticket: u64, item: T) {
        let arrival = self.arrived;
        let queue = self.groups.value_mut(group);
        self.waiting.push(queue, ticket, Arrived { item, arrival });
        self.depths.deepen(group);
    }

    fn wait_for_slot(&mut self, key: Unlisted<K>, ticket: u64, item: T) {
        let group = self.groups.open_unlisted(key, Queue::EMPTY);
        self.wait(group, ticket, item);
        self.ready.push(self.arrived, group);
    }

    fn hold(&mut self, place: usize, key: Unlisted<K>) {
        let group = self.groups.open_unlisted(key, Queue::EMPTY);
        self.running.set(place, group);
    }

    fn release(&mut self, place: usize) {
        let group = self.running.get(place);
        match self.waiting.first_item(self.groups.value(group)) {
            Some(next) => self.ready.push(next.arrival, group),
            None => self.groups.close(group),
        }
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn oldest_ready(&self) -> Option<u64> {
        let group = self.ready.oldest()?;
        self.waiting.first(self.groups.value(group))
    }

    fn start_ready(&mut self, place: usize, _joins: impl FnMut(u64) -> bool) -> T {
        let group = self.ready.pop().expect("an item was named");
        self.running.set(place, group);
        self.take_first(group)
    }

    fn count_depths(&mut self) {
        self.depths.count();
    }

    fn deepest(&self) -> usize {
        self.depths.deepest()
    }

    fn shrink(&mut self) {
        self.groups.shrink();
        self.waiting.shrink(self.groups.values_mut());
        self.ready.shrink();
        self.depths.shrink();
        if self.groups.len() == 0 {
            self.running.give_back();
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn groups(&self) -> usize {
        self.groups.len()
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.waiting.clear();
        self.ready.clear();
        self.depths.clear();
    }
}

impl<F, K, S, T> fmt::Debug for ByGroupAhead<F, K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByGroupAhead").finish_non_exhaustive()
    }
}
