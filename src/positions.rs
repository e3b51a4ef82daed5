//! Positions of a log, with what is done past them: for completion order, restarts that repeat little, and hand-overs.
//!
//! A position says that everything before it is done. One slow item holds it back, however much is done past it, and a
//! crash repeats all of that. A [`Lease`] also knows *what* is done past the position, and a [`Commit`] carries both. After
//! a crash, what was done is not handed out again.
//!
//! A lease is one partition from the moment a process is given it to the moment the process gives it up. It fits every log
//! with positions: Kafka, Kinesis, an outbox table, a file. It reads nothing and writes nothing. You tell it what you read,
//! and it tells you what to commit.
//!
//! ```
//! use std::cell::RefCell;
//!
//! use futures::stream;
//! use ordered_by_group::positions::{Done, Lease};
//! use ordered_by_group::prelude::*;
//!
//! # async fn handle(_: i64) {}
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), String> {
//! // What the last commit wrote: everything before 40 is done, and so are 41 and 42.
//! let (next, text) = (40, String::from("obg1rdm-sD6BB"));
//!
//! let done = Done::decode(next, &text).unwrap_or_default();
//! let lease = Lease::new("orders", Some(next), done);
//! let handled = RefCell::new(Vec::new());
//!
//! let unread = (40..46).filter_map(|offset| lease.read(offset)); // `None`: done before
//! stream::iter(unread)
//!     .ordered_by_group(|position| position.offset() % 2, 8)
//!     .offsets(|position| position.clone())
//!     .try_then_unordered(|position| {
//!         handled.borrow_mut().push(position.offset());
//!         async move { Ok(position.run(|| handle(position.offset())).await) }
//!     })
//!     .try_drive(|(outcome, offset)| {
//!         offset.offset().settle(outcome.is_some());
//!         async { Ok::<_, String>(()) }
//!     })
//!     .await?;
//!
//! assert_eq!(*handled.borrow(), [40, 43, 44, 45]);
//! let commit = lease.commit().expect("there is something new");
//! assert_eq!(commit.next, 46);
//! # Ok(())
//! # }
//! ```
//!
//! [When a frontier alone is not enough](crate::guide::positions) is a page of the guide: what to commit when, how to hand a
//! partition over, and what stands for the lease in each kind of log.
//!
//! # What happens to an item
//!
//! | call | afterwards |
//! |---|---|
//! | [`read`](Lease::read) | the item is *in flight*: it holds back the position |
//! | [`run`](Position::run) | its handler runs, unless the lease drains or is fenced |
//! | [`settle(true)`](Position::settle) | it is *done*: the position moves past it as soon as everything before it is done |
//! | [`settle(false)`](Position::settle), or no call and the last clone of the position is dropped | it is *left*: no commit of this lease ever moves past it, so it is handed out again by the next lease |
//!
//! Locks are held for a moment only, and never while code of yours runs. [What it
//! costs](crate::guide::positions#what-it-costs) is a tenth of a microsecond an item.

mod commit;
mod digits;
mod done;
mod drain;
mod drained;
mod lease;
mod leased;
mod ledger;
mod position;
mod runs;
mod sleepers;
mod text;

pub use self::commit::Commit;
pub use self::done::Done;
pub use self::drain::Drain;
pub use self::drained::Drained;
pub use self::lease::Lease;
#[cfg(feature = "rdkafka")]
pub(crate) use self::lease::{Limit, Load, Taken};
pub use self::leased::Leased;
pub use self::position::Position;
