//! A published message: a number, under the subject of its group.

/// Every sixth message is of group 0.
const HOT: u64 = 6;

pub fn group(number: u64, groups: u32) -> u32 {
    if number.is_multiple_of(HOT) || groups == 1 {
        return 0;
    }
    1 + (mix(number) % u64::from(groups - 1)) as u32
}

/// Spreads numbers evenly, the same in every run. SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
