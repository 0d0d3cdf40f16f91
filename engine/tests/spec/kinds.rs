//! Tiny stage kinds that are planned and never run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{Kind, Output, ParamError, Port, Registry, Stage, StageError, StageIo};

/// Every kind of the tests.
pub fn registry() -> Registry {
    Registry::new()
        .with::<Data>()
        .with::<Decode>()
        .with::<Spectrogram>()
        .with::<Split>()
        .with::<Train>()
        .with::<Score>()
        .with::<Evaluate>()
        .with::<Table>()
        .with::<Any>()
}

macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident, $name:literal, $params:ty, [$($input:expr),*], [$($output:expr),*], $check:expr) => {
        $(#[$doc])*
        pub struct $kind;

        impl Stage for $kind {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
            type Params = $params;

            fn check(params: &Self::Params) -> Vec<ParamError> {
                let check: fn(&Self::Params) -> Vec<ParamError> = $check;
                check(params)
            }

            fn inputs(_: &Self::Params) -> Vec<Port> {
                vec![$($input),*]
            }

            fn outputs(_: &Self::Params) -> Vec<Output> {
                vec![$($output),*]
            }

            fn run(_: &Self::Params, _: &mut StageIo<'_>) -> Result<(), StageError> {
                Ok(())
            }
        }
    };
}

/// Reads a data set.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataParams {
    /// The folder of the data set.
    root: String,
    /// Whether to shuffle it.
    #[serde(default)]
    shuffle: bool,
    /// Notes under any names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<String, String>,
}

kind!(
    /// Clips and labels.
    Data, "data", DataParams, [], [Output::new("clips", Kind::Clips), Output::new("labels", Kind::Labels)], |_| Vec::new()
);

/// Decodes clips.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecodeParams {
    /// Samples a second.
    #[serde(default = "rate")]
    sample_rate: u32,
}

fn rate() -> u32 {
    22_050
}

kind!(
    /// Audio of clips.
    Decode, "decode", DecodeParams, [Port::new("clips", Kind::Clips)], [Output::new("audio", Kind::Audio)], |params| {
        if (1000..=192_000).contains(&params.sample_rate) {
            return Vec::new();
        }
        vec![ParamError::new("sample_rate", format!("{} is outside 1000..=192000", params.sample_rate)).help("44100 is usual")]
    }
);

/// Makes spectrograms.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpectrogramParams {
    /// Number of bands.
    bands: usize,
    /// Milliseconds between frames.
    #[serde(default = "hop")]
    hop_ms: f64,
    /// What to do with the spectrogram.
    #[serde(default)]
    augment: Vec<Step>,
}

fn hop() -> f64 {
    10.0
}

/// A step of augmentation.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does.
    kind: StepKind,
    /// How wide, in frames.
    #[serde(default)]
    width: u32,
}

/// Kinds of steps.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Silence some frames.
    TimeMask,
    /// Silence some bands.
    BandMask,
}

kind!(
    /// Features of audio.
    Spectrogram, "spectrogram", SpectrogramParams, [Port::new("audio", Kind::Audio)],
    [Output::new("features", Kind::Features)], |params| {
        let mut errors = Vec::new();
        if !(1..=1024).contains(&params.bands) {
            errors.push(ParamError::new("bands", format!("{} is outside 1..=1024", params.bands)));
        }
        for (index, step) in params.augment.iter().enumerate().filter(|(_, step)| step.width > 100) {
            errors.push(ParamError::new(format!("augment[{index}].width"), format!("{} is outside 0..=100", step.width)));
        }
        errors
    }
);

/// Splits clips.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitParams {
    /// The test fold.
    test: u32,
}

kind!(
    /// A split of clips.
    Split, "split.folds", SplitParams, [Port::new("clips", Kind::Clips)],
    [Output::new("split", Kind::Split), Output::new("contamination", Kind::Table)], |_| Vec::new()
);

/// Trains a network.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainParams {
    /// The loss.
    loss: Loss,
    /// Passes over the data.
    epochs: u32,
    /// For chance.
    #[serde(default)]
    seed: u64,
}

/// A loss function.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Cross entropy.
    Cce {
        /// Without effect.
        #[serde(default)]
        q: Option<f64>,
    },
    /// Its generalisation.
    Lq {
        /// Its exponent.
        #[serde(default)]
        q: Option<f64>,
    },
    /// Any other.
    #[serde(alias = "a", alias = "b")]
    X {
        /// Its exponent.
        #[serde(default)]
        q: Option<f64>,
    },
}

kind!(
    /// A trained model.
    Train, "train", TrainParams,
    [
        Port::any("features", &[Kind::Features, Kind::Audio]),
        Port::new("labels", Kind::Labels),
        Port::new("split", Kind::Split),
        Port::new("init", Kind::Model).optional()
    ],
    [Output::new("model", Kind::Model), Output::new("history", Kind::History)], |_| Vec::new()
);

/// Scores clips.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreParams {
    /// Which clips.
    #[serde(default)]
    subset: Option<String>,
}

kind!(
    /// Scores of clips.
    Score, "score", ScoreParams,
    [Port::new("model", Kind::Model), Port::new("features", Kind::Features), Port::new("split", Kind::Split).optional()],
    [Output::new("scores", Kind::Scores)], |_| Vec::new()
);

/// Compares scores with labels.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateParams {}

kind!(
    /// Metrics of scores.
    Evaluate, "evaluate", EvaluateParams, [Port::new("scores", Kind::Scores), Port::new("labels", Kind::Labels)],
    [Output::new("metrics", Kind::Metrics)], |_| Vec::new()
);

/// Puts metrics together.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableParams {
    /// The axis of the rows.
    #[serde(default)]
    rows: Option<String>,
    /// The axes to take the mean over.
    #[serde(default)]
    over: Vec<String>,
}

kind!(
    /// A table of metrics.
    Table, "table", TableParams, [Port::new("metrics", Kind::Metrics).collecting()],
    [Output::new("table", Kind::Table)], |_| Vec::new()
);

/// Takes any value.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnyParams {
    /// The value.
    #[serde(default)]
    value: serde_json::Value,
    /// Loss functions by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    losses: BTreeMap<String, Loss>,
}

kind!(
    /// Reads what it writes.
    Any, "any", AnyParams, [Port::new("from", Kind::Table).optional()], [Output::new("to", Kind::Table)], |_| Vec::new()
);
