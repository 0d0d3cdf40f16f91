//! Statistics of the training clips.

use rayon::prelude::*;
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Standardisation;
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;

use super::params::Standardise;

/// Clips whose sums are held at once.
const CLIPS: usize = 1024;
/// A deviation below this is that of a constant; dividing by it would only blow up rounding.
const SMALLEST: f64 = 1e-8;

/// Fits means and standard deviations (of the population) to all frames of the given rows.
///
/// Sums are f64 and are added clip after clip, so that they are the same for any number of threads. Deviations are summed in
/// a second pass around the mean. A constant band is shifted but not scaled. `given` is that of the model behind `init`.
///
/// # Errors
/// [`StageError::Failed`] naming a clip whose features are not finite or have another shape; [`StageError::Interrupted`].
pub(crate) fn fit(
    (how, given): (Standardise, Option<&Standardisation>),
    rows: &Rows,
    positions: &[usize],
    shape: FrameShape,
    tick: &(dyn Fn() -> Result<(), StageError> + Sync),
) -> Result<Standardisation, StageError> {
    let groups = match how {
        Standardise::None => return Ok(Standardisation::none()),
        Standardise::Init => {
            return given
                .cloned()
                .ok_or_else(|| StageError::failed("nothing is connected to the input `init`"));
        }
        Standardise::Global => 1,
        Standardise::PerBand => shape.len(),
    };
    let (sums, counts) = total(rows, positions, shape, groups, tick, |value, _| value)?;
    let mean: Vec<f64> = sums.iter().map(|sum| sum / counts).collect();
    let (squares, _) = total(rows, positions, shape, groups, tick, |value, group| {
        let deviation = value - mean[group];
        deviation * deviation
    })?;
    let std = squares.iter().map(|sum| (sum / counts).sqrt());
    let std = std.map(|std| if std < SMALLEST { 1.0 } else { std as f32 }).collect();
    Ok(Standardisation { mean: mean.iter().map(|&mean| mean as f32).collect(), std })
}

/// Sums of a function of every value, by group, and how many values a group has.
fn total(
    rows: &Rows,
    positions: &[usize],
    shape: FrameShape,
    groups: usize,
    tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    of: impl Fn(f64, usize) -> f64 + Sync,
) -> Result<(Vec<f64>, f64), StageError> {
    let (mut sums, mut count) = (vec![0.0; groups], 0.0);
    for positions in positions.chunks(CLIPS) {
        let parts = positions
            .par_iter()
            .map(|&position| {
                tick()?;
                let row = rows.row(position)?;
                let named = |message: String| {
                    StageError::failed(format!("clip `{}`: {message}", &rows.ids()[position]))
                };
                let frames = shape.frames(row).map_err(named)?;
                let values = row.to_f32();
                let mut sums = vec![0.0; groups];
                for (channel, plane) in values.chunks_exact(frames * shape.bands).enumerate() {
                    for frame in plane.chunks_exact(shape.bands) {
                        for (band, &value) in frame.iter().enumerate() {
                            let group = if groups == 1 { 0 } else { channel * shape.bands + band };
                            sums[group] += of(f64::from(value), group);
                        }
                    }
                }
                if sums.iter().all(|sum| sum.is_finite()) {
                    return Ok((sums, values.len() / groups));
                }
                Err(named("the features hold values that are not finite".to_owned()))
            })
            .collect::<Vec<Result<(Vec<f64>, usize), StageError>>>();
        for part in parts {
            // The first mistake is the same for any number of threads.
            let (part, values) = part?;
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            count += values as f64;
        }
    }
    Ok((sums, count))
}
