//! Entries that are known to be there.
//!
//! Like indexing and `expect`, but without a word on where a check has failed. None fails, and on the way of an item, what an
//! index needs to say so costs about as much as the check.

/// The entry at an index that is known.
#[inline(always)]
pub(crate) fn at<T>(entries: &[T], index: usize) -> &T {
    known(entries.get(index))
}

/// The entry at an index that is known.
#[inline(always)]
pub(crate) fn at_mut<T>(entries: &mut [T], index: usize) -> &mut T {
    known(entries.get_mut(index))
}

/// What is known to be there.
#[inline(always)]
pub(crate) fn known<T>(entry: Option<T>) -> T {
    match entry {
        Some(entry) => entry,
        None => missing(),
    }
}

#[cold]
#[inline(never)]
fn missing() -> ! {
    unreachable!("what is known is there")
}
