//! Confluent Parallel Consumer: a program of Java, built with Maven, and run in a process of its own.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, Output};

use crate::figures::Figures;
use crate::measure::{Failure, check_committed, consumer_config};
use crate::workload::{Cost, Workload};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parallel_consumer");
const BUILT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/parallel_consumer");

/// The built program.
pub struct ParallelConsumer {
    java: String,
}

impl ParallelConsumer {
    /// Builds it. Maven brings the jars once.
    pub fn build() -> Result<Self, String> {
        let java = env::var("JAVA").unwrap_or("java".into());
        run(
            Command::new(&java).arg("-version"),
            "install Java 17 or later, or name it in JAVA",
        )?;
        let mvn = env::var("MVN").unwrap_or("mvn".into());
        run(
            Command::new(mvn)
                .args(["-B", "-q", "-f"])
                .arg(format!("{SOURCES}/pom.xml"))
                .arg(format!("-Dbuild.dir={BUILT}"))
                .args(["compile", "dependency:copy-dependencies"]),
            "install Maven, or name it in MVN",
        )?;
        Ok(Self { java })
    }

    pub fn measure(&self, brokers: &str, workload: &Workload) -> Result<Figures, Failure> {
        let config = consumer_config(brokers);
        let group = config.get("group.id").expect("it has a group");
        let cost = match workload.cost {
            Cost::None => "0".into(),
            Cost::Exactly(duration) => duration.as_nanos().to_string(),
            Cost::Random => "random".into(),
        };
        let mut command = Command::new(&self.java);
        command
            .args(["-Xmx2g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
            .args(["-cp", &format!("{BUILT}/classes:{BUILT}/lib/*")])
            .arg("ParallelConsumerSpeed")
            .args([brokers, group, &workload.records.topic()])
            .arg(workload.records.count.to_string())
            .arg(workload.in_flight.to_string())
            .arg(cost);
        let output = run(&mut command, "install Java 17 or later, or name it in JAVA")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().find_map(Figures::of_line);
        check_committed(&config, workload)?;
        Ok(figures.ok_or("it printed no figures")?)
    }
}

fn run(command: &mut Command, if_missing: &str) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{name} is missing: {if_missing}"),
        _ => format!("{name}: {error}"),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Err(format!("{name} failed: {out}{err}"))
}
