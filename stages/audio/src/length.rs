//! Clips of different lengths made equal.

use sndpipe_artefacts::audio::LengthMode;

/// Brings `samples` to `wanted` samples in the way of `mode`; an empty clip becomes zeros where it must grow.
pub fn fit(samples: &mut Vec<f32>, wanted: usize, mode: LengthMode) {
    let n = samples.len();
    match mode {
        LengthMode::Crop => samples.truncate(wanted),
        LengthMode::AtLeast if n >= wanted => {}
        LengthMode::Pad => samples.resize(wanted, 0.0),
        LengthMode::Repeat | LengthMode::AtLeast => {
            if n == 0 {
                samples.resize(wanted, 0.0);
            }
            while samples.len() < wanted {
                let more = (wanted - samples.len()).min(n);
                samples.extend_from_within(..more);
            }
            samples.truncate(wanted);
        }
        LengthMode::Centre if n >= wanted => {
            let start = (n - wanted) / 2;
            samples.drain(..start);
            samples.truncate(wanted);
        }
        LengthMode::Centre => {
            let before = (wanted - n) / 2;
            samples.splice(..0, std::iter::repeat_n(0.0, before));
            samples.resize(wanted, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: LengthMode, wanted: usize, expected: &[f32]) {
        let mut samples = vec![1.0, 2.0, 3.0];
        fit(&mut samples, wanted, mode);
        assert_eq!(samples, expected, "{mode:?} to {wanted}");
    }

    #[test]
    fn short_clips_grow() {
        check(LengthMode::Repeat, 8, &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]);
        check(LengthMode::AtLeast, 4, &[1.0, 2.0, 3.0, 1.0]);
        check(LengthMode::Pad, 5, &[1.0, 2.0, 3.0, 0.0, 0.0]);
        check(LengthMode::Centre, 6, &[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]);
        check(LengthMode::Crop, 5, &[1.0, 2.0, 3.0]);
    }

    #[test]
    fn long_clips_shrink() {
        check(LengthMode::Repeat, 2, &[1.0, 2.0]);
        check(LengthMode::AtLeast, 2, &[1.0, 2.0, 3.0]);
        check(LengthMode::Pad, 2, &[1.0, 2.0]);
        check(LengthMode::Centre, 1, &[2.0]);
        check(LengthMode::Crop, 2, &[1.0, 2.0]);
    }

    #[test]
    fn an_empty_clip_becomes_silence() {
        let mut samples = Vec::new();
        fit(&mut samples, 2, LengthMode::Repeat);
        assert_eq!(samples, [0.0, 0.0]);
    }
}
