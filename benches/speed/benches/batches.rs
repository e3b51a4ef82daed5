//! What a handler gains that takes what waits of its group, over one call an item; and what chunks that are split by key in
//! front of the operator lose.
//!
//! A call takes 1 ms, whatever it is given, as a statement does with one row or a hundred. It is a timer, so what is measured
//! is how many calls it takes, and who waits for whom.

#[path = "../../contenders/processor.rs"]
mod processor;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _, stream};
use ordered_by_group::prelude::*;
use tokio::time::sleep;

const CALL: Duration = Duration::from_millis(1);
const SLOTS: usize = 16;
const MAX: usize = 1_000;
/// How many items are read ahead, or are one chunk.
const WINDOW: usize = 50_000;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    OneEach,
    Batches,
    BatchesInDefaultWindow,
    ChunksByKey,
}

#[derive(Clone, Copy)]
struct Work {
    items: u64,
    keys: u64,
}

/// What a way took.
struct Run {
    seconds: f64,
    calls: u64,
}

fn main() {
    // `cargo bench -- --test`, as criterion's benches: run each once, and measure nothing.
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (sizes, rounds) = match is_test {
        true => ([300].as_slice(), 1),
        false => ([3_000, 30_000, 300_000].as_slice(), 3),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    println!("{}\n", processor::processor());
    println!(
        "{:<40} {:>8} {:>6} {:>8} {:>8} {:>9}",
        "", "items", "keys", "calls", "seconds", "items/s"
    );
    for keys in [50, 5_000] {
        for &items in sizes {
            let work = Work { items, keys };
            for (what, way, rounds) in [
                // It takes long, and the same each time.
                ("one call an item", Way::OneEach, 1),
                ("batches, look_ahead 50,000", Way::Batches, rounds),
                (
                    "batches, look_ahead 1,024 (the default)",
                    Way::BatchesInDefaultWindow,
                    rounds,
                ),
                (
                    "ready_chunks, split by key: see below",
                    Way::ChunksByKey,
                    rounds,
                ),
            ] {
                let mut runs: Vec<_> = (0..rounds)
                    .map(|_| runtime.block_on(way.run(work)))
                    .collect();
                runs.sort_unstable_by(|a, b| a.seconds.total_cmp(&b.seconds));
                let Run { seconds, calls } = runs[rounds / 2];
                let rate = items as f64 / seconds;
                println!("{what:<40} {items:>8} {keys:>6} {calls:>8} {seconds:>8.2} {rate:>9.0}");
            }
        }
        println!();
    }
    let work = Work {
        items: sizes[0],
        keys: 50,
    };
    let lost = |way: Way| runtime.block_on(way.lost(work));
    println!(
        "Commit each offset, crash at the worst moment: of {} items with 50 keys, {} are lost with ready_chunks split by key, \
         whose first batch passes older items of others; {} with batches.",
        work.items,
        lost(Way::ChunksByKey),
        lost(Way::Batches),
    );
}

impl Work {
    /// Each item comes with its position.
    fn source(self) -> impl Stream<Item = u64> {
        stream::iter(0..self.items)
    }

    /// Neighbours are of different groups, and groups take turns that differ.
    fn key(self, n: u64) -> u64 {
        (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % self.keys
    }

    fn sum(self) -> u64 {
        (0..self.items).sum()
    }

    /// The items of a chunk, by key.
    fn split(self, chunk: Vec<u64>) -> Vec<Vec<u64>> {
        let mut batches: Vec<Vec<u64>> = vec![];
        let mut of_key = std::collections::HashMap::new();
        for n in chunk {
            let at = *of_key.entry(self.key(n)).or_insert(batches.len());
            match batches.get_mut(at) {
                Some(batch) => batch.push(n),
                None => batches.push(vec![n]),
            }
        }
        batches
    }
}

impl Way {
    async fn run(self, work: Work) -> Run {
        let calls = Cell::new(0);
        let begun = Instant::now();
        let mut sum = 0;
        self.handle(
            work,
            |batch| {
                calls.set(calls.get() + 1);
                batch.iter().sum::<u64>()
            },
            |result, _| sum += result,
        )
        .await;
        let seconds = begun.elapsed().as_secs_f64();
        assert_eq!(sum, work.sum(), "each item is handled once");
        Run {
            seconds,
            calls: calls.get(),
        }
    }

    /// How many items at or before an offset that is emitted have not been handled, at the worst moment.
    async fn lost(self, work: Work) -> usize {
        let handled = RefCell::new(vec![false; work.items as usize]);
        let mut worst = 0;
        self.handle(
            work,
            |batch| {
                let mut handled = handled.borrow_mut();
                batch.iter().for_each(|n| handled[*n as usize] = true);
                0
            },
            |_, offset| {
                let handled = handled.borrow();
                let before = &handled[..=offset as usize];
                worst = worst.max(before.iter().filter(|is_handled| !**is_handled).count());
            },
        )
        .await;
        worst
    }

    /// Calls `effect` when a call has taken its time, and `consume` with what comes out.
    async fn handle(
        self,
        work: Work,
        effect: impl Fn(&[u64]) -> u64,
        mut consume: impl FnMut(u64, u64),
    ) {
        let effect = &effect;
        let call = |batch: Vec<u64>| async move {
            sleep(CALL).await;
            effect(&batch)
        };
        let consume = |(result, offset)| {
            consume(result, offset);
            std::future::ready(())
        };
        match self {
            Self::OneEach => {
                let ordered = work.source().ordered_by_group(|n| work.key(*n), SLOTS);
                let call = |n| async move {
                    sleep(CALL).await;
                    effect(&[n])
                };
                ordered.then(call).drive(consume).await;
            }
            Self::Batches | Self::BatchesInDefaultWindow => {
                let ordered = work.source().ordered_by_group(|n| work.key(*n), SLOTS);
                let ordered = match self {
                    Self::Batches => ordered.look_ahead(WINDOW),
                    _ => ordered,
                };
                ordered.batches(MAX).then(call).drive(consume).await;
            }
            Self::ChunksByKey => {
                work.source()
                    .ready_chunks(WINDOW)
                    .flat_map(|chunk| stream::iter(work.split(chunk)))
                    .ordered_by_group(|batch| work.key(batch[0]), SLOTS)
                    .offsets(|batch| batch[batch.len() - 1])
                    .then(call)
                    .drive(consume)
                    .await;
            }
        }
    }
}
