//! Chapter 7 of the contract: what is committed is safe, wherever the process crashes.

mod support;

use std::collections::BTreeSet;
use std::task::Poll;

use futures::{FutureExt as _, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_test::assert_ready;
use tokio_test::task::spawn;

use self::support::{Gates, Handed, Setup, VERBS, Verb, items, settle};

/// The log that is consumed: items whose offsets have gaps.
const LOG: std::ops::Range<u32> = 0..40;

fn offset(item: u32) -> u32 {
    100 + item * item
}

/// What outlives a crash.
#[derive(Default)]
struct World {
    /// What was dealt with, in that order.
    dealt: Vec<u32>,
    committed: Option<u32>,
}

impl World {
    fn unread(&self) -> impl Iterator<Item = u32> {
        let committed = self.committed;
        LOG.filter(move |item| committed.is_none_or(|committed| offset(*item) > committed))
    }

    /// Consumes the log from the committed offset on, and crashes after so many results; the last of them is dealt
    /// with, but `commits_last` says whether its offset is committed.
    fn run(&mut self, verb: Verb, rng: &mut SmallRng, results: usize, commits_last: bool) {
        let (feed, gates) = (items(self.unread()), Gates::new(|item| item % 7));
        feed.close();
        let mut task = Setup::new(verb, 4)
            .look_ahead(12)
            .key(|item| item % 7)
            .offset(offset)
            .spawn(&feed, &gates);
        let mut left = results;
        while left > 0 {
            match task.poll_next() {
                Poll::Ready(Some(handed)) => {
                    left -= 1;
                    let Handed { item, frontier, .. } = handed.unwrap();
                    self.dealt.push(item);
                    if frontier.is_some() && (left > 0 || commits_last) {
                        assert!(frontier >= self.committed, "{verb:?}: a commit goes back");
                        self.committed = frontier;
                    }
                    self.assert_safe(verb);
                }
                Poll::Ready(None) => return,
                Poll::Pending if task.is_woken() => {}
                Poll::Pending => {
                    let running = gates.running();
                    gates.open(running[rng.random_range(0..running.len())]);
                }
            }
        }
    }

    /// Everything up to the committed offset was dealt with.
    fn assert_safe(&self, verb: Verb) {
        let dealt: BTreeSet<_> = self.dealt.iter().collect();
        for item in LOG.filter(|item| Some(offset(*item)) <= self.committed) {
            assert!(
                dealt.contains(&item),
                "{verb:?}: {item} is committed and lost"
            );
        }
    }
}

#[test]
fn after_a_crash_at_any_offset_nothing_is_lost_and_only_what_was_not_committed_is_repeated() {
    for verb in VERBS {
        for seed in 0..10 {
            for crash_after in 0..=LOG.len() {
                for commits_last in [true, false] {
                    let mut rng = SmallRng::seed_from_u64(seed);
                    let mut world = World::default();
                    world.run(verb, &mut rng, crash_after, commits_last);
                    let before_crash: BTreeSet<_> = world.dealt.drain(..).collect();
                    assert_eq!(before_crash.len(), crash_after, "no item comes out twice");
                    let committed = world.committed;
                    world.dealt.extend(&before_crash);
                    world.run(verb, &mut rng, usize::MAX, true);
                    let after_crash: BTreeSet<_> = world.dealt.drain(crash_after..).collect();
                    let all: BTreeSet<_> = before_crash.union(&after_crash).copied().collect();
                    assert!(all.into_iter().eq(LOG), "{verb:?}, seed {seed}");
                    for repeated in before_crash.intersection(&after_crash) {
                        assert!(Some(offset(*repeated)) > committed, "{verb:?}, seed {seed}");
                    }
                    let last = Some(offset(LOG.end - 1));
                    assert_eq!(world.committed, last, "{verb:?}, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn in_source_order_offsets_come_out_in_the_order_of_the_source() {
    for verb in VERBS.into_iter().filter(|verb| verb.in_source_order()) {
        // Not even sorted: the order is that of the source.
        let log = [30, 10, 20, 11, 31, 0];
        let (feed, gates) = (items(log), Gates::default());
        feed.close();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        let mut out = settle(&mut task);
        for item in [0, 20, 10, 31, 11, 30] {
            gates.open(item);
            out.extend(settle(&mut task));
        }
        let offsets = out
            .into_iter()
            .flatten()
            .map(|handed| handed.unwrap().offset);
        assert!(offsets.eq(log), "{verb:?}");
    }
}

#[test]
fn the_default_offset_is_the_position_in_the_source() {
    let results = stream::iter(["c", "a", "b"])
        .ordered_by_group(|item| *item, 4)
        .then(std::future::ready)
        .collect::<Vec<_>>()
        .now_or_never();
    assert_eq!(results, Some(vec![("c", 0), ("a", 1), ("b", 2)]));
    let results = stream::iter([Ok("c"), Ok("a"), Err("no")])
        .try_ordered_by_group(|item| *item, 4)
        .and_then_unordered(|item| std::future::ready(Ok(item)))
        .map(|next| next.map(|(item, offset)| (item, *offset.offset(), offset.frontier().copied())))
        .collect::<Vec<_>>()
        .now_or_never();
    let expected = [Ok(("c", 0, Some(0))), Ok(("a", 1, Some(1))), Err("no")];
    assert_eq!(results, Some(expected.to_vec()));
}

#[test]
fn the_frontier_is_the_last_before_the_oldest_that_was_not_handed_over() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        for seed in 0..50 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let gates = Gates::new(|item| item % 11);
            let feed = items(0..200);
            feed.close();
            let mut task = Setup::new(verb, 5)
                .look_ahead(16)
                .key(|item| item % 11)
                .offset(offset)
                .spawn(&feed, &gates);
            let mut handed_over = BTreeSet::new();
            let mut last = None;
            while !task.has_terminated() {
                for handed in settle(&mut task).into_iter().flatten() {
                    let Handed { item, frontier, .. } = handed.unwrap();
                    assert!(handed_over.insert(item));
                    let oldest_missing = (0..).find(|item| !handed_over.contains(item)).unwrap();
                    let expected = oldest_missing.checked_sub(1).map(offset);
                    assert_eq!(frontier, expected, "{verb:?}, seed {seed}");
                    last = frontier;
                }
                let running = gates.running();
                if !running.is_empty() {
                    gates.open(running[rng.random_range(0..running.len())]);
                }
            }
            assert_eq!(
                last,
                Some(offset(199)),
                "{verb:?}: at the end it is the last offset"
            );
        }
    }
}

#[test]
fn a_result_that_is_finished_but_not_handed_over_holds_the_frontier() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        support::advance(&mut task);
        gates.open_all([30, 20]);
        support::advance(&mut task);
        gates.open(10);
        support::advance(&mut task);
        let mut handed_over = BTreeSet::new();
        for _ in 0..3 {
            let Poll::Ready(Some(Ok(handed))) = task.poll_next() else {
                panic!("{verb:?}: three are finished");
            };
            handed_over.insert(handed.item);
            let before = [10, 20, 30]
                .into_iter()
                .take_while(|item| handed_over.contains(item));
            assert_eq!(handed.frontier, before.last(), "{verb:?}");
        }
    }
}

#[test]
fn in_completion_order_a_group_keeps_its_order() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        let mut rng = SmallRng::seed_from_u64(3);
        let (feed, gates) = (items(0..1_000), Gates::new(|item| item % 13));
        feed.close();
        let mut task = Setup::new(verb, 6)
            .key(|item| item % 13)
            .spawn(&feed, &gates);
        let mut last_of_group = [None; 13];
        let mut out_of_order = false;
        let mut last = None;
        while !task.has_terminated() {
            for handed in settle(&mut task).into_iter().flatten() {
                let item = handed.unwrap().item;
                let last_of_group = &mut last_of_group[item as usize % 13];
                assert!(*last_of_group < Some(item), "{verb:?}");
                *last_of_group = Some(item);
                out_of_order |= last > Some(item);
                last = Some(item);
            }
            let running = gates.running();
            if !running.is_empty() {
                gates.open(running[rng.random_range(0..running.len())]);
            }
        }
        assert!(out_of_order, "{verb:?}: groups overtake each other");
    }
}

#[test]
fn a_head_that_is_stuck_for_a_million_items_holds_the_frontier_and_no_more_than_the_span() {
    const LOOK_AHEAD: usize = 15_625;
    const SPAN: u64 = 64 * LOOK_AHEAD as u64;
    let (release, stuck) = tokio::sync::oneshot::channel::<()>();
    let mut stuck = Some(stuck);
    let mut task = spawn(
        stream::iter(0..SPAN + 1_000)
            .ordered_by_group(|item| *item, 2)
            .look_ahead(LOOK_AHEAD)
            .then_unordered(move |item| {
                let stuck = if item == 0 { stuck.take() } else { None };
                async move {
                    if let Some(stuck) = stuck {
                        stuck.await.unwrap();
                    }
                    item
                }
            }),
    );
    let mut out = 0;
    loop {
        match task.poll_next() {
            Poll::Ready(next) => {
                let (item, offset) = next.unwrap();
                out += 1;
                assert_eq!((*offset.offset(), offset.frontier()), (item, None));
            }
            Poll::Pending if task.is_woken() => {}
            Poll::Pending => break,
        }
    }
    assert_eq!(out, SPAN - 1);
    assert_eq!(task.unfinished().collect::<Vec<_>>(), [&0]);
    release.send(()).unwrap();
    // A poll may be spent on giving way.
    let next = match task.poll_next() {
        Poll::Pending if task.is_woken() => task.poll_next(),
        next => next,
    };
    let (item, offset) = assert_ready!(next).unwrap();
    assert_eq!(item, 0);
    assert_eq!(offset.frontier(), Some(&(SPAN - 1)));
    let mut last = None;
    loop {
        match task.poll_next() {
            Poll::Ready(Some((_, offset))) => last = offset.frontier().copied(),
            Poll::Ready(None) => break,
            Poll::Pending => assert!(task.is_woken()),
        }
    }
    assert_eq!(last, Some(SPAN + 999));
}

#[test]
fn an_unordered_offset_can_be_cloned_compared_and_printed() {
    let mut task = spawn(
        stream::iter(["a"])
            .ordered_by_group(|item| *item, 1)
            .offsets(|item| item.to_string())
            .then_unordered(std::future::ready),
    );
    let (_, offset) = assert_ready!(task.poll_next()).unwrap();
    assert_eq!(offset, offset.clone());
    assert!(format!("{offset:?}").contains("\"a\""));
}
