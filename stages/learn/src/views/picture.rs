//! The picture.

use std::fmt::Write as _;

use sndpipe_artefacts::xml::escaped;
use sndpipe_nn::InputShape;

/// Patches side by side, with what each has become by.
pub(super) struct Strip {
    pub name: String,
    /// What each patch is called, and its values `[channels, frames, bands]`.
    pub patches: Vec<(String, Vec<f32>)>,
}

/// Of a patch and of its channel.
const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 110.0;
const GAP: f64 = 14.0;
/// Of a line of text, and of one of its letters in bold.
const LINE: f64 = 16.0;
const LETTER: f64 = 7.2;
/// Most cells along an axis of a channel; longer axes are averaged.
const CELLS: usize = 128;
/// Different colours.
const LEVELS: usize = 16;
/// Colours between which levels lie evenly, from the smallest value to the largest.
const RAMP: [[f64; 3]; 5] = [
    [13.0, 17.0, 43.0],
    [38.0, 70.0, 131.0],
    [42.0, 141.0, 137.0],
    [170.0, 196.0, 84.0],
    [253.0, 240.0, 186.0],
];

/// The picture as SVG.
pub(super) fn svg(strips: &[Strip], input: InputShape) -> String {
    let columns = strips.iter().map(|strip| strip.patches.len()).max().unwrap_or(0) as f64;
    let row = HEIGHT * input.channels as f64 + 2.0 * LINE + GAP;
    let longest = strips.iter().map(|strip| strip.name.chars().count()).max().unwrap_or(0) as f64;
    let width = (GAP + columns * (WIDTH + GAP)).max(2.0 * GAP + LETTER * longest);
    let height = GAP + strips.len() as f64 * row;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1b1b1b\">\n<title>views</title>\n\
         <style>@media (prefers-color-scheme:dark){{text{{fill:#e6e6e6}}.ground{{fill:#15171c}}}}</style>\n\
         <rect class=\"ground\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n"
    );
    for (at, strip) in strips.iter().enumerate() {
        let top = GAP + at as f64 * row;
        text(&mut out, GAP, top + 0.7 * LINE, &strip.name, " font-weight=\"600\"");
        let values = || strip.patches.iter().flat_map(|(_, values)| values).filter(|value| value.is_finite());
        let low = values().copied().fold(f32::INFINITY, f32::min);
        let high = values().copied().fold(f32::NEG_INFINITY, f32::max);
        for (at, (name, values)) in strip.patches.iter().enumerate() {
            let left = GAP + at as f64 * (WIDTH + GAP);
            text(&mut out, left, top + 1.7 * LINE, name, "");
            for (channel, plane) in values.chunks_exact(input.frames * input.bands).enumerate() {
                let top = top + 2.0 * LINE + channel as f64 * HEIGHT;
                image(&mut out, (left, top), &Cells::of(plane, input.bands), (low, high));
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Values as they are drawn: rows from the highest band to the lowest.
struct Cells {
    columns: usize,
    values: Vec<f32>,
}

impl Cells {
    fn of(plane: &[f32], bands: usize) -> Self {
        let frames = plane.len() / bands;
        let block = (frames.div_ceil(CELLS), bands.div_ceil(CELLS));
        let (columns, rows) = (frames.div_ceil(block.0), bands.div_ceil(block.1));
        let cell = |row: usize, column: usize| {
            let (first_frame, first_band) = (column * block.0, (rows - 1 - row) * block.1);
            let in_block = |i: usize| {
                let (frame, band) = (first_frame + i % block.0, first_band + i / block.0);
                (frame < frames && band < bands).then(|| plane[frame * bands + band])
            };
            let values: Vec<f32> = (0..block.0 * block.1).filter_map(in_block).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        Self { columns, values: values.map(|(row, column)| cell(row, column)).collect() }
    }
}

/// One path for each colour, of runs of cells.
fn image(out: &mut String, (left, top): (f64, f64), cells: &Cells, (low, high): (f32, f32)) {
    let rows = cells.values.len() / cells.columns;
    let mut paths = vec![String::new(); LEVELS];
    for (row, values) in cells.values.chunks_exact(cells.columns).enumerate() {
        let mut column = 0;
        for run in values.chunk_by(|a, b| level(*a, low, high) == level(*b, low, high)) {
            let path = &mut paths[level(run[0], low, high)];
            let _ = write!(path, "M{column} {row}h{}v1h-{}z", run.len(), run.len());
            column += run.len();
        }
    }
    let (x, y) = (WIDTH / cells.columns as f64, HEIGHT / rows as f64);
    let _ = writeln!(
        out,
        "<g transform=\"translate({left:.1} {top:.1}) scale({x:.4} {y:.4})\" shape-rendering=\"crispEdges\">"
    );
    for (level, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let _ = writeln!(out, "<path fill=\"{}\" d=\"{path}\"/>", colour(level));
    }
    out.push_str("</g>\n");
}

/// The colour of a value; what is not finite has that of the smallest.
fn level(value: f32, low: f32, high: f32) -> usize {
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    ((share * LEVELS as f32) as usize).min(LEVELS - 1)
}

fn colour(level: usize) -> String {
    let at = level as f64 / (LEVELS - 1) as f64 * (RAMP.len() - 1) as f64;
    let first = (at as usize).min(RAMP.len() - 2);
    let of = |part: usize| {
        let (a, b) = (RAMP[first][part], RAMP[first + 1][part]);
        (a + (b - a) * (at - first as f64)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", of(0), of(1), of(2))
}

fn text(out: &mut String, x: f64, y: f64, text: &str, more: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\"{more}>{}</text>", escaped(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequency_goes_up_and_time_to_the_right() {
        // Two frames of three bands.
        let cells = Cells::of(&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0], 3);
        assert_eq!((cells.columns, cells.values), (2, vec![3.0, 30.0, 2.0, 20.0, 1.0, 10.0]));
        let long: Vec<f32> = (0..300).map(|frame| frame as f32).collect();
        let cells = Cells::of(&long, 1);
        assert_eq!((cells.columns, cells.values[0], cells.values[99]), (100, 1.0, 298.0));
    }

    #[test]
    fn every_cell_is_drawn_once() {
        let input = InputShape { channels: 2, frames: 5, bands: 4 };
        let values: Vec<f32> = (0..40).map(|i| (i * 7 % 11) as f32).collect();
        let patches = vec![("cut".to_owned(), values.clone()), ("crop".to_owned(), values)];
        let svg = svg(&[Strip { name: "a<b".to_owned(), patches }], input);
        let cells: usize = svg
            .split('h')
            .filter_map(|part| part.split_once("v1").and_then(|(n, _)| n.parse::<usize>().ok()))
            .sum();
        assert_eq!(cells, 80);
        assert!(svg.contains("a&lt;b") && svg.contains(">crop<"));
        assert_eq!(svg.matches("<g ").count(), 4);
        assert!(svg.contains(&colour(0)) && svg.contains(&colour(LEVELS - 1)) && colour(0) == "#0d112b");
    }

    #[test]
    fn what_has_no_range_is_drawn_too() {
        let input = InputShape { channels: 1, frames: 2, bands: 2 };
        for values in [vec![3.0; 4], vec![f32::NAN; 4]] {
            let svg = svg(&[Strip { name: String::new(), patches: vec![(String::new(), values)] }], input);
            assert!(!svg.contains("NaN") && svg.contains("h2v1"), "{svg}");
        }
    }
}
