//! A table of what is known by a key, each at a place of its own: the groups that run, the partitions in the window.
//!
//! A chained hash table whose links are the places. It holds only what is admitted, so it can afford sixteen buckets for
//! each, and nearly every look-up ends at its first comparison.

const BUCKETS_PER_PLACE: usize = 16;
const FEWEST_BUCKETS: usize = 1024;
const NONE: u32 = u32::MAX;

pub(crate) struct Keyed<K> {
    /// A power of two of them, or none as yet: the first slot of each chain.
    buckets: Vec<u32>,
    /// What is left of a hash when it is shifted to the number of a bucket.
    shift: u32,
    entries: Vec<Option<Entry<K>>>,
    len: usize,
}

struct Entry<K> {
    key: K,
    hash: u64,
    next: u32,
}

impl<K> Keyed<K> {
    pub(crate) fn new() -> Self {
        Self {
            buckets: Vec::new(),
            shift: 0,
            entries: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place of this key.
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
    pub(crate) fn insert(&mut self, place: usize, hash: u64, key: K) {
        if place >= self.entries.len() {
            self.grow(place + 1);
        }
        let bucket = self.bucket(hash);
        let next = std::mem::replace(&mut self.buckets[bucket], place as u32);
        self.entries[place] = Some(Entry { key, hash, next });
        self.len += 1;
    }

    /// Forgets the key that has this place.
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

    /// Multiplies by 2^64 / φ, so that a hasher whose bits vary in few places fills the table all the same
    /// (Knuth, The Art of Computer Programming 3, 6.4).
    fn bucket(&self, hash: u64) -> usize {
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
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
        self.buckets.clear();
        self.buckets.resize(buckets, NONE);
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
