//! The example `micro_service` as its user meets it: run, killed, resumed, and refused.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{Run, number, refused, snapshot, stderr};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_micro_service");
const PURCHASES: &str = "data/purchases.csv";
const HEADER: &str = "date,customer,items,dollars";

#[test]
fn killed_at_twenty_points_it_ends_with_every_customer_as_a_serial_loop_would() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let oracle = Oracle::of(&fs::read(PURCHASES).unwrap());
    let rows = oracle.rows;
    assert_eq!(rows, 69_659);

    let mut announced = 0;
    for point in 1..=20 {
        // The rest is left for the last run, so that none ends before its kill.
        let target = rows * point / 24;
        let mut run = start(&state, Path::new(PURCHASES), 16);
        if point > 1 {
            assert!(
                run.went_on_after() >= announced,
                "a commit was announced and is lost"
            );
        }
        announced = run.wait_for_commit(target.max(announced + 1));
        run.kill();
        oracle.check_prefix(&dump(&state), announced);
    }

    let end = micro_service(&state, Path::new(PURCHASES))
        .output()
        .unwrap();
    let table = table(&end);
    assert_eq!(table["rows"], "69,659 of 69,659");
    assert_eq!(table["items"], "167,881");
    assert_eq!(table["dollars"], "$2,500,315.63");
    assert_eq!(table["most purchases"], "217, by customer 14048");
    assert_eq!(table["order violations"], "0");
    assert_eq!(table["lost purchases"], "0");
    assert_eq!(table["counted twice"], "0");
    assert_eq!(table["dead letters"], "0");
    let again = table["runs"]
        .strip_prefix("21, rows handled again: ")
        .expect("twenty kills");
    assert_ne!(
        again, "0",
        "no kill came between the work and its commit: at least once was not tried"
    );
    oracle.check_all(&dump(&state));
    assert_eq!(dump(&state)[&14048].purchases, 217);
}

#[test]
fn killed_as_it_begins_it_begins_again() {
    let folder = TempDir::new().unwrap();
    for attempt in 0..10 {
        let state = folder.path().join(attempt.to_string());
        let run = start(&state, Path::new(PURCHASES), 16);
        while !state.exists() {
            std::thread::yield_now();
        }
        run.kill();
        let mut run = start(&state, Path::new(PURCHASES), 16);
        run.wait_for_commit(1);
        run.kill();
    }
}

#[test]
fn each_row_that_cannot_be_decoded_is_a_dead_letter_once_across_kills() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = folder.path().join("broken.csv");
    let broken = some_rows_broken(6_000);
    fs::write(&data, &broken.content).unwrap();
    let oracle = Oracle::of(&broken.content);

    for target in [1_500, 3_000] {
        let mut run = start(&state, &data, 4);
        run.wait_for_commit(target);
        run.kill();
        // As after a crash between the dead letters and the commit that they belong to.
        let mut torn = fs::read(state.join("dead-letters.csv")).unwrap();
        torn.extend_from_slice(b"999999,torn");
        fs::write(state.join("dead-letters.csv"), torn).unwrap();
    }
    let end = micro_service(&state, &data).output().unwrap();

    let table = table(&end);
    assert_eq!(table["rows"], "6,000 of 6,000");
    let file = state.join("dead-letters.csv");
    let letters = format!("{}, in {}", broken.rows.len(), file.display());
    assert_eq!(table["dead letters"], letters);
    assert_eq!(table["order violations"], "0");
    assert_eq!(table["lost purchases"], "0");
    oracle.check_all(&dump(&state));
    let mut letters = csv::Reader::from_path(state.join("dead-letters.csv")).unwrap();
    assert_eq!(
        letters.byte_headers().unwrap(),
        vec!["offset", "reason", "row"]
    );
    let letters: Vec<_> = letters.byte_records().map(Result::unwrap).collect();
    assert_eq!(letters.len(), broken.rows.len());
    for (letter, (row, content, reason)) in letters.iter().zip(&broken.rows) {
        assert_eq!(letter[0], *row.to_string().as_bytes());
        let told = String::from_utf8_lossy(&letter[1]);
        assert!(told.contains(reason), "row {row}: {told}");
        assert_eq!(letter[2], content[..]);
    }
}

#[test]
fn a_job_that_is_done_says_so_and_can_start_over() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = first_rows(folder.path(), 200);
    let first = micro_service(&state, &data).output().unwrap();
    assert!(first.status.success());

    let second = micro_service(&state, &data).output().unwrap();
    assert!(stderr(&second).contains("--fresh"), "{}", stderr(&second));
    assert_eq!(table(&first), table(&second));

    let fresh = micro_service(&state, &data)
        .arg("--fresh")
        .output()
        .unwrap();
    assert_eq!(table(&fresh)["rows"], "200 of 200");
    assert!(table(&fresh)["runs"].starts_with("1,"));
}

#[test]
fn a_file_without_rows_is_done_at_once() {
    let folder = TempDir::new().unwrap();
    let data = first_rows(folder.path(), 0);
    let end = micro_service(&folder.path().join("state"), &data)
        .output()
        .unwrap();
    assert_eq!(table(&end)["rows"], "0 of 0");
}

#[test]
fn lines_may_end_as_on_windows_and_the_last_may_not_end() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data.csv");
    fs::write(
        &data,
        format!("{HEADER}\r\n1997-01-01,1,2,3.45\r\n1997-01-02,1,1,0.55"),
    )
    .unwrap();
    let end = micro_service(&folder.path().join("state"), &data)
        .output()
        .unwrap();
    assert_eq!(table(&end)["rows"], "2 of 2");
    assert_eq!(table(&end)["dollars"], "$4.00");
}

#[test]
fn parallel_breaks_the_order_and_loses_purchases_and_the_others_do_not() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(PURCHASES).unwrap();
    let try_mode = |mode, rows: usize| {
        let end = Command::new(PROGRAM)
            .current_dir(folder.path())
            .args(["--mode", mode, "--rows", &rows.to_string()])
            .output()
            .unwrap();
        table(&end)
    };
    let right = |table: &HashMap<String, String>, rows| {
        let oracle = Oracle::of(&first_lines(&content, rows));
        let items: u64 = oracle
            .customers
            .values()
            .map(|states| states[states.len() - 1].items)
            .sum();
        assert_eq!(table["items"].replace(',', ""), items.to_string());
        assert_eq!(table["order violations"], "0");
        assert_eq!(table["lost purchases"], "0");
    };

    right(&try_mode("serial", 300), 300);
    right(&try_mode("hybrid", 5_000), 5_000);
    let parallel = try_mode("parallel", 5_000);
    assert_ne!(parallel["order violations"], "0");
    assert_ne!(parallel["lost purchases"], "0");
    assert!(
        snapshot(folder.path()).is_empty(),
        "a trial leaves nothing behind"
    );
}

#[test]
fn a_missing_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let refusal = refusal(&folder, &folder.path().join("missing.csv"), &[]);
    assert!(
        refusal.contains("missing.csv") && refusal.contains("--data FILE"),
        "{refusal}"
    );
}

#[test]
fn a_broken_header_is_refused() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data.csv");
    for header in [
        "",
        "\n",
        "date,customer,items\n",
        "\u{feff}date,customer,items,dollars\n",
        "1997-01-01,1,1,11.77\n",
    ] {
        fs::write(&data, header).unwrap();
        let refusal = refusal(&folder, &data, &[]);
        assert!(
            refusal.contains(HEADER) && refusal.contains("--data FILE"),
            "{refusal}"
        );
    }
}

#[test]
fn a_state_of_another_input_is_refused_until_it_may_be_forgotten() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = first_rows(folder.path(), 100);
    assert!(
        micro_service(&state, &data)
            .output()
            .unwrap()
            .status
            .success()
    );
    // As long as the other, and one byte is another.
    let mut content = fs::read(&data).unwrap();
    let last = content.len() - 2;
    content[last] ^= 1;
    fs::write(&data, content).unwrap();

    let refusal = refusal(&folder, &data, &[]);
    assert!(
        refusal.contains("another input") && refusal.contains("--fresh"),
        "{refusal}"
    );

    let fresh = micro_service(&state, &data)
        .arg("--fresh")
        .output()
        .unwrap();
    assert_eq!(table(&fresh)["rows"], "100 of 100");
}

#[test]
fn a_state_in_use_is_refused_and_left_to_its_owner() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = Path::new(PURCHASES);
    let mut owner = start(&state, data, 1);
    let announced = owner.wait_for_commit(1);
    for args in [&[][..], &["--fresh"]] {
        let end = micro_service(&state, data).args(args).output().unwrap();
        let refusal = refused(&end);
        assert!(
            refusal.contains("in use") && refusal.contains("--state FOLDER"),
            "{refusal}"
        );
    }
    let end = dump_command(&state).output().unwrap();
    assert!(refused(&end).contains("in use"));

    owner.wait_for_commit(announced + 1);
    owner.kill();
    let mut next = start(&state, data, 1);
    assert!(next.went_on_after() > announced);
    next.kill();
}

#[test]
fn a_state_folder_that_cannot_be_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = first_rows(folder.path(), 10);
    fs::write(&state, "a file").unwrap();
    assert!(refusal(&folder, &data, &[]).contains("--state FOLDER"));

    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
    fs::write(state.join("store.redb"), "not a store").unwrap();
    for args in [&[][..], &["--fresh"]] {
        assert!(refusal(&folder, &data, args).contains("--state FOLDER"));
    }
}

#[test]
fn dead_letters_that_were_cut_are_refused() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let data = folder.path().join("data.csv");
    fs::write(&data, format!("{HEADER}\nbroken\n")).unwrap();
    assert!(
        micro_service(&state, &data)
            .output()
            .unwrap()
            .status
            .success()
    );
    fs::write(state.join("dead-letters.csv"), "").unwrap();

    let refusal = refusal(&folder, &data, &[]);
    assert!(
        refusal.contains("dead-letters.csv") && refusal.contains("--fresh"),
        "{refusal}"
    );
}

#[test]
fn a_dump_needs_a_state() {
    let folder = TempDir::new().unwrap();
    let end = dump_command(&folder.path().join("state")).output().unwrap();
    assert!(refused(&end).contains("--state FOLDER"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for args in [
        &["--max-parallel", "0"][..],
        &["--max-commit", "0"],
        &["--mode", "sideways"],
        &["--rows", "10"],
        &["--mode", "hybrid", "--rows", "0"],
        &["--mode", "hybrid", "--fresh"],
        &["--dump", "--fresh"],
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
        "--data",
        "--state",
        "--fresh",
        "--max-parallel",
        "--max-commit",
        "--mode",
        "--rows",
        "--dump",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

fn start(state: &Path, data: &Path, max_parallel: usize) -> Run {
    let mut command = micro_service(state, data);
    command
        .args(["--max-commit", "50"])
        .args(["--max-parallel", &max_parallel.to_string()]);
    Run::start(command)
}

/// What the customers are after each of their rows, by a serial loop.
struct Oracle {
    rows: u64,
    customers: BTreeMap<u32, Vec<State>>,
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    purchases: u64,
    items: u64,
    cents: u64,
    first: String,
    last: String,
    last_row: u64,
}

impl Oracle {
    fn of(content: &[u8]) -> Self {
        let mut oracle = Self {
            rows: 0,
            customers: BTreeMap::new(),
        };
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        for line in content.split(|byte| *byte == b'\n').skip(1) {
            oracle.rows += 1;
            if let Some((date, customer, items, cents)) = well_formed(line) {
                oracle.add(date, customer, items, cents);
            }
        }
        oracle
    }

    fn add(&mut self, date: &str, customer: u32, items: u64, cents: u64) {
        let states = self.customers.entry(customer).or_default();
        let mut state = states.last().cloned().unwrap_or(State {
            purchases: 0,
            items: 0,
            cents: 0,
            first: date.to_owned(),
            last: String::new(),
            last_row: 0,
        });
        state.purchases += 1;
        state.items += items;
        state.cents += cents;
        state.last = date.to_owned();
        state.last_row = self.rows;
        states.push(state);
    }

    fn check_all(&self, dump: &BTreeMap<u32, State>) {
        assert_eq!(dump.len(), self.customers.len());
        for (id, states) in &self.customers {
            assert_eq!(Some(&dump[id]), states.last(), "customer {id}");
        }
    }

    /// Each customer is as after one of its rows, and no row up to a commit is missing.
    fn check_prefix(&self, dump: &BTreeMap<u32, State>, committed: u64) {
        for (id, state) in dump {
            assert!(
                self.customers[id].contains(state),
                "customer {id}: {state:?}"
            );
        }
        for (id, states) in &self.customers {
            if let Some(last) = states.iter().rfind(|state| state.last_row <= committed) {
                let reached = dump.get(id).map_or(0, |state| state.last_row);
                assert!(
                    reached >= last.last_row,
                    "customer {id} lacks row {}",
                    last.last_row
                );
            }
        }
    }
}

/// The broken rows of these tests have the wrong number of fields, or one that is marked by a `!`.
fn well_formed(line: &[u8]) -> Option<(&str, u32, u64, u64)> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<_> = line.split(',').collect();
    let [date, customer, items, dollars] = fields[..] else {
        return None;
    };
    if line.contains('!') {
        return None;
    }
    let cents = dollars.replace('.', "");
    Some((
        date,
        customer.parse().unwrap(),
        items.parse().unwrap(),
        cents.parse().unwrap(),
    ))
}

struct Broken {
    content: Vec<u8>,
    /// Number, content, and a part of the reason.
    rows: Vec<(u64, Vec<u8>, &'static str)>,
}

/// The first rows of the purchases, many of them broken in one of many ways.
fn some_rows_broken(rows: usize) -> Broken {
    let ways: [(&[u8], &str); 12] = [
        (b"", "fields"),
        (b"1997-01-01,1,1", "fields"),
        (b"1997-01-01,1,1,1.00,", "fields"),
        (b"1997-01-01!,1,1,1.00", "date"),
        (b"1997-01-01,!,1,1.00", "customer"),
        (b"1997-01-01,99999999999!,1,1.00", "customer"),
        (b"1997-01-01,1,-1!,1.00", "items"),
        (b"1997-01-01,1,1,1.0!", "dollars"),
        (b"1997-01-01,1,1,!.00", "dollars"),
        (b"\"1997-01-01,1,1,1.00!", "date"),
        (b"1997-01-01,1,\xff,1.00", "UTF-8"),
        (b"\0!", "fields"),
    ];
    let purchases = fs::read(PURCHASES).unwrap();
    let mut ways = ways.iter().cycle();
    let mut broken = Broken {
        content: Vec::new(),
        rows: Vec::new(),
    };
    for (row, line) in purchases
        .split(|byte| *byte == b'\n')
        .take(rows + 1)
        .enumerate()
    {
        if row % 53 == 52 || row == rows {
            let (content, reason) = ways.next().unwrap();
            broken.content.extend_from_slice(content);
            broken.rows.push((row as u64, content.to_vec(), reason));
        } else {
            broken.content.extend_from_slice(line);
        }
        broken.content.push(b'\n');
    }
    broken
}

fn first_lines(content: &[u8], rows: usize) -> Vec<u8> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    lines.take(rows + 1).flatten().copied().collect()
}

fn first_rows(folder: &Path, rows: usize) -> PathBuf {
    let file = folder.join("first.csv");
    fs::write(&file, first_lines(&fs::read(PURCHASES).unwrap(), rows)).unwrap();
    file
}

fn micro_service(state: &Path, data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--state").arg(state).arg("--data").arg(data);
    command
}

fn dump_command(state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--state").arg(state).arg("--dump");
    command
}

fn dump(state: &Path) -> BTreeMap<u32, State> {
    let end = dump_command(state).output().unwrap();
    assert!(end.status.success(), "{}", stderr(&end));
    let mut lines = csv::Reader::from_reader(&end.stdout[..]);
    let lines = lines.records().map(Result::unwrap);
    lines
        .map(|line| {
            let state = State {
                purchases: number(&line[1]),
                items: number(&line[2]),
                cents: number(&line[3]),
                first: line[4].to_owned(),
                last: line[5].to_owned(),
                last_row: number(&line[6]),
            };
            (line[0].parse().unwrap(), state)
        })
        .collect()
}

/// What it says when it refuses to run beside `state`, where it has changed nothing.
fn refusal(folder: &TempDir, data: &Path, args: &[&str]) -> String {
    let before = snapshot(folder.path());
    let state = folder.path().join("state");
    let end = micro_service(&state, data).args(args).output().unwrap();
    assert_eq!(snapshot(folder.path()), before);
    refused(&end)
}

fn table(end: &Output) -> HashMap<String, String> {
    assert!(end.status.success(), "{}", stderr(end));
    program::table(end)
}
