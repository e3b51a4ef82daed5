//! Items that may run, and items that do: what the orders of several keys and of any relation have in common.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::spare::shrink_heap;

/// Items that wait for nothing but a slot, by the order in which they arrived.
pub(super) struct ReadyItems(BinaryHeap<Reverse<(u64, usize)>>);

/// Which item runs in which place.
pub(super) struct ByPlace(Vec<usize>);

impl ReadyItems {
    pub(super) fn new() -> Self {
        Self(BinaryHeap::new())
    }

    pub(super) fn push(&mut self, arrival: u64, item: usize) {
        self.0.push(Reverse((arrival, item)));
    }

    pub(super) fn oldest(&self) -> Option<usize> {
        self.0.peek().map(|&Reverse((_, item))| item)
    }

    pub(super) fn pop(&mut self) -> Option<usize> {
        self.0.pop().map(|Reverse((_, item))| item)
    }

    pub(super) fn shrink(&mut self) {
        shrink_heap(&mut self.0);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl ByPlace {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn set(&mut self, place: usize, item: usize) {
        if place >= self.0.len() {
            self.0.resize(place + 1, usize::MAX);
        }
        self.0[place] = item;
    }

    pub(super) fn get(&self, place: usize) -> usize {
        self.0[place]
    }
}
