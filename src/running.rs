//! The streams that the verbs return, and what can be done with all of them: counts, driving, handing on.

mod alongside;
mod and_then;
mod and_then_unordered;
mod boxed;
mod chunks;
mod consumer;
mod drive;
mod drive_chunks;
mod monitor;
mod pointers;
mod then;
mod then_unordered;
mod try_drive;
mod try_drive_chunks;
mod try_running;

pub use self::alongside::Alongside;
pub use self::and_then::AndThen;
pub use self::and_then_unordered::AndThenUnordered;
pub use self::boxed::{BoxRunning, Boxed, Erased, LocalBoxRunning};
pub use self::drive::Drive;
pub use self::drive_chunks::DriveChunks;
pub use self::monitor::Monitor;
pub use self::then::Then;
pub use self::then_unordered::ThenUnordered;
pub use self::try_drive::TryDrive;
pub use self::try_drive_chunks::TryDriveChunks;
pub use self::try_running::TryRunning;

use std::fmt;
use std::pin::Pin;
use std::task::Context;

use futures_core::{FusedStream, Stream};

use crate::engine::sealed::Sealed;

/// A stream whose handlers can run while nothing is emitted: what every verb returns.
///
/// Its methods consume the stream and show what it is doing. Use it as a bound to return a pipeline from a function, to
/// write a function for any pipeline, or, [boxed](Self::boxed_running), to keep one in a struct. `impl Stream` would
/// hide these methods. See [handing a pipeline on](crate::guide::handing_on).
///
/// `Item` is what the stream emits: `(R, O)`, `(R, Unordered<O>)`, or a `Result` of one of them, for results `R` and offsets
/// `O`. `Offset` is `O` in all of them. For streams that can fail, [`TryRunning`] adds `try_drive` and `try_drive_chunks`.
///
/// The trait is sealed: only the streams of this crate implement it, and a `&mut` or a `Pin` of one.
///
/// ```
/// use futures::{Stream, stream};
/// use ordered_by_group::prelude::*;
/// use ordered_by_group::{BoxRunning, Running};
///
/// // Returned: the caller may choose how to drive it.
/// fn lengths<'a>(
///     words: impl Stream<Item = &'a str>,
/// ) -> impl Running<Item = (usize, u64), Offset = u64> {
///     words
///         .ordered_by_group(|word| word.len(), 8)
///         .then(|word| async move { word.len() })
/// }
///
/// // Taken by a function that knows nothing of words.
/// async fn sum<S>(results: S) -> usize
/// where
///     S: Running<Item = (usize, u64), Offset = u64>,
/// {
///     let mut sum = 0;
///     results.drive(|(n, _offset)| { sum += n; async {} }).await;
///     sum
/// }
///
/// // Kept.
/// struct Service {
///     results: BoxRunning<'static, (usize, u64), u64>,
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(sum(lengths(stream::iter(["a", "bb", "a"]))).await, 4);
///
/// let service = Service { results: lengths(stream::iter(["a", "bb"])).boxed_running() };
/// assert_eq!(service.results.unfinished().count(), 0);
/// assert_eq!(sum(service.results).await, 3);
/// # });
/// ```
#[doc(alias = "handle")]
#[diagnostic::on_unimplemented(
    message = "expected a running stream, found `{Self}`",
    label = "not a running stream",
    note = "a verb such as `.then(handler)` or `.try_then(handler)` returns a running stream: after settings, call a verb",
    note = "an adaptor such as `.map(..)` returns an ordinary stream: do its work in the handler, or in the closure of `drive`"
)]
pub trait Running: FusedStream + Sealed {
    /// What the settings read from each item, for you to commit. In completion order, too, it is the `O` of
    /// [`Unordered<O>`](crate::Unordered).
    type Offset;

    /// Runs the handlers until the window is full; nothing is emitted.
    #[doc(hidden)]
    fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>);

    /// The number of items whose handlers have started and not finished. There are at most `max_parallel` handlers, plus those
    /// that wait [without a slot](crate::without_slot); with [`batches`](crate::Ordered::batches), one handler may have many
    /// items, and each counts.
    ///
    /// ```
    /// use futures::{FutureExt as _, StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// let mut results = stream::iter(["a1", "a2", "b1"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
    ///     .then(|_| std::future::pending::<()>());
    /// assert!(results.next().now_or_never().is_none());
    /// assert_eq!(results.running(), 2);
    /// ```
    #[doc(alias = "gauge")]
    #[doc(alias = "in_flight")]
    #[doc(alias = "metrics")]
    fn running(&self) -> usize;

    /// The number of admitted items that have not started, because they wait for an earlier item or for a slot.
    ///
    /// ```
    /// use futures::{FutureExt as _, StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// let mut results = stream::iter(["a1", "a2", "b1"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
    ///     .then(|_| std::future::pending::<()>());
    /// assert!(results.next().now_or_never().is_none());
    /// assert_eq!(results.waiting(), 1);
    /// ```
    #[doc(alias = "backlog")]
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    fn waiting(&self) -> usize;

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
    ///     .then(|_| std::future::pending::<()>());
    /// assert!(results.next().now_or_never().is_none());
    /// assert_eq!(results.finished(), 0);
    /// ```
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    fn finished(&self) -> usize;

    /// The number of different keys among the unfinished items.
    ///
    /// ```
    /// use futures::{FutureExt as _, StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// let mut results = stream::iter(["a1", "a2", "b1"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
    ///     .then(|_| std::future::pending::<()>());
    /// assert!(results.next().now_or_never().is_none());
    /// assert_eq!(results.groups(), 2);
    /// ```
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    fn groups(&self) -> usize;

    /// The offsets of the admitted items that are not finished, in source order. The first one shows the lag; all of
    /// them make a report at a deadline.
    ///
    /// ```
    /// use futures::{FutureExt as _, StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// let mut results = stream::iter(["a1", "a2", "b1"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 8)
    ///     .then(|_| std::future::pending::<()>());
    /// assert!(results.next().now_or_never().is_none());
    /// assert_eq!(results.unfinished().collect::<Vec<_>>(), [&0, &1, &2]);
    /// ```
    #[doc(alias = "gauge")]
    #[doc(alias = "in_flight")]
    #[doc(alias = "lag")]
    #[doc(alias = "metrics")]
    #[doc(alias = "oldest")]
    fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a Self::Offset>
    where
        Self::Offset: 'a;

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
    fn drive<C, CFut>(self, consume: C) -> Drive<Self, C, CFut>
    where
        Self: Sized,
        C: FnMut(<Self as Stream>::Item) -> CFut,
        CFut: Future<Output = ()>,
    {
        Drive::new(self, consume)
    }

    /// Calls a closure with whatever results are there, at least one and at most `max`, and keeps the handlers running while
    /// the closure's future is pending. This is group commit without a timer.
    ///
    /// The closure is called as soon as one result is there and no call is pending. While it commits, the next results gather
    /// in the window, and then come as one chunk. So a chunk has one result when the commit is fast, and more the longer it
    /// takes; nothing waits for a chunk to fill up. Results come in their order, in one chunk after the other, and the last
    /// chunk has what is left.
    ///
    /// `max` is from 1 to `usize::MAX`. With 1, it is [`drive`](Self::drive) with a `Vec` around each result. At most
    /// [`look_ahead`](crate::Ordered::look_ahead) results gather during a call.
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
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut commits = Vec::new();
    /// stream::iter(1..=5)
    ///     .ordered_by_group(|n| *n, 8)
    ///     .then(|n| async move { n })
    ///     .drive_chunks(2, |results| {
    ///         let (_result, offset) = results.last().expect("a chunk is never empty");
    ///         commits.push(*offset);
    ///         async {}
    ///     })
    ///     .await;
    /// assert_eq!(commits, [1, 3, 4]);
    /// # });
    /// ```
    #[doc(alias = "batch")]
    #[doc(alias = "buffer")]
    #[doc(alias = "chunks")]
    #[doc(alias = "group_commit")]
    #[doc(alias = "ready_chunks")]
    #[track_caller]
    fn drive_chunks<C, CFut>(
        self,
        max: usize,
        consume: C,
    ) -> DriveChunks<Self, C, CFut, <Self as Stream>::Item>
    where
        Self: Sized,
        C: FnMut(Vec<<Self as Stream>::Item>) -> CFut,
        CFut: Future<Output = ()>,
    {
        DriveChunks::new(self, max, consume)
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
    fn alongside<A: Future>(self: Pin<&mut Self>, future: A) -> Alongside<'_, Self, A>
    where
        Self: Sized,
    {
        Alongside::new(self, future)
    }

    /// Puts the stream into a box, so that its type has a name: for a field of a struct, a collection, or two branches that
    /// return different pipelines.
    ///
    /// The boxed stream behaves as the bare one, poll by poll, and has all its methods but `get_ref` and `into_inner`. It must
    /// be `Send`; otherwise take [`boxed_local_running`](Self::boxed_local_running).
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::prelude::*;
    /// use ordered_by_group::BoxRunning;
    ///
    /// struct Service {
    ///     results: BoxRunning<'static, (u32, u64), u64>,
    /// }
    ///
    /// # futures::executor::block_on(async {
    /// let results = stream::iter([1, 2]).ordered_by_group(|n| *n, 8).then(|n| async move { n });
    /// let service = Service { results: results.boxed_running() };
    /// let mut sum = 0;
    /// service.results.drive(|(n, _offset)| { sum += n; async {} }).await;
    /// assert_eq!(sum, 3);
    /// # });
    /// ```
    #[doc(alias = "box")]
    #[doc(alias = "dyn")]
    fn boxed_running<'a>(self) -> BoxRunning<'a, <Self as Stream>::Item, Self::Offset>
    where
        Self: Sized + Send + 'a,
    {
        Boxed::new(Box::pin(self))
    }

    /// Like [`boxed_running`](Self::boxed_running), for a stream that is not `Send`.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use futures::stream;
    /// use ordered_by_group::prelude::*;
    /// use ordered_by_group::LocalBoxRunning;
    ///
    /// # futures::executor::block_on(async {
    /// let rate = Rc::new(10);
    /// let results: LocalBoxRunning<'static, (u32, u64), u64> = stream::iter([1, 2])
    ///     .ordered_by_group(|n| *n, 8)
    ///     .then(move |n| {
    ///         let rate = Rc::clone(&rate);
    ///         async move { n * *rate }
    ///     })
    ///     .boxed_local_running();
    /// let mut sum = 0;
    /// results.drive(|(n, _offset)| { sum += n; async {} }).await;
    /// assert_eq!(sum, 30);
    /// # });
    /// ```
    fn boxed_local_running<'a>(self) -> LocalBoxRunning<'a, <Self as Stream>::Item, Self::Offset>
    where
        Self: Sized + 'a,
    {
        Boxed::new(Box::pin(self))
    }
}

/// Shows the counts of a stream that is inside something else.
fn debug_counts<S>(debug: &mut fmt::DebugStruct<'_, '_>, stream: &S)
where
    S: Running + ?Sized,
{
    debug
        .field("running", &stream.running())
        .field("waiting", &stream.waiting())
        .field("finished", &stream.finished())
        .field("groups", &stream.groups());
}

/// Implements what does not depend on what is emitted.
///
/// `$verb` is how the examples make such a stream, of handlers that never finish.
macro_rules! running_stream {
    (
        impl<$($generic:ident),*> $name:ident;
        verb $verb:literal
    ) => {
        impl<$($generic),*> crate::engine::sealed::Sealed for $name<$($generic),*> {}

        impl<$($generic),*> $name<$($generic),*> {
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
    };
}

/// The methods of [`Running`] that the fold has.
macro_rules! of_the_fold {
    () => {
        fn poll_advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
            self.project().fold.poll_advance(cx);
        }

        fn running(&self) -> usize {
            self.fold.running()
        }

        fn waiting(&self) -> usize {
            self.fold.waiting()
        }

        fn finished(&self) -> usize {
            self.fold.finished()
        }

        fn groups(&self) -> usize {
            self.fold.groups()
        }

        fn unfinished<'a>(&'a self) -> impl Iterator<Item = &'a O>
        where
            O: 'a,
        {
            self.fold.unfinished()
        }
    };
}

pub(crate) use {of_the_fold, running_stream};
