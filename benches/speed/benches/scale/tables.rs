//! The tables, as they stand in `PERFORMANCE.md`.

use crate::cases::Case;
use crate::figures::{Figure, Figures};

/// From this ratio on, a figure has grown faster than the work.
const MUCH: f64 = 1.5;

/// A column: a figure in its unit.
#[derive(Clone, Copy)]
struct Column {
    figure: Figure,
    heading: &'static str,
    /// So many of its units are one of what is measured.
    factor: f64,
    is_per_item: bool,
    /// Less than this is not told from noise.
    noise: f64,
}

type Found = (Case, u64, Figures);

pub fn print(found: &[Found]) {
    use Figure::{
        Complete, Drop, Fill, HandlerWoken, HeapAfter, HeapPeak, LongestIn, LongestOut, Oldest,
        ResidentAfter, ResidentPeak, Snapshot, SourceWoken, Unfinished,
    };
    let (one_shot, waiting): (Vec<_>, Vec<_>) =
        found.iter().partition(|(case, ..)| case.is_one_shot());
    table(
        "One-shot keys: all must stay as it is",
        &one_shot,
        &[
            Column::time(Fill, "ns / item"),
            Column::kib(HeapPeak, "heap, peak, KiB"),
            Column::kib(HeapAfter, "after, KiB"),
            Column::kib(ResidentPeak, "resident, peak, KiB"),
        ],
    );
    table(
        "ns per item",
        &waiting,
        &[
            Column::time(Fill, "comes in"),
            Column::time(Complete, "comes out"),
            Column::time(Drop, "dropped"),
            Column::time(Unfinished, "all of `unfinished()`"),
        ],
    );
    table(
        "Once, whatever waits",
        &waiting,
        &[
            Column::once(HandlerWoken, "a handler is woken, ns", 1.0, 25.0),
            Column::once(SourceWoken, "the source is woken, ns", 1.0, 25.0),
            Column::once(Oldest, "first of `unfinished()`, ns", 1.0, 5.0),
            Column::once(Snapshot, "`snapshot()`, ns", 1.0, 25.0),
            Column::once(LongestIn, "longest poll, in, µs", 1e-3, 100.0),
            Column::once(LongestOut, "longest poll, out, µs", 1e-3, 100.0),
        ],
    );
    table(
        "Memory",
        &waiting,
        &[
            Column::bytes(HeapPeak, "heap, peak, bytes / item"),
            Column::bytes(ResidentPeak, "resident, peak, bytes / item"),
            Column::kib(HeapAfter, "heap, all out, KiB"),
            Column::kib(ResidentAfter, "resident, all out, KiB"),
        ],
    );
}

fn table(title: &str, found: &[&Found], columns: &[Column]) {
    if found.is_empty() {
        return;
    }
    println!("\n{title}\n");
    let headings: Vec<_> = columns.iter().map(|column| column.heading).collect();
    println!("| case | items | {} |", headings.join(" | "));
    println!("|{}", "---|".repeat(columns.len() + 2));
    for pair in found.chunks(2) {
        let &[(case, few, least), (_, many, most)] = pair else {
            unreachable!("each case runs at two sizes")
        };
        let cells: Vec<_> = columns
            .iter()
            .map(|column| column.cell(column.value(least, *few), column.value(most, *many)))
            .collect();
        let name = case.name();
        println!("| {name} | {few} → {many} | {} |", cells.join(" | "));
    }
}

impl Column {
    /// Nanoseconds an item, as they are measured.
    fn time(figure: Figure, heading: &'static str) -> Self {
        Self::once(figure, heading, 1.0, 2.5)
    }

    fn once(figure: Figure, heading: &'static str, factor: f64, noise: f64) -> Self {
        Self {
            figure,
            heading,
            factor,
            is_per_item: false,
            noise,
        }
    }

    fn bytes(figure: Figure, heading: &'static str) -> Self {
        Self {
            is_per_item: true,
            ..Self::once(figure, heading, 1.0, 16.0)
        }
    }

    fn kib(figure: Figure, heading: &'static str) -> Self {
        Self::once(figure, heading, 1.0 / 1024.0, 256.0)
    }

    fn value(&self, figures: &Figures, items: u64) -> Option<f64> {
        let items = if self.is_per_item { items as f64 } else { 1.0 };
        Some(figures.get(self.figure)? * self.factor / items)
    }

    /// The figures at both sizes; and, if it has grown by much, their ratio.
    fn cell(&self, few: Option<f64>, many: Option<f64>) -> String {
        let (Some(few), Some(many)) = (few, many) else {
            return String::new();
        };
        let text = |value| match value {
            ..100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        };
        let both = format!("{} → {}", text(few), text(many));
        match many > few * MUCH && many - few > self.noise {
            true => format!("**{both} (× {:.1})**", many / few),
            false => both,
        }
    }
}
