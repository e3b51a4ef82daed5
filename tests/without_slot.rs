//! Chapter 18 of the contract: a handler that waits without a slot.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use futures::channel::oneshot;
use futures::future::Either::{Left, Right};
use futures::future::{FutureExt as _, join, select};
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{WithoutSlot, without_slot};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready};

use self::Step::{Returns, Starts};
use self::support::{
    FALLIBLE, Feed, Gated, Gates, Handling, Order, Setup, Task, VERBS, Verb, advance, items,
    settle, settled,
};

/// A handler takes a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Starts(u32),
    Returns(u32),
}

/// Handlers that pause without a slot and then wait at their gate with one. Counts who holds a slot, as they see it.
#[derive(Clone)]
struct Office {
    gates: Gates,
    /// The pause of an item has its number; the next is a thousand more.
    pauses: Gates,
    room: Rc<Room>,
}

#[derive(Default)]
struct Room {
    seated: Cell<usize>,
    peak: Cell<usize>,
    log: RefCell<Vec<Step>>,
    /// Whose wait is over and who has no slot yet.
    needing: RefCell<BTreeSet<u32>>,
    /// Whether a slot must go to the oldest: arrivals are the items 0, 1, 2, and so on.
    checks_order: Cell<bool>,
}

/// What a handler holds while it works.
struct Seat {
    office: Office,
    item: u32,
    taken: Cell<bool>,
}

impl Default for Office {
    fn default() -> Self {
        Self::new(Gates::default())
    }
}

impl Office {
    fn new(gates: Gates) -> Self {
        Self {
            gates,
            pauses: Gates::new(|pause| pause),
            room: Rc::default(),
        }
    }

    fn sit(&self, item: u32) -> Seat {
        let seat = Seat {
            office: self.clone(),
            item,
            taken: Cell::new(false),
        };
        seat.take(Starts(item));
        seat
    }

    /// A handler that pauses as often as it is told before it comes to its gate.
    fn handle(&self, item: u32, pauses: u32) -> Handling {
        let (seat, gate) = (self.sit(item), self.gates.handle(item));
        async move {
            for n in 0..pauses {
                seat.pause(item + 1_000 * n).await;
            }
            let end = gate.await;
            drop(seat);
            end
        }
        .boxed_local()
    }

    /// Those of `pausing` pause once.
    fn spawn(&self, setup: Setup, feed: &Feed<Result<u32, u32>>, pausing: &[u32]) -> Task {
        let (office, pausing) = (self.clone(), pausing.to_vec());
        setup
            .handler(move |item| office.handle(item, u32::from(pausing.contains(&item))))
            .spawn(feed, &self.gates)
    }

    fn end_pause(&self, pause: u32) {
        self.pauses.open(pause);
    }

    fn log(&self) -> Vec<Step> {
        self.room.log.borrow().clone()
    }

    /// The oldest before `end` that may go on or start and has no slot.
    fn oldest_that_needs_a_slot(&self, end: u32) -> Option<u32> {
        let called = self.gates.called();
        let running = self.gates.running();
        let busy: Vec<_> = running.iter().map(|item| self.gates.group(*item)).collect();
        let waits = |item: &u32| !called.contains(item) && !busy.contains(&self.gates.group(*item));
        let waiting = (0..end).find(waits);
        let needing = self.room.needing.borrow().first().copied();
        needing
            .filter(|item| *item < end)
            .into_iter()
            .chain(waiting)
            .min()
    }

    fn seated(&self) -> usize {
        self.room.seated.get()
    }
}

impl Seat {
    async fn pause(&self, pause: u32) {
        let mut waiting = self.office.pauses.handle(pause);
        without_slot(poll_fn(|cx| {
            let polled = waiting.poll_unpin(cx);
            if polled.is_pending() {
                self.leave();
            } else if !self.taken.get() {
                self.office.room.needing.borrow_mut().insert(self.item);
            }
            polled
        }))
        .await
        .expect("a pause does not fail");
        if !self.taken.get() {
            self.take(Returns(self.item));
        }
    }

    fn take(&self, step: Step) {
        let room = &self.office.room;
        assert!(!self.taken.replace(true));
        room.needing.borrow_mut().remove(&self.item);
        if room.checks_order.get() {
            let older = self.office.oldest_that_needs_a_slot(self.item);
            assert_eq!(older, None, "{step:?} goes before it");
        }
        room.seated.set(room.seated.get() + 1);
        room.peak.set(room.peak.get().max(room.seated.get()));
        room.log.borrow_mut().push(step);
    }

    fn leave(&self) {
        if self.taken.take() {
            let seated = &self.office.room.seated;
            seated.set(seated.get() - 1);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        self.office.room.needing.borrow_mut().remove(&self.item);
    }
}

/// With one slot: 10 pauses, the others do not.
fn one_slot(verb: Verb, feed: &Feed<Result<u32, u32>>) -> (Task, Office) {
    let office = Office::default();
    let task = office.spawn(Setup::new(verb, 1), feed, &[10]);
    (task, office)
}

/// Polls a stream as a runtime does, until nothing has woken the task: what came out. It must not end.
fn run<S: Stream>(task: &mut Spawn<S>) -> Vec<S::Item> {
    let mut out = Vec::new();
    loop {
        match task.poll_next() {
            Poll::Ready(next) => out.push(next.expect("no end")),
            Poll::Pending if task.is_woken() => {}
            Poll::Pending => return out,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_waits_the_other_groups_run_in_its_slot_and_its_own_group_does_not() {
    let start = Instant::now();
    let log = RefCell::new(Vec::new());
    let tell = |what: &str, item: &str| {
        let text = format!("{what} {item} at {}", start.elapsed().as_millis());
        log.borrow_mut().push(text);
    };
    stream::iter(["a1", "b1", "a2", "c1", "b2"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .then(|item| {
            let tell = &tell;
            async move {
                tell("starts", item);
                if item == "a1" {
                    without_slot(sleep(Duration::from_secs(1))).await;
                    tell("returns", item);
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .collect::<Vec<_>>()
        .await;
    let expected = [
        "starts a1 at 0",
        "starts b1 at 0",
        "starts c1 at 10",
        "starts b2 at 20",
        "returns a1 at 1000",
        "starts a2 at 1010",
    ];
    assert_eq!(log.into_inner(), expected);
}

#[test]
fn in_every_verb_a_waiting_handler_holds_its_group_and_no_slot() {
    for verb in VERBS {
        let feed = items([10, 11, 20, 21, 30]);
        feed.close();
        let (mut task, office) = one_slot(verb, &feed);
        let mut out = settled(&mut task);
        assert_eq!(office.log(), [Starts(10), Starts(20)], "{verb:?}");
        assert_eq!((office.seated(), task.counts().running), (1, 2));
        office.gates.open_all([20, 21, 30]);
        out.extend(settled(&mut task));
        assert_eq!(office.gates.running(), [10], "{verb:?}");
        assert_eq!(task.unfinished(), [10, 11], "{verb:?}");
        office.end_pause(10);
        out.extend(settled(&mut task));
        assert_eq!(office.gates.running(), [10], "{verb:?}: at its gate");
        office.gates.open_all([10, 11]);
        let end = settle(&mut task);
        assert_eq!(end.last(), Some(&None), "{verb:?}");
        out.extend(end.into_iter().flatten().map(|next| next.unwrap().item));
        let expected = [
            Starts(10),
            Starts(20),
            Starts(21),
            Starts(30),
            Returns(10),
            Starts(11),
        ];
        assert_eq!(office.log(), expected, "{verb:?}");
        if verb.in_source_order() {
            assert_eq!(out, [10, 11, 20, 21, 30], "{verb:?}");
        } else {
            assert_eq!(out, [20, 21, 30, 10, 11], "{verb:?}");
        }
        office.gates.assert_all_dropped_once();
    }
}

#[test]
fn one_that_returns_goes_before_the_source_is_read() {
    for verb in VERBS {
        let feed = items([10, 20, 30]);
        let (mut task, office) = one_slot(verb, &feed);
        settled(&mut task);
        office.end_pause(10);
        settled(&mut task);
        assert_eq!(office.log().len(), 2, "{verb:?}: it has no slot yet");
        office.gates.open(20);
        settled(&mut task);
        let expected = [Starts(10), Starts(20), Returns(10)];
        assert_eq!(office.log(), expected, "{verb:?}");
        assert_eq!(feed.pulled(), 2, "{verb:?}");
        office.gates.open(10);
        settled(&mut task);
        assert_eq!(office.log()[3..], [Starts(30)], "{verb:?}");
    }
}

/// Pauses until it is told, and finishes without having come back.
fn leaves_from_its_pause(office: &Office, item: u32) -> Handling {
    let (seat, gate) = (office.sit(item), office.gates.handle(item));
    async move {
        let pause = pin!(seat.pause(item));
        select(pause, gate).await;
        Ok(item)
    }
    .boxed_local()
}

#[test]
fn the_oldest_goes_first_whether_it_returns_or_waits_behind_its_group() {
    // 10, 20 and 40 wait without a slot, 30 holds the only one.
    for verb in VERBS {
        let feed = items([10, 11, 20, 21, 40, 41, 30]);
        let office = Office::default();
        let handler = {
            let office = office.clone();
            move |item| match item {
                10 | 40 => leaves_from_its_pause(&office, item),
                20 => office.handle(item, 1),
                _ => office.handle(item, 0),
            }
        };
        let mut task = Setup::new(verb, 1)
            .handler(handler)
            .spawn(&feed, &office.gates);
        settled(&mut task);
        assert_eq!(task.counts().waiting, 3, "{verb:?}");
        assert_eq!(office.seated(), 1, "{verb:?}");
        let before = office.log().len();
        feed.push(Ok(50));
        // The youngest first: 40 leaves and 41 may start, then 20 wants to return, then 11 may start.
        office.gates.open(40);
        settled(&mut task);
        office.end_pause(20);
        settled(&mut task);
        office.gates.open(10);
        settled(&mut task);
        assert_eq!(office.log().len(), before, "{verb:?}: 30 has the slot");
        for item in [30, 11, 20, 21, 41, 50] {
            office.gates.open(item);
            settled(&mut task);
        }
        let expected = [Starts(11), Returns(20), Starts(21), Starts(41), Starts(50)];
        assert_eq!(office.log()[before..], expected, "{verb:?}");
    }
}

#[test]
fn of_several_that_return_the_oldest_goes_first() {
    for verb in VERBS {
        let feed = items([10, 20, 30, 40]);
        let office = Office::default();
        let mut task = office.spawn(Setup::new(verb, 1), &feed, &[10, 20, 30]);
        settled(&mut task);
        for pause in [30, 10, 20] {
            office.end_pause(pause);
            settled(&mut task);
        }
        office.gates.open_all([40, 30, 20, 10]);
        settled(&mut task);
        let expected = [Returns(10), Returns(20), Returns(30)];
        assert_eq!(office.log()[4..], expected, "{verb:?}");
    }
}

#[test]
fn one_whose_wait_ends_as_a_slot_comes_free_goes_before_what_is_unread() {
    for verb in VERBS {
        for case in 0..4 {
            // Handlers that were there before decide who is where in the operator's memory.
            let [first, older, younger] = [0, 10, 20];
            let feed = items([first, older, younger]);
            let office = Office::default();
            let mut task = office.spawn(Setup::new(verb, 1), &feed, &[first, older]);
            settled(&mut task);
            if case >= 2 {
                office.end_pause(first);
                office.gates.open_all([first, younger]);
                settled(&mut task);
                feed.push(Ok(21));
                settled(&mut task);
            }
            let last = *office.gates.called().last().unwrap();
            let (steps, pulled) = (office.log().len(), feed.pulled());
            feed.push(Ok(30));
            if case % 2 == 0 {
                office.end_pause(older);
                office.gates.open(last);
            } else {
                office.gates.open(last);
                office.end_pause(older);
            }
            settled(&mut task);
            assert_eq!(office.log()[steps..], [Returns(older)], "{verb:?}, {case}");
            assert_eq!(feed.pulled(), pulled, "{verb:?}, {case}");
        }
    }
}

#[test]
fn one_whose_wait_ends_as_an_item_arrives_goes_before_it() {
    for verb in VERBS {
        for wait_ends_first in [true, false] {
            let feed = items([10]);
            let (mut task, office) = one_slot(verb, &feed);
            settled(&mut task);
            if wait_ends_first {
                office.end_pause(10);
                feed.push(Ok(20));
            } else {
                feed.push(Ok(20));
                office.end_pause(10);
            }
            settled(&mut task);
            let expected = [Starts(10), Returns(10)];
            assert_eq!(office.log(), expected, "{verb:?}, {wait_ends_first}");
        }
    }
}

#[test]
fn while_look_ahead_handlers_wait_the_source_is_not_read() {
    for verb in VERBS {
        let feed = items([10, 20, 30, 40, 50]);
        let office = Office::default();
        let setup = Setup::new(verb, 1).look_ahead(3);
        let mut task = office.spawn(setup, &feed, &[10, 20, 30, 40, 50]);
        settled(&mut task);
        assert_eq!((feed.pulled(), office.seated()), (3, 0), "{verb:?}");
        assert_eq!(task.counts().running, 3, "{verb:?}");
        let polls = feed.polls();
        feed.wake();
        settled(&mut task);
        for _ in 0..10 {
            assert_pending!(task.poll_next());
        }
        assert_eq!(feed.polls(), polls, "{verb:?}");
        office.end_pause(10);
        settled(&mut task);
        assert_eq!(feed.polls(), polls, "{verb:?}");
        office.gates.open(10);
        assert_eq!(settled(&mut task), [10]);
        assert_eq!(feed.pulled(), 4, "{verb:?}");
    }
}

#[test]
fn a_handler_may_wait_again() {
    for verb in VERBS {
        let feed = items([10, 20, 30, 40]);
        let office = Office::default();
        let handler = {
            let office = office.clone();
            move |item| office.handle(item, if item == 10 { 2 } else { 0 })
        };
        let mut task = Setup::new(verb, 1)
            .handler(handler)
            .spawn(&feed, &office.gates);
        settled(&mut task);
        office.end_pause(10);
        settled(&mut task);
        office.gates.open(20);
        settled(&mut task);
        // It has returned and waits again, so the next item has the slot.
        assert_eq!(
            office.log(),
            [Starts(10), Starts(20), Returns(10), Starts(30)],
            "{verb:?}"
        );
        office.end_pause(1_010);
        settled(&mut task);
        office.gates.open(30);
        settled(&mut task);
        assert_eq!(office.log()[4..], [Returns(10)], "{verb:?}");
        office.gates.open(10);
        settled(&mut task);
        assert_eq!(office.log()[5..], [Starts(40)], "{verb:?}");
    }
}

#[test]
fn a_future_that_is_ready_at_once_keeps_the_slot() {
    for verb in VERBS {
        let feed = items([10, 20]);
        let (mut task, office) = one_slot(verb, &feed);
        office.end_pause(10);
        settled(&mut task);
        assert_eq!(office.log(), [Starts(10)], "{verb:?}");
        assert_eq!(office.gates.polls(10), 1, "{verb:?}");
        assert_eq!(feed.pulled(), 1, "{verb:?}");
    }
}

#[test]
fn a_handler_that_needs_a_slot_is_not_polled_until_it_has_one() {
    let polls = Rc::new(Cell::new(0));
    let gates = Gates::default();
    let mut task = spawn(
        stream::iter([10, 20])
            .ordered_by_group(|item| *item, 1)
            .then_unordered(|item| {
                let (polls, gates) = (Rc::clone(&polls), gates.clone());
                let mut handler = Box::pin(async move {
                    if item == 10 {
                        // The other branch can be woken while the handler needs a slot.
                        let wait = without_slot(gates.handle(item));
                        join(wait, gates.handle(30)).await.0
                    } else {
                        gates.handle(item).await
                    }
                });
                poll_fn(move |cx| {
                    polls.set(polls.get() + usize::from(item == 10));
                    handler.poll_unpin(cx)
                })
            }),
    );
    assert_pending!(task.poll_next());
    gates.open(10);
    assert!(run(&mut task).is_empty());
    let before = polls.get();
    assert_eq!(before, 2);
    for _ in 0..3 {
        gates.waker(30).wake();
        assert!(run(&mut task).is_empty());
    }
    gates.open(30);
    assert!(run(&mut task).is_empty());
    assert_eq!(polls.get(), before, "it has no slot");
    gates.open(20);
    assert_eq!(assert_ready!(task.poll_next()).unwrap().0, Ok(20));
    assert_eq!(assert_ready!(task.poll_next()).unwrap().0, Ok(10));
    assert_eq!(polls.get(), before + 1);
}

#[test]
fn in_a_join_the_other_branches_go_on_without_a_slot() {
    let feed = items([10, 20]);
    feed.close();
    let office = Office::default();
    let handler = {
        let office = office.clone();
        move |item| {
            let (seat, gate) = (office.sit(item), office.gates.handle(item));
            let office = office.clone();
            async move {
                if item != 10 {
                    return gate.await;
                }
                let other = async {
                    office.pauses.handle(501).await.unwrap();
                    office.pauses.handle(502).await.unwrap();
                };
                join(seat.pause(10), other).await;
                gate.await
            }
            .boxed_local()
        }
    };
    let mut task = Setup::new(Verb::ThenUnordered, 1)
        .handler(handler)
        .spawn(&feed, &office.gates);
    settled(&mut task);
    assert_eq!(office.log(), [Starts(10), Starts(20)]);
    // 20 has the slot; the branch goes from one await to the next all the same.
    office.pauses.open(501);
    settled(&mut task);
    assert_eq!(office.pauses.finished(), [501]);
    assert_eq!(office.pauses.polls(502), 1);
    office.pauses.open(10);
    settled(&mut task);
    assert_eq!(office.log().len(), 2, "it needs a slot now, and has none");
    office.pauses.open(502);
    settled(&mut task);
    assert_eq!(
        office.pauses.finished(),
        [501, 10],
        "so nothing of it goes on"
    );
    office.gates.open(20);
    assert_eq!(settled(&mut task), [20]);
    assert_eq!(office.log()[2..], [Returns(10)]);
    assert_eq!(office.pauses.finished(), [501, 10, 502]);
    office.gates.open(10);
    assert_eq!(settle(&mut task).len(), 2);
}

#[test]
fn two_waits_in_one_handler_give_up_the_slot_until_the_last_of_them_is_done() {
    let feed = items([10, 20, 30]);
    let office = Office::default();
    let handler = {
        let office = office.clone();
        move |item| {
            let (seat, gate) = (office.sit(item), office.gates.handle(item));
            let pauses = office.pauses.clone();
            async move {
                if item == 10 {
                    let (one, two) = (pauses.handle(501), pauses.handle(502));
                    join(without_slot(one), without_slot(two)).await.0.unwrap();
                }
                let end = gate.await;
                drop(seat);
                end
            }
            .boxed_local()
        }
    };
    let mut task = Setup::new(Verb::ThenUnordered, 1)
        .handler(handler)
        .spawn(&feed, &office.gates);
    settled(&mut task);
    assert_eq!(office.gates.called(), [10, 20]);
    office.pauses.open(501);
    settled(&mut task);
    office.gates.open(20);
    assert_eq!(settled(&mut task), [20]);
    assert_eq!(office.gates.called(), [10, 20, 30], "one still waits");
    office.pauses.open(502);
    settled(&mut task);
    assert_eq!(office.gates.polls(10), 0, "30 has the slot");
    office.gates.open(30);
    assert_eq!(settled(&mut task), [30]);
    assert_eq!(office.gates.polls(10), 1);
}

#[test]
fn dropped_by_a_select_it_goes_on_to_the_next_await_and_from_there_with_a_slot() {
    let feed = items([10, 20, 30]);
    let office = Office::default();
    let steps = Rc::new(RefCell::new(Vec::new()));
    let handler = {
        let (office, steps) = (office.clone(), Rc::clone(&steps));
        move |item| {
            let (seat, gate) = (office.sit(item), office.gates.handle(item));
            let (pauses, steps) = (office.pauses.clone(), Rc::clone(&steps));
            async move {
                if item == 10 {
                    select(without_slot(pending::<()>()), pauses.handle(501)).await;
                    steps.borrow_mut().push("left the wait");
                    pauses.handle(502).await.unwrap();
                    steps.borrow_mut().push("had a slot");
                }
                let end = gate.await;
                drop(seat);
                end
            }
            .boxed_local()
        }
    };
    let mut task = Setup::new(Verb::ThenUnordered, 1)
        .handler(handler)
        .spawn(&feed, &office.gates);
    settled(&mut task);
    assert_eq!(office.gates.called(), [10, 20]);
    office.pauses.open(501);
    settled(&mut task);
    assert_eq!(*steps.borrow(), ["left the wait"]);
    assert_eq!(office.pauses.polls(502), 1);
    office.pauses.open(502);
    settled(&mut task);
    assert_eq!(office.pauses.polls(502), 1, "20 has the slot");
    office.gates.open(20);
    assert_eq!(settled(&mut task), [20]);
    assert_eq!(*steps.borrow(), ["left the wait", "had a slot"]);
    assert_eq!(feed.pulled(), 2, "10 goes before what is unread");
}

#[test]
fn dropped_in_the_poll_in_which_it_waits_it_keeps_the_slot() {
    let gates = Gates::default();
    let mut task = spawn(
        stream::iter([10, 20])
            .ordered_by_group(|item| *item, 1)
            .then(|item| {
                let gate = gates.handle(item);
                async move {
                    select(without_slot(pending::<()>()), ready(())).await;
                    gate.await
                }
            }),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [10]);
}

#[test]
fn in_a_nested_operator_it_gives_up_the_inner_slot_and_not_the_outer() {
    let inner_gates = Gates::new(|item| item);
    let pauses = Gates::new(|pause| pause);
    let outer_called = Cell::new(0);
    let mut task = spawn(
        stream::iter([1, 2])
            .ordered_by_group(|item| *item, 1)
            .then_unordered(|outer| {
                outer_called.set(outer_called.get() + 1);
                let (inner_gates, pauses) = (inner_gates.clone(), pauses.clone());
                async move {
                    stream::iter([10 * outer, 10 * outer + 1])
                        .ordered_by_group(|item| *item, 1)
                        .then_unordered(|item| {
                            let gate = inner_gates.handle(item);
                            let pauses = pauses.clone();
                            async move {
                                if item == 10 {
                                    without_slot(pauses.handle(item)).await.unwrap();
                                }
                                gate.await.unwrap()
                            }
                        })
                        .map(|(item, _)| item)
                        .collect::<Vec<_>>()
                        .await
                }
            }),
    );
    assert_pending!(task.poll_next());
    assert_eq!(inner_gates.called(), [10, 11], "the inner slot is free");
    assert_eq!(outer_called.get(), 1, "the outer is not");
    pauses.open(10);
    assert!(run(&mut task).is_empty());
    assert_eq!(inner_gates.polls(10), 0, "11 has the inner slot");
    inner_gates.open_all([10, 11]);
    assert_eq!(assert_ready!(task.poll_next()).unwrap().0, [11, 10]);
}

#[test]
fn around_a_nested_operator_it_gives_up_the_outer_slot_and_not_the_inner() {
    let (outer, inner) = (Gates::default(), Gates::new(|item| item));
    let mut task = spawn(
        stream::iter([10, 20])
            .ordered_by_group(|item| *item, 1)
            .then_unordered(|item| {
                let (gate, inner) = (outer.handle(item), inner.clone());
                async move {
                    if item == 10 {
                        let inner = stream::iter([1, 2])
                            .ordered_by_group(|item| *item, 1)
                            .then(|item| inner.handle(item))
                            .count();
                        assert_eq!(without_slot(inner).await, 2);
                    }
                    gate.await.unwrap()
                }
            }),
    );
    assert_pending!(task.poll_next());
    assert_eq!(outer.called(), [10, 20]);
    assert_eq!(inner.called(), [1]);
    inner.open_all([1, 2]);
    assert!(run(&mut task).is_empty());
    assert_eq!(inner.finished(), [1, 2]);
    assert_eq!(outer.polls(10), 0);
    outer.open(20);
    assert_eq!(assert_ready!(task.poll_next()).unwrap().0, 20);
    outer.open(10);
    assert_eq!(assert_ready!(task.poll_next()).unwrap().0, 10);
}

#[tokio::test(start_paused = true)]
async fn a_nested_operators_waits_are_not_those_of_the_handler_around_it() {
    // a waits by itself, and beside that runs an operator whose handler waits, too, and works afterwards.
    let start = Instant::now();
    let starts = RefCell::new(Vec::new());
    stream::iter(["a", "b"])
        .ordered_by_group(|item| *item, 1)
        .then_unordered(|item| {
            starts.borrow_mut().push((item, start.elapsed().as_secs()));
            async move {
                if item == "b" {
                    return sleep(Duration::from_secs(1)).await;
                }
                let inner = stream::iter(["x", "y"])
                    .ordered_by_group(|item| *item, 1)
                    .then(|_| async {
                        without_slot(sleep(Duration::from_secs(2))).await;
                        sleep(Duration::from_secs(2)).await;
                    });
                let outer = without_slot(sleep(Duration::from_secs(20)));
                let ((), inner) = futures::join!(outer, inner.count());
                assert_eq!(inner, 2);
            }
        })
        .count()
        .await;
    // b has the slot at once: a has none while it waits, whatever goes on inside it.
    assert_eq!(starts.into_inner(), [("a", 0), ("b", 0)]);
    assert_eq!(start.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn in_a_task_that_a_handler_spawned_it_is_a_plain_await() {
    let start = Instant::now();
    let starts = RefCell::new(Vec::new());
    stream::iter([1, 2])
        .ordered_by_group(|item| *item, 1)
        .then(|item| {
            starts.borrow_mut().push((item, start.elapsed().as_secs()));
            async {
                let task = tokio::spawn(without_slot(sleep(Duration::from_secs(1))));
                task.await.unwrap();
            }
        })
        .count()
        .await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(starts.into_inner(), [(1, 0), (2, 1)]);
}

type Wait = Pin<Box<WithoutSlot<Gated, Result<u32, u32>>>>;

/// A handler that waits without a slot, polls so many times, gives the wait away and finishes.
async fn gives_away(mut wait: Wait, polls: usize, to: oneshot::Sender<Wait>) {
    let mut polled = 0;
    poll_fn(|cx| {
        polled += 1;
        assert!(wait.poll_unpin(cx).is_pending());
        if polled == polls {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert!(to.send(wait).is_ok());
}

/// 10 gives its wait away after so many polls, 20 takes it, and 30 and 40 are of other groups.
fn moved(polls: usize) -> (Task, Gates, Gates) {
    let (gates, pauses) = (Gates::default(), Gates::new(|pause| pause));
    let (send, receive) = oneshot::channel();
    let (send, receive) = (Cell::new(Some(send)), Cell::new(Some(receive)));
    let handler = {
        let (gates, pauses) = (gates.clone(), pauses.clone());
        move |item| {
            let gate = gates.handle(item);
            match item {
                10 => {
                    let wait = Box::pin(without_slot(pauses.handle(1)));
                    let given = gives_away(wait, polls, send.take().unwrap());
                    given.map(|()| Ok(10)).boxed_local()
                }
                20 => {
                    let receive = receive.take().unwrap();
                    async move {
                        receive.await.unwrap().await.unwrap();
                        gate.await
                    }
                    .boxed_local()
                }
                _ => gate.boxed_local(),
            }
        }
    };
    let task = Setup::new(Verb::ThenUnordered, 1)
        .handler(handler)
        .spawn(&items([10, 20, 30, 40]), &gates);
    (task, gates, pauses)
}

#[test]
fn moved_to_another_handler_while_it_waits_it_gives_up_the_slot_of_that_one() {
    let (mut task, gates, pauses) = moved(1);
    assert_eq!(settled(&mut task), [10]);
    assert_eq!(gates.called(), [10, 20, 30]);
    pauses.open(1);
    settled(&mut task);
    assert_eq!(gates.polls(20), 0, "30 has the slot");
    gates.open(30);
    assert_eq!(settled(&mut task), [30]);
    assert_eq!(gates.polls(20), 1);
    assert_eq!(gates.called(), [10, 20, 30], "20 has the slot");
}

#[test]
fn moved_to_another_handler_once_its_future_is_done_it_is_ready_there() {
    let (mut task, gates, pauses) = moved(2);
    settled(&mut task);
    assert_eq!(gates.called(), [10, 20], "20 has the slot that 10 gave up");
    pauses.open(1);
    assert_eq!(settled(&mut task), [10]);
    assert_eq!(gates.polls(20), 1);
    assert_eq!(gates.called(), [10, 20]);
}

#[test]
fn moved_out_of_the_operator_it_is_a_plain_await() {
    for polls in [1, 2] {
        let (send, receive) = oneshot::channel();
        let mut send = Some(send);
        let pauses = Gates::new(|pause| pause);
        let mut task = spawn(
            // 20 has the slot, so that 10 is done without one.
            stream::iter([10, 20])
                .ordered_by_group(|item| *item, 1)
                .then(|item| {
                    if item == 20 {
                        return pending().boxed_local();
                    }
                    let wait = Box::pin(without_slot(pauses.handle(1)));
                    gives_away(wait, polls, send.take().unwrap()).boxed_local()
                }),
        );
        let early = task.poll_next().is_ready();
        assert_eq!(early, polls == 1);
        pauses.open(1);
        if !early {
            assert_ready!(task.poll_next());
        }
        let wait = receive.now_or_never().unwrap().unwrap();
        assert_eq!(wait.now_or_never(), Some(Ok(1)));
    }
}

/// 10 waits without a slot for two futures of a set that polls only what is woken; 20 and 30 do not.
fn of_a_set() -> (Task, Gates, Gates) {
    let (gates, pauses) = (Gates::default(), Gates::new(|pause| pause));
    let handler = {
        let (gates, pauses) = (gates.clone(), pauses.clone());
        move |item| {
            let (gate, pauses) = (gates.handle(item), pauses.clone());
            async move {
                if item == 10 {
                    let waits = [1, 2].map(|n| without_slot(pauses.handle(n)));
                    let mut waits = FuturesUnordered::from_iter(waits);
                    while waits.next().await.is_some() {}
                }
                gate.await
            }
            .boxed_local()
        }
    };
    let task = Setup::new(Verb::ThenUnordered, 1)
        .handler(handler)
        .spawn(&items([10, 20, 30]), &gates);
    (task, gates, pauses)
}

#[test]
fn in_a_set_that_polls_only_what_is_woken_it_gives_up_the_slot() {
    let (mut task, gates, pauses) = of_a_set();
    settled(&mut task);
    assert_eq!(gates.called(), [10, 20]);
    pauses.open(1);
    settled(&mut task);
    gates.open(20);
    assert_eq!(settled(&mut task), [20]);
    assert_eq!(gates.called(), [10, 20, 30], "one of the two still waits");
}

#[test]
fn in_a_set_that_polls_only_what_is_woken_it_comes_back() {
    let (mut task, gates, pauses) = of_a_set();
    gates.open_all([10, 20, 30]);
    let mut out = settled(&mut task);
    // Polled in vain once, so that only the other is polled later.
    pauses.wake(1);
    out.extend(settled(&mut task));
    pauses.open(1);
    out.extend(settled(&mut task));
    pauses.open(2);
    out.extend(settled(&mut task));
    out.sort();
    assert_eq!(out, [10, 20, 30]);
}

#[test]
fn dropped_while_it_waits_it_drops_its_future_once_and_wakes_nobody() {
    for verb in VERBS {
        let feed = items([10, 20, 11]);
        let (mut task, office) = one_slot(verb, &feed);
        settled(&mut task);
        let waker = office.pauses.waker(10);
        drop(task);
        assert_eq!(office.pauses.drops(10), 1, "{verb:?}");
        office.gates.assert_all_dropped_once();
        waker.wake();
        assert_eq!((office.seated(), office.pauses.live()), (0, 0), "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn outside_any_operator_it_is_a_plain_await() {
    let start = Instant::now();
    assert_eq!(without_slot(ready(1)).await, 1);
    without_slot(without_slot(sleep(Duration::from_secs(1)))).await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!(without_slot(pending::<()>()).now_or_never().is_none());
    let mut debug = without_slot(ready(1));
    assert!(format!("{debug:?}").contains("WithoutSlot"));
    assert_eq!((&mut debug).await, 1);
}

#[test]
fn after_a_panic_in_a_handler_the_thread_is_outside_any_operator() {
    for waits in [false, true] {
        let gates = Gates::default();
        let mut task = spawn(
            stream::iter([10, 20])
                .ordered_by_group(|item| *item, 1)
                .then(|item| {
                    let gate = gates.handle(item);
                    async move {
                        if waits && item == 10 {
                            join(without_slot(pending::<()>()), gate).await.1.unwrap();
                        } else {
                            gate.await.unwrap();
                        }
                    }
                }),
        );
        assert_pending!(task.poll_next());
        gates.end(10, support::End::Panic);
        let panic = catch_unwind(AssertUnwindSafe(|| task.poll_next()));
        assert!(panic.is_err());
        drop(task);
        let mut wait = spawn(without_slot(gates.handle(30)));
        assert_pending!(wait.poll());
        gates.open(30);
        assert!(wait.is_woken());
        assert_eq!(assert_ready!(wait.poll()), Ok(30));
    }
}

#[test]
fn outside_any_operator_it_leaves_nothing_on_the_thread() {
    let mut wait = pin!(without_slot(pending::<()>()));
    let mut cx = Context::from_waker(Waker::noop());
    let allocated = measure(|| assert_pending!(wait.as_mut().poll(&mut cx)));
    assert_eq!(allocated.count_total, 0);
}

/// A stream that is polled once more when its thread ends.
struct PolledAtTheEnd(Pin<Box<dyn Stream<Item = (u32, u64)>>>);

impl PolledAtTheEnd {
    fn poll(&mut self) -> Poll<Option<(u32, u64)>> {
        self.0
            .as_mut()
            .poll_next(&mut Context::from_waker(Waker::noop()))
    }
}

impl Drop for PolledAtTheEnd {
    fn drop(&mut self) {
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll()));
        assert!(polled.is_err() || polled.is_ok_and(|polled| polled.is_pending()));
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<PolledAtTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn polled_while_its_thread_ends_it_panics_at_most_once() {
    let thread = std::thread::spawn(|| {
        AT_THE_END.with_borrow_mut(|at_the_end| {
            let results =
                stream::iter([10])
                    .ordered_by_group(|item| *item, 1)
                    .then(|item| async move {
                        without_slot(poll_fn(|cx| {
                            cx.waker().wake_by_ref();
                            Poll::<()>::Pending
                        }))
                        .await;
                        item
                    });
            let results = at_the_end.insert(PolledAtTheEnd(Box::pin(results)));
            assert_pending!(results.poll());
        });
    });
    thread.join().unwrap();
}

#[test]
fn a_handler_survives_the_panic_of_a_nested_one_that_waits() {
    let (gates, inner_gates) = (Gates::default(), Gates::default());
    let mut task = spawn(
        stream::iter([10, 20])
            .chain(stream::pending())
            .ordered_by_group(|item| *item, 1)
            .then(|item| {
                let inner = inner_gates.clone();
                let nested = stream::iter([30, 40])
                    .ordered_by_group(|item| *item, 1)
                    .then(move |item| {
                        let gate = inner.handle(item);
                        async move {
                            if item == 30 {
                                join(without_slot(pending::<()>()), gate).await.1
                            } else {
                                gate.await
                            }
                        }
                    });
                let gate = gates.handle(item);
                async move {
                    if item == 20 {
                        return gate.await;
                    }
                    let mut nested = pin!(nested);
                    let nested_breaks = poll_fn(|cx| {
                        let polled = AssertUnwindSafe(|| nested.as_mut().poll_next(cx));
                        match catch_unwind(polled) {
                            Ok(polled) => polled.map(|_| false),
                            Err(_) => Poll::Ready(true),
                        }
                    });
                    // Polled first, so that the handler's own wait comes after the panic.
                    let (breaks, gone_on) = join(nested_breaks, without_slot(gate)).await;
                    assert!(breaks);
                    gone_on
                }
            }),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [10, 20], "10 waits without a slot");
    inner_gates.end(30, support::End::Panic);
    assert_pending!(task.poll_next());
    gates.open(10);
    assert_pending!(task.poll_next());
    assert_eq!(gates.finished(), [10], "its wait is over");
    assert_pending!(task.poll_next());
    gates.open(20);
    let out = run(&mut task);
    assert_eq!(
        out,
        [(Ok(10), 0), (Ok(20), 1)],
        "10 went on with the slot of 20"
    );
}

#[test]
fn what_a_handler_leaves_behind_is_no_wait_of_the_next_in_its_place() {
    let left_behind = Rc::new(RefCell::new(None));
    let gates = Gates::default();
    let mut task = spawn(
        stream::iter([10, 20, 30])
            .chain(stream::pending())
            .ordered_by_group(|item| *item, 1)
            .then(|item| {
                let gate = gates.handle(item);
                let left_behind = Rc::clone(&left_behind);
                async move {
                    if item == 10 {
                        let mut wait = Box::pin(without_slot(pending::<()>()));
                        let waits = poll_fn(|cx| Poll::Ready(wait.poll_unpin(cx))).await;
                        assert_pending!(waits);
                        left_behind.borrow_mut().replace(wait);
                    }
                    gate.await
                }
            }),
    );
    gates.open(10);
    assert_eq!(run(&mut task), [(Ok(10), 0)]);
    assert!(left_behind.borrow().is_some(), "it waits on, for nobody");
    assert_eq!(gates.called(), [10, 20], "20 holds the slot");
    gates.open(20);
    assert_eq!(run(&mut task), [(Ok(20), 1)]);
}

#[test]
fn one_that_returns_goes_before_what_waits_behind_one_that_finishes_with_it() {
    for verb in VERBS {
        let feed = items([10, 20, 11, 30]);
        let office = Office::default();
        let mut task = office.spawn(Setup::new(verb, 2), &feed, &[20]);
        settled(&mut task);
        office.gates.open(10);
        office.end_pause(20);
        settled(&mut task);
        let steps = [Starts(10), Starts(20), Starts(30), Returns(20)];
        assert_eq!(office.log(), steps, "{verb:?}: 11 is younger than 20");
        office.gates.open(30);
        settled(&mut task);
        assert_eq!(office.log()[4..], [Starts(11)], "{verb:?}");
    }
}

#[test]
fn with_several_keys_too_the_oldest_goes_first_whether_it_returns_or_waits() {
    let order = Order::Groups(Rc::new(|item| vec![item / 10]));
    for (arrivals, next) in [
        ([10, 20, 21, 30], [Returns(10), Starts(21)]),
        ([20, 21, 10, 30], [Starts(21), Returns(10)]),
    ] {
        for verb in VERBS {
            let feed = items(arrivals);
            let office = Office::default();
            let inner = office.clone();
            let mut task = Setup::new(verb, 2)
                .handler(move |item| inner.handle(item, u32::from(item == 10)))
                .spawn_in(&order, &feed, &office.gates);
            settled(&mut task);
            assert_eq!(office.log().len(), 3, "{verb:?}: all but 21");
            office.gates.open(20);
            office.end_pause(10);
            settled(&mut task);
            assert_eq!(office.log()[3..], next[..1], "{verb:?}");
            office.gates.open(30);
            settled(&mut task);
            assert_eq!(office.log()[3..], next, "{verb:?}");
        }
    }
}

#[test]
fn after_a_panic_in_a_handler_that_waits_those_of_other_streams_hold_their_slots() {
    let gates = Gates::default();
    let mut broken = spawn(
        stream::iter([90])
            .ordered_by_group(|item| *item, 1)
            .then(|item| join(without_slot(pending::<()>()), gates.handle(item))),
    );
    assert_pending!(broken.poll_next());
    gates.end(90, support::End::Panic);
    assert!(catch_unwind(AssertUnwindSafe(|| broken.poll_next())).is_err());
    // What is left of it is there still.
    let feed = items([10, 20]);
    let (mut task, office) = one_slot(Verb::Then, &feed);
    settled(&mut task);
    assert_eq!(office.log(), [Starts(10), Starts(20)]);
    office.gates.open(20);
    settled(&mut task);
    office.end_pause(10);
    settled(&mut task);
    feed.push(Ok(30));
    settled(&mut task);
    assert_eq!(office.log()[2..], [Returns(10)], "10 has the slot");
}

#[test]
fn a_failure_lets_an_earlier_one_that_waits_finish_and_starts_nothing_past_it() {
    for verb in FALLIBLE {
        let feed = items([10, 11, 20, 21, 30, 31]);
        let office = Office::default();
        let mut task = office.spawn(Setup::new(verb, 2), &feed, &[10, 30]);
        settled(&mut task);
        assert_eq!(office.gates.running(), [10, 20, 30], "{verb:?}");
        office.gates.fail(20);
        assert_eq!(settle(&mut task), [], "{verb:?}");
        feed.push(Ok(40));
        office.end_pause(30);
        assert_eq!(settle(&mut task), [], "{verb:?}");
        office.end_pause(10);
        settled(&mut task);
        office.gates.open(10);
        assert_eq!(settled(&mut task), [10], "{verb:?}");
        office.gates.open(11);
        let out = settle(&mut task);
        assert_eq!(out[0].unwrap().unwrap().item, 11, "{verb:?}");
        assert_eq!(out[1..], [Some(Err(20)), None], "{verb:?}");
        assert_eq!(office.gates.called(), [10, 20, 30, 11], "{verb:?}");
        office.gates.assert_all_dropped_once();
    }
}

#[test]
fn a_failed_one_that_waits_is_the_end_whoever_has_the_slot() {
    for verb in FALLIBLE {
        let feed = items([10, 20, 30]);
        let (mut task, office) = one_slot(verb, &feed);
        settled(&mut task);
        office.gates.fail(10);
        office.end_pause(10);
        settled(&mut task);
        office.gates.open(20);
        let out = settle(&mut task);
        assert_eq!(out[out.len() - 2..], [Some(Err(10)), None], "{verb:?}");
        assert_eq!(out.len(), if verb.in_source_order() { 2 } else { 3 });
        assert_eq!(office.gates.called(), [10, 20], "{verb:?}");
    }
}

#[test]
fn a_slot_past_a_failure_does_not_keep_an_earlier_one_from_returning() {
    for verb in FALLIBLE {
        let feed = items([10, 20, 30]);
        let office = Office::default();
        let handler = {
            let office = office.clone();
            move |item| {
                if item != 20 {
                    return office.handle(item, u32::from(item == 10));
                }
                // Fails while it waits.
                let gate = office.gates.handle(item);
                let wait = Box::pin(without_slot(pending::<()>()));
                select(gate, wait)
                    .map(|done| match done {
                        Left((end, _)) => end,
                        Right(_) => unreachable!("it waits for ever"),
                    })
                    .boxed_local()
            }
        };
        let mut task = Setup::new(verb, 1)
            .handler(handler)
            .spawn(&feed, &office.gates);
        settled(&mut task);
        assert_eq!(office.gates.running(), [10, 20, 30], "{verb:?}");
        office.gates.fail(20);
        assert_eq!(settle(&mut task), [], "{verb:?}");
        office.end_pause(10);
        assert_eq!(settle(&mut task), [], "{verb:?}");
        assert_eq!(office.gates.running(), [10], "{verb:?}: 30 made room");
        assert_eq!(office.room.peak.get(), 1, "{verb:?}");
        assert_eq!(task.counts().running, 1, "{verb:?}");
        office.gates.open(10);
        let out = settle(&mut task);
        assert_eq!(out.len(), 3, "{verb:?}: 30 need not finish");
        assert_eq!(out[0].unwrap().unwrap().item, 10, "{verb:?}");
        assert_eq!(out[1..], [Some(Err(20)), None], "{verb:?}");
    }
}

#[test]
fn while_nothing_comes_out_handlers_wait_and_return() {
    for verb in VERBS {
        let feed = items([10, 20, 30]);
        feed.close();
        let (mut task, office) = one_slot(verb, &feed);
        office.gates.open_all([20, 30]);
        advance(&mut task);
        assert_eq!(office.log(), [Starts(10), Starts(20), Starts(30)]);
        office.end_pause(10);
        advance(&mut task);
        assert_eq!(office.log()[3..], [Returns(10)], "{verb:?}");
        office.gates.open(10);
        advance(&mut task);
        assert_eq!(task.counts().finished, 3, "{verb:?}");
        assert_eq!(settle(&mut task).len(), 4, "{verb:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn driven_a_wait_and_the_closure_run_at_the_same_time() {
    let start = Instant::now();
    stream::iter(["a", "b", "c"])
        .ordered_by_group(|item| *item, 1)
        .then_unordered(|item| async move {
            if item == "a" {
                without_slot(sleep(Duration::from_secs(3))).await;
            }
        })
        .drive(|_| sleep(Duration::from_secs(2)))
        .await;
    // b and c are consumed until 4 while a waits until 3.
    assert_eq!(start.elapsed().as_secs(), 6);
}

#[test]
fn whoever_waits_and_returns_slots_are_never_too_many_nor_idle_and_go_to_the_oldest() {
    const GROUPS: u32 = 7;
    const LOOK_AHEAD: usize = 12;
    let mut returned = 0;
    for verb in VERBS {
        for seed in 0..60 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let max_parallel = rng.random_range(1..=3);
            let office = Office::new(Gates::new(|item| item % GROUPS));
            office.room.checks_order.set(true);
            let feed = items(0..60);
            feed.close();
            let pauses: Vec<_> = (0..60).map(|_| rng.random_range(0..=3)).collect();
            let handler = {
                let office = office.clone();
                move |item: u32| match pauses[item as usize] {
                    3 => leaves_from_its_pause(&office, item),
                    pauses => office.handle(item, pauses),
                }
            };
            let mut task = Setup::new(verb, max_parallel)
                .look_ahead(LOOK_AHEAD)
                .key(|item| item % GROUPS)
                .handler(handler)
                .spawn(&feed, &office.gates);
            let mut out = Vec::new();
            while !task.has_terminated() {
                if rng.random_ratio(2, 3) {
                    out.extend(settle(&mut task).into_iter().flatten());
                } else {
                    advance(&mut task);
                }
                let case = format!("{verb:?}, seed {seed}");
                let seated = office.seated();
                let free = seated < max_parallel;
                let counts = task.counts();
                let admitted = counts.running + counts.waiting + counts.finished;
                assert!(admitted <= LOOK_AHEAD, "{case}");
                assert!(
                    !free
                        || office
                            .oldest_that_needs_a_slot(feed.pulled() as u32)
                            .is_none(),
                    "{case}"
                );
                let has_room = admitted < LOOK_AHEAD;
                assert!(!free || !has_room || feed.is_dry(), "{case}");
                // Several things may happen between two polls.
                for _ in 0..rng.random_range(1..=2) {
                    let gates = office.gates.running();
                    let pauses = office.pauses.running();
                    let n = rng.random_range(0..gates.len().max(1) + pauses.len());
                    match (pauses.get(n), gates.get(n.wrapping_sub(pauses.len()))) {
                        (Some(pause), _) => office.end_pause(*pause),
                        (_, Some(gate)) => office.gates.open(*gate),
                        _ => {}
                    }
                }
            }
            assert!(office.room.peak.get() <= max_parallel, "{verb:?}, {seed}");
            assert_eq!(out.len(), 60, "{verb:?}, seed {seed}");
            office.gates.assert_all_dropped_once();
            let log = office.log();
            returned += log.iter().filter(|step| matches!(step, Returns(_))).count();
        }
    }
    assert!(returned > 1_000, "only {returned}");
}

/// A future that is pending once, and wakes itself.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Allocations for 10,000 items, after as many.
fn allocations(results: impl Stream) -> u64 {
    let mut results = pin!(results);
    let mut take = || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = 0;
        while taken < 10_000 {
            taken += usize::from(results.as_mut().poll_next(&mut cx).is_ready());
        }
    };
    take();
    measure(take).count_total
}

#[test]
fn nothing_is_allocated_for_an_item_whether_its_handler_waits_or_not() {
    let numbers = || stream::iter(0_u64..).ordered_by_group(|n| n % 100, 16);
    assert_eq!(allocations(numbers().then(|_| Yield::default())), 0);
    assert_eq!(
        allocations(numbers().then(|_| without_slot(Yield::default()))),
        0
    );
    let mixed = |n| async move {
        Yield::default().await;
        if n % 3 == 0 {
            without_slot(Yield::default()).await;
            Yield::default().await;
        }
    };
    assert_eq!(allocations(numbers().then(mixed)), 0);
    assert_eq!(allocations(numbers().then_unordered(mixed)), 0);
}

#[test]
fn one_that_is_woken_as_another_is_looked_at_is_polled_once_for_it() {
    let wakers = RefCell::new(vec![None::<Waker>; 3]);
    let polls = [const { Cell::new(0) }; 3];
    let (wakers, polls) = (&wakers, &polls);
    let results = stream::iter([0, 1, 2])
        .chain(stream::pending())
        .ordered_by_group(|item| *item, 4)
        .then(|item| {
            without_slot(poll_fn(move |cx| {
                let item = item as usize;
                polls[item].set(polls[item].get() + 1);
                wakers.borrow_mut()[item] = Some(cx.waker().clone());
                if item == 0 && polls[0].get() == 2 {
                    wakers.borrow()[1].as_ref().unwrap().wake_by_ref();
                }
                Poll::<()>::Pending
            }))
        });
    let mut results = spawn(Box::pin(results));
    assert_pending!(results.poll_next());
    assert_pending!(results.poll_next());
    assert_eq!(polls.each_ref().map(Cell::get), [1, 1, 1]);
    for waker in wakers.borrow().iter().flatten() {
        waker.wake_by_ref();
    }
    for _ in 0..4 {
        assert_pending!(results.poll_next());
    }
    assert_eq!(polls.each_ref().map(Cell::get), [2, 2, 2]);
}

#[test]
fn a_handler_within_that_panics_leaves_the_waits_of_the_one_around_it() {
    let feed = Feed::new([0]);
    let waker = RefCell::new(None::<Waker>);
    let started = RefCell::new(Vec::new());
    let (waker, started) = (&waker, &started);
    let results = feed.source().ordered_by_group(|n| *n, 1).then(async |n| {
        started.borrow_mut().push(n);
        if n > 0 {
            return;
        }
        let within = async {
            let results = stream::iter([0])
                .ordered_by_group(|_| 0, 1)
                .then(async |_| {
                    let mut polls = 0;
                    let wait = poll_fn(|cx| {
                        polls += 1;
                        *waker.borrow_mut() = Some(cx.waker().clone());
                        assert!(polls < 2, "on purpose");
                        Poll::<()>::Pending
                    });
                    without_slot(wait).await;
                });
            let mut results = Box::pin(results);
            let caught = AssertUnwindSafe(results.next()).catch_unwind().await;
            assert!(caught.is_err());
        };
        futures::join!(without_slot(std::future::pending::<()>()), within);
    });
    let mut results = spawn(Box::pin(results));
    assert_pending!(results.poll_next());
    waker.take().unwrap().wake();
    for _ in 0..3 {
        assert_pending!(results.poll_next());
    }
    feed.push(1);
    for _ in 0..3 {
        assert_pending!(results.poll_next());
    }
    assert_eq!(*started.borrow(), [0, 1]);
}
