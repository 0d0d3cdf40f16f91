//! Window functions.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shape of the analysis window. All are periodic: the window of `n` samples is one period of a function of period `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// `0.5 - 0.5 cos`.
    Hann,
    /// `0.54 - 0.46 cos`.
    Hamming,
    /// Four cosine terms, side lobes at -92 dB.
    BlackmanHarris,
    /// All ones.
    Rectangular,
}

impl Window {
    /// Returns the `n` samples of the window, its first sample at the start of the period.
    pub fn samples(self, n: usize) -> Vec<f64> {
        let terms: &[f64] = match self {
            Self::Hann => &[0.5, 0.5],
            Self::Hamming => &[0.54, 0.46],
            Self::BlackmanHarris => &[0.358_75, 0.488_29, 0.141_28, 0.011_68],
            Self::Rectangular => &[1.0],
        };
        (0..n)
            .map(|i| {
                let phase = TAU * i as f64 / n as f64;
                let signs = [1.0, -1.0, 1.0, -1.0];
                terms.iter().zip(signs).enumerate().map(|(k, (a, s))| s * a * (phase * k as f64).cos()).sum()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_periodic() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        for (window, start, quarter, middle) in [
            (Window::Hann, 0.0, 0.5, 1.0),
            (Window::Hamming, 0.08, 0.54, 1.0),
            // 0.35875 - 0.48829 + 0.14128 - 0.01168; 0.35875 - 0.14128; the sum of all.
            (Window::BlackmanHarris, 0.000_06, 0.217_47, 1.0),
            (Window::Rectangular, 1.0, 1.0, 1.0),
        ] {
            let w = window.samples(8);
            close(w[0], start);
            close(w[2], quarter);
            close(w[4], middle);
            close(w[6], quarter);
        }
    }
}
