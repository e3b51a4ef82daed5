//! SVG, as text: elements with attributes and escaped text.

use std::fmt::{Display, Write as _};

pub struct Svg(String);

impl Svg {
    pub fn new(width: u64, height: u64, title: &str, style: &str) -> Self {
        let mut svg = Self(String::new());
        let size =
            format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
        let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
        svg.line(format_args!("<svg {namespace} {size} role=\"img\">"));
        svg.line(format_args!("<title>{}</title>", escaped(title)));
        svg.line(format_args!("<style>\n{style}</style>"));
        svg
    }

    pub fn rectangle(&mut self, class: &str, x: u64, y: u64, width: u64, height: u64, round: u64) {
        self.line(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
        ));
    }

    /// A line through points.
    pub fn path(&mut self, class: &str, points: impl IntoIterator<Item = (u64, u64)>) {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{command}{x} {y}").expect("a String takes all");
        }
        self.line(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    pub fn text(&mut self, class: &str, x: u64, y: u64, text: &str) {
        let text = escaped(text);
        self.line(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
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

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}
