//! What `spawned()` gains on two cores, beside other ways to the same end: speed-up over a loop that handles one item after
//! the other, in the same round.
//!
//! Handlers compute, so that nothing can be gained by waiting. The contenders take turns, and another one begins in each
//! round. Sleeps, preemptions and CPU time are what the kernel says of the timed runs. With
//! `RUSTFLAGS="--cfg tokio_unstable"`, the runtime counts how often tasks are polled, too.
//!
//! `-- 5µs` runs only the rows whose heading has this in it; `-- --rounds 11` measures so often, instead of seven times;
//! `-- --test` runs each once, and measures nothing.

mod contender;
mod counts;
mod join_set;
#[path = "../../../contenders/others.rs"]
mod others;
mod ours;
#[path = "../../../contenders/processor.rs"]
mod processor;
mod serial;
mod shards;
#[path = "../../../contenders/threads.rs"]
mod threads;
mod unordered;
mod work;

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use contender::Contender;
use counts::Counts;
use others::Others;
use threads::Used;
use work::{Keys, Work};

/// How many workers the runtime has.
const WORKERS: usize = 2;
/// How many handlers there are at most.
const MAX_PARALLEL: usize = 64;

/// What is to be reached where an item takes so long.
struct Target {
    time: Duration,
    least: f64,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Figures {
    seconds: f64,
    /// Items that were handled beside one of their group, or after a later one.
    out_of_order: u64,
    counts: Counts,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let after_rounds = arguments.iter().skip_while(|a| *a != "--rounds").nth(1);
    let (round, rounds) = match (is_test, after_rounds) {
        (true, _) => (Duration::from_millis(10), 1),
        (false, None) => (Duration::from_millis(300), 7),
        (false, Some(rounds)) => {
            let rounds = rounds.parse().expect("`--rounds` takes a number");
            (Duration::from_millis(300), rounds)
        }
    };
    let wanted: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--") && Some(*argument) != after_rounds)
        .collect();
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("a runtime");
    let steps_per_us = work::steps_per_us();
    println!("{}; medians of {rounds} rounds", processor::processor());
    let others = Others::watch();
    let before = Used::so_far(|_| true);
    for keys in [Keys::Even, Keys::OneHot] {
        for Target { time, least } in targets() {
            let heading = format!("{time:?} of work, {}", keys.name());
            if !wanted.is_empty() && !wanted.iter().any(|part| heading.contains(*part)) {
                continue;
            }
            let items = (round.as_nanos() / time.as_nanos()) as u64;
            let steps = (steps_per_us * time.as_secs_f64() * 1e6) as u64;
            // Tasks outlive any borrow; and a counted reference would be one more thing that the cores share.
            let work: &_ = Box::leak(Box::new(Work::new(items, steps, keys)));
            let found = rounds_of(&runtime, rounds, work);
            print_table(&heading, &found, items, least);
        }
    }
    let ours = Used::so_far(|_| true) - before;
    println!(
        "\nOther processes used {:.2} of the processors meanwhile.",
        others.processors(ours.cpu / 1e9)
    );
}

fn targets() -> [Target; 3] {
    [(1, 1.4), (5, 1.8), (20, 1.8)].map(|(time, least)| Target {
        time: Duration::from_micros(time),
        least,
    })
}

/// By contender, one of each round.
fn rounds_of(runtime: &Runtime, rounds: usize, work: &'static Work) -> Vec<Vec<Figures>> {
    let count = Contender::ALL.len();
    let expected = work.sum();
    let mut found = vec![Vec::new(); count];
    for round in 0..rounds {
        for turn in 0..count {
            let n = (round + turn) % count;
            let contender = Contender::ALL[n];
            work.begin();
            let before = Counts::so_far(runtime);
            let start = Instant::now();
            let outcome = runtime.block_on(contender.run(work));
            let seconds = start.elapsed().as_secs_f64();
            assert_eq!(outcome.sum, expected, "{}", contender.name());
            assert!(!contender.is_ordered() || outcome.out_of_order == 0);
            found[n].push(Figures {
                seconds,
                out_of_order: outcome.out_of_order,
                counts: Counts::so_far(runtime) - before,
            });
        }
    }
    found
}

fn print_table(what: &str, found: &[Vec<Figures>], items: u64, least: f64) {
    println!("\n{what}\n");
    println!(
        "| contender | speed-up | CPU, µs / item | {} | out of order |",
        Counts::HEADINGS
    );
    println!(
        "|---|---|---|{}---|",
        "---|".repeat(Counts::HEADINGS.split('|').count())
    );
    let serial = &found[0];
    let items = items as f64;
    for (contender, all) in Contender::ALL.iter().zip(found) {
        let rounds = serial.iter().zip(all);
        let speed_up = median(rounds.map(|(serial, this)| serial.seconds / this.seconds));
        let by = |figure: fn(&Figures) -> f64| median(all.iter().map(figure));
        let missed = match contender.is_ours() && speed_up < least {
            true => format!(" (missed: {least})"),
            false => String::new(),
        };
        println!(
            "| {} | {speed_up:.2}{missed} | {:.2} | {} | {:.1} % |",
            contender.name(),
            by(|this| this.counts.cpu()) / items / 1e3,
            Counts::cells(|figure| median(all.iter().map(|this| figure(&this.counts))) / items),
            by(|this| this.out_of_order as f64) / items * 100.0,
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
