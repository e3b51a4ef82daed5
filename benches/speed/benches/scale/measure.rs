//! One run: fills the stream, looks at it, and lets all come out, or drops it.

use std::hint::black_box;
use std::pin::Pin;
use std::time::Instant;

use ordered_by_group::{Monitor, Running};

use crate::feed::{Feed, Item};
use crate::figures::{Figure, Figures};
use crate::gate::Gate;
use crate::memory;
use crate::task::Task;

/// How often a thing is done that takes nanoseconds.
const OFTEN: usize = 1_000;

/// What is measured in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All goes through, and nothing waits for long.
    Through,
    /// All comes in, waits, and comes out.
    Complete,
    /// All comes in, and the stream is dropped.
    Drop,
    /// As `Complete`, with a monitor, and each poll is timed.
    Watched,
}

impl Part {
    pub const ALL: [Self; 4] = [Self::Through, Self::Complete, Self::Drop, Self::Watched];

    pub fn name(self) -> &'static str {
        match self {
            Self::Through => "through",
            Self::Complete => "complete",
            Self::Drop => "drop",
            Self::Watched => "watched",
        }
    }
}

/// What a stream is made of, and what was there before it.
pub struct Bench {
    pub feed: Feed,
    pub gate: Gate,
    pub monitor: Monitor,
    part: Part,
    items: u64,
    results: u64,
    heap: f64,
    resident: f64,
}

impl Bench {
    /// For so many items, which give so many results.
    pub fn new(items: u64, results: u64, part: Part) -> Self {
        Self {
            feed: Feed::new(items),
            gate: Gate::new(if part == Part::Through { 0 } else { items }),
            monitor: Monitor::new(),
            part,
            items,
            results,
            heap: memory::heap(),
            resident: memory::resident(),
        }
    }

    pub fn is_watched(&self) -> bool {
        self.part == Part::Watched
    }

    pub fn measure<S>(&self, stream: S) -> Figures
    where
        S: Running<Offset = u64>,
    {
        let mut stream = Box::pin(stream);
        let mut figures = Figures::default();
        let task = Task::new();
        match self.part {
            Part::Through => {
                let start = Instant::now();
                let results = task.run(stream.as_mut());
                figures.set(Figure::Fill, self.per_item(start));
                self.check_end(results);
                self.set_memory(&mut figures);
            }
            Part::Complete => {
                let start = Instant::now();
                let results = task.run(stream.as_mut());
                figures.set(Figure::Fill, self.per_item(start));
                self.look(stream.as_mut(), &task, &mut figures);
                let start = Instant::now();
                self.gate.open();
                let results = results + task.run(stream.as_mut());
                figures.set(Figure::Complete, self.per_item(start));
                self.check_end(results);
                self.set_memory(&mut figures);
            }
            Part::Drop => {
                task.run(stream.as_mut());
                let start = Instant::now();
                drop(stream);
                figures.set(Figure::Drop, self.per_item(start));
                assert_eq!(Item::alive(), 0, "each item was dropped, and once");
                self.gate.open();
                assert!(!task.was_woken(), "nothing is woken after the drop");
            }
            Part::Watched => {
                let (results, longest) = task.run_watched(stream.as_mut());
                figures.set(Figure::LongestIn, longest.as_nanos() as f64);
                let snapshot = often(|_| black_box(self.monitor.snapshot()));
                figures.set(Figure::Snapshot, snapshot);
                let snapshot = self.monitor.snapshot();
                assert_eq!(snapshot.running, stream.running());
                assert_eq!(snapshot.waiting, stream.waiting());
                self.gate.open();
                let (more, longest) = task.run_watched(stream.as_mut());
                figures.set(Figure::LongestOut, longest.as_nanos() as f64);
                self.check_end(results + more);
            }
        }
        figures
    }

    /// Looks at a stream in which as much waits as may.
    fn look<S>(&self, mut stream: Pin<&mut S>, task: &Task, figures: &mut Figures)
    where
        S: Running<Offset = u64>,
    {
        assert_eq!(self.feed.left(), 0, "all came in");
        let waiting = self.gate.waiting();
        let mut poll = |wake: &dyn Fn(usize)| {
            often(|n| {
                wake(n);
                assert!(task.poll(stream.as_mut()).is_pending());
            })
        };
        // Far from each other, if there are many.
        let handler_woken = poll(&|n| self.gate.wake(n * 7_919 % waiting));
        figures.set(Figure::HandlerWoken, handler_woken);
        if self.feed.wake() {
            let source_woken = poll(&|_| assert!(self.feed.wake()));
            figures.set(Figure::SourceWoken, source_woken);
        }
        task.was_woken();
        let oldest = often(|_| assert_eq!(black_box(&stream).unfinished().next(), Some(&0)));
        figures.set(Figure::Oldest, oldest);
        let start = Instant::now();
        let unfinished = stream.unfinished().count();
        figures.set(Figure::Unfinished, self.per_item(start));
        assert_eq!(unfinished, stream.running() + stream.waiting());
    }

    fn check_end(&self, results: u64) {
        assert_eq!(results, self.results, "one in, one out, or one a batch");
        assert_eq!(Item::alive(), 0, "each item was dropped, and once");
    }

    /// All has come out, and the stream is kept.
    fn set_memory(&self, figures: &mut Figures) {
        figures.set(Figure::HeapPeak, memory::heap_peak() - self.heap);
        figures.set(Figure::HeapAfter, memory::heap() - self.heap);
        figures.set(
            Figure::ResidentPeak,
            memory::resident_peak() - self.resident,
        );
        figures.set(Figure::ResidentAfter, memory::resident() - self.resident);
    }

    fn per_item(&self, start: Instant) -> f64 {
        start.elapsed().as_nanos() as f64 / self.items as f64
    }
}

/// How many nanoseconds something takes, on the average.
fn often<R>(mut something: impl FnMut(usize) -> R) -> f64 {
    let start = Instant::now();
    for n in 0..OFTEN {
        something(n);
    }
    start.elapsed().as_nanos() as f64 / OFTEN as f64
}
