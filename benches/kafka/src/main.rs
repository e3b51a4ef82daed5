//! What order, leases and commits cost a consumer of Kafka, on a real broker.
//!
//! `KAFKA_BROKERS=localhost:9092 cargo bench -p kafka_speed` prints a table.
//! `-- w3` measures only what begins with it; `-- --test` runs all once, with a few records.
//! `-- --rounds 9` measures so often, instead of five times.
//!
//! The first run makes the topics `bench-…` and fills them, with one replica each.

mod checks;
mod measure;
#[path = "../../contenders/processor.rs"]
mod processor;
mod timer;
mod topics;
mod workload;

use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use measure::{Contender, Figures, measure};
use processor::processor;
use workload::{Workload, workloads};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let brokers = std::env::var("KAFKA_BROKERS").map_err(|_| {
        "KAFKA_BROKERS is not set: start a broker, and set it to the broker's address, such as localhost:9092"
    })?;
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let workloads = workloads(is_test);
    if let Some(name) = after("--one") {
        let contender = after("--contender").ok_or("--contender is missing")?;
        let contender = Contender::ALL.into_iter().find(|c| c.name() == contender);
        let contender = contender.ok_or("--contender names none")?;
        let workload = workloads.iter().find(|workload| workload.name == *name);
        let workload = workload.ok_or("--one names no workload")?;
        let figures = measure(&brokers, workload, contender).map_err(|error| error.to_string())?;
        println!("{}", figures.to_line());
        return Ok(());
    }
    let rounds = match after("--rounds") {
        Some(rounds) => rounds.parse().ok().filter(|rounds| *rounds > 0),
        None if is_test => Some(1),
        None => Some(5),
    };
    let rounds: usize = rounds.ok_or("--rounds takes a number, at least 1")?;
    let families: Vec<_> = ["w1", "w2", "w3"]
        .into_iter()
        .filter(|family| arguments.iter().any(|argument| argument == family))
        .collect();
    let chosen: Vec<_> = workloads
        .into_iter()
        .filter(|workload| families.is_empty() || families.contains(&workload.family))
        .collect();
    for workload in &chosen {
        topics::prepare(&brokers, &workload.records)?;
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let found = rounds_of(&chosen, rounds, is_test)?;
    let table = table(&chosen, &found, &load, rounds);
    println!("{table}");
    Ok(())
}

/// By workload and contender, one of each round. The contenders take turns, and another one begins in each round.
fn rounds_of(
    workloads: &[Workload],
    rounds: usize,
    is_test: bool,
) -> Result<Vec<Vec<Vec<Figures>>>, String> {
    let count = Contender::ALL.len();
    let mut found = vec![vec![Vec::new(); count]; workloads.len()];
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    for round in 0..rounds {
        for (workload, found) in std::iter::zip(workloads, &mut found) {
            for turn in 0..count {
                let n = (round + turn) % count;
                let contender = Contender::ALL[n].name();
                let mut command = Command::new(&program);
                command.args(["--one", &workload.name, "--contender", contender]);
                if is_test {
                    command.arg("--test");
                }
                let output = command.output().map_err(|error| error.to_string())?;
                let text = String::from_utf8_lossy(&output.stdout);
                let figures = text.lines().find_map(Figures::of_line).ok_or_else(|| {
                    let error = String::from_utf8_lossy(&output.stderr);
                    format!("{}, {contender}: {error}", workload.name)
                })?;
                found[n].push(figures);
            }
        }
    }
    Ok(found)
}

fn table(workloads: &[Workload], found: &[Vec<Vec<Figures>>], load: &str, rounds: usize) -> String {
    let load = load.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "\n{}; medians of {rounds} runs each (the best in brackets); load average at the start {load}.\n\n\
         | workload | contender | s | records/s | CPU µs / record | peak MiB | speed, CPU, memory: × floor |\n\
         |---|---|---|---|---|---|---|\n",
        processor()
    );
    for (workload, found) in std::iter::zip(workloads, found) {
        let records = workload.records.count as f64;
        let medians: Vec<_> = found
            .iter()
            .map(|all| {
                let by = |figure: fn(&Figures) -> f64| median(all.iter().map(figure).collect());
                (by(|f| f.seconds), by(|f| f.cpu_seconds), by(|f| f.peak_mib))
            })
            .collect();
        let floor = medians[0];
        for ((contender, all), (seconds, cpu, peak)) in
            Contender::ALL.iter().zip(found).zip(&medians)
        {
            let best = all.iter().map(|f| f.seconds).fold(f64::INFINITY, f64::min);
            writeln!(
                text,
                "| {} | {} | {seconds:.3} ({best:.3}) | {:.0} ({:.0}) | {:.2} | {peak:.0} | {:.2}, {:.2}, {:.2} |",
                workload.name,
                contender.name(),
                records / seconds,
                records / best,
                cpu / records * 1e6,
                floor.0 / seconds,
                cpu / floor.1,
                peak / floor.2,
            )
            .expect("a string takes all");
        }
    }
    text.push('\n');
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
