//! What stands in front of the operator decides whether an offset is safe to commit. The ways that the guide warns of are
//! seen to lose data at some crash point, in some order of the handlers; those that it recommends never do.

use std::cell::RefCell;
use std::future::ready;
use std::iter;
use std::pin::pin;

use futures::channel::oneshot;
use futures::executor::block_on;
use futures::{FutureExt as _, StreamExt as _, stream};
use ordered_by_group::prelude::*;

/// What reaches the operator: what one call of the handler does.
#[derive(Clone, Debug)]
struct Work {
    group: char,
    /// The records of the log that this is done for.
    records: Vec<u64>,
    /// Everything up to this record is done, if this says so.
    offset: Option<u64>,
}

/// A record of the log, with a part for each of its groups.
struct Record {
    offset: u64,
    groups: &'static str,
}

const AGGREGATED: [Record; 3] = [
    Record {
        offset: 100,
        groups: "abc",
    },
    Record {
        offset: 101,
        groups: "a",
    },
    Record {
        offset: 105,
        groups: "db",
    },
];

const SINGLE: [Record; 6] = [
    Record {
        offset: 0,
        groups: "a",
    },
    Record {
        offset: 1,
        groups: "b",
    },
    Record {
        offset: 2,
        groups: "a",
    },
    Record {
        offset: 3,
        groups: "b",
    },
    Record {
        offset: 4,
        groups: "b",
    },
    Record {
        offset: 5,
        groups: "c",
    },
];

#[test]
fn parts_with_the_offset_of_their_record_lose_the_other_parts() {
    let parts = split(&AGGREGATED, |record, _| Some(record.offset));
    let losses = losses(&parts);
    assert!(
        losses.in_source_order > 0 && losses.by_frontier > 0,
        "{losses:?}"
    );
}

#[test]
fn parts_of_which_only_the_last_has_the_offset_of_its_record_lose_nothing() {
    let parts = split(&AGGREGATED, |record, before| {
        move_on_with_the_last(record.offset, before)
    });
    assert_eq!(losses(&parts), Losses::default());
}

#[test]
fn positions_to_read_on_at_lose_nothing_with_parts_either() {
    // Such a position is one more than what is done.
    let parts = split(&AGGREGATED, |record, part| {
        let read_on_at = record.offset + u64::from(part.is_last);
        read_on_at.checked_sub(1)
    });
    assert_eq!(losses(&parts), Losses::default());
}

#[test]
fn batches_of_a_group_with_their_last_offset_lose_those_of_other_groups() {
    let batches = batches(&SINGLE, |batch, _| batch.records.last().copied());
    let losses = losses(&batches);
    assert!(
        losses.in_source_order > 0 && losses.by_frontier > 0,
        "{losses:?}"
    );
}

#[test]
fn batches_of_which_only_the_last_has_the_offset_of_its_chunk_lose_nothing() {
    let batches = batches(&SINGLE, |_, (chunk, part)| {
        move_on_with_the_last(chunk, part)
    });
    assert_eq!(losses(&batches), Losses::default());
}

#[test]
fn behind_a_filter_the_position_stands_still() {
    let is_wanted = |n: &u64| *n == 17;
    let log = || stream::iter(0..10_000);

    let filtered = log().filter(|n| ready(is_wanted(n)));
    let filtered = filtered
        .ordered_by_group(|n| n % 7, 8)
        .offsets(|n| *n)
        .then(|_| async {});
    assert_eq!(last_offset(filtered), Some(17));

    let without_keys = log()
        .ordered_by_groups(|n| is_wanted(n).then_some(n % 7), 8)
        .offsets(|n| *n)
        .then(|_| async {});
    assert_eq!(last_offset(without_keys), Some(9_999));
}

fn last_offset(results: impl futures::Stream<Item = ((), u64)>) -> Option<u64> {
    let offsets = results.map(|((), offset)| offset);
    let last = offsets.fold(None, |_, offset| ready(Some(offset)));
    block_on(last)
}

/// Where a part stands in its record, or a batch in its chunk.
#[derive(Clone, Copy)]
struct Part {
    is_last: bool,
    /// The offset of the record or the chunk before.
    before: Option<u64>,
}

/// The rule of the guide: only the last part says that all are done.
fn move_on_with_the_last(offset: u64, part: Part) -> Option<u64> {
    if part.is_last {
        Some(offset)
    } else {
        part.before
    }
}

/// One record becomes several items.
fn split(records: &[Record], offset: impl Fn(&Record, Part) -> Option<u64>) -> Vec<Work> {
    let mut before = None;
    let mut parts = Vec::new();
    for record in records {
        let last = record.groups.len() - 1;
        parts.extend(record.groups.char_indices().map(|(n, group)| {
            let is_last = n == last;
            Work {
                group,
                records: vec![record.offset],
                offset: offset(record, Part { is_last, before }),
            }
        }));
        before = Some(record.offset);
    }
    parts
}

/// What is ready, three records here, becomes a batch for each group.
fn batches(records: &[Record], offset: impl Fn(&Work, (u64, Part)) -> Option<u64>) -> Vec<Work> {
    let mut before = None;
    let mut batches = Vec::new();
    for chunk in records.chunks(3) {
        let mut of_chunk: Vec<Work> = Vec::new();
        for record in chunk {
            let group = record.groups.chars().next().unwrap();
            match of_chunk.iter_mut().find(|batch| batch.group == group) {
                Some(batch) => batch.records.push(record.offset),
                None => of_chunk.push(Work {
                    group,
                    records: vec![record.offset],
                    offset: None,
                }),
            }
        }
        let end = chunk.last().unwrap().offset;
        let last = of_chunk.len() - 1;
        for (n, batch) in of_chunk.iter_mut().enumerate() {
            let is_last = n == last;
            batch.offset = offset(batch, (end, Part { is_last, before }));
        }
        before = Some(end);
        batches.append(&mut of_chunk);
    }
    batches
}

/// At how many crash points something is lost, over every order in which the handlers may finish.
#[derive(Debug, Default, PartialEq)]
struct Losses {
    in_source_order: usize,
    by_frontier: usize,
}

fn losses(work: &[Work]) -> Losses {
    let mut losses = Losses::default();
    for order in permutations(work.len()) {
        losses.in_source_order += lost(work, &order, false);
        losses.by_frontier += lost(work, &order, true);
    }
    losses
}

/// Commits each result as soon as it is there, and counts the commits after which a crash would lose something.
fn lost(work: &[Work], finish: &[usize], by_frontier: bool) -> usize {
    let (gates, handlers): (Vec<_>, Vec<_>) = iter::repeat_with(oneshot::channel::<()>)
        .take(work.len())
        .unzip();
    let mut gates: Vec<_> = gates.into_iter().map(Some).collect();
    let done = RefCell::new(vec![false; work.len()]);
    let ordered = stream::iter(work.iter().zip(handlers).enumerate())
        .ordered_by_group(|(_, (work, _))| work.group, 64)
        .offsets(|(_, (work, _))| work.offset);
    let handler = async |(n, (_, gate)): (usize, (&Work, oneshot::Receiver<()>))| {
        gate.await.unwrap();
        done.borrow_mut()[n] = true;
    };
    let mut committed = if by_frontier {
        let results = ordered.then_unordered(handler);
        let frontier = results.map(|((), offset)| offset.frontier().copied().flatten());
        frontier.boxed_local()
    } else {
        ordered
            .then(handler)
            .map(|((), offset)| offset)
            .boxed_local()
    };

    let mut position = None;
    let mut crashes = 0;
    for n in finish {
        gates[*n].take().unwrap().send(()).unwrap();
        while let Some(Some(offset)) = pin!(committed.next()).now_or_never() {
            position = position.max(offset);
            let done = done.borrow();
            let is_lost = work.iter().zip(&*done).any(|(work, is_done)| {
                let is_committed = |record: &u64| Some(*record) <= position;
                !is_done && work.records.iter().any(is_committed)
            });
            crashes += usize::from(is_lost);
        }
    }
    assert!(done.borrow().iter().all(|is_done| *is_done));
    assert_eq!(
        position,
        work.iter().flat_map(|work| &work.records).max().copied()
    );
    crashes
}

fn permutations(len: usize) -> Vec<Vec<usize>> {
    if len == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(len - 1);
    let insert = |at: usize| {
        shorter.iter().map(move |order| {
            let mut order = order.clone();
            order.insert(at, len - 1);
            order
        })
    };
    (0..len).flat_map(insert).collect()
}
