//! A change of the number of queues, and the groups that it moves.

use crate::ring::{Ring, queue_by_remainder};

#[derive(Clone, Copy)]
pub struct Change {
    pub from: u32,
    pub to: u32,
    /// So many messages are published before it.
    pub after: u32,
}

/// What a change does to some groups.
pub struct Shift {
    /// How many go to another queue.
    pub moved: u32,
    /// How many would if the queue were the remainder of the hash by the number of queues.
    pub moved_by_remainder: u32,
    /// How many the fullest of the new queues has.
    pub fullest: u32,
}

impl Change {
    /// The least share of the groups that has to move if all queues are to have equally many.
    pub fn ideal(self) -> f64 {
        f64::from(self.from.abs_diff(self.to)) / f64::from(self.from.max(self.to))
    }

    pub fn shift(self, groups: u32, virtual_nodes: u32) -> Shift {
        let Self { from, to, .. } = self;
        let [old, new] = [from, to].map(|queues| Ring::of(queues, virtual_nodes));
        let mut sizes = vec![0; to as usize];
        let (mut moved, mut moved_by_remainder) = (0, 0);
        for group in 0..groups {
            let queue = new.queue(group);
            sizes[queue] += 1;
            moved += u32::from(old.queue(group) != queue);
            moved_by_remainder +=
                u32::from(queue_by_remainder(group, from) != queue_by_remainder(group, to));
        }
        Shift {
            moved,
            moved_by_remainder,
            fullest: sizes.into_iter().max().unwrap_or(0),
        }
    }
}
