//! Unordered: an offset that came out of source order.

/// The offset of a result that was emitted as soon as it was there, out of source order.
///
/// It has a type of its own so that it cannot be committed by mistake. To commit a position, use the
/// [`frontier`](Self::frontier); to acknowledge a message, use its [`offset`](Self::offset).
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

    /// Returns this item's own offset. Use it to acknowledge this one message.
    ///
    /// It is not a position, because items before it may still be running. See [`frontier`](Self::frontier).
    #[doc(alias = "ack")]
    #[doc(alias = "acknowledge")]
    pub fn offset(&self) -> &O {
        &self.offset
    }

    /// Returns the position that may be committed: it and everything before it have been handed over, the last of them with
    /// this result at the latest.
    ///
    /// It is `None` until the first item of the source has been emitted: there is nothing to commit yet. It stands still
    /// while an older item runs, and never goes back. At the end it is the offset of the last item.
    ///
    /// With [`partitions`](crate::Ordered::partitions), all this holds within each partition. A partition of which nothing
    /// was admitted for a while starts again with `None`, which always means that there is nothing new to commit.
    #[doc(alias = "commit")]
    #[doc(alias = "low_watermark")]
    #[doc(alias = "position")]
    #[doc(alias = "watermark")]
    pub fn frontier(&self) -> Option<&O> {
        self.frontier.as_ref()
    }
}
