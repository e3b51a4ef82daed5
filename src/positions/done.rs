//! Done: the offsets past a position that are done.

use std::ops::RangeInclusive;

use crate::positions::runs::Run;
use crate::positions::text;

/// The offsets past a position that are done, as ranges.
///
/// A [`Commit`](crate::positions::Commit) contains one, and the next [`Lease`](crate::positions::Lease) of the partition
/// takes it back. Between the two it is a text: [`encode`](Self::encode) and [`decode`](Self::decode).
///
/// Offsets that the source did not yield, because the log has a gap there, count as done if both their neighbours are.
///
/// ```
/// use ordered_by_group::positions::{Done, Lease};
///
/// let lease = Lease::new(0, Some(40), Done::default());
/// for offset in [40, 41, 42, 47] {
///     let position = lease.read(offset).expect("not done before");
///     position.settle(offset > 40); // 40 is left
/// }
/// let commit = lease.commit().expect("there is something new");
/// assert_eq!(commit.next, 40);
/// assert_eq!(commit.done.ranges().collect::<Vec<_>>(), [41..=47]);
///
/// let text = commit.done.encode(100);
/// let done = Done::decode(commit.next, &text);
/// assert_eq!(done, Some(commit.done));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    next: i64,
    /// They rise from `next` on and do not touch.
    runs: Vec<Run>,
}

impl Done {
    pub(super) fn new(next: i64, runs: Vec<Run>) -> Self {
        // So that those of different positions are equal where they mean the same: nothing.
        let next = if runs.is_empty() { 0 } else { next };
        Self { next, runs }
    }

    pub(super) fn into_runs(self) -> Vec<Run> {
        self.runs
    }

    /// Puts together what two consumers have done past `next`, before which everything is done. Returns the position of both,
    /// and what is done past it.
    #[cfg(feature = "rdkafka")]
    pub(crate) fn join(self, other: Self, mut next: i64) -> (i64, Self) {
        let mut both = self.runs;
        both.extend(other.runs);
        both.sort_unstable_by_key(|run| run.first);
        let mut runs = Vec::<Run>::new();
        for run in both {
            if run.first <= next {
                next = next.max(run.last.saturating_add(1));
                continue;
            }
            match runs.last_mut() {
                Some(before) if run.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(run.last);
                }
                _ => runs.push(run),
            }
        }
        (next, Self::new(next, runs))
    }

    /// Returns whether nothing is done past the position.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns how many offsets are done past the position, gaps of the log included.
    ///
    /// It is `u64::MAX` if there are more.
    pub fn len(&self) -> u64 {
        let runs = self.runs.iter();
        runs.fold(0, |sum, run| sum.saturating_add(run.len()))
    }

    /// Returns whether an offset is done. Takes O(log n) for n ranges.
    pub fn contains(&self, offset: i64) -> bool {
        let rest = self.runs.partition_point(|run| run.last < offset);
        self.runs.get(rest).is_some_and(|run| run.first <= offset)
    }

    /// Returns the offsets that are done, as ranges that rise and do not touch.
    ///
    /// Use it to store them in a form of your own, such as a row for each range.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<i64>> + '_ {
        self.runs.iter().map(|run| run.first..=run.last)
    }

    /// Writes what is done as a text of at most `max_chars` characters, all of them ASCII letters, digits, `-` and `_`.
    ///
    /// If that is not enough for all, the *highest* offsets are missing, and only they are handled again after a crash. If
    /// not a single offset fits, or nothing is done, the text is empty.
    ///
    /// A range takes from 2 to 26 characters: 4 if it and the gap before it are of up to 1,024 offsets. Where many short
    /// ranges follow each other, each offset of the log takes a sixth of a character instead. So the 4,096 characters that
    /// Kafka accepts with a commit (`offset.metadata.max.bytes`) hold 12,252 *alternating* offsets, or 1,021 ranges of 1,024
    /// offsets each.
    ///
    /// It takes O(`max_chars`), or O(n) for n ranges if that is less.
    #[doc(alias = "metadata")]
    #[doc(alias = "serialize")]
    pub fn encode(&self, max_chars: usize) -> String {
        text::encode(self.next, &self.runs, max_chars)
    }

    /// Reads what [`encode`](Self::encode) has written with the position `next`.
    ///
    /// Returns `None` for any other text, such as one of another program, one that was cut or changed, or one that belongs to
    /// another position. The text contains a checksum over itself and `next`: what was done at another position is never taken for
    /// done at this one. Treat `None` as [`Done::default()`](Self::default): more is repeated, and nothing is lost. An empty
    /// text means that nothing is done.
    ///
    /// No text makes it panic, and it takes less than 200 bytes of memory for each character.
    ///
    /// ```
    /// use ordered_by_group::positions::Done;
    ///
    /// assert_eq!(Done::decode(40, "written by someone else"), None);
    /// assert_eq!(Done::decode(40, ""), Some(Done::default()));
    ///
    /// let text = "obg1rdm-sD6BB";
    /// assert_eq!(Done::decode(40, text).map(|done| done.len()), Some(2));
    /// assert_eq!(Done::decode(50, text), None); // the position was set to 50 by hand
    /// ```
    #[doc(alias = "deserialize")]
    #[doc(alias = "parse")]
    pub fn decode(next: i64, text: &str) -> Option<Self> {
        let runs = text::decode(next, text)?;
        Some(Self::new(next, runs))
    }
}
