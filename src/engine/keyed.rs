//! A table of what is known by a key, each at a place of its own: the groups that run, the partitions in the window.
//!
//! A chained hash table whose links are the places. It holds only what is admitted, so it can afford sixteen buckets for
//! each, and nearly every look-up ends at its first comparison. A chain that is longer than chance would have it
//! has the keys hashed otherwise.

use std::hash::Hash;

use crate::engine::hashing::HashKeys;
use crate::spare::is_far_too_large;

const BUCKETS_PER_PLACE: usize = 16;
const FEWEST_BUCKETS: usize = 1024;
/// The longest chain that chance explains: one in some 10^14 keys would make a longer one.
const LONGEST_CHAIN: usize = 8;
const NONE: u32 = u32::MAX;

pub(crate) struct Keyed<K, S> {
    hasher: S,
    /// A chain has become too long.
    crowded: bool,
    /// A power of two of them, or none as yet: the first slot of each chain.
    buckets: Vec<u32>,
    /// What is left of a hash when it is shifted to the number of a bucket.
    shift: u32,
    entries: Vec<Option<Entry<K>>>,
    len: usize,
}

/// A key that was looked up and has no place; its hash, if it was needed.
#[derive(Debug)]
pub struct Unlisted<K> {
    key: K,
    hash: Option<u64>,
}

struct Entry<K> {
    key: K,
    hash: u64,
    next: u32,
}

impl<K, S> Keyed<K, S> {
    pub(crate) fn new(hasher: S) -> Self {
        Self {
            hasher,
            crowded: false,
            buckets: Vec::new(),
            shift: 0,
            entries: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn into_hasher(self) -> S {
        self.hasher
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The hash of a key, for the other methods. Good until a key was inserted and another is hashed.
    pub(crate) fn hash(&mut self, key: &K) -> u64
    where
        K: Hash,
        S: HashKeys,
    {
        if self.crowded {
            self.harden();
        }
        self.hasher.hash(key)
    }

    /// The place of this key, or what it takes to give it one.
    #[inline(always)]
    pub(crate) fn look_up(&mut self, key: K) -> Result<usize, Unlisted<K>>
    where
        K: Hash + Eq,
        S: HashKeys,
    {
        if self.len == 0 {
            return Err(Unlisted { key, hash: None });
        }
        let hash = self.hash(&key);
        match self.find(hash, &key) {
            Some(place) => Ok(place),
            None => {
                let hash = Some(hash);
                Err(Unlisted { key, hash })
            }
        }
    }

    /// Gives a place to a key that was looked up and has none.
    #[inline(always)]
    pub(crate) fn list(&mut self, place: usize, Unlisted { key, hash }: Unlisted<K>)
    where
        K: Hash,
        S: HashKeys,
    {
        let hash = hash.unwrap_or_else(|| self.hash(&key));
        self.insert(place, hash, key);
    }

    /// The place of this key.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, key: &K) -> Option<usize>
    where
        K: Eq,
    {
        if self.len == 0 {
            return None;
        }
        let mut place = self.buckets[self.bucket(hash)];
        while place != NONE {
            let entry = self.entry(place);
            if entry.hash == hash && entry.key == *key {
                return Some(place as usize);
            }
            place = entry.next;
        }
        None
    }

    /// Gives a place to a key that has none.
    #[inline(always)] // a tenth of what an item costs
    pub(crate) fn insert(&mut self, place: usize, hash: u64, key: K) {
        if place >= self.entries.len() {
            self.grow(place + 1);
        }
        let bucket = self.bucket(hash);
        let next = std::mem::replace(&mut self.buckets[bucket], place as u32);
        self.entries[place] = Some(Entry { key, hash, next });
        self.len += 1;
        if next != NONE {
            self.look_at_chain(next);
        }
    }

    /// Forgets the key that has this place.
    #[inline(always)]
    pub(crate) fn remove(&mut self, place: usize) {
        let Some(removed) = self.entries[place].take() else {
            return;
        };
        let link = place as u32;
        let bucket = self.bucket(removed.hash);
        self.len -= 1;
        if self.buckets[bucket] == link {
            self.buckets[bucket] = removed.next;
            return;
        }
        let mut before = self.buckets[bucket];
        while self.entry(before).next != link {
            before = self.entry(before).next;
        }
        self.entries[before as usize]
            .as_mut()
            .expect("a linked entry")
            .next = removed.next;
    }

    /// Gives back the storage of a table that is empty.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 && is_far_too_large(self.entries.len(), 0) {
            self.buckets = Vec::new();
            self.entries = Vec::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.entries.clear();
        self.len = 0;
    }

    fn entry(&self, place: u32) -> &Entry<K> {
        self.entries[place as usize]
            .as_ref()
            .expect("a linked entry")
    }

    fn bucket(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// Whether this chain has become too long.
    #[cold]
    fn look_at_chain(&mut self, first: u32) {
        let mut length = 1;
        let mut place = first;
        while place != NONE && length <= LONGEST_CHAIN {
            length += 1;
            place = self.entry(place).next;
        }
        self.crowded |= length > LONGEST_CHAIN;
    }

    /// Hashes the keys otherwise, if there is a better way.
    #[cold]
    fn harden(&mut self)
    where
        K: Hash,
        S: HashKeys,
    {
        self.crowded = false;
        if self.hasher.harden() {
            for entry in self.entries.iter_mut().flatten() {
                entry.hash = self.hasher.hash(&entry.key);
            }
            self.link_all();
        }
    }

    /// Makes room for as many places.
    #[cold]
    fn grow(&mut self, places: usize) {
        assert!(places < NONE as usize, "2^32 keys do not fit into memory");
        self.entries.resize_with(places, || None);
        if places * BUCKETS_PER_PLACE <= self.buckets.len() {
            return;
        }
        let buckets = (places * BUCKETS_PER_PLACE)
            .next_power_of_two()
            .max(FEWEST_BUCKETS);
        self.shift = 64 - buckets.trailing_zeros();
        self.buckets.resize(buckets, NONE);
        self.link_all();
    }

    /// Chains all entries anew.
    fn link_all(&mut self) {
        self.buckets.fill(NONE);
        for place in 0..self.entries.len() {
            let Some(hash) = self.entries[place].as_ref().map(|entry| entry.hash) else {
                continue;
            };
            let bucket = self.bucket(hash);
            let next = std::mem::replace(&mut self.buckets[bucket], place as u32);
            if let Some(entry) = &mut self.entries[place] {
                entry.next = next;
            }
        }
    }
}
