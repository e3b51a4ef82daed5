//! Other processes that keep all cores busy: copies of this bench that only compute.

use std::hint::black_box;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::{env, io, process, thread};

/// The argument with which the bench is such a process.
const SPIN: &str = "--spin";

/// So many busy processes, which end when this is dropped, or when the bench ends in any other way.
pub struct Busy(Vec<Child>);

impl Busy {
    pub fn start(count: usize) -> Self {
        let bench = env::current_exe().expect("the bench has a path");
        let start = |_| {
            Command::new(&bench)
                .arg(SPIN)
                .stdin(Stdio::piped())
                .spawn()
                .expect("a process")
        };
        Self((0..count).map(start).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already need not be ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Computes until the bench ends, if this is such a process.
pub fn spin_if_told() {
    if !env::args().any(|argument| argument == SPIN) {
        return;
    }
    thread::spawn(|| {
        // The bench writes nothing: reading ends with the bench.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 1);
    }
}
