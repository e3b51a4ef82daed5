//! The targets, each a ratio against a named peer in the same run: the two take turns, and the ratio is the median of
//! eleven rounds' ratios, since a machine's speed drifts less within a round than over the run.

#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "../../contenders/mod.rs"]
mod contenders;
#[path = "../../contenders/processor.rs"]
mod processor;

use std::time::Instant;

use contenders::{Contender, Work};

/// For what is only reported.
const NONE: f64 = f64::INFINITY;

struct Target {
    what: &'static str,
    work: Work,
    ours: (Contender, usize),
    peer: (Contender, usize),
    most: f64,
}

fn main() {
    // `cargo bench -- --test`, as criterion's benches: run each once, and measure nothing.
    let (items, rounds) = if std::env::args().any(|argument| argument == "--test") {
        (5_000, 1)
    } else {
        (100_000, 11)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let time = |work, (contender, max_parallel): (Contender, usize)| {
        let start = Instant::now();
        runtime.block_on(contender.run(work, items, max_parallel));
        start.elapsed().as_nanos() as f64
    };
    println!("{}\n", processor::processor());
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>7}",
        "", "ours", "peer", "ratio", "target"
    );
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>7}",
        "", "ns/item", "ns/item", "", ""
    );
    for target in targets() {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            times[0].push(time(target.work, target.ours));
            times[1].push(time(target.work, target.peer));
        }
        let mut ratios: Vec<_> = std::iter::zip(&times[0], &times[1])
            .map(|(ours, peer)| ours / peer)
            .collect();
        let ratio = median(&mut ratios);
        let [ours, peer] = times.map(|mut times| median(&mut times) / items as f64);
        let met = if ratio <= target.most { "" } else { "  missed" };
        let most = match target.most {
            NONE => "–".into(),
            most => format!("{most:.2}"),
        };
        println!(
            "{:<44} {ours:>9.1} {peer:>9.1} {ratio:>7.3} {most:>7}{met}",
            target.what
        );
    }
}

fn targets() -> Vec<Target> {
    use Contender::{
        Access, AccessUnordered, Ahead, AheadUnordered, BufferUnordered, KeyedMutexAndSemaphore,
        Ours, OursUnordered, TwoKeys, TwoKeysUnordered, Unless, UnlessUnordered, Watched,
    };
    let (every, keys) = (1_000, 1_000);
    let mutex = (KeyedMutexAndSemaphore, 64);
    let target = |what, work, ours, most| Target {
        what,
        work,
        ours: (ours, 64),
        peer: (BufferUnordered, 64),
        most,
    };
    // What a monitor costs, beside the same without one: nanoseconds an item are the difference of the two.
    let watched = |what, work, timed| Target {
        what,
        work,
        ours: (Watched { timed }, 64),
        peer: (Ours, 64),
        most: NONE,
    };
    vec![
        target("ready, completion order", Work::Ready, OursUnordered, 0.15),
        target("ready, source order", Work::Ready, Ours, 0.12),
        target(
            "one yield, completion order",
            Work::OneYield,
            OursUnordered,
            0.12,
        ),
        target("one yield, source order", Work::OneYield, Ours, 0.15),
        target(
            "tokio yield, completion order",
            Work::TokioYield,
            OursUnordered,
            0.33,
        ),
        target("tokio yield, source order", Work::TokioYield, Ours, 0.33),
        target(
            "90 % ready, completion order",
            Work::MostlyReady,
            OursUnordered,
            0.25,
        ),
        target("90 % ready, source order", Work::MostlyReady, Ours, 0.25),
        Target {
            what: "4,096 running beside 64, completion order",
            work: Work::TokioYield,
            ours: (OursUnordered, 4_096),
            peer: (OursUnordered, 64),
            most: 1.3,
        },
        Target {
            what: "4,096 running beside 64, source order",
            work: Work::TokioYield,
            ours: (Ours, 4_096),
            peer: (Ours, 64),
            most: 1.3,
        },
        watched("watched beside unwatched, ready", Work::Ready, false),
        watched(
            "watched and timed beside unwatched, ready",
            Work::Ready,
            true,
        ),
        watched("watched beside unwatched, one yield", Work::OneYield, false),
        watched(
            "watched and timed beside unwatched, one yield",
            Work::OneYield,
            true,
        ),
        target(
            "read ahead, ready, completion order",
            Work::Ready,
            AheadUnordered,
            0.2,
        ),
        target("read ahead, ready, source order", Work::Ready, Ahead, 0.2),
        target(
            "read ahead, one yield, completion order",
            Work::OneYield,
            AheadUnordered,
            0.15,
        ),
        target(
            "read ahead, one yield, source order",
            Work::OneYield,
            Ahead,
            0.15,
        ),
        target(
            "2 keys, ready, completion order",
            Work::Ready,
            TwoKeysUnordered,
            NONE,
        ),
        target("2 keys, ready, source order", Work::Ready, TwoKeys, NONE),
        target(
            "2 keys, one yield, completion order",
            Work::OneYield,
            TwoKeysUnordered,
            0.2,
        ),
        target(
            "2 keys, one yield, source order",
            Work::OneYield,
            TwoKeys,
            0.2,
        ),
        target(
            "by access, barriers, ready, completion order",
            Work::Ready,
            AccessUnordered { every, keys },
            NONE,
        ),
        target(
            "by access, barriers, ready, source order",
            Work::Ready,
            Access { every, keys },
            NONE,
        ),
        target(
            "by access, barriers, one yield, completion",
            Work::OneYield,
            AccessUnordered { every, keys },
            NONE,
        ),
        target(
            "by access, barriers, one yield, source",
            Work::OneYield,
            Access { every, keys },
            NONE,
        ),
        // A barrier costs as much as its keys: ten times as many barriers of a tenth of the keys cost no less.
        Target {
            what: "barriers of 1,000 keys beside 10 × 100, ready",
            work: Work::Ready,
            ours: (Access { every, keys }, 64),
            peer: (
                Access {
                    every: every / 10,
                    keys: keys / 10,
                },
                64,
            ),
            most: 1.3,
        },
        target(
            "by a relation, ready, completion order",
            Work::Ready,
            UnlessUnordered,
            NONE,
        ),
        target(
            "by a relation, ready, source order",
            Work::Ready,
            Unless,
            NONE,
        ),
        target(
            "by a relation, one yield, completion order",
            Work::OneYield,
            UnlessUnordered,
            NONE,
        ),
        target(
            "by a relation, one yield, source order",
            Work::OneYield,
            Unless,
            NONE,
        ),
        // Each item is compared with all that run: the cost grows with them.
        Target {
            what: "by a relation, 512 running beside 64, one yield",
            work: Work::OneYield,
            ours: (Unless, 512),
            peer: (Unless, 64),
            most: NONE,
        },
        Target {
            what: "ready, completion, beside mutex + semaphore",
            work: Work::Ready,
            ours: (OursUnordered, 64),
            peer: mutex,
            most: 0.05,
        },
        Target {
            what: "ready, source order, beside mutex + semaphore",
            work: Work::Ready,
            ours: (Ours, 64),
            peer: mutex,
            most: 0.05,
        },
    ]
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
