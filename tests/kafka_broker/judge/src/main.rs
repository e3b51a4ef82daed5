//! Reads the journals of a folder and prints the verdict, then the first faults of each kind.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

/// How many faults of a kind are printed.
const SHOWN: usize = 5;

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let (Some(folder), None) = (args.next(), args.next()) else {
        eprintln!("usage: kafka_judge FOLDER\nThe folder contains the journals, *.journal.");
        return ExitCode::from(2);
    };
    match judge(Path::new(&folder)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kafka_judge: {}: {error}", Path::new(&folder).display());
            ExitCode::from(2)
        }
    }
}

/// Whether all is well.
fn judge(folder: &Path) -> io::Result<bool> {
    let events = kafka_judge::read(folder)?;
    let verdict = kafka_judge::judge(events).map_err(io::Error::other)?;
    println!("{verdict}");
    let mut shown = HashMap::<_, usize>::new();
    for fault in &verdict.faults {
        let shown = shown.entry(fault.kind).or_default();
        *shown += 1;
        if *shown <= SHOWN {
            println!("{fault}");
        }
    }
    let is_well = verdict.inexcusable().next().is_none();
    Ok(is_well)
}
