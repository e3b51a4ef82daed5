//! How long a run takes, exactly, against the bound that no scheduler can beat:
//! the total work over the slots, or the longest group's work, whichever is longer.

use std::collections::HashMap;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

const SLOTS: usize = 64;

#[derive(Clone, Copy)]
struct Item {
    key: u32,
    millis: u64,
}

fn bound(work: &[Item]) -> Duration {
    let total: u64 = work.iter().map(|item| item.millis).sum();
    let mut groups = HashMap::<_, u64>::new();
    for item in work {
        *groups.entry(item.key).or_default() += item.millis;
    }
    let longest = groups.into_values().max().unwrap();
    Duration::from_millis(longest).max(Duration::from_millis(total) / SLOTS as u32)
}

async fn elapsed(results: impl Stream) -> Duration {
    let start = Instant::now();
    results.for_each(|_| async {}).await;
    start.elapsed()
}

async fn handle(item: Item) {
    sleep(Duration::from_millis(item.millis)).await;
}

/// Makespan over bound in completion order and in source order.
async fn ratios(work: &[Item], look_ahead: usize) -> (f64, f64) {
    let ordered = || {
        stream::iter(work.to_vec())
            .ordered_by_group(|item| item.key, SLOTS)
            .look_ahead(look_ahead)
    };
    let completion = elapsed(ordered().then_unordered(handle)).await;
    let source = elapsed(ordered().then(handle)).await;
    let bound = bound(work).as_secs_f64();
    (
        completion.as_secs_f64() / bound,
        source.as_secs_f64() / bound,
    )
}

/// Keys of which the k-th is as frequent as 1 / kˢ.
fn zipf(rng: &mut SmallRng, keys: u32, s: f64) -> impl FnMut() -> u32 + use<> {
    let mut rng = SmallRng::from_rng(rng);
    let mut total = 0.0;
    let cumulative: Vec<f64> = (1..=keys)
        .map(|k| {
            total += f64::from(k).powf(-s);
            total
        })
        .collect();
    move || {
        let at = rng.random_range(0.0..total);
        cumulative.partition_point(|sum| *sum <= at) as u32
    }
}

/// What `look_ahead` is by default: 64 a slot.
const DEFAULT: usize = 64 * SLOTS;

#[tokio::test(start_paused = true)]
async fn equal_work_with_hot_keys_takes_as_long_as_its_bound() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut key = zipf(&mut rng, 1_000, 1.0);
    let work: Vec<_> = (0..20_000)
        .map(|_| Item {
            key: key(),
            millis: 1,
        })
        .collect();
    let (completion, source) = ratios(&work, DEFAULT).await;
    assert!(completion <= 1.01, "{completion}");
    assert!(source <= 1.02, "{source}");
}

#[tokio::test(start_paused = true)]
async fn uneven_work_takes_as_long_as_its_bound() {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut key = zipf(&mut rng, 10_000, 0.5);
    let work: Vec<_> = (0..20_000)
        .map(|_| Item {
            key: key(),
            millis: rng.random_range(1..20),
        })
        .collect();
    let (completion, source) = ratios(&work, DEFAULT).await;
    assert!(completion <= 1.01, "{completion}");
    assert!(source <= 1.02, "{source}");
}

#[tokio::test(start_paused = true)]
async fn a_key_with_two_in_a_hundred_items_does_not_hold_back_the_others() {
    let mut rng = SmallRng::seed_from_u64(3);
    let work: Vec<_> = (0..20_000)
        .map(|_| Item {
            key: if rng.random_ratio(2, 100) {
                0
            } else {
                rng.random_range(1..10_000)
            },
            millis: 1,
        })
        .collect();
    let (completion, source) = ratios(&work, DEFAULT).await;
    assert!(completion <= 1.01, "{completion}");
    assert!(source <= 1.02, "{source}");
}

#[tokio::test(start_paused = true)]
async fn bursts_of_a_hundred_are_spread_over_the_slots_by_the_default_window() {
    let work: Vec<_> = (0..50_000)
        .map(|n| Item {
            key: n / 100,
            millis: 1,
        })
        .collect();
    let (completion, _) = ratios(&work, DEFAULT).await;
    assert!(completion <= 1.35, "{completion}");
}

#[tokio::test(start_paused = true)]
async fn one_slow_item_in_a_hundred_does_not_hold_back_the_others() {
    let mut rng = SmallRng::seed_from_u64(5);
    let work: Vec<_> = (0..50_000)
        .map(|_| Item {
            key: rng.random_range(0..10_000),
            millis: if rng.random_ratio(1, 100) { 100 } else { 1 },
        })
        .collect();
    let (completion, _) = ratios(&work, DEFAULT).await;
    assert!(completion <= 1.15, "{completion}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_takes_as_long_as_its_own_work() {
    const ITEMS: u32 = 5_000;
    let consume = || sleep(Duration::from_millis(1));
    let handler = |_| sleep(Duration::from_millis(40));
    let ordered = || stream::iter(0..ITEMS).ordered_by_group(|n| n % 1_000, SLOTS);
    let least = Duration::from_millis(u64::from(ITEMS));
    for (case, took) in [
        ("then, in a loop", {
            let start = Instant::now();
            ordered().then(handler).for_each(|_| consume()).await;
            start.elapsed()
        }),
        ("then_unordered, in a loop", {
            let start = Instant::now();
            let results = ordered().then_unordered(handler);
            results.for_each(|_| consume()).await;
            start.elapsed()
        }),
        ("then, driven", {
            let start = Instant::now();
            ordered().then(handler).drive(|_| consume()).await;
            start.elapsed()
        }),
        ("then_unordered, driven", {
            let start = Instant::now();
            let results = ordered().then_unordered(handler);
            results.drive(|_| consume()).await;
            start.elapsed()
        }),
    ] {
        let ratio = took.as_secs_f64() / least.as_secs_f64();
        assert!(ratio <= 1.05, "{case}: {ratio}");
    }
}
