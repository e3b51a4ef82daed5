//! Positions: what was committed, beside what was done.

use std::collections::BTreeMap;

use crate::event::Record;
use crate::fault::{Fault, Kind};
use crate::history::History;

pub(crate) fn judge(history: &History) -> Vec<Fault> {
    let mut faults = Vec::new();
    // For each partition, the positions that were past all before them, and when they were seen first.
    let mut passed = BTreeMap::<_, Vec<(i64, u64)>>::new();
    for (at, position) in &history.positions {
        let partition = (position.topic.as_str(), position.partition);
        let passed = passed.entry(partition).or_default();
        match passed.last() {
            Some((highest, _)) if position.next < *highest => faults.push(Fault {
                kind: Kind::WentBack,
                record: Record {
                    topic: position.topic.clone(),
                    partition: position.partition,
                    offset: position.next,
                    key: "-".to_owned(),
                },
                detail: format!("committed after {highest}, at {at}"),
            }),
            Some((highest, _)) if position.next == *highest => {}
            _ => passed.push((position.next, *at)),
        }
    }
    let done = history.done();
    for record in &history.produced {
        let partition = (record.topic.as_str(), record.partition);
        let passed = passed.get(&partition).map_or(&[][..], Vec::as_slice);
        let first = passed.partition_point(|(next, _)| *next <= record.offset);
        let passed = passed.get(first).map(|(_, at)| *at);
        let done = done.get(record).map(|runs| runs[0].end);
        let (kind, detail) = match (done, passed) {
            (None, Some(at)) => (Kind::Lost, format!("committed at {at}, never done")),
            (None, None) => (Kind::Missing, "neither done nor committed".to_owned()),
            (Some(done), Some(at)) if at < done => {
                let detail = format!("committed at {at}, done at {done}");
                (Kind::CommittedEarly, detail)
            }
            _ => continue,
        };
        faults.push(Fault {
            kind,
            record: record.clone(),
            detail,
        });
    }
    faults
}

pub(crate) fn uncommitted(history: &History) -> usize {
    let mut last = BTreeMap::new();
    for (_, position) in &history.positions {
        let partition = (position.topic.as_str(), position.partition);
        last.insert(partition, position.next);
    }
    let produced = history.produced.iter();
    let uncommitted = produced.filter(|record| {
        let partition = (record.topic.as_str(), record.partition);
        last.get(&partition)
            .is_none_or(|next| *next <= record.offset)
    });
    uncommitted.count()
}
