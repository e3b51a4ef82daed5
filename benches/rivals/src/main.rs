//! Other ways to the same end, each as a careful engineer would write it: what an item costs, and how long a run takes.
//!
//! `cargo bench -p rivals` prints both tables, writes them into `PERFORMANCE.md`, and draws them into `docs/`.
//! `cargo bench -p rivals -- --redraw` measures nothing, and draws the pictures from the figures in `PERFORMANCE.md`.

mod actors;
mod blocking_fold;
mod buffered;
mod fork_join;
mod frontier;
mod keyed_mutex;
mod makespan;
#[path = "../../contenders/one_yield.rs"]
mod one_yield;
mod ours;
mod plots;
#[path = "../../contenders/processor.rs"]
mod processor;
mod queues;
mod serial;
#[path = "../../contenders/svg.rs"]
mod svg;
mod work;
mod workers;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use futures::Stream;
use tokio::runtime::{Builder, Runtime};

use processor::processor;
use work::{Handler, Item, Limits, MostlyReady, OneYield, Ready, Results, TokioYield, Watched};

const KEYS: u64 = 10_000;
const LIMITS: Limits = Limits {
    max_parallel: 64,
    look_ahead: 1_024,
};
/// How many items the shorter runs in virtual time have.
const SIZES: u64 = 20_000;
const WORKS: [&str; 4] = [
    "ready at once",
    "one yield",
    "tokio yield",
    "90 % ready, 10 % tokio yield",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Serial,
    BufferUnordered,
    FuturesBuffered,
    KeyedMutex,
    KeyedMutexAndSemaphore,
    Actors,
    ForkJoin,
    BlockingFold,
    Workers,
    Queues,
    OursUnordered,
    Ours,
}

impl Contender {
    const ALL: [Self; 12] = [
        Self::Serial,
        Self::BufferUnordered,
        Self::FuturesBuffered,
        Self::KeyedMutex,
        Self::KeyedMutexAndSemaphore,
        Self::Actors,
        Self::ForkJoin,
        Self::BlockingFold,
        Self::Workers,
        Self::Queues,
        Self::OursUnordered,
        Self::Ours,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial loop",
            Self::BufferUnordered => "buffer_unordered",
            Self::FuturesBuffered => "futures-buffered, unordered",
            Self::KeyedMutex => "buffer_unordered + keyed mutex",
            Self::KeyedMutexAndSemaphore => "keyed mutex + semaphore",
            Self::Actors => "actor per key, commit actor",
            Self::ForkJoin => "fork-join in chunks",
            Self::BlockingFold => "blocking fold",
            Self::Workers => "hash to 64 workers",
            Self::Queues => "queue per key + FuturesUnordered",
            Self::OursUnordered => "ours, completion order",
            Self::Ours => "ours, source order",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Self::OursUnordered | Self::Ours)
    }

    fn run(
        self,
        runtime: &Runtime,
        source: impl Stream<Item = Item>,
        limits: Limits,
        handler: impl Handler,
    ) -> Results {
        let mut results = Results::new();
        let r = &mut results;
        match self {
            Self::Serial => runtime.block_on(serial::run(source, handler, r)),
            Self::BufferUnordered => {
                runtime.block_on(buffered::futures_unordered(source, limits, handler, r));
            }
            Self::FuturesBuffered => {
                runtime.block_on(buffered::futures_buffered_unordered(
                    source, limits, handler, r,
                ));
            }
            Self::KeyedMutex => runtime.block_on(keyed_mutex::alone(source, limits, handler, r)),
            Self::KeyedMutexAndSemaphore => {
                runtime.block_on(keyed_mutex::with_semaphore(source, limits, handler, r));
            }
            Self::Actors => runtime.block_on(actors::run(source, limits, handler, r)),
            Self::ForkJoin => runtime.block_on(fork_join::run(source, limits, handler, r)),
            Self::BlockingFold => runtime.block_on(blocking_fold::run(source, limits, handler, r)),
            Self::Workers => runtime.block_on(workers::run(source, limits, handler, r)),
            Self::Queues => runtime.block_on(queues::run(source, limits, handler, r)),
            Self::OursUnordered => runtime.block_on(ours::unordered(source, limits, handler, r)),
            Self::Ours => runtime.block_on(ours::ordered(source, limits, handler, r)),
        }
        results
    }
}

/// What a contender's line of the first table says.
struct Line {
    contender: Contender,
    /// By work.
    nanos: Vec<f64>,
    allocations: f64,
    /// At the peak of a run in which each item has a key of its own.
    heap: u64,
    order_kept: bool,
    in_source_order: bool,
    commits: bool,
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn main() {
    let is_asked_to = |what| std::env::args().any(|argument| argument == what);
    if is_asked_to("--redraw") {
        return redraw();
    }
    // `cargo bench -- --test`, as criterion's benches: run each once, and write nothing.
    let test = is_asked_to("--test");
    let (items, rounds, sizes) = if test {
        (2_000, 1, 500)
    } else {
        (100_000, 11, SIZES)
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let lines = lines(items, rounds);
    let rows = makespan::rows(sizes);
    let skews = makespan::by_skew(sizes);
    let tables = tables(&lines, &rows, &load);
    println!("{tables}");
    if test {
        return;
    }
    let nanos: Vec<_> = lines
        .iter()
        .map(|line| (line.contender, line.nanos.as_slice()))
        .collect();
    draw(&nanos, &skews);
    let text = performance_page();
    let (head, rest) = text.split_once("<!-- rivals -->").expect("an opening mark");
    let (_, tail) = rest.split_once("<!-- /rivals -->").expect("a closing mark");
    let text = format!("{head}<!-- rivals -->\n{tables}<!-- /rivals -->{tail}");
    std::fs::write(format!("{ROOT}/PERFORMANCE.md"), text).expect("PERFORMANCE.md can be written");
}

fn draw(nanos: &[(Contender, &[f64])], skews: &[(f64, Vec<f64>)]) {
    for (name, picture) in [
        ("ns_per_item", plots::nanos(nanos)),
        ("makespan", plots::makespans(skews)),
    ] {
        let path = format!("{ROOT}/docs/{name}.svg");
        std::fs::write(path, picture).expect("docs/ can be written");
    }
}

/// The times per item are read from the page. Those of the other picture are virtual, and the same in every run.
fn redraw() {
    let page = performance_page();
    let nanos = Contender::ALL.map(|contender| {
        let start = format!("| {} | ", contender.name());
        let page = page.replace("**", "");
        let (_, rest) = page.split_once(&start).expect("a line of the contender");
        let cells = rest.split(" | ").take(WORKS.len());
        let cells = cells.map(|cell| cell.parse().expect("nanoseconds"));
        (contender, cells.collect::<Vec<f64>>())
    });
    let nanos: Vec<_> = nanos
        .iter()
        .map(|(contender, nanos)| (*contender, nanos.as_slice()))
        .collect();
    draw(&nanos, &makespan::by_skew(SIZES));
}

fn performance_page() -> String {
    std::fs::read_to_string(format!("{ROOT}/PERFORMANCE.md"))
        .expect("PERFORMANCE.md is in the repository")
}

/// The contenders take turns in each round, since a machine's speed drifts less within a round than over the run.
fn lines(items: u64, rounds: usize) -> Vec<Line> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut nanos = vec![vec![Vec::new(); WORKS.len()]; Contender::ALL.len()];
    for _ in 0..rounds {
        for work in 0..WORKS.len() {
            for (contender, nanos) in std::iter::zip(Contender::ALL, &mut nanos) {
                let start = Instant::now();
                let source = work::items(items, KEYS);
                let results = match work {
                    0 => contender.run(&runtime, source, LIMITS, Ready),
                    1 => contender.run(&runtime, source, LIMITS, OneYield),
                    2 => contender.run(&runtime, source, LIMITS, TokioYield),
                    _ => contender.run(&runtime, source, LIMITS, MostlyReady),
                };
                nanos[work].push(start.elapsed().as_nanos() as f64 / items as f64);
                results.check(items);
            }
        }
    }
    std::iter::zip(Contender::ALL, nanos)
        .map(|(contender, nanos)| {
            let counted = |keys| {
                allocation_counter::measure(|| {
                    contender.run(&runtime, work::items(items, keys), LIMITS, OneYield);
                })
            };
            let watched = Watched::default();
            let results = contender.run(&runtime, work::items(items, 100), LIMITS, watched.clone());
            results.check(items);
            Line {
                contender,
                nanos: nanos.into_iter().map(median).collect(),
                allocations: counted(KEYS).count_total as f64 / items as f64,
                heap: counted(u64::MAX).bytes_max,
                order_kept: watched.saw_order_kept(),
                in_source_order: results.in_source_order(),
                commits: results.committed(),
            }
        })
        .collect()
}

fn tables(lines: &[Line], rows: &[makespan::Row], load: &str) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes it");
    line(format!("\n{}\n", machine(load)));
    line("### ns per item\n".into());
    line(format!(
        "| contender | {} | allocations / item | heap, each key once | group order | results | commit position |",
        WORKS.join(" | ")
    ));
    line("|---|---|---|---|---|---|---|---|---|---|".into());
    for found in lines {
        let contender = found.contender;
        let mark = if contender.is_ours() { "**" } else { "" };
        let nanos: Vec<_> = found
            .nanos
            .iter()
            .map(|nanos| format!("{mark}{nanos:.1}{mark}"))
            .collect();
        line(format!(
            "| {mark}{}{mark} | {} | {:.2} | {} KiB | {} | {} | {} |",
            contender.name(),
            nanos.join(" | "),
            found.allocations,
            found.heap.div_ceil(1_024),
            if found.order_kept { "kept" } else { "not kept" },
            if found.in_source_order {
                "source order"
            } else {
                "as they finish"
            },
            if found.commits { "yes" } else { "no" },
        ));
    }
    line("\n### Makespan / bound\n".into());
    let names: Vec<_> = makespan::CONTENDERS.iter().map(|c| c.name()).collect();
    line(format!("| work | look_ahead | {} |", names.join(" | ")));
    line(format!("|---|---|{}", "---|".repeat(names.len())));
    for row in rows {
        let ratios: Vec<_> = std::iter::zip(makespan::CONTENDERS, &row.ratios)
            .map(|(contender, ratio)| {
                let mark = if contender.is_ours() { "**" } else { "" };
                format!("{mark}{ratio:.3}{mark}")
            })
            .collect();
        line(format!(
            "| {} | {} | {} |",
            row.what,
            row.look_ahead,
            ratios.join(" | ")
        ));
    }
    line(String::new());
    text
}

/// Where and when this was measured.
fn machine(load: &str) -> String {
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(
        |_| "an unknown rustc".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{}; {rustc}; load average at the start {load}.",
        processor()
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
