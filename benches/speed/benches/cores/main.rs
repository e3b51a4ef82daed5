//! What `spawned()` gains on several cores: speed-up over a loop that handles one item after the other, in the same run.
//!
//! Handlers compute, so that nothing can be gained by waiting. The targets are for two cores.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use ordered_by_group::prelude::*;

struct Target {
    what: &'static str,
    work: Duration,
    /// How many items in a hundred are of one key.
    hot: u64,
    least: f64,
}

fn main() {
    // `cargo bench -- --test`, as criterion's benches: run each once, and measure nothing.
    let (time, rounds) = if std::env::args().any(|argument| argument == "--test") {
        (Duration::from_millis(10), 1)
    } else {
        (Duration::from_millis(300), 7)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let steps_per_us = steps_per_us();
    println!("{:<32} {:>9} {:>9}", "", "speed-up", "target");
    for Target {
        what,
        work,
        hot,
        least,
    } in targets()
    {
        let steps = (steps_per_us * work.as_secs_f64() * 1e6) as u64;
        let items = (time.as_nanos() / work.as_nanos()) as u64;
        let mut ratios: Vec<_> = (0..rounds)
            .map(|_| {
                serial(items, steps).as_secs_f64()
                    / runtime.block_on(spawned(items, steps, hot)).as_secs_f64()
            })
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let ratio = ratios[rounds / 2];
        let met = if ratio >= least { "" } else { "  missed" };
        println!("{what:<32} {ratio:>9.2} {least:>9.2}{met}");
    }
}

fn targets() -> [Target; 3] {
    let (five, twenty) = (Duration::from_micros(5), Duration::from_micros(20));
    [
        Target {
            what: "5 us",
            work: five,
            hot: 0,
            least: 1.7,
        },
        Target {
            what: "5 us, 40 % on one key",
            work: five,
            hot: 40,
            least: 1.6,
        },
        Target {
            what: "20 us",
            work: twenty,
            hot: 0,
            least: 1.85,
        },
    ]
}

/// Some work that no compiler can shorten.
fn compute(steps: u64) -> u64 {
    (0..steps).fold(1, |x: u64, step| {
        black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ step)
    })
}

fn steps_per_us() -> f64 {
    let start = Instant::now();
    black_box(compute(5_000_000));
    5_000_000.0 / (start.elapsed().as_secs_f64() * 1e6)
}

fn serial(items: u64, steps: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..items {
        black_box(compute(steps));
    }
    start.elapsed()
}

async fn spawned(items: u64, steps: u64, hot: u64) -> Duration {
    let start = Instant::now();
    // In a task of its own: the thread of `block_on` is none of the workers.
    let consumer = tokio::spawn(async move {
        let mut next = 0;
        let mut results = std::pin::pin!(
            stream::iter(0..items)
                .ordered_by_group(
                    move |n| if n % 100 < hot { u64::MAX } else { n % 10_000 },
                    64
                )
                .spawned()
                .then(move |_| async move { black_box(compute(steps)) })
        );
        while let Some((_, offset)) = results.next().await {
            assert_eq!(offset, next);
            next += 1;
        }
        assert_eq!(next, items);
    });
    consumer.await.expect("all handlers finish");
    start.elapsed()
}
