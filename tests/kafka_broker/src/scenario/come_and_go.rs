//! Come and go: one member stays, others join, work, and leave, by SIGTERM and by `kill -9` in turn.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

const PARTITIONS: u32 = 8;

/// A member that joins may have to wait until one that was killed counts as dead.
const JOINS_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct ComeAndGo {
    pub protocol: Protocol,
    /// How many members there are at most, the one that stays included.
    pub members: usize,
    /// How many members join and leave.
    pub cycles: usize,
    pub pace: Pace,
    /// More arguments for each member.
    pub args: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Handlers of 5 to 50 ms, 200 records a second, 200 keys.
    Fast,
    /// Handlers of 0.2 to 2 s, 8 records a second, 40 keys.
    Slow,
}

impl Pace {
    fn producer(self) -> [&'static str; 4] {
        match self {
            Self::Fast => ["--rate", "200", "--keys", "200"],
            Self::Slow => ["--rate", "8", "--keys", "40"],
        }
    }

    fn takes(self) -> [&'static str; 3] {
        match self {
            Self::Fast => ["--takes", "5", "50"],
            Self::Slow => ["--takes", "200", "2000"],
        }
    }

    /// What a member does before it leaves: half of 2.5 s of what is produced.
    fn work(self) -> usize {
        match self {
            Self::Fast => 250,
            Self::Slow => 10,
        }
    }
}

pub fn come_and_go(cast: &Cast, play: &ComeAndGo) -> Result<Outcome> {
    let ComeAndGo {
        protocol,
        members,
        cycles,
        pace,
        args,
    } = play;
    let mut name = format!(
        "{}, {protocol}, {members} members, {cycles} cycles",
        cast.member_name()
    );
    if *pace == Pace::Slow {
        name += ", slow";
    }
    for arg in args {
        name = name + " " + arg;
    }
    let protocol = protocol.to_string();
    let more = args.iter().map(String::as_str);
    let args = ["--protocol", &protocol].into_iter();
    let args = args.chain(pace.takes()).chain(more).collect::<Vec<_>>();

    let mut stage = Stage::new(&cast.brokers, "come-and-go", PARTITIONS)?;
    let mut outcome = Outcome {
        name,
        verdict: Default::default(),
        joins: Vec::new(),
        leaves: Vec::new(),
    };
    let producer = stage.start_producer(&cast.producer, &pace.producer())?;
    let stays = stage.start_member(&cast.member, &args)?;
    stage.until_done_by(stays, pace.work(), JOINS_WITHIN)?;
    let mut guests = VecDeque::new();
    for cycle in 0..*cycles {
        let guest = stage.start_member(&cast.member, &args)?;
        stage.until_done_by(guest, pace.work(), JOINS_WITHIN)?;
        outcome.joins.push(stage.joined_after(guest)?);
        guests.push_back(guest);
        if guests.len() < members - 1 {
            continue;
        }
        if let Some(oldest) = guests.pop_front() {
            match cycle % 2 {
                0 => outcome.leaves.push(stage.terminate(oldest)?),
                _ => stage.kill(oldest)?,
            }
        }
    }
    for guest in guests {
        outcome.leaves.push(stage.terminate(guest)?);
    }
    stage.terminate(producer)?;
    stage.until_all_done(ENDS_WITHIN)?;
    outcome.leaves.push(stage.terminate(stays)?);
    outcome.verdict = stage.verdict()?;
    Ok(outcome)
}
