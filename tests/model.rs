//! Random logs, orders, limits, wakes, polls, failures, panics and drops, against a serial loop and a model that looks at
//! every pair of items; what holds is checked after every poll. A failure message carries the shrunk input.

#[path = "support/log.rs"]
mod log;
mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future as _, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::FutureExt as _;
use ordered_by_group::{Access, Monitor, Snapshot, without_slot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::log::{Arrival, By, Log, arrival, key, relation};
use self::support::{
    Counts, End, Event, FORMS, Feed, Form, Gates, Handed, Setup, Task, VERBS, Verb, message,
    poll_panics,
};

/// The wait without a slot of an item is at the gate of this many more.
const WAIT: u32 = 1_000;

/// In how many polls at the most anyone waits for another.
const MOST_POLLS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// So many arrivals more, and a wake.
    Push(usize),
    /// One arrival more, and no wake.
    PushSilently,
    WakeSource,
    /// One of the running handlers may end, and is woken.
    Open(Index),
    /// One of the running handlers is woken for nothing.
    Wake(Index),
    Poll,
    /// A poll while the caller is busy.
    Advance,
}

#[derive(Clone, Debug)]
struct Plan {
    log: Rc<Log>,
    verb: Verb,
    /// How the stream is held, which is to change nothing.
    form: Form,
    max_parallel: usize,
    look_ahead: usize,
    steps: Vec<Step>,
    /// Say that all items are of one partition, which is to change nothing else.
    is_partitioned: bool,
    /// Drop it after the steps, instead of running it to its end.
    is_dropped: bool,
    is_timed: bool,
    /// The source is read on while no slot is free.
    is_ahead: bool,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_usize).prop_map(Step::Push),
        1 => Just(Step::PushSilently),
        1 => Just(Step::WakeSource),
        8 => any::<Index>().prop_map(Step::Open),
        2 => any::<Index>().prop_map(Step::Wake),
        8 => Just(Step::Poll),
        2 => Just(Step::Advance),
    ]
}

fn plan(by: impl Strategy<Value = By>) -> impl Strategy<Value = Plan> {
    let limits = (1..6_usize, 0..10_usize);
    let script = (vec(arrival(), 0..40), vec(step(), 0..100));
    (
        by,
        (select(&VERBS[..]), select(&FORMS[..])),
        limits,
        script,
        (any::<bool>(), prop::bool::weighted(0.2), any::<bool>()),
    )
        .prop_map(
            |(
                by,
                (verb, form),
                (max_parallel, spare),
                (mut log, steps),
                (is_partitioned, is_dropped, is_timed),
            )| {
                log.retain(|arrival| verb.reads_results() || !matches!(arrival, Arrival::Error));
                for arrival in &mut log {
                    if let Arrival::Item {
                        end: end @ End::Err,
                        ..
                    } = arrival
                    {
                        *end = if verb.can_fail() { End::Err } else { End::Ok };
                    }
                }
                Plan {
                    log: Rc::new(Log { by, arrivals: log }),
                    verb,
                    form,
                    max_parallel,
                    look_ahead: max_parallel + spare,
                    steps,
                    is_partitioned,
                    is_dropped,
                    is_timed,
                    is_ahead: false,
                }
            },
        )
}

/// The same, read ahead.
fn ahead(by: impl Strategy<Value = By>) -> impl Strategy<Value = Plan> {
    plan(by).prop_map(|plan| Plan {
        is_ahead: true,
        ..plan
    })
}

/// What the model sees of the operator's calls.
#[derive(Clone, Default)]
struct Seen {
    /// How often each handler was polled.
    polls: Rc<RefCell<BTreeMap<u32, usize>>>,
    /// The items that were admitted, in this order.
    admitted: Rc<RefCell<Vec<u32>>>,
}

impl Plan {
    fn spawn(
        &self,
        feed: &Feed<Result<u32, u32>>,
        gates: &Gates,
        seen: &Seen,
        monitor: &Monitor,
    ) -> Task {
        let (log, gated, polls) = (Rc::clone(&self.log), gates.clone(), Rc::clone(&seen.polls));
        let handler = move |item| {
            let handling = gated.handle(item);
            let wait = log.waits_without_slot(item).then(|| gated.clone());
            let mut handler = Box::pin(async move {
                if let Some(gates) = wait {
                    let _ = without_slot(gates.handle(WAIT + item)).await;
                }
                handling.await
            });
            let polls = Rc::clone(&polls);
            poll_fn(move |cx| {
                *polls.borrow_mut().entry(item).or_default() += 1;
                handler.as_mut().poll(cx)
            })
            .boxed_local()
        };
        let admitted = Rc::clone(&seen.admitted);
        let mut setup = Setup::new(self.verb, self.max_parallel)
            .form(self.form)
            .look_ahead(self.look_ahead)
            .monitor(monitor)
            .handler(handler)
            .offset(move |item| {
                admitted.borrow_mut().push(item);
                item
            });
        if self.is_partitioned {
            setup = setup.partition(|_| 0);
        }
        let log = Rc::clone(&self.log);
        if self.is_ahead {
            let setup = setup.key(move |item| log.group(item));
            return setup.spawn_ahead(self.log.order().as_ref(), feed, gates);
        }
        match self.log.order() {
            None => setup.key(move |item| log.group(item)).spawn(feed, gates),
            Some(order) => setup.spawn_in(&order, feed, gates),
        }
    }
}

struct Run {
    plan: Rc<Plan>,
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    task: Task,
    seen: Seen,
    pushed: usize,
    out: Vec<Handed>,
    /// Running handlers that were woken and not polled since, and how many polls each had before.
    woken: BTreeSet<u32>,
    polls: BTreeMap<u32, usize>,
    replayed: usize,
    finished: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
    monitor: Monitor,
    clock: Clock,
    /// The first item that failed, as far as is known, and how much may be read since it is known.
    failed: Option<u32>,
    read_at_most: Option<usize>,
    /// For how many polls each has waited for the others.
    starving: Starving,
    /// The last poll came to a result, after which a consumer polls again without a wake.
    has_emitted: bool,
    end: Option<Result<(), u32>>,
    panicked: bool,
}

/// Stands still but where it is told to go on, in seconds; and when each item was admitted, called and finished by it.
#[derive(Default)]
struct Clock {
    now: Arc<AtomicU64>,
    admitted: BTreeMap<u32, u64>,
    called: BTreeMap<u32, u64>,
    finished: BTreeMap<u32, u64>,
}

impl Clock {
    fn monitor(&self, is_timed: bool) -> Monitor {
        let (now, start) = (Arc::clone(&self.now), Instant::now());
        let monitor = Monitor::new();
        if !is_timed {
            return monitor;
        }
        monitor.timed(move || start + Duration::from_secs(now.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn note(&mut self, admitted: &[u32], events: &[Event]) {
        let now = self.now();
        for item in admitted {
            self.admitted.entry(*item).or_insert(now);
        }
        for event in events {
            match event {
                Event::Called(item) => self.called.entry(*item).or_insert(now),
                Event::Finished(item) => self.finished.entry(*item).or_insert(now),
                Event::Dropped(_) => continue,
            };
        }
    }
}

/// How it was before a poll.
struct Before {
    source_polls: usize,
    /// It could be read, or is to be polled on.
    source_waits: bool,
    /// Who was woken, with a slot and without.
    woken: Vec<u32>,
    returning: Vec<u32>,
    polls: BTreeMap<u32, usize>,
}

#[derive(Default)]
struct Starving {
    source: u32,
    woken: u32,
    returning: u32,
    results: u32,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let gates = Gates::new(|item| item);
        for (item, arrival) in plan.log.iter().enumerate() {
            if let Arrival::Item {
                end, at_once: true, ..
            } = arrival
            {
                gates.end(item as u32, *end);
            }
        }
        let feed = Feed::new([]);
        let plan = Rc::new(plan);
        let seen = Seen::default();
        let clock = Clock::default();
        let monitor = clock.monitor(plan.is_timed);
        let task = plan.spawn(&feed, &gates, &seen, &monitor);
        Self {
            plan,
            feed,
            gates,
            task,
            seen,
            pushed: 0,
            out: vec![],
            woken: BTreeSet::new(),
            polls: BTreeMap::new(),
            replayed: 0,
            finished: BTreeSet::new(),
            dropped: BTreeSet::new(),
            monitor,
            clock,
            failed: None,
            read_at_most: None,
            starving: Starving::default(),
            has_emitted: false,
            end: None,
            panicked: false,
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

    fn step(&mut self, step: &Step) {
        match step {
            Step::Push(count) => {
                for _ in 0..*count {
                    if let Some(arrival) = self.arrival() {
                        self.feed.push(arrival);
                    }
                }
            }
            Step::PushSilently => {
                if let Some(arrival) = self.arrival() {
                    self.feed.push_silently(arrival);
                }
            }
            Step::WakeSource => self.feed.wake(),
            Step::Open(index) => self.open(index),
            Step::Wake(index) => {
                let running = self.running();
                if !running.is_empty() {
                    let item = *index.get(&running);
                    self.wake(item);
                }
            }
            Step::Poll => self.poll(false),
            Step::Advance => self.poll(true),
        }
    }

    /// The items whose handlers exist.
    fn running(&self) -> Vec<u32> {
        let running = self.gates.running().into_iter();
        running.filter(|item| *item < WAIT).collect()
    }

    /// Whether a handler waits without a slot, or is done waiting and has none yet.
    fn is_without_slot(&self, item: u32) -> bool {
        let waits = self.plan.log.waits_without_slot(item) && self.gates.polls(WAIT + item) > 0;
        waits && self.gates.polls(item) == 0
    }

    /// Whether a handler was seen to be done waiting, and has no slot yet.
    fn needs_slot(&self, item: u32) -> bool {
        self.is_without_slot(item) && self.gates.finished().contains(&(WAIT + item))
    }

    /// Wakes a handler where it waits.
    fn wake(&mut self, item: u32) {
        self.woken.insert(item);
        self.gates.wake(if self.is_without_slot(item) {
            WAIT + item
        } else {
            item
        });
    }

    /// Ends the wait of a handler, or the handler.
    fn end(&mut self, item: u32) {
        if self.is_without_slot(item) {
            self.woken.insert(item);
            self.gates.open(WAIT + item);
        } else if let Some(end) = self.plan.log.end(item) {
            self.woken.insert(item);
            self.gates.end(item, end);
        }
    }

    fn open(&mut self, index: &Index) {
        let running = self.running();
        if !running.is_empty() {
            self.end(*index.get(&running));
        }
    }

    fn poll(&mut self, is_busy: bool) {
        let before = self.look_around();
        self.clock.now.fetch_add(1, Ordering::Relaxed);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if is_busy {
                self.task.enter(|cx, mut subject| subject.advance(cx));
                Poll::Pending
            } else {
                self.task.poll_next()
            }
        }));
        let is_pending = matches!(polled, Ok(Poll::Pending));
        self.has_emitted = !is_pending;
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(Some(Ok(handed)))) => self.hand_over(handed),
            Ok(Poll::Ready(Some(Err(item)))) => {
                assert_eq!(self.task.poll_next(), Poll::Ready(None), "past the error");
                self.end = Some(Err(item));
            }
            Ok(Poll::Ready(None)) => self.end = Some(Ok(())),
            Err(panic) => {
                let message = message(panic);
                assert!(message.starts_with("the handler of"), "{message}");
                self.panicked = true;
            }
        }
        self.check_polls();
        self.clock
            .note(&self.seen.admitted.borrow(), &self.gates.events());
        self.replay();
        if self.panicked {
            assert!(poll_panics(&mut self.task).contains("polled after a panic"));
            assert!(!self.task.has_terminated());
        } else if self.end.is_some() {
            assert!(self.task.has_terminated());
            assert_eq!(self.task.size_hint(), (0, Some(0)));
            assert_eq!(self.gates.live(), 0);
            self.check_totals();
        } else {
            assert!(!self.task.has_terminated());
            self.check_counts();
            if is_pending {
                self.check_monitor();
            }
            self.check_nothing_stands_idle(is_pending, is_busy);
            self.check_nobody_starves(before, is_pending && !is_busy);
        }
    }

    fn hand_over(&mut self, handed: Handed) {
        let Handed {
            item,
            offset,
            frontier,
        } = handed;
        assert_eq!(item, offset);
        assert!(
            self.gates.finished().contains(&item),
            "{item} is not finished"
        );
        assert!(
            self.out.iter().all(|before| before.item != item),
            "{item} comes out twice"
        );
        if self.plan.verb.in_source_order() {
            assert_eq!(item as usize, self.out.len(), "out of source order");
        }
        self.out.push(handed);
        let mut handed_over: Vec<_> = self.out.iter().map(|handed| handed.item).collect();
        handed_over.sort_unstable();
        let contiguous = (0..)
            .zip(&handed_over)
            .take_while(|(at, item)| at == *item)
            .last();
        let contiguous = contiguous.map(|(at, _)| at);
        // A partition that had nothing admitted for a while begins anew: its frontier is not known until it moves.
        let is_known = !self.plan.is_partitioned || contiguous >= Some(item);
        if is_known || frontier.is_some() {
            assert_eq!(frontier, contiguous, "the frontier");
        }
        for older in (0..item).filter(|older| self.plan.log.waits_for(item, *older)) {
            assert!(handed_over.contains(&older), "{item} overtakes {older}");
        }
    }

    /// Each running handler was polled once if it was woken, and not at all if it was not; one that is done waiting once
    /// without a slot and once with it.
    fn check_polls(&mut self) {
        let now = self.seen.polls.borrow().clone();
        let events = self.gates.events();
        let events = &events[self.replayed..];
        for (item, polls) in now {
            match self.polls.insert(item, polls) {
                None => assert!(polls <= 1, "{item} is polled {polls} times as it starts"),
                Some(before) => {
                    // It goes on once it has a slot again.
                    let waits = events.contains(&Event::Dropped(WAIT + item));
                    let most = before + 1 + usize::from(waits);
                    assert!(polls <= most, "{item} is polled twice");
                    // Who got its slot only now was seen to be done waiting before.
                    let was_woken = polls == before || self.woken.remove(&item) || waits;
                    assert!(was_woken, "{item} is polled without a wake");
                }
            }
        }
    }

    /// Goes through what happened in this poll, in order.
    fn replay(&mut self) {
        let events = self.gates.events();
        for (at, event) in events.iter().enumerate().skip(self.replayed) {
            match *event {
                Event::Called(item) | Event::Finished(item) | Event::Dropped(item)
                    if item >= WAIT => {}
                Event::Called(item) => {
                    assert!(
                        self.failed.is_none_or(|failed| item < failed),
                        "{item} starts past a failure"
                    );
                    let mut unfinished = (0..item).filter(|older| !self.dropped.contains(older));
                    let hindrance = unfinished.find(|older| self.plan.log.waits_for(item, *older));
                    assert_eq!(hindrance, None, "in the way of {item}");
                    // A group may go on in its slot.
                    let goes_on = !self.plan.is_ahead
                        && at > 0
                        && matches!(self.plan.log.by, By::Group)
                        && matches!(events[at - 1], Event::Dropped(before) if before < item && self.plan.log.waits_for(item, before));
                    if !goes_on {
                        let overtaken = self
                            .ready(&events[..at])
                            .into_iter()
                            .find(|older| *older < item);
                        assert_eq!(overtaken, None, "overtaken by {item}");
                    }
                    let returning = self.returning_before(&events[..at]).into_iter();
                    let overtaken = returning.min().filter(|older| *older < item);
                    assert_eq!(overtaken, None, "done waiting, and overtaken by {item}");
                }
                Event::Finished(item) => {
                    self.finished.insert(item);
                    if let Arrival::Item { end: End::Err, .. } = self.plan.log[item as usize] {
                        self.fail(item);
                    }
                }
                Event::Dropped(item) => {
                    self.dropped.insert(item);
                }
            }
        }
        self.replayed = events.len();
        let pulled = &self.plan.log[..self.feed.pulled()];
        if let Some(error) = pulled
            .iter()
            .position(|arrival| matches!(arrival, Arrival::Error))
        {
            assert_eq!(error + 1, pulled.len(), "the source is read past its error");
            self.fail(error as u32);
        }
        if self.failed.is_some() {
            let pulled = self.feed.pulled();
            let asked = usize::from(self.feed.is_asked());
            let most = *self.read_at_most.get_or_insert(pulled + asked);
            assert!(pulled <= most, "the source is read past a failure");
        }
    }

    /// Who was seen to be done waiting by then, and had no slot again.
    fn returning_before(&self, events: &[Event]) -> Vec<u32> {
        let done = events.iter().filter_map(|event| match event {
            Event::Finished(item) => item.checked_sub(WAIT),
            _ => None,
        });
        let has_slot = |item: &u32| {
            // With a slot it goes on at once: it drops its wait.
            events.contains(&Event::Dropped(WAIT + item)) || events.contains(&Event::Dropped(*item))
        };
        done.filter(|item| !has_slot(item)).collect()
    }

    fn fail(&mut self, item: u32) {
        self.failed = Some(self.failed.map_or(item, |failed| failed.min(item)));
    }

    /// What is admitted and not finished.
    fn unfinished(&self) -> Vec<u32> {
        let admitted = self.seen.admitted.borrow();
        let unfinished = admitted.iter().filter(|item| !self.finished.contains(item));
        unfinished.copied().collect()
    }

    /// What was read and not admitted.
    fn in_hand(&self) -> Option<u32> {
        let admitted = self.seen.admitted.borrow();
        let read = (0..self.feed.pulled() as u32).filter(|item| !self.plan.log.is_error(*item));
        let in_hand: Vec<_> = read.filter(|item| !admitted.contains(item)).collect();
        assert!(in_hand.len() <= 1, "{in_hand:?} are in hand");
        in_hand.first().copied()
    }

    /// How many handlers hold a slot.
    fn held(&self) -> usize {
        let running = self.running().into_iter();
        running.filter(|item| !self.is_without_slot(*item)).count()
    }

    /// What may start: it waits, nothing unfinished is in its way, and nothing before it has failed.
    fn ready(&self, events: &[Event]) -> Vec<u32> {
        let unfinished = self.unfinished();
        let is_ready = |(at, item): &(usize, u32)| {
            let mut before = unfinished[..*at].iter();
            !before.any(|earlier| self.plan.log.waits_for(*item, *earlier))
                && !events.contains(&Event::Called(*item))
                && self.failed.is_none_or(|failed| *item < failed)
        };
        let ready = (0..).zip(unfinished.iter().copied()).filter(is_ready);
        ready.map(|(_, item)| item).collect()
    }

    fn check_counts(&self) {
        let Counts {
            running,
            waiting,
            finished,
            groups,
        } = self.task.counts();
        let unfinished = self.unfinished();
        assert_eq!(running, self.running().len());
        let held = self.held();
        assert!(held <= self.plan.max_parallel, "{held} have a slot");
        // Past a failure, a handler goes where one before it needs its slot.
        let gone = |item: &&u32| self.dropped.contains(*item) && !self.is_before_failure(**item);
        let gone = unfinished.iter().filter(gone).count();
        assert_eq!(running + waiting + gone, unfinished.len());
        let admitted = self.seen.admitted.borrow().len() - self.out.len();
        assert_eq!(running + waiting + gone + finished, admitted);
        assert!(admitted <= self.plan.look_ahead, "{admitted} are admitted");
        assert_eq!(self.task.unfinished(), unfinished);
        let accesses = unfinished
            .iter()
            .flat_map(|item| self.plan.log.accesses(*item));
        let keys: BTreeSet<_> = accesses.map(key).collect();
        assert_eq!(groups, keys.len());
        for item in &self.finished {
            assert_eq!(self.gates.drops(*item), 1, "{item} is finished");
        }
    }

    /// Others see what the stream itself says, and what was counted here.
    fn check_monitor(&self) {
        let snapshot = self.monitor.snapshot();
        let counts = Counts {
            running: snapshot.running,
            waiting: snapshot.waiting,
            finished: snapshot.finished,
            groups: snapshot.groups,
        };
        assert_eq!(counts, self.task.counts());
        assert_eq!(snapshot.without_slot, self.running().len() - self.held());
        // Past a failure, what was released is not followed up.
        if self.failed.is_none() {
            assert_eq!(snapshot.deepest_group, self.deepest());
        }
        self.check_times(&snapshot);
        let oldest = self.unfinished().into_iter().next();
        let since = oldest.map(|item| self.clock.now() - self.clock.admitted[&item]);
        let since = since.filter(|_| self.plan.is_timed);
        assert_eq!(snapshot.oldest_unfinished, since.map(Duration::from_secs));
        self.check_totals_of(&snapshot);
    }

    /// Of a stream that has ended or is gone.
    fn check_totals(&self) {
        let snapshot = self.monitor.snapshot();
        let totals_alone = Snapshot::default();
        assert_eq!(snapshot.running, totals_alone.running);
        assert_eq!(snapshot.without_slot, totals_alone.without_slot);
        assert_eq!(snapshot.waiting, totals_alone.waiting);
        assert_eq!(snapshot.finished, totals_alone.finished);
        assert_eq!(snapshot.groups, totals_alone.groups);
        assert_eq!(snapshot.deepest_group, totals_alone.deepest_group);
        assert_eq!(snapshot.oldest_unfinished, totals_alone.oldest_unfinished);
        // Where a panic unwinds, what was being done is counted or not.
        if !self.panicked {
            self.check_totals_of(&snapshot);
            self.check_times(&snapshot);
        }
    }

    fn check_totals_of(&self, snapshot: &Snapshot) {
        let admitted = self.seen.admitted.borrow().len();
        assert_eq!(snapshot.admitted_total, admitted as u64);
        assert_eq!(snapshot.emitted_total, self.out.len() as u64);
        let is_failed = |item: &&u32| self.plan.log.end(**item) == Some(End::Err);
        let handlers = self.finished.iter().filter(is_failed).count();
        let pulled = &self.plan.log[..self.feed.pulled()];
        let sources = pulled
            .iter()
            .filter(|arrival| matches!(arrival, Arrival::Error));
        assert_eq!(
            snapshot.failed_total,
            (handlers + sources.count()) as u64,
            "failures"
        );
    }

    fn check_times(&self, snapshot: &Snapshot) {
        let clock = &self.clock;
        let mut in_queue = vec![];
        let mut in_handler = vec![];
        if self.plan.is_timed {
            for item in &self.finished {
                in_queue.push(clock.called[item] - clock.admitted[item]);
                in_handler.push(clock.finished[item] - clock.called[item]);
            }
        }
        for (times, seen) in [
            (snapshot.in_queue, in_queue),
            (snapshot.in_handler, in_handler),
        ] {
            assert_eq!(times.count, seen.len() as u64);
            assert_eq!(times.sum, Duration::from_secs(seen.iter().sum()));
            let max = seen.into_iter().max().unwrap_or(0);
            assert_eq!(times.max, Duration::from_secs(max));
        }
    }

    /// The most items that wait for earlier ones with the same key. With one key, also if they wait for nothing but a slot.
    fn deepest(&self) -> usize {
        let called = self.gates.called();
        let unfinished = self.unfinished();
        let mut depths = BTreeMap::<u32, usize>::new();
        for (at, item) in unfinished.iter().enumerate() {
            for access in self.plan.log.accesses(*item).into_iter().collect::<Set>().0 {
                let excludes = |earlier: &u32| {
                    let theirs = self.plan.log.accesses(*earlier).into_iter();
                    let mut theirs = theirs.collect::<Set>().0.into_iter();
                    theirs.any(|theirs| {
                        let is_shared = |access| matches!(access, Access::Shared(_));
                        key(theirs) == key(access) && !(is_shared(theirs) && is_shared(access))
                    })
                };
                let waits = match self.plan.log.by {
                    By::Group => !called.contains(item),
                    _ => unfinished[..at].iter().any(excludes),
                };
                *depths.entry(key(access)).or_default() += usize::from(waits);
            }
        }
        depths.into_values().max().unwrap_or(0)
    }

    fn check_nothing_stands_idle(&self, is_pending: bool, is_busy: bool) {
        let has_slot = self.held() < self.plan.max_parallel;
        let ready = self.ready(&self.gates.events());
        let needs_slot = |item: &u32| self.needs_slot(*item) && self.is_before_failure(*item);
        let returning: Vec<_> = self.running().into_iter().filter(needs_slot).collect();
        if has_slot {
            let unseen = self.running().into_iter();
            let mut unseen = unseen.filter(|item| self.may_be_done_waiting(*item));
            assert!(
                returning.is_empty(),
                "{returning:?} are done, and stand idle"
            );
            // What was woken during this poll is looked at in the next.
            assert!(
                ready.is_empty() || unseen.next().is_some(),
                "{ready:?} stand idle"
            );
        }
        if !is_pending || self.task.is_woken() {
            return;
        }
        // Who is past a failure makes room for who is before it.
        let past = self.running().into_iter();
        let mut past =
            past.filter(|item| !self.is_without_slot(*item) && !self.is_before_failure(*item));
        let is_needed = !returning.is_empty() || !ready.is_empty();
        assert!(
            !is_needed || past.next().is_none(),
            "{returning:?} and {ready:?} need the slots past a failure"
        );
        let running = self.running().into_iter();
        let running = running.filter(|item| !self.needs_slot(*item));
        let unseen: Vec<_> = running.filter(|item| self.woken.contains(item)).collect();
        assert!(unseen.is_empty(), "{unseen:?} are woken and not polled");
        assert!(!self.feed.is_owed_a_poll(), "the source is not polled on");
        let Counts {
            running,
            waiting,
            finished,
            ..
        } = self.task.counts();
        let has_room = running + waiting + finished < self.plan.look_ahead;
        if (has_slot || self.plan.is_ahead) && has_room && self.failed.is_none() {
            assert!(self.feed.is_dry(), "the source is not asked");
            assert_eq!(self.in_hand(), None, "what was read is not admitted");
        }
        if !is_busy {
            let held_back = self.held_back();
            assert_eq!(held_back, None, "a finished result does not come out");
        }
    }

    /// A result that could come out.
    fn held_back(&self) -> Option<u32> {
        let mut finished = self.finished.iter().copied();
        finished.find(|&item| {
            let is_next = !self.plan.verb.in_source_order() || item as usize == self.out.len();
            let is_out = self.out.iter().any(|handed| handed.item == item);
            let is_good = matches!(
                self.plan.log[item as usize],
                Arrival::Item { end: End::Ok, .. }
            );
            is_next && is_good && !is_out
        })
    }

    fn is_before_failure(&self, item: u32) -> bool {
        self.failed.is_none_or(|failed| item < failed)
    }

    /// Whether a handler was woken while it waits, and not looked at since.
    fn may_be_done_waiting(&self, item: u32) -> bool {
        self.is_without_slot(item) && !self.needs_slot(item) && self.woken.contains(&item)
    }

    fn look_around(&self) -> Before {
        let (returning, woken) = self
            .running()
            .into_iter()
            .filter(|item| self.woken.contains(item) && !self.needs_slot(*item))
            .partition(|item| self.is_without_slot(*item));
        let Counts {
            running,
            waiting,
            finished,
            ..
        } = self.task.counts();
        let has_room = running + waiting + finished < self.plan.look_ahead;
        let has_slot = self.held() < self.plan.max_parallel;
        let may_read = (has_slot || self.plan.is_ahead) && has_room && self.failed.is_none();
        let is_ready = has_slot && !self.ready(&self.gates.events()).is_empty();
        let is_unread = may_read && !is_ready && !self.feed.is_dry() && self.in_hand().is_none();
        Before {
            source_polls: self.feed.polls(),
            source_waits: self.feed.is_owed_a_poll() || is_unread,
            woken,
            returning,
            polls: self.seen.polls.borrow().clone(),
        }
    }

    /// Of the source, woken handlers, those that return and results, none waits long for another.
    fn check_nobody_starves(&mut self, before: Before, could_give: bool) {
        let polls = self.seen.polls.borrow().clone();
        let none_went = |items: &Vec<u32>| {
            let went = |item| polls.get(item) != before.polls.get(item);
            !items.is_empty() && !items.iter().any(went)
        };
        let source_waits = before.source_waits && self.feed.polls() == before.source_polls;
        let result_waits = could_give && self.held_back().is_some();
        let count = |counted: &mut u32, waits: bool, who: &str| {
            *counted = if waits { *counted + 1 } else { 0 };
            assert!(*counted <= MOST_POLLS, "{who}: for {counted} polls");
        };
        let starving = &mut self.starving;
        count(&mut starving.source, source_waits, "the source waits");
        count(
            &mut starving.woken,
            none_went(&before.woken),
            "the woken wait",
        );
        count(
            &mut starving.returning,
            none_went(&before.returning),
            "those that return wait",
        );
        count(&mut starving.results, result_waits, "a result waits");
    }

    /// Lets everything arrive and end; polls only if there was a wake.
    fn run_to_the_end(&mut self) {
        self.step(&Step::Push(usize::from(u8::MAX)));
        self.feed.close();
        self.poll(false);
        while !self.is_over() {
            if self.task.is_woken() || self.has_emitted {
                self.poll(false);
                continue;
            }
            let running = self.running();
            let last = running.into_iter().rfind(|item| !self.needs_slot(*item));
            let last = last.expect("it stands still");
            let opened = self.gates.polls(last);
            self.end(last);
            assert!(
                self.task.is_woken(),
                "the wake of {last} is lost after {opened} polls"
            );
        }
    }

    fn check_end(&self) {
        let (good, then) = self.plan.log.serial();
        let out: BTreeSet<_> = self.out.iter().map(|handed| handed.item).collect();
        let all_before = (0..good as u32).all(|item| out.contains(&item));
        if self.panicked {
            let is_called = |item: &u32| self.finished.contains(item);
            let panics = (0..).zip(self.plan.log.iter()).filter(|(_, arrival)| {
                matches!(
                    arrival,
                    Arrival::Item {
                        end: End::Panic,
                        ..
                    }
                )
            });
            assert!(
                panics
                    .map(|(item, _)| item)
                    .any(|item: u32| is_called(&item)),
                "nothing panicked"
            );
        } else {
            assert!(all_before, "something is missing before the end");
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
        for handed in &self.out {
            assert!(
                handed
                    .frontier
                    .is_none_or(|frontier| (frontier as usize) < good),
                "a frontier past a failure"
            );
        }
        if self.plan.verb.in_source_order() {
            assert!(self.out.len() <= good, "an offset past a failure");
        }
    }
}

/// The keys of an item, each once; one that is exclusive once is so.
struct Set(Vec<Access<u32>>);

impl FromIterator<Access<u32>> for Set {
    fn from_iter<I: IntoIterator<Item = Access<u32>>>(accesses: I) -> Self {
        let mut shared = BTreeMap::new();
        for access in accesses {
            let is_shared = matches!(access, Access::Shared(_));
            *shared.entry(key(access)).or_insert(true) &= is_shared;
        }
        let accesses = shared.into_iter().map(|(key, is_shared)| match is_shared {
            true => Access::Shared(key),
            false => Access::Exclusive(key),
        });
        Self(accesses.collect())
    }
}

fn check(plan: Plan) {
    let mut run = Run::new(plan);
    for step in run.plan.steps.clone() {
        run.step(&step);
        if run.is_over() {
            break;
        }
    }
    if !run.plan.is_dropped && !run.is_over() {
        run.run_to_the_end();
    }
    if run.is_over() {
        run.check_end();
    }
    run.task = run.plan.spawn(
        &Feed::new([]),
        &Gates::new(|item| item),
        &Seen::default(),
        &Monitor::new(),
    );
    run.check_totals();
    let gates = run.gates.clone();
    drop(run.task);
    gates.assert_all_dropped_once();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_it_comes_to_what_a_serial_loop_comes_to(plan in plan(Just(By::Group))) {
        check(plan);
    }

    #[test]
    fn with_several_keys_it_comes_to_what_a_serial_loop_comes_to(plan in plan(Just(By::Groups))) {
        check(plan);
    }

    #[test]
    fn with_shared_keys_it_comes_to_what_a_serial_loop_comes_to(plan in plan(Just(By::Access))) {
        check(plan);
    }

    #[test]
    fn with_any_relation_it_comes_to_what_a_serial_loop_comes_to(plan in plan(relation())) {
        check(plan);
    }

    #[test]
    fn read_ahead_by_group_it_comes_to_the_same(plan in ahead(Just(By::Group))) {
        check(plan);
    }

    #[test]
    fn read_ahead_with_several_keys_it_comes_to_the_same(plan in ahead(Just(By::Groups))) {
        check(plan);
    }

    #[test]
    fn read_ahead_with_shared_keys_it_comes_to_the_same(plan in ahead(Just(By::Access))) {
        check(plan);
    }

    #[test]
    fn read_ahead_with_any_relation_it_comes_to_the_same(plan in ahead(relation())) {
        check(plan);
    }
}
