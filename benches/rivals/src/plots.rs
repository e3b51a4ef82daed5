//! Both tables as pictures.

use crate::makespan::CONTENDERS;
use crate::svg::{Svg, WIDTH};
use crate::{Contender, WORKS};

/// A line per contender and a mark per work.
pub fn nanos(lines: &[(Contender, &[f64])]) -> String {
    let (left, right, top, step) = (262.0, 872.0, 104.0, 30.0);
    let bottom = top + step * lines.len() as f64;
    let (low, high) = (1_f64, 2_000_f64);
    let x = |nanos: f64| left + (right - left) * (nanos / low).ln() / (high / low).ln();

    let mut svg = Svg::new(
        bottom + 40.0,
        "Nanoseconds per item, from the source to the result",
        "lower is better; the scale is logarithmic",
    );
    for (n, (work, at)) in std::iter::zip(WORKS, [0.0, 140.0, 250.0, 365.0]).enumerate() {
        svg.mark(n, (left + at + 8.0, 80.0));
        svg.text("", (left + at + 21.0, 84.0), work);
    }
    for tick in [1, 3, 10, 30, 100, 300, 1_000] {
        let at = x(f64::from(tick));
        svg.path("grid", &[(at, top - 6.0), (at, bottom)]);
        svg.text("note middle", (at, bottom + 20.0), &tick.to_string());
    }
    for (n, (contender, nanos)) in lines.iter().enumerate() {
        let y = top + step * (n as f64 + 0.5) - 4.0;
        let ours = if contender.is_ours() { " ours" } else { "" };
        svg.text(
            &format!("name before{ours}"),
            (left - 14.0, y + 4.5),
            contender.name(),
        );
        svg.path("grid", &[(left, y), (right, y)]);
        for (work, nanos) in nanos.iter().enumerate() {
            // So that of two times that are nearly the same both are seen.
            let lane = if work < 2 { -4.0 } else { 4.0 };
            svg.mark(work, (x(*nanos), y + lane));
        }
    }
    svg.finish()
}

/// A panel per contender, since many curves lie on one another: its own curve over those of all others.
pub fn makespans(skews: &[(f64, Vec<f64>)]) -> String {
    let (columns, left, top) = (4, 56.0, 78.0);
    let (pitch, row, width, height) = (212.0, 216.0, 180.0, 130.0);
    let most = skews
        .iter()
        .flat_map(|(_, ratios)| ratios)
        .fold(1.5_f64, |most, ratio| most.max(*ratio));
    let last = skews
        .iter()
        .fold(0.0_f64, |last, (skew, _)| last.max(*skew));
    let rows = CONTENDERS.len().div_ceil(columns) as f64;

    let mut svg = Svg::new(
        top + rows * row + 24.0,
        "How long a run takes, as a multiple of the shortest time possible",
        "lower is better, and 1 is the best there is; 64 slots, items of 1 to 19 ms; grey: the other contenders",
    );
    for (n, contender) in CONTENDERS.into_iter().enumerate() {
        let x0 = left + (n % columns) as f64 * pitch;
        let y0 = top + (n / columns) as f64 * row + 42.0;
        let at = |skew: f64, ratio: f64| {
            (
                x0 + width * skew / last,
                y0 + height * (1.0 - (ratio - 1.0) / (most - 1.0)),
            )
        };
        let curve = |n: usize| -> Vec<_> { skews.iter().map(|(s, by)| at(*s, by[n])).collect() };

        let ours = if contender.is_ours() { " ours" } else { "" };
        for (line, text) in in_two(contender.name()).into_iter().enumerate() {
            svg.text(
                &format!("name{ours}"),
                (x0, y0 - 28.0 + 15.0 * line as f64),
                &text,
            );
        }
        for ratio in (10..).map(f64::from).map(|tenths| tenths / 10.0).step_by(2) {
            if ratio > most {
                break;
            }
            svg.path("grid", &[at(0.0, ratio), at(last, ratio)]);
            if n % columns == 0 {
                let (x, y) = at(0.0, ratio);
                svg.text("note before", (x - 8.0, y + 4.0), &format!("{ratio:.1}"));
            }
        }
        for tick in [0.0, 0.5, 1.0, 1.5] {
            let (x, y) = at(tick, 1.0);
            svg.text("note middle", (x, y + 18.0), &format!("{tick}"));
        }

        for other in (0..CONTENDERS.len()).filter(|other| *other != n) {
            svg.path("others", &curve(other));
        }
        let (line, point) = match contender.is_ours() {
            true => ("curve ours-curve", "point ours-point"),
            false => ("curve", "point"),
        };
        let points = curve(n);
        svg.path(line, &points);
        for point_at in &points {
            svg.circle(point, *point_at, 3.5);
        }
        // No curve comes into this corner.
        let highest = skews.iter().fold(1.0_f64, |most, (_, by)| most.max(by[n]));
        svg.text(
            "before",
            (x0 + width, y0 + 4.0),
            &format!("at most {highest:.2}"),
        );
    }
    svg.text(
        "note middle",
        (WIDTH / 2.0, top + rows * row + 4.0),
        "skew: the Zipf exponent of 10,000 keys (0: all are equally frequent)",
    );
    svg.finish()
}

/// A name over two lines, if it has two parts.
fn in_two(name: &str) -> Vec<String> {
    if let Some((first, second)) = name.split_once(" + ") {
        return vec![first.to_owned(), format!("+ {second}")];
    }
    match name.split_once(", ") {
        Some((first, second)) => vec![format!("{first},"), second.to_owned()],
        None => vec![String::new(), name.to_owned()],
    }
}
