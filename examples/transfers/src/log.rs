//! The log: generated transfers and audits, the same in every run.

use std::ops::Range;
use std::time::Duration;

use ordered_by_group::Access;

pub const BRANCHES: u32 = 100;
pub const ACCOUNTS_PER_BRANCH: u32 = 100;
pub const ACCOUNTS: u32 = BRANCHES * ACCOUNTS_PER_BRANCH;
/// What each account has at first, in cents.
pub const OPENING: u64 = 50_000;

const TRANSFERS_PER_AUDIT: u64 = 400;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Log {
    pub seed: u64,
    pub transfers: u64,
}

/// A row of the log. The rows count from 1, so a position of 0 is before the first.
#[derive(Clone, Copy)]
pub struct Row {
    pub number: u64,
    pub entry: Entry,
    /// How long the remote call for it takes.
    pub remote_call: Duration,
}

#[derive(Clone, Copy)]
pub enum Entry {
    /// Between two accounts of one branch.
    Transfer { from: u32, to: u32, cents: u64 },
    /// Adds up a branch.
    Audit { branch: u32 },
}

impl Log {
    pub fn rows(self) -> u64 {
        self.transfers + self.audits()
    }

    pub fn audits(self) -> u64 {
        self.transfers / TRANSFERS_PER_AUDIT
    }

    /// Every row past a position.
    pub fn rows_after(self, position: u64) -> impl Iterator<Item = Row> {
        (position + 1..=self.rows()).map(move |number| self.row(number))
    }

    fn row(self, number: u64) -> Row {
        let mut random = Random::new(self.seed, number);
        let branch = random.below(BRANCHES);
        let remote_call = Duration::from_micros(100 + u64::from(random.below(801)));
        let entry = if number.is_multiple_of(TRANSFERS_PER_AUDIT + 1) {
            Entry::Audit { branch }
        } else {
            let from = random.below(ACCOUNTS_PER_BRANCH);
            let steps = 1 + random.below(ACCOUNTS_PER_BRANCH - 1);
            let first = accounts(branch).start;
            Entry::Transfer {
                from: first + from,
                to: first + (from + steps) % ACCOUNTS_PER_BRANCH,
                cents: 1 + u64::from(random.below(40_000)),
            }
        };
        Row {
            number,
            entry,
            remote_call,
        }
    }
}

impl Entry {
    /// The accounts that it uses: a transfer its two exclusively, an audit shares all of its branch.
    pub fn accesses(self) -> impl Iterator<Item = Access<u32>> {
        let (exclusive, shared) = match self {
            Self::Transfer { from, to, .. } => (Some([from, to]), 0..0),
            Self::Audit { branch } => (None, accounts(branch)),
        };
        let exclusive = exclusive.into_iter().flatten().map(Access::Exclusive);
        exclusive.chain(shared.map(Access::Shared))
    }
}

/// The accounts of a branch.
pub fn accounts(branch: u32) -> Range<u32> {
    let first = branch * ACCOUNTS_PER_BRANCH;
    first..first + ACCOUNTS_PER_BRANCH
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The numbers of a row do not depend on those of another.
    fn new(seed: u64, row: u64) -> Self {
        let of_seed = Self(seed).next();
        Self(Self(of_seed ^ row).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() % u64::from(end)) as u32
    }
}
