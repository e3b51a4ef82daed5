//! StreamExt: the ways to order a stream.

use futures_core::Stream;

use crate::engine::hashing::Wary;
use crate::engine::item::offsets::Counted;
use crate::engine::item::partitions::Whole;
use crate::engine::order::{Access, ByAccess, ByGroup, Each, Exclusively, Unless};
use crate::engine::run::InTask;
use crate::settings::Ordered;

/// The methods that say which items of a stream may run together. Implemented for every [`Stream`].
pub trait StreamExt: Stream {
    /// Items with equal keys form a group and run one at a time, in order. Up to `max_parallel` groups run at once.
    ///
    /// The key closure is called once per item, in source order, when the item is admitted. The verb that follows requires
    /// keys to be `Hash + Eq`. A key cannot borrow from its item; see
    /// [keys that are strings](crate::guide::keys#keys-that-are-strings), and
    /// [items without a key](crate::guide::keys#items-without-a-key) for keys that are an `Option`.
    ///
    /// `max_parallel` is the maximum number of handlers running at once: the number of slots, from 1 to `usize::MAX`.
    /// Handlers that wait [without a slot](crate::without_slot) do not count. Memory for slots is allocated when they are
    /// first needed. See [sizing](crate::guide::sizing) for how many are enough.
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
    #[doc(alias = "buffer_unordered")]
    #[doc(alias = "concurrency")]
    #[doc(alias = "for_each_concurrent")]
    #[doc(alias = "group_by")]
    #[doc(alias = "key_by")]
    #[doc(alias = "max_parallel")]
    #[doc(alias = "parallel")]
    #[doc(alias = "partition_by")]
    #[doc(alias = "sequential")]
    #[doc(alias = "serial")]
    #[track_caller]
    fn ordered_by_group<K, F>(
        self,
        key: F,
        max_parallel: usize,
    ) -> Ordered<Self, ByGroup<F, K, Wary, Self::Item>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Item) -> K,
        Self: Sized,
    {
        Ordered::new(self, ByGroup::new(key, Wary::new()), max_parallel)
    }

    /// Each item has several keys, and waits for every earlier unfinished item that shares one. For example, a transfer
    /// touches two accounts.
    ///
    /// An item also waits for earlier items that are waiting themselves: of `[A] [A, B] [B, C]`, the third waits for the
    /// second. This cannot deadlock, because items wait only for earlier items. An item with an empty set, such as `None`,
    /// waits for nothing. A key that occurs twice in an item counts once. An item costs O(its keys), whatever else waits.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let start = tokio::time::Instant::now();
    /// let transfers = [("ann", "bob"), ("cid", "dan"), ("bob", "cid")];
    /// stream::iter(transfers)
    ///     .ordered_by_groups(|&(from, to)| [from, to], 64)
    ///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
    ///     .for_each(|_| async {})
    ///     .await;
    /// // The first two run together; the third touches an account of each.
    /// assert_eq!(start.elapsed(), Duration::from_secs(2));
    /// # }
    /// ```
    #[doc(alias = "multi_key")]
    #[doc(alias = "several_keys")]
    #[doc(alias = "transaction")]
    #[track_caller]
    fn ordered_by_groups<K, I, F>(
        self,
        keys: F,
        max_parallel: usize,
    ) -> Ordered<Self, ByAccess<Exclusively<F, I>, K, Wary, Self::Item>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Item) -> I,
        I: IntoIterator<Item = K>,
        Self: Sized,
    {
        let order = ByAccess::new(Exclusively::new(keys), Wary::new());
        Ordered::new(self, order, max_parallel)
    }

    /// Each item has several keys, each [`Shared`](crate::Access::Shared) or [`Exclusive`](crate::Access::Exclusive): readers
    /// run together, writers run alone.
    ///
    /// An item waits for every earlier unfinished item that has a key in common with it, unless the key is shared in both.
    /// Of `[read] [write] [read]`, the second reader waits for the writer. A key that an item uses in both ways is exclusive.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// See [`Access`](crate::Access) for an example.
    #[doc(alias = "barrier")]
    #[doc(alias = "reader_writer")]
    #[doc(alias = "rwlock")]
    #[track_caller]
    fn ordered_by_access<K, I, F>(
        self,
        access: F,
        max_parallel: usize,
    ) -> Ordered<Self, ByAccess<Each<F, I>, K, Wary, Self::Item>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Item) -> I,
        I: IntoIterator<Item = Access<K>>,
        Self: Sized,
    {
        let order = ByAccess::new(Each::new(access), Wary::new());
        Ordered::new(self, order, max_parallel)
    }

    /// The general form: an item waits for every earlier unfinished item that it cannot run together with.
    ///
    /// The tag is read when the item is admitted, because a running item belongs to its handler. The relation is called as
    /// `can_run_together(earlier, later)`, so it need not be symmetric. An item starts once it can run together with each
    /// unfinished item before it. It is compared at most once with each of them, so set
    /// [`look_ahead`](Ordered::look_ahead) no larger than you need.
    ///
    /// For relations that are equality of keys, the other methods are cheaper. With 64 handlers running and a relation of one
    /// comparison, an item costs about six times as much as with [`ordered_by_group`](Self::ordered_by_group), and twice as
    /// much again with each doubling of what runs or waits (`cargo bench -p speed --bench targets`).
    ///
    /// [`can_run_together::always`](crate::can_run_together::always) and [`never`](crate::can_run_together::never) give parallel
    /// and serial execution.
    ///
    /// # Panics
    ///
    /// Panics if `max_parallel` is 0.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let start = tokio::time::Instant::now();
    /// // Ranges of a file: those that do not overlap are written together.
    /// stream::iter([0..4, 4..8, 2..6])
    ///     .ordered_unless(|range| range.clone(), |a, b| a.end <= b.start || b.end <= a.start, 8)
    ///     .then(|_| tokio::time::sleep(Duration::from_secs(1)))
    ///     .for_each(|_| async {})
    ///     .await;
    /// assert_eq!(start.elapsed(), Duration::from_secs(2));
    /// # }
    /// ```
    #[doc(alias = "conflict")]
    #[doc(alias = "predicate")]
    #[track_caller]
    fn ordered_unless<K, F, C>(
        self,
        tag: F,
        can_run_together: C,
        max_parallel: usize,
    ) -> Ordered<Self, Unless<F, C, K, Self::Item>, Counted, Whole, InTask>
    where
        F: FnMut(&Self::Item) -> K,
        C: FnMut(&K, &K) -> bool,
        Self: Sized,
    {
        Ordered::new(self, Unless::new(tag, can_run_together), max_parallel)
    }
}

impl<St: Stream + ?Sized> StreamExt for St {}
