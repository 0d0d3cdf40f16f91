//! The stage.

use serde_json::json;
use sndpipe_artefacts::patch;
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, Selector, StageError,
    StageIo,
};

use super::params::{EmbedParams, Of, Per};
use crate::model::TrainedModel;

/// Embeds clips with a model.
pub struct Embed;

/// What all clips share.
pub struct Embedder {
    model: TrainedModel,
    hop: usize,
    per: Per,
    head: bool,
}

impl MapStage for Embed {
    const NAME: &'static str = "embed";
    const VERSION: u32 = 1;
    const NOT_IN_ROWS: &'static [&'static str] = &["subset"];
    type Params = EmbedParams;
    type Worker = Embedder;

    fn check(params: &EmbedParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn input(_: &EmbedParams) -> Port {
        patch::port()
    }

    fn others(_: &EmbedParams) -> Vec<Port> {
        vec![Port::new("model", Kind::Model)]
    }

    fn selector(params: &EmbedParams) -> Option<Selector> {
        Some(params.subset.selector())
    }

    fn output(_: &EmbedParams) -> Output {
        Output::new("embeddings", Kind::Embeddings)
    }

    fn memory(_: &EmbedParams, io: &StageIo<'_>) -> Result<u64, StageError> {
        // The file and the weights.
        Ok(2 * io.manifest("model")?.bytes())
    }

    fn prepare(params: &EmbedParams, io: &StageIo<'_>) -> Result<(Embedder, Meta), StageError> {
        let model = TrainedModel::load_encoder(&io.blob("model")?)?;
        model.check_features(io.meta("features")?)?;
        let head = params.of == Of::Head;
        if head && !model.projects() {
            return Err(StageError::failed(
                "`of: head` needs a head that makes embeddings, and the model has a classifier",
            )
            .help("take a model of `pretrain`, or what the encoder gives (`of: encoder`)"));
        }
        io.note("simd", sndpipe_linalg::simd_level());
        let meta = Meta::from([
            ("size".to_owned(), model.embedding_size(head).into()),
            ("per".to_owned(), json!(params.per)),
        ]);
        let hop = params.hop.unwrap_or(model.card.hop);
        Ok((Embedder { model, hop, per: params.per, head }, meta))
    }

    fn map(worker: &Embedder, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        let MapContent::Row(row) = input.content else {
            return Err(StageError::failed("features were expected, not files").into());
        };
        let size = worker.model.embedding_size(worker.head);
        let patches = worker.model.embeddings(row, worker.hop, worker.head)?;
        let (values, frames) = match worker.per {
            Per::Clip => (mean(&patches, size), 1),
            Per::Patch => {
                let frames = patches.len() / size;
                (patches, frames)
            }
        };
        let frames = u32::try_from(frames)
            .map_err(|_| MapError::Unusable(format!("{frames} patches are too many")))?;
        Ok(Row { frames, values: Values::F32(values) }.into())
    }
}

/// The mean of vectors, in f64 and in their order.
pub(super) fn mean(vectors: &[f32], size: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; size];
    for vector in vectors.chunks_exact(size) {
        sums.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let count = (vectors.len() / size) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}
