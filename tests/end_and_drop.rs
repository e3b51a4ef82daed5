//! Chapters 8, 11 and 12 of the contract: one in, one out; what a drop drops; and the end.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::Access;
use ordered_by_group::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{End, Feed, Gates, Setup, Task, VERBS, Verb, advance, items, settle, settled};

fn assert_ended(task: &mut Task) {
    assert!(task.has_terminated());
    for _ in 0..3 {
        assert_eq!(task.poll_next(), Poll::Ready(None));
        advance(task);
    }
    assert_eq!(task.size_hint(), (0, Some(0)));
}

#[test]
fn an_empty_source_ends_the_stream() {
    for verb in VERBS {
        let (feed, gates) = (items([]), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert!(!task.has_terminated());
        assert_eq!(task.poll_next(), Poll::Ready(None), "{verb:?}");
        assert_ended(&mut task);
        assert_eq!(feed.polls(), 1, "{verb:?}");
    }
}

#[test]
fn an_empty_source_that_is_pending_first_ends_the_stream_when_it_ends() {
    for verb in VERBS {
        let (feed, gates) = (items([]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_pending!(task.poll_next());
        feed.close();
        assert!(task.is_woken());
        assert_eq!(task.poll_next(), Poll::Ready(None), "{verb:?}");
        assert_ended(&mut task);
    }
}

#[test]
fn a_source_that_ends_while_handlers_run_and_items_wait_lets_all_of_them_come_out() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 12, 20]), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        for item in [10, 11, 12] {
            assert_eq!(settle(&mut task), []);
            assert!(!task.has_terminated());
            gates.open(item);
            assert!(task.poll_next().is_ready(), "{verb:?}");
        }
        assert_eq!(settle(&mut task), []);
        gates.open(20);
        let out = settle(&mut task);
        assert_eq!(out.len(), 2, "{verb:?}");
        assert_eq!(out[1], None, "{verb:?}");
        assert_ended(&mut task);
        gates.assert_all_dropped_once();
    }
}

#[test]
fn a_source_that_ends_while_the_caller_is_busy_ends_the_stream_when_it_returns() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11]), Gates::default());
        gates.open_all([10, 11]);
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        advance(&mut task);
        advance(&mut task);
        assert!(
            !task.has_terminated(),
            "{verb:?}: two results are to come out"
        );
        assert_eq!(settle(&mut task).len(), 3, "{verb:?}");
        assert_ended(&mut task);
    }
}

#[test]
fn a_source_is_never_polled_after_its_end() {
    // The feed fails the test if it is.
    for verb in VERBS {
        let (feed, gates) = (items([10]), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_pending!(task.poll_next());
        let polls = feed.polls();
        for _ in 0..3 {
            // No wake explains these.
            assert_pending!(task.poll_next());
            advance(&mut task);
            feed.wake();
            assert_pending!(task.poll_next());
        }
        gates.open(10);
        assert_eq!(settle(&mut task).len(), 2);
        assert_ended(&mut task);
        assert_eq!(feed.polls(), polls, "{verb:?}");
    }
}

#[test]
fn a_source_that_would_yield_again_after_its_end_is_not_asked() {
    let mut answers = vec![Some(1), None, Some(2)].into_iter();
    let resurrecting =
        stream::poll_fn(move |_| Poll::Ready(answers.next().expect("no more polls")));
    let mut task = spawn(
        resurrecting
            .ordered_by_group(|n| *n, 4)
            .then(std::future::ready),
    );
    assert_ready_eq!(task.poll_next(), Some((1, 0)));
    for _ in 0..5 {
        assert_ready_eq!(task.poll_next(), None);
    }
}

#[test]
fn each_item_comes_out_once_with_its_offset() {
    for verb in VERBS {
        let mut rng = SmallRng::seed_from_u64(7);
        let (feed, gates) = (items(0..2_000), Gates::new(|item| item % 17));
        feed.close();
        let mut task = Setup::new(verb, 8)
            .look_ahead(40)
            .key(|item| item % 17)
            .offset(|item| item * 3 + 1)
            .spawn(&feed, &gates);
        let mut seen = BTreeMap::new();
        while !task.has_terminated() {
            for handed in settle(&mut task).into_iter().flatten() {
                let handed = handed.unwrap();
                assert_eq!(handed.offset, handed.item * 3 + 1, "{verb:?}");
                assert_eq!(seen.insert(handed.item, ()), None, "{verb:?}");
            }
            let running = gates.running();
            if !running.is_empty() {
                gates.open(running[rng.random_range(0..running.len())]);
            }
        }
        assert_eq!(seen.len(), 2_000, "{verb:?}");
    }
}

/// An item that is its own receipt: each must be dropped once.
#[derive(Debug)]
struct Receipt {
    n: u32,
    drops: Rc<RefCell<BTreeMap<u32, u32>>>,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        *self.drops.borrow_mut().entry(self.n).or_default() += 1;
    }
}

#[test]
fn a_drop_drops_each_item_once_whether_it_waits_runs_or_is_finished() {
    let drops = Rc::new(RefCell::new(BTreeMap::new()));
    let counted = Rc::clone(&drops);
    let source = stream::iter([10, 11, 20, 30, 12]).map(move |n| Receipt {
        n,
        drops: Rc::clone(&counted),
    });
    let gates = Gates::default();
    let handle = gates.clone();
    let mut task = spawn(
        source
            .ordered_by_group(|receipt: &Receipt| receipt.n / 10, 4)
            .then(move |receipt| handle.handle(receipt.n).map(|_| receipt)),
    );
    assert_pending!(task.poll_next());
    gates.open(20);
    assert_pending!(task.poll_next());
    assert_eq!((task.running(), task.waiting(), task.finished()), (2, 2, 1));
    assert!(drops.borrow().is_empty());
    drop(task);
    let once: BTreeMap<_, _> = [10, 11, 12, 20, 30].map(|n| (n, 1)).into();
    assert_eq!(*drops.borrow(), once);
    assert_eq!(
        gates.called(),
        [10, 20, 30],
        "nothing that waited was called"
    );
    gates.assert_all_dropped_once();
}

#[test]
fn a_panic_drops_each_item_once() {
    for panics_in in ["key", "offset", "call", "poll"] {
        let drops = Rc::new(RefCell::new(BTreeMap::new()));
        let counted = Rc::clone(&drops);
        let source = stream::iter([10, 11, 20, 30]).map(move |n| Receipt {
            n,
            drops: Rc::clone(&counted),
        });
        let fault = move |place, n| assert!(place != panics_in || n != 20, "{place} panics");
        let mut task = spawn(
            source
                .ordered_by_group(
                    move |receipt: &Receipt| {
                        fault("key", receipt.n);
                        receipt.n / 10
                    },
                    4,
                )
                .offsets(move |receipt| fault("offset", receipt.n))
                .then(move |receipt| {
                    fault("call", receipt.n);
                    async move {
                        fault("poll", receipt.n);
                        tokio::task::yield_now().await;
                        std::future::pending::<()>().await;
                        drop(receipt);
                    }
                }),
        );
        let panic = catch_unwind(AssertUnwindSafe(|| task.poll_next()));
        assert!(panic.is_err(), "{panics_in}");
        drop(task);
        let once: BTreeMap<_, _> = [10, 11, 20].map(|n| (n, 1)).into();
        assert_eq!(*drops.borrow(), once, "{panics_in}");
    }
}

#[test]
fn a_failure_drops_each_item_once_with_the_error() {
    let drops = Rc::new(RefCell::new(BTreeMap::new()));
    let counted = Rc::clone(&drops);
    let source = stream::iter([10, 11, 20, 30, 12]).map(move |n| Receipt {
        n,
        drops: Rc::clone(&counted),
    });
    let gates = Gates::default();
    let handle = gates.clone();
    let mut task = spawn(
        source
            .ordered_by_group(|receipt: &Receipt| receipt.n / 10, 4)
            .try_then(move |receipt| handle.handle(receipt.n).map(|end| end.map(|_| receipt))),
    );
    assert_pending!(task.poll_next());
    gates.open(20);
    gates.fail(10);
    assert!(matches!(task.poll_next(), Poll::Ready(Some(Err(10)))));
    let once: BTreeMap<_, _> = [10, 11, 12, 20, 30].map(|n| (n, 1)).into();
    assert_eq!(*drops.borrow(), once);
}

#[test]
fn a_drop_at_any_moment_drops_each_handler_once_and_invents_no_output() {
    for verb in VERBS {
        for seed in 0..200 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let (feed, gates) = (items(0..30), Gates::new(|item| item % 5));
            let mut task = Setup::new(verb, 3)
                .look_ahead(8)
                .key(|item| item % 5)
                .spawn(&feed, &gates);
            let mut out = Vec::new();
            for _ in 0..rng.random_range(0..40) {
                match rng.random_range(0..3) {
                    0 => advance(&mut task),
                    1 => out.extend(settled(&mut task)),
                    _ => {
                        let running = gates.running();
                        if !running.is_empty() {
                            gates.open(running[rng.random_range(0..running.len())]);
                        }
                    }
                }
            }
            drop(task);
            gates.assert_all_dropped_once();
            assert_eq!(gates.live(), 0, "{verb:?}, seed {seed}");
            let finished = gates.finished();
            assert!(
                out.iter().all(|item| finished.contains(item)),
                "{verb:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn into_inner_drops_the_handlers_and_gives_the_source_back_as_it_is() {
    let (feed, gates) = (items([10, 11, 20, 30]), Gates::default());
    let handle = gates.clone();
    let mut results = feed
        .source()
        .try_ordered_by_group(|item| item / 10, 2)
        .and_then(move |item| handle.handle(item));
    assert!(results.next().now_or_never().is_none());
    let mut source = results.into_inner();
    assert_eq!(gates.called(), [10, 20]);
    gates.assert_all_dropped_once();
    assert_eq!(source.next().now_or_never().flatten(), Some(Ok(30)));
}

#[test]
fn a_stream_that_is_told_to_stop_above_finishes_what_is_admitted() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let gates = Gates::default();
    let handle = gates.clone();
    let feed = Feed::new([10, 11, 20, 30]);
    let mut task = spawn(
        feed.source()
            .take_until(stopped)
            .ordered_by_group(|item| item / 10, 2)
            .then(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    assert_eq!(feed.pulled(), 3);
    stop.send(()).unwrap();
    gates.open_all([10, 11, 20]);
    for item in [10, 11, 20] {
        assert!(matches!(task.poll_next(), Poll::Ready(Some((Ok(out), _))) if out == item));
    }
    assert_ready_eq!(task.poll_next(), None);
    assert_eq!(gates.called().len(), 3, "30 was not admitted");
}

#[test]
fn a_stop_while_nothing_is_admitted_ends_the_stream() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut task = spawn(
        stream::pending::<u32>()
            .take_until(stopped)
            .ordered_by_group(|item| *item, 2)
            .then(std::future::ready),
    );
    assert_pending!(task.poll_next());
    stop.send(()).unwrap();
    assert!(task.is_woken());
    assert_ready_eq!(task.poll_next(), None);
}

#[test]
fn the_size_hint_is_exact_through_a_run() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20, 30, 40]), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 2).look_ahead(3).spawn(&feed, &gates);
        let mut left = 5;
        loop {
            let least = if verb.can_fail() { left.min(1) } else { left };
            assert_eq!(task.size_hint(), (least, Some(left)), "{verb:?}");
            advance(&mut task);
            assert_eq!(task.size_hint(), (least, Some(left)), "{verb:?}");
            let Some(&next) = gates.running().first() else {
                break;
            };
            gates.open(next);
            left -= settle(&mut task).iter().flatten().count();
        }
        assert_eq!(left, 0, "{verb:?}");
        assert_eq!(task.size_hint(), (0, Some(0)), "{verb:?}");
    }
}

#[test]
fn the_size_hint_of_an_open_source_has_no_upper_bound() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settle(&mut task), []);
        let least = if verb.can_fail() { 1 } else { 3 };
        assert_eq!(task.size_hint(), (least, None), "{verb:?}");
    }
}

/// A source that says how much it has left, whatever it has.
struct Says(Cell<bool>, (usize, Option<usize>));

impl Stream for Says {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.0.replace(false) {
            Poll::Ready(Some(1))
        } else {
            Poll::Pending
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

#[test]
fn the_size_hint_cannot_overflow() {
    for (says, expected) in [
        ((usize::MAX, Some(usize::MAX)), (usize::MAX, None)),
        (
            (usize::MAX - 1, Some(usize::MAX - 1)),
            (usize::MAX, Some(usize::MAX)),
        ),
        ((usize::MAX, None), (usize::MAX, None)),
        ((0, Some(usize::MAX)), (1, None)),
    ] {
        let mut task = spawn(
            Says(Cell::new(true), says)
                .ordered_by_group(|n| *n, 4)
                .then(|_| std::future::pending::<()>()),
        );
        assert_eq!(task.size_hint(), says);
        assert_pending!(task.poll_next());
        assert_eq!(task.size_hint(), expected);
    }
}

#[test]
fn the_size_hint_is_right_while_a_failure_waits_for_its_turn() {
    for verb in [
        Verb::TryThen,
        Verb::TryThenUnordered,
        Verb::AndThen,
        Verb::AndThenUnordered,
    ] {
        for source_fails in [false, true] {
            if source_fails && !verb.reads_results() {
                continue;
            }
            let last = if source_fails { Err(20) } else { Ok(20) };
            let (feed, gates) = (Feed::new([Ok(10), Ok(11), last]), Gates::default());
            let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
            gates.end(20, End::Err);
            assert_eq!(settle(&mut task), []);
            // 10, 11 and the error are to come.
            let (least, most) = task.size_hint();
            assert_eq!(least, 1, "{verb:?}");
            assert!(most.is_none_or(|most| most >= 3), "{verb:?}");
            gates.open_all([10, 11]);
            assert_eq!(settle(&mut task).len(), 4, "{verb:?}");
            assert_eq!(task.size_hint(), (0, Some(0)));
        }
    }
}

#[test]
fn it_is_terminated_only_after_the_last_output() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20]), Gates::default());
        gates.open_all([10, 20]);
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        for _ in 0..2 {
            assert!(!task.has_terminated(), "{verb:?}");
            assert!(matches!(task.poll_next(), Poll::Ready(Some(_))));
        }
        assert_eq!(task.poll_next(), Poll::Ready(None));
        assert_ended(&mut task);
    }
}

#[test]
fn a_stream_that_has_ended_holds_nothing() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20]), Gates::default());
        gates.open_all([10, 11, 20]);
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        settle(&mut task);
        let counts = task.counts();
        assert_eq!(
            (
                counts.running,
                counts.waiting,
                counts.finished,
                counts.groups
            ),
            (0, 0, 0, 0),
            "{verb:?}"
        );
        assert_eq!(task.unfinished(), [0; 0]);
    }
}

#[test]
fn a_stream_that_has_failed_holds_no_item_in_any_order() {
    // The first fails at once as it is woken; the others wait for it.
    let fails = |_: Rc<u32>| async {
        tokio::task::yield_now().await;
        Err::<(), _>(())
    };
    macro_rules! assert_holds_nothing {
        ($order:ident($($by:expr),+)) => {{
            let item = Rc::new(1_u32);
            let items = stream::iter(vec![Rc::clone(&item); 5]).chain(stream::pending());
            let mut task = spawn(items.$order($($by),+, 4).try_then(fails));
            assert_pending!(task.poll_next());
            assert_eq!(task.waiting(), 4);
            while !matches!(task.poll_next(), Poll::Ready(None)) {}
            assert_eq!(Rc::strong_count(&item), 1, stringify!($order));
        }};
    }
    assert_holds_nothing!(ordered_by_group(|item| **item));
    assert_holds_nothing!(ordered_by_groups(|item| [**item, 2]));
    assert_holds_nothing!(ordered_by_access(|item| [Access::Exclusive(**item)]));
    assert_holds_nothing!(ordered_unless(|item| **item, |_, _| false));
}
