//! A trained model: its network with everything that is needed to use it on features or on audio.

use serde_json::Value;
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::patch::{self};
use sndpipe_artefacts::{ModelCard, OutputKind, PatchMean, PatchShape, Standardisation};
use sndpipe_cache::{Meta, RowRef};
use sndpipe_engine::{MapError, StageError};
use sndpipe_nn::{DeviceKind, InputShape, Model, NnError};

/// Patches that go through the network at once; the scores do not depend on it.
const PATCHES: usize = 32;

/// A model with its card, ready for use from several threads.
pub struct TrainedModel {
    /// What stands beside the weights.
    pub card: ModelCard,
    network: Model,
}

impl TrainedModel {
    /// Reads the artefact that `train` writes.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the bytes are no such model, or it has no classes.
    pub fn load(bytes: &[u8]) -> Result<Self, StageError> {
        let model = Self::load_encoder(bytes)?;
        if model.network.head().is_classifier() {
            return Ok(model);
        }
        Err(StageError::failed("the model was trained without labels and has no classes")
            .help("train a classifier on it (`train` with the model as `init`), or take what its encoder gives (`embed`)"))
    }

    /// Reads the artefact that `train` or `pretrain` writes.
    ///
    /// # Errors
    /// [`StageError::Failed`] if the bytes are no such model.
    pub fn load_encoder(bytes: &[u8]) -> Result<Self, StageError> {
        let network = Model::load(bytes, DeviceKind::Cpu).map_err(|error| failed(&error))?;
        let card: ModelCard = serde_json::from_value(network.meta().clone()).map_err(|error| {
            StageError::failed(format!("the model does not say what it is for: {error}"))
                .help("use a model that the stage `train` or `pretrain` wrote")
        })?;
        let shape = FrameShape { channels: network.input().channels, bands: network.input().bands };
        let expected = if network.head().is_classifier() { network.outputs() } else { 0 };
        if card.classes.len() != expected || !card.standardisation.fits(shape) {
            let (classes, outputs) = (card.classes.len(), network.outputs());
            return Err(StageError::failed(format!(
                "the model does not fit itself: {classes} classes, {outputs} outputs, {} statistics for {} bands",
                card.standardisation.mean.len(),
                shape.len()
            )));
        }
        Ok(Self { card, network })
    }

    /// What a frame of features must hold.
    #[must_use]
    pub fn shape(&self) -> FrameShape {
        FrameShape { channels: self.network.input().channels, bands: self.network.input().bands }
    }

    /// The scores of a clip, one a class: the mean over its patches.
    ///
    /// # Errors
    /// What is wrong with the features of the clip or with the network.
    pub fn scores(&self, row: RowRef<'_>, hop: usize, mean: PatchMean) -> Result<Vec<f32>, ClipError> {
        Ok(pool(&self.clip_logits(row, hop)?, self.card.classes.len(), self.card.output, mean))
    }

    /// The logits of a clip's patches, one behind the other.
    ///
    /// # Errors
    /// What is wrong with the features of the clip or with the network.
    pub fn clip_logits(&self, row: RowRef<'_>, hop: usize) -> Result<Vec<f32>, ClipError> {
        let network = |inputs: &[f32]| self.network.logits(inputs);
        clip_logits(row, self.network.input(), hop, &self.card.standardisation, &network)
    }

    /// Frames of a patch.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.network.input().frames
    }

    /// The logits of patches that are standardised already, one behind the other.
    ///
    /// # Errors
    /// That they are not finite, or the network's error.
    pub fn logits(&self, patches: &[f32]) -> Result<Vec<f32>, ClipError> {
        let logits = self.network.logits(patches).map_err(|error| ClipError::Network(error.to_string()))?;
        finite("scores", Patches { values: logits, largest: largest(patches) })
    }

    /// Whether it has a head that makes embeddings.
    #[must_use]
    pub fn projects(&self) -> bool {
        !self.network.head().is_classifier()
    }

    /// Numbers of an embedding: of what the encoder gives, or with `head` of what the head makes of it.
    #[must_use]
    pub fn embedding_size(&self, head: bool) -> usize {
        if head { self.network.outputs() } else { self.network.features() }
    }

    /// The embeddings of a clip's patches, one behind the other: what the encoder gives, or with `head` what the head makes of it.
    ///
    /// # Errors
    /// What is wrong with the features of the clip or with the network.
    pub fn embeddings(&self, row: RowRef<'_>, hop: usize, head: bool) -> Result<Vec<f32>, ClipError> {
        let network =
            |inputs: &[f32]| if head { self.network.logits(inputs) } else { self.network.embed(inputs) };
        let input = self.network.input();
        clip_embeddings(row, input, hop, &self.card.standardisation, &network)
    }

    /// Features that the model was not made for. One from elsewhere takes all of its shape.
    ///
    /// # Errors
    /// [`StageError::Failed`] with both shapes, or with the part of the recipe that differs.
    pub fn check_features(&self, features: &Meta) -> Result<(), StageError> {
        let trained = &self.card.features;
        if trained.is_empty() {
            let shape = self.shape();
            let sizes = [("channels", shape.channels), ("bands", shape.bands)];
            let other = sizes.into_iter().find(|(name, size)| {
                features.get(*name).is_some_and(|given| given.as_u64() != Some(*size as u64))
            });
            let Some((name, size)) = other else { return Ok(()) };
            let message = format!("the model reads {size} {name}, the features have {}", features[name]);
            return Err(StageError::failed(message).help("give features of the shape that the model reads"));
        }
        let names: std::collections::BTreeSet<&String> = trained.keys().chain(features.keys()).collect();
        for name in names {
            let (trained, given) = (trained.get(name), features.get(name));
            if trained != given {
                let text =
                    |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
                let message = format!(
                    "the model was trained on other features: `{name}` was {}, here it is {}",
                    text(trained),
                    text(given)
                );
                return Err(
                    StageError::failed(message).help("give the features that the model was trained on")
                );
            }
        }
        Ok(())
    }
}

/// The shape of a network's input, as that of a patch.
pub(crate) const fn patch_shape(input: InputShape) -> PatchShape {
    PatchShape { channels: input.channels, frames: input.frames, bands: input.bands }
}

/// Why a network gives nothing for a clip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    /// The features of the clip are at fault.
    #[error("{0}")]
    Features(String),
    /// The network is: it would be for any clip.
    #[error("{0}")]
    Network(String),
}

impl From<ClipError> for MapError {
    fn from(error: ClipError) -> Self {
        match error {
            ClipError::Features(reason) => Self::Unusable(reason),
            ClipError::Network(reason) => Self::Failed(StageError::failed(reason).help(
                "train the model again or import other weights; `sndpipe show` prints where a model comes from",
            )),
        }
    }
}

/// A network: logits or embeddings of patches.
pub(crate) type OfPatches<'a> = dyn Fn(&[f32]) -> Result<Vec<f32>, NnError> + 'a;

/// The logits of all patches of a clip, patch by patch.
///
/// # Errors
/// What is wrong with the features of the clip, or the network's error.
pub(crate) fn clip_logits(
    row: RowRef<'_>,
    input: InputShape,
    hop: usize,
    standardisation: &Standardisation,
    network: &OfPatches<'_>,
) -> Result<Vec<f32>, ClipError> {
    finite("scores", clip_patches(row, input, hop, standardisation, network)?)
}

/// The embeddings of all patches of a clip, patch by patch.
///
/// # Errors
/// As [`clip_logits`].
pub(crate) fn clip_embeddings(
    row: RowRef<'_>,
    input: InputShape,
    hop: usize,
    standardisation: &Standardisation,
    network: &OfPatches<'_>,
) -> Result<Vec<f32>, ClipError> {
    finite("embeddings", clip_patches(row, input, hop, standardisation, network)?)
}

/// What a network makes of all patches of a clip, patch by patch.
fn clip_patches(
    row: RowRef<'_>,
    input: InputShape,
    hop: usize,
    standardisation: &Standardisation,
    network: &OfPatches<'_>,
) -> Result<Patches, ClipError> {
    let shape = FrameShape { channels: input.channels, bands: input.bands };
    let frames = shape.frames(row).map_err(ClipError::Features)?;
    let starts: Vec<usize> = patch::starts(frames, input.frames, hop).collect();
    let mut inputs = vec![0.0; starts.len().min(PATCHES) * input.len()];
    let mut all = Patches { values: Vec::new(), largest: 0.0 };
    for starts in starts.chunks(PATCHES) {
        let inputs = &mut inputs[..starts.len() * input.len()];
        for (&start, out) in starts.iter().zip(inputs.chunks_exact_mut(input.len())) {
            patch::cut(row, shape, start, standardisation, out);
        }
        all.largest = all.largest.max(largest(inputs));
        all.values.extend(network(inputs).map_err(|error| ClipError::Network(error.to_string()))?);
    }
    Ok(all)
}

/// What a network makes of patches.
struct Patches {
    values: Vec<f32>,
    /// The largest magnitude in the standardised patches; infinite where a value is NaN.
    largest: f32,
}

fn largest(inputs: &[f32]) -> f32 {
    inputs
        .iter()
        .fold(0.0, |largest, value| if value.is_nan() { f32::INFINITY } else { largest.max(value.abs()) })
}

fn finite(what: &str, patches: Patches) -> Result<Vec<f32>, ClipError> {
    /// Beyond this many standard deviations features are at fault, not the network.
    const HUGE: f32 = 1e6;
    if patches.values.iter().all(|value| value.is_finite()) {
        return Ok(patches.values);
    }
    if patches.largest < HUGE {
        let reason = format!(
            "the {what} are not finite, although the features are: the weights of the network are at fault"
        );
        return Err(ClipError::Network(reason));
    }
    let reason =
        format!("the {what} are not finite: the features hold values that are NaN, infinite or huge");
    Err(ClipError::Features(reason))
}

/// The scores of a clip from the logits of its patches, in f64 and in the order of the patches.
pub(crate) fn pool(logits: &[f32], classes: usize, output: OutputKind, mean: PatchMean) -> Vec<f32> {
    let mut sums = vec![0.0f64; classes];
    for patch in logits.chunks_exact(classes) {
        let largest = patch.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = patch.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        for (sum, &logit) in sums.iter_mut().zip(patch) {
            let log = match output {
                OutputKind::Softmax => f64::from(logit - largest) - total.ln(),
                OutputKind::Sigmoid => -softplus(-f64::from(logit)),
            };
            *sum += match mean {
                PatchMean::Arithmetic => log.exp(),
                PatchMean::Geometric => log,
            };
        }
    }
    let patches = (logits.len() / classes.max(1)).max(1) as f64;
    sums.iter()
        .map(|sum| match mean {
            PatchMean::Arithmetic => (sum / patches) as f32,
            PatchMean::Geometric => (sum / patches).exp() as f32,
        })
        .collect()
}

/// `ln(1 + exp(x))` without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// An error of the networks' crate as one of a stage.
pub(crate) fn failed(error: &NnError) -> StageError {
    StageError::failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: &[f32], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} instead of {expected}");
        }
    }

    #[test]
    fn means_of_softmax_are_those_of_the_formula() {
        // Two patches: probabilities (0.8, 0.2) and (0.2, 0.8) from logits ln 4 apart.
        let four = 4f32.ln();
        let logits = [four, 0.0, 1000.0, 1000.0 + four];
        close(&pool(&logits, 2, OutputKind::Softmax, PatchMean::Arithmetic), &[0.5, 0.5]);
        close(&pool(&logits, 2, OutputKind::Softmax, PatchMean::Geometric), &[0.4, 0.4]);
    }

    #[test]
    fn means_of_sigmoid_are_those_of_the_formula() {
        // sigmoid(ln 4) = 0.8, sigmoid(0) = 0.5.
        let logits = [4f32.ln(), -1000.0, 0.0, 1000.0];
        close(&pool(&logits, 2, OutputKind::Sigmoid, PatchMean::Arithmetic), &[0.65, 0.5]);
        close(&pool(&logits, 2, OutputKind::Sigmoid, PatchMean::Geometric), &[0.4f64.sqrt(), 0.0]);
    }
}
