//! Interpret: applies the change and checks the order.

use anyhow::Result;

use crate::handle::Change;
use crate::outcome::Outcome;
use crate::store::Store;

pub fn interpret(change: Change, store: &Store) -> Result<Outcome> {
    let Change::Put { id, customer } = change else {
        return Ok(Outcome::AppliedBefore);
    };
    let stored = store.customer(id)?;
    if stored.is_some_and(|stored| customer.is_older_than(&stored)) {
        store.count_order_violation();
    }
    store.put(id, customer);
    Ok(Outcome::Applied)
}
