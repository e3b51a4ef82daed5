//! Messages: the stream of what is assigned.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use rdkafka::Message as _;
use rdkafka::consumer::{ConsumerContext, MessageStream};
use rdkafka::message::BorrowedMessage;

use crate::kafka::callbacks::Callbacks;
use crate::kafka::inner::Inner;
use crate::kafka::message::Record;
use crate::kafka::shared::{DriverState, Phase};
use crate::kafka::{Error, Message, Partition};
use crate::positions::{Lease, Taken};

/// How many messages that were done before are passed over in one poll.
const BUDGET: usize = 128;

/// Stream for the [`messages`](crate::kafka::Kafka::messages) method.
#[must_use = "streams do nothing unless polled"]
pub struct Messages<'a, C: ConsumerContext + 'static> {
    inner: &'a Inner<C>,
    stream: MessageStream<'a, Callbacks<C>>,
    last: Option<Last>,
    /// The partition that holds too much, until it holds less or is paused.
    full: Option<Arc<Lease<Partition>>>,
    is_over: bool,
}

/// The lease of the last message, since the next one is mostly of the same partition.
struct Last {
    /// The address of librdkafka's topic.
    topic: usize,
    number: i32,
    /// How often leases had changed.
    changes: u64,
    lease: Arc<Lease<Partition>>,
}

impl<'a, C: ConsumerContext + 'static> Messages<'a, C> {
    pub(super) fn new(inner: &'a Inner<C>) -> Self {
        Self {
            inner,
            stream: inner.consumer.stream(),
            last: None,
            full: None,
            is_over: false,
        }
    }

    /// The next record with its lease; `None` if there is to be looked again.
    fn poll_record(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Record<'a>, i64, Arc<Lease<Partition>>)>> {
        let inner = self.inner;
        let shared = &inner.shared;
        let mut stash = inner.stash();
        if let Some((lease, record)) = stash.pop_front() {
            if stash.is_empty() {
                shared.notify_driver();
            }
            let offset = record.offset();
            return Poll::Ready(Some((Record::Owned(record), offset, lease)));
        }
        match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Ready(Some(Ok(record))) => {
                let offset = record.offset();
                // Under the lock, so that it is not the next lease of the partition.
                let lease = self.lease_of(&record);
                Poll::Ready(lease.map(|lease| (Record::Borrowed(record), offset, lease)))
            }
            Poll::Ready(Some(Err(error))) => {
                drop(stash);
                shared.take_error(error);
                Poll::Ready(None)
            }
            Poll::Ready(None) | Poll::Pending => {
                shared.wake_reader_by(cx.waker());
                // The end may have come before the waker.
                match shared.is_over() {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            }
        }
    }

    /// Waits while a partition holds too much.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_full = |lease: &Arc<_>| self.inner.still_holds_reader(lease, cx.waker());
        if self.full.as_ref().is_some_and(is_full) {
            // The end may have come before the waker.
            return match self.inner.shared.is_over() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        }
        self.full = None;
        Poll::Ready(())
    }

    fn lease_of(&mut self, record: &BorrowedMessage<'_>) -> Option<Arc<Lease<Partition>>> {
        let shared = &self.inner.shared;
        let (topic, number) = (record.topic_ptr() as usize, record.partition());
        let changes = shared.changes();
        let is_same =
            |last: &&Last| last.topic == topic && last.number == number && last.changes == changes;
        if let Some(last) = self.last.as_ref().filter(is_same) {
            return Some(Arc::clone(&last.lease));
        }
        let lease = {
            let state = shared.lock();
            Arc::clone(&state.table.get(record.topic(), number)?.lease)
        };
        self.last = Some(Last {
            topic,
            number,
            changes,
            lease: Arc::clone(&lease),
        });
        Some(lease)
    }

    /// Takes note that a message was read. `None`: it is not to be handed out.
    fn take(
        &mut self,
        record: Record<'a>,
        offset: i64,
        lease: &Arc<Lease<Partition>>,
    ) -> Option<Message<'a>> {
        match lease.take(offset) {
            Taken::New(_, load) if load.forgotten > 0 => {
                let partition = lease.partition().clone();
                self.inner.shared.fail(Error::Unsettled(partition));
                None
            }
            Taken::New(position, load) => {
                if self.inner.holds_reader(lease, load) {
                    self.full = Some(Arc::clone(lease));
                }
                Some(Message::new(record, position))
            }
            Taken::Skip => None,
            Taken::Behind => {
                let lease = self.inner.go_back(lease, offset);
                self.take(record, offset, &lease)
            }
        }
    }

    fn end(&mut self) -> Option<Result<Message<'a>, Error>> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let state = self.inner.shared.lock();
        let is_alone = state.driver == DriverState::Gone && state.phase == Phase::Reading;
        let failure = state.failure.clone();
        failure
            .or_else(|| is_alone.then_some(Error::DriverGone))
            .map(Err)
    }
}

impl<'a, C: ConsumerContext + 'static> Stream for Messages<'a, C> {
    type Item = Result<Message<'a>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        for _ in 0..BUDGET {
            ready!(this.poll_room(cx));
            if this.inner.shared.is_over() {
                return Poll::Ready(this.end());
            }
            this.inner.shared.count_poll();
            let Some((record, offset, lease)) = ready!(this.poll_record(cx)) else {
                continue;
            };
            if let Some(message) = this.take(record, offset, &lease) {
                return Poll::Ready(Some(Ok(message)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<C: ConsumerContext + 'static> FusedStream for Messages<'_, C> {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl<C: ConsumerContext + 'static> Drop for Messages<'_, C> {
    fn drop(&mut self) {
        self.inner.shared.lock().has_reader = false;
        self.inner.let_go();
    }
}

impl<C: ConsumerContext + 'static> fmt::Debug for Messages<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
