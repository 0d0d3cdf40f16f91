//! Parameters of `model.import`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::named;
use sndpipe_artefacts::{OutputKind, Standardisation};
use sndpipe_engine::{ParamError, counted};
use sndpipe_nn::{InputShape, Loading};

use crate::train::{NetworkParams, PatchParams};

/// Reads a model that was trained elsewhere from a safetensors file, to score, to embed, or to start a training from.
///
/// Tensors find their places by name. The networks here have the names of torchvision and timm (`conv1.weight`,
/// `layer1.0.bn1.running_mean`, `fc.weight`); others are translated by `drop` and `map`. F64, F16 and BF16 become f32, counters
/// of batches are left out, and nothing is transposed. Save a PyTorch model with
/// `safetensors.torch.save_file(model.state_dict(), "model.safetensors")`.
///
/// Output: `model`, which takes any features of its shape and standardises them by `mean` and `std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportParams {
    /// The `.safetensors` file. Its content counts, not its place.
    #[serde(skip_serializing)]
    pub file: PathBuf,
    /// The network, as in `train`: a name, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<NetworkParams>")]
    pub network: NetworkParams,
    /// Bands of the features that the network reads, `1..=65536`.
    pub bands: usize,
    /// Channels of the features, `1..=1024`.
    #[serde(default = "one")]
    pub channels: usize,
    /// What the network sees of a clip at once.
    #[serde(default)]
    pub patch: PatchParams,
    /// The classes in the order of the outputs. Absent: as many as the classifier in the file has, named `0`, `1`, ….
    #[serde(default)]
    pub classes: Vec<String>,
    /// What turns the network's outputs into scores.
    #[serde(default = "softmax")]
    pub output: OutputKind,
    /// What is taken off features first: one number, one for each channel, or one for each channel and band (channel by
    /// channel). Absent, as `std`: features are left as they are.
    #[serde(default)]
    pub mean: Vec<f32>,
    /// What features are divided by then; as many numbers as `mean`, all above 0.
    #[serde(default)]
    pub std: Vec<f32>,
    /// Tensors that are left out, by the start of their names in the file: `[fc.]`.
    #[serde(default)]
    pub drop: Vec<String>,
    /// New starts of names; of several that fit a name, the first counts: `[{ from: module., to: "" }]`.
    #[serde(default)]
    pub map: Vec<Rename>,
    /// How far file and network may differ.
    #[serde(default)]
    pub partial: Partial,
    /// Where the initial values of what the file lacks come from.
    #[serde(default)]
    pub seed: u64,
}

/// A start of names and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The start of names in the file.
    pub from: String,
    /// What the name starts with instead.
    #[serde(default)]
    pub to: String,
}

/// How far file and network may differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partial {
    /// Not at all: every tensor of the network is in the file, and nothing else.
    #[default]
    None,
    /// What the file lacks keeps its initial value, what the network lacks is left out.
    Names,
    /// The same, and what has another shape keeps its initial value, too.
    Shapes,
}

const fn one() -> usize {
    1
}

const fn softmax() -> OutputKind {
    OutputKind::Softmax
}

impl ImportParams {
    /// The shape of a patch.
    #[must_use]
    pub const fn input(&self) -> InputShape {
        InputShape { channels: self.channels, frames: self.patch.frames, bands: self.bands }
    }

    /// How tensors find their places.
    #[must_use]
    pub fn loading(&self) -> Loading {
        Loading {
            drop: self.drop.clone(),
            rename: self.map.iter().map(|rename| (rename.from.clone(), rename.to.clone())).collect(),
            partial: match self.partial {
                Partial::None => sndpipe_nn::Partial::None,
                Partial::Names => sndpipe_nn::Partial::Names,
                Partial::Shapes => sndpipe_nn::Partial::Shapes,
            },
        }
    }

    /// What is done to features first; numbers for each channel are repeated for its bands.
    #[must_use]
    pub fn standardisation(&self) -> Standardisation {
        let spread = |numbers: &[f32]| -> Vec<f32> {
            if numbers.len() == 1 || numbers.len() != self.channels {
                return numbers.to_vec();
            }
            numbers.iter().flat_map(|&number| std::iter::repeat_n(number, self.bands)).collect()
        };
        Standardisation { mean: spread(&self.mean), std: spread(&self.std) }
    }

    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = self.patch.mistakes();
        mistakes.extend(self.network.mistake());
        for (path, value, most) in [("bands", self.bands, 65_536), ("channels", self.channels, 1024)] {
            if !(1..=most).contains(&value) {
                mistakes.push(ParamError::new(path, format!("{value} is outside 1..={most}")));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, class) in self.classes.iter().enumerate() {
            if !seen.insert(class) {
                mistakes
                    .push(ParamError::new(format!("classes[{index}]"), format!("`{class}` is listed twice")));
            }
        }
        for (index, prefix) in self.drop.iter().enumerate().filter(|(_, prefix)| prefix.is_empty()) {
            let message = format!("`{prefix}` leaves out every tensor");
            mistakes.push(ParamError::new(format!("drop[{index}]"), message));
        }
        let all = self.channels.saturating_mul(self.bands);
        for (path, numbers) in [("mean", &self.mean), ("std", &self.std)] {
            if ![0, 1, self.channels, all].contains(&numbers.len()) {
                let message = format!(
                    "{} for {} of {}",
                    counted(numbers.len(), "number"),
                    counted(self.channels, "channel"),
                    counted(self.bands, "band")
                );
                let help = "give one number, one for each channel, or one for each channel and band";
                mistakes.push(ParamError::new(path, message).help(help));
            }
        }
        if self.mean.len() != self.std.len() {
            let message = format!("{} numbers, and `mean` has {}", self.std.len(), self.mean.len());
            mistakes.push(ParamError::new("std", message).help("give `mean` and `std` alike"));
        }
        if let Some(mean) = self.mean.iter().find(|mean| !mean.is_finite()) {
            mistakes.push(ParamError::new("mean", format!("{mean} is no finite number")));
        }
        if let Some(std) = self.std.iter().find(|std| !(**std > 0.0 && std.is_finite())) {
            mistakes.push(ParamError::new("std", format!("{std} is outside the positive numbers")));
        }
        mistakes
    }
}
