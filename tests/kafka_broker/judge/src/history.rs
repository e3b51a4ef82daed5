//! History: the runs of handlers, each with its begin and its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::{Event, Position, Record, What};

/// What all processes did.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) produced: BTreeSet<Record>,
    /// In the order in which they began.
    pub(crate) runs: Vec<Run>,
    /// When each process could not commit: from and until, in the order of time. One that was killed, never again.
    pub(crate) cut_off: HashMap<u32, Vec<(u64, u64)>>,
    /// The committed positions in the order in which they were seen.
    pub(crate) positions: Vec<(u64, Position)>,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) process: u32,
    pub(crate) record: Record,
    pub(crate) start: u64,
    /// `u64::MAX` if it runs still.
    pub(crate) end: u64,
    pub(crate) is_done: bool,
}

impl History {
    /// The events must be in the order of their time.
    pub(crate) fn new(events: Vec<Event>) -> Result<Self, String> {
        let mut history = Self::default();
        // The runs that have not ended, by process.
        let mut open = HashMap::<u32, Vec<usize>>::new();
        for Event { at, process, what } in events {
            match what {
                What::Produced(record) => {
                    history.produced.insert(record);
                }
                What::Start(record) => {
                    open.entry(process).or_default().push(history.runs.len());
                    history.runs.push(Run {
                        process,
                        record,
                        start: at,
                        end: u64::MAX,
                        is_done: false,
                    });
                }
                What::End(record) => history.close(&mut open, process, &record, at)?.is_done = true,
                What::Drop(record) => {
                    history.close(&mut open, process, &record, at)?;
                }
                What::Assigned(_) | What::GivenUp(_) => {}
                What::Position(position) => history.positions.push((at, position)),
                What::Killed => {
                    history.cut_off(process, at);
                    history.close_all(open.remove(&process), at);
                }
                What::CutOff => history.cut_off(process, at),
                What::Reached => {
                    let cut_off = history.cut_off.entry(process).or_default();
                    if let Some((_, until)) = cut_off.last_mut() {
                        *until = at;
                    }
                }
                What::Exited => history.close_all(open.remove(&process), at),
            }
        }
        Ok(history)
    }

    fn close(
        &mut self,
        open: &mut HashMap<u32, Vec<usize>>,
        process: u32,
        record: &Record,
        at: u64,
    ) -> Result<&mut Run, String> {
        let runs = open.entry(process).or_default();
        let place = runs
            .iter()
            .position(|run| self.runs[*run].record == *record);
        let place = place.ok_or_else(|| {
            format!("process {process} ends a handler that it has not begun: {record}")
        })?;
        let run = &mut self.runs[runs.swap_remove(place)];
        run.end = at;
        Ok(run)
    }

    fn cut_off(&mut self, process: u32, at: u64) {
        let cut_off = self.cut_off.entry(process).or_default();
        cut_off.push((at, u64::MAX));
    }

    fn close_all(&mut self, runs: Option<Vec<usize>>, at: u64) {
        for run in runs.into_iter().flatten() {
            self.runs[run].end = at;
        }
    }

    /// When a process was cut off that was so at this time, and until when.
    pub(crate) fn cut_off_at(&self, process: u32, at: u64) -> Option<(u64, u64)> {
        let mut cut_off = self.cut_off.get(&process)?.iter().copied();
        cut_off.find(|(from, until)| (*from..=*until).contains(&at))
    }

    /// The runs of each record that were done, in the order in which they ended.
    pub(crate) fn done(&self) -> BTreeMap<&Record, Vec<&Run>> {
        let mut done = BTreeMap::<_, Vec<_>>::new();
        for run in self.runs.iter().filter(|run| run.is_done) {
            done.entry(&run.record).or_default().push(run);
        }
        for runs in done.values_mut() {
            runs.sort_by_key(|run| run.end);
        }
        done
    }
}
