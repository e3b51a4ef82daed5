//! Scenario: what happens to the members of a group, as functions that return what it came to.

mod broker_away;
mod come_and_go;
mod exactly_once;
mod frozen;
mod full_window;
mod restart;
mod stop;
mod stuck_head;

use std::env;
use std::path::{Path, PathBuf};

pub use self::broker_away::broker_away;
pub use self::come_and_go::{ComeAndGo, Pace, come_and_go};
pub use self::exactly_once::exactly_once;
pub use self::frozen::{WakesUp, frozen, frozen_with_a_stuck_head};
pub use self::full_window::{Meanwhile, full_window};
pub use self::restart::{Ends, Restarted, refused, restart};
pub use self::stop::stop;
pub use self::stuck_head::stuck_head;

/// The broker and the programs that a scenario is made of.
#[derive(Clone, Debug)]
pub struct Cast {
    pub brokers: String,
    pub producer: PathBuf,
    pub member: PathBuf,
}

/// How many cycles or kills a scenario has, if `KAFKA_CYCLES` does not say otherwise.
const CYCLES: usize = 6;

/// How many cycles or kills a scenario has.
///
/// # Panics
///
/// If `KAFKA_CYCLES` is set and is no number from 1 on.
pub fn cycles() -> usize {
    let Ok(cycles) = env::var("KAFKA_CYCLES") else {
        return CYCLES;
    };
    match cycles.parse() {
        Ok(cycles @ 1..) => cycles,
        _ => panic!("KAFKA_CYCLES={cycles}: give a number from 1 on"),
    }
}

impl Cast {
    fn member_name(&self) -> String {
        name_of(&self.member)
    }
}

fn name_of(program: &Path) -> String {
    let name = program.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
