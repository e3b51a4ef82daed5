//! Runs: offsets that are done one after the other.

/// Offsets from the first to the last, both included. Those that the log does not have count as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Run {
    /// How many offsets it has. All that there can be are one too many for the type.
    pub(super) fn len(&self) -> u64 {
        self.last.abs_diff(self.first).saturating_add(1)
    }
}

/// Runs that rise and do not touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    /// Whether the next offset to be added belongs to the last run, even if there is a gap in the log between them.
    is_open: bool,
}

impl Runs {
    /// Adds an offset that is past all others.
    pub(super) fn add(&mut self, offset: i64) {
        match self.runs.last_mut().filter(|_| self.is_open) {
            Some(run) => run.last = offset,
            None => self.add_run(Run {
                first: offset,
                last: offset,
            }),
        }
    }

    /// An offset that is not done comes before the next one.
    pub(super) fn break_off(&mut self) {
        self.is_open = false;
    }

    /// Adds a run that is past all others.
    pub(super) fn add_run(&mut self, run: Run) {
        self.is_open = true;
        if let Some(before) = self.runs.last_mut() {
            if before.last.checked_add(1) == Some(run.first) {
                before.last = run.last;
                return;
            }
        }
        self.runs.push(run);
    }

    pub(super) fn into_vec(self) -> Vec<Run> {
        self.runs
    }
}
