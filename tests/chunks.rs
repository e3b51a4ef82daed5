//! Chapter 25 of the contract: results gather while the caller commits, and are handed over in chunks.

mod support;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex as StdMutex};
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, TryFutureExt as _, stream};
use ordered_by_group::TryRunning;
use ordered_by_group::prelude::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{End, Gates, items, message};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A day of virtual time: what takes longer, stands still.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// Results in source order that come one each millisecond.
fn one_each_ms(items: u64) -> impl TryRunning<Item = Result<(u64, u64), String>, Offset = u64> {
    stream::iter(0..items)
        .ordered_by_group(|_| 0, 1)
        .try_then(|n| async move {
            sleep(ms(1)).await;
            Ok(n)
        })
}

#[tokio::test(start_paused = true)]
async fn chunks_grow_by_themselves_with_the_time_that_a_commit_takes() {
    let start = Instant::now();
    let commits = RefCell::new(vec![]);
    let commits_ref = &commits;
    one_each_ms(103)
        .try_drive_chunks(50, |chunk| async move {
            commits_ref
                .borrow_mut()
                .push((start.elapsed(), chunk.len()));
            sleep(ms(5)).await;
            Ok(())
        })
        .await
        .unwrap();
    // The first is not waited with, and the last is not left.
    let commits = commits.take();
    assert_eq!(commits[0], (ms(1), 1));
    assert!(
        commits[1..commits.len() - 1]
            .iter()
            .all(|(_, len)| *len == 5),
        "{commits:?}"
    );
    assert_eq!(commits.iter().map(|(_, len)| len).sum::<usize>(), 103);
    assert_eq!(start.elapsed(), ms(1 + 5 * 22));

    // One commit each takes five times as long.
    let start = Instant::now();
    let commit = |_| async {
        sleep(ms(5)).await;
        Ok(())
    };
    one_each_ms(103).try_drive(commit).await.unwrap();
    assert_eq!(start.elapsed(), ms(1 + 5 * 103));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_there_is_not_waited_with() {
    let start = Instant::now();
    let mut commits = vec![];
    one_each_ms(5)
        .drive_chunks(50, |chunk| {
            commits.push((start.elapsed(), chunk.len()));
            ready(())
        })
        .await;
    assert!(commits.into_iter().eq((1..=5).map(|at| (ms(at), 1))));
}

#[tokio::test(start_paused = true)]
async fn a_pause_in_the_closure_makes_fewer_and_larger_chunks() {
    let mut lens = vec![];
    one_each_ms(100)
        .try_drive_chunks(50, |chunk| {
            lens.push(chunk.len());
            async {
                let commit = async { Ok(()) };
                tokio::join!(commit, sleep(ms(20))).0
            }
        })
        .await
        .unwrap();
    assert_eq!(lens, [1, 20, 20, 20, 20, 19]);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_has_at_most_max_and_one_that_gathers_at_most_the_window() {
    for (max, look_ahead, expected) in [
        (50, 1_024, vec![1, 50, 50, 49]),
        (usize::MAX, 1_024, vec![1, 149]),
        (usize::MAX, 40, vec![1, 40, 40, 40, 29]),
        (7, 20, vec![1, 7, 7, 7]),
    ] {
        let mut lens = vec![];
        let drive = stream::iter(0..150)
            .ordered_by_group(|_| 0, 1)
            .look_ahead(look_ahead)
            .then(|n| async move {
                sleep(ms(1)).await;
                n
            })
            .drive_chunks(max, |chunk| {
                lens.push(chunk.len());
                sleep(ms(1_000))
            });
        drive.await;
        let seen = &lens[..expected.len()];
        assert_eq!(seen, expected, "{max} {look_ahead}");
        assert_eq!(lens.iter().sum::<usize>(), 150);
    }
}

#[test]
fn all_that_has_gathered_in_the_window_is_one_chunk() {
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let lens = RefCell::new(vec![]);
    let lens_ref = &lens;
    let mut task = spawn(
        stream::iter(0..3_000)
            .ordered_by_group(|n| *n, 4)
            .look_ahead(1_000)
            .then(ready)
            .drive_chunks(usize::MAX, move |chunk: Vec<(u32, u64)>| {
                lens_ref.borrow_mut().push(chunk.len());
                consume.handle(chunk[0].0).map(drop)
            }),
    );
    assert_pending!(task.poll());
    while task.is_woken() {
        assert_pending!(task.poll());
    }
    let first = lens.borrow()[0];
    consumed.open(0);
    assert_pending!(task.poll());
    let next = lens.borrow()[1];
    assert_eq!(consumed.called(), [0, first as u32]);
    assert!(next >= 1_000, "{next}");
}

#[test]
fn results_come_in_source_order_in_one_chunk_after_the_other() {
    let gates = Gates::default();
    let handle = gates.clone();
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let chunks = RefCell::new(vec![]);
    let chunks_ref = &chunks;
    let mut task = spawn(
        stream::iter([10, 20, 11, 30, 40])
            .ordered_by_group(|item| item / 10, 8)
            .then(move |item| handle.handle(item).map(|item| item.unwrap()))
            .drive_chunks(3, move |chunk: Vec<(u32, u64)>| {
                let first = chunk[0].0;
                chunks_ref.borrow_mut().push(chunk);
                // These gates fail the test if two of them exist at once.
                consume.handle(first).map(drop)
            }),
    );
    assert_pending!(task.poll());
    gates.open_all([40, 30, 20]);
    assert_pending!(task.poll());
    assert!(chunks.borrow().is_empty(), "the first is not finished");
    gates.open(10);
    assert_pending!(task.poll());
    gates.open(11);
    assert_pending!(task.poll());
    assert_eq!(consumed.called(), [10]);
    consumed.open(10);
    assert_pending!(task.poll());
    consumed.open(11);
    assert_ready_eq!(task.poll(), ());
    assert_eq!(
        chunks.take(),
        [vec![(10, 0), (20, 1)], vec![(11, 2), (30, 3), (40, 4)]]
    );
}

#[test]
fn in_completion_order_the_last_frontier_of_a_chunk_stands_for_the_chunk() {
    let gates = Gates::default();
    let handle = gates.clone();
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let chunks = RefCell::new(vec![]);
    let chunks_ref = &chunks;
    let mut task = spawn(
        stream::iter([10, 20, 30, 40])
            .ordered_by_group(|item| item / 10, 8)
            .try_then_unordered(move |item| handle.handle(item))
            .try_drive_chunks(8, move |chunk| {
                let first = chunk[0].0;
                let seen = chunk.into_iter();
                let seen = seen.map(|(item, offset)| (item, offset.frontier().copied()));
                chunks_ref.borrow_mut().push(seen.collect::<Vec<_>>());
                consume.handle(first).map_ok(drop)
            }),
    );
    assert_pending!(task.poll());
    gates.open(20);
    assert_pending!(task.poll());
    for item in [40, 10, 30] {
        gates.open(item);
        assert_pending!(task.poll());
    }
    consumed.open(20);
    assert_pending!(task.poll());
    consumed.open(40);
    assert_ready_eq!(task.poll(), Ok(()));
    assert_eq!(
        chunks.take(),
        [
            vec![(20, None)],
            vec![(40, None), (10, Some(1)), (30, Some(3))]
        ]
    );
}

#[test]
fn an_error_of_the_closure_comes_out_and_drops_the_rest_once() {
    for is_pending_first in [false, true] {
        let gates = Gates::default();
        let handle = gates.clone();
        let consumed = Gates::new(|_| 0);
        let consume = consumed.clone();
        if !is_pending_first {
            consumed.fail(10);
        }
        let mut task = spawn(
            stream::iter([10, 20, 11, 30].map(Ok))
                .try_ordered_by_group(|item| item / 10, 4)
                .and_then(move |item| handle.handle(item))
                .try_drive_chunks(8, move |chunk| consume.handle(chunk[0].0).map_ok(drop)),
        );
        assert_pending!(task.poll());
        gates.open_all([10, 20]);
        if is_pending_first {
            assert_pending!(task.poll());
            consumed.fail(10);
        }
        assert_ready_eq!(task.poll(), Err(10));
        assert_eq!(gates.called(), [10, 20, 30, 11]);
        gates.assert_all_dropped_once();
        consumed.assert_all_dropped_once();
        assert_eq!(consumed.called(), [10]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_results_is_handed_out_after_them() {
    for max in [1, 2, 3, 100] {
        for order in ["source", "completion"] {
            let log = RefCell::new(vec![]);
            let log_ref = &log;
            let commit = |chunk: Vec<u32>| {
                assert!((1..=max).contains(&chunk.len()), "{chunk:?}");
                async move {
                    sleep(ms(5)).await;
                    log_ref.borrow_mut().extend(chunk);
                    Ok(())
                }
            };
            let ordered = stream::iter(0..10).ordered_by_group(|n| *n, 4);
            let handler = |n| async move {
                sleep(ms(1)).await;
                if n == 3 { Err("three") } else { Ok(n) }
            };
            let end = if order == "source" {
                let results = ordered.try_then(handler);
                let drive = results.try_drive_chunks(max, |chunk| {
                    commit(chunk.into_iter().map(|(n, _)| n).collect())
                });
                drive.await
            } else {
                let results = ordered.try_then_unordered(handler);
                let drive = results.try_drive_chunks(max, |chunk| {
                    commit(chunk.into_iter().map(|(n, _)| n).collect())
                });
                drive.await
            };
            assert_eq!(end, Err("three"), "{max}, {order} order");
            // In completion order, what had finished past it comes first as well.
            let log = log.take();
            assert_eq!(log[..3], [0, 1, 2], "{max}, {order} order");
            assert!(log.len() == 3 || order == "completion", "{max}: {log:?}");
        }
    }
}

#[test]
fn while_what_came_before_a_failure_is_committed_the_rest_is_gone() {
    let gates = Gates::default();
    let handle = gates.clone();
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let mut task = spawn(
        stream::iter([10, 20, 30])
            .ordered_by_group(|item| item / 10, 4)
            .try_then(move |item| handle.handle(item))
            .try_drive_chunks(8, move |chunk| consume.handle(chunk[0].0).map_ok(drop)),
    );
    assert_pending!(task.poll());
    gates.open(10);
    gates.fail(20);
    assert_pending!(task.poll());
    assert_eq!(consumed.running(), [10]);
    gates.assert_all_dropped_once();
    // The commit of what came before counts more than the failure.
    consumed.fail(10);
    assert_ready_eq!(task.poll(), Err(10));
}

#[test]
fn drive_chunks_hands_the_errors_of_a_stream_that_can_fail_to_the_closure() {
    let mut seen = vec![];
    let drive = stream::iter([1, 2, 3])
        .ordered_by_group(|n| *n, 4)
        .try_then(|n| ready(if n == 2 { Err("two") } else { Ok(n) }))
        .drive_chunks(8, |chunk| {
            seen.extend(chunk);
            ready(())
        });
    assert_eq!(drive.now_or_never(), Some(()));
    assert_eq!(seen, [Ok((1, 0)), Err("two")]);
}

#[test]
fn an_empty_stream_gives_no_chunk() {
    let nothing = || stream::empty::<u32>().ordered_by_group(|n| *n, 1);
    let drive = nothing()
        .then(ready)
        .drive_chunks(8, |_| -> std::future::Ready<()> {
            panic!("an empty chunk")
        });
    assert_eq!(drive.now_or_never(), Some(()));
    let fails = || stream::iter([Err("failed")]).try_ordered_by_group(|n: &u32| *n, 1);
    let results = fails().and_then(|n| ready(Ok(n)));
    let drive = results.try_drive_chunks(8, |_| -> std::future::Ready<Result<(), _>> {
        panic!("an empty chunk")
    });
    assert_eq!(drive.now_or_never(), Some(Err("failed")));
}

#[test]
fn dropped_half_way_it_drops_all_that_is_admitted_and_what_the_closure_does() {
    let gates = Gates::default();
    let handle = gates.clone();
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let mut task = spawn(
        stream::iter([10, 11, 20, 30])
            .ordered_by_group(|item| item / 10, 4)
            .then(move |item| handle.handle(item).map(move |_| item))
            .drive_chunks(8, move |chunk| consume.handle(chunk[0].0).map(drop)),
    );
    assert_pending!(task.poll());
    gates.open_all([10, 20]);
    assert_pending!(task.poll());
    assert_eq!(consumed.running(), [10]);
    drop(task);
    gates.assert_all_dropped_once();
    consumed.assert_all_dropped_once();
}

#[test]
fn after_its_end_it_panics_instead_of_ending_well() {
    let results = || stream::iter([1, 2]).ordered_by_group(|n| *n, 1);
    let mut task = spawn(results().then(ready).drive_chunks(8, |_| ready(())));
    assert_ready_eq!(task.poll(), ());
    let ended = catch_unwind(AssertUnwindSafe(|| task.poll()));
    let after_the_end = message(ended.expect_err("a panic"));
    let mut task = spawn(
        results()
            .try_then(|n| ready(Ok(n)))
            .try_drive_chunks(8, |_| ready(Err("full"))),
    );
    assert_ready_eq!(task.poll(), Err("full"));
    let ended = catch_unwind(AssertUnwindSafe(|| task.poll()));
    let after_the_error = message(ended.expect_err("a panic"));
    for message in [after_the_end, after_the_error] {
        assert_eq!(message, "`drive_chunks` polled after it has finished");
    }
}

#[test]
fn a_chunk_of_at_most_nothing_panics_at_the_callers_line() {
    let at = Arc::new(StdMutex::new(None));
    let seen = Arc::clone(&at);
    let before = std::panic::take_hook();
    let this_thread = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == this_thread {
            let location = panic.location().expect("a location");
            *seen.lock().unwrap() = Some((location.file().to_string(), location.line()));
        } else {
            before(panic);
        }
    }));
    let results = || stream::iter([1]).ordered_by_group(|n| *n, 1);
    for is_try in [false, true] {
        let line = Cell::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            if is_try {
                let results = results().try_then(|n| ready(Ok::<_, ()>(n)));
                line.set(line!() + 1);
                drop(results.try_drive_chunks(0, |_| ready(Ok(()))));
            } else {
                let results = results().then(ready);
                line.set(line!() + 1);
                drop(results.drive_chunks(0, |_| ready(())));
            }
        }));
        let message = message(panic.expect_err("a panic"));
        assert!(message.starts_with("max is 0"), "{message}");
        let at = at.lock().unwrap().take();
        assert_eq!(at, Some((file!().to_string(), line.get())));
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_not_deadlock_on_a_lock_that_a_handler_holds_across_an_await() {
    let lock = Mutex::new(0);
    let handler = async |_: u32| {
        let mut held = lock.lock().await;
        sleep(ms(7)).await;
        *held += 1;
    };
    let chunks = Cell::new(0);
    let drive = stream::iter(0..20)
        .ordered_by_group(|n| *n, 4)
        .then(handler)
        .drive_chunks(8, async |_| {
            *lock.lock().await += 1;
            chunks.set(chunks.get() + 1);
        });
    timeout(FOR_EVER, drive).await.expect("no deadlock");
    assert_eq!(*lock.lock().await, 20 + chunks.get());
}

#[tokio::test(start_paused = true)]
async fn handlers_that_want_a_permit_of_which_the_caller_has_the_last_make_progress() {
    let permits = Arc::new(Semaphore::new(1));
    let mut seen = vec![];
    let drive = stream::iter(0..20_u32)
        .ordered_by_group(|n| *n, 4)
        .then(|n| {
            let permits = Arc::clone(&permits);
            async move { (n, permits.acquire_owned().await.unwrap()) }
        })
        .drive_chunks(8, |chunk| {
            seen.extend(chunk.iter().map(|((n, _), _)| *n));
            async move {
                sleep(ms(5)).await;
                drop(chunk);
            }
        });
    timeout(FOR_EVER, drive).await.expect("no deadlock");
    assert!(seen.into_iter().eq(0..20));
}

#[test]
fn after_a_panic_of_the_closure_it_is_poisoned() {
    for panics_when_called in [true, false] {
        let gates = Gates::default();
        let handle = gates.clone();
        let mut task = spawn(
            stream::iter([10, 20])
                .ordered_by_group(|item| item / 10, 4)
                .then(move |item| handle.handle(item).map(move |_| item))
                .drive_chunks(8, move |_| {
                    assert!(!panics_when_called, "the closure panics");
                    async { panic!("the closure's future panics") }
                }),
        );
        assert_pending!(task.poll());
        gates.open(10);
        for expected in [
            "the closure",
            "after a panic in the closure",
            "after a panic in the closure",
        ] {
            let panic = catch_unwind(AssertUnwindSafe(|| task.poll()));
            let message = message(panic.expect_err("a panic"));
            assert!(message.contains(expected), "{message}");
        }
        drop(task);
        gates.assert_all_dropped_once();
    }
}

#[test]
fn a_handler_that_panics_poisons_it_and_what_has_gathered_is_not_handed_over() {
    let gates = Gates::default();
    let handle = gates.clone();
    let called = Cell::new(0);
    let called_ref = &called;
    let mut task = spawn(
        stream::iter([10, 20, 30])
            .ordered_by_group(|item| item / 10, 4)
            .then_unordered(move |item| handle.handle(item).map(move |_| item))
            .drive_chunks(8, move |_| {
                called_ref.set(called_ref.get() + 1);
                ready(())
            }),
    );
    assert_pending!(task.poll());
    gates.open(10);
    gates.end(20, End::Panic);
    for expected in [
        "the handler of 20 panics",
        "polled after a panic",
        "polled after a panic",
    ] {
        let panic = catch_unwind(AssertUnwindSafe(|| task.poll()));
        let message = message(panic.expect_err("a panic"));
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(called.get(), 0);
    drop(task);
    gates.assert_all_dropped_once();
}

#[test]
fn always_ready_all_over_it_gives_way_to_the_runtime() {
    for max in [1, 7, usize::MAX] {
        let seen = Rc::new(Cell::new(0));
        let counted = Rc::clone(&seen);
        let mut task = spawn(
            stream::repeat(1)
                .ordered_by_group(|n| *n, 4)
                .then(ready)
                .drive_chunks(max, move |chunk| {
                    counted.set(counted.get() + chunk.len());
                    ready(())
                }),
        );
        for _ in 0..5 {
            let before = seen.get();
            assert_pending!(task.poll());
            assert!(task.is_woken());
            let seen = seen.get() - before;
            assert!((1..1_000).contains(&seen), "{seen}");
        }
    }
}

#[test]
fn always_ready_behind_a_full_window_it_gives_way_to_the_runtime() {
    let look_ahead = 4_096;
    for max in [1, 255, 257, 1_000, usize::MAX] {
        let (is_open, seen) = (Cell::new(false), Cell::new(0));
        let mut task = spawn(
            stream::iter(0..1_000_000)
                .ordered_by_group(|n| *n, 4)
                .look_ahead(look_ahead)
                .then(ready)
                .drive_chunks(max, |chunk| {
                    seen.set(seen.get() + chunk.len());
                    let is_open = &is_open;
                    poll_fn(move |_| match is_open.get() {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    })
                }),
        );
        for _ in 0..100 {
            assert_pending!(task.poll()); // results gather
        }
        is_open.set(true);
        let before = seen.get();
        assert_pending!(task.poll());
        let seen = seen.get() - before;
        assert!(seen < look_ahead + 512, "{seen} of chunks of {max}");
    }
}

#[test]
fn a_closure_that_gives_way_each_time_gets_at_least_what_has_gathered_in_the_window() {
    let mut lens = RefCell::new(vec![]);
    let lens_ref = &lens;
    let mut task = spawn(
        stream::iter(0..10_000)
            .ordered_by_group(|n| *n, 4)
            .look_ahead(100)
            .then(ready)
            .drive_chunks(usize::MAX, |chunk| {
                lens_ref.borrow_mut().push(chunk.len());
                // Outside of a runtime, it wakes at once.
                tokio::task::yield_now()
            }),
    );
    let mut polls = 0;
    while task.poll().is_pending() {
        assert!(task.is_woken());
        polls += 1;
        assert!(polls < 1_000);
    }
    drop(task);
    assert_eq!(lens.borrow().iter().sum::<usize>(), 10_000);
    let (_last, others) = lens.get_mut().split_last().unwrap();
    assert!(others.iter().all(|len| *len >= 100), "{others:?}");
}

#[test]
fn a_closure_that_never_completes_fills_the_window_and_all_stands_still() {
    for hot in [true, false] {
        let feed = items(0..1_000);
        let finished = Rc::new(Cell::new(0));
        let counted = Rc::clone(&finished);
        let mut task = spawn(
            feed.source()
                .try_ordered_by_group(move |item| if hot { 0 } else { *item }, 4)
                .look_ahead(10)
                .and_then(move |item| {
                    counted.set(counted.get() + 1);
                    ready(Ok(item))
                })
                .try_drive_chunks(5, |_| pending()),
        );
        assert_pending!(task.poll());
        while task.is_woken() {
            assert_pending!(task.poll());
        }
        // Five are with the closure.
        assert_eq!((feed.pulled(), finished.get()), (15, 15));
        for _ in 0..5 {
            assert_pending!(task.poll());
            assert!(!task.is_woken(), "it does not spin");
        }
        assert_eq!(feed.pulled(), 15);
    }
}

/// What the closure may be doing, and the handlers.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Close,
    End(Index, End),
    Consumed(End),
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let end = || prop_oneof![30 => Just(End::Ok), 1 => Just(End::Err), 1 => Just(End::Panic)];
    prop_oneof![
        8 => (1..5_usize).prop_map(Step::Push),
        1 => Just(Step::Close),
        16 => (any::<Index>(), end()).prop_map(|(index, end)| Step::End(index, end)),
        6 => end().prop_map(Step::Consumed),
        16 => Just(Step::Poll),
    ]
}

/// How results are handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Handing {
    OneByOne,
    InChunks(usize),
}

impl Handing {
    fn max(self) -> usize {
        match self {
            Self::OneByOne => 1,
            Self::InChunks(max) => max,
        }
    }
}

struct Played {
    /// What happened, poll by poll.
    log: String,
    chunks: Vec<Vec<u32>>,
    end: Option<Result<(), u32>>,
}

/// Plays a script, and checks what holds of every chunk.
fn play(handing: Handing, max_parallel: usize, script: &[Step]) -> Played {
    let (feed, gates) = (items([]), Gates::new(|item| item % 5));
    let consumed = Gates::new(|_| 0);
    let chunks = Rc::new(RefCell::new(Vec::<Vec<u32>>::new()));
    let (handle, consume, taken) = (gates.clone(), consumed.clone(), Rc::clone(&chunks));
    let failed = Rc::new(RefCell::new(vec![]));
    let is_there = {
        let (gates, failed) = (gates.clone(), Rc::clone(&failed));
        move |item: u32| gates.finished().contains(&item) && !failed.borrow().contains(&item)
    };
    let (max, more_is_there) = (handing.max(), is_there.clone());
    let consume = move |chunk: Vec<(u32, u64)>| {
        taken
            .borrow_mut()
            .push(chunk.iter().map(|(item, _)| *item).collect());
        let first = chunk.first().expect("a chunk is never empty");
        let is_more = more_is_there(first.0 + chunk.len() as u32);
        assert!(
            !is_more || chunk.len() == max,
            "more was there than {chunk:?}"
        );
        // These gates fail the test if two of them exist at once.
        consume.handle(first.0).map_ok(drop)
    };
    let results = feed
        .source()
        .try_ordered_by_group(|item| item % 5, max_parallel)
        .look_ahead(8)
        .and_then(move |item| handle.handle(item));
    let drive = match handing {
        Handing::OneByOne => results
            .try_drive(move |next| consume(vec![next]))
            .left_future(),
        Handing::InChunks(max) => results.try_drive_chunks(max, consume).right_future(),
    };
    let mut task = spawn(drive);
    let mut log = String::new();
    let mut next = 0..;
    let mut end = None;
    for step in script {
        match step {
            Step::Push(count) => {
                let pushed = next.by_ref().take(*count);
                pushed.for_each(|item| feed.push(Ok(item)));
            }
            Step::Close => feed.close(),
            Step::End(index, end) => {
                let running = gates.running();
                if !running.is_empty() {
                    let item = *index.get(&running);
                    if *end != End::Ok {
                        failed.borrow_mut().push(item);
                    }
                    gates.end(item, *end);
                }
            }
            Step::Consumed(end) => {
                if let [consuming] = consumed.running()[..] {
                    consumed.end(consuming, *end);
                }
            }
            Step::Poll => {
                let polled = catch_unwind(AssertUnwindSafe(|| task.poll()));
                writeln!(log, "{:?}", polled.as_ref().map_err(|_| "panic")).unwrap();
                match polled {
                    Ok(std::task::Poll::Pending) => {
                        let handed = chunks.borrow().iter().flatten().count() as u32;
                        let may_wait = task.is_woken() || consumed.live() == 1;
                        assert!(may_wait || !is_there(handed), "{handed} is not handed over");
                    }
                    Ok(std::task::Poll::Ready(ended)) => {
                        end = Some(ended);
                        break;
                    }
                    Err(panic) => {
                        let message = message(panic);
                        assert!(message.starts_with("the handler of"), "{message}");
                        break;
                    }
                }
            }
        }
        let events = (
            gates.events(),
            consumed.events(),
            task.is_woken(),
            feed.polls(),
        );
        writeln!(log, "{events:?} {:?}", chunks.borrow()).unwrap();
    }
    drop(task);
    gates.assert_all_dropped_once();
    consumed.assert_all_dropped_once();
    let chunks = chunks.take();
    let in_order = chunks.iter().flatten().copied();
    assert!(
        in_order.eq(0..chunks.iter().map(Vec::len).sum::<usize>() as u32),
        "{chunks:?}"
    );
    Played { log, chunks, end }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chunks_of_one_are_the_results_one_by_one_poll_by_poll(
        max_parallel in 1..4_usize,
        script in vec(step(), 0..80),
    ) {
        let one_by_one = play(Handing::OneByOne, max_parallel, &script);
        let in_chunks = play(Handing::InChunks(1), max_parallel, &script);
        prop_assert_eq!(one_by_one.log, in_chunks.log);
    }

    #[test]
    fn a_chunk_is_what_is_there_up_to_max_and_nothing_is_left_or_lost(
        max_parallel in 1..4_usize,
        max in prop_oneof![2..6_usize, Just(usize::MAX)],
        script in vec(step(), 0..80),
    ) {
        let played = play(Handing::InChunks(max), max_parallel, &script);
        for chunk in &played.chunks {
            prop_assert!((1..=max).contains(&chunk.len()), "{:?}", played.chunks);
        }
        if played.end == Some(Ok(())) {
            let closed = script.iter().position(|step| matches!(step, Step::Close)).unwrap();
            let pushed = script.iter().take(closed);
            let pushed = pushed.map(|step| if let Step::Push(count) = step { *count } else { 0 });
            let handed = played.chunks.iter().flatten().count();
            prop_assert!(handed >= pushed.sum(), "{:?}", played.chunks);
        }
    }
}
