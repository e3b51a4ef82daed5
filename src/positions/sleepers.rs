//! Sleepers: the futures that wait for a lease, and how to wake them.

use std::task::Waker;

use slab::Slab;

/// The futures that are there, each with the waker that it left when it went to sleep.
#[derive(Default)]
pub(super) struct Sleepers {
    wakers: Slab<Option<Waker>>,
}

impl Sleepers {
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// A future comes, awake. The key is its own until it leaves.
    pub(super) fn enter(&mut self) -> usize {
        self.wakers.insert(None)
    }

    /// A future goes to sleep. What it gets back is to be dropped without a lock.
    #[must_use]
    pub(super) fn sleep(&mut self, key: usize, waker: Waker) -> Option<Waker> {
        self.wakers[key].replace(waker)
    }

    /// A future has gone. What it left behind is to be dropped without a lock.
    #[must_use]
    pub(super) fn leave(&mut self, key: usize) -> Option<Waker> {
        self.wakers.remove(key)
    }

    /// Takes the wakers of all, to be woken without a lock.
    pub(super) fn take_all(&mut self) -> Vec<Waker> {
        let sleepers = self.wakers.iter_mut();
        sleepers.filter_map(|(_, waker)| waker.take()).collect()
    }
}
