//! The drawing.

use std::fmt::Write as _;

use super::ticks::{texts, ticks};

/// A drawing in the units of its data.
pub(super) struct Drawing {
    pub title: Option<String>,
    pub x_label: String,
    pub y_label: String,
    /// Where each place stands on x, and what it is called.
    pub places: Vec<(f64, String)>,
    /// Whether x is a scale of numbers.
    pub numeric: bool,
    /// What y cannot leave.
    pub bounds: [f64; 2],
    pub lines: Vec<DrawnLine>,
    /// What the bars are; nothing where there are none.
    pub note: String,
}

/// A line: its name, and for each place the mean with its deviation.
pub(super) struct DrawnLine {
    pub name: String,
    pub points: Vec<Option<(f64, Option<f64>)>>,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 44.0;
const BELOW: f64 = 76.0;
/// Of the legend.
const ROW: f64 = 18.0;
/// Between neighbouring lines, so that their bars do not hide each other.
const APART: f64 = 4.0;
/// Width of a letter, about.
const LETTER: f64 = 6.6;

/// Colours on light and on dark ground; each differs from the others for the colour-blind, too, and has a mark of its own.
const COLOURS: [[&str; 2]; 6] = [
    ["#005fa8", "#6cb8ff"],
    ["#c4500a", "#ff9d5c"],
    ["#00745a", "#4fd1a5"],
    ["#92378a", "#e79ae0"],
    ["#6f5a00", "#e6cf5a"],
    ["#444444", "#cccccc"],
];
const DASHES: [&str; 3] = ["", "7 3", "2 3"];

/// From data to the drawing.
struct Frame {
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame {
    fn of(drawing: &Drawing) -> Self {
        let places = drawing.places.iter().map(|(at, _)| *at);
        let values = drawing.lines.iter().flat_map(|line| line.points.iter().flatten());
        let ends = values.flat_map(|(mean, std)| {
            let std = std.unwrap_or(0.0);
            [mean - std, mean + std]
        });
        let mut y = padded(ends);
        y = [y[0].max(drawing.bounds[0]), y[1].min(drawing.bounds[1])];
        Self { x: padded(places), y }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        let value = value.clamp(self.y[0], self.y[1]);
        TOP + (1.0 - (value - self.y[0]) / (self.y[1] - self.y[0])) * HEIGHT
    }
}

/// The range of values with some room around; around one value as much as it is large.
fn padded(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), value| (l.min(value), h.max(value)));
    if low > high {
        return [0.0, 1.0];
    }
    let room = if high > low { 0.06 * (high - low) } else { 0.1 * high.abs().max(0.1) };
    [low - room, high + room]
}

/// The drawing as SVG.
pub(super) fn svg(drawing: &Drawing) -> String {
    let frame = Frame::of(drawing);
    let longest = drawing.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let legend = if drawing.lines.len() > 1 { 48.0 + LETTER * longest as f64 } else { 16.0 };
    let (width, height) =
        (LEFT + WIDTH + legend, (TOP + HEIGHT + BELOW).max(TOP + ROW * (drawing.lines.len() + 1) as f64));
    let mut out = String::new();
    let title = drawing.title.as_deref().unwrap_or(&drawing.y_label);
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1b1b1b\">\n<title>{}</title>\n{}\n\
         <rect class=\"ground\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n",
        escaped(title),
        style()
    );
    axes(&mut out, drawing, &frame);
    for (at, line) in drawing.lines.iter().enumerate() {
        draw_line(&mut out, drawing, &frame, at, line);
    }
    if drawing.lines.len() > 1 {
        for (at, line) in drawing.lines.iter().enumerate() {
            let (x, y) = (LEFT + WIDTH + 14.0, TOP + 10.0 + ROW * at as f64);
            stroke(&mut out, at, &format!("M{x:.1} {y:.1}h20"));
            mark(&mut out, at, x + 10.0, y);
            text(&mut out, x + 27.0, y + 4.0, "start", &line.name, "");
        }
    }
    out.push_str("</svg>\n");
    out
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

fn axes(out: &mut String, drawing: &Drawing, frame: &Frame) {
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    let values = ticks(frame.y[0], frame.y[1], 6);
    for (value, label) in values.iter().zip(texts(&values)) {
        let y = frame.y(*value);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
        text(out, LEFT - 8.0, y + 4.0, "end", &label, "");
    }
    for (at, label) in x_ticks(drawing, frame) {
        let x = frame.x(at);
        let _ = writeln!(out, "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\" stroke=\"#666666\"/>");
        text(out, x, bottom + 19.0, "middle", &label, "");
    }
    let _ = writeln!(
        out,
        "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#666666\"/>"
    );
    let middle = LEFT + WIDTH / 2.0;
    text(out, middle, bottom + 41.0, "middle", &drawing.x_label, "");
    let (x, y) = (18.0, TOP + HEIGHT / 2.0);
    text(out, x, y, "middle", &drawing.y_label, &format!(" transform=\"rotate(-90 {x} {y})\""));
    if let Some(title) = &drawing.title {
        text(out, middle, 26.0, "middle", title, " font-size=\"15\" font-weight=\"600\"");
    }
    text(out, middle, bottom + 63.0, "middle", &drawing.note, " font-size=\"11\" opacity=\"0.75\"");
}

/// The places themselves where there is room for them, else round numbers or every so many of the places.
fn x_ticks(drawing: &Drawing, frame: &Frame) -> Vec<(f64, String)> {
    let mut places = drawing.places.clone();
    places.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let crowded = |pair: &[(f64, String)]| {
        let needed = LETTER * (pair[0].1.chars().count() + pair[1].1.chars().count()) as f64 / 2.0 + 6.0;
        frame.x(pair[1].0) - frame.x(pair[0].0) < needed
    };
    if !places.windows(2).any(crowded) {
        return places;
    }
    if drawing.numeric {
        let values = ticks(frame.x[0], frame.x[1], 8);
        let labels = texts(&values);
        return values.into_iter().zip(labels).collect();
    }
    let longest = places.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(1);
    let room = (WIDTH / (LETTER * longest as f64 + 6.0)).floor().max(1.0) as usize;
    let every = places.len().div_ceil(room);
    places.into_iter().step_by(every).collect()
}

fn draw_line(out: &mut String, drawing: &Drawing, frame: &Frame, at: usize, line: &DrawnLine) {
    let aside = (at as f64 - (drawing.lines.len() - 1) as f64 / 2.0) * APART;
    let mut points: Vec<_> =
        drawing.places.iter().map(|(x, _)| *x).zip(line.points.iter().copied()).collect();
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    // A place without a value leaves a gap.
    for run in points.split(|(_, point)| point.is_none()).filter(|run| run.len() > 1) {
        let mut path = String::new();
        for (n, (x, point)) in run.iter().enumerate() {
            let (command, mean) = (if n == 0 { 'M' } else { 'L' }, point.map_or(0.0, |(mean, _)| mean));
            let _ = write!(path, "{command}{:.1} {:.1}", frame.x(*x) + aside, frame.y(mean));
        }
        stroke(out, at, &path);
    }
    let points = points.into_iter().filter_map(|(x, point)| point.map(|(mean, std)| (x, mean, std)));
    for (x, mean, std) in points {
        let (x, y) = (frame.x(x) + aside, frame.y(mean));
        if let Some(std) = std {
            let (top, bottom) = (frame.y(mean + std), frame.y(mean - std));
            let bar = format!(
                "M{x:.1} {top:.1}V{bottom:.1}M{:.1} {top:.1}h6M{:.1} {bottom:.1}h6",
                x - 3.0,
                x - 3.0
            );
            let [colour, _] = COLOURS[at % COLOURS.len()];
            let _ = writeln!(
                out,
                "<path class=\"s{}\" d=\"{bar}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.2\"/>",
                at % COLOURS.len()
            );
        }
        mark(out, at, x, y);
    }
}

fn stroke(out: &mut String, at: usize, path: &str) {
    let ([colour, _], dash) = (COLOURS[at % COLOURS.len()], DASHES[at / COLOURS.len() % DASHES.len()]);
    let _ = writeln!(
        out,
        "<path class=\"s{}\" d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"/>",
        at % COLOURS.len(),
        if dash.is_empty() { "none" } else { dash }
    );
}

/// The mark of a line at a point.
fn mark(out: &mut String, at: usize, x: f64, y: f64) {
    let path = match at % COLOURS.len() {
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

/// Text for XML, without the characters that it cannot hold.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mean, and a deviation where there is one.
    type Point = Option<(f64, Option<f64>)>;

    fn drawing(places: &[(f64, &str)], lines: &[(&str, &[Point])]) -> Drawing {
        Drawing {
            title: Some("a < b & c".to_owned()),
            x_label: "shift (frames)".to_owned(),
            y_label: "accuracy (%)".to_owned(),
            places: places.iter().map(|(at, label)| (*at, (*label).to_owned())).collect(),
            numeric: true,
            bounds: [0.0, 100.0],
            lines: lines
                .iter()
                .map(|(name, points)| DrawnLine { name: (*name).to_owned(), points: points.to_vec() })
                .collect(),
            note: String::new(),
        }
    }

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn every_point_has_a_mark_and_its_bar() {
        let points = [Some((80.0, Some(2.0))), None, Some((90.0, None))];
        let places = [(1.0, "1"), (3.0, "3"), (5.0, "5")];
        let svg = svg(&drawing(&places, &[("mp", &points), ("aps", &points)]));
        // Two points and the mark in the legend for each line; one bar each.
        assert_eq!([count(&svg, "class=\"f0\""), count(&svg, "class=\"f1\"")], [3, 3]);
        assert_eq!(count(&svg, "stroke-width=\"1.2\""), 2);
        assert_eq!(count(&svg, ">mp<") + count(&svg, ">aps<"), 2);
        assert!(svg.contains(">shift (frames)<") && svg.contains(">accuracy (%)<"));
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"));
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert!([">1<", ">3<", ">5<"].iter().all(|tick| svg.contains(tick)));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn one_point_and_none_are_drawn_too() {
        for points in [vec![Some((0.0, None))], vec![None], Vec::new()] {
            let svg = svg(&drawing(&[(2.0, "2")], &[("x", &points)]));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_higher_value_stands_higher() {
        let frame = Frame { x: [0.0, 1.0], y: [10.0, 20.0] };
        assert!(frame.y(19.0) < frame.y(11.0));
        assert!((frame.y(20.0) - TOP).abs() < 1e-9 && (frame.x(1.0) - LEFT - WIDTH).abs() < 1e-9);
    }

    #[test]
    fn crowded_places_get_round_ticks() {
        let labels: Vec<String> = (0..200).map(|n| format!("{:.3}", f64::from(n) / 10.0)).collect();
        let places: Vec<(f64, &str)> =
            labels.iter().enumerate().map(|(n, label)| (n as f64 / 10.0, label.as_str())).collect();
        let points = vec![Some((50.0, None)); 200];
        let drawing = drawing(&places, &[("x", &points)]);
        let found = x_ticks(&drawing, &Frame::of(&drawing));
        assert!((4..=12).contains(&found.len()), "{found:?}");
    }
}
