//! Parameters of `train`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;
use sndpipe_nn::{Freeze, LossSpec, NetworkSpec, NnError, PoolingSpec, ScheduleSpec, ops::PolyphaseNorm};

use super::init::InitPart;
use super::optimiser::OptimiserParams;
use crate::model::OutputKind;
use crate::named;

/// Trains a network on random patches of the training subset.
///
/// Every epoch draws one patch of every training clip, its start uniform over all that fit; clips shorter than a patch are
/// repeated. Batches follow a new random order each epoch. Weights, statistics and order see rows of the training subset
/// only; the validation subset, where there is one, decides about the epoch.
///
/// With a model at the input `init` the training starts from its weights rather than from random ones; names and shapes must
/// be the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainParams {
    /// The network: `vgg41_plain`, `vgg41`, `vgg_like`, `crnn`, `resnet18`, `resnet50`, `mobilenet_v1`, `densenet121`,
    /// `noisy_cnn`, `mlp`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<NetworkParams>")]
    pub network: NetworkParams,
    /// What the network sees of a clip at once.
    pub patch: PatchParams,
    /// Patches in a step, `1..=65536`.
    pub batch: usize,
    /// Passes over the training clips, `1..=1000000`.
    pub epochs: u32,
    /// The loss: `bce` (any number of classes a clip; sigmoid), or for one class a clip (softmax) `cce`, `mae`, `lq`, `lsoft`,
    /// `cce_smooth`, `cce_max`, `cce_outlier`, `lq_max`, `lq_percentile`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<LossParams>")]
    pub loss: LossParams,
    /// The optimiser: `adam`, `adamw`, `sgd`, `lars`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<OptimiserParams>")]
    pub optimiser: OptimiserParams,
    /// The learning rate that the schedule starts from; above 0.
    pub rate: f64,
    /// How the rate changes: `constant`, `cosine`, or a map such as `{ name: step, at: [0.8], factor: 0.1 }`.
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
            loss: LossParams::default(),
            optimiser: OptimiserParams::default(),
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
        }
    }
}

/// A network with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkParams {
    /// Eight 3x3 convolutions in four blocks, max-pooling between them.
    Vgg41Plain {
        /// Factor of all channel counts, `0.03125..=16`.
        #[serde(default = "one")]
        width: f64,
    },
    /// VGG41 and VGG42 of the work on shift invariance: nine 3x3 convolutions, a maximum at stride 1 inside the blocks.
    Vgg41 {
        /// Factor of all channel counts, `1..=8`: 1 for VGG41, 2 for VGG42.
        #[serde(default = "once")]
        k: usize,
        /// How a block halves the map: `mp`, `aps`, or a map such as `{ tlpf: 5 }` with `blur`, `tlpf`, `aps_tlpf` or
        /// `aps_blur` and the size of the filter (`3..=7`, trained ones from 2).
        #[serde(default = "max_pooling")]
        #[schemars(with = "serde_json::Value")]
        pool: PoolingSpec,
        /// The norm by which adaptive polyphase sampling chooses: `l1_induced` (published as l1), `l1_flat`, `l2`, `l_inf`.
        #[serde(default = "induced")]
        #[schemars(with = "String")]
        norm: PolyphaseNorm,
        /// Factor of all channel counts beside `k`, `0.03125..=16`.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        width: f64,
    },
    /// Six 3x3 convolutions, maximum and mean of the map, a hidden layer: the VGG-like baseline of FSD50K.
    VggLike {
        /// Units of the hidden layer, `1..=1048576`.
        #[serde(default = "vgg_hidden")]
        hidden: usize,
    },
    /// Three 5x5 convolutions and a bidirectional recurrent layer: the CRNN baseline of FSD50K. Patches of 8 frames and 40 bands
    /// or more.
    Crnn {},
    /// ResNet-18.
    Resnet18 {},
    /// ResNet-50.
    Resnet50 {
        /// ESResNet's attention at five places.
        #[serde(default)]
        attention: bool,
        /// Whether the first and the second half of the channels are two images whose features are added.
        #[serde(default)]
        stereo: bool,
    },
    /// MobileNetV1 of the DCASE 2019 Task 2 baseline.
    MobilenetV1 {},
    /// DenseNet-121.
    Densenet121 {},
    /// Three 5x5 convolutions and a hidden layer: the network of the papers on noisy labels.
    NoisyCnn {
        /// Probability that a value before each fully connected layer is dropped in training, `0..1`.
        #[serde(default = "half")]
        dropout: f64,
    },
    /// Fully connected layers.
    Mlp {
        /// Sizes of the hidden layers; an empty list gives a linear model.
        #[serde(default = "hidden")]
        hidden: Vec<usize>,
        /// Probability that a hidden value is dropped in training, `0..1`.
        #[serde(default)]
        dropout: f64,
    },
}

const fn one() -> f64 {
    1.0
}

fn is_one(width: &f64) -> bool {
    *width == 1.0
}

const fn once() -> usize {
    1
}

const fn half() -> f64 {
    0.5
}

const fn vgg_hidden() -> usize {
    512
}

const fn max_pooling() -> PoolingSpec {
    PoolingSpec::Mp
}

const fn induced() -> PolyphaseNorm {
    PolyphaseNorm::L1Induced
}

fn hidden() -> Vec<usize> {
    vec![256]
}

impl Default for NetworkParams {
    fn default() -> Self {
        Self::Vgg41Plain { width: one() }
    }
}

impl NetworkParams {
    /// The description that builds the network.
    #[must_use]
    pub fn spec(&self) -> NetworkSpec {
        match self {
            Self::Vgg41Plain { width } => NetworkSpec::Vgg41Plain { width: *width },
            Self::Vgg41 { k, pool, norm, width } => {
                NetworkSpec::Vgg41 { k: *k, pool: *pool, norm: *norm, width: *width }
            }
            Self::VggLike { hidden } => NetworkSpec::VggLike { hidden: *hidden },
            Self::Crnn {} => NetworkSpec::Crnn,
            Self::Resnet18 {} => NetworkSpec::Resnet18,
            Self::Resnet50 { attention, stereo } => {
                NetworkSpec::Resnet50 { attention: *attention, stereo: *stereo }
            }
            Self::MobilenetV1 {} => NetworkSpec::MobilenetV1,
            Self::Densenet121 {} => NetworkSpec::Densenet121,
            Self::NoisyCnn { dropout } => NetworkSpec::NoisyCnn { dropout: *dropout },
            Self::Mlp { hidden, dropout } => NetworkSpec::Mlp { hidden: hidden.clone(), dropout: *dropout },
        }
    }

    /// The same without what changes neither names nor shapes of parameters.
    pub(crate) fn layout(&self) -> Self {
        match self {
            Self::Vgg41 { k, pool, width, .. } => {
                let pool = match *pool {
                    PoolingSpec::Tlpf(size) | PoolingSpec::ApsTlpf(size) => PoolingSpec::Tlpf(size),
                    _ => PoolingSpec::Mp,
                };
                Self::Vgg41 { k: *k, pool, norm: induced(), width: *width }
            }
            Self::Resnet50 { attention, .. } => Self::Resnet50 { attention: *attention, stereo: false },
            Self::NoisyCnn { .. } => Self::NoisyCnn { dropout: half() },
            Self::Mlp { hidden, dropout } => {
                // A dropout between two layers moves the number of the second one.
                Self::Mlp { hidden: hidden.clone(), dropout: if *dropout > 0.0 { half() } else { 0.0 } }
            }
            other => other.clone(),
        }
    }

    /// A parameter that is out of range.
    pub(crate) fn mistake(&self) -> Option<ParamError> {
        self.spec().check().err().map(|error| nested("network", &error))
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

/// A loss with its options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum LossParams {
    /// Categorical cross entropy of the softmax.
    #[default]
    Cce,
    /// Binary cross entropy of the sigmoid, the mean over classes.
    Bce,
    /// Mean absolute error of the softmax.
    Mae,
    /// Generalised cross entropy, between `cce` (q towards 0) and `mae` (q = 1).
    Lq {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
    },
    /// Soft bootstrapping: the targets are mixed with the network's own scores.
    Lsoft {
        /// Weight of the labels, `0..=1`.
        #[serde(default = "beta")]
        beta: f64,
    },
    /// `cce` with smoothed labels.
    CceSmooth {
        /// What is taken from the label and spread over all classes, `0..=1`.
        #[serde(default = "smoothing")]
        epsilon: f64,
    },
    /// `cce` without the samples whose loss is above a share of the batch's largest.
    CceMax {
        /// Above 0, at most 1.
        #[serde(default = "max_share")]
        share: f64,
    },
    /// `cce` without the samples whose loss is above the batch's median by some standard deviations.
    CceOutlier {
        /// At least 0.
        #[serde(default = "deviations")]
        deviations: f64,
    },
    /// `lq` without the samples whose loss is above a share of the batch's largest.
    LqMax {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// Above 0, at most 1.
        share: f64,
    },
    /// `lq` without the samples whose loss is above a percentile of the batch.
    LqPercentile {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
        /// `0..=100`.
        percentile: f64,
    },
}

const fn q() -> f64 {
    0.7
}

const fn beta() -> f64 {
    0.3
}

const fn smoothing() -> f64 {
    0.15
}

const fn max_share() -> f64 {
    0.6
}

const fn deviations() -> f64 {
    1.9
}

impl LossParams {
    /// What turns the logits of a network with this loss into scores.
    #[must_use]
    pub const fn output(&self) -> OutputKind {
        match self {
            Self::Bce => OutputKind::Sigmoid,
            _ => OutputKind::Softmax,
        }
    }

    /// The loss of the networks' crate.
    #[must_use]
    pub const fn spec(&self) -> LossSpec {
        match *self {
            Self::Cce => LossSpec::Cce,
            Self::Bce => LossSpec::Bce,
            Self::Mae => LossSpec::Mae,
            Self::Lq { q } => LossSpec::Lq { q },
            Self::Lsoft { beta } => LossSpec::Lsoft { beta },
            Self::CceSmooth { epsilon } => LossSpec::CceSmooth { epsilon },
            Self::CceMax { share } => LossSpec::CceMax { share },
            Self::CceOutlier { deviations } => LossSpec::CceOutlier { deviations },
            Self::LqMax { q, share } => LossSpec::LqMax { q, share },
            Self::LqPercentile { q, percentile } => LossSpec::LqPercentile { q, percentile },
        }
    }
}

/// A schedule with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleParams {
    /// The same rate throughout.
    Constant {},
    /// The rate is multiplied by `factor` at each point.
    Step {
        /// Epochs done before each drop; a number below 1 is a share of all epochs.
        at: Vec<f64>,
        /// What the rate is multiplied by, `0..=1`.
        #[serde(default = "tenth")]
        factor: f64,
    },
    /// Half a cosine down from the rate.
    Cosine {
        /// Share of the rate that is left at the end, `0..=1`.
        #[serde(default)]
        minimum: f64,
    },
}

const fn tenth() -> f64 {
    0.1
}

impl Default for ScheduleParams {
    fn default() -> Self {
        Self::Constant {}
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
        self.early_stopping.is_some() || matches!(self.select, Select::Best)
    }

    /// The metric that chooses the epoch.
    #[must_use]
    pub fn watched(&self) -> WatchedMetric {
        let default = match self.loss.output() {
            OutputKind::Softmax => WatchedMetric::Accuracy,
            OutputKind::Sigmoid => WatchedMetric::MeanAveragePrecision,
        };
        self.early_stopping.as_ref().map_or(default, |stopping| stopping.metric)
    }

    /// The schedule with its warm-up.
    #[must_use]
    pub fn schedule_spec(&self) -> ScheduleSpec {
        let warmup = self.warm_up;
        match &self.schedule {
            ScheduleParams::Constant {} if warmup > 0.0 => ScheduleSpec::Warmup { warmup },
            ScheduleParams::Constant {} => ScheduleSpec::Constant,
            ScheduleParams::Step { at, factor } => {
                ScheduleSpec::Step { milestones: at.clone(), gamma: *factor, warmup }
            }
            ScheduleParams::Cosine { minimum } => ScheduleSpec::Cosine { minimum: *minimum, warmup },
        }
    }

    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = self.patch.mistakes();
        let mut refuse = |wrong: bool, path: &str, value: &dyn std::fmt::Display, range: &str| {
            if wrong {
                mistakes.push(ParamError::new(path, format!("{value} is outside {range}")));
            }
        };
        let outside = |value: f64, low: f64, high: f64| !(low..=high).contains(&value);
        refuse(!(1..=65_536).contains(&self.batch), "batch", &self.batch, "1..=65536");
        refuse(!(1..=1_000_000).contains(&self.epochs), "epochs", &self.epochs, "1..=1000000");
        refuse(!(self.rate > 0.0 && self.rate <= 1e3), "rate", &self.rate, "0 (exclusive) ..=1000");
        let epochs = f64::from(self.epochs);
        refuse(
            outside(self.warm_up, 0.0, epochs),
            "warm_up",
            &self.warm_up,
            &format!("0..={epochs} (epochs)"),
        );
        if let Some(norm) = self.clip_norm {
            refuse(!(norm > 0.0 && norm.is_finite()), "clip_norm", &norm, "the positive numbers");
        }
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
        match &self.schedule {
            ScheduleParams::Constant {} => {}
            ScheduleParams::Step { at, factor } => {
                for (index, point) in at.iter().enumerate() {
                    refuse(
                        outside(*point, 0.0, epochs),
                        &format!("schedule.at[{index}]"),
                        point,
                        &format!("0..={epochs} (epochs, or a share below 1)"),
                    );
                }
                refuse(outside(*factor, 0.0, 1.0), "schedule.factor", factor, "0..=1");
            }
            ScheduleParams::Cosine { minimum } => {
                refuse(outside(*minimum, 0.0, 1.0), "schedule.minimum", minimum, "0..=1")
            }
        }
        for (prefix, factor) in &self.rates {
            refuse(outside(*factor, 0.0, 1e3), "rates", &format!("{factor} for `{prefix}`"), "0..=1000");
        }
        if let Freeze::Prefixes(prefixes) = &self.freeze
            && (prefixes.is_empty() || prefixes.iter().any(String::is_empty))
        {
            let error = ParamError::new("freeze", "a list of starts of names is empty, or one of them");
            mistakes.push(error.help("name what is frozen, such as `[conv1., layer1.]`, or write `none`"));
        }
        mistakes.extend(self.network.mistake());
        if let Err(error) = self.loss.spec().check() {
            mistakes.push(nested("loss", &error));
        }
        if let Err(error) = self.optimiser.spec().check() {
            mistakes.push(nested("optimiser", &error));
        }
        let clip_metric = self.early_stopping.as_ref().map(|stopping| stopping.metric);
        if self.loss == LossParams::Bce
            && matches!(clip_metric, Some(WatchedMetric::Accuracy | WatchedMetric::BalancedAccuracy))
        {
            let error = ParamError::new(
                "early_stopping.metric",
                "accuracy needs one class a clip, and `bce` allows several",
            );
            mistakes.push(error.help("watch `mAP` or `loss`, or train with `cce`"));
        }
        mistakes
    }
}

/// An error of the networks' crate as one of a nested parameter.
fn nested(parameter: &str, error: &NnError) -> ParamError {
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
            "early_stopping.metric",
        ];
        assert_eq!(paths, expected);
    }
}
