//! Shared: what the stream of messages, the driver and the callbacks share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use atomic_waker::AtomicWaker;
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaError;

use crate::kafka::error::is_fatal;
use crate::kafka::table::Table;
use crate::kafka::{CommitBy, Error, Observer, Partition, Settings};
use crate::positions::{Done, Drain, Lease, Limit};

/// What is past the oldest message in flight may be this many times what is in flight.
const SPAN: usize = 32;

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) observer: Arc<dyn Observer>,
    drain: Drain,
    limit: Limit,
    /// Whether what could not be committed is done all the same. In a transaction it is not.
    keeps: bool,
    /// Whether the driver has something to do, other than at its beat.
    has_notice: AtomicBool,
    driver: AtomicWaker,
    reader: AtomicWaker,
    closer: AtomicWaker,
    /// How often the stream of messages was polled.
    polls: AtomicU64,
    /// How often leases came or went.
    changes: AtomicU64,
    transient_errors: AtomicU64,
    /// Whether the stream of messages ends, and why is in the state.
    is_over: AtomicBool,
}

pub(super) struct State {
    pub(super) table: Table,
    pub(super) phase: Phase,
    pub(super) driver: DriverState,
    /// What librdkafka waits for an answer to, the oldest first. There is one, unless the assignment was lost.
    pub(super) rebalances: VecDeque<Rebalance>,
    /// What was done of partitions that were given up, and could not be committed.
    kept: HashMap<(Arc<str>, i32), Kept>,
    pub(super) failure: Option<Error>,
    /// What became of the end.
    pub(super) outcome: Option<Result<(), Error>>,
    pub(super) has_reader: bool,
}

/// What is done of a partition, and the broker does not know.
pub(super) struct Kept {
    /// The position that the broker had.
    committed: Option<i64>,
    pub(super) next: i64,
    pub(super) done: Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Reading,
    /// Nothing more is read.
    Stopping,
    /// And the driver is to end.
    Closing,
    /// And nobody will answer librdkafka later.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriverState {
    New,
    Running,
    Gone,
}

pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke {
        list: TopicPartitionList,
        since: Instant,
    },
}

impl State {
    fn keep(&mut self, lease: &Lease<Partition>) {
        let (Some(commit), Some(slot)) = (lease.commit(), self.table.slot_of(lease)) else {
            return;
        };
        let partition = lease.partition();
        let place = (Arc::clone(partition.shared_topic()), partition.number());
        let kept = Kept {
            committed: slot.committed,
            next: commit.next,
            done: commit.done,
        };
        self.kept.insert(place, kept);
    }
}

impl Shared {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::new(State {
                table: Table::default(),
                phase: Phase::Reading,
                driver: DriverState::New,
                rebalances: VecDeque::new(),
                kept: HashMap::new(),
                failure: None,
                outcome: None,
                has_reader: false,
            }),
            observer: Arc::clone(&settings.observer),
            drain: settings.drain,
            keeps: !matches!(settings.commit_by, CommitBy::With(_)),
            limit: Limit {
                in_flight: settings.in_flight,
                span: settings.in_flight.saturating_mul(SPAN),
            },
            has_notice: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            reader: AtomicWaker::new(),
            closer: AtomicWaker::new(),
            polls: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            transient_errors: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit(&self) -> Limit {
        self.limit
    }

    /// What a partition may hold for the reader to wait for it no longer.
    pub(super) fn near_limit(&self) -> Limit {
        let less = |max: usize| (max - max / 8).saturating_sub(1);
        Limit {
            in_flight: less(self.limit.in_flight),
            span: less(self.limit.span),
        }
    }

    /// What a partition that was paused may hold to be read again.
    pub(super) fn low_limit(&self) -> Limit {
        Limit {
            in_flight: self.limit.in_flight / 2,
            span: self.limit.span / 2,
        }
    }

    // ── who wakes whom

    pub(super) fn notify_driver(&self) {
        self.has_notice.store(true, Ordering::Release);
        self.driver.wake();
    }

    /// Whether the driver was notified. If not, the waker is called when it is.
    pub(super) fn poll_notice(&self, waker: &Waker) -> bool {
        self.driver.register(waker);
        self.has_notice.swap(false, Ordering::AcqRel)
    }

    pub(super) fn wake_reader(&self) {
        self.reader.wake();
    }

    pub(super) fn wake_reader_by(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    pub(super) fn wake_closer_by(&self, waker: &Waker) {
        self.closer.register(waker);
    }

    /// Called by the one reader.
    pub(super) fn count_poll(&self) {
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls + 1, Ordering::Relaxed);
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    // ── leases

    /// Begins the lease of a partition. A lease that is there ends. `committed` is the position that the broker has.
    pub(super) fn begin(&self, lease: &Arc<Lease<Partition>>, committed: Option<i64>) {
        let before = {
            let mut state = self.lock();
            let partition = lease.partition();
            let before = state.table.get(partition.topic(), partition.number());
            let before = before.map(|slot| Arc::clone(&slot.lease));
            state.table.insert(Arc::clone(lease), committed);
            if state.phase > Phase::Reading {
                lease.drain(self.drain);
            }
            self.changes.fetch_add(1, Ordering::Release);
            before
        };
        if let Some(before) = before {
            self.fence(&before);
        }
    }

    pub(super) fn give_up(&self, leases: &[Arc<Lease<Partition>>]) {
        {
            let mut state = self.lock();
            for lease in leases {
                if self.keeps {
                    state.keep(lease);
                }
                state.table.remove(lease);
            }
            self.changes.fetch_add(1, Ordering::Release);
        }
        self.wake_reader(); // it may wait for one of them
        for lease in leases {
            self.observer.given_up(lease.partition());
        }
    }

    /// Takes what is done of a partition that begins, if that is more than the broker knows. `committed` is what it knows.
    pub(super) fn take_kept(
        &self,
        topic: &Arc<str>,
        number: i32,
        committed: Option<i64>,
    ) -> Option<Kept> {
        let kept = self.lock().kept.remove(&(Arc::clone(topic), number))?;
        // A lower position is one that somebody has set, to read again.
        let is_later = committed >= kept.committed && committed <= Some(kept.next);
        is_later.then_some(kept)
    }

    /// A commit was taken.
    pub(super) fn committed(&self, lease: &Lease<Partition>, next: i64) {
        if let Some(slot) = self.lock().table.slot_of(lease) {
            slot.committed = Some(next);
        }
        self.observer.committed(lease.partition(), next);
    }

    pub(super) fn drain(&self, leases: &[Arc<Lease<Partition>>]) {
        for lease in leases {
            if !lease.load().is_ending {
                lease.drain(self.drain);
                self.observer.draining(lease.partition(), lease.in_flight());
            }
        }
    }

    /// Ends a lease that was not drained.
    pub(super) fn fence(&self, lease: &Lease<Partition>) {
        let in_flight = lease.in_flight();
        lease.fence();
        self.observer.fenced(lease.partition(), in_flight);
    }

    // ── how it ends

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self, phase: Phase) {
        let leases = {
            let mut state = self.lock();
            state.phase = state.phase.max(phase);
            self.is_over.store(true, Ordering::Release);
            state.table.leases()
        };
        self.drain(&leases);
        self.wake_reader();
        self.notify_driver();
    }

    /// The stream of messages ends with an error.
    pub(super) fn fail(&self, error: Error) {
        self.lock().failure.get_or_insert(error);
        self.is_over.store(true, Ordering::Release);
        self.wake_reader();
    }

    /// An error that librdkafka has reported.
    pub(super) fn take_error(&self, error: KafkaError) {
        if is_fatal(&error) {
            self.fail(Error::Fatal(error));
        } else if !matches!(error, KafkaError::PartitionEOF(_)) {
            self.transient_errors.fetch_add(1, Ordering::Relaxed);
            self.observer.error(&error);
        }
    }

    pub(super) fn transient_errors(&self) -> u64 {
        self.transient_errors.load(Ordering::Relaxed)
    }

    pub(super) fn begin_driver(&self) {
        self.lock().driver = DriverState::Running;
        self.closer.wake();
    }

    /// The driver has ended.
    pub(super) fn end(&self, outcome: Option<Result<(), Error>>) {
        {
            let mut state = self.lock();
            state.driver = DriverState::Gone;
            if state.outcome.is_none() {
                state.outcome = outcome;
            }
            self.is_over.store(true, Ordering::Release);
        }
        self.wake_reader();
        self.closer.wake();
    }
}
