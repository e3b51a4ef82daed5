//! Observer: who is told what happens to the partitions.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::kafka::Partition;

/// What is told of the life of each partition, for logs and metrics. Every method has an empty default.
///
/// The methods are called from the driver, from the stream of messages and from the rebalance callback. They must return
/// at once: while one runs, nothing is read. Do not call methods of [`Kafka`](crate::kafka::Kafka) in them.
///
/// The order for one partition is: `assigned`, then any number of `committed`, `commit_refused`, `paused`, `resumed` and
/// `stalled`, then `draining` and `drained` or `fenced`, then the last `committed`, then `given_up`. If the partition is
/// lost, it is `fenced`, then `given_up`.
///
/// ```
/// use ordered_by_group::kafka::{Observer, Partition, Settings};
///
/// struct Log;
///
/// impl Observer for Log {
///     fn assigned(&self, partition: &Partition, next: Option<i64>) {
///         println!("{partition} begins at {next:?}");
///     }
///
///     fn committed(&self, partition: &Partition, next: i64) {
///         println!("{partition} is committed up to {next}");
///     }
/// }
///
/// let settings = Settings::default().observer(Log);
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A partition is about to be read, from the committed offset `next`, or, without one, from where `auto.offset.reset`
    /// says.
    fn assigned(&self, partition: &Partition, next: Option<i64>) {
        let _ = (partition, next);
    }

    /// A partition is asked back, or the consumer stops. `in_flight` messages are not settled yet.
    fn draining(&self, partition: &Partition, in_flight: usize) {
        let _ = (partition, in_flight);
    }

    /// Nothing of the partition runs any more. It took `took` since it was asked back.
    fn drained(&self, partition: &Partition, took: Duration) {
        let _ = (partition, took);
    }

    /// The partition was lost, or was not drained in time. `in_flight` messages were not settled. Their handlers are
    /// dropped at the await where they are, and nothing of them counts.
    fn fenced(&self, partition: &Partition, in_flight: usize) {
        let _ = (partition, in_flight);
    }

    /// The partition is no longer this consumer's.
    fn given_up(&self, partition: &Partition) {
        let _ = partition;
    }

    /// A commit was taken: everything before `next` is done.
    ///
    /// With [`CommitBy::Store`](crate::kafka::CommitBy::Store): librdkafka was told, and commits it within
    /// `auto.commit.interval.ms`.
    fn committed(&self, partition: &Partition, next: i64) {
        let _ = (partition, next);
    }

    /// A commit was refused. It is tried again with the next one.
    fn commit_refused(&self, error: &(dyn Error + 'static)) {
        let _ = error;
    }

    /// A partition is read no further: too many of its messages are not settled, or nobody reads.
    fn paused(&self, partition: &Partition) {
        let _ = partition;
    }

    /// A partition that was paused is read again.
    fn resumed(&self, partition: &Partition) {
        let _ = partition;
    }

    /// `left` messages of the partition were settled with `false` while it was not asked back. Its position stands still
    /// until the next assignment.
    fn stalled(&self, partition: &Partition, left: usize) {
        let _ = (partition, left);
    }

    /// The log begins again at a lower offset than was read before, because it was cut or the topic was made anew. What is
    /// read from now on is handed out, and the position follows.
    fn went_back(&self, partition: &Partition, offset: i64) {
        let _ = (partition, offset);
    }

    /// An error from which librdkafka recovers by itself, such as a broker that is away.
    fn error(&self, error: &KafkaError) {
        let _ = error;
    }
}

/// Observes nothing.
impl Observer for () {}

impl<O: Observer> Observer for Arc<O> {
    fn assigned(&self, partition: &Partition, next: Option<i64>) {
        (**self).assigned(partition, next);
    }

    fn draining(&self, partition: &Partition, in_flight: usize) {
        (**self).draining(partition, in_flight);
    }

    fn drained(&self, partition: &Partition, took: Duration) {
        (**self).drained(partition, took);
    }

    fn fenced(&self, partition: &Partition, in_flight: usize) {
        (**self).fenced(partition, in_flight);
    }

    fn given_up(&self, partition: &Partition) {
        (**self).given_up(partition);
    }

    fn committed(&self, partition: &Partition, next: i64) {
        (**self).committed(partition, next);
    }

    fn commit_refused(&self, error: &(dyn Error + 'static)) {
        (**self).commit_refused(error);
    }

    fn paused(&self, partition: &Partition) {
        (**self).paused(partition);
    }

    fn resumed(&self, partition: &Partition) {
        (**self).resumed(partition);
    }

    fn stalled(&self, partition: &Partition, left: usize) {
        (**self).stalled(partition, left);
    }

    fn went_back(&self, partition: &Partition, offset: i64) {
        (**self).went_back(partition, offset);
    }

    fn error(&self, error: &KafkaError) {
        (**self).error(error);
    }
}
