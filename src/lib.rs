//! A [`Stream`](futures_core::Stream) operator that runs an async handler one item at a time within a group, many groups
//! at once, and hands every result back with an offset that is safe to commit.
//!
//! # Sizing
//!
//! # Keys that are strings
//!
//! # Items without a key

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod alongside;
mod and_then;
mod and_then_unordered;
pub mod can_run_together;
mod consumer;
mod drive;
mod fold;
mod keyed;
mod offsets;
mod order;
mod ordered;
mod partitions;
mod run;
mod running;
mod settings;
mod slots;
mod source;
mod stream_ext;
mod then;
mod then_unordered;
mod try_drive;
mod try_ordered;
mod try_stream_ext;
mod unordered;
mod verdict;
mod window;
mod without_slot;

pub use crate::access::Access;
pub use crate::alongside::Alongside;
pub use crate::and_then::AndThen;
pub use crate::and_then_unordered::AndThenUnordered;
pub use crate::drive::Drive;
pub use crate::ordered::Ordered;
pub use crate::stream_ext::StreamExt;
pub use crate::then::Then;
pub use crate::then_unordered::ThenUnordered;
pub use crate::try_drive::TryDrive;
pub use crate::try_ordered::TryOrdered;
pub use crate::try_stream_ext::TryStreamExt;
pub use crate::unordered::Unordered;
pub use crate::without_slot::{WithoutSlot, without_slot};

/// The extension traits, without their names: `use ordered_by_group::prelude::*;`
pub mod prelude {
    pub use crate::{StreamExt as _, TryStreamExt as _};
}
