//! The example `transfers` as its user meets it: run, killed, resumed, and refused.

#[allow(dead_code, reason = "the oracle needs no more of it")]
#[path = "../src/log.rs"]
mod log;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use program::{Run, number, refused, snapshot, stderr};
use tempfile::TempDir;

use self::log::{ACCOUNTS, ACCOUNTS_PER_BRANCH, Entry, Log, OPENING};

const PROGRAM: &str = env!("CARGO_BIN_EXE_transfers");

const LOG: Log = Log {
    seed: 7,
    transfers: 40_000,
};

#[test]
fn killed_at_eight_points_it_ends_with_every_account_as_a_serial_loop_would() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let mut announced = 0;
    for point in 1..=8 {
        // The rest is left for the last run, so that none ends before its kill.
        let target = LOG.rows() * point / 10;
        let mut run = start(&state, LOG);
        if point > 1 {
            assert!(
                run.went_on_after() >= announced,
                "a commit was announced and is lost"
            );
        }
        announced = run.wait_for_commit(target.max(announced + 1));
        run.kill();
        Oracle::assert_reached(&dump(&state), announced);
    }

    let table = table(&transfers(&state, LOG).output().unwrap());
    let oracle = Oracle::after(LOG.rows());
    assert_eq!(table["rows"], "40,100 of 40,100");
    assert_eq!(table["transfers"], "40,000");
    assert_eq!(table["audits"], "100, of 100 accounts each");
    assert_eq!(table["violations"], "0");
    assert_eq!(table["all have"], "$5,000,000.00");
    assert_eq!(table["lost"], "$0.00");
    assert_eq!(table["made of nothing"], "$0.00");
    let declined = oracle.accounts.iter().map(|account| account.declined);
    assert_eq!(number(&table["declined"]), declined.sum::<u64>());
    let again = table["runs"]
        .strip_prefix("9, transfers handled again: ")
        .expect("eight kills");
    assert_ne!(
        again, "0",
        "no kill came between the work and its commit: at least once was not tried"
    );
    assert_eq!(dump(&state), oracle.accounts);
}

#[test]
fn killed_as_it_begins_it_begins_again() {
    let folder = TempDir::new().unwrap();
    for attempt in 0..10 {
        let state = folder.path().join(attempt.to_string());
        let run = start(&state, LOG);
        while !state.exists() {
            std::thread::yield_now();
        }
        run.kill();
        let mut run = start(&state, LOG);
        run.wait_for_commit(1);
        run.kill();
    }
}

#[test]
fn with_one_slot_and_with_many_the_accounts_are_the_same() {
    let log = Log {
        seed: 3,
        transfers: 2_000,
    };
    let folder = TempDir::new().unwrap();
    let expected = Oracle::of(log, log.rows()).accounts;
    for slots in ["1", "1000"] {
        let state = folder.path().join(slots);
        let mut command = transfers(&state, log);
        command.args(["--max-parallel", slots]);
        assert_eq!(table(&command.output().unwrap())["violations"], "0");
        assert_eq!(dump(&state), expected, "{slots} slots");
    }
}

#[test]
fn if_nothing_waits_the_audits_say_so() {
    let folder = TempDir::new().unwrap();
    let end = Command::new(PROGRAM)
        .current_dir(folder.path())
        .args(["--unordered", "--transfers", "20000"])
        .output()
        .unwrap();
    let table = table(&end);
    assert_eq!(table["rows"], "20,050 of 20,050");
    assert_ne!(table["violations"], "0");
    assert_ne!(table["all have"], "$5,000,000.00");
    assert!(
        snapshot(folder.path()).is_empty(),
        "a trial leaves nothing behind"
    );
}

#[test]
fn a_job_that_is_done_says_so_and_can_start_over() {
    let log = Log {
        transfers: 500,
        ..LOG
    };
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let first = transfers(&state, log).output().unwrap();
    let second = transfers(&state, log).output().unwrap();
    assert!(stderr(&second).contains("--fresh"), "{}", stderr(&second));
    assert_eq!(table(&first), table(&second));

    let fresh = transfers(&state, log).arg("--fresh").output().unwrap();
    assert_eq!(table(&fresh)["rows"], "501 of 501");
    assert!(table(&fresh)["runs"].starts_with("1,"));
}

#[test]
fn a_state_of_another_log_is_refused_until_it_may_be_forgotten() {
    let log = Log {
        transfers: 500,
        ..LOG
    };
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let mut command = transfers(&state, log);
    assert!(command.status().unwrap().success());
    let before = snapshot(folder.path());
    for other in [
        Log { seed: 8, ..log },
        Log {
            transfers: 501,
            ..log
        },
    ] {
        let refusal = refused(&transfers(&state, other).output().unwrap());
        assert!(
            refusal.contains("--transfers 500 --seed 7") && refusal.contains("--fresh"),
            "{refusal}"
        );
        assert_eq!(snapshot(folder.path()), before);
    }
    let other = Log { seed: 8, ..log };
    let fresh = transfers(&state, other).arg("--fresh").output().unwrap();
    assert_eq!(table(&fresh)["rows"], "501 of 501");
}

#[test]
fn a_state_that_is_in_use_or_is_none_is_refused() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let mut owner = start(&state, LOG);
    owner.wait_for_commit(1);
    for args in [&[][..], &["--fresh"]] {
        let end = transfers(&state, LOG).args(args).output().unwrap();
        let refusal = refused(&end);
        assert!(
            refusal.contains("in use") && refusal.contains("--state FOLDER"),
            "{refusal}"
        );
    }
    owner.kill();

    let none = folder.path().join("none");
    let refusal = refused(&dump_command(&none).output().unwrap());
    assert!(refusal.contains("holds no state"), "{refusal}");
    assert!(!none.exists());
    std::fs::write(&none, "a file").unwrap();
    let refusal = refused(&transfers(&none, LOG).output().unwrap());
    assert!(refusal.contains("--state FOLDER"), "{refusal}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for args in [
        &["--transfers", "0"][..],
        &["--max-parallel", "0"],
        &["--max-commit", "0"],
        &["--unordered", "--fresh"],
        &["--dump", "--seed", "1"],
    ] {
        let end = Command::new(PROGRAM)
            .current_dir(folder.path())
            .args(args)
            .output()
            .unwrap();
        assert_eq!(end.status.code(), Some(2), "{args:?}");
        assert!(stderr(&end).starts_with("error: "), "{args:?}");
        assert!(end.stdout.is_empty());
    }
    assert!(snapshot(folder.path()).is_empty());
}

#[test]
fn help_names_every_option() {
    let end = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(end.status.success());
    let help = String::from_utf8(end.stdout).unwrap();
    for option in [
        "--transfers",
        "--seed",
        "--state",
        "--fresh",
        "--max-parallel",
        "--max-commit",
        "--unordered",
        "--dump",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    cents: u64,
    declined: u64,
    last_row: u64,
}

/// The accounts after some rows, by a serial loop.
struct Oracle {
    accounts: Vec<Account>,
}

impl Oracle {
    fn after(rows: u64) -> Self {
        Self::of(LOG, rows)
    }

    fn of(log: Log, rows: u64) -> Self {
        let mut oracle = Self::new();
        for row in log.rows_after(0).take(rows as usize) {
            oracle.apply(row.number, row.entry);
        }
        oracle
    }

    fn new() -> Self {
        let account = Account {
            cents: OPENING,
            declined: 0,
            last_row: 0,
        };
        Self {
            accounts: vec![account; ACCOUNTS as usize],
        }
    }

    fn apply(&mut self, row: u64, entry: Entry) {
        let Entry::Transfer { from, to, cents } = entry else {
            return;
        };
        if self.accounts[from as usize].cents >= cents {
            self.accounts[from as usize].cents -= cents;
            self.accounts[to as usize].cents += cents;
        } else {
            self.accounts[from as usize].declined += 1;
        }
        for account in [from, to] {
            self.accounts[account as usize].last_row = row;
        }
    }

    /// No row up to a commit is missing, each account is as after one of its rows, and each branch has all its cents.
    fn assert_reached(dump: &[Account], committed: u64) {
        for branch in dump.chunks(ACCOUNTS_PER_BRANCH as usize) {
            let sum: u64 = branch.iter().map(|account| account.cents).sum();
            assert_eq!(sum, u64::from(ACCOUNTS_PER_BRANCH) * OPENING);
        }
        let mut oracle = Self::new();
        for row in LOG.rows_after(0) {
            if row.number == committed + 1 {
                for (id, (account, expected)) in dump.iter().zip(&oracle.accounts).enumerate() {
                    assert!(account.last_row >= expected.last_row, "account {id}");
                }
            }
            oracle.apply(row.number, row.entry);
            if let Entry::Transfer { from, to, .. } = row.entry {
                for id in [from as usize, to as usize] {
                    if dump[id].last_row == row.number {
                        assert_eq!(dump[id], oracle.accounts[id], "account {id}");
                    }
                }
            }
        }
    }
}

fn start(state: &Path, log: Log) -> Run {
    let mut command = transfers(state, log);
    // While a commit is under way, more than 50 rows are handled, so each commit has some past its checkpoint.
    command.args(["--max-commit", "50", "--max-parallel", "16"]);
    Run::start(command)
}

fn transfers(state: &Path, log: Log) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--state")
        .arg(state)
        .args(["--transfers", &log.transfers.to_string()])
        .args(["--seed", &log.seed.to_string()]);
    command
}

fn dump_command(state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--state").arg(state).arg("--dump");
    command
}

/// The accounts in a state, by their numbers.
fn dump(state: &Path) -> Vec<Account> {
    let end = dump_command(state).output().unwrap();
    assert!(end.status.success(), "{}", stderr(&end));
    let mut lines = csv::Reader::from_reader(&end.stdout[..]);
    let lines = lines.records().map(Result::unwrap);
    lines
        .zip(0..)
        .map(|(line, id)| {
            assert_eq!(number(&line[0]), id);
            Account {
                cents: number(&line[1]),
                declined: number(&line[2]),
                last_row: number(&line[3]),
            }
        })
        .collect()
}

fn table(end: &Output) -> HashMap<String, String> {
    assert!(end.status.success(), "{}", stderr(end));
    program::table(end)
}
