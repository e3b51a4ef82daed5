//! Restart: a static member ends, and is started again with the same name within its session.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use kafka_judge::Verdict;

use crate::args::Protocol;
use crate::outcome::Outcome;
use crate::scenario::Cast;
use crate::stage::Stage;

/// So long that a busy machine can start a process meanwhile. Nobody waits for it.
const SESSION: &str = "45000";
/// Only the close commits.
const NEVER: &str = "3600000";
const WORK: usize = 150;
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// How the member ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Terminated,
    Killed,
}

/// What a restart came to.
#[derive(Clone, Debug)]
pub struct Restarted {
    pub outcome: Outcome,
    /// The partitions that the member held before, and after.
    pub held: [BTreeSet<i32>; 2],
    /// How many partitions the other member has given up meanwhile.
    pub given_up: usize,
}

/// If it is terminated, nothing is committed before.
pub fn restart(cast: &Cast, protocol: Protocol, ends: Ends) -> Result<Restarted> {
    let mut name = format!("{}, {protocol}, static, ", cast.member_name());
    let protocol = protocol.to_string();
    let mut args = vec!["--protocol", &protocol, "--session-timeout", SESSION];
    match ends {
        Ends::Terminated => {
            name += "terminated and started again";
            args.extend(["--commit-every", NEVER]);
        }
        Ends::Killed => name += "killed and started again",
    }
    let mut play = Play::begin(cast, &args)?;
    let [other, first] = play.members;
    let stage = &mut play.stage;
    let before = stage.held_by(first)?;
    let given_up = stage.given_up_by(other)?;
    let (mut joins, mut leaves) = (vec![stage.joined_after(first)?], Vec::new());
    match ends {
        Ends::Terminated => leaves.push(stage.terminate(first)?),
        Ends::Killed => stage.kill(first)?,
    }
    let again = stage.start_member(&cast.member, &play.returns)?;
    stage.until_done_by(again, WORK, ENDS_WITHIN)?;
    joins.push(stage.joined_after(again)?);
    let after = stage.held_by(again)?;
    let given_up = stage.given_up_by(other)? - given_up;
    let (verdict, more) = play.end(again)?;
    leaves.extend(more);
    Ok(Restarted {
        outcome: Outcome {
            name,
            verdict,
            joins,
            leaves,
        },
        held: [before, after],
        given_up,
    })
}

/// By the protocol of KIP-848, the broker refuses a name that another process has, until that one has left or its session has
/// expired. Returns the last words of the one that it has refused as well. When the other one is killed, and some time has
/// passed, the same works.
pub fn refused(cast: &Cast) -> Result<(Outcome, String)> {
    let protocol = Protocol::Consumer;
    let name = format!("{}, {protocol}, static, refused", cast.member_name());
    let protocol = protocol.to_string();
    let mut play = Play::begin(cast, &["--protocol", &protocol])?;
    let [other, first] = play.members;
    let stage = &mut play.stage;
    let again = stage.start_member(&cast.member, &play.returns)?;
    let words = stage.failed(again)?;
    stage.kill(first)?;
    stage.until_shared_out(&[other], ENDS_WITHIN)?;
    let again = stage.start_member(&cast.member, &play.returns)?;
    stage.until_done_by(again, WORK, ENDS_WITHIN)?;
    let joins = vec![stage.joined_after(again)?];
    let (verdict, leaves) = play.end(again)?;
    let outcome = Outcome {
        name,
        verdict,
        joins,
        leaves,
    };
    Ok((outcome, words))
}

/// Two static members at work.
struct Play<'a> {
    stage: Stage,
    producer: u32,
    /// The one that stays, and the one that is to end.
    members: [u32; 2],
    /// The arguments of the one that is to end, to start it again.
    returns: Vec<&'a str>,
}

impl<'a> Play<'a> {
    fn begin(cast: &Cast, args: &[&'a str]) -> Result<Self> {
        let [stays, returns] =
            ["stays", "returns"].map(|name| [args, &["--instance", name]].concat());
        let mut stage = Stage::new(&cast.brokers, "restart", 8)?;
        let members = [
            stage.start_member(&cast.member, &stays)?,
            stage.start_member(&cast.member, &returns)?,
        ];
        stage.until_shared_out(&members, ENDS_WITHIN)?;
        let producer = stage.start_producer(&cast.producer, &[])?;
        for member in members {
            stage.until_done_by(member, WORK, ENDS_WITHIN)?;
        }
        Ok(Self {
            stage,
            producer,
            members,
            returns,
        })
    }

    /// Ends the one that was started again, and the one that has stayed. Returns how long they took as well.
    fn end(self, again: u32) -> Result<(Verdict, Vec<Duration>)> {
        let Self {
            mut stage,
            producer,
            members: [other, _],
            ..
        } = self;
        stage.terminate(producer)?;
        stage.until_all_done(ENDS_WITHIN)?;
        let leaves = vec![stage.terminate(again)?, stage.terminate(other)?];
        Ok((stage.verdict()?, leaves))
    }
}
