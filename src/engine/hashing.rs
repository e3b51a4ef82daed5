//! How keys are hashed.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use foldhash::fast;

use crate::engine::sealed::Sealed;

/// Hashes keys.
pub trait HashKeys: Sealed {
    /// Equal keys have equal hashes, until [`harden`](Self::harden) says otherwise. A table takes the first bits.
    #[doc(hidden)]
    fn hash<K: Hash>(&self, key: &K) -> u64;

    /// More keys than chance would have it have met in one place. Says whether keys have other hashes from now on.
    #[doc(hidden)]
    fn harden(&mut self) -> bool;
}

/// The default hasher: fast while keys spread, and hard to attack once they collide.
///
/// It begins with foldhash, whose seeds can be found out by whoever observes a program for long, and changes once to
/// SipHash. (Crosby and Wallach, "Denial of service via algorithmic complexity attacks", USENIX Security 2003, on
/// what keys from outside can do.)
pub struct Wary {
    fast: fast::RandomState,
    safe: Option<RandomState>,
}

/// A hasher that was set with `with_hasher`, used as it is.
pub struct Given<S>(S);

impl Wary {
    pub(crate) fn new() -> Self {
        Self {
            fast: fast::RandomState::default(),
            safe: None,
        }
    }
}

impl<S> Given<S> {
    pub(crate) fn new(hasher: S) -> Self {
        Self(hasher)
    }
}

impl HashKeys for Wary {
    fn hash<K: Hash>(&self, key: &K) -> u64 {
        match &self.safe {
            None => self.fast.hash_one(key),
            Some(safe) => hash_safely(safe, key),
        }
    }

    fn harden(&mut self) -> bool {
        let is_new = self.safe.is_none();
        self.safe.get_or_insert_default();
        is_new
    }
}

#[cold]
fn hash_safely<K: Hash>(safe: &RandomState, key: &K) -> u64 {
    safe.hash_one(key)
}

impl<S: BuildHasher> HashKeys for Given<S> {
    /// Multiplies by 2^64 / φ, so that a hasher whose bits vary in few places, such as the last, fills a table all the same
    /// (Knuth, The Art of Computer Programming 3, 6.4).
    fn hash<K: Hash>(&self, key: &K) -> u64 {
        self.0.hash_one(key).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn harden(&mut self) -> bool {
        false
    }
}

impl fmt::Debug for Wary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wary").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Given<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}
