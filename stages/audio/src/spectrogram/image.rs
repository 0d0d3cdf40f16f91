//! Spectrograms as images: resizing along time.

/// Resizes `[frames, bands]` to `[wanted, bands]` along time, bilinearly and antialiased.
///
/// A triangle as wide as the step between output frames (at least one input frame on each side) is centred on each
/// output frame and normalised to sum 1 over the frames that exist: what Pillow's `BILINEAR` does on float images,
/// which for a step above 1 is a low-pass and not an interpolation.
pub fn resize_time(values: &[f32], bands: usize, wanted: usize) -> Vec<f32> {
    let frames = values.len().checked_div(bands).unwrap_or(0);
    if frames == wanted || frames == 0 {
        return values.to_vec();
    }
    let step = frames as f64 / wanted as f64;
    let width = step.max(1.0);
    let mut output = Vec::with_capacity(wanted * bands);
    let mut sums = vec![0.0f64; bands];
    for i in 0..wanted {
        let centre = (i as f64 + 0.5) * step;
        let first = (centre - width + 0.5).max(0.0) as usize;
        let last = ((centre + width + 0.5) as usize).min(frames);
        let weight = |frame: usize| (1.0 - ((frame as f64 + 0.5 - centre) / width).abs()).max(0.0);
        let total: f64 = (first..last).map(weight).sum();
        sums.fill(0.0);
        for frame in first..last {
            let w = weight(frame) / total;
            for (sum, &x) in sums.iter_mut().zip(&values[frame * bands..]) {
                *sum += w * f64::from(x);
            }
        }
        output.extend(sums.iter().map(|&x| x as f32));
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_interpolates_and_shrinking_averages() {
        // 2 -> 4: centres at 0.25, 0.75, 1.25, 1.75 input frames, so thirds of the way at most.
        assert_eq!(resize_time(&[0.0, 4.0], 1, 4), [0.0, 1.0, 3.0, 4.0]);
        // 4 -> 2: triangles of half width 2 around 1 and 3: weights 3/8, 3/8, 1/8 after the edge is cut, normalised by 7/8.
        let got = resize_time(&[7.0, 0.0, 0.0, 14.0], 1, 2);
        assert_eq!(got, [3.0, 6.0]);
    }

    #[test]
    fn bands_stay_apart() {
        assert_eq!(resize_time(&[0.0, 10.0, 4.0, 10.0], 2, 4), [0.0, 10.0, 1.0, 10.0, 3.0, 10.0, 4.0, 10.0]);
    }
}
