//! A [`Stream`](futures_core::Stream) operator that runs an async handler one item at a time within a group, many groups
//! at once, and emits every result with an offset that is safe to commit.
//!
//! Use it where the messages of each customer, order or device must be handled in order, without making everyone else
//! wait.
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
//!     .ordered_by_group(|order| order.id, 64)                 // in order per id, 64 ids at once
//!     .offsets(|order| order.offset)                          // the default is 0, 1, 2, …
//!     .try_then(|order| handle(order))                        // stops at the first failure
//!     .try_drive(|(receipt, offset)| commit(receipt, offset)) // every offset is safe to commit
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! This page takes five minutes to read. [The guide](#the-guide) has a page for each question that takes longer.
//!
//! A pipeline has three parts:
//!
//! 1. **A method that says what may run together**, usually [`ordered_by_group`](StreamExt::ordered_by_group): items with
//!    the same key run one after the other. Items may also have [several keys](guide::several_keys).
//! 2. **Settings**, all optional: [`offsets`](Ordered::offsets), [`look_ahead`](Ordered::look_ahead),
//!    [`prefetch`](Ordered::prefetch), [`batches`](Ordered::batches), [`partitions`](Ordered::partitions),
//!    [`monitor`](Ordered::monitor), [`with_hasher`](Ordered::with_hasher), and `spawned` (feature `tokio`).
//! 3. **One of six verbs**, which takes the handler. Choose by what the handler returns and by the order in which you want
//!    the results:
//!
//! | the handler returns | results in source order | results as each finishes |
//! |---|---|---|
//! | anything | [`then`](Ordered::then) | [`then_unordered`](Ordered::then_unordered) |
//! | a `Result` | [`try_then`](Ordered::try_then) | [`try_then_unordered`](Ordered::try_then_unordered) |
//! | a `Result`, and the source yields `Result`s too | [`and_then`](TryOrdered::and_then) | [`and_then_unordered`](TryOrdered::and_then_unordered) |
//!
//! The verb returns a stream of results with their offsets. Consume it with `drive` or `try_drive`, or in chunks with
//! `drive_chunks` or `try_drive_chunks`.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | group | all items with the same key; they run one at a time, in source order |
//! | source order | the order in which the source yields the items |
//! | slot | what a handler needs to run; there are `max_parallel` slots, the number after the key |
//! | admitted | read from the source and not yet emitted: the item waits, runs, or is finished and waits to be emitted |
//! | `look_ahead` | the maximum number of admitted items; together they are the *window* |
//! | offset | what you commit or acknowledge; read from each item before its handler takes it |
//! | frontier | in completion order: the offset up to which every result has been handed over |
//! | in hand | the one item that may have been read but cannot be admitted yet |
//!
//! # Serial, parallel, or both
//!
//! The key decides. With one key for all items, they are handled one after the other:
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
//! With a different key for each item, all run at once, up to `max_parallel`:
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
//! # stream::iter(["a2", "a3", "c4"])
//!     .ordered_by_group(|item| *item, 64) // 10 ms: all three at once
//! #   .then(handle)
//! #   .drive(|((), _offset)| async {})
//! #   .await;
//! # assert_eq!(start.elapsed().as_millis(), 10);
//! # }
//! ```
//!
//! Most services want something in between: related items in order, unrelated items at once.
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
//! # stream::iter(["a2", "a3", "c4"])
//!     .ordered_by_group(|item| item.as_bytes()[0], 64) // 20 ms: a3 after a2, c4 beside them
//! #   .then(handle)
//! #   .drive(|((), _offset)| async {})
//! #   .await;
//! # assert_eq!(start.elapsed().as_millis(), 20);
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
//! The handler is not called for `a3` until the handler's future for `a2` has finished and been dropped. A group is free
//! when its handler finishes, whether or not the result can be emitted yet. Keys are compared in full, not hashed onto a
//! few queues, so two groups never wait for each other by accident. A group with no admitted items takes no memory.
//!
//! # Offsets and commits
//!
//! Each result is emitted with the offset of its item. In source order, an offset is emitted only after everything before
//! it. So once you have dealt with a result, you can commit its offset: everything up to it has been dealt with. After a
//! crash, resume after the last committed offset. Nothing is lost, and what was admitted may be handled once more.
//!
//! By default, an offset is the position of the item in the stream, which starts again at 0 with each stream. To resume,
//! let [`offsets`](Ordered::offsets) read the offset of your log.
//!
//! **Offsets must rise in the order in which the source yields them.** If you reorder, merge, split or filter before the
//! operator, an offset may no longer stand for everything before it. [Offsets and commits](guide::offsets) shows what to
//! do, and how to commit in batches, to Kafka, or before the work.
//!
//! In completion order the offset is wrapped in an [`Unordered`]. Acknowledge a single message with its
//! [`offset`](Unordered::offset); commit its [`frontier`](Unordered::frontier) as a position.
//!
//! # Drive the stream
//!
//! As with `buffer_unordered`, the handlers make progress only while the stream is polled. If you await a commit in a
//! `while let` loop, every handler stands still until the commit is done. [`drive`](Running::drive),
//! [`try_drive`](TryRunning::try_drive), and [`alongside`](Running::alongside) in a loop of your own keep the handlers running
//! meanwhile. The source, in turn, is polled only while the window has room and, without `prefetch`, a slot is free. See
//! [what stalls](guide::stalls).
//!
//! [`drive_chunks`](Running::drive_chunks) and [`try_drive_chunks`](TryRunning::try_drive_chunks) hand over all results that
//! are there, so that results which finish during one commit [share the next](guide::offsets#commit-in-batches).
//!
//! To build the pipeline in one function and drive it in another, return it as `impl` [`Running`] or `impl` [`TryRunning`].
//! To keep it in a struct, make it a [`BoxRunning`]. See [handing a pipeline on](guide::handing_on).
//!
//! # Failures
//!
//! `try_then` and `and_then` stop as a serial loop would at its first error. Once a handler has failed, nothing at or past
//! its item starts. What came before the item still runs and is emitted, then the error, then the stream ends. To continue
//! past a failure, deal with it in the handler: [retry](guide::retry), or write the item to a dead-letter queue and return
//! `Ok`. A panic never looks like the end of the stream. See [failures and panics](guide::failures).
//!
//! # The guide
//!
//! | page | read it when |
//! |---|---|
//! | [Recipes](guide::recipes) | you want a time-out, dead letters, a pause, a limit per customer, a barrier, and a dozen more |
//! | [Offsets and commits](guide::offsets) | you commit positions, use Kafka, commit in batches, filter, or split records |
//! | [Batches](guide::batches) | one statement for many items of a group, or only the last of several counts |
//! | [What a crash repeats or loses](guide::delivery) | you choose between at least once, at most once and exactly once |
//! | [Positions](guide::positions) | a slow item would make a crash repeat thousands, or a partition moves to another process |
//! | [Kafka](guide::kafka) | you consume Kafka: partitions that come and go, keys, other clients |
//! | [The order of the results](guide::order_of_results) | you choose between source order and completion order |
//! | [Acknowledgements](guide::acknowledgements) | your broker wants one for each message: SQS, JetStream, RabbitMQ, MQTT |
//! | [Several keys](guide::several_keys) | an item touches two accounts, or only reads one |
//! | [Keys](guide::keys) | some items have no key, or keys are strings |
//! | [Sizing](guide::sizing) | you set `max_parallel` and `look_ahead`, or look at memory |
//! | [What stalls](guide::stalls) | throughput is too low, or nothing moves; what happens to the source |
//! | [Failures and panics](guide::failures) | something goes wrong, or a future is dropped |
//! | [Retries](guide::retry) | a handler backs off, waits for a rate limit or a circuit breaker |
//! | [Graceful shutdown](guide::shutdown) | the process is asked to stop |
//! | [Many queues](guide::many_queues) | one consumer is not enough |
//! | [In tokio](guide::in_tokio) | you spawn the pipeline, or handlers compute |
//! | [Handing a pipeline on](guide::handing_on) | you build it in one function, and drive, keep or test it elsewhere |
//! | [Closures that compile](guide::closures) | rustc rejects the pipeline |
//! | [Logs and traces](guide::logs) | you want log lines or spans that name the group and the offset |
//! | [Metrics and alarms](guide::metrics) | you want to see what it is doing, and to hear when it stands still |
//! | [Testing](guide::testing) | you test your own pipeline |

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod engine;
#[cfg(doc)]
pub mod guide;
#[cfg(feature = "rdkafka")]
#[cfg_attr(docsrs, doc(cfg(feature = "rdkafka")))]
pub mod kafka;
mod known;
pub mod parts;
pub mod positions;
mod running;
mod settings;
mod spare;
mod stream_ext;
mod try_stream_ext;

pub use crate::engine::order::Access;
pub use crate::engine::watch::{Snapshot, Times};
pub use crate::engine::window::Unordered;
pub use crate::engine::without_slot::{WithoutSlot, without_slot};
pub use crate::running::{
    Alongside, AndThen, AndThenUnordered, BoxRunning, Drive, DriveChunks, LocalBoxRunning, Monitor,
    Running, Then, ThenUnordered, TryDrive, TryDriveChunks, TryRunning,
};
pub use crate::settings::{Ordered, TryOrdered, can_run_together};
pub use crate::stream_ext::StreamExt;
pub use crate::try_stream_ext::TryStreamExt;

/// The extension traits, without their names: `use ordered_by_group::prelude::*;`
pub mod prelude {
    pub use crate::{Running as _, StreamExt as _, TryRunning as _, TryStreamExt as _};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
