//! TryOrdered: the settings for a source that can fail.

use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;

use futures_core::TryStream;

use crate::engine::item::offsets::{Counted, Offsets, ReadOffset};
use crate::engine::item::partitions::{Partitions, SetPartitions, Whole};
use crate::engine::item::source::Fallible;
use crate::engine::item::verdict::Tried;
use crate::engine::order::{Gather, Order, Prefetch, WithHasher};
use crate::engine::run::{InTask, RunWith};
use crate::running::{AndThen, AndThenUnordered, Monitor};
use crate::settings::Settings;

/// The settings between the key and the handler, for a source that yields `Result`s. One of the verbs
/// [`and_then`](Self::and_then) and [`and_then_unordered`](Self::and_then_unordered) turns them into a stream.
///
/// Returned by [`TryStreamExt::try_ordered_by_group`](crate::TryStreamExt::try_ordered_by_group) and its sisters. It is not a
/// stream itself.
///
/// ```
/// use futures::{TryStreamExt as _, stream};
/// use ordered_by_group::prelude::*;
///
/// # futures::executor::block_on(async {
/// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
///     .try_ordered_by_group(|n| *n, 8)
///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
///     .try_collect()
///     .await?;
/// assert_eq!(results, [(10, 0), (20, 1)]);
/// # Ok::<_, String>(()) }).unwrap();
/// ```
#[must_use = "settings do nothing until a verb such as `.and_then(handler)` finishes them"]
pub struct TryOrdered<St, By, Off, P, X> {
    settings: Settings<St, By, Off, P, X>,
}

impl<St, By> TryOrdered<St, By, Counted, Whole, InTask> {
    #[track_caller]
    pub(crate) fn new(stream: St, order: By, max_parallel: usize) -> Self {
        Self {
            settings: Settings::new(stream, order, max_parallel),
        }
    }
}

impl<St, By, Off, P, X> TryOrdered<St, By, Off, P, X> {
    /// Sets the maximum number of admitted items, like [`Ordered::look_ahead`](crate::Ordered::look_ahead).
    ///
    /// # Panics
    ///
    /// Panics if `max_admitted` is less than `max_parallel`.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .look_ahead(8)
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn look_ahead(self, max_admitted: usize) -> Self {
        Self {
            settings: self.settings.look_ahead(max_admitted),
        }
    }

    /// Reads on while every slot is taken, until the window is full, like [`Ordered::prefetch`](crate::Ordered::prefetch).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_group(|n| *n, 1)
    ///     .prefetch()
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    pub fn prefetch(self) -> TryOrdered<St, By::Ahead, Off, P, X>
    where
        By: Prefetch,
    {
        TryOrdered {
            settings: self.settings.map_order(By::ahead),
        }
    }

    /// Hands the items of a group to the handler in batches, like [`Ordered::batches`](crate::Ordered::batches).
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .batches(100)
    ///     .and_then(|batch| async move { Ok::<_, String>(batch.len()) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(1, 0), (1, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn batches(self, max: usize) -> TryOrdered<St, By::InBatches, Off, P::InBatches, X>
    where
        By: Gather,
        P: SetPartitions,
    {
        TryOrdered {
            settings: self.settings.batches(max),
        }
    }

    /// Has a [`Monitor`](crate::Monitor) show what the stream is doing, like [`Ordered::monitor`](crate::Ordered::monitor).
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::Monitor;
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let monitor = Monitor::new();
    /// let end = stream::iter([Ok(1), Ok(2), Err("the connection was lost")])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .monitor(&monitor)
    ///     .and_then(|n| async move { Ok(n) })
    ///     .try_drive(|_| async { Ok(()) })
    ///     .await;
    /// assert!(end.is_err());
    /// let snapshot = monitor.snapshot();
    /// assert_eq!((snapshot.emitted_total, snapshot.failed_total), (2, 1));
    /// # });
    /// ```
    pub fn monitor(self, monitor: &Monitor) -> Self {
        Self {
            settings: self.settings.monitor(monitor),
        }
    }

    /// Sets what is read from each item for you to commit, like [`Ordered::offsets`](crate::Ordered::offsets). The offsets
    /// must rise in the order in which the source yields the items.
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok((7, "a")), Ok((9, "b"))])
    ///     .try_ordered_by_group(|(_, key)| *key, 8)
    ///     .offsets(|(offset, _)| *offset)
    ///     .and_then(|(_, key)| async move { Ok::<_, String>(key) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [("a", 7), ("b", 9)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    pub fn offsets<T, O, G>(self, offset: G) -> TryOrdered<St, By, Offsets<G, O>, P, X>
    where
        St: TryStream<Ok = T>,
        G: FnMut(&T) -> O,
    {
        TryOrdered {
            settings: self.settings.offsets(offset),
        }
    }

    /// Sets which partition an item belongs to, like [`Ordered::partitions`](crate::Ordered::partitions).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(('p', 7)), Ok(('q', 3))])
    ///     .try_ordered_by_group(|message| *message, 8)
    ///     .offsets(|message| *message)
    ///     .partitions(|(partition, _)| *partition)
    ///     .and_then(|(_, n)| async move { Ok::<_, String>(n) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(7, ('p', 7)), (3, ('q', 3))]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    pub fn partitions<T, L, F>(self, partition: F) -> TryOrdered<St, By, Off, P::With<F, L>, X>
    where
        P: SetPartitions,
        St: TryStream<Ok = T>,
        F: FnMut(&T) -> L,
    {
        TryOrdered {
            settings: self.settings.partitions(partition),
        }
    }

    /// Runs the handlers on tokio's workers, like [`Ordered::spawned`](crate::Ordered::spawned).
    ///
    /// # Panics
    ///
    /// As [`Ordered::spawned`](crate::Ordered::spawned).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(worker_threads = 2)]
    /// # async fn main() -> Result<(), String> {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .spawned()
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn spawned(self) -> TryOrdered<St, By, Off, P, crate::engine::run::Spawned> {
        TryOrdered {
            settings: self.settings.spawned(),
        }
    }
}

impl<St, By, Off, P, X> TryOrdered<St, By, Off, P, X> {
    /// Sets how keys are hashed, like [`Ordered::with_hasher`](crate::Ordered::with_hasher).
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    ///
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([Ok(1), Ok(2)])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .with_hasher(BuildHasherDefault::<DefaultHasher>::default())
    ///     .and_then(|n| async move { Ok::<_, String>(n * 10) })
    ///     .try_collect()
    ///     .await?;
    /// assert_eq!(results, [(10, 0), (20, 1)]);
    /// # Ok::<_, String>(()) }).unwrap();
    /// ```
    pub fn with_hasher<H: BuildHasher>(self, hasher: H) -> TryOrdered<St, By::With<H>, Off, P, X>
    where
        By: WithHasher,
    {
        TryOrdered {
            settings: self.settings.map_order(|order| order.with_hasher(hasher)),
        }
    }
}

impl<St, By, Off, P, X, T, E> TryOrdered<St, By, Off, P, X>
where
    St: TryStream<Ok = T, Error = E>,
    By: Order<T>,
    Off: ReadOffset<T>,
    P: Partitions<T>,
{
    /// Runs a handler that returns a `Result`, and stops at the first failure of the source or of a handler. Returns a stream
    /// of `Result<(result, offset), error>`, in source order.
    ///
    /// # Errors
    ///
    /// As [`Ordered::try_then`](crate::Ordered::try_then). An error of the source counts as an item that failed in its
    /// place, so what was read before it runs and is emitted first. The source is not read again.
    ///
    /// # Panics
    ///
    /// As [`Ordered::then`](crate::Ordered::then).
    ///
    /// # Cancel safety
    ///
    /// As [`Ordered::then`](crate::Ordered::then).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut results = stream::iter([Ok("1"), Ok("2"), Err("the connection was lost".to_string())])
    ///     .try_ordered_by_group(|word| *word, 8)
    ///     .and_then(|word| async move { word.parse::<u32>().map_err(|error| error.to_string()) });
    /// assert_eq!(results.try_next().await, Ok(Some((1, 0))));
    /// assert_eq!(results.try_next().await, Ok(Some((2, 1))));
    /// assert_eq!(results.try_next().await, Err("the connection was lost".to_string()));
    /// assert_eq!(results.try_next().await, Ok(None));
    /// # });
    /// ```
    #[doc(alias = "try_buffered")]
    pub fn and_then<H, Fut, R>(
        self,
        handler: H,
    ) -> AndThen<St, Fallible, T, E, By, Off, P, X::Run, P::SourceOrder<Off::Offset, R>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        X: RunWith<By::Input, H, Fut, Tried>,
    {
        AndThen::new(self.settings.fold(handler, P::source_order()))
    }

    /// Like [`and_then`](Self::and_then), but each result is emitted as soon as it is there.
    ///
    /// # Errors
    ///
    /// As [`and_then`](Self::and_then), but results past the failed item that are already finished are emitted before the
    /// error. No frontier at or past the failed item is ever emitted.
    ///
    /// # Panics
    ///
    /// As [`Ordered::then`](crate::Ordered::then).
    ///
    /// # Cancel safety
    ///
    /// As [`Ordered::then`](crate::Ordered::then).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut results = stream::iter([Ok(1), Err("the connection was lost")])
    ///     .try_ordered_by_group(|n| *n, 8)
    ///     .and_then_unordered(|n| async move { Ok(n * 10) });
    /// let (result, offset) = results.try_next().await?.unwrap();
    /// assert_eq!((result, offset.frontier()), (10, Some(&0)));
    /// assert!(results.try_next().await.is_err());
    /// # Ok::<_, &str>(()) }).unwrap();
    /// ```
    #[doc(alias = "ack")]
    #[doc(alias = "try_buffer_unordered")]
    pub fn and_then_unordered<H, Fut, R>(
        self,
        handler: H,
    ) -> AndThenUnordered<St, Fallible, T, E, By, Off, P, X::Run, P::CompletionOrder<Off::Offset, R>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        X: RunWith<By::Input, H, Fut, Tried>,
        Off::Offset: Clone,
    {
        AndThenUnordered::new(self.settings.fold(handler, P::completion_order()))
    }
}

impl<St, By, Off, P, X> fmt::Debug for TryOrdered<St, By, Off, P, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.debug(f.debug_struct("TryOrdered"))
    }
}
