//! Which queue a group belongs to, by consistent hashing.

use std::hash::BuildHasher as _;

use hashring::{DefaultHashBuilder, HashRing};

/// Each queue has many points on a ring, its *virtual nodes*, and a group belongs to the queue of the point that comes
/// next after its hash. So one more queue takes the groups just before its own points, some from every other queue, and
/// one less gives its own away; all other groups stay where they are.
///
/// The hash has no random state: a publisher that starts again goes on with the same queues.
pub struct Ring(HashRing<VirtualNode>);

#[derive(Hash)]
struct VirtualNode {
    queue: u32,
    replica: u32,
}

impl Ring {
    /// At least one queue with at least one virtual node.
    pub fn of(queues: u32, virtual_nodes: u32) -> Self {
        let nodes = (0..queues).flat_map(|queue| {
            let replicas = 0..virtual_nodes;
            replicas.map(move |replica| VirtualNode { queue, replica })
        });
        let mut ring = HashRing::new();
        ring.batch_add(nodes.collect());
        Self(ring)
    }

    pub fn queue(&self, group: u32) -> usize {
        let node = self.0.get(&group);
        node.expect("there is a virtual node").queue as usize
    }
}

/// The plain way, by the same hash: most groups move, unless the old number of queues divides the new one or is divided
/// by it.
pub fn queue_by_remainder(group: u32, queues: u32) -> u64 {
    DefaultHashBuilder.hash_one(group) % u64::from(queues)
}
