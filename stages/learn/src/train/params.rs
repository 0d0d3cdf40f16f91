//! Parameters of `train`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::named;
use sndpipe_audio::augment::{self, StepParams, WaveformParams, waveform};
use sndpipe_engine::ParamError;
use sndpipe_nn::{Freeze, NnError, Tuning};
use sndpipe_nn::{LossSpec, OptimiserSpec};

use super::batches::Patches;
use super::clean::CleanParams;
use super::init::InitPart;
use super::loss::{Then, output_of};
use super::mixup::MixupParams;
use super::network::NetworkParams;
use super::schedule::ScheduleParams;
use super::smoothing::SmoothingParams;

/// Trains a network on patches of the training subset.
///
/// Every epoch draws one patch of every training clip, its start uniform over all that fit, or goes over all of them
/// (`patches: all`); clips shorter than a patch are repeated. Batches follow a new random order each epoch. Weights, statistics and order see rows of the training subset
/// only; the validation subset, where there is one, decides about the epoch.
///
/// A label that is `ignored` is neither there nor not there: with `bce` its class has no part in the loss of the clip (the sum over
/// classes is still divided by all of them), on the validation subset its pair is left out of every metric.
///
/// `features` may be embeddings: each vector is a frame, and with `patch: { frames: 1 }` a patch; `mlp` takes them as they are, without
/// hidden layers as a linear model.
///
/// With audio at the input `audio` and steps for it (`waveform`), training patches are cut out of features that are made anew for each
/// epoch; statistics, validation and scores have to do with those at `features` alone.
///
/// With a model at the input `init` the training starts from its weights rather than from random ones; names and shapes must
/// be the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainParams {
    /// The network: `vgg41_plain`, `vgg41`, `vgg_like`, `crnn`, `resnet18`, `resnet50`, `mobilenet_v1`, `densenet121`,
    /// `noisy_cnn`, `dense_se`, `mlp`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<NetworkParams>")]
    pub network: NetworkParams,
    /// What the network sees of a clip at once.
    pub patch: PatchParams,
    /// Patches in a step, `1..=65536`.
    pub batch: usize,
    /// Passes over the training clips, `0..=1000000`; with 0 the model has the weights that it starts from, random ones or those of
    /// `init`, and the statistics of the training clips.
    pub epochs: u32,
    /// The loss: `bce` (any number of classes a clip; sigmoid), or for one class a clip (softmax) `cce`, `mae`, `lq`, `lsoft`,
    /// `cce_smooth`, `cce_max`, `cce_outlier`, `lq_max`, `lq_percentile`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<LossSpec>")]
    pub loss: LossSpec,
    /// The optimiser: `adam`, `adamw`, `sgd`, `lars`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<OptimiserSpec>")]
    pub optimiser: OptimiserSpec,
    /// The learning rate that the schedule starts from; above 0.
    pub rate: f64,
    /// How the rate changes: `constant`, `cosine`, `exponential`, `plateau`, or a map such as `{ name: step, at: [0.8], factor: 0.1 }`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<ScheduleParams>")]
    pub schedule: ScheduleParams,
    /// Epochs over which the rate rises linearly, `0..=epochs`; may be a fraction.
    pub warm_up: f64,
    /// How features are shifted and scaled, with statistics of the training clips.
    pub standardise: Standardise,
    /// Ends the training when a metric on the validation subset no longer improves. Absent: all epochs.
    pub early_stopping: Option<EarlyStopping>,
    /// Which epoch's weights become the model.
    pub select: Select,
    /// The largest norm of all gradients together; longer ones are shortened to it. Absent: no limit.
    pub clip_norm: Option<f64>,
    /// Whether the last batch of an epoch is left out where it is incomplete; else it is trained on as it is.
    pub drop_last: bool,
    /// Where initial weights, order, patches and dropout come from.
    pub seed: u64,
    /// What is taken of the model at the input `init`. Absent: its encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<InitPart>,
    /// What the training leaves as it is: `none`, `encoder` (everything before the classifier), or a list of the starts of
    /// parameters' names such as `[conv1., bn1., layer1.]`. Frozen parameters get no update and no decay; batch norms whose
    /// weight is frozen use their running statistics and leave them. Dropout goes on.
    #[serde(skip_serializing_if = "is_none")]
    #[schemars(schema_with = "freeze_schema")]
    pub freeze: Freeze,
    /// Factors of the learning rate, `0..=1000`, by the start of a parameter's name: `{ layer1.: 0.1 }`. Of several that fit, the
    /// longest counts; where none fits, the factor is 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, f64>,
    /// Weight decays, at least 0, by the start of a parameter's name, in place of the optimiser's: `{ fc.weight: 0.002 }`. Of
    /// several that fit, the longest counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub decays: BTreeMap<String, f64>,
    /// Which patches of a clip an epoch trains on.
    #[serde(skip_serializing_if = "is_random")]
    pub patches: Patches,
    /// Steps that the waveforms of training clips take before their patches are cut, in this order: names, or maps with `name` and
    /// options, as in `pretrain`. Their features are made as those at `features` were. With `patches: all` the patches are those
    /// of `features`; one for which a changed waveform is too short is its last. Needs the input `audio`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<WaveformParams>")]
    pub waveform: Vec<WaveformParams>,
    /// Steps that training patches take before they are standardised and mixed, in this order: names, or maps with `name` and
    /// options, as `views` in `pretrain`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<StepParams>")]
    pub augment: Vec<StepParams>,
    /// Mixes patches and their labels. Absent: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<MixupParams>,
    /// Smooths labels, for any loss. Absent: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<SmoothingParams>,
    /// Clips whose labels were checked, by a column of the input `clips`: their loss is `cce`, and only that of the others is the
    /// one of `loss`, which leaves out and smooths only those. Absent: all clips have the same loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<CleanParams>,
    /// Another loss after some epochs. Absent: one loss throughout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
    /// Measures the test subset after each epoch, too, for a curve: `history` has it, and nothing else looks at it. It chooses no epoch,
    /// ends no training and changes no rate.
    #[serde(skip_serializing_if = "is_false")]
    pub test_curve: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_random(patches: &Patches) -> bool {
    *patches == Patches::Random
}

fn is_none(freeze: &Freeze) -> bool {
    *freeze == Freeze::None
}

fn freeze_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "enum": ["none", "encoder"] }, { "type": "array", "items": { "type": "string" } }] })
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            network: NetworkParams::default(),
            patch: PatchParams::default(),
            batch: 32,
            epochs: 60,
            loss: LossSpec::default(),
            optimiser: OptimiserSpec::default(),
            rate: 1e-3,
            schedule: ScheduleParams::default(),
            warm_up: 0.0,
            standardise: Standardise::Global,
            early_stopping: None,
            select: Select::Last,
            clip_norm: None,
            drop_last: false,
            seed: 0,
            init: None,
            freeze: Freeze::None,
            rates: BTreeMap::new(),
            decays: BTreeMap::new(),
            patches: Patches::Random,
            waveform: Vec::new(),
            augment: Vec::new(),
            mixup: None,
            smoothing: None,
            clean: None,
            then: None,
            test_curve: false,
        }
    }
}

/// A stretch of frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatchParams {
    /// Frames of a patch, `1..=65536`.
    pub frames: usize,
    /// Frames between the starts of the patches that a clip is validated and scored with. Absent: half a patch.
    pub hop: Option<usize>,
}

impl Default for PatchParams {
    fn default() -> Self {
        Self { frames: 101, hop: None }
    }
}

impl PatchParams {
    /// The hop that counts.
    #[must_use]
    pub fn hop(&self) -> usize {
        self.hop.unwrap_or(self.frames / 2).max(1)
    }

    /// Every parameter out of its range, as a parameter `patch`.
    pub(crate) fn mistakes(&self) -> Vec<ParamError> {
        let frames = self.frames;
        let mut mistakes = Vec::new();
        if !(1..=65_536).contains(&frames) {
            mistakes.push(ParamError::new("patch.frames", format!("{frames} is outside 1..=65536")));
        }
        if let Some(hop) = self.hop.filter(|&hop| hop == 0 || hop > frames) {
            let message = format!("{hop} is outside 1..={frames} (the frames of a patch)");
            mistakes.push(ParamError::new("patch.hop", message));
        }
        mistakes
    }
}

/// How features are standardised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standardise {
    /// Not at all.
    None,
    /// One mean and one standard deviation of all values.
    #[default]
    Global,
    /// A mean and a standard deviation for every channel and band.
    PerBand,
    /// As the model at the input `init` does it.
    Init,
}

/// When to stop early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// What is watched, on the validation subset.
    pub metric: WatchedMetric,
    /// Epochs without an improvement after which the training ends, `1..=epochs`.
    pub patience: u32,
    /// How much better is better; at least 0.
    #[serde(default)]
    pub min_delta: f64,
}

/// A metric of the validation subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WatchedMetric {
    /// Mean cross entropy of the clips' patches (binary with `bce`); the smaller the better.
    #[serde(rename = "loss")]
    Loss,
    /// Share of clips whose best class is right; not with `bce`.
    #[serde(rename = "accuracy")]
    Accuracy,
    /// Mean over classes of the share of their clips that are right; not with `bce`.
    #[serde(rename = "balanced_accuracy")]
    BalancedAccuracy,
    /// Mean over classes of the average precision, which is the area under the curve of precision over recall: `PR_AUC` is the same.
    #[serde(rename = "mAP", alias = "map", alias = "PR_AUC")]
    MeanAveragePrecision,
}

impl WatchedMetric {
    /// The name in the history.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MeanAveragePrecision => "mAP",
        }
    }

    /// Whether a smaller value is the better one.
    #[must_use]
    pub const fn falls(self) -> bool {
        matches!(self, Self::Loss)
    }
}

/// Which weights become the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// Those of the last epoch.
    #[default]
    Last,
    /// Those of the epoch that was best on the validation subset, by the metric of `early_stopping`, or else by `accuracy`
    /// (one class a clip) or `mAP` (`bce`); the earliest of equals.
    Best,
}

impl TrainParams {
    /// Whether the training needs a validation subset.
    #[must_use]
    pub const fn needs_validation(&self) -> bool {
        self.validates().is_some()
    }

    /// The parameter that needs a validation subset.
    #[must_use]
    pub const fn validates(&self) -> Option<&'static str> {
        if self.early_stopping.is_some() {
            Some("early_stopping")
        } else if matches!(self.select, Select::Best) {
            Some("select")
        } else if matches!(self.schedule, ScheduleParams::Plateau { .. }) {
            Some("schedule")
        } else {
            None
        }
    }

    /// The loss of an epoch, counted from 0.
    #[must_use]
    pub fn loss_in(&self, epoch: u32) -> &LossSpec {
        self.then.as_ref().filter(|then| epoch >= then.after).map_or(&self.loss, |then| &then.loss)
    }

    /// Epochs at the beginning after which the watched metric does not count: those before mixing and before the second loss.
    #[must_use]
    pub fn settling(&self) -> u32 {
        let mixup = self.mixup.as_ref().map_or(0, |mixup| mixup.warm_up);
        mixup.max(self.then.as_ref().map_or(0, |then| then.after))
    }

    /// The metric that chooses the epoch.
    #[must_use]
    pub fn watched(&self) -> WatchedMetric {
        let default = match output_of(&self.loss) {
            OutputKind::Softmax => WatchedMetric::Accuracy,
            OutputKind::Sigmoid => WatchedMetric::MeanAveragePrecision,
        };
        self.early_stopping.as_ref().map_or(default, |stopping| stopping.metric)
    }

    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let lengths = (self.batch, self.epochs);
        let mut mistakes = course_mistakes(&self.patch, lengths, (self.rate, self.warm_up), self.clip_norm);
        let mut refuse = |wrong: bool, path: &str, value: &dyn std::fmt::Display, range: &str| {
            if wrong {
                mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
            }
        };
        let outside = |value: f64, low: f64, high: f64| !(low..=high).contains(&value);
        if let Some(stopping) = &self.early_stopping {
            let range = format!("1..={} (epochs)", self.epochs);
            refuse(
                stopping.patience == 0 || stopping.patience > self.epochs,
                "early_stopping.patience",
                &stopping.patience,
                &range,
            );
            refuse(
                !(stopping.min_delta >= 0.0 && stopping.min_delta.is_finite()),
                "early_stopping.min_delta",
                &stopping.min_delta,
                "the numbers from 0",
            );
        }
        for (prefix, factor) in &self.rates {
            refuse(outside(*factor, 0.0, 1e3), "rates", &format!("{factor} for `{prefix}`"), "0..=1000");
        }
        for (prefix, decay) in &self.decays {
            let wrong = !(*decay >= 0.0 && decay.is_finite());
            refuse(wrong, "decays", &format!("{decay} for `{prefix}`"), "the numbers from 0");
        }
        if let Freeze::Prefixes(prefixes) = &self.freeze
            && (prefixes.is_empty() || prefixes.iter().any(String::is_empty))
        {
            let error = ParamError::new("freeze", "a list of starts of names is empty, or one of them");
            mistakes.push(error.help("name what is frozen, such as `[conv1., layer1.]`, or write `none`"));
        }
        mistakes.extend(self.schedule.mistakes(self.epochs));
        if self.warm_up > 0.0 && matches!(self.schedule, ScheduleParams::Exponential { .. }) {
            let error = ParamError::new("warm_up", "the schedule `exponential` has a warm-up of its own");
            mistakes.push(error.help("write `schedule: { name: exponential, warm_up: 15 }`"));
        }
        mistakes.extend(self.network.mistake());
        if let Err(error) = self.loss.check() {
            mistakes.push(nested("loss", &error));
        }
        if let Err(error) = self.optimiser.check() {
            mistakes.push(nested("optimiser", &error));
        }
        mistakes.extend(waveform::mistakes(&self.waveform));
        mistakes.extend(augment::mistakes("augment", &self.augment));
        mistakes.extend(self.mixup.iter().flat_map(|mixup| mixup.mistakes(self.epochs)));
        mistakes.extend(self.smoothing.iter().flat_map(SmoothingParams::mistakes));
        mistakes.extend(self.clean.iter().flat_map(|clean| clean.mistakes(&self.loss)));
        mistakes.extend(self.then.iter().flat_map(|then| then.mistakes(self)));
        let clip_metric = self.early_stopping.as_ref().map(|stopping| stopping.metric);
        if self.loss == LossSpec::Bce
            && matches!(clip_metric, Some(WatchedMetric::Accuracy | WatchedMetric::BalancedAccuracy))
        {
            let error = ParamError::new(
                "early_stopping.metric",
                "accuracy needs one class a clip, and `bce` allows several",
            );
            mistakes.push(error.help("watch `mAP` or `loss`, or train with `cce`"));
        }
        let tuning = self.tuning();
        if mistakes.is_empty()
            && tuning != Tuning::default()
            && let Err(error) = tuning.check(&self.network.spec())
        {
            mistakes.push(match error {
                NnError::Range { name, value, range } => {
                    ParamError::new(name, format!("{value} is not allowed, it must be {range}"))
                }
                other => ParamError::new("network", other.to_string()),
            });
        }
        mistakes
    }

    /// Which parameters are trained, and how fast.
    pub(super) fn tuning(&self) -> Tuning {
        Tuning { freeze: self.freeze.clone(), rates: self.rates.clone(), decays: self.decays.clone() }
    }
}

/// Every parameter out of its range of those that every training has.
pub(crate) fn course_mistakes(
    patch: &PatchParams,
    (batch, epochs): (usize, u32),
    (rate, warm_up): (f64, f64),
    clip_norm: Option<f64>,
) -> Vec<ParamError> {
    let mut mistakes = patch.mistakes();
    let mut refuse = |wrong: bool, path: &str, value: &dyn std::fmt::Display, range: &str| {
        if wrong {
            mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
        }
    };
    refuse(!(1..=65_536).contains(&batch), "batch", &batch, "1..=65536");
    refuse(epochs > 1_000_000, "epochs", &epochs, "0..=1000000");
    refuse(!(rate > 0.0 && rate <= 1e3), "rate", &rate, "0 (exclusive) ..=1000");
    let range = format!("0..={epochs} (epochs)");
    refuse(!(0.0..=f64::from(epochs)).contains(&warm_up), "warm_up", &warm_up, &range);
    if let Some(norm) = clip_norm {
        refuse(!(norm > 0.0 && norm.is_finite()), "clip_norm", &norm, "the positive numbers");
    }
    mistakes
}

/// An error of the networks' crate as one of a nested parameter.
pub(crate) fn nested(parameter: &str, error: &NnError) -> ParamError {
    match error {
        NnError::Range { name, value, range } => {
            let name = if parameter == "optimiser" && name == "epsilon" { "eps" } else { name };
            ParamError::new(
                format!("{parameter}.{name}"),
                format!("{value} is not allowed, it must be {range}"),
            )
        }
        other => ParamError::new(parameter, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<TrainParams, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_and_a_map_are_one() {
        let short =
            read(json!({ "network": "mlp", "loss": "bce", "optimiser": "sgd", "schedule": "cosine" }))
                .unwrap();
        let long = read(json!({
            "network": { "name": "mlp", "hidden": [256] }, "loss": { "name": "bce" },
            "optimiser": { "name": "sgd", "momentum": 0.0 }, "schedule": { "name": "cosine", "minimum": 0.0 },
        }))
        .unwrap();
        assert_eq!(short, long);
        assert_eq!(serde_json::to_value(&short).unwrap(), serde_json::to_value(&long).unwrap());
    }

    #[test]
    fn a_nested_typing_mistake_is_named() {
        let error = read(json!({ "network": { "name": "mlp", "hiden": [3] } })).unwrap_err();
        assert!(error.contains("unknown field `hiden`"), "{error}");
        let error = read(json!({ "network": "vgg14" })).unwrap_err();
        assert!(error.contains("unknown variant `vgg14`") && error.contains("vgg41_plain"), "{error}");
        let error = read(json!({ "schedule": { "name": "constant", "factor": 1 } })).unwrap_err();
        assert!(error.contains("unknown field `factor`"), "{error}");
    }

    #[test]
    fn the_usual_width_is_not_written() {
        let network = |value: Value| serde_json::to_value(read(json!({ "network": value })).unwrap().network);
        let usual = network(json!({ "name": "vgg41", "width": 1 })).unwrap();
        assert_eq!(usual, json!({ "name": "vgg41", "k": 1, "pool": "mp", "norm": "l1_induced" }));
        assert_eq!(network(json!({ "name": "vgg41", "width": 0.5 })).unwrap()["width"], 0.5);
    }

    #[test]
    fn what_is_frozen_is_named() {
        let params = read(json!({ "freeze": ["conv1.", ""], "rates": { "layer1.": -1 } })).unwrap();
        let errors: Vec<String> =
            params.mistakes().into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        let expected = [
            "rates: -1 for `layer1.` is outside 0..=1000",
            "freeze: a list of starts of names is empty, or one of them",
        ];
        assert_eq!(errors, expected);
        let unknown = |with: Value| -> Vec<String> {
            let mistakes = read(with).unwrap().mistakes().into_iter();
            mistakes.map(|error| format!("{}: {}", error.path, error.message)).collect()
        };
        let found = unknown(json!({ "network": "dense_se", "decays": { "fc1.weight": 0.002 } }));
        let start = "must be the start of a parameter's name, such as `bn.weight`";
        assert_eq!(found, [format!("decays: `fc1.weight` is not allowed, it {start}")]);
        let networks = [
            "vgg41_plain",
            "vgg41",
            "vgg_like",
            "crnn",
            "resnet18",
            "resnet50",
            "mobilenet_v1",
            "noisy_cnn",
            "dense_se",
            "mlp",
        ];
        for network in networks {
            assert_eq!(unknown(json!({ "network": network, "rates": { "fc.": 0.5 } })), [""; 0], "{network}");
        }
        let stereo = json!({ "name": "resnet50", "stereo": true, "attention": true });
        assert_eq!(unknown(json!({ "network": stereo, "freeze": ["conv1.", "layer1."] })), [""; 0]);
        assert_eq!(unknown(json!({ "network": "densenet121", "rates": { "classifier.": 0.5 } })), [""; 0]);
        let error = read(json!({ "freeze": "everything" })).unwrap_err();
        assert!(error.contains("expected `none`, `encoder` or a list"), "{error}");
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(TrainParams::default().mistakes(), Vec::new());
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let params = read(json!({
            "patch": { "frames": 10, "hop": 11 }, "batch": 0, "epochs": 5, "rate": -1.0, "warm_up": 6, "clip_norm": 0.0,
            "schedule": { "name": "step", "at": [0.5, 7], "factor": 2 }, "network": { "name": "mlp", "hidden": [0] },
            "optimiser": { "name": "adam", "betas": [0.9, 1.0] }, "loss": "bce",
            "early_stopping": { "metric": "accuracy", "patience": 9, "min_delta": -1 },
            "waveform": [{ "name": "pad_crop", "seconds": 0 }], "augment": ["crop", { "name": "noise", "deviation": -1 }],
        }))
        .unwrap();
        let paths: Vec<String> = params.mistakes().into_iter().map(|error| error.path).collect();
        let expected = [
            "patch.hop",
            "batch",
            "rate",
            "warm_up",
            "clip_norm",
            "early_stopping.patience",
            "early_stopping.min_delta",
            "schedule.at[1]",
            "schedule.factor",
            "network.hidden",
            "optimiser.betas",
            "waveform[0].seconds",
            "augment[1].deviation",
            "early_stopping.metric",
        ];
        assert_eq!(paths, expected);
    }
}
