//! Fault: what must not be, and where it was seen.

use std::fmt;

use crate::event::Record;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub record: Record,
    /// More about it, for a person to read.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The committed position is past a record that was never done.
    Lost,
    /// A record was never done, and the committed position is not past it.
    Missing,
    /// The committed position was past a record before it was done.
    CommittedEarly,
    /// A handler began while another one of the same key ran in another process.
    OverlapBetween,
    /// A handler began while another one of the same key ran in the same process.
    OverlapWithin,
    /// A handler began while another one of the same key ran in another process, and one of the two processes was cut off
    /// from the broker: it could not know that the other one had its partitions.
    OverlapCutOff,
    /// A handler began for a record although a later one of its key was done, or begun by the same process, before.
    OutOfOrder,
    /// A record was done again, although the process that had done it before could commit it.
    TwiceClean,
    /// A record was done again after the process that had done it before was killed, or cut off from the broker. Or by one
    /// that was cut off when another process had done it.
    TwiceCutOff,
    /// The committed position of a partition went back.
    WentBack,
    /// A record was handled that nobody has produced, or not with this key.
    Unknown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            record,
            detail,
        } = self;
        write!(f, "{kind:?}: {record}: {detail}")
    }
}
