//! The items, their keys, and what a handler does: it computes, and sees whether its group's order is kept.

use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::stream::{self, Iter};

const KEYS: u64 = 1_000;
const HOT_PERCENT: u64 = 40;

/// How the items are spread over the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Even,
    OneHot,
}

impl Keys {
    pub fn name(self) -> &'static str {
        match self {
            Self::Even => "1,000 keys",
            Self::OneHot => "40 % on one key, the others on 1,000",
        }
    }
}

pub struct Work {
    items: u64,
    steps: u64,
    keys: Keys,
    /// The items that were begun and ended last, by key.
    groups: Vec<Group>,
}

/// In a cache line of its own, or groups would disturb each other.
#[derive(Default)]
#[repr(align(128))]
struct Group(AtomicU64);

/// What comes out of a handler.
#[derive(Clone, Copy, Debug)]
pub struct Handled {
    value: u64,
    is_in_order: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub count: u64,
    pub sum: u64,
    /// How many items were handled beside one of their group, or after a later one.
    pub out_of_order: u64,
}

impl Work {
    pub fn new(items: u64, steps: u64, keys: Keys) -> Self {
        Self {
            items,
            steps,
            keys,
            groups: (0..=KEYS).map(|_| Group::default()).collect(),
        }
    }

    /// Nothing has been handled.
    pub fn begin(&self) {
        for Group(last) in &self.groups {
            last.store(0, Ordering::Relaxed);
        }
    }

    /// The items' numbers.
    pub fn source(&self) -> Iter<Range<u64>> {
        stream::iter(0..self.items)
    }

    pub fn key(&self, number: u64) -> u64 {
        let random = mix(number);
        if self.keys == Keys::OneHot && random % 100 < HOT_PERCENT {
            return KEYS;
        }
        (random >> 32) % KEYS
    }

    pub fn handle(&self, number: u64) -> Handled {
        let Group(last) = &self.groups[self.key(number) as usize];
        // Odd while it runs.
        let before = last.swap(number * 2 + 1, Ordering::Relaxed);
        let value = compute(number, self.steps);
        last.store(number * 2 + 2, Ordering::Relaxed);
        Handled {
            value,
            is_in_order: before % 2 == 0 && before <= number * 2,
        }
    }

    /// What the results add up to.
    pub fn sum(&self) -> u64 {
        (0..self.items)
            .map(|number| compute(number, self.steps))
            .fold(0, u64::wrapping_add)
    }
}

impl Outcome {
    pub fn add(&mut self, handled: Handled) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(handled.value);
        self.out_of_order += u64::from(!handled.is_in_order);
    }

    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.out_of_order += other.out_of_order;
    }
}

/// Some work that no compiler can shorten.
#[inline(never)] // so that it is the same code wherever it is called
fn compute(number: u64, steps: u64) -> u64 {
    (0..steps).fold(number, |x, step| {
        black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ step)
    })
}

/// Measured once, so that all contenders do as much: the best of some, since what disturbs makes it slower.
pub fn steps_per_us() -> f64 {
    const STEPS: u64 = 2_000_000;
    let once = |number| {
        let start = Instant::now();
        black_box(compute(number, STEPS));
        STEPS as f64 / (start.elapsed().as_secs_f64() * 1e6)
    };
    (0..20).map(once).fold(0.0, f64::max)
}

/// Bits in no visible order (SplitMix64).
pub fn mix(number: u64) -> u64 {
    let x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
