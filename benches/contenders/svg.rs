//! SVG, as text.

use std::fmt::{Display, Write as _};

pub const WIDTH: f64 = 900.0;

/// A card with a border, so that dark text can be read on any ground.
const STYLE: &str = "\
text { font: 12px system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif; fill: #1f2328 }
.note { fill: #59636e }
.card { fill: #ffffff; stroke: #d1d9e0 }
.head { font-size: 18px; font-weight: 600 }
.name { font-size: 13px }
.ours { font-weight: 700 }
.before { text-anchor: end }
.middle { text-anchor: middle }
.grid, .others, .curve { fill: none }
.grid { stroke: #e4e8ec }
.others { stroke: #d1d9e0; stroke-width: 1.5 }
.curve { stroke: #0072b2; stroke-width: 2.5 }
.point { fill: #0072b2 }
.ours-curve { stroke: #d55e00 }
.ours-point { fill: #d55e00 }
.mark { stroke: #ffffff }
.mark-0 { fill: #e69f00 }
.mark-1 { fill: #56b4e9 }
.mark-2 { fill: #0072b2 }
.mark-3 { fill: #cc79a7 }
";

pub type Point = (f64, f64);

pub struct Svg(String);

impl Svg {
    pub fn new(height: f64, title: &str, note: &str) -> Self {
        let mut svg = Self(String::new());
        let size =
            format!("width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\"");
        let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
        svg.line(format_args!("<svg {namespace} {size} role=\"img\">"));
        svg.line(format_args!("<title>{title}</title>"));
        svg.line(format_args!("<style>\n{STYLE}</style>"));
        svg.line(format_args!(
            "<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
            WIDTH - 1.0,
            height - 1.0
        ));
        svg.text("head", (20.0, 34.0), title);
        svg.text("note", (20.0, 54.0), note);
        svg
    }

    pub fn text(&mut self, class: &str, (x, y): Point, text: &str) {
        self.line(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
        ));
    }

    /// A line through points.
    pub fn path(&mut self, class: &str, points: &[Point]) {
        self.line(format_args!(
            "<path class=\"{class}\" d=\"{}\"/>",
            through(points)
        ));
    }

    pub fn circle(&mut self, class: &str, (x, y): Point, radius: f64) {
        self.line(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>"
        ));
    }

    /// The mark of the n-th kind of work: a shape and a colour of its own.
    pub fn mark(&mut self, n: usize, (x, y): Point) {
        let class = format!("mark mark-{n}");
        let corners: &[Point] = match n {
            0 => return self.circle(&class, (x, y), 6.0),
            1 => &[(-5.5, -5.5), (5.5, -5.5), (5.5, 5.5), (-5.5, 5.5)],
            2 => &[(0.0, -7.5), (7.5, 0.0), (0.0, 7.5), (-7.5, 0.0)],
            _ => &[(0.0, -7.0), (7.0, 5.5), (-7.0, 5.5)],
        };
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        self.line(format_args!(
            "<path class=\"{class}\" d=\"{}Z\"/>",
            through(&corners)
        ));
    }

    pub fn finish(mut self) -> String {
        self.line("</svg>");
        self.0
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("a String takes all");
    }
}

fn through(points: &[Point]) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        write!(path, "{command}{x:.1} {y:.1}").expect("a String takes all");
    }
    path
}
