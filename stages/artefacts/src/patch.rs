//! Patches: stretches of frames cut out of the features of a clip.

use half::slice::HalfFloatSliceExt;
use sndpipe_cache::{RowRef, ValuesRef};
use sndpipe_engine::{Kind, Port};

use crate::card::Standardisation;
use crate::shape::FrameShape;

/// The input of a stage that cuts patches: features, or embeddings, of which each vector is a frame of one channel.
#[must_use]
pub fn port() -> Port {
    Port::any("features", &[Kind::Features, Kind::Embeddings])
}

/// Where the patches of a clip start: every `hop` frames from 0, full ones only; 0 alone for a clip shorter than a patch.
pub fn starts(frames: usize, patch: usize, hop: usize) -> impl ExactSizeIterator<Item = usize> {
    (0..frames.saturating_sub(patch) + 1).step_by(hop.max(1))
}

/// Cuts the patch that starts at a frame, standardised, as `[channels, patch, bands]`. A clip that is too short is repeated.
///
/// `out` has `channels * patch * bands` numbers; the row has the shape (see [`FrameShape::frames`]).
pub fn cut(
    row: RowRef<'_>,
    shape: FrameShape,
    start: usize,
    standardisation: &Standardisation,
    out: &mut [f32],
) {
    let frames = row.frames as usize;
    let patch = out.len() / shape.len();
    let (clip_plane, patch_plane) = (frames * shape.bands, patch * shape.bands);
    for (channel, out) in out.chunks_exact_mut(patch_plane).enumerate() {
        let mut done = 0;
        while done < patch {
            let from = (start + done) % frames;
            let count = (frames - from).min(patch - done);
            let source = channel * clip_plane + from * shape.bands;
            let source = source..source + count * shape.bands;
            let target = &mut out[done * shape.bands..(done + count) * shape.bands];
            match row.values {
                ValuesRef::F32(values) => target.copy_from_slice(&values[source]),
                ValuesRef::F16(values) => values[source].convert_to_f32_slice(target),
            }
            done += count;
        }
        standardisation.apply(out, channel, shape);
    }
}

/// Standardises a patch `[channels, frames, bands]` that was cut as it is stored.
pub fn standardise(patch: &mut [f32], shape: FrameShape, standardisation: &Standardisation) {
    let plane = patch.len() / shape.channels;
    for (channel, plane) in patch.chunks_exact_mut(plane).enumerate() {
        standardisation.apply(plane, channel, shape);
    }
}

#[cfg(test)]
mod tests {
    use sndpipe_cache::{Meta, Row, Values};

    use super::*;

    const SHAPE: FrameShape = FrameShape { channels: 2, bands: 2 };

    /// Two channels, three frames, two bands; each number says where it is: channel, frame, band.
    fn row() -> Row {
        let values = (0..2)
            .flat_map(|c| (0..3).flat_map(move |f| (0..2).map(move |b| (100 * c + 10 * f + b) as f32)))
            .collect();
        Row { frames: 3, values: Values::F32(values) }
    }

    #[test]
    fn a_patch_keeps_its_channels_apart() {
        let mut out = [0.0; 8];
        cut(row().as_ref(), SHAPE, 1, &Standardisation::none(), &mut out);
        assert_eq!(out, [10.0, 11.0, 20.0, 21.0, 110.0, 111.0, 120.0, 121.0]);
    }

    #[test]
    fn a_short_clip_is_repeated() {
        let mut out = [0.0; 20];
        cut(row().as_ref(), SHAPE, 0, &Standardisation::none(), &mut out);
        assert_eq!(out[..10], [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 0.0, 1.0, 10.0, 11.0]);
    }

    #[test]
    fn half_precision_gives_the_same_numbers() {
        let Values::F32(values) = row().values else { unreachable!() };
        let half =
            Row { frames: 3, values: Values::F16(values.into_iter().map(half::f16::from_f32).collect()) };
        let standardisation = Standardisation { mean: vec![1.0], std: vec![2.0] };
        let (mut one, mut other) = ([0.0; 8], [0.0; 8]);
        cut(row().as_ref(), SHAPE, 0, &standardisation, &mut one);
        cut(half.as_ref(), SHAPE, 0, &standardisation, &mut other);
        assert_eq!(one, other);
        assert_eq!(one[..4], [-0.5, 0.0, 4.5, 5.0]);
    }

    #[test]
    fn statistics_of_bands_go_to_their_bands() {
        let standardisation =
            Standardisation { mean: vec![0.0, 1.0, 100.0, 101.0], std: vec![1.0, 2.0, 4.0, 5.0] };
        let mut out = [0.0; 4];
        cut(row().as_ref(), SHAPE, 2, &standardisation, &mut out);
        assert_eq!(out, [20.0, 10.0, 5.0, 4.0]);
    }

    #[test]
    fn only_full_patches_start() {
        assert_eq!(starts(501, 101, 50).collect::<Vec<_>>(), [0, 50, 100, 150, 200, 250, 300, 350, 400]);
        assert_eq!(starts(500, 101, 50).len(), 8);
        assert_eq!(starts(101, 101, 50).collect::<Vec<_>>(), [0]);
        assert_eq!(starts(7, 101, 50).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_row_of_another_shape_is_refused() {
        let meta = Meta::from([("channels".to_owned(), 2.into()), ("bands".to_owned(), 3.into())]);
        let error = FrameShape::of(&meta, row().as_ref()).unwrap_err().to_string();
        assert_eq!(error, "the features hold 12 numbers, not 2 x 3 x 3 (channels, frames, bands)");
        assert_eq!(
            FrameShape::of(&Meta::from([("channels".to_owned(), 2.into())]), row().as_ref()).unwrap(),
            SHAPE
        );
    }
}
