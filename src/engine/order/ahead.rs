//! Reading ahead: items may come while every slot is taken.

mod by_group;

use std::fmt;

pub use self::by_group::ByGroupAhead;

use super::{Arrival, Feeds, Order, WithHasher};
use crate::engine::order::{ByAccess, ByGroup, Unless};
use crate::engine::sealed::Sealed;

/// An order that keeps items which wait for nothing but a slot, so that the source can be read while none is free.
pub trait Prefetch: Sealed {
    /// The same order, read ahead.
    type Ahead;

    #[doc(hidden)]
    fn ahead(self) -> Self::Ahead;
}

/// Set by [`prefetch`](crate::Ordered::prefetch): the order of several keys or of a relation, read ahead.
pub struct Ahead<By>(By);

impl<F, K, S, T> Prefetch for ByGroup<F, K, S, T> {
    type Ahead = ByGroupAhead<F, K, S, T>;

    fn ahead(self) -> Self::Ahead {
        ByGroupAhead::new(self)
    }
}

impl<A, K, S, T> Prefetch for ByAccess<A, K, S, T> {
    type Ahead = Ahead<Self>;

    fn ahead(self) -> Ahead<Self> {
        Ahead(self)
    }
}

impl<F, C, K, T> Prefetch for Unless<F, C, K, T> {
    type Ahead = Ahead<Self>;

    fn ahead(self) -> Ahead<Self> {
        Ahead(self)
    }
}

impl<F, K, S, T> Prefetch for ByGroupAhead<F, K, S, T> {
    type Ahead = Self;

    fn ahead(self) -> Self {
        self
    }
}

impl<By> Prefetch for Ahead<By> {
    type Ahead = Self;

    fn ahead(self) -> Self {
        self
    }
}

impl<By: WithHasher> WithHasher for Ahead<By> {
    type With<H> = Ahead<By::With<H>>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        Ahead(self.0.with_hasher(hasher))
    }
}

impl<By: Feeds> Feeds for Ahead<By> {
    type Input = By::Input;
}

impl<By, T> Order<T> for Ahead<By>
where
    By: Order<T>,
{
    const READS_AHEAD: bool = true;
    const COUNTS_STEPS: bool = By::COUNTS_STEPS;

    type Claim = By::Claim;

    fn alone(item: T) -> By::Input {
        By::alone(item)
    }

    fn arrive(&mut self, item: &T) -> Arrival<By::Claim> {
        self.0.arrive(item)
    }

    fn wait(&mut self, behind: usize, ticket: u64, item: T) {
        self.0.wait(behind, ticket, item);
    }

    fn wait_for_slot(&mut self, claim: By::Claim, ticket: u64, item: T) {
        self.0.wait_for_slot(claim, ticket, item);
    }

    fn hold(&mut self, place: usize, claim: By::Claim) {
        self.0.hold(place, claim);
    }

    fn pass(&mut self, claim: By::Claim) {
        self.0.pass(claim);
    }

    fn release(&mut self, place: usize) {
        self.0.release(place);
    }

    fn has_ready(&self) -> bool {
        self.0.has_ready()
    }

    fn oldest_ready(&self) -> Option<u64> {
        self.0.oldest_ready()
    }

    fn start_ready(&mut self, place: usize, joins: impl FnMut(u64) -> bool) -> By::Input {
        self.0.start_ready(place, joins)
    }

    fn steps_of_arrival(&self) -> u64 {
        self.0.steps_of_arrival()
    }

    fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    fn catch_up(&mut self, steps: &mut u16) -> bool {
        self.0.catch_up(steps)
    }

    fn count_depths(&mut self) {
        self.0.count_depths();
    }

    fn deepest(&self) -> usize {
        self.0.deepest()
    }

    fn shrink(&mut self) {
        self.0.shrink();
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }

    fn groups(&self) -> usize {
        self.0.groups()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl<By> fmt::Debug for Ahead<By> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").finish_non_exhaustive()
    }
}
