//! Handlers whose work is done elsewhere: each sends a request and waits for the answer, as with a database or a service.
//!
//! The contenders take turns. A figure is the median of all rounds; beside it stands the range of the half around it. Polls
//! and wakes are counted in a run of their own, so that counting costs no time; sleeps and CPU time are what the kernel says of
//! the timed runs.
//!
//! Arguments: `--row a` runs one row only; `--handlers 64` one number of handlers; `--contender spawned` those that have this in
//! their name; `--rounds 11` so many rounds; `--busy 8` runs beside eight processes that compute.

mod answers;
mod busy;
mod contender;
mod counts;
#[path = "../../../contenders/processor.rs"]
mod processor;
#[path = "../../../contenders/threads.rs"]
mod threads;

use std::env;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use answers::{Ask, Http, OneThread, Tasks};
use busy::Busy;
use contender::{Commit, Contender};
use counts::{Event, Probe, Threads, Unwatched, Watched};

struct Options {
    is_test: bool,
    row: Option<String>,
    handlers: Option<usize>,
    /// Part of its name.
    contender: Option<String>,
    rounds: usize,
    busy: usize,
}

/// Where the loop runs.
#[derive(Clone, Copy)]
enum Place {
    /// In the only thread of a runtime.
    BlockOn,
    /// In a task, beside others.
    Spawned,
}

struct Row {
    what: String,
    place: Place,
    commit: Commit,
    items: u64,
    max_parallel: usize,
    rounds: usize,
    contenders: Vec<Contender>,
}

fn main() {
    busy::spin_if_told();
    let options = Options::read();
    println!("{}", processor::processor());
    println!("{} busy processes beside it\n", options.busy);
    let _busy = Busy::start(options.busy);
    let one = Builder::new_current_thread().enable_all().build();
    let one = one.expect("a runtime");
    let two = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let in_two = two.enter();
    let tasks = Tasks::start(8);
    let http = Http::start();
    drop(in_two);
    let thread = OneThread::start();
    let nothing = Commit::Nothing;
    for max_parallel in [64, 1_024] {
        if options.handlers.is_some_and(|only| only != max_parallel) {
            continue;
        }
        let row = |name, what, place, commit, items| {
            let is_wanted = options.row.as_deref().is_none_or(|only| only == name);
            is_wanted.then(|| Row {
                what: format!("({name}) {what}, {max_parallel} handlers"),
                place,
                commit,
                items: if options.is_test { items / 500 } else { items },
                max_parallel,
                rounds: options.rounds,
                contenders: options.contenders(commit),
            })
        };
        let what = "one other thread answers, the loop in current_thread";
        if let Some(row) = row("a", what, Place::BlockOn, nothing, 100_000) {
            row.measure(&one, thread);
        }
        let what = "one other thread answers, the loop on one of two workers";
        if let Some(row) = row("b", what, Place::Spawned, nothing, 100_000) {
            row.measure(&two, thread);
        }
        let what = "eight tasks answer on two workers, the loop beside them";
        if let Some(row) = row("c", what, Place::Spawned, nothing, 100_000) {
            row.measure(&two, tasks);
        }
        let what = "HTTP over loopback, the loop on one of two workers";
        if let Some(row) = row("d", what, Place::Spawned, nothing, 10_000) {
            row.measure(&two, http);
        }
        let what = "as (a), and a commit of 1 ms for whatever is there";
        if let Some(row) = row("e", what, Place::BlockOn, Commit::Chunks, 100_000) {
            row.measure(&one, thread);
        }
        let what = "as (a), and a commit of 1 ms for each";
        if let Some(row) = row("f", what, Place::BlockOn, Commit::Each, 500) {
            row.measure(&one, thread);
        }
    }
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            is_test: false,
            row: None,
            handlers: None,
            contender: None,
            rounds: 11,
            busy: 0,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .unwrap_or_else(|| panic!("`{argument}` needs a value"))
            };
            let number = |value: String| {
                value
                    .parse()
                    .unwrap_or_else(|_| panic!("`{value}` is not a number"))
            };
            match argument.as_str() {
                "--row" => options.row = Some(value()),
                "--handlers" => options.handlers = Some(number(value())),
                "--contender" => options.contender = Some(value()),
                "--rounds" => options.rounds = number(value()),
                "--busy" => options.busy = number(value()),
                // `cargo bench -- --test`, as criterion's benches: run each once, and measure nothing.
                "--test" => (options.is_test, options.rounds) = (true, 1),
                // Cargo gives it to each bench.
                "--bench" => {}
                _ => panic!(
                    "`{argument}` is unknown: use --row, --handlers, --contender, --rounds, --busy or --test"
                ),
            }
        }
        assert!(options.rounds > 0, "`--rounds` is at least 1");
        assert!(
            !options.contenders(Commit::Nothing).is_empty(),
            "`--contender` is part of the name of one: {}",
            Contender::ALL
                .iter()
                .map(|c| c.name())
                .collect::<Vec<_>>()
                .join("; ")
        );
        options
    }

    /// Those that are wanted, and commit if that is to be done.
    fn contenders(&self, commit: Commit) -> Vec<Contender> {
        let part = self.contender.as_deref().unwrap_or_default();
        let is_wanted = |contender: &Contender| {
            let commits = contender.has_results() || commit == Commit::Nothing;
            commits && contender.name().contains(part)
        };
        Contender::ALL.iter().copied().filter(is_wanted).collect()
    }
}

impl Row {
    fn measure<A: Ask>(&self, runtime: &Runtime, ask: A) {
        let contenders = &self.contenders;
        let mut times = vec![Vec::new(); contenders.len()];
        let mut used = vec![Threads::default(); contenders.len()];
        for _ in 0..self.rounds {
            for (index, &contender) in contenders.iter().enumerate() {
                let before = Threads::now();
                let time = self.run(runtime, contender, ask, Unwatched);
                used[index] = used[index] + (Threads::now() - before);
                times[index].push(time.as_nanos() as f64 / self.items as f64);
            }
        }
        println!("{}", self.what);
        println!(
            "{:<34} {:>9} {:>18} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "per item",
            "ns",
            "half of all rounds",
            "ratio",
            "CPU ns",
            "sleeps",
            "their",
            "their",
            "polls",
            "wakes",
            "handler"
        );
        println!(
            "{:<34} {:>9} {:>18} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "", "", "to best", "", "", "CPU ns", "sleeps", "of task", "of task", "polls"
        );
        for times in &mut times {
            times.sort_unstable_by(f64::total_cmp);
        }
        // The median, and the range of the half of the rounds that lies around it.
        let [medians, lows, highs] = [2, 1, 3].map(|quarter| {
            let rank = (self.rounds - 1) * quarter / 4;
            times.iter().map(|times| times[rank]).collect::<Vec<_>>()
        });
        let peers =
            std::iter::zip(contenders, &medians).filter(|(contender, _)| contender.is_peer());
        let best = peers.map(|(_, &time)| time).fold(f64::INFINITY, f64::min);
        for (index, &contender) in contenders.iter().enumerate() {
            let counts = Watched::default();
            self.run(runtime, contender, ask, counts.clone());
            let (time, Threads { ours, answers }) = (medians[index], used[index]);
            let all_items = self.items as f64 * self.rounds as f64;
            let count = |event| counts.get(event) / self.items as f64;
            println!(
                "{:<34} {time:>9.1} {:>18} {:>7} {:>8.0} {:>8.4} {:>8.0} {:>8.4} {:>8.4} {:>8.4} {:>8.3}",
                contender.name(),
                format!("{:.0}–{:.0}", lows[index], highs[index]),
                match best.is_finite() {
                    true => format!("{:.2}", time / best),
                    false => "–".to_owned(),
                },
                ours.cpu / all_items,
                ours.sleeps / all_items,
                answers.cpu / all_items,
                answers.sleeps / all_items,
                count(Event::TaskPoll),
                count(Event::TaskWake),
                count(Event::HandlerPoll),
            );
        }
        println!();
    }

    fn run<A, P>(&self, runtime: &Runtime, contender: Contender, ask: A, probe: P) -> Duration
    where
        A: Ask,
        P: Probe,
    {
        let run = contender.run(
            ask,
            probe.clone(),
            self.commit,
            self.items,
            self.max_parallel,
        );
        let run = probe.task(run);
        let start = Instant::now();
        match self.place {
            Place::BlockOn => runtime.block_on(run),
            Place::Spawned => runtime
                .block_on(runtime.spawn(run))
                .expect("it does not panic"),
        }
        start.elapsed()
    }
}
