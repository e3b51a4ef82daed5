//! One measured run, in a process of its own: memory and CPU time are those of a process.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use ordered_by_group::kafka::{Error, Kafka, Message, Settings};
use ordered_by_group::prelude::*;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, DefaultConsumerContext, StreamConsumer,
};
use rdkafka::{ClientConfig, Message as _};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::checks::Checks;
use crate::topics;
use crate::workload::Workload;

/// What handles the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `buffer_unordered` on rdkafka's stream: no order, and one commit at the end.
    Floor,
    Completion,
    Source,
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the subscription to the last record: it includes joining the group.
    pub seconds: f64,
    /// Until the consumer was closed, the last commit included.
    pub cpu_seconds: f64,
    pub peak_mib: f64,
    pub mean_in_handler_us: f64,
}

type Failure = Box<dyn std::error::Error>;

impl Contender {
    pub const ALL: [Self; 3] = [Self::Floor, Self::Completion, Self::Source];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "buffer_unordered",
            Self::Completion => "ours, completion order",
            Self::Source => "ours, source order",
        }
    }
}

impl Figures {
    pub fn to_line(self) -> String {
        let Self {
            seconds,
            cpu_seconds,
            peak_mib,
            mean_in_handler_us,
        } = self;
        format!("figures {seconds} {cpu_seconds} {peak_mib} {mean_in_handler_us}")
    }

    pub fn of_line(line: &str) -> Option<Self> {
        let numbers = line.strip_prefix("figures ")?.split(' ');
        let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [seconds, cpu_seconds, peak_mib, mean_in_handler_us] = numbers[..] else {
            return None;
        };
        Some(Self {
            seconds,
            cpu_seconds,
            peak_mib,
            mean_in_handler_us,
        })
    }
}

/// Runs a workload, and checks what the handlers saw and what was committed.
pub fn measure(
    brokers: &str,
    workload: &Workload,
    contender: Contender,
) -> Result<Figures, Failure> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let topic = workload.records.topic();
    let since_epoch = std::time::SystemTime::UNIX_EPOCH.elapsed()?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set(
            "group.id",
            format!("bench-{}-{}", std::process::id(), since_epoch.as_nanos()),
        )
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "1");
    let ends = {
        let consumer: BaseConsumer = config.create()?;
        topics::ends(&consumer, &topic)?
    };
    let checks = Checks::new(&ends);
    let cpu = cpu_seconds();
    let start = Instant::now();
    let seconds = match contender {
        Contender::Floor => runtime.block_on(floor(&config, &topic, workload, &checks, start))?,
        _ => runtime.block_on(ours(&config, &topic, workload, contender, &checks, start))?,
    };
    let cpu_seconds = cpu_seconds() - cpu;
    let report = checks.report();
    let committed = topics::committed(&config, &topic, &ends)?;
    let count = workload.records.count;
    if report.handled != count || report.duplicates > 0 || committed != count {
        return Err(format!("committed {committed} of {count}, {report:?}").into());
    }
    if contender != Contender::Floor && (report.late > 0 || report.overlaps > 0) {
        return Err(format!("out of order: {report:?}").into());
    }
    Ok(Figures {
        seconds,
        cpu_seconds,
        peak_mib: peak_mib()?,
        mean_in_handler_us: report.mean_in_handler.as_secs_f64() * 1e6,
    })
}

async fn floor(
    config: &ClientConfig,
    topic: &str,
    workload: &Workload,
    checks: &Checks,
    start: Instant,
) -> Result<f64, Failure> {
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    {
        let handled = consumer
            .stream()
            .map_ok(|message| async move {
                let key = message.key().unwrap_or_default();
                let payload = message.payload().unwrap_or_default();
                let (partition, offset) = (message.partition(), message.offset());
                let began = checks.begin(partition, offset, key, payload);
                workload.cost.pay(partition, offset).await;
                checks.end(key, began);
                Ok(())
            })
            .try_buffer_unordered(workload.in_flight);
        let mut handled = std::pin::pin!(handled);
        while checks.handled() < workload.records.count {
            handled.next().await.ok_or("the stream has ended")??;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    consumer.commit_consumer_state(CommitMode::Sync)?;
    consumer.unsubscribe();
    drop(consumer);
    Ok(seconds)
}

async fn ours(
    config: &ClientConfig,
    topic: &str,
    workload: &Workload,
    contender: Contender,
    checks: &Checks,
    start: Instant,
) -> Result<f64, Failure> {
    let settings = Settings::default();
    let (kafka, driver) = Kafka::subscribe(config, &[topic], DefaultConsumerContext, settings)?;
    let driver = tokio::spawn(driver);
    let ordered = kafka
        .messages()
        .try_ordered_by_group(|message| message.group(), workload.in_flight)
        .offsets(|message| message.position())
        .partitions(|message| message.partition());
    let (mut settled, mut seconds) = (0, 0.0);
    let mut count = || {
        settled += 1;
        if settled == workload.records.count {
            seconds = start.elapsed().as_secs_f64();
            kafka.stop();
        }
    };
    match contender {
        Contender::Source => {
            ordered
                .and_then(|message| handle(message, workload, checks))
                .try_drive(|(outcome, position)| {
                    position.settle(outcome.is_some());
                    count();
                    async { Ok(()) }
                })
                .await?;
        }
        _ => {
            ordered
                .and_then_unordered(|message| handle(message, workload, checks))
                .try_drive(|(outcome, position)| {
                    position.offset().settle(outcome.is_some());
                    count();
                    async { Ok(()) }
                })
                .await?;
        }
    }
    kafka.close().await?;
    driver.await??;
    Ok(seconds)
}

async fn handle(
    message: Message<'_>,
    workload: &Workload,
    checks: &Checks,
) -> Result<Option<()>, Error> {
    let position = message.position();
    let handled = position.run(async || {
        let key = message.key().unwrap_or_default();
        let payload = message.payload().unwrap_or_default();
        let number = position.partition().number();
        let began = checks.begin(number, message.offset(), key, payload);
        workload.cost.pay(number, message.offset()).await;
        checks.end(key, began);
    });
    Ok(handled.await)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that was resident.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmHWM")?.parse::<f64>()? / 1024.0)
}
