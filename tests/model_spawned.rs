//! Random logs, orders, limits, waits, failures, panics and drops with handlers on a runtime's workers, against the serial
//! loop and the model that looks at every pair of items. On one thread the test says when the workers run, and looks at all
//! that could stand still; on two, what holds for any interleaving is checked. A failure message carries the shrunk input.
#![cfg(feature = "tokio")]

#[path = "support/log.rs"]
mod log;
mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _, select};
use ordered_by_group::without_slot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select as one_of};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::timeout;

use self::log::{Arrival, By, Log, arrival, key, relation};
use self::support::{Counts, End, Feed, Handed, Setup, Task, VERBS, Verb, message, poll_panics};

/// What a handler does before it ends, each time until its gate opens.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Awaits, in its slot.
    Hold,
    /// Awaits without a slot.
    Wait,
    /// Awaits without a slot, in vain, and goes on as it is.
    GiveUp,
}

#[derive(Clone, Debug)]
enum Step {
    /// So many arrivals more, and a wake.
    Push(usize),
    /// One arrival more, and no wake.
    PushSilently,
    /// The gate of one of the handlers opens.
    Open(Index),
    /// One of the handlers is woken for nothing.
    Wake(Index),
    /// The workers run until they have nothing to do.
    Work,
    Poll,
    /// A poll while the caller is busy.
    Advance,
    /// Works and polls, until there is nothing to do.
    Settle,
}

#[derive(Clone, Debug)]
struct Plan {
    log: Rc<Log>,
    stages: Vec<Vec<Stage>>,
    /// The partition of each item, where there are partitions.
    partitions: Option<Vec<u32>>,
    verb: Verb,
    max_parallel: usize,
    look_ahead: usize,
    steps: Vec<Step>,
    /// Drop it after the steps, instead of running it to its end.
    is_dropped: bool,
}

fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![4 => Just(Stage::Hold), 3 => Just(Stage::Wait), 1 => Just(Stage::GiveUp)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_usize).prop_map(Step::Push),
        1 => Just(Step::PushSilently),
        8 => any::<Index>().prop_map(Step::Open),
        1 => any::<Index>().prop_map(Step::Wake),
        4 => Just(Step::Work),
        4 => Just(Step::Poll),
        2 => Just(Step::Advance),
        4 => Just(Step::Settle),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let by = prop_oneof![
        3 => Just(By::Group),
        1 => Just(By::Groups),
        1 => Just(By::Access),
        1 => relation(),
    ];
    let limits = (1..6_usize, 0..10_usize);
    let item = (arrival(), vec(stage(), 0..4), 0..3_u32);
    let script = (vec(item, 0..30), vec(step(), 0..80));
    let options = (prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    (by, one_of(&VERBS[..]), limits, script, options).prop_map(
        |(by, verb, (max_parallel, spare), (mut log, steps), (is_partitioned, is_dropped))| {
            log.retain(|(arrival, ..)| verb.reads_results() || !matches!(arrival, Arrival::Error));
            let (mut arrivals, mut stages, mut partitions) = (vec![], vec![], vec![]);
            for (mut arrival, stage, partition) in log {
                if let Arrival::Item { end, .. } = &mut arrival {
                    if *end == End::Err && !verb.can_fail() {
                        *end = End::Ok;
                    }
                }
                arrivals.push(arrival);
                stages.push(stage);
                partitions.push(partition);
            }
            Plan {
                log: Rc::new(Log { by, arrivals }),
                stages,
                partitions: is_partitioned.then_some(partitions),
                verb,
                max_parallel,
                look_ahead: max_parallel + spare,
                steps,
                is_dropped,
            }
        },
    )
}

impl Plan {
    /// Called in the runtime.
    fn spawn(
        &self,
        feed: &Feed<Result<u32, u32>>,
        board: &Board,
        admitted: &Rc<RefCell<Vec<u32>>>,
    ) -> Task {
        let admitted = Rc::clone(admitted);
        let mut setup = Setup::new(self.verb, self.max_parallel)
            .look_ahead(self.look_ahead)
            .offset(move |item| {
                admitted.borrow_mut().push(item);
                item
            });
        if let Some(partitions) = self.partitions.clone() {
            setup = setup.partition(move |item| partitions[item as usize]);
        }
        let log = Rc::clone(&self.log);
        let setup = setup.key(move |item| log.group(item));
        let board = board.clone();
        setup.spawn_on_workers(self.log.order().as_ref(), feed, move |item| {
            board.handle(item)
        })
    }

    /// Items of different partitions come out in any order.
    fn are_in_one_partition(&self, a: u32, b: u32) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.all(|partitions| partitions[a as usize] == partitions[b as usize])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Called(u32),
    /// It has a slot again.
    Returned(u32),
    Finished(u32),
    Dropped(u32),
}

/// Handlers that are watched from outside, whatever thread they run on.
#[derive(Clone)]
struct Board(Arc<Mutex<State>>);

struct State {
    /// What each item must not run beside, of those before it.
    waits_for: Vec<Vec<u32>>,
    stages: Vec<Vec<Stage>>,
    ends: Vec<Option<End>>,
    max_parallel: usize,
    /// Gates open by themselves, at the second look.
    opens_itself: bool,
    /// A test fails where a handler runs, so what it finds is kept for the test.
    faults: Vec<String>,
    events: Vec<Event>,
    handlers: BTreeMap<u32, Handler>,
    finished: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
}

#[derive(Default)]
struct Handler {
    opened: usize,
    waker: Option<Waker>,
    has_slot: bool,
    /// It awaits something without a slot.
    waits: bool,
    /// It was pending without a slot, though it waits for nothing: it is polled when it has one.
    asks: bool,
}

/// A handler: its item and what it does.
struct Watched {
    board: Board,
    item: u32,
    doing: BoxFuture<'static, ()>,
}

/// Marks that a handler awaits without a slot, while it does.
struct Mark<F> {
    board: Board,
    item: u32,
    future: F,
}

impl Board {
    fn new(plan: &Plan, opens_itself: bool) -> Self {
        let items = 0..plan.log.len() as u32;
        let waits_for = |item: u32| {
            let earlier = (0..item).filter(|earlier| !plan.log.is_error(*earlier));
            let waits_for = earlier.filter(|earlier| plan.log.waits_for(item, *earlier));
            waits_for.collect()
        };
        let of_items = items.clone().map(|item| match plan.log.is_error(item) {
            true => vec![],
            false => waits_for(item),
        });
        let at_once = |item: &u32| {
            matches!(
                plan.log[*item as usize],
                Arrival::Item { at_once: true, .. }
            )
        };
        let open = |item| {
            (
                item,
                Handler {
                    opened: usize::MAX,
                    ..Handler::default()
                },
            )
        };
        Self(Arc::new(Mutex::new(State {
            waits_for: of_items.collect(),
            stages: plan.stages.clone(),
            ends: items.clone().map(|item| plan.log.end(item)).collect(),
            max_parallel: plan.max_parallel,
            opens_itself,
            faults: vec![],
            events: vec![],
            handlers: items.filter(at_once).map(open).collect(),
            finished: BTreeSet::new(),
            dropped: BTreeSet::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handler of an item.
    fn handle(&self, item: u32) -> Watched {
        let mut state = self.state();
        let stages = state.stages[item as usize].clone();
        let hindrances = &state.waits_for[item as usize];
        let hindrance = hindrances
            .iter()
            .find(|earlier| !state.dropped.contains(earlier));
        if let Some(hindrance) = hindrance {
            let fault = format!("{item} is called before {hindrance} is gone");
            state.faults.push(fault);
        }
        if state.events.contains(&Event::Called(item)) {
            state.faults.push(format!("{item} is called twice"));
        }
        state.events.push(Event::Called(item));
        state.take_slot(item);
        Watched {
            board: self.clone(),
            item,
            doing: self.clone().run(item, stages).boxed(),
        }
    }

    async fn run(self, item: u32, stages: Vec<Stage>) {
        for (at, stage) in stages.into_iter().enumerate() {
            let gate = self.gate(item, at);
            match stage {
                Stage::Hold => gate.await,
                Stage::Wait => without_slot(self.mark(item, gate)).await,
                Stage::GiveUp => {
                    let in_vain = without_slot(self.mark(item, pending::<()>()));
                    drop(select(Box::pin(in_vain), Box::pin(gate)).await);
                }
            }
        }
    }

    fn gate(&self, item: u32, at: usize) -> impl Future<Output = ()> + Send + use<> {
        let board = self.clone();
        let mut looks = 0;
        poll_fn(move |cx| {
            let mut state = board.state();
            looks += 1;
            if state.opens_itself && looks == 1 {
                cx.waker().wake_by_ref();
            }
            let is_open = state.opens_itself && looks > 1;
            let handler = state.handlers.entry(item).or_default();
            handler.waker = Some(cx.waker().clone());
            if is_open || handler.opened > at {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    fn mark<F>(&self, item: u32, future: F) -> Mark<F> {
        let board = self.clone();
        Mark {
            board,
            item,
            future,
        }
    }

    /// The handlers that are there, and a gate of theirs is shut.
    fn shut(&self) -> Vec<u32> {
        let state = self.state();
        let live = state.live().into_iter();
        live.filter(|item| state.handlers[item].opened < state.stages[*item as usize].len())
            .collect()
    }

    fn open(&self, item: u32) {
        let mut state = self.state();
        let handler = state.handlers.entry(item).or_default();
        handler.opened += 1;
        drop(state);
        self.wake(item);
    }

    fn wake(&self, item: u32) {
        let waker = self.state().handlers[&item].waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn live(&self) -> Vec<u32> {
        let called = self.events.iter().filter_map(|event| match event {
            Event::Called(item) => Some(*item),
            _ => None,
        });
        let mut live: Vec<_> = called.filter(|item| !self.dropped.contains(item)).collect();
        live.sort_unstable();
        live
    }

    fn take_slot(&mut self, item: u32) {
        self.handlers.entry(item).or_default().has_slot = true;
        let held = self.handlers.values().filter(|handler| handler.has_slot);
        let held = held.count();
        if held > self.max_parallel {
            self.faults
                .push(format!("{held} slots are held, by {item} too"));
        }
    }
}

impl Future for Watched {
    type Output = Result<u32, u32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let item = self.item;
        {
            let mut state = self.board.state();
            let handler = state.handlers.entry(item).or_default();
            if std::mem::take(&mut handler.asks) {
                state.take_slot(item);
                state.events.push(Event::Returned(item));
            }
        }
        let polled = self.doing.poll_unpin(cx);
        let mut state = self.board.state();
        let handler = state.handlers.get_mut(&item).expect("it was called");
        if polled.is_pending() {
            if handler.waits {
                handler.has_slot = false;
            } else {
                handler.asks = !handler.has_slot;
            }
            return Poll::Pending;
        }
        state.events.push(Event::Finished(item));
        state.finished.insert(item);
        let end = state.ends[item as usize].expect("an item");
        drop(state);
        match end {
            End::Ok => Poll::Ready(Ok(item)),
            End::Err => Poll::Ready(Err(item)),
            End::Panic => panic!("the handler of {item} panics"),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut state = self.board.state();
        let handler = state.handlers.entry(self.item).or_default();
        (handler.has_slot, handler.asks) = (false, false);
        state.events.push(Event::Dropped(self.item));
        if !state.dropped.insert(self.item) {
            let fault = format!("{} is dropped twice", self.item);
            state.faults.push(fault);
        }
    }
}

impl<F: Future + Unpin> Future for Mark<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.future.poll_unpin(cx);
        self.waits(polled.is_pending());
        polled
    }
}

impl<F> Mark<F> {
    fn waits(&self, waits: bool) {
        let mut state = self.board.state();
        state.handlers.entry(self.item).or_default().waits = waits;
    }
}

impl<F> Drop for Mark<F> {
    fn drop(&mut self) {
        self.waits(false);
    }
}

struct Run {
    plan: Plan,
    feed: Feed<Result<u32, u32>>,
    board: Board,
    task: Task,
    /// The items that were admitted, in this order.
    admitted: Rc<RefCell<Vec<u32>>>,
    pushed: usize,
    out: Vec<Handed>,
    end: Option<Result<(), u32>>,
    panicked: bool,
    /// The consumer polls without a wake: at first, after a result, and when it is no longer busy.
    is_to_poll: bool,
    /// The handlers that waited without a slot when all was quiet.
    waiting: BTreeSet<u32>,
    /// What could have gone on then or at a poll since, but for a slot, and how much had happened.
    queue: BTreeSet<u32>,
    seen: usize,
}

impl Run {
    /// Called in the runtime.
    fn new(plan: Plan, opens_itself: bool) -> Self {
        let feed = Feed::new([]);
        let board = Board::new(&plan, opens_itself);
        let admitted = Rc::default();
        let task = plan.spawn(&feed, &board, &admitted);
        Self {
            plan,
            feed,
            board,
            task,
            admitted,
            pushed: 0,
            out: vec![],
            end: None,
            panicked: false,
            is_to_poll: true,
            waiting: BTreeSet::new(),
            queue: BTreeSet::new(),
            seen: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.panicked || self.end.is_some()
    }

    fn arrival(&mut self) -> Option<Result<u32, u32>> {
        let arrival = self.plan.log.feeds(self.pushed)?;
        self.pushed += 1;
        Some(arrival)
    }

    fn push(&mut self, count: usize) {
        for _ in 0..count {
            match self.arrival() {
                Some(arrival) => self.feed.push(arrival),
                None => return,
            }
        }
    }

    /// What a poll came to.
    fn take(&mut self, polled: Result<Poll<Option<Result<Handed, u32>>>, String>) {
        self.is_to_poll = matches!(polled, Ok(Poll::Ready(_)));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(Some(Ok(handed)))) => self.hand_over(handed),
            Ok(Poll::Ready(Some(Err(item)))) => {
                assert_eq!(self.task.poll_next(), Poll::Ready(None), "past the error");
                self.end = Some(Err(item));
            }
            Ok(Poll::Ready(None)) => self.end = Some(Ok(())),
            Err(message) => {
                assert!(message.starts_with("the handler of"), "{message}");
                self.panicked = true;
            }
        }
        assert_eq!(self.task.has_terminated(), self.end.is_some());
        assert_eq!(self.board.state().faults, [""; 0]);
        if self.panicked {
            assert!(poll_panics(&mut self.task).contains("polled after a panic"));
            assert!(!self.task.has_terminated());
        } else if self.end.is_some() {
            assert_eq!(self.task.size_hint(), (0, Some(0)));
            let nothing = Counts {
                running: 0,
                waiting: 0,
                finished: 0,
                groups: 0,
            };
            assert_eq!(self.task.counts(), nothing);
        } else {
            let admitted = self.admitted();
            assert!(admitted <= self.plan.look_ahead, "{admitted} are admitted");
        }
    }

    fn admitted(&self) -> usize {
        self.admitted.borrow().len() - self.out.len()
    }

    fn hand_over(&mut self, handed: Handed) {
        let Handed {
            item,
            offset,
            frontier,
        } = handed;
        assert_eq!(item, offset);
        assert!(
            self.board.state().dropped.contains(&item),
            "{item} is there"
        );
        let mut is_out: BTreeSet<_> = self.out.iter().map(|handed| handed.item).collect();
        assert!(is_out.insert(item), "{item} comes out twice");
        let of_partition = (0..self.plan.log.len() as u32)
            .filter(|other| self.plan.are_in_one_partition(*other, item));
        let of_partition: Vec<_> = of_partition.collect();
        let contiguous = of_partition.iter().take_while(|item| is_out.contains(item));
        // A partition that had nothing admitted begins again.
        let begins_again = self.plan.partitions.is_some() && frontier.is_none();
        if !begins_again {
            assert_eq!(frontier, contiguous.last().copied(), "the frontier");
        }
        if self.plan.verb.in_source_order() {
            assert_eq!(frontier, Some(item), "out of source order");
        } else {
            let state = self.board.state();
            let overtaken = state.waits_for[item as usize]
                .iter()
                .find(|earlier| !is_out.contains(earlier));
            assert_eq!(overtaken, None, "overtaken by {item}");
        }
        self.out.push(handed);
    }

    fn check_end(&self) {
        let (good, then) = self.plan.log.serial();
        let state = self.board.state();
        if self.panicked {
            let mut finished = state.finished.iter();
            let panicked = finished.any(|item| self.plan.log.end(*item) == Some(End::Panic));
            assert!(panicked, "nothing panicked");
        } else {
            let is_out: BTreeSet<_> = self.out.iter().map(|handed| handed.item).collect();
            let missing = (0..good as u32).find(|item| !is_out.contains(item));
            assert_eq!(missing, None, "missing before the end");
            match self.end {
                Some(Ok(())) => assert_eq!(then, None, "a failure is lost"),
                Some(Err(item)) => assert_eq!(
                    (item as usize, Some(End::Err)),
                    (good, then),
                    "the first failure"
                ),
                None => unreachable!("it is over"),
            }
        }
        let Some(bad) = then.map(|_| good as u32) else {
            return;
        };
        for handed in &self.out {
            if self.plan.are_in_one_partition(bad, handed.item) {
                let frontier = handed.frontier;
                assert!(
                    frontier.is_none_or(|frontier| frontier < bad),
                    "{frontier:?}"
                );
            }
        }
    }

    /// All is quiet: nobody was woken, and nobody has anything to do.
    fn check_nothing_stands_idle(&mut self) {
        let log = &self.plan.log;
        let state = self.board.state();
        let pulled = 0..self.feed.pulled() as u32;
        let error = pulled.clone().find(|item| log.is_error(*item));
        let admitted = self.admitted.borrow();
        let in_hand = pulled.filter(|item| !log.is_error(*item) && !admitted.contains(item));
        let in_hand: Vec<_> = in_hand.collect();
        assert!(in_hand.len() <= 1, "{in_hand:?} are in hand");
        let failed = state.finished.iter().copied();
        let failed = failed.filter(|item| log.end(*item) == Some(End::Err));
        let failed = failed.chain(error).min();
        let may_start = |item: &u32| failed.is_none_or(|failed| *item < failed);

        let is_called = |item: &u32| state.events.contains(&Event::Called(*item));
        let is_held_up = |item: u32| {
            let mut earlier = state.waits_for[item as usize].iter();
            earlier.any(|earlier| !state.dropped.contains(earlier))
        };
        let ready = admitted
            .iter()
            .copied()
            .filter(|item| !is_called(item) && !is_held_up(*item));
        let asks = state.handlers.iter().filter(|(_, handler)| handler.asks);
        let queue = ready.chain(asks.map(|(item, _)| *item)).filter(may_start);
        let queue: BTreeSet<_> = queue.collect();
        let slots = state
            .handlers
            .iter()
            .filter(|(_, handler)| handler.has_slot);
        let slots: Vec<_> = slots.map(|(item, _)| *item).collect();
        let kept = slots.iter().filter(|item| may_start(item)).count();
        assert!(
            queue.is_empty() || kept == self.plan.max_parallel,
            "{queue:?} stand idle, {slots:?} have slots"
        );

        let has_room = self.admitted() < self.plan.look_ahead;
        let has_slot = slots.len() < self.plan.max_parallel;
        if failed.is_none() && has_slot && has_room {
            assert!(self.feed.is_dry(), "the source is not asked");
            assert_eq!(in_hand, [0; 0], "what was read is not admitted");
        }
        assert!(!self.feed.is_owed_a_poll(), "the source is not polled on");
        let is_out = |item: &u32| self.out.iter().any(|handed| handed.item == *item);
        let held_back = state
            .finished
            .iter()
            .copied()
            .filter(may_start)
            .find(|item| {
                let mut before =
                    (0..*item).filter(|before| self.plan.are_in_one_partition(*before, *item));
                let is_next = !self.plan.verb.in_source_order() || before.all(|item| is_out(&item));
                is_next && !is_out(item)
            });
        assert_eq!(held_back, None, "a finished result does not come out");
        if failed.is_none() {
            let unfinished = admitted
                .iter()
                .filter(|item| !state.finished.contains(item));
            let unfinished: Vec<_> = unfinished.copied().collect();
            assert_eq!(self.task.unfinished(), unfinished);
            let keys = unfinished.iter().flat_map(|item| log.accesses(*item));
            let keys: BTreeSet<_> = keys.map(key).collect();
            let live = state.live().len();
            let expected = Counts {
                running: live,
                waiting: unfinished.len() - live,
                finished: self.admitted() - unfinished.len(),
                groups: keys.len(),
            };
            assert_eq!(self.task.counts(), expected);
        }
        let waiting = state.handlers.iter().filter(|(_, handler)| handler.waits);
        let waiting = waiting.map(|(item, _)| *item).collect();
        let seen = state.events.len();
        drop((state, admitted));
        (self.waiting, self.queue, self.seen) = (waiting, queue, seen);
    }

    /// A poll comes: of the handlers that waited, some may ask for a slot by now.
    fn see_who_asks(&mut self) {
        let state = self.board.state();
        let asks = self.waiting.iter().copied();
        let asks = asks.filter(|item| state.handlers[item].asks);
        self.queue.extend(asks);
    }

    /// What could go on when all was quiet got its slot before anything younger. All who got one have used it by now.
    fn check_nothing_was_overtaken(&mut self) {
        let state = self.board.state();
        let mut youngest = None;
        for event in &state.events[self.seen..] {
            if let Event::Called(item) | Event::Returned(item) = event {
                self.queue.remove(item);
                youngest = youngest.max(Some(*item));
            }
        }
        let failed = state.finished.iter();
        let mut failed = failed.filter(|item| self.plan.log.end(**item) == Some(End::Err));
        if let Some(failed) = failed.next() {
            self.queue.retain(|item| item < failed);
        }
        let overtaken = self.queue.first().filter(|item| youngest > Some(**item));
        assert_eq!(overtaken, None, "overtaken by {youngest:?}");
        self.seen = state.events.len();
    }

    /// Nothing at or past a failure is called once it is known.
    fn check_nothing_started_past_a_failure(&self) {
        let state = self.board.state();
        let mut failed = u32::MAX;
        for event in &state.events {
            match *event {
                Event::Called(item) => assert!(item < failed, "{item} is past {failed}"),
                Event::Finished(item) if self.plan.log.end(item) == Some(End::Err) => {
                    failed = failed.min(item);
                }
                _ => {}
            }
        }
    }
}

/// A runtime of one thread, which runs when the test says so.
struct OneThread {
    runtime: Runtime,
    run: Run,
}

impl OneThread {
    fn new(plan: Plan) -> Self {
        let mut runtime = Builder::new_current_thread();
        // All that can run runs before the test goes on.
        let runtime = runtime.event_interval(u32::MAX).build().unwrap();
        let run = {
            let _inside = runtime.enter();
            Run::new(plan, false)
        };
        Self { runtime, run }
    }

    fn step(&mut self, step: &Step) {
        let run = &mut self.run;
        match step {
            Step::Push(count) => run.push(*count),
            Step::PushSilently => {
                if let Some(arrival) = run.arrival() {
                    run.feed.push_silently(arrival);
                }
            }
            Step::Open(index) => {
                let shut = run.board.shut();
                if !shut.is_empty() {
                    run.board.open(*index.get(&shut));
                }
            }
            Step::Wake(index) => {
                let live = run.board.state().live();
                if !live.is_empty() {
                    run.board.wake(*index.get(&live));
                }
            }
            Step::Work => self.work(),
            Step::Poll => self.poll(false),
            Step::Advance => self.poll(true),
            Step::Settle => self.settle(),
        }
    }

    fn work(&mut self) {
        self.runtime.block_on(async {
            // Once more for those that gave way.
            for _ in 0..3 {
                yield_now().await;
            }
        });
        self.run.check_nothing_was_overtaken();
        self.run.check_nothing_started_past_a_failure();
    }

    fn poll(&mut self, is_busy: bool) {
        let run = &mut self.run;
        run.see_who_asks();
        let _inside = self.runtime.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if is_busy {
                run.task.enter(|cx, mut subject| subject.advance(cx));
                Poll::Pending
            } else {
                run.task.poll_next()
            }
        }));
        run.take(polled.map_err(message));
        run.is_to_poll |= is_busy;
    }

    /// Works, and polls only if there was a wake.
    fn settle(&mut self) {
        self.work();
        while !self.run.is_over() && (self.run.task.is_woken() || self.run.is_to_poll) {
            self.poll(false);
            self.work();
        }
        if !self.run.is_over() {
            self.run.check_nothing_stands_idle();
        }
    }

    fn run_to_the_end(&mut self) {
        self.run.push(usize::MAX);
        self.run.feed.close();
        self.settle();
        while !self.run.is_over() {
            let shut = self.run.board.shut();
            let last = *shut.last().expect("it stands still");
            self.run.board.open(last);
            self.settle();
        }
    }

    /// Nothing is left but what came out, though the stream may still be there.
    fn check_nothing_is_left(&mut self) {
        self.work();
        assert_eq!(self.runtime.metrics().num_alive_tasks(), 0);
        let state = self.run.board.state();
        assert_eq!(state.live(), [0; 0]);
        assert_eq!(state.faults, [""; 0]);
    }
}

fn check_on_one_thread(plan: Plan) {
    let mut test = OneThread::new(plan);
    for step in test.run.plan.steps.clone() {
        test.step(&step);
        if test.run.is_over() {
            break;
        }
    }
    if !test.run.is_over() && !test.run.plan.is_dropped {
        test.run_to_the_end();
    }
    if test.run.is_over() {
        test.run.check_end();
    } else {
        let called = test.run.board.state().events.len();
        let empty = {
            let _inside = test.runtime.enter();
            let gone = Board::new(&test.run.plan, false);
            test.run.plan.spawn(&Feed::new([]), &gone, &Rc::default())
        };
        drop(std::mem::replace(&mut test.run.task, empty));
        test.work();
        let state = test.run.board.state();
        let after = state.events[called..].iter();
        let called: Vec<_> = after
            .filter(|event| matches!(event, Event::Called(_)))
            .collect();
        assert!(called.is_empty(), "after the drop: {called:?}");
    }
    test.check_nothing_is_left();
}

/// What would hang fails.
const HANGS: Duration = Duration::from_secs(60);

fn check_on_two_threads(plan: Plan) {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let mut run = Run::new(plan, true);
        let mut pushes = run.plan.steps.clone().into_iter().cycle();
        let mut left = run.plan.is_dropped.then_some(run.plan.steps.len() / 4);
        while !run.is_over() && left != Some(0) {
            left = left.map(|left| left - 1);
            let next = poll_fn(|cx| {
                let polled = catch_unwind(AssertUnwindSafe(|| run.task.poll_next_unpin(cx)));
                if matches!(polled, Ok(Poll::Pending)) && !run.feed.has_ended() {
                    match pushes.next() {
                        Some(Step::Push(count)) => run.push(count),
                        _ => run.push(1),
                    }
                    if run.pushed == run.plan.log.len() {
                        run.feed.close();
                    }
                    return Poll::Pending;
                }
                match polled {
                    Ok(Poll::Pending) => Poll::Pending,
                    polled => Poll::Ready(polled.map_err(message)),
                }
            });
            let polled = timeout(HANGS, next).await.expect("it hangs");
            run.take(polled);
        }
        if run.is_over() {
            run.check_end();
        }
        let Run { board, task, .. } = run;
        drop(task);
        let gone = async {
            while tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
                > 0
            {
                yield_now().await;
            }
        };
        timeout(HANGS, gone).await.expect("a task is left");
        let state = board.state();
        assert_eq!(state.live(), [0; 0]);
        assert_eq!(state.faults, [""; 0]);
    });
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn whatever_the_workers_do_it_comes_to_what_a_serial_loop_comes_to(plan in plan()) {
        check_on_one_thread(plan);
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn on_two_threads_it_comes_to_what_a_serial_loop_comes_to(plan in plan()) {
        check_on_two_threads(plan);
    }
}
