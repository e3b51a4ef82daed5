//! Any relation: an item waits for every earlier item that it cannot run together with.

use std::fmt;

use slab::Slab;

use super::ready::{ByPlace, ReadyItems};
use super::{Arrival, Feeds, Order};
use crate::spare::give_back;

const NONE: usize = usize::MAX;

/// With how many items one that arrives is compared at once; with the others it is when the order catches up.
const COMPARED_ON_ARRIVAL: usize = 16_384;

/// Comparisons with no more than this many are not counted.
const FEW: usize = 128;

/// The order of `ordered_unless`.
///
/// An item that arrives is compared with the unfinished ones before it, the newest first, up to the first that it cannot
/// run together with; it waits for that one. When that has finished, the item goes on to the next older one, and is
/// compared with those that are left. It can run together with all that are newer, so no two items are compared twice.
pub struct Unless<F, C, K, T> {
    tag: F,
    can_run_together: C,
    items: Slab<Item<K, T>>,
    running: ByPlace<usize>,
    ready: ReadyItems,
    newest: usize,
    arrived: u64,
    /// The tag of the item that has just arrived, and how it stands with what it waits for.
    arriving: Option<Arriving<K>>,
    steps_of_arrival: u64,
    /// Items with others that are to be compared with them; some have none any more.
    compared_with: Vec<usize>,
    /// Those that were compared with all, and can run together with them.
    passed: List,
    waiting: usize,
}

struct Item<K, T> {
    tag: K,
    /// Until it starts.
    item: Option<T>,
    ticket: u64,
    arrival: u64,
    older: usize,
    newer: usize,
    /// Those that wait for this one.
    behind: List,
    /// Those that are to be compared with this one next.
    to_compare: List,
    /// The next in the list that this one is in.
    next: usize,
}

struct Arriving<K> {
    tag: K,
    is_compared: bool,
}

/// A list through the items.
#[derive(Clone, Copy)]
struct List {
    first: usize,
    last: usize,
}

impl List {
    const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// Appends another, which is void from then on.
    fn append<K, T>(&mut self, other: Self, items: &mut Slab<Item<K, T>>) {
        if other.is_empty() {
            return;
        }
        match self.last {
            NONE => self.first = other.first,
            last => items[last].next = other.first,
        }
        self.last = other.last;
    }

    fn push<K, T>(&mut self, item: usize, items: &mut Slab<Item<K, T>>) {
        let one = Self {
            first: item,
            last: item,
        };
        self.append(one, items);
    }

    fn pop<K, T>(&mut self, items: &mut Slab<Item<K, T>>) -> Option<usize> {
        let first = self.first;
        let item = items.get_mut(first)?;
        self.first = std::mem::replace(&mut item.next, NONE);
        if self.first == NONE {
            self.last = NONE;
        }
        Some(first)
    }
}

impl<F, C, K, T> Unless<F, C, K, T> {
    pub(crate) fn new(tag: F, can_run_together: C) -> Self {
        Self {
            tag,
            can_run_together,
            items: Slab::new(),
            running: ByPlace::new(),
            ready: ReadyItems::new(),
            newest: NONE,
            arrived: 0,
            arriving: None,
            steps_of_arrival: 0,
            compared_with: Vec::new(),
            passed: List::EMPTY,
            waiting: 0,
        }
    }

    /// The newest item that one with this tag cannot run together with; or, after so many, the next to be compared with.
    fn compare_arriving(&mut self, tag: &K) -> (usize, bool)
    where
        C: FnMut(&K, &K) -> bool,
    {
        let mut from = self.newest;
        if self.items.len() <= COMPARED_ON_ARRIVAL {
            // Without a count, which would cost as much as a comparison.
            while let Some(earlier) = self.items.get(from) {
                if !(self.can_run_together)(&earlier.tag, tag) {
                    break;
                }
                from = earlier.older;
            }
            return (from, true);
        }
        for _ in 0..COMPARED_ON_ARRIVAL {
            let Some(earlier) = self.items.get(from) else {
                return (from, true);
            };
            if !(self.can_run_together)(&earlier.tag, tag) {
                return (from, true);
            }
            from = earlier.older;
        }
        (from, false)
    }

    fn enter(&mut self, tag: K, ticket: u64, item: Option<T>) -> usize {
        let older = self.newest;
        let entered = self.items.insert(Item {
            tag,
            item,
            ticket,
            arrival: self.arrived,
            older,
            newer: NONE,
            behind: List::EMPTY,
            to_compare: List::EMPTY,
            next: NONE,
        });
        self.newest = entered;
        if older != NONE {
            self.items[older].newer = entered;
        }
        entered
    }

    /// Has those in the list compared with this item and what is older.
    fn compare_from(&mut self, from: usize, list: List) {
        if list.is_empty() {
            return;
        }
        let mut to_compare = match self.items.get(from) {
            Some(item) => item.to_compare,
            None => return self.passed.append(list, &mut self.items),
        };
        to_compare.append(list, &mut self.items);
        self.items[from].to_compare = to_compare;
        self.compared_with.push(from);
    }

    /// Compares an item with others, from this one to the oldest, up to the first that it cannot run together with.
    fn compare(&mut self, item: usize, mut with: usize, steps: &mut u16)
    where
        C: FnMut(&K, &K) -> bool,
    {
        let Item {
            arrival, ref tag, ..
        } = self.items[item];
        let mut list = List::EMPTY;
        while let Some(earlier) = self.items.get(with) {
            if *steps == 0 {
                list.push(item, &mut self.items);
                return self.compare_from(with, list);
            }
            *steps -= 1;
            if !(self.can_run_together)(&earlier.tag, tag) {
                let mut behind = earlier.behind;
                behind.push(item, &mut self.items);
                self.items[with].behind = behind;
                return;
            }
            with = earlier.older;
        }
        self.ready.push(arrival, item);
    }

    /// Takes the next that is to be compared with this item.
    fn next_to_compare(&mut self, with: usize) -> Option<usize> {
        // What is named here may have finished, and another may have its index.
        let mut to_compare = self.items.get(with)?.to_compare;
        let item = to_compare.pop(&mut self.items);
        self.items[with].to_compare = to_compare;
        item
    }
}

impl<F, C, K, T> Feeds for Unless<F, C, K, T> {
    type Input = T;
}

impl<F, C, K, T> Order<T> for Unless<F, C, K, T>
where
    F: FnMut(&T) -> K,
    C: FnMut(&K, &K) -> bool,
{
    const COUNTS_STEPS: bool = true;

    type Claim = ();

    fn alone(item: T) -> T {
        item
    }

    #[inline(always)] // the way of each item
    fn arrive(&mut self, item: &T) -> Arrival<()> {
        self.arrived += 1;
        let tag = (self.tag)(item);
        let unfinished = self.items.len();
        let (from, is_compared) = self.compare_arriving(&tag);
        let behind = self.items.get(from);
        if unfinished > FEW {
            // All that are newer than what it waits for; some of them may have finished.
            let newer = behind.map_or(u64::MAX, |behind| self.arrived - behind.arrival);
            self.steps_of_arrival = newer.min(unfinished as u64);
        } else {
            self.steps_of_arrival = 0;
        }
        let arrival = match behind {
            Some(_) => Arrival::Waits(from),
            None => Arrival::Starts(()),
        };
        self.arriving = Some(Arriving { tag, is_compared });
        arrival
    }

    fn steps_of_arrival(&self) -> u64 {
        self.steps_of_arrival
    }

    fn wait(&mut self, behind: usize, ticket: u64, item: T) {
        let Arriving { tag, is_compared } = self.arriving.take().expect("an item has arrived");
        let item = self.enter(tag, ticket, Some(item));
        self.waiting += 1;
        let mut list = List::EMPTY;
        list.push(item, &mut self.items);
        if is_compared {
            let mut waiting = self.items[behind].behind;
            waiting.append(list, &mut self.items);
            self.items[behind].behind = waiting;
        } else {
            self.compare_from(behind, list);
        }
    }

    fn wait_for_slot(&mut self, (): (), ticket: u64, item: T) {
        let Arriving { tag, .. } = self.arriving.take().expect("an item has arrived");
        let item = self.enter(tag, ticket, Some(item));
        self.ready.push(self.arrived, item);
        self.waiting += 1;
    }

    fn hold(&mut self, place: usize, (): ()) {
        let Arriving { tag, .. } = self.arriving.take().expect("an item has arrived");
        let item = self.enter(tag, 0, None);
        self.running.set(place, item);
    }

    fn pass(&mut self, (): ()) {
        self.arriving = None;
    }

    fn release(&mut self, place: usize) {
        let released = self.items.remove(self.running.get(place));
        match released.newer {
            NONE => self.newest = released.older,
            newer => self.items[newer].older = released.older,
        }
        if released.older != NONE {
            self.items[released.older].newer = released.newer;
        }
        self.compare_from(released.older, released.behind);
        self.compare_from(released.older, released.to_compare);
    }

    fn is_behind(&self) -> bool {
        !self.compared_with.is_empty() || !self.passed.is_empty()
    }

    fn catch_up(&mut self, steps: &mut u16) -> bool {
        while *steps > 0 {
            if let Some(item) = self.passed.pop(&mut self.items) {
                *steps -= 1;
                self.ready.push(self.items[item].arrival, item);
            } else if let Some(&with) = self.compared_with.last() {
                match self.next_to_compare(with) {
                    Some(item) => self.compare(item, with, steps),
                    None => _ = self.compared_with.pop(),
                }
            } else {
                return true;
            }
        }
        !self.is_behind()
    }

    fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn oldest_ready(&self) -> Option<u64> {
        let item = self.ready.oldest()?;
        Some(self.items[item].ticket)
    }

    fn start_ready(&mut self, place: usize, _joins: impl FnMut(u64) -> bool) -> T {
        let item = self.ready.pop().expect("an item was named");
        self.running.set(place, item);
        self.waiting -= 1;
        let item = self.items[item].item.take();
        item.expect("an item that waits")
    }

    fn shrink(&mut self) {
        give_back(&mut self.items);
        self.ready.shrink();
        if self.items.is_empty() {
            self.running.give_back();
        }
    }

    fn waiting(&self) -> usize {
        self.waiting
    }

    /// There are no keys.
    fn groups(&self) -> usize {
        0
    }

    fn clear(&mut self) {
        self.items.clear();
        self.ready.clear();
        self.newest = NONE;
        self.arriving = None;
        self.compared_with.clear();
        self.passed = List::EMPTY;
        self.waiting = 0;
    }
}

impl<F, C, K, T> fmt::Debug for Unless<F, C, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unless").finish_non_exhaustive()
    }
}
