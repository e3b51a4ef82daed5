//! The groups that hold a slot, found by their key.
//!
//! A chained hash table whose links are slots: it holds at most `max_parallel` groups, so it can afford sixteen
//! buckets for each, and nearly every look-up ends at its first comparison.

const BUCKETS_PER_GROUP: usize = 16;
const FEWEST_BUCKETS: usize = 1024;
const NONE: u32 = u32::MAX;

pub(super) struct Groups<K> {
    /// A power of two of them, or none as yet: the first slot of each chain.
    buckets: Vec<u32>,
    /// By slot.
    groups: Vec<Option<Group<K>>>,
    len: usize,
}

struct Group<K> {
    key: K,
    hash: u64,
    next: u32,
}

impl<K> Groups<K> {
    pub(super) fn new() -> Self {
        Self {
            buckets: Vec::new(),
            groups: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot that the group of this key holds.
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize>
    where
        K: Eq,
    {
        if self.len == 0 {
            return None;
        }
        let mut slot = self.buckets[bucket(hash, self.buckets.len())];
        while slot != NONE {
            let group = self.group(slot);
            if group.hash == hash && group.key == *key {
                return Some(slot as usize);
            }
            slot = group.next;
        }
        None
    }

    /// Has the group of this key hold this slot. It must not hold one already.
    pub(super) fn insert(&mut self, slot: usize, hash: u64, key: K) {
        if (self.len + 1) * BUCKETS_PER_GROUP > self.buckets.len() {
            self.grow();
        }
        if slot >= self.groups.len() {
            self.groups.resize_with(slot + 1, || None);
        }
        let link = u32::try_from(slot).expect("2^32 futures do not fit into memory");
        let bucket = bucket(hash, self.buckets.len());
        let next = std::mem::replace(&mut self.buckets[bucket], link);
        self.groups[slot] = Some(Group { key, hash, next });
        self.len += 1;
    }

    /// The group that holds this slot holds it no longer.
    pub(super) fn remove(&mut self, slot: usize) {
        let Some(removed) = self.groups[slot].take() else {
            return;
        };
        let link = slot as u32;
        let bucket = bucket(removed.hash, self.buckets.len());
        self.len -= 1;
        if self.buckets[bucket] == link {
            self.buckets[bucket] = removed.next;
            return;
        }
        let mut before = self.buckets[bucket];
        while self.group(before).next != link {
            before = self.group(before).next;
        }
        self.groups[before as usize]
            .as_mut()
            .expect("a linked group")
            .next = removed.next;
    }

    pub(super) fn clear(&mut self) {
        self.buckets.clear();
        self.groups.clear();
        self.len = 0;
    }

    fn group(&self, slot: u32) -> &Group<K> {
        self.groups[slot as usize].as_ref().expect("a linked group")
    }

    fn grow(&mut self) {
        let buckets = (self.buckets.len() * 2).max(FEWEST_BUCKETS);
        self.buckets.clear();
        self.buckets.resize(buckets, NONE);
        for (slot, group) in self.groups.iter_mut().enumerate() {
            if let Some(group) = group {
                let bucket = bucket(group.hash, buckets);
                group.next = std::mem::replace(&mut self.buckets[bucket], slot as u32);
            }
        }
    }
}

/// Multiplies by 2^64 / φ, so that a hasher whose bits vary in few places fills the table all the same
/// (Knuth, The Art of Computer Programming 3, 6.4).
fn bucket(hash: u64, buckets: usize) -> usize {
    (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - buckets.trailing_zeros())) as usize
}
