//! Both tables as pictures.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::makespan::CONTENDERS;
use crate::{Line, WORKS};

const COLOURS: [RGBColor; 8] = [
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(148, 103, 60),
    RGBColor(120, 120, 120),
    RGBColor(213, 0, 50),
    RGBColor(0, 140, 90),
];
const GREY: RGBColor = RGBColor(225, 225, 225);

/// A line per contender and a dot per work.
pub fn nanos(path: &str, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let (width, left, right, top, step) = (900, 260.0, 870.0, 90, 30);
    let height = top + step * lines.len() as i32 + 50;
    let root = SVGBackend::new(path, (width, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = |size: i32, h, v| {
        TextStyle::from(("sans-serif", size).into_font())
            .color(&BLACK)
            .pos(Pos::new(h, v))
    };
    let (low, high) = (1_f64, 5_000_f64);
    let x = |nanos: f64| {
        let share = (nanos / low).ln() / (high / low).ln();
        (left + (right - left) * share).round() as i32
    };
    let title = "ns per item, source to result (less is faster; logarithmic)";
    root.draw(&Text::new(title, (20, 14), text(19, HPos::Left, VPos::Top)))?;
    for (n, (work, colour)) in std::iter::zip(WORKS, COLOURS).enumerate() {
        let at = 270 + [0, 135, 240, 350][n];
        root.draw(&Circle::new((at, 62), 5, colour.filled()))?;
        root.draw(&Text::new(
            work,
            (at + 11, 62),
            text(14, HPos::Left, VPos::Center),
        ))?;
    }
    let bottom = top + step * lines.len() as i32;
    for tick in [1, 3, 10, 30, 100, 300, 1_000, 3_000] {
        let at = x(f64::from(tick));
        root.draw(&PathElement::new([(at, top - 8), (at, bottom)], GREY))?;
        root.draw(&Text::new(
            tick.to_string(),
            (at, bottom + 8),
            text(14, HPos::Center, VPos::Top),
        ))?;
    }
    for (n, line) in lines.iter().enumerate() {
        let y = top + step * n as i32 + step / 2 - 4;
        let name = line.contender.name();
        let style = text(15, HPos::Right, VPos::Center);
        let style = if line.contender.is_ours() {
            style.color(&COLOURS[6])
        } else {
            style
        };
        root.draw(&Text::new(name, (left as i32 - 12, y), style))?;
        let across = [(left as i32, y), (right as i32, y)];
        root.draw(&PathElement::new(across, GREY))?;
        for (nanos, colour) in std::iter::zip(&line.nanos, COLOURS) {
            root.draw(&Circle::new((x(*nanos), y), 6, colour.filled()))?;
        }
    }
    root.present()?;
    Ok(())
}

/// A curve per contender.
pub fn makespans(path: &str, skews: &[(f64, Vec<f64>)]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (900, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = skews
        .iter()
        .flat_map(|(_, ratios)| ratios)
        .fold(1.5, |most: f64, ratio| most.max(*ratio));
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "Makespan / bound by skew: items of 1 to 19 ms, 64 slots (1 is the best there is)",
            ("sans-serif", 19),
        )
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..1.5, 0.9..most * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GREY)
        .x_labels(7)
        .x_desc("Zipf exponent of 10,000 keys (0: all equally frequent)")
        .y_desc("makespan / bound")
        .label_style(("sans-serif", 14))
        .draw()?;
    for (n, (contender, colour)) in std::iter::zip(CONTENDERS, COLOURS).enumerate() {
        let width = if contender.is_ours() { 3 } else { 2 };
        let points: Vec<_> = skews.iter().map(|(skew, by)| (*skew, by[n])).collect();
        chart.draw_series(points.iter().map(|at| Circle::new(*at, 4, colour.filled())))?;
        chart
            .draw_series(
                points
                    .windows(2)
                    .map(|pair| PathElement::new(pair.to_vec(), colour.stroke_width(width))),
            )?
            .label(contender.name())
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(width))
            });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(GREY)
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}
