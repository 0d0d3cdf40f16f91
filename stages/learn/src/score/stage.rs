//! The stage.

use sndpipe_artefacts::PatchMean;
use sndpipe_artefacts::patch;
use sndpipe_cache::{Meta, Row, Values};
use sndpipe_engine::{
    Kind, MapContent, MapError, MapInput, MapStage, Mapped, Output, ParamError, Port, Selector, StageError,
    StageIo,
};

use super::params::ScoreParams;
use crate::model::TrainedModel;

/// Scores clips with a model.
pub struct Score;

/// What all clips share.
pub struct Scorer {
    model: TrainedModel,
    hop: usize,
    mean: PatchMean,
}

impl MapStage for Score {
    const NAME: &'static str = "score";
    const VERSION: u32 = 1;
    const NOT_IN_ROWS: &'static [&'static str] = &["subset"];
    type Params = ScoreParams;
    type Worker = Scorer;

    fn check(params: &ScoreParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn input(_: &ScoreParams) -> Port {
        patch::port()
    }

    fn others(_: &ScoreParams) -> Vec<Port> {
        vec![Port::new("model", Kind::Model)]
    }

    fn selector(params: &ScoreParams) -> Option<Selector> {
        Some(params.subset.selector())
    }

    fn output(_: &ScoreParams) -> Output {
        Output::new("scores", Kind::Scores)
    }

    fn memory(_: &ScoreParams, io: &StageIo<'_>) -> Result<u64, StageError> {
        // The file and the weights.
        Ok(2 * io.manifest("model")?.bytes())
    }

    fn prepare(params: &ScoreParams, io: &StageIo<'_>) -> Result<(Scorer, Meta), StageError> {
        let model = TrainedModel::load(&io.blob("model")?)?;
        model.check_features(io.meta("features")?)?;
        io.note("simd", sndpipe_linalg::simd_level());
        let meta = Meta::from([
            ("classes".to_owned(), model.card.classes.clone().into()),
            ("output".to_owned(), serde_json::to_value(model.card.output).unwrap_or_default()),
        ]);
        let hop = params.hop.unwrap_or(model.card.hop);
        Ok((Scorer { model, hop, mean: params.mean }, meta))
    }

    fn map(worker: &Scorer, input: &MapInput<'_>) -> Result<Mapped, MapError> {
        let MapContent::Row(row) = input.content else {
            return Err(StageError::failed("features were expected, not files").into());
        };
        let scores = worker.model.scores(row, worker.hop, worker.mean)?;
        Ok(Row { frames: 1, values: Values::F32(scores) }.into())
    }
}
