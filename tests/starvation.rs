//! Chapter 22 of the contract, its second half: nobody starves. Of the source, the handlers that were woken, those that return
//! and the results, none waits more than a few polls for another, whatever budget is spent by whom.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, FutureExt as _, select};
use ordered_by_group::Access;
use ordered_by_group::prelude::*;
use ordered_by_group::without_slot;
use tokio::time::{Instant, sleep};
use tokio_test::assert_pending;
use tokio_test::task::spawn;

use self::support::{
    FALLIBLE, Feed, Gates, Order, Setup, Task, VERBS, Verb, advance, items, settle, settled,
};

/// The most polls that one waits for another.
const MOST_POLLS: u32 = 4;

/// Nothing here takes more polls, unless it goes on for ever.
const MANY_POLLS: u32 = 100_000;

/// How many polls it takes until something has happened, at most one more than may be.
fn polls_until(happened: impl Fn() -> bool, mut poll: impl FnMut()) -> u32 {
    (0..=MOST_POLLS)
        .take_while(|_| !happened())
        .map(|_| poll())
        .count() as u32
}

/// One key an item, in each of the orders; `None` is that of one group.
fn orders(key: fn(u32) -> u32) -> [(&'static str, Option<Order>); 4] {
    [
        ("by group", None),
        (
            "by groups",
            Some(Order::Groups(Rc::new(move |n| vec![key(n)]))),
        ),
        (
            "by access",
            Some(Order::Access(Rc::new(move |n| {
                vec![Access::Exclusive(key(n))]
            }))),
        ),
        (
            "unless",
            Some(Order::Unless(Rc::new(move |a, b| key(a) != key(b)))),
        ),
    ]
}

/// A stream in one of the orders. Those that `waits` names wait without a slot at their pause, and then go on to their gate.
struct Subject {
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    pauses: Gates,
    went_on: Rc<RefCell<Vec<u32>>>,
    task: Task,
}

impl Subject {
    fn new(
        setup: Setup,
        order: Option<Order>,
        key: fn(u32) -> u32,
        there: impl IntoIterator<Item = u32>,
        waits: fn(u32) -> bool,
    ) -> Self {
        let (feed, gates, pauses) = (items(there), Gates::new(key), Gates::new(|n| n));
        let went_on = Rc::<RefCell<Vec<u32>>>::default();
        let handler = {
            let (gates, pauses, went_on) = (gates.clone(), pauses.clone(), Rc::clone(&went_on));
            move |n| {
                let handling = gates.handle(n);
                if !waits(n) {
                    return handling.boxed_local();
                }
                let (pause, went_on) = (without_slot(pauses.handle(n)), Rc::clone(&went_on));
                async move {
                    let _ = pause.await;
                    went_on.borrow_mut().push(n);
                    handling.await
                }
                .boxed_local()
            }
        };
        let setup = setup.key(key).handler(handler);
        let task = match order {
            Some(order) => setup.spawn_in(&order, &feed, &gates),
            None => setup.spawn(&feed, &gates),
        };
        Self {
            feed,
            gates,
            pauses,
            went_on,
            task,
        }
    }
}

/// 0 is alone, 1 to 1,000 are of two groups, each later one is alone.
fn two_hot_groups(n: u32) -> u32 {
    if (1..=1_000).contains(&n) {
        1 + n % 2
    } else {
        n
    }
}

/// 0 waits without a slot, and two hot groups give a result in each poll.
fn beside_two_hot_groups(test: impl Fn(&str, Subject, &dyn Fn(&mut Subject))) {
    for verb in VERBS {
        for (order, by) in orders(two_hot_groups) {
            let setup = Setup::new(verb, 4)
                .look_ahead(2_000)
                .partition(|n| u32::from(n > 0));
            let there = 0..=200;
            let mut subject = Subject::new(setup, by, two_hot_groups, there, |n| n == 0);
            let name = format!("{verb:?}, {order}");
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            let poll = |subject: &mut Subject| {
                let hot = subject.gates.running();
                let hot = hot.into_iter().filter(|n| (1..=1_000).contains(n));
                subject.gates.open_all(hot);
                let polled = subject.task.poll_next();
                assert!(
                    polled.is_ready(),
                    "{verb:?}, {order}: a result in each poll"
                );
            };
            for _ in 0..4 {
                poll(&mut subject);
            }
            test(&name, subject, &poll);
        }
    }
}

#[test]
fn the_source_is_read_beside_a_wait_and_two_groups_that_give_a_result_in_each_poll() {
    beside_two_hot_groups(|name, mut subject, poll| {
        subject.feed.push(Ok(2_000));
        let gates = subject.gates.clone();
        let polls = polls_until(|| gates.called().contains(&2_000), || poll(&mut subject));
        assert!(polls <= MOST_POLLS, "{name}: not read in {polls} polls");
    });
}

#[test]
fn one_that_returns_goes_on_beside_two_groups_that_give_a_result_in_each_poll() {
    beside_two_hot_groups(|name, mut subject, poll| {
        subject.pauses.open(0);
        let went_on = Rc::clone(&subject.went_on);
        let polls = polls_until(|| went_on.borrow().contains(&0), || poll(&mut subject));
        assert!(polls <= MOST_POLLS, "{name}: not in {polls} polls");
    });
}

#[tokio::test(start_paused = true)]
async fn late_items_start_in_a_slow_loop_beside_a_long_wait_and_two_hot_groups() {
    const STEP: Duration = Duration::from_millis(25);
    let feed = Feed::new(0..=600);
    let late_calls = Cell::new(0);
    let handler = async |n| {
        if n == 0 {
            without_slot(sleep(Duration::from_secs(3_600))).await;
        }
        if n > 1_000 {
            late_calls.set(late_calls.get() + 1);
        }
        sleep(Duration::from_millis(10)).await;
    };
    let source = feed.source();
    let results = source.ordered_by_group(|n| two_hot_groups(*n), 16);
    let mut results = std::pin::pin!(results.then_unordered(handler));
    for _ in 0..10 {
        assert!(results.next().await.is_some());
        sleep(STEP).await;
    }
    (1_001..=1_600).for_each(|n| feed.push_silently(n));
    feed.wake();
    let since = Instant::now();
    // The two hot groups have two of the 16 slots.
    while late_calls.get() < 14 {
        assert!(results.next().await.is_some());
        let waited = since.elapsed();
        assert!(
            waited < STEP * MOST_POLLS,
            "{} of them after {waited:?}",
            late_calls.get()
        );
        sleep(STEP).await;
    }
}

#[test]
fn one_that_is_done_waiting_goes_before_a_younger_item_though_others_were_woken_before() {
    // 1 waits behind 0. In the poll that hands 0 over, 1 starts in its place, and waits; there are more that were woken than
    // are looked at in one poll.
    const OTHERS: u32 = 200;
    let key = |n| if n == 1 { 0 } else { n };
    for verb in VERBS {
        for (order, by) in orders(key) {
            let setup = Setup::new(verb, 1 + OTHERS as usize).partition(key);
            let there = 0..2 + OTHERS;
            let mut subject = Subject::new(setup, by, key, there, |n| n == 1);
            let name = format!("{verb:?}, {order}");
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            // Among those that are looked at first are those that were woken last.
            (2..2 + OTHERS).rev().for_each(|n| subject.gates.wake(n));
            subject.gates.open(0);
            let polls = (0..MOST_POLLS).find(|_| subject.task.poll_next().is_ready());
            assert!(polls.is_some(), "{name}: 0 does not come out");
            assert_eq!(subject.pauses.running(), [1], "{name}: it waits");
            subject.pauses.open(1);
            subject.feed.push(Ok(1_000));
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            assert_eq!(*subject.went_on.borrow(), [1], "{name}: it goes on");
            let last = subject.gates.running().pop();
            assert_eq!(last, Some(1 + OTHERS), "{name}: 1,000 has no slot");
        }
    }
}

#[test]
fn one_that_is_done_waiting_goes_before_a_younger_item_though_one_was_ready_at_once() {
    for verb in VERBS {
        for (order, by) in orders(|n| n) {
            let setup = Setup::new(verb, 2).partition(|n| n);
            let mut subject = Subject::new(setup, by, |n| n, 0..4, |n| n == 2);
            let name = format!("{verb:?}, {order}");
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            assert_eq!(subject.gates.running(), [0, 1], "{name}");
            subject.gates.open_all([0, 3]);
            subject.gates.wake(1);
            assert!(subject.task.poll_next().is_ready(), "{name}: 0");
            assert!(subject.task.poll_next().is_ready(), "{name}: 3");
            assert_eq!(subject.pauses.running(), [2], "{name}: it waits");
            subject.pauses.open(2);
            subject.feed.push(Ok(4));
            assert_pending!(subject.task.poll_next(), "{name}");
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            assert_eq!(*subject.went_on.borrow(), [2], "{name}: it goes on");
            assert_eq!(subject.gates.running(), [1, 2], "{name}: 4 has no slot");
        }
    }
}

#[test]
fn one_that_a_handler_ends_the_wait_of_goes_before_the_next_of_its_group() {
    for verb in VERBS {
        // 0 waits without a slot, 1 and 3 have both slots, and 2 waits behind 1, which ends the wait of 0 as it finishes.
        let key = |n| if n == 2 { 1 } else { n };
        let (feed, gates, pauses) = (items(0..4), Gates::new(key), Gates::new(|n| n));
        let handler = {
            let (gates, pauses) = (gates.clone(), pauses.clone());
            move |n| {
                let (handling, pauses) = (gates.handle(n), pauses.clone());
                match n {
                    0 => without_slot(pauses.handle(0))
                        .then(|_| handling)
                        .boxed_local(),
                    1 => handling.inspect(move |_| pauses.open(0)).boxed_local(),
                    _ => handling.boxed_local(),
                }
            }
        };
        let setup = Setup::new(verb, 2).key(key).partition(|n| n);
        let mut task = setup.handler(handler).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 3], "{verb:?}");
        assert_eq!(task.counts().waiting, 1, "{verb:?}");
        gates.open(1);
        assert_eq!(settled(&mut task), [1], "{verb:?}");
        assert_eq!(gates.polls(0), 1, "{verb:?}: it goes on");
        assert_eq!(gates.called(), [0, 1, 3], "{verb:?}: 2 has no slot");
    }
}

#[test]
fn one_that_a_handler_ends_the_wait_of_goes_before_the_next_item() {
    for verb in VERBS {
        for (order, by) in orders(|n| n) {
            let pauses = Rc::<RefCell<Option<Gates>>>::default();
            let opened = Rc::clone(&pauses);
            let setup = Setup::new(verb, 2).partition(|n| n).call(move |n| {
                if let (1, Some(pauses)) = (n, &*opened.borrow()) {
                    pauses.open(0);
                }
            });
            let mut subject = Subject::new(setup, by, |n| n, [0], |n| n == 0);
            let name = format!("{verb:?}, {order}");
            *pauses.borrow_mut() = Some(subject.pauses.clone());
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            subject.feed.push_silently(Ok(1));
            subject.feed.push(Ok(2));
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            assert_eq!(*subject.went_on.borrow(), [0], "{name}: it goes on");
            assert_eq!(subject.gates.called(), [0, 1], "{name}: 2 has no slot");
        }
    }
}

#[test]
fn one_that_is_woken_again_before_it_is_looked_at_is_heard_later_too() {
    // As many wait without a slot as are looked at in one poll. All are woken; the last is done, and the one before wakes it
    // again.
    const WAITS: u32 = 128;
    const LAST: u32 = WAITS - 1;
    const BEFORE: u32 = LAST - 1;
    for verb in VERBS {
        let (feed, gates, pauses) = (items(0..WAITS), Gates::new(|n| n), Gates::new(|n| n));
        let waker = Rc::<RefCell<Option<Waker>>>::default();
        let handler = {
            let (gates, pauses, waker) = (gates.clone(), pauses.clone(), Rc::clone(&waker));
            move |n| {
                let (handling, mut pause) = (gates.handle(n), pauses.handle(n));
                let waker = Rc::clone(&waker);
                let pause = poll_fn(move |cx| {
                    if let (BEFORE, Some(last)) = (n, &*waker.borrow()) {
                        last.wake_by_ref();
                    }
                    pause.poll_unpin(cx)
                });
                async move {
                    let _ = without_slot(pause).await;
                    handling.await
                }
                .boxed_local()
            }
        };
        let setup = Setup::new(verb, 2).key(|n| n).partition(|n| n);
        let mut task = setup.handler(handler).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        *waker.borrow_mut() = Some(pauses.waker(LAST));
        // Among those that are looked at first are those that were woken last.
        pauses.open(LAST);
        (0..LAST).rev().for_each(|n| pauses.wake(n));
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert_eq!(gates.polls(LAST), 1, "{verb:?}: it goes on");
        gates.open(LAST);
        assert_eq!(settled(&mut task), [LAST], "{verb:?}");
    }
}

/// Wakes itself in each poll, for ever.
async fn restless() {
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[test]
fn the_source_is_read_and_what_waits_starts_beside_many_waits_that_wake_themselves() {
    for verb in [Verb::Then, Verb::ThenUnordered] {
        for waits in [1, 128, 129, 300, 1_000, 3_000] {
            // Both slots are taken, and one waits behind `hot`.
            let [hot, behind, other, late] = [0, 1, 2, 3].map(|n| waits + n);
            let key = move |n| if n == behind { hot } else { n };
            let (feed, gates) = (items([hot, behind, other]), Gates::new(key));
            let handler = {
                let gates = gates.clone();
                move |n| {
                    let handling = gates.handle(n);
                    if n >= waits {
                        return handling.boxed_local();
                    }
                    let wait = without_slot(restless());
                    async move {
                        wait.await;
                        handling.await
                    }
                    .boxed_local()
                }
            };
            let name = format!("{verb:?}, {waits} waits");
            let mut task = Setup::new(verb, 2)
                .look_ahead(4_000)
                .key(key)
                .handler(handler)
                .spawn(&feed, &gates);
            assert_eq!(settled(&mut task), [0; 0], "{name}");
            assert_eq!(gates.called(), [hot, other], "{name}");
            // The waits get in one after the other.
            gates.open(other);
            let mut poll = || {
                let _ = task.poll_next();
            };
            poll();
            assert_eq!(gates.finished(), [other], "{name}");
            for n in 0..waits {
                feed.push(Ok(n));
                let polls = polls_until(|| gates.called().last() == Some(&n), &mut poll);
                assert!(polls <= MOST_POLLS, "{name}: {n} is not read");
            }
            // There is no more than one budget of woken handlers in a poll.
            gates.open(hot);
            for _ in 0..=waits / 128 + MOST_POLLS {
                if !gates.finished().contains(&hot) {
                    poll();
                }
            }
            assert!(gates.finished().contains(&hot), "{name}: it was woken");
            let polls = polls_until(|| gates.called().contains(&behind), &mut poll);
            assert!(polls <= MOST_POLLS, "{name}: what waits does not start");
            feed.push(Ok(late));
            let polls = polls_until(|| gates.called().contains(&late), &mut poll);
            assert!(polls <= MOST_POLLS, "{name}: the source is not read");
        }
    }
}

#[test]
fn no_poll_starts_all_of_many_readers_that_waited_for_a_writer() {
    const READERS: u32 = 100_000;
    let order = Order::Access(Rc::new(|n| match n {
        0 => vec![Access::Exclusive(0)],
        _ => vec![Access::Shared(0)],
    }));
    assert_starts_little_by_little(READERS, &order);
}

#[test]
fn no_poll_starts_all_of_many_items_that_waited_for_one_with_all_their_keys() {
    const ITEMS: u32 = 20_000;
    let order = Order::Groups(Rc::new(|n| match n {
        0 => (1..=ITEMS).collect(),
        _ => vec![n],
    }));
    assert_starts_little_by_little(ITEMS, &order);
}

/// As many wait for 0 and may all run at once when it has finished.
fn assert_starts_little_by_little(waiting: u32, order: &Order) {
    let (feed, gates) = (items(0..=waiting), Gates::new(|n| n));
    let called = Rc::new(RefCell::new(Vec::new()));
    let handler = {
        let (gates, called) = (gates.clone(), Rc::clone(&called));
        move |n| {
            called.borrow_mut().push(n);
            match n {
                0 => gates.handle(0).boxed_local(),
                _ => pending().boxed_local(),
            }
        }
    };
    let mut task = Setup::new(Verb::Then, 200_000)
        .handler(handler)
        .spawn_in(order, &feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(task.counts().waiting, waiting as usize);
    gates.open(0);
    let (mut before, mut polls) = (1, 0);
    while before <= waiting as usize {
        let polled = task.poll_next();
        let now = called.borrow().len();
        assert!(now - before <= 1_024, "{} in one poll", now - before);
        // It takes some polls to find out who may start.
        polls += 1;
        assert!(polls <= waiting / 64, "{now} were called in {polls} polls");
        let goes_on = polled.is_ready() || task.is_woken() || now > before;
        assert!(goes_on, "they stand still");
        before = now;
    }
    assert!(
        called.take().into_iter().eq(0..=waiting),
        "the oldest first"
    );
}

#[test]
fn no_poll_compares_all_of_many_items_that_waited_for_one() {
    // 500 run that anything may run beside; 4,000 wait for the next.
    const BEFORE: u32 = 500;
    const BEHIND: u32 = 4_000;
    let calls = Rc::new(Cell::new(0_u64));
    let order = {
        let calls = Rc::clone(&calls);
        Order::Unless(Rc::new(move |earlier, _| {
            calls.set(calls.get() + 1);
            earlier != BEFORE
        }))
    };
    let all = BEFORE + 1 + BEHIND;
    let (feed, gates) = (items(0..all), Gates::new(|n| n));
    let mut task = Setup::new(Verb::Then, all as usize).spawn_in(&order, &feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    assert_eq!(task.counts().waiting, BEHIND as usize);
    gates.open(BEFORE);
    let mut most = 0;
    for _ in 0..MANY_POLLS {
        calls.set(0);
        assert_pending!(task.poll_next());
        most = most.max(calls.get());
        if !task.is_woken() {
            break;
        }
    }
    assert_eq!(gates.live(), all as usize - 1, "all have started");
    assert!(most <= 100_000, "{most} comparisons in one poll");
    assert!(gates.called().into_iter().eq(0..all), "the oldest first");
}

#[test]
fn slots_past_a_failure_are_freed_one_by_one_as_those_before_it_need_them() {
    // As many as there are slots wait without one; then comes one that fails, and the rest of the slots are past it. Who looks
    // at all of them for each slot that is needed takes a while.
    const SLOTS: usize = 20_000;
    let failing = SLOTS as u32;
    let there = 0..2 * failing;
    let setup = Setup::new(Verb::TryThen, SLOTS);
    let waits = |n| n < SLOTS as u32;
    let mut subject = Subject::new(setup, None, |n| n, there.clone(), waits);
    let (task, gates) = (&mut subject.task, &subject.gates);
    assert_eq!(settled(task), [0; 0]);
    assert_eq!(task.counts().running, 2 * SLOTS);
    gates.fail(failing);
    assert_eq!(settled(task), [0; 0]);
    assert_eq!(
        gates.live(),
        2 * SLOTS - 1,
        "the others are not dropped yet"
    );
    subject.pauses.open_all(0..failing);
    for _ in 0..MANY_POLLS {
        assert_pending!(task.poll_next());
        let have_slots = subject.went_on.borrow().len();
        let past = gates.live() - SLOTS;
        assert!(have_slots + past <= SLOTS, "more than there are slots");
        if !task.is_woken() {
            break;
        }
    }
    assert_eq!(subject.went_on.borrow().len(), SLOTS, "all have slots");
    assert_eq!(gates.live(), SLOTS, "all that is past it is gone");
    gates.open_all(0..failing);
    let out = settle(task);
    assert_eq!(out.len(), SLOTS + 2);
    assert_eq!(out[SLOTS..], [Some(Err(failing)), None]);
    assert!(gates.called().into_iter().eq(there));
}

#[test]
fn a_slot_past_a_failure_that_went_to_one_that_returned_is_freed_as_well() {
    // 0 to 2 and 4 wait without a slot, 3 fails, and 5 has the other slot.
    for verb in FALLIBLE {
        for (order, by) in orders(|n| n) {
            let waits = |n| n != 3 && n != 5;
            let mut subject = Subject::new(Setup::new(verb, 2), by, |n| n, 0..6, waits);
            let name = format!("{verb:?}, {order}");
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            subject.gates.fail(3);
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            for n in [0, 1] {
                subject.pauses.open(n);
                assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            }
            assert_eq!(subject.gates.running(), [0, 1, 2, 4], "{name}: 5 is gone");
            subject.gates.open(0);
            assert_eq!(settled(&mut subject.task), [0], "{name}");
            subject.pauses.open(4);
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            subject.pauses.open(2);
            assert_eq!(settled(&mut subject.task), [0; 0], "{name}");
            let went_on = subject.went_on.borrow();
            assert!(went_on.contains(&2), "{name}: only {went_on:?} went on");
        }
    }
}

#[test]
fn past_a_failure_what_it_takes_long_to_find_ready_gets_a_slot() {
    // All but the last two wait for 0, which waits without a slot and ends so. The first of those two fails; the last has the
    // only slot. That 0 has finished is followed up in more polls than there are results.
    const WAITING: u32 = 60_000;
    const FAILING: u32 = WAITING + 1;
    const LAST: u32 = FAILING + 1;
    let order = Order::Access(Rc::new(|n| match n {
        0 => vec![Access::Exclusive(0)],
        FAILING | LAST => vec![],
        _ => vec![Access::Shared(0)],
    }));
    for verb in FALLIBLE {
        let (feed, gates) = (items(0..=LAST), Gates::new(|n| n));
        let handler = {
            let gates = gates.clone();
            move |n| {
                let handling = gates.handle(n);
                match n {
                    0 | FAILING => {
                        let waits = without_slot(pending::<()>()).boxed_local();
                        let ends = select(waits, handling);
                        let end = |ended| match ended {
                            Either::Left(((), _)) => unreachable!("it waits in vain"),
                            Either::Right((end, _)) => end,
                        };
                        ends.map(end).boxed_local()
                    }
                    _ => handling.boxed_local(),
                }
            }
        };
        let mut task = Setup::new(verb, 1)
            .look_ahead(100_000)
            .handler(handler)
            .spawn_in(&order, &feed, &gates);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert_eq!(gates.running(), [0, FAILING, LAST], "{verb:?}");
        gates.fail(FAILING);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        gates.open(0);
        assert_eq!(settled(&mut task), [0], "{verb:?}");
        assert_eq!(gates.running(), [1], "{verb:?}: {LAST} has the slot");
    }
}

/// How many results come out one after the other before the stream says Pending or ends.
fn in_a_row(task: &mut Task) -> usize {
    let mut results = 0;
    while let Poll::Ready(Some(_)) = task.poll_next() {
        results += 1;
    }
    results
}

#[test]
fn a_stream_that_is_always_ready_gives_way_after_256_results() {
    for verb in VERBS {
        let (feed, gates) = (items(0..5_000), Gates::new(|n| n));
        gates.open_all(0..5_000);
        let mut task = Setup::new(verb, 4).key(|n| n).spawn(&feed, &gates);
        let mut out = 0;
        for _ in 0..MANY_POLLS {
            let results = in_a_row(&mut task);
            assert!(results <= 256, "{verb:?}: {results} in a row");
            out += results;
            if !task.is_woken() {
                break;
            }
        }
        assert_eq!(out, 5_000, "{verb:?}");
    }
}

#[test]
fn results_that_were_kept_while_the_caller_awaited_come_out_one_after_the_other() {
    for verb in VERBS {
        let (feed, gates) = (items(0..1_000), Gates::new(|n| n));
        gates.open_all(0..1_000);
        let setup = Setup::new(verb, 4).look_ahead(1_000).key(|n| n);
        let mut task = setup.spawn(&feed, &gates);
        advance(&mut task);
        assert_eq!(task.counts().finished, 1_000, "{verb:?}");
        assert_eq!(in_a_row(&mut task), 1_000, "{verb:?}");
    }
}

#[test]
fn after_results_that_were_kept_a_stream_that_is_always_ready_gives_way() {
    for verb in VERBS {
        let (feed, gates) = (items(0..20_000), Gates::new(|n| n));
        gates.open_all(0..20_000);
        let setup = Setup::new(verb, 4).look_ahead(1_000).key(|n| n);
        let mut task = setup.spawn(&feed, &gates);
        advance(&mut task);
        assert_eq!(task.counts().finished, 1_000, "{verb:?}");
        let results = in_a_row(&mut task);
        assert!(results <= 1_256, "{verb:?}: {results} in a row");
    }
}

#[test]
fn results_that_were_kept_while_the_caller_awaited_fill_a_chunk() {
    let feed = Feed::new(0..1_000);
    let results = feed
        .source()
        .ordered_by_group(|n| *n, 4)
        .look_ahead(1_000)
        .then(ready);
    let mut results = Box::pin(results);
    {
        let mut waiting = spawn(results.as_mut().alongside(pending::<()>()));
        while waiting.poll().is_pending() && waiting.is_woken() {}
    }
    assert_eq!(results.finished(), 1_000);
    let mut chunks = spawn(results.ready_chunks(1_000));
    let Poll::Ready(Some(chunk)) = chunks.poll_next() else {
        panic!("they are there");
    };
    assert_eq!(chunk.len(), 1_000);
}

#[cfg(feature = "tokio")]
mod budget {
    use std::future::Future as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::future::join;
    use futures::{Stream, stream};
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::task::{coop, yield_now};
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    /// Calls this in one turn of the task after the other, each with a budget of its own, until it says that it is done:
    /// whether it was, in so many turns.
    async fn is_done_within(turns: u32, mut turn: impl FnMut() -> bool) -> bool {
        let mut taken = 0;
        poll_fn(|cx| {
            if turn() {
                return Poll::Ready(true);
            }
            taken += 1;
            if taken == turns {
                return Poll::Ready(false);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// Uses up the task's budget in each poll, until then.
    async fn busy(until: &Cell<bool>) {
        while !until.get() {
            coop::consume_budget().await;
        }
    }

    /// Uses up the task's budget in each poll, and wakes itself, for ever.
    async fn hog<T>() -> T {
        loop {
            coop::consume_budget().await;
        }
    }

    #[tokio::test]
    async fn a_woken_handler_is_polled_beside_a_closure_that_uses_up_the_budget() {
        let done = Cell::new(false);
        let handler = async |n| {
            if n == 1 {
                yield_now().await;
                done.set(true);
            }
        };
        let driving = stream::iter([0, 1])
            .ordered_by_group(|n| *n, 2)
            .then(handler)
            .drive(|_| busy(&done));
        let mut driving = spawn(driving);
        assert!(is_done_within(2 * MOST_POLLS, || driving.poll().is_ready()).await);

        let done = Cell::new(false);
        let handler = async |n| {
            if n == 1 {
                yield_now().await;
                done.set(true);
            }
            Ok::<_, ()>(())
        };
        let driving = stream::iter([0, 1])
            .ordered_by_group(|n| *n, 2)
            .try_then(handler)
            .try_drive(|_| busy(&done).map(Ok));
        let mut driving = spawn(driving);
        assert!(is_done_within(2 * MOST_POLLS, || driving.poll().is_ready()).await);
    }

    #[tokio::test]
    async fn a_woken_handler_is_polled_beside_a_future_that_uses_up_the_budget() {
        let done = Cell::new(false);
        let handler = async |_| {
            yield_now().await;
            done.set(true);
        };
        let results = stream::iter([0]).ordered_by_group(|n| *n, 2).then(handler);
        let mut results = Box::pin(results);
        let mut waiting = spawn(results.as_mut().alongside(busy(&done)));
        assert!(is_done_within(MOST_POLLS, || waiting.poll().is_ready()).await);
    }

    #[tokio::test]
    async fn a_woken_handler_is_polled_beside_a_source_that_uses_up_the_budget() {
        const AWAITS: u32 = 3;
        let done = Cell::new(0);
        let handler = async |_| {
            for _ in 0..AWAITS {
                yield_now().await;
                coop::consume_budget().await;
                done.set(done.get() + 1);
            }
        };
        let results = stream::iter([0])
            .chain(stream::once(hog()))
            .ordered_by_group(|n| *n, 2)
            .then(handler);
        let mut results = spawn(Box::pin(results));
        let turns = MOST_POLLS * AWAITS;
        assert!(is_done_within(turns, || results.poll_next().is_ready()).await);
        assert_eq!(done.get(), AWAITS);
    }

    #[tokio::test]
    async fn a_result_comes_out_beside_a_neighbour_that_uses_up_the_budget() {
        let done = Cell::new(false);
        let handler = async |_| {
            yield_now().await;
            done.set(true);
        };
        let results = stream::iter([0]).ordered_by_group(|n| *n, 2).then(handler);
        let mut results = Box::pin(results);
        let mut both = spawn(join(busy(&done), results.next()));
        assert!(is_done_within(MOST_POLLS, || both.poll().is_ready()).await);
    }

    #[tokio::test]
    async fn nobody_starves_beside_a_caller_that_uses_up_the_budget() {
        // 0 waits without a slot, 2 waits behind 1, and 4 waits behind 3.
        let key = |n: u32| n.div_ceil(2);
        for driven in [false, true] {
            for verb in VERBS {
                for (order, by) in orders(key) {
                    let setup = Setup::new(verb, 4).partition(|n| n);
                    let mut subject = Subject::new(setup, by, key, 0..=4, |n| n == 0);
                    assert_eq!(settled(&mut subject.task), [0; 0]);
                    let (gates, feed) = (&subject.gates, &subject.feed);
                    let task = &mut subject.task;
                    let mut done = async |what, happened: &dyn Fn() -> bool| {
                        let turn = || {
                            task.enter(|cx, mut stream| {
                                let mut spent = std::pin::pin!(hog::<()>());
                                assert_pending!(spent.as_mut().poll(cx));
                                if driven {
                                    stream.advance(cx);
                                } else {
                                    let _ = stream.poll_next_unpin(cx);
                                }
                            });
                            happened()
                        };
                        let in_time = is_done_within(MOST_POLLS, turn).await;
                        assert!(in_time, "{verb:?}, {order}, driven: {driven}: {what}");
                    };
                    gates.open(1);
                    let happened = || gates.finished().contains(&1);
                    done("one is woken", &happened).await;
                    let happened = || gates.called().contains(&2);
                    done("one waits for it", &happened).await;
                    subject.pauses.open(0);
                    let happened = || subject.went_on.borrow().contains(&0);
                    done("one returns", &happened).await;
                    feed.push(Ok(6));
                    let happened = || gates.called().contains(&6);
                    done("the source has one", &happened).await;
                }
            }
        }
    }

    /// A turn in which the caller uses up the budget before it polls the stream.
    fn poll_without_budget(task: &mut Task, driven: bool) {
        task.enter(|cx, mut stream| {
            let mut spent = std::pin::pin!(hog::<()>());
            assert_pending!(spent.as_mut().poll(cx));
            if driven {
                stream.advance(cx);
            } else {
                let _ = stream.poll_next_unpin(cx);
            }
        });
    }

    #[tokio::test]
    async fn nobody_starves_beside_two_hot_groups_and_a_caller_that_uses_up_the_budget() {
        for driven in [false, true] {
            for verb in VERBS {
                for (order, by) in orders(two_hot_groups) {
                    let setup = Setup::new(verb, 4)
                        .look_ahead(2_000)
                        .partition(|n| u32::from(n > 0));
                    let there = 0..=200;
                    let mut subject = Subject::new(setup, by, two_hot_groups, there, |n| n == 0);
                    assert_eq!(settled(&mut subject.task), [0; 0]);
                    let (gates, task) = (&subject.gates, &mut subject.task);
                    let mut done = async |what, turns, happened: &dyn Fn() -> bool| {
                        let turn = || {
                            let hot = gates.running().into_iter();
                            gates.open_all(hot.filter(|n| (1..=1_000).contains(n)));
                            poll_without_budget(task, driven);
                            happened()
                        };
                        let in_time = is_done_within(turns, turn).await;
                        assert!(in_time, "{verb:?}, {order}, driven: {driven}: {what}");
                    };
                    let happened = || gates.finished().len() == 8;
                    done("the hot groups go on", 40, &happened).await;
                    subject.feed.push(Ok(2_000));
                    let happened = || gates.called().contains(&2_000);
                    done("the source has one", MOST_POLLS, &happened).await;
                    subject.pauses.open(0);
                    let happened = || subject.went_on.borrow().contains(&0);
                    done("one returns", MOST_POLLS, &happened).await;
                }
            }
        }
    }

    #[tokio::test]
    async fn nobody_starves_beside_many_results_and_a_caller_that_uses_up_the_budget() {
        for verb in VERBS {
            for (order, by) in orders(|n| n) {
                let setup = Setup::new(verb, 400).partition(|n| n);
                let mut subject = Subject::new(setup, by, |n| n, 0..200, |n| n == 0);
                assert_eq!(settled(&mut subject.task), [0; 0]);
                subject.gates.open_all(1..200);
                for _ in 0..4 {
                    poll_without_budget(&mut subject.task, false);
                }
                subject.pauses.open(0);
                subject.feed.push(Ok(200));
                let turn = || {
                    poll_without_budget(&mut subject.task, false);
                    let returned = subject.went_on.borrow().contains(&0);
                    returned && subject.gates.called().contains(&200)
                };
                let in_time = is_done_within(2 * MOST_POLLS, turn).await;
                assert!(in_time, "{verb:?}, {order}");
            }
        }
    }

    #[tokio::test]
    async fn the_panic_of_a_spawned_handler_is_seen_beside_a_closure_that_uses_up_the_budget() {
        let driving = stream::iter([0, 1])
            .ordered_by_group(|n| *n, 2)
            .spawned()
            .then(async |n| {
                if n == 1 {
                    yield_now().await;
                    panic!("it panics");
                }
            })
            .drive(|_| hog());
        let mut driving = spawn(driving);
        let turn = || catch_unwind(AssertUnwindSafe(|| driving.poll().is_pending())).is_err();
        assert!(is_done_within(100, turn).await);
    }

    #[tokio::test]
    async fn spawned_handlers_are_heard_beside_a_closure_that_uses_up_the_budget() {
        // 3 starts when it is known that 1 or 2 has finished; until then the closure is at 0.
        let started = Arc::new(AtomicBool::new(false));
        let handler = {
            let started = Arc::clone(&started);
            move |n| {
                started.fetch_or(n == 3, Ordering::SeqCst);
                yield_now()
            }
        };
        let done = Cell::new(false);
        let driving = stream::iter(0..4)
            .ordered_by_group(|n| *n, 2)
            .spawned()
            .then(handler)
            .drive(|_| busy(&done));
        let mut driving = spawn(driving);
        let turn = || {
            done.set(started.load(Ordering::SeqCst));
            driving.poll().is_ready()
        };
        assert!(is_done_within(100, turn).await);
    }

    #[tokio::test]
    async fn the_source_is_read_beside_one_that_uses_up_the_budget() {
        for waits in [false, true] {
            let (to_stream, source) = unbounded_channel();
            (0..400).for_each(|n| to_stream.send(n).expect("the stream is there"));
            let called = Cell::new(0);
            let handler = |n| {
                called.set(called.get() + 1);
                match n {
                    0 if waits => without_slot(hog()).boxed_local(),
                    0 => hog().boxed_local(),
                    _ => ready(()).boxed_local(),
                }
            };
            let results = UnboundedReceiverStream::new(source)
                .ordered_by_group(|n| *n, 4)
                .then_unordered(handler);
            let mut task = spawn(results);
            while called.get() < 400 {
                let before = called.get();
                let turn = || {
                    let _ = task.poll_next();
                    called.get() > before
                };
                let in_time = is_done_within(MOST_POLLS, turn).await;
                assert!(in_time, "without a slot: {waits}: {before} of 400 are read");
            }
        }
    }

    /// A source of tokio's that is full of items.
    fn full(items: u32) -> impl Stream<Item = u32> {
        let (to_stream, source) = unbounded_channel();
        (0..items).for_each(|n| to_stream.send(n).expect("the stream is there"));
        UnboundedReceiverStream::new(source)
    }

    #[tokio::test]
    async fn one_that_wakes_itself_is_polled_beside_a_source_that_uses_up_the_budget() {
        // Of the hot key itself, or of another.
        for hot in [0, 1] {
            for (max_parallel, look_ahead) in [(2, 100_000), (1_000, 1_000_000)] {
                let (read, went_on) = (Cell::new(0), Cell::new(false));
                let key = |n: &u32| {
                    read.set(read.get() + 1);
                    if *n == 0 { 0 } else { hot }
                };
                let handler = async |n| {
                    if n == 0 {
                        yield_now().await;
                        went_on.set(true);
                    }
                    pending::<()>().await;
                };
                let results = full(100_000)
                    .ordered_by_group(key, max_parallel)
                    .look_ahead(look_ahead)
                    .then(handler);
                let mut task = spawn(results);
                let turn = || {
                    assert_pending!(task.poll_next());
                    went_on.get()
                };
                let in_time = is_done_within(1 + MOST_POLLS, turn).await;
                assert!(in_time, "{max_parallel} slots: not after {read:?} items");
                assert!(read.get() <= 1_200, "{max_parallel}: {read:?} items later");
            }
        }
    }
}
