//! Pages for what takes more than a paragraph.

#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("guide/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("guide/retry.md")]
pub mod retry {}

#[doc = include_str!("guide/acknowledgements.md")]
pub mod acknowledgements {}

#[doc = include_str!("guide/logs.md")]
pub mod logs {}
