//! Orders whose keys are hashed: how they are hashed can be set.

use crate::engine::sealed::Sealed;

/// An order that hashes keys.
pub trait WithHasher: Sealed {
    /// The same order with another hasher.
    type With<H>;

    #[doc(hidden)]
    fn with_hasher<H>(self, hasher: H) -> Self::With<H>;
}
