//! Random logs, reads, completions in any order, commits that fail or whose answer is lost, drains, fences and leases that
//! follow each other, against a model that looks at every offset. After each step, the process is killed on trial: the next
//! one must do all that was not done, and nothing that was committed. A failure message carries the shrunk input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ordered_by_group::positions::{Commit, Done, Drain, Lease, Position};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Clone, Debug)]
enum Step {
    /// Reads so many more.
    Read(usize),
    /// Reads again what was read before.
    ReadAgain(Index),
    /// Settles an item, also one of an earlier lease.
    Settle(Index, bool),
    /// Drops all positions of an item.
    Drop(Index),
    Commit {
        is_written: bool,
        is_confirmed: bool,
        max_chars: usize,
    },
    Drain(Drain),
    Fence,
    /// The partition is given up and given back. If it is not fenced, its handlers go on.
    NextLease {
        is_fenced: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    InFlight,
    Done,
    Left,
}

/// A position, and what is done past it.
type Said = (i64, Vec<i64>);

/// What a lease is to know.
struct Known {
    next: Option<i64>,
    /// Done by an earlier lease.
    before: BTreeSet<i64>,
    read: BTreeMap<i64, State>,
    drains: bool,
    is_fenced: bool,
}

struct World {
    log: Vec<i64>,
    lease: Arc<Lease<()>>,
    known: Known,
    /// Positions with the lease they are of, the newest last.
    positions: Vec<Position<()>>,
    /// What was done before the fence of its lease.
    done: BTreeSet<i64>,
    written: Option<(i64, String)>,
    /// What was done according to what is written.
    safe: BTreeSet<i64>,
    /// The last commit that was confirmed, by its number: what it said.
    confirmed: (usize, Option<Said>),
    unconfirmed: Option<(Commit, usize, Option<Said>)>,
    commits: usize,
}

impl World {
    fn new(log: Vec<i64>) -> Self {
        let (lease, known) = resumed(&None, &log);
        Self {
            confirmed: (0, None),
            commits: 0,
            log,
            lease,
            known,
            positions: Vec::new(),
            done: BTreeSet::new(),
            written: None,
            safe: BTreeSet::new(),
            unconfirmed: None,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(count) => {
                let last = self.known.read.last_key_value().map(|(last, _)| *last);
                let unread = self.log.iter().filter(|offset| Some(**offset) > last);
                let unread: Vec<_> = unread.take(count).copied().collect();
                unread.into_iter().for_each(|offset| self.read(offset));
            }
            Step::ReadAgain(index) if !self.known.read.is_empty() => {
                let read: Vec<_> = self.known.read.keys().collect();
                assert_eq!(self.lease.read(**index.get(&read)), None);
            }
            Step::Settle(index, done) if !self.positions.is_empty() => {
                let position = index.get(&self.positions).clone();
                self.becomes(&position, if done { State::Done } else { State::Left });
                position.settle(done);
            }
            Step::Drop(index) if !self.positions.is_empty() => {
                let position = index.get(&self.positions).clone();
                self.becomes(&position, State::Left);
                self.positions.retain(|other| *other != position);
            }
            Step::Commit {
                is_written,
                is_confirmed,
                max_chars,
            } => {
                self.commit(is_written, is_confirmed, max_chars);
            }
            Step::Drain(how) => {
                self.lease.drain(how);
                self.known.drains = true;
            }
            Step::Fence => {
                self.lease.fence();
                self.known.is_fenced = true;
            }
            Step::NextLease { is_fenced } => {
                if is_fenced {
                    self.lease.fence();
                }
                (self.lease, self.known) = resumed(&self.written, &self.log);
                self.confirmed = (self.commits, self.known.to_commit(&self.log));
                self.unconfirmed = None;
            }
            Step::ReadAgain(_) | Step::Settle(..) | Step::Drop(_) => {}
        }
    }

    fn read(&mut self, offset: i64) {
        let known = &mut self.known;
        let position = self.lease.read(offset);
        if known.drains || known.is_fenced {
            assert_eq!(position, None);
            return;
        }
        if known.next.is_some_and(|next| offset < next) {
            assert_eq!(position, None);
            assert!(self.done.contains(&offset), "{offset} is lost");
            return;
        }
        known.next.get_or_insert(offset);
        let was_done = known.before.contains(&offset);
        assert_eq!(position.is_none(), was_done, "{offset}");
        let state = if was_done {
            State::Done
        } else {
            State::InFlight
        };
        known.read.insert(offset, state);
        self.positions.extend(position);
    }

    fn becomes(&mut self, position: &Position<()>, state: State) {
        let is_of_this = position.epoch() == self.lease.epoch();
        let Some(own) = self.known.read.get_mut(&position.offset()) else {
            return;
        };
        if is_of_this && *own == State::InFlight && !self.known.is_fenced {
            *own = state;
            if state == State::Done {
                self.done.insert(position.offset());
            }
        }
    }

    fn commit(&mut self, is_written: bool, is_confirmed: bool, max_chars: usize) {
        let Some(commit) = self.lease.commit() else {
            return;
        };
        if is_written {
            let text = commit.done.encode(max_chars);
            assert!(text.len() <= max_chars);
            self.safe = self
                .log
                .iter()
                .copied()
                .filter(|offset| *offset < commit.next)
                .collect();
            // What is done past it and fits, which is the low end of it.
            let fits = Done::decode(commit.next, &text).expect("a text of ours");
            let done = || {
                self.log
                    .iter()
                    .copied()
                    .filter(|offset| commit.done.contains(*offset))
            };
            let kept: Vec<_> = done().take_while(|offset| fits.contains(*offset)).collect();
            assert_eq!(
                kept,
                done()
                    .filter(|offset| fits.contains(*offset))
                    .collect::<Vec<_>>()
            );
            assert!(
                self.log
                    .iter()
                    .all(|offset| commit.done.contains(*offset) || !fits.contains(*offset))
            );
            assert!(max_chars < 1_000 || fits == commit.done);
            self.safe.extend(kept);
            self.written = Some((commit.next, text));
        }
        self.commits += 1;
        let said = self.known.to_commit(&self.log);
        if is_written && is_confirmed {
            self.lease.confirm(&commit);
            self.confirmed = (self.commits, said);
        } else if is_written {
            self.unconfirmed = Some((commit, self.commits, said)); // the answer is lost
        } else if let Some((older, number, said)) = self.unconfirmed.take() {
            // The answer is late. What has changed since stays due.
            self.lease.confirm(&older);
            if number > self.confirmed.0 {
                self.confirmed = (number, said);
            }
        }
    }

    fn check(&self) {
        let in_flight = |state| {
            self.known
                .read
                .values()
                .filter(|own| **own == state)
                .count()
        };
        let running = if self.known.is_fenced {
            0
        } else {
            in_flight(State::InFlight)
        };
        assert_eq!(self.lease.in_flight(), running);
        assert_eq!(self.lease.left(), in_flight(State::Left));

        let expected = self.known.to_commit(&self.log);
        assert_eq!(self.lease.next(), expected.as_ref().map(|(next, _)| *next));
        match self.lease.commit() {
            None => assert_eq!(self.confirmed.1, expected),
            Some(commit) => {
                let done = self
                    .log
                    .iter()
                    .copied()
                    .filter(|offset| commit.done.contains(*offset));
                assert_eq!(Some((commit.next, done.collect())), expected);
            }
        }
    }

    /// What happens if the process is killed now.
    fn check_crash(&self) {
        let (lease, _) = resumed(&self.written, &self.log);
        for offset in &self.log {
            let is_handed_out = lease.read(*offset).is_some();
            assert!(
                is_handed_out || self.done.contains(offset),
                "{offset} is lost"
            );
            assert_eq!(is_handed_out, !self.safe.contains(offset), "{offset}");
        }
    }
}

impl Known {
    /// The position, and what is done past it, of what the log has.
    fn to_commit(&self, log: &[i64]) -> Option<Said> {
        let mut next = self.next?;
        for (offset, _) in self
            .read
            .iter()
            .take_while(|(_, state)| **state == State::Done)
        {
            next = offset.saturating_add(1);
        }
        let last = self.read.last_key_value().map(|(last, _)| *last);
        let is_done = |offset: &i64| match self.read.get(offset) {
            Some(state) => *state == State::Done,
            None => Some(*offset) > last && self.before.contains(offset),
        };
        let past = log
            .iter()
            .copied()
            .filter(|offset| *offset >= next && is_done(offset));
        Some((next, past.collect()))
    }
}

/// The lease after what is written, and what it is to know.
fn resumed(written: &Option<(i64, String)>, log: &[i64]) -> (Arc<Lease<()>>, Known) {
    let next = written.as_ref().map(|(next, _)| *next);
    let done = written.as_ref().map_or_else(Done::default, |(next, text)| {
        Done::decode(*next, text).expect("a text of ours")
    });
    let known = Known {
        next,
        before: log
            .iter()
            .copied()
            .filter(|offset| done.contains(*offset))
            .collect(),
        read: BTreeMap::new(),
        drains: false,
        is_fenced: false,
    };
    (Lease::new((), next, done), known)
}

/// Offsets that rise with gaps, around 0 or at one of the ends of what there can be.
fn log() -> impl Strategy<Value = Vec<i64>> {
    let gap = prop_oneof![6 => Just(0), 3 => 1..4_u64, 1 => 0..10_000_u64, 1 => any::<u64>().prop_map(|gap| gap / 16)];
    let begin = prop_oneof![3 => -5..5_i64, 1 => Just(i64::MIN), 1 => i64::MAX - 60..i64::MAX];
    (begin, vec(gap, 1..60)).prop_map(|(begin, gaps)| {
        let mut log = vec![begin];
        for gap in gaps {
            let next = log[log.len() - 1].checked_add_unsigned(gap);
            log.extend(next.and_then(|next| next.checked_add(1)));
        }
        log.dedup();
        log
    })
}

fn step() -> impl Strategy<Value = Step> {
    let drain = prop_oneof![Just(Drain::Running), Just(Drain::Admitted)];
    let max_chars = prop_oneof![1 => 0..60_usize, 2 => Just(1_000)];
    let commit = (
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.8),
        max_chars,
    )
        .prop_map(|(is_written, is_confirmed, max_chars)| Step::Commit {
            is_written,
            is_confirmed,
            max_chars,
        });
    prop_oneof![
        12 => (1..12_usize).prop_map(Step::Read),
        2 => any::<Index>().prop_map(Step::ReadAgain),
        40 => (any::<Index>(), prop::bool::weighted(0.95)).prop_map(|(index, done)| Step::Settle(index, done)),
        1 => any::<Index>().prop_map(Step::Drop),
        10 => commit,
        1 => drain.prop_map(Step::Drain),
        1 => Just(Step::Fence),
        4 => any::<bool>().prop_map(|is_fenced| Step::NextLease { is_fenced }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_lost_and_what_was_committed_is_not_done_again(log in log(), steps in vec(step(), 1..120)) {
        let mut world = World::new(log);
        for step in steps {
            world.step(step);
            world.check();
            world.check_crash();
        }
        // Leases without end, each of them well: at last all is done.
        world.step(Step::NextLease { is_fenced: true });
        world.step(Step::Read(usize::MAX));
        for position in std::mem::take(&mut world.positions) {
            world.becomes(&position, State::Done);
            position.settle(true);
        }
        world.check();
        prop_assert_eq!(world.done.len(), world.log.len());
        world.step(Step::Commit { is_written: true, is_confirmed: true, max_chars: 1_000 });
        world.check_crash();
        let (next, _) = world.written.expect("at least the position where it began");
        prop_assert_eq!(next, world.log[world.log.len() - 1].saturating_add(1));
    }
}
