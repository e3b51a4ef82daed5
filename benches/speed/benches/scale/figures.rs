//! What is measured, in nanoseconds and bytes.

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// From the source to where it waits or comes out, an item.
    Fill,
    /// From when all may go on until all has come out, an item.
    Complete,
    /// To drop the stream where it stands, an item.
    Drop,
    /// To go through `unfinished()`, an item.
    Unfinished,
    /// To wake one handler, and to poll the stream.
    HandlerWoken,
    /// To wake the source, and to poll the stream.
    SourceWoken,
    /// The first of `unfinished()`.
    Oldest,
    /// `Monitor::snapshot`
    Snapshot,
    /// The longest poll while all comes in.
    LongestIn,
    /// The longest poll while all comes out.
    LongestOut,
    /// The most on the heap.
    HeapPeak,
    /// The most that was resident.
    ResidentPeak,
    /// On the heap when all has come out, and the stream is kept.
    HeapAfter,
    /// Resident at that time.
    ResidentAfter,
}

impl Figure {
    pub const ALL: [Self; 14] = [
        Self::Fill,
        Self::Complete,
        Self::Drop,
        Self::Unfinished,
        Self::HandlerWoken,
        Self::SourceWoken,
        Self::Oldest,
        Self::Snapshot,
        Self::LongestIn,
        Self::LongestOut,
        Self::HeapPeak,
        Self::ResidentPeak,
        Self::HeapAfter,
        Self::ResidentAfter,
    ];
}

/// What one run, or several, came to.
#[derive(Clone, Copy, Default)]
pub struct Figures([Option<f64>; Figure::ALL.len()]);

impl Figures {
    pub fn get(&self, figure: Figure) -> Option<f64> {
        self.0[figure as usize]
    }

    pub fn set(&mut self, figure: Figure, value: f64) {
        self.0[figure as usize] = Some(value);
    }

    /// Figures of several runs, each of which has others.
    pub fn all_of(runs: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for run in runs {
            for (here, there) in all.0.iter_mut().zip(run.0) {
                *here = here.or(there);
            }
        }
        all
    }

    /// The medians of several runs, each of which has the same.
    pub fn medians(runs: &[Self]) -> Self {
        let mut medians = Self::default();
        for figure in Figure::ALL {
            let mut values: Vec<_> = runs.iter().filter_map(|run| run.get(figure)).collect();
            values.sort_unstable_by(f64::total_cmp);
            if let Some(median) = values.get(values.len() / 2) {
                medians.set(figure, *median);
            }
        }
        medians
    }

    pub fn to_line(self) -> String {
        let values = self
            .0
            .map(|value| value.map_or("-".into(), |value| value.to_string()));
        format!("figures {}", values.join(" "))
    }

    pub fn of_line(line: &str) -> Option<Self> {
        let mut figures = Self::default();
        let values = line.strip_prefix("figures ")?.split(' ');
        for (here, value) in figures.0.iter_mut().zip(values) {
            *here = value.parse().ok();
        }
        Some(figures)
    }
}
