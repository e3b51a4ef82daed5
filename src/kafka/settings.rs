//! Settings: what the consumer does beyond what rdkafka's configuration says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::kafka::{CommitBy, Observer};
use crate::positions::Drain;

/// What a consumer does beyond what its `ClientConfig` says.
///
/// ```
/// use std::time::Duration;
///
/// use ordered_by_group::kafka::Settings;
/// use ordered_by_group::positions::Drain;
///
/// let settings = Settings::default()
///     .commit_every(Duration::from_millis(500))
///     .drain(Drain::Running)
///     .drain_within(Duration::from_secs(20));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Settings {
    pub(super) commit_every: Duration,
    pub(super) commit_by: CommitBy,
    pub(super) drain: Drain,
    /// `None`: 10 s, or less if `max.poll.interval.ms` asks for it.
    pub(super) drain_within: Option<Duration>,
    pub(super) metadata: usize,
    pub(super) in_flight: usize,
    pub(super) observer: Arc<dyn Observer>,
}

impl Settings {
    /// Sets how often positions are committed. The default is 1 s; at least 10 ms.
    ///
    /// A crash repeats what was done since the last commit. Nothing is sent if nothing has changed.
    pub fn commit_every(mut self, interval: Duration) -> Self {
        self.commit_every = interval;
        self
    }

    /// Sets who writes a commit. The default is [`CommitBy::Sync`].
    pub fn commit_by(mut self, commit_by: CommitBy) -> Self {
        self.commit_by = commit_by;
        self
    }

    /// Sets what is still done of a partition that is asked back, or when the consumer stops. The default is
    /// [`Drain::Running`].
    ///
    /// With [`metadata(0)`](Self::metadata), what is done past a message that was left is repeated by the next owner. Use
    /// [`Drain::Admitted`] then.
    pub fn drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// Sets how long a partition that is asked back may take to drain. What runs after that is dropped at the await where
    /// it is, and nothing of it counts.
    ///
    /// The default is 10 s, or three quarters of `max.poll.interval.ms` if that is less. It must not be more than three
    /// quarters of `max.poll.interval.ms`: this is how long the broker waits before it gives the partition to another
    /// consumer, whether or not this one has finished.
    ///
    /// Meanwhile no partition of this consumer is read, and with the assignors `range` and `roundrobin` neither is any
    /// other of the group. So choose it a little longer than the slowest handler, and not much longer.
    pub fn drain_within(mut self, deadline: Duration) -> Self {
        self.drain_within = Some(deadline);
        self
    }

    /// Sets how many characters of metadata a commit may have, to say what is done past the position. The default is 4,096,
    /// which is what a broker accepts unless its `offset.metadata.max.bytes` says otherwise.
    ///
    /// With 0 nothing is written and nothing is read; a crash repeats everything past the oldest message that was not done.
    /// If the broker refuses a commit because its metadata is too long, half as many are used from then on.
    pub fn metadata(mut self, max_chars: usize) -> Self {
        self.metadata = max_chars;
        self
    }

    /// Sets how many messages of one partition may be handed out and not settled. The default is 1,024; at least 1.
    ///
    /// It keeps one partition, with one stuck key, from taking all of the window. A partition that holds so many is not read
    /// on. The stream of messages waits until it holds an eighth less. If it is so slow that half of them last for more than
    /// 500 ms, it is paused instead, and the other partitions are read. They wait for 0.2 s at most, and not at all for a
    /// partition that was slow before. It is resumed when half of them are settled. The same is done at 32 times as many
    /// messages past its oldest one in flight. If this consumer has only one partition, there is no limit.
    ///
    /// A pause throws away what librdkafka has fetched of the partition ahead, and takes up to `fetch.wait.max.ms` (500 by
    /// default) to end.
    ///
    /// Choose it so that several partitions fit into [`look_ahead`](crate::TryOrdered::look_ahead). In source order, a message
    /// whose result waits for its turn is in flight as well, so ten times `max_parallel` is not too much.
    pub fn in_flight(mut self, max: usize) -> Self {
        self.in_flight = max;
        self
    }

    /// Sets who is told what happens to the partitions. The default is nobody. An `Arc` of an observer is one as well.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            commit_every: Duration::from_secs(1),
            commit_by: CommitBy::default(),
            drain: Drain::Running,
            drain_within: None,
            metadata: 4_096,
            in_flight: 1_024,
            observer: Arc::new(()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("commit_every", &self.commit_every)
            .field("commit_by", &self.commit_by)
            .field("drain", &self.drain)
            .field("drain_within", &self.drain_within)
            .field("metadata", &self.metadata)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
