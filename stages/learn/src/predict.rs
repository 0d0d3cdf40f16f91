//! A trained model on audio files, without a pipeline.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use sndpipe_artefacts::audio::{DecodeParams, Decoder, Normalise};
use sndpipe_artefacts::{ModelCard, PatchMean};
use sndpipe_audio::spectrogram::{self, Frontend};
use sndpipe_audio::{Damage, Ffmpeg, decode, prepare};
use sndpipe_cache::{Meta, Row};
use sndpipe_engine::{MapError, StageError};

use crate::model::TrainedModel;

/// What a model says of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The file, as it was given.
    pub path: PathBuf,
    /// The scores, or why the file cannot be used.
    pub result: Result<Scores, String>,
}

/// The scores of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Every class with its score, in the order of the model.
    pub classes: Vec<(String, f32)>,
    /// What is damaged inside the file, if anything.
    pub damage: Option<String>,
}

/// What happens to a file before the network sees it: the recipe of the features that a model was trained on.
struct Recipe {
    decode: DecodeParams,
    /// The program that decodes, if the recipe names it.
    ffmpeg: Option<Ffmpeg>,
    frontend: Frontend,
}

impl Recipe {
    fn of(card: &ModelCard) -> Result<Self, StageError> {
        let unknown = |what: &str| {
            StageError::failed(format!("the model does not say how its features come from a file: {what}"))
                .help("train on the features of the stages `decode` and `spectrogram`, or score features with the stage `score`")
        };
        let spectrogram = spectrogram::params_of(&card.features).map_err(|what| unknown(&what))?;
        let decode: DecodeParams = match card.features.get("recipe").and_then(|recipe| recipe.get("decode")) {
            Some(decode) => {
                serde_json::from_value(decode.clone()).map_err(|error| unknown(&error.to_string()))?
            }
            // Audio that was made, not decoded: of the right rate, and otherwise as it is.
            None => as_it_is(&card.features).ok_or_else(|| unknown("it has no sample rate"))?,
        };
        let frontend =
            Frontend::new(&spectrogram, decode.sample_rate).map_err(|error| unknown(&error.to_string()))?;
        let ffmpeg = (decode.decoder == Decoder::Ffmpeg).then(Ffmpeg::find).transpose()?;
        Ok(Self { decode, ffmpeg, frontend })
    }

    /// The features of a file, as the stages `decode` and `spectrogram` give them, and what is damaged inside it.
    fn features(&self, path: &Path) -> Result<(Row, Option<String>), String> {
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        let limits = self.decode.limits();
        let pcm = match &self.ffmpeg {
            Some(ffmpeg) => ffmpeg.decode(&bytes, &limits).map_err(|error| match error {
                MapError::Unusable(message) => message,
                MapError::Failed(error) => error.to_string(),
            }),
            None => decode(&bytes, &limits).map_err(|error| error.to_string()),
        };
        let pcm = pcm?;
        let damage = Damage::told(&pcm.damage);
        let samples = prepare(pcm, &self.decode).into_planar();
        let all = 0..self.frontend.frames(samples.len());
        Ok((self.frontend.row(&samples, all).map_err(|error| error.to_string())?, damage))
    }
}

fn as_it_is(features: &Meta) -> Option<DecodeParams> {
    let rate = features.get("sample_rate").and_then(Value::as_u64)?;
    let sample_rate = u32::try_from(rate).ok()?;
    Some(DecodeParams {
        sample_rate,
        remove_mean: false,
        normalise: Normalise::None,
        ..DecodeParams::default()
    })
}

/// Scores files with a model that the stage `train` wrote: decodes them and computes features as the model's own metadata say,
/// then takes the arithmetic mean over patches.
///
/// `on_progress` gets the files done and all files. Predictions come in the order of the files.
///
/// # Errors
/// [`StageError::Failed`] if the bytes are no model or the model does not know its recipe. A file that cannot be used has its reason in the
/// place of its scores.
pub fn predict(
    model: &[u8],
    files: &[PathBuf],
    on_progress: &dyn Fn(u64, u64),
) -> Result<Vec<Prediction>, StageError> {
    let model = TrainedModel::load(model)?;
    let recipe = Recipe::of(&model.card)?;
    let mut predictions = Vec::with_capacity(files.len());
    let step = 4 * rayon::current_num_threads().max(1);
    for chunk in files.chunks(step) {
        on_progress(predictions.len() as u64, files.len() as u64);
        let scored = chunk
            .par_iter()
            .with_max_len(1)
            .map(|path| Prediction { path: path.to_owned(), result: scores(&model, &recipe, path) });
        predictions.par_extend(scored);
    }
    on_progress(predictions.len() as u64, files.len() as u64);
    Ok(predictions)
}

fn scores(model: &TrainedModel, recipe: &Recipe, path: &Path) -> Result<Scores, String> {
    let (features, damage) = recipe.features(path)?;
    let scores = model.scores(features.as_ref(), model.card.hop, PatchMean::Arithmetic);
    let scores = scores.map_err(|error| error.to_string())?;
    Ok(Scores { classes: model.card.classes.iter().cloned().zip(scores).collect(), damage })
}
