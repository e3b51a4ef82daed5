//! Any relation: an item waits for every earlier item that it cannot run together with.

use std::fmt;

use slab::Slab;

use super::ready::{ByPlace, ReadyItems};
use super::{Arrival, Order};

const NONE: usize = usize::MAX;

/// The order of `ordered_unless`.
///
/// An item that arrives is compared with the unfinished ones before it, the newest first, up to the first that it cannot
/// run together with; it waits for that one, and is then compared with those that are left.
pub struct Unless<F, C, K, T> {
    tag: F,
    can_run_together: C,
    items: Slab<Item<K, T>>,
    running: ByPlace,
    ready: ReadyItems,
    newest: usize,
    arrived: u64,
    /// The tag of the item that has just arrived.
    arriving: Option<K>,
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
    /// The first of the items that wait for this one, and the next of those that wait for the same.
    first_behind: usize,
    next_behind: usize,
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
            waiting: 0,
        }
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
            first_behind: NONE,
            next_behind: NONE,
        });
        self.newest = entered;
        if older != NONE {
            self.items[older].newer = entered;
        }
        entered
    }

    /// What an item waited for has finished: it is compared with those from here on, the newest first, and waits for the
    /// next or is ready. It can run together with all that are newer, so no two items are compared twice.
    fn look_again(&mut self, item: usize, from: usize)
    where
        C: FnMut(&K, &K) -> bool,
    {
        let Item {
            arrival, ref tag, ..
        } = self.items[item];
        match hindrance(&self.items, from, tag, &mut self.can_run_together) {
            Some(hindrance) => self.put_behind(item, hindrance),
            None => self.ready.push(arrival, item),
        }
    }

    fn put_behind(&mut self, item: usize, hindrance: usize) {
        let first = std::mem::replace(&mut self.items[hindrance].first_behind, item);
        self.items[item].next_behind = first;
    }
}

impl<F, C, K, T> Order<T> for Unless<F, C, K, T>
where
    F: FnMut(&T) -> K,
    C: FnMut(&K, &K) -> bool,
{
    type Claim = ();

    fn arrive(&mut self, item: &T) -> Arrival<()> {
        self.arrived += 1;
        let tag = (self.tag)(item);
        let hindrance = hindrance(&self.items, self.newest, &tag, &mut self.can_run_together);
        self.arriving = Some(tag);
        match hindrance {
            Some(hindrance) => Arrival::Waits(hindrance),
            None => Arrival::Starts(()),
        }
    }

    fn wait(&mut self, behind: usize, ticket: u64, item: T) {
        let tag = self.arriving.take().expect("an item has arrived");
        let item = self.enter(tag, ticket, Some(item));
        self.put_behind(item, behind);
        self.waiting += 1;
    }

    fn hold(&mut self, place: usize, (): ()) {
        let tag = self.arriving.take().expect("an item has arrived");
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
        let mut next = released.first_behind;
        while next != NONE {
            let item = next;
            next = std::mem::replace(&mut self.items[item].next_behind, NONE);
            self.look_again(item, released.older);
        }
    }

    fn oldest_ready(&self) -> Option<u64> {
        let item = self.ready.oldest()?;
        Some(self.items[item].ticket)
    }

    fn start_ready(&mut self, place: usize) -> T {
        let item = self.ready.pop().expect("an item was named");
        self.running.set(place, item);
        self.waiting -= 1;
        let item = self.items[item].item.take();
        item.expect("an item that waits")
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
        self.waiting = 0;
    }
}

/// The newest unfinished item, from this one to the oldest, that a later one cannot run together with.
fn hindrance<K, T>(
    items: &Slab<Item<K, T>>,
    mut from: usize,
    later: &K,
    mut can_run_together: impl FnMut(&K, &K) -> bool,
) -> Option<usize> {
    while let Some(earlier) = items.get(from) {
        if !can_run_together(&earlier.tag, later) {
            return Some(from);
        }
        from = earlier.older;
    }
    None
}

impl<F, C, K, T> fmt::Debug for Unless<F, C, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unless").finish_non_exhaustive()
    }
}
