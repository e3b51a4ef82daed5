//! One measured run, in a process of its own: memory and CPU time are those of a process.

use std::sync::Arc;
use std::time::SystemTime;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::checks::Checks;
use crate::consume::Consumer;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::outputs::Outputs;
use crate::topics;
use crate::transactions::Transactions;
use crate::workload::Workload;

pub type Failure = Box<dyn std::error::Error>;

/// Runs a workload, and checks what the handlers saw, what was committed and what was written.
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
    let config = consumer_config(brokers);
    let checks = {
        let consumer: BaseConsumer = config.create()?;
        Checks::new(&topics::ends(&consumer, &topic)?)
    };
    let outputs = match workload.writes {
        true => {
            let topic = format!("{topic}-out-{}", unique());
            Some(Outputs::new(brokers, topic, workload.records.partitions)?)
        }
        false => None,
    };
    let mut consumer = Consumer {
        config: &config,
        topic: &topic,
        workload,
        checks: &checks,
        outputs: None,
    };
    let (seconds, cpu_seconds) = match (contender, &outputs) {
        (Contender::Transactions(every), Some(outputs)) => {
            let transactions = Arc::new(Transactions::new(outputs)?);
            timed(|| runtime.block_on(transactions.consume(&consumer, every)))?
        }
        (_, outputs) => {
            let acknowledged = outputs.as_ref().map(|outputs| outputs.acknowledged());
            consumer.outputs = acknowledged.transpose()?;
            timed(|| match contender {
                Contender::Floor => runtime.block_on(consumer.floor()),
                _ => runtime.block_on(consumer.ours(contender)),
            })?
        }
    };
    let peak_mib = peak_mib()?;
    let report = checks.report();
    let count = workload.records.count;
    if report.handled != count || report.duplicates > 0 {
        return Err(format!("handled not all, or some twice: {report:?}").into());
    }
    if contender.keeps_order() && (report.late > 0 || report.overlaps > 0) {
        return Err(format!("out of order: {report:?}").into());
    }
    check_committed(&config, workload)?;
    if let Some(outputs) = outputs {
        let written = outputs.count(contender.keeps_order())?;
        if written != count {
            return Err(format!("{written} outputs of {count} records").into());
        }
    }
    Ok(Figures {
        seconds,
        cpu_seconds,
        peak_mib,
        mean_in_handler_us: report.mean_in_handler.as_secs_f64() * 1e6,
    })
}

/// Of a consumer in a group of its own.
pub fn consumer_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("bench-{}", unique()))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "1");
    config
}

/// Whether the group has committed all records.
pub fn check_committed(config: &ClientConfig, workload: &Workload) -> Result<(), Failure> {
    let committed = topics::committed(config, &workload.records)?;
    let count = workload.records.count;
    match committed == count {
        true => Ok(()),
        false => Err(format!("committed {committed} of {count}").into()),
    }
}

fn unique() -> String {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    format!("{}-{}", std::process::id(), since_epoch.as_nanos())
}

/// The seconds that it says, and those of the CPU until it has ended.
fn timed(run: impl FnOnce() -> Result<f64, Failure>) -> Result<(f64, f64), Failure> {
    let cpu = cpu_seconds();
    let seconds = run()?;
    Ok((seconds, cpu_seconds() - cpu))
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
