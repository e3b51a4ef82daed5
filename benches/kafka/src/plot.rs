//! Speeds as a picture.

use crate::contender::Contender;
use crate::figures::{Median, Runs};
use crate::svg::Svg;
use crate::workload::Workload;

/// A line per workload and a mark per contender.
pub fn speeds(workloads: &[Workload], runs: &Runs) -> String {
    let lines: Vec<_> = workloads
        .iter()
        .filter(|workload| !workload.writes)
        .map(|workload| (workload, runs.medians(workload)))
        .filter(|(_, medians)| !medians.is_empty())
        .collect();
    let (left, right, top, step, head) = (160.0, 706.0, 104.0, 34.0, 30.0);
    let families = lines.chunk_by(|(a, _), (b, _)| a.family == b.family);
    let bottom = top + step * lines.len() as f64 + head * families.clone().count() as f64;
    let (low, high) = (1_000_f64, 2_000_000_f64);
    let x = |speed: f64| left + (right - left) * (speed / low).ln() / (high / low).ln();

    let mut svg = Svg::new(
        bottom + 40.0,
        "Records per second, from subscribing to the last record",
        "higher is better; the scale is logarithmic; one process and one broker on the same two cores",
    );
    for (n, (contender, at)) in std::iter::zip(MARKS, [20.0, 160.0, 344.0, 506.0]).enumerate() {
        let class = if contender.is_ours() { "ours" } else { "" };
        svg.mark(n, (at + 8.0, 80.0));
        svg.text(class, (at + 21.0, 84.0), &contender.name());
    }
    svg.text("note before", (880.0, 72.0), "CPU µs a record:");
    svg.text("note before", (880.0, 87.0), "ours · Parallel Consumer");
    for tick in [1, 10, 100, 1_000] {
        let at = x(f64::from(tick) * 1_000.0);
        svg.path("grid", &[(at, top - 6.0), (at, bottom)]);
        let text = match tick {
            1_000 => "1,000,000".to_owned(),
            _ => format!("{tick},000"),
        };
        svg.text("note middle", (at, bottom + 20.0), &text);
    }
    let mut y = top;
    for family in families {
        svg.text("note", (20.0, y + 20.0), family[0].0.about());
        y += head;
        for (workload, medians) in family {
            let middle = y + step / 2.0;
            svg.text("name before", (left - 14.0, middle + 4.5), &workload.name);
            svg.path("grid", &[(left, middle), (right, middle)]);
            let count = workload.records.count as f64;
            for median in medians {
                let n = MARKS.iter().position(|mark| *mark == median.contender);
                let n = n.expect("each has a mark");
                // So that of speeds that are nearly the same all are seen.
                let lane = [-9.0, -3.0, 3.0, 9.0][n];
                svg.mark(n, (x(count / median.figures.seconds), middle + lane));
            }
            svg.text("before", (880.0, middle + 4.0), &cpu(medians, count));
            y += step;
        }
    }
    svg.finish()
}

const MARKS: [Contender; 4] = [
    Contender::Floor,
    Contender::Completion,
    Contender::Source,
    Contender::ParallelConsumer,
];

fn cpu(medians: &[Median], count: f64) -> String {
    let of = |contender| {
        let median = medians.iter().find(|median| median.contender == contender);
        median.map_or("–".into(), |median| {
            let micros = median.figures.cpu_seconds / count * 1e6;
            format!("{micros:.0$}", usize::from(micros < 10.0))
        })
    };
    format!(
        "{} · {}",
        of(Contender::Completion),
        of(Contender::ParallelConsumer)
    )
}
