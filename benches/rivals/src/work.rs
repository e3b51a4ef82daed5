//! What each contender is given: the same source, the same handlers, and the same check of what comes out.

#![allow(
    clippy::manual_async_fn,
    reason = "a handler's future must not borrow the handler"
)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, stream};

#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub key: u64,
    pub offset: u64,
    /// What the handler returns; for [`Sleep`], how many milliseconds it takes.
    pub amount: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most handlers at once.
    pub max_parallel: usize,
    /// The most items that are read and not finished.
    pub look_ahead: usize,
}

/// Items that come so fast that the source is never waited for. Each of `keys` keys comes once in as many items.
pub fn items(count: u64, keys: u64) -> impl Stream<Item = Item> {
    stream::iter((0..count).map(move |offset| Item {
        // A prime, so that the keys come in no visible order.
        key: offset.wrapping_mul(7_919) % keys,
        offset,
        amount: offset ^ 0x5555,
    }))
}

/// `Send` and `'static`, since some of the contenders spawn.
pub trait Handler: Clone + Send + 'static {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static;
}

/// It is ready at its first poll.
#[derive(Clone, Copy)]
pub struct Ready;

impl Handler for Ready {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        async move { item.amount }
    }
}

/// It wakes itself and returns Pending, once.
#[derive(Clone, Copy)]
pub struct OneYield;

impl Handler for OneYield {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        async move {
            crate::one_yield::OneYield(false).await;
            item.amount
        }
    }
}

/// It awaits `tokio::task::yield_now`, once.
#[derive(Clone, Copy)]
pub struct TokioYield;

impl Handler for TokioYield {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        async move {
            tokio::task::yield_now().await;
            item.amount
        }
    }
}

/// One in ten awaits `tokio::task::yield_now`; the others are ready.
#[derive(Clone, Copy)]
pub struct MostlyReady;

impl Handler for MostlyReady {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        async move {
            if item.offset.is_multiple_of(10) {
                tokio::task::yield_now().await;
            }
            item.amount
        }
    }
}

/// It sleeps as many milliseconds as the item says.
#[derive(Clone, Copy)]
pub struct Sleep;

impl Handler for Sleep {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        async move {
            tokio::time::sleep(Duration::from_millis(item.amount)).await;
            item.amount
        }
    }
}

/// It notes whether a group's handlers run one at a time and in the order of arrival.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<Watch>>);

#[derive(Default)]
struct Watch {
    /// A group's newest item, and whether it runs.
    groups: HashMap<u64, (u64, bool)>,
    violations: u64,
}

impl Watched {
    pub fn saw_order_kept(&self) -> bool {
        self.0.lock().expect("no handler panics").violations == 0
    }

    fn start(&self, item: Item) {
        let mut watch = self.0.lock().expect("no handler panics");
        let earlier = watch.groups.insert(item.key, (item.offset, true));
        if earlier.is_some_and(|(offset, runs)| runs || offset > item.offset) {
            watch.violations += 1;
        }
    }

    fn finish(&self, item: Item) {
        let mut watch = self.0.lock().expect("no handler panics");
        if let Some((offset, runs)) = watch.groups.get_mut(&item.key)
            && *offset == item.offset
        {
            *runs = false;
        }
    }
}

impl Handler for Watched {
    fn handle(&self, item: Item) -> impl Future<Output = u64> + Send + 'static {
        let watch = self.clone();
        async move {
            watch.start(item);
            for _ in 0..item.offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 {
                tokio::task::yield_now().await;
            }
            watch.finish(item);
            item.amount
        }
    }
}

/// What came out of a run.
#[derive(Debug)]
pub struct Results {
    count: u64,
    offsets: u64,
    amounts: u64,
    in_source_order: bool,
    committed: Option<u64>,
}

impl Results {
    pub fn new() -> Self {
        Self {
            count: 0,
            offsets: 0,
            amounts: 0,
            in_source_order: true,
            committed: None,
        }
    }

    pub fn take(&mut self, amount: u64, offset: u64) {
        self.in_source_order &= offset == self.count;
        self.count += 1;
        self.offsets = self.offsets.wrapping_add(offset);
        self.amounts = self.amounts.wrapping_add(amount);
    }

    /// Everything up to `offset` is done.
    pub fn commit(&mut self, offset: u64) {
        self.committed = Some(offset);
    }

    pub fn check(&self, items: u64) {
        assert_eq!(self.count, items);
        assert_eq!(self.offsets, items * (items - 1) / 2);
        assert!(self.amounts > 0);
        assert!(self.committed.is_none_or(|last| last == items - 1));
    }

    pub fn in_source_order(&self) -> bool {
        self.in_source_order
    }

    pub fn committed(&self) -> bool {
        self.committed.is_some()
    }
}
