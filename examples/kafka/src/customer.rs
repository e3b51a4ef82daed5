//! The state of a customer.

use jiff::civil::Date;

use crate::decode::Purchase;

#[derive(Clone, Copy)]
pub struct Customer {
    pub purchases: u64,
    pub items: u64,
    pub cents: u64,
    pub first: Date,
    pub last: Date,
    /// The row of the last purchase: a row up to this one is in the state already.
    pub last_row: u64,
}

impl Customer {
    /// The state after one more purchase.
    pub fn after(before: Option<Self>, row: u64, purchase: &Purchase) -> Self {
        let (purchases, items, cents, first) = match before {
            Some(before) => (before.purchases, before.items, before.cents, before.first),
            None => (0, 0, 0, purchase.date),
        };
        Self {
            purchases: purchases + 1,
            items: items + u64::from(purchase.items),
            cents: cents + purchase.cents,
            first,
            last: purchase.date,
            last_row: row,
        }
    }

    /// Whether the last purchase is older than another's. Those of one day are told apart by their rows.
    pub fn is_older_than(&self, other: &Self) -> bool {
        (self.last, self.last_row) < (other.last, other.last_row)
    }
}
