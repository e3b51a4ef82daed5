//! An account.

use crate::log::OPENING;

#[derive(Clone, Copy)]
pub struct Account {
    pub cents: u64,
    /// How many transfers from it were declined, for want of money.
    pub declined: u64,
    /// The last transfer that it took part in: a row up to this one is in it already.
    pub last_row: u64,
}

impl Account {
    pub const NEW: Self = Self {
        cents: OPENING,
        declined: 0,
        last_row: 0,
    };
}
