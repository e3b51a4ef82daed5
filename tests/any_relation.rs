//! Chapter 21 of the contract, for any relation: an item starts once it can run together with each unfinished item before
//! it, as the later one.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use futures::stream;
use ordered_by_group::{can_run_together, prelude::*};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_eq};

use self::support::{Feed, Gates, Order, Setup, Task, VERBS, Verb, items, poll_panics, settled};

fn unless(can_run_together: impl Fn(u32, u32) -> bool + 'static) -> Order {
    Order::Unless(Rc::new(can_run_together))
}

fn start(
    verb: Verb,
    max_parallel: usize,
    order: &Order,
    count: u32,
) -> (Feed<Result<u32, u32>>, Gates, Task) {
    let (feed, gates) = (items(0..count), Gates::new(|item| item));
    let task = Setup::new(verb, max_parallel).spawn_in(order, &feed, &gates);
    (feed, gates, task)
}

#[test]
fn if_all_can_run_together_it_is_unordered_with_so_many_slots() {
    for (verb, slots) in VERBS.into_iter().flat_map(|verb| [(verb, 1), (verb, 7)]) {
        let always = unless(|earlier, later| can_run_together::always(&earlier, &later));
        let (feed, gates, mut task) = start(verb, slots, &always, 200);
        let mut rng = SmallRng::seed_from_u64(slots as u64);
        let mut out = settled(&mut task).len();
        for finished in 0..200 {
            // The next is called as a slot is free, and nothing waits.
            let called = (finished + slots).min(200);
            assert!(gates.called().into_iter().eq(0..called as u32), "{verb:?}");
            assert_eq!(task.counts().waiting, 0, "{verb:?}");
            assert_eq!(feed.pulled(), called, "{verb:?}");
            let running = gates.running();
            gates.open(running[rng.random_range(0..running.len())]);
            out += settled(&mut task).len();
        }
        assert_eq!(out, 200, "{verb:?}");
    }
}

#[test]
fn if_no_two_can_run_together_it_is_serial() {
    for verb in VERBS {
        let never = unless(|earlier, later| can_run_together::never(&earlier, &later));
        let (feed, gates, mut task) = start(verb, 4, &never, 50);
        assert_eq!(settled(&mut task), [0; 0]);
        for item in 0..50 {
            assert_eq!(gates.running(), [item], "{verb:?}");
            gates.open(item);
            assert_eq!(settled(&mut task), [item], "{verb:?}");
        }
        assert_eq!((gates.peak(), feed.pulled()), (1, 50), "{verb:?}");
    }
}

/// By brute force: which items start, in that order, if these finish one after the other.
struct Model {
    can_run_together: Rc<dyn Fn(u32, u32) -> bool>,
    max_parallel: usize,
    look_ahead: usize,
    count: u32,
    admitted: u32,
    finished: BTreeSet<u32>,
    called: Vec<u32>,
}

impl Model {
    fn is_ready(&self, item: u32) -> bool {
        let mut before = (0..item).filter(|earlier| !self.finished.contains(earlier));
        !self.called.contains(&item) && before.all(|earlier| (self.can_run_together)(earlier, item))
    }

    fn running(&self) -> usize {
        self.called.len() - self.finished.len()
    }

    /// In completion order: what is finished no longer counts.
    fn unfinished(&self) -> usize {
        self.admitted as usize - self.finished.len()
    }

    fn run(&mut self) {
        while self.running() < self.max_parallel {
            let ready = (0..self.admitted).find(|item| self.is_ready(*item));
            match ready {
                Some(item) => self.called.push(item),
                None if self.admitted < self.count && self.unfinished() < self.look_ahead => {
                    self.admitted += 1;
                }
                None => return,
            }
        }
    }
}

#[test]
fn any_relation_runs_as_by_brute_force_whether_it_is_symmetric_or_not() {
    for seed in 0..300 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let density = rng.random_range(0.1..0.9);
        let mut pairs: Vec<Vec<bool>> = (0..8)
            .map(|_| (0..8).map(|_| rng.random_bool(density)).collect())
            .collect();
        if seed % 2 == 0 {
            for (a, b) in (0..8).flat_map(|a| (0..a).map(move |b| (a, b))) {
                pairs[b][a] = pairs[a][b];
            }
        }
        let tags: Vec<usize> = (0..60).map(|_| rng.random_range(0..8)).collect();
        let relation: Rc<dyn Fn(u32, u32) -> bool> = Rc::new(move |earlier, later| {
            assert!(earlier < later, "({earlier}, {later})");
            pairs[tags[earlier as usize]][tags[later as usize]]
        });
        let (max_parallel, spare) = (rng.random_range(1..6), rng.random_range(0..20));
        let mut model = Model {
            can_run_together: Rc::clone(&relation),
            max_parallel,
            look_ahead: max_parallel + spare,
            count: 60,
            admitted: 0,
            finished: BTreeSet::new(),
            called: vec![],
        };
        let (feed, gates) = (items(0..60), Gates::new(|item| item));
        let mut task = Setup::new(Verb::ThenUnordered, max_parallel)
            .look_ahead(max_parallel + spare)
            .spawn_in(&Order::Unless(relation), &feed, &gates);
        let mut out = settled(&mut task).len();
        model.run();
        while out < 60 {
            assert_eq!(gates.called(), model.called, "seed {seed}");
            assert_eq!(feed.pulled(), model.admitted as usize, "seed {seed}");
            let running = gates.running();
            let item = running[rng.random_range(0..running.len())];
            gates.open(item);
            model.finished.insert(item);
            model.run();
            out += settled(&mut task).len();
        }
        assert_eq!(gates.called(), model.called, "seed {seed}");
    }
}

#[test]
fn a_relation_that_is_not_symmetric_is_asked_for_the_earlier_and_the_later() {
    // A writer waits for all before it; a reader works on the snapshot at its start, and waits for nothing.
    let is_writer = |item: u32| item % 3 == 1;
    let order = unless(move |_, later| !is_writer(later));
    for verb in VERBS {
        // Reader, writer, reader, reader, writer, reader.
        let (_, gates, mut task) = start(verb, 8, &order, 6);
        settled(&mut task);
        assert_eq!(gates.called(), [0, 2, 3, 5], "{verb:?}");
        gates.open_all([2, 5, 3]);
        settled(&mut task);
        assert_eq!(gates.called(), [0, 2, 3, 5], "{verb:?}: 1 waits for 0");
        gates.open(0);
        settled(&mut task);
        assert_eq!(gates.called(), [0, 2, 3, 5, 1], "{verb:?}");
        gates.open(1);
        settled(&mut task);
        assert_eq!(gates.called(), [0, 2, 3, 5, 1, 4], "{verb:?}");
    }
}

#[test]
fn a_later_item_that_has_started_is_not_in_the_way_of_an_earlier_one_that_waited() {
    // 1 waits for 0. 2 can run beside 1 as the later one; it runs when 1 starts, and that the relation says no to
    // (2, 1) is never asked.
    for verb in VERBS {
        let order = unless(|earlier, later| match (earlier, later) {
            (0, 1) => false,
            (0 | 1, 2) => true,
            pair => panic!("{pair:?}"),
        });
        let (_, gates, mut task) = start(verb, 8, &order, 3);
        settled(&mut task);
        assert_eq!(gates.called(), [0, 2], "{verb:?}");
        gates.open(0);
        settled(&mut task);
        assert_eq!(gates.running(), [1, 2], "{verb:?}");
    }
}

#[test]
fn the_relation_is_asked_about_unfinished_items_only_the_earlier_first() {
    for verb in VERBS {
        let gates = Gates::new(|item| item);
        let asked = Rc::new(Cell::new(0));
        let (note, seen) = (Rc::clone(&asked), gates.clone());
        let order = unless(move |earlier, later| {
            note.set(note.get() + 1);
            assert!(earlier < later, "({earlier}, {later})");
            assert_eq!(seen.drops(earlier), 0, "{earlier} is finished");
            assert!(!seen.called().contains(&later), "{later} has started");
            (earlier * 7 + later * 3) % 4 != 0
        });
        let feed = items(0..100);
        let mut task = Setup::new(verb, 5)
            .look_ahead(30)
            .spawn_in(&order, &feed, &gates);
        let mut rng = SmallRng::seed_from_u64(3);
        let mut out = settled(&mut task).len();
        while out < 100 {
            let running = gates.running();
            gates.open(running[rng.random_range(0..running.len())]);
            out += settled(&mut task).len();
        }
        assert!(asked.get() > 100, "{verb:?}");
    }
}

#[test]
fn an_item_that_is_finished_at_its_first_poll_is_in_nobodys_way() {
    for verb in VERBS {
        let order = unless(|earlier, later| panic!("({earlier}, {later})"));
        let (feed, gates) = (items(0..100), Gates::new(|item| item));
        gates.open_all(0..100);
        let mut task = Setup::new(verb, 4).spawn_in(&order, &feed, &gates);
        assert!(settled(&mut task).into_iter().eq(0..100), "{verb:?}");
    }
}

#[test]
fn the_tag_is_read_once_an_item_in_source_order_and_may_be_anything() {
    // Neither the items nor the tags are Hash, Eq or Clone, and a running item belongs to its handler.
    struct Item(f64);
    struct Tag(f64);
    let read = Rc::new(RefCell::new(vec![]));
    let note = Rc::clone(&read);
    let gates = Gates::new(|item| item);
    let handle = gates.clone();
    let mut task = spawn(
        stream::iter([0.0, 10.0, 1.0, 11.0, 20.0].map(Item))
            .ordered_unless(
                move |item| {
                    note.borrow_mut().push(item.0);
                    Tag(item.0)
                },
                |a, b| (a.0 - b.0).abs() > 2.0,
                8,
            )
            .then(move |Item(at)| handle.handle(at as u32)),
    );
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [0, 10, 20]);
    assert_eq!((task.waiting(), task.groups()), (2, 0));
    assert_eq!(*read.borrow(), [0.0, 10.0, 1.0, 11.0, 20.0]);
    gates.open(10);
    assert_pending!(task.poll_next());
    assert_eq!(gates.called(), [0, 10, 20, 11]);
    gates.open(0);
    assert_ready_eq!(task.poll_next(), Some((Ok(0), 0)));
    assert_ready_eq!(task.poll_next(), Some((Ok(10), 1)));
    assert_pending!(task.poll_next());
    assert_eq!(read.borrow().len(), 5);
}

#[test]
fn a_panic_of_the_relation_as_an_item_arrives_poisons_the_stream() {
    for verb in VERBS {
        let order = unless(|_, later| {
            assert_ne!(later, 2, "the relation panics");
            true
        });
        let (_, gates, mut task) = start(verb, 8, &order, 4);
        assert!(poll_panics(&mut task).contains("the relation panics"));
        assert!(poll_panics(&mut task).contains("polled after a panic"));
        assert!(!task.has_terminated());
        assert_eq!(gates.called(), [0, 1], "{verb:?}");
        drop(task);
        gates.assert_all_dropped_once();
    }
}

#[test]
fn a_panic_of_the_relation_as_a_handler_finishes_poisons_the_stream() {
    for verb in VERBS {
        // 2 waits for 1, and is compared with 0 when 1 has finished.
        let order = unless(|earlier, later| match (earlier, later) {
            (0, 2) => panic!("the relation panics"),
            (earlier, _) => earlier != 1,
        });
        let (_, gates, mut task) = start(verb, 8, &order, 3);
        assert_eq!(settled(&mut task), [0; 0]);
        assert_eq!(gates.called(), [0, 1], "{verb:?}");
        gates.open(1);
        assert!(poll_panics(&mut task).contains("the relation panics"));
        gates.open(0);
        assert!(poll_panics(&mut task).contains("polled after a panic"));
        assert_eq!(gates.called(), [0, 1], "{verb:?}");
        drop(task);
        gates.assert_all_dropped_once();
    }
}

#[test]
fn no_two_items_are_compared_twice() {
    for (name, relation) in [
        (
            "always",
            Rc::new(|_, _| true) as Rc<dyn Fn(u32, u32) -> bool>,
        ),
        ("never", Rc::new(|_, _| false)),
        (
            "one is in the way of all",
            Rc::new(|earlier, _| earlier != 0),
        ),
        (
            "ten groups",
            Rc::new(|earlier, later| earlier % 10 != later % 10),
        ),
        (
            "some",
            Rc::new(|earlier, later| (earlier * 7 + later * 3) % 5 != 0),
        ),
    ] {
        for verb in VERBS {
            let relation = Rc::clone(&relation);
            let asked = RefCell::new(BTreeSet::new());
            let order = unless(move |earlier, later| {
                let is_new = asked.borrow_mut().insert((earlier, later));
                assert!(is_new, "{name}: ({earlier}, {later}) again");
                relation(earlier, later)
            });
            let (_, gates, mut task) = start(verb, 16, &order, 100);
            let mut rng = SmallRng::seed_from_u64(1);
            let mut out = settled(&mut task).len();
            while out < 100 {
                let running = gates.running();
                gates.open(running[rng.random_range(0..running.len())]);
                out += settled(&mut task).len();
            }
        }
    }
}
