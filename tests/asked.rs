//! Chapter 22 of the contract, its first half: what was asked for is awaited. A source that said Pending is polled on when it
//! wakes, slots or not, failure or not, until it has answered.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Poll, Waker};

use async_stream::stream;
use futures::channel::oneshot;
use futures::future::FutureExt as _;
use futures::lock::Mutex;
use futures::stream::poll_fn;
use futures::{Stream, StreamExt as _};
use ordered_by_group::prelude::*;
use ordered_by_group::{Access, without_slot};
use tokio_test::assert_pending;
use tokio_test::task::{Spawn, spawn};

use self::support::{
    Counts, FALLIBLE, Feed, Gates, Order, Setup, Task, VERBS, Verb, advance, items, message,
    poll_panics, settle, settled,
};

/// Nothing here takes more polls, unless it goes on for ever.
const MANY_POLLS: u32 = 1_000;

/// Polls as a runtime does, until nothing has woken the task, or the end.
fn run<S: Stream>(task: &mut Spawn<S>) -> Vec<Option<S::Item>> {
    let mut out = Vec::new();
    for _ in 0..MANY_POLLS {
        match task.poll_next() {
            Poll::Ready(next) => {
                let ended = next.is_none();
                out.push(next);
                if ended {
                    return out;
                }
            }
            Poll::Pending if task.is_woken() => {}
            Poll::Pending => return out,
        }
    }
    panic!("it goes on for ever");
}

/// The same with a future.
fn run_future<F: Future>(task: &mut Spawn<F>) -> Poll<F::Output> {
    for _ in 0..MANY_POLLS {
        let polled = task.poll();
        if polled.is_ready() || !task.is_woken() {
            return polled;
        }
    }
    panic!("it goes on for ever");
}

/// How two slots can be taken while the source is pending.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A handler that waited without one returns.
    Return,
    /// Two items waited for one and the same, each with a key of it.
    Groups,
    /// Two readers waited for a writer.
    Access,
    Unless,
}

const WAYS: [Way; 4] = [Way::Return, Way::Groups, Way::Access, Way::Unless];

impl Way {
    /// What is read of an item is noted.
    fn order(self, read: &Rc<RefCell<Vec<u32>>>) -> Option<Order> {
        let read = Rc::clone(read);
        let note = move |n| read.borrow_mut().push(n);
        match self {
            Self::Return => None,
            Self::Groups => Some(Order::Groups(Rc::new(move |n| {
                note(n);
                if n == 0 { vec![1, 2] } else { vec![n] }
            }))),
            Self::Access => Some(Order::Access(Rc::new(move |n| {
                note(n);
                vec![match n {
                    0 => Access::Exclusive(0),
                    _ => Access::Shared(0),
                }]
            }))),
            Self::Unless => Some(Order::Unless(Rc::new(move |earlier, later| {
                note(later);
                earlier != 0
            }))),
        }
    }
}

/// There are two slots, and 1 and 2 have taken both since the source said Pending. 0 has come out.
struct Full {
    name: String,
    verb: Verb,
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    /// The items of which a key, an offset or a partition was read.
    read: Rc<RefCell<Vec<u32>>>,
    task: Task,
}

impl Full {
    /// In each verb, each way, with and without partitions.
    fn each(test: impl Fn(Self)) {
        for verb in VERBS {
            for way in WAYS {
                test(Self::new(verb, way, false));
                test(Self::new(verb, way, true));
            }
        }
    }

    fn new(verb: Verb, way: Way, partitioned: bool) -> Self {
        let (feed, gates, read) = (items(0..3), Gates::new(|n| n), Rc::default());
        let pauses = Gates::new(|n| n);
        let note = || {
            let read: Rc<RefCell<Vec<_>>> = Rc::clone(&read);
            move |n| {
                read.borrow_mut().push(n);
                n
            }
        };
        let mut setup = Setup::new(verb, 2).key(note()).offset(note());
        if partitioned {
            let note = note();
            setup = setup.partition(move |n| note(n) - n);
        }
        let mut task = match way.order(&read) {
            Some(order) => setup.spawn_in(&order, &feed, &gates),
            None => {
                let (gates, pauses) = (gates.clone(), pauses.clone());
                let handler = move |n| {
                    let handling = gates.handle(n);
                    if n == 1 {
                        let pause = without_slot(pauses.handle(1));
                        pause.then(|_| handling).boxed_local()
                    } else {
                        handling.boxed_local()
                    }
                };
                setup.handler(handler).spawn(&feed, &Gates::default())
            }
        };
        let name = format!("{verb:?}, {way:?}, partitions: {partitioned}");
        assert_eq!(settled(&mut task), [0; 0], "{name}");
        gates.open(0);
        assert_eq!(settled(&mut task), [0], "{name}");
        pauses.open(1);
        assert_eq!(settled(&mut task), [0; 0], "{name}");
        assert!(feed.is_dry(), "{name}");
        assert_eq!(gates.running(), [1, 2], "{name}");
        Self {
            name,
            verb,
            feed,
            gates,
            read,
            task,
        }
    }

    /// Polls until nothing has woken the task; nothing comes out.
    fn settle(&mut self) {
        assert_eq!(settled(&mut self.task), [0; 0], "{}", self.name);
    }
}

#[test]
fn a_source_that_said_pending_is_polled_each_time_it_wakes_though_no_slot_is_free() {
    Full::each(|mut full| {
        let polls = full.feed.polls();
        for wakes in 1..=3 {
            full.feed.wake();
            full.settle();
            assert_eq!(full.feed.polls(), polls + wakes, "{}", full.name);
            full.gates.wake(1);
            full.settle();
            assert_eq!(
                full.feed.polls(),
                polls + wakes,
                "{}: not without a wake",
                full.name
            );
        }
        full.feed.push(Ok(3));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}", full.name);
    });
}

#[test]
fn it_is_polled_so_while_the_stream_is_driven() {
    Full::each(|mut full| {
        full.feed.push(Ok(3));
        full.feed.push_silently(Ok(4));
        advance(&mut full.task);
        assert_eq!(full.feed.pulled(), 4, "{}", full.name);
        full.gates.open(1);
        advance(&mut full.task);
        assert_eq!(full.gates.running(), [2, 3], "{}", full.name);
        assert_eq!(full.feed.pulled(), 4, "{}", full.name);
        assert_eq!(settled(&mut full.task), [1], "{}", full.name);
    });
}

#[test]
fn once_it_has_answered_it_is_not_asked_again_while_no_slot_is_free() {
    Full::each(|mut full| {
        full.feed.push(Ok(3));
        full.feed.push_silently(Ok(4));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: the answer", full.name);
        let polls = full.feed.polls();
        full.feed.push(Ok(5));
        full.settle();
        full.gates.wake(2);
        full.settle();
        // Which nothing explains.
        full.settle();
        assert_eq!(full.feed.polls(), polls, "{}", full.name);
    });
}

#[test]
fn once_it_has_answered_it_is_not_asked_again_though_it_wakes() {
    let waker = RefCell::new(None::<Waker>);
    let (polls, there) = (Cell::new(0), RefCell::new(VecDeque::from([0, 1, 2])));
    let source = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        *waker.borrow_mut() = Some(cx.waker().clone());
        there
            .borrow_mut()
            .pop_front()
            .map_or(Poll::Pending, |n| Poll::Ready(Some(n)))
    });
    let wake = || {
        waker
            .borrow()
            .as_ref()
            .expect("it was polled")
            .wake_by_ref()
    };
    let gates = Gates::new(|n| n);
    let mut task = spawn(
        source
            .ordered_by_groups(|n| if *n == 0 { vec![1, 2] } else { vec![*n] }, 2)
            .then(|n| gates.handle(n)),
    );
    assert_eq!(run(&mut task), []);
    gates.open(0);
    assert_eq!(run(&mut task).len(), 1);
    assert_eq!((gates.running(), polls.get()), (vec![1, 2], 4));
    there.borrow_mut().extend([3, 4]);
    for _ in 0..3 {
        wake();
        assert_eq!(run(&mut task), []);
        assert_eq!(polls.get(), 5);
    }
    gates.open(1);
    assert_eq!(run(&mut task).len(), 1);
    assert_eq!((gates.running(), polls.get()), (vec![2, 3], 5));
}

#[test]
fn an_item_in_hand_is_neither_admitted_nor_handled() {
    Full::each(|mut full| {
        let groups = full.task.counts().groups;
        full.read.take();
        full.feed.push(Ok(3));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: it is in hand", full.name);
        let counts = Counts {
            running: 2,
            waiting: 0,
            finished: 0,
            groups,
        };
        assert_eq!(full.task.counts(), counts, "{}", full.name);
        assert_eq!(full.task.unfinished(), [1, 2], "{}", full.name);
        assert_eq!(full.read.take(), [0; 0], "{}: no closure saw it", full.name);
        assert_eq!(full.gates.called(), [0, 1, 2], "{}", full.name);
    });
}

#[test]
fn an_item_in_hand_is_among_those_that_are_left() {
    Full::each(|mut full| {
        full.feed.push(Ok(3));
        full.feed.push_silently(Ok(4));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: it is in hand", full.name);
        full.feed.close();
        let least = if full.verb.can_fail() { 1 } else { 4 };
        assert_eq!(full.task.size_hint(), (least, Some(4)), "{}", full.name);
        full.gates.open_all(1..=4);
        let left = settle(&mut full.task);
        assert_eq!(left.len(), 5, "{}: four, and the end", full.name);
    });
}

#[test]
fn the_item_in_hand_starts_once_a_slot_is_free_and_then_the_source_is_read_on() {
    Full::each(|mut full| {
        full.feed.push(Ok(3));
        full.feed.push_silently(Ok(4));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: it is in hand", full.name);
        full.read.take();
        full.gates.open(1);
        assert_eq!(settled(&mut full.task), [1], "{}", full.name);
        assert_eq!(full.gates.called(), [0, 1, 2, 3], "{}", full.name);
        assert!(full.read.borrow().contains(&3), "{}", full.name);
        assert!(!full.read.borrow().contains(&4), "{}", full.name);
        assert_eq!(full.feed.pulled(), 4, "{}: no slot is free", full.name);
        full.gates.open(3);
        let behind = settled(&mut full.task);
        assert_eq!(full.gates.called(), [0, 1, 2, 3, 4], "{}", full.name);
        full.feed.close();
        full.gates.open(4);
        let mut out = [behind, settled(&mut full.task)].concat();
        full.gates.open(2);
        let rest = settle(&mut full.task);
        assert_eq!(rest.last(), Some(&None), "{}", full.name);
        out.extend(rest.into_iter().flatten().flatten().map(|next| next.item));
        let expected = if full.verb.in_source_order() {
            [2, 3, 4]
        } else {
            [3, 4, 2]
        };
        assert_eq!(out, expected, "{}", full.name);
    });
}

#[test]
fn the_item_in_hand_has_started_when_nothing_else_comes_out() {
    Full::each(|mut full| {
        full.feed.push(Ok(3));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: it is in hand", full.name);
        full.gates.open(2);
        if full.task.poll_next().is_ready() {
            assert_pending!(full.task.poll_next(), "{}", full.name);
        }
        assert_eq!(full.gates.called(), [0, 1, 2, 3], "{}", full.name);
    });
}

#[test]
fn a_slot_that_a_wait_leaves_goes_to_the_item_in_hand() {
    for verb in VERBS {
        // 0 waits from the first, and 1 after its gate.
        let (feed, gates) = (items(0..3), Gates::new(|n| n));
        let pauses = Gates::new(|n| n);
        let handler = {
            let (gates, pauses) = (gates.clone(), pauses.clone());
            move |n| {
                let (handling, pause) = (gates.handle(n), pauses.handle(n));
                async move {
                    if n == 0 {
                        let _ = without_slot(pause).await;
                        return handling.await;
                    }
                    let end = handling.await;
                    without_slot(pause).await.and(end)
                }
                .boxed_local()
            }
        };
        let mut task = Setup::new(verb, 2)
            .key(|n| n)
            .handler(handler)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(1);
        assert_eq!(settled(&mut task), [0; 0]);
        pauses.open(0);
        assert_eq!(settled(&mut task), [0; 0]);
        // 0 and 2 have the slots.
        feed.push(Ok(3));
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 4, "{verb:?}: it is in hand");
        assert_eq!(gates.called(), [0, 1, 2], "{verb:?}");
        gates.open(2);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(gates.called(), [0, 1, 2, 3], "{verb:?}");
    }
}

#[test]
fn what_waits_for_a_slot_goes_before_the_item_in_hand() {
    for verb in VERBS {
        // 1 to 3 wait for 0.
        let order = Order::Unless(Rc::new(|earlier, _| earlier != 0));
        let (feed, gates) = (items(0..4), Gates::new(|n| n));
        let mut task = Setup::new(verb, 2).spawn_in(&order, &feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(0);
        assert_eq!(settled(&mut task), [0], "{verb:?}");
        feed.push(Ok(4));
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 5, "{verb:?}: it is in hand");
        gates.open(1);
        assert_eq!(settled(&mut task), [1], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2, 3], "{verb:?}");
        gates.open(2);
        assert_eq!(settled(&mut task), [2], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2, 3, 4], "{verb:?}");
    }
}

#[test]
fn one_that_returns_goes_before_the_item_in_hand() {
    for verb in VERBS {
        // 0 and 1 wait without a slot; 2 and 3 run.
        let (feed, gates) = (items(0..4), Gates::new(|n| n));
        let pauses = Gates::new(|n| n);
        let returned = Rc::new(RefCell::new(Vec::new()));
        let handler = {
            let (gates, pauses, returned) = (gates.clone(), pauses.clone(), Rc::clone(&returned));
            move |n| {
                let handling = gates.handle(n);
                if n > 1 {
                    return handling.boxed_local();
                }
                let (pause, returned) = (without_slot(pauses.handle(n)), Rc::clone(&returned));
                async move {
                    let _ = pause.await;
                    returned.borrow_mut().push(n);
                    handling.await
                }
                .boxed_local()
            }
        };
        let mut task = Setup::new(verb, 2)
            .key(|n| n)
            .partition(|n| n)
            .handler(handler)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(2);
        assert_eq!(settled(&mut task), [2], "{verb:?}");
        pauses.open(1);
        assert_eq!(settled(&mut task), [0; 0]);
        feed.push(Ok(4));
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 5, "{verb:?}: it is in hand");
        pauses.open(0);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(3);
        assert_eq!(settled(&mut task), [3], "{verb:?}");
        assert_eq!(*returned.borrow(), [1, 0], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2, 3], "{verb:?}");
        gates.open(0);
        assert_eq!(settled(&mut task), [0], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2, 3, 4], "{verb:?}");
    }
}

#[test]
fn a_source_that_ends_while_no_slot_is_free_is_not_polled_after_that() {
    Full::each(|mut full| {
        full.feed.close();
        full.settle();
        assert!(full.feed.has_ended(), "{}", full.name);
        assert!(!full.task.has_terminated(), "{}", full.name);
        full.gates.open(1);
        assert_eq!(settled(&mut full.task), [1], "{}", full.name);
        full.gates.open(2);
        let rest = settle(&mut full.task);
        let items: Vec<_> = rest
            .iter()
            .map(|next| next.map(|n| n.map(|n| n.item)))
            .collect();
        assert_eq!(items, [Some(Ok(2)), None], "{}", full.name);
        assert!(full.task.has_terminated(), "{}", full.name);
    });
}

#[test]
fn a_source_that_fails_while_no_slot_is_free_has_failed_in_its_place() {
    Full::each(|mut full| {
        if !full.verb.reads_results() {
            return;
        }
        full.feed.push(Err(77));
        full.feed.push_silently(Ok(4));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}", full.name);
        let polls = full.feed.polls();
        assert_eq!(full.gates.running(), [1, 2], "{}: they go on", full.name);
        full.gates.open_all([1, 2]);
        let rest = settle(&mut full.task);
        let items: Vec<_> = rest
            .iter()
            .map(|next| next.map(|n| n.map(|n| n.item)))
            .collect();
        assert_eq!(
            items,
            [Some(Ok(1)), Some(Ok(2)), Some(Err(77)), None],
            "{}",
            full.name
        );
        assert_eq!(full.feed.polls(), polls, "{}", full.name);
    });
}

#[test]
fn a_source_that_panics_while_no_slot_is_free_poisons_the_stream() {
    Full::each(|mut full| {
        full.feed.break_down();
        let polled = catch_unwind(AssertUnwindSafe(|| full.task.poll_next().is_pending()));
        let panic = polled.expect_err(&full.name);
        assert_eq!(message(panic), "the source breaks down", "{}", full.name);
        assert!(
            poll_panics(&mut full.task).contains("polled after a panic"),
            "{}",
            full.name
        );
        assert!(!full.task.has_terminated(), "{}", full.name);
    });
}

/// Of two handlers that run, the second has failed, while the source is pending.
fn failed(verb: Verb) -> (Feed<Result<u32, u32>>, Gates, Task) {
    let (feed, gates) = (items(0..2), Gates::new(|n| n));
    let mut task = Setup::new(verb, 4).key(|n| n).spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    gates.fail(1);
    assert_eq!(settled(&mut task), [0; 0]);
    (feed, gates, task)
}

/// What is left: 0, and the error of 1.
fn assert_ends_with_the_error_of_1(verb: Verb, gates: &Gates, task: &mut Task) {
    gates.open(0);
    let rest = settle(task);
    let items: Vec<_> = rest
        .iter()
        .map(|next| next.map(|n| n.map(|n| n.item)))
        .collect();
    assert_eq!(items, [Some(Ok(0)), Some(Err(1)), None], "{verb:?}");
    assert_eq!(gates.called(), [0, 1], "{verb:?}");
}

#[test]
fn past_a_failure_a_source_that_said_pending_is_polled_until_it_answers_and_no_more() {
    for verb in FALLIBLE {
        let (feed, gates, mut task) = failed(verb);
        let polls = feed.polls();
        feed.wake();
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.polls(), polls + 1, "{verb:?}: it said Pending again");
        feed.push(Ok(2));
        feed.push_silently(Ok(3));
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.polls(), polls + 2, "{verb:?}: it has answered");
        feed.push(Ok(4));
        gates.wake(0);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_ends_with_the_error_of_1(verb, &gates, &mut task);
        assert_eq!(feed.polls(), polls + 2, "{verb:?}: and is left alone");
    }
}

#[test]
fn a_source_that_one_that_returns_wakes_is_polled_on_while_another_waits() {
    for verb in VERBS {
        // Both wait without a slot. 0 says what comes next as it goes on.
        let (feed, gates, pauses) = (items(0..2), Gates::new(|n| n), Gates::new(|n| n));
        let handler = {
            let (feed, gates, pauses) = (feed.clone(), gates.clone(), pauses.clone());
            move |n| {
                let (handling, pause) = (gates.handle(n), pauses.handle(n));
                let feed = feed.clone();
                async move {
                    if n < 2 {
                        let _ = without_slot(pause).await;
                        feed.push(Ok(n + 2));
                    }
                    handling.await
                }
                .boxed_local()
            }
        };
        let setup = Setup::new(verb, 4).key(|n| n).handler(handler);
        let mut task = setup.spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert!(feed.is_asked(), "{verb:?}");
        pauses.open(0);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2], "{verb:?}");
        pauses.open(1);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert_eq!(gates.called(), [0, 1, 2, 3], "{verb:?}");
    }
}

#[test]
fn past_a_failure_the_end_of_the_source_changes_nothing() {
    for verb in FALLIBLE {
        let (feed, gates, mut task) = failed(verb);
        feed.close();
        assert_eq!(settled(&mut task), [0; 0]);
        assert!(feed.has_ended(), "{verb:?}");
        assert_ends_with_the_error_of_1(verb, &gates, &mut task);
    }
}

#[test]
fn past_a_failure_an_error_of_the_source_is_not_the_first() {
    for verb in [Verb::AndThen, Verb::AndThenUnordered] {
        let (feed, gates, mut task) = failed(verb);
        feed.push(Err(77));
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 3, "{verb:?}");
        assert_ends_with_the_error_of_1(verb, &gates, &mut task);
    }
}

#[test]
fn past_a_failure_a_source_that_panics_poisons_the_stream() {
    for verb in FALLIBLE {
        let (feed, _gates, mut task) = failed(verb);
        feed.break_down();
        let polled = catch_unwind(AssertUnwindSafe(|| task.poll_next().is_pending()));
        let panic = polled.expect_err("a panic");
        assert_eq!(message(panic), "the source breaks down", "{verb:?}");
        assert!(poll_panics(&mut task).contains("polled after a panic"));
    }
}

#[test]
fn a_failed_stream_ends_though_its_source_never_answers() {
    for verb in FALLIBLE {
        let (feed, gates, mut task) = failed(verb);
        let polls = feed.polls();
        assert_ends_with_the_error_of_1(verb, &gates, &mut task);
        feed.push(Ok(2));
        assert_eq!(settle(&mut task), [None], "{verb:?}");
        assert_eq!(feed.polls(), polls, "{verb:?}: nor is it asked later");
    }
}

#[test]
fn an_item_in_hand_does_not_start_past_a_failure() {
    Full::each(|mut full| {
        if !full.verb.can_fail() {
            return;
        }
        full.feed.push(Ok(3));
        full.settle();
        assert_eq!(full.feed.pulled(), 4, "{}: it is in hand", full.name);
        full.gates.fail(2);
        full.settle();
        full.gates.open(1);
        let rest = settle(&mut full.task);
        let items: Vec<_> = rest
            .iter()
            .map(|next| next.map(|n| n.map(|n| n.item)))
            .collect();
        assert_eq!(items, [Some(Ok(1)), Some(Err(2)), None], "{}", full.name);
        assert_eq!(full.gates.called(), [0, 1, 2], "{}", full.name);
    });
}

/// An item, and who holds it.
type Held = (u32, Rc<()>);

/// A stream as in [`Full`] with an item in hand of which the token is held.
macro_rules! full_with_one_in_hand {
    ($feed:ident, $gates:ident, $token:ident, $verb:ident) => {{
        let inner = $gates.clone();
        let mut task = spawn(
            $feed
                .source()
                .ordered_by_groups(
                    |(n, _): &Held| if *n == 0 { vec![1, 2] } else { vec![*n] },
                    2,
                )
                .$verb(move |(n, _): Held| inner.handle(n)),
        );
        assert_eq!(run(&mut task).len(), 0);
        $gates.open(0);
        assert_eq!(run(&mut task).len(), 1);
        $feed.push((3, Rc::clone(&$token)));
        assert_eq!(run(&mut task).len(), 0);
        assert_eq!($feed.left(), 0, "it is in hand");
        assert_eq!(Rc::strong_count(&$token), 2, "it is in hand");
        task
    }};
}

fn held(n: impl IntoIterator<Item = u32>) -> Feed<Held> {
    Feed::new(n.into_iter().map(|n| (n, Rc::default())))
}

#[test]
fn a_stream_that_is_dropped_drops_the_item_in_hand() {
    let (feed, gates, token) = (held(0..3), Gates::new(|n| n), Rc::new(()));
    drop(full_with_one_in_hand!(feed, gates, token, then));
    assert_eq!(Rc::strong_count(&token), 1);
    gates.assert_all_dropped_once();
}

#[test]
fn the_item_in_hand_does_not_go_back_with_the_source() {
    let (feed, gates, token) = (held(0..3), Gates::new(|n| n), Rc::new(()));
    let task = full_with_one_in_hand!(feed, gates, token, then);
    feed.push((4, Rc::clone(&token)));
    feed.close();
    let source = task.into_inner().into_inner();
    assert_eq!(Rc::strong_count(&token), 2, "that of 4, which is unread");
    let unread: Vec<_> = source.map(|(n, _)| n).collect().now_or_never().unwrap();
    assert_eq!(unread, [4]);
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn the_item_in_hand_is_dropped_as_a_failed_stream_ends() {
    macro_rules! check {
        ($verb:ident) => {{
            let (feed, gates, token) = (held(0..3), Gates::new(|n| n), Rc::new(()));
            let mut task = full_with_one_in_hand!(feed, gates, token, $verb);
            gates.fail(2);
            assert_eq!(run(&mut task).len(), 0);
            gates.open(1);
            assert!(matches!(task.poll_next(), Poll::Ready(Some(Ok((1, _))))));
            assert!(matches!(task.poll_next(), Poll::Ready(Some(Err(2)))));
            assert_eq!(Rc::strong_count(&token), 1, "{}", stringify!($verb));
            assert!(matches!(task.poll_next(), Poll::Ready(None)));
            assert_eq!(gates.called(), [0, 1, 2]);
        }};
    }
    check!(try_then);
    check!(try_then_unordered);
}

#[test]
fn what_the_source_answers_past_a_failure_is_dropped_as_the_stream_ends() {
    macro_rules! check {
        ($verb:ident) => {{
            let (feed, gates, token) = (held(0..2), Gates::new(|n| n), Rc::new(()));
            let inner = gates.clone();
            let mut task = spawn(
                feed.source()
                    .ordered_by_group(|(n, _)| *n, 4)
                    .$verb(move |(n, _)| inner.handle(n)),
            );
            assert_eq!(run(&mut task).len(), 0);
            gates.fail(1);
            assert_eq!(run(&mut task).len(), 0);
            feed.push((2, Rc::clone(&token)));
            assert_eq!(run(&mut task).len(), 0);
            assert_eq!(feed.left(), 0, "the source was polled");
            gates.open(0);
            assert!(matches!(task.poll_next(), Poll::Ready(Some(Ok((0, _))))));
            assert!(matches!(task.poll_next(), Poll::Ready(Some(Err(1)))));
            assert_eq!(Rc::strong_count(&token), 1, "{}", stringify!($verb));
            assert_eq!(gates.called(), [0, 1]);
        }};
    }
    check!(try_then);
    check!(try_then_unordered);
}

/// Yields numbers, then locks, and unlocks when it is told; then it yields one more, and no end.
fn locking<'a>(
    numbers: std::ops::Range<u32>,
    lock: &'a Mutex<()>,
    told: oneshot::Receiver<()>,
) -> impl Stream<Item = u32> + 'a {
    stream! {
        for n in numbers.clone() {
            yield n;
        }
        let locked = lock.lock().await;
        let _ = told.await;
        drop(locked);
        yield numbers.end;
        std::future::pending().await
    }
}

#[test]
fn a_handler_before_a_failed_one_gets_the_lock_that_the_source_holds() {
    macro_rules! check {
        ($by:ident, $verb:ident, $read:expr) => {{
            let (lock, gates) = (Mutex::new(()), Gates::new(|n| n));
            let (tell, told) = oneshot::channel();
            let source = locking(0..2, &lock, told).map($read).boxed_local();
            let handler = async |n| {
                let end = gates.handle(n).await;
                if n == 0 {
                    lock.lock().await;
                }
                end
            };
            let mut task = spawn(source.$by(|n| *n, 4).$verb(handler));
            assert_eq!(run(&mut task).len(), 0);
            gates.open(0);
            assert_eq!(run(&mut task).len(), 0, "the source has the lock");
            gates.fail(1);
            assert_eq!(run(&mut task).len(), 0);
            tell.send(()).expect("the source waits");
            let out = run(&mut task);
            let name = stringify!($verb);
            assert_eq!(out.len(), 3, "{name}: a result, the error and the end");
            assert!(matches!(out[0], Some(Ok((0, _)))), "{name}");
            assert!(matches!(out[1], Some(Err(1))), "{name}");
            assert_eq!(gates.called(), [0, 1], "{name}");
        }};
    }
    check!(ordered_by_group, try_then, |n| n);
    check!(ordered_by_group, try_then_unordered, |n| n);
    check!(try_ordered_by_group, and_then, Ok);
    check!(try_ordered_by_group, and_then_unordered, Ok);
}

#[test]
fn a_commit_before_a_failed_handler_gets_the_lock_that_the_source_holds() {
    for fails_first in [false, true] {
        let (lock, gates) = (Mutex::new(()), Gates::new(|n| n));
        let (tell, told) = oneshot::channel();
        let source = locking(0..2, &lock, told).boxed_local();
        let committed = RefCell::new(vec![]);
        let mut task = spawn(
            source
                .ordered_by_group(|n| *n, 4)
                .try_then(|n| gates.handle(n))
                .try_drive(async |(n, _)| {
                    lock.lock().await;
                    committed.borrow_mut().push(n);
                    Ok(())
                }),
        );
        assert_pending!(run_future(&mut task));
        if fails_first {
            gates.fail(1);
            assert_pending!(run_future(&mut task));
        }
        gates.open(0);
        assert_pending!(run_future(&mut task));
        gates.fail(1);
        assert_pending!(run_future(&mut task));
        assert_eq!(committed.take(), [0; 0], "the source has the lock");
        tell.send(()).expect("the source waits");
        assert_eq!(run_future(&mut task), Poll::Ready(Err(1)));
        assert_eq!(committed.take(), [0]);
    }
}

#[test]
fn handlers_that_take_the_last_slots_get_the_lock_that_the_source_holds() {
    macro_rules! check {
        ($verb:ident) => {{
            let (lock, gates) = (Mutex::new(()), Gates::new(|n| n));
            let (tell, told) = oneshot::channel();
            let keys = |n: &u32| if *n == 0 { vec![1, 2] } else { vec![*n] };
            let handler = async |n| {
                let end = gates.handle(n).await;
                if n > 0 {
                    lock.lock().await;
                }
                end
            };
            let source = locking(0..3, &lock, told).boxed_local();
            let mut task = spawn(source.ordered_by_groups(keys, 2).$verb(handler));
            assert_eq!(run(&mut task).len(), 0);
            gates.open_all(0..4);
            assert_eq!(run(&mut task).len(), 1);
            assert_eq!(gates.called(), [0, 1, 2], "{}", stringify!($verb));
            tell.send(()).expect("the source waits");
            assert_eq!(run(&mut task).len(), 3, "{}", stringify!($verb));
            assert_eq!(gates.called(), [0, 1, 2, 3], "{}", stringify!($verb));
        }};
    }
    check!(then);
    check!(then_unordered);
    check!(try_then);
    check!(try_then_unordered);
}

#[test]
fn a_commit_gets_the_lock_that_the_source_holds_though_no_slot_is_free() {
    let (lock, gates) = (Mutex::new(()), Gates::new(|n| n));
    let (tell, told) = oneshot::channel();
    let source = locking(0..3, &lock, told).boxed_local();
    let committed = RefCell::new(vec![]);
    let mut task = spawn(
        source
            .ordered_by_groups(|n| if *n == 0 { vec![1, 2] } else { vec![*n] }, 2)
            .then(|n| gates.handle(n).map(move |_| n))
            .drive(async |(n, _)| {
                lock.lock().await;
                committed.borrow_mut().push(n);
            }),
    );
    assert_pending!(run_future(&mut task));
    gates.open(0);
    assert_pending!(run_future(&mut task));
    assert_eq!(gates.running(), [1, 2]);
    tell.send(()).expect("the source waits");
    assert_pending!(run_future(&mut task));
    assert_eq!(committed.take(), [0]);
    gates.open_all(1..=3);
    assert_pending!(run_future(&mut task));
    assert_eq!(committed.take(), [1, 2, 3]);
}

#[cfg(feature = "tokio")]
mod spawned {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::TryStreamExt as _;
    use tokio::sync::{Barrier, Mutex};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A day of virtual time: what takes longer, stands still.
    const FOR_EVER: Duration = Duration::from_secs(86_400);

    /// Yields numbers, then locks for a second; then it yields one more, and ends.
    fn locking(
        numbers: std::ops::Range<u32>,
        lock: Arc<Mutex<()>>,
    ) -> impl Stream<Item = u32> + Unpin {
        Box::pin(stream! {
            for n in numbers.clone() {
                yield n;
            }
            let locked = lock.lock().await;
            sleep(Duration::from_secs(1)).await;
            drop(locked);
            yield numbers.end;
        })
    }

    #[tokio::test(start_paused = true)]
    async fn spawned_handlers_that_take_the_last_slots_get_the_lock_that_the_source_holds() {
        let lock = Arc::<Mutex<()>>::default();
        let handler = {
            let lock = Arc::clone(&lock);
            move |n| {
                let lock = Arc::clone(&lock);
                async move {
                    sleep(Duration::from_millis(10)).await;
                    if n > 0 {
                        drop(lock.lock().await);
                    }
                    n
                }
            }
        };
        let results = locking(0..3, lock)
            .ordered_by_groups(|n| if *n == 0 { vec![1, 2] } else { vec![*n] }, 2)
            .spawned()
            .then(handler)
            .map(|(n, _)| n)
            .collect::<Vec<_>>();
        let results = timeout(FOR_EVER, results).await.expect("no deadlock");
        assert_eq!(results, [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spawned_handler_before_a_failed_one_gets_the_lock_that_the_source_holds() {
        let lock = Arc::<Mutex<()>>::default();
        // Both are past the first await when the source has the lock.
        let both = Arc::new(Barrier::new(2));
        let called = Arc::new(std::sync::Mutex::new(vec![]));
        let handler = {
            let (lock, called) = (Arc::clone(&lock), Arc::clone(&called));
            move |n| {
                called.lock().unwrap().push(n);
                let (lock, both) = (Arc::clone(&lock), Arc::clone(&both));
                async move {
                    both.wait().await;
                    sleep(Duration::from_millis(10)).await;
                    if n == 1 {
                        return Err(1);
                    }
                    drop(lock.lock().await);
                    Ok(n)
                }
            }
        };
        let mut results = locking(0..2, lock)
            .ordered_by_group(|n| *n, 4)
            .spawned()
            .try_then(handler)
            .map_ok(|(n, _)| n);
        let out = async {
            [
                results.next().await,
                results.next().await,
                results.next().await,
            ]
        };
        let out = timeout(FOR_EVER, out).await.expect("no deadlock");
        assert_eq!(out, [Some(Ok(0)), Some(Err(1)), None]);
        assert_eq!(*called.lock().unwrap(), [0, 1]);
    }
}
