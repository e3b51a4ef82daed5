//! Unordered: an offset that came out of source order.

/// The offset of a result that came out as soon as it was there, out of source order.
///
/// A type of its own, so that it cannot be committed by mistake: what may be committed is the
/// [`frontier`](Self::frontier).
///
/// ```
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::prelude::*;
///
/// # futures::executor::block_on(async {
/// let mut results = stream::iter([7, 8])
///     .ordered_by_group(|n| *n, 1)
///     .offsets(|n| *n)
///     .then_unordered(|n| async move { n * 10 });
/// let (result, offset) = results.next().await.unwrap();
/// assert_eq!(result, 70);
/// assert_eq!(offset.offset(), &7);
/// assert_eq!(offset.frontier(), Some(&7));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unordered<O> {
    offset: O,
    frontier: Option<O>,
}

impl<O> Unordered<O> {
    pub(crate) fn new(offset: O, frontier: Option<O>) -> Self {
        Self { offset, frontier }
    }

    /// This item's own offset: acknowledge that one message.
    ///
    /// Not a position: items before it may still run. See [`frontier`](Self::frontier).
    pub fn offset(&self) -> &O {
        &self.offset
    }

    /// The position that may be committed: it and everything before it was handed over, with this result at the latest.
    ///
    /// `None` until the first item of the source has come out: there is nothing to commit yet. It stays where it is while
    /// an older item runs, and never goes back. At the end it is the offset of the last item. With
    /// [`partitions`](crate::Ordered::partitions) all this holds in each, and a partition of which nothing was admitted for
    /// a while begins anew: `None` always means that there is nothing new to commit.
    pub fn frontier(&self) -> Option<&O> {
        self.frontier.as_ref()
    }
}
