//! The handler takes the item while its key is held, so a key must be a value of its own.

use futures::stream;
use ordered_by_group::prelude::*;

struct Order {
    id: String,
}

fn main() {
    let orders: Vec<Order> = vec![];
    let _ = stream::iter(orders)
        .ordered_by_group(|order| order.id.as_str(), 8)
        .then(|order| async move { order.id });
}
