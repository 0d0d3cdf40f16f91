//! A training that starts from a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Standardisation;
use sndpipe_cache::Meta;
use sndpipe_engine::{ParamError, StageError, StageIo, Upstream, canonical};
use sndpipe_nn::{Freeze, NnError, Trainer, TrainerSpec};

use super::network::NetworkParams;
use super::params::{Standardise, TrainParams};
use crate::model::{TrainedModel, failed};

/// The port that the model comes in by.
pub(super) const PORT: &str = "init";

/// Which part of a model a training starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitPart {
    /// Everything before the classifier, which starts anew.
    #[default]
    Encoder,
    /// Everything; the classes must be the same.
    All,
}

/// The model that a training starts from.
pub(crate) struct Init {
    model: TrainedModel,
    bytes: Vec<u8>,
}

impl Init {
    /// The model, where one is connected.
    ///
    /// # Errors
    /// [`StageError::Failed`] if all of it is wanted and its classes are others.
    pub fn read(
        params: &TrainParams,
        classes: &[String],
        io: &StageIo<'_>,
    ) -> Result<Option<Self>, StageError> {
        if !io.has(PORT) {
            return Ok(None);
        }
        let bytes = io.blob(PORT)?;
        let model = TrainedModel::load_encoder(&bytes)?;
        if params.init == Some(InitPart::All) && model.card.classes != classes {
            let found = &model.card.classes;
            let differs =
                found.iter().zip(classes).position(|(a, b)| a != b).unwrap_or(found.len().min(classes.len()));
            let name = |classes: &[String]| {
                classes.get(differs).map_or("none".to_owned(), |name| format!("`{name}`"))
            };
            let message = format!(
                "the model behind `init` has {} classes, the labels have {}; class {} is {} there and {} here",
                found.len(),
                classes.len(),
                differs + 1,
                name(found),
                name(classes)
            );
            return Err(StageError::failed(message).help("take its encoder only (`init: encoder`)"));
        }
        Ok(Some(Self { model, bytes }))
    }

    /// How the model's features were standardised.
    ///
    /// # Errors
    /// [`StageError::Failed`] if they had another shape.
    pub fn standardisation(&self, shape: FrameShape) -> Result<&Standardisation, StageError> {
        let theirs = self.model.shape();
        if theirs == shape {
            return Ok(&self.model.card.standardisation);
        }
        let text = |shape: FrameShape| format!("{} x {}", shape.channels, shape.bands);
        let message = format!(
            "the model behind `init` reads {} (channels, bands), the features have {}",
            text(theirs),
            text(shape)
        );
        Err(StageError::failed(message).help("standardise with statistics of the training clips"))
    }

    /// What is said where the model was trained on other features.
    pub fn remark(&self, features: &Meta) -> Option<String> {
        let error = self.model.check_features(features).err()?;
        Some(format!("`init`: {error}"))
    }
}

impl Init {
    /// What is said where layers that are frozen see other numbers than they learnt from.
    pub fn restandardised(&self, params: &TrainParams, fitted: &Standardisation) -> Option<String> {
        let other = params.freeze != Freeze::None && self.model.card.standardisation != *fitted;
        other.then(|| {
            "`init`: the model was standardised otherwise, and what is frozen cannot adapt; `standardise: init` takes that over".to_owned()
        })
    }
}

/// A new training: from a model where there is one, and of what is not frozen.
///
/// # Errors
/// [`StageError::Failed`] if the model does not fit the network, or a prefix no parameter.
pub(crate) fn trainer(
    spec: &TrainerSpec,
    params: &TrainParams,
    init: Option<&Init>,
) -> Result<Trainer, StageError> {
    let new = Trainer::new(spec.clone()).and_then(|trainer| trainer.with_tuning(&params.tuning()));
    let mut trainer = new.map_err(|error| failed(&error))?;
    let Some(init) = init else { return Ok(trainer) };
    let loaded = match params.init.unwrap_or_default() {
        InitPart::Encoder => trainer.load_encoder(&init.bytes),
        InitPart::All => trainer.load_weights(&init.bytes),
    };
    loaded.map_err(|error| match &error {
        NnError::Mismatch { .. } => StageError::failed(format!("`init`: {error}")).help(
            "name the network that the model has, with the same options, and features of the same shape",
        ),
        other => failed(other),
    })?;
    Ok(trainer)
}

/// What the wiring shows to be wrong.
pub(super) fn mistakes(params: &TrainParams, upstream: &[Upstream<'_>]) -> Vec<ParamError> {
    let Some(wired) = upstream.iter().find(|wired| wired.port == PORT) else {
        let asked =
            [("init", params.init.is_some()), ("standardise", params.standardise == Standardise::Init)];
        let unconnected = |(path, _)| {
            ParamError::new(path, "nothing is connected to the input `init`").help(
                "connect a model, such as that of `model.import` or of another `train`: `in: { init: … }`",
            )
        };
        return asked.into_iter().filter(|(_, asked)| *asked).map(unconnected).collect();
    };
    let theirs = wired.stage.params().get("network").map(NetworkParams::deserialize);
    let Some(Ok(theirs)) = theirs else { return Vec::new() };
    if theirs.layout() == params.network.layout() {
        return Vec::new();
    }
    let text = |network: &NetworkParams| {
        serde_json::to_value(network).map_or_else(|error| error.to_string(), |value| canonical(&value))
    };
    let message =
        format!("the model behind `init` is {}, and this is {}", text(&theirs), text(&params.network));
    vec![ParamError::new("network", message).help("take the same network with the same options")]
}
