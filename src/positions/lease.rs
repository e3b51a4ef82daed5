//! Lease: one partition, from the moment it is given to a process to the moment it is given up.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::positions::ledger::Ledger;
use crate::positions::sleepers::Sleepers;
use crate::positions::{Commit, Done, Drain, Drained, Position};

/// One partition of a log, from the moment it is given to a process to the moment it is given up.
///
/// The lease hands out a [`Position`] for each item that is read, learns from it what became of the item, and says what to
/// [commit](Self::commit). If the partition is given up and later given back, that is a new lease. Whatever still happens to
/// items of the old one cannot touch it. To end a lease, [fence](Self::fence) it: if you only drop it, its handlers run on.
///
/// `P` is the partition, of any type: a number, a name, or `()` if there is one only. All methods can be called from any
/// thread. They take a lock for a moment, and never call code of yours or wake a task while they hold it.
///
/// ```
/// use ordered_by_group::positions::{Done, Lease};
///
/// let lease = Lease::new("orders", Some(7), Done::default());
/// let seven = lease.read(7).expect("not done before");
/// let eight = lease.read(8).expect("not done before");
///
/// eight.settle(true);
/// assert_eq!(lease.commit().map(|commit| commit.next), Some(7)); // 7 holds it back; 8 is in `done`
/// seven.settle(true);
/// assert_eq!(lease.commit().map(|commit| commit.next), Some(9));
/// ```
#[doc(alias = "assignment")]
#[doc(alias = "claim")]
#[doc(alias = "shard")]
pub struct Lease<P> {
    partition: P,
    epoch: u64,
    /// The same as in the state, to be seen without the lock.
    is_fenced: AtomicBool,
    /// No handler may start any more: it is fenced, or drains what runs. Set under the lock, before the handlers are counted.
    is_closed: AtomicBool,
    /// How many handlers `run` has started that still exist. Raised before `is_closed` is looked at.
    handlers: AtomicUsize,
    /// Somebody waits, or has waited, until the lease is drained. Set under the lock, before the handlers are counted.
    is_awaited: AtomicBool,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    drain: Option<Drain>,
    is_fenced: bool,
    /// The handlers that await something. They are woken by the fence.
    asleep: Sleepers,
    /// Who waits until the lease is drained.
    waiting: Sleepers,
    /// How many items were dropped without being settled.
    #[cfg(feature = "rdkafka")]
    forgotten: usize,
    /// Who waits until the lease holds less.
    #[cfg(feature = "rdkafka")]
    room: Option<(Limit, Waker)>,
}

/// How much a lease holds.
#[cfg(feature = "rdkafka")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    /// How many items were read from the oldest one in flight on.
    pub(crate) span: usize,
    pub(crate) left: usize,
    /// How many items were read and are not in flight any more.
    pub(crate) settled: u64,
    /// How many of those that were left nobody has settled.
    pub(crate) forgotten: usize,
    /// It drains or is fenced.
    pub(crate) is_ending: bool,
    pub(crate) is_fenced: bool,
}

/// How much a lease may hold.
#[cfg(feature = "rdkafka")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) in_flight: usize,
    pub(crate) span: usize,
}

#[cfg(feature = "rdkafka")]
impl Limit {
    /// Whether what is held is no more than the limit.
    pub(crate) fn has_room(self, load: Load) -> bool {
        load.in_flight <= self.in_flight && load.span <= self.span
    }

    pub(crate) fn has_room_for_more(self, load: Load) -> bool {
        load.in_flight < self.in_flight && load.span < self.span
    }
}

/// What there is to do with an item of the log.
#[cfg(feature = "rdkafka")]
pub(crate) enum Taken<P> {
    /// Hand it out.
    New(Position<P>, Load),
    /// It was done before, or the lease ends.
    Skip,
    /// It is before what was read or done already: the log has gone back.
    Behind,
}

/// To be woken without a lock, when it is dropped at the latest: all of them, even if the waker of one panics.
#[must_use]
struct ToWake(std::vec::IntoIter<Waker>);

impl<P> Lease<P> {
    /// Begins a lease of a partition at the position `next`, the next offset to read.
    ///
    /// `next` and `done` are what the last [`Commit`] of the partition says. `done` comes from [`Done::decode`], or is
    /// [`Done::default()`] if you do not store it.
    ///
    /// With `next` of `None`, the partition was never committed. Its position is then the first offset that is read, wherever
    /// you begin to read.
    pub fn new(partition: P, next: Option<i64>, done: Done) -> Arc<Self> {
        Self::with_epoch(|_| partition, next, done)
    }

    /// The same for a partition that knows the number of its lease.
    pub(crate) fn with_epoch(
        partition: impl FnOnce(u64) -> P,
        next: Option<i64>,
        done: Done,
    ) -> Arc<Self> {
        static EPOCHS: AtomicU64 = AtomicU64::new(1);
        let epoch = EPOCHS.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            partition: partition(epoch),
            epoch,
            is_fenced: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            handlers: AtomicUsize::new(0),
            is_awaited: AtomicBool::new(false),
            state: Mutex::new(State {
                ledger: Ledger::new(next, done),
                drain: None,
                is_fenced: false,
                asleep: Sleepers::default(),
                waiting: Sleepers::default(),
                #[cfg(feature = "rdkafka")]
                forgotten: 0,
                #[cfg(feature = "rdkafka")]
                room: None,
            }),
        })
    }

    /// Returns the partition.
    pub fn partition(&self) -> &P {
        &self.partition
    }

    /// Returns the number of this lease. It rises from lease to lease, and no other lease of this process has it.
    ///
    /// It tells the leases of a partition apart, for instance in [`partitions`](crate::Ordered::partitions). It is not a fencing
    /// token, because another process counts for itself.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes note that an item was read, and returns its position. `None` means: do not hand this item out.
    ///
    /// Call it once for each item, in front of the operator. Offsets must rise; they may have gaps. It returns `None` if
    ///
    /// - the item was done before: it is in [`Done`] or before the position;
    /// - the offset is not above the last one that was read: the item was handed out already;
    /// - the lease drains or is fenced: the next lease hands the item out.
    ///
    /// An item that you filter out must be read and settled like any other, or the position stands still before it.
    #[must_use = "an item whose position is dropped counts as left, and holds back the position for good"]
    pub fn read(self: &Arc<Self>, offset: i64) -> Option<Position<P>> {
        let number = {
            let mut state = self.lock();
            if state.drain.is_some() || state.is_fenced {
                return None;
            }
            state.ledger.read(offset)?
        };
        Some(Position::new(Arc::clone(self), offset, number))
    }

    /// Returns the position, if there is one: the next offset to read after a crash, everything before it being done.
    pub fn next(&self) -> Option<i64> {
        self.lock().ledger.next()
    }

    /// Returns how many items are handed out and not settled. It is 0 once the lease is fenced.
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    /// Returns how many items were left.
    ///
    /// If it is not 0 in a lease that does not drain, the position stands still until the partition has a new lease. That
    /// is worth an alarm, or a new lease: see [what is left](crate::guide::positions#what-is-left).
    #[doc(alias = "gauge")]
    #[doc(alias = "metrics")]
    pub fn left(&self) -> usize {
        self.lock().ledger.left()
    }

    /// Returns what to commit, if it has changed since the last commit that was [confirmed](Self::confirm).
    ///
    /// Call it as often as you want to commit, such as once a second. It changes nothing: if a commit fails, the next call
    /// returns the same, and what has changed since.
    ///
    /// If the partition was never committed, the first offset that is read is worth a commit too. It is the place to begin
    /// again after a crash, whatever the log would do without a position.
    ///
    /// It returns what was done until the fence even after the fence. So fence, then commit, then give the partition
    /// up. If you have lost the partition already, do not commit.
    ///
    /// It takes O(n) for n items that were read past the position, [less than 0.1 ms](crate::guide::positions#what-it-costs)
    /// for 100,000, and next to nothing if nothing has changed.
    pub fn commit(&self) -> Option<Commit> {
        let state = self.lock();
        let done = state.ledger.to_commit()?;
        Some(Commit {
            next: state.ledger.next()?,
            done,
            epoch: self.epoch,
            changes: state.ledger.changes(),
        })
    }

    /// Takes note that a commit was written, so that [`commit`](Self::commit) returns only what changes from now on.
    ///
    /// Call it only when the log or the database has said yes. A commit that is older than one confirmed before changes
    /// nothing, and neither does one of another lease.
    pub fn confirm(&self, commit: &Commit) {
        if commit.epoch == self.epoch {
            self.lock().ledger.confirm(commit.changes);
        }
    }

    /// Begins to give the partition up. From now on [`read`](Self::read) returns `None`; what was handed out is finished, or
    /// left if it waits, as `how` says.
    ///
    /// There is no way back, since the next lease of the partition may already count on it. From
    /// [`Admitted`](Drain::Admitted) it can be changed to [`Running`](Drain::Running), but not the other way round.
    ///
    /// Then await [`drained`](Self::drained), with a deadline.
    pub fn drain(&self, how: Drain) {
        let mut state = self.lock();
        if state.drain != Some(Drain::Running) {
            state.drain = Some(how);
        }
        if how == Drain::Running {
            self.is_closed.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until nothing of this lease is in flight, and no handler that [`run`](Position::run) has started is left.
    ///
    /// It completes at once if that is so already. Call [`drain`](Self::drain) or [`fence`](Self::fence) first; otherwise
    /// more may be read before you look.
    ///
    /// After a fence, it waits until each running handler has been dropped at the await where it is. From then on, nothing of
    /// this lease runs in this process. A handler that does not await, or whose stream is not polled, cannot be stopped, so put
    /// a deadline around it.
    ///
    /// Any number of tasks may wait. It needs no runtime.
    pub fn drained(&self) -> Drained<'_, P> {
        Drained::new(self)
    }

    /// Ends the lease. Nothing that happens to its items from now on counts.
    ///
    /// Handlers that [`run`](Position::run) has started are woken and dropped at the await where they are. Those that have
    /// not started never do. Whoever waits for [`drained`](Self::drained) waits only for the running handlers. What was
    /// settled before can still be [committed](Self::commit).
    ///
    /// Call it at the deadline of a drain, and at once if the partition is lost.
    #[doc(alias = "abort")]
    #[doc(alias = "cancel")]
    #[doc(alias = "revoke")]
    pub fn fence(&self) {
        let (handlers, waiting) = {
            let mut state = self.lock();
            state.is_fenced = true;
            self.is_fenced.store(true, Ordering::Release);
            self.is_closed.store(true, Ordering::SeqCst);
            let handlers = ToWake::new(state.asleep.take_all());
            (handlers, self.waiting_if_drained(&mut state))
        };
        handlers.wake();
        wake(waiting);
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    pub(super) fn settle(&self, number: u64, done: bool) {
        self.end_item(number, done, false);
    }

    /// The last clone of a position was dropped, and nobody has settled it.
    pub(super) fn forget(&self, number: u64) {
        self.end_item(number, false, true);
    }

    #[cfg_attr(not(feature = "rdkafka"), allow(unused_variables))]
    fn end_item(&self, number: u64, done: bool, is_forgotten: bool) {
        let waiting = {
            let mut state = self.lock();
            if state.is_fenced {
                return;
            }
            state.ledger.settle(number, done);
            #[cfg(feature = "rdkafka")]
            if is_forgotten {
                state.forgotten += 1;
            }
            self.waiting_after_item(&mut state)
        };
        wake(waiting);
    }

    /// Whether a handler may start. If so, it must be [ended](Self::end_handler).
    pub(super) fn start_handler(&self) -> bool {
        self.handlers.fetch_add(1, Ordering::SeqCst);
        let may_start = !self.is_closed.load(Ordering::SeqCst);
        if !may_start {
            self.end_handler(None);
        }
        may_start
    }

    /// Has the fence wake a handler, which is given a key when it first sleeps. `false` if the fence has come already.
    pub(super) fn wake_by_fence(&self, key: &mut Option<usize>, waker: Waker) -> bool {
        let _before = {
            let mut state = self.lock();
            if state.is_fenced {
                return false;
            }
            let key = *key.get_or_insert_with(|| state.asleep.enter());
            state.asleep.sleep(key, waker)
        };
        true
    }

    pub(super) fn end_handler(&self, key: Option<usize>) {
        let _waker = key.map(|key| self.lock().asleep.leave(key));
        let is_last = self.handlers.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && self.is_awaited.load(Ordering::SeqCst) {
            let waiting = self.waiting_if_drained(&mut self.lock());
            wake(waiting);
        }
    }

    /// Whether the lease is drained. If not, the waker is called when it is.
    pub(super) fn poll_drained(&self, key: &mut Option<usize>, waker: Waker) -> bool {
        let _before = {
            let mut state = self.lock();
            self.is_awaited.store(true, Ordering::SeqCst);
            if self.is_drained(&state) {
                return true;
            }
            let key = *key.get_or_insert_with(|| state.waiting.enter());
            state.waiting.sleep(key, waker)
        };
        false
    }

    pub(super) fn wait_no_more(&self, key: usize) {
        let _waker = self.lock().waiting.leave(key);
    }

    fn is_drained(&self, state: &State) -> bool {
        state.in_flight() == 0 && self.handlers.load(Ordering::SeqCst) == 0
    }

    /// Who is to be woken now that an item is settled.
    fn waiting_after_item(&self, state: &mut State) -> Option<ToWake> {
        #[cfg(feature = "rdkafka")]
        if let Some(room) = state.take_room() {
            let waiting = self.waiting_if_drained(state);
            let waiting = waiting.into_iter().flat_map(ToWake::into_wakers);
            return Some(ToWake::new(waiting.chain([room]).collect()));
        }
        self.waiting_if_drained(state)
    }

    fn waiting_if_drained(&self, state: &mut State) -> Option<ToWake> {
        let is_awaited = !state.waiting.is_empty();
        (is_awaited && self.is_drained(state)).then(|| ToWake::new(state.waiting.take_all()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic is called under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "rdkafka")]
impl<P> Lease<P> {
    /// Takes note that what the lease begins with is not committed.
    pub(crate) fn touch(&self) {
        self.lock().ledger.touch();
    }

    /// Like `read`, but tells the reasons apart for which an item is not handed out.
    pub(crate) fn take(self: &Arc<Self>, offset: i64) -> Taken<P> {
        let (number, load) = {
            let mut state = self.lock();
            if state.drain.is_some() || state.is_fenced {
                return Taken::Skip;
            }
            if state.ledger.is_behind(offset) {
                return Taken::Behind;
            }
            let Some(number) = state.ledger.read(offset) else {
                return Taken::Skip;
            };
            (number, state.load())
        };
        Taken::New(Position::new(Arc::clone(self), offset, number), load)
    }

    pub(crate) fn load(&self) -> Load {
        self.lock().load()
    }

    /// Whether the lease holds no more than the limit, or is fenced. If not, the waker is called when it holds no more.
    pub(crate) fn poll_room(&self, limit: Limit, waker: &Waker) -> bool {
        let waker = waker.clone();
        let _before = {
            let mut state = self.lock();
            if state.is_fenced || limit.has_room(state.load()) {
                return true;
            }
            state.room.replace((limit, waker))
        };
        false
    }
}

impl State {
    #[cfg(feature = "rdkafka")]
    fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight(),
            span: self.ledger.span(),
            left: self.ledger.left(),
            settled: self.ledger.settled(),
            forgotten: self.forgotten,
            is_ending: self.drain.is_some() || self.is_fenced,
            is_fenced: self.is_fenced,
        }
    }

    fn in_flight(&self) -> usize {
        if self.is_fenced {
            return 0;
        }
        self.ledger.in_flight()
    }

    /// Who waits until the lease holds less, if it does.
    #[cfg(feature = "rdkafka")]
    fn take_room(&mut self) -> Option<Waker> {
        let (limit, _) = self.room.as_ref()?;
        let has_room = limit.has_room(self.load());
        self.room.take_if(|_| has_room).map(|(_, waker)| waker)
    }
}

impl ToWake {
    fn new(wakers: Vec<Waker>) -> Self {
        Self(wakers.into_iter())
    }

    #[cfg(feature = "rdkafka")]
    fn into_wakers(mut self) -> std::vec::IntoIter<Waker> {
        std::mem::take(&mut self.0)
    }

    fn wake(mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

fn wake(waiting: Option<ToWake>) {
    waiting.into_iter().for_each(ToWake::wake);
}

impl Drop for ToWake {
    fn drop(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl<P> fmt::Debug for Lease<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: where it is written to may block, or look at the lease.
        let (next, in_flight, left, drain, is_fenced) = {
            let state = self.lock();
            let (next, left) = (state.ledger.next(), state.ledger.left());
            (next, state.in_flight(), left, state.drain, state.is_fenced)
        };
        f.debug_struct("Lease")
            .field("epoch", &self.epoch)
            .field("next", &next)
            .field("in_flight", &in_flight)
            .field("left", &left)
            .field("drain", &drain)
            .field("is_fenced", &is_fenced)
            .finish_non_exhaustive()
    }
}
