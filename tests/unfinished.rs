//! What can be seen of a running stream: its counts, and the offsets of what is not finished.

mod support;

use futures::{Stream as _, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_test::assert_pending;
use tokio_test::task::spawn;

use self::support::{Counts, Feed, Gates, Setup, VERBS, advance, items, settle, settled};

fn counts(running: usize, waiting: usize, finished: usize, groups: usize) -> Counts {
    Counts {
        running,
        waiting,
        finished,
        groups,
    }
}

#[test]
fn the_counts_follow_each_item_from_its_arrival_to_its_result() {
    for verb in VERBS {
        let (feed, gates) = (items([]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(task.counts(), counts(0, 0, 0, 0));
        for (item, expected) in [
            (10, counts(1, 0, 0, 1)),
            (11, counts(1, 1, 0, 1)),
            (20, counts(2, 1, 0, 2)),
            (30, counts(3, 1, 0, 3)),
            (12, counts(3, 2, 0, 3)),
        ] {
            feed.push(Ok(item));
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!(task.counts(), expected, "{verb:?}");
        }
        gates.open(10);
        advance(&mut task);
        assert_eq!(task.counts(), counts(3, 1, 1, 3), "{verb:?}");
        gates.open(30);
        advance(&mut task);
        assert_eq!(task.counts(), counts(2, 1, 2, 2), "{verb:?}");
        let out = settled(&mut task).len();
        let held_back = usize::from(verb.in_source_order());
        assert_eq!(out, 2 - held_back);
        assert_eq!(task.counts(), counts(2, 1, held_back, 2), "{verb:?}");
        gates.open_all([12, 11, 20]);
        settled(&mut task);
        assert_eq!(task.counts(), counts(0, 0, 0, 0), "{verb:?}");
    }
}

#[test]
fn unfinished_offsets_are_exact_through_a_run_the_oldest_first() {
    for verb in VERBS {
        for seed in 0..20 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let (feed, gates) = (items(0..300), Gates::new(|item| item % 9));
            feed.close();
            let mut task = Setup::new(verb, 4)
                .look_ahead(24)
                .key(|item| item % 9)
                .offset(|item| item + 1_000)
                .spawn(&feed, &gates);
            assert_eq!(task.unfinished(), [0; 0]);
            let mut out = 0;
            while !task.has_terminated() {
                if rng.random() {
                    out += settle(&mut task).iter().flatten().count();
                } else {
                    advance(&mut task);
                }
                let finished = gates.finished();
                let expected: Vec<_> = (0..feed.pulled() as u32)
                    .filter(|item| !finished.contains(item))
                    .map(|item| item + 1_000)
                    .collect();
                assert_eq!(task.unfinished(), expected, "{verb:?}, seed {seed}");
                let Counts {
                    running,
                    waiting,
                    finished,
                    groups,
                } = task.counts();
                assert_eq!(running, gates.live(), "{verb:?}, seed {seed}");
                assert_eq!(running + waiting, expected.len(), "{verb:?}, seed {seed}");
                assert_eq!(running + waiting + finished + out, feed.pulled());
                let mut keys: Vec<_> = expected.iter().map(|offset| (offset - 1_000) % 9).collect();
                keys.sort_unstable();
                keys.dedup();
                assert_eq!(groups, keys.len(), "{verb:?}, seed {seed}");
                let live = gates.running();
                if !live.is_empty() {
                    gates.open(live[rng.random_range(0..live.len())]);
                }
            }
            assert_eq!(task.unfinished(), [0; 0], "{verb:?}");
            assert_eq!(out, 300);
        }
    }
}

#[test]
fn at_a_deadline_what_came_out_and_what_is_unfinished_make_what_was_admitted() {
    for verb in VERBS {
        let (feed, gates) = (items(0..100), Gates::new(|item| item % 6));
        let mut task = Setup::new(verb, 3)
            .look_ahead(20)
            .key(|item| item % 6)
            .spawn(&feed, &gates);
        let mut out = settled(&mut task);
        for item in [1, 7, 0, 6] {
            gates.open(item);
            out.extend(settled(&mut task));
        }
        // The deadline: what is finished by now has come out, since nothing older is unfinished.
        let mut accounted: Vec<_> = out.into_iter().chain(task.unfinished()).collect();
        accounted.sort_unstable();
        let admitted = feed.pulled() as u32;
        let held_back = task.counts().finished;
        assert_eq!(accounted.len() + held_back, admitted as usize, "{verb:?}");
        accounted.dedup();
        assert_eq!(
            accounted.len() + held_back,
            admitted as usize,
            "{verb:?}: nothing twice"
        );
        if !verb.in_source_order() {
            assert!(accounted.into_iter().eq(0..admitted), "{verb:?}");
        }
    }
}

#[test]
fn after_a_stop_the_unfinished_offsets_are_all_that_is_left() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (feed, gates) = (Feed::new([10, 11, 20, 30, 40]), Gates::default());
    let handle = gates.clone();
    let mut task = spawn(
        feed.source()
            .take_until(stopped)
            .ordered_by_group(|item| item / 10, 3)
            .offsets(|item| *item)
            .then_unordered(move |item| handle.handle(item)),
    );
    assert_pending!(task.poll_next());
    stop.send(()).unwrap();
    assert_pending!(task.poll_next());
    gates.open(20);
    assert!(task.poll_next().is_ready());
    assert_pending!(task.poll_next());
    assert_eq!(task.unfinished().collect::<Vec<_>>(), [&10, &11, &30]);
    assert_eq!(feed.left(), 1, "40 is left to the next consumer");
}

#[test]
fn debug_prints_the_counts() {
    let names = [
        "Then",
        "ThenUnordered",
        "AndThen",
        "AndThenUnordered",
        "AndThen",
        "AndThenUnordered",
    ];
    for (verb, name) in VERBS.into_iter().zip(names) {
        let (feed, gates) = (items([10, 11, 12, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        advance(&mut task);
        gates.open(30);
        advance(&mut task);
        assert_eq!(
            task.describe(),
            format!("{name} {{ running: 2, waiting: 2, finished: 1, groups: 2, .. }}")
        );
    }
}

#[test]
fn debug_of_a_stream_that_is_driven_prints_its_counts() {
    let results = stream::pending::<u32>()
        .ordered_by_group(|item| *item, 3)
        .then(std::future::ready);
    let driven = results.drive(|_| std::future::ready(()));
    let counts = "running: 0, waiting: 0, finished: 0, groups: 0";
    let text = format!("{driven:?}");
    assert!(
        text.starts_with("Drive {") && text.contains(counts),
        "{text}"
    );
    let results = stream::pending::<u32>()
        .ordered_by_group(|item| *item, 3)
        .try_then(|item| std::future::ready(Ok::<_, ()>(item)));
    let driven = results.try_drive(|_| std::future::ready(Ok(())));
    let text = format!("{driven:?}");
    assert!(
        text.starts_with("TryDrive {") && text.contains(counts),
        "{text}"
    );
}

#[test]
fn debug_of_the_settings_prints_the_limits() {
    let plain = stream::empty::<u32>().ordered_by_group(|item| *item, 3);
    let text = format!("{:?}", plain.look_ahead(77));
    assert!(
        text.contains("max_parallel: 3") && text.contains("look_ahead: 77"),
        "{text}"
    );
    let tried = stream::empty::<Result<u32, u32>>().try_ordered_by_group(|item| *item, 32);
    let text = format!("{tried:?}");
    assert!(
        text.contains("max_parallel: 32") && text.contains("look_ahead: 2048"),
        "{text}"
    );
}

#[test]
fn the_source_can_be_looked_at_while_the_stream_runs() {
    let mut task = spawn(
        stream::iter([10, 11, 20, 30])
            .ordered_by_group(|item| item / 10, 2)
            .then(|_| std::future::pending::<()>()),
    );
    assert_eq!(task.get_ref().size_hint(), (4, Some(4)));
    assert_pending!(task.poll_next());
    assert_eq!(task.get_ref().size_hint(), (1, Some(1)));
}
