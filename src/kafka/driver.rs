//! Driver: what runs beside the stream of messages.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerContext;

use crate::kafka::Error;
use crate::kafka::blocking::blocking;
use crate::kafka::inner::Inner;
use crate::kafka::shared::Shared;
use crate::kafka::work::Work;

/// How long the last commit of a partition may take.
pub(super) const LAST_COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to leave the group.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(5);

type Working = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Answers the group, commits, and keeps the consumer a member while nobody reads. Returned with the consumer by
/// [`subscribe`](crate::kafka::Kafka::subscribe) and [`assign`](crate::kafka::Kafka::assign).
///
/// Spawn it, as in `tokio::spawn(driver)`, or poll it beside the pipeline with `join!`. It must run in a tokio runtime with
/// time enabled. It completes once the consumer is [closed](crate::kafka::Kafka::close) or dropped, with what `close`
/// returns.
///
/// If it is dropped before, nothing is committed any more, and the stream of messages ends with
/// [`Error::DriverGone`].
#[must_use = "nothing is assigned or committed unless the driver is spawned, as in `tokio::spawn(driver)`"]
pub struct Driver {
    /// There until it has completed.
    work: Option<Working>,
    shared: Arc<Shared>,
    is_new: bool,
}

impl Driver {
    pub(super) fn new<C: ConsumerContext + 'static>(
        inner: Arc<Inner<C>>,
        manual: Option<TopicPartitionList>,
    ) -> Self {
        let shared = Arc::clone(&inner.shared);
        Self {
            work: Some(Box::pin(async move { Work::new(inner).run(manual).await })),
            shared,
            is_new: true,
        }
    }
}

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.is_new) {
            self.shared.begin_driver();
        }
        let work = self.work.as_mut();
        let work = work.expect("a driver that has completed must not be polled again");
        match work.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                self.work = None;
                self.shared.end(Some(outcome.clone()));
                Poll::Ready(outcome)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        self.shared.end(None);
        // It may hold the client, whose drop waits until the group is left.
        drop(blocking(move || drop(work)));
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("has_ended", &self.work.is_none())
            .finish_non_exhaustive()
    }
}
