//! Event: a line of a journal, as text and as a value.
//!
//! ```text
//! 81204117000123 4711 start orders 3 1042 customer-17
//! 81204131000456 4711 end orders 3 1042 customer-17
//! ```
//!
//! The nanoseconds of the machine's monotonic clock, the process, what happened, and what it happened to. Fields are
//! separated by one blank, so topics and keys have none.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// What happened in or to a process, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of a clock that all processes share.
    pub at: u64,
    /// The process that wrote it. For what is done to a process and not by it, such as [`Killed`](What::Killed), that process.
    pub process: u32,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The broker has acknowledged a record.
    Produced(Record),
    /// A handler begins.
    Start(Record),
    /// A handler is through, and its effect has been made.
    End(Record),
    /// A handler was dropped before it was through.
    Drop(Record),
    /// The process is assigned a partition. Like the next one, it is for who waits for it, and not judged.
    Assigned(Partition),
    /// The process has given a partition up.
    GivenUp(Partition),
    /// The broker says that this is the committed position of a partition, asked by one who is no member.
    Position(Position),
    /// The process is frozen and will be killed: it can neither end a handler nor commit what it has done.
    Killed,
    /// The broker is about to go away, or the process is frozen, so that it cannot commit what it has done. It cannot know
    /// either that others take it for dead.
    CutOff,
    /// The broker is there again for the process, which knows what it has lost.
    Reached,
    /// The process has ended in its own way.
    Exited,
}

/// A record of a topic, with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: String,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
}

/// The next offset to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub topic: String,
    pub partition: i32,
    pub next: i64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, process, what } = self;
        write!(f, "{at} {process} ")?;
        match what {
            What::Produced(record) => write!(f, "produced {record}"),
            What::Start(record) => write!(f, "start {record}"),
            What::End(record) => write!(f, "end {record}"),
            What::Drop(record) => write!(f, "drop {record}"),
            What::Assigned(partition) => write!(f, "assigned {partition}"),
            What::GivenUp(partition) => write!(f, "given-up {partition}"),
            What::Position(position) => write!(f, "position {position}"),
            What::Killed => f.write_str("killed"),
            What::CutOff => f.write_str("cut-off"),
            What::Reached => f.write_str("reached"),
            What::Exited => f.write_str("exited"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            offset,
            key,
        } = self;
        write!(f, "{topic} {partition} {offset} {key}")
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.topic, self.number)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            next,
        } = self;
        write!(f, "{topic} {partition} {next}")
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut fields = line.split_whitespace();
        let at = number(&mut fields, "the time")?;
        let process = number(&mut fields, "the process")?;
        let what = match field(&mut fields, "what happened")? {
            "produced" => What::Produced(record(&mut fields)?),
            "start" => What::Start(record(&mut fields)?),
            "end" => What::End(record(&mut fields)?),
            "drop" => What::Drop(record(&mut fields)?),
            "assigned" => What::Assigned(partition(&mut fields)?),
            "given-up" => What::GivenUp(partition(&mut fields)?),
            "position" => What::Position(Position {
                topic: field(&mut fields, "the topic")?.to_owned(),
                partition: number(&mut fields, "the partition")?,
                next: number(&mut fields, "the position")?,
            }),
            "killed" => What::Killed,
            "cut-off" => What::CutOff,
            "reached" => What::Reached,
            "exited" => What::Exited,
            other => return Err(format!("nothing is called `{other}`")),
        };
        if let Some(more) = fields.next() {
            return Err(format!("`{more}` is one field too many"));
        }
        Ok(Self { at, process, what })
    }
}

impl FromStr for Record {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        record(&mut text.split_whitespace())
    }
}

fn record(fields: &mut SplitWhitespace<'_>) -> Result<Record, String> {
    Ok(Record {
        topic: field(fields, "the topic")?.to_owned(),
        partition: number(fields, "the partition")?,
        offset: number(fields, "the offset")?,
        key: field(fields, "the key")?.to_owned(),
    })
}

fn partition(fields: &mut SplitWhitespace<'_>) -> Result<Partition, String> {
    Ok(Partition {
        topic: field(fields, "the topic")?.to_owned(),
        number: number(fields, "the partition")?,
    })
}

fn number<N: FromStr>(fields: &mut SplitWhitespace<'_>, name: &str) -> Result<N, String> {
    let field = field(fields, name)?;
    field
        .parse()
        .map_err(|_| format!("`{field}` is no number for {name}"))
}

fn field<'a>(fields: &mut SplitWhitespace<'a>, name: &str) -> Result<&'a str, String> {
    fields.next().ok_or_else(|| format!("{name} is missing"))
}
