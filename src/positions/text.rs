//! The text of what is done: `obg1`, a letter for the form, a checksum, and then the shorter or fuller of two forms.
//!
//! `r`, runs: for each run its distance from the one before, or from the position, and its length. `b`, bits: the distance of
//! the first offset that is done from the position, and from it on a bit for each offset.

use crate::positions::digits::{self, largest_of, len_of, push_number, take_number};
use crate::positions::runs::{Run, Runs};

const VERSION: &str = "obg1";
const RUNS: u8 = b'r';
const BITS: u8 = b'b';
const CHECKSUM: usize = 6;
const HEAD: usize = VERSION.len() + 1 + CHECKSUM;

/// What goes behind the checksum, and how many offsets it holds.
struct Form {
    letter: u8,
    digits: Vec<u8>,
    held: u64,
}

/// How much of the runs the bits hold.
struct Bits {
    /// How far the first offset is from the position.
    distance: u64,
    /// One more than the number of the last bit that is set.
    len: u64,
    held: u64,
}

pub(super) fn encode(next: i64, runs: &[Run], max_chars: usize) -> String {
    let room = max_chars.saturating_sub(HEAD);
    let form = as_runs(next, runs, room);
    let form = as_bits_if_better(next, runs, room, form);
    if form.held == 0 {
        return String::new();
    }
    let body = digits::to_text(&form.digits);
    let checksum = digits::to_text(&checksum(next, form.letter, &form.digits));
    format!("{VERSION}{}{checksum}{body}", char::from(form.letter))
}

/// `None` if the text is not one that `encode` has written for this position. An empty one is.
pub(super) fn decode(next: i64, text: &str) -> Option<Vec<Run>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let text = text.strip_prefix(VERSION)?;
    let letter = *text.as_bytes().first()?;
    let digits = digits::from_text(text.get(1..)?)?;
    let (found, body) = digits.split_at_checked(CHECKSUM)?;
    if found != checksum(next, letter, body) {
        return None;
    }
    match letter {
        RUNS => from_runs(next, body),
        BITS => from_bits(next, body),
        _ => None,
    }
}

fn as_runs(next: i64, runs: &[Run], room: usize) -> Form {
    let mut form = Form {
        letter: RUNS,
        digits: Vec::new(),
        held: 0,
    };
    let mut before = None;
    for run in runs {
        let distance = match before {
            None => run.first.abs_diff(next),
            Some(last) => run.first.abs_diff(last) - 2, // runs do not touch
        };
        let room = room - form.digits.len();
        let Some(room @ 1..) = room.checked_sub(len_of(distance)) else {
            break;
        };
        let more = run.last.abs_diff(run.first);
        let fitting = more.min(largest_of(room)); // a run that is cut fills the room
        push_number(&mut form.digits, distance);
        push_number(&mut form.digits, fitting);
        form.held = form.held.saturating_add(fitting).saturating_add(1);
        before = Some(run.last);
    }
    form
}

fn from_runs(next: i64, mut body: &[u8]) -> Option<Vec<Run>> {
    let mut runs = Vec::<Run>::new();
    while !body.is_empty() {
        let distance = take_number(&mut body)?;
        let more = take_number(&mut body)?;
        let first = match runs.last() {
            None => next.checked_add_unsigned(distance)?,
            Some(before) => before.last.checked_add(2)?.checked_add_unsigned(distance)?,
        };
        let last = first.checked_add_unsigned(more)?;
        runs.push(Run { first, last });
    }
    Some(runs)
}

/// The same as bits, if they hold more offsets, or as many in fewer characters.
fn as_bits_if_better(next: i64, runs: &[Run], room: usize, form: Form) -> Form {
    let Some(bits) = fitting_bits(next, runs, room) else {
        return form;
    };
    let chars = len_of(bits.distance) as u64 + bits.len.div_ceil(6);
    let is_better =
        bits.held > form.held || bits.held == form.held && chars < form.digits.len() as u64;
    if !is_better {
        return form;
    }
    let mut digits = Vec::new();
    push_number(&mut digits, bits.distance);
    let start = digits.len();
    digits.resize(chars as usize, 0);
    for run in runs {
        let from = run.first.abs_diff(runs[0].first);
        let to = run.last.abs_diff(runs[0].first);
        for bit in from..bits.len.min(to.saturating_add(1)) {
            digits[start + (bit / 6) as usize] |= 1 << (bit % 6);
        }
    }
    Form {
        letter: BITS,
        digits,
        held: bits.held,
    }
}

fn fitting_bits(next: i64, runs: &[Run], room: usize) -> Option<Bits> {
    let base = runs.first()?.first;
    let distance = base.abs_diff(next);
    let room = room.checked_sub(len_of(distance))?;
    let most = (room as u64).saturating_mul(6);
    let (mut len, mut held) = (0, 0_u64);
    for run in runs {
        let from = run.first.abs_diff(base);
        if from >= most {
            break;
        }
        len = run.last.abs_diff(base).saturating_add(1).min(most);
        held = held.saturating_add(len - from);
    }
    Some(Bits {
        distance,
        len,
        held,
    })
}

fn from_bits(next: i64, mut body: &[u8]) -> Option<Vec<Run>> {
    let base = next.checked_add_unsigned(take_number(&mut body)?)?;
    let mut runs = Runs::default();
    for (place, digit) in (0..).zip(body) {
        for bit in (0..6).filter(|bit| digit >> bit & 1 == 1) {
            let first = base.checked_add_unsigned(6 * place + bit)?;
            runs.add_run(Run { first, last: first });
        }
    }
    Some(runs.into_vec())
}

/// FNV-1a: Fowler, Noll and Vo, 1991. Its upper 36 bits as digits.
fn checksum(next: i64, letter: u8, body: &[u8]) -> [u8; CHECKSUM] {
    let next = next.to_le_bytes();
    let bytes = next.iter().chain([&letter]).chain(body);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    std::array::from_fn(|place| (hash >> (28 + 6 * place)) as u8 % 64)
}
