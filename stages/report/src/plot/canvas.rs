//! What all drawings share: the ground, axes, the legend, colours and marks.

use std::fmt::Write as _;

use sndpipe_artefacts::xml::escaped;

use super::ticks::{texts, ticks};

pub(super) const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
pub(super) const LEFT: f64 = 70.0;
pub(super) const TOP: f64 = 44.0;
const BELOW: f64 = 76.0;
/// Of the legend.
const ROW: f64 = 18.0;
/// Width of a letter, about.
pub(super) const LETTER: f64 = 6.6;

/// Colours on light and on dark ground; each differs from the others for the colour-blind, too, and has a mark of its own.
pub(super) const COLOURS: [[&str; 2]; 6] = [
    ["#005fa8", "#6cb8ff"],
    ["#c4500a", "#ff9d5c"],
    ["#00745a", "#4fd1a5"],
    ["#92378a", "#e79ae0"],
    ["#6f5a00", "#e6cf5a"],
    ["#444444", "#cccccc"],
];

/// The words around a drawing.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub title: Option<String>,
    pub x_label: String,
    pub y_label: String,
    /// Below the axis; nothing where it is empty.
    pub note: String,
}

/// From data to the drawing.
pub(super) struct Frame {
    pub x: [f64; 2],
    pub y: [f64; 2],
}

impl Frame {
    pub fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * WIDTH
    }

    pub fn y(&self, value: f64) -> f64 {
        let value = value.clamp(self.y[0], self.y[1]);
        TOP + (1.0 - (value - self.y[0]) / (self.y[1] - self.y[0])) * HEIGHT
    }
}

/// The range of values with some room around; around one value as much as it is large.
pub(super) fn padded(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), value| (l.min(value), h.max(value)));
    if low > high {
        return [0.0, 1.0];
    }
    let room = if high > low { 0.06 * (high - low) } else { 0.1 * high.abs().max(0.1) };
    [low - room, high + room]
}

/// The beginning of a drawing with a legend of so many names, the longest of so many letters.
pub(super) fn open(out: &mut String, words: &Words, names: usize, longest: usize) {
    let legend = if names > 0 { 48.0 + LETTER * longest as f64 } else { 16.0 };
    let (width, height) = (LEFT + WIDTH + legend, (TOP + HEIGHT + BELOW).max(TOP + ROW * (names + 1) as f64));
    let title = words.title.as_deref().unwrap_or(&words.y_label);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1b1b1b\">\n<title>{}</title>\n{}\n\
         <rect class=\"ground\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n",
        escaped(title),
        style()
    );
}

fn style() -> String {
    let mut dark = String::new();
    for (at, [_, colour]) in COLOURS.iter().enumerate() {
        let _ = write!(dark, ".s{at}{{stroke:{colour}}}.f{at}{{fill:{colour}}}");
    }
    format!(
        "<style>text{{stroke:none}}@media (prefers-color-scheme:dark){{text{{fill:#e6e6e6}}.ground{{fill:#15171c}}\
         .grid{{stroke:#33373f}}.axis{{stroke:#9aa0aa}}{dark}}}</style>"
    )
}

/// Axes with the ticks of x that are given, grid lines and words.
pub(super) fn axes(out: &mut String, words: &Words, frame: &Frame, x_ticks: &[(f64, String)]) {
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    let values = ticks(frame.y[0], frame.y[1], 6);
    for (value, label) in values.iter().zip(texts(&values)) {
        let y = frame.y(*value);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
        text(out, LEFT - 8.0, y + 4.0, "end", &label, "");
    }
    for (at, label) in x_ticks {
        let x = frame.x(*at);
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\" stroke=\"#666666\"/>");
        text(out, x, bottom + 19.0, "middle", label, "");
    }
    let _ = writeln!(
        out,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#666666\"/>"
    );
    let middle = LEFT + WIDTH / 2.0;
    text(out, middle, bottom + 41.0, "middle", &words.x_label, "");
    let (x, y) = (18.0, TOP + HEIGHT / 2.0);
    text(out, x, y, "middle", &words.y_label, &format!(" transform=\"rotate(-90 {x} {y})\""));
    if let Some(title) = &words.title {
        text(out, middle, 26.0, "middle", title, " font-size=\"15\" font-weight=\"600\"");
    }
    text(out, middle, bottom + 63.0, "middle", &words.note, " font-size=\"11\" opacity=\"0.75\"");
}

/// Round numbers along x.
pub(super) fn round_ticks(frame: &Frame) -> Vec<(f64, String)> {
    let values = ticks(frame.x[0], frame.x[1], 8);
    let labels = texts(&values);
    values.into_iter().zip(labels).collect()
}

/// A row of the legend: `line` draws what is behind the mark.
pub(super) fn legend(out: &mut String, at: usize, name: &str, line: impl Fn(&mut String, f64, f64)) {
    let (x, y) = (LEFT + WIDTH + 14.0, TOP + 10.0 + ROW * at as f64);
    line(out, x, y);
    mark(out, at, x + 10.0, y);
    text(out, x + 27.0, y + 4.0, "start", name, "");
}

/// The mark of a name at a point; names that share a colour have different marks.
pub(super) fn mark(out: &mut String, at: usize, x: f64, y: f64) {
    let path = match (at + at / COLOURS.len()) % COLOURS.len() {
        0 => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4.0),
        1 => format!("M{:.1} {:.1}h7v7h-7z", x - 3.5, y - 3.5),
        2 => format!("M{x:.1} {:.1}l4.6 8h-9.2z", y - 5.0),
        3 => format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0),
        4 => format!("M{x:.1} {:.1}l4.6 -8h-9.2z", y + 5.0),
        _ => format!("M{:.1} {:.1}h3v-3h3v3h3v3h-3v3h-3v-3h-3z", x - 4.5, y - 1.5),
    };
    let [colour, _] = COLOURS[at % COLOURS.len()];
    let _ = writeln!(out, "<path class=\"f{}\" d=\"{path}\" fill=\"{colour}\"/>", at % COLOURS.len());
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str, more: &str) {
    if !text.is_empty() {
        let text = escaped(text);
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>");
    }
}
