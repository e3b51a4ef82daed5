//! CommitBy: who writes a commit.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;

/// Why a commit was refused.
pub(super) type Refusal = Arc<dyn Error + Send + Sync>;

pub(super) type Committing = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

type Commit = dyn Fn(TopicPartitionList, ConsumerGroupMetadata) -> Committing + Send + Sync;

/// How positions are committed: at each interval, before a partition is given up, and when the consumer is closed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum CommitBy {
    /// By a commit whose answer is awaited, on a thread for blocking calls. The default.
    ///
    /// A crash repeats what was done since the last interval.
    #[default]
    Sync,
    /// By telling librdkafka (`store_offsets`), which commits by itself every `auto.commit.interval.ms`, and when a
    /// partition is given up.
    ///
    /// It needs no thread. Whether a commit was taken is told to `commit_callback` of your context only. It sets
    /// `enable.auto.commit=true`, and `auto.commit.interval.ms` to the interval of the commits unless you set it.
    Store,
    /// By a function of yours; see [`with`](Self::with).
    With(CommitWith),
}

/// A function that commits. Made by [`CommitBy::with`].
#[derive(Clone)]
pub struct CommitWith(Arc<Commit>);

impl CommitBy {
    /// Commits by a function of yours: in a transaction of a producer, or in a store of your own.
    ///
    /// It is called with the offsets to commit, their metadata included, and with the metadata of the group, which
    /// [`send_offsets_to_transaction`](rdkafka::producer::Producer::send_offsets_to_transaction) takes. One call is made at
    /// a time. Return `Ok` only when the offsets are written. An error is told to
    /// [`commit_refused`](crate::kafka::Observer::commit_refused), and the same and what has been settled since comes with the
    /// next call.
    ///
    /// Offsets and their metadata must be written together. Where the partitions are read from after a restart is always
    /// what the group has committed in Kafka. If you commit elsewhere, read with [`Kafka::assign`](crate::kafka::Kafka::assign)
    /// from the offsets of your own store.
    ///
    /// The future runs in the driver, and must not block its thread: put blocking calls, such as those of a transactional
    /// producer, in `spawn_blocking`.
    ///
    /// # Exactly once
    ///
    /// The offsets are those of what was settled *before* the call. So begin the transaction in this function, and send in it
    /// the outputs of the messages that the offsets cover, and no others. An output that was sent, but whose message is not
    /// covered, would be sent twice after a crash. A message is covered if its offset is less than the offset in the list, or
    /// if [`Done::decode`](crate::positions::Done::decode) of that offset and its metadata contains it.
    ///
    /// Until then, keep the outputs in memory: the pipeline puts in the output, and then settles the message. If the
    /// transaction fails, abort it and keep them; drop those of a partition when it is
    /// [`given_up`](crate::kafka::Observer::given_up). Metadata must be on, and not be cut:
    /// [`Settings::metadata`](crate::kafka::Settings::metadata) says how much fits.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use ordered_by_group::kafka::rdkafka::TopicPartitionList;
    /// use ordered_by_group::kafka::rdkafka::error::{KafkaError, KafkaResult};
    /// use ordered_by_group::kafka::rdkafka::producer::{BaseProducer, Producer as _};
    /// use ordered_by_group::kafka::{CommitBy, Settings};
    ///
    /// /// What was handled, and is not committed.
    /// # #[derive(Default)]
    /// struct Outputs { /* by partition and offset */ }
    ///
    /// impl Outputs {
    ///     fn send_covered(&self, offsets: &TopicPartitionList, to: &BaseProducer) -> KafkaResult<()> {
    ///         // ..
    /// #       let _ = (offsets, to);
    ///         Ok(())
    ///     }
    ///
    ///     fn remove_covered(&self, offsets: &TopicPartitionList) {
    ///         // ..
    /// #       let _ = offsets;
    ///     }
    /// }
    ///
    /// fn settings(producer: Arc<BaseProducer>, outputs: Arc<Outputs>) -> Settings {
    ///     Settings::default().commit_by(CommitBy::with(move |offsets, group| {
    ///         let (producer, outputs) = (Arc::clone(&producer), Arc::clone(&outputs));
    ///         async move {
    ///             let committed = tokio::task::spawn_blocking(move || {
    ///                 let within = Duration::from_secs(10);
    ///                 producer.begin_transaction()?;
    ///                 let sent = outputs
    ///                     .send_covered(&offsets, &producer)
    ///                     .and_then(|()| producer.send_offsets_to_transaction(&offsets, &group, within))
    ///                     .and_then(|()| producer.commit_transaction(within));
    ///                 match &sent {
    ///                     Ok(()) => outputs.remove_covered(&offsets),
    ///                     Err(_) => producer.abort_transaction(within)?,
    ///                 }
    ///                 sent
    ///             });
    ///             committed.await.unwrap_or(Err(KafkaError::Canceled))
    ///         }
    ///     }))
    /// }
    /// ```
    pub fn with<F, Fut, E>(commit: F) -> Self
    where
        F: Fn(TopicPartitionList, ConsumerGroupMetadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Self::With(CommitWith(Arc::new(move |offsets, group| {
            let commit = commit(offsets, group);
            Box::pin(async move { commit.await.map_err(|error| Refusal::from(error.into())) })
        })))
    }
}

impl CommitWith {
    pub(super) fn call(
        &self,
        offsets: TopicPartitionList,
        group: ConsumerGroupMetadata,
    ) -> Committing {
        (self.0)(offsets, group)
    }
}

impl fmt::Debug for CommitWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitWith").finish_non_exhaustive()
    }
}
