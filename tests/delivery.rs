//! What a crash can repeat and what it can lose, for every verb and every time to commit: every interleaving of eight
//! items in three groups, crashed at every point and resumed. What is computed is the table in `src/guide/delivery.md`.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::rc::Rc;
use std::task::Poll;

use futures::FutureExt as _;

use self::support::{Feed, Gates, Handed, Setup, Task, VERBS, Verb, advance, items};

const ITEMS: u32 = 8;

/// The groups of the items.
const GROUPS: [u32; ITEMS as usize] = [0, 0, 0, 1, 2, 1, 2, 1];

/// `max_parallel` and `look_ahead`; the last takes long, and is for `then` and `then_unordered` alone.
const LIMITS: [(usize, usize); 3] = [(2, 3), (2, 4), (3, 4)];

/// So wide that the handlers of the groups finish in every order: eight items in groups of three, three and two.
const WIDE: (usize, usize) = (3, 8);
const INTERLEAVINGS: usize = 40_320 / (6 * 6 * 2);

/// What is committed, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    /// The offset that comes out with a result, as a position.
    Offset,
    /// The frontier that comes out with a result, as a position.
    Frontier,
    /// The message whose result came out.
    Acknowledgement,
    /// The position of what is read, before the operator has it.
    PositionFirst,
    /// The message, as the first thing in its handler.
    AcknowledgementFirst,
    /// The mistake that the types do not let happen: the offset of an item that came out of order, as a position.
    UnorderedOffset,
}

impl Commit {
    fn comes_first(self) -> bool {
        matches!(self, Self::PositionFirst | Self::AcknowledgementFirst)
    }
}

/// How far an item had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Unread,
    /// Its position was committed, and it was not admitted.
    Read,
    Waiting,
    Running,
    Finished,
    HandedOver,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unread => "unread",
            Self::Read => "read",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::HandedOver => "handed over",
        })
    }
}

/// What outlives a crash, and what a witness saw.
#[derive(Clone, Debug, Default)]
struct World {
    position: Option<u32>,
    acknowledged: BTreeSet<u32>,
    /// Whose work began and whose work was done, in that order.
    begun: Vec<u32>,
    done: Vec<u32>,
    handed_over: Vec<u32>,
}

impl World {
    /// What is read after a crash.
    fn unread(&self) -> Vec<u32> {
        let is_past = |item: &u32| self.position.is_none_or(|position| *item > position);
        (0..ITEMS)
            .filter(|item| is_past(item) && !self.acknowledged.contains(item))
            .collect()
    }

    fn has_committed(&self, item: u32) -> bool {
        self.position.is_some_and(|position| item <= position) || self.acknowledged.contains(&item)
    }
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The position of the next item is committed, and the item is on its way.
    Read(u32),
    /// The handler of an item has acknowledged it, and begins its work.
    Begins(u32),
    /// The handler of an item has finished.
    Finishes(u32),
    /// The result in the hand of the consumer is dealt with, and committed.
    Commits(Handed),
}

/// One life of the process.
struct Process {
    commit: Commit,
    world: Rc<RefCell<World>>,
    feed: Feed<Result<u32, u32>>,
    work: Gates,
    acknowledging: Gates,
    task: Task,
    to_read: Vec<u32>,
    in_hand: Option<Handed>,
    has_ended: bool,
}

impl Process {
    fn start(verb: Verb, commit: Commit, limits: (usize, usize), world: World) -> Self {
        let mut to_read = world.unread();
        to_read.reverse();
        let world = Rc::new(RefCell::new(world));
        let feed = items([]);
        if commit != Commit::PositionFirst {
            while let Some(item) = to_read.pop() {
                feed.push(Ok(item));
            }
        }
        if to_read.is_empty() {
            feed.close();
        }
        let group = |item: u32| GROUPS[item as usize];
        let (work, acknowledging) = (Gates::new(group), Gates::new(group));
        let handler = {
            let (world, work) = (Rc::clone(&world), work.clone());
            let acknowledging = acknowledging.clone();
            move |item| {
                let (world, work) = (Rc::clone(&world), work.clone());
                let first =
                    (commit == Commit::AcknowledgementFirst).then(|| acknowledging.handle(item));
                async move {
                    if let Some(acknowledging) = first {
                        acknowledging.await?;
                    }
                    world.borrow_mut().begun.push(item);
                    work.handle(item).await?;
                    world.borrow_mut().done.push(item);
                    Ok(item)
                }
                .boxed_local()
            }
        };
        let task = Setup::new(verb, limits.0)
            .look_ahead(limits.1)
            .key(group)
            .handler(handler)
            .spawn(&feed, &work);
        let mut process = Self {
            commit,
            world,
            feed,
            work,
            acknowledging,
            task,
            to_read,
            in_hand: None,
            has_ended: false,
        };
        process.go_on();
        process
    }

    /// All that may happen next.
    fn events(&self) -> Vec<Event> {
        let read = self.to_read.last().filter(|_| self.feed.is_dry());
        let read = read.map(|item| Event::Read(*item));
        let begins = self.acknowledging.running().into_iter().map(Event::Begins);
        let finishes = self.work.running().into_iter().map(Event::Finishes);
        let commits = self.in_hand.map(Event::Commits);
        read.into_iter()
            .chain(begins)
            .chain(finishes)
            .chain(commits)
            .collect()
    }

    /// Something happens, and the operator has not heard of it.
    fn happen(&mut self, event: Event) {
        let mut world = self.world.borrow_mut();
        match event {
            Event::Read(item) => world.position = Some(item),
            Event::Begins(item) => {
                world.acknowledged.insert(item);
            }
            Event::Finishes(_) => {}
            Event::Commits(Handed {
                offset, frontier, ..
            }) => match self.commit {
                Commit::Offset | Commit::UnorderedOffset => world.position = Some(offset),
                Commit::Frontier => world.position = frontier.or(world.position),
                Commit::Acknowledgement => {
                    world.acknowledged.insert(offset);
                }
                Commit::PositionFirst | Commit::AcknowledgementFirst => {
                    unreachable!("nothing is committed after its result")
                }
            },
        }
    }

    /// The operator hears of it, and all goes on until something else happens.
    fn hear(&mut self, event: Event) {
        match event {
            Event::Read(item) => {
                self.to_read.pop();
                self.feed.push(Ok(item));
                if self.to_read.is_empty() {
                    self.feed.close();
                }
            }
            Event::Begins(item) => self.acknowledging.open(item),
            Event::Finishes(item) => self.work.open(item),
            Event::Commits(_) => self.in_hand = None,
        }
        self.go_on();
    }

    fn go_on(&mut self) {
        while self.in_hand.is_none() && !self.has_ended {
            match self.task.poll_next() {
                Poll::Ready(Some(handed)) => {
                    let handed = handed.expect("no failure");
                    self.world.borrow_mut().handed_over.push(handed.item);
                    let commits = !self.commit.comes_first();
                    self.in_hand = commits.then_some(handed);
                }
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if self.task.is_woken() => {}
                Poll::Pending => return,
            }
        }
        if !self.has_ended {
            advance(&mut self.task);
        }
    }

    fn stage(&self, item: u32) -> Stage {
        let world = self.world.borrow();
        if world.handed_over.contains(&item) {
            Stage::HandedOver
        } else if world.done.contains(&item) {
            Stage::Finished
        } else if self.work.called().contains(&item) || self.acknowledging.called().contains(&item)
        {
            Stage::Running
        } else if self.task.unfinished().contains(&item) {
            Stage::Waiting
        } else if world.has_committed(item) {
            Stage::Read
        } else {
            Stage::Unread
        }
    }
}

/// What crashes did to the items that had come as far as these stages, and to how many at most in one crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Damage {
    stages: BTreeSet<Stage>,
    most: usize,
}

impl Damage {
    fn add(&mut self, stages: &[Stage]) {
        self.stages.extend(stages);
        self.most = self.most.max(stages.len());
    }

    fn text(&self) -> String {
        if self.stages.is_empty() {
            return "nothing".to_string();
        }
        let stages: Vec<_> = self.stages.iter().map(Stage::to_string).collect();
        stages.join(", ")
    }
}

/// Every interleaving of one verb, commit and limits.
struct Search {
    verb: Verb,
    commit: Commit,
    limits: (usize, usize),
    /// Where it was already: who finished in which order, who began, and what was committed and handed over.
    seen: HashSet<(Vec<u32>, Vec<u32>, Vec<u32>, usize, Option<u32>, bool)>,
    /// What was resumed already.
    resumed: HashSet<Vec<u32>>,
    crashes: usize,
    finished: HashSet<Vec<u32>>,
    repeated: Damage,
    lost: Damage,
}

impl Search {
    fn new(verb: Verb, commit: Commit, limits: (usize, usize)) -> Self {
        Self {
            verb,
            commit,
            limits,
            seen: HashSet::new(),
            resumed: HashSet::new(),
            crashes: 0,
            finished: HashSet::new(),
            repeated: Damage::default(),
            lost: Damage::default(),
        }
    }

    fn start(&self, world: World) -> Process {
        Process::start(self.verb, self.commit, self.limits, world)
    }

    /// Goes the way of `events`, crashes at its end, and goes on from there in every way.
    fn go(&mut self, events: &mut Vec<Event>) {
        let process = self.replay(events);
        if !self.is_new(&process) {
            return;
        }
        let next = process.events();
        if next.is_empty() {
            assert!(process.has_ended, "{:?} {events:?}: stuck", self.verb);
            let done = process.world.borrow().done.clone();
            self.finished.insert(done);
        }
        self.crash(process);
        for event in next {
            if !matches!(event, Event::Finishes(_)) {
                // What was committed a moment ago, and the operator has not heard of.
                let mut process = self.replay(events);
                process.happen(event);
                self.crash(process);
            }
            events.push(event);
            self.go(events);
            events.pop();
        }
    }

    fn replay(&self, events: &[Event]) -> Process {
        let mut process = self.start(World::default());
        for event in events {
            process.happen(*event);
            process.hear(*event);
        }
        process
    }

    /// Whether no other way has led here: two that differ only in when a commit came between the others are one.
    fn is_new(&mut self, process: &Process) -> bool {
        let world = process.world.borrow();
        let mut begun = world.begun.clone();
        begun.sort();
        self.seen.insert((
            world.done.clone(),
            begun,
            world.acknowledged.iter().copied().collect(),
            world.handed_over.len(),
            world.position,
            process.in_hand.is_some(),
        ))
    }

    fn crash(&mut self, process: Process) {
        self.crashes += 1;
        let stages: Vec<_> = (0..ITEMS).map(|item| process.stage(item)).collect();
        let world = Rc::clone(&process.world);
        drop(process);
        let world = world.borrow().clone();
        let unread = world.unread();
        if self.resumed.insert(unread.clone()) {
            self.resume(world.clone());
        }
        let stages_of = |items: &dyn Fn(u32) -> bool| {
            let items = (0..ITEMS).filter(|item| items(*item));
            items.map(|item| stages[item as usize]).collect::<Vec<_>>()
        };
        let is_repeated = |item| world.begun.contains(&item) && unread.contains(&item);
        let is_lost = |item| !world.done.contains(&item) && !unread.contains(&item);
        for item in (0..ITEMS).filter(|item| is_repeated(*item)) {
            assert!(!world.has_committed(item), "{:?}: {world:?}", self.verb);
        }
        for item in (0..ITEMS).filter(|item| is_lost(*item)) {
            assert!(world.has_committed(item), "{:?}: {world:?}", self.verb);
        }
        self.repeated.add(&stages_of(&is_repeated));
        self.lost.add(&stages_of(&is_lost));
    }

    /// What is unread is done once, and handed over, whatever happened before.
    fn resume(&self, before: World) {
        let unread = before.unread();
        let mut process = self.start(before.clone());
        while let Some(event) = process.events().pop() {
            process.happen(event);
            process.hear(event);
        }
        assert!(process.has_ended, "{:?}: {before:?}", self.verb);
        let after = process.world.borrow();
        let sorted = |items: &[u32]| {
            let mut items = items.to_vec();
            items.sort();
            items
        };
        let (begun, done) = (before.begun.len(), before.done.len());
        assert_eq!(sorted(&after.begun[begun..]), unread, "{before:?}");
        assert_eq!(sorted(&after.done[done..]), unread, "{before:?}");
        let handed_over = &after.handed_over[before.handed_over.len()..];
        assert_eq!(sorted(handed_over), unread, "{before:?}");
        if self.commit != Commit::UnorderedOffset {
            assert!(after.unread().is_empty(), "{before:?}");
        }
    }
}

/// How many at most, as a function of the limits.
fn bound(most: &[((usize, usize), usize)]) -> &'static str {
    let is = |bound: fn((usize, usize)) -> usize| {
        let mut most = most.iter();
        most.all(|(limits, most)| *most == bound(*limits))
    };
    if is(|_| 0) {
        ""
    } else if is(|(max_parallel, _)| max_parallel) {
        "; up to `max_parallel`"
    } else if is(|(_, look_ahead)| look_ahead) {
        "; up to `look_ahead`"
    } else if is(|(_, look_ahead)| look_ahead + 1) {
        "; up to `look_ahead` + 1"
    } else {
        let is_more = |((_, look_ahead), most): &((usize, usize), usize)| *most > look_ahead + 1;
        assert!(most.iter().all(is_more), "{most:?}");
        "; more than `look_ahead`"
    }
}

/// What a crash repeats, and what it loses.
fn damages(verb: Verb, commit: Commit) -> [String; 2] {
    let search = |limits| {
        let mut search = Search::new(verb, commit, limits);
        search.go(&mut Vec::new());
        search
    };
    let case = format!("{verb:?}, {commit:?}");
    let is_plain = matches!(verb, Verb::Then | Verb::ThenUnordered);
    let limits = &LIMITS[..if is_plain { 3 } else { 2 }];
    let searches: Vec<_> = limits.iter().copied().map(search).collect();
    let cell = |damage: fn(&Search) -> &Damage| {
        let texts: BTreeSet<_> = searches.iter().map(damage).map(Damage::text).collect();
        assert_eq!(texts.len(), 1, "{case}: {texts:?}");
        let text = texts.into_iter().next().unwrap();
        let most = searches
            .iter()
            .map(|search| (search.limits, damage(search).most));
        let most: Vec<_> = most.collect();
        match commit {
            Commit::UnorderedOffset => text,
            _ => text + bound(&most),
        }
    };
    let cells = [cell(|search| &search.repeated), cell(|search| &search.lost)];
    if is_plain {
        let wide = search(WIDE);
        assert_eq!(wide.finished.len(), INTERLEAVINGS, "{case}");
        let [repeated, lost] = &cells;
        assert!(repeated.starts_with(&wide.repeated.text()), "{case}");
        assert!(lost.starts_with(&wide.lost.text()), "{case}");
    }
    cells
}

const IN_SOURCE_ORDER: &str = "`then`, `try_then`, `and_then`";
const UNORDERED: &str = "`then_unordered`, `try_then_unordered`, `and_then_unordered`";
const EVERY_VERB: &str = "every verb";

/// The rows of the table in the docs, below the heads of the columns and a line.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../src/guide/delivery.md");
    let table = page.lines().filter(|line| line.starts_with('|'));
    table.skip(2).collect()
}

/// Computes a row for each of the verbs, and looks for it in the docs.
fn assert_documented(row: usize, verbs: &str, committed: &str, commit: Commit) {
    let is_meant = |verb: &Verb| match verbs {
        IN_SOURCE_ORDER => verb.in_source_order(),
        UNORDERED => !verb.in_source_order(),
        _ => true,
    };
    for verb in VERBS.into_iter().filter(is_meant) {
        let [repeated, lost] = damages(verb, commit);
        let computed = format!("| {verbs} | {committed} | {repeated} | {lost} |");
        assert_eq!(documented().get(row), Some(&&*computed), "{verb:?}");
    }
}

#[test]
fn a_crash_repeats_what_is_past_the_last_offset_committed_and_loses_nothing() {
    let committed = "the offset, after its result";
    assert_documented(0, IN_SOURCE_ORDER, committed, Commit::Offset);
}

#[test]
fn a_crash_repeats_what_is_past_the_last_frontier_committed_and_loses_nothing() {
    let committed = "the `frontier()`, after a result";
    assert_documented(1, UNORDERED, committed, Commit::Frontier);
}

#[test]
fn a_crash_repeats_what_is_not_acknowledged_and_loses_nothing() {
    let committed = "`offset()`, after its result: acknowledges that message";
    assert_documented(2, UNORDERED, committed, Commit::Acknowledgement);
}

#[test]
fn with_positions_committed_first_a_crash_repeats_nothing_and_loses_what_is_unfinished() {
    let committed = "the position, as the item is read";
    assert_documented(3, EVERY_VERB, committed, Commit::PositionFirst);
}

#[test]
fn with_messages_acknowledged_first_a_crash_repeats_nothing_and_loses_what_runs() {
    let committed = "that message, first thing in its handler";
    assert_documented(4, EVERY_VERB, committed, Commit::AcknowledgementFirst);
}

#[test]
fn an_unordered_offset_committed_as_a_position_loses_what_it_passed() {
    let committed = "`offset()` as a position: **never**";
    assert_documented(5, UNORDERED, committed, Commit::UnorderedOffset);
    assert_eq!(documented().len(), 6);
}
