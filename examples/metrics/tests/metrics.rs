//! What is exported is what the pipeline does: read over HTTP as Prometheus reads it, through OpenTelemetry, and from the
//! program as its user starts it.

use std::collections::BTreeMap;
use std::future::{Future, pending, ready};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::future::Either;
use futures::stream;
use metrics::figures::{FIGURES, Kind};
use metrics::{endpoint, instruments};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use ordered_by_group::prelude::*;
use ordered_by_group::{Monitor, without_slot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const PROGRAM: &str = env!("CARGO_BIN_EXE_metrics");

/// By name, as Prometheus has it.
type Figures = BTreeMap<String, f64>;

#[tokio::test]
async fn a_scrape_shows_what_the_pipeline_does_and_what_it_has_done() {
    let (clock, monitor) = monitor();
    let address = serve(&monitor).await;
    let gate = Semaphore::new(0);
    let mut pipeline = pin!(pipeline(&monitor, &gate));

    // "a1" waits for the gate without a slot, "b1" and "c1" have the two slots, so "d1" is not read.
    let begun = figures(&beside(&mut pipeline, scrape(address)).await);
    clock.advance(5);
    let held = figures(&beside(&mut pipeline, scrape(address)).await);
    gate.add_permits(3);
    pipeline.await;
    let done = figures(&scrape(address).await);

    let columns = [
        ("running", 3.0, 3.0, 0.0),
        ("without_slot", 1.0, 1.0, 0.0),
        ("waiting", 2.0, 2.0, 0.0),
        ("finished", 1.0, 1.0, 0.0),
        ("groups", 3.0, 3.0, 0.0),
        ("deepest_group", 2.0, 2.0, 0.0),
        ("oldest_unfinished_seconds", 0.0, 5.0, 0.0),
        ("admitted_total", 6.0, 6.0, 7.0),
        ("emitted_total", 0.0, 0.0, 7.0),
        ("failed_total", 0.0, 0.0, 0.0),
        ("handled_total", 1.0, 1.0, 7.0),
        ("in_queue_seconds_total", 0.0, 0.0, 10.0), // "a2" and "a3"
        ("in_handler_seconds_total", 0.0, 0.0, 15.0), // "a1", "b1" and "c1"
    ];
    for (name, at_first, after_five_seconds, at_the_end) in columns {
        let name = format!("ordered_by_group_{name}");
        assert_eq!(begun[&name], at_first, "{name}");
        assert_eq!(held[&name], after_five_seconds, "{name}");
        assert_eq!(done[&name], at_the_end, "{name}");
    }
    assert_eq!(done.len(), columns.len());
}

#[tokio::test]
async fn a_scrape_is_open_metrics_with_types_and_units_and_without_labels() {
    let (_clock, monitor) = monitor();
    let answer = scrape(serve(&monitor).await).await;

    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"), "{body}");
    assert!(!body.contains('{'), "a label: {body}");
    for figure in &FIGURES {
        let unit = if figure.unit == "s" { "_seconds" } else { "" };
        let name = format!("ordered_by_group_{}{unit}", figure.name);
        let kind = match figure.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        for line in [
            format!("# TYPE {name} {kind}\n"),
            format!("# HELP {name} {}\n", figure.help),
        ] {
            assert!(body.contains(&line), "{line} is not in {body}");
        }
        let line = format!("# UNIT {name} seconds\n");
        assert_eq!(body.contains(&line), figure.unit == "s", "{body}");
    }
}

#[tokio::test]
async fn a_stuck_handler_shows() {
    let (clock, monitor) = monitor();
    let address = serve(&monitor).await;
    let stuck = |item: &'static str| match item {
        "b1" => Either::Left(pending()),
        _ => Either::Right(ready(())),
    };
    let mut work = pin!(
        stream::iter(["a1", "b1", "c1", "d1"])
            .ordered_by_group(|item| item.as_bytes()[0], 4)
            .monitor(&monitor)
            .then(stuck)
            .drive(|_| async {})
    );

    for seconds in [0.0, 60.0, 120.0] {
        let now = figures(&beside(&mut work, scrape(address)).await);
        assert_eq!(now["ordered_by_group_oldest_unfinished_seconds"], seconds);
        assert_eq!(now["ordered_by_group_running"], 1.0);
        assert_eq!(now["ordered_by_group_finished"], 2.0); // behind it, in source order
        assert_eq!(now["ordered_by_group_emitted_total"], 1.0);
        clock.advance(60);
    }
}

#[tokio::test]
async fn the_gauges_of_a_dropped_pipeline_are_zero_and_its_totals_stay() {
    let (clock, monitor) = monitor();
    let address = serve(&monitor).await;
    let gate = Semaphore::new(0);
    {
        let mut pipeline = pin!(pipeline(&monitor, &gate));
        beside(&mut pipeline, async {}).await;
        clock.advance(5);
    }
    let dropped = figures(&scrape(address).await);
    for figure in FIGURES.iter().filter(|figure| figure.kind == Kind::Gauge) {
        let unit = if figure.unit == "s" { "_seconds" } else { "" };
        let name = format!("ordered_by_group_{}{unit}", figure.name);
        assert_eq!(dropped[&name], 0.0, "{name}");
    }
    assert_eq!(dropped["ordered_by_group_admitted_total"], 6.0);
    assert_eq!(dropped["ordered_by_group_handled_total"], 1.0);
}

#[tokio::test]
async fn opentelemetry_exports_what_a_scrape_shows() {
    let (clock, monitor) = monitor();
    let address = serve(&monitor).await;
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(exporter.clone()).build())
        .build();
    instruments::observe(&provider.meter("test"), &monitor);
    let export = || {
        exporter.reset();
        provider.force_flush().unwrap();
        exported(&exporter)
    };

    let gate = Semaphore::new(0);
    let mut pipeline = pin!(pipeline(&monitor, &gate));
    let scraped = figures(&beside(&mut pipeline, scrape(address)).await);
    assert_eq!(scraped["ordered_by_group_running"], 3.0);
    assert_eq!(export(), scraped);
    clock.advance(5);
    assert_eq!(export()["ordered_by_group_oldest_unfinished_seconds"], 5.0);
    gate.add_permits(3);
    pipeline.await;
    let scraped = figures(&scrape(address).await);
    assert_eq!(scraped["ordered_by_group_handled_total"], 7.0);
    assert_eq!(export(), scraped);
}

#[test]
fn the_program_serves_prometheus() {
    let program = Command::new(PROGRAM)
        .args(["--prometheus", "127.0.0.1:0", "--stuck"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Killed(program);
    let mut line = String::new();
    let mut lines = BufReader::new(program.0.stderr.take().unwrap());
    lines.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap();
    let address = address.strip_suffix("/metrics").unwrap();

    // The hundredth order is stuck, so the results of the 99 before it come out, and no more.
    let now = loop {
        let mut connection = StdTcpStream::connect(address).unwrap();
        connection.write_all(REQUEST.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let now = figures(&answer);
        if now["ordered_by_group_emitted_total"] >= 99.0 {
            break now;
        }
    };
    assert_eq!(now["ordered_by_group_emitted_total"], 99.0);
    assert!(now["ordered_by_group_running"] >= 1.0, "{now:?}");
}

/// A program that runs until this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_prints_what_opentelemetry_exports() {
    let end = Command::new(PROGRAM)
        .args(["--opentelemetry", "--orders", "25"])
        .output()
        .unwrap();
    assert!(end.status.success());
    let printed = String::from_utf8(end.stdout).unwrap();
    for figure in &FIGURES {
        let name = format!("ordered_by_group.{}\n", figure.name);
        assert!(printed.contains(&name), "{name} is not in {printed}");
    }
    let (_, emitted) = printed.split_once("ordered_by_group.emitted\n").unwrap();
    let value = emitted.lines().find(|line| line.contains("Value")).unwrap();
    assert!(value.ends_with(" 25.0"), "{printed}");
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = Command::new(PROGRAM)
        .args(["--prometheus", &address])
        .output()
        .unwrap();
    assert!(!end.status.success());
    let said = String::from_utf8(end.stderr).unwrap();
    assert!(said.contains(&address), "{said}");
}

/// Two slots. "a1" waits for the gate without its slot, "b1" and "c1" wait with theirs, and the others are ready at once.
async fn pipeline(monitor: &Monitor, gate: &Semaphore) {
    stream::iter(["a1", "a2", "a3", "z1", "b1", "c1", "d1"])
        .ordered_by_group(|item| item.as_bytes()[0], 2)
        .monitor(monitor)
        .then(|item| async move {
            match item {
                "a1" => without_slot(gate.acquire()).await.unwrap().forget(),
                "b1" | "c1" => gate.acquire().await.unwrap().forget(),
                _ => {}
            }
        })
        .drive(|_| async {})
        .await;
}

/// Polls the work, which does not end, and then the look at it.
async fn beside<T>(work: &mut (impl Future + Unpin), look: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        _ = work => panic!("it has ended"),
        seen = look => seen,
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

fn monitor() -> (Clock, Monitor) {
    let (clock, start) = (Clock::default(), Instant::now());
    let seconds = clock.clone();
    let now = move || start + Duration::from_secs(seconds.0.load(Relaxed));
    (clock, Monitor::new().timed(now))
}

async fn serve(monitor: &Monitor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(endpoint::serve(listener, monitor.clone()));
    address
}

const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async fn scrape(address: SocketAddr) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

fn figures(answer: &str) -> Figures {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|sample| {
            let (name, value) = sample.split_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// By the names that a Prometheus translation gives them.
fn exported(exporter: &InMemoryMetricExporter) -> Figures {
    let exports = exporter.get_finished_metrics().unwrap();
    let scopes = exports.iter().flat_map(|export| export.scope_metrics());
    let metrics = scopes.flat_map(|scope| scope.metrics());
    metrics
        .map(|metric| {
            let AggregatedMetrics::F64(data) = metric.data() else {
                panic!("{metric:?} is not a number with a fraction");
            };
            let (total, value) = match data {
                MetricData::Gauge(gauge) => {
                    let point = gauge.data_points().next().unwrap();
                    assert_eq!(point.attributes().count(), 0);
                    ("", point.value())
                }
                MetricData::Sum(sum) => {
                    assert!(sum.is_monotonic());
                    let point = sum.data_points().next().unwrap();
                    assert_eq!(point.attributes().count(), 0);
                    ("_total", point.value())
                }
                _ => panic!("{metric:?} is neither a gauge nor a counter"),
            };
            let unit = if metric.unit() == "s" { "_seconds" } else { "" };
            let name = metric.name().replace('.', "_");
            (format!("{name}{unit}{total}"), value)
        })
        .collect()
}
