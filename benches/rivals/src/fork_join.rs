//! Chunks as wide as the window: each is split into its groups, these run side by side, and all are waited for.
//!
//! What it lacks: each chunk ends with idle slots that wait for its longest group. Nothing comes out before all of the
//! chunk is done, and a slow source delays what it has already given until the chunk is full.

use std::collections::HashMap;
use std::pin::pin;

use futures::{Stream, StreamExt as _, stream};

use crate::work::{Handler, Item, Limits, Results};

pub async fn run(
    source: impl Stream<Item = Item>,
    limits: Limits,
    handler: impl Handler,
    results: &mut Results,
) {
    let mut chunks = pin!(source.chunks(limits.look_ahead));
    let mut places = HashMap::new();
    let mut amounts = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let Some(first) = chunk.first().map(|item| item.offset) else {
            continue;
        };
        amounts.clear();
        amounts.resize(chunk.len(), 0);
        {
            let groups = split(chunk, &mut places).into_iter().map(|group| {
                let handler = &handler;
                async move {
                    let mut done = Vec::with_capacity(group.len());
                    for item in group {
                        done.push((handler.handle(item).await, item.offset));
                    }
                    done
                }
            });
            let mut running = pin!(stream::iter(groups).buffer_unordered(limits.max_parallel));
            while let Some(group) = running.next().await {
                for (amount, offset) in group {
                    amounts[(offset - first) as usize] = amount;
                }
            }
        }
        for (amount, offset) in std::iter::zip(&amounts, first..) {
            results.take(*amount, offset);
            results.commit(offset);
        }
    }
}

/// The chunk's groups, in the order in which they begin.
fn split(chunk: Vec<Item>, places: &mut HashMap<u64, usize>) -> Vec<Vec<Item>> {
    places.clear();
    let mut groups = Vec::<Vec<Item>>::new();
    for item in chunk {
        let place = *places.entry(item.key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}
