//! Pages for what takes more than a paragraph.

#[doc = include_str!("../docs/delivery.md")]
pub mod delivery {}

#[doc = include_str!("../docs/shutdown.md")]
pub mod shutdown {}

#[doc = include_str!("../docs/retry.md")]
pub mod retry {}

#[doc = include_str!("../docs/ack.md")]
pub mod acknowledgements {}

#[doc = include_str!("../docs/logs.md")]
pub mod logs {}
