//! Handlers on the runtime's workers: the same order, offsets, failures and panics as in the stream's own task.
#![cfg(feature = "tokio")]

use std::collections::HashMap;
use std::future::{Future as _, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures::future::select;
use futures::{FutureExt as _, Stream as _, StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Says on drop that it was dropped.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn mixed(n: u32) -> u32 {
    n.wrapping_mul(0x9E37_79B9) >> 16
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_group_is_handled_in_its_order_one_at_a_time_and_all_comes_out_in_source_order() {
    const GROUPS: u32 = 37;
    let last: Arc<Vec<Mutex<Option<u32>>>> =
        Arc::new((0..GROUPS).map(|_| Mutex::default()).collect());
    let running = Arc::new(AtomicUsize::new(0));
    let results: Vec<_> = stream::iter(0..20_000_u32)
        .ordered_by_group(|n| mixed(*n) % GROUPS, 5)
        .spawned()
        .then(move |n| {
            let (last, running) = (Arc::clone(&last), Arc::clone(&running));
            async move {
                assert!(running.fetch_add(1, Ordering::SeqCst) < 5);
                let slot = last[(mixed(n) % GROUPS) as usize].try_lock();
                let before = slot.expect("alone in its group").replace(n);
                if n % 3 == 0 {
                    yield_now().await;
                }
                assert!(before < Some(n));
                running.fetch_sub(1, Ordering::SeqCst);
                n
            }
        })
        .collect()
        .await;
    assert!(
        results
            .into_iter()
            .eq((0..20_000).map(|n| (n, u64::from(n))))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_completion_order_groups_keep_theirs_and_the_frontier_ends_at_the_last() {
    let mut last = HashMap::new();
    let mut frontier = None;
    let mut results = pin!(
        stream::iter(0..20_000_u32)
            .ordered_by_group(|n| mixed(*n) % 37, 5)
            .spawned()
            .then_unordered(|n| async move {
                if n % 7 == 0 {
                    yield_now().await;
                }
                n
            })
    );
    while let Some((n, offset)) = results.next().await {
        assert!(last.insert(mixed(n) % 37, n) < Some(n));
        assert!(frontier.as_ref() <= offset.frontier());
        frontier = offset.frontier().copied();
    }
    assert_eq!(frontier, Some(19_999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_keys_and_any_relation_hold_too() {
    let balances: Arc<Vec<Mutex<i64>>> = Arc::new((0..20).map(|_| Mutex::new(100)).collect());
    let accounts = |n: u32| [mixed(n) % 20, (mixed(n) / 20) % 20];
    let shared = Arc::clone(&balances);
    let moved: Vec<_> = stream::iter(0..10_000_u32)
        .ordered_by_groups(move |n| accounts(*n), 4)
        .spawned()
        .then(move |n| {
            let balances = Arc::clone(&shared);
            async move {
                let [from, to] = accounts(n).map(|account| account as usize);
                if from != to {
                    let mut first = balances[from].try_lock().expect("alone");
                    let mut second = balances[to].try_lock().expect("alone");
                    *first -= 1;
                    *second += 1;
                }
            }
        })
        .collect()
        .await;
    assert_eq!(moved.len(), 10_000);
    assert_eq!(
        balances.iter().map(|b| *b.lock().unwrap()).sum::<i64>(),
        2_000
    );

    let at_once = Arc::new(AtomicUsize::new(0));
    stream::iter(0..1_000)
        .ordered_unless(|_| (), ordered_by_group::can_run_together::never, 4)
        .spawned()
        .then(move |_| {
            let at_once = Arc::clone(&at_once);
            async move {
                assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0);
                yield_now().await;
                at_once.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .drive(|_| async {})
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_comes_out_after_what_was_before_it_and_nothing_comes_after() {
    for fails in [0_u64, 1, 500, 999] {
        let mut results = pin!(
            stream::iter(0..1_000_u64)
                .ordered_by_group(|n| n % 10, 4)
                .spawned()
                .try_then(move |n| async move {
                    yield_now().await;
                    if n >= fails { Err(n) } else { Ok(n) }
                })
        );
        for n in 0..fails {
            assert_eq!(results.try_next().await, Ok(Some((n, n))));
        }
        assert_eq!(results.try_next().await, Err(fails));
        assert_eq!(results.try_next().await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_past_a_failure_starts_once_it_was_seen() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let gate = Arc::new(Semaphore::new(0));
    let (log, opened) = (Arc::clone(&started), Arc::clone(&gate));
    let end = stream::iter(["a0", "a1", "b2"])
        .ordered_by_group(|item| item.as_bytes()[0], 2)
        .spawned()
        .try_then(move |item| {
            log.lock().unwrap().push(item);
            let gate = Arc::clone(&opened);
            async move {
                if item == "b2" {
                    let _ = gate.acquire().await;
                    return Ok(());
                }
                Err(item)
            }
        })
        .try_for_each(|_| async { Ok(()) })
        .await;
    assert_eq!(end, Err("a0"));
    assert!(!started.lock().unwrap().contains(&"a1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_resumes_in_the_caller_and_poisons_the_stream() {
    for in_the_call in [false, true] {
        let mut results = pin!(
            stream::iter(0..100_u64)
                .ordered_by_group(|n| n % 10, 4)
                .spawned()
                .then(move |n| {
                    assert!(!(in_the_call && n == 50), "the call panics");
                    async move {
                        yield_now().await;
                        assert!(n != 50, "the handler panics");
                        n
                    }
                })
        );
        let mut seen = 0;
        let panic = loop {
            match AssertUnwindSafe(results.next()).catch_unwind().await {
                Ok(Some((n, _))) => {
                    assert_eq!(n, seen);
                    seen += 1;
                }
                Ok(None) => panic!("a clean end"),
                Err(panic) => break panic,
            }
        };
        assert!(seen <= 50);
        let message = panic.downcast_ref::<&str>().expect("the handler's own");
        assert!(message.ends_with("panics"), "{message}");
        let again = AssertUnwindSafe(results.next()).catch_unwind().await;
        assert!(again.is_err(), "poisoned");
    }
}

#[test]
fn a_runtime_that_shuts_down_is_a_panic_with_a_message() {
    let workers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let mut results = Box::pin(
        stream::iter([1])
            .ordered_by_group(|n| *n, 1)
            .spawned()
            .then(|_| pending::<()>()),
    );
    {
        let _inside = workers.enter();
        assert!(results.next().now_or_never().is_none());
    }
    workers.shutdown_timeout(Duration::from_secs(10));
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
        futures::executor::block_on(results.next())
    }));
    let panic = caught.expect_err("a panic");
    let message = panic.downcast_ref::<&str>().copied();
    assert!(
        message.is_some_and(|message| message.contains("shut down")),
        "{message:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_asks_each_handler_to_stop() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let (started, mut starts) = mpsc::unbounded_channel();
    let shared = Arc::clone(&dropped);
    let mut results = Box::pin(
        stream::iter(0..3)
            .ordered_by_group(|n| *n, 8)
            .spawned()
            .then(move |n| {
                let guard = Guard(Arc::clone(&shared));
                let started = started.clone();
                async move {
                    let _guard = guard;
                    started.send(n).unwrap();
                    pending::<()>().await;
                }
            }),
    );
    assert!(results.next().now_or_never().is_none());
    for _ in 0..3 {
        starts.recv().await.unwrap();
    }
    drop(results);
    // The handler, and with it the last sender, goes when the last task is gone.
    assert_eq!(starts.recv().await, None);
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_run_on_while_the_stream_is_not_polled() {
    let (done, mut all) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut results = Box::pin(
        stream::iter(0..4)
            .ordered_by_group(|_| (), 2)
            .spawned()
            .then(move |n| {
                let (done, opened) = (done.clone(), Arc::clone(&opened));
                async move {
                    opened.acquire().await.unwrap().forget();
                    done.send(n).unwrap();
                }
            }),
    );
    assert!(results.next().now_or_never().is_none());
    gate.add_permits(4);
    for n in 0..4 {
        assert_eq!(all.recv().await, Some(n), "nobody polls the stream");
    }
    assert_eq!(results.count().await, 4);
}

#[tokio::test(start_paused = true)]
async fn without_a_slot_another_group_runs_and_the_oldest_comes_back_first() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&log);
    stream::iter(["a1", "a2", "b1", "c1", "c2"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .spawned()
        .then_unordered(move |item| {
            let log = Arc::clone(&shared);
            async move {
                log.lock().unwrap().push(item);
                if item == "a1" {
                    without_slot(tokio::time::sleep(Duration::from_millis(15))).await;
                    log.lock().unwrap().push("a1 returns");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .drive(|_| async {})
        .await;
    // a1 waits until 15; b1 has the slot until 10, c1 until 20; then a1 comes before c2.
    let log = log.lock().unwrap();
    assert_eq!(log[..4], ["a1", "b1", "c1", "a1 returns"]);
    assert_eq!(log.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_handler_past_a_failure_gives_its_slot_to_one_before_it() {
    let mut results = pin!(
        stream::iter([1, 2, 3])
            .ordered_by_group(|n| *n, 1)
            .spawned()
            .try_then(|n| async move {
                match n {
                    1 => without_slot(tokio::time::sleep(Duration::from_secs(2))).await,
                    2 => {
                        let wait = without_slot(pending::<()>());
                        let fails = tokio::time::sleep(Duration::from_secs(1));
                        tokio::select! { () = wait => {}, () = fails => {} }
                        return Err(n);
                    }
                    _ => pending().await,
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(n)
            })
    );
    let until = tokio::time::sleep(Duration::from_millis(2_500));
    results.as_mut().alongside(until).await;
    assert_eq!([results.running(), results.waiting()], [1, 0], "3 is gone");
    assert_eq!(results.try_next().await, Ok(Some((1, 0))));
    assert_eq!(results.try_next().await, Err(2), "3 is not waited for");
    assert_eq!(results.try_next().await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counts_and_what_is_unfinished_tell_what_is_admitted() {
    let gate = Arc::new(Semaphore::new(0));
    let shared = Arc::clone(&gate);
    let mut results = pin!(
        stream::iter(["a1", "a2", "b1"])
            .ordered_by_group(|item| item.as_bytes()[0], 2)
            .look_ahead(3)
            .spawned()
            .then(move |_| {
                let gate = Arc::clone(&shared);
                async move { gate.acquire().await.unwrap().forget() }
            })
    );
    assert!(results.next().now_or_never().is_none());
    let counts = [
        results.running(),
        results.waiting(),
        results.finished(),
        results.groups(),
    ];
    assert_eq!(counts, [2, 1, 0, 2]);
    assert_eq!(results.unfinished().collect::<Vec<_>>(), [&0, &1, &2]);
    gate.add_permits(3);
    assert_eq!(results.as_mut().count().await, 3);
}

/// Nothing that is tested here takes so long: what would hang fails.
const HANGS: Duration = Duration::from_secs(20);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits without a slot, gives up after a while, and goes on without one.
async fn give_up(after: Duration) {
    let wait = without_slot(pending::<()>());
    tokio::select! { () = wait => {}, () = tokio::time::sleep(after) => {} }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_past_a_failure_in_the_slot_of_an_earlier_item_gives_it_up_too() {
    // "a3" follows "a1" in its slot: it runs before "b2" fails, or is never called.
    for a1_ends in [15, 25] {
        let results = stream::iter(["x0", "a1", "b2", "a3"])
            .ordered_by_group(|item| item.as_bytes()[0], 1)
            .spawned()
            .try_then(move |item| async move {
                match item {
                    "x0" => without_slot(tokio::time::sleep(ms(30))).await,
                    "a1" => {
                        without_slot(tokio::time::sleep(ms(10))).await;
                        tokio::time::sleep(ms(a1_ends - 10)).await;
                    }
                    "b2" => {
                        give_up(ms(20)).await;
                        return Err(item);
                    }
                    _ => pending().await,
                }
                Ok(item)
            });
        let mut results = pin!(results);
        for (at, item) in ["x0", "a1"].into_iter().enumerate() {
            let next = timeout(HANGS, results.try_next()).await;
            assert_eq!(next, Ok(Ok(Some((item, at as u64)))), "{a1_ends}");
        }
        assert_eq!(results.try_next().await, Err("b2"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_before_a_failure_keeps_its_slot_in_every_partition() {
    // "a1" has come out when "x0" returns, and "a2" runs in its slot.
    let results = stream::iter(["x0", "a1", "a2", "b3"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .offsets(|item| *item)
        .partitions(|item| item.as_bytes()[0])
        .spawned()
        .try_then(|item| async move {
            match item {
                "x0" => without_slot(tokio::time::sleep(ms(30))).await,
                "a1" => without_slot(tokio::time::sleep(ms(5))).await,
                "a2" => tokio::time::sleep(ms(50)).await,
                _ => {
                    give_up(ms(20)).await;
                    return Err(item);
                }
            }
            Ok(())
        });
    let mut results = pin!(results);
    for item in ["a1", "a2", "x0"] {
        let next = timeout(HANGS, results.try_next()).await;
        assert_eq!(next, Ok(Ok(Some(((), item)))));
    }
    assert_eq!(results.try_next().await, Err("b3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_free_only_when_the_handler_that_had_it_is_gone() {
    // Its result, if it finishes after all, does not count.
    for finishes in [false, true] {
        a_slot_is_free_only_when_its_handler_is_gone(finishes).await;
    }
}

async fn a_slot_is_free_only_when_its_handler_is_gone(finishes: bool) {
    let [returns, fails] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let busy = Arc::new(AtomicUsize::new(0));
    let (started, mut starts) = mpsc::unbounded_channel();
    let results = stream::iter(0..3)
        .ordered_by_group(|n| *n, 1)
        .spawned()
        .try_then({
            let (returns, fails) = (Arc::clone(&returns), Arc::clone(&fails));
            let busy = Arc::clone(&busy);
            move |n| {
                let (returns, fails) = (Arc::clone(&returns), Arc::clone(&fails));
                let (released, busy) = (Arc::clone(&released), Arc::clone(&busy));
                let started = started.clone();
                async move {
                    match n {
                        0 => {
                            let _ = without_slot(returns.acquire()).await;
                            assert_eq!(busy.load(Ordering::SeqCst), 0, "one slot");
                        }
                        1 => {
                            let wait = without_slot(pending::<()>());
                            tokio::select! { () = wait => {}, _ = fails.acquire() => {} }
                            return Err(n);
                        }
                        _ => {
                            // Computes, so that it can be stopped only after that.
                            busy.store(1, Ordering::SeqCst);
                            started.send(()).unwrap();
                            let _ = released.lock().unwrap().recv();
                            busy.store(0, Ordering::SeqCst);
                            if !finishes {
                                pending::<()>().await;
                            }
                        }
                    }
                    Ok(n)
                }
            }
        });
    let mut results = pin!(results);
    tokio::select! {
        biased;
        _ = results.try_next() => unreachable!("nothing is finished"),
        _ = starts.recv() => {}
    }
    fails.add_permits(1);
    returns.add_permits(1);
    for _ in 0..1_000 {
        assert!(results.try_next().now_or_never().is_none());
        std::thread::yield_now();
    }
    release.send(()).unwrap();
    let next = timeout(HANGS, results.try_next()).await;
    assert_eq!(next, Ok(Ok(Some((0, 0)))));
    assert_eq!(results.try_next().await, Err(1));
}

/// Panics as it is dropped.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the drop panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_handler_that_gives_up_its_slot_resumes_too() {
    let results = stream::iter(["x0", "b1", "c2"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .spawned()
        .try_then(|item| async move {
            match item {
                "x0" => without_slot(tokio::time::sleep(ms(30))).await,
                "b1" => {
                    give_up(ms(20)).await;
                    return Err(item);
                }
                _ => {
                    let _trap = Trap;
                    pending().await
                }
            }
            Ok(item)
        });
    let mut results = pin!(results);
    for message in ["the drop panics", "polled after a panic"] {
        let next = AssertUnwindSafe(results.try_next()).catch_unwind();
        let panic = timeout(HANGS, next).await.expect("no hang").unwrap_err();
        let text = panic.downcast_ref::<&str>().expect("a message");
        assert!(text.contains(message), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finishes_after_the_end_is_dropped_at_once() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let (started, mut starts) = mpsc::unbounded_channel();
    let (held, mut all_dropped) = mpsc::unbounded_channel::<()>();
    let fails = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&fails);
    let mut results = pin!(
        stream::iter(0..2)
            .ordered_by_group(|n| *n, 2)
            .spawned()
            .try_then(move |n| {
                let (released, started) = (Arc::clone(&released), started.clone());
                let (result, opened) = (held.clone(), Arc::clone(&opened));
                async move {
                    if n == 0 {
                        let _ = opened.acquire().await;
                        return Err(n);
                    }
                    started.send(()).unwrap();
                    let _ = released.lock().unwrap().recv();
                    Ok(result)
                }
            })
    );
    assert!(results.try_next().now_or_never().is_none());
    starts.recv().await.unwrap();
    fails.add_permits(1);
    assert_eq!(results.try_next().await.map(|_| ()), Err(0));
    release.send(()).unwrap();
    // The handler's own is the only one that is left, once the result is gone.
    let one_is_left = async {
        while all_dropped.sender_strong_count() > 1 {
            yield_now().await;
        }
    };
    timeout(HANGS, one_is_left).await.expect("it is dropped");
    assert!(all_dropped.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_drop_nothing_starts() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, mut starts) = mpsc::unbounded_channel();
    let mut results = Box::pin(
        stream::iter(0..100)
            .ordered_by_group(|_| (), 2)
            .spawned()
            .then(move |n| {
                started.send(n).unwrap();
                // Computes, and awaits nothing.
                let _ = released.recv();
                async {}
            }),
    );
    assert!(results.next().now_or_never().is_none());
    assert_eq!(starts.recv().await, Some(0));
    drop(results);
    drop(release);
    assert_eq!(starts.recv().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_panic_came_out_nothing_starts() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, mut starts) = mpsc::unbounded_channel();
    let panics = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&panics);
    let mut results = Box::pin(
        stream::iter(["a0", "b1", "b2", "b3"])
            .ordered_by_group(|item| item.as_bytes()[0], 2)
            .spawned()
            .then(move |item| {
                started.send(item).unwrap();
                if item == "b1" {
                    let _ = released.recv();
                }
                let opened = Arc::clone(&opened);
                async move {
                    if item == "a0" {
                        let _ = opened.acquire().await;
                        panic!("it panics");
                    }
                }
            }),
    );
    assert!(results.next().now_or_never().is_none());
    while starts.recv().await != Some("b1") {}
    panics.add_permits(1);
    let panic = AssertUnwindSafe(results.next()).catch_unwind().await;
    assert!(panic.is_err());
    drop(release);
    let all_gone = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            yield_now().await;
        }
    };
    timeout(HANGS, all_gone).await.expect("each task is gone");
    drop(results);
    let started: Vec<_> = std::iter::from_fn(|| starts.try_recv().ok()).collect();
    assert!(!started.contains(&"b2"), "{started:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_waits_to_be_called_when_a_failure_is_known_is_not_called() {
    let fails = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&fails);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (called, mut calls) = mpsc::unbounded_channel();
    let (feed, source) = futures::channel::mpsc::unbounded();
    let mut results = Box::pin(source.ordered_by_group(|item| *item, 3).spawned().try_then(
        move |item| {
            called.send(item).unwrap();
            if item != "a" {
                let _ = released.recv();
            }
            let opened = Arc::clone(&opened);
            async move {
                if item != "a" {
                    return Ok(());
                }
                let _ = opened.acquire().await;
                Err(item)
            }
        },
    ));
    for item in ["a", "b", "c"] {
        feed.unbounded_send(item).unwrap();
        assert!(results.try_next().now_or_never().is_none());
        if item != "c" {
            assert_eq!(calls.recv().await, Some(item));
        }
    }
    // "b" is in its call, and "c" waits for its own.
    for _ in 0..1_000 {
        std::thread::yield_now();
    }
    fails.add_permits(1);
    assert_eq!(results.try_next().await, Err("a"));
    drop(release);
    drop(results);
    assert_eq!(calls.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slot_to_follow_another_is_not_running() {
    let results = stream::iter(["x0", "a1", "a2"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .spawned()
        .then(|item| async move {
            match item {
                "x0" => {
                    without_slot(tokio::time::sleep(ms(10))).await;
                    tokio::time::sleep(ms(30)).await;
                }
                "a1" => {
                    without_slot(tokio::time::sleep(ms(1))).await;
                    tokio::time::sleep(ms(20)).await;
                }
                _ => {}
            }
        });
    let mut results = pin!(results);
    // "x0" came back in the slot of "a1", before "a2".
    results.as_mut().alongside(tokio::time::sleep(ms(30))).await;
    assert_eq!([results.running(), results.waiting()], [1, 1]);
    assert_eq!(results.count().await, 3);
}

#[test]
fn outside_a_runtime_the_first_handler_is_a_panic_that_says_so() {
    let mut results = Box::pin(
        stream::iter([1])
            .ordered_by_group(|n| *n, 1)
            .spawned()
            .then(|_| async {}),
    );
    for message in ["context of a Tokio", "polled after a panic"] {
        let next = AssertUnwindSafe(|| futures::executor::block_on(results.next()));
        let panic = std::panic::catch_unwind(next).expect_err("a panic");
        let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        assert!(text.is_some_and(|text| text.contains(message)), "{message}");
    }
}

#[test]
fn a_stream_may_move_to_another_runtime_while_the_first_is_there() {
    let [first, second] = [(); 2].map(|()| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).build().unwrap()
    });
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut results = Box::pin(
        stream::iter(0..40)
            .ordered_by_group(|n| n % 4, 4)
            .look_ahead(8)
            .spawned()
            .then(move |n| {
                let opened = Arc::clone(&opened);
                async move {
                    opened.acquire().await.unwrap().forget();
                    n
                }
            }),
    );
    first.block_on(async { assert!(results.next().now_or_never().is_none()) });
    gate.add_permits(40);
    let results = second.block_on(results.collect::<Vec<_>>());
    assert!(results.into_iter().eq((0..40).map(|n| (n, n as u64))));
}

#[tokio::test]
async fn a_drop_drops_what_waits_and_what_is_finished_too() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let items: Vec<_> = (0..10).map(|n| (n, Guard(Arc::clone(&dropped)))).collect();
    let mut results = Box::pin(
        stream::iter(items)
            .ordered_by_group(|(n, _)| n % 2, 2)
            .spawned()
            .then(|(n, guard)| async move {
                if n == 0 || n == 3 {
                    pending::<()>().await;
                }
                guard
            }),
    );
    assert!(results.next().now_or_never().is_none());
    yield_now().await;
    // 0 is stuck, 1 is finished and was not looked at, 3 is stuck, and the rest waits.
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(results);
    yield_now().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 10);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn a_handler_that_is_woken_while_it_waits_wakes_nobody() {
    let gate = Arc::new(Semaphore::new(0));
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let (opened, shared) = (Arc::clone(&gate), Arc::clone(&wakers));
    let mut results = tokio_test::task::spawn(
        stream::iter([()])
            .ordered_by_group(|()| (), 1)
            .spawned()
            .then(move |()| {
                let (opened, wakers) = (Arc::clone(&opened), Arc::clone(&shared));
                async move {
                    let mut acquire = pin!(opened.acquire());
                    let wait = poll_fn(|cx| {
                        wakers.lock().unwrap().push(cx.waker().clone());
                        acquire.as_mut().poll(cx).map(drop)
                    });
                    without_slot(wait).await;
                }
            }),
    );
    assert!(results.poll_next().is_pending());
    yield_now().await;
    // That it waits is news.
    assert!(results.is_woken());
    assert!(results.poll_next().is_pending());
    // It looks once more, as others may have reported meanwhile.
    assert!(results.is_woken());
    assert!(results.poll_next().is_pending());
    assert!(!results.is_woken());
    for _ in 0..3 {
        let waker = wakers.lock().unwrap().pop();
        waker.expect("it was polled").wake();
        yield_now().await;
        assert!(!results.is_woken());
    }
    gate.add_permits(1);
    assert_eq!(results.next().await, Some(((), 0)));
}

#[tokio::test(start_paused = true)]
async fn what_follows_one_that_ended_without_a_slot_waits_without_one_too() {
    // "a1" gets the slot after "b2", and "c3" has it while "a1" waits.
    let results = stream::iter(["a0", "a1", "b2", "c3"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .spawned()
        .then_unordered(|item| async move {
            match item {
                "a0" => give_up(ms(10)).await,
                "a1" => without_slot(tokio::time::sleep(ms(100))).await,
                _ => tokio::time::sleep(ms(50)).await,
            }
            item
        })
        .map(|(item, _)| item);
    assert_eq!(results.collect::<Vec<_>>().await, ["a0", "b2", "c3", "a1"]);
}

#[tokio::test]
async fn a_group_gives_way_after_as_many_items_as_there_are_slots_but_64_at_most() {
    for (max_parallel, in_a_row) in [(2, 2), (8, 8), (64, 64), (1_000, 64)] {
        let handled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&handled);
        let mut results = pin!(
            stream::iter(0..1_000)
                .ordered_by_group(|_| (), max_parallel)
                .spawned()
                .then(move |_| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    async {}
                })
        );
        // All is sent before any of it is handled.
        while results.waiting() < 999 {
            assert!(results.next().now_or_never().is_none());
        }
        assert_eq!(handled.load(Ordering::SeqCst), 0);
        // A neighbour that is always there, and sees how many were handled since its last turn.
        let seen = Arc::clone(&handled);
        let neighbour = tokio::spawn(async move {
            let mut before = seen.load(Ordering::SeqCst);
            let mut turns = vec![before];
            while before < 1_000 {
                wake_at_once().await;
                let now = seen.load(Ordering::SeqCst);
                turns.push(now - before);
                before = now;
            }
            turns
        });
        assert_eq!(results.by_ref().count().await, 1_000);
        let turns = neighbour.await.unwrap();
        assert!(turns.iter().all(|&turn| turn <= in_a_row), "{turns:?}");
        let full_turns = turns.iter().filter(|&&turn| turn == in_a_row);
        assert_eq!(full_turns.count(), 1_000 / in_a_row, "{turns:?}");
    }
}

#[test]
fn many_tasks_report_to_few_polls() {
    // One worker, which polls what a task has woken right after it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let polls = runtime.block_on(runtime.spawn(async {
        let mut results = pin!(
            stream::iter(0..10_000)
                .ordered_by_group(|item| item % 100, 64)
                .spawned()
                .then(|item| async move {
                    wake_at_once().await;
                    item
                })
        );
        let (mut polls, mut count) = (0, 0);
        poll_fn(|cx| {
            polls += 1;
            while let Poll::Ready(next) = results.as_mut().poll_next(cx) {
                match next {
                    Some(_) => count += 1,
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        })
        .await;
        assert_eq!(count, 10_000);
        polls
    }));
    let polls = polls.unwrap();
    assert!(polls < 1_000, "{polls} polls for 10,000 items");
}

#[tokio::test]
async fn an_item_is_sent_off_before_what_others_reported_is_read() {
    let pulled = AtomicUsize::new(0);
    let mut results = pin!(
        stream::iter(0..100)
            .inspect(|_| {
                pulled.fetch_add(1, Ordering::Relaxed);
            })
            .ordered_by_group(|item| *item, 4)
            .spawned()
            .try_then(|item| async move {
                match item {
                    0 => pending().await,
                    1 | 2 => Ok(()),
                    _ => Err("no more is read"),
                }
            })
    );
    assert!(results.next().now_or_never().is_none());
    assert_eq!(pulled.load(Ordering::Relaxed), 4);
    let_them_run().await;
    // In one poll: 1 makes room for 4, 2 makes room for 5, then the failure of 3 is read.
    assert!(results.next().now_or_never().is_none());
    assert_eq!(pulled.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn what_follows_one_that_ended_without_a_slot_comes_before_what_is_read() {
    let gates: [_; 4] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
    let [x_ends, p_waits, p_ends, b_ends] = gates.clone();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let later = std::iter::repeat_n("later", 10);
    let items = ["x", "p", "f", "b"].into_iter().chain(later);
    let mut results = pin!(
        stream::iter(items)
            // f follows p.
            .ordered_by_group(|item| if *item == "f" { "p" } else { *item }, 1)
            .spawned()
            .then_unordered(move |item| {
                seen.lock().unwrap().push(item);
                let [x_ends, p_waits, p_ends, b_ends] = gates.clone();
                let open = async |gate: Arc<Semaphore>| gate.acquire().await.unwrap().forget();
                let wait_until = async move |gate| {
                    let waiting = pin!(without_slot(pending::<()>()));
                    select(waiting, pin!(open(gate))).await;
                };
                async move {
                    match item {
                        "x" => wait_until(x_ends).await,
                        "p" => {
                            open(p_waits).await;
                            wait_until(p_ends).await;
                        }
                        "b" => open(b_ends).await,
                        _ => pending().await,
                    }
                }
            })
    );
    let mut poll = async || {
        for _ in 0..20 {
            let _ = results.next().now_or_never();
            let_them_run().await;
        }
    };
    poll().await;
    x_ends.add_permits(1);
    poll().await;
    p_waits.add_permits(1);
    poll().await;
    // p waits without a slot; b has it, in the place that x had, which is looked at first.
    assert_eq!(*log.lock().unwrap(), ["x", "p", "b"]);
    p_ends.add_permits(1);
    let_them_run().await;
    b_ends.add_permits(1);
    let_them_run().await;
    poll().await;
    assert_eq!(*log.lock().unwrap(), ["x", "p", "b", "f"]);
}

#[tokio::test]
async fn a_hundred_waits_that_ended_at_once_come_before_what_is_read() {
    const WAITS: usize = 100;
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let mut results = pin!(
        stream::iter(0..10_000)
            .ordered_by_group(|item| *item, WAITS)
            .spawned()
            .then_unordered(move |item| {
                let seen = Arc::clone(&seen);
                async move {
                    if item < WAITS {
                        without_slot(yield_now()).await;
                    }
                    seen.lock().unwrap().push(item);
                    pending::<()>().await;
                }
            })
    );
    while results.running() < WAITS {
        assert!(results.next().now_or_never().is_none());
    }
    for _ in 0..20 {
        let_them_run().await;
        assert!(results.next().now_or_never().is_none());
    }
    let mut called = log.lock().unwrap().clone();
    called.sort_unstable();
    assert!(called.into_iter().eq(0..WAITS));
}

#[tokio::test]
async fn beside_a_source_that_spends_the_budget_what_was_reported_is_read() {
    const ITEMS: u32 = 20_000;
    let (arrives, source) = mpsc::unbounded_channel();
    for item in 0..ITEMS {
        arrives.send(item).unwrap();
    }
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut results = pin!(
        UnboundedReceiverStream::new(source)
            .ordered_by_group(|item| *item > 0, 3)
            .look_ahead(1_000_000)
            .spawned()
            .then(move |item| {
                let opened = Arc::clone(&opened);
                async move {
                    if item == 0 {
                        opened.acquire().await.unwrap().forget();
                    }
                }
            })
    );
    let mut poll = async || {
        let_them_run().await;
        poll_fn(|cx| Poll::Ready(results.as_mut().poll_next(cx).is_ready())).await
    };
    for _ in 0..20 {
        assert!(!poll().await);
    }
    gate.add_permits(1);
    let mut polls = 1;
    while !poll().await {
        polls += 1;
    }
    assert!(polls < 30, "the first result after {polls} polls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_drops_what_a_busy_task_has_reported() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guarded = Arc::clone(&dropped);
    let (is_busy, goes_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (here, there) = (Arc::clone(&is_busy), Arc::clone(&goes_on));
    let mut results = Box::pin(
        stream::iter(0..2)
            .chain(stream::pending())
            .ordered_by_group(|_| (), 2)
            .spawned()
            .then(move |item| {
                let guard = Guard(Arc::clone(&guarded));
                let (here, there) = (Arc::clone(&here), Arc::clone(&there));
                async move {
                    if item == 1 {
                        here.wait();
                        there.wait();
                    }
                    guard
                }
            }),
    );
    assert!(results.next().now_or_never().is_none());
    is_busy.wait();
    // Its task has reported the first, and is in the second, which does not await.
    drop(results);
    let dropped_at_once = dropped.load(Ordering::SeqCst);
    goes_on.wait();
    assert_eq!(dropped_at_once, 1);
    // What it reports from now on is dropped, too.
    while dropped.load(Ordering::SeqCst) < 2 {
        yield_now().await;
    }
}

/// Wakes its task and is polled again after those that are woken already.
async fn wake_at_once() {
    let mut has_woken = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets all tasks of this thread run until none has anything to do.
async fn let_them_run() {
    for _ in 0..1_000 {
        yield_now().await;
    }
}

/// Which items were called, each with a gate that opens for all at once.
#[derive(Clone)]
struct Watched {
    called: Arc<Mutex<Vec<u32>>>,
    gate: Arc<Semaphore>,
}

impl Watched {
    fn new() -> Self {
        Self {
            called: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn called(&self) -> Vec<u32> {
        self.called.lock().unwrap().clone()
    }

    fn call(&self, item: u32) {
        self.called.lock().unwrap().push(item);
    }

    async fn handle(self, item: u32) {
        self.call(item);
        self.gate.acquire().await.unwrap().forget();
    }
}

#[tokio::test]
async fn unpolled_a_group_goes_on_with_what_was_admitted_of_it() {
    let watched = Watched::new();
    let inner = watched.clone();
    let results = stream::iter([0, 1, 2])
        .ordered_by_group(|_| 0, 2)
        .spawned()
        .then(move |item| inner.clone().handle(item));
    let mut results = pin!(results);
    assert!(results.next().now_or_never().is_none());
    let_them_run().await;
    assert_eq!(watched.called(), [0]);
    watched.gate.add_permits(3);
    let_them_run().await;
    assert_eq!(watched.called(), [0, 1, 2]);
}

#[tokio::test]
async fn unpolled_a_group_in_the_only_slot_has_nothing_to_go_on_with() {
    let watched = Watched::new();
    let inner = watched.clone();
    let results = stream::iter([0, 1])
        .ordered_by_group(|_| 0, 1)
        .spawned()
        .then(move |item| inner.clone().handle(item));
    let mut results = pin!(results);
    assert!(results.next().now_or_never().is_none());
    watched.gate.add_permits(2);
    let_them_run().await;
    assert_eq!(watched.called(), [0], "the source was not read on");
    assert_eq!(results.count().await, 2);
}

#[tokio::test]
async fn unpolled_a_group_waits_while_anyone_waits_for_a_slot() {
    let watched = Watched::new();
    let (inner, back) = (watched.clone(), Arc::new(Semaphore::new(0)));
    let wait = Arc::clone(&back);
    // 0 comes back from its wait while 1 and 3 have both slots, and 2 waits behind 1.
    let results = stream::iter([0, 1, 2, 3])
        .ordered_by_group(|item| if *item == 2 { 1 } else { *item }, 2)
        .spawned()
        .then(move |item| {
            let (watched, wait) = (inner.clone(), Arc::clone(&wait));
            async move {
                if item == 0 {
                    let _ = without_slot(wait.acquire()).await;
                }
                watched.handle(item).await;
            }
        });
    let mut results = pin!(results);
    for _ in 0..10 {
        assert!(results.next().now_or_never().is_none());
        let_them_run().await;
    }
    assert_eq!(watched.called(), [1, 3]);
    back.add_permits(1);
    let_them_run().await;
    assert!(results.next().now_or_never().is_none());
    watched.gate.add_permits(1);
    let_them_run().await;
    assert_eq!(watched.called(), [1, 3], "2 asks for a slot, as 0 does");
    assert!(results.next().now_or_never().is_none());
    let_them_run().await;
    assert_eq!(watched.called(), [1, 3, 0], "0 is older");
}

#[tokio::test]
async fn unpolled_what_waits_for_several_keys_or_by_a_relation_does_not_start() {
    let watched = Watched::new();
    let handler = || {
        let watched = watched.clone();
        move |item| watched.clone().handle(item)
    };
    let by_keys = stream::iter([0, 1])
        .ordered_by_groups(|_| [0], 2)
        .spawned()
        .then(handler());
    let by_relation = stream::iter([10, 11])
        .ordered_unless(|_| (), |(), ()| false, 2)
        .spawned()
        .then(handler());
    let (mut by_keys, mut by_relation) = (pin!(by_keys), pin!(by_relation));
    assert!(by_keys.next().now_or_never().is_none());
    assert!(by_relation.next().now_or_never().is_none());
    watched.gate.add_permits(4);
    let_them_run().await;
    assert_eq!(watched.called(), [0, 10]);
    assert_eq!(by_keys.count().await, 2);
    assert_eq!(by_relation.count().await, 2);
}

#[tokio::test]
async fn unpolled_a_handler_whose_wait_is_over_does_not_go_on() {
    let watched = Watched::new();
    let (inner, back) = (watched.clone(), Arc::new(Semaphore::new(0)));
    let wait = Arc::clone(&back);
    let results = stream::iter([0])
        .ordered_by_group(|item| *item, 2)
        .spawned()
        .then(move |item| {
            let (watched, wait) = (inner.clone(), Arc::clone(&wait));
            async move {
                let _ = without_slot(wait.acquire()).await;
                watched.call(item);
            }
        });
    let mut results = pin!(results);
    assert!(results.next().now_or_never().is_none());
    let_them_run().await;
    assert!(results.next().now_or_never().is_none());
    back.add_permits(1);
    let_them_run().await;
    assert_eq!(watched.called(), [0; 0], "nobody has given it a slot");
    assert_eq!(results.next().await, Some(((), 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_a_failure_all_are_told_to_stop_and_the_first_to_go_leaves_its_slot() {
    // 0 and 1 wait without a slot; 2 fails; 3 computes without an await, and 4 could be stopped at once.
    let [wait, started, done] = [0; 3].map(|permits| Arc::new(Semaphore::new(permits)));
    let (end, computing) = std::sync::mpsc::channel::<()>();
    let shared = (wait, started, done, Arc::new(Mutex::new(computing)));
    let results = stream::iter(0..5)
        .ordered_by_group(|item| *item, 3)
        .spawned()
        .try_then_unordered(move |item| {
            let (wait, started, done, computing) = shared.clone();
            async move {
                started.add_permits(1);
                match item {
                    0 => {
                        drop(without_slot(wait.acquire()).await);
                        drop(done.acquire().await);
                    }
                    1 => {
                        drop(without_slot(wait.acquire()).await);
                        done.add_permits(1);
                    }
                    2 => {
                        drop(started.acquire_many(5).await);
                        wait.add_permits(2);
                        return Err(item);
                    }
                    // In place of the worker, whose other tasks go on.
                    3 => tokio::task::block_in_place(|| {
                        let _ = computing.lock().unwrap().recv();
                    }),
                    _ => pending().await,
                }
                Ok(item)
            }
        });
    let mut results = pin!(results);
    let mut out = vec![];
    for _ in 0..2 {
        let next = timeout(Duration::from_secs(10), results.next()).await;
        let next = next.expect("0 has the slot of 2, and 1 that of 4");
        out.push(next.unwrap().unwrap().0);
    }
    drop(end);
    out.sort_unstable();
    assert_eq!(out, [0, 1]);
    assert_eq!(results.next().await, Some(Err(2)));
}

#[tokio::test]
async fn a_wait_that_began_and_ended_between_two_polls_comes_before_what_is_read() {
    a_wait_comes_before_what_is_read(0, false).await;
}

#[tokio::test]
async fn it_does_so_after_what_two_hundred_others_reported_too() {
    a_wait_comes_before_what_is_read(200, true).await;
}

/// "a1" and the others end before the wait is over, or after.
async fn a_wait_comes_before_what_is_read(others: usize, they_end_first: bool) {
    let gates: [_; 3] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
    let [ends, begins_to_wait, is_done_waiting] = gates.clone();
    let log = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&log);
    let (send, source) = futures::channel::mpsc::unbounded();
    let mut results = pin!(
        source
            .ordered_by_group(|(group, _): &(usize, &str)| *group, others + 3)
            .spawned()
            .then_unordered(move |(_, item)| {
                let [ends, begins_to_wait, is_done_waiting] = gates.clone();
                let seen = Arc::clone(&seen);
                async move {
                    let open = async |gate: &Semaphore| gate.acquire().await.unwrap().forget();
                    match item {
                        "a1" | "other" => open(&ends).await,
                        "b1" => {
                            open(&begins_to_wait).await;
                            without_slot(open(&is_done_waiting)).await;
                        }
                        _ => {}
                    }
                    if item != "other" {
                        seen.lock().unwrap().push(item);
                    }
                }
            })
    );
    let workers_run = async || {
        for _ in 0..1_000 {
            yield_now().await;
        }
    };
    send.unbounded_send((0, "a1")).unwrap();
    send.unbounded_send((1, "b1")).unwrap();
    for other in 0..others {
        send.unbounded_send((2 + other, "other")).unwrap();
    }
    while results.running() < others + 2 {
        assert!(results.next().now_or_never().is_none());
    }
    workers_run().await;

    begins_to_wait.add_permits(1);
    workers_run().await;
    if they_end_first {
        ends.add_permits(1 + others);
        workers_run().await;
    }
    is_done_waiting.add_permits(1);
    workers_run().await;
    if !they_end_first {
        ends.add_permits(1 + others);
        workers_run().await;
    }
    assert_eq!(*log.lock().unwrap(), ["a1"]);
    send.unbounded_send((0, "a2")).unwrap();
    drop(send);
    while results.next().await.is_some() {}
    assert_eq!(*log.lock().unwrap(), ["a1", "b1", "a2"]);
}

#[tokio::test]
async fn past_a_failure_what_follows_a_handler_gives_its_slot_to_who_is_before() {
    let gates: HashMap<_, _> = ["a1", "b1", "c1"]
        .map(|item| (item, Arc::new(Semaphore::new(0))))
        .into();
    let opened = gates.clone();
    // One slot: each waits without it, and c1 fails when it has waited.
    let mut results = pin!(
        stream::iter(["a1", "b1", "c1", "c2", "b2"])
            .ordered_by_group(|item| item.as_bytes()[0], 1)
            .spawned()
            .try_then(move |item| {
                let gate = gates.get(item).cloned();
                async move {
                    if let Some(gate) = gate {
                        without_slot(gate.acquire()).await.unwrap().forget();
                    }
                    if item == "c1" { Err(item) } else { Ok(item) }
                }
            })
    );
    let mut out = vec![];
    for next in ["c1", "b1", "a1"] {
        for _ in 0..10 {
            while let Some(Some(result)) = results.next().now_or_never() {
                out.push(result.map(|(item, _)| item));
            }
            yield_now().await;
        }
        opened[next].add_permits(1);
    }
    let rest = results.map(|result| result.map(|(item, _)| item));
    let rest = timeout(Duration::from_secs(60), rest.collect::<Vec<_>>()).await;
    out.extend(rest.expect("it hangs"));
    assert_eq!(out, [Ok("a1"), Ok("b1"), Err("c1")]);
}
