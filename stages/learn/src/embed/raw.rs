//! `embed.raw`: features themselves as vectors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::Standardisation;
use sndpipe_artefacts::patch::{self};
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, Selector, StageError,
    StageIo,
};

use super::params::Per;
use super::stage::mean;
use crate::train::PatchParams;

/// Gives features as vectors, without a model: what an encoder has to beat.
///
/// The values stay as they are; a clip that is shorter than a patch is repeated, as for `train`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawParams {
    /// Which clips: those of one subset, or all. `all` takes every clip of the split, or of the features where no split is
    /// connected.
    pub subset: Scored,
    /// What a vector is made of.
    pub patch: PatchParams,
    /// How the numbers of a patch become a vector.
    pub form: Form,
    /// Whether a row holds one vector for its clip or one for each patch.
    pub per: Per,
}

impl Default for RawParams {
    fn default() -> Self {
        Self { subset: Scored::All, patch: PatchParams::default(), form: Form::Flat, per: Per::Clip }
    }
}

/// How frames become a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// All numbers of a patch, channel by channel and frame by frame; of a clip the mean over its patches.
    #[default]
    Flat,
    /// The mean over frames: a number for each channel and band. Of a clip it is that of all frames, and patches do not matter.
    Mean,
}

/// Features as vectors.
pub struct EmbedRaw;

impl MapStage for EmbedRaw {
    const NAME: &'static str = "embed.raw";
    const VERSION: u32 = 1;
    const NOT_IN_ROWS: &'static [&'static str] = &["subset"];
    type Params = RawParams;
    type Worker = RawParams;

    fn check(params: &RawParams) -> Vec<ParamError> {
        params.patch.mistakes()
    }

    fn input(_: &RawParams) -> Port {
        Port::new("features", Kind::Features)
    }

    fn selector(params: &RawParams) -> Option<Selector> {
        Some(params.subset.selector())
    }

    fn output(_: &RawParams) -> Output {
        Output::new("embeddings", Kind::Embeddings)
    }

    fn prepare(params: &RawParams, io: &StageIo<'_>) -> Result<(RawParams, Meta), StageError> {
        let mut meta = Meta::from([("per".to_owned(), json!(params.per))]);
        let features = io.meta("features")?;
        let number = |name: &str| features.get(name).and_then(serde_json::Value::as_u64);
        if let Some(bands) = number("bands") {
            let frame = bands * number("channels").unwrap_or(1).max(1);
            let frames = if params.form == Form::Flat { params.patch.frames as u64 } else { 1 };
            meta.insert("size".to_owned(), json!(frame * frames));
        }
        Ok((params.clone(), meta))
    }

    fn map(params: &RawParams, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        let MapContent::Row(row) = input.content else {
            return Err(StageError::failed("features were expected, not files").into());
        };
        let unusable = |error: StageError| MapError::Unusable(error.to_string());
        let shape = FrameShape::of(input.meta, row).map_err(unusable)?;
        let frames = row.frames as usize;
        let whole = params.form == Form::Mean && params.per == Per::Clip;
        let length = if whole { frames } else { params.patch.frames };
        let mut patch = vec![0.0; length * shape.len()];
        let mut vectors = Vec::new();
        for start in patch::starts(frames, length, params.patch.hop()) {
            patch::cut(row, shape, start, &Standardisation::none(), &mut patch);
            match params.form {
                Form::Flat => vectors.extend_from_slice(&patch),
                // Channel by channel.
                Form::Mean => patch
                    .chunks_exact(length * shape.bands)
                    .for_each(|channel| vectors.extend(mean(channel, shape.bands))),
            }
        }
        if vectors.iter().any(|value| !value.is_finite()) {
            return Err(MapError::Unusable("the features hold values that are NaN or infinite".to_owned()));
        }
        let size = if params.form == Form::Flat { patch.len() } else { shape.len() };
        let (values, count) = match params.per {
            Per::Clip => (mean(&vectors, size), 1),
            Per::Patch => {
                let count = vectors.len() / size;
                (vectors, count)
            }
        };
        let count =
            u32::try_from(count).map_err(|_| MapError::Unusable(format!("{count} patches are too many")))?;
        Ok(Row { frames: count, values: Values::F32(values) }.into())
    }
}
