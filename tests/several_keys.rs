//! Chapter 21 of the contract: items with several keys, shared or exclusive, wait for every earlier item that is in their
//! way, for those that wait themselves too. A relation that says the same comes to the same.

mod support;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::Access::{Exclusive, Shared};
use ordered_by_group::{Access, prelude::*, without_slot};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep, timeout};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{
    Counts, End, FALLIBLE, Feed, Gates, Group, Order, Setup, Task, VERBS, Verb, advance, items,
    message, poll_panics, settle, settled,
};

const A: u32 = 1;
const B: u32 = 2;
const C: u32 = 3;
const D: u32 = 4;

/// How items are ordered; they are 0, 1, 2, and so on.
type Accesses = Vec<Vec<Access<u32>>>;

fn exclusive<const N: usize>(keys: [&[u32]; N]) -> Accesses {
    let exclusive = |keys: &[u32]| keys.iter().copied().map(Exclusive).collect();
    keys.into_iter().map(exclusive).collect()
}

fn accesses<const N: usize>(accesses: [&[Access<u32>]; N]) -> Accesses {
    accesses.into_iter().map(<[_]>::to_vec).collect()
}

fn key(access: &Access<u32>) -> u32 {
    match access {
        Shared(key) | Exclusive(key) => *key,
    }
}

fn can_run_together(a: &[Access<u32>], b: &[Access<u32>]) -> bool {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    pairs.into_iter().all(|pair| match pair {
        (Shared(_), Shared(_)) => true,
        (a, b) => key(a) != key(b),
    })
}

/// Every order that says the same as these accesses.
fn orders(accesses: Accesses) -> Vec<(&'static str, Order)> {
    let accesses = Rc::new(accesses);
    let mut orders = vec![];
    let is_exclusive = |access: &Access<u32>| matches!(access, Exclusive(_));
    if accesses.iter().flatten().all(is_exclusive) {
        let of = Rc::clone(&accesses);
        let keys = move |item| of[item as usize].iter().map(key).collect();
        orders.push(("by groups", Order::Groups(Rc::new(keys))));
    }
    let of = Rc::clone(&accesses);
    let by_access = move |item| of[item as usize].clone();
    orders.push(("by access", Order::Access(Rc::new(by_access))));
    let unless = move |earlier, later| {
        assert!(earlier < later);
        can_run_together(&accesses[earlier as usize], &accesses[later as usize])
    };
    orders.push(("unless", Order::Unless(Rc::new(unless))));
    orders
}

/// A running stream with a gate for each item.
struct Case {
    name: String,
    verb: Verb,
    feed: Feed<Result<u32, u32>>,
    gates: Gates,
    task: Task,
}

/// Every verb with every such order, fed with all items.
fn cases(
    verbs: &[Verb],
    accesses: &Accesses,
    setup: impl Fn(Verb) -> Setup,
) -> impl Iterator<Item = Case> {
    let cases = orders(accesses.clone())
        .into_iter()
        .flat_map(|(name, order)| verbs.iter().map(move |&verb| (name, order.clone(), verb)));
    cases.map(move |(name, order, verb)| {
        let (feed, gates) = (items(0..accesses.len() as u32), Gates::new(|item| item));
        let task = setup(verb).spawn_in(&order, &feed, &gates);
        Case {
            name: format!("{name}, {verb:?}"),
            verb,
            feed,
            gates,
            task,
        }
    })
}

impl Case {
    /// Lets an item finish, and runs on.
    fn open(&mut self, item: u32) -> Vec<u32> {
        self.gates.open(item);
        settled(&mut self.task)
    }

    /// What is called, in that order.
    #[track_caller]
    fn assert_called<const N: usize>(&self, items: [u32; N]) {
        assert_eq!(self.gates.called(), items, "{}", self.name);
    }

    #[track_caller]
    fn assert_counts(&self, running: usize, waiting: usize, groups: usize) {
        let groups = if self.name.starts_with("unless") {
            0
        } else {
            groups
        };
        let counts = self.task.counts();
        let Counts { finished, .. } = counts;
        let expected = Counts {
            running,
            waiting,
            finished,
            groups,
        };
        assert_eq!(counts, expected, "{}", self.name);
    }
}

fn slots(max_parallel: usize) -> impl Fn(Verb) -> Setup {
    move |verb| Setup::new(verb, max_parallel)
}

fn outcomes(task: &mut Task) -> Vec<Option<Result<u32, u32>>> {
    let out = settle(task).into_iter();
    out.map(|next| next.map(|result| result.map(|handed| handed.item)))
        .collect()
}

#[test]
fn an_item_waits_also_for_those_that_wait() {
    let chain = exclusive([&[A], &[A, B], &[B, C], &[C, D], &[D]]);
    for mut case in cases(&VERBS, &chain, slots(8)) {
        assert_eq!(settled(&mut case.task), [0; 0]);
        case.assert_called([0]);
        assert_eq!(case.open(0), [0]);
        case.assert_called([0, 1]);
        assert_eq!(case.open(1), [1]);
        case.assert_called([0, 1, 2]);
        assert_eq!(case.open(2), [2]);
        assert_eq!(case.open(3), [3]);
        case.assert_called([0, 1, 2, 3, 4]);
        assert_eq!(case.gates.peak(), 1, "{}", case.name);
    }
}

#[test]
fn an_item_waits_for_all_its_keys_whichever_is_free_first() {
    let fork = exclusive([&[A], &[B], &[C], &[C, A, B], &[A], &[D, B]]);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        for mut case in cases(&VERBS, &fork, slots(8)) {
            settled(&mut case.task);
            case.assert_called([0, 1, 2]);
            for item in order {
                assert!(!case.gates.called().contains(&3), "{}", case.name);
                case.open(item);
            }
            case.assert_called([0, 1, 2, 3]);
            case.open(3);
            case.assert_called([0, 1, 2, 3, 4, 5]);
        }
    }
}

#[test]
fn items_without_keys_wait_for_nothing_and_nothing_waits_for_them() {
    let some_have_none = exclusive([&[A], &[], &[A, B], &[], &[B], &[]]);
    for mut case in cases(&VERBS, &some_have_none, slots(8)) {
        settled(&mut case.task);
        case.assert_called([0, 1, 3, 5]);
        case.assert_counts(4, 2, 2);
        case.open(0);
        case.assert_called([0, 1, 3, 5, 2]);
    }
}

#[test]
fn a_key_that_is_an_option_is_an_empty_set_if_it_is_none() {
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let mut task = spawn(
        stream::iter([10, 50, 51, 11, 52])
            .ordered_by_groups(|item| (item / 10 != 5).then_some(item / 10), 8)
            .then(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [10, 50, 51, 52]);
    assert_eq!((task.groups(), task.waiting()), (1, 1));
}

#[test]
fn readers_run_together_and_a_writer_waits_for_all_of_them() {
    let (r, w) = (&[Shared(A)][..], &[Exclusive(A)][..]);
    let accesses = accesses([r, r, r, w]);
    for last in 0..3 {
        for mut case in cases(&VERBS, &accesses, slots(8)) {
            settled(&mut case.task);
            case.assert_called([0, 1, 2]);
            for reader in (0..3).filter(|reader| *reader != last) {
                case.open(reader);
                case.assert_called([0, 1, 2]);
            }
            case.assert_counts(1, 1, 1);
            case.open(last);
            case.assert_called([0, 1, 2, 3]);
        }
    }
}

#[test]
fn a_reader_does_not_overtake_a_writer_that_waits() {
    let (r, w) = (&[Shared(A)][..], &[Exclusive(A)][..]);
    let accesses = accesses([r, w, r, r, w, w, r]);
    for mut case in cases(&VERBS, &accesses, slots(8)) {
        settled(&mut case.task);
        case.assert_called([0]);
        case.open(0);
        case.assert_called([0, 1]);
        case.open(1);
        case.assert_called([0, 1, 2, 3]);
        case.open(3);
        case.assert_called([0, 1, 2, 3]);
        case.open(2);
        case.assert_called([0, 1, 2, 3, 4]);
        case.open(4);
        case.open(5);
        case.assert_called([0, 1, 2, 3, 4, 5, 6]);
        case.open(6);
        assert_eq!(case.task.counts().groups, 0);
    }
}

#[test]
fn a_reader_that_waits_for_another_key_lets_readers_in_and_keeps_writers_out() {
    // The second reads A and waits for B; the third may read with it; the fourth waits for both of them.
    let accesses = accesses([
        &[Exclusive(B)],
        &[Shared(A), Shared(B)],
        &[Shared(A)],
        &[Exclusive(A)],
        &[Shared(A)],
    ]);
    for mut case in cases(&VERBS, &accesses, slots(8)) {
        settled(&mut case.task);
        case.assert_called([0, 2]);
        case.open(2);
        case.assert_called([0, 2]);
        case.open(0);
        case.assert_called([0, 2, 1]);
        case.open(1);
        case.assert_called([0, 2, 1, 3]);
        case.open(3);
        case.assert_called([0, 2, 1, 3, 4]);
    }
}

#[test]
fn a_key_that_an_item_has_twice_counts_once() {
    let twice = exclusive([&[A, A], &[A, B, A, B], &[B, B]]);
    for mut case in cases(&VERBS, &twice, slots(8)) {
        settled(&mut case.task);
        case.assert_called([0]);
        case.assert_counts(1, 2, 2);
        case.open(0);
        case.assert_called([0, 1]);
        case.open(1);
        case.assert_called([0, 1, 2]);
        case.assert_counts(1, 0, 1);
        case.open(2);
        case.assert_counts(0, 0, 0);
    }
    let shared_twice = accesses([&[Shared(A), Shared(A)], &[Shared(A)], &[Exclusive(A)]]);
    for mut case in cases(&VERBS, &shared_twice, slots(8)) {
        settled(&mut case.task);
        case.assert_called([0, 1]);
        case.open(0);
        case.assert_called([0, 1]);
        case.open(1);
        case.assert_called([0, 1, 2]);
    }
}

#[test]
fn a_key_that_an_item_has_shared_and_exclusive_is_exclusive() {
    let (r, w) = (Shared(A), Exclusive(A));
    for both in [&[r, w][..], &[w, r], &[r, r, w], &[w, w, r, r]] {
        // Before a reader, behind one that runs, and behind one that waits.
        let accesses = accesses([both, &[r], both, &[r], &[r], both]);
        for mut case in cases(&VERBS, &accesses, slots(8)) {
            settled(&mut case.task);
            case.assert_called([0]);
            case.open(0);
            case.assert_called([0, 1]);
            case.open(1);
            case.assert_called([0, 1, 2]);
            case.open(2);
            case.assert_called([0, 1, 2, 3, 4]);
            case.open(3);
            case.assert_called([0, 1, 2, 3, 4]);
            case.open(4);
            case.assert_called([0, 1, 2, 3, 4, 5]);
        }
    }
}

#[test]
fn of_what_is_ready_the_oldest_starts_first_and_the_source_is_read_last() {
    let (r, w) = (&[Shared(A)][..], &[Exclusive(A)][..]);
    let accesses = accesses([w, r, r, r, &[], &[Exclusive(D)], &[Exclusive(C)]]);
    for mut case in cases(&VERBS, &accesses, slots(2)) {
        settled(&mut case.task);
        case.assert_called([0, 4]);
        assert_eq!(case.feed.pulled(), 5, "{}", case.name);
        // Three are ready at once, and there is one slot.
        case.open(0);
        case.assert_called([0, 4, 1]);
        case.open(4);
        case.assert_called([0, 4, 1, 2]);
        assert_eq!(case.feed.pulled(), 5, "{}: 3 is older", case.name);
        case.open(2);
        case.assert_called([0, 4, 1, 2, 3]);
        assert_eq!(case.feed.pulled(), 5, "{}: no slot is free", case.name);
        case.open(1);
        case.assert_called([0, 4, 1, 2, 3, 5]);
        assert_eq!(case.feed.pulled(), 6, "{}", case.name);
        assert_eq!(case.gates.peak(), 2, "{}", case.name);
    }
}

#[test]
fn what_one_finish_makes_ready_starts_in_the_order_of_arrival() {
    // The queues of the keys are gone through in another order than the items arrived in.
    for keys in [[A, B, C], [C, B, A], [B, C, A], [C, A, B]] {
        let [first, second, third] = keys.map(|key| vec![Exclusive(key)]);
        let all = vec![Exclusive(B), Exclusive(A), Exclusive(C)];
        let accesses = vec![all, first, second, third];
        for mut case in cases(&VERBS, &accesses, slots(8)) {
            settled(&mut case.task);
            case.assert_called([0]);
            case.open(0);
            case.assert_called([0, 1, 2, 3]);
        }
    }
}

#[test]
fn a_slot_goes_to_the_oldest_that_is_ready_when_it_is_given() {
    // 2 waits for 0 and 1, 3 and 4 for 1 only; there are two slots.
    let accesses = exclusive([&[A], &[B, C, D], &[A, B], &[C], &[D]]);
    for mut case in cases(&VERBS, &accesses, slots(2)) {
        settled(&mut case.task);
        case.open(1);
        case.assert_called([0, 1, 3]);
        // 2 is ready from now on, and older than 4.
        case.open(0);
        case.assert_called([0, 1, 3, 2]);
        case.open(3);
        case.assert_called([0, 1, 3, 2, 4]);
    }
}

#[test]
fn no_slot_stands_idle_when_one_finish_makes_many_ready() {
    // A writer of many keys, and a reader of each behind it.
    let all: Vec<_> = (0..50).map(Exclusive).collect();
    let mut many = vec![all];
    many.extend((0..50).map(|key| vec![Shared(key)]));
    for mut case in cases(&VERBS, &many, slots(40)) {
        settled(&mut case.task);
        case.assert_called([0]);
        case.assert_counts(1, 50, 50);
        case.open(0);
        assert!(case.gates.called().into_iter().eq(0..=40), "{}", case.name);
        case.assert_counts(40, 10, 50);
        for item in 1..=10 {
            case.open(item);
            let called = case.gates.called().into_iter();
            assert!(called.eq(0..=40 + item), "{}", case.name);
        }
        case.assert_counts(40, 0, 40);
    }
}

#[test]
fn handlers_that_are_ready_at_once_go_through_a_chain_in_order() {
    let chain: Accesses = (0..2_000)
        .map(|n| vec![Exclusive(n), Exclusive(n + 1)])
        .collect();
    for mut case in cases(&VERBS, &chain, slots(3)) {
        case.gates.open_all(1..2_000);
        assert_eq!(settled(&mut case.task), [0; 0], "{}", case.name);
        let out = case.open(0);
        assert!(out.into_iter().eq(0..2_000), "{}", case.name);
        assert!(case.gates.called().into_iter().eq(0..2_000));
        assert_eq!(case.gates.peak(), 1, "{}", case.name);
    }
}

#[test]
fn the_window_holds_what_waits_and_no_more() {
    let hot: Accesses = (0..100).map(|_| vec![Exclusive(A), Shared(B)]).collect();
    let window = |verb| Setup::new(verb, 2).look_ahead(7);
    for mut case in cases(&VERBS, &hot, window) {
        settled(&mut case.task);
        assert_eq!(case.feed.pulled(), 7, "{}", case.name);
        case.assert_counts(1, 6, 2);
        for item in 0..10 {
            assert_eq!(case.open(item), [item]);
            assert_eq!(case.feed.pulled(), 8 + item as usize, "{}", case.name);
        }
    }
}

#[test]
fn with_one_slot_the_items_run_one_after_the_other_and_none_is_read_ahead() {
    let accesses = exclusive([&[A], &[A, B], &[], &[C], &[B]]);
    for mut case in cases(&VERBS, &accesses, slots(1)) {
        settled(&mut case.task);
        for item in 0..5 {
            assert_eq!(case.gates.running(), [item], "{}", case.name);
            assert_eq!(case.feed.pulled() as u32, item + 1, "{}", case.name);
            assert_eq!(case.open(item), [item], "{}", case.name);
        }
    }
}

#[test]
fn the_groups_are_the_different_keys_of_what_is_unfinished() {
    let accesses = accesses([
        &[Exclusive(A), Shared(B)],
        &[Shared(B), Exclusive(C)],
        &[Exclusive(A), Exclusive(D)],
        &[],
    ]);
    for mut case in cases(&VERBS, &accesses, slots(8)) {
        case.assert_counts(0, 0, 0);
        settled(&mut case.task);
        case.assert_counts(3, 1, 4);
        case.open(1);
        case.assert_counts(2, 1, 3);
        case.open(0);
        case.assert_counts(2, 0, 2);
        case.open(2);
        case.assert_counts(1, 0, 0);
        case.open(3);
        case.assert_counts(0, 0, 0);
    }
}

#[test]
fn unfinished_offsets_and_the_size_hint_are_exact() {
    let accesses = exclusive([&[A], &[A, B], &[C], &[B, C], &[D]]);
    for mut case in cases(&VERBS, &accesses, slots(8)) {
        case.feed.close();
        settled(&mut case.task);
        assert_eq!(case.task.unfinished(), [0, 1, 2, 3, 4], "{}", case.name);
        let mut left = 5;
        let mut unfinished: Vec<_> = (0..5).collect();
        for item in [2, 4, 0, 1] {
            left -= case.open(item).len();
            unfinished.retain(|other| *other != item);
            assert_eq!(case.task.unfinished(), unfinished, "{}", case.name);
            let least = if case.verb.can_fail() { 1 } else { left };
            assert_eq!(case.task.size_hint(), (least, Some(left)), "{}", case.name);
        }
        case.gates.open(3);
        let out = settle(&mut case.task);
        assert_eq!((out.len(), out.last()), (left + 1, Some(&None)));
        assert_eq!(case.task.unfinished(), [0; 0], "{}", case.name);
        assert_eq!(case.task.size_hint(), (0, Some(0)));
    }
}

#[test]
fn in_completion_order_results_come_as_they_finish_and_the_frontier_passes_nothing() {
    let accesses = exclusive([&[A], &[B], &[A, B], &[C], &[B]]);
    for mut case in cases(&VERBS, &accesses, slots(8)) {
        let in_source_order = case.verb.in_source_order();
        let mut handed = vec![];
        settled(&mut case.task);
        for item in [3, 1, 0, 2, 4] {
            case.gates.open(item);
            let out = settle(&mut case.task).into_iter().flatten();
            handed.extend(out.map(|handed| handed.expect("no failure")));
        }
        let order: Vec<_> = handed.iter().map(|handed| handed.item).collect();
        let frontiers: Vec<_> = handed.iter().map(|handed| handed.frontier).collect();
        if in_source_order {
            assert_eq!(order, [0, 1, 2, 3, 4], "{}", case.name);
        } else {
            assert_eq!(order, [3, 1, 0, 2, 4], "{}", case.name);
            let expected = [None, None, Some(1), Some(3), Some(4)];
            assert_eq!(frontiers, expected, "{}", case.name);
        }
    }
}

#[test]
fn nothing_at_or_past_a_failure_starts_and_what_came_before_it_comes_out() {
    // 1 and 2 wait, and come before the failure of 3; 4, 5 and 6 wait, and come after it; 7 runs.
    let accesses = accesses([
        &[Exclusive(A)],
        &[Exclusive(A), Exclusive(B)],
        &[Shared(B)],
        &[Exclusive(C)],
        &[Exclusive(C)],
        &[Shared(B)],
        &[Exclusive(A)],
        &[Exclusive(D)],
        &[],
    ]);
    for mut case in cases(&FALLIBLE, &accesses, slots(3)) {
        let name = case.name.clone();
        assert_eq!(outcomes(&mut case.task), []);
        case.assert_called([0, 3, 7]);
        case.gates.fail(3);
        assert_eq!(outcomes(&mut case.task), [], "{name}");
        case.assert_called([0, 3, 7]);
        assert_eq!(case.feed.pulled(), 8, "{name}: nothing more is read");
        case.gates.open(7);
        let past = outcomes(&mut case.task);
        let finished_past = match case.verb.in_source_order() {
            true => vec![],
            false => vec![Some(Ok(7))],
        };
        assert_eq!(past, finished_past, "{name}");
        case.gates.open(0);
        assert_eq!(outcomes(&mut case.task), [Some(Ok(0))], "{name}");
        case.gates.open(1);
        assert_eq!(outcomes(&mut case.task), [Some(Ok(1))], "{name}");
        case.assert_called([0, 3, 7, 1, 2]);
        case.gates.open(2);
        let end = [Some(Ok(2)), Some(Err(3)), None];
        assert_eq!(outcomes(&mut case.task), end, "{name}");
        case.assert_called([0, 3, 7, 1, 2]);
        assert_eq!(case.task.counts().groups, 0);
        case.gates.assert_all_dropped_once();
    }
}

#[test]
fn a_failure_frees_no_key_for_what_is_past_it() {
    // All that waits behind the failed item is ready by its end, and older than nothing that failed.
    let accesses = exclusive([&[A, B], &[A], &[B], &[A, B]]);
    for mut case in cases(&FALLIBLE, &accesses, slots(8)) {
        settled(&mut case.task);
        case.gates.fail(0);
        assert_eq!(outcomes(&mut case.task), [Some(Err(0)), None]);
        case.assert_called([0]);
    }
}

#[test]
fn of_two_failures_the_first_in_source_order_comes_out_though_it_started_later() {
    let accesses = exclusive([&[A], &[A, B], &[C]]);
    for mut case in cases(&FALLIBLE, &accesses, slots(8)) {
        settled(&mut case.task);
        case.gates.fail(2);
        assert_eq!(outcomes(&mut case.task), []);
        case.gates.open(0);
        assert_eq!(outcomes(&mut case.task), [Some(Ok(0))]);
        case.assert_called([0, 2, 1]);
        case.gates.fail(1);
        let end = [Some(Err(1)), None];
        assert_eq!(outcomes(&mut case.task), end, "{}", case.name);
    }
}

#[test]
fn an_error_of_the_source_lets_what_waits_before_it_finish() {
    for verb in [Verb::AndThen, Verb::AndThenUnordered] {
        for (name, order) in orders(exclusive([&[A], &[A, B], &[B]])) {
            let feed = Feed::new([Ok(0), Ok(1), Ok(2), Err(3), Ok(4)]);
            let gates = Gates::new(|item| item);
            let mut task = Setup::new(verb, 8).spawn_in(&order, &feed, &gates);
            for item in [0, 1] {
                assert_eq!(gates.running(), if item == 0 { vec![] } else { vec![1] });
                gates.open(item);
                assert_eq!(outcomes(&mut task), [Some(Ok(item))], "{name}, {verb:?}");
            }
            gates.open(2);
            let end = [Some(Ok(2)), Some(Err(3)), None];
            assert_eq!(outcomes(&mut task), end, "{name}, {verb:?}");
            assert_eq!(feed.left(), 1);
        }
    }
}

/// What a poll says that panics, and that the next says so too, and that nothing past the panic ever came out.
#[track_caller]
fn assert_poisoned(task: &mut Task, gates: &Gates, expected: &str) {
    let message = poll_panics(task);
    assert!(message.contains(expected), "{message}");
    let called = gates.called();
    for _ in 0..2 {
        let message = poll_panics(task);
        assert!(message.contains("polled after a panic"), "{message}");
    }
    assert!(!task.has_terminated());
    assert_eq!(gates.called(), called);
}

/// 0 and perhaps 1 run, and then 2 is read, which panics.
#[track_caller]
fn assert_panic_poisons(verb: Verb, order: &Order, expected: &str) {
    let (feed, gates) = (items([0, 1]), Gates::new(|item| item));
    let mut task = Setup::new(verb, 8).spawn_in(order, &feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    feed.push(Ok(2));
    assert_poisoned(&mut task, &gates, expected);
    drop(task);
    gates.assert_all_dropped_once();
}

#[test]
fn a_panic_of_the_hash_or_the_comparison_of_a_key_poisons_the_stream() {
    let (hash, eq) = (Group::HASH_PANICS, Group::EQ_PANICS);
    for (of_0, of_2, expected) in [
        (vec![A], vec![hash], "the hash panics"),
        (vec![A], vec![A, hash], "the hash panics"),
        (vec![B, eq], vec![eq], "the comparison panics"),
        (vec![B, eq], vec![A, eq], "the comparison panics"),
        // It is compared with itself.
        (vec![A], vec![B, eq, eq], "the comparison panics"),
    ] {
        let keys = move |item| match item {
            0 => of_0.clone(),
            1 => vec![A],
            _ => of_2.clone(),
        };
        let shared = keys.clone();
        let shared = move |item| shared(item).into_iter().map(Shared).collect();
        for order in [Order::Groups(Rc::new(keys)), Order::Access(Rc::new(shared))] {
            for verb in VERBS {
                assert_panic_poisons(verb, &order, expected);
            }
        }
    }
}

#[test]
fn a_panic_of_the_key_closure_poisons_the_stream() {
    for verb in VERBS {
        let keys = |item| {
            assert_ne!(item, 2, "the keys panic");
            vec![A]
        };
        assert_panic_poisons(verb, &Order::Groups(Rc::new(keys)), "the keys panic");
        let accesses = move |item| keys(item).into_iter().map(Exclusive).collect();
        assert_panic_poisons(verb, &Order::Access(Rc::new(accesses)), "the keys panic");
    }
}

#[test]
fn a_panic_of_the_keys_iterator_poisons_the_stream() {
    let gates = Gates::new(|item| item);
    let keys = |item: &u32| {
        let item = *item;
        (0..3).inspect(move |key| assert!(item != 2 || *key < 2, "the iterator panics"))
    };
    let source = || stream::iter([0, 1, 2, 3]);
    let handle = gates.clone();
    let mut by_groups = spawn(
        source()
            .ordered_by_groups(keys, 8)
            .then_unordered(move |item| handle.handle(item)),
    );
    let handle = gates.clone();
    let mut by_access = spawn(
        source()
            .ordered_by_access(move |item| keys(item).map(Exclusive), 8)
            .try_then(move |item| handle.handle(item + 10)),
    );
    for expected in ["the iterator panics", "polled after a panic"] {
        let polled = catch_unwind(AssertUnwindSafe(|| by_groups.poll_next().is_ready()));
        assert!(message(polled.unwrap_err()).contains(expected));
        let polled = catch_unwind(AssertUnwindSafe(|| by_access.poll_next().is_ready()));
        assert!(message(polled.unwrap_err()).contains(expected));
    }
    assert_eq!(gates.called(), [0, 10]);
    drop((by_groups, by_access));
    gates.assert_all_dropped_once();
}

#[test]
fn a_panic_of_a_handler_poisons_the_stream_and_frees_nothing() {
    for mut case in cases(&VERBS, &exclusive([&[A], &[A, B], &[B]]), slots(8)) {
        settled(&mut case.task);
        case.gates.end(0, End::Panic);
        assert_poisoned(&mut case.task, &case.gates, "the handler of 0 panics");
        case.assert_called([0]);
        drop(case.task);
        case.gates.assert_all_dropped_once();
    }
}

#[test]
fn a_drop_at_any_moment_drops_each_handler_and_each_waiting_item_once() {
    let token = Rc::new(());
    for steps in 0..20 {
        let gates = Gates::new(|item| item);
        let handle = gates.clone();
        let source = stream::iter((0..10).map(|item| (item, Rc::clone(&token))));
        let mut by_groups = spawn(
            source
                .ordered_by_groups(|(item, _)| [item % 2, 2 + item % 3], 3)
                .then_unordered(move |(item, token)| {
                    let gated = handle.handle(item);
                    async move {
                        let _token = token;
                        gated.await
                    }
                }),
        );
        let mut rng = SmallRng::seed_from_u64(steps);
        for _ in 0..steps {
            let _ = by_groups.poll_next();
            let running = gates.running();
            if !running.is_empty() {
                gates.open(running[rng.random_range(0..running.len())]);
            }
        }
        drop(by_groups);
        gates.assert_all_dropped_once();
        assert_eq!(Rc::strong_count(&token), 1, "after {steps} steps");
    }
    for steps in 0..6 {
        for mut case in cases(
            &VERBS,
            &exclusive([&[A], &[A, B], &[B], &[C], &[C]]),
            slots(3),
        ) {
            for item in 0..steps {
                settled(&mut case.task);
                case.gates.open(item);
            }
            let wakers: Vec<_> = case.gates.running().into_iter().collect();
            drop(case.task);
            case.gates.assert_all_dropped_once();
            for item in wakers {
                case.gates.wake(item);
            }
        }
    }
}

#[test]
fn what_finishes_while_the_caller_is_busy_lets_the_next_start() {
    let (r, w) = (Shared(A), Exclusive(A));
    for mut case in cases(&VERBS, &accesses([&[w], &[r], &[r], &[w]]), slots(2)) {
        advance(&mut case.task);
        case.gates.open(0);
        advance(&mut case.task);
        case.assert_called([0, 1, 2]);
        case.gates.open_all([1, 2]);
        advance(&mut case.task);
        case.assert_called([0, 1, 2, 3]);
        assert_eq!(case.task.counts().finished, 3, "{}", case.name);
        case.gates.open(3);
        assert_eq!(settled(&mut case.task), [0, 1, 2, 3], "{}", case.name);
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A day of virtual time: what takes longer, stands still.
const FOR_EVER: Duration = Duration::from_secs(86_400);

#[tokio::test(start_paused = true)]
async fn driven_streams_run_on_while_the_caller_awaits() {
    // 0 and 1 run from 0 to 100, 2 from 100 to 200; the consumer takes 300 for each.
    let finished_at = RefCell::new(vec![]);
    let start = Instant::now();
    let handler = |keys: Vec<u32>| {
        let finished_at = &finished_at;
        async move {
            sleep(ms(50)).await;
            sleep(ms(50)).await;
            finished_at
                .borrow_mut()
                .push(start.elapsed().as_millis() % 900);
            Ok::<_, u32>(keys.len())
        }
    };
    let source = || stream::iter([vec![A], vec![B], vec![A, B]]);
    let exclusive = |keys: &Vec<u32>| keys.clone().into_iter().map(Exclusive);
    let disjoint = |a: &Vec<u32>, b: &Vec<u32>| !a.iter().any(|key| b.contains(key));

    source()
        .ordered_by_groups(Vec::clone, 4)
        .then(handler)
        .drive(|_| sleep(ms(300)))
        .await;
    assert_eq!(start.elapsed(), ms(1_000));
    assert_eq!(finished_at.take(), [100, 100, 200]);

    let start = Instant::now();
    source()
        .ordered_by_access(exclusive, 4)
        .try_then(handler)
        .try_drive(async |_| {
            sleep(ms(300)).await;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(start.elapsed(), ms(1_000));
    assert_eq!(finished_at.take().len(), 3);

    let start = Instant::now();
    let results = source()
        .map(Ok)
        .try_ordered_unless(Vec::clone, disjoint, 4)
        .and_then_unordered(handler);
    let mut results = pin!(results);
    let mut taken = 0;
    while let Some(result) = results.next().await {
        assert!(result.is_ok());
        taken += 1;
        results.as_mut().alongside(sleep(ms(300))).await;
    }
    assert_eq!((taken, start.elapsed()), (3, ms(1_000)));
    assert_eq!(finished_at.take().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_consumer_drops_the_rest_and_comes_out() {
    let gates = Gates::new(|item| item);
    gates.open_all([0, 1]);
    let handle = gates.clone();
    let drive = stream::iter([0, 1, 2, 3])
        .ordered_by_groups(|item| [item / 2, 7], 4)
        .try_then(move |item| handle.handle(item))
        .try_drive(async |(item, _)| if item == 1 { Err(77) } else { Ok(()) });
    assert_eq!(timeout(FOR_EVER, drive).await, Ok(Err(77)));
    gates.assert_all_dropped_once();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_without_its_slot_keeps_its_keys() {
    // One slot. 0 waits from 0 to 1,000; 1 needs one of its keys, 2 and 3 none; each works for 300.
    let log = RefCell::new(vec![]);
    let start = Instant::now();
    let note = |item, what| {
        let at = start.elapsed().as_millis();
        log.borrow_mut().push((item, what, at));
    };
    let keys = [&[A, B][..], &[B, C], &[D], &[]];
    stream::iter(0..4)
        .ordered_by_groups(move |item: &usize| keys[*item].iter().copied(), 1)
        .then(|item| {
            let note = &note;
            async move {
                note(item, "starts");
                if item == 0 {
                    without_slot(sleep(ms(1_000))).await;
                    note(item, "has its slot");
                }
                sleep(ms(300)).await;
            }
        })
        .drive(|_| std::future::ready(()))
        .await;
    let expected = [
        (0, "starts", 0),
        (2, "starts", 0),
        (3, "starts", 300),
        (0, "has its slot", 1_000),
        (1, "starts", 1_300),
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(start.elapsed(), ms(1_600));
}

#[test]
fn a_handler_whose_wait_is_over_has_its_slot_before_anything_younger_starts() {
    // 1 runs without a slot, 2 in the only one; 3 waits for 2. By the end of 2 both 1 and 3 want the slot.
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let started = Rc::new(RefCell::new(vec![]));
    let note = Rc::clone(&started);
    let (wait, waited) = tokio::sync::oneshot::channel::<()>();
    let waited = Cell::new(Some(waited));
    let mut task = spawn(
        stream::iter([1, 2, 3])
            .ordered_by_groups(|item| [item / 2], 1)
            .then(move |item| {
                let gated = handle.handle(item);
                let waited = if item == 1 { waited.take() } else { None };
                let note = Rc::clone(&note);
                async move {
                    if let Some(waited) = waited {
                        without_slot(waited).await.unwrap();
                    }
                    note.borrow_mut().push(item);
                    gated.await
                }
            }),
    );
    assert_pending!(task.poll_next());
    assert_eq!(*started.borrow(), [2]);
    wait.send(()).unwrap();
    assert_pending!(task.poll_next());
    gates.open(2);
    assert_pending!(task.poll_next());
    assert_eq!(*started.borrow(), [2, 1]);
    assert_eq!(gates.called(), [1, 2]);
    gates.open(1);
    assert_ready_eq!(task.poll_next(), Some((Ok(1), 0)));
    assert_ready_eq!(task.poll_next(), Some((Ok(2), 1)));
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [1, 2, 3]);
}

#[test]
fn partitions_keep_their_offsets_apart_and_the_keys_cross_them() {
    // Items are of the partition of their tens. 10 and 20 share a key, 11 and 21 too.
    let keys = |item: &u32| match item {
        10 | 20 => vec![A],
        11 | 21 => vec![A, B],
        _ => vec![],
    };
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let mut task = spawn(
        stream::iter([10, 20, 30, 11, 21, 31])
            .ordered_by_groups(keys, 8)
            .offsets(|item| *item)
            .partitions(|item| item / 10)
            .then(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [10, 30, 31]);
    // A stuck partition does not hold back the results of the others, and holds back what shares a key.
    gates.open_all([31, 30]);
    assert_ready_eq!(task.poll_next(), Some((Ok(30), 30)));
    assert_ready_eq!(task.poll_next(), Some((Ok(31), 31)));
    assert_pending!(task.poll_next());
    gates.open(10);
    assert_ready_eq!(task.poll_next(), Some((Ok(10), 10)));
    assert_pending!(task.poll_next());
    assert_eq!(gates.running(), [20]);
    gates.open(20);
    assert_ready_eq!(task.poll_next(), Some((Ok(20), 20)));
    assert_pending!(task.poll_next());
    assert_eq!(gates.running(), [11]);
    assert_eq!(task.groups(), 2);
    gates.open_all([21, 11]);
    assert_ready_eq!(task.poll_next(), Some((Ok(11), 11)));
    assert_ready_eq!(task.poll_next(), Some((Ok(21), 21)));
    assert_ready_eq!(task.poll_next(), None);
}

#[test]
fn a_failure_in_one_partition_stops_all_of_them_where_it_stands() {
    // 11 and 20 wait and come before the failure of 21 in the source; 30 waits and comes after it.
    let keys = |item: &u32| match item {
        10 | 11 | 20 => vec![A],
        30 => vec![A, B],
        _ => vec![],
    };
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let mut task = spawn(
        stream::iter([10, 11, 20, 21, 30])
            .ordered_by_groups(keys, 8)
            .offsets(|item| *item)
            .partitions(|item| item / 10)
            .try_then_unordered(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    gates.fail(21);
    assert_pending!(task.poll_next());
    let mut out = vec![];
    for item in [10, 11, 20] {
        gates.open(item);
        while let Poll::Ready(Some(result)) = task.poll_next() {
            out.push(result.map(|(item, offset)| (item, offset.frontier().copied())));
        }
    }
    let expected = [
        Ok((10, Some(10))),
        Ok((11, Some(11))),
        Ok((20, Some(20))),
        Err(21),
    ];
    assert_eq!(out, expected);
    assert_eq!(gates.called(), [10, 21, 11, 20]);
}

/// Every key has the same hash.
#[derive(Clone)]
struct Constant;

impl BuildHasher for Constant {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self
    }
}

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

#[test]
fn keys_whose_hashes_collide_are_different_keys() {
    let keys = [&[A, B][..], &[C], &[B, C], &[D], &[A, D]];
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let mut by_groups = spawn(
        stream::iter(0..5)
            .ordered_by_groups(move |item: &u32| keys[*item as usize].iter().copied(), 8)
            .with_hasher(Constant)
            .then(move |item| handle.handle(item)),
    );
    let handle = gates.clone();
    let mut by_access = spawn(
        stream::iter(0..5)
            .map(Ok::<u32, u32>)
            .try_ordered_by_access(
                move |item| keys[*item as usize].iter().copied().map(Exclusive),
                8,
            )
            .with_hasher(Constant)
            .and_then(move |item| handle.handle(item + 10)),
    );
    assert_pending!(by_groups.poll_next());
    assert_pending!(by_access.poll_next());
    assert_eq!(gates.called(), [0, 1, 3, 10, 11, 13]);
    assert_eq!((by_groups.groups(), by_access.groups()), (4, 4));
    // The chain loses its middle, its end and its start.
    gates.open_all([1, 3, 11, 13]);
    assert_pending!(by_groups.poll_next());
    assert_pending!(by_access.poll_next());
    assert_eq!(gates.called(), [0, 1, 3, 10, 11, 13]);
    gates.open_all([0, 10]);
    assert_ready_eq!(by_groups.poll_next(), Some((Ok(0), 0)));
    assert_ready_eq!(by_groups.poll_next(), Some((Ok(1), 1)));
    assert_pending!(by_groups.poll_next());
    assert_ready_eq!(by_access.poll_next(), Some(Ok((10, 0))));
    assert_ready_eq!(by_access.poll_next(), Some(Ok((11, 1))));
    assert_pending!(by_access.poll_next());
    assert_eq!(gates.running(), [2, 4, 12, 14]);
    gates.open_all([2, 4, 12, 14]);
    while by_groups.poll_next() != Poll::Ready(None) {}
    while by_access.poll_next() != Poll::Ready(None) {}
    assert_eq!((by_groups.groups(), by_access.groups()), (0, 0));
}

#[test]
fn the_keys_are_read_once_an_item_in_source_order() {
    let read = Rc::new(RefCell::new(vec![]));
    for verb in VERBS {
        let (feed, gates) = (items(0..20), Gates::new(|item| item));
        let note = Rc::clone(&read);
        let accesses = move |item| {
            note.borrow_mut().push(item);
            vec![Exclusive(item % 2), Shared(5)]
        };
        let order = Order::Access(Rc::new(accesses));
        let mut task = Setup::new(verb, 3)
            .look_ahead(5)
            .spawn_in(&order, &feed, &gates);
        let mut out = settled(&mut task);
        while let Some(item) = gates.running().first() {
            assert_eq!(read.borrow().len(), feed.pulled());
            gates.open(*item);
            out.extend(settled(&mut task));
        }
        assert_eq!(out.len(), 20);
        assert!(read.take().into_iter().eq(0..20), "{verb:?}");
    }
}

#[test]
fn an_item_of_a_thousand_keys_waits_for_all_before_it_and_all_behind_wait_for_it() {
    const KEYS: u32 = 1_000;
    // Two rounds of one item for each key, an item of all keys, and so on.
    let mut barriers: Accesses = vec![];
    for _ in 0..3 {
        barriers.extend((0..2 * KEYS).map(|n| vec![Exclusive(n % KEYS)]));
        barriers.push((0..KEYS).map(Exclusive).collect());
    }
    let end = barriers.len() as u32;
    let round = 2 * KEYS + 1;
    for (verb, max_parallel) in [(Verb::Then, 64), (Verb::ThenUnordered, 5_000)] {
        let wide = |verb| Setup::new(verb, max_parallel).look_ahead(10_000);
        for mut case in cases(&[verb], &barriers, wide).take(2) {
            let mut rng = SmallRng::seed_from_u64(1);
            let mut out = settled(&mut case.task);
            let mut finished = 0;
            let mut running = case.gates.running();
            while !running.is_empty() {
                for item in running {
                    let barriers_before = item / round;
                    if item % round == round - 1 {
                        assert_eq!(case.gates.running(), [item], "{}", case.name);
                        assert_eq!(finished, item, "{}: all before it", case.name);
                    } else {
                        assert!(finished >= barriers_before * round, "{}", case.name);
                    }
                    if rng.random_bool(0.7) {
                        case.gates.open(item);
                        finished += 1;
                    }
                }
                out.extend(settled(&mut case.task));
                running = case.gates.running();
            }
            assert_eq!(finished, end);
            assert_eq!(out.len() as u32, end);
            assert_eq!(case.task.counts().groups, 0);
        }
    }
}

#[test]
fn a_key_that_was_gone_is_in_order_when_it_comes_back() {
    let accesses: Accesses = (0..200)
        .map(|n| vec![Exclusive(n / 2 % 5), Shared(9)])
        .collect();
    for (name, order) in orders(accesses) {
        for verb in VERBS {
            let (feed, gates) = (items([]), Gates::new(|item| item));
            let mut task = Setup::new(verb, 4).spawn_in(&order, &feed, &gates);
            for first in (0..200).step_by(2) {
                feed.push(Ok(first));
                feed.push(Ok(first + 1));
                assert_eq!(settled(&mut task), [0; 0]);
                assert_eq!(gates.running(), [first], "{name}, {verb:?}");
                gates.open_all([first + 1, first]);
                assert_eq!(settled(&mut task), [first, first + 1], "{name}, {verb:?}");
                assert_eq!(task.counts().groups, 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sources_that_fail_are_ordered_alike() {
    let start = Instant::now();
    let source = || stream::iter([[A, B], [C, D], [B, C]]).map(Ok::<_, u32>);
    let handler = async |_: [u32; 2]| {
        sleep(ms(1_000)).await;
        Ok(())
    };
    let by_groups = source().try_ordered_by_groups(|keys| *keys, 4);
    let done: Vec<_> = by_groups.and_then(handler).try_collect().await.unwrap();
    assert_eq!((done.len(), start.elapsed()), (3, ms(2_000)));
    let by_access = source().try_ordered_by_access(|keys| keys.map(Shared), 4);
    let done: Vec<_> = by_access.and_then(handler).try_collect().await.unwrap();
    assert_eq!((done.len(), start.elapsed()), (3, ms(3_000)));
    let disjoint = |a: &[u32; 2], b: &[u32; 2]| !a.iter().any(|key| b.contains(key));
    let unless = source().try_ordered_unless(|keys| *keys, disjoint, 4);
    let done: Vec<_> = unless
        .and_then_unordered(handler)
        .try_collect()
        .await
        .unwrap();
    assert_eq!((done.len(), start.elapsed()), (3, ms(5_000)));
}

#[test]
fn no_slots_are_refused_at_the_callers_line() {
    for refused in [
        catch_unwind(|| drop(stream::iter([A]).ordered_by_groups(|key| [*key], 0))),
        catch_unwind(|| drop(stream::iter([A]).ordered_by_access(|key| [Shared(*key)], 0))),
        catch_unwind(|| drop(stream::iter([A]).ordered_unless(|_| (), |(), ()| true, 0))),
    ] {
        assert!(message(refused.unwrap_err()).contains("max_parallel is 0"));
    }
}
