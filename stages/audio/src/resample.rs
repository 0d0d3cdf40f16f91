//! Sample-rate conversion of whole clips.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// Length of the low-pass filter aimed at, in samples of the slower side.
const FILTER_AT_LOWER_RATE: usize = 216;

/// Windows for the filter, each with the length at which its transition band comes closest to that of soxr HQ: -3 dB at 0.95
/// times the Nyquist frequency, nothing above 1. The length is bound to multiples of the reduced rates, so the window is chosen for the length.
const WINDOWS: [(usize, WindowFunction); 3] = [
    (184, WindowFunction::BlackmanHarris),
    (216, WindowFunction::Blackman2),
    (312, WindowFunction::BlackmanHarris2),
];

/// How many plans a thread keeps.
const PLANS: usize = 8;

thread_local! {
    static CACHE: RefCell<BTreeMap<(u32, u32), Fft<f32>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns how many samples `n` samples at `from` Hz become at `to` Hz: `n * to / from`, halves rounded up, at least 1 of 1.
///
/// That is the length soxr gives.
pub fn resampled_len(n: usize, from: u32, to: u32) -> usize {
    if n == 0 || from == 0 {
        return 0;
    }
    let (n, from, to) = (n as u128, u128::from(from), u128::from(to));
    let rounded = (2 * n * to + from) / (2 * from);
    usize::try_from(rounded.max(1)).unwrap_or(usize::MAX)
}

/// Converts one channel from `from` Hz to `to` Hz, without delay.
///
/// A linear-phase low-pass below both Nyquist frequencies, applied by FFT blocks (rubato's synchronous resampler). Plans are
/// kept per thread and pair of rates; a result does not depend on what was resampled before. Errors are below -100 dB where the
/// rates have a large common divisor, as all usual ones do; of 8000 and 8001 Hz it is -76 dB.
///
/// # Shapes and units
/// - `samples`: any length. Returns [`resampled_len`] samples. Both rates in Hz, at least 1.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() || from == 0 || to == 0 {
        return samples.to_vec();
    }
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= PLANS && !cache.contains_key(&(from, to)) {
            cache.clear();
        }
        let plan = match cache.entry((from, to)) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => e.insert(plan(from, to)),
        };
        run(plan, samples, resampled_len(samples.len(), from, to))
    })
}

fn plan(from: u32, to: u32) -> Fft<f32> {
    let gcd = gcd(from, to);
    let lower = (from.min(to) / gcd) as usize;
    // An even number of the smallest possible blocks: half a block, the filter's delay, is then whole on both sides.
    let blocks = 2 * FILTER_AT_LOWER_RATE.div_ceil(2 * lower);
    let chunk = blocks * (from / gcd) as usize;
    let length = blocks * lower;
    let window = WINDOWS
        .iter()
        .min_by_key(|(best, _)| best.abs_diff(length))
        .map_or(WindowFunction::BlackmanHarris2, |&(_, window)| window);
    Fft::new_custom(from as usize, to as usize, chunk, 1, 1, window, FixedSync::Both)
        .expect("the rates and the block are at least 1")
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn run(plan: &mut Fft<f32>, samples: &[f32], wanted: usize) -> Vec<f32> {
    plan.reset();
    let (block_in, block_out, delay) =
        (plan.input_frames_next(), plan.output_frames_next(), plan.output_delay());
    let blocks = (delay + wanted).div_ceil(block_out);
    let mut output = vec![0.0f32; blocks * block_out];
    let mut padded = vec![0.0f32; block_in];
    for (i, out) in output.chunks_exact_mut(block_out).enumerate() {
        let start = (i * block_in).min(samples.len());
        let end = (start + block_in).min(samples.len());
        let block = if end - start == block_in {
            &samples[start..end]
        } else {
            padded[..end - start].copy_from_slice(&samples[start..end]);
            padded[end - start..].fill(0.0);
            &padded[..]
        };
        let input = InterleavedSlice::new(block, 1, block_in).expect("the slice is one block long");
        let mut out = InterleavedSlice::new_mut(out, 1, block_out).expect("the slice is one block long");
        plan.process_into_buffer(&input, &mut out, None).expect("both buffers hold one block");
    }
    output.drain(..delay);
    output.truncate(wanted);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, n: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate);
        (0..n).map(|i| (step * i as f64).sin() as f32).collect()
    }

    #[test]
    fn lengths_are_rounded_as_by_soxr() {
        for (n, from, to, want) in [
            (1, 44_100, 22_050, 1),
            (101, 44_100, 22_050, 51),
            (220_500, 44_100, 22_050, 110_250),
            (1000, 48_000, 22_050, 459),
            (220_500, 48_000, 22_050, 101_292),
            (0, 8000, 16_000, 0),
            (1, 44_100, 16_000, 1),
        ] {
            assert_eq!(resampled_len(n, from, to), want, "{n} samples from {from} to {to}");
            assert_eq!(resample(&vec![0.0; n], from, to).len(), want);
        }
    }

    #[test]
    fn a_tone_keeps_its_phase_and_level() {
        for (from, to) in
            [(44_100, 22_050), (44_100, 16_000), (48_000, 22_050), (16_000, 44_100), (11_025, 16_000)]
        {
            let n = from as usize / 2;
            let got = resample(&sine(1000.0, from, n), from, to);
            let want = sine(1000.0, to, got.len());
            let edge = to as usize / 20;
            let worst = got[edge..got.len() - edge]
                .iter()
                .zip(&want[edge..])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0f32, f32::max);
            assert!(worst < 1e-5, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn nothing_above_the_new_nyquist_frequency_folds_back() {
        for (from, to, hz) in
            [(44_100, 22_050, 11_200.0), (44_100, 16_000, 8100.0), (48_000, 22_050, 15_000.0)]
        {
            let got = resample(&sine(hz, from, from as usize / 2), from, to);
            let edge = to as usize / 20;
            let inside = &got[edge..got.len() - edge];
            let power = inside.iter().map(|x| f64::from(x * x)).sum::<f64>() / inside.len() as f64;
            // Half a unit of power went in.
            assert!(power < 0.5e-9, "{from} to {to}: {power:e} of {hz} Hz remain");
        }
    }

    #[test]
    fn a_result_does_not_depend_on_what_came_before() {
        let tone = sine(700.0, 44_100, 5000);
        let first = resample(&tone, 44_100, 22_050);
        resample(&sine(90.0, 44_100, 12_345), 44_100, 22_050);
        for from in 8000..8020 {
            resample(&tone[..100], from, 22_050);
        }
        assert_eq!(resample(&tone, 44_100, 22_050), first);
    }
}
