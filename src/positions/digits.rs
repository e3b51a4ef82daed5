//! Digits: text as numbers below 64, six bits a character, all of them safe in a URL, in JSON and in SQL.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// In a digit of a number that has another one.
const HAS_MORE: u8 = 32;
const MOST_DIGITS: usize = 13;

pub(super) fn to_text(digits: &[u8]) -> String {
    let chars = digits.iter().map(|digit| ALPHABET[usize::from(*digit)]);
    chars.map(char::from).collect()
}

pub(super) fn from_text(text: &str) -> Option<Vec<u8>> {
    text.bytes().map(from_char).collect()
}

fn from_char(char: u8) -> Option<u8> {
    match char {
        b'A'..=b'Z' => Some(char - b'A'),
        b'a'..=b'z' => Some(char - b'a' + 26),
        b'0'..=b'9' => Some(char - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// Appends a number as LEB128 does, but with five bits a digit, the low ones first.
pub(super) fn push_number(digits: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(HAS_MORE) {
        digits.push(HAS_MORE | (number as u8 % HAS_MORE));
        number /= u64::from(HAS_MORE);
    }
    digits.push(number as u8);
}

/// How many digits a number takes: 1 to 13.
pub(super) fn len_of(number: u64) -> usize {
    let bits = (u64::BITS - number.leading_zeros()) as usize;
    bits.div_ceil(5).max(1)
}

/// The largest number that takes so many digits, at least one.
pub(super) fn largest_of(digits: usize) -> u64 {
    if digits >= MOST_DIGITS {
        return u64::MAX;
    }
    (1 << (5 * digits)) - 1
}

/// Takes a number off the front.
pub(super) fn take_number(digits: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..MOST_DIGITS {
        let (digit, rest) = digits.split_first()?;
        *digits = rest;
        let (bits, shift) = (u64::from(digit % HAS_MORE), 5 * place);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if digit / HAS_MORE == 0 {
            return Some(number);
        }
    }
    None
}
