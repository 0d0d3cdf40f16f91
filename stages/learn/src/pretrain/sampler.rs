//! Where both patches of a pair come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_audio::augment::{Edge, NoiseForm, StepParams};
use sndpipe_engine::ParamError;

/// Which two patches of a clip are a pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum PairPatches {
    /// Two, the start of each uniform over all that fit.
    #[default]
    Random,
    /// One patch, twice.
    Same,
    /// A random one, and another whose start is uniform over those at most some frames from its start.
    Near {
        /// Frames, `0..=1048576`.
        frames: usize,
    },
}

/// A way to make the second patch of a pair of the first. The source names the ways; the defaults are ours.
///
/// # Source
/// Jansen et al., *Unsupervised Learning of Semantic Audio Representations*, ICASSP 2018.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplerParams {
    /// The same patch, each value multiplied by 1 + |e| with a normal number e.
    Noise {
        /// Standard deviation of e, `0..=100`.
        #[serde(default = "deviation")]
        deviation: f64,
    },
    /// The same patch, moved round in time by any number of frames and in frequency by some bands, with nothing coming in.
    Translation {
        /// The most bands, `2..=65536`.
        #[serde(default = "bands")]
        bands: usize,
    },
    /// The same patch, to which another clip is added.
    Mixing {
        /// Energy of what is added, as a share of the patch's; `0..=100`.
        #[serde(default = "share")]
        share: f64,
    },
    /// Another patch of the same clip.
    Proximity {
        /// The most frames between their starts, `0..=1048576`. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frames: Option<usize>,
    },
    /// A patch of another clip that shares a class: what labels could teach. A class of the clip that others have, then one of these, each
    /// with the same probability; where there is none, another patch of the same clip. No clip that shares a class with it is its negative.
    SameClass {},
}

const fn deviation() -> f64 {
    0.5
}

const fn bands() -> usize {
    10
}

const fn share() -> f64 {
    0.25
}

/// The most frames of a distance.
const MOST: usize = 1 << 20;

fn too_far(frames: usize, path: String) -> Option<ParamError> {
    (frames > MOST).then(|| ParamError::new(path, format!("{frames} is outside 0..={MOST}")))
}

impl PairPatches {
    /// The option out of its range.
    pub(crate) fn mistake(self) -> Option<ParamError> {
        let Self::Near { frames } = self else { return None };
        too_far(frames, "patches.frames".to_owned())
    }
}

/// How a pair is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairRecipe {
    pub patches: PairPatches,
    /// Whether the second patch is one of another clip that shares a class, where there is one.
    pub by_class: bool,
    /// Steps that only the second patch takes.
    pub second: Vec<StepParams>,
}

impl PairRecipe {
    /// Two patches without steps of their own.
    const fn of(patches: PairPatches) -> Self {
        Self { patches, by_class: false, second: Vec::new() }
    }
}

impl SamplerParams {
    /// The name in a pipeline file.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Noise { .. } => "noise",
            Self::Translation { .. } => "translation",
            Self::Mixing { .. } => "mixing",
            Self::Proximity { .. } => "proximity",
            Self::SameClass {} => "same_class",
        }
    }

    /// How it makes a pair.
    pub(crate) fn recipe(&self) -> PairRecipe {
        let same = |second| PairRecipe { patches: PairPatches::Same, by_class: false, second };
        match *self {
            Self::Noise { deviation } => {
                same(vec![StepParams::Noise { deviation, form: NoiseForm::Multiplicative }])
            }
            Self::Translation { bands } => same(vec![
                StepParams::TimeShift { frames: 65_536 },
                StepParams::FrequencyShift { bands, edge: Edge::Cut },
            ]),
            Self::Mixing { share } => same(vec![StepParams::Mix { share }]),
            Self::Proximity { frames } => {
                let patches = frames.map_or(PairPatches::Random, |frames| PairPatches::Near { frames });
                PairRecipe::of(patches)
            }
            Self::SameClass {} => PairRecipe { by_class: true, ..PairRecipe::of(PairPatches::Random) },
        }
    }

    /// The option out of its range.
    fn mistake(&self, at: usize) -> Option<ParamError> {
        let option = match self {
            Self::Noise { .. } => "deviation",
            Self::Translation { .. } => "bands",
            Self::Mixing { .. } => "share",
            Self::SameClass {} => return None,
            Self::Proximity { frames } => {
                return too_far(frames.unwrap_or(0), format!("samplers[{at}].frames"));
            }
        };
        let mut wrong = sndpipe_audio::augment::mistakes("samplers", &self.recipe().second).into_iter();
        wrong.next().map(|error| ParamError::new(format!("samplers[{at}].{option}"), error.message))
    }
}

/// Whether some sampler reads labels.
pub(crate) fn by_class(samplers: &[SamplerParams]) -> bool {
    samplers.contains(&SamplerParams::SameClass {})
}

/// Every option out of its range of some samplers.
pub(crate) fn sampler_mistakes(samplers: &[SamplerParams]) -> Vec<ParamError> {
    samplers.iter().enumerate().filter_map(|(at, sampler)| sampler.mistake(at)).collect()
}

/// One recipe for each sampler, or the one of `patches` where there is none.
pub(crate) fn recipes(patches: PairPatches, samplers: &[SamplerParams]) -> Vec<PairRecipe> {
    if samplers.is_empty() {
        return vec![PairRecipe::of(patches)];
    }
    samplers.iter().map(SamplerParams::recipe).collect()
}
