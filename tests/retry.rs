//! Retry as a recipe: `backon` backs off in `without_slot`, in virtual time, where every instant is exact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio::time::{Instant, sleep};

const ITEMS: usize = 4_000;
const GROUPS: usize = 200;
const ROUNDS: usize = ITEMS / GROUPS;
/// Less than the fifty groups that fail, so that they could hold every slot.
const MAX_PARALLEL: usize = 16;
const WORK: Duration = Duration::from_millis(10);
const BACK_OFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(500))
    .with_factor(2.0)
    .with_max_times(3);
/// When the attempts of an item that fails at once are made, after the first.
const ATTEMPTS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_millis(1_500),
    Duration::from_millis(3_500),
];

fn group(item: usize) -> usize {
    item % GROUPS
}

fn fails(item: usize) -> bool {
    group(item) % 4 == 3
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exhausted(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Attempt,
    End,
}

/// What happened to which item, and when.
struct Log {
    start: Instant,
    events: RefCell<Vec<(Duration, usize, Event)>>,
}

impl Log {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            events: RefCell::default(),
        }
    }

    fn push(&self, item: usize, event: Event) {
        let at = self.start.elapsed();
        self.events.borrow_mut().push((at, item, event));
    }

    fn instants(&self, item: usize, event: Event) -> Vec<Duration> {
        self.when(|of, what| of == item && what == event)
    }

    fn when(&self, filter: impl Fn(usize, Event) -> bool) -> Vec<Duration> {
        let events = self.events.borrow();
        let events = events
            .iter()
            .filter(|(_, item, event)| filter(*item, *event));
        events.map(|(at, _, _)| *at).collect()
    }

    /// When each item of the groups that do not fail began and ended.
    fn healthy(&self) -> BTreeMap<usize, Vec<(Duration, Event)>> {
        let mut healthy: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for &(at, item, event) in self.events.borrow().iter().filter(|of| !fails(of.1)) {
            healthy.entry(item).or_default().push((at, event));
        }
        healthy
    }

    fn last_healthy_end(&self) -> Duration {
        let ends = self.when(|item, event| !fails(item) && event == Event::End);
        ends.into_iter().max().unwrap()
    }

    /// Each group: all attempts of an item, its one end, then the next item.
    fn assert_order(&self) {
        let mut groups = vec![(0, 0); GROUPS];
        for &(at, item, event) in self.events.borrow().iter() {
            let (round, attempts) = &mut groups[group(item)];
            assert_eq!(item / GROUPS, *round, "item {item}: {event:?} at {at:?}");
            match event {
                Event::Attempt => *attempts += 1,
                Event::End => {
                    let expected = if fails(item) { ATTEMPTS.len() } else { 1 };
                    assert_eq!(*attempts, expected, "item {item}");
                    (*round, *attempts) = (*round + 1, 0);
                }
            }
        }
        assert_eq!(groups, [(ROUNDS, 0); GROUPS]);
    }
}

/// The handler: up to four attempts, and what is waited for between them is the caller's to say.
async fn handle<W>(
    item: usize,
    log: &Log,
    work_of_a_failure: Duration,
    wait: impl Fn(Duration) -> W + 'static,
) -> Result<(), Exhausted>
where
    W: Future<Output = ()>,
{
    let attempt = || async {
        log.push(item, Event::Attempt);
        if fails(item) {
            if !work_of_a_failure.is_zero() {
                sleep(work_of_a_failure).await;
            }
            return Err(Exhausted(item));
        }
        sleep(WORK).await;
        Ok(())
    };
    let result = attempt.retry(BACK_OFF).sleep(wait).await;
    log.push(item, Event::End);
    result
}

fn assert_one_outcome_each(outcomes: &[(Result<(), Exhausted>, usize)]) {
    let expected = (0..ITEMS).map(|item| match fails(item) {
        true => (Err(Exhausted(item)), item),
        false => (Ok(()), item),
    });
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

/// Each healthy item began and ended when it would have without the others.
async fn assert_as_if_alone(log: &Log) {
    let (healthy, alone) = (log.healthy(), healthy_alone().await);
    assert_eq!(healthy.len(), alone.len());
    for (item, events) in &alone {
        assert_eq!(healthy.get(item), Some(events), "item {item}");
    }
}

/// When the healthy items begin and end if there are no others.
async fn healthy_alone() -> BTreeMap<usize, Vec<(Duration, Event)>> {
    let log = Log::start();
    stream::iter((0..ITEMS).filter(|item| !fails(*item)))
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .look_ahead(ITEMS)
        .then(|item| handle(item, &log, Duration::ZERO, sleep))
        .drive(|_| async {})
        .await;
    log.healthy()
}

#[tokio::test(start_paused = true)]
async fn healthy_groups_are_done_as_if_the_failing_ones_did_not_exist() {
    let log = Log::start();
    let outcomes: Vec<_> = stream::iter(0..ITEMS)
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .offsets(|item| *item)
        .look_ahead(ITEMS)
        .then(|item| {
            handle(item, &log, Duration::ZERO, |pause| {
                without_slot(sleep(pause))
            })
        })
        .collect()
        .await;

    assert_one_outcome_each(&outcomes);
    log.assert_order();
    assert_as_if_alone(&log).await;
    assert_eq!(log.healthy().len(), 3_000);
    assert_failing_groups_go_on_without_a_pause(&log);
}

#[tokio::test(start_paused = true)]
async fn in_completion_order_the_default_window_is_enough() {
    let log = Log::start();
    let mut outcomes: Vec<_> = stream::iter(0..ITEMS)
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .offsets(|item| *item)
        .then_unordered(|item| {
            handle(item, &log, Duration::ZERO, |pause| {
                without_slot(sleep(pause))
            })
        })
        .map(|(outcome, offset)| (outcome, *offset.offset()))
        .collect()
        .await;

    outcomes.sort_by_key(|(_, item)| *item);
    assert_one_outcome_each(&outcomes);
    log.assert_order();
    assert_as_if_alone(&log).await;
    assert_failing_groups_go_on_without_a_pause(&log);
}

/// Each item fails at its four instants, and the next of its group begins there and then.
fn assert_failing_groups_go_on_without_a_pause(log: &Log) {
    for first in (0..GROUPS).filter(|item| fails(*item)) {
        let began = log.instants(first, Event::Attempt)[0];
        for round in 0..ROUNDS {
            let item = first + round * GROUPS;
            let start = began + ATTEMPTS[3] * round as u32;
            let attempts = log.instants(item, Event::Attempt);
            assert_eq!(attempts, ATTEMPTS.map(|after| start + after), "item {item}");
            assert_eq!(log.instants(item, Event::End), [start + ATTEMPTS[3]]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_holds_a_slot_for_as_long_as_it_works() {
    let log = Log::start();
    let outcomes: Vec<_> = stream::iter(0..ITEMS)
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .offsets(|item| *item)
        .look_ahead(ITEMS)
        .then(|item| handle(item, &log, WORK, |pause| without_slot(sleep(pause))))
        .collect()
        .await;

    assert_one_outcome_each(&outcomes);
    log.assert_order();
    // Everything takes a multiple of the work, so that attempts begin on its beats alone.
    let mut begun = BTreeMap::<_, usize>::new();
    for at in log.when(|_, event| event == Event::Attempt) {
        *begun.entry(at).or_default() += 1;
    }
    let mut beat = Duration::ZERO;
    while beat < log.last_healthy_end() - WORK {
        assert_eq!(begun.get(&beat), Some(&MAX_PARALLEL), "at {beat:?}");
        beat += WORK;
    }
    assert!(begun.values().all(|attempts| *attempts <= MAX_PARALLEL));
    assert_eq!(begun.values().sum::<usize>(), 3_000 + 4 * 1_000);
}

#[tokio::test(start_paused = true)]
async fn with_a_plain_sleep_the_failing_groups_hold_every_slot() {
    let log = Log::start();
    let outcomes: Vec<_> = stream::iter(0..ITEMS)
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .offsets(|item| *item)
        .look_ahead(ITEMS)
        .then(|item| handle(item, &log, Duration::ZERO, sleep))
        .collect()
        .await;

    assert_one_outcome_each(&outcomes);
    log.assert_order();
    let alone = healthy_alone().await;
    assert_ne!(log.healthy(), alone);
    let alone = alone.values().flatten().map(|(at, _)| *at).max().unwrap();
    assert_eq!(alone, Duration::from_millis(1_880));
    assert!(
        log.last_healthy_end() > 100 * alone,
        "{:?}",
        log.last_healthy_end()
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_exhausted_item_stops_the_stream_after_its_last_attempt() {
    let log = Log::start();
    let mut results = stream::iter(0..ITEMS)
        .ordered_by_group(|item| group(*item), MAX_PARALLEL)
        .offsets(|item| *item)
        .look_ahead(ITEMS)
        .try_then(|item| {
            handle(item, &log, Duration::ZERO, |pause| {
                without_slot(sleep(pause))
            })
        });

    // Items 0 to 2 are healthy, and item 3 is the first that fails.
    for item in 0..3 {
        assert_eq!(results.try_next().await, Ok(Some(((), item))));
    }
    assert_eq!(results.try_next().await, Err(Exhausted(3)));
    assert_eq!(results.try_next().await, Ok(None));
    assert_eq!(log.start.elapsed(), ATTEMPTS[3]);
    assert_eq!(log.instants(3, Event::Attempt), ATTEMPTS);
    assert!(log.instants(3 + GROUPS, Event::Attempt).is_empty());
    // The fifty wait, and the healthy ones are all done meanwhile.
    assert_as_if_alone(&log).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_worth_a_retry_ends_at_its_first_attempt() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Refusal {
        Now,
        ForGood,
    }

    let attempts = RefCell::new(Vec::new());
    let results: Vec<_> = stream::iter([Refusal::Now, Refusal::ForGood])
        .ordered_by_group(|_| (), 1)
        .then(async |refusal| {
            let attempt = || async {
                attempts.borrow_mut().push(Instant::now());
                Err::<(), _>(refusal)
            };
            attempt
                .retry(BACK_OFF)
                .sleep(|pause| without_slot(sleep(pause)))
                .when(|refusal| *refusal == Refusal::Now)
                .await
        })
        .collect()
        .await;

    assert_eq!(
        results,
        [(Err(Refusal::Now), 0), (Err(Refusal::ForGood), 1)]
    );
    let attempts = attempts.into_inner();
    let after: Vec<_> = attempts.iter().map(|at| *at - attempts[0]).collect();
    // The second begins when the first is given up, and is not tried again.
    assert_eq!(after[..4], ATTEMPTS);
    assert_eq!(after[4..], [ATTEMPTS[3]]);
}
