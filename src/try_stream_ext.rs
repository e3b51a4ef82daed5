//! TryStreamExt: the ways to order a stream that can fail.

use futures_core::TryStream;

use crate::engine::hashing::Wary;
use crate::engine::item::offsets::Counted;
use crate::engine::item::partitions::Whole;
use crate::engine::order::{Access, ByAccess, ByGroup, Each, Exclusively, Unless};
use crate::engine::run::InTask;
use crate::settings::TryOrdered;

/// The methods of [`StreamExt`](crate::StreamExt) for a source that yields `Result`s. Implemented for every [`TryStream`].
pub trait TryStreamExt: TryStream {
    /// [`ordered_by_group`](crate::StreamExt::ordered_by_group) for a source that can fail: the key is read from what
    /// is `Ok`, and an `Err` of the source counts as an item that failed in its place.
    ///
    /// Some sources report as errors what they recover from by themselves. Drop such errors before they get here; see
    /// [sources that report transient errors](crate::guide::offsets#sources-that-report-transient-errors).
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
    ) -> TryOrdered<Self, ByGroup<F, K, Wary, Self::Ok>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Ok) -> K,
        Self: Sized,
    {
        TryOrdered::new(self, ByGroup::new(key, Wary::new()), max_parallel)
    }

    /// [`ordered_by_groups`](crate::StreamExt::ordered_by_groups) for a source that can fail.
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
    /// let transfers = [Ok(("ann", "bob", 5)), Ok(("bob", "cid", 3))];
    /// let results: Vec<_> = stream::iter(transfers)
    ///     .try_ordered_by_groups(|&(from, to, _)| [from, to], 64)
    ///     .and_then(|(_, _, dollars)| async move { Ok::<_, String>(dollars) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(5, 0), (3, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    #[track_caller]
    fn try_ordered_by_groups<K, I, F>(
        self,
        keys: F,
        max_parallel: usize,
    ) -> TryOrdered<Self, ByAccess<Exclusively<F, I>, K, Wary, Self::Ok>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Ok) -> I,
        I: IntoIterator<Item = K>,
        Self: Sized,
    {
        let order = ByAccess::new(Exclusively::new(keys), Wary::new());
        TryOrdered::new(self, order, max_parallel)
    }

    /// [`ordered_by_access`](crate::StreamExt::ordered_by_access) for a source that can fail.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::{Access, prelude::*};
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_access(|_| [Access::Shared("branch"), Access::Exclusive("account")], 64)
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    #[track_caller]
    fn try_ordered_by_access<K, I, F>(
        self,
        access: F,
        max_parallel: usize,
    ) -> TryOrdered<Self, ByAccess<Each<F, I>, K, Wary, Self::Ok>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Ok) -> I,
        I: IntoIterator<Item = Access<K>>,
        Self: Sized,
    {
        let order = ByAccess::new(Each::new(access), Wary::new());
        TryOrdered::new(self, order, max_parallel)
    }

    /// [`ordered_unless`](crate::StreamExt::ordered_unless) for a source that can fail.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::{can_run_together, prelude::*};
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_unless(|n| *n, can_run_together::never, 64)
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    #[track_caller]
    fn try_ordered_unless<K, F, C>(
        self,
        tag: F,
        can_run_together: C,
        max_parallel: usize,
    ) -> TryOrdered<Self, Unless<F, C, K, Self::Ok>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Ok) -> K,
        C: FnMut(&K, &K) -> bool,
        Self: Sized,
    {
        TryOrdered::new(self, Unless::new(tag, can_run_together), max_parallel)
    }
}

impl<St: TryStream + ?Sized> TryStreamExt for St {}
