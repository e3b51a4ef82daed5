//! When storage is given back: where far less is used than there is.

use std::collections::{BinaryHeap, VecDeque};

use slab::Slab;

/// Less than this is never given back.
const LEAST: usize = 16_384;
/// The same where there are many.
#[cfg(any(feature = "tokio", all(loom, test)))]
const LEAST_OF_MANY: usize = 64;

/// Whether so much of the storage is not used that it is worth moving what is.
///
/// No more than an eighth is used, so at least seven items have gone for each that is moved: O(1) an item. What is kept is
/// twice what is used, so the next to come does not need it back at once.
pub(crate) fn is_far_too_large(capacity: usize, used: usize) -> bool {
    capacity >= LEAST && used <= capacity / 8
}

/// Gives back what a queue does not use, if that is far the most of it.
pub(crate) fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if is_far_too_large(queue.capacity(), queue.len()) {
        queue.shrink_to(queue.len() * 2);
    }
}

/// Gives back the storage of a queue that is empty, unless it is small. For queues of which there are many.
#[cfg(any(feature = "tokio", all(loom, test)))]
pub(crate) fn empty_queue<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > LEAST_OF_MANY {
        *queue = VecDeque::new();
    }
}

/// Gives back what a heap does not use, if that is far the most of it.
pub(crate) fn shrink_heap<T>(heap: &mut BinaryHeap<T>) {
    if is_far_too_large(heap.capacity(), heap.len()) {
        heap.shrink_to(heap.len() * 2);
    }
}

/// Gives back the storage of a slab that is empty. One that is not keeps it: its entries are known by their index.
pub(crate) fn give_back<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && is_far_too_large(slab.capacity(), 0) {
        *slab = Slab::new();
    }
}
