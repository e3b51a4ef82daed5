//! Reading ahead. That order, bounds, failures and waking hold as they do without is compared with the model in `model.rs`.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{Access, Monitor, without_slot};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use self::support::{Gates, Order, Setup, Task, VERBS, Verb, items, settle, settled};

fn orders() -> Vec<Option<Order>> {
    vec![
        None,
        Some(Order::Groups(Rc::new(|item| vec![item / 10]))),
        Some(Order::Access(Rc::new(|item| {
            vec![Access::Exclusive(item / 10)]
        }))),
        Some(Order::Unless(Rc::new(|a, b| a / 10 != b / 10))),
    ]
}

fn ahead(
    verb: Verb,
    order: Option<&Order>,
    slots: usize,
    window: usize,
    read: &[u32],
) -> (support::Feed<Result<u32, u32>>, Gates, Task) {
    let feed = items(read.iter().copied());
    let gates = Gates::default();
    let setup = Setup::new(verb, slots).look_ahead(window);
    let task = setup.spawn_ahead(order, &feed, &gates);
    (feed, gates, task)
}

#[test]
fn the_source_is_read_until_the_window_is_full() {
    for (verb, order) in VERBS
        .into_iter()
        .flat_map(|verb| orders().into_iter().map(move |order| (verb, order)))
    {
        let numbers: Vec<_> = (1..=20).map(|n| n * 10).collect();
        let (feed, gates, mut task) = ahead(verb, order.as_ref(), 2, 6, &numbers);
        assert_eq!(settle(&mut task), []);
        assert_eq!(gates.running(), [10, 20]);
        assert_eq!(feed.pulled(), 6, "{verb:?}");
        assert_eq!(task.counts().waiting, 4);
        let polls = feed.polls();
        assert_eq!(settle(&mut task), []);
        assert_eq!(feed.polls(), polls, "a full window stops it");

        gates.open(10);
        assert_eq!(settled(&mut task), [10]);
        assert_eq!(feed.pulled(), 7, "{verb:?}");
        assert_eq!(gates.running(), [20, 30], "the oldest has the slot");
    }
}

#[test]
fn a_slot_goes_to_the_oldest_item_whatever_its_group() {
    for order in orders() {
        let (_, gates, mut task) = ahead(
            Verb::ThenUnordered,
            order.as_ref(),
            2,
            10,
            &[10, 20, 11, 30, 12, 40],
        );
        assert_eq!(settle(&mut task), []);
        gates.open(20);
        assert_eq!(settled(&mut task), [20]);
        // 11 came before 30, and waits for its group.
        assert_eq!(gates.running(), [10, 30]);
        gates.open(10);
        assert_eq!(settled(&mut task), [10]);
        assert_eq!(gates.running(), [11, 30]);
        gates.open(11);
        assert_eq!(settled(&mut task), [11]);
        assert_eq!(gates.running(), [12, 30]);
        gates.open(30);
        assert_eq!(settled(&mut task), [30]);
        assert_eq!(gates.running(), [12, 40]);
        assert_eq!(task.counts().waiting, 0);
    }
}

#[test]
fn a_group_does_not_keep_its_slot_before_an_older_item() {
    let (_, gates, mut task) = ahead(Verb::ThenUnordered, None, 1, 10, &[10, 20, 11, 30]);
    assert_eq!(settle(&mut task), []);
    for (next, then) in [(10, Some(20)), (20, Some(11)), (11, Some(30)), (30, None)] {
        gates.open(next);
        assert_eq!(settled(&mut task), [next]);
        assert_eq!(gates.running(), Vec::from_iter(then));
    }
}

/// Handlers of requests wait for replies that come through the same source.
async fn reply_through_the_source<S>(
    results: impl FnOnce(std::pin::Pin<Box<dyn Stream<Item = u32>>>, Rc<Replies>) -> S,
) -> usize
where
    S: Stream,
{
    let replies = Rc::new(Replies::default());
    let sent = Rc::clone(&replies);
    // Four requests take all slots; their replies are behind them.
    let source = stream::iter([0, 1, 2, 3, 100, 101, 102, 103]).inspect(move |message| {
        if let Some(request) = u32::checked_sub(*message, 100) {
            sent.reply(request);
        }
    });
    results(source.boxed_local(), replies).count().await
}

#[derive(Default)]
struct Replies {
    sent: Semaphores,
}

type Semaphores = RefCell<std::collections::HashMap<u32, Arc<Semaphore>>>;

impl Replies {
    fn of(&self, request: u32) -> Arc<Semaphore> {
        let mut sent = self.sent.borrow_mut();
        let reply = sent
            .entry(request)
            .or_insert_with(|| Arc::new(Semaphore::new(0)));
        Arc::clone(reply)
    }

    fn reply(&self, request: u32) {
        self.of(request).add_permits(1);
    }

    async fn await_reply(&self, message: u32) {
        if message < 100 {
            self.of(message).acquire().await.unwrap().forget();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_come_through_the_same_source_are_read() {
    macro_rules! hangs {
        ($by:ident($($argument:expr),+) $(, $prefetch:ident)?) => {
            timeout(
                Duration::from_secs(3_600),
                reply_through_the_source(|source, replies| {
                    source
                        .$by($($argument),+)
                        $(.$prefetch())?
                        .then(move |message| {
                            let replies = Rc::clone(&replies);
                            async move { replies.await_reply(message).await }
                        })
                }),
            )
            .await
            .is_err()
        };
    }
    assert!(hangs!(ordered_by_group(|message| *message, 4)), "without");
    assert!(!hangs!(ordered_by_group(|message| *message, 4), prefetch));
    assert!(!hangs!(
        ordered_by_groups(|message| [*message, *message + 1_000], 4),
        prefetch
    ));
    assert!(!hangs!(
        ordered_by_access(
            |message| [Access::Exclusive(*message), Access::Shared(u32::MAX)],
            4
        ),
        prefetch
    ));
    assert!(!hangs!(
        ordered_unless(|message| *message, |a, b| a != b, 4),
        prefetch
    ));
}

#[tokio::test(start_paused = true)]
async fn an_operator_above_goes_on_while_this_one_is_busy() {
    // Beside the second stage, whose slots are all taken, the first goes on.
    let run = |is_ahead: bool| async move {
        let begun = Rc::new(Cell::new(0));
        let counted = Rc::clone(&begun);
        let first = stream::iter(0..20_u64)
            .ordered_by_group(|n| *n, 4)
            .then(move |n| {
                let begun = Rc::clone(&counted);
                async move {
                    sleep(Duration::from_millis(10)).await;
                    begun.set(begun.get() + 1);
                    n
                }
            });
        let second = first.ordered_by_group(|(n, _)| *n, 2).look_ahead(64);
        let hour = |_| sleep(Duration::from_secs(3_600));
        let wait = Duration::from_secs(60);
        if is_ahead {
            _ = timeout(wait, second.prefetch().then(hour).drive(|_| ready(()))).await;
        } else {
            _ = timeout(wait, second.then(hour).drive(|_| ready(()))).await;
        }
        begun.get()
    };
    assert_eq!(run(true).await, 20);
    assert!(run(false).await < 10);
}

/// How many of 200 items go through two stages that call one service, which takes four requests at a time.
macro_rules! two_stages {
    ($($prefetch:ident)?) => {{
        let limit = Arc::new(Semaphore::new(4));
        let call = |n: u32| {
            let limit = Arc::clone(&limit);
            async move {
                let _permit = limit.acquire_owned().await.unwrap();
                sleep(Duration::from_millis(10)).await;
                n
            }
        };
        let done = Cell::new(0);
        let work = stream::iter(0..200)
            .ordered_by_group(|n| n % 50, 16)
            .then_unordered(call)
            .ordered_by_group(|(n, _)| n % 7, 4)
            $(.$prefetch())?
            .then_unordered(|(n, _)| call(n))
            .drive(|_| {
                done.set(done.get() + 1);
                ready(())
            });
        let end = timeout(Duration::from_secs(3_600), work).await;
        (end.is_ok(), done.get())
    }};
}

#[tokio::test(start_paused = true)]
async fn two_stages_with_one_limit_do_not_hang() {
    assert_eq!(two_stages!(), (false, 0), "without");
    assert_eq!(two_stages!(prefetch), (true, 200));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_without_a_slot_comes_before_what_was_read_ahead() {
    let order = Rc::new(RefCell::new(vec![]));
    let seen = Rc::clone(&order);
    stream::iter(["a1", "b1", "c1", "d1"])
        .ordered_by_group(|item| item.as_bytes()[0], 1)
        .prefetch()
        .then(move |item| {
            let seen = Rc::clone(&seen);
            async move {
                if item == "a1" {
                    without_slot(sleep(Duration::from_millis(15))).await;
                }
                seen.borrow_mut().push(item);
                sleep(Duration::from_millis(10)).await;
            }
        })
        .drive(|_| ready(()))
        .await;
    assert_eq!(*order.borrow(), ["b1", "c1", "a1", "d1"]);
}

#[test]
fn a_failure_stops_the_reading_and_what_was_read_behind_it_does_not_start() {
    for order in orders() {
        let (feed, gates, mut task) = ahead(
            Verb::TryThen,
            order.as_ref(),
            2,
            5,
            &[10, 20, 30, 40, 50, 60, 70],
        );
        assert_eq!(settle(&mut task), []);
        assert_eq!(feed.pulled(), 5);
        gates.fail(20);
        assert_eq!(settle(&mut task), []);
        assert_eq!((gates.running(), feed.pulled()), (vec![10], 5));
        gates.open(10);
        let out = settle(&mut task);
        assert_eq!(out.len(), 3, "{out:?}");
        assert_eq!(gates.called(), [10, 20]);
    }
}

#[test]
fn settings_come_in_any_order_and_twice() {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let numbers = || stream::iter(0..100_u32);
    let collected = |results: std::pin::Pin<Box<dyn Stream<Item = (u32, u64)>>>| {
        futures::executor::block_on(results.map(|(n, _)| n).collect::<Vec<_>>())
    };
    let expected: Vec<_> = (0..100).collect();
    let by_group = || numbers().ordered_by_group(|n| n % 7, 3);
    let before = by_group()
        .with_hasher(hasher.clone())
        .prefetch()
        .then(ready);
    assert_eq!(collected(before.boxed_local()), expected);
    let after = by_group()
        .prefetch()
        .with_hasher(hasher.clone())
        .look_ahead(9)
        .then(ready);
    assert_eq!(collected(after.boxed_local()), expected);
    let twice = by_group().prefetch().prefetch().then(ready);
    assert_eq!(collected(twice.boxed_local()), expected);
    let keys = numbers().ordered_by_groups(|n| [n % 7, n % 5], 3);
    let after = keys.prefetch().with_hasher(hasher).prefetch().then(ready);
    assert_eq!(collected(after.boxed_local()), expected);
    let fallible = stream::iter((0..100).map(Ok::<_, ()>)).try_ordered_by_group(|n: &u32| n % 7, 3);
    let results = fallible.prefetch().and_then(|n| ready(Ok(n)));
    let all: Result<Vec<_>, ()> =
        futures::executor::block_on(results.map_ok(|(n, _)| n).try_collect());
    assert_eq!(all, Ok(expected));
}

#[test]
fn a_million_groups_that_wait_are_read_handled_and_dropped() {
    const GROUPS: u64 = 1_000_000;
    let monitor = Monitor::new();
    let opened = Rc::new(Cell::new(false));
    let gate = Rc::clone(&opened);
    let groups = || {
        let gate = Rc::clone(&gate);
        stream::iter(0..GROUPS)
            .ordered_by_group(|n| *n, 2)
            .look_ahead(GROUPS as usize)
            .prefetch()
            .monitor(&monitor)
            .then(move |n| {
                let gate = Rc::clone(&gate);
                std::future::poll_fn(move |cx| {
                    cx.waker().wake_by_ref();
                    match gate.get() {
                        true => std::task::Poll::Ready(n),
                        false => std::task::Poll::Pending,
                    }
                })
            })
    };
    let mut results = std::pin::pin!(groups());
    while monitor.snapshot().admitted_total < GROUPS {
        assert!(results.next().now_or_never().is_none());
    }
    assert_eq!(results.groups(), GROUPS as usize);
    assert_eq!(results.waiting(), GROUPS as usize - 2);
    opened.set(true);
    let all = futures::executor::block_on(results.by_ref().count());
    assert_eq!(all, GROUPS as usize);

    opened.set(false);
    let before = monitor.snapshot().admitted_total;
    let mut dropped = Box::pin(groups());
    while monitor.snapshot().admitted_total < before + GROUPS {
        assert!(dropped.next().now_or_never().is_none());
    }
    drop(dropped);
}

#[test]
fn a_closure_is_called_once_an_item_at_admission() {
    let read = Cell::new(0);
    let mut results = std::pin::pin!(
        stream::iter(0..10)
            .ordered_by_group(
                |n| {
                    read.set(read.get() + 1);
                    *n
                },
                1,
            )
            .look_ahead(5)
            .prefetch()
            .then(|_| pending::<()>())
    );
    for _ in 0..3 {
        assert!(results.next().now_or_never().is_none());
    }
    assert_eq!(read.get(), 5);
}

#[cfg(feature = "tokio")]
mod spawned {
    use std::sync::Mutex;

    use futures::channel::oneshot;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn handlers_on_workers_are_read_ahead_in_order() {
        let ended = Arc::new(Mutex::new(vec![]));
        let seen = Arc::clone(&ended);
        let results = stream::iter(0..2_000_u32)
            .ordered_by_group(|n| n % 50, 4)
            .prefetch()
            .spawned()
            .then(move |n| {
                let seen = Arc::clone(&seen);
                async move {
                    tokio::task::yield_now().await;
                    seen.lock().unwrap().push(n);
                    n
                }
            });
        let all: Vec<_> = results.map(|(n, _)| n).collect().await;
        assert_eq!(all, Vec::from_iter(0..2_000));
        let ended = ended.lock().unwrap();
        for group in 0..50 {
            let of_group = ended.iter().filter(|n| **n % 50 == group);
            assert!(of_group.is_sorted(), "group {group}");
        }
    }

    #[tokio::test]
    async fn a_reply_through_the_source_reaches_a_worker() {
        let (reply, replied) = oneshot::channel();
        let mut reply = Some(reply);
        let mut replied = Some(replied);
        let source = stream::iter(["ask", "reply"]).inspect(move |message| {
            if *message == "reply" {
                reply.take().unwrap().send(()).unwrap();
            }
        });
        let begun = Instant::now();
        source
            .ordered_by_group(|message| *message, 1)
            .prefetch()
            .spawned()
            .then(move |_| {
                let replied = replied.take();
                async move {
                    if let Some(replied) = replied {
                        replied.await.unwrap();
                    }
                }
            })
            .drive(|_| ready(()))
            .await;
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
