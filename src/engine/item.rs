//! What is read of an item: from the source, from the item at admission, and from what its handler returns.

pub(crate) mod offsets;
pub(crate) mod partitions;
pub(crate) mod source;
pub(crate) mod verdict;
