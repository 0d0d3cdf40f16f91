//! Decoding and the front-end F1 on real clips, against values that libsndfile, soxr (HQ) and librosa gave for the same files.
//! The resamplers differ in their transition band, so the bound is on statistics, not on every number.

use sndpipe_artefacts::audio::{DecodeParams, Normalise};
use sndpipe_audio::spectrogram::{Frontend, Recipe, SpectrogramParams};
use sndpipe_audio::{decode, prepare};

/// Path, frames, mean and standard deviation over all values, means of bands 0, 47 and 95.
const CLIPS: [(&str, usize, f64, f64, [f64; 3]); 5] = [
    ("001 - Dog bark/1-100032-A.ogg", 502, -7.453_377, 1.899_740, [-7.575_484, -7.380_259, -7.514_372]),
    ("001 - Dog bark/1-110389-A.ogg", 502, -7.344_327, 1.943_951, [-7.105_727, -7.270_465, -7.490_138]),
    ("003 - Sea waves/3-164120-A.ogg", 502, 1.162_231, 0.712_832, [1.626_630, 1.039_545, 0.197_932]),
    ("006 - Person sneeze/1-26143-A.ogg", 502, -6.046_148, 3.031_550, [-6.297_576, -5.938_366, -6.312_464]),
    ("010 - Fire crackling/5-215658-B.ogg", 502, -0.786_308, 1.198_916, [2.493_295, -0.839_653, -1.549_702]),
];

#[test]
fn f1_of_real_clips_agrees_with_libsndfile_soxr_and_librosa() {
    let Some(folder) = crate::real::data("SNDPIPE_ESC10", "esc10") else { return };
    let params = DecodeParams { normalise: Normalise::Peak, ..DecodeParams::default() };
    let frontend = Frontend::new(&SpectrogramParams::of(Recipe::F1), params.sample_rate).unwrap();
    for (path, frames, mean, deviation, bands) in CLIPS {
        let bytes = fs_err::read(folder.join(path)).unwrap();
        let pcm = decode(&bytes, &params.limits()).unwrap();
        let got = frontend.features(&prepare(pcm, &params).into_planar()).unwrap();
        assert_eq!((got.frames, got.bands), (frames, 96), "{path}");
        let n = got.values.len() as f64;
        let sum: f64 = got.values.iter().map(|&value| f64::from(value)).sum();
        let squares: f64 = got.values.iter().map(|&value| (f64::from(value) - sum / n).powi(2)).sum();
        assert!((sum / n - mean).abs() < 1e-3, "{path}: mean {} instead of {mean}", sum / n);
        let found = (squares / n).sqrt();
        assert!((found - deviation).abs() < 1e-3, "{path}: deviation {found} instead of {deviation}");
        for (band, wanted) in [0, 47, 95].into_iter().zip(bands) {
            let band_sum: f64 = got.values.iter().skip(band).step_by(96).map(|&value| f64::from(value)).sum();
            let found = band_sum / frames as f64;
            // The top band reaches into the resamplers' transition band.
            let bound = if band == 95 { 1e-2 } else { 1e-3 };
            assert!((found - wanted).abs() < bound, "{path}, band {band}: mean {found} instead of {wanted}");
        }
    }
}
