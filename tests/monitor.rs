//! The monitor, looked at from outside: other threads, several streams, streams that are gone, and what it costs. That its
//! figures are those of the stream is compared after every poll in `model.rs`.

mod support;

use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{Monitor, Snapshot};

use self::support::{Gates, Setup, VERBS, Verb, items, message, poll_panics, settle, settled};

/// A clock that is set by hand, and how often it was read.
#[derive(Clone, Default)]
struct Clock(Arc<(AtomicU64, AtomicU64)>);

impl Clock {
    fn monitor(&self) -> Monitor {
        let (clock, start) = (self.clone(), Instant::now());
        let monitor = Monitor::new().timed(move || {
            clock.0.1.fetch_add(1, Ordering::Relaxed);
            start + Duration::from_secs(clock.0.0.load(Ordering::Relaxed))
        });
        self.0.1.store(0, Ordering::Relaxed);
        monitor
    }

    fn set(&self, seconds: u64) {
        self.0.0.store(seconds, Ordering::Relaxed);
    }

    fn readings(&self) -> u64 {
        self.0.1.swap(0, Ordering::Relaxed)
    }
}

fn gauges(snapshot: &Snapshot) -> [usize; 6] {
    [
        snapshot.running,
        snapshot.without_slot,
        snapshot.waiting,
        snapshot.finished,
        snapshot.groups,
        snapshot.deepest_group,
    ]
}

#[test]
fn another_thread_sees_what_runs_while_try_drive_owns_the_stream() {
    let monitor = Monitor::new();
    let (is_seen, is_stopped) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut before = Snapshot::default();
            while !is_stopped.load(Ordering::Acquire) {
                let now = monitor.snapshot();
                assert!(now.admitted_total >= before.admitted_total);
                assert!(now.emitted_total >= before.emitted_total);
                let inside = (now.running + now.waiting + now.finished) as u64;
                assert_eq!(
                    now.admitted_total - now.emitted_total,
                    inside,
                    "the figures are of one moment"
                );
                if now.running == 4 && now.admitted_total > 49_990 {
                    is_seen.store(true, Ordering::Release);
                }
                before = now;
            }
        });
        let driven = stream::iter(0..50_000_u32)
            .ordered_by_group(|n| n % 7, 4)
            .look_ahead(8)
            .monitor(&monitor)
            .try_then(|n| {
                let is_seen = &is_seen;
                async move {
                    // The last ones stand still until that was seen.
                    while n >= 49_990 && !is_seen.load(Ordering::Acquire) {
                        futures_yield().await;
                    }
                    if n % 3 == 0 {
                        futures_yield().await;
                    }
                    Ok::<_, ()>(n)
                }
            })
            .try_drive(|_| ready(Ok(())));
        let end = futures::executor::block_on(driven);
        is_stopped.store(true, Ordering::Release);
        assert_eq!(end, Ok(()));
    });
    let end = monitor.snapshot();
    assert_eq!(gauges(&end), [0; 6]);
    assert_eq!((end.admitted_total, end.emitted_total), (50_000, 50_000));
}

/// Lets the task's neighbours go first once.
async fn futures_yield() {
    let mut is_pending = true;
    std::future::poll_fn(|cx| match std::mem::take(&mut is_pending) {
        true => {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
        false => std::task::Poll::Ready(()),
    })
    .await;
}

#[test]
fn two_streams_on_one_monitor_are_added_up() {
    let clock = Clock::default();
    let monitor = clock.monitor();
    let gates = Gates::default();
    let setup = |verb| Setup::new(verb, 2).monitor(&monitor);
    let (one, two) = (items([10, 11, 12, 20]), items([30, 31, 40, 41]));
    let mut first = setup(Verb::Then).spawn(&one, &gates);
    clock.set(5);
    assert_eq!(settled(&mut first), [0; 0]);
    let mut second = setup(Verb::ThenUnordered).spawn(&two, &gates);
    clock.set(7);
    assert_eq!(settled(&mut second), [0; 0]);
    clock.set(8);

    let both = monitor.snapshot();
    assert_eq!(
        gauges(&both),
        [4, 0, 3, 0, 4, 2],
        "the deepest is a maximum"
    );
    // Two slots are taken before 41 is read.
    assert_eq!(both.admitted_total, 7);
    assert_eq!(both.oldest_unfinished, Some(Duration::from_secs(3)));

    drop(first);
    let left = monitor.snapshot();
    assert_eq!(gauges(&left), [2, 0, 1, 0, 2, 1]);
    assert_eq!(left.admitted_total, 7, "totals stay");
    assert_eq!(left.oldest_unfinished, Some(Duration::from_secs(1)));

    gates.open_all([30, 31, 40, 41]);
    clock.set(9);
    assert_eq!(settled(&mut second).len(), 4);
    let done = monitor.snapshot();
    assert_eq!(gauges(&done), [0; 6]);
    assert_eq!((done.admitted_total, done.emitted_total), (8, 4));
    assert_eq!(done.oldest_unfinished, None);
    drop(second);
    assert_eq!(monitor.snapshot(), done, "a stream that is gone");
}

#[test]
fn a_stream_that_is_dropped_right_after_a_result_has_counted_all() {
    for verb in VERBS {
        let monitor = Monitor::new();
        let gates = Gates::default();
        gates.open_all([10, 20]);
        let mut task = Setup::new(verb, 2)
            .monitor(&monitor)
            .spawn(&items([10, 30, 31, 20]), &gates);
        // It never goes to sleep.
        assert!(task.poll_next().is_ready());
        drop(task);
        let gone = monitor.snapshot();
        assert_eq!(gauges(&gone), [0; 6], "{verb:?}");
        assert_eq!(gone.emitted_total, 1, "{verb:?}");
        assert_eq!(gone.admitted_total, gates.called().len() as u64, "{verb:?}");
    }
}

#[test]
fn an_ended_stream_shows_nothing_before_it_is_dropped() {
    for verb in VERBS {
        let monitor = Monitor::new();
        let gates = Gates::default();
        gates.open_all([10, 20]);
        let feed = items([10, 20]);
        feed.close();
        let mut task = Setup::new(verb, 2).monitor(&monitor).spawn(&feed, &gates);
        assert_eq!(settle(&mut task).len(), 3, "{verb:?}");
        let ended = monitor.snapshot();
        assert_eq!(gauges(&ended), [0; 6]);
        assert_eq!((ended.admitted_total, ended.emitted_total), (2, 2));
    }
}

#[test]
fn a_failed_stream_shows_how_much_failed() {
    let monitor = Monitor::new();
    let gates = Gates::default();
    let mut task = Setup::new(Verb::TryThen, 3)
        .monitor(&monitor)
        .spawn(&items([10, 20, 30]), &gates);
    assert_eq!(settle(&mut task), []);
    gates.fail(20);
    gates.fail(30);
    assert_eq!(settle(&mut task), []);
    let failing = monitor.snapshot();
    assert_eq!((failing.running, failing.finished), (1, 2));
    assert_eq!((failing.failed_total, failing.emitted_total), (2, 0));
    gates.open(10);
    assert_eq!(settle(&mut task).len(), 3);
    let failed = monitor.snapshot();
    assert_eq!(gauges(&failed), [0; 6]);
    assert_eq!((failed.failed_total, failed.emitted_total), (2, 1));
    assert_eq!(failed.admitted_total, 3);
}

#[test]
fn a_stream_that_panics_can_be_looked_at_and_is_gone_once_it_is_dropped() {
    let monitor = Monitor::new();
    let looked = monitor.clone();
    let gates = Gates::default();
    let mut task = Setup::new(Verb::Then, 2)
        .monitor(&monitor)
        .call(move |item| {
            if item == 30 {
                assert_eq!(looked.snapshot().running, 2, "from inside the poll");
                panic!("the handler panics");
            }
        })
        .spawn(&items([10, 20, 30]), &gates);
    assert_eq!(settle(&mut task), []);
    gates.open(10);
    assert!(task.poll_next().is_ready());
    assert!(poll_panics(&mut task).contains("panics"));
    assert_eq!(
        monitor.snapshot().running,
        2,
        "as it was when it slept last"
    );
    drop(task);
    let gone = monitor.snapshot();
    assert_eq!(gauges(&gone), [0; 6]);
    assert!(gone.admitted_total <= 3);
}

#[test]
fn an_endless_run_of_results_is_published_after_256() {
    let monitor = Monitor::new();
    let mut results = pin!(
        stream::iter(0..)
            .ordered_by_group(|n: &u64| *n, 8)
            .monitor(&monitor)
            .then(ready)
    );
    let mut polls = 0;
    while results.as_mut().next().now_or_never().is_some() {
        polls += 1;
    }
    assert_eq!(polls, 256);
    assert_eq!(monitor.snapshot().emitted_total, 256);
}

#[test]
fn results_that_finished_while_the_consumer_was_busy_are_published_after_512() {
    let monitor = Monitor::new();
    let gates = Gates::default();
    let numbers: Vec<_> = (0..1_500).map(|n| n * 10).collect();
    gates.open_all(numbers.iter().copied());
    let mut task = Setup::new(Verb::Then, 8)
        .look_ahead(1_500)
        .monitor(&monitor)
        .spawn(&items(numbers), &gates);
    support::advance(&mut task);
    assert_eq!(monitor.snapshot().finished, 1_500);
    for taken in 1..=1_500 {
        // Nothing is left to be done, so no result makes a pause but the first ones.
        while task.poll_next().is_pending() {}
        let behind = taken - monitor.snapshot().emitted_total;
        assert!(behind < 512, "{behind} of {taken}");
    }
}

#[test]
fn the_clock_is_read_once_a_poll_and_not_for_what_is_ready_at_once() {
    let clock = Clock::default();
    let monitor = clock.monitor();
    let through = stream::iter(0..1_000)
        .ordered_by_group(|n| n % 10, 8)
        .monitor(&monitor)
        .then(ready);
    assert_eq!(through.collect::<Vec<_>>().now_or_never(), None, "a pause");
    let done = stream::iter(0..1_000)
        .ordered_by_group(|n| n % 10, 8)
        .monitor(&monitor)
        .then(ready)
        .drive(|_| ready(()));
    futures::executor::block_on(done);
    assert_eq!(clock.readings(), 0);
    let times = monitor.snapshot().in_handler;
    assert_eq!((times.sum, times.max), (Duration::ZERO, Duration::ZERO));
    assert!(times.count > 1_000, "they count all the same");
    clock.readings();

    let gates = Gates::default();
    let mut task = Setup::new(Verb::Then, 8)
        .monitor(&monitor)
        .spawn(&items([10, 11, 20, 30]), &gates);
    assert!(task.poll_next().is_pending());
    assert_eq!(clock.readings(), 1);
    gates.open_all([10, 20, 30]);
    assert!(task.poll_next().is_ready());
    assert!(clock.readings() <= 1);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let clock = Clock::default();
    clock.set(10);
    let monitor = clock.monitor();
    let gates = Gates::default();
    let mut task = Setup::new(Verb::Then, 2)
        .monitor(&monitor)
        .spawn(&items([10, 11]), &gates);
    assert_eq!(settle(&mut task), []);
    clock.set(4);
    gates.open(10);
    assert_eq!(settled(&mut task), [10]);
    let snapshot = monitor.snapshot();
    assert_eq!(snapshot.in_handler.max, Duration::ZERO);
    assert_eq!(snapshot.oldest_unfinished, Some(Duration::ZERO));
}

#[test]
fn a_clock_that_panics_panics_in_the_poll_and_the_stream_is_poisoned() {
    let is_broken = Arc::new(AtomicBool::new(false));
    let (breaks, start) = (Arc::clone(&is_broken), Instant::now());
    let monitor = Monitor::new().timed(move || {
        assert!(!breaks.load(Ordering::Relaxed), "the clock is broken");
        start
    });
    let gates = Gates::default();
    let mut task = Setup::new(Verb::Then, 2)
        .monitor(&monitor)
        .spawn(&items([10]), &gates);
    is_broken.store(true, Ordering::Relaxed);
    assert!(poll_panics(&mut task).contains("the clock is broken"));
    assert!(poll_panics(&mut task).contains("polled after a panic"));
    drop(task);
    is_broken.store(false, Ordering::Relaxed);
    assert_eq!(gauges(&monitor.snapshot()), [0; 6]);
}

#[test]
fn a_clock_comes_before_clones_and_streams_or_it_is_refused() {
    let monitor = Monitor::new();
    let cloned = monitor.clone();
    let refused = catch_unwind(AssertUnwindSafe(|| monitor.timed(Instant::now)));
    let message = message(refused.expect_err("a panic"));
    assert!(
        message.contains("call `timed` right after `Monitor::new()`"),
        "{message}"
    );
    drop(cloned);

    let monitor = Monitor::new();
    let results = stream::iter([1])
        .ordered_by_group(|n| *n, 1)
        .monitor(&monitor)
        .then(ready);
    let refused = catch_unwind(AssertUnwindSafe(|| monitor.timed(Instant::now)));
    assert!(refused.is_err());
    drop(results);
}

#[test]
fn the_last_monitor_that_is_set_counts() {
    let (first, last) = (Monitor::new(), Monitor::new());
    let mut results = stream::iter([Ok::<_, ()>(1)])
        .try_ordered_by_group(|n| *n, 1)
        .monitor(&first)
        .monitor(&last)
        .and_then(|_| pending::<Result<(), _>>());
    assert!(results.next().now_or_never().is_none());
    assert_eq!((first.snapshot().running, last.snapshot().running), (0, 1));
    assert!(format!("{last:?}").contains("running: 1"), "{last:?}");
}

#[test]
fn a_boxed_stream_shows_the_same() {
    let monitor = Monitor::new();
    let opened = &Cell::new(false);
    let mut results = stream::iter(["a1", "a2", "b1"])
        .ordered_by_group(|item| item.as_bytes()[0], 8)
        .monitor(&monitor)
        .then(move |item| async move {
            while !opened.get() {
                futures_yield().await
            }
            item
        })
        .boxed_local_running();
    assert!(results.next().now_or_never().is_none());
    assert_eq!(gauges(&monitor.snapshot()), [2, 0, 1, 0, 2, 1]);
    opened.set(true);
    let all = futures::executor::block_on(results.by_ref().collect::<Vec<_>>());
    assert_eq!(all.len(), 3);
    drop(results);
    assert_eq!(monitor.snapshot().emitted_total, 3);
}

#[test]
fn a_long_queue_is_counted_in_time_that_grows_with_the_items_alone() {
    let monitor = Monitor::new();
    let look_ahead = 200_000;
    let mut results = stream::iter(0..look_ahead as u32)
        .ordered_by_group(|n| n % 2, 3)
        .look_ahead(look_ahead)
        .monitor(&monitor)
        .then(|n| async move {
            futures_yield().await;
            n
        });
    let mut deepest = 0;
    let all = futures::executor::block_on(async {
        let mut all = 0;
        while results.next().await.is_some() {
            all += 1;
            deepest = deepest.max(monitor.snapshot().deepest_group);
        }
        all
    });
    assert_eq!(all, look_ahead);
    assert!(deepest > 50_000, "{deepest}");
    assert_eq!(monitor.snapshot().deepest_group, 0);
}

/// Panics as it is hashed, if it is 1.
#[derive(PartialEq, Eq)]
struct Unhashable(u32);

impl Hash for Unhashable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert_ne!(self.0, 1, "it cannot be hashed");
        self.0.hash(state);
    }
}

#[test]
fn a_timed_stream_whose_partition_panics_can_be_dropped() {
    let monitor = Clock::default().monitor();
    let mut results = Box::pin(
        stream::iter([0, 1])
            .ordered_by_group(|_| (), 8)
            .partitions(|n| Unhashable(*n))
            .monitor(&monitor)
            .then(|_| pending::<()>()),
    );
    let polled = catch_unwind(AssertUnwindSafe(|| results.next().now_or_never()));
    assert!(polled.is_err());
    drop(results);
    let snapshot = monitor.snapshot();
    assert_eq!(gauges(&snapshot), [0; 6]);
    assert_eq!(snapshot.admitted_total, 1);
    assert_eq!((snapshot.in_queue.count, snapshot.in_handler.count), (0, 0));
}

#[test]
fn sums_go_on_past_what_a_u64_holds_in_nanoseconds() {
    let clock = Clock::default();
    let monitor = clock.monitor();
    let mut results = pin!(
        stream::iter(0..10)
            .ordered_by_group(|n| *n, 16)
            .monitor(&monitor)
            .then(|_| futures_yield())
    );
    assert!(results.as_mut().next().now_or_never().is_none());
    clock.set(10_000_000_000);
    results
        .drive(|_| ready(()))
        .now_or_never()
        .expect("the end");
    let in_handler = monitor.snapshot().in_handler;
    assert_eq!(in_handler.sum, Duration::from_secs(100_000_000_000));
    assert_eq!(in_handler.max, Duration::from_secs(10_000_000_000));
}

/// A source of so many items, which says Pending after each.
fn one_a_poll(items: u64) -> impl Stream<Item = u64> + Unpin {
    let (mut next, mut is_asked) = (0, false);
    stream::poll_fn(move |cx| {
        is_asked = !is_asked;
        if !is_asked || next == items {
            if next < items {
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        next += 1;
        Poll::Ready(Some(next - 1))
    })
}

/// Time goes on with each reading.
fn ticking() -> Monitor {
    let (ticks, start) = (AtomicU64::new(0), Instant::now());
    Monitor::new().timed(move || start + Duration::from_secs(ticks.fetch_add(1, Ordering::Relaxed)))
}

#[test]
fn a_stuck_item_of_one_partition_costs_no_memory_for_each_item_of_another() {
    let monitor = ticking();
    let mut results = Box::pin(
        one_a_poll(100_000)
            .ordered_by_group(|n| *n, 4)
            .look_ahead(8)
            .partitions(|n| *n == 0)
            .monitor(&monitor)
            .then(|n| async move {
                match n {
                    0 => pending().await,
                    _ => futures_yield().await,
                }
            }),
    );
    let mut taken = 0;
    let used = allocation_counter::measure(|| {
        while taken < 99_999 {
            taken += usize::from(results.next().now_or_never().is_some());
        }
    });
    assert!(used.bytes_max < 32_768, "{}", used.bytes_max);
    assert!(results.next().now_or_never().is_none());
    assert_eq!(monitor.snapshot().in_handler.count, 99_999);
}

#[test]
fn what_is_kept_for_a_long_queue_is_given_back() {
    let monitor = ticking();
    let is_open = Cell::new(false);
    let mut results = Box::pin(
        one_a_poll(100_000)
            .ordered_by_group(|_| (), 2)
            .look_ahead(200_000)
            .monitor(&monitor)
            .then(|_| {
                let is_open = &is_open;
                poll_fn(move |cx| match is_open.get() {
                    true => Poll::Ready(()),
                    false => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                })
            }),
    );
    let used = allocation_counter::measure(|| {
        while monitor.snapshot().admitted_total < 100_000 {
            assert!(results.next().now_or_never().is_none());
        }
        assert_eq!(monitor.snapshot().deepest_group, 99_999);
        is_open.set(true);
        while monitor.snapshot().emitted_total < 100_000 {
            let _ = results.next().now_or_never();
        }
    });
    assert!(used.bytes_max > 4_000_000, "{}", used.bytes_max);
    assert!(used.bytes_current < 600_000, "{}", used.bytes_current);
}

#[cfg(feature = "tokio")]
mod spawned {
    use ordered_by_group::without_slot;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn handlers_on_workers_are_seen_too() {
        let clock = Clock::default();
        let monitor = clock.monitor();
        let gate = Arc::new(Semaphore::new(0));
        let gated = Arc::clone(&gate);
        let mut results = stream::iter(["a1", "a2", "a3", "b1", "c1"])
            .ordered_by_group(|item| item.as_bytes()[0], 3)
            .monitor(&monitor)
            .spawned()
            .then(move |item| {
                let gate = Arc::clone(&gated);
                async move {
                    gate.acquire().await.unwrap().forget();
                    item
                }
            });
        assert!(results.next().now_or_never().is_none());
        assert_eq!(gauges(&monitor.snapshot()), [3, 0, 2, 0, 3, 2]);
        clock.set(10);
        gate.add_permits(5);
        let mut all = vec![];
        while let Some((item, _)) = results.next().await {
            all.push(item);
        }
        assert_eq!(all, ["a1", "a2", "a3", "b1", "c1"]);
        let done = monitor.snapshot();
        assert_eq!(gauges(&done), [0; 6]);
        assert_eq!((done.in_queue.count, done.in_handler.count), (5, 5));
        assert_eq!(done.in_handler.max, Duration::from_secs(10));
        assert_eq!(done.in_queue.max, Duration::from_secs(10));
        assert_eq!(
            done.in_handler.sum,
            Duration::from_secs(30),
            "a1, b1 and c1"
        );
    }

    /// Polls, and lets the handlers run, until all have reported.
    async fn settle<S: Stream + Unpin>(results: &mut S) -> Vec<S::Item> {
        let mut all = vec![];
        for _ in 0..50 {
            all.extend(results.next().now_or_never().flatten());
            tokio::task::yield_now().await;
        }
        all
    }

    async fn pass(gate: &Semaphore) {
        gate.acquire().await.expect("it is never closed").forget();
    }

    #[tokio::test]
    async fn what_waits_for_a_slot_behind_another_group_is_timed_and_counted() {
        let clock = Clock::default();
        let monitor = clock.monitor();
        let gates: Arc<[Semaphore; 5]> = Arc::new([const { Semaphore::const_new(0) }; 5]);
        let gated = Arc::clone(&gates);
        let mut results = stream::iter([(0, 'b'), (1, 'a'), (2, 'a'), (3, 'c')])
            .ordered_by_group(|(_, group)| *group, 2)
            .monitor(&monitor)
            .spawned()
            .then_unordered(move |(n, group)| {
                let gates = Arc::clone(&gated);
                async move {
                    if group == 'b' {
                        without_slot(pass(&gates[4])).await;
                    }
                    pass(&gates[n]).await;
                }
            });
        assert!(settle(&mut results).await.is_empty());
        assert_eq!(gauges(&monitor.snapshot()), [3, 1, 1, 0, 3, 1]);

        gates[4].add_permits(1); // "b" needs a slot again
        assert!(settle(&mut results).await.is_empty());
        clock.set(10);
        gates[1].add_permits(1); // and has it before the second of "a"
        assert_eq!(settle(&mut results).await.len(), 1);
        assert_eq!(gauges(&monitor.snapshot()), [2, 0, 1, 0, 3, 1]);

        clock.set(20);
        gates[0].add_permits(1);
        assert_eq!(settle(&mut results).await.len(), 1);
        assert_eq!(gauges(&monitor.snapshot()), [2, 0, 0, 0, 2, 0]);

        clock.set(23);
        gates[2].add_permits(1);
        assert_eq!(settle(&mut results).await.len(), 1);
        let Snapshot {
            in_queue,
            in_handler,
            ..
        } = monitor.snapshot();
        assert_eq!((in_queue.count, in_queue.sum.as_secs()), (3, 20));
        assert_eq!((in_handler.count, in_handler.sum.as_secs()), (3, 33));
    }

    #[tokio::test]
    async fn what_waits_behind_a_handler_that_is_stopped_is_not_counted() {
        let monitor = Monitor::new();
        let (returns, fails) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let gates = (Arc::clone(&returns), Arc::clone(&fails));
        let mut results = stream::iter(["a1", "b1", "f1", "c1", "c2", "c3", "d1"])
            .ordered_by_group(|item| item.as_bytes()[0], 2)
            .monitor(&monitor)
            .spawned()
            .try_then(move |item| {
                let (returns, fails) = gates.clone();
                async move {
                    match item {
                        "a1" | "b1" => without_slot(pass(&returns)).await,
                        "f1" => {
                            let never = pin!(without_slot(pending::<()>()));
                            futures::future::select(never, pin!(pass(&fails))).await;
                            return Err::<(), _>(());
                        }
                        _ => {}
                    }
                    pending().await
                }
            });
        assert!(settle(&mut results).await.is_empty());
        assert_eq!(gauges(&monitor.snapshot()), [5, 3, 2, 0, 5, 2]);

        fails.add_permits(1);
        assert!(settle(&mut results).await.is_empty());
        returns.add_permits(2); // they take the slots of "c1" and "d1"
        assert!(settle(&mut results).await.is_empty());
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.running, snapshot.without_slot), (2, 0));
        assert_eq!((snapshot.waiting, snapshot.deepest_group), (0, 0));
        assert_eq!(snapshot.failed_total, 1);
    }
}
