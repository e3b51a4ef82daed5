//! TryStreamExt: the ways to order a stream that can fail.

use std::hash::RandomState;

use futures_core::TryStream;

use crate::offsets::Position;
use crate::order::ByGroup;
use crate::partitions::Whole;
use crate::try_ordered::TryOrdered;

/// Orders a stream of results. Implemented for every [`TryStream`].
pub trait TryStreamExt: TryStream {
    /// [`ordered_by_group`](crate::StreamExt::ordered_by_group) for a source that can fail: the key is read from what
    /// is `Ok`, and an `Err` of the source counts as an item that failed at its place.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results = stream::iter([Ok(1), Ok(2), Err("the connection was lost")])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .and_then(|n| async move { Ok(n * 10) })
    ///     .inspect_ok(|(result, _)| assert!([10, 20].contains(result)))
    ///     .try_collect::<Vec<_>>()
    ///     .await;
    /// assert_eq!(results, Err("the connection was lost"));
    /// # });
    /// ```
    #[track_caller]
    fn try_ordered_by_group<K, F>(
        self,
        key: F,
        max_parallel: usize,
    ) -> TryOrdered<Self, ByGroup<F, K, RandomState, Self::Ok>, Position, Whole>
    where
        F: FnMut(&Self::Ok) -> K,
        Self: Sized,
    {
        TryOrdered::new(self, ByGroup::new(key, RandomState::new()), max_parallel)
    }
}

impl<St: TryStream + ?Sized> TryStreamExt for St {}
