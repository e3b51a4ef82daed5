//! Figures at scale: what an item costs, in time and memory, where a million wait.
//!
//! Each case runs at a size and at a tenth of it, and each run has a process of its own, since its memory is that of the
//! process. What grows faster than the work is marked with its ratio.
//!
//! `-- stuck` runs only the cases whose name has this in it; `-- --rounds 9` runs each so often, instead of five times;
//! `-- --test` runs each once, at a small size.

mod cases;
mod feed;
mod figures;
mod gate;
mod measure;
mod memory;
#[path = "../../../contenders/one_yield.rs"]
mod one_yield;
#[path = "../../../contenders/processor.rs"]
mod processor;
mod tables;
mod task;

use std::process::{Command, ExitCode};

use cap::Cap;
use cases::Case;
use figures::Figures;
use measure::Part;

#[global_allocator]
static HEAP: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// One run: a case at a size, and what is measured of it.
#[derive(Clone, Copy)]
struct Run {
    case: Case,
    items: u64,
    part: Part,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if let Some(one) = after("--one") {
        let run = Run::of_text(one).ok_or("--one names no run")?;
        println!("{}", run.case.measure(run.items, run.part).to_line());
        return Ok(());
    }
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let rounds = match after("--rounds") {
        Some(rounds) => rounds.parse().ok().filter(|rounds| *rounds > 0),
        None if is_test => Some(1),
        None => Some(5),
    };
    let rounds: usize = rounds.ok_or("--rounds takes a number, at least 1")?;
    let names: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--") && Some(*argument) != after("--rounds"))
        .collect();
    let is_chosen = |case: &Case| {
        names.is_empty() || names.iter().any(|name| case.name().contains(name.as_str()))
    };
    println!("{}; medians of {rounds} runs", processor::processor());
    let mut chosen: Vec<_> = Case::ALL.into_iter().filter(is_chosen).collect();
    // The one-shot keys have a table of their own.
    chosen.sort_by_key(|case| !case.is_one_shot());
    let mut found = Vec::new();
    for case in chosen {
        let most = case.most_items() / if is_test { 100 } else { 1 };
        for items in [most / 10, most] {
            let parts = case.parts().iter().map(|&part| Run { case, items, part });
            let all: Vec<_> = parts
                .map(|run| run.rounds(rounds))
                .collect::<Result<_, _>>()?;
            found.push((case, items, Figures::all_of(all)));
        }
    }
    tables::print(&found);
    Ok(())
}

impl Run {
    /// The medians of so many rounds, each in a process of its own.
    fn rounds(self, rounds: usize) -> Result<Figures, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let one = || {
            let output = Command::new(&program)
                .args(["--one", &self.to_text()])
                .output()
                .map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().find_map(Figures::of_line).ok_or_else(|| {
                let error = String::from_utf8_lossy(&output.stderr);
                format!("{}: {error}", self.to_text())
            })
        };
        let all: Vec<_> = (0..rounds).map(|_| one()).collect::<Result<_, _>>()?;
        Ok(Figures::medians(&all))
    }

    fn to_text(self) -> String {
        format!("{}/{}/{}", self.case.name(), self.items, self.part.name())
    }

    fn of_text(text: &str) -> Option<Self> {
        let (text, part) = text.rsplit_once('/')?;
        let (case, items) = text.rsplit_once('/')?;
        Some(Self {
            case: Case::ALL.into_iter().find(|c| c.name() == case)?,
            items: items.parse().ok()?,
            part: Part::ALL.into_iter().find(|p| p.name() == part)?,
        })
    }
}
