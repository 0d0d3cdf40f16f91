//! The steps that waveforms are changed by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::audio::{Length, LengthMode};
use sndpipe_engine::{Kind, ParamError, Port, Upstream};
use sndpipe_random::Rng;

use super::change;

/// The input that gives the waveforms.
pub const PORT: &str = "audio";

/// A step that changes the samples of a clip before their spectrogram is computed, with its options. What is drawn is drawn anew
/// for each view of each item in each epoch.
///
/// # Source
/// The training code published with ESResNet (Guzhov, Raue, Hees, Dengel, ICPR 2020), which takes the three in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum WaveformParams {
    /// Turns time round.
    TimeInversion {
        /// How often, `0..=1`.
        #[serde(default = "half")]
        probability: f64,
    },
    /// Makes the clip longer or shorter by linear interpolation, which lowers or raises its pitch. The new length over the old one is
    /// `factor^u` with u uniform in `-1..1`.
    Stretch {
        /// The largest ratio, `1..=10`; the smallest is one over it.
        #[serde(default = "quarter")]
        factor: f64,
    },
    /// Brings the clip to a length. A shorter one is placed at random, between copies of its first and of its last sample. Of a longer
    /// one a random window is taken. Where its standard deviation is below half of the clip's, the first window is taken instead; and
    /// where that of the first is below half as well, but above that of the random one, the last window.
    PadCrop {
        /// The length in seconds, above 0, at most 3600.
        seconds: f64,
    },
}

const fn half() -> f64 {
    0.5
}

const fn quarter() -> f64 {
    1.25
}

impl WaveformParams {
    /// The name in a pipeline file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TimeInversion { .. } => "time_inversion",
            Self::Stretch { .. } => "stretch",
            Self::PadCrop { .. } => "pad_crop",
        }
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let (field, value, inside, range) = match *self {
            Self::TimeInversion { probability } => {
                ("probability", probability, (0.0..=1.0).contains(&probability), "0..=1")
            }
            Self::Stretch { factor } => ("factor", factor, (1.0..=10.0).contains(&factor), "1..=10"),
            Self::PadCrop { seconds } => {
                ("seconds", seconds, seconds > 0.0 && seconds <= 3600.0, "0 (exclusive) ..=3600")
            }
        };
        (!inside).then(|| (field, format!("{value} is outside {range}")))
    }

    /// Takes the step. A clip without samples stays so.
    pub(super) fn apply(&self, samples: &mut Vec<f32>, sample_rate: u32, rng: &mut Rng) {
        match *self {
            Self::TimeInversion { probability } => {
                if rng.chance(probability) {
                    samples.reverse();
                }
            }
            Self::Stretch { factor } => change::stretch(samples, factor.powf(rng.range(-1.0, 1.0))),
            Self::PadCrop { seconds } => {
                let length = Length { seconds, mode: LengthMode::Pad }.samples(sample_rate);
                let count = samples.len();
                if count < length {
                    change::pad(samples, length, rng.index(length - count + 1));
                } else if count > length {
                    change::crop(samples, length, rng.index(count - length + 1));
                }
            }
        }
    }
}

/// Every option out of its range of the steps at the parameter `waveform`.
pub fn mistakes(steps: &[WaveformParams]) -> Vec<ParamError> {
    let wrong = steps.iter().enumerate().filter_map(|(i, step)| Some((i, step.mistake()?)));
    wrong.map(|(i, (field, message))| ParamError::new(format!("waveform[{i}].{field}"), message)).collect()
}

/// The input that gives the waveforms; only where there are steps for them.
pub fn port() -> Port {
    Port::new(PORT, Kind::Audio).optional()
}

/// Steps without waveforms, waveforms without steps, and features that are no spectrogram.
pub fn miswired(steps: &[WaveformParams], upstream: &[Upstream<'_>]) -> Option<ParamError> {
    let wired = |port: &str| upstream.iter().find(|wired| wired.port == port);
    match wired(PORT) {
        None if steps.is_empty() => None,
        None => {
            let error = ParamError::new("waveform", "nothing is connected to the input `audio`");
            Some(error.help("connect what the features are made of: `in: { audio: … }`"))
        }
        Some(_) if steps.is_empty() => {
            let error = ParamError::new("waveform", "the input `audio` is connected, and no step changes it");
            Some(error.help("name steps such as `[time_inversion, stretch]`, or leave `audio` out"))
        }
        Some(_) => wired("features").filter(|wired| wired.output.kind != Kind::Features).map(|wired| {
            let message = format!(
                "`{}` makes no spectrogram, and one of changed waveforms is to stand for it",
                wired.stage.name()
            );
            ParamError::new("waveform", message).help("connect a `spectrogram` to the input `features`")
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> WaveformParams {
        serde_json::from_value(value).unwrap()
    }

    /// What a step makes of a clip, for many seeds.
    fn of_seeds(step: &WaveformParams, clip: &[f32], seeds: u64) -> Vec<Vec<f32>> {
        let one = |seed| {
            let mut samples = clip.to_vec();
            step.apply(&mut samples, 100, &mut Rng::new(seed, "waveform"));
            samples
        };
        (0..seeds).map(one).collect()
    }

    #[test]
    fn names_defaults_and_mistakes() {
        let steps = [
            (json!({ "name": "time_inversion" }), json!({ "name": "time_inversion", "probability": 0.5 })),
            (json!({ "name": "stretch" }), json!({ "name": "stretch", "factor": 1.25 })),
            (json!({ "name": "pad_crop", "seconds": 5 }), json!({ "name": "pad_crop", "seconds": 5.0 })),
        ];
        for (short, long) in steps {
            let step = read(short);
            assert_eq!((step.name(), step.mistake()), (long["name"].as_str().unwrap(), None));
            assert_eq!(serde_json::to_value(&step).unwrap(), long);
        }
        assert!(serde_json::from_value::<WaveformParams>(json!({ "name": "pad_crop" })).is_err());
        let wrong = [
            json!({ "name": "time_inversion", "probability": 1.5 }),
            json!({ "name": "stretch", "factor": 0.8 }),
            json!({ "name": "pad_crop", "seconds": 0 }),
        ];
        let found =
            mistakes(&wrong.map(read)).into_iter().map(|error| format!("{}: {}", error.path, error.message));
        let expected = [
            "waveform[0].probability: 1.5 is outside 0..=1",
            "waveform[1].factor: 0.8 is outside 1..=10",
            "waveform[2].seconds: 0 is outside 0 (exclusive) ..=3600",
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn time_is_turned_round_as_often_as_it_should_be() {
        let clip: Vec<f32> = (0..5).map(|i| i as f32).collect();
        let turned: Vec<f32> = clip.iter().rev().copied().collect();
        for (probability, range) in [(0.0, 0..=0), (1.0, 2000..=2000), (0.3, 497..=703)] {
            // 2,000 x 0.3 with five standard deviations of 20.5.
            let all = of_seeds(&WaveformParams::TimeInversion { probability }, &clip, 2000);
            assert!(all.iter().all(|samples| *samples == clip || *samples == turned));
            let count = all.iter().filter(|samples| **samples == turned).count();
            assert!(range.contains(&count), "{probability}: {count}");
        }
    }

    #[test]
    fn ratios_fill_their_range_evenly_by_their_logarithms() {
        let clip = vec![0.5; 10_000];
        let logs: Vec<f64> = of_seeds(&WaveformParams::Stretch { factor: 1.25 }, &clip, 500)
            .iter()
            .map(|samples| (samples.len() as f64 / 1e4).ln() / 1.25f64.ln())
            .collect();
        assert!(logs.iter().all(|log| (-1.001..=1.0).contains(log)));
        assert!(logs.iter().any(|log| *log < -0.97) && logs.iter().any(|log| *log > 0.97));
        // Five standard errors of the mean of a uniform number in -1..1 are 0.129, of its square 0.067.
        assert!((logs.iter().sum::<f64>() / 500.0).abs() < 0.13);
        assert!((logs.iter().map(|log| log * log).sum::<f64>() / 500.0 - 1.0 / 3.0).abs() < 0.067);
        assert!(
            of_seeds(&WaveformParams::Stretch { factor: 1.0 }, &clip, 3)
                .iter()
                .all(|samples| *samples == clip)
        );
    }

    #[test]
    fn places_and_windows_are_all_those_that_there_are() {
        // At 100 Hz 0.04 s are four samples.
        let step = WaveformParams::PadCrop { seconds: 0.04 };
        let kinds = |clip: &[f32]| {
            let mut all = of_seeds(&step, clip, 300);
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.dedup();
            all
        };
        let padded = [[1.0, 1.0, 1.0, 2.0], [1.0, 1.0, 2.0, 2.0], [1.0, 2.0, 2.0, 2.0]];
        assert_eq!(kinds(&[1.0, 2.0]), padded);
        let cropped = [[-3.0, 3.0, -3.0, 3.0], [3.0, -3.0, 3.0, -3.0]];
        assert_eq!(kinds(&[3.0, -3.0, 3.0, -3.0, 3.0]), cropped);
        assert_eq!(kinds(&[1.0, 2.0, 3.0, 4.0]), [[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(kinds(&[]), [[0.0; 0]]);
    }
}
