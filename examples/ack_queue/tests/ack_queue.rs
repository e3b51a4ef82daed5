//! The example `ack_queue` as its user meets it, with a real server.
//!
//! Where `nats-server` is not installed these tests say so and pass: the crate's tests ask for Rust and a C compiler, and
//! for nothing else. Where the environment variable `CI` is `true` they fail, so that it cannot go unseen there.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::{number, refused, stderr};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ack_queue");

#[test]
fn at_least_once_loses_nothing_and_keeps_every_order() {
    if server_is_missing() {
        return;
    }
    let scratch = TempDir::new().unwrap();
    let end = ack_queue(scratch.path()).output().unwrap();

    let table = table(&end);
    assert_eq!(table["consumer killed"], "2");
    assert_eq!(table["server restarted"], "1");
    assert_eq!(table["published"], "2,000");
    assert_eq!(table["processed"], "2,000");
    assert_eq!(table["lost"], "0");
    assert_eq!(table["out of order"], "0");
    assert_eq!(table["applied twice"], "0");
    // 40, but for a kill just before one. Each brings its message back when its lease has run out.
    let acknowledgements_lost = number(&table["acknowledgements lost"]);
    assert!(acknowledgements_lost >= 38, "{table:?}");
    assert!(
        number(&table["processed twice"]) >= acknowledgements_lost,
        "{table:?}"
    );
    let [delivered, redelivered] = ["delivered", "redelivered"].map(|name| number(&table[name]));
    assert_eq!(delivered - redelivered, 2_000);
    // 20 messages fail once and 20 twice; a few more times if a kill comes between.
    let (failed, behind) = table["handlers failed"]
        .split_once(", given back with ")
        .unwrap();
    assert!(number(failed) >= 60, "{table:?}");
    assert_ne!(behind, "0 behind them");
    // Some wait in the window for longer than a lease.
    let wait = table["longest wait"].strip_suffix(" s until acknowledged");
    assert!(wait.unwrap().parse::<f64>().unwrap() > 1.0, "{table:?}");
    assert_ne!(table["leases extended"], "0 times, by 1 s");
    assert_is_empty(scratch.path());
}

#[test]
fn at_most_once_processes_nothing_twice_and_says_what_is_lost() {
    if server_is_missing() {
        return;
    }
    let scratch = TempDir::new().unwrap();
    let end = ack_queue(scratch.path())
        .args(["--mode", "at-most-once", "--max-parallel", "16"])
        .output()
        .unwrap();

    let table = table(&end);
    assert_eq!(table["consumer killed"], "2");
    assert_eq!(table["server restarted"], "1");
    assert_eq!(table["published"], "2,000");
    assert_eq!(table["processed twice"], "0");
    assert_eq!(table["applied twice"], "0");
    assert_eq!(table["out of order"], "0");
    let [processed, lost] = ["processed", "lost"].map(|name| number(&table[name]));
    assert_eq!(processed + lost, 2_000);
    // Lost is what was in work at a kill: 16 and those that backed off without a slot.
    assert!(lost <= 2 * (16 + 49), "{table:?}");
    assert_is_empty(scratch.path());
}

#[test]
fn a_server_that_runs_is_used_and_left_as_it_was() {
    if server_is_missing() {
        return;
    }
    let scratch = TempDir::new().unwrap();
    let server = Server::start();
    let end = ack_queue(scratch.path())
        .args(["--url", &server.url(), "--messages", "200"])
        .output()
        .unwrap();

    let table = table(&end);
    assert_eq!(table["server restarted"], "0");
    assert_eq!(table["processed"], "200");
    assert_eq!(table["lost"], "0");
    assert_eq!(table["out of order"], "0");
    let streams = server.folder.path().join("jetstream/$G/streams");
    if streams.exists() {
        assert_is_empty(&streams);
    }
    assert_is_empty(scratch.path());
}

#[test]
fn one_message_and_one_group_are_enough() {
    if server_is_missing() {
        return;
    }
    let scratch = TempDir::new().unwrap();
    let end = ack_queue(scratch.path())
        .args(["--messages", "1", "--groups", "1", "--max-parallel", "1"])
        .output()
        .unwrap();
    let table = table(&end);
    assert_eq!(table["processed"], "1");
    assert_eq!(table["lost"], "0");
    assert_is_empty(scratch.path());
}

#[cfg(unix)]
#[test]
fn terminated_it_leaves_nothing_behind() {
    if server_is_missing() {
        return;
    }
    let scratch = TempDir::new().unwrap();
    let mut run = ack_queue(scratch.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = BufReader::new(run.stderr.take().unwrap())
        .lines()
        .next()
        .unwrap()
        .unwrap();
    assert!(begun.ends_with("publishing and consuming"), "{begun}");
    let signalled = Command::new("kill")
        .args(["-TERM", &run.id().to_string()])
        .status()
        .unwrap();
    assert!(signalled.success());
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert_is_empty(scratch.path());
}

#[test]
fn without_a_server_it_says_how_to_get_one() {
    let scratch = TempDir::new().unwrap();
    let end = ack_queue(scratch.path()).env("PATH", "").output().unwrap();
    let refusal = refused(&end);
    assert!(refusal.contains("apt-get install nats-server"), "{refusal}");
    assert!(refusal.contains("--url"), "{refusal}");
    assert_is_empty(scratch.path());
}

#[test]
fn what_cannot_be_done_is_refused() {
    let scratch = TempDir::new().unwrap();
    let free = free_port();
    let end = ack_queue(scratch.path())
        .args(["--url", &format!("nats://127.0.0.1:{free}")])
        .output()
        .unwrap();
    assert!(refused(&end).contains("cannot connect"));
    for nonsense in [
        ["--messages", "0"],
        ["--groups", "0"],
        ["--max-parallel", "0"],
        ["--mode", "exactly-once"],
    ] {
        let end = ack_queue(scratch.path()).args(nonsense).output().unwrap();
        assert_eq!(end.status.code(), Some(2), "{nonsense:?}");
    }
    assert_is_empty(scratch.path());
}

/// The example, with a folder of its own for what it leaves there while it runs.
fn ack_queue(scratch: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("TMPDIR", scratch)
        .env("TMP", scratch)
        .env("TEMP", scratch);
    command
}

/// Whether the tests that need a server are to be skipped.
fn server_is_missing() -> bool {
    let found = Command::new("nats-server").arg("--version").output();
    if found.is_ok() {
        return false;
    }
    let missing = "nats-server is not on the PATH: `apt-get install nats-server`, or `brew install nats-server`";
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "{missing}. Where CI is true this test may not be skipped."
    );
    eprintln!("skipped: {missing}");
    true
}

/// A server that was there before.
struct Server {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let process = Command::new("nats-server")
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .arg("--jetstream")
            .arg("--store_dir")
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            folder,
            port,
            process,
        };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "no server");
            std::thread::yield_now();
        }
        server
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn table(end: &Output) -> HashMap<String, String> {
    assert!(end.status.success(), "{}{}", stderr(end), stdout(end));
    program::table(end)
}

#[track_caller]
fn assert_is_empty(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn stdout(end: &Output) -> String {
    String::from_utf8(end.stdout.clone()).unwrap()
}
