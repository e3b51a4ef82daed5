//! Progress: what the journals say so far.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kafka_judge::event::{Event, What};
use ordered_by_group::positions::Done;

use crate::handler::STUCK;
use crate::stage::Committed;

/// What has been produced and done so far, by whom.
pub struct Progress {
    folder: PathBuf,
    /// How much of each journal has been read.
    read: HashMap<PathBuf, u64>,
    produced: HashSet<(i32, i64)>,
    processes: HashMap<u32, Process>,
}

#[derive(Default)]
struct Process {
    first_start: Option<u64>,
    running: HashSet<(i32, i64)>,
    /// Whether the handler of a record with the key [`STUCK`] runs.
    is_stuck: bool,
    /// Whether one has ended.
    has_done_stuck: bool,
    times_done: usize,
    done: HashSet<(i32, i64)>,
    dropped: usize,
    held: BTreeSet<i32>,
    times_given_up: usize,
    /// Whether it is killed, or cut off from the broker.
    is_cut_off: bool,
}

impl Progress {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            read: HashMap::new(),
            produced: HashSet::new(),
            processes: HashMap::new(),
        }
    }

    /// Returns how many records were produced.
    pub fn produced(&self) -> usize {
        self.produced.len()
    }

    /// Returns how many records are produced, and neither committed nor done by a process that can commit them: what one that
    /// was killed or frozen has done and not committed is done again.
    pub fn unfinished(&self, committed: &Committed) -> usize {
        let committed = committed.iter().map(|(partition, (next, text))| {
            let past_it = Done::decode(*next, text).unwrap_or_default();
            (*partition, (*next, past_it))
        });
        let committed = committed.collect::<HashMap<_, _>>();
        let is_committed = |(partition, offset): &(i32, i64)| {
            let position = committed.get(partition);
            position.is_some_and(|(next, past_it)| offset < next || past_it.contains(*offset))
        };
        let is_done = |record: &(i32, i64)| {
            let mut alive = self
                .processes
                .values()
                .filter(|process| !process.is_cut_off);
            alive.any(|process| process.done.contains(record))
        };
        let unfinished = self.produced.iter();
        unfinished
            .filter(|record| !is_done(record) && !is_committed(record))
            .count()
    }

    /// Returns how often a process has done a record.
    pub fn done_by(&self, process: u32) -> usize {
        self.processes
            .get(&process)
            .map_or(0, |process| process.times_done)
    }

    /// Returns how many handlers run in a process.
    pub fn running_in(&self, process: u32) -> usize {
        self.processes
            .get(&process)
            .map_or(0, |process| process.running.len())
    }

    /// Returns whether the handler of a record with the key [`STUCK`] runs in a process.
    pub fn is_stuck(&self, process: u32) -> bool {
        let process = self.processes.get(&process);
        process.is_some_and(|process| process.is_stuck)
    }

    /// Returns whether a process has done a record with the key [`STUCK`].
    pub fn has_done_stuck(&self, process: u32) -> bool {
        let process = self.processes.get(&process);
        process.is_some_and(|process| process.has_done_stuck)
    }

    /// Returns how many handlers a process has dropped half-way.
    pub fn dropped_by(&self, process: u32) -> usize {
        self.processes
            .get(&process)
            .map_or(0, |process| process.dropped)
    }

    /// Returns the partitions that a process holds.
    pub fn held_by(&self, process: u32) -> BTreeSet<i32> {
        let process = self.processes.get(&process);
        process.map_or_else(BTreeSet::new, |process| process.held.clone())
    }

    /// Returns how often a process has given up a partition.
    pub fn given_up_by(&self, process: u32) -> usize {
        self.processes
            .get(&process)
            .map_or(0, |process| process.times_given_up)
    }

    /// Returns whether a handler runs in a process of a partition that it has given up.
    pub fn runs_what_it_gave_up(&self, process: u32) -> bool {
        self.processes.get(&process).is_some_and(|process| {
            let mut running = process.running.iter();
            running.any(|(partition, _)| !process.held.contains(partition))
        })
    }

    /// Returns when the first handler of a process began.
    pub fn first_start(&self, process: u32) -> Option<u64> {
        self.processes.get(&process)?.first_start
    }

    /// Reads what has been written since.
    pub(super) fn look(&mut self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("journal")) {
                let lines = self.new_lines(&path)?;
                for line in lines.lines() {
                    let event = line.parse::<Event>().map_err(anyhow::Error::msg);
                    let event = event.with_context(|| format!("{}: {line}", path.display()))?;
                    self.take(event);
                }
            }
        }
        Ok(())
    }

    fn new_lines(&mut self, path: &Path) -> Result<String> {
        let read = self.read.entry(path.to_owned()).or_default();
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        *read += whole as u64;
        Ok(text)
    }

    fn take(&mut self, event: Event) {
        let process = self.processes.entry(event.process).or_default();
        match event.what {
            What::Produced(record) => {
                self.produced.insert((record.partition, record.offset));
            }
            What::Start(record) => {
                process.is_stuck |= record.key == STUCK;
                process.first_start.get_or_insert(event.at);
                process.running.insert((record.partition, record.offset));
            }
            What::End(record) => {
                process.is_stuck &= record.key != STUCK;
                process.has_done_stuck |= record.key == STUCK;
                process.running.remove(&(record.partition, record.offset));
                process.times_done += 1;
                process.done.insert((record.partition, record.offset));
            }
            What::Drop(record) => {
                process.is_stuck &= record.key != STUCK;
                process.running.remove(&(record.partition, record.offset));
                process.dropped += 1;
            }
            What::Assigned(partition) => {
                process.held.insert(partition.number);
            }
            What::GivenUp(partition) => {
                process.held.remove(&partition.number);
                process.times_given_up += 1;
            }
            What::Killed | What::CutOff => process.is_cut_off = true,
            What::Reached => {
                // What it has done may be with another one now, and is done if that is so or if it is committed.
                process.done.clear();
                process.is_cut_off = false;
            }
            What::Position(_) | What::Exited => {}
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("running", &self.running.len())
            .field("done", &self.times_done)
            .field("dropped", &self.dropped)
            .field("held", &self.held)
            .field("is_cut_off", &self.is_cut_off)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("produced", &self.produced())
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}
