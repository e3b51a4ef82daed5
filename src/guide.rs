//! The pages of the guide, each on one question. [The first page](crate) comes before them.

#[doc = include_str!("guide/recipes.md")]
pub mod recipes {}

#[doc = include_str!("guide/offsets.md")]
pub mod offsets {}

#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("guide/order_of_results.md")]
pub mod order_of_results {}

#[doc = include_str!("guide/acknowledgements.md")]
pub mod acknowledgements {}

#[doc = include_str!("guide/several_keys.md")]
pub mod several_keys {}

#[doc = include_str!("guide/keys.md")]
pub mod keys {}

#[doc = include_str!("guide/sizing.md")]
pub mod sizing {}

#[doc = include_str!("guide/stalls.md")]
pub mod stalls {}

#[doc = include_str!("guide/failures.md")]
pub mod failures {}

#[doc = include_str!("guide/retry.md")]
pub mod retry {}

#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("guide/many_queues.md")]
pub mod many_queues {}

#[doc = include_str!("guide/in_tokio.md")]
pub mod in_tokio {}

#[doc = include_str!("guide/closures.md")]
pub mod closures {}

#[doc = include_str!("guide/logs.md")]
pub mod logs {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}
