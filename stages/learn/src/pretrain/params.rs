//! Parameters of `pretrain`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::named;
use sndpipe_audio::augment::{self, StepParams, WaveformParams, waveform};
use sndpipe_engine::ParamError;
use sndpipe_nn::OptimiserSpec;

use super::head::HeadParams;
use super::method::Methods;
use super::sampler::{PairPatches, PairRecipe, SamplerParams, by_class, recipes, sampler_mistakes};
use super::watch::KnnWatch;
use crate::train::{NetworkParams, PatchParams, ScheduleParams, Standardise, course_mistakes, nested};

/// Trains the encoder of a network on views of the training clips, without labels. Without the input `split` all clips are training
/// clips.
///
/// The input `labels` is for those who look on (`knn`), and for the supervised counterpart of learning without them (`same_class`).
///
/// Every epoch makes a pair of views of every training clip: two patches of the clip, changed by the steps of `views` in their
/// order and standardised at last. What is learnt (`method`) compares what a head behind the encoder makes of them. The model holds
/// encoder and head; `train` starts from the encoder (`init`), `embed` gives what either makes of clips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainParams {
    /// The network, of which the encoder is trained, as in `train`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<NetworkParams>")]
    pub network: NetworkParams,
    /// What the network sees of a clip at once.
    pub patch: PatchParams,
    /// What is learnt: `contrastive`, `instance`, `triplet`, `coincidence`, a map with `name` and options, or a list of
    /// `{ method, weight }` whose losses are added.
    pub method: Methods,
    /// What makes embeddings of the encoder's features: `mlp`, `linear`, `none`, or a map with `name` and options. `coincidence`
    /// does not look at it.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<HeadParams>")]
    pub head: HeadParams,
    /// Which two patches of a clip are a pair: `random`, `same`, or `{ name: near, frames: 50 }`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<PairPatches>")]
    pub patches: PairPatches,
    /// Steps that waveforms take before their patches are cut, in this order: names, or maps with `name` and options. Each view has a
    /// waveform of its own, from the input `audio`; its features are made as those at `features` were, and patches that are to be the
    /// same start at the same share of both. The backgrounds of `views` and the statistics of `standardise` come from `features`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<WaveformParams>")]
    pub waveform: Vec<WaveformParams>,
    /// Steps that both patches of a pair take, in this order: names, or maps with `name` and options.
    #[serde(deserialize_with = "named::list")]
    #[schemars(schema_with = "named::list_schema::<StepParams>")]
    pub views: Vec<StepParams>,
    /// Ways to make the second patch of the first, in place of `patches`: `noise`, `translation`, `mixing`, `proximity`, or maps
    /// with `name` and options. An epoch goes over all clips with each of them, all shuffled together. `same_class` reads the input
    /// `labels` and needs `method: triplet`.
    #[serde(deserialize_with = "named::list", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "named::list_schema::<SamplerParams>")]
    pub samplers: Vec<SamplerParams>,
    /// Pairs in a step, `2..=65536`.
    pub batch: usize,
    /// Passes over the training clips, `0..=1000000`; with 0 the model is the encoder as it begins.
    pub epochs: u32,
    /// The optimiser, as in `train`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<OptimiserSpec>")]
    pub optimiser: OptimiserSpec,
    /// The learning rate that the schedule starts from; above 0.
    pub rate: f64,
    /// How the rate changes, as in `train`; not `plateau`.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<ScheduleParams>")]
    pub schedule: ScheduleParams,
    /// Epochs over which the rate rises linearly, `0..=epochs`; may be a fraction.
    pub warm_up: f64,
    /// How features are shifted and scaled behind all steps, with statistics of the training clips as they are stored.
    pub standardise: Standardise,
    /// The largest norm of all gradients together; longer ones are shortened to it. Absent: no limit.
    pub clip_norm: Option<f64>,
    /// Whether the last batch of an epoch is left out where it is incomplete; else it is trained on as it is.
    pub drop_last: bool,
    /// Neighbours that are looked at on the way, by the input `labels`: `knn_accuracy` and `knn_balanced_accuracy` in the history. Absent:
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn: Option<KnnWatch>,
    /// Where initial weights, order, patches, steps, negatives and dropout come from.
    pub seed: u64,
}

impl Default for PretrainParams {
    fn default() -> Self {
        Self {
            network: NetworkParams::default(),
            patch: PatchParams::default(),
            method: Methods::default(),
            head: HeadParams::default(),
            patches: PairPatches::default(),
            waveform: Vec::new(),
            views: Vec::new(),
            samplers: Vec::new(),
            batch: 128,
            epochs: 100,
            optimiser: OptimiserSpec::default(),
            rate: 1e-3,
            schedule: ScheduleParams::default(),
            warm_up: 0.0,
            standardise: Standardise::Global,
            clip_norm: None,
            drop_last: true,
            knn: None,
            seed: 0,
        }
    }
}

impl PretrainParams {
    /// What reads the input `labels`, and whether it does.
    pub(super) fn readers(&self) -> [(&'static str, bool); 2] {
        [("knn", self.knn.is_some()), ("samplers", by_class(&self.samplers))]
    }

    /// How pairs are made.
    pub(super) fn recipes(&self) -> Vec<PairRecipe> {
        recipes(self.patches, &self.samplers)
    }

    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let lengths = (self.batch, self.epochs);
        let mut mistakes = course_mistakes(&self.patch, lengths, (self.rate, self.warm_up), self.clip_norm);
        if self.batch == 1 {
            mistakes.push(ParamError::new("batch", "1 is outside 2..=65536"));
        }
        mistakes.extend(self.schedule.mistakes(self.epochs));
        if matches!(self.schedule, ScheduleParams::Plateau { .. }) {
            let error = ParamError::new(
                "schedule",
                "a plateau is one of a metric of a validation subset, and there is none",
            );
            mistakes.push(error.help("take `step`, `cosine` or `constant`"));
        }
        if self.standardise == Standardise::Init {
            let error = ParamError::new("standardise", "there is no model to start from");
            mistakes.push(error.help("standardise with statistics of the training clips"));
        }
        mistakes.extend(self.network.mistake());
        mistakes.extend(self.optimiser.check().err().map(|error| nested("optimiser", &error)));
        mistakes.extend(self.method.mistakes());
        mistakes.extend(self.head.mistakes());
        mistakes.extend(self.patches.mistake());
        mistakes.extend(waveform::mistakes(&self.waveform));
        mistakes.extend(augment::mistakes("views", &self.views));
        mistakes.extend(sampler_mistakes(&self.samplers));
        if self.method.views() == 1 && !self.samplers.is_empty() {
            let error = ParamError::new("samplers", "`instance` alone looks at one view of a clip");
            mistakes.push(error.help("change that view by `views`, or add a method that compares two"));
        }
        if by_class(&self.samplers) && !self.method.is_triplet() {
            let message =
                "`same_class` pairs clips of one class, which only `triplet` does not also push apart";
            mistakes.push(ParamError::new("samplers", message).help("take `method: triplet` alone"));
        } else if self.samplers.len() > 1 && !self.method.is_triplet() {
            let message =
                "several pairs of a clip can be in one batch, where only `triplet` does not push them apart";
            mistakes.push(ParamError::new("samplers", message).help("take one, or `method: triplet` alone"));
        }
        let changed = !(self.views.is_empty() && self.waveform.is_empty() && self.samplers.is_empty());
        if self.method.views() == 2 && self.patches == PairPatches::Same && !changed {
            let error =
                ParamError::new("views", "no step changes the patch that both views are (`patches: same`)");
            mistakes.push(error.help("name steps, or take `patches: random`"));
        }
        mistakes.extend(self.knn.iter().flat_map(KnnWatch::mistakes));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Result<PretrainParams, String> {
        serde_json::from_value(value).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(PretrainParams::default().mistakes(), Vec::new());
        let all = |method: &str| json!({ "samplers": ["noise", "translation", "mixing", "proximity"], "method": method, "head": "linear" });
        assert_eq!(read(all("triplet")).unwrap().mistakes(), Vec::new());
        let mistakes = read(all("contrastive")).unwrap().mistakes();
        assert_eq!(mistakes.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["samplers"]);
        let mistakes = read(json!({ "patches": "same" })).unwrap().mistakes();
        assert_eq!(mistakes.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["views"]);
        assert_eq!(read(json!({ "patches": "same", "views": ["noise"] })).unwrap().mistakes(), Vec::new());
        let one = json!({ "samplers": ["noise"], "method": "coincidence" });
        assert_eq!(read(one).unwrap().mistakes(), Vec::new());
    }

    #[test]
    fn names_and_maps_are_one_in_lists_too() {
        let short =
            read(json!({ "views": ["crop", "noise"], "samplers": ["mixing"], "head": "none" })).unwrap();
        let long = read(json!({
            "views": [{ "name": "crop", "area": [0.8, 1] }, { "name": "noise", "deviation": 0.01 }],
            "samplers": [{ "name": "mixing", "share": 0.25 }], "head": { "name": "none" },
        }))
        .unwrap();
        assert_eq!(serde_json::to_value(&short).unwrap(), serde_json::to_value(&long).unwrap());
        let error = read(json!({ "views": ["crop", "nois"] })).unwrap_err();
        assert!(error.contains("item 2") && error.contains("unknown variant `nois`"), "{error}");
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let params = read(json!({
            "patch": { "frames": 0 }, "batch": 1, "schedule": "plateau", "standardise": "init", "method": "instance",
            "head": { "name": "mlp", "hidden": [0] }, "patches": { "name": "near", "frames": 2_000_000 },
            "waveform": ["stretch", { "name": "stretch", "factor": 0 }], "views": ["crop", { "name": "blur", "size": 1 }],
            "samplers": ["noise", { "name": "translation", "bands": 1 }, { "name": "proximity", "frames": 2_000_000 }, "same_class"],
            "network": { "name": "mlp", "hidden": [0] }, "optimiser": { "name": "sgd", "momentum": 2 },
            "knn": { "every": 0, "protocol": { "name": "memory_bank", "k": 0, "temperature": 0 }, "subset": "train" },
        }))
        .unwrap();
        let paths: Vec<String> = params.mistakes().into_iter().map(|error| error.path).collect();
        let expected = [
            "patch.frames",
            "batch",
            "schedule",
            "standardise",
            "network.hidden",
            "optimiser.momentum",
            "head.hidden",
            "patches.frames",
            "waveform[1].factor",
            "views[1].size",
            "samplers[1].bands",
            "samplers[2].frames",
            "samplers",
            "samplers",
            "knn.every",
            "knn.protocol.k",
            "knn.protocol.temperature",
            "knn.subset",
        ];
        assert_eq!(paths, expected);
    }
}
