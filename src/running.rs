//! What all four running streams have: counts, driving, access to the source.

mod alongside;
mod and_then;
mod and_then_unordered;
mod consumer;
mod drive;
mod then;
mod then_unordered;
mod try_drive;

pub use self::alongside::Alongside;
pub use self::and_then::AndThen;
pub use self::and_then_unordered::AndThenUnordered;
pub use self::drive::Drive;
pub use self::then::Then;
pub use self::then_unordered::ThenUnordered;
pub use self::try_drive::TryDrive;

use std::pin::Pin;
use std::task::Context;

use futures_core::Stream;

use crate::engine::sealed::Sealed;

/// A stream whose handlers can continue while nothing is emitted.
pub trait Running: Stream + Sealed {
    /// Runs the handlers until the window is full; nothing is emitted.
    #[doc(hidden)]
    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>);
}

/// Implements what does not depend on the order of the results, nor on whether they can fail.
///
/// `$verb` is how the examples make such a stream, of handlers that never finish.
macro_rules! running_stream {
    (
        impl<$($generic:ident),*> $name:ident;
        verb $verb:literal
    ) => {
        impl<$($generic),*> crate::engine::sealed::Sealed for $name<$($generic),*> {}

        impl<$($generic),*> $name<$($generic),*> {
            /// The number of handlers that have started and not finished: at most `max_parallel`, plus those that wait
            /// [without a slot](crate::without_slot).
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// assert_eq!(results.running(), 2);
            /// ```
            #[doc(alias = "gauge")]
            #[doc(alias = "in_flight")]
            #[doc(alias = "metrics")]
            pub fn running(&self) -> usize
            where
                X: Run<T>,
            {
                self.fold.running()
            }

            /// Returns the source.
            ///
            /// ```
            /// use futures::{Stream as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert_eq!(results.get_ref().size_hint(), (3, Some(3)));
            /// ```
            pub fn get_ref(&self) -> &St {
                self.fold.source()
            }

            /// Returns the source, and drops the admitted items and the item
            /// [in hand](crate::guide::stalls#what-happens-to-the-source). Resume from the last committed offset.
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 1)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// let unread: Vec<_> = results.into_inner().collect().now_or_never().unwrap();
            /// assert_eq!(unread, ["a2", "b1"]);
            /// ```
            pub fn into_inner(self) -> St {
                self.fold.into_source()
            }
        }

        impl<$($generic),*> $name<$($generic),*>
        where
            By: Order<T>,
            P: Partitions<T>,
            W: Window<P::Key>,
        {
            /// The number of admitted items that have not started, because they wait for an earlier item or for a slot.
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// assert_eq!(results.waiting(), 1);
            /// ```
            #[doc(alias = "backlog")]
            #[doc(alias = "gauge")]
            #[doc(alias = "metrics")]
            pub fn waiting(&self) -> usize
            where
                X: Run<T>,
            {
                self.fold.waiting()
            }

            /// The number of items that are finished and whose results have not been emitted.
            ///
            /// Together with [`running`](Self::running) and [`waiting`](Self::waiting), this is the number of admitted items.
            /// Once a failure is known that may no longer be so, because handlers past it may have been dropped.
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// assert_eq!(results.finished(), 0);
            /// ```
            #[doc(alias = "gauge")]
            #[doc(alias = "metrics")]
            pub fn finished(&self) -> usize {
                self.fold.finished()
            }

            /// The number of different keys among the unfinished items.
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// assert_eq!(results.groups(), 2);
            /// ```
            #[doc(alias = "gauge")]
            #[doc(alias = "metrics")]
            pub fn groups(&self) -> usize {
                self.fold.groups()
            }

            /// The offsets of the admitted items that are not finished, in source order. The first one shows the lag; all of
            /// them make a report at a deadline.
            ///
            /// ```
            /// use futures::{FutureExt as _, StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// let mut results = stream::iter(["a1", "a2", "b1"])
            ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
            #[doc = concat!("    .", $verb, ";")]
            /// assert!(results.next().now_or_never().is_none());
            /// assert_eq!(results.unfinished().collect::<Vec<_>>(), [&0, &1, &2]);
            /// ```
            #[doc(alias = "gauge")]
            #[doc(alias = "in_flight")]
            #[doc(alias = "lag")]
            #[doc(alias = "metrics")]
            #[doc(alias = "oldest")]
            pub fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a W::Offset>
            where
                W::Offset: 'a,
            {
                self.fold.unfinished()
            }
        }

        impl<$($generic),*> $name<$($generic),*>
        where
            Self: Running,
        {
            /// Calls a closure with everything that is emitted, and keeps the handlers running while the closure's future is
            /// pending.
            ///
            /// One call is made at a time. With `for_each`, or in a `while let` loop that awaits, the handlers
            /// [stand still](crate::guide::stalls#what-stalls) meanwhile.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future drops the admitted items, and what the closure is doing.
            ///
            /// ```
            /// use futures::{StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// # futures::executor::block_on(async {
            /// let mut seen = 0;
            /// stream::iter([1, 2, 3])
            ///     .ordered_by_group(|n| *n, 8)
            ///     .then(|n| async move { n })
            ///     .drive(|(n, _offset)| { seen += n; async {} })
            ///     .await;
            /// assert_eq!(seen, 6);
            /// # });
            /// ```
            #[doc(alias = "consume")]
            #[doc(alias = "for_each")]
            #[doc(alias = "run")]
            #[doc(alias = "sink")]
            pub fn drive<C, CFut>(self, consume: C) -> Drive<Self, C, CFut>
            where
                C: FnMut(<Self as Stream>::Item) -> CFut,
                CFut: Future<Output = ()>,
            {
                Drive::new(self, consume)
            }

            /// Awaits a future in a loop of your own, and keeps the handlers running meanwhile.
            ///
            /// Nothing is emitted meanwhile, so the handlers can run until the window is full. See
            /// [what stalls](crate::guide::stalls#what-stalls) for a loop that commits every second.
            ///
            /// # Cancel safety
            ///
            /// Dropping it drops the future and leaves the stream as it is: nothing is lost.
            ///
            /// ```
            /// use std::pin::pin;
            ///
            /// use futures::{StreamExt as _, stream};
            /// use ordered_by_group::prelude::*;
            ///
            /// # futures::executor::block_on(async {
            /// let mut results = pin!(
            ///     stream::iter([1, 2, 3])
            ///         .ordered_by_group(|n| *n, 8)
            ///         .then(|n| async move { n })
            /// );
            /// let mut sum = 0;
            /// while let Some((n, _offset)) = results.next().await {
            ///     sum += results.as_mut().alongside(async move { n }).await;
            /// }
            /// assert_eq!(sum, 6);
            /// # });
            /// ```
            #[doc(alias = "batch")]
            #[doc(alias = "interval")]
            #[doc(alias = "select")]
            pub fn alongside<A: Future>(self: Pin<&mut Self>, future: A) -> Alongside<'_, Self, A> {
                Alongside::new(self, future)
            }
        }
    };
}

pub(crate) use running_stream;
