//! Chapters 1, 3 and 6 of the contract: who runs, and when.

mod support;

use std::hash::{BuildHasher, Hasher};

use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{Event, Gates, Setup, VERBS, advance, items, settled};

#[test]
fn a_handler_is_called_only_after_the_one_before_it_was_dropped() {
    for verb in VERBS {
        let (feed, gates) = (items(10..14), Gates::default());
        let mut task = Setup::new(verb, 8).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        for item in 10..14 {
            assert_eq!(gates.running(), [item], "{verb:?}");
            gates.open(item);
            assert_eq!(settled(&mut task), [item], "{verb:?}");
        }
        let serial = (10..14).flat_map(|item| {
            [
                Event::Called(item),
                Event::Finished(item),
                Event::Dropped(item),
            ]
        });
        assert_eq!(gates.events(), serial.collect::<Vec<_>>(), "{verb:?}");
    }
}

#[test]
fn handlers_that_are_ready_at_once_are_called_one_after_the_other_too() {
    for verb in VERBS {
        let (feed, gates) = (items(10..14), Gates::default());
        gates.open_all(10..14);
        let mut task = Setup::new(verb, 8).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [10, 11, 12, 13], "{verb:?}");
        let serial = (10..14).flat_map(|item| {
            [
                Event::Called(item),
                Event::Finished(item),
                Event::Dropped(item),
            ]
        });
        assert_eq!(gates.events(), serial.collect::<Vec<_>>(), "{verb:?}");
    }
}

#[test]
fn a_finished_future_is_dropped_before_its_result_is_handed_over() {
    for verb in VERBS {
        for opened_before in [true, false] {
            let (feed, gates) = (items([10]), Gates::default());
            if opened_before {
                gates.open(10);
            }
            let mut task = Setup::new(verb, 1).spawn(&feed, &gates);
            if !opened_before {
                assert_eq!(settled(&mut task), [0; 0]);
                gates.open(10);
            }
            assert!(task.poll_next().is_ready());
            assert_eq!(gates.drops(10), 1, "{verb:?}");
        }
    }
}

#[test]
fn as_many_groups_run_as_there_are_slots_or_groups_and_no_more() {
    for (groups, slots) in [(1, 4), (3, 4), (4, 4), (9, 4), (50, 1)] {
        for verb in VERBS {
            let feed = items(0..10_000);
            let gates = Gates::new(move |item| item % groups);
            let mut task = Setup::new(verb, slots)
                .key(move |item| item % groups)
                .spawn(&feed, &gates);
            let mut out = settled(&mut task);
            while let Some(oldest) = gates.running().into_iter().min() {
                gates.open(oldest);
                out.extend(settled(&mut task));
            }
            out.sort_unstable();
            assert!(out.into_iter().eq(0..10_000), "{verb:?}");
            assert_eq!(gates.peak(), slots.min(groups as usize), "{verb:?}");
        }
    }
}

#[test]
fn a_new_arrival_does_not_overtake_an_older_waiter_though_the_slot_frees_in_the_same_poll() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(10);
        feed.push(Ok(12));
        assert_eq!(settled(&mut task), [10]);
        assert_eq!(gates.called(), [10, 11], "{verb:?}");
        gates.open_all([11, 12]);
        assert_eq!(settled(&mut task), [11, 12]);
        assert_eq!(gates.called(), [10, 11, 12], "{verb:?}");
    }
}

#[test]
fn what_was_admitted_while_the_caller_was_busy_keeps_its_order() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        advance(&mut task);
        gates.open(10);
        feed.push(Ok(12));
        advance(&mut task);
        assert_eq!(gates.called(), [10, 11], "{verb:?}");
        gates.open_all([11, 12]);
        advance(&mut task);
        assert_eq!(gates.called(), [10, 11, 12], "{verb:?}");
        assert_eq!(settled(&mut task), [10, 11, 12], "{verb:?}");
    }
}

#[test]
fn a_hot_group_and_cold_ones_share_two_slots_without_either_standing_idle() {
    const HOT: u32 = 0;
    // After every hundred hot items a cold one, each of a group of its own.
    let source = (1..=101_000).map(|n| if n % 101 == 0 { n } else { HOT });
    let keys: Vec<_> = source.clone().collect();
    let key = move |item: u32| keys[item as usize];
    let feed = items(0..101_000);
    let gates = Gates::new(key.clone());
    let mut task = Setup::new(support::Verb::ThenUnordered, 2)
        .look_ahead(200_000)
        .key(key.clone())
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    let mut out = 0;
    for cold in (100..101_000).step_by(101) {
        // It started as soon as it was pulled, and nothing past it was.
        assert_eq!(feed.pulled() as u32, cold + 1);
        assert_eq!(gates.running().len(), 2, "the hot group is never idle");
        assert_eq!(gates.running()[1], cold);
        gates.open(gates.running()[0]);
        out += settled(&mut task).len();
        assert_eq!(gates.running().len(), 2, "the hot group is never idle");
        gates.open(cold);
        out += settled(&mut task).len();
    }
    while let Some(hot) = gates.running().first() {
        gates.open(*hot);
        out += settled(&mut task).len();
    }
    assert_eq!(out, 101_000);
}

#[test]
fn with_one_slot_an_item_of_another_group_has_its_turn_by_arrival() {
    for verb in VERBS {
        let hot_then_cold = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
        let more_of_the_hot = [100, 101, 102];
        let group = |item| if item == 20 { 2 } else { 1 };
        let feed = items(hot_then_cold.into_iter().chain(more_of_the_hot));
        let gates = Gates::new(group);
        let mut task = Setup::new(verb, 1).key(group).spawn(&feed, &gates);
        for item in hot_then_cold.into_iter().chain(more_of_the_hot) {
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!(gates.running(), [item], "{verb:?}");
            gates.open(item);
            assert_eq!(settled(&mut task), [item]);
        }
    }
}

#[test]
fn a_free_slot_goes_to_what_arrived_first() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20, 30, 40, 50]), Gates::default());
        let mut task = Setup::new(verb, 2).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(gates.called(), [10, 20]);
        assert_eq!(
            feed.pulled(),
            3,
            "what is unread is younger than what waits"
        );
        gates.open(10);
        settled(&mut task);
        assert_eq!(gates.called(), [10, 20, 11], "{verb:?}");
        gates.open(20);
        settled(&mut task);
        assert_eq!(gates.called(), [10, 20, 11, 30], "{verb:?}");
        gates.open_all([11, 30]);
        settled(&mut task);
        assert_eq!(gates.called(), [10, 20, 11, 30, 40, 50], "{verb:?}");
    }
}

#[test]
fn a_group_goes_on_though_its_first_result_is_not_emitted() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20, 21]), Gates::default());
        let mut task = Setup::new(verb, 2).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(20);
        let out = settled(&mut task);
        assert_eq!(out.is_empty(), verb.in_source_order(), "{verb:?}");
        assert_eq!(gates.running(), [10, 21], "{verb:?}");
    }
}

#[test]
fn a_group_goes_on_while_the_caller_is_busy_with_its_first_result() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11]), Gates::default());
        let mut task = Setup::new(verb, 2).spawn(&feed, &gates);
        advance(&mut task);
        gates.open(10);
        advance(&mut task);
        assert_eq!(gates.running(), [11], "{verb:?}");
        assert_eq!(task.counts().finished, 1, "{verb:?}");
    }
}

/// Puts every key into one bucket, or keys into few.
#[derive(Clone)]
struct Few(u64);

struct FewHasher(u64, u64);

impl BuildHasher for Few {
    type Hasher = FewHasher;

    fn build_hasher(&self) -> FewHasher {
        FewHasher(0, self.0)
    }
}

impl Hasher for FewHasher {
    fn finish(&self) -> u64 {
        self.0 % self.1
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    }
}

#[test]
fn groups_whose_hashes_collide_are_different_groups() {
    for hashes in [1, 2, 7] {
        let gates = Gates::default();
        let handle = gates.clone();
        let mut task = spawn(
            stream::iter([10, 20, 11, 30, 40, 21])
                .ordered_by_group(|item| item / 10, 8)
                .with_hasher(Few(hashes))
                .then(move |item| handle.handle(item)),
        );
        assert_pending!(task.poll_next());
        assert_eq!(gates.running(), [10, 20, 30, 40]);
        assert_eq!((task.groups(), task.waiting()), (4, 2));
        // The chain loses its middle, its end and its start.
        gates.open_all([20, 21, 10, 40]);
        assert_ready_eq!(task.poll_next(), Some((Ok(10), 0)));
        assert_ready_eq!(task.poll_next(), Some((Ok(20), 1)));
        assert_pending!(task.poll_next());
        assert_eq!(gates.running(), [11, 30]);
        assert_eq!(task.groups(), 2);
    }
}

#[test]
fn keys_that_are_none_are_one_serial_group() {
    let gates = Gates::new(|item| item / 10 % 5);
    let handle = gates.clone();
    let mut task = spawn(
        stream::iter([50, 10, 51, 11, 52])
            .ordered_by_group(|item| (item / 10 != 5).then_some(item / 10), 8)
            .then(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [50, 10]);
    assert_eq!((task.groups(), task.waiting()), (2, 3));
}

#[test]
fn a_million_one_shot_groups_leave_no_group_behind() {
    let mut task = spawn(
        stream::iter(0..1_000_000_u32)
            .ordered_by_group(|item| *item, 64)
            .then_unordered(|_| tokio::task::yield_now()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let out = runtime.block_on(async { task.by_ref().count().await });
    assert_eq!(out, 1_000_000);
    assert_eq!((task.groups(), task.running(), task.waiting()), (0, 0, 0));
}

#[test]
fn a_group_that_was_gone_is_in_order_when_it_comes_back() {
    for verb in VERBS {
        let (feed, gates) = (items([]), Gates::new(|_| 1));
        let mut task = Setup::new(verb, 4).key(|_| 1).spawn(&feed, &gates);
        for round in 0..20 {
            let first = 1_000 + round * 2;
            feed.push(Ok(first));
            feed.push(Ok(first + 1));
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!(gates.running(), [first], "{verb:?}");
            gates.open_all([first + 1, first]);
            assert_eq!(settled(&mut task), [first, first + 1], "{verb:?}");
            assert_eq!(task.counts().groups, 0);
        }
    }
}
