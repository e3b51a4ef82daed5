//! Verdict: all faults, counted, and said in one line.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::event::Event;
use crate::fault::{Fault, Kind};
use crate::history::History;
use crate::{keys, positions, repeats};

/// What the judge found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many records were produced.
    pub produced: usize,
    /// How many of them were done, at least once.
    pub done: usize,
    /// How many records no committed position is past, at last.
    pub uncommitted: usize,
    /// How many handlers were dropped or killed half-way.
    pub half_run: usize,
    /// The longest time during which two handlers of one key ran at once. Not those that are excused, as
    /// [`OverlapCutOff`](Kind::OverlapCutOff).
    pub worst_overlap: Duration,
    /// How long before it was killed or cut off a process had done the oldest record that was repeated because of it.
    pub oldest_repeat: Duration,
    /// Everything that must not be, and what is excused: [`TwiceCutOff`](Kind::TwiceCutOff) and
    /// [`OverlapCutOff`](Kind::OverlapCutOff).
    pub faults: Vec<Fault>,
}

/// Judges events in the order of their time.
///
/// # Errors
///
/// If they cannot be true: a handler ends that has not begun.
pub fn judge(events: Vec<Event>) -> Result<Verdict, String> {
    let history = History::new(events)?;
    let (mut faults, worst) = keys::judge(&history);
    let (repeats, oldest) = repeats::judge(&history);
    faults.extend(repeats);
    faults.extend(positions::judge(&history));
    faults.extend(unknown(&history));
    let done = history.done();
    let done = done
        .keys()
        .filter(|record| history.produced.contains(**record));
    Ok(Verdict {
        produced: history.produced.len(),
        done: done.count(),
        uncommitted: positions::uncommitted(&history),
        half_run: history.runs.iter().filter(|run| !run.is_done).count(),
        worst_overlap: Duration::from_nanos(worst),
        oldest_repeat: Duration::from_nanos(oldest),
        faults,
    })
}

impl Verdict {
    /// Returns how many faults are of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.of(kind).count()
    }

    /// Returns the faults of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(move |fault| fault.kind == kind)
    }

    /// Returns the faults that no process may have, cut off or not: all but [`TwiceCutOff`](Kind::TwiceCutOff) and
    /// [`OverlapCutOff`](Kind::OverlapCutOff).
    pub fn inexcusable(&self) -> impl Iterator<Item = &Fault> {
        let excused = [Kind::TwiceCutOff, Kind::OverlapCutOff];
        let faults = self.faults.iter();
        faults.filter(move |fault| !excused.contains(&fault.kind))
    }
}

fn unknown(history: &History) -> Vec<Fault> {
    let handled = history.runs.iter().map(|run| &run.record);
    let handled = handled.collect::<BTreeSet<_>>();
    let unknown = handled
        .into_iter()
        .filter(|record| !history.produced.contains(*record));
    let faults = unknown.map(|record| Fault {
        kind: Kind::Unknown,
        record: record.clone(),
        detail: "handled, but not produced".to_owned(),
    });
    faults.collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lost, missing, early] =
            [Kind::Lost, Kind::Missing, Kind::CommittedEarly].map(|kind| self.count(kind));
        let [between, within] =
            [Kind::OverlapBetween, Kind::OverlapWithin].map(|kind| self.count(kind));
        let [order, clean, cut_off] =
            [Kind::OutOfOrder, Kind::TwiceClean, Kind::TwiceCutOff].map(|kind| self.count(kind));
        write!(
            f,
            "produced {}, done {}, lost {lost}, missing {missing}, uncommitted {}, committed early {early}",
            self.produced, self.done, self.uncommitted
        )?;
        write!(f, ", overlaps {between} between + {within} within")?;
        if between + within > 0 {
            write!(f, " (worst {} ms)", self.worst_overlap.as_millis())?;
        }
        match self.count(Kind::OverlapCutOff) {
            0 => {}
            cut_off => write!(f, " + {cut_off} cut off")?,
        }
        write!(
            f,
            ", out of order {order}, twice {clean} clean + {cut_off} cut off"
        )?;
        if cut_off > 0 {
            let oldest = self.oldest_repeat.as_secs_f64();
            write!(f, " (done at most {oldest:.1} s before)")?;
        }
        let [back, unknown] = [Kind::WentBack, Kind::Unknown].map(|kind| self.count(kind));
        write!(
            f,
            ", went back {back}, unknown {unknown}, half-run {}",
            self.half_run
        )
    }
}
