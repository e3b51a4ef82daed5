//! The example `shutdown` as an orchestrator meets it: told to stop by a signal, it says what became of each message.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_shutdown");

#[test]
fn told_to_stop_it_finishes_and_commits_all_that_it_has_read() {
    for signal in ["-TERM", "-INT"] {
        let end = Run::start(&["--drain", "60"]).stop_with(signal);
        assert_eq!((end.left.len(), end.unfinished.len()), (0, 0), "{signal}");
        end.assert_complete();
    }
}

#[test]
fn it_leaves_what_waits_if_it_is_asked_to() {
    let end = Run::start(&["--drain", "60", "--leave-waiting"]).stop_with("-TERM");
    // The window was full, and of three groups at most three run.
    assert!(!end.left.is_empty());
    assert!(end.unfinished.is_empty());
    end.assert_complete();
}

#[test]
fn at_the_deadline_it_reports_what_is_unfinished() {
    let end = Run::start(&["--drain", "0"]).stop_with("-TERM");
    assert!(!end.unfinished.is_empty());
    assert!(end.left.is_empty());
    end.assert_complete();
}

struct Run {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    committed: Vec<u64>,
}

/// What became of the messages.
struct End {
    read: u64,
    committed: Vec<u64>,
    left: Vec<u64>,
    unfinished: Vec<u64>,
}

impl Run {
    /// Starts it, and waits until it has committed something: it hears signals then.
    fn start(args: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let mut run = Self {
            process,
            lines: BufReader::new(stdout).lines(),
            committed: Vec::new(),
        };
        while run.committed.len() < 5 {
            let line = run.lines.next().expect("it goes on").unwrap();
            run.committed.push(number(&line, "committed "));
        }
        run
    }

    fn stop_with(mut self, signal: &str) -> End {
        let process = self.process.id().to_string();
        let kill = Command::new("kill").args([signal, &process]).status();
        assert!(kill.unwrap().success());
        let report = loop {
            let line = self.lines.next().expect("a report").unwrap();
            if line.starts_with("read ") {
                break line;
            }
            self.committed.push(number(&line, "committed "));
        };
        let (read, committed) = report.split_once(", ").unwrap();
        let count = self.committed.len() as u64;
        assert_eq!(number(committed, "committed "), count);
        let end = End {
            read: number(read, "read "),
            committed: std::mem::take(&mut self.committed),
            left: numbers(&self.lines.next().unwrap().unwrap(), "left "),
            unfinished: numbers(&self.lines.next().unwrap().unwrap(), "unfinished "),
        };
        assert!(self.lines.next().is_none());
        assert!(self.process.wait().unwrap().success());
        end
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended, if nothing has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl End {
    /// What it has read was committed, left or unfinished, and nothing twice.
    fn assert_complete(&self) {
        let all = [&self.committed, &self.left, &self.unfinished];
        let all: Vec<_> = all.into_iter().flatten().copied().collect();
        assert_eq!(all.len() as u64, self.read, "nothing twice");
        let all: BTreeSet<_> = all.into_iter().collect();
        assert!(all.into_iter().eq(0..self.read), "and nothing missing");
    }
}

fn number(line: &str, name: &str) -> u64 {
    let number = line.strip_prefix(name).expect(line);
    number.parse().expect(line)
}

fn numbers(line: &str, name: &str) -> Vec<u64> {
    let list = line.strip_prefix(name).expect(line);
    let list = list.trim_matches(['[', ']']).split(", ");
    let numbers = list.filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().expect(line)).collect()
}
