//! A consumer of Kafka: in order per key, many keys at once, across rebalances and restarts (feature `rdkafka`).
//!
//! It reads with [`rdkafka`](https://docs.rs/rdkafka), and adds what the operator needs around it. Each assigned partition is a
//! [lease](crate::positions): the consumer commits how far it is done, *and* what is done past that. A rebalance waits until
//! what runs is finished and committed, so the next owner of a partition begins exactly behind it.
//!
//! ```console
//! $ cargo add ordered-by-group -F rdkafka
//! ```
//!
//! librdkafka is built from source: you need a C compiler, `make` and the headers of zlib. For TLS, SASL or zstd, add `rdkafka`
//! to your own dependencies, in the same minor version, and choose its features there.
//!
//! # A service
//!
//! ```no_run
//! use std::error::Error;
//!
//! use ordered_by_group::kafka::rdkafka::ClientConfig;
//! use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
//! use ordered_by_group::kafka::{Kafka, Message, Settings};
//!
//! async fn handle(order: &Message<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
//!     let text = std::str::from_utf8(order.payload().unwrap_or_default())?;
//!     println!("{} at {}: {text}", order.partition(), order.offset());
//!     Ok(())
//! }
//!
//! # mod signal { pub async fn ctrl_c() {} }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
//!     let mut config = ClientConfig::new();
//!     config
//!         .set("bootstrap.servers", "localhost:9092")
//!         .set("group.id", "billing")
//!         .set("auto.offset.reset", "earliest")
//!         .set("partition.assignment.strategy", "cooperative-sticky");
//!
//!     let (kafka, driver) =
//!         Kafka::subscribe(&config, &["orders"], DefaultConsumerContext, Settings::default())?;
//!     tokio::spawn(driver); // answers the group, and commits each second
//!
//!     let stop = async {
//!         signal::ctrl_c().await; // of tokio
//!         kafka.stop(); // then the work ends when what runs is finished
//!         std::future::pending::<()>().await;
//!     };
//!     let end = tokio::select! {
//!         end = kafka.run(64, |order| async move { handle(&order).await }) => end,
//!         () = stop => unreachable!("it waits for the work to end"),
//!     };
//!     kafka.close().await?; // commits what was done last, and leaves the group
//!     end
//! }
//! ```
//!
//! # The pipeline
//!
//! [`Kafka::run`] is short for this pipeline. Write it yourself to change it: with a window of another size, another key,
//! a monitor, results that are sent on, or in source order.
//!
//! ```no_run
//! use ordered_by_group::kafka::{Error, Kafka, Message};
//! use ordered_by_group::prelude::*;
//!
//! # async fn handle(_: &Message<'_>) -> Result<(), Error> { Ok(()) }
//! # async fn example(kafka: Kafka) -> Result<(), Error> {
//! kafka
//!     .messages()
//!     .try_ordered_by_group(|message| message.group(), 64)
//!     .offsets(|message| message.position())
//!     .partitions(|message| message.partition())
//!     .and_then_unordered(|message| async move {
//!         message.position().run(|| handle(&message)).await.transpose()
//!     })
//!     .try_drive(|(outcome, offset)| {
//!         offset.offset().settle(outcome.is_some());
//!         async { Ok(()) }
//!     })
//!     .await?;
//! kafka.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | call | what it is for |
//! |---|---|
//! | [`message.group()`](Message::group) | the key: messages of a partition with equal keys run one after the other |
//! | [`message.position()`](Message::position) | goes through [`offsets`](crate::TryOrdered::offsets) and comes out with the result |
//! | [`message.partition()`](Message::partition) | keeps a slow partition from holding back the others, and an old assignment from holding back a new one |
//! | [`position.run(..)`](crate::positions::Position::run) | runs the handler while the partition is ours. `None`: it was not run, or dropped half-way |
//! | [`position.settle(..)`](crate::positions::Position::settle) | says that the message is done, or left. Only what is done is ever committed |
//!
//! **Every message must be settled**, also one that you filter out. If one is dropped unsettled, the stream of messages ends
//! with [`Error::Unsettled`], because its partition could not be committed any further. A message that was settled with
//! `false` is handed out again after the next assignment, and [`Observer::stalled`] is told.
//!
//! `position` may be put into a result and settled later, after a transaction for instance. But nothing past the oldest
//! unsettled message of a partition is forgotten by the broker: see [what a crash repeats](#what-is-repeated).
//!
//! # What is committed when
//!
//! | when | what happens |
//! |---|---|
//! | a partition is assigned | what the group has committed is read, with its metadata. What was done before is not handed out |
//! | each [`commit_every`](Settings::commit_every) | partitions that have changed are committed: the position, and what is done past it in the metadata. One commit is under way at a time, and nobody waits for it |
//! | a commit is refused | it is due with the next one; [`Observer::commit_refused`] is told |
//! | a partition is revoked | nothing more of it starts. What runs is finished, at most for [`drain_within`](Settings::drain_within); what still runs then is dropped at its next await. Then it is committed, three times if need be, and only then is the group told that it may go on |
//! | a partition is lost, because the session or `max.poll.interval.ms` has expired | what runs is dropped at its next await. Nothing is committed: it may have another owner |
//! | [`stop`](Kafka::stop) | nothing more is read or started; what runs is finished |
//! | [`close`](Kafka::close), or the consumer is dropped | the last commit, then the group is left |
//!
//! librdkafka waits for the answer to a rebalance, sends heartbeats, and reads nothing meanwhile, of *any* partition. With
//! [`Drain::Running`](crate::positions::Drain::Running) this takes as long as the slowest handler that runs, not as long as
//! a queue. No callback blocks, and there is no thread that spins. This holds for the assignors `range`, `roundrobin` and
//! `cooperative-sticky`, for the protocol of KIP-848 (`group.protocol=consumer`), and for static members
//! (`group.instance.id`), which come back within their session without a rebalance.
//!
//! # What is repeated
//!
//! | what happens | what is handled again |
//! |---|---|
//! | a member joins or leaves, stops, or is closed | nothing |
//! | a handler does not finish within `drain_within` | its message |
//! | the process is killed | what was done since the last commit, and what ran |
//! | the session expires, for instance because the broker or the process was away for too long | the same, by other processes. A partition that comes back to this one repeats only what ran, unless somebody else has committed more |
//! | a message is stuck, and the process is killed | the same: what is done past the stuck one is in the metadata |
//! | the metadata does not fit into [`metadata`](Settings::metadata) | also the highest offsets of what is done past the oldest one that is not |
//!
//! A process that freezes, and wakes up after its session has expired, may still run a handler up to its next await while
//! another process handles the same key. Only the system that it writes to can refuse that, with a fencing token: the
//! offset serves as one, because it rises for each key.
//!
//! To have each message take effect exactly once, write the results and the offsets in one transaction: see
//! [`CommitBy::with`], or [commit in a store of your own](crate::guide::positions#exactly-once) and begin with
//! [`Kafka::assign`].
//!
//! # A full window
//!
//! While every slot is taken, or the window is full, the operator does not read. The driver then serves librdkafka ten
//! times a second, so the consumer stays a member however long a handler takes, and answers rebalances. What it fetches
//! by that is copied and handed out next, in order. After 64 messages, about six seconds, it pauses all partitions until
//! they are read again.
//!
//! So `max.poll.interval.ms` no longer tells that a service is stuck. Watch the age of the oldest message instead: see
//! [`Snapshot::oldest_unfinished`](crate::Snapshot::oldest_unfinished).
//!
//! One stuck key must not stop the other partitions: a slow partition with [`in_flight`](Settings::in_flight) unsettled
//! messages is paused. Set [`look_ahead`](crate::TryOrdered::look_ahead) to several times as many.
//!
//! **Memory** is the window and what librdkafka fetches ahead, which is up to 64 MiB (`queued.max.messages.kbytes`) and
//! 100,000 messages for a partition (`queued.min.messages`), by its own defaults.
//!
//! # What is set in your configuration
//!
//! | setting | value | why |
//! |---|---|---|
//! | `enable.auto.commit` | `false`; `true` with [`CommitBy::Store`]. It is an error if you set the opposite | librdkafka would commit messages that are not done |
//! | `enable.auto.offset.store` | `false`. It is an error if you set `true` | the same |
//! | `fetch.queue.backoff.ms` | 10, unless you set it | librdkafka's default keeps a consumer waiting for a second whenever its queue was full |
//! | `auto.commit.interval.ms` | `commit_every`, unless you set it | matters with [`CommitBy::Store`] |
//!
//! The rest is yours. Worth a thought:
//!
//! | setting | |
//! |---|---|
//! | `group.id` | must be set, also with [`Kafka::assign`] |
//! | `auto.offset.reset` | where a partition begins that was never committed: `latest`, the default, leaves out what is in it |
//! | `partition.assignment.strategy` | `cooperative-sticky` moves only the partitions that have to move. With `range` each rebalance drains all |
//! | `max.poll.interval.ms` | how long the broker waits for a consumer in a rebalance. `drain_within` is at most three quarters of it |
//! | `session.timeout.ms` | how long the partitions of a killed process stand still. With `group.protocol=consumer` it is the broker's to set |
//! | `group.instance.id` | no rebalance while a process is restarted. With `group.protocol=consumer`, one that was killed is refused with [`Error::Fatal`] until its session has expired: start it again then |
//! | `enable.partition.eof` | has no effect on the stream of messages |
//!
//! # Your context
//!
//! Of the `ConsumerContext` that you pass, everything of `ClientContext` is called: logs, statistics, errors, OAuth tokens.
//! `commit_callback` is called after each commit by [`CommitBy::Sync`], on another thread, and by [`CommitBy::Store`].
//! `rebalance`, `pre_rebalance` and `post_rebalance` are not called, because they are given a consumer of another type than
//! the one that is there. An [`Observer`] is told the same, and more.
//!
//! # Errors
//!
//! librdkafka reports errors that are no end, such as a broker that is away, or a topic that is not there yet. They are told to
//! [`Observer::error`] and counted, and the stream of messages goes on. It ends with an [`Error`] if librdkafka cannot go on, or if
//! the broker refuses the user or the group; the text says what to do.
//!
//! If a partition begins at an offset that is no longer in the log, `auto.offset.reset` decides. If its log begins again at a
//! lower offset, because the topic was deleted and made anew, it is read from there, and [`Observer::went_back`] is told.
//!
//! Metadata of another program in the commits of the group is ignored and overwritten. If it is not UTF-8, `rdkafka` panics
//! when it is read. The panic is caught and costs nothing but its message on the console; but if your program is built with
//! `panic = "abort"`, it ends. [`metadata(0)`](Settings::metadata) does not read it.

mod batch;
mod blocking;
mod callbacks;
mod commit_by;
mod config;
mod consumer;
mod driver;
mod error;
mod inner;
mod message;
mod messages;
mod observer;
mod pace;
mod partition;
mod race;
mod run;
mod settings;
mod shared;
mod start;
mod table;
mod work;

pub use self::commit_by::{CommitBy, CommitWith};
pub use self::consumer::Kafka;
pub use self::driver::Driver;
pub use self::error::Error;
pub use self::message::Message;
pub use self::messages::Messages;
pub use self::observer::Observer;
pub use self::partition::Partition;
pub use self::settings::Settings;
pub use rdkafka;
