//! Counts the instructions of each row, and compares them with the baseline.
//!
//! `cargo run -p instructions` fails if a row of ours has grown by two percent. `cargo run -p instructions -- --write` makes
//! what is counted the new baseline. Needs valgrind and `gungraun-runner`, in the version that `Cargo.toml` names.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// As in `benches/rows.rs`.
const ITEMS: f64 = 10_000.0;
/// Keys are hashed with a random seed, and now and then two of them meet: the fewest of so many runs is without chance.
const RUNS: usize = 3;
/// How much more a row may count than its baseline.
const LIMIT: f64 = 1.02;
/// The rows of others, which stand beside ours and may count what they like.
const PEERS: [&str; 5] = [
    "_buffer_unordered",
    "_buffered",
    "_futures_buffered_unordered",
    "_futures_buffered",
    "_keyed_mutex_and_semaphore",
];
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");

/// Instructions an item by row, in the order in which the rows stand in the bench.
type Counts = Vec<(String, f64)>;

fn main() -> ExitCode {
    let writes = std::env::args().any(|argument| argument == "--write");
    let rustc = rustc();
    let counted: Vec<(&str, Counts)> = [("default", ""), ("tokio", "tokio")]
        .into_iter()
        .map(|(name, features)| (name, fewest(features)))
        .collect();
    if writes {
        fs::write(BASELINE, baseline(&rustc, &counted)).expect("the baseline can be written");
        println!("Wrote the baseline of {rustc}.");
        return ExitCode::SUCCESS;
    }
    let text = fs::read_to_string(BASELINE).expect("baseline.txt");
    let before = read(&text);
    if !text.contains(&rustc) {
        println!(
            "The baseline is of another compiler than {rustc}: a difference may be the compiler's.\n"
        );
    }
    let mut grown = Vec::new();
    for (features, counts) in &counted {
        println!(
            "{:<46} {:>8} {:>8} {:>8}",
            format!("features: {features}"),
            "baseline",
            "now",
            ""
        );
        for (row, now) in counts {
            let Some(before) = before.get(&(features.to_string(), row.clone())) else {
                println!("{row:<46} {:>8} {now:>8.1}", "–");
                grown.push(format!("{row} ({features}) is not in the baseline"));
                continue;
            };
            let is_ours = !PEERS.iter().any(|peer| row.ends_with(peer));
            let has_grown = is_ours && now / before > LIMIT;
            let change = (now / before - 1.0) * 100.0;
            let mark = if has_grown { "  more than +2 %" } else { "" };
            println!("{row:<46} {before:>8.1} {now:>8.1} {change:>+7.1}%{mark}");
            if has_grown {
                grown.push(format!(
                    "{row} ({features}): {before:.1} to {now:.1} instructions an item"
                ));
            }
        }
        println!();
    }
    if grown.is_empty() {
        println!("No row of ours has grown by more than 2 %.");
        return ExitCode::SUCCESS;
    }
    eprintln!("Rows that have grown by more than 2 %, or are not in the baseline:");
    grown.iter().for_each(|row| eprintln!("  {row}"));
    eprintln!("If it must be so: cargo run -p instructions -- --write, and say why in the commit.");
    ExitCode::FAILURE
}

/// The fewest instructions of each row in some runs.
fn fewest(features: &str) -> Counts {
    let mut fewest = count(features);
    for _ in 1..RUNS {
        for (least, again) in fewest.iter_mut().zip(count(features)) {
            assert_eq!(least.0, again.0, "the rows come in the same order");
            least.1 = least.1.min(again.1);
        }
    }
    fewest
}

/// Runs the rows under callgrind.
fn count(features: &str) -> Counts {
    let output = Command::new(env!("CARGO"))
        .args([
            "bench",
            "-p",
            "instructions",
            "--bench",
            "rows",
            "--features",
            features,
        ])
        .args(["--", "--output-format=json"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "the rows could not be counted: are valgrind and gungraun-runner installed?"
    );
    let rows = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let counts: Counts = rows
        .map(|row| {
            let row = row.expect("gungraun prints JSON");
            let id = row["id"].as_str().expect("the name of a row").to_owned();
            let total = &row["profiles"][0]["data"]["total"];
            let instructions = total["metrics"]["Ir"]["values"]["new"].as_f64();
            (id, instructions.expect("a count") / ITEMS)
        })
        .collect();
    assert!(!counts.is_empty(), "gungraun counted no row");
    counts
}

fn rustc() -> String {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .expect("rustc runs");
    let version = String::from_utf8(output.stdout).expect("a version");
    version
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

fn baseline(rustc: &str, counted: &[(&str, Counts)]) -> String {
    let mut text = format!(
        "# Instructions an item, by callgrind, as `cargo run -p instructions -- --write` has counted them.\n# {rustc}\n"
    );
    for (features, counts) in counted {
        for (row, count) in counts {
            text += &format!("{features} {row} {count:.1}\n");
        }
    }
    text
}

fn read(text: &str) -> BTreeMap<(String, String), f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let [features, row, count] = fields[..] else {
                panic!("baseline.txt: a line is \"features row count\", not {line:?}");
            };
            let count = count
                .parse()
                .unwrap_or_else(|_| panic!("baseline.txt: no count in {line:?}"));
            ((features.to_owned(), row.to_owned()), count)
        })
        .collect()
}
