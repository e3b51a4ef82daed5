//! Handlers run on the runtime's workers, in as many long-lived tasks as there are slots.
//!
//! A group is bound to one task while it has items: what waits behind its running item is sent after it, and the task goes
//! on without asking. What a task reports stands in its mailbox, and a bit says so.

mod work;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use tokio::task::JoinHandle;
use tokio::task::coop::unconstrained;

use self::work::{Job, News, Reporter, Shared, work};
use super::mailbox::Mailbox;
use super::{Polled, Round, Run, RunWith};
use crate::engine::depths::Depths;
use crate::engine::item::verdict::Verdict;
use crate::engine::order::{Queue, Waiting};
use crate::engine::slots::{ReadySet, WakeHandle};
use crate::spare::{empty_queue, shrink_queue};

/// How many reports are read ahead at most.
const READ_AHEAD: usize = 4_096;

/// Set by [`spawned`](crate::Ordered::spawned): handlers run on tokio's workers.
#[derive(Debug)]
pub struct Spawned;

/// Handlers that run in tasks of their own.
pub struct Crew<T, H, Fut, V, R, E> {
    /// First, so that a drop silences all wakers before anything else is dropped.
    ready: ReadySet,
    shared: Arc<Shared<H>>,
    /// What was reported and read, and how many of them say that a task needs a slot.
    inbox: VecDeque<Report<R, E>>,
    returning: usize,
    /// The news of one task, on their way.
    read: VecDeque<News<R, E>>,
    /// There were reports since it last came to sleep. Then it comes back once, after the tasks that its worker has already,
    /// since what these report meanwhile costs no wake. Woken by the first of them, it would be polled before the others, and
    /// for each of them again.
    stays_awake: bool,
    /// The report that `next_woken` has read.
    report: Option<News<R, E>>,
    /// Tasks that said they were lost, until it is known how.
    lost: VecDeque<usize>,
    tasks: Vec<Task<T, R, E>>,
    vacant: Vec<usize>,
    busy: usize,
    held: usize,
    /// How many tasks wait for a slot, and how many of them to start what follows.
    needing: usize,
    starting: usize,
    /// The tickets of what was sent and has not come back.
    sent: Waiting<()>,
    /// How many items wait in each task, if anybody wants to know.
    depths: Depths,
    _handler: PhantomData<fn() -> (Fut, V)>,
}

struct Task<T, R, E> {
    mailbox: Arc<Mailbox<Job<T>, News<R, E>>>,
    /// Wakes the operator to read what the task has reported.
    reported: WakeHandle,
    handle: JoinHandle<()>,
    /// The ticket of the item that it reported on last.
    ticket: u64,
    /// What was sent to it and has not come back. It is at the first.
    sent: Queue,
    slot: Slot,
    /// It was told to stop: it keeps its slot until it is gone, and nothing else that it still reports counts.
    is_stopped: bool,
}

/// What the task in this place has reported.
struct Report<R, E> {
    place: usize,
    news: News<R, E>,
}

impl<T, R, E> Drop for Task<T, R, E> {
    /// What it has reported and nobody has read is not kept until it is gone.
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Held,
    Unneeded,
    /// To go on.
    Needed,
    /// To start what follows.
    NeededToStart,
}

impl Slot {
    fn is_needed(self) -> bool {
        matches!(self, Self::Needed | Self::NeededToStart)
    }
}

impl<T, H, Fut, V, R, E> RunWith<T, H, Fut, V> for Spawned
where
    T: Send + 'static,
    H: FnMut(T) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    V: Verdict<Fut::Output, Ok = R, Error = E> + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    type Run = Crew<T, H, Fut, V, R, E>;

    fn run(self, handler: H, max_parallel: usize) -> Self::Run {
        Crew {
            ready: ReadySet::new(),
            shared: Arc::new(Shared::new(handler, max_parallel)),
            inbox: VecDeque::new(),
            returning: 0,
            read: VecDeque::new(),
            stays_awake: false,
            report: None,
            lost: VecDeque::new(),
            tasks: Vec::new(),
            vacant: Vec::new(),
            busy: 0,
            held: 0,
            needing: 0,
            starting: 0,
            sent: Waiting::new(),
            depths: Depths::new(),
            _handler: PhantomData,
        }
    }
}

impl<T, H, Fut, V, R, E> Crew<T, H, Fut, V, R, E> {
    fn send(&mut self, place: usize, ticket: u64, job: Job<T>) {
        let task = &mut self.tasks[place];
        self.sent.push(&mut task.sent, ticket, ());
        // A task that is gone has said so, and that is found before anything is missed.
        task.mailbox.send_job(job);
    }

    /// The ticket of the item that a task is at.
    fn at(&self, place: usize) -> Option<u64> {
        self.sent.first(&self.tasks[place].sent)
    }

    fn set_slot(&mut self, place: usize, slot: Slot) {
        let before = std::mem::replace(&mut self.tasks[place].slot, slot);
        self.held -= usize::from(before == Slot::Held);
        self.held += usize::from(slot == Slot::Held);
        if before.is_needed() || slot.is_needed() {
            self.count_needing(place, before, slot);
        }
    }

    #[cold]
    fn count_needing(&mut self, place: usize, before: Slot, slot: Slot) {
        if before == Slot::NeededToStart {
            self.depths.lessen(place);
        }
        if slot == Slot::NeededToStart {
            self.depths.deepen(place);
        }
        self.needing -= usize::from(before.is_needed());
        self.needing += usize::from(slot.is_needed());
        self.starting -= usize::from(before == Slot::NeededToStart);
        self.starting += usize::from(slot == Slot::NeededToStart);
        self.shared
            .contended
            .store(self.needing > 0, Ordering::Relaxed);
    }

    /// Resumes the panic of a task that was lost, once it is there; or takes the slot of one that was told to stop.
    fn mourn(&mut self) {
        while let Some(&place) = self.lost.front() {
            let task = &mut self.tasks[place];
            let mut cx = Context::from_waker(task.reported.as_waker());
            // The steps are counted by the operator, and the task's budget may be used up by somebody else.
            match pin!(unconstrained(&mut task.handle)).poll(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) if error.is_panic() => {
                    self.stop();
                    resume_unwind(error.into_panic());
                }
                Poll::Ready(_) if task.is_stopped => {
                    self.lost.pop_front();
                    task.mailbox.drop_jobs();
                    self.busy -= 1;
                    while self.sent.pop(&mut task.sent).is_some() {}
                    self.set_slot(place, Slot::Unneeded);
                    self.depths.empty(place);
                }
                Poll::Ready(_) => {
                    self.stop();
                    panic!(
                        "ordered_by_group: the runtime that runs the spawned handlers was shut down; unfinished \
                         items are lost to this stream: resume from the last committed offset"
                    );
                }
            }
        }
    }

    /// Reads what the next task that was woken for this round has reported. Says whether there was anything.
    fn receive(&mut self) -> bool {
        while let Some(place) = self.ready.next() {
            // It may be that a task that was lost has ended.
            self.mourn();
            let mailbox = &self.tasks[place].mailbox;
            if let Some(first) = mailbox.take_news(&mut self.read) {
                for news in std::iter::once(first).chain(self.read.drain(..)) {
                    self.returning += usize::from(news.needs_slot());
                    self.inbox.push_back(Report { place, news });
                }
                empty_queue(&mut self.read);
                self.stays_awake = true;
                return true;
            }
        }
        false
    }

    /// Reads ahead, to see who needs a slot again.
    #[cold]
    fn look_for_returning(&mut self) -> bool {
        if !self.ready.has_next() {
            self.ready.begin_round();
        }
        while self.inbox.len() < READ_AHEAD && self.receive() {}
        self.returning > 0
    }

    /// Nothing starts any more, and what runs is asked to stop.
    fn stop(&mut self) {
        self.shared.stop_at.store(0, Ordering::Relaxed);
        self.tasks.iter().for_each(|task| task.handle.abort());
    }
}

impl<T, H, Fut, V, R, E> Run<T> for Crew<T, H, Fut, V, R, E>
where
    T: Send + 'static,
    H: FnMut(T) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    V: Verdict<Fut::Output, Ok = R, Error = E> + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    type Ok = R;
    type Error = E;

    const FOLLOWS: bool = true;
    const ELSEWHERE: bool = true;

    fn running(&self) -> usize {
        self.busy - self.starting
    }

    fn held(&self) -> usize {
        self.held
    }

    fn waiting(&self) -> usize {
        self.sent.len() - self.running()
    }

    fn take_place(&mut self) -> usize {
        if let Some(place) = self.vacant.pop() {
            return place;
        }
        let place = self.tasks.len();
        let mailbox = Arc::new(Mailbox::new());
        let reported = self.ready.add_slot(place);
        let reporter = Reporter {
            mailbox: Arc::clone(&mailbox),
            operator: reported.as_waker().clone(),
        };
        let work = work::<T, H, Fut, V, R, E>(Arc::clone(&self.shared), reporter);
        self.tasks.push(Task {
            mailbox,
            reported,
            handle: tokio::spawn(work),
            ticket: 0,
            sent: Queue::EMPTY,
            slot: Slot::Unneeded,
            is_stopped: false,
        });
        place
    }

    fn give_back(&mut self, place: usize) {
        self.vacant.push(place);
    }

    fn start_anew(&mut self, ticket: u64, arrival: u64, item: T) -> (usize, Polled<Result<R, E>>) {
        let place = self.take_place();
        (place, self.start(place, ticket, arrival, item))
    }

    fn start(&mut self, place: usize, ticket: u64, arrival: u64, item: T) -> Polled<Result<R, E>> {
        self.busy += 1;
        self.set_slot(place, Slot::Held);
        self.send(
            place,
            ticket,
            Job {
                arrival,
                item,
                has_slot: true,
            },
        );
        Polled::Pending
    }

    fn follow(&mut self, place: usize, ticket: u64, arrival: u64, item: T) {
        self.depths.deepen(place);
        self.send(
            place,
            ticket,
            Job {
                arrival,
                item,
                has_slot: false,
            },
        );
    }

    fn count_depths(&mut self) {
        self.depths.count();
    }

    fn deepest(&self) -> usize {
        self.depths.deepest()
    }

    fn has_more(&self, place: usize) -> bool {
        self.at(place).is_some()
    }

    fn poll(&mut self, place: usize) -> Option<(u64, Polled<Result<R, E>>)> {
        let polled = match self.report.take() {
            Some(News::Done(result)) => {
                let ticket = self.at(place).expect("what comes back was sent");
                let task = &mut self.tasks[place];
                task.ticket = ticket;
                self.sent.pop(&mut task.sent);
                if self.at(place).is_none() {
                    self.busy -= 1;
                    self.set_slot(place, Slot::Unneeded);
                } else {
                    self.depths.lessen(place);
                }
                Polled::Ready(result)
            }
            Some(News::Waits) => {
                self.set_slot(place, Slot::Unneeded);
                Polled::Pending
            }
            Some(News::NeedsSlot { to_start }) => {
                let ticket = self.at(place).expect("a slot is needed for an item");
                self.tasks[place].ticket = ticket;
                let slot = match to_start {
                    true => Slot::NeededToStart,
                    false => Slot::Needed,
                };
                self.set_slot(place, slot);
                Polled::NeedsSlot
            }
            Some(News::Lost) => {
                self.lost.push_back(place);
                self.mourn();
                Polled::Pending
            }
            None => return None,
        };
        Some((self.ticket(place), polled))
    }

    fn grant(&mut self, place: usize) -> (u64, Polled<Result<R, E>>) {
        self.set_slot(place, Slot::Held);
        self.tasks[place].mailbox.grant();
        (self.ticket(place), Polled::Pending)
    }

    fn ticket(&self, place: usize) -> u64 {
        self.tasks[place].ticket
    }

    fn is_running(&self, place: usize) -> bool {
        self.at(place).is_some()
    }

    fn waits_without_slot(&self, _place: usize) -> bool {
        // A task sees to its slot itself.
        false
    }

    fn begin_round(&mut self) -> Round {
        match self.ready.begin_round() {
            Round::Empty if self.has_woken() => Round::Woken,
            round => round,
        }
    }

    fn may_return(&mut self) -> bool {
        let have_waited = self.shared.have_waited.load(Ordering::Relaxed);
        self.returning > 0 || (have_waited && self.look_for_returning())
    }

    fn next_returning(&mut self) -> Option<usize> {
        // What a task has reported before comes first.
        (self.returning > 0).then(|| self.next_woken()).flatten()
    }

    fn has_woken(&self) -> bool {
        self.ready.has_next() || !self.inbox.is_empty()
    }

    fn next_woken(&mut self) -> Option<usize> {
        loop {
            if self.inbox.is_empty() && !self.receive() {
                return None;
            }
            let Report { place, news } = self.inbox.pop_front()?;
            self.returning -= usize::from(news.needs_slot());
            if !self.tasks[place].is_stopped || matches!(news, News::Lost) {
                self.report = Some(news);
                return Some(place);
            }
        }
    }

    fn source_woke(&mut self) -> bool {
        self.ready.source_woke()
    }

    fn source_waker(&self) -> &Waker {
        self.ready.source_waker()
    }

    fn sleep(&mut self, task: &Waker) -> bool {
        let stays_awake = std::mem::take(&mut self.stays_awake);
        !stays_awake && self.inbox.is_empty() && self.ready.sleep(task)
    }

    fn holders(&self) -> impl Iterator<Item = (usize, u64)> {
        (0..self.tasks.len()).filter_map(|place| Some((place, self.holder(place)?)))
    }

    fn holder(&self, place: usize) -> Option<u64> {
        let is_held = self.tasks[place].slot == Slot::Held;
        is_held.then(|| self.at(place)).flatten()
    }

    fn drop_one(&mut self, place: usize) -> bool {
        // It keeps its slot until it is gone.
        let task = &mut self.tasks[place];
        task.is_stopped = true;
        task.handle.abort();
        false
    }

    fn shrink(&mut self) {
        self.sent
            .shrink(self.tasks.iter_mut().map(|task| &mut task.sent));
        shrink_queue(&mut self.inbox);
        self.depths.shrink();
    }

    fn clear(&mut self) {
        self.stop();
        // With them, what they have reported and nobody has read.
        self.tasks.clear();
        self.vacant.clear();
        self.sent.clear();
        (self.busy, self.held, self.needing, self.starting) = (0, 0, 0, 0);
        self.inbox.clear();
        self.returning = 0;
    }
}

impl<T, H, Fut, V, R, E> Drop for Crew<T, H, Fut, V, R, E> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<T, H, Fut, V, R, E> fmt::Debug for Crew<T, H, Fut, V, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}
