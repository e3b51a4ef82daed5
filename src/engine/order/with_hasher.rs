//! Orders whose keys are hashed: how they are hashed can be set.

use super::{Ahead, ByAccess, ByGroup, ByGroupAhead};
use crate::engine::hashing::Given;
use crate::engine::sealed::Sealed;

/// An order that hashes keys.
pub trait WithHasher: Sealed {
    /// The same order with another hasher.
    type With<H>;

    #[doc(hidden)]
    fn with_hasher<H>(self, hasher: H) -> Self::With<H>;
}

impl<F, K, S, T> WithHasher for ByGroup<F, K, S, T> {
    type With<H> = ByGroup<F, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByGroup::with_hasher(self, hasher)
    }
}

impl<F, K, S, T> WithHasher for ByGroupAhead<F, K, S, T> {
    type With<H> = ByGroupAhead<F, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByGroupAhead::with_hasher(self, hasher)
    }
}

impl<A, K, S, T> WithHasher for ByAccess<A, K, S, T> {
    type With<H> = ByAccess<A, K, Given<H>, T>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        ByAccess::with_hasher(self, hasher)
    }
}

impl<A, K, S, T> WithHasher for Ahead<ByAccess<A, K, S, T>> {
    type With<H> = Ahead<ByAccess<A, K, Given<H>, T>>;

    fn with_hasher<H>(self, hasher: H) -> Self::With<H> {
        self.map(|order| order.with_hasher(hasher))
    }
}
