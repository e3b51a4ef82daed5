//! Chapters 2, 4 and 5 of the contract: the slots, the window, and that nothing stands idle.

mod support;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Once;

use futures::stream;
use ordered_by_group::prelude::*;
use tokio_test::assert_pending;
use tokio_test::task::spawn;

use self::support::{FALLIBLE, Gates, Setup, VERBS, advance, items, message, settle, settled};

const DISTINCT: fn(u32) -> u32 = |item| item;

#[test]
fn no_more_handlers_exist_than_there_are_slots() {
    for verb in VERBS {
        for slots in [1, 2, 63, 64, 65, 200] {
            let (feed, gates) = (items(0..1_000), Gates::new(DISTINCT));
            let mut task = Setup::new(verb, slots).key(DISTINCT).spawn(&feed, &gates);
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!((gates.live(), feed.pulled()), (slots, slots), "{verb:?}");
            for item in 0..1_000 {
                gates.open(item);
                assert_eq!(settled(&mut task), [item]);
                assert_eq!(gates.live(), slots.min(999 - item as usize), "{verb:?}");
            }
            assert_eq!(gates.peak(), slots, "{verb:?}");
        }
    }
}

#[test]
fn no_more_handlers_exist_than_there_are_slots_while_the_caller_is_busy() {
    for verb in VERBS {
        let (feed, gates) = (items(0..100), Gates::new(DISTINCT));
        let mut task = Setup::new(verb, 3).key(DISTINCT).spawn(&feed, &gates);
        for item in 0..100 {
            advance(&mut task);
            assert_eq!(gates.live(), 3.min(100 - item as usize), "{verb:?}");
            gates.open(item);
        }
        assert_eq!(gates.peak(), 3, "{verb:?}");
    }
}

#[test]
fn any_number_of_slots_and_any_window_will_do() {
    for verb in VERBS {
        let (feed, gates) = (items(0..10), Gates::new(DISTINCT));
        let mut task = Setup::new(verb, usize::MAX)
            .look_ahead(usize::MAX)
            .key(DISTINCT)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(gates.live(), 10);
        gates.open_all((0..10).rev());
        assert_eq!(settled(&mut task).len(), 10, "{verb:?}");
    }
}

#[test]
fn one_hot_key_and_two_slots_fill_the_window_and_no_more() {
    for verb in VERBS {
        let (feed, gates) = (items(0..1_000), Gates::new(|_| 0));
        let mut task = Setup::new(verb, 2)
            .look_ahead(50)
            .key(|_| 0)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!((feed.pulled(), gates.live()), (50, 1), "{verb:?}");
        for item in 0..900 {
            gates.open(item);
            assert_eq!(settled(&mut task), [item]);
            assert_eq!(
                feed.pulled(),
                51 + item as usize,
                "{verb:?}: one leaves, one enters"
            );
        }
    }
}

#[test]
fn one_hot_key_and_two_slots_fill_the_default_window_and_no_more() {
    for (slots, look_ahead) in [(2, 1_024), (16, 1_024), (20, 1_280)] {
        let (feed, gates) = (items(0..5_000), Gates::new(|_| 0));
        let source = feed.source();
        let mut task = spawn(
            source
                .try_ordered_by_group(|_| 0, slots)
                .and_then(move |item| gates.handle(item)),
        );
        while task.poll_next().is_pending() && task.is_woken() {}
        assert_eq!(feed.pulled(), look_ahead);
    }
}

#[test]
fn with_one_slot_one_item_is_read() {
    for verb in VERBS {
        let (feed, gates) = (items(0..1_000), Gates::new(|_| 0));
        let mut task = Setup::new(verb, 1)
            .look_ahead(50)
            .key(|_| 0)
            .spawn(&feed, &gates);
        for item in 0..1_000 {
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!(feed.pulled(), 1 + item as usize, "{verb:?}");
            gates.open(item);
            assert_eq!(settled(&mut task), [item]);
        }
    }
}

#[test]
fn the_source_is_not_polled_while_the_window_is_full_or_no_slot_is_free() {
    for verb in VERBS {
        // [10 11] fills a window of two; [10 20] takes both slots.
        for arrivals in [[10, 11], [10, 20]] {
            let (feed, gates) = (items(arrivals), Gates::default());
            let mut task = Setup::new(verb, 2).look_ahead(2).spawn(&feed, &gates);
            assert_eq!(settled(&mut task), [0; 0]);
            assert_eq!(feed.polls(), 2, "{verb:?}");
            feed.push(Ok(30));
            for _ in 0..5 {
                gates.wake(10);
                assert_eq!(settled(&mut task), [0; 0]);
                assert_pending!(task.poll_next());
                advance(&mut task);
            }
            assert_eq!(feed.polls(), 2, "{verb:?}");
        }
    }
}

#[test]
fn a_window_that_is_full_of_finished_results_is_full() {
    for verb in VERBS {
        let (feed, gates) = (items(0..100), Gates::new(DISTINCT));
        gates.open_all(0..100);
        let mut task = Setup::new(verb, 2)
            .look_ahead(7)
            .key(DISTINCT)
            .spawn(&feed, &gates);
        advance(&mut task);
        assert_eq!((feed.pulled(), task.counts().finished), (7, 7), "{verb:?}");
        assert!(task.poll_next().is_ready());
        advance(&mut task);
        assert_eq!((feed.pulled(), task.counts().finished), (8, 7), "{verb:?}");
    }
}

#[test]
fn in_source_order_a_stuck_item_holds_the_window() {
    for verb in VERBS.into_iter().filter(|verb| verb.in_source_order()) {
        let (feed, gates) = (items(0..1_000), Gates::new(DISTINCT));
        gates.open_all(1..1_000);
        let mut task = Setup::new(verb, 2)
            .look_ahead(9)
            .key(DISTINCT)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 9, "{verb:?}");
        gates.open(0);
        assert_eq!(settled(&mut task).len(), 1_000, "{verb:?}");
    }
}

#[test]
fn in_completion_order_a_stuck_item_holds_sixty_four_windows() {
    for verb in VERBS.into_iter().filter(|verb| !verb.in_source_order()) {
        let (feed, gates) = (items(0..1_000), Gates::new(DISTINCT));
        gates.open_all(1..1_000);
        let mut task = Setup::new(verb, 2)
            .look_ahead(3)
            .key(DISTINCT)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task).len(), 64 * 3 - 1, "{verb:?}");
        assert_eq!(feed.pulled(), 64 * 3, "{verb:?}");
        gates.open(0);
        assert_eq!(settled(&mut task).len(), 1_000 - (64 * 3 - 1), "{verb:?}");
    }
}

#[test]
fn of_one_busy_key_and_nine_free_ones_all_ten_slots_run_what_they_can() {
    for verb in VERBS {
        let key = |item: u32| item.min(9);
        let (feed, gates) = (items(0..=10), Gates::new(key));
        let mut task = Setup::new(verb, 10).key(key).spawn(&feed, &gates);
        gates.open_all(0..9);
        assert_eq!(settled(&mut task), [0, 1, 2, 3, 4, 5, 6, 7, 8], "{verb:?}");
        assert_eq!(gates.running(), [9]);
        assert_eq!(feed.pulled(), 11, "{verb:?}");
    }
}

#[test]
fn of_two_keys_two_run_and_the_rest_follow_one_by_one() {
    for verb in VERBS {
        let key = |item: u32| u32::from(item.min(9) == 9);
        let feed = items(0..=10);
        let gates = Gates::new(key);
        let mut task = Setup::new(verb, 10).key(key).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(
            (feed.pulled(), gates.running()),
            (11, vec![0, 9]),
            "{verb:?}"
        );
        for item in 0..8 {
            gates.open(item);
            assert_eq!(settled(&mut task), [item], "{verb:?}");
            assert_eq!(gates.running(), [item + 1, 9], "{verb:?}");
        }
    }
}

#[test]
fn when_the_caller_returns_all_that_is_finished_comes_out_at_once() {
    for verb in VERBS {
        for ends_meanwhile in [true, false] {
            let (feed, gates) = (items(0..20), Gates::new(DISTINCT));
            let mut task = Setup::new(verb, 4).key(DISTINCT).spawn(&feed, &gates);
            assert_eq!(settled(&mut task), [0; 0]);
            gates.open_all(0..20);
            if ends_meanwhile {
                feed.close();
            }
            let mut out = Vec::new();
            for _ in 0..20 {
                let next = task.poll_next();
                let std::task::Poll::Ready(Some(Ok(handed))) = next else {
                    panic!("{verb:?}: after {out:?}: {next:?}");
                };
                out.push(handed.item);
            }
            out.sort_unstable();
            assert!(out.into_iter().eq(0..20), "{verb:?}");
            assert_eq!(task.poll_next().is_ready(), ends_meanwhile, "{verb:?}");
        }
    }
}

#[test]
fn while_the_caller_is_away_nothing_runs_and_nothing_is_read() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        let polls = feed.polls();
        gates.open_all([10, 11, 20]);
        feed.push(Ok(30));
        assert_eq!(gates.called(), [10, 20], "{verb:?}");
        assert_eq!(feed.polls(), polls);
        assert_eq!(settled(&mut task).len(), 3, "{verb:?}");
        assert_eq!(gates.running(), [30]);
    }
}

#[test]
fn an_item_that_arrives_while_another_runs_starts_with_its_first_wake() {
    for verb in VERBS {
        let (feed, gates) = (items([10]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_pending!(task.poll_next());
        assert!(!task.is_woken());
        feed.push(Ok(20));
        assert!(task.is_woken(), "{verb:?}");
        assert_pending!(task.poll_next());
        assert_eq!(gates.running(), [10, 20], "{verb:?}");
        assert!(!task.is_woken());
    }
}

#[test]
fn when_a_result_is_emitted_all_that_was_admitted_and_may_run_has_been_polled() {
    for verb in VERBS {
        for ready in [&[10][..], &[40], &[10, 20, 40], &[11], &[10, 11]] {
            let (feed, gates) = (items([10, 20, 11, 30, 40]), Gates::default());
            gates.open_all(ready.iter().copied());
            let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
            while task.poll_next().is_ready() {
                for item in [10, 20, 11, 30, 40].into_iter().take(feed.pulled()) {
                    let waits = item == 11 && gates.drops(10) == 0;
                    assert!(
                        waits || gates.polls(item) > 0,
                        "{verb:?}: {item} is not polled"
                    );
                }
            }
        }
    }
}

#[test]
fn a_waiter_starts_in_the_poll_that_hands_over_the_result_before_it() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11]), Gates::default());
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        gates.open(10);
        assert!(task.poll_next().is_ready());
        assert_eq!(gates.polls(11), 1, "{verb:?}");
    }
}

#[test]
fn a_hundred_thousand_handlers_that_are_ready_at_once_run_without_recursion() {
    for groups in [1, 10_000] {
        for verb in VERBS {
            let feed = items(0..100_000);
            let gates = Gates::new(move |item| item % groups);
            gates.open_all(0..100_000);
            let mut task = Setup::new(verb, 64)
                .key(move |item| item % groups)
                .spawn(&feed, &gates);
            assert!(settled(&mut task).into_iter().eq(0..100_000), "{verb:?}");
        }
    }
}

#[test]
fn a_hundred_thousand_waiters_that_are_ready_at_once_follow_without_recursion() {
    for verb in VERBS {
        let (feed, gates) = (items(0..100_000), Gates::new(|_| 0));
        let mut task = Setup::new(verb, 2)
            .look_ahead(100_000)
            .key(|_| 0)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 100_000);
        gates.open_all((0..100_000).rev());
        assert!(settled(&mut task).into_iter().eq(0..100_000), "{verb:?}");
    }
}

#[test]
fn a_group_that_is_put_off_because_the_stream_gives_way_keeps_its_slot() {
    for verb in VERBS {
        let hot_then_cold = |item: u32| if item < 1_000 { 0 } else { item };
        let (feed, gates) = (items(0..2_000), Gates::new(hot_then_cold));
        let mut task = Setup::new(verb, 2)
            .look_ahead(1_000)
            .key(hot_then_cold)
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(feed.pulled(), 1_000);
        gates.open_all((0..1_000).rev());
        assert_eq!(settled(&mut task).len(), 1_000, "{verb:?}");
        assert_eq!(gates.peak(), 2, "{verb:?}");
    }
}

#[test]
fn key_and_offset_are_read_once_an_item_at_admission_in_source_order() {
    for verb in VERBS {
        let (feed, gates) = (items([10, 11, 20, 30, 12]), Gates::default());
        let (keys, offsets) = (Rc::new(RefCell::new(vec![])), Rc::new(RefCell::new(vec![])));
        let (read_keys, read_offsets) = (Rc::clone(&keys), Rc::clone(&offsets));
        let mut task = Setup::new(verb, 2)
            .key(move |item| {
                read_keys.borrow_mut().push(item);
                item / 10
            })
            .offset(move |item| {
                read_offsets.borrow_mut().push(item);
                item
            })
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0]);
        for read in [&keys, &offsets] {
            assert_eq!(*read.borrow(), [10, 11, 20], "{verb:?}: what is admitted");
        }
        gates.open_all([20, 11, 30, 12, 10]);
        assert_eq!(settled(&mut task).len(), 5);
        for read in [&keys, &offsets] {
            assert_eq!(*read.borrow(), [10, 11, 20, 30, 12], "{verb:?}");
        }
    }
}

#[test]
fn the_offset_is_read_before_the_handler_takes_the_item() {
    for verb in VERBS {
        let (feed, gates) = (items([10]), Gates::default());
        let read = Rc::new(Cell::new(false));
        let (reads, called) = (Rc::clone(&read), Rc::clone(&read));
        let mut task = Setup::new(verb, 1)
            .offset(move |item| {
                reads.set(true);
                item
            })
            .call(move |_| assert!(called.get()))
            .spawn(&feed, &gates);
        assert_eq!(settled(&mut task), [0; 0], "{verb:?}");
        assert!(read.get());
    }
}

#[test]
fn settings_hold_in_whatever_order_they_are_set() {
    let ordered = || stream::iter(100..).ordered_by_group(|_| 0, 2);
    let hasher = BuildHasherDefault::<DefaultHasher>::default;
    let never = |_| std::future::pending::<()>();
    macro_rules! assert_set {
        ($settings:expr) => {
            let mut task = spawn($settings.then(never));
            assert_pending!(task.poll_next());
            assert_eq!(task.unfinished().collect::<Vec<_>>(), [&-100, &-101, &-102]);
        };
    }
    assert_set!(
        ordered()
            .look_ahead(3)
            .offsets(|n| -n)
            .with_hasher(hasher())
    );
    assert_set!(
        ordered()
            .with_hasher(hasher())
            .look_ahead(3)
            .offsets(|n| -n)
    );
    assert_set!(
        ordered()
            .offsets(|n| -n)
            .with_hasher(hasher())
            .look_ahead(3)
    );
    let settings = stream::iter((100..).map(Ok::<i32, i32>)).try_ordered_by_group(|_| 0, 2);
    let settings = settings.offsets(|n| -n).look_ahead(3).with_hasher(hasher());
    let mut task = spawn(settings.and_then(|_| std::future::pending::<Result<(), i32>>()));
    assert_pending!(task.poll_next());
    assert_eq!(task.unfinished().collect::<Vec<_>>(), [&-100, &-101, &-102]);
}

#[test]
fn a_source_that_fails_is_not_read_on() {
    for verb in FALLIBLE.into_iter().filter(|verb| verb.reads_results()) {
        let feed = support::Feed::new([Ok(10), Err(20), Ok(30)]);
        let gates = Gates::default();
        let mut task = Setup::new(verb, 4).spawn(&feed, &gates);
        assert_eq!(settle(&mut task), []);
        assert_eq!(feed.polls(), 2, "{verb:?}");
    }
}

thread_local! {
    static PANICKED_AT: Cell<Option<(&'static str, u32)>> = const { Cell::new(None) };
}

/// The message of a panic, and where it says that it happened.
fn panic_of(panics: impl FnOnce()) -> (String, &'static str, u32) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let at = info.location().map(|at| {
                let file: &'static str = if at.file() == file!() {
                    file!()
                } else {
                    "elsewhere"
                };
                (file, at.line())
            });
            PANICKED_AT.set(at);
            before(info);
        }));
    });
    let panic = catch_unwind(AssertUnwindSafe(panics)).expect_err("a panic");
    let (file, line) = PANICKED_AT.take().expect("a location");
    (message(panic), file, line)
}

#[test]
fn zero_slots_panic_at_the_callers_line_with_a_message_that_says_so() {
    let none = || stream::empty::<Result<u32, u32>>();
    let (message, file, line) = panic_of(|| drop(none().ordered_by_group(|_| 0, 0)));
    assert!(message.contains("max_parallel is 0"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
    let (message, file, line) = panic_of(|| drop(none().try_ordered_by_group(|_| 0, 0)));
    assert!(message.contains("max_parallel is 0"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
}

#[test]
fn a_window_smaller_than_the_slots_panics_at_the_callers_line_with_a_message_that_says_so() {
    let none = || stream::empty::<Result<u32, u32>>();
    let plain = none().ordered_by_group(|_| 0, 8);
    let (message, file, line) = panic_of(|| drop(plain.look_ahead(7)));
    assert!(message.contains("look_ahead is 7"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
    let tried = none().try_ordered_by_group(|_| 0, 8);
    let (message, file, line) = panic_of(|| drop(tried.look_ahead(7)));
    assert!(message.contains("look_ahead is 7"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
    drop(none().ordered_by_group(|_| 0, 8).look_ahead(8));
}

#[test]
fn batches_of_nothing_panic_at_the_callers_line_with_a_message_that_says_so() {
    let none = || stream::empty::<Result<u32, u32>>();
    let plain = none().ordered_by_group(|_| 0, 8);
    let (message, file, line) = panic_of(|| drop(plain.batches(0)));
    assert!(message.contains("max is 0"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
    let tried = none().try_ordered_by_group(|_| 0, 8);
    let (message, file, line) = panic_of(|| drop(tried.batches(0)));
    assert!(message.contains("max is 0"), "{message}");
    assert_eq!((file, line), (file!(), line!() - 2));
    drop(none().ordered_by_group(|_| 0, 8).batches(1));
}
