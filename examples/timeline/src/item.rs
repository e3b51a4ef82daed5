//! The forty items.

const GROUPS: u64 = 6;
const SEED: u64 = 1;

#[derive(Clone, Copy)]
pub struct Item {
    pub offset: u64,
    pub group: Group,
    /// Its position in its group, from 1.
    pub number: usize,
    /// How long its handler takes.
    pub seconds: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Group(u8);

impl Group {
    pub fn all() -> impl Iterator<Item = Self> {
        (0..GROUPS as u8).map(Self)
    }

    pub fn name(self) -> char {
        char::from(b'a' + self.0)
    }
}

/// Six groups in random order, and one to nine seconds each.
pub fn forty_items() -> Vec<Item> {
    let mut state = SEED;
    let mut members = [0; GROUPS as usize];
    let items = (0..40).map(|offset| {
        let group = random(&mut state) % GROUPS;
        let number = &mut members[group as usize];
        *number += 1;
        Item {
            offset,
            group: Group(group as u8),
            number: *number,
            seconds: 1 + random(&mut state) % 9,
        }
    });
    items.collect()
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a few lines that give the same numbers whatever the versions of other crates.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
