//! Timer: an async sleep without the 1 ms slots of tokio's, which turn 100 µs into more than a millisecond.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Timer {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Who is due when; the number tells apart those that are due at the same time.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    sleepers: HashMap<u64, Arc<Mutex<Sleeper>>>,
    next: u64,
}

#[derive(Default)]
struct Sleeper {
    is_due: bool,
    waker: Option<Waker>,
}

/// Waits so long, and about 0.1 ms more.
pub async fn sleep(duration: Duration) {
    let until = Instant::now() + duration;
    let mut own: Option<Arc<Mutex<Sleeper>>> = None;
    poll_fn(move |cx| {
        let sleeper = own.get_or_insert_with(|| timer().enter(until));
        let mut sleeper = lock(sleeper);
        if sleeper.is_due {
            return Poll::Ready(());
        }
        sleeper.waker = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// The timer, with its thread.
fn timer() -> &'static Arc<Timer> {
    static TIMER: OnceLock<Arc<Timer>> = OnceLock::new();
    TIMER.get_or_init(|| {
        let timer = Arc::new(Timer::default());
        let served = Arc::clone(&timer);
        std::thread::spawn(move || served.serve());
        timer
    })
}

impl Timer {
    fn enter(&self, until: Instant) -> Arc<Mutex<Sleeper>> {
        let sleeper = Arc::new(Mutex::new(Sleeper::default()));
        let mut queue = lock(&self.queue);
        let number = queue.next;
        queue.next += 1;
        let is_first = queue
            .due
            .peek()
            .is_none_or(|Reverse((due, _))| until < *due);
        queue.due.push(Reverse((until, number)));
        queue.sleepers.insert(number, Arc::clone(&sleeper));
        drop(queue);
        if is_first {
            self.changed.notify_one();
        }
        sleeper
    }

    fn serve(&self) {
        let mut queue = lock(&self.queue);
        loop {
            let now = Instant::now();
            queue = match queue.due.peek().copied() {
                None => self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(Reverse((due, _))) if due > now => {
                    let waited = self.changed.wait_timeout(queue, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(Reverse((_, number))) => {
                    queue.due.pop();
                    let sleeper = queue.sleepers.remove(&number);
                    drop(queue);
                    if let Some(sleeper) = sleeper {
                        let waker = {
                            let mut sleeper = lock(&sleeper);
                            sleeper.is_due = true;
                            sleeper.waker.take()
                        };
                        waker.into_iter().for_each(Waker::wake);
                    }
                    lock(&self.queue)
                }
            };
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
