//! Checks: what every contender pays for in its handler, so that none of them is measured while it does less.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What the handlers of a run saw. Handlers take turns on one task.
#[derive(Default)]
pub struct Checks(RefCell<State>);

#[derive(Default)]
struct State {
    keys: HashMap<Vec<u8>, Key>,
    /// How often each offset was handled, by partition.
    seen: HashMap<i32, Vec<u8>>,
    report: Report,
    running: usize,
    in_handlers: Duration,
}

#[derive(Default)]
struct Key {
    /// One more than the highest sequence number that was handled.
    next: u64,
    running: u32,
}

/// What a run has to answer for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    pub handled: u64,
    /// Records that started after a newer record of their key.
    pub late: u64,
    /// Records that started while another record of their key was being handled.
    pub overlaps: u64,
    pub duplicates: u64,
    /// The most handlers at once.
    pub most_running: usize,
    pub first: Option<Instant>,
    pub mean_in_handler: Duration,
}

impl Checks {
    /// Of partitions with so many records each.
    pub fn new(ends: &[(i32, i64)]) -> Self {
        let state = State {
            seen: ends
                .iter()
                .map(|(partition, end)| (*partition, vec![0; *end as usize]))
                .collect(),
            ..State::default()
        };
        Self(RefCell::new(state))
    }

    /// A handler begins. Returns when that was.
    pub fn begin(&self, partition: i32, offset: i64, key: &[u8], payload: &[u8]) -> Instant {
        let now = Instant::now();
        let state = &mut *self.0.borrow_mut();
        state.report.first.get_or_insert(now);
        let seen = state.seen.get_mut(&partition).expect("a known partition");
        let times = &mut seen[offset as usize];
        *times = times.saturating_add(1);
        let is_first = *times == 1;
        state.report.duplicates += u64::from(!is_first);
        if !state.keys.contains_key(key) {
            state.keys.insert(key.to_vec(), Key::default());
        }
        let of_key = state.keys.get_mut(key).expect("it was inserted");
        let sequence = sequence(payload);
        state.report.overlaps += u64::from(of_key.running > 0);
        state.report.late += u64::from(is_first && sequence < of_key.next);
        of_key.next = of_key.next.max(sequence + 1);
        of_key.running += 1;
        state.running += 1;
        state.report.most_running = state.report.most_running.max(state.running);
        now
    }

    /// A handler ends.
    pub fn end(&self, key: &[u8], began: Instant) {
        let state = &mut *self.0.borrow_mut();
        state.running -= 1;
        state.keys.get_mut(key).expect("it has begun").running -= 1;
        state.in_handlers += began.elapsed();
        state.report.handled += 1;
    }

    pub fn handled(&self) -> u64 {
        self.0.borrow().report.handled
    }

    pub fn report(&self) -> Report {
        let state = self.0.borrow();
        let handled = state.report.handled.max(1) as f64;
        Report {
            mean_in_handler: state.in_handlers.div_f64(handled),
            ..state.report
        }
    }
}

/// The number at the beginning of a payload: how many records of the key came before it.
pub fn sequence(payload: &[u8]) -> u64 {
    let digits = payload.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}
