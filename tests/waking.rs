//! Chapters 15 and 16 of the contract: who is polled, and that no wake is lost.

mod support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready, assert_ready_eq};

use self::support::{Feed, Gates, Setup, VERBS, Verb, advance, items, settled};

const DISTINCT: fn(u32) -> u32 = |item| item;

#[test]
fn only_what_was_woken_is_polled_and_once() {
    for verb in VERBS {
        let (feed, gates) = (items(0..200), Gates::new(DISTINCT));
        let mut task = Setup::new(verb, 200).key(DISTINCT).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        for item in [0, 62, 63, 64, 127, 199] {
            let waker = gates.waker(item);
            waker.wake_by_ref();
            waker.wake();
            assert_pending!(task.poll_next());
        }
        for _ in 0..3 {
            assert_pending!(task.poll_next());
            advance(&mut task);
        }
        for item in 0..200 {
            let woken = [0, 62, 63, 64, 127, 199].contains(&item);
            assert_eq!(
                gates.polls(item),
                1 + usize::from(woken),
                "{verb:?}: {item}"
            );
        }
    }
}

#[test]
fn a_handler_that_wakes_itself_is_polled_once_a_poll_of_the_stream() {
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let mut task = spawn(
        stream::iter([1])
            .ordered_by_group(|n| *n, 4)
            .then(move |_| {
                let polls = Arc::clone(&counted);
                poll_fn(move |cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                })
            }),
    );
    for polled in 1..10 {
        assert_pending!(task.poll_next());
        // The first poll may come with the creation and once more with the wake.
        assert!(polls.load(Ordering::Relaxed) <= polled + 1);
        assert!(task.is_woken());
    }
}

#[test]
fn a_wake_from_another_thread_during_the_handlers_own_poll_is_not_lost() {
    let mut polls = 0;
    let handler = move |_| {
        poll_fn(move |cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(polls);
            }
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Pending
        })
    };
    let mut task = spawn(stream::iter([1]).ordered_by_group(|n| *n, 4).then(handler));
    let mut pending = 0;
    let result = loop {
        match task.poll_next() {
            Poll::Ready(result) => break result,
            Poll::Pending => assert!(task.is_woken(), "a wake is lost"),
        }
        pending += 1;
        assert!(pending < 4);
    };
    assert_eq!(result, Some((3, 0)));
}

#[test]
fn a_wake_from_another_thread_between_polls_is_not_lost() {
    let wakers = Wakers::default();
    let mut task = spawn(
        stream::iter([1, 2])
            .ordered_by_group(|n| *n, 4)
            .then(wakers.handler()),
    );
    assert_pending!(task.poll_next());
    for n in [2, 1] {
        let waker = wakers.open(n);
        thread::spawn(move || waker.wake()).join().unwrap();
        assert!(task.is_woken());
        if n == 2 {
            assert_pending!(task.poll_next());
            assert!(!task.is_woken());
        }
    }
    assert_ready_eq!(task.poll_next(), Some((1, 0)));
    assert_ready_eq!(task.poll_next(), Some((2, 1)));
}

#[test]
fn wakes_from_many_threads_at_once_are_all_seen() {
    const HANDLERS: u32 = 500;
    let wakers = Wakers::default();
    let mut task = spawn(
        stream::iter(0..HANDLERS)
            .ordered_by_group(|n| *n, HANDLERS as usize)
            .then_unordered(wakers.handler()),
    );
    while task.poll_next().is_pending() && task.is_woken() {}
    thread::scope(|scope| {
        for thread in 0..4 {
            let wakers = &wakers;
            scope.spawn(move || {
                for n in (0..HANDLERS).filter(|n| n % 4 == thread) {
                    wakers.open(n).wake();
                }
            });
        }
        let mut out = 0;
        while out < HANDLERS {
            match task.poll_next() {
                Poll::Ready(next) => out += u32::from(next.is_some()),
                Poll::Pending => {
                    while !task.is_woken() {
                        thread::yield_now();
                    }
                }
            }
        }
    });
    assert_ready_eq!(task.poll_next(), None);
}

#[test]
fn a_handlers_wake_does_not_poll_a_pending_source() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        let polls = feed.polls();
        for _ in 0..5 {
            gates.wake(20);
            assert!(task.is_woken());
            assert_pending!(task.poll_next());
        }
        gates.wake(10);
        advance(&mut task);
        gates.open(20);
        settled(&mut task);
        assert_eq!(feed.polls(), polls, "{verb:?}");
        assert_eq!(gates.polls(20), 7);
    }
}

#[test]
fn the_sources_wake_does_not_poll_a_pending_handler() {
    for verb in VERBS {
        let (feed, gates) = (items([10]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        for item in [20, 30] {
            feed.push(Ok(item));
            assert!(task.is_woken());
            assert_eq!(settled(&mut task), [0; 0]);
        }
        assert_eq!(gates.running(), [10, 20, 30]);
        assert_eq!(gates.polls(10), 1, "{verb:?}");
    }
}

#[test]
fn a_poll_that_no_wake_explains_asks_the_source_again() {
    for verb in VERBS {
        let (feed, gates) = (items([10]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_pending!(task.poll_next());
        feed.push_silently(Ok(20));
        assert_pending!(task.poll_next());
        assert_eq!(gates.running(), [10, 20], "{verb:?}");
        assert_eq!(gates.polls(10), 1, "{verb:?}: but no handler");
        feed.push_silently(Ok(30));
        advance(&mut task);
        assert_eq!(gates.running(), [10, 20, 30], "{verb:?}");
    }
}

#[test]
fn a_stale_waker_does_not_poll_the_slots_next_handler() {
    for verb in VERBS {
        // The next in the slot is of the same group or of another one, and follows at once or after a stale wake.
        for next in [11, 20] {
            for follows_at_once in [true, false] {
                let (feed, gates) = (items([10]), Gates::default());
                let mut task = Setup::new(verb, 1).spawn(&feed, &gates);
                assert_pending!(task.poll_next());
                let stale = gates.waker(10);
                gates.open(10);
                if follows_at_once {
                    feed.push(Ok(next));
                    assert_eq!(settled(&mut task), [10]);
                } else {
                    assert_eq!(settled(&mut task), [10]);
                    stale.wake_by_ref();
                    feed.push(Ok(next));
                }
                assert_eq!(settled(&mut task), [0; 0]);
                assert_eq!(gates.running(), [next]);
                stale.wake_by_ref();
                assert_eq!(settled(&mut task), [0; 0]);
                stale.wake();
                advance(&mut task);
                assert_eq!(gates.polls(next), 1, "{verb:?}");
                gates.wake(next);
                assert_eq!(settled(&mut task), [0; 0]);
                assert_eq!(gates.polls(next), 2, "{verb:?}: its own waker does");
            }
        }
    }
}

#[test]
fn nor_do_the_wakers_of_several_handlers_that_were_there_before() {
    let (feed, gates) = (items(0..10), Gates::new(|n| n));
    let mut task = Setup::new(Verb::Then, 1).key(|n| n).spawn(&feed, &gates);
    let mut stale = Vec::new();
    for item in 0..9 {
        assert_eq!(gates.running(), if item == 0 { vec![] } else { vec![item] });
        if item == 0 {
            assert_pending!(task.poll_next());
        }
        stale.push(gates.waker(item));
        gates.open(item);
        assert_eq!(settled(&mut task), [item]);
        assert_eq!(gates.running(), [item + 1]);
        for waker in &stale {
            waker.wake_by_ref();
            assert_eq!(settled(&mut task), [0; 0]);
        }
        assert_eq!(gates.polls(item + 1), 1, "nobody woke it");
    }
}

#[test]
fn a_handler_that_wakes_itself_as_it_finishes_does_not_poll_the_next_twice() {
    for next_group in [0, 1] {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&polls);
        let mut task = spawn(
            stream::iter([0, next_group])
                .ordered_by_group(|n| *n, 1)
                .then(move |_| {
                    let polls = Arc::clone(&counted);
                    poll_fn(move |cx| {
                        let polled = polls.fetch_add(1, Ordering::Relaxed);
                        if polled < 2 {
                            cx.waker().wake_by_ref();
                        }
                        // The first is polled twice; the next is for ever pending.
                        if polled == 1 {
                            Poll::Ready(())
                        } else {
                            Poll::Pending
                        }
                    })
                }),
        );
        while task.poll_next().is_pending() && task.is_woken() {}
        while task.poll_next().is_pending() && task.is_woken() {}
        assert_eq!(polls.load(Ordering::Relaxed), 3);
    }
}

#[test]
fn the_task_that_polled_last_is_woken() {
    let wakers = Wakers::default();
    let mut results = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 4)
        .then(wakers.handler());
    let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let mut poll = |by: &Arc<Counter>| {
        let waker = Waker::from(Arc::clone(by));
        results.poll_next_unpin(&mut Context::from_waker(&waker))
    };
    assert!(poll(&first).is_pending());
    assert!(poll(&second).is_pending());
    wakers.open(2).wake();
    assert_eq!((first.woken(), second.woken()), (0, 1));
    assert!(poll(&first).is_pending());
    wakers.open(1).wake();
    assert_eq!((first.woken(), second.woken()), (1, 1));
    assert_eq!(poll(&second), Poll::Ready(Some((1, 0))));
}

#[test]
fn a_source_that_was_polled_by_another_task_wakes_the_present_one() {
    let (feed, gates) = (items([10]), Gates::default());
    let mut results = feed
        .source()
        .try_ordered_by_group(|item| item / 10, 4)
        .and_then({
            let gates = gates.clone();
            move |item| gates.handle(item)
        });
    let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    for by in [&first, &second] {
        let waker = Waker::from(Arc::clone(by));
        let polled = results.poll_next_unpin(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    feed.push(Ok(20));
    assert_eq!((first.woken(), second.woken()), (0, 1));
}

#[test]
fn a_task_is_woken_once_for_many_wakes() {
    let wakers = Wakers::default();
    let mut results = stream::iter(0..100)
        .ordered_by_group(|n| *n, 100)
        .then(wakers.handler());
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    assert!(results.poll_next_unpin(&mut cx).is_pending());
    let before = counter.woken();
    for n in 0..100 {
        wakers.open(n).wake();
    }
    assert!(counter.woken() <= before + 1);
}

/// A task that is run at once by whoever wakes it, as a re-entrant executor would.
struct RunsAtOnce {
    run: Mutex<Box<dyn FnMut(&mut Context<'_>) + Send>>,
    woken_while_it_ran: AtomicBool,
}

impl Wake for RunsAtOnce {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let Ok(mut run) = self.run.try_lock() else {
            self.woken_while_it_ran.store(true, Ordering::SeqCst);
            return;
        };
        loop {
            self.woken_while_it_ran.store(false, Ordering::SeqCst);
            run(&mut Context::from_waker(&waker));
            if !self.woken_while_it_ran.load(Ordering::SeqCst) {
                return;
            }
        }
    }
}

#[test]
fn a_waker_that_polls_the_stream_at_once_loses_nothing() {
    let wakers = Wakers::default();
    let mut results = stream::iter(0..400)
        .ordered_by_group(|n| n % 40, 20)
        .then(wakers.handler());
    let out = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&out);
    let task = Arc::new(RunsAtOnce {
        run: Mutex::new(Box::new(move |cx| {
            while let Poll::Ready(Some(next)) = results.poll_next_unpin(cx) {
                collected.lock().unwrap().push(next);
            }
        })),
        woken_while_it_ran: AtomicBool::new(false),
    });
    Arc::clone(&task).wake();
    for round in 0..400 {
        let Some(n) = wakers.newest() else {
            assert_eq!(round, 400);
            break;
        };
        wakers.open(n).wake();
    }
    let expected: Vec<_> = (0..400).map(|n| (n, u64::from(n))).collect();
    assert_eq!(*out.lock().unwrap(), expected);
}

/// A waker that panics when it is used.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the task's waker panics");
    }
}

#[test]
fn a_waker_that_panics_loses_nothing() {
    let wakers = Wakers::default();
    let mut results = stream::iter([1, 2])
        .ordered_by_group(|n| *n, 4)
        .then(wakers.handler());
    let waker = Waker::from(Arc::new(Panics));
    let polled = results.poll_next_unpin(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    for n in [2, 1] {
        let woken = wakers.open(n);
        catch_unwind(AssertUnwindSafe(|| woken.wake())).ok();
    }
    let mut task = spawn(results);
    assert_ready_eq!(task.poll_next(), Some((1, 0)));
    assert_ready_eq!(task.poll_next(), Some((2, 1)));
    assert_ready_eq!(task.poll_next(), None);
}

#[test]
fn a_waker_that_panics_when_the_stream_gives_way_does_not_poison_it() {
    let mut results = stream::iter(0..10_000)
        .ordered_by_group(|n| *n, 4)
        .then(std::future::ready);
    let waker = Waker::from(Arc::new(Panics));
    let mut out = 0;
    let mut panics = 0;
    loop {
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| results.poll_next_unpin(&mut cx))) {
            Ok(Poll::Ready(Some((n, _)))) => {
                assert_eq!(n, out);
                out += 1;
            }
            Ok(Poll::Ready(None)) => break,
            Ok(Poll::Pending) => panic!("pending without a wake"),
            Err(_) => panics += 1,
        }
    }
    assert_eq!(out, 10_000);
    assert!(panics > 0, "the stream never gave way");
}

#[test]
fn a_wake_after_the_drop_is_harmless_and_wakes_nobody() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        let stale = [gates.waker(10), gates.waker(20)];
        let mut other = spawn(stream::pending::<()>());
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        task.enter(|_, mut subject| {
            let polled = subject.poll_next_unpin(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        });
        drop(task);
        for waker in stale {
            waker.wake_by_ref();
            waker.wake();
        }
        feed.push(Ok(30));
        assert_pending!(other.poll_next());
        assert_eq!(counter.woken(), 0, "{verb:?}");
        drop(waker);
        assert_eq!(
            Arc::strong_count(&counter),
            1,
            "{verb:?}: the waker is let go"
        );
    }
}

#[test]
fn a_drop_lets_go_of_the_tasks_waker_though_a_handlers_waker_lives_on() {
    let wakers = Wakers::default();
    let mut results = stream::iter([1])
        .ordered_by_group(|n| *n, 4)
        .then(wakers.handler());
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    assert!(
        results
            .poll_next_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 2);
    drop(results);
    assert_eq!(Arc::strong_count(&counter), 1);
    wakers.open(1).wake();
    assert_eq!(counter.woken(), 0);
}

#[test]
fn a_handler_that_is_woken_by_the_drop_of_another_wakes_nobody() {
    /// Wakes its neighbours as it is dropped.
    struct WakesOnDrop(Wakers);
    impl Drop for WakesOnDrop {
        fn drop(&mut self) {
            for waker in self.0.all() {
                waker.wake();
            }
        }
    }
    let wakers = Wakers::default();
    let mut handler = wakers.handler();
    let held = wakers.clone();
    let mut results = stream::iter([1, 2, 3])
        .ordered_by_group(|n| *n, 4)
        .then(move |n| {
            let guard = WakesOnDrop(held.clone());
            handler(n).map(move |n| {
                drop(guard);
                n
            })
        });
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    assert!(
        results
            .poll_next_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(results);
    assert_eq!(counter.woken(), 0);
}

#[test]
fn a_source_and_handlers_that_are_always_ready_give_way_to_the_runtime() {
    let mut task = spawn(
        stream::repeat(1)
            .ordered_by_group(|n| *n, 4)
            .then(std::future::ready),
    );
    for _ in 0..3 {
        let results = (0..10_000)
            .take_while(|_| task.poll_next().is_ready())
            .count();
        assert!(results < 10_000);
        assert!(task.is_woken());
    }
}

#[test]
fn one_poll_of_an_endless_source_gives_way() {
    for verb in VERBS {
        // All wait behind the first, or run, or are finished and wait for the first to come out.
        for (key, ready) in [(0, false), (1, false), (1, true)] {
            let (feed, gates) = (items(0..50_000), Gates::new(move |item| item * key));
            if ready {
                gates.open_all(1..50_000);
            }
            let mut task = Setup::new(verb, 100_000)
                .look_ahead(usize::MAX)
                .key(move |item| item * key)
                .spawn(&feed, &gates);
            task.enter(|cx, mut subject| subject.advance(cx));
            assert!(feed.pulled() < 10_000, "{verb:?}");
            assert!(task.is_woken(), "{verb:?}");
            let _ = task.poll_next();
            assert!(feed.pulled() < 20_000, "{verb:?}");
        }
    }
}

#[test]
fn a_thousand_waiters_that_are_ready_at_once_give_way() {
    for verb in VERBS {
        let (feed, gates) = (items(0..50_000), Gates::new(|_| 0));
        let mut task = Setup::new(verb, 2)
            .look_ahead(50_000)
            .key(|_| 0)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open_all((0..50_000).rev());
        task.enter(|cx, mut subject| subject.advance(cx));
        assert!(gates.finished().len() < 10_000, "{verb:?}");
        assert!(task.is_woken(), "{verb:?}");
    }
}

#[test]
fn a_woken_handler_has_its_turn_beside_an_always_ready_source() {
    for verb in VERBS {
        let (feed, gates) = (items(0..50_000), Gates::new(DISTINCT));
        gates.open_all(1..50_000);
        let mut task = Setup::new(verb, 4)
            .look_ahead(100)
            .key(DISTINCT)
            .spawn(&feed, &gates);
        let _ = task.poll_next();
        gates.open(0);
        for _ in 0..1_000 {
            let _ = task.poll_next();
        }
        assert_eq!(gates.polls(0), 2, "{verb:?}");
    }
}

#[test]
fn handlers_that_always_wake_themselves_keep_neither_each_other_nor_the_source_waiting() {
    const HANDLERS: usize = 1_000;
    let polls = Arc::new(Mutex::new(vec![0; 2 * HANDLERS]));
    let counted = Arc::clone(&polls);
    let feed = Feed::new(0..HANDLERS);
    let mut task = spawn(
        feed.source()
            .ordered_by_group(|n| *n, 2 * HANDLERS)
            .then(move |n| {
                let polls = Arc::clone(&counted);
                poll_fn(move |cx| {
                    polls.lock().unwrap()[n] += 1;
                    cx.waker().wake_by_ref();
                    Poll::<()>::Pending
                })
            }),
    );
    let seen = || polls.lock().unwrap()[..HANDLERS].to_vec();
    while seen().contains(&0) {
        assert_pending!(task.poll_next());
    }
    let before = seen();
    for _ in 0..1_000 {
        assert_pending!(task.poll_next());
        assert!(task.is_woken());
    }
    let more: Vec<_> = before
        .iter()
        .zip(seen())
        .map(|(was, is)| is - was)
        .collect();
    let (least, most) = (more.iter().min().unwrap(), more.iter().max().unwrap());
    assert!(
        *least > 100 && most - least <= 1,
        "from {least} to {most} polls"
    );
    for n in HANDLERS..2 * HANDLERS {
        feed.push(n);
    }
    for _ in 0..1_000 {
        assert_pending!(task.poll_next());
    }
    assert_eq!(task.running(), 2 * HANDLERS);
}

#[tokio::test]
async fn other_tasks_have_their_turn_beside_an_always_ready_stream() {
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let neighbour = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    stream::iter(0..100_000)
        .ordered_by_group(|n| n % 100, 8)
        .then(std::future::ready)
        .drive(|_| async {})
        .await;
    neighbour.abort();
    assert!(turns.load(Ordering::Relaxed) > 100);
}

#[tokio::test]
async fn a_budget_that_others_have_used_up_loses_nothing() {
    for unordered in [false, true] {
        let ordered = stream::iter(0..2_000_u32).ordered_by_group(|n| n % 7, 4);
        let handler = async |n| {
            if n % 3 == 0 {
                tokio::task::yield_now().await;
            }
            n
        };
        let mut results: Pin<Box<dyn Stream<Item = u32>>> = if unordered {
            ordered
                .then_unordered(handler)
                .map(|(n, _)| n)
                .boxed_local()
        } else {
            ordered.then(handler).map(|(n, _)| n).boxed_local()
        };
        let mut out = Vec::new();
        let mut is_used_up = false;
        poll_fn(|cx| {
            is_used_up = !is_used_up;
            while is_used_up
                && pin!(tokio::task::coop::consume_budget())
                    .poll(cx)
                    .is_ready()
            {}
            loop {
                match results.as_mut().poll_next(cx) {
                    Poll::Ready(Some(n)) => out.push(n),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        out.sort_unstable();
        assert!(out.into_iter().eq(0..2_000));
    }
}

/// A future that counts its polls.
struct Counted<Fut> {
    future: Pin<Box<Fut>>,
    polls: Arc<AtomicUsize>,
}

impl<Fut: Future> Future for Counted<Fut> {
    type Output = Fut::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(cx)
    }
}

/// Whether the source is read ahead.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    Not,
    Prefetch,
    Batches,
}

/// How many times 1,024 handlers are polled, each of which receives a message from a channel of its own; all messages
/// are sent before the first poll, or at once when all handlers wait.
async fn polls_of_ready_receivers(sent_before: bool, unordered: bool, setting: Ahead) -> usize {
    const HANDLERS: usize = 1_024;
    // With a budget that nobody has spent of.
    tokio::task::yield_now().await;
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..HANDLERS).map(|_| tokio::sync::mpsc::channel(1)).unzip();
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let send = move || {
        for sender in &senders {
            sender.try_send(()).unwrap();
        }
    };
    let ordered =
        stream::iter(receivers.into_iter().enumerate()).ordered_by_group(|(n, _)| *n, HANDLERS);
    let handler = move |(_, mut receiver): (usize, tokio::sync::mpsc::Receiver<()>)| Counted {
        future: Box::pin(async move { receiver.recv().await.unwrap() }),
        polls: Arc::clone(&counted),
    };
    let in_batches = {
        let handler = handler.clone();
        move |mut batch: Vec<_>| handler(batch.remove(0))
    };
    let mut results: Pin<Box<dyn Stream<Item = ()>>> = match (setting, unordered) {
        (Ahead::Not, true) => ordered.then_unordered(handler).map(|_| ()).boxed_local(),
        (Ahead::Not, false) => ordered.then(handler).map(|_| ()).boxed_local(),
        (Ahead::Prefetch, true) => {
            let ordered = ordered.prefetch();
            ordered.then_unordered(handler).map(|_| ()).boxed_local()
        }
        (Ahead::Prefetch, false) => {
            let ordered = ordered.prefetch();
            ordered.then(handler).map(|_| ()).boxed_local()
        }
        (Ahead::Batches, true) => {
            let ordered = ordered.batches(10);
            ordered.then_unordered(in_batches).map(|_| ()).boxed_local()
        }
        (Ahead::Batches, false) => {
            let ordered = ordered.batches(10);
            ordered.then(in_batches).map(|_| ()).boxed_local()
        }
    };
    let mut send = Some(send);
    if sent_before {
        send.take().unwrap()();
    } else {
        // Until every handler waits.
        poll_fn(|cx| {
            let polled = results.as_mut().poll_next(cx);
            assert!(polled.is_pending());
            match polls.load(Ordering::Relaxed) {
                HANDLERS => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        polls.store(0, Ordering::Relaxed);
        tokio::task::yield_now().await;
        send.take().unwrap()();
    }
    assert_eq!(results.count().await, HANDLERS);
    polls.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_thousand_ready_receivers_cost_few_polls_under_tokios_budget() {
    let most = if cfg!(feature = "tokio") { 2 } else { 3 } * 1_024;
    for setting in [Ahead::Not, Ahead::Prefetch, Ahead::Batches] {
        for sent_before in [true, false] {
            for unordered in [true, false] {
                let polls = polls_of_ready_receivers(sent_before, unordered, setting).await;
                assert!(
                    polls <= most,
                    "{polls} polls, {setting:?}, sent before: {sent_before}, unordered: {unordered}"
                );
            }
        }
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Handlers that wait until they are opened, from any thread: which are open, and the wakers of the others.
#[derive(Clone, Default)]
struct Wakers(Arc<Mutex<Vec<(u32, Option<Waker>)>>>);

impl Wakers {
    fn handler(
        &self,
    ) -> impl FnMut(u32) -> Pin<Box<dyn Future<Output = u32> + Send>> + Send + use<> {
        let wakers = self.clone();
        move |n| {
            let wakers = wakers.clone();
            Box::pin(poll_fn(move |cx| {
                let mut all = wakers.0.lock().unwrap();
                match all.iter_mut().find(|(of, _)| *of == n) {
                    Some((_, None)) => return Poll::Ready(n),
                    Some((_, waker)) => *waker = Some(cx.waker().clone()),
                    None => all.push((n, Some(cx.waker().clone()))),
                }
                Poll::Pending
            }))
        }
    }

    /// Opens a handler that waits, and gives its waker.
    fn open(&self, n: u32) -> Waker {
        let mut all = self.0.lock().unwrap();
        let entry = all.iter_mut().find(|(of, _)| *of == n);
        let (_, waker) = entry.expect("a handler that was polled");
        waker.take().expect("a handler that was not opened")
    }

    /// The handler that was polled last of those that wait.
    fn newest(&self) -> Option<u32> {
        let all = self.0.lock().unwrap();
        let newest = all.iter().rev().find(|(_, waker)| waker.is_some());
        newest.map(|(n, _)| *n)
    }

    fn all(&self) -> Vec<Waker> {
        let all = self.0.lock().unwrap();
        all.iter().filter_map(|(_, waker)| waker.clone()).collect()
    }
}

#[test]
fn the_waker_of_a_handler_that_was_ready_at_once_does_not_poll_the_next() {
    let stale = RefCell::new(None::<Waker>);
    let polls = Cell::new(0);
    let (stale, polls) = (&stale, &polls);
    let results = stream::iter([0, 1])
        .chain(stream::pending())
        .ordered_by_group(|item| *item, 1)
        .then(|item| {
            poll_fn(move |cx| {
                if item == 0 {
                    *stale.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Ready(item);
                }
                polls.set(polls.get() + 1);
                Poll::Pending
            })
        });
    let mut results = spawn(Box::pin(results));
    assert_eq!(
        assert_ready!(results.poll_next()).map(|(item, _)| item),
        Some(0)
    );
    assert_pending!(results.poll_next());
    assert_eq!(polls.get(), 1);
    stale.borrow().as_ref().unwrap().wake_by_ref();
    assert_pending!(results.poll_next());
    assert_eq!(polls.get(), 1, "nobody woke it");
}

#[test]
fn a_poll_that_no_wake_explains_asks_the_source_also_after_a_result_that_passed() {
    let feed = Feed::new([]);
    let results = feed
        .source()
        .ordered_by_group(|item| *item, 1)
        .then(async |item| item);
    let mut results = spawn(Box::pin(results));
    for item in 0..3 {
        feed.push_silently(item);
        assert_eq!(
            assert_ready!(results.poll_next()).map(|(item, _)| item),
            Some(item)
        );
        assert_pending!(results.poll_next());
    }
}

#[test]
fn a_source_that_was_woken_is_asked_though_handlers_were_woken_after_it() {
    let feed = Feed::new([0, 1]);
    let wakers = RefCell::new(Vec::<Waker>::new());
    let started = Cell::new(0);
    let (wakers, started) = (&wakers, &started);
    let results = feed
        .source()
        .ordered_by_group(|n| *n, 8)
        .then_unordered(|n| {
            let mut polls = 0;
            started.set(started.get() + 1);
            poll_fn(move |cx| {
                polls += 1;
                if polls > 1 {
                    return Poll::Ready(n);
                }
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            })
        });
    let mut results = spawn(Box::pin(results));
    assert_pending!(results.poll_next());
    assert_eq!(started.get(), 2);
    feed.push_silently(2);
    feed.wake();
    wakers.borrow().iter().for_each(Waker::wake_by_ref);
    assert_ready!(results.poll_next());
    assert_eq!(started.get(), 3);
}
