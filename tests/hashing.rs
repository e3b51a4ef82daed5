//! Keys from outside: hashed fast while they spread, and safely as soon as they meet more often than chance would have it.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use futures::stream::Stream;
use ordered_by_group::prelude::*;
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready};

use self::support::{Feed, Gates};

const GROUPS: u32 = 2_000;

/// What was asked of the keys.
#[derive(Default)]
struct Asked {
    hashers: RefCell<BTreeSet<&'static str>>,
    hashes: Cell<usize>,
    comparisons: Cell<usize>,
}

/// The name of the hasher that is hard to attack.
fn safe() -> &'static str {
    std::any::type_name::<DefaultHasher>()
}

/// Whether a key has the same hash as all others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Collides {
    Never,
    /// In every hasher but the safe one, as those do that an attacker has chosen.
    UnlessSafe,
    Always,
}

struct Key {
    key: u32,
    collides: Collides,
    asked: Rc<Asked>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let hasher = std::any::type_name::<H>();
        self.asked.hashers.borrow_mut().insert(hasher);
        self.asked.hashes.set(self.asked.hashes.get() + 1);
        match self.collides {
            Collides::Never => self.key.hash(state),
            Collides::UnlessSafe if hasher == safe() => self.key.hash(state),
            Collides::UnlessSafe | Collides::Always => 0_u32.hash(state),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.asked.comparisons.set(self.asked.comparisons.get() + 1);
        self.key == other.key
    }
}

impl Eq for Key {}

fn keys(collides: Collides) -> (Rc<Asked>, impl Fn(u32) -> Key + Clone) {
    let asked = Rc::new(Asked::default());
    let given = Rc::clone(&asked);
    let key = move |key| Key {
        key,
        collides,
        asked: Rc::clone(&given),
    };
    (asked, key)
}

/// Every group has two items, and all groups run at once. The second items come last, and finish last.
fn two_of_each() -> (Feed<u32>, Gates) {
    let firsts_and_seconds = (0..GROUPS).chain(GROUPS..2 * GROUPS);
    let gates = Gates::new(|item| item % GROUPS);
    (Feed::new(firsts_and_seconds), gates)
}

/// Runs all, first items before second ones; the gates check that no two of a group run together.
fn run_all(gates: &Gates, task: &mut Spawn<impl Stream<Item: Debug>>) {
    loop {
        assert_pending!(task.poll_next());
        if !task.is_woken() {
            break;
        }
    }
    assert_eq!(gates.live(), GROUPS as usize);
    gates.open_all(0..2 * GROUPS);
    for _ in 0..2 * GROUPS {
        while task.poll_next().is_pending() {
            assert!(task.is_woken(), "a stream that sleeps for ever");
        }
    }
    assert_eq!(gates.finished().len(), 2 * GROUPS as usize);
}

macro_rules! run_by_group {
    ($key:expr $(, $set:ident($($hasher:expr)?))*) => {{
        let ((feed, gates), key) = (two_of_each(), $key);
        let inner = gates.clone();
        let mut task = spawn(
            feed.source()
                .ordered_by_group(move |item| key(item % GROUPS), GROUPS as usize + 1)
                $(.$set($($hasher)?))*
                .then(move |item| inner.handle(item)),
        );
        run_all(&gates, &mut task);
    }};
}

#[test]
fn keys_that_spread_are_hashed_once_an_item_and_never_in_the_safe_way() {
    let (asked, key) = keys(Collides::Never);
    run_by_group!(key);
    let hashers = asked.hashers.borrow();
    assert!(!hashers.contains(safe()), "{hashers:?}");
    // The first of a stream that has nothing running is hashed when it is known to be pending.
    assert_eq!(asked.hashes.get(), 2 * GROUPS as usize);
}

#[test]
fn keys_that_collide_are_hashed_in_the_safe_way_from_then_on() {
    let (asked, key) = keys(Collides::UnlessSafe);
    run_by_group!(key);
    assert!(asked.hashers.borrow().contains(safe()));
    // Once more for those that were there when they became too many.
    let again = asked.hashes.get() - 2 * GROUPS as usize;
    assert_eq!(again, 9, "keys hashed again");
    // One for each second item, and few for chains: no chain grows with the number of groups.
    let comparisons = asked.comparisons.get();
    assert!(comparisons < 2 * GROUPS as usize, "{comparisons}");
}

#[test]
fn keys_that_collide_in_every_way_are_hashed_again_only_once() {
    let (asked, key) = keys(Collides::Always);
    run_by_group!(key);
    let again = asked.hashes.get() - 2 * GROUPS as usize;
    assert_eq!(again, 9, "keys hashed again");
}

#[test]
fn a_hasher_that_was_given_is_the_only_one_that_is_used() {
    type Given = BuildHasherDefault<DefaultHasher>;
    for collides in [Collides::Never, Collides::Always] {
        let (asked, key) = keys(collides);
        run_by_group!(key, with_hasher(Given::default()));
        assert_eq!(*asked.hashers.borrow(), BTreeSet::from([safe()]));
        assert_eq!(asked.hashes.get(), 2 * GROUPS as usize);
    }
}

#[test]
fn of_items_with_several_keys_too() {
    let (asked, key) = keys(Collides::UnlessSafe);
    let (feed, gates) = two_of_each();
    let inner = gates.clone();
    let mut task = spawn(
        feed.source()
            .ordered_by_groups(
                move |item| [key(item % GROUPS), key(GROUPS + item % GROUPS)],
                GROUPS as usize + 1,
            )
            .then(move |item| inner.handle(item)),
    );
    run_all(&gates, &mut task);
    assert!(asked.hashers.borrow().contains(safe()));
    let again = asked.hashes.get() - 4 * GROUPS as usize;
    assert_eq!(again, 10, "keys hashed again, by twos");
    let comparisons = asked.comparisons.get();
    assert!(comparisons < 8 * GROUPS as usize, "{comparisons}");
}

#[test]
fn partitions_too() {
    let (asked, key) = keys(Collides::UnlessSafe);
    let gates = Gates::new(|item| item);
    let inner = gates.clone();
    let mut task = spawn(
        Feed::new(0..GROUPS)
            .source()
            .ordered_by_group(|item| *item, GROUPS as usize)
            .partitions(move |item| key(*item))
            .then(move |item| inner.handle(item)),
    );
    loop {
        assert_pending!(task.poll_next());
        if !task.is_woken() {
            break;
        }
    }
    assert!(asked.hashers.borrow().contains(safe()));
    let comparisons = asked.comparisons.get();
    assert!(comparisons < GROUPS as usize, "{comparisons}");
    gates.open(GROUPS - 1);
    let result = assert_ready!(task.poll_next());
    assert_eq!(
        result,
        Some((Ok(GROUPS - 1), u64::from(GROUPS - 1))),
        "each item is the first of its partition"
    );
}
