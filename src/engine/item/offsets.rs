//! What is read from an item, at admission, for the caller to commit.

use std::fmt;
use std::marker::PhantomData;

use crate::engine::sealed::Sealed;

/// Reads an item's offset.
pub trait ReadOffset<T>: Sealed {
    /// What the caller commits.
    type Offset;

    /// Called once an item, in source order.
    #[doc(hidden)]
    fn read(&mut self, item: &T) -> Self::Offset;
}

/// The default: the item's position in the source, starting at 0.
#[derive(Debug)]
pub struct Counted(u64);

/// A closure that returns an item's offset, set with `offsets`.
pub struct Offsets<G, O> {
    offset: G,
    _offset: PhantomData<fn() -> O>,
}

impl Counted {
    pub(crate) fn new() -> Self {
        Self(0)
    }
}

impl<G, O> Offsets<G, O> {
    pub(crate) fn new(offset: G) -> Self {
        Self {
            offset,
            _offset: PhantomData,
        }
    }
}

impl<G, O> fmt::Debug for Offsets<G, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offsets").finish_non_exhaustive()
    }
}

impl<T> ReadOffset<T> for Counted {
    type Offset = u64;

    fn read(&mut self, _item: &T) -> u64 {
        let position = self.0;
        self.0 += 1;
        position
    }
}

impl<T, G, O> ReadOffset<T> for Offsets<G, O>
where
    G: FnMut(&T) -> O,
{
    type Offset = O;

    fn read(&mut self, item: &T) -> O {
        (self.offset)(item)
    }
}
