//! How many items wait in each queue, and in the longest one.

use crate::spare::is_far_too_large;

/// Counted only where somebody watches: O(1) for each item that waits.
pub(crate) struct Depths(Option<Box<Counted>>);

#[derive(Default)]
struct Counted {
    /// How many items wait in each queue.
    by_queue: Vec<usize>,
    /// How many queues have so many items. What is past the deepest is 0, and nobody asks how many are empty.
    queues: Vec<usize>,
    deepest: usize,
    /// How many items have waited since the storage by queue was given back last.
    deepened: usize,
}

impl Depths {
    /// Counts nothing.
    pub(crate) fn new() -> Self {
        Self(None)
    }

    /// Counts from here on, where nothing waits yet.
    pub(crate) fn count(&mut self) {
        self.0 = Some(Box::default());
    }

    /// How many items wait in the longest queue, if that is counted.
    pub(crate) fn deepest(&self) -> usize {
        self.0.as_ref().map_or(0, |counted| counted.deepest)
    }

    /// An item waits in this queue.
    pub(crate) fn deepen(&mut self, queue: usize) {
        if let Some(counted) = &mut self.0 {
            counted.deepen(queue);
        }
    }

    /// An item waits in this queue no more.
    pub(crate) fn lessen(&mut self, queue: usize) {
        if let Some(counted) = &mut self.0 {
            counted.lessen(queue);
        }
    }

    /// Nothing waits in this queue any more.
    #[cfg(feature = "tokio")]
    pub(crate) fn empty(&mut self, queue: usize) {
        if let Some(counted) = &mut self.0 {
            while counted.by_queue.get(queue).is_some_and(|&depth| depth > 0) {
                counted.lessen(queue);
            }
        }
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        if let Some(counted) = &mut self.0 {
            **counted = Counted::default();
        }
    }

    /// Gives back storage of which far less is used than there is.
    pub(crate) fn shrink(&mut self) {
        if let Some(counted) = &mut self.0 {
            counted.shrink();
        }
    }
}

impl Counted {
    fn deepen(&mut self, queue: usize) {
        if queue >= self.by_queue.len() {
            self.by_queue.resize(queue + 1, 0);
        }
        self.deepened = self.deepened.saturating_add(1);
        let depth = self.by_queue[queue] + 1;
        self.move_to(queue, depth);
        self.deepest = self.deepest.max(depth);
    }

    fn lessen(&mut self, queue: usize) {
        let depth = self.by_queue[queue];
        self.move_to(queue, depth - 1);
        // The queue itself is now one less deep.
        if self.queues[self.deepest] == 0 {
            self.deepest -= 1;
        }
    }

    fn shrink(&mut self) {
        if is_far_too_large(self.queues.len(), self.deepest) {
            self.queues.truncate(self.deepest + 1);
            self.queues.shrink_to(self.deepest * 2);
        }
        // Not sooner than it has been used as often as it is long, or it is made anew for each item.
        let has_paid = self.deepened >= self.by_queue.len();
        if self.deepest == 0 && has_paid && is_far_too_large(self.by_queue.len(), 0) {
            self.by_queue = Vec::new();
            self.deepened = 0;
        }
    }

    fn move_to(&mut self, queue: usize, depth: usize) {
        let before = std::mem::replace(&mut self.by_queue[queue], depth);
        let most = before.max(depth);
        if most >= self.queues.len() {
            self.queues.resize(most + 1, 0);
        }
        self.queues[before] = self.queues[before].saturating_sub(1);
        self.queues[depth] += 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn counting() -> Depths {
        let mut depths = Depths::new();
        depths.count();
        depths
    }

    fn counted(depths: &Depths) -> &Counted {
        depths.0.as_ref().expect("they are counted")
    }

    #[test]
    fn the_deepest_is_known_as_queues_grow_and_empty() {
        let mut depths = counting();
        let mut counted = [0_usize; 5];
        let mut seed = 1_u64;
        for _ in 0..10_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let queue = (seed >> 40) as usize % counted.len();
            if seed >> 63 == 0 || counted[queue] == 0 {
                depths.deepen(queue);
                counted[queue] += 1;
            } else {
                depths.lessen(queue);
                counted[queue] -= 1;
            }
            assert_eq!(Some(depths.deepest()), counted.iter().copied().max());
        }
        depths.clear();
        assert_eq!(depths.deepest(), 0);
    }

    #[test]
    fn storage_is_given_back() {
        let mut depths = counting();
        for queue in 0..20_000 {
            depths.deepen(queue);
            depths.deepen(0);
        }
        for queue in 0..20_000 {
            depths.lessen(queue);
            depths.lessen(0);
            depths.shrink();
        }
        assert_eq!(depths.deepest(), 0);
        assert!(counted(&depths).by_queue.capacity() < 16_384);
        assert!(counted(&depths).queues.capacity() < 16_384);
    }

    #[test]
    fn storage_is_not_given_back_and_made_anew_for_each_item() {
        let mut depths = counting();
        let mut made = 0;
        for _ in 0..1_000 {
            made += usize::from(counted(&depths).by_queue.is_empty());
            depths.deepen(20_000);
            depths.lessen(20_000);
            depths.shrink();
        }
        assert_eq!(made, 1);
    }
}
