//! Chapters 13 and 14 of the contract: what is allocated, and what is kept.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
#[cfg(feature = "tokio")]
use futures::FutureExt as _;
use futures::{Stream, StreamExt as _, stream};
use ordered_by_group::{Access, can_run_together, prelude::*};

/// A handler that is pending a few times first, and wakes itself as often.
struct Yields(u32);

impl Future for Yields {
    type Output = Result<u32, u32>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 0 {
            return Poll::Ready(Ok(1));
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Takes so many results, as a task does that is polled again and again.
fn take(mut results: Pin<&mut impl Stream>, count: usize) {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut taken = 0;
    while taken < count {
        if let Poll::Ready(next) = results.as_mut().poll_next(&mut cx) {
            assert!(next.is_some());
            taken += 1;
        }
    }
}

/// The steady state: allocations for each of 100,000 items, after 20,000 of them.
fn allocations_per_item(results: impl Stream) -> f64 {
    let mut results = pin!(results);
    take(results.as_mut(), 20_000);
    let measured = measure(|| take(results, 100_000));
    measured.count_total as f64 / 100_000.0
}

/// Keys of which some are hot.
fn key(n: u32) -> u32 {
    let mixed = n.wrapping_mul(0x9E37_79B9) >> 12;
    if mixed % 4 == 0 { 0 } else { mixed % 10_000 }
}

fn pendings(n: u32) -> u32 {
    n.wrapping_mul(0x85EB_CA6B) >> 29
}

#[test]
fn nothing_is_allocated_for_an_item_whatever_the_verb_and_the_handler() {
    let source = || stream::iter(0_u32..).map(Ok::<_, u32>);
    let plain = || stream::iter(0_u32..).ordered_by_group(|n| key(*n), 64);
    let tried = || source().try_ordered_by_group(|n| key(*n), 64);
    let (always_ready, mixed) = (|_| Yields(0), |n| Yields(pendings(n)));
    for (case, allocations) in [
        (
            "then, ready",
            allocations_per_item(plain().then(always_ready)),
        ),
        (
            "then_unordered, ready",
            allocations_per_item(plain().then_unordered(always_ready)),
        ),
        (
            "try_then, ready",
            allocations_per_item(plain().try_then(always_ready)),
        ),
        (
            "try_then_unordered, ready",
            allocations_per_item(plain().try_then_unordered(always_ready)),
        ),
        (
            "and_then, ready",
            allocations_per_item(tried().and_then(always_ready)),
        ),
        (
            "and_then_unordered, ready",
            allocations_per_item(tried().and_then_unordered(always_ready)),
        ),
        ("then, pending", allocations_per_item(plain().then(mixed))),
        (
            "then_unordered, pending",
            allocations_per_item(plain().then_unordered(mixed)),
        ),
        (
            "try_then, pending",
            allocations_per_item(plain().try_then(mixed)),
        ),
        (
            "try_then_unordered, pending",
            allocations_per_item(plain().try_then_unordered(mixed)),
        ),
        (
            "and_then, pending",
            allocations_per_item(tried().and_then(mixed)),
        ),
        (
            "and_then_unordered, pending",
            allocations_per_item(tried().and_then_unordered(mixed)),
        ),
    ] {
        assert!(
            allocations <= 0.001,
            "{case}: {allocations} allocations an item"
        );
    }
}

#[test]
fn nothing_is_allocated_for_an_item_of_one_hot_group() {
    let results = stream::iter(0_u32..)
        .ordered_by_group(|_| 0, 64)
        .then(|n| Yields(pendings(n)));
    assert!(allocations_per_item(results) <= 0.001);
}

#[test]
fn nothing_is_allocated_for_an_item_of_several_keys() {
    let source = || stream::iter(0_u32..);
    let tried = || source().map(Ok::<_, u32>);
    let keys = |n: &u32| [key(*n), key(n / 3), key(n / 7)];
    let accesses = move |n: &u32| {
        let [a, b, c] = keys(n);
        [
            Access::Exclusive(a),
            Access::Shared(b),
            Access::Shared(c % 10),
        ]
    };
    // Every hundredth item touches many keys.
    let barrier = |n: &u32| {
        let (first, count) = if n % 100 == 0 {
            (0, 50)
        } else {
            (key(*n) % 50, 1)
        };
        first..first + count
    };
    let ready = |_| Yields(0);
    let mixed = |n| Yields(pendings(n));
    for (case, allocations) in [
        (
            "by groups, ready",
            allocations_per_item(source().ordered_by_groups(keys, 64).then(ready)),
        ),
        (
            "by groups",
            allocations_per_item(source().ordered_by_groups(keys, 64).then(mixed)),
        ),
        (
            "by groups, unordered",
            allocations_per_item(source().ordered_by_groups(keys, 64).then_unordered(mixed)),
        ),
        (
            "by groups of which some are many",
            allocations_per_item(source().ordered_by_groups(barrier, 64).then(mixed)),
        ),
        (
            "by groups of sources that fail",
            allocations_per_item(tried().try_ordered_by_groups(keys, 64).and_then(mixed)),
        ),
        (
            "by access",
            allocations_per_item(source().ordered_by_access(accesses, 64).then(mixed)),
        ),
        (
            "by access, unordered",
            allocations_per_item(
                source()
                    .ordered_by_access(accesses, 64)
                    .then_unordered(mixed),
            ),
        ),
        (
            "by access of sources that fail",
            allocations_per_item(
                tried()
                    .try_ordered_by_access(accesses, 64)
                    .and_then_unordered(mixed),
            ),
        ),
    ] {
        assert!(
            allocations <= 0.001,
            "{case}: {allocations} allocations an item"
        );
    }
}

#[test]
fn nothing_is_allocated_for_an_item_of_any_relation() {
    let source = || stream::iter(0_u32..);
    let tag = |n: &u32| key(*n) % 50;
    let mixed = |n| Yields(pendings(n));
    for (case, allocations) in [
        (
            "always",
            allocations_per_item(
                source()
                    .ordered_unless(tag, can_run_together::always, 16)
                    .then(mixed),
            ),
        ),
        (
            "never",
            allocations_per_item(
                source()
                    .ordered_unless(tag, can_run_together::never, 16)
                    .look_ahead(64)
                    .then(mixed),
            ),
        ),
        (
            "equal tags wait",
            allocations_per_item(
                source()
                    .ordered_unless(tag, |a, b| a != b, 16)
                    .look_ahead(64)
                    .then_unordered(mixed),
            ),
        ),
        (
            "equal tags wait, sources that fail",
            allocations_per_item(
                source()
                    .map(Ok::<_, u32>)
                    .try_ordered_unless(tag, |a, b| a != b, 16)
                    .look_ahead(64)
                    .and_then(mixed),
            ),
        ),
    ] {
        assert!(
            allocations <= 0.001,
            "{case}: {allocations} allocations an item"
        );
    }
}

#[test]
fn nothing_is_allocated_for_an_item_whose_handler_leaves_its_waker_behind() {
    // As a receiver does that outlives the handler: it keeps the last waker until it gets the next.
    let mailbox = RefCell::new(None);
    let mailbox = &mailbox;
    let leave_behind = |pendings: u32| {
        let mut work = Yields(pendings);
        poll_fn(move |cx| {
            mailbox.replace(Some(cx.waker().clone()));
            Pin::new(&mut work).poll(cx)
        })
    };
    for pendings in [0, 1] {
        let results = stream::iter(0_u32..)
            .ordered_by_group(|n| key(*n), 64)
            .then(|_| leave_behind(pendings));
        let allocations = allocations_per_item(results);
        assert!(
            allocations <= 0.001,
            "pending {pendings} times: {allocations} allocations an item"
        );
    }
}

#[test]
fn nothing_is_allocated_for_an_item_while_it_is_driven() {
    // The consumer leaves after the first 20,000, and after 100,000 more.
    let seen = Cell::new(0);
    let mut drive = pin!(
        stream::iter(0_u32..)
            .ordered_by_group(|n| key(*n), 64)
            .then(|n| Yields(pendings(n)))
            .drive(|(_, offset)| {
                seen.set(offset);
                Yields(pendings(offset as u32)).map_to_unit()
            })
    );
    let mut run_to = |end| {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while seen.get() < end {
            assert!(drive.as_mut().poll(&mut cx).is_pending());
        }
    };
    run_to(20_000);
    let measured = measure(|| run_to(120_000));
    let allocations = measured.count_total as f64 / 100_000.0;
    assert!(allocations <= 0.001, "{allocations} allocations an item");
}

impl Yields {
    async fn map_to_unit(self) {
        self.await.unwrap();
    }
}

#[test]
fn a_million_one_shot_groups_leave_no_state() {
    for pending in [0, 1] {
        let mut results = pin!(
            stream::iter(0_u64..)
                .ordered_by_group(|n| *n, 64)
                .then(move |_| Yields(pending))
        );
        take(results.as_mut(), 10_000);
        let measured = measure(|| take(results.as_mut(), 1_000_000));
        assert!(
            measured.bytes_current <= 1_024,
            "{} bytes",
            measured.bytes_current
        );
        assert!(
            measured.bytes_max <= 64 * 1_024,
            "{} bytes",
            measured.bytes_max
        );
    }
}

#[test]
fn a_million_one_shot_keys_leave_no_state() {
    let in_pairs = |n: &u64| [Access::Shared(n / 2), Access::Exclusive(n + (1 << 32))];
    for pending in [0, 1] {
        let mut results = pin!(
            stream::iter(0_u64..)
                .ordered_by_access(in_pairs, 64)
                .then(move |_| Yields(pending))
        );
        take(results.as_mut(), 10_000);
        let measured = measure(|| take(results.as_mut(), 1_000_000));
        assert!(
            measured.bytes_current <= 1_024,
            "{} bytes",
            measured.bytes_current
        );
        assert!(
            measured.bytes_max <= 64 * 1_024,
            "{} bytes",
            measured.bytes_max
        );
    }
}

#[test]
fn memory_is_bounded_by_the_window_not_by_the_source_or_the_limits() {
    // Nothing is reserved by a limit.
    let measured = measure(|| {
        let results = stream::iter(0_u64..10_000)
            .ordered_by_group(|n| *n, usize::MAX / 2)
            .look_ahead(usize::MAX)
            .then_unordered(ready);
        let mut results = pin!(results);
        take(results.as_mut(), 10_000);
    });
    assert!(
        measured.bytes_max <= 64 * 1_024,
        "{} bytes",
        measured.bytes_max
    );
    // A hot key on an endless source, and a second slot.
    let measured = measure(|| {
        let results = stream::iter(0_u64..)
            .ordered_by_group(|_| 0, 2)
            .look_ahead(100)
            .then(|_| Yields(2));
        take(pin!(results), 100_000);
    });
    assert!(
        measured.bytes_max <= 64 * 1_024,
        "{} bytes",
        measured.bytes_max
    );
}

#[test]
fn a_stuck_head_keeps_no_more_than_sixty_four_windows() {
    const LOOK_AHEAD: usize = 16;
    let mut results = pin!(
        stream::iter(0_u64..)
            .ordered_by_group(|n| *n, 2)
            .look_ahead(LOOK_AHEAD)
            .then_unordered(|n| async move {
                if n == 0 {
                    std::future::pending().await
                }
            })
    );
    let measured = measure(|| {
        take(results.as_mut(), 64 * LOOK_AHEAD - 1);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..1_000 {
            assert!(results.as_mut().poll_next(&mut cx).is_pending());
        }
    });
    assert!(
        measured.bytes_max <= 256 * 1_024,
        "{} bytes",
        measured.bytes_max
    );
}

#[test]
fn a_thousand_streams_that_are_made_run_and_dropped_leave_nothing() {
    let cycle = || {
        let mut results = Box::pin(
            stream::iter(0_u32..1_000)
                .ordered_by_group(|n| key(*n), 16)
                .then(|n| Yields(pendings(n))),
        );
        take(results.as_mut(), 100);
    };
    let measured = measure(|| (0..1_000).for_each(|_| cycle()));
    assert!(measured.count_total >= 1_000, "the count is alive");
    assert_eq!((measured.bytes_current, measured.count_current), (0, 0));
}

#[test]
fn what_a_burst_has_made_is_used_again() {
    // Bursts of a window that is full, and then empty.
    let mut results = pin!(
        stream::iter(0_u32..)
            .ordered_by_group(|n| key(*n), 64)
            .then(|n| Yields(if n % 5_000 == 0 { 500 } else { 0 }))
    );
    take(results.as_mut(), 50_000);
    let measured = measure(|| take(results.as_mut(), 50_000));
    assert!(
        measured.count_total <= 50,
        "{} allocations",
        measured.count_total
    );
}

/// A source that yields what is there, and then says Pending.
type Arrivals<T = u32> = Rc<RefCell<VecDeque<T>>>;

fn source<T>(arrivals: &Arrivals<T>) -> impl Stream<Item = T> + use<T> {
    let arrivals = Rc::clone(arrivals);
    stream::poll_fn(move |_| match arrivals.borrow_mut().pop_front() {
        Some(item) => Poll::Ready(Some(item)),
        None => Poll::Pending,
    })
}

/// Lets the first of 500,000 items hold up the others, then lets all finish, while one more comes for each thousand that
/// go, if `trickles`. How many bytes are held when they wait, and when a hundred are left that wait.
fn held_at_a_peak_and_after<S>(
    trickles: bool,
    order: impl FnOnce(Pin<Box<dyn Stream<Item = u32>>>, Rc<Cell<bool>>) -> S,
) -> (i64, i64)
where
    S: Stream,
{
    const PEAK: u32 = 500_000;
    let (arrivals, is_open) = (Arrivals::default(), Rc::new(Cell::new(false)));
    arrivals.borrow_mut().extend(0..PEAK);
    let source = source(&arrivals);
    let mut results = Box::pin(order(Box::pin(source), Rc::clone(&is_open)));
    let mut poll = move || {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        results.as_mut().poll_next(&mut cx).is_ready()
    };
    let peak = measure(|| {
        while !arrivals.borrow().is_empty() {
            assert!(!poll());
        }
    });
    let after = measure(|| {
        is_open.set(true);
        let (mut taken, mut pending, mut next) = (0, 0, PEAK);
        while pending < 1_000 {
            if !poll() {
                pending += 1;
                continue;
            }
            pending = 0;
            taken += 1;
            if trickles && taken % 1_000 == 0 && next < PEAK + PEAK / 1_000 {
                arrivals.borrow_mut().push_back(next);
                next += 1;
            }
        }
        assert_eq!(taken, next, "all came out");
    });
    (peak.bytes_current, peak.bytes_current + after.bytes_current)
}

/// The handler of 0 waits until it may go on; it is polled each time, as it wakes itself.
async fn first_waits(item: u32, is_open: Rc<Cell<bool>>) {
    poll_fn(|cx| {
        if item > 0 || is_open.get() {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn what_a_peak_took_is_given_back() {
    macro_rules! assert_is_given_back {
        ($trickles:expr, |$source:ident| $ordered:expr, $verb:ident) => {
            let (peak, after) = held_at_a_peak_and_after($trickles, |$source, is_open| {
                $ordered
                    .look_ahead(1_000_000)
                    .$verb(move |item| first_waits(item, Rc::clone(&is_open)))
            });
            let what = stringify!($ordered.$verb());
            assert!(peak > 10_000_000, "{what}: {peak} bytes at the peak");
            assert!(
                after < peak / 16,
                "{what}: {after} of {peak} bytes are kept"
            );
        };
    }
    for trickles in [false, true] {
        assert_is_given_back!(
            trickles,
            |source| source.ordered_by_group(|item| item % 2 * u32::from(*item > 1_000), 2),
            then
        );
        assert_is_given_back!(
            trickles,
            |source| source.ordered_by_group(|_| 0, 2),
            then_unordered
        );
    }
    // These give back what they hold once nothing is left.
    assert_is_given_back!(false, |source| source.ordered_by_groups(|_| [0], 2), then);
    assert_is_given_back!(
        false,
        |source| source.ordered_unless(|_| (), can_run_together::never, 2),
        then_unordered
    );
    assert_is_given_back!(
        false,
        |source| source.ordered_by_group(|_| 0, 2).partitions(|_| 0),
        then
    );
    assert_is_given_back!(
        false,
        |source| source.ordered_by_group(|_| 0, 2).partitions(|_| 0),
        then_unordered
    );
}

/// Handlers that wait until all are woken, and the wakers that they left.
#[derive(Clone, Default)]
struct Gate {
    is_open: Rc<Cell<bool>>,
    wakers: Rc<RefCell<Vec<Waker>>>,
}

impl Gate {
    async fn pass(self) {
        poll_fn(|cx| {
            if self.is_open.get() {
                return Poll::Ready(());
            }
            self.wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Opens it, and returns the wakers.
    fn open(&self) -> Vec<Waker> {
        self.is_open.set(true);
        let wakers = self.wakers.take();
        wakers.iter().for_each(Waker::wake_by_ref);
        wakers
    }
}

/// Three times as many handlers as there are places before any is given back.
const HANDLERS: usize = 50_000;

/// A stream of handlers that all run at once, in bursts, and a poll of it.
macro_rules! bursts {
    ($gate:expr, |$source:ident| $ordered:expr) => {{
        let arrivals = Arrivals::default();
        let $source = source(&arrivals);
        let gate = $gate.clone();
        let results = $ordered.look_ahead(HANDLERS).then(move |n| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                n
            }
        });
        let mut results = Box::pin(results);
        let poll = move || {
            let mut cx = Context::from_waker(Waker::noop());
            match results.as_mut().poll_next(&mut cx) {
                Poll::Ready(result) => Some(result.expect("it does not end").0),
                Poll::Pending => None,
            }
        };
        (arrivals, poll)
    }};
}

/// Lets a burst start, and then finish. Returns the bytes that came on top by then and at its peak, and what `keep` keeps of
/// the wakers.
fn burst(
    gate: &Gate,
    arrivals: &Arrivals,
    poll: &mut impl FnMut() -> Option<u32>,
    keep: impl FnOnce(Vec<Waker>) -> Vec<Waker>,
) -> (i64, i64, Vec<Waker>) {
    gate.is_open.set(false);
    let started = measure(|| {
        arrivals.borrow_mut().extend(0..HANDLERS as u32);
        while !arrivals.borrow().is_empty() {
            assert_eq!(poll(), None);
        }
    });
    let mut kept = Vec::new();
    let finished = measure(|| {
        kept = keep(gate.open());
        let mut next = 0;
        while (next as usize) < HANDLERS {
            if let Some(result) = poll() {
                assert_eq!(result, next);
                next += 1;
            }
        }
        // One that finds that there is nothing to do.
        while poll().is_some() {}
        *arrivals.borrow_mut() = VecDeque::new();
    });
    let peak = started.bytes_current;
    (peak + finished.bytes_current, peak, kept)
}

#[test]
fn what_many_handlers_took_is_given_back() {
    macro_rules! assert_is_given_back {
        (|$source:ident| $ordered:expr) => {{
            let gate = Gate::default();
            let (arrivals, mut poll) = bursts!(gate, |$source| $ordered);
            for _ in 0..3 {
                let (left, peak, _) = burst(&gate, &arrivals, &mut poll, |_| Vec::new());
                assert!(peak > 10_000_000, "{peak} bytes at the peak");
                assert!(left < 100_000, "{left} of {peak} bytes are kept");
            }
        }};
    }
    assert_is_given_back!(|source| source.ordered_by_group(|n| *n, HANDLERS));
    assert_is_given_back!(|source| source.ordered_by_group(|n| *n, HANDLERS).prefetch());
    let two_keys = |n: &u32| [*n, *n + HANDLERS as u32];
    assert_is_given_back!(|source| source.ordered_by_groups(two_keys, HANDLERS));
    assert_is_given_back!(|source| source.ordered_by_groups(two_keys, HANDLERS).prefetch());
    assert_is_given_back!(|source| source.ordered_by_groups(|_| [0; 0], HANDLERS));
}

/// Its tasks run in this thread, where allocations are counted.
#[cfg(feature = "tokio")]
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.build().unwrap()
}

#[cfg(feature = "tokio")]
#[test]
fn what_waited_for_a_spawned_handler_is_given_back() {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    const ITEMS: usize = 100_000;
    let runtime = runtime();
    let arrivals = Arrivals::default();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let mut results = Box::pin(
        source(&arrivals)
            .ordered_by_group(|_| (), 2)
            .look_ahead(ITEMS)
            .spawned()
            .then(move |n| {
                let opened = Arc::clone(&opened);
                async move {
                    opened.acquire().await.unwrap().forget();
                    n
                }
            }),
    );
    let mut poll = || {
        let result = results.next().now_or_never()?;
        Some(result.expect("it does not end").0)
    };
    for _ in 0..3 {
        let started = measure(|| {
            runtime.block_on(async {
                arrivals.borrow_mut().extend(0..ITEMS as u32);
                while !arrivals.borrow().is_empty() {
                    assert_eq!(poll(), None);
                }
            });
        });
        let peak = started.bytes_current;
        assert!(peak > 5_000_000, "{peak} bytes at the peak");
        let finished = measure(|| {
            runtime.block_on(async {
                gate.add_permits(ITEMS);
                // All are handled before anybody looks.
                while gate.available_permits() > 0 {
                    tokio::task::yield_now().await;
                }
                for n in 0..ITEMS as u32 {
                    while poll().map(|result| assert_eq!(result, n)).is_none() {}
                }
                // One that finds that there is nothing to do.
                while poll().is_some() {}
                *arrivals.borrow_mut() = VecDeque::new();
            });
        });
        let left = peak + finished.bytes_current;
        assert!(left < 100_000, "{left} of {peak} bytes are kept");
    }
}

#[cfg(feature = "tokio")]
#[test]
fn each_task_of_spawned_keeps_little_of_what_it_took() {
    const TASKS: u32 = 32;
    const BURST: u32 = 8_000;
    let runtime = runtime();
    let arrivals = Arrivals::default();
    let mut results = Box::pin(
        source(&arrivals)
            .ordered_by_group(|(key, _)| *key, TASKS as usize + 1)
            .look_ahead(2 * BURST as usize)
            .spawned()
            .then(|(_, item)| async move { item }),
    );
    let mut poll = || results.next().now_or_never().is_some();
    let _here = runtime.enter();
    let bursts = measure(|| {
        for hot in 0..TASKS {
            // One item of each key first, so that each has a task.
            let first = (0..TASKS).map(|key| (key, 0));
            arrivals
                .borrow_mut()
                .extend(first.chain((0..BURST).map(|item| (hot, item))));
            while !arrivals.borrow().is_empty() {
                assert!(!poll());
            }
            let mut left = TASKS + BURST;
            while left > 0 {
                // All that may is handled before anybody looks.
                runtime.block_on(async {
                    for _ in 0..2 * BURST / 64 {
                        tokio::task::yield_now().await;
                    }
                });
                while poll() {
                    left -= 1;
                }
            }
        }
        *arrivals.borrow_mut() = VecDeque::new();
    });
    let kept = bursts.bytes_current;
    assert!(
        bursts.bytes_max > 500_000,
        "{} bytes at the peak",
        bursts.bytes_max
    );
    assert!(kept < 2_000_000, "{kept} bytes are kept");
}

#[cfg(feature = "tokio")]
#[test]
fn a_spawned_handler_allocates_nothing_in_the_steady_state() {
    let runtime = runtime();
    let mut results = Box::pin(
        stream::iter(0..)
            .ordered_by_group(|n| key(*n), 64)
            .spawned()
            .then_unordered(|n| async move {
                Yields(pendings(n)).await.unwrap();
                n
            }),
    );
    let mut take = |count| {
        runtime.block_on(async {
            for _ in 0..count {
                assert!(results.next().await.is_some());
            }
        });
    };
    take(20_000);
    let measured = measure(|| take(100_000));
    let per_item = measured.count_total as f64 / 100_000.0;
    assert!(per_item <= 0.001, "{per_item} allocations an item");
}

#[test]
fn an_item_without_keys_runs_on_while_storage_is_given_back() {
    let gate = Gate::default();
    // The first item has no keys, and wakes last.
    let keys = |n: &u32| (*n > 0).then_some(*n);
    let (arrivals, mut poll) = bursts!(gate, |source| source.ordered_by_groups(keys, HANDLERS));
    arrivals.borrow_mut().extend(0..HANDLERS as u32);
    while !arrivals.borrow().is_empty() {
        assert_eq!(poll(), None);
    }
    gate.is_open.set(true);
    let wakers = gate.wakers.take();
    let (first, others) = wakers.split_first().expect("each left its waker");
    others.iter().for_each(Waker::wake_by_ref);
    // All but the first finish, and there is nothing to do.
    for _ in 0..HANDLERS {
        assert_eq!(poll(), None);
    }
    first.wake_by_ref();
    let mut next = 0;
    while (next as usize) < HANDLERS {
        if let Some(result) = poll() {
            assert_eq!(result, next);
            next += 1;
        }
    }
}

#[test]
fn a_place_is_not_given_back_while_somebody_has_its_waker() {
    for (keep, is_large) in [(HANDLERS - 1, true), (HANDLERS / 20, false)] {
        let gate = Gate::default();
        let (arrivals, mut poll) =
            bursts!(gate, |source| source.ordered_by_group(|n| *n, HANDLERS));
        let keep_one = |mut wakers: Vec<Waker>| vec![wakers.swap_remove(keep)];
        let (left, peak, wakers) = burst(&gate, &arrivals, &mut poll, keep_one);
        assert_eq!(left > peak / 4, is_large, "{left} of {peak} bytes are kept");
        // It wakes nobody, neither now nor while the place is used again.
        wakers.iter().for_each(Waker::wake_by_ref);
        assert_eq!(poll(), None);
        burst(&gate, &arrivals, &mut poll, |_| Vec::new());
        wakers.into_iter().for_each(Waker::wake);
        assert_eq!(poll(), None);
        burst(&gate, &arrivals, &mut poll, |_| Vec::new());
    }
}

#[test]
fn what_waited_is_given_back_though_there_were_more_groups_than_that() {
    const GROUPS: u32 = 40_000;
    const WAITING: u32 = 20_000;
    for one_stays in [false, true] {
        let arrivals = Arrivals::default();
        let is_open = Rc::new(Cell::new(false));
        let source = source(&arrivals).map(|item| (item, [0_u8; 1_024]));
        let handler = {
            let is_open = Rc::clone(&is_open);
            move |(item, _)| {
                let is_open = Rc::clone(&is_open);
                poll_fn(move |cx| {
                    if is_open.get() && !(one_stays && item == 1) {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
            }
        };
        let results = source
            .ordered_by_group(|(item, _)| *item, GROUPS as usize)
            .look_ahead(2 * GROUPS as usize)
            .prefetch()
            .then_unordered(handler);
        let mut results = Box::pin(results);
        let mut cx = Context::from_waker(Waker::noop());
        let started = measure(|| {
            arrivals.borrow_mut().extend(0..GROUPS);
            arrivals.borrow_mut().extend((0..WAITING).map(|_| 0));
            while results.waiting() < WAITING as usize {
                assert!(results.as_mut().poll_next(&mut cx).is_pending());
            }
            *arrivals.borrow_mut() = VecDeque::new();
        });
        let finished = measure(|| {
            is_open.set(true);
            let left = GROUPS + WAITING - u32::from(one_stays);
            let mut out = 0;
            while out < left {
                out += u32::from(results.as_mut().poll_next(&mut cx).is_ready());
            }
            assert!(results.as_mut().poll_next(&mut cx).is_pending());
        });
        let gone = -finished.bytes_current;
        let waited = i64::from(WAITING) * 1_024;
        assert!(
            started.bytes_current > waited && gone > waited,
            "{one_stays}: {gone} bytes of {} are given back",
            started.bytes_current
        );
    }
}

#[test]
fn what_many_keys_took_is_given_back_also_if_others_come() {
    const HANDLERS: u32 = 50_000;
    let arrivals = Arrivals::default();
    let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let is_open = Rc::new(Cell::new(false));
    let (gate, kept) = (Rc::clone(&is_open), Rc::clone(&wakers));
    let source = source(&arrivals);
    let results = source
        .ordered_by_groups(|n| [*n], HANDLERS as usize)
        .look_ahead(HANDLERS as usize)
        .then(move |n| {
            let (gate, kept) = (Rc::clone(&gate), Rc::clone(&kept));
            poll_fn(move |cx| {
                if gate.get() {
                    return Poll::Ready(n);
                }
                kept.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            })
        });
    let mut results = Box::pin(results);
    let mut poll = || {
        let mut cx = Context::from_waker(Waker::noop());
        results.as_mut().poll_next(&mut cx).is_ready()
    };
    let peak = measure(|| {
        arrivals.borrow_mut().extend(0..HANDLERS);
        while !arrivals.borrow().is_empty() {
            assert!(!poll());
        }
    });
    let after = measure(|| {
        is_open.set(true);
        wakers.take().into_iter().rev().for_each(Waker::wake);
        let mut taken = 0;
        while taken < HANDLERS {
            taken += u32::from(poll());
        }
        while poll() {}
        is_open.set(false);
        *arrivals.borrow_mut() = VecDeque::from([0]);
        assert!(!poll());
    });
    let (peak, left) = (peak.bytes_current, peak.bytes_current + after.bytes_current);
    assert!(left < peak / 16, "{left} of {peak} bytes are kept");
}

#[test]
fn many_one_shot_groups_read_ahead_leave_no_state() {
    let mut results = Box::pin(
        stream::iter(0_u64..)
            .ordered_by_group(|n| *n, 64)
            .prefetch()
            .look_ahead(256)
            .then(async |_| tokio::task::yield_now().await),
    );
    let mut take = |count: u32| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut taken = 0;
        while taken < count {
            taken += u32::from(results.as_mut().poll_next(&mut cx).is_ready());
        }
    };
    take(10_000);
    let measured = measure(|| take(100_000));
    assert!(
        measured.bytes_current <= 1_024,
        "{} bytes",
        measured.bytes_current
    );
}
