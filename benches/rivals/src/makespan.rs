//! How long a run takes in virtual time, against the bound that no scheduler can beat: the total work over the slots, or
//! the longest group's work, whichever is longer.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::runtime::Builder;

use crate::Contender;
use crate::work::{Item, Limits, Sleep};

const SLOTS: usize = 64;
/// What `look_ahead` is by default: 64 a slot.
const DEFAULT: usize = 64 * SLOTS;

pub const CONTENDERS: [Contender; 8] = [
    Contender::BlockingFold,
    Contender::ForkJoin,
    Contender::Workers,
    Contender::Actors,
    Contender::KeyedMutexAndSemaphore,
    Contender::Queues,
    Contender::OursUnordered,
    Contender::Ours,
];

pub struct Row {
    pub what: &'static str,
    pub look_ahead: usize,
    /// By contender.
    pub ratios: Vec<f64>,
}

pub fn rows(items: u64) -> Vec<Row> {
    let even = {
        let mut key = zipf(1, 1_000, 1.0);
        work(items, |_| (key(), 1))
    };
    let uneven = uneven(items, 0.5);
    let hot = {
        let mut rng = SmallRng::seed_from_u64(3);
        work(items, |_| match rng.random_ratio(2, 100) {
            true => (0, 1),
            false => (rng.random_range(1..10_000), 1),
        })
    };
    let bursts = work(items * 5 / 2, |n| (n / 100, 1));
    let slow = {
        let mut rng = SmallRng::seed_from_u64(5);
        work(items * 5 / 2, |_| {
            let millis = if rng.random_ratio(1, 100) { 100 } else { 1 };
            (rng.random_range(0..10_000), millis)
        })
    };
    [
        ("1 ms each, zipf 1.0, 1,000 keys", &even, DEFAULT),
        ("1–19 ms, zipf 0.5, 10,000 keys", &uneven, DEFAULT),
        ("1 ms each, 2 % on one key", &hot, DEFAULT),
        ("1 ms each, bursts of 100 of one key", &bursts, 1_024),
        ("the same", &bursts, 4_096),
        ("the same", &bursts, 16_384),
        ("1 % of the items 100 × slower", &slow, 1_024),
        ("the same", &slow, 4_096),
    ]
    .into_iter()
    .map(|(what, work, look_ahead)| Row {
        what,
        look_ahead,
        ratios: ratios(work, look_ahead),
    })
    .collect()
}

/// For each exponent of the distribution of keys, the ratios by contender.
pub fn by_skew(items: u64) -> Vec<(f64, Vec<f64>)> {
    (0..=6)
        .map(|quarter| {
            let exponent = f64::from(quarter) / 4.0;
            (exponent, ratios(&uneven(items, exponent), DEFAULT))
        })
        .collect()
}

fn ratios(work: &[Item], look_ahead: usize) -> Vec<f64> {
    let bound = bound(work).as_secs_f64();
    let limits = Limits {
        max_parallel: SLOTS,
        look_ahead,
    };
    CONTENDERS
        .into_iter()
        .map(|contender| {
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let now = || runtime.block_on(async { tokio::time::Instant::now() });
            let start = now();
            let source = stream::iter(work.iter().copied());
            let results = contender.run(&runtime, source, limits, Sleep);
            results.check(work.len() as u64);
            (now() - start).as_secs_f64() / bound
        })
        .collect()
}

fn bound(work: &[Item]) -> Duration {
    let total: u64 = work.iter().map(|item| item.amount).sum();
    let mut groups = HashMap::<_, u64>::new();
    for item in work {
        *groups.entry(item.key).or_default() += item.amount;
    }
    let longest = groups.into_values().max().unwrap_or(0);
    Duration::from_millis(longest).max(Duration::from_millis(total) / SLOTS as u32)
}

fn work(items: u64, mut key_and_millis: impl FnMut(u64) -> (u64, u64)) -> Vec<Item> {
    (0..items)
        .map(|offset| {
            let (key, amount) = key_and_millis(offset);
            Item {
                key,
                offset,
                amount,
            }
        })
        .collect()
}

fn uneven(items: u64, exponent: f64) -> Vec<Item> {
    let mut key = zipf(2, 10_000, exponent);
    let mut rng = SmallRng::seed_from_u64(4);
    work(items, |_| (key(), rng.random_range(1..20)))
}

/// Keys of which the k-th is as frequent as 1 / kˢ.
fn zipf(seed: u64, keys: u32, s: f64) -> impl FnMut() -> u64 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut total = 0.0;
    let cumulative: Vec<f64> = (1..=keys)
        .map(|k| {
            total += f64::from(k).powf(-s);
            total
        })
        .collect();
    move || {
        let at = rng.random_range(0.0..total);
        cumulative.partition_point(|sum| *sum <= at) as u64
    }
}
