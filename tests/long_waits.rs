//! What the page on retries says of waits that last: a group that fails for long, a permit that is kept, a time-out. Each
//! wrong way is seen to go wrong, and the way that the page recommends is not.

use std::cell::Cell;
use std::time::Duration;

use futures::stream;
use ordered_by_group::{prelude::*, without_slot};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

const HANGS: Duration = Duration::from_secs(3_600);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When the first delivery to a healthy endpoint starts, behind 5,000 to one that always fails.
async fn healthy_starts_after(look_ahead: usize, dead_letters_at_once: bool) -> Duration {
    let start = Instant::now();
    let healthy = Cell::new(Duration::ZERO);
    stream::iter((0..5_000).map(|_| "dead").chain(["healthy"]))
        .ordered_by_group(|endpoint| *endpoint, 64)
        .look_ahead(look_ahead)
        .then_unordered(async |endpoint| {
            if endpoint == "healthy" {
                return healthy.set(start.elapsed());
            }
            for pause in [200, 400, 800, 1_600] {
                if !dead_letters_at_once {
                    without_slot(sleep(millis(pause))).await;
                }
            }
        })
        .drive(|_| async {})
        .await;
    healthy.get()
}

#[tokio::test(start_paused = true)]
async fn a_group_that_fails_for_long_fills_the_window() {
    let default = healthy_starts_after(4_096, false).await;
    assert!(default > Duration::from_secs(2_700), "{default:?}");
    assert!(healthy_starts_after(1 << 20, false).await < millis(10));
    assert!(healthy_starts_after(4_096, true).await < millis(10));
}

/// How many of 20 items are done if the permit of a service is kept while its handler backs off.
async fn done_with_a_permit_kept(acquire_without_slot: bool) -> u32 {
    let service = Semaphore::new(2);
    let done = Cell::new(0);
    let work = stream::iter(0..20)
        .ordered_by_group(|n| *n, 4)
        .then_unordered(async |_: u32| {
            let permit = service.acquire();
            let _permit = match acquire_without_slot {
                true => without_slot(permit).await,
                false => permit.await,
            };
            without_slot(sleep(millis(100))).await;
            sleep(millis(10)).await;
            done.set(done.get() + 1);
        })
        .drive(|_| async {});
    timeout(HANGS, work).await.ok();
    done.get()
}

#[tokio::test(start_paused = true)]
async fn what_is_held_over_a_wait_is_acquired_without_a_slot_too() {
    assert_eq!(done_with_a_permit_kept(false).await, 0);
    assert_eq!(done_with_a_permit_kept(true).await, 20);
}

/// The most requests at once with four slots, if each waits 50 ms for a breaker that stays open.
async fn most_requests_at_once(timeout_inside: bool) -> u32 {
    let breaker = Semaphore::new(0);
    let (running, most) = (Cell::new(0), Cell::new(0));
    stream::iter(0..100_u32)
        .ordered_by_group(|n| *n, 4)
        .then_unordered(async |_| {
            match timeout_inside {
                true => without_slot(timeout(millis(50), breaker.acquire()))
                    .await
                    .is_ok(),
                false => timeout(millis(50), without_slot(breaker.acquire()))
                    .await
                    .is_ok(),
            };
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            sleep(millis(10)).await;
            running.set(running.get() - 1);
        })
        .drive(|_| async {})
        .await;
    most.get()
}

#[tokio::test(start_paused = true)]
async fn a_time_out_goes_inside_the_wait() {
    assert_eq!(most_requests_at_once(false).await, 100);
    assert_eq!(most_requests_at_once(true).await, 4);
}
