//! Stage: a topic and a group of its own, the processes that come and go, and what they write down.

mod outputs;
mod positions;
mod process;
mod progress;
mod topic;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kafka_judge::Verdict;
use kafka_judge::event::What;
use tempfile::TempDir;

pub use self::positions::Committed;
use self::positions::Watch;
use self::process::Process;
pub use self::progress::Progress;
use crate::journal::Journal;

/// How often a condition is looked at that is waited for.
const BEAT: Duration = Duration::from_millis(20);

/// A process that is to end has so long.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Where the processes of one scenario meet.
///
/// All of them are killed when it is dropped. The journals are kept if that happens in a panic.
#[derive(Debug)]
pub struct Stage {
    brokers: String,
    topic: String,
    partitions: u32,
    folder: Option<TempDir>,
    journal: Journal,
    watch: Watch,
    progress: Progress,
    processes: Vec<Process>,
    started: usize,
}

impl Stage {
    /// Makes a topic, and begins to watch what its group commits.
    pub fn new(brokers: &str, name: &str, partitions: u32) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("kafka-{name}-"))
            .tempdir()?;
        // Like the folder, so that no other run on this broker has it.
        let unique = folder.path().file_name().unwrap_or_default();
        let topic = unique.to_string_lossy().into_owned();
        topic::create(brokers, &topic, partitions)
            .with_context(|| format!("the topic {topic} cannot be made on {brokers}"))?;
        let path = |name: &str| folder.path().join(name).with_extension("journal");
        Ok(Self {
            journal: Journal::open(&path("stage"))?,
            watch: Watch::start(brokers, &topic, partitions, &path("positions"))?,
            progress: Progress::new(folder.path()),
            brokers: brokers.to_owned(),
            topic,
            partitions,
            folder: Some(folder),
            processes: Vec::new(),
            started: 0,
        })
    }

    /// Makes another topic with as many partitions, and returns its name.
    pub fn add_topic(&self, name: &str) -> Result<String> {
        let topic = format!("{}-{name}", self.topic);
        topic::create(&self.brokers, &topic, self.partitions)?;
        Ok(topic)
    }

    /// Starts a producer with more arguments, and returns its process id.
    pub fn start_producer(&mut self, program: &Path, args: &[&str]) -> Result<u32> {
        let partitions = self.partitions.to_string();
        let args = [&["--partitions", &partitions], args].concat();
        self.start(program, &args)
    }

    /// Starts a member of the group with more arguments, and returns its process id.
    pub fn start_member(&mut self, program: &Path, args: &[&str]) -> Result<u32> {
        let topic = self.topic.clone();
        let args = [&["--group", &topic], args].concat();
        self.start(program, &args)
    }

    fn start(&mut self, program: &Path, args: &[&str]) -> Result<u32> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let path = self.folder()?.join(format!("{name}-{}", self.started));
        self.started += 1;
        let common = [
            "--brokers".into(),
            OsString::from(&self.brokers),
            "--topic".into(),
            OsString::from(&self.topic),
            "--journal".into(),
            path.with_extension("journal").into(),
        ];
        let args = common.into_iter().chain(args.iter().map(OsString::from));
        let process = Process::start(program, args, &path.with_extension("stderr"))?;
        let id = process.id();
        self.processes.push(process);
        Ok(id)
    }

    /// Asks a process to end with SIGTERM, waits for it, and returns how long it took.
    ///
    /// # Errors
    ///
    /// If it does not end within a minute, or not well.
    pub fn terminate(&mut self, id: u32) -> Result<Duration> {
        let begun = Instant::now();
        let mut process = self.take(id)?;
        process.terminate()?;
        let status = self.end_of(&mut process)?;
        if !status.success() {
            bail!("{process} ended with {status}: {}", process.last_words());
        }
        Ok(begun.elapsed())
    }

    /// Waits for a process to end by itself.
    pub fn ended(&mut self, id: u32) -> Result<()> {
        let mut process = self.take(id)?;
        let status = process.wait()?;
        self.journal.write_for(id, What::Exited);
        if !status.success() {
            bail!("{process} ended with {status}: {}", process.last_words());
        }
        Ok(())
    }

    /// Waits for a process to end by itself, and not well. Returns its last words.
    ///
    /// # Errors
    ///
    /// If it does not end within a minute, or well.
    pub fn failed(&mut self, id: u32) -> Result<String> {
        let mut process = self.take(id)?;
        let status = self.end_of(&mut process)?;
        ensure!(!status.success(), "{process} has not failed");
        Ok(process.last_words())
    }

    /// Kills a process as `kill -9` does.
    pub fn kill(&mut self, id: u32) -> Result<()> {
        let mut process = self.take(id)?;
        // Killed at once, it could end a handler between the line in the journal and its death. And a line after its
        // death could be so late that another member has begun: that is no overlap.
        process.freeze()?;
        self.journal.write_for(id, What::Killed);
        process.kill()
    }

    /// Freezes a process: it does not notice how the time passes. It is cut off from the broker until it says that it has
    /// [given up](Progress::given_up_by) what it had, and this is [written down](Self::write).
    pub fn freeze(&mut self, id: u32) -> Result<()> {
        self.process(id)?.freeze()?;
        self.journal.write_for(id, What::CutOff);
        Ok(())
    }

    /// Lets a process go on that is frozen.
    pub fn wake(&mut self, id: u32) -> Result<()> {
        self.process(id)?.wake()
    }

    /// Writes down that the broker goes away, or is there again, for a process.
    pub fn write(&self, id: u32, what: What) {
        self.journal.write_for(id, what);
    }

    /// Waits until a condition holds of what was written down so far.
    ///
    /// # Errors
    ///
    /// If it does not hold in time, or a process ends meanwhile. The error contains `what` is waited for.
    pub fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Progress, &Committed) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.progress.look()?;
            if holds(&self.progress, &self.watch.committed()) {
                return Ok(());
            }
            for process in &mut self.processes {
                if let Some(status) = process.ended()? {
                    let words = process.last_words();
                    bail!("{process} ended with {status}, waiting until {what}: {words}");
                }
            }
            if begun.elapsed() > within {
                let processes = self.processes.iter();
                let words = processes.map(|process| format!("{process}: {}", process.last_words()));
                let words = words.collect::<Vec<_>>();
                let (progress, committed) = (&self.progress, self.watch.committed());
                bail!("waited {within:?} until {what}: {progress:?}, {committed:?}, {words:#?}");
            }
            thread::sleep(BEAT);
        }
    }

    /// Waits until a process has done so many records.
    pub fn until_done_by(&mut self, id: u32, records: usize, within: Duration) -> Result<()> {
        let what = format!("process {id} has done {records}");
        self.until(&what, within, |progress, _| progress.done_by(id) >= records)
    }

    /// Waits until members hold all partitions, and each of them holds some. They are not shared out anew then, unless
    /// members come or go.
    pub fn until_shared_out(&mut self, members: &[u32], within: Duration) -> Result<()> {
        let partitions = self.partitions as usize;
        self.until("the partitions are shared out", within, |progress, _| {
            let held = members.iter().map(|member| progress.held_by(*member).len());
            held.clone().all(|held| held > 0) && held.sum::<usize>() == partitions
        })
    }

    /// Waits until everything that was produced is done.
    pub fn until_all_done(&mut self, within: Duration) -> Result<()> {
        self.until("all is done", within, |progress, committed| {
            progress.produced() > 0 && progress.unfinished(committed) == 0
        })
    }

    /// Waits until everything that was produced is committed.
    pub fn until_all_committed(&mut self, within: Duration) -> Result<()> {
        self.until("all is committed", within, |progress, committed| {
            let next = committed.values().map(|(next, _)| *next);
            progress.produced() as i64 == next.sum::<i64>()
        })
    }

    /// Returns the partitions that a process holds.
    pub fn held_by(&mut self, id: u32) -> Result<BTreeSet<i32>> {
        self.progress.look()?;
        Ok(self.progress.held_by(id))
    }

    /// Returns how often a process has given up a partition.
    pub fn given_up_by(&mut self, id: u32) -> Result<usize> {
        self.progress.look()?;
        Ok(self.progress.given_up_by(id))
    }

    /// Returns how often a process has done a record.
    pub fn done_by(&mut self, id: u32) -> Result<usize> {
        self.progress.look()?;
        Ok(self.progress.done_by(id))
    }

    /// Returns how many records are produced so far.
    pub fn produced(&mut self) -> Result<usize> {
        self.progress.look()?;
        Ok(self.progress.produced())
    }

    /// Returns how long a process took from its start to its first handler.
    pub fn joined_after(&mut self, id: u32) -> Result<Duration> {
        self.progress.look()?;
        let process = self.process(id)?;
        let first = self.progress.first_start(id);
        let first = first.with_context(|| format!("{process} has handled nothing"))?;
        Ok(Duration::from_nanos(
            first.saturating_sub(process.started()),
        ))
    }

    /// Judges all that was written down. Call it when all processes have ended.
    pub fn verdict(&mut self) -> Result<Verdict> {
        if let Some(process) = self.processes.first() {
            bail!("{process} has not ended");
        }
        self.watch.stop()?;
        let events = kafka_judge::read(self.folder()?)?;
        kafka_judge::judge(events).map_err(anyhow::Error::msg)
    }

    /// Judges what a reader sees of the outputs: each is to be there once, in the order of its key.
    pub fn verdict_of_outputs(&mut self, topic: &str) -> Result<Verdict> {
        self.watch.stop()?;
        let events = kafka_judge::read(self.folder()?)?;
        let outputs = outputs::read(&self.brokers, topic, self.partitions)?;
        // When they were written is not known: before the positions, with which they were committed.
        let (positions, rest) = events
            .into_iter()
            .partition::<Vec<_>, _>(|event| matches!(event.what, What::Position(_)));
        let produced = rest
            .into_iter()
            .filter(|event| matches!(event.what, What::Produced(_)));
        let events = produced.chain(outputs).chain(positions).collect();
        kafka_judge::judge(events).map_err(anyhow::Error::msg)
    }

    fn end_of(&self, process: &mut Process) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = process.ended()? {
                self.journal.write_for(process.id(), What::Exited);
                return Ok(status);
            }
            if begun.elapsed() > ENDS_WITHIN {
                bail!("{process} has not ended within {ENDS_WITHIN:?}");
            }
            thread::sleep(BEAT);
        }
    }

    fn process(&self, id: u32) -> Result<&Process> {
        let process = self.processes.iter().find(|process| process.id() == id);
        process.with_context(|| format!("process {id} has ended"))
    }

    fn take(&mut self, id: u32) -> Result<Process> {
        let mut processes = self.processes.iter();
        let place = processes.position(|process| process.id() == id);
        let place = place.with_context(|| format!("there is no process {id}"))?;
        Ok(self.processes.swap_remove(place))
    }

    fn folder(&self) -> Result<&Path> {
        let folder = self.folder.as_ref().context("the folder is gone")?;
        Ok(folder.path())
    }

    fn keep(&mut self) -> Option<PathBuf> {
        self.folder.take().map(TempDir::keep)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(folder) = self.keep()
        {
            eprintln!("the journals are kept in {}", folder.display());
        }
    }
}
