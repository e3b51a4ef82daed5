//! Kafka: the consumer.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use rdkafka::consumer::{Consumer as _, ConsumerContext, DefaultConsumerContext, StreamConsumer};
use rdkafka::{ClientConfig, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::kafka::blocking::blocking;
use crate::kafka::callbacks::{Callbacks, DRIVER_WITHIN};
use crate::kafka::config::{self, Checked};
use crate::kafka::driver::{Driver, LAST_COMMIT_WITHIN, LEAVE_WITHIN};
use crate::kafka::inner::Inner;
use crate::kafka::shared::{DriverState, Phase, Shared};
use crate::kafka::work::no_answer;
use crate::kafka::{CommitBy, Error, Messages, Settings};

/// A consumer of Kafka whose partitions are [leases](crate::positions::Lease).
///
/// See the [module](crate::kafka) for how to use it.
///
/// If it is dropped instead of [closed](Self::close), the driver closes it in the background: what was settled is committed
/// and the group is left, if the runtime lives long enough.
pub struct Kafka<C: ConsumerContext + 'static = DefaultConsumerContext> {
    /// There until it is closed.
    inner: Option<Arc<Inner<C>>>,
}

impl<C: ConsumerContext + 'static> Kafka<C> {
    /// Creates a consumer and subscribes to topics. The group assigns their partitions.
    ///
    /// A topic that begins with `^` is a regular expression: all topics that match are consumed, also those that are made
    /// later (`topic.metadata.refresh.interval.ms`). A topic that does not exist is reported to
    /// [`Observer::error`](crate::kafka::Observer::error), and consumed as soon as it does.
    ///
    /// Spawn the [`Driver`], or nothing is assigned. `context` is yours, or `DefaultConsumerContext`; see [what is called of
    /// it](crate::kafka#your-context).
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if a setting is missing, contradicts another, or is out of its range; [`Error::Client`] if librdkafka does
    /// not accept the configuration or a topic. It does not wait for the broker: if that cannot be reached, the observer is
    /// told, and the consumer waits until it can be.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ordered_by_group::kafka::Error> {
    /// use ordered_by_group::kafka::rdkafka::ClientConfig;
    /// use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
    /// use ordered_by_group::kafka::{Kafka, Settings};
    ///
    /// let mut config = ClientConfig::new();
    /// config.set("bootstrap.servers", "localhost:9092").set("group.id", "billing");
    ///
    /// let topics = ["orders", "^returns-.*"];
    /// let (kafka, driver) =
    ///     Kafka::subscribe(&config, &topics, DefaultConsumerContext, Settings::default())?;
    /// tokio::spawn(driver);
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(
        config: &ClientConfig,
        topics: &[&str],
        context: C,
        settings: Settings,
    ) -> Result<(Self, Driver), Error> {
        if topics.is_empty() {
            return Err(Error::setting(
                "topics",
                "is empty: name at least one topic",
            ));
        }
        let inner = Self::create(config, context, settings)?;
        inner.consumer.subscribe(topics).map_err(Error::Client)?;
        Ok(Self::with_driver(inner, None))
    }

    /// Creates a consumer of the given partitions, without a group that assigns them. `group.id` is needed all the same,
    /// because positions are committed for it.
    ///
    /// A partition begins at the offset in the list, if it has one, and what its metadata says is done past it is not handed
    /// out. So positions of a store of your own go in here. Otherwise it begins where the group has committed.
    ///
    /// Nobody sees to it that no other process reads the same partitions.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Self::subscribe).
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ordered_by_group::kafka::Error> {
    /// use ordered_by_group::kafka::rdkafka::consumer::DefaultConsumerContext;
    /// use ordered_by_group::kafka::rdkafka::{ClientConfig, TopicPartitionList};
    /// use ordered_by_group::kafka::{Kafka, Settings};
    ///
    /// let mut config = ClientConfig::new();
    /// config.set("bootstrap.servers", "localhost:9092").set("group.id", "billing");
    ///
    /// let mut partitions = TopicPartitionList::new();
    /// partitions.add_partition("orders", 0);
    /// partitions.add_partition("orders", 1);
    /// let (kafka, driver) =
    ///     Kafka::assign(&config, &partitions, DefaultConsumerContext, Settings::default())?;
    /// tokio::spawn(driver);
    /// # Ok(())
    /// # }
    /// ```
    pub fn assign(
        config: &ClientConfig,
        partitions: &TopicPartitionList,
        context: C,
        settings: Settings,
    ) -> Result<(Self, Driver), Error> {
        if partitions.count() == 0 {
            let reason = "is empty: name at least one partition";
            return Err(Error::setting("partitions", reason));
        }
        if let Some(element) = partitions.elements().iter().find(|e| e.partition() < 0) {
            let reason = format!(
                "has the topic {} without the number of a partition: add it with `add_partition`",
                element.topic()
            );
            return Err(Error::setting("partitions", reason));
        }
        let inner = Self::create(config, context, settings)?;
        Ok(Self::with_driver(inner, Some(partitions.clone())))
    }

    fn create(
        config: &ClientConfig,
        context: C,
        settings: Settings,
    ) -> Result<Arc<Inner<C>>, Error> {
        let Checked {
            config,
            drain_within,
            patience,
        } = config::check(config, &settings)?;
        if Handle::try_current().is_err() {
            let reason = "is missing: create the consumer inside a tokio runtime with time enabled";
            return Err(Error::setting("runtime", reason));
        }
        let shared = Arc::new(Shared::new(&settings));
        let callbacks = Callbacks::new(context, Arc::clone(&shared));
        let consumer: StreamConsumer<_> = config
            .create_with_context(callbacks)
            .map_err(Error::Client)?;
        Ok(Arc::new(Inner::new(
            consumer,
            shared,
            settings,
            drain_within,
            patience,
        )))
    }

    fn with_driver(inner: Arc<Inner<C>>, manual: Option<TopicPartitionList>) -> (Self, Driver) {
        let driver = Driver::new(Arc::clone(&inner), manual);
        (Self { inner: Some(inner) }, driver)
    }

    /// Returns the messages of all assigned partitions, each with its position. Messages that were done before are not
    /// among them.
    ///
    /// It ends after [`stop`](Self::stop). It ends with an error if the consumer cannot go on: see
    /// [`Error`]. Errors from which librdkafka recovers are not among its items.
    ///
    /// # Panics
    ///
    /// Panics if an earlier stream of messages of this consumer is still there. With two of them, messages of a group could
    /// overtake each other.
    #[track_caller]
    pub fn messages(&self) -> Messages<'_, C> {
        let has_reader = std::mem::replace(&mut self.inner().shared.lock().has_reader, true);
        assert!(
            !has_reader,
            "only one stream of messages can be there at a time"
        );
        Messages::new(self.inner())
    }

    /// Begins to end: no more messages are read, and the stream of messages ends. Handlers that run are finished, and what
    /// waits is left for the next consumer, or finished too with
    /// [`Drain::Admitted`](crate::positions::Drain::Admitted).
    ///
    /// Then the pipeline ends by itself. There is no deadline for it here: put a `timeout` around the pipeline if you need one,
    /// and [`close`](Self::close) afterwards.
    ///
    /// It may be called more than once, and returns at once.
    pub fn stop(&self) {
        self.inner().shared.advance(Phase::Stopping);
    }

    /// Commits what was settled last, gives up all partitions and leaves the group.
    ///
    /// Call it when the pipeline has ended. If positions are still held elsewhere, such as in a task of yours, it waits for
    /// them up to [`drain_within`](Settings::drain_within).
    ///
    /// # Errors
    ///
    /// [`Error::LastCommit`] if the last commit was refused three times or not answered within 5 seconds, for instance because
    /// the broker is away; [`Error::DriverGone`] or [`Error::DriverNotStarted`] if nobody runs the driver. The consumer is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the driver goes on closing the consumer in the background.
    pub async fn close(mut self) -> Result<(), Error> {
        let Some(inner) = self.inner.take() else {
            unreachable!("only this method takes it");
        };
        let inner = Dispose(Some(inner));
        let shared = Arc::clone(&inner.get().shared);
        shared.advance(Phase::Closing);
        let has_started = poll_fn(|cx| {
            shared.wake_closer_by(cx.waker());
            match shared.lock().driver {
                DriverState::New => Poll::Pending,
                DriverState::Running | DriverState::Gone => Poll::Ready(()),
            }
        });
        if timeout(DRIVER_WITHIN, has_started).await.is_err() {
            inner.dispose().await;
            return Err(Error::DriverNotStarted);
        }
        let outcome = poll_fn(|cx| {
            shared.wake_closer_by(cx.waker());
            let state = shared.lock();
            match (&state.outcome, state.driver) {
                (Some(outcome), _) => Poll::Ready(outcome.clone()),
                (None, DriverState::Gone) => Poll::Ready(Err(Error::DriverGone)),
                (None, _) => Poll::Pending,
            }
        });
        let patience = inner.get().drain_within + 2 * LAST_COMMIT_WITHIN + 2 * LEAVE_WITHIN;
        let outcome = timeout(patience, outcome).await;
        let stores = matches!(inner.get().settings.commit_by, CommitBy::Store);
        let has_left = inner.dispose().await;
        if stores && !has_left {
            return Err(Error::LastCommit(no_answer()));
        }
        outcome.unwrap_or(Err(Error::DriverGone))
    }

    /// Returns how many errors there were from which librdkafka recovers by itself. The
    /// [`Observer`](crate::kafka::Observer::error) is told each.
    pub fn transient_errors(&self) -> u64 {
        self.inner().shared.transient_errors()
    }

    fn inner(&self) -> &Inner<C> {
        self.inner.as_ref().expect("it is there until it is closed")
    }
}

/// Drops the client where it may block: it waits until the group is left.
pub(super) struct Dispose<C: ConsumerContext + 'static>(pub(super) Option<Arc<Inner<C>>>);

impl<C: ConsumerContext + 'static> Dispose<C> {
    fn get(&self) -> &Arc<Inner<C>> {
        self.0.as_ref().expect("it is there until it is dropped")
    }

    /// `false` if the group was not left in time, as when the broker is away. It is tried on.
    pub(super) async fn dispose(mut self) -> bool {
        let Some(inner) = self.0.take() else {
            return true;
        };
        inner.close();
        timeout(LEAVE_WITHIN, blocking(move || drop(inner)))
            .await
            .is_ok()
    }
}

impl<C: ConsumerContext + 'static> Drop for Dispose<C> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            drop(blocking(move || drop(inner)));
        }
    }
}

impl<C: ConsumerContext + 'static> Drop for Kafka<C> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        inner.shared.advance(Phase::Closing);
        drop(Dispose(Some(inner)));
    }
}

impl<C: ConsumerContext + 'static> fmt::Debug for Kafka<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner().shared.lock();
        let (phase, partitions) = (state.phase, state.table.len());
        drop(state);
        f.debug_struct("Kafka")
            .field("phase", &phase)
            .field("partitions", &partitions)
            .finish_non_exhaustive()
    }
}
