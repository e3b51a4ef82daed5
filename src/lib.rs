//! A [`Stream`](futures_core::Stream) operator that runs an async handler one item at a time within a group, many groups
//! at once, and hands every result back with an offset that is safe to commit.
//!
//! ```
//! use futures::stream;
//! use ordered_by_group::prelude::*;
//!
//! # #[derive(Clone, Copy)]
//! # struct Order { id: u32, offset: u64 }
//! # async fn handle(order: Order) -> Result<u32, String> { Ok(order.id) }
//! # async fn commit(_receipt: u32, _offset: u64) -> Result<(), String> { Ok(()) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! # let orders = stream::iter([Order { id: 1, offset: 7 }, Order { id: 2, offset: 8 }]);
//! orders                                                      // any Stream
//!     .ordered_by_group(|order| order.id, 64)                 // serial per order
//!     .offsets(|order| order.offset)                          // the default is 0, 1, 2, …
//!     .try_then(|order| handle(order))                        // stops at the first failure
//!     .try_drive(|(receipt, offset)| commit(receipt, offset)) // safe to commit
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! One of six verbs finishes the settings. They differ in what the handler returns, and in the order of the results:
//!
//! | the handler returns | results in source order | results as each finishes |
//! |---|---|---|
//! | anything | [`then`](Ordered::then) | [`then_unordered`](Ordered::then_unordered) |
//! | a `Result` | [`try_then`](Ordered::try_then) | [`try_then_unordered`](Ordered::try_then_unordered) |
//! | a `Result`, and so does the source | [`and_then`](TryOrdered::and_then) | [`and_then_unordered`](TryOrdered::and_then_unordered) |
//!
//! This page is a guide of a few minutes. It uses these words: items with equal *keys* form a *group*. An item is
//! *admitted* from the moment it is pulled from the source until its result comes out: it waits for its group, runs, or
//! is finished and waits for its turn. *Source order* is the order in which the source yielded the items.
//!
//! # Serial, parallel, or both
//!
//! The key decides. With one key for all, the items are handled one after the other:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! async fn handle(item: &str) {
//!     sleep(Duration::from_millis(10)).await;
//!     println!("{item} is done");
//! }
//!
//! let start = Instant::now();
//! stream::iter(["a2", "a3", "c4"])
//!     .ordered_by_group(|_| (), 64)
//!     .then(handle)
//!     .drive(|((), _offset)| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 30); // a2, then a3, then c4
//! # }
//! ```
//!
//! With a key of its own for each, all run at once, up to `max_parallel`:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep};
//! # async fn handle(_: &str) { sleep(Duration::from_millis(10)).await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let start = Instant::now();
//! stream::iter(["a2", "a3", "c4"])
//!     .ordered_by_group(|item| *item, 64)
//!     .then(handle)
//!     .drive(|((), _offset)| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 10); // all three at once
//! # }
//! ```
//!
//! In between lies what most services want: what belongs together in its order, all else at once.
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep};
//! # async fn handle(_: &str) { sleep(Duration::from_millis(10)).await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let start = Instant::now();
//! stream::iter(["a2", "a3", "c4"])
//!     .ordered_by_group(|item| item.as_bytes()[0], 64)
//!     .then(handle)
//!     .drive(|((), _offset)| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 20); // a3 after a2, c4 beside them
//! # }
//! ```
//!
//! ```text
//!  serial     a2 ━━━━━ a3 ━━━━━ c4 ━━━━━
//!
//!  parallel   a2 ━━━━━
//!             a3 ━━━━━
//!             c4 ━━━━━
//!
//!  both       a2 ━━━━━ a3 ━━━━━
//!             c4 ━━━━━
//! ```
//!
//! The handler is not even called for `a3` before the handler's future for `a2` has finished and been dropped. A group is
//! free when its handler finishes, whether or not its result can come out yet. Keys are compared in full, not hashed onto
//! a few queues, so groups do not get in each other's way. A group with nothing admitted has no state at all.
//!
//! # Several keys
//!
//! One key is the usual case, and the fastest. Three more methods say otherwise what may run together:
//!
//! | an item has | method |
//! |---|---|
//! | one key | [`ordered_by_group`](StreamExt::ordered_by_group) |
//! | several keys, as a transfer between two accounts, or none | [`ordered_by_groups`](StreamExt::ordered_by_groups) |
//! | several keys, each shared or exclusive | [`ordered_by_access`](StreamExt::ordered_by_access) |
//! | a relation that is no equality of keys | [`ordered_unless`](StreamExt::ordered_unless) |
//!
//! An item waits for every earlier unfinished item that it must not run with, waiting ones included. So it cannot deadlock,
//! and no reader overtakes a writer that waits:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use tokio::time::{Instant, sleep};
//! use ordered_by_group::{Access, prelude::*};
//!
//! # async fn handle(_: &str) { sleep(Duration::from_millis(10)).await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let start = Instant::now();
//! stream::iter(["read", "read", "write", "read"])
//!     .ordered_by_access(
//!         |item| match *item {
//!             "write" => [Access::Exclusive("account")],
//!             _ => [Access::Shared("account")],
//!         },
//!         64,
//!     )
//!     .then(handle)
//!     .drive(|_| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 30); // two readers, the writer, the third reader
//! # }
//! ```
//!
//! # Offsets and commits
//!
//! Each result comes out with the offset of its item. In source order, which [`then`](Ordered::then),
//! [`try_then`](Ordered::try_then) and [`and_then`](TryOrdered::and_then) keep, an offset comes out only when everything
//! before it has come out. So whoever deals with a result and then commits its offset has dealt with everything up to it.
//!
//! **At least once.** Deal with the result, then commit. After a crash, start again behind the last committed offset:
//! nothing is lost, and what was admitted may be handled once more. This is what `try_drive` is made for: it gives you
//! one result after the other.
//!
//! ```
//! # use std::cell::RefCell;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # #[derive(Default)] struct Database(RefCell<(u32, Option<u64>)>);
//! # impl Database {
//! #     async fn store(&self, total: u32, offset: u64) -> Result<(), String> { *self.0.borrow_mut() = (total, Some(offset)); Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! let database = &Database::default();
//! let mut total = 0;
//! stream::iter([("ann", 5), ("bob", 7), ("ann", 3)])
//!     .ordered_by_group(|(customer, _)| *customer, 64)
//!     .try_then(|(_, dollars)| async move { Ok(dollars) })
//!     .try_drive(|(dollars, offset)| {
//!         total += dollars;
//!         database.store(total, offset)
//!     })
//!     .await?;
//! # assert_eq!(*database.0.borrow(), (15, Some(2)));
//! # Ok(())
//! # }
//! ```
//!
//! A position starts at 0 with every stream, so to resume, let [`offsets`](Ordered::offsets) read the offset of the log.
//! When the result and the offset go into one transaction, as `store` does here, its effect is there exactly once. A
//! commit per result may be too many; commit the last offset of a batch then, it stands for all before it.
//!
//! **At most once.** Commit before the handler is called, that is in the source. After a crash, what was admitted is
//! lost, and nothing is ever handled twice:
//!
//! ```
//! # use std::cell::Cell;
//! # use futures::{StreamExt as _, TryStreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # #[derive(Clone, Copy)]
//! # struct Message { customer: &'static str, offset: u64 }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! # let committed = Cell::new(None);
//! # let commit = async |offset| { committed.set(Some(offset)); Ok::<_, String>(()) };
//! # let commit = &commit;
//! # let handle = |message: Message| { assert!(committed.get() >= Some(message.offset)); async { Ok(()) } };
//! # let messages = stream::iter([Message { customer: "ann", offset: 7 }, Message { customer: "bob", offset: 8 }]);
//! messages
//!     .then(|message| async move {
//!         commit(message.offset).await?;
//!         Ok::<_, String>(message)
//!     })
//!     .try_ordered_by_group(|message| message.customer, 64)
//!     .look_ahead(64)
//!     .and_then(handle)
//!     .try_drive(|((), _offset)| async { Ok(()) })
//!     .await?;
//! # assert_eq!(committed.get(), Some(8));
//! # Ok(())
//! # }
//! ```
//!
//! A crash loses what is admitted and the message that is being committed, so a small `look_ahead` loses less.
//!
//! What a crash repeats or loses, by verb and by when you commit, stands on [one page](guide::delivery). How logs name the
//! group and the offset, on [another](guide::logs).
//!
//! **Kafka's** committed position is the next offset to be read: commit `offset + 1`. An offset of this crate is that of
//! the last item that was dealt with. Offsets may have gaps; they are handed through, never compared nor counted. So several
//! partitions may share one stream. Put the partition into the offset, and commit the latest of each. Then say which
//! partition an item belongs to, and a slow one does not hold back the others' results:
//!
//! ```
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # struct Message { partition: i32, offset: i64, key: u32 }
//! # async fn handle(message: Message) -> Result<u32, String> { Ok(message.key) }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! # let message = |partition, offset| Message { partition, offset, key: 1 };
//! # let messages = stream::iter([message(0, 7), message(1, 3), message(0, 9)]);
//! let mut positions = std::collections::HashMap::new();
//! messages
//!     .ordered_by_group(|message| message.key, 64)
//!     .offsets(|message| (message.partition, message.offset))
//!     .partitions(|message| message.partition)
//!     .try_then(|message| handle(message))
//!     .try_drive(|(_result, (partition, offset))| {
//!         positions.insert(partition, offset + 1);
//!         async { Ok(()) }
//!     })
//!     .await?;
//! assert_eq!((positions[&0], positions[&1]), (10, 4));
//! # Ok(())
//! # }
//! ```
//!
//! # Order of the results
//!
//! In source order a result waits for all results before it. The handlers do not: they go on until `look_ahead` items are
//! admitted. In completion order, which the verbs with `_unordered` have, each result comes out as it finishes. Items of
//! one group come out in their order all the same.
//!
//! An offset out of order must not be committed as a position: something before it may still run, and would be lost in a
//! crash. So it comes wrapped in an [`Unordered`], which has two readings:
//!
//! - [`offset`](Unordered::offset) is the item's own. Acknowledge that one message with it.
//! - [`frontier`](Unordered::frontier) is the position up to which everything has been handed over. Commit that.
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::sleep;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let results: Vec<_> = stream::iter([10, 90, 20, 30])
//!     .ordered_by_group(|millis| *millis, 64)
//!     .then_unordered(|millis| async move {
//!         sleep(Duration::from_millis(millis)).await;
//!         millis
//!     })
//!     .map(|(millis, offset)| (millis, *offset.offset(), offset.frontier().copied()))
//!     .collect()
//!     .await;
//!
//! assert_eq!(results, [
//!     (10, 0, Some(0)),
//!     (20, 2, Some(0)), // 1 still runs
//!     (30, 3, Some(0)),
//!     (90, 1, Some(3)), // now everything up to 3 was handed over
//! ]);
//! # }
//! ```
//!
//! Take source order for a log with a position, such as Kafka; take completion order where each message is acknowledged
//! by itself, or where one slow item must not hold back the others' results.
//!
//! # Sizing
//!
//! **`max_parallel`** is the most handlers that run at once. A free slot goes to the item that came first of those that
//! may run, and the source is read only while a slot is free. A busy group takes one slot, however much of it waits. Set it to what
//! the database or service behind the handler takes well. A handler that merely waits, as in a back-off, can
//! [do so without a slot](#waits-without-a-slot).
//!
//! **`look_ahead`** is the most items that are admitted at once. It bounds how far the operator reads past what cannot
//! run or come out yet. While it is full the source is not read, so the back-pressure reaches the sender. The default is
//! 64 × `max_parallel`, at least 1,024. Two rules say when that is too little:
//!
//! - Keys that come in bursts: for bursts of L items of one key, `look_ahead` ≥ L × `max_parallel`. Less, and the window
//!   is full of a few groups while slots stay idle.
//! - Slow items, in source order: for items that take D times as long as the rest, `look_ahead` ≥ D × `max_parallel`. Less,
//!   and the window is full of results that wait for the slow one. Completion order does not need this: what
//!   was handed over past the frontier no longer counts (up to 64 × `look_ahead` items).
//!
//! Memory follows what is admitted, not the setting: a large `look_ahead` costs nothing until items wait. After a peak,
//! storage for more than 16,384 items is given back once no more than an eighth of it is used; with several keys, a
//! relation or partitions, once nothing is admitted. The place of a handler is kept for the next one, so memory for as many
//! handler futures as ever existed at once stays until the stream is dropped. Set `look_ahead` lower for
//! [messages with a lease](#messages-with-a-lease), or if items are large.
//!
//! # What happens to the source
//!
//! The source is asked for an item while a slot is free and the window has room, and for nothing otherwise. That is the
//! back-pressure, and it also means that the source stands still while every slot is taken.
//!
//! **What was asked for is awaited.** A source that returned Pending may hold what a handler needs, such as a lock or a
//! connection. So it is polled whenever it wakes the operator, until it has answered once: while no slot is free, and after
//! a failure, too. If its item cannot be admitted then, the operator keeps it *in hand*. That is one item at most. It is
//! read, but not admitted: its key, offset and partition have not been read yet, and `running`, `waiting`, `finished` and
//! `unfinished` do not count it, but `size_hint` does. It is admitted before anything else is read. If the stream fails
//! or is dropped first, it is dropped without being handled.
//!
//! **Nobody starves.** The source, handlers that were woken, handlers whose wait [without a slot](#waits-without-a-slot) is
//! over, and results: none of them waits for another for more than four polls of the stream. That holds without a runtime,
//! and with the feature `tokio` when one of them, or the task around them, uses up tokio's budget in every poll. Its
//! price: if more than 128 waits end at a time, for three polls in a row, the source is read before all of them have been
//! looked at.
//!
//! **One poll is bounded.** It reads at most 128 items and polls at most 256 woken handlers; then the stream wakes its task
//! and returns Pending. It also returns Pending after 256 results in a row, so that its neighbours in the task have their
//! turn. Hence `ready_chunks(1_000)` may end a chunk at 256, and `now_or_never` may find nothing where more is ready. Results
//! that were finished before, while the consumer was busy, do not count.
//!
//! # What stalls, and why
//!
//! As with `buffer_unordered`, handlers are part of the stream: they make progress while somebody polls it. A loop that
//! awaits something else between two results does not, and so every handler stands still for as long:
//!
//! ```
//! # use std::{pin::pin, time::Duration};
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep};
//! # const fn millis(millis: u64) -> Duration { Duration::from_millis(millis) }
//! # async fn handle(item: u64) { for _ in 0..10 { sleep(millis(10)).await } }
//! # async fn commit(_: u64) { sleep(millis(25)).await }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! // 40 items; a handler takes ten steps of 10 ms, a commit 25 ms.
//! // With four handlers at once, that is 1,000 ms of either.
//! let results = || stream::iter(0..40).ordered_by_group(|n| *n, 4).then(handle);
//!
//! let start = Instant::now();
//! let mut stalling = pin!(results());
//! while let Some(((), offset)) = stalling.next().await {
//!     commit(offset).await; // no handler goes on meanwhile
//! }
//! assert_eq!(start.elapsed().as_millis(), 1_830);
//!
//! let start = Instant::now();
//! results().drive(|((), offset)| commit(offset)).await;
//! assert_eq!(start.elapsed().as_millis(), 1_100);
//! # }
//! ```
//!
//! `for_each` and a `.then(commit)` behind the operator stall in the same way. Worse, if `commit` waits for something
//! that a handler holds, a lock or a pooled connection, such a loop waits for ever. Neither happens with the three ways
//! that poll both:
//!
//! - [`drive`](Then::drive) calls a closure with each result.
//! - [`try_drive`](AndThen::try_drive) does so until something fails.
//! - [`alongside`](Then::alongside) awaits one future in a loop of your own. Here results are counted, and the last offset
//!   is committed every second:
//!
//! ```
//! # use std::{pin::pin, time::Duration};
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{interval, sleep};
//! # async fn handle(_: u64) { sleep(Duration::from_millis(300)).await }
//! # async fn commit(count: u64, offset: u64) -> Result<(), String> { assert_eq!(count, offset + 1); sleep(Duration::from_millis(25)).await; Ok(()) }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), String> {
//! let mut results = pin!(stream::iter(0..40).ordered_by_group(|n| n % 8, 8).then(handle));
//! let mut every_second = interval(Duration::from_secs(1));
//! let mut count = 0;
//! let mut done = None;
//! loop {
//!     tokio::select! {
//!         next = results.next() => {
//!             let Some(((), offset)) = next else { break };
//!             count += 1;
//!             done = Some(offset);
//!         }
//!         _ = every_second.tick() => {
//!             if let Some(offset) = done.take() {
//!                 results.as_mut().alongside(commit(count, offset)).await?;
//!             }
//!         }
//!     }
//! }
//! # assert_eq!(count, 40);
//! if let Some(offset) = done {
//!     commit(count, offset).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! All three are methods of the running streams and of nothing else. Behind a `.map(..)` they are not there, and that is
//! on purpose: put such work into the handler, or into the closure.
//!
//! # Failures
//!
//! [`try_then`](Ordered::try_then) and [`and_then`](TryOrdered::and_then) stop as a serial loop would that meets its first
//! error. Once a handler has failed, nothing at or past its item starts. What came before it still runs and comes out.
//! Then comes the error, of two failures always the first in source order, and then the end. Handlers past the failed item
//! are dropped with it, and no offset at or past it comes out:
//!
//! ```
//! # use futures::{TryStreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut committed = None;
//! let end = stream::iter(["1", "2", "three", "4"])
//!     .ordered_by_group(|word| *word, 64)
//!     .try_then(|word| async move { word.parse::<u32>() })
//!     .try_drive(|(_number, offset)| {
//!         committed = Some(offset);
//!         async { Ok(()) }
//!     })
//!     .await;
//! assert!(end.is_err());
//! assert_eq!(committed, Some(1)); // "three" has offset 2
//! # }
//! ```
//!
//! A source that fails takes part with [`try_ordered_by_group`](TryStreamExt::try_ordered_by_group): its error counts as an
//! item that failed at its place. An error of `try_drive`'s closure drops what is admitted and comes out at once.
//!
//! To go on past a failure, deal with it in the handler: [retry](#waits-without-a-slot) there, or write the item to a dead-letter queue there, and
//! return `Ok`. The item's group waits meanwhile, and its offset counts as dealt with. `.then(fallible)` compiles as well,
//! and hands the `Result` out with the offset of an item that may have failed; committing that is up to you.
//!
//! # Waits without a slot
//!
//! A handler that backs off before it tries again does no work, yet its group must wait for it. [`without_slot`] lends its
//! slot to another group meanwhile, and keeps its group:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::stream;
//! # use ordered_by_group::prelude::*;
//! use ordered_by_group::without_slot;
//! # use tokio::time::sleep;
//!
//! # #[derive(Clone, Copy)] struct Order { id: u32 }
//! # async fn send(order: Order) -> Result<u32, String> { Ok(order.id) }
//! async fn send_with_retries(order: Order) -> Result<u32, String> {
//!     for pause in [100, 200, 400].map(Duration::from_millis) {
//!         if let Ok(receipt) = send(order).await {
//!             return Ok(receipt);
//!         }
//!         without_slot(sleep(pause)).await;
//!     }
//!     send(order).await
//! }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), String> {
//! # let orders = stream::iter([Order { id: 1 }, Order { id: 2 }]);
//!
//! orders
//!     .ordered_by_group(|order| order.id, 64)
//!     .try_then(send_with_retries)
//!     .try_drive(|(_receipt, _offset)| async { Ok(()) })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! The same goes for rate limits, circuit breakers and call-backs: whatever future it is given. At most `look_ahead`
//! handlers wait so, and each gets a slot again before anything younger starts. There is a [page on retries](guide::retry).
//!
//! # Drain, or stop
//!
//! In short; there is a [page on shutting down](guide::shutdown) within a deadline.
//!
//! To **drain**, end the source. Everything admitted is finished and comes out, then the stream ends:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::sleep;
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let every_10_ms = stream::unfold(0, |n| async move { sleep(Duration::from_millis(10)).await; Some((n, n + 1)) });
//! let shutdown = sleep(Duration::from_millis(35)); // or ctrl_c(), or a token
//! let results: Vec<_> = every_10_ms
//!     .take_until(shutdown)
//!     .ordered_by_group(|n| *n, 64)
//!     .then(|n| async move {
//!         sleep(Duration::from_secs(1)).await;
//!         n
//!     })
//!     .collect()
//!     .await;
//! assert_eq!(results, [(0, 0), (1, 1), (2, 2)]);
//! # }
//! ```
//!
//! That includes what waits behind a busy group: `look_ahead` items at most. To **finish what runs and leave what
//! waits**, look at the signal where the handler begins, too, and commit nothing past the first item that was left:
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep, sleep_until};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let handle = |item| async move { sleep(Duration::from_secs(1)).await; item };
//! let deadline = Instant::now() + Duration::from_millis(1500);
//! let mut committed = None;
//! let mut left = false;
//! stream::iter(["a0", "a1", "a2", "b3"])
//!     .take_until(sleep_until(deadline)) // or token.cancelled()
//!     .ordered_by_group(|item| item.as_bytes()[0], 64)
//!     .then(|item| async move {
//!         if Instant::now() >= deadline { // or token.is_cancelled()
//!             return None;
//!         }
//!         Some(handle(item).await)
//!     })
//!     .drive(|(result, offset)| {
//!         left |= result.is_none();
//!         if !left {
//!             committed = Some(offset);
//!         }
//!         async {}
//!     })
//!     .await;
//! assert_eq!(committed, Some(1)); // a2 was left; b3 is finished, and will be handled once more
//! # }
//! ```
//!
//! The source is polled while a slot is free and there is room, and so is the future in `take_until`. Set the signal from
//! elsewhere, so that the handlers see it at once.
//!
//! To **stop** at once, drop the stream. Each running handler is dropped where it awaits, each waiting item unhandled.
//!
//! # Many queues
//!
//! When one consumer is not enough, the publisher writes each message to one of n queues, by the hash of its group, and n
//! consumers read one each, with this operator and with offsets of its own. All messages of a group are in one queue, so
//! its order holds. When n changes, groups have to move:
//!
//! - **Which.** By `hash % n` most move, unless one number of queues divides the other. By *consistent hashing* about as
//!   few as must: each queue has many points on a ring, its virtual nodes, and a group belongs to the queue whose point
//!   comes next after its hash. From 4 queues to 7 that is about three groups in seven, instead of six. The hash must have
//!   no random state, or a publisher that starts again goes on with other queues.
//! - **When.** A message must not be handled in the new queue while one before it waits in the old one. So *drain, then
//!   move*: note at the change how far each queue is written. Hold back the messages of groups that move until their old
//!   queue is committed as far as that, then write them to the new queue, in their order. All other groups go on.
//!
//! ```text
//!  old queue   a1 b1 a2 │ b2 b3 │ b4
//!  held back            │ a3 a4 │
//!  new queue            │       │ a3 a4 a5
//!                       │       ╰ the old queue has drained: a1, b1 and a2 are committed
//!                       ╰ the change: a moves, b stays
//! ```
//!
//! Since an offset in source order stands for everything before it, one number per queue is enough, however many groups
//! there are. Bound what is held back, and read no more from the publisher's source while it is full. A queue that is no
//! longer needed is closed, and its consumer ends with the last message: its `try_drive` returns `Ok(())`.
//!
//! The example `queues` does all this under load, from 4 queues to 7 and then to 3. It counts what was lost, handled
//! twice or out of order, and what would have been without the drain: `cargo run --release -p queues`, then the same
//! with `-- --no-drain`.
//!
//! # Items without a key
//!
//! A key may be an `Option`. Then all items whose key is `None` form one group, and run one at a time. When they are to be
//! free of each other, as Kafka's messages without a key are, let the `Option` be a set of keys instead of a key: an empty
//! set waits for nothing.
//!
//! ```
//! # use std::time::Duration;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # use tokio::time::{Instant, sleep};
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! #[derive(Clone, Copy)]
//! struct Message {
//!     key: Option<&'static str>,
//!     offset: u64,
//! }
//!
//! # async fn handle(_: Message) { sleep(Duration::from_millis(10)).await }
//! # let keyless = |offset| Message { key: None, offset };
//! let messages = || stream::iter([keyless(0), keyless(1), keyless(2)]);
//!
//! let start = Instant::now();
//! messages()
//!     .ordered_by_group(|message| message.key, 64) // one group of all that have no key
//!     .then(handle)
//!     .drive(|_| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 30);
//!
//! let start = Instant::now();
//! messages()
//!     .ordered_by_groups(|message| message.key, 64) // free
//!     .then(handle)
//!     .drive(|_| async {})
//!     .await;
//! assert_eq!(start.elapsed().as_millis(), 10);
//! # }
//! ```
//!
//! With the faster `ordered_by_group`, a key of its own for each does the same: `message.key.ok_or(message.offset)`.
//!
//! # Keys that are strings
//!
//! The operator keeps the key while the item is with its handler, so a key cannot borrow from its item. A closure
//! `|order| order.id.as_str()` does not compile: "lifetime may not live long enough". Three ways to go, dearest first:
//!
//! ```
//! # use std::hash::{BuildHasher as _, RandomState};
//! # use std::sync::Arc;
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # struct Order { id: String }
//! # struct Shared { id: Arc<str> }
//! # let orders = || stream::iter(["a", "b"]).map(|id| Order { id: id.into() });
//! # let shared = || stream::iter(["a", "b"]).map(|id| Shared { id: id.into() });
//! // Clone the string: an allocation an item.
//! let results = orders().ordered_by_group(|order| order.id.clone(), 64);
//! # assert_eq!(results.then(|_| async {}).count().await, 2);
//!
//! // Let the item have an Arc<str>, and clone that: two atomic operations an item.
//! let results = shared().ordered_by_group(|order| Arc::clone(&order.id), 64);
//! # assert_eq!(results.then(|_| async {}).count().await, 2);
//!
//! // Hash the string, and let the hash be the key.
//! let hasher = RandomState::new();
//! let results = orders().ordered_by_group(move |order| hasher.hash_one(&order.id), 64);
//! # assert_eq!(results.then(|_| async {}).count().await, 2);
//! # }
//! ```
//!
//! Two strings with the same 64-bit hash form one group in the third way: then one waits for the other, and nothing worse.
//! With 10,000 different strings at a time this is a chance of one in 370 thousand million.
//!
//! # Messages with a lease
//!
//! There is a [page on brokers that want an acknowledgement](guide::acknowledgements) for each message. In short:
//!
//! Where a message is leased to its consumer for a while (SQS, JetStream, RabbitMQ, Service Bus), the lease runs from the
//! moment of receipt. The message may wait in the window before its handler is called, and for its turn to come out
//! afterwards. So extend the lease from receipt on, not from the start of the handler; set `look_ahead` to the prefetch, so
//! that no more is leased than is looked after; and take completion order, so that a finished message is acknowledged at
//! once.
//!
//! # Closures that compile
//!
//! A handler is `FnMut(T) -> impl Future`. Nothing has to be `Send`, `'static` or `Clone`, and a handler may borrow from the
//! function around it. These forms do:
//!
//! ```
//! # use futures::{StreamExt as _, stream};
//! # use ordered_by_group::prelude::*;
//! # #[derive(Clone)] struct Client;
//! # impl Client { async fn send(&self, order: u32) -> Result<u32, String> { Ok(order) } }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! # let orders = || stream::iter([1, 2]).ordered_by_group(|order| *order, 64);
//! let client = Client;
//!
//! let _ = orders().try_then(|order| client.send(order)); // the future borrows the client
//! let _ = orders().try_then(async |order| client.send(order).await); // so does this one
//!
//! let borrowed = &client; // `async move` moves the reference
//! let _ = orders().try_then(|order| async move { borrowed.send(order).await });
//!
//! let owned = client.clone(); // a clone for each future
//! let _ = orders().try_then(move |order| {
//!     let client = owned.clone();
//!     async move { client.send(order).await }
//! });
//!
//! let mut sum = 0; // changed in the closure, not in the future
//! orders()
//!     .try_then(|order| client.send(order))
//!     .try_drive(|(order, _offset)| {
//!         sum += order;
//!         async { Ok(()) }
//!     })
//!     .await?;
//! # assert_eq!(sum, 3);
//! # Ok(())
//! # }
//! ```
//!
//! And what rustc says to others:
//!
//! | it says | because | so |
//! |---|---|---|
//! | cannot move out of `client`, a captured variable in an `FnMut` closure | `async move` takes the client away from the second call | clone it before the `async move`, or capture a reference |
//! | async closure does not implement `FnMut` because it captures state from its environment | an `async \|x\|` closure owns something, or changes something | a plain closure that returns `async move { .. }` |
//! | lifetime may not live long enough | the key borrows from the item | [an owned key](#keys-that-are-strings) |
//! | closure may outlive the current function, but it borrows `client` | what is spawned must be `'static` | spawn an `async move` block with the client in it |
//! | cannot infer type of the type parameter `E` | nothing names the error of an `async` block | `Ok::<_, Error>(..)`, or an `async fn` |
//! | no method named `try_drive` found for struct `Then` | `then` is for handlers that cannot fail | [`try_then`](Ordered::try_then) |
//! | no method named `drive` found for struct `Map` | an adaptor stands between the operator and `drive` | drive first, and do the rest in the closure |
//! | no method named `alongside` found for struct `Then` | it takes the stream pinned | `let mut results = pin!(..)`, and `results.as_mut().alongside(..)` |
//!
//! # In tokio
//!
//! The operator needs no runtime. All its handlers run in the task that polls the stream: many wait at once, one computes
//! at a time. So spawn the loop that consumes it, rather than awaiting it in `main`, whose thread is not one of the
//! runtime's workers and pays for each wake with a switch of threads:
//!
//! ```
//! # use futures::stream;
//! # use ordered_by_group::prelude::*;
//! # struct Client;
//! # impl Client { async fn send(&self, order: u32) -> Result<u32, String> { Ok(order) } }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client;
//!     let service = tokio::spawn(async move {
//!         stream::iter([1, 2, 3])
//!             .ordered_by_group(|order| *order, 64)
//!             .try_then(|order| client.send(order))
//!             .try_drive(|(_receipt, _offset)| async { Ok(()) })
//!             .await
//!     });
//!     service.await??;
//!     Ok(())
//! }
//! ```
//!
//! Handlers that compute may run on all of the runtime's workers: put `.spawned()` before the verb (feature `tokio`). The
//! order is the same, and handlers that run [go on while nobody polls the stream](Ordered::spawned); items, handler and
//! results must be `Send` and `'static`. For a few heavy items, await a task of their own in the handler:
//! `AbortOnDropHandle::new(tokio::spawn(..))` of `tokio-util`, or `tokio::task::spawn_blocking` for what blocks. The order
//! holds as long as the handler awaits all that it starts. What was started elsewhere goes on when the handler is dropped.
//!
//! With the feature `tokio`, the operator stops when the task's cooperative budget is used up, since most handlers could
//! only be told to come back; in each poll it still takes one step of each kind. Without the feature it keeps a budget of its
//! own, and does not starve its neighbours either.
//!
//! # Panics
//!
//! A panic in the source, in a handler, in a closure, or in a key's `Hash` or `Eq` unwinds to whoever polls the stream.
//! From then on the stream is poisoned: polling it again panics. It never ends as if all were well, and no offset at or
//! past the item comes out. Resume from the last committed offset.
//!
//! # Cancel safety
//!
//! `next()` may be dropped at any time, as in a `select!`; the handlers stand still until the stream is polled again, and
//! nothing is lost. The same goes for the future of [`alongside`](Then::alongside). Dropping the future of
//! [`drive`](Then::drive) or [`try_drive`](AndThen::try_drive) drops the stream, and with it all that is admitted.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
#[cfg(doc)]
pub mod guide;
pub mod parts;
mod running;
mod settings;
mod stream_ext;
mod try_stream_ext;

pub use crate::engine::order::Access;
pub use crate::engine::window::Unordered;
pub use crate::engine::without_slot::{WithoutSlot, without_slot};
pub use crate::running::{
    Alongside, AndThen, AndThenUnordered, Drive, Then, ThenUnordered, TryDrive,
};
pub use crate::settings::{Ordered, TryOrdered, can_run_together};
pub use crate::stream_ext::StreamExt;
pub use crate::try_stream_ext::TryStreamExt;

/// The extension traits, without their names: `use ordered_by_group::prelude::*;`
pub mod prelude {
    pub use crate::{StreamExt as _, TryStreamExt as _};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
