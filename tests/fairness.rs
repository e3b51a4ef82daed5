//! That nothing starves: neither the source, nor what was woken, nor what is ready; and that nothing is kept or lost where
//! budgets run out and wakers misbehave.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::FutureExt as _;
use futures::{Stream, stream};
use ordered_by_group::Access;
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio_test::assert_pending;
use tokio_test::task::spawn;

use self::support::{Feed, Gates, Order, Setup, Task, VERBS, Verb, items, settled};

/// How often the stream is polled until the handler of 0, which was polled once, is.
fn polls_until_0_is_polled_again(gates: &Gates, mut poll: impl FnMut()) -> u32 {
    let mut polls = 0;
    while gates.polls(0) < 2 {
        poll();
        polls += 1;
    }
    polls
}

#[test]
fn a_woken_handler_is_polled_beside_a_ready_source_of_a_hot_key() {
    for verb in VERBS {
        let (feed, gates) = (items(0..50_000), Gates::new(|_| 0));
        let mut task = Setup::new(verb, 2)
            .look_ahead(50_000)
            .key(|_| 0)
            .spawn(&feed, &gates);
        assert_pending!(task.poll_next());
        gates.open(0);
        let polls = polls_until_0_is_polled_again(&gates, || {
            let _ = task.poll_next();
        });
        assert!(
            polls <= 4,
            "{verb:?}: {polls} polls of the stream before the woken handler is polled"
        );
    }
}

#[test]
fn a_woken_head_is_polled_beside_a_ready_source() {
    let (feed, gates) = (items(0..50_000), Gates::new(|n| n));
    gates.open_all(1..50_000);
    let mut task = Setup::new(Verb::Then, 4)
        .look_ahead(50_000)
        .key(|n| n)
        .spawn(&feed, &gates);
    assert_pending!(task.poll_next());
    gates.open(0);
    let polls = polls_until_0_is_polled_again(&gates, || {
        let _ = task.poll_next();
    });
    assert!(polls <= 4, "{polls} polls before the woken head is polled");
}

#[test]
fn a_woken_handler_is_polled_while_the_stream_is_driven() {
    let (feed, gates) = (items(0..50_000), Gates::new(|n| n));
    gates.open_all(1..50_000);
    let mut task = Setup::new(Verb::ThenUnordered, 4)
        .look_ahead(50_000)
        .key(|n| n)
        .spawn(&feed, &gates);
    let mut advance = || task.enter(|cx, mut s| s.advance(cx));
    advance();
    gates.open(0);
    let polls = polls_until_0_is_polled_again(&gates, advance);
    assert!(
        polls <= 4,
        "{polls} polls before the woken handler is polled"
    );
}

#[test]
fn a_woken_handler_is_polled_beside_a_chain_of_ready_waiters() {
    let key = |n| u32::from(n > 0 && n < 30_000) + 2 * u32::from(n >= 30_000);
    let (feed, gates) = (items((0..20_000).chain([30_000])), Gates::new(key));
    gates.open_all(2..20_000);
    let mut task = Setup::new(Verb::Then, 3)
        .look_ahead(50_000)
        .key(key)
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    gates.open(1);
    assert_pending!(task.poll_next());
    gates.open(0);
    let polls = polls_until_0_is_polled_again(&gates, || {
        let _ = task.poll_next();
    });
    assert!(polls <= 4, "{polls} polls before the woken head is polled");
}

#[test]
fn one_that_returns_goes_before_younger_waiters_also_after_the_budget_ran_out() {
    let key = |n| u32::from(n > 0 && n < 3_000) + 2 * u32::from(n >= 3_000);
    let (feed, gates) = (items((0..=2_000).chain([3_000])), Gates::new(key));
    let pauses = Gates::new(|n| n);
    let started = Rc::new(RefCell::new(Vec::new()));
    gates.open_all(2..=2_000);
    let handler = {
        let (gates, pauses, started) = (gates.clone(), pauses.clone(), Rc::clone(&started));
        move |n| {
            let (gates, pauses, started) = (gates.clone(), pauses.clone(), Rc::clone(&started));
            async move {
                if n == 0 {
                    let _ = without_slot(pauses.handle(0)).await;
                    started.borrow_mut().push(0);
                    Ok(0)
                } else {
                    started.borrow_mut().push(n);
                    gates.handle(n).await
                }
            }
            .boxed_local()
        }
    };
    let mut task = Setup::new(Verb::Then, 2)
        .look_ahead(5_000)
        .key(key)
        .handler(handler)
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(*started.borrow(), [1, 3_000]);
    gates.open(1);
    assert_pending!(task.poll_next());
    pauses.open(0);
    let before = started.borrow().len();
    while !started.borrow().contains(&0) {
        let _ = task.poll_next();
    }
    let next = started.borrow()[before];
    assert_eq!(next, 0, "no younger one starts before it goes on");
}

/// 0 waits without a slot at a gate of `pauses`; it goes on at one of `gates`, as the others do. Says how many were called
/// when it went on.
struct Returning {
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    pauses: Gates,
    returned_after: Rc<Cell<Option<usize>>>,
}

impl Returning {
    fn of(items_there: u32) -> (Self, Task) {
        let this = Self {
            feed: items(0..items_there),
            gates: Gates::new(|n| n),
            pauses: Gates::new(|n| n),
            returned_after: Rc::default(),
        };
        let (gates, pauses) = (this.gates.clone(), this.pauses.clone());
        let returned_after = Rc::clone(&this.returned_after);
        let handler = move |n| {
            let handling = gates.handle(n);
            if n > 0 {
                return handling.boxed_local();
            }
            let (gates, pauses) = (gates.clone(), pauses.clone());
            let returned_after = Rc::clone(&returned_after);
            async move {
                let _ = without_slot(pauses.handle(0)).await;
                returned_after.set(Some(gates.called().len()));
                handling.await
            }
            .boxed_local()
        };
        let task = Setup::new(Verb::Then, 1_000)
            .key(|n| n)
            .handler(handler)
            .spawn(&this.feed, &this.gates);
        (this, task)
    }
}

#[test]
fn one_that_returns_goes_before_what_is_unread_also_after_the_budget_ran_out() {
    let (returning, mut task) = Returning::of(400);
    assert_pending!(task.poll_next());
    let called = returning.gates.called().len();
    assert!(called < 400, "the source is read by as much as the budget");
    returning.pauses.open(0);
    assert_pending!(task.poll_next());
    assert_eq!(returning.returned_after.get(), Some(called));
    assert!(
        returning.gates.called().len() > called,
        "then it is read on"
    );
}

#[test]
fn one_that_returns_goes_before_what_is_unread_however_many_are_woken() {
    let (returning, mut task) = Returning::of(400);
    assert_eq!(settled(&mut task), [0; 0]);
    // One poll does not look at all of them.
    returning.pauses.open(0);
    (1..400).for_each(|n| returning.gates.wake(n));
    returning.feed.push(Ok(400));
    assert_pending!(task.poll_next());
    assert!((1..400).any(|n| returning.gates.polls(n) == 1));
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(returning.returned_after.get(), Some(400));
    assert_eq!(returning.gates.called().len(), 401);
}

#[test]
fn the_source_is_read_beside_a_wait_and_as_many_that_wake_themselves_as_the_budget() {
    let (feed, gates) = (Feed::new(0..129_u32), Gates::new(|n| n));
    let inner = gates.clone();
    let mut task = spawn(
        feed.source()
            .ordered_by_group(|n| *n, 1_000)
            .then(move |n| {
                let gates = inner.clone();
                async move {
                    if n == 0 {
                        let _ = without_slot(gates.handle(0)).await;
                    }
                    poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        Poll::<()>::Pending
                    })
                    .await
                }
            }),
    );
    for _ in 0..10 {
        assert_pending!(task.poll_next());
    }
    assert_eq!(task.running(), 129);
    feed.push(129);
    for _ in 0..10_000 {
        assert_pending!(task.poll_next());
    }
    assert_eq!(
        feed.left(),
        0,
        "an item that could run was not read in 10,000 polls"
    );
}

#[test]
fn what_is_ready_goes_before_what_is_unread_also_after_the_budget_ran_out() {
    // 0 waits without a slot, 300 others run, and 300 waits behind 299.
    let key = |n| if n == 300 { 299 } else { n };
    let (feed, gates) = (items(0..=301), Gates::new(key));
    let handler = {
        let gates = gates.clone();
        move |n| {
            let handling = gates.handle(n);
            if n == 0 {
                without_slot(handling).boxed_local()
            } else {
                handling.boxed_local()
            }
        }
    };
    let mut task = Setup::new(Verb::Then, 300)
        .key(key)
        .handler(handler)
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(gates.called()[299..], [299, 301]);
    // More than a poll's budget, and 299 is among those that are looked at first.
    (1..299).for_each(|n| gates.wake(n));
    gates.wake(301);
    gates.open(299);
    feed.push(Ok(302));
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(gates.called()[301..], [300], "302 is younger");
    gates.open(300);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(gates.called()[301..], [300, 302]);
}

#[test]
fn what_becomes_ready_at_once_does_not_start_all_in_one_poll() {
    // One writer, and readers that wait for it together and are ready at once.
    let order = Order::Access(Rc::new(|n| match n {
        0 => vec![Access::Exclusive(0)],
        _ => vec![Access::Shared(0)],
    }));
    let (feed, gates) = (items(0..10_000), Gates::new(|n| n));
    gates.open_all(1..10_000);
    let mut task = Setup::new(Verb::Then, 20_000).spawn_in(&order, &feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(task.counts().waiting, 9_999);
    gates.open(0);
    let mut finished = 0;
    while finished < 10_000 {
        task.enter(|cx, mut subject| subject.advance(cx));
        let more = task.counts().finished - finished;
        assert!((1..=256).contains(&more), "{more} in one poll");
        finished += more;
    }
}

#[test]
fn what_is_ready_waits_for_one_that_may_return_however_many_are_woken() {
    // 0 waits without a slot, 300 others run, and 300 waits behind 299.
    let key = |n| if n == 300 { 299 } else { n };
    let (feed, gates) = (items(0..=301), Gates::new(key));
    let pauses = Gates::new(|n| n);
    let handler = {
        let (gates, pauses) = (gates.clone(), pauses.clone());
        move |n| {
            let handling = gates.handle(n);
            if n > 0 {
                return handling.boxed_local();
            }
            let pause = without_slot(pauses.handle(0));
            pause.then(|_| handling).boxed_local()
        }
    };
    let mut task = Setup::new(Verb::Then, 300)
        .key(key)
        .handler(handler)
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    // 299 is among those that are looked at first, and 0 among those that one poll does not look at.
    pauses.open(0);
    (1..299).for_each(|n| gates.wake(n));
    gates.wake(301);
    gates.open(299);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!((gates.finished(), pauses.finished()), (vec![299], vec![0]));
    assert_eq!(gates.polls(0), 1, "0 has the slot");
    assert_eq!(gates.called().last(), Some(&301), "300 has none");
}

/// Uses up the task's budget in each poll, and wakes itself, for ever.
#[cfg(feature = "tokio")]
async fn hog() -> Result<u32, u32> {
    poll_fn(|cx| {
        while let Poll::Ready(progress) = tokio::task::coop::poll_proceed(cx) {
            progress.made_progress();
        }
        Poll::Pending
    })
    .await
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn neither_the_source_nor_what_is_ready_starves_beside_one_that_uses_up_the_budget() {
    for waits in [false, true] {
        let gates = Gates::default();
        let inner = gates.clone();
        let (to_stream, source) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |n| {
            let handling = inner.handle(n);
            async move {
                match n {
                    0 if waits => without_slot(handling).await,
                    0 | 10 => hog().await,
                    _ => handling.await,
                }
            }
        };
        let results = tokio_stream::wrappers::UnboundedReceiverStream::new(source)
            .ordered_by_group(|n| n / 10, 3)
            .then_unordered(handler);
        let mut results = std::pin::pin!(results);
        for n in [0, 20, 21, 10] {
            to_stream.send(n).expect("the stream is there");
        }
        let mut polls = async |until: &dyn Fn() -> bool| {
            for _ in 0..1_000 {
                if until() {
                    return;
                }
                poll_fn(|cx| {
                    let _ = results.as_mut().poll_next(cx);
                    Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
            panic!("not in 1,000 polls; called so far: {:?}", gates.called());
        };
        polls(&|| gates.called().contains(&20)).await;
        gates.open(20);
        polls(&|| gates.called().contains(&21)).await;
        to_stream.send(22).expect("the stream is there");
        to_stream.send(30).expect("the stream is there");
        gates.open(21);
        polls(&|| gates.called().contains(&22)).await;
        gates.open_all([22, 30]);
        polls(&|| gates.finished().contains(&30)).await;
    }
}

/// Polls a stream so often in a task that is woken each time; before each poll something may happen.
#[cfg(feature = "tokio")]
async fn poll_often(polls: u32, stream: &mut (impl Stream + Unpin), mut before: impl FnMut(u32)) {
    let mut n = 0;
    poll_fn(|cx| {
        if n == polls {
            return Poll::Ready(());
        }
        before(n);
        n += 1;
        let _ = std::pin::Pin::new(&mut *stream).poll_next(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn the_source_is_read_beside_some_that_return_in_each_poll_and_one_that_uses_up_the_budget() {
    for returning in 1..5 {
        let gates = Gates::new(|n| n);
        let inner = gates.clone();
        let handler = move |n| {
            let handling = inner.handle(n);
            async move {
                match n {
                    0 => hog().await,
                    _ if n <= returning => loop {
                        without_slot(tokio::task::yield_now()).await;
                    },
                    _ => handling.await,
                }
            }
            .boxed_local()
        };
        let source = stream::iter(0..=returning + 1);
        let mut results = source.ordered_by_group(|n| *n, 8).then_unordered(handler);
        poll_often(100, &mut results, |_| ()).await;
        assert!(
            gates.called().contains(&(returning + 1)),
            "beside {returning} that return, the source was not read on"
        );
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn the_source_is_read_beside_a_wait_and_a_hot_group_and_one_that_uses_up_the_budget() {
    let (feed, gates) = (Feed::new(0..=900_u32), Gates::new(|n| n));
    let inner = gates.clone();
    let handler = move |n| {
        let handling = inner.handle(n);
        async move {
            match n {
                0 => without_slot(handling).await,
                901 => hog().await,
                2..=900 => {
                    tokio::task::yield_now().await;
                    Ok(n)
                }
                _ => handling.await,
            }
        }
        .boxed_local()
    };
    let mut results = feed
        .source()
        .ordered_by_group(|n| if (1..=900).contains(n) { 1 } else { *n }, 8)
        .then_unordered(handler);
    let mut read_after = None;
    poll_often(500, &mut results, |n| {
        match n {
            30 => feed.push(901),
            40 => gates.open(1),
            50 => feed.push(902),
            _ => {}
        }
        if gates.called().contains(&902) {
            read_after.get_or_insert(n);
        }
    })
    .await;
    let read_after = read_after.expect("902 is read while the hot group goes on");
    assert!(read_after <= 60, "902 is read before poll {read_after}");
    assert!(gates.called().len() < 900, "the hot group is not through");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn one_that_returns_goes_before_what_is_unread_beside_one_that_uses_up_the_budget() {
    for returns_before in 1..8 {
        let (feed, gates) = (Feed::new(0..4_u32), Gates::new(|n| n));
        let pauses = Gates::new(|n| n);
        let returned = Rc::new(Cell::new(false));
        let handler = {
            let (gates, pauses, returned) = (gates.clone(), pauses.clone(), Rc::clone(&returned));
            move |n| {
                let handling = gates.handle(n);
                let pause = pauses.handle(n);
                let returned = Rc::clone(&returned);
                async move {
                    match n {
                        0 => {
                            let _ = without_slot(pause).await;
                            returned.set(true);
                            handling.await
                        }
                        1 => hog().await,
                        _ => handling.await,
                    }
                }
                .boxed_local()
            }
        };
        let mut results = feed
            .source()
            .ordered_by_group(|n| *n, 2)
            .then_unordered(handler);
        let mut called_before = 0;
        poll_often(30, &mut results, |n| {
            if n == returns_before {
                called_before = gates.called().len();
                pauses.open(0);
            }
        })
        .await;
        // With two slots, one of them the hog's, either it has the other or what was called before has.
        assert_eq!(gates.called().len(), called_before, "{returns_before}");
        assert_eq!(returned.get(), called_before == 2, "{returns_before}");
    }
}

#[test]
fn a_handler_that_has_returned_is_not_polled_without_a_wake() {
    let gates = Gates::new(|n| n);
    let inner = gates.clone();
    let feed = Feed::new([1_u32]);
    let mut task = spawn(feed.source().ordered_by_group(|n| *n, 1).then(move |n| {
        let gates = inner.clone();
        async move {
            let _ = without_slot(gates.handle(1_000)).await;
            gates.handle(n).await
        }
    }));
    assert_pending!(task.poll_next());
    gates.open(1_000);
    while task.is_woken() {
        assert_pending!(task.poll_next());
    }
    assert_eq!(gates.polls(1), 1, "nobody woke it since its first poll");
}

#[test]
fn a_handler_that_returns_to_a_free_slot_is_polled_once() {
    let polls = Rc::new(Cell::new(0));
    let gates = Gates::new(|n| n);
    let (inner, counted) = (gates.clone(), Rc::clone(&polls));
    let feed = Feed::new([1_u32]);
    let mut task = spawn(feed.source().ordered_by_group(|n| *n, 1).then(move |n| {
        let (gates, polls) = (inner.clone(), Rc::clone(&counted));
        let mut handler = Box::pin(async move {
            let _ = without_slot(gates.handle(1_000)).await;
            gates.handle(n).await
        });
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            handler.poll_unpin(cx)
        })
    }));
    assert_pending!(task.poll_next());
    gates.open(1_000);
    polls.set(0);
    assert_pending!(task.poll_next());
    assert_eq!(polls.get(), 1);
}

#[test]
fn one_that_waits_and_is_woken_by_another_that_does_is_polled_once() {
    // Both are woken, and 0 wakes 1 once more.
    let polls = [0, 1].map(|_| Rc::new(Cell::new(0)));
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let handler = {
        let (polls, waker) = (polls.clone(), Rc::clone(&waker));
        move |n: u32| {
            let (polls, waker) = (Rc::clone(&polls[n as usize]), Rc::clone(&waker));
            without_slot(poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                let other = waker.replace((n == 1).then(|| cx.waker().clone()));
                if let (0, Some(other)) = (n, other) {
                    other.wake();
                }
                Poll::<()>::Pending
            }))
        }
    };
    let gates = [0, 1].map(|_| Rc::new(RefCell::new(None::<Waker>)));
    let results = stream::iter([0, 1]).ordered_by_group(|n| *n, 2);
    let mut task = spawn(results.then({
        let gates = gates.clone();
        move |n| {
            let (gate, handling) = (Rc::clone(&gates[n as usize]), handler(n));
            let mut handling = Box::pin(handling);
            poll_fn(move |cx| {
                *gate.borrow_mut() = Some(cx.waker().clone());
                handling.as_mut().poll(cx)
            })
        }
    }));
    assert_pending!(task.poll_next());
    while task.is_woken() {
        assert_pending!(task.poll_next());
    }
    for gate in &gates {
        gate.borrow().as_ref().expect("it was polled").wake_by_ref();
    }
    let before = polls.clone().map(|polls| polls.get());
    assert_pending!(task.poll_next());
    let after = polls.map(|polls| polls.get());
    assert_eq!(after, before.map(|polls| polls + 1));
}

struct Dropper {
    panics: AtomicBool,
}
impl Wake for Dropper {
    fn wake(self: Arc<Self>) {}
}
impl Drop for Dropper {
    fn drop(&mut self) {
        if self.panics.swap(false, Ordering::SeqCst) {
            panic!("the old task panics as it is dropped");
        }
    }
}

struct Counter(AtomicUsize);
impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_parent_waker_that_panics_as_it_is_dropped_loses_nothing() {
    let gates = Gates::new(|n| n);
    let inner = gates.clone();
    let feed = Feed::new([1_u32]);
    let mut stream = Box::pin(
        feed.source()
            .ordered_by_group(|n| *n, 1)
            .then(move |n| inner.handle(n)),
    );
    let old = Waker::from(Arc::new(Dropper {
        panics: AtomicBool::new(true),
    }));
    assert!(
        stream
            .as_mut()
            .poll_next(&mut Context::from_waker(&old))
            .is_pending()
    );
    drop(old);
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let new = Waker::from(Arc::clone(&counter));
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        stream
            .as_mut()
            .poll_next(&mut Context::from_waker(&new))
            .is_pending()
    }));
    assert!(unwound.is_err());
    assert!(
        stream
            .as_mut()
            .poll_next(&mut Context::from_waker(&new))
            .is_pending(),
        "not poisoned"
    );
    gates.open(1);
    assert!(
        counter.0.load(Ordering::SeqCst) > 0,
        "the wake of the handler is lost"
    );
}

#[test]
fn keys_are_dropped_with_an_item_that_is_ready_at_once() {
    let key = Rc::new(7);
    let feed = Feed::new([1_u32]);
    let given = Rc::clone(&key);
    let mut task = spawn(
        feed.source()
            .ordered_by_groups(move |_| [Rc::clone(&given)], 4)
            .then(ready),
    );
    let mine = Rc::strong_count(&key);
    assert!(task.poll_next().is_ready());
    assert_pending!(task.poll_next());
    assert_eq!(Rc::strong_count(&key), mine);
}

#[test]
fn a_tag_is_dropped_with_an_item_that_is_ready_at_once() {
    let key = Rc::new(7);
    let feed = Feed::new([1_u32]);
    let given = Rc::clone(&key);
    let mut task = spawn(
        feed.source()
            .ordered_unless(move |_| Rc::clone(&given), |_, _| true, 4)
            .then(ready),
    );
    let mine = Rc::strong_count(&key);
    assert!(task.poll_next().is_ready());
    assert_pending!(task.poll_next());
    assert_eq!(Rc::strong_count(&key), mine);
}

#[test]
fn an_ended_stream_holds_no_offset() {
    let offset = Rc::new(7);
    // One is handed over while another before it is unfinished, and then that one fails.
    let numbers = || stream::iter([1_u32, 2]).ordered_by_group(|n| *n, 4);
    let handler = |n| async move {
        if n == 1 {
            tokio::task::yield_now().await;
            return Err(());
        }
        Ok(())
    };
    macro_rules! assert_holds_none {
        ($results:expr) => {{
            let mut task = spawn($results);
            let mine = Rc::strong_count(&offset);
            while !matches!(task.poll_next(), Poll::Ready(None)) {}
            assert_eq!(Rc::strong_count(&offset), mine, "{}", stringify!($results));
        }};
    }
    let read = |_: &u32| Rc::clone(&offset);
    assert_holds_none!(numbers().offsets(read).try_then(handler));
    assert_holds_none!(numbers().offsets(read).try_then_unordered(handler));
    assert_holds_none!(numbers().offsets(read).partitions(|_| 0).try_then(handler));
    assert_holds_none!(
        numbers()
            .offsets(read)
            .partitions(|_| 0)
            .try_then_unordered(handler)
    );
}

#[test]
fn an_ended_stream_holds_no_waker() {
    let feed = Feed::new([1_u32]);
    let mut stream = Box::pin(feed.source().ordered_by_group(|n| *n, 4).then(ready));
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&counter));
    let mut cx = Context::from_waker(&waker);
    assert!(stream.as_mut().poll_next(&mut cx).is_ready());
    assert!(stream.as_mut().poll_next(&mut cx).is_pending());
    feed.close();
    assert!(matches!(
        stream.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 1);
}
