//! StreamExt: the ways to order a stream.

use std::hash::RandomState;

use futures_core::Stream;

use crate::offsets::Position;
use crate::order::ByGroup;
use crate::ordered::Ordered;
use crate::partitions::Whole;

/// Orders a stream. Implemented for every [`Stream`].
pub trait StreamExt: Stream {
    /// Items with equal keys form a group and run one at a time, in their order; up to `max_parallel` groups run at once.
    ///
    /// The key closure is called once an item, in source order, when the item is pulled. The verb that follows asks that
    /// keys are `Hash + Eq`. A key cannot borrow from its item; see [keys that are strings](crate#keys-that-are-strings),
    /// and [items without a key](crate#items-without-a-key) for keys that are an `Option`.
    ///
    /// `max_parallel` is the most handlers that exist at once: 1 to `usize::MAX`. Slots are made when they are first
    /// needed.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let purchases = [("ann", 5), ("bob", 7), ("ann", -2)];
    /// let results: Vec<_> = stream::iter(purchases)
    ///     .ordered_by_group(|(customer, _)| *customer, 64)
    ///     .then(|(_, dollars)| async move { dollars })
    ///     .collect()
    ///     .await;
    /// assert_eq!(results, [(5, 0), (7, 1), (-2, 2)]);
    /// # });
    /// ```
    #[track_caller]
    fn ordered_by_group<K, F>(
        self,
        key: F,
        max_parallel: usize,
    ) -> Ordered<Self, ByGroup<F, K, RandomState, Self::Item>, Position, Whole>
    where
        F: FnMut(&Self::Item) -> K,
        Self: Sized,
    {
        Ordered::new(self, ByGroup::new(key, RandomState::new()), max_parallel)
    }
}

impl<St: Stream + ?Sized> StreamExt for St {}
