//! The drawing of lines.

use std::fmt::Write as _;

use super::canvas::{self, COLOURS, Frame, LETTER, WIDTH, Words, mark, padded, round_ticks};

/// A drawing in the units of its data.
pub(super) struct Drawing {
    pub words: Words,
    /// Where each place stands on x, and what it is called.
    pub places: Vec<(f64, String)>,
    /// Whether x is a scale of numbers.
    pub numeric: bool,
    /// What y cannot leave.
    pub bounds: [f64; 2],
    pub lines: Vec<DrawnLine>,
}

/// A line: its name, and for each place the mean with its deviation.
pub(super) struct DrawnLine {
    pub name: String,
    pub points: Vec<Option<(f64, Option<f64>)>>,
}

/// Between neighbouring lines, so that their bars do not hide each other.
const APART: f64 = 4.0;
const DASHES: [&str; 3] = ["", "7 3", "2 3"];
/// Marks and bars of a line, at most about so many; of more places only some have one.
const MARKS: usize = 30;

fn frame(drawing: &Drawing) -> Frame {
    let places = drawing.places.iter().map(|(at, _)| *at);
    let values = || drawing.lines.iter().flat_map(|line| line.points.iter().flatten());
    let ends = values().flat_map(|(mean, std)| {
        let std = std.unwrap_or(0.0);
        [mean - std, mean + std]
    });
    let mut y = padded(ends);
    let [low, high] = drawing.bounds;
    // What is not what it was taken for has no bounds.
    if values().all(|(mean, _)| (low..=high).contains(mean)) {
        y = [y[0].max(low), y[1].min(high)];
    }
    Frame { x: padded(places), y }
}

/// The drawing as SVG.
pub(super) fn svg(drawing: &Drawing) -> String {
    let frame = frame(drawing);
    let longest = drawing.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
    let names = if drawing.lines.len() > 1 { drawing.lines.len() } else { 0 };
    let mut out = String::new();
    canvas::open(&mut out, &drawing.words, names, longest);
    canvas::axes(&mut out, &drawing.words, &frame, &x_ticks(drawing, &frame));
    for (at, line) in drawing.lines.iter().enumerate() {
        draw_line(&mut out, drawing, &frame, at, line);
    }
    for (at, line) in drawing.lines.iter().enumerate().take(names) {
        canvas::legend(&mut out, at, &line.name, |out, x, y| stroke(out, at, &format!("M{x:.1} {y:.1}h20")));
    }
    out.push_str("</svg>\n");
    out
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
        return round_ticks(frame);
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
    let every = points.len().div_ceil(MARKS).max(1);
    let points = points.into_iter().step_by(every);
    let points = points.filter_map(|(x, point)| point.map(|(mean, std)| (x, mean, std)));
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

#[cfg(test)]
mod tests {
    use super::super::canvas::{LEFT, TOP};
    use super::*;

    /// A mean, and a deviation where there is one.
    type Point = Option<(f64, Option<f64>)>;

    fn drawing(places: &[(f64, &str)], lines: &[(&str, &[Point])]) -> Drawing {
        Drawing {
            words: Words {
                title: Some("a < b & c".to_owned()),
                x_label: "shift (frames)".to_owned(),
                y_label: "accuracy (%)".to_owned(),
                note: String::new(),
            },
            places: places.iter().map(|(at, label)| (*at, (*label).to_owned())).collect(),
            numeric: true,
            bounds: [0.0, 100.0],
            lines: lines
                .iter()
                .map(|(name, points)| DrawnLine { name: (*name).to_owned(), points: points.to_vec() })
                .collect(),
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
        let found = x_ticks(&drawing, &frame(&drawing));
        assert!((4..=12).contains(&found.len()), "{found:?}");
    }

    #[test]
    fn a_long_curve_has_some_of_its_marks() {
        let places: Vec<(f64, &str)> = (0..300).map(|n| (f64::from(n), "epoch")).collect();
        let points = vec![Some((50.0, Some(1.0))); 300];
        let svg = svg(&drawing(&places, &[("x", &points)]));
        assert_eq!([count(&svg, "class=\"f0\""), count(&svg, "stroke-width=\"1.2\"")], [30, 30]);
        assert!(svg.matches('L').count() >= 299, "the line itself has every point");
    }
}
