//! Random logs, groups, partitions, limits, wakes, polls, failures, panics and drops, handled in batches; what holds is checked
//! after every poll. A failure message carries the shrunk input.

#[path = "support/log.rs"]
mod log;
mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::FutureExt as _;
use ordered_by_group::{Monitor, Snapshot, without_slot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use self::log::{Arrival, By, Log, arrival};
use self::support::{
    Counts, End, Event, FORMS, Feed, Form, Gates, Handed, Setup, Task, VERBS, Verb, message,
    poll_panics,
};

/// The wait without a slot of a batch is at the gate of its first item and this many more.
const WAIT: u32 = 1_000;

#[derive(Clone, Debug)]
enum Step {
    /// So many arrivals more, and a wake.
    Push(usize),
    /// One of the running handlers may end, and is woken.
    Open(Index),
    Poll,
    /// A poll while the caller is busy.
    Advance,
}

#[derive(Clone, Debug)]
struct Plan {
    log: Rc<Log>,
    verb: Verb,
    form: Form,
    max_batch: usize,
    max_parallel: usize,
    look_ahead: usize,
    partitions: u32,
    is_timed: bool,
    /// Drop it after the steps, instead of running it to its end.
    is_dropped: bool,
    steps: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..8_usize).prop_map(Step::Push),
        6 => any::<Index>().prop_map(Step::Open),
        6 => Just(Step::Poll),
        2 => Just(Step::Advance),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        (select(&VERBS[..]), select(&FORMS[..])),
        prop_oneof![6 => 1..6_usize, 1 => Just(usize::MAX)],
        (1..4_usize, 0..14_usize),
        (vec(arrival(), 0..50), vec(step(), 0..100)),
        (1..3_u32, any::<bool>(), prop::bool::weighted(0.2)),
        prop::option::of(any::<Index>()),
    )
        .prop_map(
            |(
                (verb, form),
                max_batch,
                (max_parallel, spare),
                (mut log, steps),
                (partitions, is_timed, is_dropped),
                failing,
            )| {
                log.retain(|arrival| verb.reads_results() || !matches!(arrival, Arrival::Error));
                for arrival in &mut log {
                    if let Arrival::Item { group, end, .. } = arrival {
                        // Few groups, so that batches gather.
                        *group %= 3;
                        if *end == End::Err && !verb.can_fail() {
                            *end = End::Ok;
                        }
                    }
                }
                // Failures are rare, and there is much to see past one.
                if let Some(at) = failing.filter(|_| verb.can_fail() && !log.is_empty()) {
                    if let Arrival::Item { end, .. } = at.get_mut(&mut log) {
                        *end = End::Err;
                    }
                }
                Plan {
                    log: Rc::new(Log {
                        by: By::Group,
                        arrivals: log,
                    }),
                    verb,
                    form,
                    max_batch,
                    max_parallel,
                    look_ahead: max_parallel + spare,
                    partitions,
                    is_timed,
                    is_dropped,
                    steps,
                }
            },
        )
}

/// What the operator called, in this order. A handler is known by the first item of its batch.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Admitted(u32),
    Called(Vec<u32>),
    Finished(u32),
    Dropped(u32),
}

impl Plan {
    fn partition(&self, item: u32) -> u32 {
        match &self.log[item as usize] {
            Arrival::Item { accesses, .. } => accesses.len() as u32 % self.partitions,
            Arrival::Error => unreachable!("an error has no partition"),
        }
    }

    /// How the handler of a batch ends: as the worst of its items.
    fn end(&self, batch: &[u32]) -> End {
        let ends: Vec<_> = batch
            .iter()
            .filter_map(|item| self.log.end(*item))
            .collect();
        [End::Panic, End::Err]
            .into_iter()
            .find(|end| ends.contains(end))
            .unwrap_or(End::Ok)
    }

    /// Whether the handler of a batch waits without a slot, and whether it ends at once where it may: as its first item says.
    fn waits(&self, batch: &[u32]) -> bool {
        self.log.waits_without_slot(batch[0])
    }

    fn is_at_once(&self, batch: &[u32]) -> bool {
        matches!(
            self.log[batch[0] as usize],
            Arrival::Item { at_once: true, .. }
        )
    }

    fn spawn(
        self: &Rc<Self>,
        feed: &Feed<Result<u32, u32>>,
        gates: &Gates,
        seen: &Rc<RefCell<Vec<Seen>>>,
        monitor: &Monitor,
    ) -> Task {
        let (plan, gates, called) = (Rc::clone(self), gates.clone(), Rc::clone(seen));
        let handler = move |batch: Vec<u32>| {
            called.borrow_mut().push(Seen::Called(batch.clone()));
            let (first, last) = (batch[0], *batch.last().expect("an item"));
            if plan.is_at_once(&batch) {
                gates.end(first, plan.end(&batch));
            }
            let handling = gates.handle(first);
            let wait = plan.waits(&batch).then(|| gates.clone());
            let called = Rc::clone(&called);
            let gone = Gone(first, Rc::clone(&called));
            async move {
                let _gone = gone;
                if let Some(gates) = wait {
                    let _ = without_slot(gates.handle(WAIT + first)).await;
                }
                let ended = handling.await;
                called.borrow_mut().push(Seen::Finished(first));
                ended.map(|_| last)
            }
            .boxed_local()
        };
        let admitted = Rc::clone(seen);
        let log = Rc::clone(&self.log);
        let mut setup = Setup::new(self.verb, self.max_parallel)
            .form(self.form)
            .look_ahead(self.look_ahead)
            .monitor(monitor)
            .key(move |item| log.group(item))
            .offset(move |item| {
                admitted.borrow_mut().push(Seen::Admitted(item));
                item
            });
        if self.partitions > 1 {
            let plan = Rc::clone(self);
            setup = setup.partition(move |item| plan.partition(item));
        }
        setup.spawn_in_batches(self.max_batch, feed, handler)
    }
}

/// Notes that a handler is dropped.
struct Gone(u32, Rc<RefCell<Vec<Seen>>>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.1.borrow_mut().push(Seen::Dropped(self.0));
    }
}

/// What is known of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Runs,
    /// Its handler was dropped past a failure.
    Gone,
    Finished,
}

struct Run {
    plan: Rc<Plan>,
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    task: Task,
    seen: Rc<RefCell<Vec<Seen>>>,
    replayed: usize,
    pushed: usize,
    /// The admitted items.
    items: BTreeMap<u32, State>,
    /// The batches, by their first items.
    batches: BTreeMap<u32, Vec<u32>>,
    out: Vec<Handed>,
    /// The items whose results have come out.
    handed_over: BTreeSet<u32>,
    failed: Option<u32>,
    failures: u64,
    monitor: Monitor,
    now: Arc<AtomicU64>,
    admitted_at: BTreeMap<u32, u64>,
    called_at: BTreeMap<u32, u64>,
    in_queue: Vec<u64>,
    in_handler: Vec<u64>,
    has_emitted: bool,
    end: Option<Result<(), u32>>,
    panicked: bool,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let plan = Rc::new(plan);
        let (feed, gates, seen) = (Feed::new([]), Gates::new(|item| item), Rc::default());
        let now = Arc::new(AtomicU64::new(0));
        let mut monitor = Monitor::new();
        if plan.is_timed {
            let (now, start) = (Arc::clone(&now), Instant::now());
            monitor =
                monitor.timed(move || start + Duration::from_secs(now.load(Ordering::Relaxed)));
        }
        let task = plan.spawn(&feed, &gates, &seen, &monitor);
        Self {
            plan,
            feed,
            gates,
            task,
            seen,
            replayed: 0,
            pushed: 0,
            items: BTreeMap::new(),
            batches: BTreeMap::new(),
            out: vec![],
            handed_over: BTreeSet::new(),
            failed: None,
            failures: 0,
            monitor,
            now,
            admitted_at: BTreeMap::new(),
            called_at: BTreeMap::new(),
            in_queue: vec![],
            in_handler: vec![],
            has_emitted: false,
            end: None,
            panicked: false,
        }
    }

    fn is_over(&self) -> bool {
        self.panicked || self.end.is_some()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Push(count) => {
                for _ in 0..*count {
                    if let Some(arrival) = self.plan.log.feeds(self.pushed) {
                        self.pushed += 1;
                        self.feed.push(arrival);
                    }
                }
            }
            Step::Open(index) => {
                let running = self.running();
                if !running.is_empty() {
                    self.open(*index.get(&running));
                }
            }
            Step::Poll => self.poll(false),
            Step::Advance => self.poll(true),
        }
    }

    /// The batches that have a handler, by their first items.
    fn running(&self) -> Vec<u32> {
        let runs = |first: &&u32| self.items[*first] == State::Runs;
        self.batches.keys().filter(runs).copied().collect()
    }

    fn is_without_slot(&self, first: u32) -> bool {
        let waits = self.plan.waits(&self.batches[&first]) && self.gates.polls(WAIT + first) > 0;
        waits && self.gates.polls(first) == 0
    }

    /// Whether a handler was seen to be done waiting, and has no slot yet.
    fn needs_slot(&self, first: u32) -> bool {
        self.is_without_slot(first) && self.gates.finished().contains(&(WAIT + first))
    }

    /// Ends the wait of a handler, or the handler.
    fn open(&mut self, first: u32) {
        if self.is_without_slot(first) {
            self.gates.open(WAIT + first);
        } else {
            self.gates.end(first, self.plan.end(&self.batches[&first]));
        }
    }

    fn poll(&mut self, is_busy: bool) {
        self.now.fetch_add(1, Ordering::Relaxed);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if is_busy {
                self.task.enter(|cx, mut subject| subject.advance(cx));
                Poll::Pending
            } else {
                self.task.poll_next()
            }
        }));
        self.replay();
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
        if self.panicked {
            assert!(poll_panics(&mut self.task).contains("polled after a panic"));
        } else if self.end.is_some() {
            assert!(self.task.has_terminated());
            assert_eq!(self.task.size_hint(), (0, Some(0)));
            assert_eq!(self.gates.live(), 0);
            self.check_totals(&self.monitor.snapshot());
            self.check_end();
        } else {
            self.check_counts();
            if is_pending {
                self.check_monitor();
                self.check_nothing_stands_idle(is_busy);
            }
        }
    }

    /// Goes through what happened in this poll, in order.
    fn replay(&mut self) {
        let seen = self.seen.borrow().clone();
        let now = self.now.load(Ordering::Relaxed);
        for event in &seen[self.replayed..] {
            match event {
                Seen::Admitted(item) => {
                    self.items.insert(*item, State::Waits);
                    self.admitted_at.insert(*item, now);
                }
                Seen::Called(batch) => {
                    self.check_batch(batch);
                    self.called_at.insert(batch[0], now);
                    for item in batch {
                        self.items.insert(*item, State::Runs);
                    }
                    self.batches.insert(batch[0], batch.clone());
                }
                Seen::Finished(first) => {
                    let called = self.called_at[first];
                    for item in &self.batches[first] {
                        self.items.insert(*item, State::Finished);
                        self.in_queue.push(called - self.admitted_at[item]);
                        self.in_handler.push(now - called);
                    }
                    if self.plan.end(&self.batches[first]) == End::Err {
                        self.failures += 1;
                        self.fail(*first);
                    }
                }
                Seen::Dropped(first) => {
                    if self.items[first] == State::Runs {
                        for item in &self.batches[first] {
                            self.items.insert(*item, State::Gone);
                        }
                    }
                }
            }
        }
        self.replayed = seen.len();
        let pulled = &self.plan.log[..self.feed.pulled()];
        let is_error = |arrival| matches!(arrival, &Arrival::Error);
        if let Some(error) = pulled.iter().position(is_error) {
            assert_eq!(error + 1, pulled.len(), "the source is read past its error");
            self.fail(error as u32);
        }
    }

    fn fail(&mut self, item: u32) {
        self.failed = Some(self.failed.map_or(item, |failed| failed.min(item)));
    }

    fn is_before_failure(&self, item: u32) -> bool {
        self.failed.is_none_or(|failed| item < failed)
    }

    fn is_alike(&self, item: u32, other: u32) -> bool {
        let plan = &self.plan;
        plan.log.group(item) == plan.log.group(other)
            && plan.partition(item) == plan.partition(other)
    }

    /// What waits, the oldest first.
    fn waiting(&self) -> impl Iterator<Item = u32> {
        let waits = |(_, state): &(&u32, &State)| **state == State::Waits;
        self.items.iter().filter(waits).map(|(item, _)| *item)
    }

    /// The oldest items of the groups that could start but for a slot.
    fn ready(&self) -> Vec<u32> {
        let mut groups = BTreeSet::new();
        for (item, state) in &self.items {
            if *state == State::Runs {
                groups.insert(self.plan.log.group(*item));
            }
        }
        let mut ready = vec![];
        for item in self.waiting() {
            if groups.insert(self.plan.log.group(item)) && self.is_before_failure(item) {
                ready.push(item);
            }
        }
        ready
    }

    /// A batch is started: all that it may take, and nothing else.
    fn check_batch(&self, batch: &[u32]) {
        let first = batch[0];
        let ready = self.ready();
        assert!(ready.contains(&first), "{first} is not ready: {ready:?}");
        assert_eq!(ready.first(), Some(&first), "overtaken by {first}");
        let returning = self.running().into_iter();
        let overtaken = returning.filter(|first| self.needs_slot(*first)).min();
        assert!(
            overtaken.is_none_or(|overtaken| overtaken > first),
            "{overtaken:?} are done waiting, and overtaken by {first}"
        );
        let same_group = self
            .waiting()
            .filter(|item| self.plan.log.group(*item) == self.plan.log.group(first));
        let takes = same_group
            .take_while(|item| self.is_alike(*item, first) && self.is_before_failure(*item));
        let takes: Vec<_> = takes.take(self.plan.max_batch).collect();
        assert_eq!(batch, takes);
    }

    fn hand_over(&mut self, handed: Handed) {
        let Handed {
            item,
            offset,
            frontier,
        } = handed;
        assert_eq!(item, offset, "the offset of the last item");
        let batch = self
            .batches
            .values()
            .find(|batch| batch.last() == Some(&item));
        let batch = batch.expect("a batch").clone();
        assert_eq!(self.items[&batch[0]], State::Finished);
        assert_eq!(self.plan.end(&batch), End::Ok);
        for item in &batch {
            assert!(self.handed_over.insert(*item), "{item} comes out twice");
        }
        let partition = self.plan.partition(item);
        let of_partition = |item: &&u32| self.plan.partition(**item) == partition;
        if self.plan.verb.in_source_order() {
            let last = self
                .out
                .iter()
                .map(|out| &out.item)
                .filter(of_partition)
                .max();
            assert!(last < Some(&item), "out of source order");
            // A crash now loses nothing: all that is not read again has been handled.
            for older in self
                .items
                .keys()
                .filter(of_partition)
                .filter(|older| **older <= item)
            {
                assert_eq!(
                    self.items[older],
                    State::Finished,
                    "{older} is passed by {item}"
                );
            }
        } else {
            let mut of_partition = self.items.keys().filter(of_partition);
            let first_left = of_partition.find(|item| !self.handed_over.contains(item));
            let passed = self.handed_over.iter().filter(|item| {
                self.plan.partition(**item) == partition
                    && first_left.is_none_or(|first| *item < first)
            });
            let passed = passed.max().copied();
            // A partition that had nothing admitted for a while begins anew: its frontier is not known until it moves.
            let is_known = self.plan.partitions == 1 || passed >= Some(item);
            if is_known || frontier.is_some() {
                assert_eq!(frontier, passed, "the frontier");
            }
        }
        self.out.push(handed);
    }

    fn held(&self) -> usize {
        let running = self.running().into_iter();
        running
            .filter(|first| !self.is_without_slot(*first))
            .count()
    }

    fn count(&self, state: State) -> usize {
        self.items.values().filter(|other| **other == state).count()
    }

    fn unfinished(&self) -> Vec<u32> {
        let unfinished = self
            .items
            .iter()
            .filter(|(_, state)| **state != State::Finished);
        unfinished.map(|(item, _)| *item).collect()
    }

    fn check_counts(&self) {
        let held = self.held();
        assert!(held <= self.plan.max_parallel, "{held} have a slot");
        let admitted = self.items.len() - self.handed_over.len();
        assert!(admitted <= self.plan.look_ahead, "{admitted} are admitted");
        let unfinished = self.unfinished();
        let groups = unfinished.iter().map(|item| self.plan.log.group(*item));
        let counts = Counts {
            running: self.count(State::Runs),
            waiting: self.count(State::Waits),
            finished: self.count(State::Finished) - self.handed_over.len(),
            groups: groups.collect::<BTreeSet<_>>().len(),
        };
        assert_eq!(self.task.counts(), counts);
        assert_eq!(self.task.unfinished(), unfinished);
        let (least, most) = self.task.size_hint();
        let left = self.plan.log.len() - self.feed.pulled();
        let may_come = admitted + left + usize::from(self.failed.is_some());
        assert!(least <= 1 && least <= may_come, "at least {least}");
        assert!(most.is_none_or(|most| most <= self.plan.log.len() + 1));
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
        let mut depths = BTreeMap::<u32, usize>::new();
        for item in self.waiting() {
            *depths.entry(self.plan.log.group(item)).or_default() += 1;
        }
        let deepest = depths.into_values().max().unwrap_or(0);
        assert_eq!(snapshot.deepest_group, deepest);
        let oldest = self.unfinished().into_iter().next();
        let now = self.now.load(Ordering::Relaxed);
        let since = oldest.map(|item| Duration::from_secs(now - self.admitted_at[&item]));
        assert_eq!(
            snapshot.oldest_unfinished,
            since.filter(|_| self.plan.is_timed)
        );
        self.check_totals(&snapshot);
    }

    fn check_totals(&self, snapshot: &Snapshot) {
        assert_eq!(snapshot.admitted_total, self.items.len() as u64);
        assert_eq!(snapshot.emitted_total, self.handed_over.len() as u64);
        let pulled = &self.plan.log[..self.feed.pulled()];
        let is_error = |arrival: &&Arrival| matches!(arrival, Arrival::Error);
        let errors = pulled.iter().filter(is_error).count() as u64;
        assert_eq!(snapshot.failed_total, self.failures + errors);
        for (times, seen) in [
            (snapshot.in_queue, &self.in_queue),
            (snapshot.in_handler, &self.in_handler),
        ] {
            let seen = if self.plan.is_timed { &seen[..] } else { &[] };
            assert_eq!(times.count, seen.len() as u64);
            assert_eq!(times.sum, Duration::from_secs(seen.iter().sum()));
            let max = seen.iter().max().copied().unwrap_or(0);
            assert_eq!(times.max, Duration::from_secs(max));
        }
    }

    /// Of a poll that was pending and is not to be repeated at once.
    fn check_nothing_stands_idle(&self, is_busy: bool) {
        if self.task.is_woken() {
            return;
        }
        let has_slot = self.held() < self.plan.max_parallel;
        let ready = self.ready();
        let returning = self.running().into_iter();
        let returning: Vec<_> = returning
            .filter(|first| self.needs_slot(*first) && self.is_before_failure(*first))
            .collect();
        assert!(
            !has_slot || (ready.is_empty() && returning.is_empty()),
            "{ready:?} and {returning:?} stand idle"
        );
        let admitted = self.items.len() - self.handed_over.len();
        if admitted < self.plan.look_ahead && self.failed.is_none() {
            assert!(self.feed.is_dry(), "the source is not asked");
        }
        if !is_busy {
            assert_eq!(self.held_back(), None, "a result does not come out");
        }
    }

    /// The first item of a batch whose result could come out.
    fn held_back(&self) -> Option<u32> {
        let (_, batch) = self.batches.iter().find(|(first, batch)| {
            let last = *batch.last().expect("an item");
            let is_finished = self.items[first] == State::Finished;
            let is_good = self.plan.end(batch) == End::Ok;
            let is_out = self.handed_over.contains(first);
            let is_next = !self.plan.verb.in_source_order()
                || self.items.iter().all(|(item, state)| {
                    *item > last
                        || self.plan.partition(*item) != self.plan.partition(last)
                        || (*state == State::Finished && !self.is_failed(*item))
                });
            is_finished && is_good && !is_out && is_next
        })?;
        Some(batch[0])
    }

    /// Whether an item is of a batch that has failed.
    fn is_failed(&self, item: u32) -> bool {
        let batch = self.batches.values().find(|batch| batch.contains(&item));
        batch.is_some_and(|batch| {
            self.items[&batch[0]] == State::Finished && self.plan.end(batch) == End::Err
        })
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
            let last = running.into_iter().rfind(|first| !self.needs_slot(*first));
            self.open(last.expect("it stands still"));
            assert!(self.task.is_woken(), "a wake is lost");
        }
    }

    fn check_end(&self) {
        match self.end {
            Some(Ok(())) => {
                assert_eq!(self.failed, None, "a failure is lost");
                assert_eq!(
                    self.handed_over.len(),
                    self.plan.log.len(),
                    "an item is lost"
                );
            }
            Some(Err(error)) => {
                // The first in source order. The error of a batch is its first item here.
                assert_eq!(self.failed, Some(error));
                let before = (0..error).map(|item| (item, self.items.get(&item).copied()));
                for (item, state) in before {
                    assert_eq!(state, Some(State::Finished), "{item} is before the failure");
                }
                for batch in self.batches.values() {
                    let last = *batch.last().expect("an item");
                    let is_out = self.handed_over.contains(&last);
                    assert!(is_out || last >= error, "the result of {batch:?} is lost");
                }
                let is_partitioned = self.plan.partitions > 1;
                for handed in &self.out {
                    let passed = match self.plan.verb.in_source_order() {
                        true => Some(handed.offset),
                        false => handed.frontier,
                    };
                    assert!(
                        is_partitioned || passed.is_none_or(|passed| passed < error),
                        "{passed:?} is past the failure of {error}"
                    );
                }
            }
            None => unreachable!("it is over"),
        }
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
    let gates = run.gates.clone();
    drop(run.task);
    gates.assert_all_dropped_once();
    let called = gates.events();
    let called = called
        .iter()
        .filter(|event| matches!(event, Event::Called(item) if *item < WAIT));
    assert_eq!(called.count(), run.batches.len());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_batches_it_comes_to_what_a_serial_loop_comes_to(plan in plan()) {
        check(plan);
    }
}
