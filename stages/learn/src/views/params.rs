//! Parameters of `views`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::named;
use sndpipe_audio::augment::{self, StepParams, WaveformParams, waveform};
use sndpipe_engine::ParamError;

use crate::pretrain::{PairPatches, SamplerParams, sampler_mistakes};
use crate::train::PatchParams;

/// Draws patches of a few clips as they are cut and after each step, one row a view. What a step makes of a waveform is drawn where the
/// patch would be cut if it were the last one.
///
/// These are the views that `pretrain` makes of the same features and split with the same parameters in that epoch, before
/// standardisation. Without a split the clips are all that have features. Colours of a row run from its smallest to its largest
/// value; time goes to the right, frequency upwards, channels stand above each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ViewsParams {
    /// What is cut out of a clip.
    pub patch: PatchParams,
    /// As in `pretrain`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<PairPatches>")]
    pub patches: PairPatches,
    /// As in `pretrain`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<WaveformParams>")]
    pub waveform: Vec<WaveformParams>,
    /// As in `pretrain`.
    #[serde(deserialize_with = "named::list")]
    #[schemars(schema_with = "named::list_schema::<StepParams>")]
    pub views: Vec<StepParams>,
    /// As in `pretrain`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<SamplerParams>")]
    pub samplers: Vec<SamplerParams>,
    /// How many clips, `1..=50`, evenly over all in their order; all where there are fewer.
    pub clips: usize,
    /// The epoch, counted from 1, `1..=1000000`.
    pub epoch: u32,
    /// As in `pretrain`.
    pub seed: u64,
}

impl Default for ViewsParams {
    fn default() -> Self {
        Self {
            patch: PatchParams::default(),
            patches: PairPatches::default(),
            waveform: Vec::new(),
            views: Vec::new(),
            samplers: Vec::new(),
            clips: 3,
            epoch: 1,
            seed: 0,
        }
    }
}

impl ViewsParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = self.patch.mistakes();
        let mut refuse = |wrong: bool, path: &str, value: String, range: &str| {
            if wrong {
                mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
            }
        };
        refuse(!(1..=50).contains(&self.clips), "clips", self.clips.to_string(), "1..=50");
        refuse(!(1..=1_000_000).contains(&self.epoch), "epoch", self.epoch.to_string(), "1..=1000000");
        mistakes.extend(self.patches.mistake());
        mistakes.extend(waveform::mistakes(&self.waveform));
        mistakes.extend(augment::mistakes("views", &self.views));
        mistakes.extend(sampler_mistakes(&self.samplers));
        mistakes
    }
}
