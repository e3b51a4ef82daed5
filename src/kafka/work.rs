//! Work: what the driver does.

use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use crate::kafka::batch::Batch;
use crate::kafka::blocking::blocking;
use crate::kafka::callbacks::{answer_assign, answer_revoke};
use crate::kafka::commit_by::{Committing, Refusal};
use crate::kafka::consumer::Dispose;
use crate::kafka::driver::LAST_COMMIT_WITHIN;
use crate::kafka::inner::Inner;
use crate::kafka::race::{First, race};
use crate::kafka::shared::{Phase, Rebalance};
use crate::kafka::start::{Start, starts};
use crate::kafka::{CommitBy, Error, Partition};
use crate::positions::Lease;

/// How often the client is served if nobody reads.
const BEAT: Duration = Duration::from_millis(100);

/// How long one request for committed offsets may take.
const START_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait before asking once more.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How often the last commit of a partition is tried.
const TRIES: u32 = 3;

type Leases = Vec<Arc<Lease<Partition>>>;

pub(super) struct Work<C: ConsumerContext + 'static> {
    inner: Arc<Inner<C>>,
    beat: Interval,
    has_beat: bool,
    /// How often the stream of messages had been polled at the last beat.
    polls: u64,
    commit_every: Duration,
    next_commit: Instant,
    /// The commit under way. There is never another one.
    commit: Option<(Batch, Committing)>,
    /// Why the last commit was refused.
    refused: Option<Refusal>,
    /// The most characters of metadata.
    metadata: usize,
}

impl<C: ConsumerContext + 'static> Work<C> {
    pub(super) fn new(inner: Arc<Inner<C>>) -> Self {
        let mut beat = interval(BEAT.min(inner.patience / 4));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let commit_every = match inner.settings.commit_by {
            CommitBy::Store => BEAT, // librdkafka has an interval of its own
            _ => inner.settings.commit_every,
        };
        Self {
            beat,
            has_beat: false,
            polls: 0,
            commit_every,
            next_commit: Instant::now() + commit_every,
            commit: None,
            refused: None,
            metadata: inner.settings.metadata,
            inner,
        }
    }

    pub(super) async fn run(mut self, manual: Option<TopicPartitionList>) -> Result<(), Error> {
        if let Some(list) = &manual {
            self.assign(list).await;
        }
        while self.phase() < Phase::Closing {
            let rebalance = self.inner.shared.lock().rebalances.pop_front();
            match rebalance {
                Some(Rebalance::Assign(list)) => self.assign(&list).await,
                Some(Rebalance::Revoke { list, since }) => self.revoke(&list, since).await,
                None => self.turn().await,
            }
        }
        self.end().await
    }

    fn phase(&self) -> Phase {
        self.inner.shared.lock().phase
    }

    // ── the beat

    /// Waits until something is to be done at once, and does it.
    async fn turn(&mut self) {
        poll_fn(|cx| {
            let mut is_ready = self.inner.shared.poll_notice(cx.waker());
            while self.beat.poll_tick(cx).is_ready() {
                (self.has_beat, is_ready) = (true, true);
            }
            if let Some((_, commit)) = &mut self.commit {
                if let Poll::Ready(answer) = commit.as_mut().poll(cx) {
                    self.take_answer(answer);
                    is_ready = true;
                }
            }
            self.inner.resume(cx.waker());
            match is_ready {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        if std::mem::take(&mut self.has_beat) {
            // Whoever waits reads on soon, or the client is paused.
            if !self.inner.pause_slow(self.beat.period()) {
                self.serve();
            }
            self.look_at_leases();
        }
        self.commit_if_due();
    }

    /// Runs a future, and does meanwhile what is to be done.
    async fn during<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let First::Left(output) = race(future.as_mut(), self.turn()).await {
                return output;
            }
        }
    }

    fn serve(&mut self) {
        let polls = self.inner.shared.polls();
        if std::mem::replace(&mut self.polls, polls) == polls {
            self.inner.serve();
        }
        if self.phase() > Phase::Reading {
            self.inner.pause_unread();
        }
    }

    /// Tells of messages that were left, and ends the stream if some were forgotten.
    fn look_at_leases(&self) {
        let shared = &self.inner.shared;
        let (mut stalled, mut unsettled) = (Vec::new(), None);
        for slot in shared.lock().table.slots_mut() {
            let load = slot.lease.load();
            if load.is_ending {
                continue;
            }
            let partition = slot.lease.partition();
            if load.forgotten > 0 {
                unsettled = Some(partition.clone());
            }
            if load.left > slot.left {
                slot.left = load.left;
                stalled.push((partition.clone(), load.left));
            }
        }
        for (partition, left) in &stalled {
            shared.observer.stalled(partition, *left);
        }
        if let Some(partition) = unsettled {
            shared.fail(Error::Unsettled(partition));
        }
    }

    // ── partitions come and go

    async fn assign(&mut self, list: &TopicPartitionList) {
        let Some(starts) = self.starts(list).await else {
            // It ends, and nothing is to begin.
            self.answered(answer_assign(
                &self.inner.consumer,
                &TopicPartitionList::new(),
            ));
            return;
        };
        let mut begins = TopicPartitionList::with_capacity(starts.len());
        let mut leases = Leases::new();
        for start in starts {
            let from = match start.from() {
                Offset::Stored => Offset::Invalid, // nothing was committed
                from => from,
            };
            let mut element = begins.add_partition(start.topic(), start.number());
            if let Err(error) = element.set_offset(from) {
                self.inner.shared.take_error(error);
            }
            let (next, committed) = (start.next(), start.committed());
            let lease = start.into_lease();
            self.inner.shared.begin(&lease, committed);
            self.inner.shared.observer.assigned(lease.partition(), next);
            leases.push(lease);
        }
        let consumer = &self.inner.consumer;
        let answer = answer_assign(consumer, &begins);
        if answer.is_err() {
            self.inner.shared.give_up(&leases);
        } else if let Err(error) = consumer.resume(&begins) {
            // A pause outlives its assignment.
            self.inner.shared.take_error(error);
        }
        self.answered(answer);
    }

    /// Where the partitions begin. `None` if it ends meanwhile.
    async fn starts(&mut self, list: &TopicPartitionList) -> Option<Vec<Start>> {
        let reads_metadata = self.inner.settings.metadata > 0;
        let mut unknown = TopicPartitionList::new();
        let mut known = Vec::new();
        match starts(list, reads_metadata) {
            Ok(all) => {
                for start in all {
                    match start.from() {
                        Offset::Invalid | Offset::Stored => {
                            unknown.add_partition(start.topic(), start.number());
                        }
                        _ => known.push(start),
                    }
                }
            }
            Err(error) => self.inner.shared.take_error(error),
        }
        if unknown.count() == 0 {
            return Some(known);
        }
        loop {
            let (inner, list) = (Arc::clone(&self.inner), unknown.clone());
            let ask = blocking(move || {
                let committed = inner.consumer.committed_offsets(list, START_WITHIN)?;
                starts(&committed, reads_metadata)
            });
            match self.during(ask).await.unwrap_or(Err(KafkaError::Canceled)) {
                Ok(committed) => {
                    let shared = &self.inner.shared;
                    known.extend(committed.into_iter().map(|start| start.or_kept(shared)));
                    return Some(known);
                }
                Err(error) => self.inner.shared.take_error(error),
            }
            if self.phase() >= Phase::Closing {
                return None;
            }
            self.during(sleep(RETRY_AFTER)).await;
        }
    }

    async fn revoke(&mut self, list: &TopicPartitionList, since: Instant) {
        let leases = self.inner.shared.lock().table.leases_in(list);
        if self.drain(&leases, since).await {
            let within = LAST_COMMIT_WITHIN.min(self.inner.patience / 8);
            // What is refused is told to the observer, and done again by the next owner.
            let _ = self.commit_last(&leases, within).await;
        }
        self.inner.shared.give_up(&leases);
        self.answered(answer_revoke(&self.inner.consumer, list));
    }

    /// Waits until nothing of the leases runs, or ends them at the deadline. `false` if they were lost meanwhile.
    async fn drain(&mut self, leases: &Leases, since: Instant) -> bool {
        let deadline = since + self.inner.drain_within;
        let mut drained = pin!(all_drained(leases));
        let mut is_lost = false;
        loop {
            match race(drained.as_mut(), self.turn()).await {
                First::Left(()) => break,
                First::Right(()) => {}
            }
            is_lost = self.inner.consumer.assignment_lost();
            if is_lost || Instant::now() >= deadline {
                break;
            }
        }
        let shared = &self.inner.shared;
        for lease in leases {
            let load = lease.load();
            if load.is_fenced {
                continue;
            }
            if is_lost || load.in_flight > 0 {
                shared.fence(lease);
            } else {
                lease.fence();
                shared.observer.drained(lease.partition(), since.elapsed());
            }
        }
        // Those that are dropped at an await; one that does not await cannot be stopped.
        let _ = self.during(timeout(BEAT, all_drained(leases))).await;
        !is_lost
    }

    fn answered(&self, answer: KafkaResult<()>) {
        if let Err(error) = answer {
            self.inner.shared.take_error(error);
        }
    }

    // ── commits

    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if self.commit.is_some() || now < self.next_commit {
            return;
        }
        self.next_commit = now + self.commit_every;
        let leases = self.inner.shared.lock().table.leases();
        self.commit(&leases);
    }

    /// Begins to commit what has changed. `false` if nothing has.
    fn commit(&mut self, leases: &[Arc<Lease<Partition>>]) -> bool {
        let Some(batch) = Batch::of(leases) else {
            return false;
        };
        let commit = match batch.list(self.metadata) {
            Ok(list) => commit(&self.inner, list),
            Err(error) => Box::pin(ready(Err(refusal(error)))),
        };
        self.commit = Some((batch, commit));
        true
    }

    fn take_answer(&mut self, answer: Result<(), Refusal>) {
        let Some((batch, _)) = self.commit.take() else {
            return;
        };
        match answer {
            Ok(()) => batch.confirm(&self.inner.shared),
            Err(refusal) => {
                let error = refusal.downcast_ref::<KafkaError>();
                let code = error.and_then(KafkaError::rdkafka_error_code);
                if code == Some(RDKafkaErrorCode::OffsetMetadataTooLarge) {
                    self.metadata /= 2;
                }
                self.inner.shared.observer.commit_refused(&*refusal);
                self.refused = Some(refusal);
            }
        }
    }

    /// Commits what was settled before the leases ended.
    async fn commit_last(&mut self, leases: &Leases, within: Duration) -> Result<(), Refusal> {
        let deadline = Instant::now() + within;
        // The one under way first, or an older position could be written after a newer one.
        self.wait_for_commit(deadline).await?;
        for _ in 0..TRIES {
            if !self.commit(leases) {
                return Ok(());
            }
            self.refused = None;
            self.wait_for_commit(deadline).await?;
            if self.refused.is_some() {
                self.during(sleep(BEAT)).await;
                self.wait_for_commit(deadline).await?;
            }
        }
        match Batch::of(leases) {
            None => Ok(()),
            Some(_) => Err(self.refused.take().unwrap_or_else(no_answer)),
        }
    }

    async fn wait_for_commit(&mut self, deadline: Instant) -> Result<(), Refusal> {
        while self.commit.is_some() {
            if Instant::now() >= deadline {
                return Err(no_answer());
            }
            self.turn().await;
        }
        Ok(())
    }

    // ── the end

    async fn end(mut self) -> Result<(), Error> {
        let leases = self.inner.shared.lock().table.leases();
        let outcome = match self.drain(&leases, Instant::now()).await {
            true => self.commit_last(&leases, LAST_COMMIT_WITHIN).await,
            false => Ok(()),
        };
        Dispose(Some(self.inner)).dispose().await;
        outcome.map_err(Error::LastCommit)
    }
}

pub(super) fn no_answer() -> Refusal {
    let timed_out = RDKafkaErrorCode::OperationTimedOut;
    refusal(KafkaError::ConsumerCommit(timed_out))
}

fn refusal(error: KafkaError) -> Refusal {
    Arc::new(error)
}

async fn all_drained(leases: &Leases) {
    for lease in leases {
        lease.drained().await;
    }
}

fn commit<C: ConsumerContext + 'static>(
    inner: &Arc<Inner<C>>,
    list: TopicPartitionList,
) -> Committing {
    match &inner.settings.commit_by {
        CommitBy::Sync => {
            let inner = Arc::clone(inner);
            let committed = blocking(move || {
                let result = inner.consumer.commit(&list, CommitMode::Sync);
                let user = inner.consumer.context().user();
                user.commit_callback(result.clone(), &list);
                result
            });
            Box::pin(async {
                let result = committed.await.unwrap_or(Err(KafkaError::Canceled));
                result.map_err(refusal)
            })
        }
        CommitBy::Store => {
            let stored = inner.consumer.store_offsets(&list).and_then(|()| {
                let elements = list.elements();
                elements.iter().try_for_each(|element| element.error())
            });
            Box::pin(ready(stored.map_err(refusal)))
        }
        CommitBy::With(with) => match inner.consumer.group_metadata() {
            Some(group) => with.call(list, group),
            None => {
                let error = KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownGroup);
                Box::pin(ready(Err(refusal(error))))
            }
        },
    }
}
