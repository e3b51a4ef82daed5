//! Repeats: what was done more than once.

use crate::fault::{Fault, Kind};
use crate::history::{History, Run};

/// The faults, and how long before it was cut off a process had done the oldest record that was repeated because of it.
pub(crate) fn judge(history: &History) -> (Vec<Fault>, u64) {
    let (mut faults, mut oldest) = (Vec::new(), 0);
    for (record, runs) in history.done() {
        for pair in runs.windows(2) {
            let [before, again] = [pair[0], pair[1]];
            let cut_off = cut_off_between(history, before, again);
            if let Some(at) = cut_off {
                oldest = oldest.max(at.saturating_sub(before.end));
            }
            faults.push(Fault {
                kind: match cut_off {
                    Some(_) => Kind::TwiceCutOff,
                    None => Kind::TwiceClean,
                },
                record: record.clone(),
                detail: format!(
                    "done by {} at {}, again by {} at {}",
                    before.process, before.end, again.process, again.end
                ),
            });
        }
    }
    (faults, oldest)
}

/// When a process was cut off that had done a record, and could not commit it before it was done again. Or that did it
/// again, and could not know that it was done.
fn cut_off_between(history: &History, before: &Run, again: &Run) -> Option<u64> {
    let cut_off = history.cut_off.get(&before.process);
    let mut cut_off = cut_off.into_iter().flatten();
    let could_not_commit =
        cut_off.find(|(from, until)| *from <= again.start && before.end <= *until);
    let could_not_know = || {
        let cut_off = history.cut_off_at(again.process, before.end)?;
        (again.start <= cut_off.1).then_some(cut_off)
    };
    let found = could_not_commit.copied().or_else(could_not_know);
    found.map(|(from, _)| from)
}
