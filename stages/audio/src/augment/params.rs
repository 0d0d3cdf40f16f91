//! The steps that a view is made by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;

/// A step that changes a patch `[channels, frames, bands]` of features as they are stored, with its options. What is drawn is
/// drawn anew for each view of each item in each epoch; all channels of a patch share it.
///
/// Steps that mix undo the logarithm of the features first, which their recipe names; where there is no recipe it is `log10`.
///
/// # Source
/// Where a step names none: Fonseca, Ortego, McGuinness, O'Connor, Serra, *Unsupervised Contrastive Learning of Sound Event
/// Representations*, ICASSP 2021, with the settings of its best published configuration where it uses the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum StepParams {
    /// Mixes with a background: `(1 - s) x + s E(x) / E(b) b`, E being the sum over a patch, with a share s uniform in
    /// `0..alpha` that all views of an item have in common. Each view has a background clip of its own, a random patch of
    /// another training clip.
    MixBack {
        /// The largest share, `0..=1`.
        #[serde(default = "alpha")]
        alpha: f64,
        /// Whether the background gets the energy of the patch first, so that the energy of the mixture is that of the patch.
        #[serde(default = "yes")]
        adjust: bool,
        /// Whether the background comes from the same clip; silence where that has fewer frames than four patches.
        #[serde(default)]
        within_clip: bool,
    },
    /// Adds another training clip: `x + share E(x) / E(n) n`, E being the sum over a patch.
    ///
    /// Source: Jansen et al., *Unsupervised Learning of Semantic Audio Representations*, ICASSP 2018; the default share is ours. What a
    /// spectrogram's logarithm adds to its argument counts as energy.
    Mix {
        /// Energy of what is added, as a share of the patch's; `0..=100`.
        #[serde(default = "quarter")]
        share: f64,
    },
    /// Cuts out a random part and stretches it, bilinearly, to the size of the patch.
    Crop {
        /// The least and the largest area of the part, as shares of the patch's, `0 (exclusive) ..=1`.
        #[serde(default = "area")]
        area: (f64, f64),
        /// The least and the largest ratio of bands to frames, above 0; their logarithms are drawn from evenly. Where ten tries
        /// do not fit into the patch, its middle is taken.
        #[serde(default = "aspect")]
        aspect: (f64, f64),
    },
    /// Moves all frames later by a whole number drawn from `1..frames`; what leaves at the end comes in at the beginning.
    TimeShift {
        /// One more than the largest shift, `2..=65536`; no more than the frames of the patch count.
        #[serde(default = "thirty")]
        frames: usize,
    },
    /// Moves all bands.
    FrequencyShift {
        /// With `wrap` one more than the largest shift, with `cut` the largest one; `2..=65536`, of which no more than the
        /// bands of the patch count.
        #[serde(default = "ten")]
        bands: usize,
        /// What becomes of the bands at the edge.
        #[serde(default)]
        edge: Edge,
    },
    /// Turns time round.
    TimeReversal {
        /// How often, `0..=1`.
        #[serde(default = "half")]
        probability: f64,
    },
    /// Multiplies the logarithms by a number between `low` and 1, which compresses, or expands where `low` is above 1.
    Compression {
        /// The number that is farthest from 1; above 0, at most 10.
        #[serde(default = "low")]
        low: f64,
    },
    /// Gives some stretches of bands and of frames the smallest value of the patch. Widths and places are drawn evenly.
    ///
    /// Source: Park et al., *SpecAugment*, Interspeech 2019, without warping.
    SpecAugment {
        /// One more than the largest width of a stretch of bands, `1..=65536`.
        #[serde(default = "twenty")]
        bands: usize,
        /// One more than the largest width of a stretch of frames, `1..=65536`.
        #[serde(default = "twenty")]
        frames: usize,
        /// How many stretches of bands, `0..=100`.
        #[serde(default = "two")]
        band_masks: usize,
        /// How many stretches of frames, `0..=100`.
        #[serde(default = "two")]
        frame_masks: usize,
    },
    /// Adds noise.
    Noise {
        /// The largest standard deviation, of which each patch has a share between 0 and 1 of its own; with `multiplicative` the
        /// standard deviation. `0..=100`.
        #[serde(default = "deviation")]
        deviation: f64,
        /// What the noise does.
        #[serde(default)]
        form: NoiseForm,
    },
    /// Blurs with a Gaussian of `size` x `size`; beyond the edge lies what is at the edge.
    Blur {
        /// The largest size, from which an odd one, 3 at the least, is drawn; `3..=99`.
        #[serde(default = "five")]
        size: usize,
        /// The standard deviation in frames and bands; above 0, at most 100.
        #[serde(default = "one")]
        sigma: f64,
    },
}

/// What becomes of bands that a shift moves over the edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// They come in at the other edge; shifts go upwards, by a whole number drawn from `1..bands`.
    #[default]
    Wrap,
    /// They are lost, and what is left free gets the smallest value of the patch; shifts go both ways, by a whole number drawn
    /// from `-bands..=bands`.
    Cut,
}

/// What noise does to a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoiseForm {
    /// A normal number is added to it as it is stored.
    #[default]
    Additive,
    /// What is behind its logarithm is multiplied by 1 + |e| with a normal number e.
    Multiplicative,
}

const fn alpha() -> f64 {
    0.05
}

const fn yes() -> bool {
    true
}

const fn quarter() -> f64 {
    0.25
}

const fn area() -> (f64, f64) {
    (0.8, 1.0)
}

const fn aspect() -> (f64, f64) {
    (0.75, 4.0 / 3.0)
}

const fn thirty() -> usize {
    30
}

const fn ten() -> usize {
    10
}

const fn half() -> f64 {
    0.5
}

const fn low() -> f64 {
    0.75
}

const fn twenty() -> usize {
    20
}

const fn two() -> usize {
    2
}

const fn deviation() -> f64 {
    0.01
}

const fn five() -> usize {
    5
}

const fn one() -> f64 {
    1.0
}

impl StepParams {
    /// The name in a pipeline file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MixBack { .. } => "mix_back",
            Self::Mix { .. } => "mix",
            Self::Crop { .. } => "crop",
            Self::TimeShift { .. } => "time_shift",
            Self::FrequencyShift { .. } => "frequency_shift",
            Self::TimeReversal { .. } => "time_reversal",
            Self::Compression { .. } => "compression",
            Self::SpecAugment { .. } => "spec_augment",
            Self::Noise { .. } => "noise",
            Self::Blur { .. } => "blur",
        }
    }

    /// How many training clips there must be.
    pub const fn clips(&self) -> usize {
        match self {
            // The clip itself and a background for each of two views.
            Self::MixBack { within_clip: false, .. } => 3,
            Self::Mix { .. } => 2,
            _ => 1,
        }
    }

    fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        let mut number = |field, value: f64, inside: bool, range: &str| {
            if !inside {
                mistakes.push((field, format!("{value} is outside {range}")));
            }
        };
        let share = 0.0..=1.0;
        match *self {
            Self::MixBack { alpha, .. } => number("alpha", alpha, share.contains(&alpha), "0..=1"),
            Self::Mix { share } => number("share", share, (0.0..=100.0).contains(&share), "0..=100"),
            Self::Crop { area: (least, most), aspect: (low, high) } => {
                let inside = least > 0.0 && least <= most && most <= 1.0;
                number(
                    "area",
                    if most > 1.0 { most } else { least },
                    inside,
                    "0 (exclusive) ..=1, or not in order",
                );
                let inside = low > 0.0 && low <= high && high.is_finite();
                number("aspect", low, inside, "the positive numbers, or not in order");
            }
            Self::TimeShift { frames } => {
                number("frames", frames as f64, (2..=65_536).contains(&frames), "2..=65536");
            }
            Self::FrequencyShift { bands, .. } => {
                number("bands", bands as f64, (2..=65_536).contains(&bands), "2..=65536");
            }
            Self::TimeReversal { probability } => {
                number("probability", probability, share.contains(&probability), "0..=1");
            }
            Self::Compression { low } => number("low", low, low > 0.0 && low <= 10.0, "0 (exclusive) ..=10"),
            Self::SpecAugment { bands, frames, band_masks, frame_masks } => {
                number("bands", bands as f64, (1..=65_536).contains(&bands), "1..=65536");
                number("frames", frames as f64, (1..=65_536).contains(&frames), "1..=65536");
                number("band_masks", band_masks as f64, band_masks <= 100, "0..=100");
                number("frame_masks", frame_masks as f64, frame_masks <= 100, "0..=100");
            }
            Self::Noise { deviation, .. } => {
                number("deviation", deviation, (0.0..=100.0).contains(&deviation), "0..=100");
            }
            Self::Blur { size, sigma } => {
                number("size", size as f64, (3..=99).contains(&size), "3..=99");
                number("sigma", sigma, sigma > 0.0 && sigma <= 100.0, "0 (exclusive) ..=100");
            }
        }
        mistakes
    }
}

/// Every option out of its range of the steps at a parameter.
pub fn mistakes(parameter: &str, steps: &[StepParams]) -> Vec<ParamError> {
    let each = steps.iter().enumerate().flat_map(|(i, step)| {
        let at = move |(field, message)| ParamError::new(format!("{parameter}[{i}].{field}"), message);
        step.mistakes().into_iter().map(at).collect::<Vec<_>>()
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> StepParams {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_defaults_are_in_range() {
        let names = [
            "mix_back",
            "mix",
            "crop",
            "time_shift",
            "frequency_shift",
            "time_reversal",
            "compression",
            "spec_augment",
            "noise",
            "blur",
        ];
        for name in names {
            let step = read(json!({ "name": name }));
            assert_eq!((step.name(), step.mistakes()), (name, Vec::new()));
        }
    }

    #[test]
    fn every_mistake_is_named() {
        let steps = [
            json!({ "name": "mix_back", "alpha": 1.5 }),
            json!({ "name": "crop", "area": [0.9, 0.5], "aspect": [0, 1] }),
            json!({ "name": "time_shift", "frames": 1 }),
            json!({ "name": "noise", "deviation": -1 }),
            json!({ "name": "blur", "size": 2, "sigma": 0 }),
            json!({ "name": "compression", "low": 0 }),
        ];
        let steps: Vec<StepParams> = steps.into_iter().map(read).collect();
        let found: Vec<String> = mistakes("views", &steps)
            .into_iter()
            .map(|error| format!("{}: {}", error.path, error.message))
            .collect();
        let expected = [
            "views[0].alpha: 1.5 is outside 0..=1",
            "views[1].area: 0.9 is outside 0 (exclusive) ..=1, or not in order",
            "views[1].aspect: 0 is outside the positive numbers, or not in order",
            "views[2].frames: 1 is outside 2..=65536",
            "views[3].deviation: -1 is outside 0..=100",
            "views[4].size: 2 is outside 3..=99",
            "views[4].sigma: 0 is outside 0 (exclusive) ..=100",
            "views[5].low: 0 is outside 0 (exclusive) ..=10",
        ];
        assert_eq!(found, expected);
    }
}
