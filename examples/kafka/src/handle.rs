//! Handle: decides what a purchase changes. Reads, waits and computes, but writes nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::customer::Customer;
use crate::customers::Customers;
use crate::decode::Purchase;

/// The customer after the purchase, or why the remote call could not be made.
pub async fn handle(
    row: u64,
    purchase: &Purchase,
    customers: &Customers,
    retries: u32,
) -> Result<Customer, String> {
    let before = customers.get(purchase.customer);
    let mut attempt = 0;
    while let Err(error) = remote_call(row, attempt).await {
        if attempt == retries {
            return Err(format!("{error}, {} times", attempt + 1));
        }
        sleep(Duration::from_millis(10 << attempt.min(6))).await;
        attempt += 1;
    }
    Ok(Customer::after(before, row, purchase))
}

/// It takes 0 to 5 ms, evenly, and fails once in a hundred times.
async fn remote_call(row: u64, attempt: u32) -> Result<(), &'static str> {
    let random = mixed(row ^ u64::from(attempt) << 48);
    sleep(Duration::from_micros(random % 5_001)).await;
    match (random >> 32).is_multiple_of(100) {
        true => Err("the remote call failed"),
        false => Ok(()),
    }
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
