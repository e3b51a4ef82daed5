//! A table of what is known by a key, each at a place of its own: the groups that run, the partitions in the window.
//!
//! A chained hash table whose links are the places. It holds only what is admitted, so it can afford sixteen buckets for
//! each, and nearly every look-up ends at its first comparison. A chain that is longer than chance would have it
//! has the keys hashed otherwise.

use std::hash::Hash;

use crate::engine::hashing::HashKeys;
use crate::known::{at, at_mut, known};
use crate::spare::is_far_too_large;

const BUCKETS_PER_PLACE: usize = 16;
const FEWEST_BUCKETS: usize = 1024;
/// The longest chain that chance explains: one in some 10^14 keys would make a longer one.
const LONGEST_CHAIN: usize = 8;
const NONE: u32 = u32::MAX;

/// Either each place is given with [`insert`](Self::insert), or each is chosen with [`open`](Self::open).
pub(crate) struct Keyed<K, S, V> {
    hasher: S,
    /// A chain has become too long.
    crowded: bool,
    /// A power of two of them, or none as yet: the first slot of each chain.
    buckets: Vec<u32>,
    /// What is left of a hash when it is shifted to the number of a bucket.
    shift: u32,
    entries: Vec<Option<Entry<K, V>>>,
    /// Places that were chosen and given back.
    vacant: Vec<usize>,
    len: usize,
}

/// A key that was looked up and has no place.
#[derive(Debug)]
pub struct Unlisted<K> {
    key: K,
    /// Only where there is any key in the table: else it may not be needed.
    hash: u64,
}

struct Entry<K, V> {
    key: K,
    value: V,
    hash: u64,
    next: u32,
}

impl<K, S, V> Keyed<K, S, V> {
    pub(crate) fn new(hasher: S) -> Self {
        Self {
            hasher,
            crowded: false,
            buckets: Vec::new(),
            shift: 0,
            entries: Vec::new(),
            vacant: Vec::new(),
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
            return Err(Unlisted { key, hash: 0 });
        }
        let hash = self.hash(&key);
        match self.find_listed(hash, &key) {
            Some(place) => Ok(place),
            None => Err(Unlisted { key, hash }),
        }
    }

    /// Gives a place to a key that was looked up and has none.
    #[inline(always)]
    pub(crate) fn insert_unlisted(&mut self, place: usize, key: Unlisted<K>, value: V)
    where
        K: Hash,
        S: HashKeys,
    {
        let hash = self.hash_of(&key);
        self.insert(place, hash, key.key, value);
    }

    /// Chooses a place for a key that was looked up and has none.
    pub(crate) fn open_unlisted(&mut self, key: Unlisted<K>, value: V) -> usize
    where
        K: Hash,
        S: HashKeys,
    {
        let hash = self.hash_of(&key);
        self.open(hash, key.key, value)
    }

    #[inline(always)]
    fn hash_of(&mut self, Unlisted { key, hash }: &Unlisted<K>) -> u64
    where
        K: Hash,
        S: HashKeys,
    {
        if self.len == 0 { self.hash(key) } else { *hash }
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
        self.find_listed(hash, key)
    }

    /// The same, where any key has a place.
    #[inline(always)]
    fn find_listed(&self, hash: u64, key: &K) -> Option<usize>
    where
        K: Eq,
    {
        let mut place = *at(&self.buckets, self.bucket(hash));
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
    pub(crate) fn insert(&mut self, place: usize, hash: u64, key: K, value: V) {
        if place >= self.entries.len() {
            self.grow(place + 1);
        }
        let bucket = self.bucket(hash);
        let entry = at_mut(&mut self.entries, place);
        let next = std::mem::replace(at_mut(&mut self.buckets, bucket), place as u32);
        *entry = Some(Entry {
            key,
            value,
            hash,
            next,
        });
        self.len += 1;
        if next != NONE {
            self.look_at_chain(next);
        }
    }

    /// Chooses a place for a key that has none.
    #[inline(always)] // as above
    pub(crate) fn open(&mut self, hash: u64, key: K, value: V) -> usize {
        let place = self.vacant.pop().unwrap_or(self.entries.len());
        self.insert(place, hash, key, value);
        place
    }

    /// Forgets the key that has this place, which was chosen.
    #[inline(always)] // as above
    pub(crate) fn close(&mut self, place: usize) {
        self.remove(place);
        self.vacant.push(place);
    }

    /// Forgets the key that has this place.
    #[inline(always)]
    pub(crate) fn remove(&mut self, place: usize) {
        let Some(removed) = at_mut(&mut self.entries, place).take() else {
            return;
        };
        let link = place as u32;
        let bucket = self.bucket(removed.hash);
        self.len -= 1;
        let first = at_mut(&mut self.buckets, bucket);
        if *first == link {
            *first = removed.next;
            return;
        }
        let mut before = *first;
        while self.entry(before).next != link {
            before = self.entry(before).next;
        }
        known(at_mut(&mut self.entries, before as usize).as_mut()).next = removed.next;
    }

    /// Gives back the storage of a table that is empty.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 && is_far_too_large(self.entries.len(), 0) {
            self.buckets = Vec::new();
            self.entries = Vec::new();
            self.vacant = Vec::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.entries.clear();
        self.vacant.clear();
        self.len = 0;
    }

    /// What is known by the key that has this place.
    #[inline(always)]
    pub(crate) fn value(&self, place: usize) -> &V {
        &known(at(&self.entries, place).as_ref()).value
    }

    /// What is known by the key that has this place.
    #[inline(always)]
    pub(crate) fn value_mut(&mut self, place: usize) -> &mut V {
        &mut known(at_mut(&mut self.entries, place).as_mut()).value
    }

    /// What is known by the key that has this place, if one has.
    pub(crate) fn get(&self, place: usize) -> Option<&V> {
        let entry = self.entries.get(place)?.as_ref()?;
        Some(&entry.value)
    }

    /// What is known by the key that has this place, if one has.
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut V> {
        let entry = self.entries.get_mut(place)?.as_mut()?;
        Some(&mut entry.value)
    }

    /// What is known by each key.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let entries = self.entries.iter_mut();
        entries.filter_map(|entry| Some(&mut entry.as_mut()?.value))
    }

    fn entry(&self, place: u32) -> &Entry<K, V> {
        known(at(&self.entries, place as usize).as_ref())
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
