//! Chapters 9 and 10 of the contract: failures stop the stream as they stop a serial loop, panics poison it.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use futures::stream::FusedStream as _;
use futures::{FutureExt as _, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio_test::assert_pending;
use tokio_test::task::spawn;

use self::support::{
    End, FALLIBLE, Feed, Gates, Group, Handed, Setup, Task, VERBS, Verb, advance, items, message,
    poll_panics, settle, settled,
};

/// What comes out of [`settle`], without offsets: `Ok` items, `Err` items, and the end.
fn outcomes(task: &mut Task) -> Vec<Option<Result<u32, u32>>> {
    let out = settle(task).into_iter();
    out.map(|next| next.map(|result| result.map(|handed| handed.item)))
        .collect()
}

fn assert_ended(task: &mut Task) {
    for _ in 0..3 {
        assert_eq!(task.poll_next(), Poll::Ready(None));
    }
    assert!(task.has_terminated());
    assert_eq!(task.size_hint(), (0, Some(0)));
}

#[test]
fn what_came_before_a_failure_comes_out_also_what_waited_behind_a_busy_group() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 11, 12, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(20);
        assert_eq!(
            outcomes(&mut task),
            [],
            "{verb:?}: the error waits for its turn"
        );
        for item in [10, 11] {
            gates.open(item);
            assert_eq!(outcomes(&mut task), [Some(Ok(item))], "{verb:?}");
        }
        gates.open(12);
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(12)), Some(Err(20)), None],
            "{verb:?}"
        );
        assert_ended(&mut task);
        gates.assert_all_dropped_once();
    }
}

#[test]
fn nothing_at_or_past_a_failed_item_starts_or_is_read() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 11, 21, 30]), Gates::default());
        let mut task = Setup::new(verb, 3).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        assert_eq!(gates.called(), [10, 20, 30]);
        feed.push(Ok(40));
        gates.fail(20);
        assert_eq!(outcomes(&mut task), []);
        gates.open(30);
        let past = outcomes(&mut task);
        let finished_past = if verb.in_source_order() {
            vec![]
        } else {
            vec![Some(Ok(30))]
        };
        assert_eq!(past, finished_past, "{verb:?}");
        gates.open(10);
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(10)), Some(Err(20)), None],
            "{verb:?}"
        );
        assert_eq!(
            gates.called(),
            [10, 20, 30],
            "{verb:?}: neither 11, 21 nor 40"
        );
        assert_eq!(feed.pulled(), 5, "{verb:?}");
        assert_ended(&mut task);
    }
}

#[test]
fn a_failure_at_the_first_poll_counts_like_any_other() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        gates.fail(20);
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        assert_eq!(
            (gates.called(), feed.pulled()),
            (vec![10, 20], 2),
            "{verb:?}"
        );
        gates.open(10);
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(10)), Some(Err(20)), None],
            "{verb:?}"
        );
    }
}

#[test]
fn a_failure_of_a_waiter_at_its_first_poll_counts_like_any_other() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 11, 12, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(11);
        gates.open(10);
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(10)), Some(Err(11)), None],
            "{verb:?}"
        );
        assert_eq!(gates.called(), [10, 20, 11], "{verb:?}");
    }
}

#[test]
fn handlers_past_the_failed_item_are_not_waited_for_but_dropped_with_the_error() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(10);
        assert_eq!((gates.drops(20), gates.drops(30)), (0, 0));
        assert_eq!(task.poll_next(), Poll::Ready(Some(Err(10))), "{verb:?}");
        assert_eq!((gates.drops(20), gates.drops(30)), (1, 1), "{verb:?}");
        let counts = task.counts();
        assert_eq!(
            (
                counts.running,
                counts.waiting,
                counts.finished,
                counts.groups
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(task.unfinished(), [0; 0]);
        assert_ended(&mut task);
    }
}

#[test]
fn of_two_failures_the_earlier_in_source_order_comes_out() {
    for verb in FALLIBLE {
        for first in [10, 20] {
            let (feed, gates) = (items([10, 20, 30]), Gates::default());
            let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
            assert_eq!(outcomes(&mut task), []);
            // Both before the next poll, or the later of them in a poll before the earlier.
            if first == 20 {
                gates.fail(20);
                assert_eq!(outcomes(&mut task), [], "{verb:?}");
                gates.fail(10);
            } else {
                gates.fail(20);
                gates.fail(10);
            }
            assert_eq!(outcomes(&mut task), [Some(Err(10)), None], "{verb:?}");
            gates.assert_all_dropped_once();
        }
    }
}

#[test]
fn a_later_failure_changes_nothing_while_the_earlier_waits_for_its_turn() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(20);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(30);
        assert_eq!(outcomes(&mut task), []);
        gates.open(10);
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(10)), Some(Err(20)), None],
            "{verb:?}"
        );
    }
}

#[test]
fn what_waits_before_the_failed_item_still_starts_and_may_fail_earlier() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 11, 12, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(20);
        assert_eq!(outcomes(&mut task), []);
        gates.open(10);
        assert_eq!(outcomes(&mut task), [Some(Ok(10))], "{verb:?}");
        gates.fail(11);
        assert_eq!(outcomes(&mut task), [Some(Err(11)), None], "{verb:?}");
        assert_eq!(gates.drops(12), 0, "{verb:?}: 12 never started");
    }
}

#[test]
fn in_completion_order_results_past_a_failure_that_are_finished_come_out_first() {
    for verb in FALLIBLE.into_iter().filter(|verb| !verb.in_source_order()) {
        let (feed, gates) = (items([10, 20, 30, 40]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        advance(&mut task);
        gates.fail(20);
        gates.open_all([40, 10]);
        advance(&mut task);
        assert_eq!(task.counts().finished, 3, "{verb:?}: the failed one, too");
        let mut out = outcomes(&mut task);
        assert_eq!(out.split_off(2), [Some(Err(20)), None], "{verb:?}");
        out.sort_unstable();
        assert_eq!(out, [Some(Ok(10)), Some(Ok(40))], "{verb:?}");
        assert_eq!(gates.drops(30), 1);
    }
}

#[test]
fn no_offset_in_source_order_and_no_frontier_at_or_past_a_failed_item_comes_out() {
    for verb in FALLIBLE {
        // Every item of forty may fail, and every order of two may lead there.
        for failed in 0..40 {
            for last_first in [true, false] {
                let (feed, gates) = (items(0..40), Gates::new(|item| item));
                let mut task = Setup::new(verb, 40).key(|item| item).spawn(&feed, &gates);
                assert_eq!(settled(&mut task), [0; 0]);
                let order: Vec<u32> = if last_first {
                    (0..40).rev().collect()
                } else {
                    (0..40).collect()
                };
                let mut out = Vec::new();
                for item in order {
                    gates.end(item, if item == failed { End::Err } else { End::Ok });
                    out.extend(settle(&mut task));
                    if out.last() == Some(&None) {
                        break;
                    }
                }
                assert_eq!(
                    out.split_off(out.len() - 2),
                    [Some(Err(failed)), None],
                    "{verb:?}"
                );
                for handed in out {
                    let Handed { frontier, .. } = handed.unwrap().unwrap();
                    assert!(
                        frontier.is_none_or(|frontier| frontier < failed),
                        "{verb:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_error_of_the_source_counts_as_an_item_that_failed_at_its_place() {
    for verb in [Verb::AndThen, Verb::AndThenUnordered] {
        let feed = Feed::new([Ok(10), Ok(11), Ok(20), Err(99), Ok(30)]);
        let gates = Gates::default();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), [], "{verb:?}: it waits for its turn");
        assert_eq!(gates.called(), [10, 20]);
        gates.open_all([10, 20]);
        let mut out = outcomes(&mut task);
        out.sort_unstable();
        let before = if verb.in_source_order() {
            vec![10]
        } else {
            vec![10, 20]
        };
        assert!(
            out.into_iter()
                .eq(before.into_iter().map(|item| Some(Ok(item)))),
            "{verb:?}"
        );
        gates.open(11);
        let out = outcomes(&mut task);
        assert_eq!(out[out.len() - 2..], [Some(Err(99)), None], "{verb:?}");
        assert_eq!(gates.called(), [10, 20, 11], "{verb:?}");
        assert_eq!(feed.polls(), 4, "{verb:?}: it is not read past its error");
        assert_ended(&mut task);
    }
}

#[test]
fn an_error_of_the_source_comes_out_at_once_if_nothing_is_before_it() {
    for verb in [Verb::AndThen, Verb::AndThenUnordered] {
        let (feed, gates) = (Feed::new([Err(99)]), Gates::default());
        let mut task = Setup::new(verb, 1).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), [Some(Err(99)), None], "{verb:?}");
        assert_ended(&mut task);
    }
}

#[test]
fn a_failure_of_a_handler_before_the_sources_error_comes_out_instead() {
    for verb in [Verb::AndThen, Verb::AndThenUnordered] {
        let (feed, gates) = (Feed::new([Ok(10), Err(99)]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        gates.fail(10);
        assert_eq!(outcomes(&mut task), [Some(Err(10)), None], "{verb:?}");
    }
}

#[test]
fn a_failure_while_the_caller_is_busy_comes_out_when_it_returns() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        advance(&mut task);
        gates.fail(20);
        gates.open(10);
        advance(&mut task);
        assert!(!task.has_terminated(), "{verb:?}");
        feed.push_silently(Ok(40));
        feed.push(Ok(50));
        advance(&mut task);
        assert_eq!(feed.pulled(), 4, "what was asked for before, {verb:?}");
        assert_eq!(
            outcomes(&mut task),
            [Some(Ok(10)), Some(Err(20)), None],
            "{verb:?}"
        );
    }
}

#[test]
fn a_failed_slot_does_not_count_as_free_for_younger_items() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20]), Gates::default());
        let mut task = Setup::new(verb, 2).spawn(&feed, &gates);
        assert_eq!(outcomes(&mut task), []);
        feed.push(Ok(30));
        gates.fail(20);
        assert_eq!(outcomes(&mut task), []);
        assert_eq!(feed.pulled(), 2, "{verb:?}");
        assert!(!task.has_terminated(), "{verb:?}");
    }
}

/// Where it panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Key,
    Offset,
    Call,
    FirstPoll,
    LaterPoll,
    Source,
    Hash,
    Eq,
    /// As it is dropped, finished at its first poll, or at a later one.
    FirstDrop,
    LaterDrop,
    /// A waiter of a group, called or polled when the one before it has finished.
    WaitersCall,
    WaitersPoll,
}

const PLACES: [Place; 12] = [
    Place::Key,
    Place::Offset,
    Place::Call,
    Place::FirstPoll,
    Place::LaterPoll,
    Place::Source,
    Place::Hash,
    Place::Eq,
    Place::FirstDrop,
    Place::LaterDrop,
    Place::WaitersCall,
    Place::WaitersPoll,
];

/// A stream in which 10, 20, 11 and 40 go well, and something of 30 does not; it panics at its next poll.
fn about_to_panic(verb: Verb, place: Place) -> (Task, Feed<Result<u32, u32>>, Gates) {
    let (feed, gates) = (items([10, 20, 11]), Gates::default());
    let is_faulty = move |at: Place, item: u32| at == place && item == 30;
    let mut task = Setup::new(verb, 8)
        .key(move |item| {
            assert!(!is_faulty(Place::Key, item), "the key panics");
            match (item, place) {
                (30, Place::Hash) => Group::HASH_PANICS,
                (30 | 31, Place::Eq) => Group::EQ_PANICS,
                (30, Place::WaitersCall | Place::WaitersPoll) => 2,
                _ => item / 10,
            }
        })
        .offset(move |item| {
            assert!(!is_faulty(Place::Offset, item), "the offset panics");
            item
        })
        .call(move |item| {
            let panics = is_faulty(Place::Call, item) || is_faulty(Place::WaitersCall, item);
            assert!(!panics, "the handler panics as it is called");
        })
        .spawn(&feed, &gates);
    assert_eq!(settled(&mut task), [0; 0]);
    match place {
        Place::Key | Place::Offset | Place::Call | Place::Hash => feed.push(Ok(30)),
        Place::Source => feed.break_down(),
        Place::FirstPoll => {
            gates.end(30, End::Panic);
            feed.push(Ok(30));
        }
        Place::LaterPoll => {
            feed.push(Ok(30));
            assert_eq!(settled(&mut task), [0; 0]);
            gates.end(30, End::Panic);
        }
        Place::Eq => {
            feed.push(Ok(30));
            assert_eq!(settled(&mut task), [0; 0]);
            feed.push(Ok(31));
        }
        Place::FirstDrop => {
            gates.panic_on_drop(30);
            gates.open(30);
            feed.push(Ok(30));
        }
        Place::LaterDrop => {
            gates.panic_on_drop(30);
            feed.push(Ok(30));
            assert_eq!(settled(&mut task), [0; 0]);
            gates.open(30);
        }
        Place::WaitersCall | Place::WaitersPoll => {
            feed.push(Ok(30));
            assert_eq!(settled(&mut task), [0; 0]);
            if place == Place::WaitersPoll {
                gates.end(30, End::Panic);
            }
            gates.open(20);
        }
    }
    (task, feed, gates)
}

#[test]
fn a_panic_unwinds_to_the_caller_and_poisons_the_stream() {
    for verb in VERBS {
        for place in PLACES {
            let (mut task, feed, gates) = about_to_panic(verb, place);
            let message = poll_panics(&mut task);
            assert!(
                !message.contains("ordered_by_group"),
                "{verb:?} {place:?}: {message}"
            );
            gates.open_all([10, 20, 11, 40]);
            let polls = feed.polls();
            for _ in 0..3 {
                let message = poll_panics(&mut task);
                assert!(
                    message.contains("polled after a panic"),
                    "{verb:?} {place:?}: {message}"
                );
                assert!(!task.has_terminated(), "{verb:?} {place:?}");
            }
            assert_eq!(
                feed.polls(),
                polls,
                "{verb:?} {place:?}: nothing is read any more"
            );
            assert!(
                !gates.called().contains(&11),
                "{verb:?} {place:?}: nothing starts any more"
            );
        }
    }
}

#[test]
fn a_panic_while_the_caller_is_busy_poisons_the_stream() {
    for verb in VERBS {
        for place in PLACES {
            let (mut task, _feed, _gates) = about_to_panic(verb, place);
            let panic = catch_unwind(AssertUnwindSafe(|| advance(&mut task)));
            assert!(panic.is_err(), "{verb:?} {place:?}");
            let message = poll_panics(&mut task);
            assert!(
                message.contains("polled after a panic"),
                "{verb:?} {place:?}: {message}"
            );
            let panic = catch_unwind(AssertUnwindSafe(|| advance(&mut task)));
            assert!(panic.is_err(), "{verb:?} {place:?}");
            assert!(!task.has_terminated(), "{verb:?} {place:?}");
        }
    }
}

#[test]
fn after_a_panic_all_futures_are_dropped_once() {
    for verb in VERBS {
        for place in PLACES {
            let (mut task, _feed, gates) = about_to_panic(verb, place);
            poll_panics(&mut task);
            drop(task);
            gates.assert_all_dropped_once();
            assert!(gates.called().contains(&10), "{verb:?} {place:?}");
        }
    }
}

#[test]
fn a_poisoned_stream_can_still_be_looked_at() {
    for verb in VERBS {
        for place in PLACES {
            let (mut task, _feed, _gates) = about_to_panic(verb, place);
            poll_panics(&mut task);
            let _ = (
                task.counts(),
                task.size_hint(),
                task.unfinished(),
                task.describe(),
            );
        }
    }
}

#[test]
fn results_before_a_panic_came_out_and_none_at_or_past_it_does() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(10);
        assert_eq!(settled(&mut task), [10]);
        gates.open(30);
        gates.end(20, End::Panic);
        let mut out = Vec::new();
        let panicked = loop {
            match catch_unwind(AssertUnwindSafe(|| task.poll_next())) {
                Ok(Poll::Ready(Some(Ok(handed)))) => out.push(handed),
                Ok(other) => break Err(other),
                Err(_) => break Ok(()),
            }
        };
        assert_eq!(panicked, Ok(()), "{verb:?}");
        for Handed { frontier, .. } in out {
            assert_eq!(frontier, Some(10), "{verb:?}");
        }
    }
}

#[test]
fn a_panic_past_a_failure_that_waits_for_its_turn_poisons_the_stream_too() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.fail(20);
        assert_pending!(task.poll_next());
        gates.end(30, End::Panic);
        let message = poll_panics(&mut task);
        assert!(
            message.contains("the handler of 30 panics"),
            "{verb:?}: {message}"
        );
        gates.open(10);
        assert!(
            poll_panics(&mut task).contains("polled after a panic"),
            "{verb:?}"
        );
        assert!(!task.has_terminated(), "{verb:?}");
    }
}

#[test]
fn a_future_that_panics_as_it_is_dropped_with_the_error_poisons_the_stream() {
    for verb in FALLIBLE {
        let (feed, gates) = (items([10, 20, 30, 40]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.panic_on_drop(30);
        gates.fail(10);
        let message = poll_panics(&mut task);
        assert!(
            message.contains("the future of 30 panics"),
            "{verb:?}: {message}"
        );
        assert!(!task.has_terminated(), "{verb:?}");
        assert!(
            poll_panics(&mut task).contains("polled after a panic"),
            "{verb:?}"
        );
        assert!(!task.has_terminated(), "{verb:?}");
        drop(task);
        gates.assert_all_dropped_once();
    }
}

/// An item that may panic as it is dropped.
#[derive(Debug)]
struct Item {
    n: u32,
    panics_on_drop: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        let panics = self.panics_on_drop && !std::thread::panicking();
        assert!(!panics, "the item {} panics as it is dropped", self.n);
    }
}

#[test]
fn a_waiting_item_or_a_result_that_panics_as_it_is_dropped_with_the_error_poisons_the_stream() {
    // 11 waits behind 10, which fails; 20 is finished and waits for its turn.
    for panics in [11, 20] {
        let gates = Gates::default();
        let handle = gates.clone();
        let source = stream::iter([10, 11, 20]).map(move |n| Item {
            n,
            panics_on_drop: n == panics,
        });
        let mut task = spawn(
            source
                .ordered_by_group(|item: &Item| item.n / 10, 4)
                .try_then(move |item| handle.handle(item.n).map(|end| end.map(|_| item))),
        );
        assert_pending!(task.poll_next());
        gates.open(20);
        assert_pending!(task.poll_next());
        gates.fail(10);
        for expected in [
            "panics as it is dropped",
            "polled after a panic",
            "polled after a panic",
        ] {
            let panic = catch_unwind(AssertUnwindSafe(|| task.poll_next()));
            let message = message(panic.expect_err("a panic"));
            assert!(message.contains(expected), "{message}");
            assert!(!task.is_terminated());
        }
    }
}

#[test]
fn a_future_that_panics_as_it_is_dropped_with_the_stream_does_not_keep_the_others() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 20, 30, 40]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.panic_on_drop(20);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(task))).is_err());
        gates.assert_all_dropped_once();
    }
}

#[test]
fn what_failed_at_its_first_poll_is_finished() {
    macro_rules! check {
        ($verb:ident) => {
            let results = stream::iter([Ok::<u32, u32>(1), Ok(2), Ok(3)])
                .try_ordered_by_group(|item| *item, 4)
                .$verb(async |item| {
                    if item == 2 {
                        return Err(item);
                    }
                    std::future::pending::<Result<u32, u32>>().await
                });
            let mut results = spawn(Box::pin(results));
            assert_pending!(results.poll_next());
            assert_eq!(results.finished(), 1);
            assert_eq!(results.unfinished().count(), 1);
        };
    }
    check!(and_then);
    check!(and_then_unordered);
}
