//! Figures: what the runs took, and the tables of them.

use std::fmt::Write as _;

use crate::contender::Contender;
use crate::processor::processor;
use crate::workload::Workload;

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the subscription to the last record: it includes joining the group. Where outputs are written, to the moment
    /// when all of them can be read.
    pub seconds: f64,
    /// Until the consumer was closed, the last commit included.
    pub cpu_seconds: f64,
    pub peak_mib: f64,
    pub mean_in_handler_us: f64,
}

/// All that was measured, as text of a line each.
#[derive(Debug, Default)]
pub struct Runs(Vec<Run>);

#[derive(Debug)]
struct Run {
    workload: String,
    contender: String,
    figures: Figures,
}

/// Of all runs of a contender with a workload.
#[derive(Clone, Copy, Debug)]
pub struct Median {
    pub contender: Contender,
    pub figures: Figures,
    pub best_seconds: f64,
}

impl Figures {
    pub fn to_line(self) -> String {
        let Self {
            seconds,
            cpu_seconds,
            peak_mib,
            mean_in_handler_us,
        } = self;
        format!("figures {seconds} {cpu_seconds} {peak_mib} {mean_in_handler_us}")
    }

    pub fn of_line(line: &str) -> Option<Self> {
        let numbers = line.strip_prefix("figures ")?.split(' ');
        let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [seconds, cpu_seconds, peak_mib, mean_in_handler_us] = numbers[..] else {
            return None;
        };
        Some(Self {
            seconds,
            cpu_seconds,
            peak_mib,
            mean_in_handler_us,
        })
    }
}

impl Runs {
    pub fn of_text(text: &str) -> Result<Self, String> {
        let run = |line: &str| {
            let mut fields = line.split(" | ");
            Some(Run {
                workload: fields.next()?.to_owned(),
                contender: fields.next()?.to_owned(),
                figures: Figures::of_line(fields.next()?)?,
            })
        };
        let runs = text
            .lines()
            .map(|line| run(line).ok_or_else(|| format!("not a line of figures: {line}")));
        Ok(Self(runs.collect::<Result<_, _>>()?))
    }

    pub fn to_text(&self) -> String {
        let lines = self.0.iter().map(|run| {
            let figures = run.figures.to_line();
            format!("{} | {} | {figures}\n", run.workload, run.contender)
        });
        lines.collect()
    }

    pub fn add(&mut self, workload: &Workload, contender: Contender, figures: Figures) {
        self.0.push(Run {
            workload: workload.name.clone(),
            contender: contender.name(),
            figures,
        });
    }

    pub fn count(&self, workload: &Workload, contender: Contender) -> usize {
        self.of(workload, contender).count()
    }

    /// By contender; those that were never measured are left out.
    pub fn medians(&self, workload: &Workload) -> Vec<Median> {
        let all = Contender::of(workload, true).into_iter();
        all.filter_map(|contender| self.median(workload, contender))
            .collect()
    }

    fn median(&self, workload: &Workload, contender: Contender) -> Option<Median> {
        let by = |figure: fn(&Figures) -> f64| {
            let mut values: Vec<_> = self.of(workload, contender).map(figure).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let seconds = self.of(workload, contender).map(|figures| figures.seconds);
        Some(Median {
            contender,
            figures: Figures {
                seconds: by(|figures| figures.seconds)?,
                cpu_seconds: by(|figures| figures.cpu_seconds)?,
                peak_mib: by(|figures| figures.peak_mib)?,
                mean_in_handler_us: by(|figures| figures.mean_in_handler_us)?,
            },
            best_seconds: seconds.fold(f64::INFINITY, f64::min),
        })
    }

    fn of(&self, workload: &Workload, contender: Contender) -> impl Iterator<Item = &Figures> {
        let name = contender.name();
        let is_it = move |run: &&Run| run.workload == workload.name && run.contender == name;
        self.0.iter().filter(is_it).map(|run| &run.figures)
    }
}

pub fn table(workloads: &[Workload], runs: &Runs, load: &str) -> String {
    let load = load.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "\n{}; medians (the best in brackets); load average at the start {load}.\n\n\
         | workload | contender | runs | s | records/s | CPU µs / record | peak MiB | µs in a handler | speed, CPU, memory: × floor |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        processor()
    );
    for workload in workloads {
        let records = workload.records.count as f64;
        let medians = runs.medians(workload);
        let Some(floor) = medians.first().map(|median| median.figures) else {
            continue;
        };
        for median in &medians {
            let Figures {
                seconds,
                cpu_seconds,
                peak_mib,
                mean_in_handler_us,
            } = median.figures;
            let best = median.best_seconds;
            writeln!(
                text,
                "| {} | {} | {} | {seconds:.3} ({best:.3}) | {:.0} ({:.0}) | {:.2} | {peak_mib:.0} | {mean_in_handler_us:.0} | {:.2}, {:.2}, {:.2} |",
                workload.name,
                median.contender.name(),
                runs.count(workload, median.contender),
                records / seconds,
                records / best,
                cpu_seconds / records * 1e6,
                floor.seconds / seconds,
                cpu_seconds / floor.cpu_seconds,
                peak_mib / floor.peak_mib,
            )
            .expect("a string takes all");
        }
    }
    text
}
