//! What is counted: the rows of the bench `targets` in which every run executes the same instructions.

#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "../../contenders/mod.rs"]
mod contenders;

use gungraun::{library_benchmark, library_benchmark_group, main};
use tokio::runtime::Runtime;

use contenders::{Contender, Contender::*, Work, Work::*};

/// The items of one run. The program that compares divides by the same number.
const ITEMS: u64 = 10_000;

/// A barrier to a thousand keys, once in a thousand items.
const ACCESS: Contender = Access {
    every: 1_000,
    keys: 1_000,
};
const ACCESS_UNORDERED: Contender = AccessUnordered {
    every: 1_000,
    keys: 1_000,
};

/// Ten times as many barriers, of a tenth of the keys.
const SMALLER_BARRIERS: Contender = Access {
    every: 100,
    keys: 100,
};

const WATCHED: Contender = Watched { timed: false };
const TIMED: Contender = Watched { timed: true };

struct Row {
    /// Made before the count begins.
    runtime: Runtime,
    work: Work,
    contender: Contender,
    max_parallel: usize,
}

fn set_up(work: Work, contender: Contender, max_parallel: usize) -> Row {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    Row {
        runtime: runtime.expect("a runtime"),
        work,
        contender,
        max_parallel,
    }
}

#[library_benchmark(setup = set_up)]
#[bench::ready_source(Ready, Ours, 64)]
#[bench::ready_completion(Ready, OursUnordered, 64)]
#[bench::ready_buffer_unordered(Ready, BufferUnordered, 64)]
#[bench::ready_buffered(Ready, Buffered, 64)]
#[bench::ready_futures_buffered_unordered(Ready, FuturesBufferedUnordered, 64)]
#[bench::ready_futures_buffered(Ready, FuturesBuffered, 64)]
#[bench::one_yield_source(OneYield, Ours, 64)]
#[bench::one_yield_completion(OneYield, OursUnordered, 64)]
#[bench::one_yield_buffer_unordered(OneYield, BufferUnordered, 64)]
#[bench::one_yield_buffered(OneYield, Buffered, 64)]
#[bench::one_yield_futures_buffered_unordered(OneYield, FuturesBufferedUnordered, 64)]
#[bench::one_yield_futures_buffered(OneYield, FuturesBuffered, 64)]
#[bench::tokio_yield_source(TokioYield, Ours, 64)]
#[bench::tokio_yield_completion(TokioYield, OursUnordered, 64)]
#[bench::tokio_yield_buffer_unordered(TokioYield, BufferUnordered, 64)]
#[bench::tokio_yield_buffered(TokioYield, Buffered, 64)]
#[bench::tokio_yield_futures_buffered_unordered(TokioYield, FuturesBufferedUnordered, 64)]
#[bench::tokio_yield_futures_buffered(TokioYield, FuturesBuffered, 64)]
#[bench::mostly_ready_source(MostlyReady, Ours, 64)]
#[bench::mostly_ready_completion(MostlyReady, OursUnordered, 64)]
#[bench::mostly_ready_buffer_unordered(MostlyReady, BufferUnordered, 64)]
#[bench::mostly_ready_buffered(MostlyReady, Buffered, 64)]
#[bench::mostly_ready_futures_buffered_unordered(MostlyReady, FuturesBufferedUnordered, 64)]
#[bench::mostly_ready_futures_buffered(MostlyReady, FuturesBuffered, 64)]
#[bench::tokio_yield_4096_running_source(TokioYield, Ours, 4_096)]
#[bench::tokio_yield_4096_running_completion(TokioYield, OursUnordered, 4_096)]
#[bench::watched_ready_source(Ready, WATCHED, 64)]
#[bench::watched_one_yield_source(OneYield, WATCHED, 64)]
#[bench::timed_ready_source(Ready, TIMED, 64)]
#[bench::timed_one_yield_source(OneYield, TIMED, 64)]
#[bench::ahead_ready_source(Ready, Ahead, 64)]
#[bench::ahead_ready_completion(Ready, AheadUnordered, 64)]
#[bench::ahead_one_yield_source(OneYield, Ahead, 64)]
#[bench::ahead_one_yield_completion(OneYield, AheadUnordered, 64)]
#[bench::two_keys_ready_source(Ready, TwoKeys, 64)]
#[bench::two_keys_ready_completion(Ready, TwoKeysUnordered, 64)]
#[bench::two_keys_one_yield_source(OneYield, TwoKeys, 64)]
#[bench::two_keys_one_yield_completion(OneYield, TwoKeysUnordered, 64)]
#[bench::access_ready_source(Ready, ACCESS, 64)]
#[bench::access_ready_completion(Ready, ACCESS_UNORDERED, 64)]
#[bench::access_one_yield_source(OneYield, ACCESS, 64)]
#[bench::access_one_yield_completion(OneYield, ACCESS_UNORDERED, 64)]
#[bench::access_ready_barriers_of_100_source(Ready, SMALLER_BARRIERS, 64)]
#[bench::relation_ready_source(Ready, Unless, 64)]
#[bench::relation_ready_completion(Ready, UnlessUnordered, 64)]
#[bench::relation_one_yield_source(OneYield, Unless, 64)]
#[bench::relation_one_yield_completion(OneYield, UnlessUnordered, 64)]
#[bench::relation_one_yield_512_running_source(OneYield, Unless, 512)]
#[bench::ready_keyed_mutex_and_semaphore(Ready, KeyedMutexAndSemaphore, 64)]
fn run(row: Row) {
    let run = row.contender.run(row.work, ITEMS, row.max_parallel);
    row.runtime.block_on(run);
}

library_benchmark_group!(name = rows, benchmarks = run);
main!(library_benchmark_groups = rows);
