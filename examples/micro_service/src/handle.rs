//! Handle: decides what a purchase changes. Reads, waits and computes, but writes nothing.

use std::time::Duration;

use anyhow::Result;

use crate::customer::Customer;
use crate::decode::Purchase;
use crate::store::Store;

pub enum Change {
    Put {
        id: u32,
        customer: Customer,
    },
    /// The purchase was applied before a crash that came before its commit.
    Nothing,
}

/// It is idempotent, since after a crash some rows past the last commit are handled again.
pub async fn handle(row: u64, purchase: Purchase, store: &Store) -> Result<Change> {
    let id = purchase.customer;
    let before = store.customer(id)?;
    if before.is_some_and(|before| before.last_row >= row) {
        return Ok(Change::Nothing);
    }
    tokio::time::sleep(remote_call(row)).await;
    let customer = Customer::after(before, row, &purchase);
    Ok(Change::Put { id, customer })
}

/// How long the remote call for a row takes: 0 to 5 ms, evenly, and the same in every run.
pub fn remote_call(row: u64) -> Duration {
    // SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    let mut mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Duration::from_micros((mixed ^ (mixed >> 31)) % 5_001)
}
