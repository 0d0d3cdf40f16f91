//! The stage.

use rayon::prelude::*;
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::OutputKind;
use sndpipe_artefacts::Split;
use sndpipe_artefacts::columns::{self, Values};
use sndpipe_artefacts::patch;
use sndpipe_cache::{Meta, Rows};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::params::{LossesParams, PatchLoss};
use crate::model::TrainedModel;

/// Clips that are scored at once.
const AT_ONCE: usize = 256;

/// The losses of clips under a model.
pub struct Losses;

impl Stage for Losses {
    const NAME: &'static str = "losses";
    const VERSION: u32 = 1;
    const SOURCE: &'static str = "Fonseca et al., Model-agnostic Approaches to Handling Noisy Labels When Training Sound Event \
                                  Classifiers, WASPAA 2019";
    type Params = LossesParams;

    fn check(params: &LossesParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &LossesParams) -> Vec<Port> {
        vec![
            patch::port(),
            Port::new("model", Kind::Model),
            Port::new("labels", Kind::Labels).reading(&Labels::COLUMNS),
            Port::new("split", Kind::Split).reading(&Split::COLUMNS),
        ]
    }

    fn outputs(_: &LossesParams) -> Vec<Output> {
        vec![Output::new("losses", Kind::Table)]
    }

    fn run(params: &LossesParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let labels = Labels::read(&io.table("labels")?, io.meta("labels")?)?;
        let split = Split::read(&io.table("split")?)?;
        let rows = io.open_rows("features")?;
        // The file and the weights.
        io.memory(2 * io.manifest("model")?.bytes())?;
        let model = TrainedModel::load(&io.blob("model")?)?;
        model.check_features(io.meta("features")?)?;
        if model.card.output == OutputKind::Sigmoid {
            let message = "the model scores each class alone, and a loss needs one class a clip";
            return Err(StageError::failed(message).help("train it with `loss: cce` or another softmax loss"));
        }
        io.note("simd", sndpipe_linalg::simd_level());
        let (clips, left_out) = clips(params, &labels, &split, &rows, &model)?;
        if clips.is_empty() {
            return Err(StageError::failed("no clip of the subset has features and a class"));
        }
        let hop = params.hop.unwrap_or(model.card.hop);
        let mut losses = Vec::with_capacity(clips.len());
        for some in clips.chunks(AT_ONCE) {
            io.progress(losses.len() as u64, clips.len() as u64, "clips", "");
            // All are looked at, so that the first mistake is the same for any number of threads.
            let found: Vec<Result<(usize, f64), StageError>> = some
                .par_iter()
                .map(|clip| {
                    io.tick()?;
                    clip.loss(&rows, &model, hop, &params.loss)
                })
                .collect();
            losses.extend(found.into_iter().collect::<Result<Vec<_>, _>>()?);
        }
        if left_out > 0 {
            let have = agree(left_out, "has", "have");
            io.remark(format!("{} without features or a class {have} no loss", counted(left_out, "clip")));
        }
        let table = columns::table(vec![
            (
                "clip_id",
                Values::Text(clips.iter().map(|clip| rows.ids()[clip.position].to_owned()).collect()),
            ),
            (
                "class",
                Values::Text(clips.iter().map(|clip| model.card.classes[clip.class].clone()).collect()),
            ),
            (
                "patches",
                Values::Int(losses.iter().map(|(n, _)| i64::try_from(*n).unwrap_or(i64::MAX)).collect()),
            ),
            ("loss", Values::Number(losses.iter().map(|(_, loss)| Some(*loss)).collect())),
        ])?;
        io.write_table("losses", Meta::new(), &table)
    }
}

/// A clip with the class that it is labelled with, by its place among the model's.
struct Clip {
    position: usize,
    class: usize,
}

/// The clips that have a loss, sorted by id, and how many have none.
fn clips(
    params: &LossesParams,
    labels: &Labels,
    split: &Split,
    rows: &Rows,
    model: &TrainedModel,
) -> Result<(Vec<Clip>, usize), StageError> {
    let places: Vec<Option<usize>> = labels
        .classes
        .iter()
        .map(|class| model.card.classes.iter().position(|known| known == class))
        .collect();
    let (mut clips, mut left_out) = (Vec::new(), 0);
    let chosen = split.clips.iter().filter(|(_, subset)| params.subset.values().contains(&subset.name()));
    for (id, _) in chosen {
        let mut present = labels.present(id);
        let (Some(position), Some(class)) = (rows.position(id), present.next()) else {
            left_out += 1;
            continue;
        };
        let more = present.count();
        if more > 0 {
            let message = format!("clip `{id}` has {} classes, and a loss needs exactly one", more + 1);
            return Err(StageError::failed(message).help("give labels with one class a clip"));
        }
        let class = places[class].ok_or_else(|| {
            let name = &labels.classes[class];
            StageError::failed(format!("clip `{id}` has the class `{name}`, which the model does not know"))
                .help("give the labels that the model was trained on")
        })?;
        clips.push(Clip { position, class });
    }
    Ok((clips, left_out))
}

impl Clip {
    /// The number of patches and the mean of their losses.
    fn loss(
        &self,
        rows: &Rows,
        model: &TrainedModel,
        hop: usize,
        loss: &PatchLoss,
    ) -> Result<(usize, f64), StageError> {
        let logits = model.clip_logits(rows.row(self.position)?, hop).map_err(|message| {
            StageError::failed(format!("clip `{}`: {message}", &rows.ids()[self.position]))
        })?;
        let patches = logits.chunks_exact(model.card.classes.len());
        let count = patches.len();
        let sum: f64 = patches
            .map(|patch| {
                let largest = patch.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f64 = patch.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
                loss.of(f64::from(patch[self.class]) - f64::from(largest) - total.ln())
            })
            .sum();
        Ok((count, sum / count.max(1) as f64))
    }
}
