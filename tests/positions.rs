//! Chapter 28 of the contract, without a broker: what a lease hands out, what it commits, how it drains and is fenced, by
//! itself and under the operator.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use allocation_counter::measure;
use futures::executor::block_on;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use ordered_by_group::positions::{Commit, Done, Drain, Lease, Position};
use ordered_by_group::prelude::*;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready, assert_ready_eq};

fn lease(next: i64) -> Arc<Lease<()>> {
    Lease::new((), Some(next), Done::default())
}

/// The next lease of the partition, after what was committed.
fn after<P>(partition: P, commit: &Commit) -> Arc<Lease<P>> {
    let text = commit.done.encode(4_096);
    let done = Done::decode(commit.next, &text).expect("a text of ours");
    Lease::new(partition, Some(commit.next), done)
}

fn read<const N: usize>(lease: &Arc<Lease<()>>, offsets: [i64; N]) -> [Position<()>; N] {
    offsets.map(|offset| lease.read(offset).expect("not read before"))
}

/// The position to commit, and the ends of what is done past it.
fn due(lease: &Lease<()>) -> Option<(i64, Vec<(i64, i64)>)> {
    lease.commit().map(|commit| (commit.next, ends(&commit)))
}

fn ends(commit: &Commit) -> Vec<(i64, i64)> {
    commit
        .done
        .ranges()
        .map(|range| range.into_inner())
        .collect()
}

mod what_is_read {
    use super::*;

    #[test]
    fn what_is_before_the_position_is_not_handed_out() {
        let lease = lease(7);
        assert!(lease.read(6).is_none());
        assert_eq!(lease.read(7).map(|position| position.offset()), Some(7));
    }

    #[test]
    fn what_was_done_is_not_handed_out_again() {
        let first = lease(0);
        for position in read(&first, [0, 1, 2, 3, 5, 8]) {
            position.settle([1, 2, 5].contains(&position.offset()));
        }
        let second = after((), &first.commit().unwrap());
        let handed: Vec<_> = (0..9)
            .filter(|offset| second.read(*offset).is_some())
            .collect();
        assert_eq!(handed, [0, 3, 4, 6, 7, 8]);
    }

    #[test]
    fn an_offset_that_does_not_rise_is_not_handed_out() {
        let lease = lease(0);
        let _held = read(&lease, [3, 5]);
        for offset in [5, 4, 3, 0] {
            assert!(lease.read(offset).is_none(), "{offset}");
        }
        assert!(lease.read(6).is_some());
    }

    #[test]
    fn nothing_is_handed_out_while_the_lease_drains_or_after_the_fence() {
        for end in [
            |lease: &Lease<()>| lease.drain(Drain::Admitted),
            |lease: &Lease<()>| lease.drain(Drain::Running),
            |lease: &Lease<()>| lease.fence(),
        ] {
            let lease = lease(0);
            let [zero] = read(&lease, [0]);
            end(&lease);
            assert!(lease.read(1).is_none());
            assert_eq!(lease.left(), 0);
            zero.settle(true);
            assert!(
                due(&lease).is_none_or(|due| due == (1, vec![])),
                "1 is not passed"
            );
        }
    }

    #[test]
    fn a_position_names_its_partition_and_its_lease() {
        let leases = [3, 3].map(|partition| Lease::new(partition, None, Done::default()));
        let [one, other] = leases.each_ref().map(|lease| lease.read(9).unwrap());
        assert_eq!((one.partition(), one.offset()), (&3, 9));
        assert_eq!(leases[0].partition(), &3);
        assert_eq!(one.epoch(), leases[0].epoch());
        assert!(Arc::ptr_eq(one.lease(), &leases[0]));
        assert!(one.epoch() < other.epoch());
        assert_ne!(one, other);
        assert_eq!(one, one.clone());
    }
}

mod what_is_committed {
    use super::*;

    #[test]
    fn the_position_moves_over_what_is_done_and_no_further() {
        let lease = lease(0);
        let [zero, one, two, three] = read(&lease, [0, 1, 2, 3]);
        assert_eq!(due(&lease), None);
        two.settle(true);
        assert_eq!(due(&lease), Some((0, vec![(2, 2)])));
        zero.settle(true);
        assert_eq!(due(&lease), Some((1, vec![(2, 2)])));
        assert_eq!(lease.next(), Some(1));
        one.settle(true);
        assert_eq!(due(&lease), Some((3, vec![])));
        three.settle(true);
        assert_eq!(due(&lease), Some((4, vec![])));
    }

    #[test]
    fn gaps_of_the_log_are_done_with_their_neighbours() {
        let lease = lease(0);
        let [five, seven, ten, twenty, thirty] = read(&lease, [5, 7, 10, 20, 30]);
        assert_eq!(lease.next(), Some(0));
        seven.settle(true);
        ten.settle(true);
        thirty.settle(true);
        assert_eq!(due(&lease), Some((0, vec![(7, 10), (30, 30)])));
        five.settle(true);
        assert_eq!(due(&lease), Some((11, vec![(30, 30)])));
        twenty.settle(true);
        assert_eq!(due(&lease), Some((31, vec![])));
    }

    #[test]
    fn a_partition_without_a_position_begins_where_it_is_read() {
        let lease = Lease::new((), None, Done::default());
        assert_eq!((lease.next(), due(&lease)), (None, None));
        let [seven] = read(&lease, [7]);
        assert_eq!(due(&lease), Some((7, vec![])), "the place to begin again");
        lease.confirm(&lease.commit().unwrap());
        assert_eq!(due(&lease), None);
        seven.settle(true);
        assert_eq!(due(&lease), Some((8, vec![])));
    }

    #[test]
    fn a_commit_that_was_not_confirmed_stays_due() {
        let lease = lease(0);
        let [zero, one, two] = read(&lease, [0, 1, 2]);
        zero.settle(true);
        let first = lease.commit().unwrap();
        assert_eq!(due(&lease), Some((1, vec![])));
        one.settle(true);
        lease.confirm(&first);
        assert_eq!(due(&lease), Some((2, vec![])), "it has changed meanwhile");
        let second = lease.commit().unwrap();
        lease.confirm(&second);
        assert_eq!(due(&lease), None);
        lease.confirm(&first);
        assert_eq!(due(&lease), None, "an older one changes nothing");
        two.settle(true);
        assert_eq!(due(&lease), Some((3, vec![])));
    }

    #[test]
    fn what_is_done_past_the_position_is_worth_a_commit() {
        let lease = lease(0);
        let [_zero, one] = read(&lease, [0, 1]);
        one.settle(true);
        lease.confirm(&lease.commit().unwrap());
        assert_eq!(due(&lease), None);
        let [two] = read(&lease, [2]);
        assert_eq!(due(&lease), None, "what was only read is not");
        two.settle(true);
        assert_eq!(due(&lease), Some((0, vec![(1, 2)])));
    }

    #[test]
    fn a_commit_of_another_lease_confirms_nothing() {
        let [old, new] = [lease(0), lease(0)];
        for lease in [&old, &new] {
            let [zero] = read(lease, [0]);
            zero.settle(true);
        }
        new.confirm(&old.commit().unwrap());
        assert_eq!(due(&new), Some((1, vec![])));
    }

    #[test]
    fn what_was_done_before_stays_in_the_commit_until_it_is_passed() {
        let first = lease(0);
        for position in read(&first, [0, 1, 2, 3, 4, 5]) {
            position.settle(![0, 3].contains(&position.offset()));
        }
        let second = after((), &first.commit().unwrap());
        let [zero] = read(&second, [0]);
        assert_eq!(due(&second), None);
        zero.settle(true);
        assert_eq!(due(&second), Some((1, vec![(1, 2), (4, 5)])));
        assert!(second.read(1).is_none());
        assert_eq!(due(&second), Some((2, vec![(2, 2), (4, 5)])));
        assert!(second.read(2).is_none());
        let [three] = read(&second, [3]);
        assert!(second.read(4).is_none());
        assert_eq!(due(&second), Some((3, vec![(4, 5)])));
        three.settle(true);
        assert_eq!(due(&second), Some((5, vec![(5, 5)])));
        assert!(second.read(5).is_none());
        assert_eq!(due(&second), Some((6, vec![])));
    }

    #[test]
    fn a_position_that_moves_over_what_was_done_before_is_worth_a_commit() {
        let first = lease(0);
        for position in read(&first, [0, 1]) {
            position.settle(position.offset() == 1);
        }
        let second = Lease::new((), Some(1), first.commit().unwrap().done);
        assert!(second.read(1).is_none());
        assert_eq!(due(&second), Some((2, vec![])));
    }

    #[test]
    fn what_was_done_before_is_forgotten_where_the_log_has_lost_it() {
        let first = lease(0);
        for position in read(&first, [0, 1, 2, 3, 4, 5, 6]) {
            position.settle(position.offset() % 2 == 1);
        }
        let second = after((), &first.commit().unwrap());
        let [four, six] = read(&second, [4, 6]); // nothing else is left up to 6
        assert_eq!(due(&second), None);
        six.settle(true);
        assert_eq!(due(&second), Some((0, vec![(6, 6)])));
        four.settle(true);
        assert_eq!(due(&second), Some((7, vec![])));
    }

    #[test]
    fn the_lowest_and_the_highest_offsets_are_done_like_any_others() {
        let lease = lease(i64::MIN);
        let [lowest, _zero, highest] = read(&lease, [i64::MIN, 0, i64::MAX]);
        highest.settle(true);
        assert_eq!(due(&lease), Some((i64::MIN, vec![(i64::MAX, i64::MAX)])));
        lowest.settle(true);
        assert_eq!(
            due(&lease),
            Some((i64::MIN + 1, vec![(i64::MAX, i64::MAX)]))
        );
        assert!(lease.read(i64::MAX).is_none());
    }

    #[test]
    fn the_highest_offset_has_no_position_past_it_and_is_kept_as_done() {
        let first = lease(i64::MAX - 1);
        for position in read(&first, [i64::MAX - 1, i64::MAX]) {
            position.settle(true);
        }
        assert_eq!(due(&first), Some((i64::MAX, vec![(i64::MAX, i64::MAX)])));
        let second = after((), &first.commit().unwrap());
        assert!(second.read(i64::MAX).is_none());
    }
}

mod what_is_settled {
    use super::*;

    #[test]
    fn the_first_call_counts_by_whichever_clone() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        zero.clone().settle(true);
        zero.settle(false);
        one.settle(false);
        one.clone().settle(true);
        drop((zero, one));
        assert_eq!(due(&lease), Some((1, vec![])));
        assert_eq!((lease.in_flight(), lease.left()), (0, 1));
    }

    #[test]
    fn what_is_dropped_by_everyone_is_left() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        let clone = zero.clone();
        drop(zero);
        assert_eq!(
            (lease.in_flight(), lease.left()),
            (2, 0),
            "there is a clone"
        );
        drop(clone);
        assert_eq!((lease.in_flight(), lease.left()), (1, 1));
        one.settle(true);
        drop(one);
        assert_eq!((lease.in_flight(), lease.left()), (0, 1));
        assert_eq!(due(&lease), Some((0, vec![(1, 1)])));
    }

    #[test]
    fn what_is_left_is_never_passed_and_never_done() {
        let lease = lease(0);
        let positions = read(&lease, [0, 1, 2, 3, 5, 6, 7]);
        for position in positions.iter().rev() {
            position.settle(![1, 6].contains(&position.offset()));
        }
        assert_eq!(due(&lease), Some((1, vec![(2, 5), (7, 7)])));
        let [eight, nine] = read(&lease, [8, 10]);
        nine.settle(true);
        eight.settle(false);
        assert_eq!(due(&lease), Some((1, vec![(2, 5), (7, 7), (10, 10)])));
        assert_eq!(lease.left(), 3);
    }

    #[test]
    fn what_is_settled_after_the_fence_does_not_count() {
        let lease = lease(0);
        let [zero, one, two, three] = read(&lease, [0, 1, 2, 3]);
        zero.settle(true);
        lease.fence();
        one.settle(true);
        two.settle(false);
        drop(three);
        assert_eq!((lease.in_flight(), lease.left()), (0, 0));
        assert_eq!(
            due(&lease),
            Some((1, vec![])),
            "what was done before the fence is"
        );
        lease.confirm(&lease.commit().unwrap());
        assert_eq!(due(&lease), None);
    }

    #[test]
    fn a_late_completion_does_not_touch_the_next_lease() {
        let old = lease(0);
        let [zero] = read(&old, [0]);
        old.fence();
        let new = lease(0);
        let [again] = read(&new, [0]);
        zero.settle(true);
        assert_eq!((new.in_flight(), due(&new)), (1, None));
        again.settle(false);
        assert_eq!(due(&new), None);
    }

    #[test]
    fn items_are_settled_from_other_threads() {
        let lease = lease(0);
        let positions: Vec<_> = (0..4_000).filter_map(|offset| lease.read(offset)).collect();
        std::thread::scope(|scope| {
            for part in 0..4 {
                let positions = &positions;
                // Every one of them is settled by two threads.
                scope.spawn(move || {
                    for position in positions
                        .iter()
                        .filter(|p| [part, (part + 1) % 4].contains(&(p.offset() % 4)))
                    {
                        position.settle(true);
                    }
                });
            }
        });
        assert_eq!((due(&lease), lease.in_flight()), (Some((4_000, vec![])), 0));
    }

    #[test]
    fn behind_a_stuck_item_each_takes_a_few_bytes() {
        let lease = lease(0);
        let [stuck] = read(&lease, [0]);
        let taken = measure(|| {
            for offset in 1..=100_000 {
                lease.read(offset).unwrap().settle(true);
            }
        });
        assert!(
            taken.bytes_current < 32 * 100_000,
            "{}",
            taken.bytes_current
        );
        assert_eq!(due(&lease), Some((0, vec![(1, 100_000)])));
        let given_back = measure(|| stuck.settle(true));
        assert!(
            given_back.bytes_current < -15 * 100_000,
            "{}",
            given_back.bytes_current
        );
        assert_eq!(due(&lease), Some((100_001, vec![])));
    }

    #[test]
    fn behind_an_item_that_was_left_the_others_take_no_memory() {
        let lease = lease(0);
        let [left] = read(&lease, [0]);
        left.settle(false);
        let taken = measure(|| {
            for offset in 1..=100_000 {
                lease.read(offset).unwrap().settle(true);
            }
        });
        assert!(taken.bytes_current < 1_000, "{}", taken.bytes_current);
        assert_eq!(due(&lease), Some((0, vec![(1, 100_000)])));
    }
}

mod what_runs {
    use super::*;

    #[test]
    fn a_handler_runs_to_its_end() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let (open, gate) = oneshot::channel();
        let mut run = spawn(zero.run(|| gate));
        assert_pending!(run.poll());
        open.send(7).unwrap();
        assert!(run.is_woken());
        assert_eq!(assert_ready!(run.poll()), Some(Ok(7)));
        assert_ready_eq!(run.poll(), None);
    }

    #[test]
    fn a_drain_of_what_runs_starts_no_handler() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        let (open, gate) = oneshot::channel();
        let mut runs = spawn(zero.run(|| gate));
        assert_pending!(runs.poll());
        lease.drain(Drain::Running);
        let mut waits = spawn(one.run(|| -> std::future::Ready<()> { panic!("it is called") }));
        assert_ready_eq!(waits.poll(), None);
        assert_pending!(runs.poll());
        open.send(()).unwrap();
        assert_ready_eq!(runs.poll(), Some(Ok(())));
    }

    #[test]
    fn a_drain_of_what_is_admitted_starts_handlers() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        lease.drain(Drain::Admitted);
        assert_ready_eq!(spawn(zero.run(|| ready(7))).poll(), Some(7));
    }

    #[test]
    fn a_drain_becomes_stricter_and_never_laxer() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        lease.drain(Drain::Admitted);
        lease.drain(Drain::Running);
        lease.drain(Drain::Admitted);
        assert_ready_eq!(spawn(zero.run(|| ready(7))).poll(), None);
    }

    #[test]
    fn a_fence_wakes_a_handler_and_drops_it() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let dropped = Rc::new(());
        let mut run = spawn(zero.run(|| {
            let held = Rc::clone(&dropped);
            async move { pending::<()>().map(|()| drop(held)).await }
        }));
        assert_pending!(run.poll());
        assert!(!run.is_woken());
        lease.fence();
        assert!(run.is_woken());
        assert_ready_eq!(run.poll(), None);
        assert_eq!(
            Rc::strong_count(&dropped),
            1,
            "it is dropped before the outcome is there"
        );
    }

    #[test]
    fn a_fence_wakes_whoever_polled_last() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let mut run = Box::pin(zero.run(pending::<()>));
        let tasks = [0, 1].map(|_| Arc::new(Woken::default()));
        for task in [0, 0, 1, 1] {
            let waker = Waker::from(Arc::clone(&tasks[task]));
            assert_pending!(run.as_mut().poll(&mut Context::from_waker(&waker)));
        }
        lease.fence();
        assert_eq!(tasks.each_ref().map(|task| task.count()), [0, 1]);
    }

    #[test]
    fn a_fence_wakes_nobody_whose_handler_has_gone() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        let task = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let mut polls = 0;
        let mut ends = Box::pin(zero.run(|| {
            poll_fn(move |_| {
                polls += 1;
                if polls > 1 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        }));
        assert_pending!(ends.as_mut().poll(&mut cx));
        assert_ready_eq!(ends.as_mut().poll(&mut cx), Some(()));
        let mut dropped = Box::pin(one.run(pending::<()>));
        assert_pending!(dropped.as_mut().poll(&mut cx));
        drop(dropped);
        lease.fence();
        assert_eq!(task.count(), 0);
    }

    #[test]
    fn a_handler_that_fences_its_own_lease_is_dropped_at_its_next_await() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let mut run = spawn(zero.run(|| {
            lease.fence();
            pending::<()>()
        }));
        assert_ready_eq!(run.poll(), None);
        let lease = super::lease(0);
        let [zero] = read(&lease, [0]);
        let mut run = spawn(zero.run(|| async {
            lease.fence();
            pending::<()>().await;
        }));
        assert_ready_eq!(run.poll(), None);
    }

    #[test]
    fn a_handler_that_ends_in_spite_of_the_fence_has_an_outcome() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let mut run = spawn(zero.run(|| async {
            lease.fence();
            7
        }));
        assert_ready_eq!(run.poll(), Some(7));
    }

    #[test]
    fn a_fence_keeps_a_handler_from_starting() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        let mut called = spawn(zero.run(|| poll_fn(|_| -> Poll<()> { panic!("it is polled") })));
        lease.fence();
        assert_ready_eq!(called.poll(), None);
        let mut run = spawn(one.run(|| -> std::future::Ready<()> { panic!("it is called") }));
        assert_ready_eq!(run.poll(), None);
    }

    #[test]
    fn a_handler_that_panics_is_left_and_no_longer_runs() {
        let lease = lease(0);
        for offset in [0, 1] {
            let [position] = read(&lease, [offset]);
            let panics = catch_unwind(AssertUnwindSafe(|| {
                let mut run = spawn(position.run(|| {
                    assert_eq!(offset, 1, "the call panics");
                    poll_fn(|_| -> Poll<()> { panic!("the poll panics") })
                }));
                let _ = run.poll();
            }));
            assert!(panics.is_err());
            drop(position);
        }
        assert_eq!((lease.in_flight(), lease.left()), (0, 2));
        assert_ready!(spawn(lease.drained()).poll());
    }

    #[test]
    fn a_running_handler_keeps_its_item_in_flight() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let run = zero.run(pending::<()>);
        drop(zero);
        assert_eq!((lease.in_flight(), lease.left()), (1, 0));
        drop(run);
        assert_eq!((lease.in_flight(), lease.left()), (0, 1));
    }
}

mod when_it_is_drained {
    use super::*;

    #[test]
    fn at_once_if_nothing_is_in_flight() {
        let lease = lease(0);
        assert_ready!(spawn(lease.drained()).poll());
        lease.drain(Drain::Running);
        assert_ready!(spawn(lease.drained()).poll());
    }

    #[test]
    fn everyone_who_waits_is_woken_with_the_last_item() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        lease.drain(Drain::Running);
        let mut waiting = [0, 1].map(|_| spawn(lease.drained()));
        let gone = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&gone));
        for _ in 0..3 {
            let polled = lease.drained().poll_unpin(&mut Context::from_waker(&waker));
            assert_pending!(polled); // and dropped
        }
        assert_eq!(Arc::strong_count(&gone), 2, "nothing of it is kept");
        for task in &mut waiting {
            assert_pending!(task.poll());
        }
        one.settle(true);
        assert!(!waiting[0].is_woken());
        drop(zero); // left
        for task in &mut waiting {
            assert!(task.is_woken());
            assert_ready!(task.poll());
        }
    }

    #[test]
    fn whoever_polled_last_is_woken() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let mut drained = Box::pin(lease.drained());
        let tasks = [0, 1].map(|_| Arc::new(Woken::default()));
        for task in &tasks {
            let waker = Waker::from(Arc::clone(task));
            assert_pending!(drained.as_mut().poll(&mut Context::from_waker(&waker)));
        }
        zero.settle(true);
        assert_eq!(tasks.each_ref().map(|task| task.count()), [0, 1]);
        let [one] = read(&lease, [1]);
        one.settle(true);
        let counts = tasks.each_ref().map(|task| task.count());
        assert_eq!(counts, [0, 1], "and not again before it polls");
    }

    #[test]
    fn a_handler_holds_it_up_even_if_its_item_is_settled() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let run = zero.run(pending::<()>);
        zero.settle(true);
        let mut drained = spawn(lease.drained());
        assert_pending!(drained.poll());
        drop(run);
        assert!(drained.is_woken());
        assert_ready!(drained.poll());
    }

    #[test]
    fn a_handler_holds_it_up_until_it_has_been_dropped() {
        struct Held(Arc<Lease<()>>, Rc<Cell<usize>>);
        impl Drop for Held {
            fn drop(&mut self) {
                assert_pending!(spawn(self.0.drained()).poll());
                self.1.set(self.1.get() + 1);
            }
        }
        let lease = lease(0);
        let drops = Rc::new(Cell::new(0));
        let [ends, dropped, fenced] = read(&lease, [0, 1, 2]);
        for position in [&ends, &dropped, &fenced] {
            position.settle(true);
        }
        let run = |position: Position<()>, is_ready: bool| {
            let held = Held(Arc::clone(&lease), Rc::clone(&drops));
            let handler = async move || {
                let _held = &held;
                if !is_ready {
                    pending().await
                }
            };
            Box::pin(async move { position.run(handler).await })
        };
        assert_ready_eq!(spawn(run(ends, true)).poll(), Some(()));
        let mut pending = spawn(run(dropped, false));
        assert_pending!(pending.poll());
        drop(pending);
        let mut pending = spawn(run(fenced, false));
        assert_pending!(pending.poll());
        lease.fence();
        assert_ready_eq!(pending.poll(), None);
        assert_eq!(drops.get(), 3);
        assert_ready!(spawn(lease.drained()).poll());
    }

    #[test]
    fn no_wake_from_another_thread_is_lost() {
        for round in 0..500 {
            let lease = lease(0);
            let [zero, one] = read(&lease, [0, 1]);
            let run = zero.run(pending::<()>);
            std::thread::scope(|scope| {
                scope.spawn(|| one.settle(true));
                scope.spawn(|| {
                    for _ in 0..round % 50 {
                        std::hint::spin_loop();
                    }
                    lease.fence();
                });
                scope.spawn(|| assert_eq!(block_on(run), None));
                block_on(lease.drained());
            });
        }
    }

    #[test]
    fn after_a_fence_only_handlers_hold_it_up() {
        let lease = lease(0);
        let [zero, one] = read(&lease, [0, 1]);
        let mut run = spawn(zero.run(pending::<()>));
        assert_pending!(run.poll());
        let mut drained = spawn(lease.drained());
        assert_pending!(drained.poll());
        lease.fence();
        assert_pending!(drained.poll());
        assert_ready_eq!(run.poll(), None);
        assert!(drained.is_woken());
        assert_ready!(drained.poll());
        drop(one);
    }

    #[test]
    fn a_fence_wakes_whoever_waits_if_no_handler_runs() {
        let lease = lease(0);
        let [_zero] = read(&lease, [0]);
        let mut drained = spawn(lease.drained());
        assert_pending!(drained.poll());
        lease.fence();
        assert!(drained.is_woken());
        assert_ready!(drained.poll());
    }

    #[test]
    fn a_lease_that_does_not_drain_may_have_more_in_flight() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        let mut drained = spawn(lease.drained());
        assert_pending!(drained.poll());
        zero.settle(true);
        let [one] = read(&lease, [1]);
        assert!(drained.is_woken());
        assert_pending!(drained.poll());
        one.settle(true);
        assert!(drained.is_woken());
        assert_ready!(drained.poll());
    }

    #[test]
    fn nobody_is_woken_or_dropped_under_the_lock() {
        let lease = lease(0);
        let [zero] = read(&lease, [0]);
        // Of each waker there is no other clone, so it is dropped with what holds it.
        let poll = |future: &mut (dyn Future<Output = ()> + Unpin)| {
            let waker = Waker::from(Arc::new(Nosy(Arc::downgrade(&lease))));
            assert_pending!(future.poll_unpin(&mut Context::from_waker(&waker)));
        };
        let mut drained = Box::pin(lease.drained());
        poll(&mut drained);
        poll(&mut drained);
        zero.settle(true);
        let [one, two] = read(&lease, [1, 2]);
        poll(&mut drained);
        let mut gone = Box::pin(lease.drained());
        poll(&mut gone);
        drop(gone);
        let mut runs = Box::pin(one.run(pending::<()>).map(drop));
        poll(&mut runs);
        poll(&mut runs);
        let mut gone = Box::pin(two.run(pending::<()>).map(drop));
        poll(&mut gone);
        drop(gone);
        lease.fence();
        drop(runs);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A waker that uses the lease, which hangs if the lease is locked.
struct Nosy(Weak<Lease<()>>);

impl Nosy {
    fn look(&self) {
        if let Some(lease) = self.0.upgrade() {
            lease.in_flight();
        }
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

mod under_the_operator {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Verb {
        Then,
        ThenUnordered,
        AndThen,
        AndThenUnordered,
    }

    const VERBS: [Verb; 4] = [
        Verb::Then,
        Verb::ThenUnordered,
        Verb::AndThen,
        Verb::AndThenUnordered,
    ];

    /// A message of a partition, with its group and how many seconds it takes.
    struct Message {
        position: Position<u32>,
        group: u32,
        seconds: u64,
    }

    /// What became of each message, by partition and offset: when its outcome came out, and whether it was done.
    type Outcomes = RefCell<BTreeMap<(u32, i64), (u64, bool)>>;

    /// Handles messages with 4 slots, and settles them.
    async fn consume(verb: Verb, messages: impl Stream<Item = Message>, outcomes: &Outcomes) {
        let start = Instant::now();
        let settle = |done: bool, position: &Position<u32>| {
            position.settle(done);
            let place = (*position.partition(), position.offset());
            let at = start.elapsed().as_secs();
            let before = outcomes.borrow_mut().insert(place, (at, done));
            assert_eq!(before, None);
        };
        let handle = |message: Message| async move {
            message
                .position
                .run(|| sleep(SECOND * message.seconds as u32))
                .await
        };
        let try_handle = |message| handle(message).map(Ok::<_, String>);
        let group = |message: &Message| (*message.position.partition(), message.group);
        let position = |message: &Message| message.position.clone();
        let partition = |message: &Message| message.position.epoch();
        match verb {
            Verb::Then => {
                let results = messages
                    .ordered_by_group(group, 4)
                    .offsets(position)
                    .partitions(partition)
                    .then(handle);
                results
                    .drive(|(outcome, offset)| {
                        settle(outcome.is_some(), &offset);
                        ready(())
                    })
                    .await;
            }
            Verb::ThenUnordered => {
                let results = messages
                    .ordered_by_group(group, 4)
                    .offsets(position)
                    .partitions(partition)
                    .then_unordered(handle);
                results
                    .drive(|(outcome, offset)| {
                        settle(outcome.is_some(), offset.offset());
                        ready(())
                    })
                    .await;
            }
            Verb::AndThen => {
                let results = messages
                    .map(Ok)
                    .try_ordered_by_group(group, 4)
                    .offsets(position)
                    .partitions(partition)
                    .and_then(try_handle);
                let driven = results.try_drive(|(outcome, offset)| {
                    settle(outcome.is_some(), &offset);
                    ready(Ok(()))
                });
                driven.await.unwrap();
            }
            Verb::AndThenUnordered => {
                let results = messages
                    .map(Ok)
                    .try_ordered_by_group(group, 4)
                    .offsets(position)
                    .partitions(partition)
                    .and_then_unordered(try_handle);
                let driven = results.try_drive(|(outcome, offset)| {
                    settle(outcome.is_some(), offset.offset());
                    ready(Ok(()))
                });
                driven.await.unwrap();
            }
        }
    }

    fn leases() -> [Arc<Lease<u32>>; 2] {
        [0, 1].map(|partition| Lease::new(partition, Some(0), Done::default()))
    }

    /// In partition 0, group 1 takes 3 s, group 2 takes 1 s, and each has two messages more of 1 s. In partition 1, a message
    /// each of 5 s and 2 s.
    fn messages(leases: &[Arc<Lease<u32>>; 2]) -> impl Stream<Item = Message> + use<> {
        let messages = [
            (0, 0, 1, 3),
            (0, 1, 2, 1),
            (1, 0, 1, 5),
            (1, 1, 2, 2),
            (0, 2, 1, 1),
            (0, 3, 2, 1),
            (0, 4, 1, 1),
            (0, 5, 2, 1),
        ];
        let messages = messages.map(|(partition, offset, group, seconds)| Message {
            position: leases[partition].read(offset).unwrap(),
            group,
            seconds,
        });
        stream::iter(messages)
    }

    fn commits(leases: &[Arc<Lease<u32>>; 2]) -> [(i64, Vec<(i64, i64)>); 2] {
        leases.each_ref().map(|lease| {
            let commit = lease.commit();
            commit.map_or((-1, vec![]), |commit| (commit.next, ends(&commit)))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_done_and_committed() {
        for verb in VERBS {
            let (leases, outcomes) = (leases(), Outcomes::default());
            consume(verb, messages(&leases), &outcomes).await;
            assert_eq!(commits(&leases), [(6, vec![]), (2, vec![])], "{verb:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_of_what_runs_takes_one_handler_and_leaves_what_waits() {
        for verb in VERBS {
            let (leases, outcomes) = (leases(), Outcomes::default());
            let start = Instant::now();
            let drain = async {
                sleep(SECOND * 3 / 2).await; // 0.1 is done, 0.0 and 0.3 run
                leases[0].drain(Drain::Running);
                leases[0].drained().await;
                assert_eq!(start.elapsed(), SECOND * 3, "{verb:?}");
                assert_eq!(commits(&leases)[0], (2, vec![(3, 3)]), "{verb:?}");
                assert_eq!((leases[0].in_flight(), leases[0].left()), (0, 3));
            };
            futures::join!(consume(verb, messages(&leases), &outcomes), drain);
            assert_eq!(
                commits(&leases),
                [(2, vec![(3, 3)]), (2, vec![])],
                "{verb:?}"
            );
            let left: Vec<_> = outcomes
                .take()
                .into_iter()
                .filter(|(_, (_, done))| !done)
                .collect();
            assert_eq!(left.len(), 3, "{verb:?}");
            for ((_, offset), (at, _)) in left {
                // Each in its turn, at once: 0.5 after 0.3, the others after 0.0.
                let in_its_turn = if offset == 5 { 2 } else { 3 };
                let is_unordered = matches!(verb, Verb::ThenUnordered | Verb::AndThenUnordered);
                assert_eq!(
                    at,
                    if is_unordered { in_its_turn } else { 3 },
                    "{verb:?}: {offset}"
                );
            }

            let next = after(0, &leases[0].commit().unwrap());
            let handed: Vec<_> = (0..6)
                .filter(|offset| next.read(*offset).is_some())
                .collect();
            assert_eq!(handed, [2, 4, 5], "{verb:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_of_what_is_admitted_leaves_nothing() {
        for verb in VERBS {
            let (leases, outcomes) = (leases(), Outcomes::default());
            let start = Instant::now();
            let drain = async {
                sleep(SECOND * 3 / 2).await;
                leases[0].drain(Drain::Admitted);
                leases[0].drained().await;
                assert_eq!(start.elapsed(), SECOND * 5, "{verb:?}");
                assert_eq!(commits(&leases)[0], (6, vec![]), "{verb:?}");
            };
            futures::join!(consume(verb, messages(&leases), &outcomes), drain);
            assert!(
                outcomes.take().into_values().all(|(_, done)| done),
                "{verb:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_ends_what_runs_at_once_and_the_other_partition_goes_on() {
        for verb in VERBS {
            let (leases, outcomes) = (leases(), Outcomes::default());
            let start = Instant::now();
            let fence = async {
                sleep(SECOND * 3 / 2).await; // 0.1 is done, 0.0 and 0.3 run
                leases[0].fence();
                assert_eq!(leases[0].in_flight(), 0);
                leases[0].drained().await;
                assert_eq!(start.elapsed(), SECOND * 3 / 2, "{verb:?}");
            };
            futures::join!(consume(verb, messages(&leases), &outcomes), fence);
            let outcomes = outcomes.take();
            for ((partition, offset), (at, done)) in outcomes {
                match (partition, offset) {
                    (0, 1) => assert!(done),
                    (0, _) => assert_eq!((at, done), (1, false), "{verb:?}: {offset}"),
                    _ => assert!(done),
                }
            }
            // In source order, 0.1 had not come out yet, since 0.0 was running.
            let is_unordered = matches!(verb, Verb::ThenUnordered | Verb::AndThenUnordered);
            let committed = if is_unordered {
                (0, vec![(1, 1)])
            } else {
                (-1, vec![])
            };
            assert_eq!(commits(&leases), [committed, (2, vec![])], "{verb:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_dropped_leaves_what_it_has_not_handed_over() {
        for verb in VERBS {
            let (leases, outcomes) = (leases(), Outcomes::default());
            let run = consume(verb, messages(&leases), &outcomes);
            assert!(tokio::time::timeout(SECOND * 7 / 2, run).await.is_err());
            assert_eq!(
                leases.each_ref().map(|lease| lease.in_flight()),
                [0, 0],
                "{verb:?}"
            );
            for lease in &leases {
                lease.drained().await;
                let done = outcomes
                    .borrow()
                    .keys()
                    .filter(|place| place.0 == *lease.partition())
                    .count();
                let read = if *lease.partition() == 0 { 6 } else { 2 };
                assert_eq!(lease.left(), read - done, "{verb:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_leaves_its_item_and_what_was_not_handed_over() {
        let lease = &Lease::new((), Some(0), Done::default());
        let failed = stream::iter((0..9).filter_map(|offset| lease.read(offset)))
            .ordered_by_group(|position| position.offset() % 3, 3)
            .offsets(|position| position.clone())
            .try_then_unordered(|position| async move {
                let handle = async || {
                    if position.offset() == 4 {
                        Err("no")
                    } else {
                        Ok(())
                    }
                };
                position.run(handle).await.transpose()
            })
            .try_drive(|(outcome, offset)| {
                offset.offset().settle(outcome.is_some());
                ready(Ok(()))
            })
            .await;
        assert_eq!(failed, Err("no"));
        let commit = lease.commit().unwrap();
        assert_eq!(commit.next, 4);
        assert!(!commit.done.contains(4));
        assert_eq!(lease.in_flight(), 0);
        assert!(lease.left() > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_item_and_a_crash_repeat_the_stuck_item_only() {
        let handled = Cell::new(0);
        let run = |lease: Arc<Lease<()>>, is_stuck: bool| {
            let unread = (0..3_000).filter_map(move |offset| lease.read(offset));
            let handled = &handled;
            stream::iter(unread)
                .ordered_by_group(|position| position.offset() % 500, 64)
                .offsets(|position| position.clone())
                .then_unordered(move |position| async move {
                    let handle = async || {
                        if is_stuck && position.offset() == 7 {
                            pending().await
                        }
                        sleep(Duration::from_millis(1)).await;
                        handled.set(handled.get() + 1);
                    };
                    position.run(handle).await
                })
                .drive(|(outcome, offset)| {
                    offset.offset().settle(outcome.is_some());
                    ready(())
                })
        };
        let first = lease(0);
        let killed = tokio::time::timeout(SECOND, run(Arc::clone(&first), true)).await;
        assert!(killed.is_err());
        assert_eq!(handled.take(), 3_000 - 6, "7 is stuck, with five behind it");
        let commit = first.commit().unwrap();
        assert_eq!(commit.next, 7);
        assert!(commit.done.encode(4_096).len() < 50);

        let second = after((), &commit);
        run(Arc::clone(&second), false).await;
        assert_eq!(handled.take(), 6);
        assert_eq!(due(&second), Some((3_000, vec![])));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn handlers_in_tasks_of_their_own_drain_and_are_fenced_too() {
        let lease = lease(0);
        let positions: Vec<_> = (0..6).filter_map(|offset| lease.read(offset)).collect();
        let start = Instant::now();
        let work = stream::iter(positions)
            .ordered_by_group(|position| position.offset() % 2, 4)
            .offsets(|position| position.clone())
            .spawned()
            .then_unordered(|position| async move {
                let seconds = if position.offset() % 2 == 0 { 9 } else { 1 };
                position.run(|| sleep(SECOND * seconds)).await
            })
            .drive(|(outcome, offset)| {
                offset.offset().settle(outcome.is_some());
                ready(())
            });
        let end = async {
            sleep(SECOND * 3 / 2).await; // 1 is done, 0 and 3 run
            lease.drain(Drain::Running);
            let drained = tokio::time::timeout(SECOND, lease.drained()).await;
            assert!(drained.is_err());
            lease.fence();
            lease.drained().await;
            assert_eq!(start.elapsed(), SECOND * 5 / 2);
        };
        futures::join!(work, end);
        assert_eq!(due(&lease), Some((0, vec![(1, 1), (3, 3)])));
    }

    #[tokio::test]
    async fn a_spawned_task_with_borrowed_items_compiles() {
        struct Borrowed<'a>(Position<String>, &'a str);
        let lease = Lease::new("words".to_string(), None, Done::default());
        let task = tokio::spawn({
            let lease = Arc::clone(&lease);
            async move {
                let text = String::from("to be or not");
                let words = (0..)
                    .zip(text.split(' '))
                    .filter_map(|(offset, word)| Some(Borrowed(lease.read(offset)?, word)));
                stream::iter(words.map(Ok::<_, String>))
                    .try_ordered_by_group(|word| word.1, 4)
                    .offsets(|word| word.0.clone())
                    .partitions(|word| word.0.epoch())
                    .and_then_unordered(|word| async move {
                        let handle = async || {
                            tokio::task::yield_now().await;
                            word.1.len()
                        };
                        Ok(word.0.run(handle).await)
                    })
                    .try_drive(|(outcome, offset)| {
                        offset.offset().settle(outcome.is_some());
                        async { Ok(()) }
                    })
                    .await
            }
        });
        task.await.unwrap().unwrap();
        assert_eq!(lease.next(), Some(4));
    }
}

/// Looks at the lease while it is written to it.
struct Looking<'a>(&'a Lease<()>);

impl std::fmt::Write for Looking<'_> {
    fn write_str(&mut self, _: &str) -> std::fmt::Result {
        let _ = self.0.in_flight();
        Ok(())
    }
}

#[test]
fn a_lease_is_shown_without_its_lock() {
    let (send, shown) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lease = lease(0);
        std::fmt::write(&mut Looking(&lease), format_args!("{lease:?}")).unwrap();
        send.send(()).unwrap();
    });
    assert_eq!(shown.recv_timeout(Duration::from_secs(10)), Ok(()));
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_from_being_woken() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("the waker panics");
        }
    }

    let lease = lease(0);
    let [first, second] = read(&lease, [0, 1]);
    let mut first = Box::pin(first.run(pending::<()>));
    let mut second = spawn(second.run(pending::<()>));
    let waker = Waker::from(Arc::new(Panics));
    assert!(
        first
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_pending!(second.poll());
    assert!(catch_unwind(AssertUnwindSafe(|| lease.fence())).is_err());
    assert!(second.is_woken());
    assert_ready_eq!(second.poll(), None);
}
