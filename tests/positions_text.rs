//! What is done past a position as a text: written, cut, and read back, or refused.

use std::ops::RangeInclusive;

use allocation_counter::measure;
use ordered_by_group::positions::{Done, Lease};
use proptest::collection::vec;
use proptest::prelude::*;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What is done past a position: these ranges, which rise and do not touch, and nothing else.
fn done(next: i64, ranges: impl IntoIterator<Item = RangeInclusive<i64>>) -> Done {
    let lease = Lease::new((), Some(next), Done::default());
    let mut rest = next;
    for range in ranges {
        let (first, last) = range.into_inner();
        if first > rest {
            drop(lease.read(first - 1)); // left
        }
        for offset in [first, last] {
            if let Some(position) = lease.read(offset) {
                position.settle(true); // what the log does not have between them is done
            }
        }
        rest = last.saturating_add(1);
    }
    lease.commit().map_or_else(Done::default, |commit| {
        assert_eq!(commit.next, next);
        commit.done
    })
}

fn alternating(next: i64, count: i64) -> Done {
    done(
        next,
        (0..count).map(|n| next + 1 + 2 * n..=next + 1 + 2 * n),
    )
}

fn ranges(done: &Done) -> Vec<RangeInclusive<i64>> {
    done.ranges().collect()
}

fn read_back(next: i64, text: &str) -> Done {
    Done::decode(next, text).unwrap_or_else(|| panic!("{text} at {next}"))
}

/// A position, and ranges past it, near each other or far.
fn any_done() -> impl Strategy<Value = (i64, Done)> {
    let next = prop_oneof![
        Just(i64::MIN),
        Just(0),
        Just(i64::MAX - 1_000),
        -1_000..1_000_i64,
        any::<i64>(),
    ];
    let far =
        || prop_oneof![20 => 0..3_u64, 10 => 0..100_u64, 3 => 0..100_000_u64, 1 => any::<u64>()];
    (next, vec((far(), far()), 0..60)).prop_map(|(next, steps)| {
        let mut ranges = Vec::new();
        let mut before = next;
        for (gap, more) in steps {
            let first = before
                .checked_add_unsigned(gap)
                .and_then(|first| first.checked_add(1));
            let Some(first) = first else { break };
            let Some(last) = first.checked_add_unsigned(more) else {
                break;
            };
            ranges.push(first..=last);
            let Some(rest) = last.checked_add(1) else {
                break;
            };
            before = rest;
        }
        let expected = ranges.clone();
        let done = done(next, ranges);
        assert_eq!(done.ranges().collect::<Vec<_>>(), expected);
        (next, done)
    })
}

/// Whether one is the other without its highest offsets.
fn is_low_end(part: &Done, whole: &Done) -> bool {
    let (part, whole) = (ranges(part), ranges(whole));
    let Some(last) = part.len().checked_sub(1) else {
        return true;
    };
    part[..last] == whole[..last]
        && part[last].start() == whole[last].start()
        && part[last].end() <= whole[last].end()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((next, done) in any_done()) {
        let text = done.encode(usize::MAX);
        prop_assert_eq!(text.is_empty(), done.is_empty());
        prop_assert!(text.chars().all(|char| ALPHABET.contains(char)), "{}", text);
        prop_assert_eq!(Done::decode(next, &text), Some(done.clone()));
        prop_assert_eq!(done.encode(text.len()), text);
    }

    #[test]
    fn a_shorter_text_lacks_the_highest_offsets_and_only_them((next, done) in any_done()) {
        let whole = done.encode(usize::MAX).len();
        let mut shorter = Done::default();
        for max_chars in 0..=whole + 1 {
            let text = done.encode(max_chars);
            prop_assert!(text.len() <= max_chars);
            let part = read_back(next, &text);
            prop_assert!(is_low_end(&part, &done), "{} chars: {:?}", max_chars, part);
            prop_assert!(is_low_end(&shorter, &part), "{} chars: {:?}", max_chars, part);
            prop_assert!(part == done || max_chars < whole);
            shorter = part;
        }
    }

    #[test]
    fn any_text_is_refused_or_read((next, text) in (any::<i64>(), ".*")) {
        prop_assert!(text.is_empty() || Done::decode(next, &text).is_none());
    }

    #[test]
    fn a_text_made_to_harm_is_refused_or_read(
        next in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)],
        letter in prop_oneof![4 => Just('r'), 4 => Just('b'), 1 => any::<char>()],
        body in "[A-Za-z0-9_-]{0,60}",
    ) {
        if let Some(done) = Done::decode(next, &sealed(next, letter, &body)) {
            let mut rest = Some(next);
            for range in done.ranges() {
                prop_assert!(rest.is_some_and(|rest| rest <= *range.start()));
                prop_assert!(range.start() <= range.end());
                rest = range.end().checked_add(2);
            }
            prop_assert_eq!(Done::decode(next, &done.encode(usize::MAX)), Some(done));
        }
    }
}

/// A text with a checksum that is right.
fn sealed(next: i64, letter: char, body: &str) -> String {
    let digit = |char: char| ALPHABET.find(char).expect("a digit") as u8;
    let bytes = next.to_le_bytes().into_iter().chain([letter as u8]);
    let hash = bytes
        .chain(body.chars().map(digit))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let checksum = (0..6).map(|place| (hash >> (28 + 6 * place)) as usize % 64);
    let checksum: String = checksum
        .map(|digit| ALPHABET.as_bytes()[digit] as char)
        .collect();
    format!("obg1{letter}{checksum}{body}")
}

#[test]
fn the_text_form_stays_as_it_is() {
    for (next, ranges, text) in [
        (40, vec![41..=42], "obg1rdm-sD6BB"),
        (-1, vec![1..=1, 3..=1_003], "obg1rSesaSoCAAof"),
        (
            0,
            vec![1..=1, 3..=3, 5..=5, 8..=8, 10..=12],
            "obg1b_3AoIjBV6",
        ),
    ] {
        let done = done(next, ranges);
        assert_eq!(done.encode(100), text);
        assert_eq!(read_back(next, text), done);
    }
}

#[test]
fn a_commit_of_kafka_holds_twelve_thousand_alternating_offsets() {
    let many = alternating(1_000_000, 20_000);
    assert_eq!(read_back(1_000_000, &many.encode(4_096)).len(), 12_252);
    assert_eq!(read_back(1_000_000, &many.encode(4_093)).len(), 12_243);
}

#[test]
fn a_commit_of_kafka_holds_a_thousand_ranges_of_a_thousand_offsets() {
    let many = done(0, (0..2_000).map(|n| 2_048 * n + 1_024..=2_048 * n + 2_047));
    let held = read_back(0, &many.encode(4_096));
    assert_eq!((held.ranges().count(), held.len()), (1_021, 1_021 * 1_024));
}

#[test]
fn a_range_takes_a_few_characters_however_long_it_is() {
    let range = done(7, [8..=1_000_000]);
    assert_eq!(range.encode(4_096).len(), 16);
    assert_eq!(read_back(7, &range.encode(4_096)), range);
    let range = done(7, [8..=i64::MAX]);
    assert_eq!(range.encode(4_096).len(), 25);
}

#[test]
fn a_text_of_which_nothing_fits_is_empty() {
    let range = done(7, [8..=9]);
    for max_chars in 0..13 {
        assert_eq!(range.encode(max_chars), "", "{max_chars}");
    }
    assert_eq!(range.encode(13).len(), 13);
}

#[test]
fn the_lowest_and_the_highest_offsets_are_written_and_read_back() {
    let every = done(i64::MIN, [i64::MIN + 1..=i64::MAX]);
    assert_eq!(every.len(), u64::MAX);
    let one_more = sealed(i64::MIN, 'r', "A____________P");
    assert_eq!(read_back(i64::MIN, &one_more).len(), u64::MAX);
    for (next, done) in [
        (i64::MIN, every),
        (i64::MIN, done(i64::MIN, [i64::MAX..=i64::MAX])),
        (-1, done(-1, [0..=0, i64::MAX - 1..=i64::MAX])),
        (i64::MAX - 2, done(i64::MAX - 2, [i64::MAX - 1..=i64::MAX])),
    ] {
        let text = done.encode(100);
        assert_eq!(read_back(next, &text), done, "{text}");
    }
}

#[test]
fn nothing_done_is_an_empty_text() {
    assert_eq!(Done::default().encode(100), "");
    assert_eq!(Done::decode(5, ""), Some(Done::default()));
    assert_eq!(done(5, []), Done::default());
}

#[test]
fn a_foreign_text_is_refused() {
    for text in [
        " ",
        "consumer-7",
        "{\"done\":[41,42]}",
        "YgAAAAAAAQAB/wAA",
        "obg",
        "obg1",
        "obg1r",
        "obg1rAAAAAA",
        "obg2rdm-sD6BB",
        "OBG1rdm-sD6BB",
        " obg1rdm-sD6BB",
        "obg1rdm-sD6BB\n",
        "obg1\u{301}dm-sD6BB",
        "obg1rdm-sD6B\u{1F980}",
    ] {
        assert_eq!(Done::decode(40, text), None, "{text:?}");
    }
}

#[test]
fn a_number_that_is_too_large_is_refused() {
    for (letter, body) in [
        ('r', "A____________Q"),
        ('r', "A____________f"),
        ('r', "A_____________A"),
        ('b', "____________QB"),
        ('b', "_____________AB"),
    ] {
        let text = sealed(i64::MIN, letter, body);
        assert_eq!(Done::decode(i64::MIN, &text), None, "{text}");
    }
}

#[test]
fn an_offset_past_the_highest_one_is_refused() {
    let next = i64::MAX - 5;
    for (letter, body, held) in [
        ('r', "AF", Some(6)),
        ('r', "AG", None),
        ('r', "GA", None),
        ('r', "AEAA", None),
        ('r', "ADAA", Some(5)),
        ('r', "ADBA", None),
        ('b', "A_", Some(6)),
        ('b', "A_B", None),
        ('b', "GB", None),
    ] {
        let done = Done::decode(next, &sealed(next, letter, body));
        assert_eq!(done.map(|done| done.len()), held, "{letter}{body}");
    }
}

#[test]
fn a_text_that_was_cut_or_changed_is_refused() {
    let next = 1_000;
    for done in [
        alternating(next, 60),
        done(next, [1_002..=1_400, 1_500..=1_502]),
    ] {
        let text = done.encode(100);
        for cut in 1..text.len() {
            assert_eq!(Done::decode(next, &text[..cut]), None, "{cut}");
            assert_eq!(Done::decode(next, &text[cut..]), None, "{cut}");
            for char in ALPHABET.chars() {
                let changed = format!("{}{char}{}", &text[..cut], &text[cut + 1..]);
                let read = Done::decode(next, &changed);
                assert_eq!(read.is_some(), changed == text, "{changed}");
                let longer = format!("{}{char}{}", &text[..cut], &text[cut..]);
                assert_eq!(Done::decode(next, &longer), None, "{longer}");
            }
        }
    }
}

#[test]
fn a_text_of_another_position_is_refused() {
    let text = alternating(1_000, 60).encode(100);
    for next in [0, 999, 1_001, -1_000, i64::MIN, i64::MAX] {
        assert_eq!(Done::decode(next, &text), None, "{next}");
    }
}

#[test]
fn reading_a_text_takes_memory_by_its_length() {
    for (letter, char) in [('r', "A"), ('b', "V"), ('b', "-"), ('r', "-")] {
        let text = sealed(0, letter, &char.repeat(10_000));
        let allocated = measure(|| drop(Done::decode(0, &text)));
        assert!(
            allocated.bytes_max < 200 * 10_000,
            "{letter}{char}: {}",
            allocated.bytes_max
        );
    }
}

#[test]
fn writing_takes_memory_by_what_is_written() {
    let far = done(0, [1..=1, i64::MAX - 1..=i64::MAX]);
    let allocated = measure(|| assert_eq!(far.encode(usize::MAX).len(), 27));
    assert!(allocated.bytes_max < 1_000, "{}", allocated.bytes_max);
}
