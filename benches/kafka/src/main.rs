//! What order, leases and commits cost a consumer of Kafka, on a real broker.
//!
//! `KAFKA_BROKERS=localhost:9092 cargo bench -p kafka_speed` prints a table. The first run makes the topics `bench-…` and
//! fills them, with one replica each. What may follow `--`:
//!
//! - `w1`, `w2`, `w3`, `tx`: measures only these workloads.
//! - `--rounds 9`: measures so often, instead of five times.
//! - `--parallel-consumer`: measures Confluent Parallel Consumer as well. It needs Java 17 or later and Maven, whose commands
//!   may be named in `JAVA` and `MVN`. Maven brings the jars once.
//! - `--figures FILE`: adds the figures of each run to a file. The table and the plot are of all that is in it.
//! - `--plot docs/kafka.svg`: draws a plot of the workloads whose handlers write nothing.
//! - `--test`: runs all once, with a few records.
//!
//! With `--figures FILE --rounds 0`, nothing is measured. Paths are relative to the root of the repository.

mod checks;
mod consume;
mod contender;
mod figures;
mod measure;
mod outputs;
mod parallel_consumer;
mod plot;
#[path = "../../contenders/processor.rs"]
mod processor;
#[path = "../../contenders/svg.rs"]
mod svg;
mod timer;
mod topics;
mod transactions;
mod workload;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use contender::Contender;
use figures::{Figures, Runs, table};
use measure::{Failure, measure};
use parallel_consumer::ParallelConsumer;
use workload::{Workload, workloads};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const FAMILIES: [&str; 4] = ["w1", "w2", "w3", "tx"];

fn main() -> ExitCode {
    match run(&Arguments(std::env::args().skip(1).collect())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments(Vec<String>);

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let is_test = arguments.contain("--test");
    let workloads = workloads(is_test);
    if let Some(name) = arguments.after("--one")? {
        let workload = workloads.iter().find(|workload| workload.name == name);
        let workload = workload.ok_or("--one names no workload")?;
        let contender = arguments.after("--contender")?.unwrap_or_default();
        let contenders = Contender::of(workload, false).into_iter();
        let contender = contenders.into_iter().find(|it| it.name() == contender);
        let contender = contender.ok_or("--contender names none")?;
        let figures = measure(&brokers()?, workload, contender)?;
        println!("{}", figures.to_line());
        return Ok(());
    }
    let rounds = match arguments.after("--rounds")? {
        Some(rounds) => rounds.parse().map_err(|_| "--rounds takes a number")?,
        None if is_test => 1,
        None => 5,
    };
    let chosen: Vec<_> = workloads
        .into_iter()
        .filter(|workload| arguments.choose(workload.family))
        .collect();
    let path = arguments.path("--figures")?;
    let mut runs = match &path {
        Some(path) => read(path)?,
        None => Runs::default(),
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    if rounds > 0 {
        let bench = Bench {
            brokers: brokers()?,
            parallel_consumer: match arguments.contain("--parallel-consumer") {
                true => Some(ParallelConsumer::build()?),
                false => None,
            },
            is_test,
        };
        for workload in &chosen {
            topics::prepare(&bench.brokers, &workload.records)?;
        }
        for _ in 0..rounds {
            bench.round(&chosen, &mut runs)?;
            if let Some(path) = &path {
                fs::write(path, runs.to_text())?;
            }
        }
    }
    println!("{}", table(&chosen, &runs, &load));
    if let Some(path) = arguments.path("--plot")? {
        fs::write(path, plot::speeds(&chosen, &runs))?;
    }
    Ok(())
}

fn brokers() -> Result<String, Failure> {
    let missing = "KAFKA_BROKERS is not set: start a broker, and set it to the broker's address, such as localhost:9092";
    Ok(std::env::var("KAFKA_BROKERS").map_err(|_| missing)?)
}

/// A file that is not there has no runs.
fn read(path: &Path) -> Result<Runs, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Runs::of_text(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Runs::default()),
        Err(error) => Err(error.into()),
    }
}

impl Arguments {
    fn contain(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    fn after(&self, name: &str) -> Result<Option<&str>, String> {
        let Some(at) = self.0.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        let value = self.0.get(at + 1).ok_or(format!("{name} takes a value"))?;
        Ok(Some(value))
    }

    /// Cargo starts a bench in the folder of its package.
    fn path(&self, name: &str) -> Result<Option<PathBuf>, String> {
        Ok(self.after(name)?.map(|path| Path::new(ROOT).join(path)))
    }

    /// All are chosen if none is named.
    fn choose(&self, family: &str) -> bool {
        self.contain(family) || !FAMILIES.iter().any(|family| self.contain(family))
    }
}

struct Bench {
    brokers: String,
    parallel_consumer: Option<ParallelConsumer>,
    is_test: bool,
}

impl Bench {
    /// The contenders take turns, and another one begins in each round.
    fn round(&self, workloads: &[Workload], runs: &mut Runs) -> Result<(), Failure> {
        for workload in workloads {
            let mut contenders = Contender::of(workload, self.parallel_consumer.is_some());
            let first = runs.count(workload, contenders[0]) % contenders.len();
            contenders.rotate_left(first);
            for contender in contenders {
                let measured = match (contender, &self.parallel_consumer) {
                    (Contender::ParallelConsumer, Some(program)) => {
                        program.measure(&self.brokers, workload)
                    }
                    _ => self.in_a_process(workload, contender),
                };
                let named = |error| format!("{}, {}: {error}", workload.name, contender.name());
                runs.add(workload, contender, measured.map_err(named)?);
            }
        }
        Ok(())
    }

    fn in_a_process(&self, workload: &Workload, contender: Contender) -> Result<Figures, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--one", &workload.name, "--contender", &contender.name()]);
        if self.is_test {
            command.arg("--test");
        }
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().find_map(Figures::of_line);
        Ok(figures.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?)
    }
}
