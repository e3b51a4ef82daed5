//! Ordered: the settings between the key and the handler.

use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;

use futures_core::Stream;

use crate::engine::item::offsets::{Counted, Offsets, ReadOffset};
use crate::engine::item::partitions::{Partitions, SetPartitions, Whole};
use crate::engine::item::source::Plain;
use crate::engine::item::verdict::{Always, Tried};
use crate::engine::order::{Gather, Order, Prefetch, WithHasher};
use crate::engine::run::{InTask, RunWith};
use crate::running::{AndThen, AndThenUnordered, Monitor, Then, ThenUnordered};
use crate::settings::Settings;

/// The settings between the key and the handler. One of the verbs [`then`](Self::then),
/// [`then_unordered`](Self::then_unordered), [`try_then`](Self::try_then) and
/// [`try_then_unordered`](Self::try_then_unordered) turns them into a stream.
///
/// Returned by [`StreamExt::ordered_by_group`](crate::StreamExt::ordered_by_group) and its sisters. It is not a stream itself.
///
/// ```
/// use futures::{StreamExt as _, stream};
/// use ordered_by_group::prelude::*;
///
/// # futures::executor::block_on(async {
/// let lengths: Vec<_> = stream::iter(["a", "bb", "cc"])
///     .ordered_by_group(|word| word.len(), 8)
///     .look_ahead(100)
///     .then(|word| async move { word.len() })
///     .collect()
///     .await;
/// assert_eq!(lengths, [(1, 0), (2, 1), (2, 2)]);
/// # });
/// ```
#[must_use = "settings do nothing until a verb such as `.then(handler)` finishes them"]
pub struct Ordered<St, By, Off, P, X> {
    settings: Settings<St, By, Off, P, X>,
}

impl<St, By> Ordered<St, By, Counted, Whole, InTask> {
    #[track_caller]
    pub(crate) fn new(stream: St, order: By, max_parallel: usize) -> Self {
        Self {
            settings: Settings::new(stream, order, max_parallel),
        }
    }
}

impl<St, By, Off, P, X> Ordered<St, By, Off, P, X> {
    /// Sets the maximum number of admitted items: read from the source and not yet emitted. At that limit the source is not
    /// polled, which is the back-pressure.
    ///
    /// An admitted item waits for its group, runs, or is finished and waits for its turn to be emitted. One more item may be
    /// [in hand](crate::guide::stalls#what-happens-to-the-source). The default is 64 × `max_parallel`, at least 1,024. Any
    /// number from `max_parallel` to `usize::MAX` is allowed: storage grows on demand. See [sizing](crate::guide::sizing)
    /// for how much is enough.
    ///
    /// # Panics
    ///
    /// Panics if `max_admitted` is less than `max_parallel`.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let sum = stream::iter(1..=100)
    ///     .ordered_by_group(|n| n % 10, 4)
    ///     .look_ahead(16)
    ///     .then(|n| async move { n })
    ///     .fold(0, |sum, (n, _)| async move { sum + n })
    ///     .await;
    /// assert_eq!(sum, 5_050);
    /// # });
    /// ```
    #[doc(alias = "back_pressure")]
    #[doc(alias = "backpressure")]
    #[doc(alias = "buffer")]
    #[doc(alias = "in_flight")]
    #[doc(alias = "queue")]
    #[doc(alias = "window")]
    #[track_caller]
    pub fn look_ahead(self, max_admitted: usize) -> Self {
        Self {
            settings: self.settings.look_ahead(max_admitted),
        }
    }

    /// Reads on while every slot is taken, until the window is full. For sources that must be polled, and for handlers that
    /// wait for something that comes through the same source.
    ///
    /// By default, the source is polled only while a slot is free. With `prefetch`, only a full window stops it. So an operator
    /// in front of this one continues while this one is busy, a reply that comes through the source is read, and
    /// a message broker sees its consumer alive. [What happens to the source](crate::guide::stalls#what-happens-to-the-source)
    /// compares it with the other ways.
    ///
    /// A free slot goes to the oldest item that may run, whatever its group. Everything else stays as it is: order, window,
    /// offsets, failures.
    ///
    /// # What it costs
    ///
    /// - More is read and waits in the window: more memory, more leases that run out, more that is lost at-most-once.
    /// - What is put in front of the operator has less effect: an urgent message waits behind all that was read before it.
    /// - An item that waits for a slot costs O(log n), for n groups that wait.
    /// - With `spawned`, a group asks the operator for a slot after each item.
    ///
    /// ```
    /// use futures::channel::mpsc;
    /// use futures::{SinkExt as _, StreamExt as _, future};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// // One slot. The handler of "ask" waits for a reply that comes through the same source.
    /// let (mut send, source) = mpsc::unbounded();
    /// let (reply, replied) = futures::channel::oneshot::channel();
    /// let mut reply = Some(reply);
    /// let mut replied = Some(replied);
    /// for message in ["ask", "reply"] {
    ///     send.send(message).await.unwrap();
    /// }
    /// drop(send);
    ///
    /// source
    ///     .inspect(|message| {
    ///         if *message == "reply" {
    ///             reply.take().unwrap().send(42).unwrap();
    ///         }
    ///     })
    ///     .ordered_by_group(|message| *message, 1)
    ///     .prefetch()
    ///     .then(|message| {
    ///         let replied = replied.take();
    ///         async move {
    ///             if message == "ask" {
    ///                 assert_eq!(replied.unwrap().await, Ok(42));
    ///             }
    ///         }
    ///     })
    ///     .drive(|_| future::ready(()))
    ///     .await;
    /// # });
    /// ```
    #[doc(alias = "buffer")]
    #[doc(alias = "read_ahead")]
    pub fn prefetch(self) -> Ordered<St, By::Ahead, Off, P, X>
    where
        By: Prefetch,
    {
        Ordered {
            settings: self.settings.map_order(By::ahead),
        }
    }

    /// Hands the items of a group to the handler in batches: a `Vec` of 1 to `max` items, the oldest first. For handlers that do
    /// many items as cheaply as one: an SQL statement with many rows, a bulk request, or only the last of several updates.
    ///
    /// When a group's turn comes, the handler takes what waits of it; it never waits for more to come. So one item is a batch of
    /// one, at once, and batches grow with the load. All items of a batch are of one group and one partition. Each counts in the
    /// window until the result of the batch has been emitted, so [`look_ahead`](Self::look_ahead) limits batches, too. Like
    /// [`prefetch`](Self::prefetch), which it implies, it reads on while every slot is taken. [Batches](crate::guide::batches)
    /// shows when to use what.
    ///
    /// The batch is a `Vec` because that is what statements and requests are built from, and what can be moved into the
    /// handler's future. It is allocated once per batch, at its right size.
    ///
    /// # Results and offsets
    ///
    /// A batch has one result, in the place and with the offset of its last item. The other items are finished with it and emit
    /// nothing of their own.
    ///
    /// - A failure counts in the place of the *first* item of the batch. In source order, no offset of a failed batch or past it
    ///   is ever emitted; in completion order, no frontier.
    /// - In completion order, the frontier passes the items of a batch with the result of the batch.
    /// - In source order, results of other groups that stand between the first and the last item of a batch are emitted before
    ///   the result of the batch, and after its handler has finished. So once such an offset is committed, the handler's work is
    ///   done, but a crash, or a failure of an item in between, can lose the *result* of the batch. If you do more with results
    ///   than commit their offsets, use a verb in completion order and commit the frontier.
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0. Any number up to `usize::MAX` is allowed. A batch is taken, and later finished, in one poll, which
    /// takes some 20 ns for each of its items.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// // One slot. While the handler has "a1", the others gather.
    /// let batches: Vec<_> = stream::iter(["a1", "b1", "a2", "a3", "b2"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 1)
    ///     .batches(100)
    ///     .then(|batch| async move {
    ///         # let mut has_yielded = false;
    ///         # std::future::poll_fn(|cx| {
    ///         #     cx.waker().wake_by_ref();
    ///         #     if std::mem::replace(&mut has_yielded, true) {
    ///         #         std::task::Poll::Ready(())
    ///         #     } else {
    ///         #         std::task::Poll::Pending
    ///         #     }
    ///         # })
    ///         # .await;
    ///         batch.join(" ")
    ///     })
    ///     .collect()
    ///     .await;
    /// assert_eq!(batches, [("a1".to_string(), 0), ("a2 a3".to_string(), 3), ("b1 b2".to_string(), 4)]);
    /// # });
    /// ```
    ///
    /// It exists for `ordered_by_group` alone:
    ///
    /// ```compile_fail,E0599
    /// # use futures::stream;
    /// # use ordered_by_group::prelude::*;
    /// stream::iter([1, 2]).ordered_by_groups(|n| [n % 2, 7], 8).batches(10);
    /// ```
    #[doc(alias = "batch")]
    #[doc(alias = "bulk")]
    #[doc(alias = "chunk")]
    #[doc(alias = "chunks")]
    #[doc(alias = "coalesce")]
    #[doc(alias = "conflate")]
    #[doc(alias = "ready_chunks")]
    #[track_caller]
    pub fn batches(self, max: usize) -> Ordered<St, By::InBatches, Off, P::InBatches, X>
    where
        By: Gather,
        P: SetPartitions,
    {
        Ordered {
            settings: self.settings.batches(max),
        }
    }

    /// Has a [`Monitor`](crate::Monitor) show what the stream is doing: how much runs and waits, how deep the deepest group is, how
    /// old the oldest unfinished item. For metrics, progress and alarms, which look from outside while `try_drive` owns the
    /// stream.
    ///
    /// With it, a stream pays each time that it goes to sleep, and a little for each item that has to wait. If several are set,
    /// the last one counts.
    ///
    /// ```
    /// use futures::stream;
    /// use ordered_by_group::Monitor;
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let monitor = Monitor::new();
    /// stream::iter([1, 2, 3])
    ///     .ordered_by_group(|n| *n, 8)
    ///     .monitor(&monitor)
    ///     .then(|n| async move { n })
    ///     .drive(|_| async {})
    ///     .await;
    /// assert_eq!(monitor.snapshot().emitted_total, 3);
    /// # });
    /// ```
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    #[doc(alias = "progress")]
    #[doc(alias = "watchdog")]
    pub fn monitor(self, monitor: &Monitor) -> Self {
        Self {
            settings: self.settings.monitor(monitor),
        }
    }

    /// Sets what is read from each item, before the handler takes it, for you to commit.
    ///
    /// The closure is called once per item, when the item is admitted, in source order. By default, the offset is the
    /// item's position in the source: a `u64`, starting at 0.
    ///
    /// **The offsets must rise in the order in which the source yields the items**, within a partition if
    /// [`partitions`](Self::partitions) is set. They are not compared, so nothing warns you otherwise. If you reorder, merge,
    /// split, batch or filter before the operator, an offset may no longer stand for everything before it, and committing it
    /// can lose data. [Offsets and commits](crate::guide::offsets#offsets-must-rise) shows what to do in each case.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// struct Message { offset: i64, customer: &'static str }
    ///
    /// # futures::executor::block_on(async {
    /// let messages = [Message { offset: 41, customer: "a" }, Message { offset: 43, customer: "b" }];
    /// let commits: Vec<_> = stream::iter(messages)
    ///     .ordered_by_group(|message| message.customer, 8)
    ///     .offsets(|message| message.offset)
    ///     .then(|message| async move { message.customer })
    ///     .collect()
    ///     .await;
    /// assert_eq!(commits, [("a", 41), ("b", 43)]);
    /// # });
    /// ```
    #[doc(alias = "checkpoint")]
    #[doc(alias = "commit")]
    #[doc(alias = "position")]
    pub fn offsets<T, O, G>(self, offset: G) -> Ordered<St, By, Offsets<G, O>, P, X>
    where
        St: Stream<Item = T>,
        G: FnMut(&T) -> O,
    {
        Ordered {
            settings: self.settings.offsets(offset),
        }
    }

    /// Sets which partition an item belongs to, for a stream that merges several, such as the partitions of a Kafka topic.
    /// Source order, failure and frontier then hold within each partition.
    ///
    /// A slow item of one partition does not hold back the results of the others, although they share the window. When
    /// nothing of a partition is admitted any more, its last frontier was its last offset. The closure is called once per
    /// item, when the item is admitted, in source order. State is kept only for partitions with admitted items. Without this
    /// setting, the stream is one partition, at no cost.
    ///
    /// Groups do not know about partitions: items of two partitions with equal keys are in one group. To prevent that, put the
    /// partition into the key. A failure stops the whole stream.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// // (partition, offset)
    /// let messages = [('p', 7), ('q', 3), ('p', 8)];
    /// let commits: Vec<_> = stream::iter(messages)
    ///     .ordered_by_group(|message| *message, 8)
    ///     .offsets(|message| *message)
    ///     .partitions(|(partition, _)| *partition)
    ///     .then(|message| async move {
    ///         if message == ('p', 7) {
    ///             tokio::time::sleep(Duration::from_secs(1)).await;
    ///         }
    ///     })
    ///     .map(|((), offset)| offset)
    ///     .collect()
    ///     .await;
    /// assert_eq!(commits, [('q', 3), ('p', 7), ('p', 8)]);
    /// # }
    /// ```
    #[doc(alias = "kafka")]
    #[doc(alias = "shard")]
    #[doc(alias = "topic")]
    pub fn partitions<T, L, F>(self, partition: F) -> Ordered<St, By, Off, P::With<F, L>, X>
    where
        P: SetPartitions,
        St: Stream<Item = T>,
        F: FnMut(&T) -> L,
    {
        Ordered {
            settings: self.settings.partitions(partition),
        }
    }

    /// Runs the handlers on tokio's workers instead of in the task that polls the stream. For handlers that compute, and for
    /// consumers that await something else between two results.
    ///
    /// The verb then requires items, handler, futures and results to be `Send + 'static`. There are up to `max_parallel`
    /// long-lived tasks, and a group is bound to one of them while it has items. Order, window, offsets and failures are the
    /// same as without. The handler is called by one task at a time. A task handles as many items in a row as there are
    /// slots, and 64 at most; then it lets the other tasks of its worker go first.
    ///
    /// You do not need it while handlers use less than about 10 µs of CPU each. For a few heavy items, await a task in the
    /// handler, `AbortOnDropHandle::new(tokio::spawn(..)).await`; for handlers that block, use `spawn_blocking`.
    ///
    /// While the stream is not polled, running handlers continue to their end. With one key, so does their group: the items
    /// admitted behind them follow, unless another handler waits for a slot. Everything else waits for the next poll: an item
    /// that needs a free slot, an item with several keys or a relation that waits for another, and a handler whose
    /// [`without_slot`](crate::without_slot) is over. If `max_parallel` is 1, nothing is admitted behind a running handler.
    ///
    /// # Panics
    ///
    /// Polling the stream panics outside a tokio runtime, and after the runtime has been shut down. A panic in a handler
    /// resumes in whoever polls the stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream asks each handler to stop. A handler may run to its next await.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(worker_threads = 2)]
    /// # async fn main() {
    /// let results: Vec<_> = stream::iter(1..=4_u64)
    ///     .ordered_by_group(|n| n % 2, 8)
    ///     .spawned()
    ///     .then(|n| async move { (1..=n * 1_000).sum::<u64>() })
    ///     .collect()
    ///     .await;
    /// assert_eq!(results[0], (500_500, 0));
    /// # }
    /// ```
    #[doc(alias = "cpu_bound")]
    #[doc(alias = "multi_thread")]
    #[doc(alias = "spawn")]
    #[doc(alias = "workers")]
    #[cfg(feature = "tokio")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub fn spawned(self) -> Ordered<St, By, Off, P, crate::engine::run::Spawned> {
        Ordered {
            settings: self.settings.spawned(),
        }
    }
}

impl<St, By, Off, P, X> Ordered<St, By, Off, P, X> {
    /// Sets how keys are hashed. The default is safe for keys that come from outside.
    ///
    /// The default is a randomly seeded foldhash, which is fast. If more keys collide than chance explains, as with keys chosen
    /// by an attacker, the stream switches to `RandomState` permanently. A hasher that is set here is used as it is.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    ///
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let results: Vec<_> = stream::iter([1_u64, 2])
    ///     .ordered_by_group(|n| *n, 2)
    ///     .with_hasher(BuildHasherDefault::<DefaultHasher>::default())
    ///     .then(|n| async move { n })
    ///     .collect()
    ///     .await;
    /// assert_eq!(results, [(1, 0), (2, 1)]);
    /// # });
    /// ```
    pub fn with_hasher<H: BuildHasher>(self, hasher: H) -> Ordered<St, By::With<H>, Off, P, X>
    where
        By: WithHasher,
    {
        Ordered {
            settings: self.settings.map_order(|order| order.with_hasher(hasher)),
        }
    }
}

impl<St, By, Off, P, X, T> Ordered<St, By, Off, P, X>
where
    St: Stream<Item = T>,
    By: Order<T>,
    Off: ReadOffset<T>,
    P: Partitions<T>,
{
    /// Runs a handler that cannot fail, or that deals with its failures. Returns a stream of `(result, offset)`, in source
    /// order.
    ///
    /// Each offset is safe to commit once you have dealt with its result: everything before it (in its partition, if
    /// [`partitions`](Self::partitions) is set) has been emitted. If the handler returns a `Result`, prefer
    /// [`try_then`](Self::try_then). It stops at the first failure, so nobody commits a failed item's offset by mistake.
    ///
    /// # Ordering
    ///
    /// The handler is not called for an item until the handler future of the previous item of its group has finished
    /// and been dropped. Results are emitted in source order.
    ///
    /// # Panics
    ///
    /// A panic in the source, a closure, a key or a handler unwinds out of `poll_next`. Polling the stream again panics.
    ///
    /// # Cancel safety
    ///
    /// `next()` is cancel safe. Dropping the stream drops the admitted items: resume from the last committed offset.
    ///
    /// ```
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut results = stream::iter(["a2", "c4", "a3"])
    ///     .ordered_by_group(|item| item.as_bytes()[0], 2)
    ///     .then(|item| async move { item.to_uppercase() });
    /// assert_eq!(results.next().await, Some(("A2".to_string(), 0)));
    /// # });
    /// ```
    #[doc(alias = "buffered")]
    #[doc(alias = "map")]
    pub fn then<H, Fut>(
        self,
        handler: H,
    ) -> Then<St, T, By, Off, P, X::Run, P::SourceOrder<Off::Offset, Fut::Output>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future,
        X: RunWith<By::Input, H, Fut, Always>,
    {
        Then::new(self.settings.fold(handler, P::source_order()))
    }

    /// Runs a handler and emits each result as soon as it is there. Returns a stream of
    /// `(result, `[`Unordered`](crate::Unordered)`)`.
    ///
    /// For messages that can be acknowledged one by one. To commit a position, use the
    /// [`frontier`](crate::Unordered::frontier). Results of one group are still emitted in order.
    ///
    /// # Panics
    ///
    /// As [`then`](Self::then).
    ///
    /// # Cancel safety
    ///
    /// As [`then`](Self::then).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures::{StreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let results: Vec<_> = stream::iter([20, 10])
    ///     .ordered_by_group(|n| *n, 2)
    ///     .then_unordered(|n| async move { tokio::time::sleep(Duration::from_millis(n)).await; n })
    ///     .map(|(n, offset)| (n, offset.frontier().copied()))
    ///     .collect()
    ///     .await;
    /// assert_eq!(results, [(10, None), (20, Some(1))]);
    /// # }
    /// ```
    #[doc(alias = "ack")]
    #[doc(alias = "acknowledge")]
    #[doc(alias = "buffer_unordered")]
    pub fn then_unordered<H, Fut>(
        self,
        handler: H,
    ) -> ThenUnordered<St, T, By, Off, P, X::Run, P::CompletionOrder<Off::Offset, Fut::Output>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future,
        X: RunWith<By::Input, H, Fut, Always>,
        Off::Offset: Clone,
    {
        ThenUnordered::new(self.settings.fold(handler, P::completion_order()))
    }

    /// Runs a handler that returns a `Result`, and stops at the first failure, as a serial loop would. Returns a stream of
    /// `Result<(result, offset), error>`, in source order.
    ///
    /// # Errors
    ///
    /// From then on, nothing at or past the failed item starts. What came before it still runs and is emitted; then the
    /// error, which is the first in source order; then `None`. Handlers past it are dropped with the error.
    ///
    /// # Panics
    ///
    /// As [`then`](Self::then).
    ///
    /// # Cancel safety
    ///
    /// As [`then`](Self::then).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut numbers = stream::iter(["1", "2", "three", "4"])
    ///     .ordered_by_group(|word| *word, 4)
    ///     .try_then(|word| async move { word.parse::<u32>() });
    /// assert_eq!(numbers.try_next().await?, Some((1, 0)));
    /// assert_eq!(numbers.try_next().await?, Some((2, 1)));
    /// assert!(numbers.try_next().await.is_err());
    /// assert_eq!(numbers.try_next().await?, None);
    /// # Ok::<_, std::num::ParseIntError>(()) }).unwrap();
    /// ```
    #[doc(alias = "try_buffered")]
    #[doc(alias = "try_for_each_concurrent")]
    pub fn try_then<H, Fut, R, E>(
        self,
        handler: H,
    ) -> AndThen<St, Plain, T, E, By, Off, P, X::Run, P::SourceOrder<Off::Offset, R>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        X: RunWith<By::Input, H, Fut, Tried>,
    {
        AndThen::new(self.settings.fold(handler, P::source_order()))
    }

    /// Like [`try_then`](Self::try_then), but each result is emitted as soon as it is there.
    ///
    /// # Errors
    ///
    /// As [`try_then`](Self::try_then), but results past the failed item that are already finished are emitted before the
    /// error. No frontier at or past the failed item is ever emitted.
    ///
    /// # Panics
    ///
    /// As [`then`](Self::then).
    ///
    /// # Cancel safety
    ///
    /// As [`then`](Self::then).
    ///
    /// ```
    /// use futures::{TryStreamExt as _, stream};
    /// use ordered_by_group::prelude::*;
    ///
    /// # futures::executor::block_on(async {
    /// let mut numbers = stream::iter(["1", "two"])
    ///     .ordered_by_group(|word| *word, 4)
    ///     .try_then_unordered(|word| async move { word.parse::<u32>() });
    /// let (number, offset) = numbers.try_next().await?.unwrap();
    /// assert_eq!((number, offset.frontier()), (1, Some(&0)));
    /// assert!(numbers.try_next().await.is_err());
    /// # Ok::<_, std::num::ParseIntError>(()) }).unwrap();
    /// ```
    #[doc(alias = "try_buffer_unordered")]
    pub fn try_then_unordered<H, Fut, R, E>(
        self,
        handler: H,
    ) -> AndThenUnordered<St, Plain, T, E, By, Off, P, X::Run, P::CompletionOrder<Off::Offset, R>>
    where
        H: FnMut(By::Input) -> Fut,
        Fut: Future<Output = Result<R, E>>,
        X: RunWith<By::Input, H, Fut, Tried>,
        Off::Offset: Clone,
    {
        AndThenUnordered::new(self.settings.fold(handler, P::completion_order()))
    }
}

impl<St, By, Off, P, X> fmt::Debug for Ordered<St, By, Off, P, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.debug(f.debug_struct("Ordered"))
    }
}
