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
    /// What is left of a hash when it is shifted to the number of a bucket.
    shift: u32,
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
            shift: 0,
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
        let mut slot = self.buckets[self.bucket(hash)];
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
        if slot >= self.groups.len() {
            self.grow(slot + 1);
        }
        let bucket = self.bucket(hash);
        let next = std::mem::replace(&mut self.buckets[bucket], slot as u32);
        self.groups[slot] = Some(Group { key, hash, next });
        self.len += 1;
    }

    /// The group that holds this slot holds it no longer.
    pub(super) fn remove(&mut self, slot: usize) {
        let Some(removed) = self.groups[slot].take() else {
            return;
        };
        let link = slot as u32;
        let bucket = self.bucket(removed.hash);
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

    /// Multiplies by 2^64 / φ, so that a hasher whose bits vary in few places fills the table all the same
    /// (Knuth, The Art of Computer Programming 3, 6.4).
    fn bucket(&self, hash: u64) -> usize {
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// Makes room for groups in as many slots.
    #[cold]
    fn grow(&mut self, slots: usize) {
        assert!(slots < NONE as usize, "2^32 futures do not fit into memory");
        self.groups.resize_with(slots, || None);
        if slots * BUCKETS_PER_GROUP <= self.buckets.len() {
            return;
        }
        let buckets = (slots * BUCKETS_PER_GROUP)
            .next_power_of_two()
            .max(FEWEST_BUCKETS);
        self.shift = 64 - buckets.trailing_zeros();
        self.buckets.clear();
        self.buckets.resize(buckets, NONE);
        for slot in 0..self.groups.len() {
            if let Some(group) = &self.groups[slot] {
                let bucket = self.bucket(group.hash);
                let next = std::mem::replace(&mut self.buckets[bucket], slot as u32);
                if let Some(group) = &mut self.groups[slot] {
                    group.next = next;
                }
            }
        }
    }
}
