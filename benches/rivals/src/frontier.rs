//! "K" of the blog: it hears of each item that is done, in any order, and knows up to where all are.

use std::collections::VecDeque;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::work::Results;

/// Takes each result, makes room in the window for the next item, and commits as far as all is done.
pub async fn commit(
    mut mailbox: UnboundedReceiver<(u64, u64)>,
    window: &Semaphore,
    results: &mut Results,
) {
    let mut frontier = Frontier::default();
    while let Some((amount, offset)) = mailbox.recv().await {
        window.add_permits(1);
        results.take(amount, offset);
        if let Some(done) = frontier.finish(offset) {
            results.commit(done);
        }
    }
}

#[derive(Default)]
pub struct Frontier {
    /// The first offset that is not done.
    next: u64,
    /// Whether it and those after it are done.
    done: VecDeque<bool>,
}

impl Frontier {
    /// Notes that `offset` is done, and returns the last one of those before which nothing is missing.
    pub fn finish(&mut self, offset: u64) -> Option<u64> {
        let at = (offset - self.next) as usize;
        if at >= self.done.len() {
            self.done.resize(at + 1, false);
        }
        self.done[at] = true;
        while self.done.front() == Some(&true) {
            self.done.pop_front();
            self.next += 1;
        }
        self.next.checked_sub(1)
    }
}
