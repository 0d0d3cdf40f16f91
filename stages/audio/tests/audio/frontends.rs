//! Front-ends against values that librosa, numpy and Pillow gave (`benches/peers/frontends.py` writes them).

use serde::Deserialize;
use sndpipe_audio::spectrogram::{Frontend, SpectrogramParams};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    sample_rate: u32,
    params: SpectrogramParams,
    channels: usize,
    frames: usize,
    bands: usize,
    /// What a factor of ten is in the values.
    per_log10: f64,
    picked_frames: Vec<usize>,
    band_step: usize,
    values: Vec<f64>,
}

/// The formula of `signal` in the script: a chirp, decaying clicks, noise, and silence in between.
fn signal(rate: u32, seconds: f64) -> Vec<f32> {
    let n = (f64::from(rate) * seconds) as usize;
    let mut state = 12_345u32;
    (0..n)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state) / 2f64.powi(31) - 1.0;
            let tau = std::f64::consts::TAU;
            let chirp = 0.4 * (tau * (200.0 * t + 1500.0 * t * t)).sin();
            let clicks = 0.2 * (-30.0 * (t % 0.25)).exp() * (tau * 3000.0 * t).sin();
            if (0.6..0.8).contains(&t) { 0.0 } else { (chirp + clicks + 0.01 * noise) as f32 }
        })
        .collect()
}

#[test]
fn every_recipe_agrees_with_its_independent_computation() {
    let fixture: Fixture = serde_json::from_str(include_str!("frontends.json")).unwrap();
    assert_eq!(fixture.cases.len(), 8);
    for case in fixture.cases {
        let frontend = Frontend::new(&case.params, case.sample_rate).unwrap();
        let got = frontend.features(&signal(case.sample_rate, 1.0)).unwrap();
        let shape = (got.channels, got.frames, got.bands);
        assert_eq!(shape, (case.channels, case.frames, case.bands), "{}", case.name);
        assert_eq!(frontend.frames(case.sample_rate as usize), case.frames, "{}", case.name);
        let mut wanted = case.values.iter();
        let mut worst = (0.0f64, 0, 0, 0);
        for channel in 0..case.channels {
            for &frame in &case.picked_frames {
                for band in (0..case.bands).step_by(case.band_step) {
                    let value = got.values[(channel * case.frames + frame) * case.bands + band];
                    let want = wanted.next().unwrap();
                    let difference = (f64::from(value) - want).abs() / case.per_log10;
                    if difference > worst.0 || difference.is_nan() {
                        worst = (difference, channel, frame, band);
                    }
                }
            }
        }
        assert!(wanted.next().is_none(), "{}: values left over", case.name);
        println!("{}: worst {:e} at {:?}", case.name, worst.0, (worst.1, worst.2, worst.3));
        assert!(worst.0 < 1e-4, "{}: {worst:?} (difference in log10, channel, frame, band)", case.name);
    }
}

/// Training computes only the frames of a patch.
#[test]
fn some_frames_are_those_of_the_whole() {
    let samples = signal(22_050, 0.7);
    for recipe in ["f1", "f2", "f3", "f4", "f5", "f6"] {
        let params: SpectrogramParams =
            serde_json::from_value(serde_json::json!({ "recipe": recipe })).unwrap();
        let frontend = Frontend::new(&params, 22_050).unwrap();
        let whole = frontend.features(&samples).unwrap();
        for frames in [0..1, 3..9, 5..whole.frames, 0..whole.frames] {
            let some = frontend.some_features(&samples, frames.clone()).unwrap();
            assert_eq!((some.channels, some.frames, some.bands), (whole.channels, frames.len(), whole.bands));
            let planes = whole.values.chunks_exact(whole.frames * whole.bands);
            let expected =
                planes.flat_map(|plane| &plane[frames.start * whole.bands..frames.end * whole.bands]);
            assert!(some.values.iter().eq(expected), "{recipe}: {frames:?}");
        }
    }
}

/// Published frame counts: F1 at 1 s, F2 at 2 s, F3 at 5 s and 4 s.
#[test]
fn frame_counts_are_the_published_ones() {
    for (recipe, rate, seconds, frames) in
        [("f1", 22_050, 1, 101), ("f2", 44_100, 2, 101), ("f3", 44_100, 5, 394), ("f3", 44_100, 4, 315)]
    {
        let params: SpectrogramParams =
            serde_json::from_value(serde_json::json!({ "recipe": recipe })).unwrap();
        let frontend = Frontend::new(&params, rate).unwrap();
        assert_eq!(frontend.frames(rate as usize * seconds), frames, "{recipe} at {seconds} s");
    }
}

#[test]
fn very_short_and_empty_clips_are_handled() {
    for recipe in ["f1", "f2", "f3", "f4", "f5", "f6"] {
        let params: SpectrogramParams =
            serde_json::from_value(serde_json::json!({ "recipe": recipe })).unwrap();
        let frontend = Frontend::new(&params, 22_050).unwrap();
        assert!(frontend.features(&[]).is_err());
        for n in [1, 2, 100, 2047] {
            let got = frontend.features(&vec![0.25; n]).unwrap();
            assert_eq!(got.values.len(), got.channels * got.frames * got.bands, "{recipe}, {n} samples");
            assert!(got.values.iter().all(|x| x.is_finite()), "{recipe}, {n} samples");
        }
    }
}

#[test]
fn mistakes_are_named() {
    let check = |json: serde_json::Value, rate: u32, wanted: &str| {
        let params: SpectrogramParams = serde_json::from_value(json).unwrap();
        assert_eq!(Frontend::new(&params, rate).err().unwrap().to_string(), wanted);
    };
    check(serde_json::json!({"bands": 0}), 22_050, "bands: 0 is outside 1..=4096");
    check(
        serde_json::json!({"high_hz": 9000.0}),
        16_000,
        "high_hz: 9000 is above half the sample rate, 8000",
    );
    check(
        serde_json::json!({"window_ms": 100.0, "n_fft": 1024}),
        22_050,
        "n_fft: 1024 is shorter than the window of 2205 samples",
    );
    check(
        serde_json::json!({"hop_ms": 10.0, "hop_samples": 220}),
        22_050,
        "hop_samples: given together with hop_ms; give one of the two",
    );
    check(
        serde_json::json!({"kind": "three_band", "scale": "htk"}),
        44_100,
        "scale: three_band cuts FFT bins: the scale must be linear",
    );
}
