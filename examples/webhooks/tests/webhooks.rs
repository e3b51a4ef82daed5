//! The example `webhooks` as its user meets it: in each mode, and refused.

use std::collections::HashMap;
use std::process::{Command, Output, Stdio};

use program::{number, stderr, table};

const PROGRAM: &str = env!("CARGO_BIN_EXE_webhooks");

/// Two deliveries to each of 200 endpoints. Per twenty, three fail, two come back, two are slow and one refuses.
const TWO_EACH: [&str; 2] = ["--deliveries", "400"];
const FAILING: u64 = 30;
const COMING_BACK: u64 = 20;
const REFUSING: u64 = 10;
/// Both of the failing and of the refusing; of those that come back, the first, since they refuse six requests.
const GIVEN_UP: u64 = 2 * FAILING + COMING_BACK + 2 * REFUSING;
/// Three of each that fails; the second of those that come back gets through at its third attempt.
const RETRIES: u64 = 2 * 3 * FAILING + (3 + 2) * COMING_BACK;
/// From the fifth failure in a row on, at each.
const OPENED: u64 = 4 * FAILING + 2 * COMING_BACK;

#[test]
fn every_delivery_is_delivered_or_a_dead_letter() {
    let end = webhooks(&TWO_EACH);
    let table = table(&end);
    assert!(end.status.success());
    assert_eq!(number(&table["dead letters"]), GIVEN_UP);
    assert_all_dealt_with(&table);
}

#[test]
fn what_is_skipped_is_no_dead_letter() {
    let end = webhooks(&[&TWO_EACH[..], &["--on-failure", "skip"]].concat());
    let table = table(&end);
    assert!(end.status.success());
    assert_eq!(number(&table["skipped"]), GIVEN_UP);
    assert!(!table.contains_key("dead letters"));
    assert_all_dealt_with(&table);
}

#[test]
fn with_a_slot_in_hand_while_it_waits_the_outcome_is_the_same() {
    let end = webhooks(&[&TWO_EACH[..], &["--hold-slots", "--max-parallel", "100"]].concat());
    let table = table(&end);
    assert!(end.status.success());
    assert_eq!(number(&table["dead letters"]), GIVEN_UP);
    assert_all_dealt_with(&table);
}

fn assert_all_dealt_with(table: &HashMap<String, String>) {
    assert_eq!(table["deliveries"], "400 to 200 endpoints");
    assert_eq!(number(&table["delivered"]), 400 - GIVEN_UP);
    assert_eq!(number(&table["retries"]), RETRIES);
    assert_eq!(number(&table["requests"]), 400 + RETRIES);
    let endpoints = FAILING + COMING_BACK;
    let opened = format!("{OPENED} times, at {endpoints} endpoints");
    assert_eq!(table["breaker opened"], opened);
    assert_eq!(table["out of order"], "0 within an endpoint");
    assert_eq!(table["committed"], "400 of 400");
    let healthy = &table["healthy endpoints"];
    assert!(
        healthy.starts_with("240 of 240 delivered after "),
        "{healthy}"
    );
}

#[test]
fn it_stops_at_the_first_delivery_that_is_exhausted() {
    let end = webhooks(&[&TWO_EACH[..], &["--on-failure", "stop"]].concat());
    assert_eq!(end.status.code(), Some(1));
    // Endpoint 11 refuses for good at once, and endpoint 3, which is tried four times, comes before it.
    let error = stderr(&end);
    assert_eq!(
        error.lines().last(),
        Some(
            "webhooks: delivery 3 to endpoint 3 failed after 4 attempts: 500 Internal Server Error"
        )
    );
    let table = table(&end);
    let committed = &table["committed"];
    assert_eq!(committed.split(':').next(), Some("3 of 400"));
    assert_eq!(table["out of order"], "0 within an endpoint");
    let delivered = number(&table["delivered"]);
    let past_that = committed.strip_prefix("3 of 400: a restart delivers ");
    let past_that = past_that.and_then(|past_that| past_that.strip_suffix(" again, or more"));
    assert_eq!(past_that.map_or(0, number), delivered - 3);
}

#[test]
fn it_fails_also_if_nobody_reads_the_table() {
    let args = ["--deliveries", "20", "--on-failure", "stop"];
    let mut gone = Command::new(PROGRAM)
        .arg("--help")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let unread = gone.stdin.take().unwrap();
    gone.wait().unwrap();
    let end = Command::new(PROGRAM)
        .args(args)
        .stdout(unread)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|run| run.wait_with_output())
        .unwrap();
    assert_eq!(end.status.code(), Some(1));
    assert!(
        stderr(&end).starts_with("webhooks: delivery 3 to endpoint 3 failed"),
        "{}",
        stderr(&end)
    );
}

#[test]
fn with_healthy_endpoints_alone_nothing_stops_and_nothing_is_retried() {
    let end = webhooks(&[
        "--endpoints",
        "3",
        "--deliveries",
        "30",
        "--on-failure",
        "stop",
    ]);
    assert!(end.status.success(), "{}", stderr(&end));
    let table = table(&end);
    assert_eq!(table["delivered"], "30");
    assert_eq!(table["retries"], "0");
    assert_eq!(table["requests"], "30");
    assert_eq!(table["breaker opened"], "0 times, at 0 endpoints");
    assert_eq!(table["committed"], "30 of 30");
}

#[test]
fn it_says_every_second_how_it_goes_and_not_in_the_table() {
    // Endpoint 3 takes more than a second: of its twelve attempts, seven wait 0.2 s for the breaker.
    let end = webhooks(&["--endpoints", "4", "--deliveries", "12"]);
    assert!(end.status.success());
    let first = stderr(&end).lines().next().unwrap().to_owned();
    for word in [
        "s: ",
        " delivered, ",
        " given up, ",
        " waiting, ",
        " committed",
    ] {
        assert!(first.contains(word), "{first}");
    }
    assert_eq!(
        table(&end).len(),
        String::from_utf8_lossy(&end.stdout).trim().lines().count()
    );
}

#[test]
fn a_flag_that_makes_no_sense_is_refused() {
    for (args, word) in [
        (["--max-parallel", "0"], "1..=256"),
        (["--endpoints", "0"], "1..=10000"),
        (["--deliveries", "many"], "--deliveries"),
        (["--on-failure", "retry"], "dead-letter, skip, stop"),
        (["--hold-slots", "yes"], "'yes'"),
    ] {
        let end = webhooks(&args);
        assert_eq!(end.status.code(), Some(2), "{args:?}");
        assert!(stderr(&end).contains(word), "{}", stderr(&end));
        assert!(end.stdout.is_empty());
    }
}

#[test]
fn help_names_every_flag() {
    let end = webhooks(&["--help"]);
    assert!(end.status.success());
    let help = String::from_utf8(end.stdout).unwrap();
    for flag in [
        "--on-failure",
        "--deliveries",
        "--endpoints",
        "--max-parallel",
        "--hold-slots",
    ] {
        assert!(help.contains(flag), "{help}");
    }
}

fn webhooks(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}
