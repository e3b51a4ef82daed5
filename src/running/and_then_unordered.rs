//! AndThenUnordered: results as each finishes, up to the first failure.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use pin_project::pin_project;

use crate::engine::fold::Fold;
use crate::engine::item::offsets::ReadOffset;
use crate::engine::item::partitions::Partitions;
use crate::engine::item::source::Read;
use crate::engine::order::Order;
use crate::engine::run::Run;
use crate::engine::window::Unordered;
use crate::engine::window::Window;
use crate::running::{Alongside, Drive, Running, TryDrive, running_stream};

/// Stream for the [`try_then_unordered`](crate::Ordered::try_then_unordered) and
/// [`and_then_unordered`](crate::TryOrdered::and_then_unordered) methods.
#[pin_project]
#[must_use = "streams do nothing unless polled"]
pub struct AndThenUnordered<St, M, T, E, By, Off, P, X, W> {
    #[pin]
    fold: Fold<St, M, T, E, By, Off, P, X, W>,
}

impl<St, M, T, E, By, Off, P, X, W> AndThenUnordered<St, M, T, E, By, Off, P, X, W> {
    pub(crate) fn new(fold: Fold<St, M, T, E, By, Off, P, X, W>) -> Self {
        Self { fold }
    }
}

running_stream! {
    impl<St, M, T, E, By, Off, P, X, W> AndThenUnordered;
    verb "try_then_unordered(|_| std::future::pending::<Result<(), ()>>())"
}

impl<St, M, T, E, By, Off, P, X, W, Item> AndThenUnordered<St, M, T, E, By, Off, P, X, W>
where
    Self: Running<Item = Result<Item, E>>,
{
    /// Calls a closure with each result and its offset, until something fails, and keeps the handlers running while the
    /// closure's future is pending.
    ///
    /// One call is made at a time. With `try_for_each`, or in a `while let` loop that awaits, the handlers
    /// [stand still](crate::guide::stalls#what-stalls) meanwhile. To commit in batches, see
    /// [the recipe](crate::guide::offsets#commit-in-batches).
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
    ///     .try_then_unordered(|word| async move { word.parse::<u32>() })
    ///     .try_drive(|(n, _offset)| { sum += n; async { Ok(()) } })
    ///     .await;
    /// assert_eq!(sum, 3);
    /// assert!(end.is_err());
    /// # });
    /// ```
    #[doc(alias = "batch")]
    #[doc(alias = "commit")]
    #[doc(alias = "try_for_each")]
    pub fn try_drive<C, CFut>(self, consume: C) -> TryDrive<Self, C, CFut>
    where
        C: FnMut(Item) -> CFut,
        CFut: Future<Output = Result<(), E>>,
    {
        TryDrive::new(self, consume)
    }
}

impl<St, M, T, O, R, E, By, Off, P, X, W> Stream for AndThenUnordered<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<T, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, Unordered<O>)>,
{
    type Item = Result<(R, Unordered<O>), E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().fold.poll_emit(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fold.size_hint(true)
    }
}

impl<St, M, T, O, R, E, By, Off, P, X, W> FusedStream
    for AndThenUnordered<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<T, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, Unordered<O>)>,
{
    fn is_terminated(&self) -> bool {
        self.fold.is_terminated()
    }
}

impl<St, M, T, O, R, E, By, Off, P, X, W> Running
    for AndThenUnordered<St, M, T, E, By, Off, P, X, W>
where
    M: Read<St, T, E>,
    By: Order<T>,
    Off: ReadOffset<T, Offset = O>,
    P: Partitions<T>,
    X: Run<T, Ok = R, Error = E>,
    W: Window<P::Key, Offset = O, Result = R, Emitted = (R, Unordered<O>)>,
{
    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.project().fold.poll_advance(cx);
    }
}

impl<St, M, T, E, By, Off, P, X, W> fmt::Debug for AndThenUnordered<St, M, T, E, By, Off, P, X, W>
where
    By: Order<T>,
    P: Partitions<T>,
    X: Run<T>,
    W: Window<P::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fold.debug(f.debug_struct("AndThenUnordered"))
    }
}
