//! Inner: the client, and what was fetched while nobody read.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::message::OwnedMessage;

use crate::kafka::callbacks::{Callbacks, answer_assign, answer_revoke};
use crate::kafka::pace::enough;
use crate::kafka::shared::{Phase, Rebalance, Shared};
use crate::kafka::table::Slot;
use crate::kafka::{Partition, Settings};
use crate::positions::{Done, Lease, Load};

/// So many messages are fetched while nobody reads; then the partitions are paused.
const STASH: usize = 64;

/// So many events other than messages are served at a beat.
const EVENTS: usize = 64;

/// What was fetched while nobody read, the oldest first.
pub(super) type Stash = VecDeque<(Arc<Lease<Partition>>, OwnedMessage)>;

pub(super) struct Inner<C: ConsumerContext + 'static> {
    pub(super) consumer: StreamConsumer<Callbacks<C>>,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Settings,
    pub(super) drain_within: Duration,
    pub(super) patience: Duration,
    /// Locked while the client is polled, so that messages come in order. Before the state, if both.
    stash: Mutex<Stash>,
}

impl<C: ConsumerContext + 'static> Inner<C> {
    pub(super) fn new(
        consumer: StreamConsumer<Callbacks<C>>,
        shared: Arc<Shared>,
        settings: Settings,
        drain_within: Duration,
        patience: Duration,
    ) -> Self {
        Self {
            consumer,
            shared,
            settings,
            drain_within,
            patience,
            stash: Mutex::new(Stash::new()),
        }
    }

    pub(super) fn stash(&self) -> MutexGuard<'_, Stash> {
        self.stash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves the client's events while nobody reads: rebalances, errors, statistics. At most one message is fetched.
    pub(super) fn serve(&self) {
        let mut stash = match self.stash.try_lock() {
            Ok(stash) => stash,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return, // somebody reads
        };
        let served = Arc::new(Served::default());
        let waker = Waker::from(Arc::clone(&served));
        let mut stream = pin!(self.consumer.stream());
        for _ in 0..EVENTS {
            match stream.as_mut().poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(Ok(record))) => {
                    let lease = {
                        let state = self.shared.lock();
                        let slot = state.table.get(record.topic(), record.partition());
                        let is_read = state.phase == Phase::Reading;
                        slot.filter(|_| is_read).map(|slot| Arc::clone(&slot.lease))
                    };
                    if let Some(lease) = lease {
                        stash.push_back((lease, record.detach()));
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => self.shared.take_error(error),
                Poll::Ready(None) | Poll::Pending if served.take() => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        if stash.len() >= STASH {
            self.pause_unread();
        }
        let is_empty = stash.is_empty();
        drop(stash);
        if !is_empty {
            self.shared.wake_reader();
        }
    }

    /// Pauses all partitions, since nobody reads.
    pub(super) fn pause_unread(&self) {
        self.pause(|slot| !std::mem::replace(&mut slot.is_unread, true));
    }

    /// Whether the reader is to wait until a partition holds less. If the partition is known to be slow, it is paused
    /// instead; if it is the only one, it may hold any amount.
    pub(super) fn holds_reader(&self, lease: &Lease<Partition>, load: Load) -> bool {
        if self.shared.limit().has_room_for_more(load) {
            return false;
        }
        {
            let mut state = self.shared.lock();
            let is_only = state.table.len() < 2;
            let slot = state.table.slot_of(lease);
            let Some(slot) = slot.filter(|slot| !is_only && !slot.is_full) else {
                return false;
            };
            slot.is_held = !slot.pace.is_slow();
            if slot.is_held {
                return true;
            }
        }
        self.pause(|slot| *slot.lease.partition() == *lease.partition() && slot.fill());
        self.shared.notify_driver();
        false
    }

    /// Whether the reader still waits until the partition holds less. If so, the waker is called when it does.
    pub(super) fn still_holds_reader(&self, lease: &Lease<Partition>, waker: &Waker) -> bool {
        // Before it is looked at, since it may be paused in between.
        self.shared.wake_reader_by(waker);
        let near = self.shared.near_limit();
        let mut state = self.shared.lock();
        let Some(slot) = state.table.slot_of(lease) else {
            return false;
        };
        slot.is_held = slot.is_held && !lease.poll_room(near, waker);
        slot.is_held
    }

    /// At each beat: pauses a partition for which the reader waits and that is slow. `true` if the reader waits on.
    pub(super) fn pause_slow(&self, beat: Duration) -> bool {
        let near = self.shared.near_limit();
        let enough = enough(self.shared.limit(), self.shared.low_limit(), beat);
        let mut is_let_go = false;
        self.pause(|slot| {
            let load = slot.lease.load();
            let is_slow = slot.pace.beat(load.settled, slot.is_held, enough);
            let was_held = slot.is_held;
            slot.is_held &= !is_slow && !near.has_room(load);
            is_let_go |= was_held && !slot.is_held;
            is_slow && slot.fill()
        });
        if is_let_go {
            self.shared.wake_reader();
            self.shared.notify_driver();
        }
        self.shared.lock().table.slots().any(|slot| slot.is_held)
    }

    /// The reader has gone.
    pub(super) fn let_go(&self) {
        for slot in self.shared.lock().table.slots_mut() {
            slot.is_held = false;
        }
    }

    /// Pauses the partitions for which a reason is found that was not there before.
    fn pause(&self, mut is_new: impl FnMut(&mut Slot) -> bool) {
        let mut state = self.shared.lock();
        let mut paused = Vec::new();
        for slot in state.table.slots_mut() {
            let was_paused = slot.is_paused();
            if is_new(slot) && !was_paused {
                paused.push(slot.lease.partition().clone());
            }
        }
        if paused.is_empty() {
            return;
        }
        // Under the lock, so that it does not come after a later `resume`.
        let answer = self.consumer.pause(&list_of(&paused));
        if state.phase > Phase::Reading {
            paused.clear(); // it is part of the end
        }
        drop(state);
        match answer {
            Ok(()) => paused
                .iter()
                .for_each(|partition| self.shared.observer.paused(partition)),
            Err(error) => self.shared.take_error(error),
        }
    }

    /// Reads the partitions on that were paused and need not be. Of those that hold too much, the waker is called when they
    /// hold less.
    pub(super) fn resume(&self, waker: &Waker) {
        let is_read = self.stash().is_empty();
        let limit = self.shared.low_limit();
        let mut state = self.shared.lock();
        if state.phase > Phase::Reading {
            return;
        }
        let is_only = state.table.len() < 2;
        let mut resumed = Vec::new();
        for slot in state.table.slots_mut() {
            let was_paused = slot.is_paused();
            slot.is_unread &= !is_read;
            if slot.is_full && (is_only || slot.lease.poll_room(limit, waker)) {
                slot.is_full = false;
                slot.pace.resume();
            }
            if was_paused && !slot.is_paused() {
                resumed.push(slot.lease.partition().clone());
            }
        }
        if resumed.is_empty() {
            return;
        }
        let answer = self.consumer.resume(&list_of(&resumed));
        drop(state);
        match answer {
            Ok(()) => resumed
                .iter()
                .for_each(|partition| self.shared.observer.resumed(partition)),
            Err(error) => self.shared.take_error(error),
        }
    }

    /// The log begins again at a lower offset. Begins a new lease there, in place of the one that was there.
    pub(super) fn go_back(
        &self,
        before: &Arc<Lease<Partition>>,
        offset: i64,
    ) -> Arc<Lease<Partition>> {
        let partition = before.partition();
        let topic = Arc::clone(partition.shared_topic());
        let number = partition.number();
        let lease = Lease::with_epoch(
            |epoch| Partition::new(topic, number, epoch),
            None,
            Done::default(),
        );
        let mut stash = self.stash();
        self.shared.begin(&lease, None);
        for (of, _) in stash.iter_mut().filter(|(of, _)| Arc::ptr_eq(of, before)) {
            *of = Arc::clone(&lease);
        }
        drop(stash);
        self.shared.observer.went_back(lease.partition(), offset);
        lease
    }

    /// Nobody will answer librdkafka later: answers what it waits for, and from now on at once.
    pub(super) fn close(&self) {
        let (leases, rebalances) = {
            let mut state = self.shared.lock();
            state.phase = Phase::Closed;
            let rebalances = std::mem::take(&mut state.rebalances);
            (state.table.leases(), rebalances)
        };
        for lease in &leases {
            if !lease.load().is_fenced {
                self.shared.fence(lease);
            }
        }
        self.shared.give_up(&leases);
        for rebalance in rebalances {
            let answer = match rebalance {
                Rebalance::Assign(_) => answer_assign(&self.consumer, &TopicPartitionList::new()),
                Rebalance::Revoke { list, .. } => answer_revoke(&self.consumer, &list),
            };
            if let Err(error) = answer {
                self.shared.take_error(error);
            }
        }
    }
}

impl<C: ConsumerContext + 'static> Drop for Inner<C> {
    fn drop(&mut self) {
        // The client is polled until it has left the group, and there is nobody else to answer it.
        self.close();
    }
}

pub(super) fn list_of<'a>(
    partitions: impl IntoIterator<Item = &'a Partition>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(partition.topic(), partition.number());
    }
    list
}

/// Learns that an event was served: the stream then asks to be polled again.
#[derive(Default)]
struct Served(AtomicBool);

impl Served {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Served {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
