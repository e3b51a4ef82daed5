//! The picture: a panel for each way, one below the other, all with the same axis of time.

use crate::item::Group;
use crate::recorder::{Run, SLOTS, Timeline};
use crate::svg::Svg;
use crate::way::Way;

const WIDTH: u64 = 900;
const MARGIN: u64 = 20;
/// Where the time starts, to the right of the names of the lanes.
const LEFT: u64 = 88;
/// How wide a second is, in pixels, like all lengths here.
const SECOND: u64 = 4;
const HEAD: u64 = 84;
/// From a title to the note beside it: some fonts are wide.
const NOTE: u64 = 172;
const TITLE: u64 = 26;
const LANE: u64 = 15;
const BAR: u64 = 13;
/// From one line of a waiting item to the next.
const THREAD: u64 = 3;
/// How high the line of commits rises: a pixel for each item.
const COMMITS: u64 = 40;
const GAP: u64 = 20;
const AXIS: u64 = 18;

/// Colours that readers with red-green colour blindness can tell apart, too (Okabe and Ito, 2008).
const STYLE: &str = "\
text { font: 12px system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif; fill: #1f2328 }
.note { fill: #59636e }
.card { fill: #ffffff; stroke: #d1d9e0 }
.head { font-size: 18px; font-weight: 600 }
.way { font-size: 14px; font-weight: 600 }
.done { font-size: 16px; font-weight: 600 }
.before { text-anchor: end }
.middle { text-anchor: middle }
.label { font-size: 10px; text-anchor: middle; fill: #ffffff }
.dark { fill: #1f2328 }
.lane { fill: #eff2f5 }
.grid, .end, .committed, .wait { fill: none }
.grid { stroke: #e4e8ec }
.end, .committed { stroke: #1f2328; stroke-width: 1.5 }
.area { fill: #eff2f5; stroke: none }
.wait { stroke-width: 1.5 }
.a { fill: #0072b2; stroke: #0072b2 }
.b { fill: #e69f00; stroke: #e69f00 }
.c { fill: #009e73; stroke: #009e73 }
.d { fill: #cc79a7; stroke: #cc79a7 }
.e { fill: #56b4e9; stroke: #56b4e9 }
.f { fill: #d55e00; stroke: #d55e00 }
.bar { stroke: none }
";

pub fn draw(panels: &[(Way, Timeline)]) -> String {
    let heights = panels.iter().map(|(_, timeline)| height(timeline) + GAP);
    let bottom = HEAD + heights.sum::<u64>();
    let longest = panels.iter().map(|(_, timeline)| timeline.makespan());
    let longest = longest.max().unwrap_or(0);
    let items = panels
        .first()
        .map_or(0, |(_, timeline)| timeline.runs.len());
    let title =
        format!("The same {items} items, {SLOTS} slots: four ways to keep each group in order");

    let mut svg = Svg::new(WIDTH, bottom + AXIS, &title, STYLE);
    svg.rectangle("card", 0, 0, WIDTH, bottom + AXIS, 8);
    svg.text("head", MARGIN, 34, &title);
    legend(&mut svg);
    axis(&mut svg, longest, bottom);
    let mut top = HEAD;
    for (way, timeline) in panels {
        panel(&mut svg, top, *way, timeline, longest);
        top += height(timeline) + GAP;
    }
    svg.finish()
}

fn legend(svg: &mut Svg) {
    let y = 60;
    let mut x = MARGIN;
    for group in Group::all() {
        let name = group.name();
        svg.rectangle(&format!("bar {name}"), x, y - 10, 18, BAR, 2);
        svg.text(&label(group), x + 9, y, &name.to_string());
        x += 22;
    }
    svg.text("note", x + 4, y, "running: one colour per group");
    x += 210;
    svg.path("wait a", [(x, y - 6), (x + 24, y - 6)]);
    svg.path("wait c", [(x, y - 3), (x + 24, y - 3)]);
    svg.text("note", x + 32, y, "waiting: read, but not running yet");
    x += 252;
    let (low, high) = (y - 4, y - 9);
    let steps = [
        (x, y),
        (x + 8, y),
        (x + 8, low),
        (x + 16, low),
        (x + 16, high),
        (x + 24, high),
    ];
    svg.path("committed", steps);
    svg.text("note", x + 32, y, "committed: done up to here");
}

fn axis(svg: &mut Svg, longest: u64, bottom: u64) {
    for second in (0..=longest).step_by(20) {
        let x = at(second);
        svg.path("grid", [(x, HEAD + TITLE), (x, bottom - GAP + 6)]);
        svg.text("note middle", x, bottom, &format!("{second} s"));
    }
}

fn panel(svg: &mut Svg, top: u64, way: Way, timeline: &Timeline, longest: u64) {
    let end = at(timeline.makespan());
    svg.text("way", MARGIN, top + 14, way.title());
    svg.text("note", MARGIN + NOTE, top + 14, way.note());

    let threads = threads(&timeline.runs);
    let waiting = top + TITLE;
    if !threads.is_empty() {
        svg.text("note", MARGIN, waiting + 9, "waiting");
    }
    for (row, runs) in threads.iter().enumerate() {
        let y = waiting + row as u64 * THREAD + 1;
        for run in runs {
            let class = format!("wait {}", run.item.group.name());
            svg.path(&class, [(at(run.read), y), (at(run.start) - 1, y)]);
        }
    }

    let lanes = waiting + strip(&threads);
    svg.text("note", MARGIN, lanes + 11, "slots");
    for slot in 0..SLOTS as u64 {
        svg.rectangle("lane", LEFT, lanes + slot * LANE, end - LEFT, BAR, 0);
    }
    for run in &timeline.runs {
        bar(svg, lanes + run.slot as u64 * LANE, run);
    }

    let zero = lanes + SLOTS as u64 * LANE + 4 + COMMITS;
    svg.text("note", MARGIN, zero - 2, "committed");
    let steps = steps(timeline, zero);
    let area = steps.iter().copied().chain([(end, zero)]);
    svg.path("area", area);
    svg.path("committed", steps);

    svg.path("end", [(end, waiting), (end, zero)]);
    let done = format!("done after {} s", timeline.makespan());
    let busy = format!("slots busy for {} % of the time", timeline.percent_busy());
    let (x, before) = if timeline.makespan() == longest {
        (end - 10, " before")
    } else {
        (end + 10, "")
    };
    svg.text(&format!("done{before}"), x, lanes + 33, &done);
    svg.text(&format!("note{before}"), x, lanes + 50, &busy);
}

fn bar(svg: &mut Svg, y: u64, run: &Run) {
    let (x, width) = (at(run.start), (run.end - run.start) * SECOND - 1);
    let name = run.item.group.name();
    svg.rectangle(&format!("bar {name}"), x, y, width, BAR, 2);
    if width >= 15 {
        let number = run.item.number;
        svg.text(
            &label(run.item.group),
            x + width / 2,
            y + 10,
            &format!("{name}{number}"),
        );
    }
}

/// The items that waited, in rows in which none overlaps another.
fn threads(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut waited: Vec<_> = runs.iter().filter(|run| run.read < run.start).collect();
    waited.sort_by_key(|run| run.item.offset);
    let mut rows = Vec::<Vec<&Run>>::new();
    for run in waited {
        let row = rows
            .iter_mut()
            .find(|row| row[row.len() - 1].start <= run.read);
        match row {
            Some(row) => row.push(run),
            None => rows.push(vec![run]),
        }
    }
    rows
}

/// The corners of the line of commits.
fn steps(timeline: &Timeline, zero: u64) -> Vec<(u64, u64)> {
    let mut steps = vec![(LEFT, zero)];
    let mut before = zero;
    for (second, committed) in &timeline.commits {
        let (x, y) = (at(*second), zero - committed);
        steps.extend([(x, before), (x, y)]);
        before = y;
    }
    steps
}

fn height(timeline: &Timeline) -> u64 {
    TITLE + strip(&threads(&timeline.runs)) + SLOTS as u64 * LANE + 4 + COMMITS
}

/// How high the lines of the waiting items are, one above the other.
fn strip(threads: &[Vec<&Run>]) -> u64 {
    match threads.len() as u64 {
        0 => 0,
        rows => (rows * THREAD + 3).max(15),
    }
}

fn label(group: Group) -> String {
    // Dark letters on the light colours.
    match group.name() {
        'b' | 'd' | 'e' => "label dark".to_owned(),
        _ => "label".to_owned(),
    }
}

fn at(second: u64) -> u64 {
    LEFT + second * SECOND
}
