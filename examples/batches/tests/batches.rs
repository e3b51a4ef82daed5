//! The example `batches` as its user meets it: run, killed, resumed, interrupted, and refused.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{Run, number, refused, snapshot, stderr};
use rusqlite::Connection;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_batches");
const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../micro_service/data/purchases.csv"
);

#[test]
fn killed_at_six_points_it_ends_with_every_total_as_a_serial_loop_would() {
    let trial = Trial::new(30_000);
    let mut announced = 0;
    for point in 1..=6 {
        // The rest is left for the last run, so that none ends before its kill.
        let mut run = Run::start(trial.run(slow(point)));
        if point > 1 {
            assert!(
                run.went_on_after() >= announced,
                "a position was announced and is lost"
            );
        }
        announced = run.wait_for_commit((30_000 * point / 8).max(announced + 1));
        run.kill();

        let database = trial.read();
        assert!(database.position >= announced);
        database.assert_is_whole(&trial.purchases);
    }

    let table = table(&trial.run(&[]).output().unwrap());
    assert_eq!(table["position"], "row 30,000 of 30,000");
    assert_eq!(table["differ"], "0");
    trial.assert_is_done();
}

/// Many calls, one way or the other, so that there is time for a kill.
fn slow(point: u64) -> &'static [&'static str] {
    match point % 2 {
        0 => &["--max-batch", "5"],
        _ => &["--one-by-one"],
    }
}

#[test]
fn one_by_one_and_in_batches_of_any_size_the_totals_are_the_same() {
    let trial = Trial::new(3_000);
    for (args, calls) in [
        (&["--one-by-one"][..], 3_000..=3_000),
        (&["--max-batch", "1"], 3_000..=3_000),
        (&["--max-batch", "7"], 3_000 / 7..=2_999),
        (&["--max-batch", "8191"], 100..=2_999),
        (&["--max-parallel", "1"], 100..=2_999),
        (&["--max-parallel", "1000"], 100..=3_000),
    ] {
        let end = trial.run(args).arg("--fresh").output().unwrap();
        let table = table(&end);
        assert_eq!(table["rows"], "3,000", "{args:?}");
        assert_eq!(table["left out"], "0, posted before", "{args:?}");
        assert!(calls.contains(&number(&table["calls"])), "{args:?}");
        trial.assert_is_done();
    }
}

#[test]
fn rows_that_are_read_again_are_left_out() {
    let trial = Trial::new(3_000);
    table(&trial.run(&[]).output().unwrap());
    // A crash before the position was set leaves an older one.
    trial.execute("UPDATE job SET position = 1000");

    let table = table(&trial.run(&[]).output().unwrap());
    assert_eq!(table["position"], "row 3,000 of 3,000");
    assert_eq!(table["rows"], "0");
    assert_eq!(table["calls"], "0");
    assert_eq!(table["left out"], "2,000, posted before");
    trial.assert_is_done();
}

#[cfg(unix)]
#[test]
fn interrupted_it_posts_what_it_has_read_and_can_continue() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::Stdio;

    let trial = Trial::new(30_000);
    let mut child = trial
        .run(&["--one-by-one"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    lines.read_line(&mut said).unwrap();
    assert!(said.contains("committed row"), "{said}");
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    lines.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(said.ends_with("start it again to continue\n"), "{said}");

    let database = trial.read();
    let posted: u64 = database.totals.values().map(|total| total.purchases).sum();
    assert!(posted < 30_000);
    assert_eq!(posted, database.position);
    database.assert_is_whole(&trial.purchases);

    let table = table(&trial.run(&[]).output().unwrap());
    assert_eq!(table["left out"], "0, posted before");
    trial.assert_is_done();
}

#[test]
fn a_total_that_is_wrong_is_found() {
    let trial = Trial::new(500);
    for wrong in [
        "UPDATE customers SET cents = cents + 1 WHERE customer = 1",
        "DELETE FROM customers WHERE customer = 1",
        "INSERT INTO customers VALUES (123456, 1, 1, 1, 1)",
    ] {
        let fresh = trial.run(&["--fresh"]).output().unwrap();
        assert_eq!(table(&fresh)["differ"], "0");
        trial.execute(wrong);
        let end = trial.run(&[]).output().unwrap();
        assert_eq!(end.status.code(), Some(1), "{wrong}");
        assert_eq!(program::table(&end)["differ"], "1", "{wrong}");
        assert!(stderr(&end).contains("differ from those of a serial loop: 1"));
    }
}

#[test]
fn a_database_of_something_else_is_refused_and_left_as_it_is() {
    let trial = Trial::new(500);
    let other = Trial::new(501);
    table(&trial.run(&[]).output().unwrap());
    let before = snapshot(trial.folder.path());
    let refusal = refused(&run(&other.data, &trial.database).output().unwrap());
    assert!(refusal.contains("another file of purchases") && refusal.contains("--fresh"));
    assert_eq!(snapshot(trial.folder.path()), before);

    other.execute("CREATE TABLE notes (note TEXT)");
    fs::write(other.folder.path().join("text"), "no database").unwrap();
    let before = snapshot(other.folder.path());
    for (file, why) in [
        ("database", "another program made it"),
        ("text", "not a database"),
        (".", "unable to open"),
        ("text/below", "text/below"),
    ] {
        let mut command = run(&other.data, &other.folder.path().join(file));
        let refusal = refused(&command.arg("--fresh").output().unwrap());
        assert!(refusal.contains(why), "{refusal}");
        assert!(refusal.contains("--database FILE"), "{refusal}");
        assert_eq!(snapshot(other.folder.path()), before);
    }
}

#[test]
fn a_database_that_is_in_use_is_refused() {
    let trial = Trial::new(30_000);
    let mut owner = Run::start(trial.run(&["--one-by-one"]));
    owner.wait_for_commit(1);
    for args in [&[][..], &["--fresh"]] {
        let refusal = refused(&trial.run(args).output().unwrap());
        assert!(refusal.contains("in use by another process"), "{refusal}");
    }
    owner.kill();
}

#[test]
fn a_file_that_is_none_of_purchases_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("purchases.csv");
    let database = folder.path().join("database");
    let refusal = |content: Option<&str>| {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let refusal = refused(&run(&file, &database).output().unwrap());
        assert!(refusal.contains("purchases.csv"), "{refusal}");
        assert!(refusal.contains("--data FILE"), "{refusal}");
        assert!(!database.exists());
        refusal
    };
    let header = "date,customer,items,dollars";
    refusal(None);
    assert!(refusal(Some("")).contains(header));
    for (line, why) in [
        ("1997-01-01,1,1", "line 3: 3 fields instead of 4"),
        ("1997-01-01,ann,1,1.00", "line 3: customer: "),
        ("1997-01-01,1,,1.00", "line 3: items: "),
        (
            "1997-01-01,1,1,-1.00",
            "line 3: dollars: not an amount: `-1.00`",
        ),
    ] {
        let content = format!("{header}\n1997-01-01,1,1,1.00\n{line}\n");
        let refusal = refusal(Some(&content));
        assert!(refusal.contains(why), "{refusal}");
    }

    fs::write(&file, format!("{header}\n")).unwrap();
    let table = table(&run(&file, &database).output().unwrap());
    assert_eq!(table["position"], "row 0 of 0");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = TempDir::new().unwrap();
    for args in [
        &["--max-batch", "0"][..],
        &["--max-batch", "8192"],
        &["--max-batch", "many"],
        &["--max-parallel", "0"],
        &["--one-by-one", "--max-batch", "5"],
        &["--unknown"],
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

/// The first purchases of the file, and a database for them.
struct Trial {
    folder: TempDir,
    data: PathBuf,
    database: PathBuf,
    purchases: Vec<Purchase>,
}

struct Purchase {
    row: u64,
    customer: u32,
    items: u64,
    cents: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    purchases: u64,
    items: u64,
    cents: u64,
    last_row: u64,
}

/// What a database holds.
struct Database {
    position: u64,
    /// The last row of each account.
    last_rows: HashMap<u32, u64>,
    totals: BTreeMap<u32, Total>,
}

impl Trial {
    fn new(rows: usize) -> Self {
        let content = fs::read_to_string(DATA).unwrap();
        let lines: Vec<_> = content.lines().take(rows + 1).collect();
        assert_eq!(lines.len(), rows + 1);
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("purchases.csv");
        fs::write(&data, lines.join("\n")).unwrap();
        Self {
            database: folder.path().join("database"),
            purchases: lines[1..].iter().zip(1..).map(purchase).collect(),
            data,
            folder,
        }
    }

    fn run(&self, args: &[&str]) -> Command {
        let mut command = run(&self.data, &self.database);
        command.args(args);
        command
    }

    fn execute(&self, statement: &str) {
        let connection = Connection::open(&self.database).unwrap();
        connection.execute(statement, []).unwrap();
    }

    fn read(&self) -> Database {
        let connection = Connection::open(&self.database).unwrap();
        let position = connection.query_row("SELECT position FROM job", [], |row| row.get(0));
        let mut last_rows = connection
            .prepare("SELECT account, last_row FROM accounts")
            .unwrap();
        let last_rows = last_rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let mut totals = connection
            .prepare("SELECT customer, purchases, items, cents, last_row FROM customers")
            .unwrap();
        let totals = totals.query_map([], |row| {
            let total = Total {
                purchases: row.get(1)?,
                items: row.get(2)?,
                cents: row.get(3)?,
                last_row: row.get(4)?,
            };
            Ok((row.get(0)?, total))
        });
        Database {
            position: position.unwrap(),
            last_rows: last_rows.unwrap().map(Result::unwrap).collect(),
            totals: totals.unwrap().map(Result::unwrap).collect(),
        }
    }

    fn assert_is_done(&self) {
        let database = self.read();
        assert_eq!(database.position, self.purchases.len() as u64);
        assert_eq!(database.totals, totals(&self.purchases, |_| true));
    }
}

impl Database {
    /// Nothing up to the position is missing, and each account has its rows up to its last one, each once.
    fn assert_is_whole(&self, purchases: &[Purchase]) {
        let is_in = |purchase: &Purchase| {
            let last_row = self.last_rows.get(&(purchase.customer % 100));
            last_row.is_some_and(|last_row| purchase.row <= *last_row)
        };
        assert!(purchases[..self.position as usize].iter().all(is_in));
        assert_eq!(self.totals, totals(purchases, is_in));
    }
}

/// The totals of some purchases, by a serial loop.
fn totals(purchases: &[Purchase], is_in: impl Fn(&Purchase) -> bool) -> BTreeMap<u32, Total> {
    let mut totals: BTreeMap<u32, Total> = BTreeMap::new();
    for purchase in purchases.iter().filter(|purchase| is_in(purchase)) {
        let total = totals.entry(purchase.customer).or_default();
        total.purchases += 1;
        total.items += purchase.items;
        total.cents += purchase.cents;
        total.last_row = purchase.row;
    }
    totals
}

fn purchase((line, row): (&&str, u64)) -> Purchase {
    let fields: Vec<_> = line.split(',').collect();
    Purchase {
        row,
        customer: fields[1].parse().unwrap(),
        items: number(fields[2]),
        cents: number(&fields[3].replace('.', "")),
    }
}

fn run(data: &Path, database: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data")
        .arg(data)
        .arg("--database")
        .arg(database);
    command
}

fn table(end: &Output) -> HashMap<String, String> {
    assert!(end.status.success(), "{}", stderr(end));
    program::table(end)
}
