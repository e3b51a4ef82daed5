//! The example `kafka` as its user meets it: with its own mock cluster, and with real brokers.
//!
//! Where `KAFKA_BROKERS` is not set the tests of real brokers say so and pass: the crate's tests ask for Rust and a C
//! compiler, and for nothing else. Where the environment variable `CI` is `true` they fail, so that it cannot go unseen
//! there. Each makes a topic and a group of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use program::{refused, stderr, table};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kafka");
const PURCHASES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../micro_service/data/purchases.csv"
);

#[test]
fn alone_it_handles_every_row_of_its_mock_cluster() {
    let end = kafka().output().unwrap();
    assert!(end.status.success(), "{}", stderr(&end));
    let table = table(&end);
    assert_eq!(table["rows"], "69,659");
    assert_eq!(table["items"], "167,881");
    assert_eq!(table["dollars"], "$2,500,315.63");
    assert_eq!(table["order violations"], "0");
    assert_eq!(table["lost purchases"], "0");
    assert_eq!(table["dead letters"], "0");
    assert_eq!(table["committed"], "69,659");
    assert_eq!(table["partitions"], "8 drained, 0 lost");
}

#[test]
fn it_says_what_it_can_do() {
    let end = kafka().arg("--help").output().unwrap();
    assert!(end.status.success(), "{}", stderr(&end));
    let help = String::from_utf8(end.stdout).unwrap();
    for option in [
        "--brokers <HOST:PORT,..>",
        "--publish",
        "--dead-letters <TOPIC>",
        "--instance <ID>",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}

#[test]
fn arguments_that_are_wrong_are_refused() {
    for (arguments, named) in [
        (&["--publish"][..], "--brokers"),
        (&["--instance", "a"], "--brokers"),
        (&["--max-parallel", "0"], "--max-parallel"),
        (
            &["--brokers", "localhost:9092", "--transactional"],
            "--results",
        ),
        (&["--results", "receipts"], "--transactional"),
        (&["--retries", "21"], "--retries"),
        (&["--metrics", "here"], "--metrics"),
        (
            &["--brokers", "localhost:9092", "--set", "sasl.username"],
            "NAME=VALUE",
        ),
        (
            &["--brokers", "localhost:9092", "--protocol", "eager"],
            "--protocol",
        ),
    ] {
        let end = kafka().args(arguments).output().unwrap();
        assert_eq!(end.status.code(), Some(2), "{arguments:?}");
        let refusal = stderr(&end);
        assert!(refusal.contains(named), "{arguments:?}: {refusal}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_in_one_line() {
    let scratch = tempfile::TempDir::new().unwrap();
    let headless = scratch.path().join("headless.csv");
    fs::write(&headless, "2011-12-09,12680,18,249.45\n").unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, asked) in [
        (&["--data", "missing.csv"][..], "--data FILE"),
        (&["--data", headless.to_str().unwrap()], "add it"),
        (&["--metrics", &taken], "name another with --metrics"),
        (
            &["--brokers", "localhost:9092", "--set", "sasl.usernam=alice"],
            "sasl.usernam",
        ),
    ] {
        let end = kafka().args(arguments).output().unwrap();
        let refusal = refused(&end);
        assert!(refusal.contains(asked), "{arguments:?}: {refusal}");
    }
}

#[test]
fn brokers_that_do_not_answer_are_refused() {
    // It is bound, so nobody else listens there, but it is no broker.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let closed = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().to_string()
    };
    for (brokers, publish) in [(silent, None), (closed, Some("--publish"))] {
        let end = kafka().args(["--brokers", &brokers]).args(publish).output();
        let refusal = refused(&end.unwrap());
        let named = format!("no broker answers at {brokers}; check --brokers");
        assert!(refusal.contains(&named), "{refusal}");
    }
}

fn kafka() -> Command {
    Command::new(PROGRAM)
}

#[cfg(unix)]
mod brokers {
    use std::collections::{BTreeMap, HashMap, HashSet};
    use std::env;
    use std::fs;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::sync::mpsc::{self, Receiver};
    use std::thread;
    use std::time::{Duration, Instant};

    use ordered_by_group::kafka::rdkafka::consumer::{BaseConsumer, Consumer as _};
    use ordered_by_group::kafka::rdkafka::error::KafkaError;
    use ordered_by_group::kafka::rdkafka::message::Headers as _;
    use ordered_by_group::kafka::rdkafka::{
        ClientConfig, Message as _, Offset, TopicPartitionList,
    };
    use ordered_by_group::positions::Done;
    use program::{number, refused, stderr};

    use super::{PURCHASES, kafka};

    const PARTITIONS: i32 = 8;
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_topic_that_is_missing_is_refused() {
        let Some(cluster) = Cluster::new("missing") else {
            return;
        };
        let end = cluster.kafka().output().unwrap();
        let refusal = refused(&end);
        let named = format!("there is no topic {} at", cluster.topic);
        assert!(refusal.contains(&named), "{refusal}");
        assert!(refusal.contains("--publish"), "{refusal}");
    }

    /// Each tenth row cannot be decoded: its dead letter shows that it was handled, also by a process that was killed.
    #[test]
    fn stopped_and_killed_they_lose_no_row() {
        let Some(cluster) = Cluster::new("shared") else {
            return;
        };
        let rows = cluster.publish(cluster.consumer("1"));
        assert_eq!(rows.len(), 69_659);

        let first = Member::start(cluster.consumer("8"));
        let mut second = cluster.consumer("8");
        // Its partitions are kept for it while it is away.
        second.args(["--instance", "second"]);
        let second = Member::start(second);
        for member in [&first, &second] {
            member.wait_for("half of the partitions", |line| partitions(line) == Some(4));
            member.wait_for("a commit", |line| committed(line) > Some(0));
        }
        let first = first.stop();
        assert_eq!(first["order violations"], "0");
        assert_eq!(first["lost purchases"], "0");
        assert!(first["partitions"].ends_with(" drained, 0 lost"));

        second.wait_for("all partitions", |line| partitions(line) == Some(8));
        second.wait_for("a commit", |line| committed(line) > Some(0));
        second.kill();
        let done = cluster.done();
        let (before, after): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| done.contains(&row.position));
        assert!(before.len() as u64 >= number(&first["rows"]));
        assert!(!after.is_empty(), "all was done before the kill");

        let mut again = cluster.consumer("64");
        again.args(["--instance", "second"]);
        let again = Member::start(again);
        cluster.wait_until_done(rows.len());
        let again = again.stop();
        // What was committed is not repeated, and all else is done.
        assert_eq!(number(&again["rows"]), after.len() as u64);
        let (broken, sound): (Vec<&Row>, Vec<&Row>) = after.iter().partition(|row| row.is_broken());
        assert_eq!(number(&again["dead letters"]), broken.len() as u64);
        let items: u64 = sound.iter().map(|row| row.items()).sum();
        assert_eq!(number(&again["items"]), items);
        let cents: u64 = sound.iter().map(|row| row.cents()).sum();
        let dollars = again["dollars"].strip_prefix('$').unwrap();
        assert_eq!(number(&dollars.replace('.', "")), cents);
        assert_eq!(again["order violations"], "0");
        assert_eq!(again["lost purchases"], "0");

        check_dead_letters(&rows, &done, &cluster.records(&cluster.dead_letters()));
    }

    #[test]
    fn killed_five_times_it_writes_each_result_once() {
        let Some(cluster) = Cluster::new("once") else {
            return;
        };
        let results = format!("{}-results", cluster.topic);
        let once = |max_parallel| {
            let mut kafka = cluster.consumer(max_parallel);
            kafka.args(["--transactional", "--results", &results]);
            kafka
        };
        let rows = cluster.publish(once("1"));
        let member = |max_parallel| {
            let mut kafka = once(max_parallel);
            // It ends the transaction that was open at the kill.
            kafka.args(["--instance", "only"]);
            Member::start(kafka)
        };
        let mut done = 0;
        for _ in 0..5 {
            let member = member("8");
            member.wait_for("a commit", |line| committed(line) > Some(0));
            member.kill();
            let before = std::mem::replace(&mut done, cluster.done().len());
            assert!(before < done, "{before} and then {done} are committed");
        }
        assert!(done < rows.len(), "all was done before the last kill");
        let last = member("64");
        cluster.wait_until_done(rows.len());
        let last = last.stop();
        assert_eq!(last["order violations"], "0");
        assert_eq!(last["lost purchases"], "0");

        let sound = rows.iter().filter(|row| !row.is_broken());
        let mut missing: HashMap<_, _> = sound.map(|row| (row.position.name(), row)).collect();
        let mut last = BTreeMap::new();
        for result in cluster.records(&results) {
            let from = &result.headers["from"];
            let row = missing
                .remove(from)
                .unwrap_or_else(|| panic!("{from} is there twice"));
            let (items, cents) = (row.items(), row.cents());
            let told = format!("{items} items for ${}.{:02}", cents / 100, cents % 100);
            assert_eq!((&result.key, &result.payload), (&row.key, &told));
            let before = last.insert(&row.key, row.position.offset);
            assert!(before < Some(row.position.offset), "{from} is out of order");
        }
        assert!(missing.is_empty(), "{} results are missing", missing.len());
    }

    /// Each arrived, in the order of its key, and none again that was committed.
    fn check_dead_letters(rows: &[Row], done: &HashSet<Position>, letters: &[Row]) {
        let broken: HashMap<_, _> = rows
            .iter()
            .filter(|row| row.is_broken())
            .map(|row| (row.position.name(), row))
            .collect();
        let mut seen = HashSet::new();
        let mut last = BTreeMap::new();
        for letter in letters {
            let from = &letter.headers["from"];
            let row = broken[from.as_str()];
            assert_eq!((&letter.key, &letter.payload), (&row.key, &row.payload));
            assert_eq!(letter.headers["reason"], "dollars: not an amount: `free`");
            if seen.insert(from) {
                let before = last.insert(&row.key, row.position.offset);
                assert!(before < Some(row.position.offset), "{from} is out of order");
            } else {
                assert!(!done.contains(&row.position), "{from} was committed");
            }
        }
        assert_eq!(seen.len(), broken.len(), "dead letters are missing");
    }

    /// How many partitions a line says that there are.
    fn partitions(line: &str) -> Option<usize> {
        let numbers = line.strip_prefix("partitions ")?.split(' ');
        Some(
            numbers
                .filter(|number| number.parse::<i32>().is_ok())
                .count(),
        )
    }

    fn committed(line: &str) -> Option<u64> {
        let (_, committed) = line.strip_suffix(" committed")?.rsplit_once(' ')?;
        Some(number(committed))
    }

    /// A topic and a group of their own, at the brokers in `KAFKA_BROKERS`.
    struct Cluster {
        brokers: String,
        topic: String,
    }

    impl Cluster {
        /// `None`: the test is to be skipped.
        fn new(name: &str) -> Option<Self> {
            let Ok(brokers) = env::var("KAFKA_BROKERS") else {
                let missing = "KAFKA_BROKERS is not set: start a broker with `tests/kafka_broker/broker start target/kafka`";
                assert!(
                    env::var("CI").as_deref() != Ok("true"),
                    "{missing}. Where CI is true this test may not be skipped."
                );
                eprintln!("skipped: {missing}");
                return None;
            };
            let topic = format!("example-{name}-{}", std::process::id());
            Some(Self { brokers, topic })
        }

        fn dead_letters(&self) -> String {
            format!("{}-dead", self.topic)
        }

        /// The program. The group has the name of the topic.
        fn kafka(&self) -> Command {
            let mut kafka = kafka();
            kafka.args(["--brokers", &self.brokers]).args([
                "--topic",
                &self.topic,
                "--group",
                &self.topic,
            ]);
            kafka
        }

        fn consumer(&self, max_parallel: &str) -> Command {
            let mut kafka = self.kafka();
            kafka
                .args(["--dead-letters", &self.dead_letters()])
                .args(["--max-parallel", max_parallel]);
            kafka
        }

        /// Publishes the purchases, each tenth of them broken.
        fn publish(&self, mut kafka: Command) -> Vec<Row> {
            let scratch = tempfile::TempDir::new().unwrap();
            let file = scratch.path().join("purchases.csv");
            let mut content = String::new();
            for (number, line) in fs::read_to_string(PURCHASES).unwrap().lines().enumerate() {
                match line.rsplit_once(',') {
                    Some((line, _)) if number % 10 == 9 => content += &format!("{line},free\n"),
                    _ => content += &format!("{line}\n"),
                }
            }
            fs::write(&file, content).unwrap();
            let published = kafka.arg("--publish").arg("--data").arg(&file).output();
            let published = published.unwrap();
            assert!(published.status.success(), "{}", stderr(&published));
            let said = format!("published 69,659 rows to {}\n", self.topic);
            assert_eq!(stderr(&published), said);
            self.records(&self.topic)
        }

        /// All records of a topic that are committed, in order per partition.
        fn records(&self, topic: &str) -> Vec<Row> {
            let client = self.client();
            let mut assignment = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                assignment
                    .add_partition_offset(topic, partition, Offset::Beginning)
                    .unwrap();
            }
            client.assign(&assignment).unwrap();
            let mut rows = Vec::new();
            let mut ended = HashSet::new();
            while ended.len() < PARTITIONS as usize {
                let record = match client.poll(PATIENCE).expect("a record, or an end") {
                    Ok(record) => record,
                    Err(KafkaError::PartitionEOF(partition)) => {
                        ended.insert(partition);
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                let headers = record
                    .headers()
                    .into_iter()
                    .flat_map(|headers| headers.iter());
                rows.push(Row {
                    position: Position {
                        topic: topic.to_owned(),
                        partition: record.partition(),
                        offset: record.offset(),
                    },
                    key: text(record.key()),
                    payload: text(record.payload()),
                    headers: headers
                        .map(|header| (header.key.to_owned(), text(header.value)))
                        .collect(),
                });
            }
            rows
        }

        /// What the group has committed, with what is done past the offsets.
        fn done(&self) -> HashSet<Position> {
            self.done_of(&self.client())
        }

        /// Until all is committed, and nothing is left that is only done past an offset.
        fn wait_until_done(&self, rows: usize) {
            let client = self.client();
            let begun = Instant::now();
            loop {
                let done = self.done_of(&client).len();
                if done == rows {
                    return;
                }
                assert!(begun.elapsed() < PATIENCE, "{done} of {rows} are committed");
                // It has no partitions: it waits.
                assert!(client.poll(Duration::from_millis(50)).is_none());
            }
        }

        fn done_of(&self, client: &BaseConsumer) -> HashSet<Position> {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&self.topic, 0, PARTITIONS - 1);
            let committed = client.committed_offsets(partitions, PATIENCE).unwrap();
            let mut done = HashSet::new();
            for partition in committed.elements() {
                let Offset::Offset(next) = partition.offset() else {
                    continue;
                };
                let position = |offset| Position {
                    topic: self.topic.clone(),
                    partition: partition.partition(),
                    offset,
                };
                done.extend((0..next).map(position));
                if let Some(past) = Done::decode(next, partition.metadata()) {
                    done.extend(past.ranges().flatten().map(position));
                }
            }
            done
        }

        fn client(&self) -> BaseConsumer {
            ClientConfig::new()
                .set("bootstrap.servers", &self.brokers)
                .set("group.id", &self.topic)
                .set("enable.auto.commit", "false")
                .set("enable.partition.eof", "true")
                .set("isolation.level", "read_committed")
                .create()
                .unwrap()
        }
    }

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Position {
        topic: String,
        partition: i32,
        offset: i64,
    }

    impl Position {
        /// As the example names it in a dead letter.
        fn name(&self) -> String {
            format!("{} [{}] at {}", self.topic, self.partition, self.offset)
        }
    }

    /// A record, with the fields of a purchase.
    struct Row {
        position: Position,
        key: String,
        payload: String,
        headers: HashMap<String, String>,
    }

    impl Row {
        fn is_broken(&self) -> bool {
            self.payload.ends_with(",free")
        }

        fn items(&self) -> u64 {
            self.payload.split(',').nth(2).unwrap().parse().unwrap()
        }

        fn cents(&self) -> u64 {
            let dollars = self.payload.split(',').nth(3).unwrap();
            dollars.replace('.', "").parse().unwrap()
        }
    }

    fn text(bytes: Option<&[u8]>) -> String {
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    /// A process of the group. It is killed, at the latest, when it is dropped.
    struct Member {
        child: Child,
        stdout: ChildStdout,
        lines: Receiver<String>,
    }

    impl Member {
        fn start(mut command: Command) -> Self {
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let stdout = child.stdout.take().unwrap();
            let stderr = BufReader::new(child.stderr.take().unwrap());
            let (sender, lines) = mpsc::channel();
            thread::spawn(move || {
                for line in stderr.lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            Self {
                child,
                stdout,
                lines,
            }
        }

        /// Reads on until it says so.
        fn wait_for(&self, what: &str, is_it: impl Fn(&str) -> bool) {
            let begun = Instant::now();
            let mut said = String::new();
            while let Ok(line) = self
                .lines
                .recv_timeout(PATIENCE.saturating_sub(begun.elapsed()))
            {
                if is_it(&line) {
                    return;
                }
                said += &format!("{line}\n");
            }
            panic!("waited for {what}; it said:\n{said}");
        }

        /// Its table, once it has ended.
        fn stop(mut self) -> HashMap<String, String> {
            let signalled = Command::new("kill")
                .args(["-TERM", &self.child.id().to_string()])
                .status()
                .unwrap();
            assert!(signalled.success());
            let mut stdout = Vec::new();
            self.stdout.read_to_end(&mut stdout).unwrap();
            let status = self.child.wait().unwrap();
            let said: Vec<_> = self.lines.iter().collect();
            assert!(status.success(), "{status}: {said:#?}");
            assert!(
                said.iter().any(|line| line.starts_with("stopping")),
                "{said:#?}"
            );
            let stderr = Vec::new();
            program::table(&std::process::Output {
                status,
                stdout,
                stderr,
            })
        }

        fn kill(mut self) {
            self.child.kill().unwrap();
            let status = self.child.wait().unwrap();
            assert!(!status.success(), "it ended before its kill");
        }
    }

    impl Drop for Member {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
