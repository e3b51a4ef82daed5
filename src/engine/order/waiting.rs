//! Waiting items: one arena, and a queue through it for each place.

use slab::Slab;

use crate::spare::is_far_too_large;

const NONE: usize = usize::MAX;

/// How many places of a queue may be looked at for each item of which the storage is given back.
const PLACES_PER_ITEM: usize = 8;

/// The arena.
pub(crate) struct Waiting<T> {
    items: Slab<Item<T>>,
}

/// The first and the last of a queue.
#[derive(Clone, Copy)]
pub(crate) struct Queue {
    first: usize,
    last: usize,
}

struct Item<T> {
    item: T,
    ticket: u64,
    next: usize,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };
}

impl<T> Waiting<T> {
    pub(crate) fn new() -> Self {
        Self { items: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn push(&mut self, queue: &mut Queue, ticket: u64, item: T) {
        let next = NONE;
        let index = self.items.insert(Item { item, ticket, next });
        match std::mem::replace(&mut queue.last, index) {
            NONE => queue.first = index,
            last => self.items[last].next = index,
        }
    }

    /// The ticket of the first item.
    pub(crate) fn first(&self, queue: &Queue) -> Option<u64> {
        (queue.first != NONE).then(|| self.items[queue.first].ticket)
    }

    /// The tickets of all items, the first first.
    pub(crate) fn tickets(&self, queue: &Queue) -> impl Iterator<Item = u64> {
        let mut next = queue.first;
        std::iter::from_fn(move || {
            let item = self.items.get(next)?;
            next = item.next;
            Some(item.ticket)
        })
    }

    pub(crate) fn first_item(&self, queue: &Queue) -> Option<&T> {
        (queue.first != NONE).then(|| &self.items[queue.first].item)
    }

    pub(crate) fn pop(&mut self, queue: &mut Queue) -> Option<T> {
        let Item { item, next, .. } = self.items.try_remove(queue.first)?;
        queue.first = next;
        if next == NONE {
            queue.last = NONE;
        }
        Some(item)
    }

    /// Gives back storage of which far less is used than there is. These are all the queues through it.
    pub(crate) fn shrink<'a>(&mut self, queues: impl Iterator<Item = &'a mut Queue>) {
        let (capacity, used) = (self.items.capacity(), self.items.len());
        if !is_far_too_large(capacity, used) {
            return;
        }
        // Each place of a queue is looked at, so there must be no more than a few for each item that has gone.
        let places = queues.size_hint().1;
        if places.is_none_or(|places| places / PLACES_PER_ITEM > capacity) {
            return;
        }
        let mut moved = Self {
            items: Slab::with_capacity(used * 2),
        };
        for queue in queues {
            let mut moved_queue = Queue::EMPTY;
            while let Some(ticket) = self.first(queue) {
                let item = self.pop(queue).expect("the first was named");
                moved.push(&mut moved_queue, ticket, item);
            }
            *queue = moved_queue;
        }
        *self = moved;
    }

    /// Drops all items; the queues through the arena are void.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }
}
