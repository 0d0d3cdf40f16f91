//! What becomes of the samples of a clip.

/// Stretches samples to `factor` times their number, rounded down and at least 1, by linear interpolation.
pub(super) fn stretch(samples: &mut Vec<f32>, factor: f64) {
    let Some(last) = samples.len().checked_sub(1) else { return };
    let length = ((samples.len() as f64 * factor) as usize).max(1);
    let of = |i: usize| {
        let at = i as f64 / factor;
        let before = (at as usize).min(last);
        let (a, b) = (f64::from(samples[before]), f64::from(samples[(before + 1).min(last)]));
        (a + (b - a) * (at - before as f64)) as f32
    };
    *samples = (0..length).map(of).collect();
}

/// Brings samples to a length that is no less than theirs: the first one stands `before` times in front of them, the last one
/// behind them as often as there is room.
pub(super) fn pad(samples: &mut Vec<f32>, length: usize, before: usize) {
    let (Some(&first), Some(&last)) = (samples.first(), samples.last()) else { return };
    samples.splice(..0, std::iter::repeat_n(first, before));
    samples.resize(length, last);
}

/// Leaves the window of a length that begins at `start`, or where that one is quiet another one: see [`window`].
pub(super) fn crop(samples: &mut Vec<f32>, length: usize, start: usize) {
    let start = window(samples, length, start);
    samples.truncate(start + length);
    samples.drain(..start);
}

/// Where the window begins that is taken for the one that begins at `start`.
///
/// A window is quiet if its standard deviation is below half of that of all samples. The first window stands in for a quiet one;
/// the last one does where the first is quiet as well, but less so than the one that was drawn.
fn window(samples: &[f32], length: usize, start: usize) -> usize {
    let enough = 0.5 * deviation(samples);
    let of = |start: usize| deviation(&samples[start..start + length]);
    let drawn = of(start);
    if drawn >= enough {
        return start;
    }
    let first = of(0);
    if first < enough && first > drawn { samples.len() - length } else { 0 }
}

/// The standard deviation of the population.
fn deviation(samples: &[f32]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
    let squares: f64 = samples.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
    (squares / count).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(change: impl Fn(&mut Vec<f32>), before: &[f32], expected: &[f32]) {
        let mut samples = before.to_vec();
        change(&mut samples);
        assert_eq!(samples, expected);
    }

    #[test]
    fn samples_are_those_worked_out_by_hand() {
        // Twice as long: halfway between neighbours, and beyond the last one nothing changes.
        check(|s| stretch(s, 2.0), &[0.0, 4.0, 2.0], &[0.0, 2.0, 4.0, 3.0, 2.0, 2.0]);
        // 5 / 1.25 = 4 samples at 0, 1.25, 2.5, 3.75.
        check(|s| stretch(s, 0.8), &[0.0, 8.0, 0.0, 4.0, 8.0], &[0.0, 6.0, 2.0, 7.0]);
        check(|s| stretch(s, 1.0), &[0.3, -0.1, 0.7], &[0.3, -0.1, 0.7]);
        check(|s| stretch(s, 0.1), &[0.3, -0.1], &[0.3]);
        check(|s| pad(s, 6, 1), &[1.0, 2.0, 3.0], &[1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
        check(|s| pad(s, 5, 2), &[1.0, 2.0, 3.0], &[1.0, 1.0, 1.0, 2.0, 3.0]);
        check(|s| crop(s, 2, 1), &[0.0, 5.0, -5.0, 0.0], &[5.0, -5.0]);
        for change in [|s: &mut Vec<f32>| stretch(s, 1.2), |s: &mut Vec<f32>| pad(s, 5, 2)] {
            check(change, &[], &[]);
        }
    }

    #[test]
    fn a_quiet_window_is_replaced() {
        // Windows of two samples; deviations are half of the difference. That of all of it is 2.87, half of which is 1.43.
        let loud_first = [8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(window(&loud_first, 2, 0), 0);
        assert_eq!(window(&loud_first, 2, 2), 0);
        // The first is quiet, too, but less so than the one drawn: the last one.
        let loud_last = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 8.0, 0.0];
        assert_eq!(window(&loud_last, 2, 3), 6);
        assert_eq!(window(&loud_last, 2, 5), 5);
        // The first is no better than the one drawn: it stays the first.
        let loud_middle = [0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(window(&loud_middle, 2, 4), 0);
        assert_eq!(window(&loud_middle, 2, 6), 0);
        assert_eq!(window(&loud_middle, 2, 2), 2);
        assert_eq!(window(&[0.0; 8], 2, 3), 3);
    }

    proptest! {
        /// A stretched clip has the length asked for, begins as before, and goes no higher or lower than before.
        #[test]
        fn a_stretch_stays_between_the_samples(samples in vec(-1f32..1.0, 1..300), factor in 0.1f64..10.0) {
            let mut stretched = samples.clone();
            stretch(&mut stretched, factor);
            prop_assert_eq!(stretched.len(), ((samples.len() as f64 * factor) as usize).max(1));
            prop_assert_eq!(stretched[0], samples[0]);
            let low = samples.iter().copied().fold(f32::INFINITY, f32::min);
            let high = samples.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert!(stretched.iter().all(|x| (low..=high).contains(x)));
        }

        /// What is padded lies inside as it was, and cropping it out again gives it back.
        #[test]
        fn padding_adds_the_ends_alone(samples in vec(-1f32..1.0, 1..50), before in 0usize..50, after in 0usize..50) {
            let (mut padded, n) = (samples.clone(), samples.len());
            pad(&mut padded, before + n + after, before);
            prop_assert_eq!(padded.len(), before + n + after);
            prop_assert_eq!(&padded[before..before + n], samples.as_slice());
            prop_assert!(padded[..before].iter().all(|&x| x == samples[0]));
            prop_assert!(padded[before + n..].iter().all(|&x| x == samples[n - 1]));
        }

        /// A window is one of the clip's, and one that is not quiet is the one drawn.
        #[test]
        fn a_crop_is_a_window(samples in vec(-1f32..1.0, 2..100), length in 1usize..100, start in 0usize..100) {
            let length = length.min(samples.len() - 1);
            let start = start.min(samples.len() - length);
            let taken = window(&samples, length, start);
            prop_assert!([start, 0, samples.len() - length].contains(&taken));
            let loud = deviation(&samples[start..start + length]) >= 0.5 * deviation(&samples);
            prop_assert!(taken == start || !loud);
            let mut cropped = samples.clone();
            crop(&mut cropped, length, start);
            prop_assert_eq!(cropped.as_slice(), &samples[taken..taken + length]);
        }
    }

    #[test]
    fn a_slow_tone_keeps_its_energy_a_second() {
        // 20 Hz of 8,000: interpolation loses some 1 - (pi 20 / 8000)^2 / 3 of its energy at most, 2e-5.
        let tone: Vec<f32> =
            (0..8000).map(|i| (std::f64::consts::TAU * 20.0 * f64::from(i) / 8000.0).sin() as f32).collect();
        for factor in [0.8, 0.93, 1.1, 1.25] {
            let mut stretched = tone.clone();
            stretch(&mut stretched, factor);
            let energy = deviation(&stretched).powi(2);
            assert!((energy - 0.5).abs() < 1e-3, "{factor}: {energy}");
        }
    }
}
