//! TryRunning: a running stream that can fail.

use futures_core::Stream;

use crate::running::{Running, TryDrive, TryDriveChunks};

/// A running stream that stops at the first failure: what [`try_then`](crate::Ordered::try_then),
/// [`and_then`](crate::TryOrdered::and_then) and their `_unordered` twins return.
///
/// Every [`Running`] stream whose items are `Result`s implements it. As a bound, it takes the same `Item` and `Offset`.
///
/// ```
/// use futures::stream;
/// use ordered_by_group::TryRunning;
/// use ordered_by_group::prelude::*;
///
/// fn numbers() -> impl TryRunning<Item = Result<(u32, u64), std::num::ParseIntError>, Offset = u64> {
///     stream::iter(["1", "2"])
///         .ordered_by_group(|word| *word, 8)
///         .try_then(|word| async move { word.parse() })
/// }
///
/// /// Knows how to commit, and nothing of what is handled.
/// async fn commit<S, R, E>(results: S) -> Result<Option<u64>, E>
/// where
///     S: TryRunning<Item = Result<(R, u64), E>, Offset = u64>,
/// {
///     let mut committed = None;
///     results
///         .try_drive(|(_result, offset)| { committed = Some(offset); async { Ok(()) } })
///         .await?;
///     Ok(committed)
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(commit(numbers()).await, Ok(Some(1)));
/// # });
/// ```
pub trait TryRunning: Running {
    /// Calls a closure with each result and its offset, until something fails, and keeps the handlers running while the
    /// closure's future is pending.
    ///
    /// One call is made at a time. With `try_for_each`, or in a `while let` loop that awaits, the handlers
    /// [stand still](crate::guide::stalls#what-stalls) meanwhile. To commit many results at once, see
    /// [`try_drive_chunks`](Self::try_drive_chunks).
    ///
    /// # Errors
    ///
    /// Returns the first error of the stream or of the closure. The admitted items are dropped then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the admitted items, and what the closure is doing.
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut sum = 0;
    /// let end = stream::iter(["1", "2", "three"])
    ///     .ordered_by_group(|word| *word, 8)
    ///     .try_then(|word| async move { word.parse::<u32>() })
    ///     .try_drive(|(n, _offset)| { sum += n; async { Ok(()) } })
    ///     .await;
    /// assert_eq!(sum, 3);
    /// assert!(end.is_err());
    /// # });
    /// ```
    #[doc(alias = "commit")]
    #[doc(alias = "try_for_each")]
    fn try_drive<T, E, C, CFut>(self, consume: C) -> TryDrive<Self, C, CFut>
    where
        Self: Sized + Stream<Item = Result<T, E>>,
        C: FnMut(T) -> CFut,
        CFut: Future<Output = Result<(), E>>,
    {
        TryDrive::new(self, consume)
    }

    /// Calls a closure with whatever results are there, at least one and at most `max`, until something fails, and keeps the
    /// handlers running while the closure's future is pending. This is group commit without a timer, as in
    /// [`drive_chunks`](Running::drive_chunks).
    ///
    /// In source order, committing the offset of the last result of a chunk commits the whole chunk. See
    /// [commits in batches](crate::guide::offsets#commit-in-batches).
    ///
    /// # Errors
    ///
    /// Returns the first error of the stream or of the closure. Before an error of the stream is returned, the closure is
    /// called with all results that were emitted before it. The admitted items are dropped with the error.
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the admitted items, and what the closure is doing.
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::prelude::*;
    ///
    /// # async fn save(_numbers: Vec<u32>, _offset: u64) -> Result<(), std::num::ParseIntError> { Ok(()) }
    /// # futures::executor::block_on(async {
    /// let mut committed = None;
    /// let end = stream::iter(["1", "2", "3", "four"])
    ///     .ordered_by_group(|word| *word, 8)
    ///     .try_then(|word| async move { word.parse::<u32>() })
    ///     .try_drive_chunks(100, |results| {
    ///         let (numbers, offsets): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    ///         let last = offsets[offsets.len() - 1]; // a chunk is never empty
    ///         committed = Some(last);
    ///         save(numbers, last) // one transaction for all
    ///     })
    ///     .await;
    /// assert_eq!(committed, Some(2)); // "four" failed, and what came before it is saved
    /// assert!(end.is_err());
    /// # });
    /// ```
    #[doc(alias = "batch")]
    #[doc(alias = "chunks")]
    #[doc(alias = "commit")]
    #[doc(alias = "group_commit")]
    #[doc(alias = "try_ready_chunks")]
    #[track_caller]
    fn try_drive_chunks<T, E, C, CFut>(
        self,
        max: usize,
        consume: C,
    ) -> TryDriveChunks<Self, C, CFut, T, E>
    where
        Self: Sized + Stream<Item = Result<T, E>>,
        C: FnMut(Vec<T>) -> CFut,
        CFut: Future<Output = Result<(), E>>,
    {
        TryDriveChunks::new(self, max, consume)
    }
}

impl<S, T, E> TryRunning for S where S: Running<Item = Result<T, E>> {}
