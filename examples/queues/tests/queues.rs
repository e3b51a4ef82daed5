//! The example `queues` as its user meets it: with every change of the number of queues, failing, and refused.

use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::LazyLock;

use program::{number, stderr};

const PROGRAM: &str = env!("CARGO_BIN_EXE_queues");

/// One queue that has to handle 200 messages one after the other when the second comes: at a millisecond or more for
/// each, the other 200 are published long before it has drained.
const BACKLOG: [&str; 8] = [
    "--queues",
    "1,2",
    "--messages",
    "400",
    "--groups",
    "100",
    "--max-parallel",
    "1",
];

static BY_DEFAULT: LazyLock<Output> = LazyLock::new(|| queues(&[]));

#[test]
fn while_the_number_of_queues_changes_under_load_every_group_keeps_its_order() {
    let table = table(&BY_DEFAULT);
    assert_eq!(columns(&table["queues"]), ["4 to 7", "7 to 3"]);
    assert_eq!(table["groups"], "5,000");
    assert_eq!(table["published"], "150,000");
    assert_all_right(&table);
}

#[test]
fn the_groups_that_move_are_hardly_more_than_must() {
    for virtual_nodes in [128, 512] {
        let groups = 20_000;
        let table = table(&queues(&[
            "--queues",
            "4,7,3,4,1,16,15",
            "--messages",
            "1",
            "--groups",
            &groups.to_string(),
            "--virtual-nodes",
            &virtual_nodes.to_string(),
        ]));
        let changes = columns(&table["queues"]);
        assert_eq!(changes.len(), 6);
        let rows =
            ["groups moved", "share", "ideal", "by hash % n"].map(|row| columns(&table[row]));
        for (column, change) in changes.into_iter().enumerate() {
            let (from, to) = change.split_once(" to ").unwrap();
            let (from, to) = (number(from) as f64, number(to) as f64);
            let most = from.max(to);
            let [moved, share, ideal, by_remainder] = rows.each_ref().map(|row| row[column]);

            let must = (from - to).abs() / most;
            assert_eq!(ideal, format!("{:.1} %", 100.0 * must));
            let moved = number(moved) as f64 / f64::from(groups);
            assert_eq!(share, format!("{:.1} %", 100.0 * moved));
            // Points and groups lie on the ring by chance. So there is the variance of how many points belong to the queues
            // that come or go, and that of how many groups come before those points.
            let points = most * f64::from(virtual_nodes);
            let deviation = (must * (1.0 - must) * (1.0 / points + 1.0 / f64::from(groups))).sqrt();
            assert!(
                (moved - must).abs() <= 4.0 * deviation,
                "{change}: {moved}, not {must}"
            );

            // Two numbers without a common divisor leave the same remainder once in as many as the greater.
            if [[4.0, 7.0], [7.0, 3.0], [16.0, 15.0]].contains(&[from, to]) {
                let must = 1.0 - 1.0 / most;
                let deviation = (must * (1.0 - must) / f64::from(groups)).sqrt();
                let moved = percent(by_remainder) / 100.0;
                assert!(
                    (moved - must).abs() <= 4.0 * deviation,
                    "{change}: {moved}, not {must}"
                );
            }
        }
    }
}

#[test]
fn a_group_belongs_to_the_same_queue_in_every_run() {
    let moved = |seed| {
        let end = queues(&["--messages", "1", "--seed", seed]);
        table(&end)["groups moved"].clone()
    };
    assert_eq!(moved("1"), moved("2"));
}

#[test]
fn groups_that_stay_go_on_while_those_that_move_are_held_back() {
    let table = table(&queues(&BACKLOG));
    assert_all_right(&table);
    let passed = number(&table["not held back"]);
    let held = number(&table["held at most"]);
    assert!(passed > 50 && held > 50, "{passed} and {held}");
    assert_eq!(passed + held, 200);
}

#[test]
fn a_group_that_moves_waits_for_the_very_last_message_before_it() {
    let args = [
        "--queues",
        "1,8,1,8,1,8",
        "--messages",
        "60",
        "--groups",
        "1",
    ];
    let table = table(&queues(&args));
    assert_eq!(columns(&table["groups moved"]), ["1"; 5]);
    assert_all_right(&table);
}

#[test]
fn no_more_is_held_back_than_may_be() {
    for hold in ["1", "20"] {
        let table = table(&queues(&[&BACKLOG[..], &["--hold", hold]].concat()));
        assert_all_right(&table);
        assert_eq!(table["held at most"], hold);
    }
}

#[test]
fn groups_that_move_at_once_are_out_of_order() {
    let end = queues(&[&BACKLOG[..], &["--no-drain"]].concat());
    let table = table(&end);
    assert!(
        number(&table["out of order"]) > 20,
        "{}",
        table["out of order"]
    );
    assert_eq!(table["handled"], table["published"]);
    assert_eq!(table["lost"], "0");
    assert_eq!(table["handled twice"], "0");
    assert!(!table.contains_key("held at most"));
}

#[test]
fn a_change_waits_until_the_one_before_is_over() {
    let table = table(&queues(&[
        "--queues",
        "1,2,3,5,3,2,1,4",
        "--messages",
        "16000",
        "--groups",
        "300",
        "--max-parallel",
        "8",
    ]));
    assert_eq!(columns(&table["queues"]).len(), 7);
    assert_all_right(&table);
}

#[test]
fn with_as_many_queues_as_before_no_group_moves() {
    let table = table(&queues(&["--queues", "3,3", "--messages", "2000"]));
    assert_eq!(table["groups moved"], "0");
    assert_eq!(table["held at most"], "0");
    assert_all_right(&table);
}

#[test]
fn without_a_change_there_is_nothing_to_say_of_it() {
    let table = table(&queues(&["--queues", "3", "--messages", "2000"]));
    assert!(!table.contains_key("groups moved"));
    assert_all_right(&table);
}

#[test]
fn a_consumer_that_fails_ends_it_at_any_time() {
    // At first, in the backlog of the change, behind the change, and at last; with and without room to hold back.
    for (number, hold) in [("1", "1"), ("199", "1"), ("201", "1000"), ("400", "1000")] {
        let end = queues(&[&BACKLOG[..], &["--fail-at", number, "--hold", hold]].concat());
        assert_eq!(end.status.code(), Some(1));
        let error = stderr(&end);
        let error = error.lines().last().unwrap();
        let said = format!("queues: message {number} of group ");
        assert!(
            error.starts_with(&said) && error.ends_with(" failed"),
            "{error}"
        );
        assert!(end.stdout.is_empty());
    }
}

#[test]
fn it_says_every_second_how_it_goes_and_when_groups_move() {
    let said = stderr(&BY_DEFAULT);
    for words in [
        " s: the number of queues is now 7",
        " s: the number of queues is now 3",
        " s: all groups that move have moved",
        " handled/s, not yet committed in each queue: ",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for args in [
        &["--queues", "4,0,3"][..],
        &["--queues", "4,many"],
        &["--queues", ""],
        &["--queues", "65"],
        &["--messages", "0"],
        &["--groups", "0"],
        &["--virtual-nodes", "0"],
        &["--max-parallel", "0"],
        &["--hold", "0"],
        &["--no-drain", "--hold", "5"],
        &["--fail-at", "0"],
        &["7"],
    ] {
        let end = queues(args);
        assert_eq!(end.status.code(), Some(2), "{args:?}");
        let refusal = stderr(&end);
        assert!(refusal.starts_with("error: "), "{args:?}: {refusal}");
        assert!(end.stdout.is_empty());
    }
}

#[test]
fn help_names_every_option() {
    let end = queues(&["--help"]);
    assert!(end.status.success());
    let help = String::from_utf8(end.stdout).unwrap();
    for option in [
        "--queues",
        "--messages",
        "--groups",
        "--seed",
        "--virtual-nodes",
        "--max-parallel",
        "--hold",
        "--no-drain",
        "--fail-at",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

fn assert_all_right(table: &HashMap<String, String>) {
    assert_eq!(table["handled"], table["published"]);
    assert_eq!(table["out of order"], "0");
    assert_eq!(table["lost"], "0");
    assert_eq!(table["handled twice"], "0");
}

/// What a line says of each change.
fn columns(line: &str) -> Vec<&str> {
    let cells = line.split("  ").map(str::trim);
    cells.filter(|cell| !cell.is_empty()).collect()
}

fn percent(cell: &str) -> f64 {
    cell.trim_end_matches(" %").parse().expect(cell)
}

fn queues(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn table(end: &Output) -> HashMap<String, String> {
    assert!(end.status.success(), "{}", stderr(end));
    let lines = program::table(end).into_iter();
    lines
        .map(|(name, value)| (name, value.trim().to_owned()))
        .collect()
}
