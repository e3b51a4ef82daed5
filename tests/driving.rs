//! Chapter 17 of the contract: the handlers run on while the caller awaits.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{Gates, Setup, VERBS, advance, items, message, settle, settled};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A day of virtual time: what takes longer, stands still.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// The first of these is finished at once, the second after two steps of 100 ms; its end is noted.
macro_rules! one_fast_one_slow {
    ($finished_at:ident) => {{
        let start = Instant::now();
        let finished_at = &$finished_at;
        stream::iter([false, true])
            .ordered_by_group(|is_slow| *is_slow, 2)
            .then(move |is_slow| async move {
                if is_slow {
                    sleep(ms(100)).await;
                    sleep(ms(100)).await;
                    finished_at.set(start.elapsed());
                }
            })
    }};
}

#[tokio::test(start_paused = true)]
async fn in_a_plain_loop_or_behind_for_each_the_handlers_stand_still() {
    let finished_at = Cell::default();
    let mut results = pin!(one_fast_one_slow!(finished_at));
    while results.next().await.is_some() {
        sleep(ms(300)).await;
    }
    assert_eq!(finished_at.get(), ms(500));

    let finished_at = Cell::default();
    one_fast_one_slow!(finished_at)
        .map(|(result, _)| result)
        .for_each(|()| sleep(ms(300)))
        .await;
    assert_eq!(finished_at.get(), ms(500));
}

#[tokio::test(start_paused = true)]
async fn with_drive_and_alongside_the_handlers_go_on() {
    let finished_at = Cell::default();
    one_fast_one_slow!(finished_at)
        .drive(|_| sleep(ms(300)))
        .await;
    assert_eq!(finished_at.get(), ms(200));

    let finished_at = Cell::default();
    let mut results = pin!(one_fast_one_slow!(finished_at));
    while results.next().await.is_some() {
        results.as_mut().alongside(sleep(ms(300))).await;
    }
    assert_eq!(finished_at.get(), ms(200));
}

#[tokio::test(start_paused = true)]
async fn forty_items_with_a_slow_commit_take_as_long_as_their_commits() {
    let start = Instant::now();
    stream::iter(0..40)
        .ordered_by_group(|n| *n, 8)
        .then(|_| async {
            for _ in 0..10 {
                sleep(ms(10)).await;
            }
        })
        .drive(|_| sleep(ms(25)))
        .await;
    assert!(
        start.elapsed() <= ms(100 + 40 * 25),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn handlers_that_want_a_permit_of_which_the_caller_has_the_last_make_progress() {
    let permits = Arc::new(Semaphore::new(1));
    let handler = |n: u32| {
        let permits = Arc::clone(&permits);
        async move { (n, permits.acquire_owned().await.unwrap()) }
    };
    let seen = RefCell::new(vec![]);
    let seen_ref = &seen;
    let drive = stream::iter(0..20)
        .ordered_by_group(|n| *n, 4)
        .then(handler)
        .drive(|((n, permit), _)| async move {
            sleep(ms(5)).await;
            seen_ref.borrow_mut().push(n);
            drop(permit);
        });
    timeout(FOR_EVER, drive).await.expect("no deadlock");
    assert!(seen.take().into_iter().eq(0..20));

    let mut results = pin!(
        stream::iter(0..20)
            .ordered_by_group(|n| *n, 4)
            .then(handler)
    );
    let run = async {
        while let Some(((n, permit), _)) = results.next().await {
            let consume = async {
                sleep(ms(5)).await;
                drop(permit);
            };
            results.as_mut().alongside(consume).await;
            seen.borrow_mut().push(n);
        }
    };
    timeout(FOR_EVER, run).await.expect("no deadlock");
    assert!(seen.take().into_iter().eq(0..20));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_handlers_hold_across_an_await_does_not_deadlock_with_the_caller() {
    let lock = Mutex::new(0);
    let handler = async |_: u32| {
        let mut held = lock.lock().await;
        sleep(ms(7)).await;
        *held += 1;
    };
    let drive = stream::iter(0..20)
        .ordered_by_group(|n| *n, 4)
        .then(handler)
        .drive(async |_| *lock.lock().await += 1);
    timeout(FOR_EVER, drive).await.expect("no deadlock");
    assert_eq!(*lock.lock().await, 40);

    let run = async {
        let results = stream::iter(0..20)
            .ordered_by_group(|n| *n, 4)
            .then(handler);
        let mut results = pin!(results);
        while results.next().await.is_some() {
            let consume = async { *lock.lock().await += 1 };
            results.as_mut().alongside(consume).await;
        }
    };
    timeout(FOR_EVER, run).await.expect("no deadlock");
    assert_eq!(*lock.lock().await, 80);
}

#[tokio::test(start_paused = true)]
async fn a_plain_loop_does_deadlock_on_such_a_lock() {
    // So that the tests above prove something.
    let lock = Mutex::new(0);
    let handler = async |_: u32| {
        let _held = lock.lock().await;
        sleep(ms(7)).await;
    };
    let run = async {
        let mut results = pin!(
            stream::iter(0..20)
                .ordered_by_group(|n| *n, 4)
                .then(handler)
        );
        while results.next().await.is_some() {
            *lock.lock().await += 1;
        }
    };
    assert!(timeout(FOR_EVER, run).await.is_err());
}

#[test]
fn while_the_caller_awaits_handlers_start_run_and_finish_up_to_the_window() {
    for verb in VERBS {
        let (feed, gates) = (items(0..100), Gates::new(|item| item % 10));
        let mut task = Setup::new(verb, 2)
            .look_ahead(6)
            .key(|item| item % 10)
            .spawn(&feed, &gates);
        advance(&mut task);
        assert_eq!(gates.called(), [0, 1], "{verb:?}: they start");
        gates.wake(0);
        advance(&mut task);
        assert_eq!(gates.polls(0), 2, "{verb:?}: they run");
        gates.open_all(0..100);
        advance(&mut task);
        assert_eq!(
            gates.finished().len(),
            6,
            "{verb:?}: they finish, up to the window"
        );
        assert_eq!(task.counts().finished, 6, "{verb:?}: and nothing comes out");
        advance(&mut task);
        assert_eq!(feed.pulled(), 6, "{verb:?}");
        assert_eq!(settled(&mut task).len(), 100, "{verb:?}");
    }
}

#[test]
fn the_closure_is_called_once_at_a_time_in_order() {
    let gates = Gates::default();
    let consumed = Gates::new(|_| 0);
    let (handle, consume) = (gates.clone(), consumed.clone());
    let mut task = spawn(
        stream::iter([10, 20, 11, 30])
            .ordered_by_group(|item| item / 10, 4)
            .then(move |item| handle.handle(item).map(move |_| item))
            // These gates fail the test if two of them exist at once.
            .drive(move |(item, _)| consume.handle(item).map(drop)),
    );
    assert_pending!(task.poll());
    gates.open_all([30, 20, 10]);
    assert_pending!(task.poll());
    assert_eq!(consumed.running(), [10]);
    gates.open(11);
    for item in [10, 20, 11, 30] {
        assert!(task.poll().is_pending());
        assert_eq!(consumed.running(), [item]);
        consumed.open(item);
    }
    assert_ready_eq!(task.poll(), ());
    assert_eq!(consumed.called(), [10, 20, 11, 30]);
}

#[test]
fn drive_ends_with_the_stream() {
    let mut seen = vec![];
    let drive = stream::iter([10, 20, 11])
        .ordered_by_group(|item| item / 10, 4)
        .then_unordered(ready)
        .drive(|(item, offset)| {
            seen.push((item, *offset.offset()));
            ready(())
        });
    assert_eq!(drive.now_or_never(), Some(()));
    assert_eq!(seen, [(10, 0), (20, 1), (11, 2)]);
}

#[test]
fn drive_hands_the_errors_of_a_stream_that_can_fail_to_the_closure() {
    let mut seen = vec![];
    let drive = stream::iter([1, 2, 3])
        .ordered_by_group(|n| *n, 4)
        .try_then(|n| ready(if n == 2 { Err("two") } else { Ok(n) }))
        .drive(|next| {
            seen.push(next);
            ready(())
        });
    assert_eq!(drive.now_or_never(), Some(()));
    assert_eq!(seen, [Ok((1, 0)), Err("two")]);
}

#[test]
fn try_drive_stops_at_the_streams_error_and_drops_the_rest() {
    let gates = Gates::default();
    let handle = gates.clone();
    let mut seen = vec![];
    let mut task = spawn(
        stream::iter([10, 20, 30])
            .ordered_by_group(|item| item / 10, 4)
            .try_then(move |item| handle.handle(item))
            .try_drive(|(item, _)| {
                seen.push(item);
                ready(Ok(()))
            }),
    );
    assert_pending!(task.poll());
    gates.fail(20);
    assert_pending!(task.poll());
    gates.open(10);
    assert_ready_eq!(task.poll(), Err(20));
    gates.assert_all_dropped_once();
    drop(task);
    assert_eq!(seen, [10]);
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
            stream::iter([10, 11, 20, 30].map(Ok))
                .try_ordered_by_group(|item| item / 10, 4)
                .and_then_unordered(move |item| handle.handle(item))
                .try_drive(move |(item, _)| consume.handle(item).map_ok(drop)),
        );
        assert_pending!(task.poll());
        gates.open(10);
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

#[test]
fn dropping_the_future_of_drive_drops_all_that_is_admitted_and_what_the_closure_does() {
    let gates = Gates::default();
    let handle = gates.clone();
    let consumed = Gates::new(|_| 0);
    let consume = consumed.clone();
    let mut task = spawn(
        stream::iter([10, 11, 20, 30])
            .ordered_by_group(|item| item / 10, 4)
            .then(move |item| handle.handle(item).map(move |_| item))
            .drive(move |(item, _)| consume.handle(item).map(drop)),
    );
    assert_pending!(task.poll());
    gates.open(10);
    assert_pending!(task.poll());
    assert_eq!(consumed.running(), [10]);
    drop(task);
    gates.assert_all_dropped_once();
    consumed.assert_all_dropped_once();
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
                .try_drive(|_| pending()),
        );
        assert_pending!(task.poll());
        while task.is_woken() {
            assert_pending!(task.poll());
        }
        // One is with the closure.
        assert_eq!((feed.pulled(), finished.get()), (11, 11));
        for _ in 0..5 {
            assert_pending!(task.poll());
            assert!(!task.is_woken(), "it does not spin");
        }
        assert_eq!(feed.pulled(), 11);
    }
}

#[test]
fn after_a_panic_of_the_closure_drive_is_poisoned() {
    for panics_when_called in [true, false] {
        let gates = Gates::default();
        let handle = gates.clone();
        let mut task = spawn(
            stream::iter([10, 20])
                .ordered_by_group(|item| item / 10, 4)
                .then(move |item| handle.handle(item).map(move |_| item))
                .drive(move |_| {
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
fn alongside_gives_the_futures_output() {
    let mut results = pin!(stream::iter([1]).ordered_by_group(|n| *n, 4).then(ready));
    let output = results.as_mut().alongside(ready("done")).now_or_never();
    assert_eq!(output, Some("done"));
    assert_eq!(results.next().now_or_never().flatten(), Some((1, 0)));
}

#[test]
fn alongside_wakes_for_the_future_and_for_the_handlers() {
    let gates = Gates::default();
    let handle = gates.clone();
    let mut results = pin!(
        stream::iter([10, 11])
            .ordered_by_group(|item| item / 10, 4)
            .then(move |item| handle.handle(item))
    );
    let (done, awaited) = oneshot::channel();
    let mut task = spawn(results.as_mut().alongside(awaited));
    assert_pending!(task.poll());
    gates.open(10);
    assert!(task.is_woken());
    assert_pending!(task.poll());
    assert_eq!(gates.running(), [11]);
    assert!(!task.is_woken());
    done.send(5).unwrap();
    assert!(task.is_woken());
    assert_ready_eq!(task.poll(), Ok(5));
}

#[test]
fn alongside_that_is_cancelled_half_way_loses_nothing() {
    let gates = Gates::default();
    let handle = gates.clone();
    let mut results = pin!(
        stream::iter([10, 20, 11])
            .ordered_by_group(|item| item / 10, 4)
            .then(move |item| handle.handle(item).map(move |_| item))
    );
    for item in [20, 10, 11] {
        let mut task = spawn(results.as_mut().alongside(pending::<()>()));
        assert_pending!(task.poll());
        gates.open(item);
        assert_pending!(task.poll());
        drop(task);
    }
    assert_eq!(gates.finished(), [20, 10, 11]);
    let rest = results.collect::<Vec<_>>().now_or_never();
    assert_eq!(rest, Some(vec![(10, 0), (20, 1), (11, 2)]));
}

#[test]
fn alongside_at_the_end_of_the_stream_is_a_plain_await() {
    for verb in VERBS {
        let (feed, gates) = (items([]), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settle(&mut task), [None]);
        for _ in 0..3 {
            advance(&mut task);
            assert!(!task.is_woken());
        }
        assert_eq!(task.poll_next(), Poll::Ready(None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_with_a_ticker_commits_every_second_with_state_of_its_own() -> Result<(), String> {
    let commits = RefCell::new(vec![]);
    let mut ticker = interval(ms(1_000));
    let mut last = None;
    let mut sum = 0;
    let mut results = pin!(
        stream::iter(0..100_u64)
            .ordered_by_group(|n| n % 10, 4)
            .try_then(|n| async move {
                sleep(ms(50 + n % 7 * 30)).await;
                Ok::<_, String>(n)
            })
    );
    loop {
        tokio::select! {
            next = results.try_next() => match next? {
                Some((n, offset)) => {
                    sum += n;
                    last = Some(offset);
                }
                None => break,
            },
            _ = ticker.tick() => {
                let commit = async {
                    sleep(ms(100)).await;
                    commits.borrow_mut().push(last);
                    Ok::<_, String>(())
                };
                results.as_mut().alongside(commit).await?;
            }
        }
    }
    assert_eq!((sum, last), (4_950, Some(99)));
    let commits = commits.take();
    assert!(commits.len() > 2 && commits.is_sorted(), "{commits:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_alongside_loses_nothing() {
    let mut results = pin!(stream::iter(0..50).ordered_by_group(|n| n % 10, 4).then(
        |n| async move {
            sleep(ms(30)).await;
            n
        }
    ));
    let mut out = vec![];
    loop {
        let slow = results.as_mut().alongside(sleep(ms(1_000)));
        assert!(timeout(ms(7), slow).await.is_err());
        match results.next().await {
            Some((n, _)) => out.push(n),
            None => break,
        }
    }
    assert!(out.into_iter().eq(0..50));
}

#[test]
fn drive_gives_way_to_the_runtime() {
    let seen = Rc::new(Cell::new(0));
    let counted = Rc::clone(&seen);
    let mut task = spawn(
        stream::repeat(1)
            .ordered_by_group(|n| *n, 4)
            .then(ready)
            .drive(move |_| {
                counted.set(counted.get() + 1);
                ready(())
            }),
    );
    for _ in 0..3 {
        let before = seen.get();
        assert_pending!(task.poll());
        assert!(task.is_woken());
        assert!(seen.get() - before < 10_000);
    }
}

#[test]
fn drive_keeps_running_handlers_while_the_closure_gives_way() {
    let mut task = spawn(
        stream::iter(0..1_000)
            .ordered_by_group(|n| *n, 4)
            .then(ready)
            .drive(|_| tokio::task::yield_now()),
    );
    let mut polls = 0;
    // Outside of a runtime, `yield_now` wakes at once.
    while task.poll().is_pending() {
        assert!(task.is_woken());
        polls += 1;
        assert!(polls < 10_000);
    }
}
