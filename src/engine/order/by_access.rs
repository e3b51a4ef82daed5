//! Several keys: an item waits for every earlier item that shares one, unless both only read.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use slab::Slab;

use super::ready::{ByPlace, ReadyItems};
use super::{Arrival, Feeds, Order, WithHasher};
use crate::engine::depths::Depths;
use crate::engine::hashing::{Given, HashKeys};
use crate::engine::keyed::Keyed;
use crate::engine::order::Access;
use crate::engine::sealed::Sealed;
use crate::known::known;
use crate::spare::give_back;

const NONE: usize = usize::MAX;

/// The order of `ordered_by_groups` and `ordered_by_access`.
///
/// Each key has a queue of claims. At its front are those that are in force: one exclusive, or some shared ones. An item
/// counts its claims that are not yet in force, and is ready when there are none. As the front of a queue empties, the
/// next claim comes into force, with the shared ones right behind it if it is shared: each claim is looked at once when it
/// comes and once when it is in force, so an item costs O(its keys).
pub struct ByAccess<A, K, S, T> {
    accesses: A,
    queues: Keyed<K, S, Queue>,
    claims: Slab<Claim>,
    /// What waits, or is ready.
    items: Slab<Item<T>>,
    /// What the item that runs in each place has claimed.
    running: ByPlace<Claimed>,
    ready: ReadyItems,
    /// Queues whose front is empty, so that their next claims come into force; some have been seen to.
    emptied: Vec<usize>,
    /// The keys of the item that has just arrived.
    arriving: Vec<Arriving<K>>,
    arrived: u64,
    waiting: usize,
    /// How many claims of each queue are not in force, if anybody wants to know.
    depths: Depths,
}

struct Queue {
    /// How many claims are in force.
    in_force: usize,
    /// Whether they are shared.
    shared: bool,
    first: usize,
    last: usize,
    /// The item that was the first to make a claim here.
    opened: u64,
    /// The last item that made a claim here, and the claim, if it has one of its own: an item counts a key once.
    last_arrival: u64,
    last_claim: usize,
    /// The next of the queues that the same item has opened, each for itself alone.
    next_opened: usize,
}

/// One item's claim on one key. There is none for a queue that the item has opened for itself alone.
struct Claim {
    queue: usize,
    item: usize,
    shared: bool,
    next_of_queue: usize,
    next_of_item: usize,
}

struct Item<T> {
    item: T,
    ticket: u64,
    arrival: u64,
    /// How many of its claims are not in force.
    held_up: usize,
    claimed: Claimed,
}

/// What an item has claimed.
#[derive(Clone, Copy)]
struct Claimed {
    /// Linked by `Queue::next_opened`.
    first_opened: usize,
    /// Linked by `Claim::next_of_item`.
    first_claim: usize,
}

struct Arriving<K> {
    key: K,
    hash: u64,
    /// Its queue, if it had one before the item arrived.
    queue: usize,
    shared: bool,
}

/// Reads an item's keys and how it uses each of them.
pub trait Accesses<T, K>: Sealed {
    /// Called once an item, in source order.
    #[doc(hidden)]
    fn read(&mut self, item: &T, each: impl FnMut(Access<K>));
}

/// The keys of `ordered_by_access`: a closure returns each with its access.
pub struct Each<F, I> {
    accesses: F,
    _set: PhantomData<fn() -> I>,
}

/// The keys of `ordered_by_groups`: a closure returns them, and each is exclusive.
pub struct Exclusively<F, I> {
    keys: F,
    _set: PhantomData<fn() -> I>,
}

impl<F, I> Each<F, I> {
    pub(crate) fn new(accesses: F) -> Self {
        Self {
            accesses,
            _set: PhantomData,
        }
    }
}

impl<A, K, S, T> WithHasher for ByAccess<A, K, S, T> {
    type With<H> = ByAccess<A, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByAccess::new(self.accesses, Given::new(hasher))
    }
}

impl<F, I> Exclusively<F, I> {
    pub(crate) fn new(keys: F) -> Self {
        Self {
            keys,
            _set: PhantomData,
        }
    }
}

impl<F, I, T, K> Accesses<T, K> for Each<F, I>
where
    F: FnMut(&T) -> I,
    I: IntoIterator<Item = Access<K>>,
{
    fn read(&mut self, item: &T, each: impl FnMut(Access<K>)) {
        (self.accesses)(item).into_iter().for_each(each);
    }
}

impl<F, I, T, K> Accesses<T, K> for Exclusively<F, I>
where
    F: FnMut(&T) -> I,
    I: IntoIterator<Item = K>,
{
    fn read(&mut self, item: &T, each: impl FnMut(Access<K>)) {
        let keys = (self.keys)(item).into_iter();
        keys.map(Access::Exclusive).for_each(each);
    }
}

impl<A, K, S, T> ByAccess<A, K, S, T> {
    pub(crate) fn new(accesses: A, hasher: S) -> Self {
        Self {
            accesses,
            queues: Keyed::new(hasher),
            claims: Slab::new(),
            items: Slab::new(),
            running: ByPlace::new(),
            ready: ReadyItems::new(),
            emptied: Vec::new(),
            arriving: Vec::new(),
            arrived: 0,
            waiting: 0,
            depths: Depths::new(),
        }
    }

    /// The item that has just arrived makes its claims, and waits.
    fn enter(&mut self, ticket: u64, item: T) -> usize
    where
        K: Eq,
    {
        let entered = self.items.insert(Item {
            item,
            ticket,
            arrival: self.arrived,
            held_up: 0,
            claimed: Claimed::default(),
        });
        let claimed = self.claim(entered);
        self.items[entered].claimed = claimed;
        entered
    }

    /// The item that has just arrived makes its claims. If none of them is held up, the item need not be named.
    fn claim(&mut self, item: usize) -> Claimed
    where
        K: Eq,
    {
        let mut claimed = Claimed::default();
        let mut all_opened = true;
        while let Some(Arriving {
            key,
            hash,
            queue,
            shared,
        }) = self.arriving.pop()
        {
            let queue = match queue {
                // The key may stand twice in the item.
                NONE => self.queues.find(hash, &key),
                queue => Some(queue),
            };
            if let Some(queue) = queue {
                self.join(queue, item, shared, &mut claimed);
                all_opened = false;
                continue;
            }
            let here = Queue::opened_by(self.arrived, shared, claimed.first_opened);
            let queue = self.queues.open(hash, key, here);
            if shared {
                self.make_claim(queue, item, shared, &mut claimed);
            } else {
                claimed.first_opened = queue;
            }
        }
        if !all_opened {
            self.line_up_all(claimed.first_claim);
        }
        claimed
    }

    /// A claim on a key that has a queue. It is not lined up yet.
    #[inline(never)] // most keys have none
    fn join(&mut self, queue: usize, item: usize, shared: bool, claimed: &mut Claimed) {
        let here = self.queues.value_mut(queue);
        if here.last_arrival != self.arrived {
            here.last_arrival = self.arrived;
            self.make_claim(queue, item, shared, claimed);
        } else if let Some(claim) = self.claims.get_mut(here.last_claim) {
            // Twice, and it is exclusive if it is so once.
            claim.shared &= shared;
            here.shared &= shared || !here.is_opened_by(self.arrived);
        }
    }

    fn make_claim(&mut self, queue: usize, item: usize, shared: bool, claimed: &mut Claimed) {
        let claim = Claim::new(queue, item, shared, claimed.first_claim);
        claimed.first_claim = self.claims.insert(claim);
        self.queues.value_mut(queue).last_claim = claimed.first_claim;
    }

    #[inline(never)]
    fn line_up_all(&mut self, first: usize) {
        let mut claim = first;
        while claim != NONE {
            self.line_up(claim);
            claim = self.claims[claim].next_of_item;
        }
    }

    /// Puts a claim of the item that has just arrived in force if nothing is before it, else at the end of its queue.
    fn line_up(&mut self, claim: usize) {
        let Claim {
            queue,
            item,
            shared,
            ..
        } = self.claims[claim];
        let here = self.queues.value_mut(queue);
        if here.is_opened_by(self.arrived) {
            return;
        }
        if here.first == NONE && here.shared && shared {
            here.in_force += 1;
            return;
        }
        match std::mem::replace(&mut here.last, claim) {
            NONE => here.first = claim,
            last => self.claims[last].next_of_queue = claim,
        }
        self.items[item].held_up += 1;
        self.depths.deepen(queue);
    }

    /// A claim that is in force is given up; what is next in its queue may come into force, when the order catches up.
    #[inline(always)] // as each claim comes here
    fn give_up(&mut self, queue: usize) {
        let here = self.queues.value_mut(queue);
        here.in_force -= 1;
        if here.in_force > 0 {
            return;
        }
        if here.first == NONE {
            self.queues.close(queue);
            return;
        }
        self.emptied.push(queue);
    }

    fn give_up_claims(&mut self, first: usize) {
        let mut next = first;
        while next != NONE {
            let claim = known(self.claims.try_remove(next));
            next = claim.next_of_item;
            self.give_up(claim.queue);
        }
    }

    /// Brings the next claim of a queue into force, if it may be. Says whether it was.
    fn bring_into_force(&mut self, queue: usize) -> bool {
        // What is named here may be gone, and another may have its index.
        let Some(here) = self.queues.get_mut(queue) else {
            return false;
        };
        let Some(claim) = self.claims.get(here.first) else {
            return false;
        };
        if here.in_force > 0 && !(here.shared && claim.shared) {
            return false;
        }
        here.shared = claim.shared;
        here.in_force += 1;
        here.first = claim.next_of_queue;
        if here.first == NONE {
            here.last = NONE;
        }
        self.depths.lessen(queue);
        let item = &mut self.items[claim.item];
        item.held_up -= 1;
        if item.held_up == 0 {
            self.ready.push(item.arrival, claim.item);
        }
        true
    }
}

impl Default for Claimed {
    fn default() -> Self {
        Self {
            first_opened: NONE,
            first_claim: NONE,
        }
    }
}

impl Claim {
    fn new(queue: usize, item: usize, shared: bool, next_of_item: usize) -> Self {
        Self {
            queue,
            item,
            shared,
            next_of_queue: NONE,
            next_of_item,
        }
    }
}

impl Queue {
    /// A queue for a key that none had: its first claim is in force.
    fn opened_by(arrival: u64, shared: bool, next_opened: usize) -> Self {
        Self {
            in_force: 1,
            shared,
            first: NONE,
            last: NONE,
            opened: arrival,
            last_arrival: arrival,
            last_claim: NONE,
            next_opened,
        }
    }

    fn is_opened_by(&self, arrival: u64) -> bool {
        self.opened == arrival
    }
}

impl<A, K, S, T> Feeds for ByAccess<A, K, S, T> {
    type Input = T;
}

impl<A, K, S, T> Order<T> for ByAccess<A, K, S, T>
where
    A: Accesses<T, K>,
    K: Hash + Eq,
    S: HashKeys,
{
    type Claim = ();

    fn alone(item: T) -> T {
        item
    }

    fn arrive(&mut self, item: &T) -> Arrival<()> {
        self.arrived += 1;
        self.arriving.clear();
        let Self {
            accesses,
            arriving,
            queues,
            ..
        } = self;
        accesses.read(item, |access| {
            let (key, shared) = match access {
                Access::Shared(key) => (key, true),
                Access::Exclusive(key) => (key, false),
            };
            let hash = queues.hash(&key);
            arriving.push(Arriving {
                key,
                hash,
                queue: NONE,
                shared,
            });
        });
        let mut starts = true;
        for arriving in arriving {
            let Some(queue) = queues.find(arriving.hash, &arriving.key) else {
                continue;
            };
            arriving.queue = queue;
            let here = queues.value(queue);
            starts &= here.first == NONE && here.shared && arriving.shared;
        }
        if starts {
            Arrival::Starts(())
        } else {
            Arrival::Waits(0)
        }
    }

    fn wait(&mut self, _behind: usize, ticket: u64, item: T) {
        self.enter(ticket, item);
        self.waiting += 1;
    }

    fn wait_for_slot(&mut self, (): (), ticket: u64, item: T) {
        let item = self.enter(ticket, item);
        self.ready.push(self.arrived, item);
        self.waiting += 1;
    }

    fn hold(&mut self, place: usize, (): ()) {
        let claimed = self.claim(NONE);
        self.running.set(place, claimed);
    }

    fn pass(&mut self, (): ()) {
        self.arriving.clear();
    }

    fn release(&mut self, place: usize) {
        let mut claimed = self.running.get(place);
        while claimed.first_opened != NONE {
            let queue = claimed.first_opened;
            claimed.first_opened = self.queues.value(queue).next_opened;
            self.give_up(queue);
        }
        if claimed.first_claim != NONE {
            self.give_up_claims(claimed.first_claim);
        }
    }

    fn is_behind(&self) -> bool {
        !self.emptied.is_empty()
    }

    fn catch_up(&mut self, steps: &mut u16) -> bool {
        while let Some(&queue) = self.emptied.last() {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            if !self.bring_into_force(queue) {
                self.emptied.pop();
            }
        }
        true
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
        let item = self.items.remove(item);
        self.running.set(place, item.claimed);
        self.waiting -= 1;
        item.item
    }

    fn count_depths(&mut self) {
        self.depths.count();
    }

    fn deepest(&self) -> usize {
        self.depths.deepest()
    }

    fn shrink(&mut self) {
        self.depths.shrink();
        give_back(&mut self.items);
        give_back(&mut self.claims);
        self.queues.shrink();
        self.ready.shrink();
        if self.queues.len() == 0 {
            // What runs has no keys.
            self.running.give_back();
        }
    }

    fn waiting(&self) -> usize {
        self.waiting
    }

    fn groups(&self) -> usize {
        self.queues.len()
    }

    fn clear(&mut self) {
        self.depths.clear();
        self.items.clear();
        self.ready.clear();
        self.emptied.clear();
        self.claims.clear();
        self.queues.clear();
        self.arriving.clear();
        self.waiting = 0;
    }
}

impl<A, K, S, T> fmt::Debug for ByAccess<A, K, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByAccess").finish_non_exhaustive()
    }
}

impl<F, I> fmt::Debug for Each<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").finish_non_exhaustive()
    }
}

impl<F, I> fmt::Debug for Exclusively<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusively").finish_non_exhaustive()
    }
}
