//! A pipeline that hangs can be seen to hang: how each hazard of the guide looks in the monitor, and that the mended form
//! ends. An hour is an hour of virtual time.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, stream};
use ordered_by_group::prelude::*;
use ordered_by_group::{Monitor, without_slot};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_group_that_waits_for_itself_is_the_deepest_and_the_oldest() {
    let monitor = monitor();
    let mut work = pin!(numbers_of_two_groups(&monitor, |n| Some(n % 2)));

    assert!(timeout(seconds(9.5), &mut work).await.is_err());
    let after_ten_items = Seen {
        running: 1,
        waiting: 4,
        finished: 5,
        groups: 1,
        deepest_group: 4,
        admitted: 10,
        oldest: Some(seconds(9.5)),
        ..Seen::default()
    };
    assert_eq!(seen(&monitor), after_ten_items);

    assert!(timeout(seconds(10.0), &mut work).await.is_err());
    let after_ten_more = Seen {
        waiting: 9,
        finished: 10,
        deepest_group: 9,
        admitted: 20,
        oldest: Some(seconds(19.5)),
        ..after_ten_items
    };
    assert_eq!(seen(&monitor), after_ten_more);
}

#[tokio::test(start_paused = true)]
async fn with_the_reply_in_no_group_the_group_goes_on() {
    let monitor = monitor();
    let mut work = pin!(numbers_of_two_groups(&monitor, |n| (n != 2).then_some(n % 2)));
    assert!(timeout(seconds(9.5), &mut work).await.is_err());
    let now = Seen {
        admitted: 10,
        emitted: 10,
        ..Seen::default()
    };
    assert_eq!(seen(&monitor), now);
}

/// A number a second, for ever. The handler of 0 waits for that of 2.
async fn numbers_of_two_groups(monitor: &Monitor, group: impl Fn(u64) -> Option<u64>) {
    let reply = Notify::new();
    one_a_second()
        .ordered_by_groups(|n| group(*n), 4)
        .monitor(monitor)
        .then(|n| {
            let reply = &reply;
            async move {
                match n {
                    0 => reply.notified().await,
                    2 => reply.notify_one(),
                    _ => {}
                }
            }
        })
        .drive(|_| async {})
        .await;
}

fn one_a_second() -> impl Stream<Item = u64> {
    stream::unfold(0, |n| async move {
        if n > 0 {
            sleep(seconds(1.0)).await;
        }
        Some((n, n + 1))
    })
}

#[tokio::test(start_paused = true)]
async fn of_two_stages_with_one_limit_both_stand_still_with_all_slots_taken() {
    let (first, second) = (monitor(), monitor());
    let mut work = pin!(two_stages([&first, &second], false, 1_024));
    assert!(timeout(HOUR, &mut work).await.is_err());

    // The first has not been polled since it gave four results, so its figures are of the time before: four of its handlers
    // hold the permits.
    let all_run = Seen {
        running: 16,
        groups: 16,
        admitted: 16,
        oldest: Some(HOUR),
        ..Seen::default()
    };
    assert_eq!(seen(&first), all_run);
    let all_run = Seen {
        running: 4,
        groups: 4,
        admitted: 4,
        oldest: Some(HOUR - seconds(0.01)),
        ..Seen::default()
    };
    assert_eq!(seen(&second), all_run);
}

#[tokio::test(start_paused = true)]
async fn of_two_stages_with_one_limit_and_too_small_a_window_the_window_is_full() {
    let (first, second) = (monitor(), monitor());
    let mut work = pin!(two_stages([&first, &second], true, 32));
    assert!(timeout(HOUR, &mut work).await.is_err());

    let now = seen(&second);
    assert_eq!((now.running, now.without_slot, now.waiting), (7, 7, 25));
    assert_eq!((now.admitted, now.emitted), (32, 0));
    assert_eq!(now.oldest, Some(HOUR - seconds(0.01)));
    let now = seen(&first);
    assert_eq!((now.running, now.without_slot, now.waiting), (50, 46, 122));
    assert_eq!(now.oldest, Some(HOUR));
}

#[tokio::test(start_paused = true)]
async fn two_stages_with_one_limit_end_if_they_wait_for_it_without_a_slot() {
    let (first, second) = (monitor(), monitor());
    let work = two_stages([&first, &second], true, 1_024);
    assert!(timeout(HOUR, work).await.is_ok());
    for stage in [&first, &second] {
        assert_eq!(seen(stage), done(200));
    }
}

/// Both call a service that takes four requests at a time.
async fn two_stages(stages: [&Monitor; 2], without: bool, look_ahead: usize) {
    let limit = Semaphore::new(4);
    let call = |n: u32| {
        let limit = &limit;
        async move {
            let _permit = permit(limit, without).await;
            sleep(seconds(0.01)).await;
            n
        }
    };
    stream::iter(0..200)
        .ordered_by_group(|n| n % 50, 16)
        .monitor(stages[0])
        .then_unordered(call)
        .ordered_by_group(|(n, _)| n % 7, 4)
        .look_ahead(look_ahead)
        .monitor(stages[1])
        .then_unordered(|(n, _)| call(n))
        .drive(|_| async {})
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_permit_kept_through_a_back_off_is_kept_without_a_slot_and_the_others_wait_with_theirs() {
    let monitor = monitor();
    let mut work = pin!(retries(&monitor, false));
    assert!(timeout(HOUR, &mut work).await.is_err());
    let now = Seen {
        running: 6, // 4 of them with the slots
        without_slot: 2,
        groups: 6,
        admitted: 6,
        oldest: Some(HOUR),
        ..Seen::default()
    };
    assert_eq!(seen(&monitor), now);
}

#[tokio::test(start_paused = true)]
async fn a_permit_kept_through_a_back_off_is_harmless_if_all_wait_for_it_without_a_slot() {
    let monitor = monitor();
    assert!(timeout(HOUR, retries(&monitor, true)).await.is_ok());
    assert_eq!(seen(&monitor), done(20));
}

/// Each holds a permit of two during two attempts and the pause between them.
async fn retries(monitor: &Monitor, without: bool) {
    let service = Semaphore::new(2);
    stream::iter(0..20)
        .ordered_by_group(|n| *n, 4)
        .monitor(monitor)
        .then_unordered(|_| async {
            let _permit = permit(&service, without).await;
            sleep(seconds(0.01)).await;
            without_slot(sleep(seconds(0.1))).await;
            sleep(seconds(0.01)).await;
        })
        .drive(|_| async {})
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_around_a_wait_without_a_slot_shows_in_the_rate_alone() {
    for is_inside in [true, false] {
        let (monitor, requests) = (monitor(), Semaphore::new(100));
        let mut work = pin!(impatient(&monitor, &requests, is_inside));
        assert!(timeout(seconds(0.055), &mut work).await.is_err());

        // A handler whose wait was cut off holds no slot, and its request is on the way: it looks as if it were in the queue
        // for a slot.
        let waited = Seen {
            running: 100,
            without_slot: 96,
            groups: 100,
            admitted: 100,
            oldest: Some(seconds(0.055)),
            ..Seen::default()
        };
        assert_eq!(seen(&monitor), waited);
        let on_the_way = 100 - requests.available_permits();
        assert_eq!(on_the_way, if is_inside { 4 } else { 100 });

        let _ = timeout(seconds(0.01), &mut work).await;
        let emitted = seen(&monitor).emitted;
        assert_eq!(emitted, if is_inside { 4 } else { 100 });
    }
}

/// Each waits 50 ms at most for a breaker that is open all the time, and sends its request of 10 ms all the same.
async fn impatient(monitor: &Monitor, requests: &Semaphore, is_inside: bool) {
    let breaker = Semaphore::new(0);
    let patience = seconds(0.05);
    stream::iter(0..100)
        .ordered_by_group(|n| *n, 4)
        .monitor(monitor)
        .then_unordered(|_| async {
            if is_inside {
                let _ = without_slot(timeout(patience, breaker.acquire())).await;
            } else {
                let _ = timeout(patience, without_slot(breaker.acquire())).await;
            }
            let _request = requests.acquire().await.unwrap();
            sleep(seconds(0.01)).await;
        })
        .drive(|_| async {})
        .await;
}

async fn permit(limit: &Semaphore, without: bool) -> tokio::sync::SemaphorePermit<'_> {
    if without {
        without_slot(limit.acquire()).await.unwrap()
    } else {
        limit.acquire().await.unwrap()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    running: usize,
    without_slot: usize,
    waiting: usize,
    finished: usize,
    groups: usize,
    deepest_group: usize,
    admitted: u64,
    emitted: u64,
    oldest: Option<Duration>,
}

fn seen(monitor: &Monitor) -> Seen {
    let now = monitor.snapshot();
    Seen {
        running: now.running,
        without_slot: now.without_slot,
        waiting: now.waiting,
        finished: now.finished,
        groups: now.groups,
        deepest_group: now.deepest_group,
        admitted: now.admitted_total,
        emitted: now.emitted_total,
        oldest: now.oldest_unfinished,
    }
}

fn done(items: u64) -> Seen {
    Seen {
        admitted: items,
        emitted: items,
        ..Seen::default()
    }
}

fn monitor() -> Monitor {
    Monitor::new().timed(|| Instant::now().into_std())
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
