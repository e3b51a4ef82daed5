//! Chapter 19 of the contract: source order, failure and frontier hold within a partition.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::ready;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::Unordered;
use ordered_by_group::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_test::assert_ready;
use tokio_test::task::spawn;

use self::support::{
    FALLIBLE, Feed, Gates, Group, Handed, Setup, Task, VERBS, Verb, advance, items, poll_panics,
    settle, settled,
};

/// The partition of an item is its thousands; its group, as always, its tens.
fn partition(item: u32) -> u32 {
    item / 1_000
}

fn partitioned(verb: Verb, feed: &Feed<Result<u32, u32>>) -> (Task, Gates) {
    let gates = Gates::default();
    let task = Setup::new(verb, 8).partition(partition).spawn(feed, &gates);
    (task, gates)
}

fn handed(next: Option<Result<Handed, u32>>) -> Handed {
    next.expect("no end").expect("no failure")
}

#[test]
fn a_stuck_partition_does_not_hold_back_the_others() {
    for verb in VERBS {
        let feed = items([1_010, 2_010, 3_010, 1_020, 2_020, 3_020, 2_030, 3_030]);
        feed.close();
        let (mut task, gates) = partitioned(verb, &feed);
        gates.open_all([2_010, 3_010, 1_020, 2_020, 3_020, 2_030, 3_030]);
        let mut last = BTreeMap::new();
        let mut out = Vec::new();
        for next in settle(&mut task) {
            let Handed { item, frontier, .. } = handed(next);
            last.insert(partition(item), frontier);
            out.push(item);
        }
        out.sort();
        if verb.in_source_order() {
            assert_eq!(out, [2_010, 2_020, 2_030, 3_010, 3_020, 3_030], "{verb:?}");
        } else {
            assert_eq!(out.len(), 7, "{verb:?}");
            assert_eq!(last[&1], None, "{verb:?}: its first is not finished");
        }
        assert_eq!((last[&2], last[&3]), (Some(2_030), Some(3_030)), "{verb:?}");
        assert_eq!(task.unfinished(), [1_010], "{verb:?}");
        gates.open(1_010);
        let mut end = settle(&mut task);
        assert_eq!(end.pop(), Some(None), "{verb:?}");
        for next in end {
            last.insert(1, handed(next).frontier);
        }
        assert_eq!(last[&1], Some(1_020), "{verb:?}: its last offset");
    }
}

#[test]
fn in_source_order_nothing_passes_an_unfinished_item_of_its_partition() {
    for verb in VERBS.into_iter().filter(|verb| verb.in_source_order()) {
        let feed = items([1_010, 1_020, 2_010, 1_030, 2_020]);
        let (mut task, gates) = partitioned(verb, &feed);
        gates.open_all([1_020, 1_030, 2_020]);
        assert!(settled(&mut task).is_empty(), "{verb:?}");
        gates.open(2_010);
        assert_eq!(settled(&mut task), [2_010, 2_020], "{verb:?}");
        gates.open(1_010);
        assert_eq!(settled(&mut task), [1_010, 1_020, 1_030], "{verb:?}");
    }
}

#[test]
fn in_completion_order_the_frontier_of_a_partition_stops_at_its_first_that_is_unfinished() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        let feed = items([1_010, 1_020, 2_010, 1_030, 2_020]);
        let (mut task, gates) = partitioned(verb, &feed);
        for (item, frontier) in [
            (1_030, None),
            (2_010, Some(2_010)),
            (1_010, Some(1_010)),
            (2_020, Some(2_020)),
            (1_020, Some(1_030)),
        ] {
            settled(&mut task);
            gates.open(item);
            let out: Vec<_> = settle(&mut task).into_iter().map(handed).collect();
            let expected = Handed {
                item,
                offset: item,
                frontier,
            };
            assert_eq!(out, [expected], "{verb:?}");
        }
    }
}

#[test]
fn a_partition_that_was_forgotten_begins_again_and_its_frontier_does_not_go_back() {
    for verb in VERBS {
        let feed = items([1_010]);
        let (mut task, gates) = partitioned(verb, &feed);
        gates.open(1_010);
        let out = settle(&mut task);
        assert_eq!(handed(out[0]).frontier, Some(1_010), "{verb:?}");
        for item in [1_020, 1_030] {
            feed.push(Ok(item));
        }
        settled(&mut task);
        gates.open(1_030);
        for next in settle(&mut task) {
            assert_eq!(handed(next).frontier, None, "{verb:?}");
        }
        gates.open(1_020);
        let last = settle(&mut task).into_iter().next_back();
        assert_eq!(handed(last.unwrap()).frontier, Some(1_030), "{verb:?}");
    }
}

#[test]
fn results_that_were_held_back_come_out_among_those_of_a_busy_source() {
    // 1,020 is finished behind 1,010; the other partitions have a result for every poll.
    for verb in VERBS {
        let feed = items([1_010, 1_020]);
        let (mut task, gates) = partitioned(verb, &feed);
        advance(&mut task);
        gates.open_all([1_020, 1_010]);
        advance(&mut task);
        let others = 2_000..4_000;
        others.clone().for_each(|item| feed.push_silently(Ok(item)));
        gates.open_all(others);
        feed.wake();
        let mut out = Vec::new();
        while out.len() < 1_000 {
            match task.poll_next() {
                Poll::Ready(next) => out.push(handed(next).item),
                Poll::Pending => assert!(task.is_woken()),
            }
        }
        assert!(out.contains(&1_010) && out.contains(&1_020), "{verb:?}");
    }
}

#[test]
fn a_group_of_two_partitions_is_one_group() {
    for verb in VERBS {
        let gates = Gates::new(|item| item % 10);
        let feed = items([1_001, 2_001, 2_002]);
        let mut task = Setup::new(verb, 8)
            .partition(partition)
            .key(|item| item % 10)
            .spawn(&feed, &gates);
        gates.open_all([2_001, 2_002]);
        let out = settled(&mut task);
        assert_eq!(gates.called(), [1_001, 2_002], "{verb:?}");
        assert_eq!(out.is_empty(), verb.in_source_order(), "{verb:?}");
        gates.open(1_001);
        assert_eq!(settled(&mut task).len() + out.len(), 3, "{verb:?}");
    }
}

#[test]
fn the_window_is_shared() {
    for verb in VERBS {
        let gates = Gates::default();
        let feed = items([1_010, 1_011, 1_012, 2_010]);
        let mut task = Setup::new(verb, 2)
            .look_ahead(3)
            .partition(partition)
            .spawn(&feed, &gates);
        gates.open(2_010);
        assert!(settled(&mut task).is_empty(), "{verb:?}");
        assert_eq!(feed.pulled(), 3, "{verb:?}: it is full of one partition");
        gates.open(1_010);
        assert_eq!(settled(&mut task), [1_010, 2_010], "{verb:?}");
    }
}

#[test]
fn closures_are_called_once_an_item_in_the_order_of_the_source() {
    for verb in VERBS {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let note = |what: &'static str| {
            let calls = Rc::clone(&calls);
            move |item| calls.borrow_mut().push((what, item))
        };
        let (offset, partition, call) = (note("offset"), note("partition"), note("handler"));
        let log = [1_010, 1_011, 2_010, 1_020];
        let feed = items(log);
        let gates = Gates::default();
        let mut task = Setup::new(verb, 8)
            .offset(move |item| {
                offset(item);
                item
            })
            .partition(move |item| {
                partition(item);
                item / 1_000
            })
            .call(call)
            .spawn(&feed, &gates);
        gates.open_all([2_010, 1_020, 1_011]);
        settled(&mut task);
        gates.open(1_010);
        settled(&mut task);
        let of = |what| {
            let calls = calls.borrow();
            let calls = calls.iter().enumerate().filter(|(_, call)| call.0 == what);
            let calls = calls.map(|(at, (_, item))| (*item, at));
            calls.collect::<Vec<_>>()
        };
        for what in ["offset", "partition"] {
            assert!(of(what).into_iter().map(|call| call.0).eq(log), "{verb:?}");
        }
        let called_at: BTreeMap<_, _> = of("handler").into_iter().collect();
        for (item, at) in of("partition").into_iter().chain(of("offset")) {
            assert!(at < called_at[&item], "{verb:?}: before the handler has it");
        }
    }
}

#[test]
fn a_failure_in_one_partition_stops_the_stream_once_all_before_it_has_come_out() {
    for verb in FALLIBLE {
        for two_fail in [false, true] {
            let feed = items([1_010, 2_010, 1_020, 3_010, 2_020, 1_030, 2_021]);
            let (mut task, gates) = partitioned(verb, &feed);
            // 1,020 fails; 1,030 is past it in its partition, 3,010, 2,020 and 2,021 in others.
            gates.open_all([1_030, 3_010, 2_020]);
            let mut out = settle(&mut task);
            if two_fail {
                gates.fail(2_021);
                gates.open(2_010);
                out.extend(settle(&mut task));
            }
            gates.fail(1_020);
            out.extend(settle(&mut task));
            feed.push(Ok(4_010));
            out.extend(settle(&mut task));
            assert!(!out.contains(&Some(Err(1_020))), "{verb:?}: 1,010 runs");
            gates.open(2_010);
            out.extend(settle(&mut task));
            gates.open(1_010);
            out.extend(settle(&mut task));
            let end = out.split_off(out.len() - 2);
            assert_eq!(end, [Some(Err(1_020)), None], "{verb:?}, {two_fail}");
            let out: Vec<_> = out.into_iter().map(handed).collect();
            for item in [1_010, 2_010] {
                assert!(out.iter().any(|out| out.item == item), "{verb:?}");
            }
            for out in &out {
                let Handed { item, frontier, .. } = *out;
                let first_not_to_pass = match partition(item) {
                    1 => 1_020,
                    2 => 2_021,
                    _ => 4_010,
                };
                assert!(frontier < Some(first_not_to_pass), "{verb:?}: {out:?}");
            }
            assert!(!gates.called().contains(&4_010), "{verb:?}");
            assert_eq!(task.poll_next(), Poll::Ready(None), "{verb:?}");
            gates.assert_all_dropped_once();
        }
    }
}

#[test]
fn nothing_past_a_failure_starts_not_even_of_another_partition() {
    for verb in FALLIBLE {
        let feed = items([1_010, 1_020, 2_010, 2_011]);
        let (mut task, gates) = partitioned(verb, &feed);
        settled(&mut task);
        gates.fail(1_020);
        assert_eq!(settle(&mut task), [], "{verb:?}");
        gates.open(2_010);
        settled(&mut task);
        gates.open(1_010);
        let out = settle(&mut task);
        assert_eq!(out[out.len() - 2..], [Some(Err(1_020)), None], "{verb:?}");
        assert_eq!(gates.called(), [1_010, 1_020, 2_010], "{verb:?}");
    }
}

#[test]
fn an_error_of_the_source_comes_out_after_all_before_it_in_every_partition() {
    for verb in VERBS.into_iter().filter(|verb| verb.reads_results()) {
        let feed = Feed::new([Ok(1_010), Ok(2_010), Ok(1_011), Err(7), Ok(3_010)]);
        let (mut task, gates) = partitioned(verb, &feed);
        gates.open(2_010);
        assert_eq!(settled(&mut task), [2_010], "{verb:?}");
        gates.open_all([1_011, 1_010]);
        let mut out = settle(&mut task);
        let end = out.split_off(2);
        assert_eq!(end, [Some(Err(7)), None], "{verb:?}");
        let last = handed(out[1]);
        assert_eq!((last.item, last.frontier), (1_011, Some(1_011)), "{verb:?}");
        assert_eq!(feed.pulled(), 4, "{verb:?}");
    }
}

#[test]
fn what_is_unfinished_is_told_in_source_order_across_partitions() {
    for verb in VERBS {
        let feed = items([3_010, 1_010, 2_010, 1_011, 3_020, 2_020]);
        let (mut task, gates) = partitioned(verb, &feed);
        settled(&mut task);
        let mut expected = vec![3_010, 1_010, 2_010, 1_011, 3_020, 2_020];
        assert_eq!(task.unfinished(), expected, "{verb:?}");
        for item in [3_020, 1_010, 3_010, 2_020, 1_011, 2_010] {
            gates.open(item);
            settled(&mut task);
            expected.retain(|unfinished| *unfinished != item);
            assert_eq!(task.unfinished(), expected, "{verb:?}");
        }
    }
}

#[test]
fn the_size_hint_counts_what_is_admitted_in_every_partition() {
    for verb in VERBS {
        let feed = items([1_010, 1_020, 2_010, 1_030]);
        feed.close();
        let (mut task, gates) = partitioned(verb, &feed);
        let hint = |left: usize| (if verb.can_fail() { left.min(1) } else { left }, Some(left));
        assert_eq!(task.size_hint(), hint(4), "{verb:?}");
        let mut left = 4;
        for item in [1_030, 2_010, 1_010, 1_020] {
            gates.open(item);
            left -= settle(&mut task).into_iter().flatten().count();
            assert_eq!(task.size_hint(), hint(left), "{verb:?}");
        }
        assert_eq!(left, 0, "{verb:?}");
    }
}

#[test]
fn a_partition_key_that_panics_poisons_the_stream() {
    for verb in VERBS {
        for panics in [Group::HASH_PANICS, Group::EQ_PANICS] {
            let feed = items([1_010, 1_020, 1_030]);
            let gates = Gates::default();
            let mut task = Setup::new(verb, 8)
                .partition(move |item| if item < 1_020 { item } else { panics })
                .spawn(&feed, &gates);
            poll_panics(&mut task);
            assert!(poll_panics(&mut task).contains("polled after a panic"));
            assert!(!task.has_terminated(), "{verb:?}");
            drop(task);
            gates.assert_all_dropped_once();
        }
    }
}

/// What a loop for each partition alone would give.
#[derive(Default)]
struct Model {
    /// The items of a partition that have not come out, or are past its frontier; the oldest first.
    open: BTreeMap<u32, Vec<u32>>,
    handed_over: BTreeSet<u32>,
    frontiers: BTreeMap<u32, u32>,
}

impl Model {
    fn admit(&mut self, item: u32, partition: u32) {
        self.open.entry(partition).or_default().push(item);
    }

    /// The frontier that comes with an item.
    fn hand_over(&mut self, item: u32, partition: u32) -> Option<u32> {
        assert!(self.handed_over.insert(item), "{item} comes out twice");
        let open = self.open.get_mut(&partition).expect("it was admitted");
        let handed_over = &self.handed_over;
        let first_open = open.iter().position(|item| !handed_over.contains(item));
        let done: Vec<_> = open.drain(..first_open.unwrap_or(open.len())).collect();
        if let Some(last) = done.last() {
            self.frontiers.insert(partition, *last);
        }
        let frontier = self.frontiers.get(&partition).copied();
        if self.open[&partition].is_empty() {
            self.open.remove(&partition);
            self.frontiers.remove(&partition);
        }
        frontier
    }
}

#[test]
fn random_runs_are_what_a_loop_for_each_partition_gives() {
    const ITEMS: u32 = 120;
    for verb in VERBS {
        for seed in 0..40 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let partitions = rng.random_range(1..=6);
            let mixed: Vec<u32> = (0..ITEMS)
                .map(|_| rng.random_range(0..partitions))
                .collect();
            let of = move |item: u32| mixed[item as usize];
            let gates = Gates::new(|item| item % 9);
            let feed = items(0..ITEMS);
            feed.close();
            let mut task = Setup::new(verb, rng.random_range(1..=6))
                .look_ahead(16)
                .key(|item| item % 9)
                .partition(of.clone())
                .spawn(&feed, &gates);
            let mut model = Model::default();
            let (mut admitted, mut out) = (0, 0);
            while !task.has_terminated() {
                let settles = rng.random_ratio(2, 3);
                loop {
                    let next = if settles {
                        task.poll_next()
                    } else {
                        advance(&mut task);
                        Poll::Pending
                    };
                    let pulled = feed.pulled() as u32;
                    (admitted..pulled).for_each(|item| model.admit(item, of(item)));
                    admitted = pulled;
                    let case = format!("{verb:?}, seed {seed}");
                    match next {
                        Poll::Ready(None) => break,
                        Poll::Ready(next) => {
                            let Handed { item, frontier, .. } = handed(next);
                            out += 1;
                            let expected = model.hand_over(item, of(item));
                            assert_eq!(frontier, expected, "{case}: {item}");
                        }
                        Poll::Pending if task.is_woken() => {}
                        Poll::Pending => break,
                    }
                }
                let finished: HashSet<_> = gates.finished().into_iter().collect();
                if settles {
                    let held_back: Vec<_> = finished
                        .iter()
                        .filter(|item| !model.handed_over.contains(item))
                        .collect();
                    for item in held_back {
                        let open = &model.open[&of(*item)];
                        let first = open.iter().find(|item| !model.handed_over.contains(item));
                        let first = first.unwrap();
                        assert!(
                            verb.in_source_order(),
                            "{verb:?}, seed {seed}: {item} is due"
                        );
                        assert!(
                            !finished.contains(first),
                            "{verb:?}, seed {seed}: {item} is due"
                        );
                    }
                }
                let unfinished = (0..admitted).filter(|item| !finished.contains(item));
                assert!(unfinished.eq(task.unfinished()), "{verb:?}, seed {seed}");
                let running = gates.running();
                for _ in 0..rng.random_range(1..=2) {
                    if !running.is_empty() {
                        gates.open(running[rng.random_range(0..running.len())]);
                    }
                }
            }
            assert_eq!(out, ITEMS, "{verb:?}, seed {seed}");
            assert!(model.open.is_empty(), "{verb:?}, seed {seed}");
        }
    }
}

/// Takes so many results, as a task does that is polled again and again.
fn take(mut results: Pin<&mut impl Stream>, count: usize) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut taken = 0;
    while taken < count {
        if let Poll::Ready(next) = results.as_mut().poll_next(&mut cx) {
            assert!(next.is_some());
            taken += 1;
        }
    }
}

/// Pending once, unless it is ready at once or never ready.
struct Handler {
    pending: Pending,
}

enum Pending {
    No,
    Once,
    Always,
}

impl Handler {
    fn of(item: u64) -> Self {
        let pending = if item % 3 == 0 {
            Pending::Once
        } else {
            Pending::No
        };
        Self { pending }
    }

    fn stuck() -> Self {
        let pending = Pending::Always;
        Self { pending }
    }
}

impl Future for Handler {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.pending {
            Pending::No => return Poll::Ready(()),
            Pending::Once => {
                self.pending = Pending::No;
                cx.waker().wake_by_ref();
            }
            Pending::Always => {}
        }
        Poll::Pending
    }
}

/// After 10,000 results, 100,000 more take no more than so many bytes.
fn assert_keeps(bytes: u64, case: &str, results: impl Stream) {
    let mut results = pin!(results);
    take(results.as_mut(), 10_000);
    let measured = measure(|| take(results.as_mut(), 100_000));
    assert!(measured.bytes_max <= bytes, "{case}: {measured:?}");
}

#[test]
fn a_hundred_thousand_partitions_of_one_item_each_leave_no_state() {
    let numbers = || {
        stream::iter(0_u64..)
            .ordered_by_group(|n| *n, 8)
            .partitions(|n| *n)
    };
    assert_keeps(0, "source order", numbers().then(Handler::of));
    assert_keeps(0, "completion order", numbers().then_unordered(Handler::of));
}

#[test]
fn beside_a_stuck_partition_a_hundred_thousand_items_of_others_leave_no_state() {
    let numbers = || {
        stream::iter(0_u64..)
            .ordered_by_group(|n| *n, 8)
            .partitions(|n| n % 5_000)
    };
    let handler = |n| {
        if n == 0 {
            Handler::stuck()
        } else {
            Handler::of(n)
        }
    };
    // Of the stuck partition itself, one in 5,000 is kept.
    let mut source_order = spawn(numbers().then(handler));
    assert_keeps(8 * 1_024, "source order", &mut *source_order);
    assert_eq!(source_order.unfinished().next(), Some(&0));
    let mut completion_order = spawn(numbers().then_unordered(handler));
    assert_keeps(8 * 1_024, "completion order", &mut *completion_order);
    assert_eq!(completion_order.unfinished().next(), Some(&0));
}

#[test]
fn a_stuck_partition_keeps_what_the_window_allows_and_then_all_waits() {
    // Everything is of the stuck partition.
    let stuck_first = |n| {
        if n == 0 {
            Handler::stuck()
        } else {
            Handler::of(n)
        }
    };
    let numbers = || {
        stream::iter(0_u64..)
            .ordered_by_group(|n| *n, 2)
            .look_ahead(16)
            .partitions(|_| "stuck")
    };
    let mut source_order = spawn(numbers().then(stuck_first));
    while source_order.poll_next().is_pending() && source_order.is_woken() {}
    assert_eq!(source_order.finished(), 15);
    let mut completion_order = spawn(numbers().then_unordered(stuck_first));
    take(Pin::new(&mut *completion_order), 64 * 16 - 1);
    loop {
        assert!(
            completion_order.poll_next().is_pending(),
            "one past the span"
        );
        if !completion_order.is_woken() {
            break;
        }
    }
    assert_eq!(completion_order.unfinished().collect::<Vec<_>>(), [&0]);
}

#[test]
fn a_partition_and_an_offset_may_be_anything() {
    let topics = ["orders", "payments", "orders"];
    let results = stream::iter(topics)
        .ordered_by_group(|topic| *topic, 4)
        .partitions(|topic| topic.to_string())
        .offsets(|topic| topic.to_uppercase())
        .then_unordered(ready)
        .map(|(_, offset): (_, Unordered<String>)| offset.frontier().cloned().unwrap())
        .collect::<Vec<_>>();
    let expected = ["ORDERS", "PAYMENTS", "ORDERS"].map(String::from);
    assert_eq!(results.now_or_never().unwrap(), expected);
    let mut failing = spawn(
        stream::iter([Ok(1), Err("no")])
            .try_ordered_by_group(|n| *n, 4)
            .partitions(|n| *n)
            .and_then(|n| ready(Ok(n))),
    );
    assert_eq!(assert_ready!(failing.poll_next()), Some(Ok((1, 0))));
    assert_eq!(assert_ready!(failing.poll_next()), Some(Err("no")));
}
