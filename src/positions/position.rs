//! Position: an item that was read, until it is settled.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::positions::{Lease, Leased};

/// The position of one item, from [`read`](Lease::read) until it is settled.
///
/// Put it into the item, give clones of it to [`offsets`](crate::Ordered::offsets), and [settle](Self::settle) the one that
/// comes out with the result. All clones stand for the same item, so the operator may make as many as it likes.
///
/// If the last clone is dropped and nobody has settled the item, it counts as left, as with `settle(false)`. This happens if a
/// handler panics, if the stream fails or is dropped, and if you forget to settle. So a [drain](Lease::drained) always ends,
/// and what was not done is never committed. [`Lease::left`] counts it.
///
/// Two positions are equal if they stand for the same item of the same lease.
#[must_use = "an item whose position is dropped counts as left, and holds back the position for good"]
pub struct Position<P>(Arc<Item<P>>);

struct Item<P> {
    lease: Arc<Lease<P>>,
    offset: i64,
    /// Under which the lease knows it.
    number: u64,
    is_settled: AtomicBool,
}

impl<P> Position<P> {
    pub(super) fn new(lease: Arc<Lease<P>>, offset: i64, number: u64) -> Self {
        Self(Arc::new(Item {
            lease,
            offset,
            number,
            is_settled: AtomicBool::new(false),
        }))
    }

    /// Returns the partition.
    pub fn partition(&self) -> &P {
        self.0.lease.partition()
    }

    /// Returns the [number of the lease](Lease::epoch).
    pub fn epoch(&self) -> u64 {
        self.0.lease.epoch()
    }

    /// Returns the offset.
    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Returns the lease.
    pub fn lease(&self) -> &Arc<Lease<P>> {
        &self.0.lease
    }

    /// Runs a handler for as long as the lease allows it. Call it in the handler of the operator, around what is to be done.
    ///
    /// The future returns `None` if
    ///
    /// - the lease drains what runs and this handler has not started ([`Drain::Running`](crate::positions::Drain::Running)):
    ///   `handler` is not called;
    /// - the lease is [fenced](Lease::fence): `handler` is not called, or its future is dropped at the await where it is. The
    ///   fence wakes it, so that this happens at once.
    ///
    /// Settle the item with `outcome.is_some()`. If the handler returns a `Result`, `transpose` turns the outcome into a
    /// `Result<Option<_>, _>`, which the verbs that stop at a failure take:
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::positions::{Done, Drain, Lease};
    /// use ordered_by_group::prelude::*;
    ///
    /// # async fn handle(_: i64) -> Result<(), String> { Ok(()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), String> {
    /// let lease = &Lease::new((), Some(0), Done::default());
    /// stream::iter((0..4).filter_map(|offset| lease.read(offset)))
    ///     .ordered_by_group(|_| (), 1)
    ///     .offsets(|position| position.clone())
    ///     .try_then_unordered(|position| async move {
    ///         if position.offset() == 1 {
    ///             lease.drain(Drain::Running); // while this one runs
    ///         }
    ///         position.run(|| handle(position.offset())).await.transpose()
    ///     })
    ///     .try_drive(|(outcome, offset)| {
    ///         offset.offset().settle(outcome.is_some());
    ///         async { Ok(()) }
    ///     })
    ///     .await?;
    /// assert_eq!(lease.next(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It may be called again, for a retry. Each call asks the lease anew.
    pub fn run<H, F>(&self, handler: H) -> Leased<P, F>
    where
        H: FnOnce() -> F,
        F: Future,
    {
        Leased::start(self, handler)
    }

    /// Says what became of the item: it is done, or left.
    ///
    /// Call it where the result is dealt with: in the closure of `drive` or `try_drive`, or after the transaction with the
    /// result. From then on, a commit may contain the item. Items may be settled in any order, and from any thread.
    ///
    /// An item that is left is never committed in this lease, and neither is the position moved past it. What is done past
    /// it is in [`Done`](crate::positions::Done).
    ///
    /// The first call counts, by whichever clone. After [`fence`](Lease::fence) no call counts.
    #[doc(alias = "ack")]
    #[doc(alias = "acknowledge")]
    #[doc(alias = "nack")]
    pub fn settle(&self, done: bool) {
        if !self.0.is_settled.swap(true, Ordering::Relaxed) {
            self.0.lease.settle(self.0.number, done);
        }
    }
}

impl<P> Drop for Item<P> {
    fn drop(&mut self) {
        if !*self.is_settled.get_mut() {
            self.lease.forget(self.number);
        }
    }
}

impl<P> Clone for Position<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> PartialEq for Position<P> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<P> Eq for Position<P> {}

impl<P> fmt::Debug for Position<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Position")
            .field("epoch", &self.epoch())
            .field("offset", &self.offset())
            .finish_non_exhaustive()
    }
}
