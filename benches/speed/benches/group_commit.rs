//! What one commit for whatever is there gains over one commit each, and over a loop in which the handlers stand still.
//!
//! 64 handlers of 1 ms run at once, and a commit takes 5 ms. Both are timers, so what is measured is who waits for whom.

#[path = "../../contenders/processor.rs"]
mod processor;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures::{TryStreamExt as _, stream};
use ordered_by_group::TryRunning;
use ordered_by_group::prelude::*;
use tokio::time::sleep;

const HANDLER: Duration = Duration::from_millis(1);
const COMMIT: Duration = Duration::from_millis(5);
const MAX: usize = 1_000;

#[derive(Clone, Copy)]
enum Way {
    NoCommit,
    InChunks,
    ReadyChunks,
    OneEach,
}

fn main() {
    // `cargo bench -- --test`, as criterion's benches: run each once, and measure nothing.
    let (items, few, rounds) = if std::env::args().any(|argument| argument == "--test") {
        (1_000, 20, 1)
    } else {
        (100_000, 1_000, 3)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!("{}\n", processor::processor());
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8}",
        "", "items", "seconds", "items/s", "commits"
    );
    for (what, way, items) in [
        ("no commits", Way::NoCommit, items),
        ("try_drive_chunks", Way::InChunks, items),
        (
            "try_ready_chunks, and a loop that awaits",
            Way::ReadyChunks,
            items,
        ),
        ("try_drive, one commit each", Way::OneEach, few),
    ] {
        let mut runs: Vec<_> = (0..rounds)
            .map(|_| {
                let start = Instant::now();
                let commits = runtime.block_on(way.run(items));
                (start.elapsed().as_secs_f64(), commits)
            })
            .collect();
        runs.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let (seconds, commits) = runs[rounds / 2];
        let rate = items as f64 / seconds;
        println!("{what:<44} {items:>8} {seconds:>8.2} {rate:>8.0} {commits:>8}");
    }
}

impl Way {
    /// Handles so many items, and says in how many commits.
    async fn run(self, items: u64) -> u64 {
        let mut commits = Commits::default();
        let results = results(items);
        match self {
            Self::NoCommit => {
                let consume = |(_, offset)| {
                    commits.last = Some(offset);
                    async { Ok(()) }
                };
                results.try_drive(consume).await
            }
            Self::InChunks => {
                let consume = |chunk: Vec<(u64, u64)>| commits.commit(chunk[chunk.len() - 1].1);
                results.try_drive_chunks(MAX, consume).await
            }
            Self::ReadyChunks => {
                let consume = |chunk: Vec<(u64, u64)>| commits.commit(chunk[chunk.len() - 1].1);
                let chunks = results.try_ready_chunks(MAX).map_err(|error| error.1);
                chunks.try_for_each(consume).await
            }
            Self::OneEach => {
                results
                    .try_drive(|(_, offset)| commits.commit(offset))
                    .await
            }
        }
        .unwrap_or_else(|never| match never {});
        assert_eq!(commits.last, Some(items - 1));
        commits.count
    }
}

fn results(items: u64) -> impl TryRunning<Item = Result<(u64, u64), Infallible>, Offset = u64> {
    stream::iter(0..items)
        .ordered_by_group(|n| n % 10_000, 64)
        .try_then(|n| async move {
            sleep(HANDLER).await;
            Ok(n)
        })
}

#[derive(Default)]
struct Commits {
    count: u64,
    last: Option<u64>,
}

impl Commits {
    fn commit(&mut self, offset: u64) -> impl Future<Output = Result<(), Infallible>> + use<> {
        self.count += 1;
        self.last = Some(offset);
        async {
            sleep(COMMIT).await;
            Ok(())
        }
    }
}
