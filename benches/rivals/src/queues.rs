//! A queue per group that runs, and `FuturesUnordered`: this crate's idea, by hand, in completion order.
//!
//! What it lacks: an allocation per item, and one per group that has to wait. The commit position's list grows without
//! a bound while one item is stuck. A stop at the first failure, a panic, results in source order, several keys, and
//! handlers that go on while the consumer awaits are still to be written.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};

use crate::frontier::Frontier;
use crate::work::{Handler, Item, Limits, Results};

pub async fn run(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut source = pin!(source.fuse());
    let mut running = FuturesUnordered::new();
    let mut groups = HashMap::<u64, VecDeque<Item>>::new();
    let mut frontier = Frontier::default();
    let mut admitted = 0;
    let start = |item: Item| {
        let handled = handler.handle(item);
        async move { (handled.await, item) }
    };
    loop {
        tokio::select! {
            biased;
            Some(item) = source.next(), if running.len() < limits.max_parallel && admitted < limits.look_ahead => {
                admitted += 1;
                match groups.entry(item.key) {
                    Entry::Occupied(mut group) => group.get_mut().push_back(item),
                    Entry::Vacant(group) => {
                        group.insert(VecDeque::new());
                        running.push(start(item));
                    }
                }
            }
            Some((amount, item)) = running.next() => {
                admitted -= 1;
                match groups.get_mut(&item.key).and_then(VecDeque::pop_front) {
                    Some(next) => running.push(start(next)),
                    None => drop(groups.remove(&item.key)),
                }
                results.take(amount, item.offset);
                if let Some(done) = frontier.finish(item.offset) {
                    results.commit(done);
                }
            }
            else => break,
        }
    }
}
