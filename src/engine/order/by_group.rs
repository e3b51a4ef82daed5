//! One key: an item waits for the earlier items of its group.

use std::fmt;
use std::hash::Hash;

use super::waiting::{Queue, Waiting};
use super::{Arrival, Feeds, Order, WithHasher};
use crate::engine::depths::Depths;
use crate::engine::hashing::{Given, HashKeys};
use crate::engine::keyed::{Keyed, Unlisted};

/// The order of `ordered_by_group`. A group that runs keeps its place until nothing of it waits, so items wait
/// only for their own group, and the table holds only groups that run.
pub struct ByGroup<F, K, S, T> {
    key: F,
    /// What waits in each group that runs.
    groups: Keyed<K, S, Queue>,
    waiting: Waiting<T>,
    /// How many, if anybody wants to know.
    depths: Depths,
}

impl<F, K, S, T> ByGroup<F, K, S, T> {
    pub(crate) fn new(key: F, hasher: S) -> Self {
        Self {
            key,
            groups: Keyed::new(hasher),
            waiting: Waiting::new(),
            depths: Depths::new(),
        }
    }

    pub(super) fn into_parts(self) -> (F, S) {
        (self.key, self.groups.into_hasher())
    }
}

impl<F, K, S, T> WithHasher for ByGroup<F, K, S, T> {
    type With<H> = ByGroup<F, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByGroup::new(self.key, Given::new(hasher))
    }
}

impl<F, K, S, T> fmt::Debug for ByGroup<F, K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByGroup").finish_non_exhaustive()
    }
}

impl<F, K, S, T> Feeds for ByGroup<F, K, S, T> {
    type Input = T;
}

impl<F, K, S, T> Order<T> for ByGroup<F, K, S, T>
where
    F: FnMut(&T) -> K,
    K: Hash + Eq,
    S: HashKeys,
{
    const WAITS_BEHIND_PLACES: bool = true;

    type Claim = Unlisted<K>;

    fn alone(item: T) -> T {
        item
    }

    #[inline(always)] // the way of each item
    fn arrive(&mut self, item: &T) -> Arrival<Unlisted<K>> {
        match self.groups.look_up((self.key)(item)) {
            Ok(place) => Arrival::Waits(place),
            Err(key) => Arrival::Starts(key),
        }
    }

    fn wait(&mut self, place: usize, ticket: u64, item: T) {
        self.waiting
            .push(self.groups.value_mut(place), ticket, item);
        self.depths.deepen(place);
    }

    #[inline(always)] // the way of each item
    fn hold(&mut self, place: usize, key: Unlisted<K>) {
        self.groups.insert_unlisted(place, key, Queue::EMPTY);
    }

    #[inline(always)] // the way of each item
    fn successor(&self, place: usize) -> Option<u64> {
        self.waiting.first(self.groups.value(place))
    }

    fn succeed(&mut self, place: usize) -> T {
        self.depths.lessen(place);
        self.waiting
            .pop(self.groups.value_mut(place))
            .expect("a successor was named")
    }

    #[inline(always)] // the way of each item
    fn release(&mut self, place: usize) {
        self.groups.remove(place);
    }

    fn count_depths(&mut self) {
        self.depths.count();
    }

    fn deepest(&self) -> usize {
        self.depths.deepest()
    }

    fn shrink(&mut self) {
        self.depths.shrink();
        self.groups.shrink();
        self.waiting.shrink(self.groups.values_mut());
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn groups(&self) -> usize {
        self.groups.len()
    }

    fn clear(&mut self) {
        self.depths.clear();
        self.groups.clear();
        self.waiting.clear();
    }
}
