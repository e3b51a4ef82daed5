//! Chapter 24 of the contract: handlers that take what waits of their group.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{poll_fn, ready};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use futures::future::Either;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{Monitor, Snapshot, Times, without_slot};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use self::support::{
    End, FALLIBLE, Feed, Gates, Handed, Handling, Setup, Task, VERBS, advance, items, poll_panics,
    settle,
};

/// Handlers of batches. A batch goes by the number of its first item, which is its gate and its result. The items are the
/// numbers from 0, which are their offsets, too; a letter each says which group they are of, over and over.
#[derive(Clone)]
struct Desk {
    groups: &'static str,
    gates: Gates,
    /// What some handlers wait for first, without a slot.
    pauses: Gates,
    pausing: Rc<RefCell<BTreeSet<u32>>>,
    batches: Rc<RefCell<Vec<Vec<u32>>>>,
}

impl Desk {
    fn new(groups: &'static str) -> Self {
        Self {
            groups,
            gates: Gates::new(move |item| group(groups, item)),
            pauses: Gates::new(|item| item),
            pausing: Rc::default(),
            batches: Rc::default(),
        }
    }

    /// A feed of one item for each letter.
    fn feed(&self) -> Feed<Result<u32, u32>> {
        items(0..self.groups.len() as u32)
    }

    fn spawn(&self, setup: Setup, max: usize, feed: &Feed<Result<u32, u32>>) -> Task {
        let (desk, groups) = (self.clone(), self.groups);
        setup
            .key(move |item| group(groups, item))
            .spawn_in_batches(max, feed, move |batch| desk.handle(batch))
    }

    fn handle(&self, batch: Vec<u32>) -> Either<support::Gated, Handling> {
        assert_eq!(batch.capacity(), batch.len(), "of its right size");
        let first = batch[0];
        self.batches.borrow_mut().push(batch);
        let gated = self.gates.handle(first);
        if !self.pausing.borrow().contains(&first) {
            return Either::Left(gated);
        }
        let pause = self.pauses.handle(first);
        Either::Right(
            async move {
                without_slot(pause).await?;
                gated.await
            }
            .boxed_local(),
        )
    }

    /// The batches that were handed out since this was asked last.
    fn batches(&self) -> Vec<Vec<u32>> {
        self.batches.take()
    }
}

fn group(groups: &str, item: u32) -> u32 {
    u32::from(groups.as_bytes()[item as usize % groups.len()])
}

/// The first and the last item of each batch whose result came out; no end, no failure.
fn settled(task: &mut Task) -> Vec<(u32, u32)> {
    let out = settle(task).into_iter();
    out.map(|next| next.expect("no end").expect("no failure"))
        .map(|handed| (handed.item, handed.offset))
        .collect()
}

#[test]
fn a_handler_takes_what_waits_of_its_group_the_oldest_first() {
    for verb in VERBS {
        let desk = Desk::new("abbabab");
        let mut task = desk.spawn(Setup::new(verb, 1), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        assert_eq!(desk.batches(), [[0]], "{verb:?}: at once, and alone");
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(desk.batches(), [[1, 2, 4, 6]], "{verb:?}");
        desk.gates.open(1);
        let out = settled(&mut task);
        assert_eq!(desk.batches(), [[3, 5]], "{verb:?}");
        desk.gates.open(3);
        let rest = settled(&mut task);
        let expected = match verb.in_source_order() {
            true => ([].as_slice(), [(3, 5), (1, 6)].as_slice()),
            false => ([(1, 6)].as_slice(), [(3, 5)].as_slice()),
        };
        assert_eq!((&*out, &*rest), expected, "{verb:?}");
    }
}

#[test]
fn a_batch_has_no_more_than_max_items_and_the_rest_are_the_next() {
    for verb in VERBS {
        for (max, batches) in [
            (
                1,
                vec![vec![0], vec![1], vec![2], vec![3], vec![4], vec![5]],
            ),
            (2, vec![vec![0], vec![1, 2], vec![3, 4], vec![5]]),
            (3, vec![vec![0], vec![1, 2, 3], vec![4, 5]]),
            (5, vec![vec![0], vec![1, 2, 3, 4, 5]]),
            (usize::MAX, vec![vec![0], vec![1, 2, 3, 4, 5]]),
        ] {
            let desk = Desk::new("aaaaaa");
            desk.gates.open_all(1..6);
            let mut task = desk.spawn(Setup::new(verb, 2), max, &desk.feed());
            assert_eq!(settled(&mut task), []);
            desk.gates.open(0);
            let ends = batches
                .iter()
                .map(|batch| (batch[0], batch[batch.len() - 1]));
            assert_eq!(settled(&mut task), Vec::from_iter(ends));
            assert_eq!(desk.batches(), batches, "{verb:?}");
        }
    }
}

#[test]
fn a_batch_never_waits_for_more() {
    for verb in VERBS {
        let desk = Desk::new("a");
        let feed = items([]);
        let mut task = desk.spawn(Setup::new(verb, 4), 100, &feed);
        for item in 0..10 {
            feed.push(Ok(item));
            assert!(task.poll_next().is_pending());
            assert_eq!(desk.batches(), [[item]], "{verb:?}: in the same poll");
            desk.gates.open(item);
            assert_eq!(settled(&mut task), [(item, item)]);
        }
        // Nor when its turn comes while one item waits.
        feed.push(Ok(10));
        assert_eq!(settled(&mut task), []);
        feed.push(Ok(11));
        assert_eq!(settled(&mut task), []);
        desk.gates.open(10);
        assert_eq!(settled(&mut task), [(10, 10)]);
        assert_eq!(desk.batches(), [[10], [11]], "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_groups_and_sixteen_slots_take_as_few_calls_as_there_can_be() {
    const RECORDS: usize = 3_000;
    for max in [1, 7, 10, 59, 60, 1_000, usize::MAX] {
        let calls = RefCell::new(vec![]);
        let begun = tokio::time::Instant::now();
        let results = stream::iter(0..RECORDS)
            .ordered_by_group(|n| n % 50, 16)
            .look_ahead(RECORDS)
            .batches(max)
            .then_unordered(|batch| {
                calls.borrow_mut().push(batch.clone());
                sleep(Duration::from_millis(10)).map(move |()| batch)
            });
        let handled: Vec<_> = results
            .flat_map(|(batch, _)| stream::iter(batch))
            .collect()
            .await;
        let calls = calls.into_inner();
        for batch in &calls {
            assert!(batch.len() <= max);
            assert!(
                batch.windows(2).all(|pair| pair[0] + 50 == pair[1]),
                "{batch:?}"
            );
        }
        let distinct: BTreeSet<_> = handled.iter().collect();
        assert_eq!((handled.len(), distinct.len()), (RECORDS, RECORDS));
        // All were read while the first of sixteen groups were alone.
        let expected = 16 * (1 + 59_usize.div_ceil(max)) + 34 * 60_usize.div_ceil(max);
        assert_eq!(calls.len(), expected, "{max}");
        let rounds = begun.elapsed().as_millis() as usize / 10;
        assert!(
            rounds <= expected.div_ceil(16) + 1,
            "{max}: {rounds} rounds"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn batches_grow_with_the_load() {
    // An item each millisecond, 16 groups and slots: a group gets one each 16 ms.
    for (call, calls) in [(10, 2_000), (500, 80), (5_000, 32)] {
        let count = Cell::new(0);
        let source =
            stream::iter(0..2_000).then(|n| sleep(Duration::from_millis(1)).map(move |()| n));
        pin!(source)
            .ordered_by_group(|n| n % 16, 16)
            .look_ahead(2_000)
            .batches(usize::MAX)
            .then_unordered(|batch| {
                count.set(count.get() + 1);
                sleep(Duration::from_millis(call)).map(move |()| batch)
            })
            .drive(|_| ready(()))
            .await;
        assert_eq!(count.get(), calls, "calls of {call} ms");
    }
}

#[test]
fn no_batch_is_of_two_partitions() {
    for verb in VERBS {
        let desk = Desk::new("a");
        // Two partitions, of which the items come in runs of one, two and three.
        let partitions = [0, 0, 1, 0, 0, 1, 1, 1];
        desk.gates.open_all(1..8);
        let setup = Setup::new(verb, 1).partition(move |item| partitions[item as usize]);
        let mut task = desk.spawn(setup, 100, &items(0..8));
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        let out = settled(&mut task);
        assert_eq!(out, [(0, 0), (1, 1), (2, 2), (3, 4), (5, 7)], "{verb:?}");
        let batches = [vec![0], vec![1], vec![2], vec![3, 4], vec![5, 6, 7]];
        assert_eq!(desk.batches(), batches, "{verb:?}");
    }
}

#[test]
fn the_source_is_read_while_every_slot_is_taken_until_the_window_is_full() {
    for verb in VERBS {
        let desk = Desk::new("abcaaaaaaaaaaaa");
        let feed = desk.feed();
        let mut task = desk.spawn(Setup::new(verb, 2).look_ahead(6), 100, &feed);
        assert_eq!(settled(&mut task), []);
        assert_eq!((desk.batches(), feed.pulled()), (vec![vec![0], vec![1]], 6));
        let polls = feed.polls();
        assert_eq!(settled(&mut task), []);
        assert_eq!(feed.polls(), polls, "{verb:?}: a full window stops it");

        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        // The oldest has the slot, whatever its group.
        assert_eq!((desk.batches(), feed.pulled()), (vec![vec![2]], 7));
        desk.gates.open(2);
        settled(&mut task);
        assert_eq!(
            desk.batches(),
            [[3, 4, 5, 6]],
            "{verb:?}: the window limits batches"
        );
    }
}

#[test]
fn each_item_counts_in_the_window_until_the_result_of_its_batch_has_come_out() {
    for verb in VERBS {
        let desk = Desk::new("abacaaaaaaaaaaaaaaaa");
        let feed = desk.feed();
        let mut task = desk.spawn(Setup::new(verb, 3).look_ahead(5), 2, &feed);
        assert_eq!(settled(&mut task), []);
        assert_eq!(desk.batches(), [[0], [1], [3]]);
        assert_eq!(feed.pulled(), 5);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!((desk.batches(), feed.pulled()), (vec![vec![2, 4]], 6));
        desk.gates.open(2);
        if !verb.in_source_order() {
            assert_eq!(settled(&mut task), [(2, 4)]);
            assert_eq!(feed.pulled(), 8, "{verb:?}: two have gone");
            continue;
        }
        assert_eq!(settled(&mut task), []);
        assert_eq!((desk.batches(), feed.pulled()), (vec![vec![5]], 6));
        assert_eq!((task.counts().finished, task.counts().running), (2, 3));
        // Its first item is the first of all, and 3 is not finished.
        desk.gates.open(1);
        assert_eq!(settled(&mut task), [(1, 1)]);
        assert_eq!(feed.pulled(), 7, "{verb:?}: one has gone");
        assert_eq!((task.counts().finished, task.counts().running), (2, 2));
        assert_eq!(task.unfinished(), [3, 5, 6]);
        desk.gates.open(3);
        assert_eq!(settled(&mut task), [(3, 3), (2, 4)]);
        assert_eq!(feed.pulled(), 10, "{verb:?}");
        assert_eq!(task.counts().finished, 0);
    }
}

#[test]
fn results_between_the_items_of_a_batch_come_out_before_it_and_after_its_handler_in_source_order() {
    for verb in VERBS.into_iter().filter(|verb| verb.in_source_order()) {
        let desk = Desk::new("aabab");
        desk.gates.open(2);
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        desk.gates.open(4);
        assert_eq!(settled(&mut task), [], "{verb:?}: the batch of 1 runs");
        desk.gates.open(1);
        assert_eq!(settled(&mut task), [(2, 2), (1, 3), (4, 4)]);
    }
}

#[test]
fn the_frontier_passes_the_items_of_a_batch_with_its_result() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        let desk = Desk::new("aabab");
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        let frontiers = |task: &mut Task| {
            let out = settle(task).into_iter();
            out.map(|next| next.expect("no end").expect("no failure"))
                .map(|handed| (handed.offset, handed.frontier))
                .collect::<Vec<_>>()
        };
        desk.gates.open(0);
        assert_eq!(frontiers(&mut task), [(0, Some(0))]);
        desk.gates.open(2);
        assert_eq!(frontiers(&mut task), [(2, Some(0))], "{verb:?}");
        desk.gates.open(4);
        assert_eq!(frontiers(&mut task), [(4, Some(0))], "{verb:?}");
        desk.gates.open(1);
        assert_eq!(frontiers(&mut task), [(3, Some(4))], "{verb:?}");
    }
}

#[test]
fn a_failed_batch_fails_in_the_place_of_its_first_item() {
    for verb in FALLIBLE {
        for setup in [
            Setup::new(verb, 2),
            Setup::new(verb, 2).partition(|_| 0),
            Setup::new(verb, 2).partition(|item| u32::from(item == 2)),
        ] {
            let desk = Desk::new("aabaaa");
            let mut task = desk.spawn(setup, 2, &desk.feed());
            assert_eq!(settled(&mut task), []);
            desk.gates.open(0);
            assert_eq!(settled(&mut task), [(0, 0)]);
            assert_eq!(desk.batches(), [vec![0], vec![2], vec![1, 3]]);
            desk.gates.open(2);
            desk.gates.fail(1);
            let out = settle(&mut task);
            let (passed, end) = out.split_at(out.len() - 2);
            assert_eq!(end, [Some(Err(1)), None], "{verb:?}");
            for handed in passed {
                let Some(Ok(Handed {
                    offset: 2,
                    frontier,
                    ..
                })) = handed
                else {
                    panic!("{verb:?}: {handed:?}");
                };
                // In a partition of its own, 2 has nothing before it.
                assert!(
                    frontier.is_none_or(|at| at == 0 || at == 2),
                    "{verb:?}: {frontier:?}"
                );
            }
            assert_eq!(
                desk.batches(),
                [] as [Vec<u32>; 0],
                "{verb:?}: nothing follows"
            );
            assert_eq!(task.poll_next(), Poll::Ready(None));
        }
    }
}

#[test]
fn a_failure_between_the_items_of_a_batch_lets_it_run_to_its_end() {
    for verb in FALLIBLE {
        let desk = Desk::new("aabab");
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(desk.batches(), [vec![0], vec![2], vec![1, 3]]);
        desk.gates.fail(2);
        assert_eq!(settle(&mut task), [], "{verb:?}: 1 came before");
        assert_eq!(desk.gates.live(), 1);
        desk.gates.open(1);
        let out = settle(&mut task);
        // In source order its place is past the failure.
        let handed = Handed {
            item: 1,
            offset: 3,
            frontier: Some(1),
        };
        let mut expected = vec![Some(Err(2)), None];
        if !verb.in_source_order() {
            expected.insert(0, Some(Ok(handed)));
        }
        assert_eq!(out, expected, "{verb:?}");
        assert_eq!(desk.batches(), [] as [Vec<u32>; 0]);
    }
}

#[test]
fn nothing_at_or_past_a_failed_item_joins_a_batch() {
    for verb in FALLIBLE {
        let desk = Desk::new("aabaa");
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        desk.gates.fail(2);
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(desk.batches(), [[0], [2], [1]], "{verb:?}: without 3 and 4");
        desk.gates.open(1);
        let out = settle(&mut task);
        let handed = Handed {
            item: 1,
            offset: 1,
            frontier: Some(1),
        };
        assert_eq!(out, [Some(Ok(handed)), Some(Err(2)), None], "{verb:?}");
    }
}

#[test]
fn a_failure_of_the_source_lets_what_was_read_before_it_gather() {
    for verb in VERBS.into_iter().filter(|verb| verb.reads_results()) {
        let desk = Desk::new("aaaa");
        let feed = desk.feed();
        feed.push(Err(99));
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &feed);
        assert_eq!(settled(&mut task), []);
        assert_eq!(feed.left(), 0, "the failure is known");
        desk.gates.open_all([0, 1]);
        let out = settle(&mut task);
        let offsets: Vec<_> = out
            .iter()
            .map(|next| next.map(|next| next.map(|it| it.offset)))
            .collect();
        assert_eq!(
            offsets,
            [Some(Ok(0)), Some(Ok(3)), Some(Err(99)), None],
            "{verb:?}"
        );
        assert_eq!(desk.batches(), [vec![0], vec![1, 2, 3]]);
    }
}

#[test]
fn a_batch_past_a_failure_goes_where_its_slot_is_needed() {
    for verb in FALLIBLE {
        // 0 and 1 wait without a slot, and need both slots again.
        let desk = Desk::new("pqbccc");
        desk.pausing.borrow_mut().extend([0, 1]);
        let mut task = desk.spawn(Setup::new(verb, 2), 100, &desk.feed());
        assert_eq!(settled(&mut task), []);
        desk.gates.open(3);
        settled(&mut task);
        assert_eq!(
            desk.batches(),
            [vec![0], vec![1], vec![2], vec![3], vec![4, 5]]
        );
        desk.gates.fail(2);
        assert_eq!(settle(&mut task), []);
        assert_eq!(task.counts().running, 4, "{verb:?}: 0, 1, and 4 with 5");
        desk.pauses.open_all([0, 1]);
        assert_eq!(settle(&mut task), []);
        assert_eq!(desk.gates.drops(4), 1, "{verb:?}");
        assert_eq!(task.counts().running, 2, "{verb:?}: 0 and 1");
        desk.gates.open_all([0, 1]);
        let out = settle(&mut task);
        assert_eq!(out[out.len() - 2..], [Some(Err(2)), None], "{verb:?}");
        let counts = task.counts();
        assert_eq!(
            (
                counts.running,
                counts.waiting,
                counts.finished,
                counts.groups
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(desk.batches(), [] as [Vec<u32>; 0]);
    }
}

#[test]
fn a_batch_that_waits_without_a_slot_frees_it_and_keeps_its_group() {
    for verb in VERBS {
        let desk = Desk::new("aabababc");
        desk.pausing.borrow_mut().insert(1);
        let monitor = Monitor::new();
        let setup = Setup::new(verb, 1).monitor(&monitor);
        let feed = desk.feed();
        let mut task = desk.spawn(setup, 3, &feed);
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(
            desk.batches(),
            [vec![0], vec![1, 3, 5], vec![2, 4, 6]],
            "{verb:?}"
        );
        feed.push(Ok(8));
        assert_eq!(settled(&mut task), []);
        let counts = task.counts();
        assert_eq!(
            (counts.running, counts.waiting, counts.groups),
            (6, 2, 3),
            "{verb:?}"
        );
        assert!(monitor.snapshot().without_slot > 0);

        desk.pauses.open(1);
        assert_eq!(settled(&mut task), []);
        assert_eq!(
            desk.batches(),
            [] as [Vec<u32>; 0],
            "{verb:?}: its slot is taken"
        );
        desk.gates.open(2);
        settled(&mut task);
        // Before 7 and 8, which are younger.
        assert_eq!(desk.batches(), [] as [Vec<u32>; 0], "{verb:?}");
        desk.gates.open(1);
        settled(&mut task);
        assert_eq!(desk.batches(), [[7]], "{verb:?}");
        desk.gates.open_all([7, 8]);
        settled(&mut task);
        assert_eq!(desk.batches(), [[8]], "{verb:?}");
        assert_eq!(monitor.snapshot().without_slot, 0);
    }
}

#[test]
fn a_panic_in_a_handler_of_a_batch_poisons_the_stream() {
    for verb in VERBS {
        let desk = Desk::new("aabaa");
        let mut task = desk.spawn(Setup::new(verb, 2), 2, &desk.feed());
        assert_eq!(settled(&mut task), []);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        desk.gates.end(1, End::Panic);
        assert_eq!(
            poll_panics(&mut task),
            "the handler of 1 panics",
            "{verb:?}"
        );
        desk.gates.open(2);
        assert!(
            poll_panics(&mut task).contains("polled after a panic"),
            "{verb:?}"
        );
        assert!(!task.has_terminated());
        drop(task);
        desk.gates.assert_all_dropped_once();
    }
}

#[test]
fn after_the_end_nothing_comes_for_ever() {
    for verb in VERBS {
        let desk = Desk::new("aabaa");
        desk.gates.open_all(0..5);
        let feed = desk.feed();
        feed.close();
        let mut task = desk.spawn(Setup::new(verb, 1), 3, &feed);
        let out = settle(&mut task);
        assert_eq!(out.last(), Some(&None), "{verb:?}");
        assert!(task.has_terminated());
        for _ in 0..3 {
            assert_eq!(task.poll_next(), Poll::Ready(None));
        }
        assert_eq!(task.size_hint(), (0, Some(0)));
    }
}

#[test]
fn times_are_those_of_each_item() {
    for verb in VERBS {
        let (seconds, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let clock = Arc::clone(&seconds);
        let since = move || Duration::from_secs(clock.load(Ordering::Relaxed));
        let monitor = Monitor::new().timed(move || start + since());
        let set = |to| seconds.store(to, Ordering::Relaxed);
        let desk = Desk::new("aaaa");
        let feed = items([0]);
        let mut task = desk.spawn(Setup::new(verb, 1).monitor(&monitor), 2, &feed);
        for item in 1..4 {
            settled(&mut task);
            set(u64::from(item));
            feed.push(Ok(item));
        }
        settled(&mut task);
        set(10);
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        let times = |shown: Snapshot| {
            let secs = |times: Times| (times.count, times.sum.as_secs(), times.max.as_secs());
            let oldest = shown.oldest_unfinished.map(|age| age.as_secs());
            (secs(shown.in_queue), secs(shown.in_handler), oldest)
        };
        assert_eq!(
            times(monitor.snapshot()),
            ((1, 0, 0), (1, 10, 10), Some(9)),
            "{verb:?}"
        );
        set(15);
        desk.gates.open(1);
        assert_eq!(settled(&mut task), [(1, 2)]);
        // 1 and 2 waited 9 and 8 seconds, and ran for 5.
        let expected = ((3, 17, 9), (3, 20, 10), Some(12));
        assert_eq!(times(monitor.snapshot()), expected, "{verb:?}");
        set(16);
        desk.gates.open(3);
        assert_eq!(settled(&mut task), [(3, 3)]);
        let expected = ((4, 29, 12), (4, 21, 10), None);
        assert_eq!(times(monitor.snapshot()), expected, "{verb:?}");
    }
}

/// Handles items `from` to 60 and crashes after so many results: the items whose handlers had finished, those that were
/// handed over, and the committed position of each partition, if any was committed.
async fn crash_after(
    results: usize,
    from: [u32; 2],
    is_in_source_order: bool,
    partitions: u32,
) -> (BTreeSet<u32>, BTreeSet<u32>, [Option<u32>; 2]) {
    let handled = RefCell::new(BTreeSet::new());
    let mut handed_over = BTreeSet::new();
    let mut committed = [None; 2];
    let partition = move |n: u32| n % partitions;
    let ordered = stream::iter(0..60_u32)
        .filter(|n| ready(*n >= from[partition(*n) as usize]))
        .ordered_by_group(|n| n * n % 7, 3)
        .look_ahead(20)
        .offsets(|n| *n)
        .batches(4)
        .partitions(|n| partition(*n));
    let handler = |batch: Vec<u32>| {
        let handled = &handled;
        async move {
            sleep(Duration::from_millis(u64::from(batch[0] * 31 % 13))).await;
            handled.borrow_mut().extend(&batch);
            batch
        }
    };
    let mut take = |(batch, offset): (Vec<u32>, u32), frontier: Option<u32>| {
        assert_eq!(batch.last(), Some(&offset));
        handed_over.extend(batch);
        let committed = &mut committed[partition(offset) as usize];
        *committed = frontier.or(*committed);
    };
    if is_in_source_order {
        let mut all = pin!(ordered.then(handler).take(results));
        while let Some((batch, offset)) = all.next().await {
            take((batch, offset), Some(offset));
        }
    } else {
        let mut all = pin!(ordered.then_unordered(handler).take(results));
        while let Some((batch, offset)) = all.next().await {
            take((batch, *offset.offset()), offset.frontier().copied());
        }
    }
    (handled.into_inner(), handed_over, committed)
}

#[tokio::test(start_paused = true)]
async fn whoever_crashes_at_any_point_and_resumes_has_lost_nothing() {
    for (is_in_source_order, partitions) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
        let mut crashes = 0;
        for results in 0.. {
            let (before, given, committed) =
                crash_after(results, [0; 2], is_in_source_order, partitions).await;
            let from = committed.map(|at| at.map_or(0, |at| at + 1));
            let (after, given_then, _) =
                crash_after(usize::MAX, from, is_in_source_order, partitions).await;
            let all = BTreeSet::from_iter(0..60);
            let case =
                format!("{results} results, source order: {is_in_source_order}, {partitions}");
            assert_eq!(&before | &after, all, "handled; {case}");
            if !is_in_source_order {
                assert_eq!(&given | &given_then, all, "handed over; {case}");
            }
            if given.len() == 60 {
                break;
            }
            crashes += 1;
        }
        assert!((15..60).contains(&crashes), "{crashes} results");
    }
}

#[test]
fn counts_and_monitors_count_items() {
    for verb in VERBS {
        let desk = Desk::new("aabababc");
        let monitor = Monitor::new();
        let setup = Setup::new(verb, 2).monitor(&monitor);
        let feed = desk.feed();
        let mut task = desk.spawn(setup, 2, &feed);
        let shown = || {
            let shown = monitor.snapshot();
            let Snapshot {
                running,
                waiting,
                finished,
                groups,
                deepest_group,
                ..
            } = shown;
            let totals = (
                shown.admitted_total,
                shown.emitted_total,
                shown.failed_total,
            );
            ([running, waiting, finished, groups, deepest_group], totals)
        };
        let counted = |task: &Task| {
            let counts = task.counts();
            [
                counts.running,
                counts.waiting,
                counts.finished,
                counts.groups,
            ]
        };
        assert_eq!(settled(&mut task), []);
        assert_eq!(
            shown(),
            ([2, 6, 0, 3, 3], (8, 0, 0)),
            "{verb:?}: 0 and 2 run"
        );
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(desk.batches(), [vec![0], vec![2], vec![1, 3]]);
        assert_eq!(shown(), ([3, 4, 0, 3, 2], (8, 1, 0)), "{verb:?}");
        assert_eq!(counted(&task), [3, 4, 0, 3]);
        assert_eq!(task.unfinished(), Vec::from_iter(1..8));
        desk.gates.open(1);
        let emitted = match verb.in_source_order() {
            true => 1, // 2 is not finished. The result of 1 and 3 waits for it.
            false => 3,
        };
        assert_eq!(settled(&mut task).len(), emitted / 2);
        let finished = 3 - emitted;
        assert_eq!(desk.batches(), [[5]], "{verb:?}: 4 waits for 2");
        assert_eq!(
            shown(),
            ([2, 3, finished, 3, 2], (8, emitted as u64, 0)),
            "{verb:?}"
        );
        assert_eq!(counted(&task), [2, 3, finished, 3]);
        assert_eq!(task.unfinished(), [2, 4, 5, 6, 7]);
        desk.gates.open_all(2..8);
        settled(&mut task);
        assert_eq!(shown(), ([0; 5], (8, 8, 0)), "{verb:?}");
        assert_eq!(task.unfinished(), [] as [u32; 0]);

        if !verb.can_fail() {
            continue;
        }
        for item in 8..12 {
            feed.push(Ok(item)); // a a b a
        }
        assert_eq!(settled(&mut task), []);
        desk.gates.open(8);
        settled(&mut task);
        desk.gates.fail(9);
        assert_eq!(
            settle(&mut task).len(),
            2,
            "{verb:?}: the failure, and the end"
        );
        assert_eq!(
            shown(),
            ([0; 5], (12, 9, 1)),
            "{verb:?}: one handler has failed"
        );
    }
}

#[test]
fn figures_are_of_one_moment_while_kept_results_come_out_without_a_pause() {
    for verb in VERBS {
        const BATCHES: u32 = 2_000;
        let monitor = Monitor::new();
        let desk = Desk::new("abcdefgh");
        desk.gates.open_all(8..16 * BATCHES);
        let feed = items(0..2 * BATCHES);
        let setup = Setup::new(verb, 8)
            .look_ahead(2 * BATCHES as usize)
            .monitor(&monitor);
        let mut task = desk.spawn(setup, 2, &feed);
        advance(&mut task);
        desk.gates.open_all(0..8);
        advance(&mut task);
        assert_eq!(task.counts().finished, 2 * BATCHES as usize, "{verb:?}");
        let (mut publications, mut before) = (0, 0);
        while task.counts().finished > 0 {
            _ = task.poll_next();
            let shown = monitor.snapshot();
            let inside = shown.running + shown.waiting + shown.finished;
            assert_eq!(
                shown.admitted_total - shown.emitted_total,
                inside as u64,
                "{verb:?}"
            );
            publications += u64::from(shown.emitted_total > before);
            before = shown.emitted_total;
        }
        assert!(publications >= 4, "{verb:?}: {publications} publications");
    }
}

#[test]
fn any_number_of_results_from_one_may_be_left() {
    for verb in VERBS {
        let desk = Desk::new("aaaaab");
        let feed = desk.feed();
        feed.close();
        let mut task = desk.spawn(Setup::new(verb, 1).look_ahead(4), 10, &feed);
        assert_eq!(task.size_hint(), (1, Some(6)), "{verb:?}");
        assert_eq!(settled(&mut task), []);
        assert_eq!(task.size_hint(), (1, Some(6)), "{verb:?}: 4 are admitted");
        desk.gates.open(0);
        assert_eq!(settled(&mut task), [(0, 0)]);
        assert_eq!(task.size_hint(), (1, Some(5)), "{verb:?}");
        desk.gates.open(1);
        assert_eq!(settled(&mut task), [(1, 3)]);
        assert_eq!(task.size_hint(), (1, Some(2)), "{verb:?}");
        desk.gates.open_all([4, 5]);
        assert_eq!(settle(&mut task).len(), 3);
        assert_eq!(task.size_hint(), (0, Some(0)), "{verb:?}");
    }
}

#[test]
fn batches_of_one_are_as_without_but_read_ahead() {
    for seed in 0..20 {
        for verb in VERBS {
            let run = |is_in_batches: bool| {
                let mut rng = SmallRng::seed_from_u64(seed);
                let desk = Desk::new("abacabadefg");
                let (slots, feed) = (rng.random_range(1..4), desk.feed());
                feed.close();
                let setup = Setup::new(verb, slots).look_ahead(slots + 3);
                let mut task = match is_in_batches {
                    true => desk.spawn(setup, 1, &feed),
                    false => {
                        let setup = setup.key(|item| group("abacabadefg", item));
                        setup.spawn_ahead(None, &feed, &desk.gates)
                    }
                };
                let mut polls = vec![];
                while !task.has_terminated() {
                    for item in desk.gates.running() {
                        match rng.random_range(0..20) {
                            0 if verb.can_fail() => desk.gates.fail(item),
                            0..10 => desk.gates.open(item),
                            _ => {}
                        }
                    }
                    let polled = task.poll_next();
                    polls.push((
                        polled,
                        task.is_woken(),
                        feed.polls(),
                        task.counts(),
                        desk.gates.events(),
                    ));
                }
                polls
            };
            assert_eq!(run(true), run(false), "seed {seed}, {verb:?}");
        }
    }
}

fn by(settings: &'static str) -> Vec<(Vec<u32>, u64)> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default;
    let ordered = || stream::iter(0..60_u32).ordered_by_group(|n| n % 7, 3);
    let place = |n: &u32| u64::from(*n);
    let partition = |n: &u32| n / 30;
    macro_rules! collect {
        ($ordered:expr) => {
            $ordered.then(yields_once).collect::<Vec<_>>().boxed_local()
        };
    }
    futures::executor::block_on(match settings {
        "alone" => collect!(ordered().batches(4)),
        "twice" => collect!(ordered().batches(9).batches(4)),
        "prefetch before" => collect!(ordered().prefetch().batches(4)),
        "prefetch after" => collect!(ordered().batches(4).prefetch()),
        "with_hasher before" => collect!(ordered().with_hasher(hasher()).batches(4)),
        "with_hasher after" => collect!(ordered().batches(4).with_hasher(hasher())),
        "with_hasher before, prefetch between" => {
            collect!(ordered().with_hasher(hasher()).prefetch().batches(4))
        }
        "offsets before" => collect!(ordered().offsets(place).batches(4)),
        "offsets after" => collect!(ordered().batches(4).offsets(place)),
        "look_ahead before" => collect!(ordered().look_ahead(100).batches(4)),
        "look_ahead after" => collect!(ordered().batches(4).look_ahead(100)),
        "partitions before" => collect!(ordered().partitions(partition).batches(4)),
        "partitions after" => collect!(ordered().batches(4).partitions(partition)),
        "partitions before and after" => {
            collect!(
                ordered()
                    .partitions(|n| *n)
                    .batches(4)
                    .partitions(partition)
            )
        }
        "a source that can fail" => {
            let source = stream::iter((0..60_u32).map(Ok::<_, ()>));
            let ordered = source.try_ordered_by_group(|n| n % 7, 3);
            let results = ordered
                .with_hasher(hasher())
                .prefetch()
                .batches(9)
                .batches(4);
            let results = results.prefetch().with_hasher(hasher());
            let results = results.and_then(|batch| yields_once(batch).map(Ok));
            results
                .map(|next| next.expect("no failure"))
                .collect()
                .boxed_local()
        }
        _ => unreachable!("{settings}"),
    })
}

/// A handler that lets its neighbours go first, so that batches gather.
async fn yields_once(batch: Vec<u32>) -> Vec<u32> {
    yield_now().await;
    batch
}

async fn yield_now() {
    let mut is_pending = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[test]
fn settings_come_in_any_order_and_twice() {
    let alone = by("alone");
    let sizes = alone.iter().map(|(batch, _)| batch.len());
    assert_eq!(sizes.clone().max(), Some(4));
    assert_eq!(sizes.sum::<usize>(), 60);
    for settings in [
        "twice",
        "prefetch before",
        "prefetch after",
        "with_hasher before",
        "with_hasher after",
        "with_hasher before, prefetch between",
        "offsets before",
        "offsets after",
        "look_ahead before",
        "look_ahead after",
        "a source that can fail",
    ] {
        assert_eq!(by(settings), alone, "{settings}");
    }
    let parted = by("partitions before");
    assert_ne!(parted, alone);
    for (batch, _) in &parted {
        assert!(batch.iter().all(|n| n / 30 == batch[0] / 30), "{batch:?}");
    }
    assert_eq!(by("partitions after"), parted);
    assert_eq!(
        by("partitions before and after"),
        parted,
        "the last one counts"
    );
}

#[test]
fn closures_are_called_once_an_item_at_admission_in_source_order() {
    let (keys, offsets, partitions) = (RefCell::default(), RefCell::default(), RefCell::default());
    let note = |seen: &RefCell<Vec<u32>>, n: u32| seen.borrow_mut().push(n);
    let mut results = pin!(
        stream::iter(0..100_u32)
            .ordered_by_group(
                |n| {
                    note(&keys, *n);
                    n % 3
                },
                2,
            )
            .look_ahead(50)
            .batches(5)
            .offsets(|n| note(&offsets, *n))
            .partitions(|n| note(&partitions, *n))
            .then(yields_once)
    );
    let mut cx = Context::from_waker(Waker::noop());
    assert!(results.as_mut().poll_next(&mut cx).is_pending());
    assert_eq!(keys.borrow().len(), 50);
    assert_eq!(
        futures::executor::block_on(
            results
                .map(|(batch, ())| batch.len())
                .fold(0, |sum, n| ready(sum + n))
        ),
        100
    );
    for seen in [keys, offsets, partitions] {
        assert_eq!(seen.into_inner(), Vec::from_iter(0..100));
    }
}

/// An item that says when it is dropped.
struct Dropped(u32, Rc<RefCell<Vec<u32>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.1.borrow_mut()[self.0 as usize] += 1;
    }
}

#[test]
fn a_drop_at_any_moment_drops_each_item_once() {
    const ITEMS: u32 = 40;
    macro_rules! drop_after {
        ($polls:expr, $verb:ident, $failing:expr) => {{
            let drops = Rc::new(RefCell::new(vec![0; ITEMS as usize]));
            let all: Vec<_> = (0..ITEMS).map(|n| Dropped(n, Rc::clone(&drops))).collect();
            let mut results = Box::pin(
                stream::iter(all)
                    .ordered_by_group(|item| item.0 % 5, 2)
                    .look_ahead(20)
                    .batches(3)
                    .$verb(|batch| async move {
                        for _ in 0..batch[0].0 % 4 {
                            yield_now().await;
                        }
                        match batch.iter().any(|item| Some(item.0) == $failing) {
                            true => Err(batch.len()),
                            false => Ok(batch.len()),
                        }
                    }),
            );
            let mut cx = Context::from_waker(Waker::noop());
            let mut ended = false;
            for _ in 0..$polls {
                ended |= matches!(results.as_mut().poll_next(&mut cx), Poll::Ready(None));
            }
            drop(results);
            assert_eq!(
                *drops.borrow(),
                [1; ITEMS as usize],
                "after {} polls",
                $polls
            );
            ended
        }};
    }
    for failing in [None, Some(17), Some(39)] {
        let ended = [100, 101].map(|polls| {
            for polls in 0..polls {
                drop_after!(polls, then, failing);
                drop_after!(polls, try_then, failing);
                drop_after!(polls, try_then_unordered, failing);
            }
            drop_after!(polls, then, failing)
                && drop_after!(polls, try_then, failing)
                && drop_after!(polls, then_unordered, failing)
                && drop_after!(polls, try_then_unordered, failing)
        });
        assert_eq!(ended, [true, true], "some of these were after the end");
    }
}

#[test]
fn a_batch_is_one_allocation() {
    for partitions in [1, 3] {
        let calls = Cell::new(0_u64);
        let mut results = pin!(
            stream::iter(0_u32..)
                .ordered_by_group(|n| n.wrapping_mul(0x9E37_79B9) >> 24, 16)
                .batches(10)
                .partitions(|n| n % partitions)
                .then(|batch| {
                    calls.set(calls.get() + 1);
                    yields_once(batch)
                })
        );
        let mut take = |count| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut taken = 0;
            while taken < count {
                taken += u64::from(results.as_mut().poll_next(&mut cx).is_ready());
            }
        };
        take(10_000);
        let before = calls.get();
        let allocations = measure(|| take(20_000)).count_total;
        let calls = calls.get() - before;
        assert!(calls >= 19_000);
        let more = allocations as f64 / calls as f64 - 1.0;
        assert!(
            (0.0..=0.001).contains(&more),
            "{allocations} in {calls} calls"
        );
    }
}

/// A handler that waits until it may go on, and wakes itself.
async fn wait_for(is_open: Rc<Cell<bool>>, batch: Vec<u32>) -> usize {
    poll_fn(|cx| {
        if is_open.get() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    batch.len()
}

/// Reads all of so many items while the handlers wait, then lets them go: the sizes of the batches, and how many bytes are
/// held at the peak and once a few results are left.
fn read_all_then_handle(
    count: u32,
    order: impl FnOnce(u32, Monitor, Rc<Cell<bool>>) -> Pin<Box<dyn Stream<Item = usize>>>,
) -> (Vec<usize>, i64, i64) {
    let (monitor, is_open) = (Monitor::new(), Rc::new(Cell::new(false)));
    let mut results = order(count, monitor.clone(), Rc::clone(&is_open));
    let mut cx = Context::from_waker(Waker::noop());
    let peak = measure(|| {
        while monitor.snapshot().admitted_total < u64::from(count) {
            assert!(results.as_mut().poll_next(&mut cx).is_pending());
        }
    });
    is_open.set(true);
    let mut sizes = Vec::with_capacity(count as usize);
    let mut is_pending = 0;
    let after = measure(|| {
        // The source never ends, and what is idle gives back what it does not use.
        while is_pending < 100 {
            match results.as_mut().poll_next(&mut cx) {
                Poll::Ready(size) => sizes.push(size.expect("no end")),
                Poll::Pending => is_pending += 1,
            }
        }
    });
    (
        sizes,
        peak.bytes_current,
        peak.bytes_current + after.bytes_current,
    )
}

#[test]
fn a_batch_of_a_million_items_and_a_million_groups_are_handled_and_given_back() {
    const MANY: u32 = 1_000_000;
    macro_rules! handle {
        ($key:expr, $verb:ident $(, $setting:ident($argument:expr))?) => {
            read_all_then_handle(MANY, |count, monitor, is_open| {
                stream::iter(0..count)
                    .chain(stream::pending())
                    .ordered_by_group($key, 2)
                    .look_ahead(MANY as usize)
                    .monitor(&monitor)
                    $(.$setting($argument))?
                    .batches(usize::MAX)
                    .$verb(move |batch| wait_for(Rc::clone(&is_open), batch))
                    .map(|(size, _)| size)
                    .boxed_local()
            })
        };
    }
    let one_of_all = |(sizes, peak, after): (Vec<usize>, i64, i64)| {
        assert_eq!(sizes, [1, MANY as usize - 1]);
        assert!(after < peak / 16, "{after} of {peak} bytes are kept");
    };
    one_of_all(handle!(|_| 0, then));
    one_of_all(handle!(|_| 0, then_unordered, partitions(|_| 0)));
    let (sizes, peak, after) = handle!(|n| *n, then);
    assert_eq!((sizes.len(), sizes.iter().max()), (MANY as usize, Some(&1)));
    assert!(after < peak / 16, "{after} of {peak} bytes are kept");
}

/// What cannot be named with a lifetime in a spawned task, unless the streams have no projections in their bounds.
#[derive(Debug)]
struct Borrowed<'a>(&'a str);

#[tokio::test]
async fn spawned_pipelines_of_borrowed_items_in_batches_compile_through_every_verb() {
    async fn lengths(batch: Vec<Borrowed<'_>>) -> usize {
        tokio::task::yield_now().await;
        batch.iter().map(|word| word.0.len()).sum()
    }
    async fn try_lengths(batch: Vec<Borrowed<'_>>) -> Result<usize, String> {
        Ok(lengths(batch).await)
    }
    fn words(text: &str) -> impl Stream<Item = Borrowed<'_>> + Send {
        stream::iter(text.split(' ').map(Borrowed))
    }
    let run = tokio::spawn(async {
        let text = String::from("a bb a ccc bb a");
        let mut total = 0;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 2)
            .batches(10)
            .offsets(|word| word.0.len())
            .then(|batch| async move { lengths(batch).await })
            .drive(|(length, _)| {
                total += length;
                async {}
            })
            .await;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 2)
            .partitions(|word| word.0.len())
            .batches(10)
            .then_unordered(lengths)
            .drive_chunks(4, |chunk: Vec<_>| {
                total += chunk.iter().map(|(length, _)| length).sum::<usize>();
                async {}
            })
            .await;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 2)
            .batches(10)
            .try_then(try_lengths)
            .try_drive(|(length, _)| {
                total += length;
                async { Ok(()) }
            })
            .await?;
        words(&text)
            .ordered_by_group(|word| word.0.len(), 2)
            .batches(10)
            .try_then_unordered(|batch| async move { try_lengths(batch).await })
            .try_drive_chunks(4, |chunk: Vec<_>| {
                total += chunk.iter().map(|(length, _)| length).sum::<usize>();
                async { Ok(()) }
            })
            .await?;
        words(&text)
            .map(Ok)
            .try_ordered_by_group(|word| word.0.len(), 2)
            .batches(10)
            .and_then(try_lengths)
            .try_drive(|(length, _)| {
                total += length;
                async { Ok(()) }
            })
            .await?;
        let lengths = words(&text)
            .map(Ok)
            .try_ordered_by_group(|word| word.0.len(), 2)
            .batches(10)
            .and_then_unordered(try_lengths);
        total += lengths
            .try_fold(0, |sum, (length, _)| ready(Ok(sum + length)))
            .await?;
        Ok::<_, String>(total)
    });
    assert_eq!(run.await.unwrap(), Ok(6 * 10));
}

#[cfg(feature = "tokio")]
mod spawned {
    use std::sync::Mutex;

    use ordered_by_group::Unordered;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn batches_on_workers_are_of_one_group_and_in_order() {
        const RECORDS: u32 = 5_000;
        for max in [1, 7, usize::MAX] {
            let calls = Arc::new(Mutex::new(vec![]));
            let seen = Arc::clone(&calls);
            let results = stream::iter(0..RECORDS)
                .ordered_by_group(|n| n % 50, 4)
                .batches(max)
                .spawned()
                .then(move |batch| {
                    seen.lock().unwrap().push(batch.clone());
                    async move {
                        tokio::task::yield_now().await;
                        batch[batch.len() - 1]
                    }
                });
            let offsets: Vec<_> = results.collect().await;
            assert!(
                offsets
                    .iter()
                    .all(|(last, offset)| u64::from(*last) == *offset)
            );
            assert!(offsets.is_sorted(), "source order");
            let calls = calls.lock().unwrap();
            assert_eq!(calls.len(), offsets.len());
            let mut of_group = vec![vec![]; 50];
            for batch in calls.iter() {
                assert!((1..=max).contains(&batch.len()));
                let group = &mut of_group[batch[0] as usize % 50];
                group.extend(batch.iter().copied());
            }
            for (group, items) in (0..).zip(of_group) {
                assert_eq!(items, Vec::from_iter((group..RECORDS).step_by(50)));
            }
            if max > 1 {
                assert!(calls.len() < RECORDS as usize / 2, "{} calls", calls.len());
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_batch_that_fails_on_a_worker_passes_nothing_of_itself() {
        // 0 is alone, and while it is held, 1 to 9 gather. Other groups go on.
        for failing in 1..10_u32 {
            let gate = Arc::new(Semaphore::new(0));
            let held = Arc::clone(&gate);
            let source = stream::iter(0..40_u32).inspect(move |n| {
                if *n == 39 {
                    gate.add_permits(1);
                }
            });
            let results = source
                .ordered_by_group(|n| if *n < 10 { 0 } else { *n }, 4)
                .batches(usize::MAX)
                .spawned()
                .try_then_unordered(move |batch| {
                    let held = Arc::clone(&held);
                    async move {
                        if batch == [0] {
                            held.acquire().await.unwrap().forget();
                        }
                        match batch.contains(&failing) {
                            true => Err(batch),
                            false => Ok(batch),
                        }
                    }
                });
            let out: Vec<Result<(_, Unordered<u64>), _>> = results.collect().await;
            assert_eq!(out.last(), Some(&Err(Vec::from_iter(1..10))));
            for next in &out[..out.len() - 1] {
                let (_, offset) = next.as_ref().unwrap();
                assert!(offset.frontier().is_none_or(|at| *at == 0), "{offset:?}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_batch_on_a_worker_that_waits_without_a_slot_frees_it_and_keeps_its_group() {
        let (gate, order) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(vec![])));
        let (pause, seen) = (Arc::clone(&gate), Arc::clone(&order));
        // One slot: "b" runs while the first of "a" waits, and lets it go on.
        stream::iter(["a0", "a1", "b2", "a3"])
            .ordered_by_group(|item| item.as_bytes()[0], 1)
            .batches(10)
            .spawned()
            .then(move |batch| {
                let (pause, seen) = (Arc::clone(&pause), Arc::clone(&seen));
                async move {
                    if batch[0] == "a0" {
                        without_slot(pause.acquire()).await.unwrap().forget();
                    }
                    if batch[0] == "b2" {
                        pause.add_permits(1);
                    }
                    seen.lock().unwrap().push(batch);
                }
            })
            .drive(|_| ready(()))
            .await;
        let order = order.lock().unwrap().clone();
        assert_eq!(order, [vec!["b2"], vec!["a0"], vec!["a1", "a3"]]);
    }
}

#[test]
fn all_of_a_batch_that_failed_is_finished() {
    macro_rules! check {
        ($verb:ident) => {
            let fails = Rc::new(Cell::new(false));
            let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
            let (gate, kept) = (Rc::clone(&fails), Rc::clone(&wakers));
            // The first of a group is alone; the others wait behind it.
            let results = stream::iter([0, 1, 1, 1].map(Ok::<u32, u32>))
                .chain(stream::pending())
                .try_ordered_by_group(|item| *item, 4)
                .batches(8)
                .$verb(move |batch| {
                    let (gate, kept) = (Rc::clone(&gate), Rc::clone(&kept));
                    let batch: Vec<u32> = batch.into_iter().collect();
                    let mut polls = 0;
                    poll_fn(move |cx| {
                        polls += 1;
                        if batch[0] == 1 && batch.len() == 2 && gate.get() {
                            return Poll::Ready(Err(7));
                        }
                        if batch[0] == 1 && batch.len() == 1 && polls == 2 {
                            return Poll::Ready(Ok(()));
                        }
                        kept.borrow_mut().push(cx.waker().clone());
                        Poll::<Result<(), u32>>::Pending
                    })
                });
            let mut results = tokio_test::task::spawn(Box::pin(results));
            let mut polled = || {
                for _ in 0..4 {
                    let _ = results.poll_next();
                }
                (results.finished(), results.unfinished().count())
            };
            polled();
            wakers.take().into_iter().for_each(Waker::wake);
            let between = polled();
            fails.set(true);
            wakers.take().into_iter().for_each(Waker::wake);
            let after = polled();
            assert_eq!(between.1, 3);
            assert_eq!(after.1, 1);
        };
    }
    check!(and_then);
    check!(and_then_unordered);
}
