//! The admitted items, found by their arrival number: those that come out as they arrive have none.

use crate::known::{at_mut, known};
use crate::spare::is_far_too_large;

/// A ring that doubles when it is full. An entry's place is its arrival number modulo the capacity, so it is found
/// without a look at where the ring begins.
pub(super) struct Ring<E> {
    /// None at first, then a power of two of them.
    places: Vec<Option<E>>,
    head: u64,
    end: u64,
}

/// An admitted item: its offset, and how it stands.
pub(super) struct Entry<O, S> {
    pub(super) offset: O,
    pub(super) state: S,
}

const FEWEST_PLACES: usize = 64;

impl<E> Ring<E> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            head: 0,
            end: 0,
        }
    }

    /// The arrival number of the first entry, or of the next to come if there is none.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// The arrival number of the next entry to come.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn len(&self) -> usize {
        (self.end - self.head) as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head == self.end
    }

    #[inline(always)] // or the entry is copied on its way
    pub(super) fn push(&mut self, entry: E) {
        if self.len() == self.places.len() {
            self.grow();
        }
        let place = self.place(self.end);
        *at_mut(&mut self.places, place) = Some(entry);
        self.end += 1;
    }

    /// Takes the first entry, if it is such a one.
    #[inline(always)] // the same
    pub(super) fn pop_if(&mut self, is_such: impl FnOnce(&mut E) -> bool) -> Option<E> {
        let place = self.place(self.head);
        let entry = self.places.get_mut(place)?.take_if(is_such)?;
        self.head += 1;
        Some(entry)
    }

    /// The entry with this arrival number, which must be in the ring.
    pub(super) fn entry(&mut self, seq: u64) -> &mut E {
        debug_assert!((self.head..self.end).contains(&seq));
        let place = self.place(seq);
        known(at_mut(&mut self.places, place).as_mut())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        (self.head..self.end).filter_map(|seq| self.places[self.place(seq)].as_ref())
    }

    /// Gives back storage of which far less is used than there is.
    pub(super) fn shrink(&mut self) {
        if is_far_too_large(self.places.len(), self.len()) {
            self.resize((self.len() * 2).next_power_of_two());
        }
    }

    /// Drops all entries.
    pub(super) fn clear(&mut self) {
        self.places = Vec::new();
        self.head = self.end;
    }

    fn place(&self, seq: u64) -> usize {
        seq as usize & self.places.len().wrapping_sub(1)
    }

    #[cold]
    fn grow(&mut self) {
        self.resize(self.places.len() * 2);
    }

    #[cold]
    fn resize(&mut self, places: usize) {
        let places = places.max(FEWEST_PLACES);
        let mut resized = Vec::new();
        resized.resize_with(places, || None);
        for seq in self.head..self.end {
            let place = self.place(seq);
            resized[seq as usize & (places - 1)] = self.places[place].take();
        }
        self.places = resized;
    }
}
