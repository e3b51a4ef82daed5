//! Keys: what must hold among the handlers of one key: one at a time, in the order of the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::fault::{Fault, Kind};
use crate::history::{History, Run};

/// The faults, and how long the longest overlap took of which a process could know.
pub(crate) fn judge(history: &History) -> (Vec<Fault>, u64) {
    let mut keys = BTreeMap::<_, Vec<&Run>>::new();
    for run in &history.runs {
        let record = &run.record;
        let key = (&record.topic, record.partition, &record.key);
        keys.entry(key).or_default().push(run);
    }
    let (mut faults, mut worst) = (Vec::new(), 0);
    for runs in keys.values() {
        overlaps(history, runs, &mut faults, &mut worst);
        out_of_order(runs, &mut faults);
    }
    (faults, worst)
}

/// A run that begins while others run is one fault, however many they are: the one that is excused the least.
fn overlaps(history: &History, runs: &[&Run], faults: &mut Vec<Fault>, worst: &mut u64) {
    let mut running = Vec::<&Run>::new();
    for run in runs {
        running.retain(|earlier| earlier.end > run.start);
        let overlaps = running
            .iter()
            .map(|earlier| (overlap(history, earlier, run), earlier));
        for (kind, earlier) in overlaps.clone() {
            if kind != Kind::OverlapCutOff {
                *worst = (*worst).max(run.end.min(earlier.end).saturating_sub(run.start));
            }
        }
        if let Some((kind, earlier)) = overlaps.min_by_key(|(kind, _)| *kind) {
            faults.push(Fault {
                kind,
                record: run.record.clone(),
                detail: format!(
                    "begun by {} at {} while {} handled offset {} until {}",
                    run.process, run.start, earlier.process, earlier.record.offset, earlier.end
                ),
            });
        }
        running.push(run);
    }
}

/// What it is that a run begins while another one runs.
fn overlap(history: &History, earlier: &Run, run: &Run) -> Kind {
    let is_cut_off = |of: &Run| history.cut_off_at(of.process, run.start).is_some();
    match earlier.process == run.process {
        true => Kind::OverlapWithin,
        false if is_cut_off(earlier) || is_cut_off(run) => Kind::OverlapCutOff,
        false => Kind::OverlapBetween,
    }
}

fn out_of_order(runs: &[&Run], faults: &mut Vec<Fault>) {
    let mut ends = runs.iter().filter(|run| run.is_done).collect::<Vec<_>>();
    ends.sort_by_key(|run| run.end);
    let mut ends = ends.into_iter().peekable();
    let mut done = BTreeSet::new();
    let mut begun = HashMap::<_, BTreeSet<_>>::new();
    for run in runs {
        while let Some(end) = ends.next_if(|end| end.end <= run.start) {
            done.insert(end.record.offset);
        }
        let offset = run.record.offset;
        let begun = begun.entry(run.process).or_default();
        let after = later_and_not_itself(&done, offset).map(|later| (later, "done"));
        let after = after.or(later_and_not_itself(begun, offset).map(|later| (later, "begun")));
        if let Some((later, what)) = after {
            faults.push(Fault {
                kind: Kind::OutOfOrder,
                record: run.record.clone(),
                detail: format!("begun by {} after offset {later} was {what}", run.process),
            });
        }
        begun.insert(offset);
    }
}

/// A record that is repeated comes after later ones by its nature.
fn later_and_not_itself(offsets: &BTreeSet<i64>, offset: i64) -> Option<i64> {
    let last = *offsets.last()?;
    (last > offset && !offsets.contains(&offset)).then_some(last)
}
