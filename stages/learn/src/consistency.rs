//! `evaluate.consistency`: whether a small shift of the input changes what a model says.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sndpipe_artefacts::FrameShape;
use sndpipe_artefacts::Scale;
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::patch::{self};
use sndpipe_cache::{Meta, RowRef};
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};
use sndpipe_metrics::metric::{Measured, TieOrder};
use sndpipe_metrics::table::{Row, long_table};

use crate::model::TrainedModel;

/// Patches of a clip that are looked at at once.
const AT_ONCE: usize = 32;

/// Judges how often the best class of a patch stays the same when the spectrogram is shifted in time, and in frequency.
///
/// Inputs: `model`, `features`, and `split` where `subset` is not `all`. `metrics` has `consistency_time_1` and
/// `consistency_frequency_1`, and so on for each shift: the share of patches whose best class (of equals the one whose name is the least) is the one of the
/// patch without a shift. `n` counts patches, which are the same for every shift. A shift in time looks at the patch that
/// starts so many frames later: a stretch of the clip itself, nothing is made up. Clips shorter than a patch are repeated, as for
/// `score`; patches that no shift may leave the clip with are taken, others not. A shift in frequency moves every channel of the
/// patch up by so many bands; `fill` says what stands in the lowest bands then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistencyParams {
    /// Shifts in frames and in bands, each from 1 and below the frames and bands of a patch.
    pub shifts: Vec<usize>,
    /// What is put into the lowest bands by a shift in frequency.
    pub fill: Fill,
    /// Which clips: those of one subset, or all.
    pub subset: Scored,
    /// Frames between the starts of patches, `1..=65536`. Absent: the hop of the training.
    pub hop: Option<usize>,
}

/// What stands in bands that a shift leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The lowest band, again.
    #[default]
    Edge,
    /// Zeros, after standardisation: the mean of what the model was trained on, where it standardises.
    Zero,
}

impl Default for ConsistencyParams {
    fn default() -> Self {
        Self { shifts: vec![1, 3, 5], fill: Fill::Edge, subset: Scored::Test, hop: None }
    }
}

/// `evaluate.consistency`.
pub struct EvaluateConsistency;

impl Stage for EvaluateConsistency {
    const NAME: &'static str = "evaluate.consistency";
    // 3: of classes that tie the first name counts, not the first place. 2: metrics say which values are better.
    const VERSION: u32 = 3;
    const SOURCE: &'static str = "Fonseca, Ferraro, Serra, Improving Sound Event Classification by Increasing Shift Invariance in Convolutional Neural Networks, 2021";
    type Params = ConsistencyParams;

    fn check(params: &ConsistencyParams) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if params.shifts.is_empty() {
            mistakes
                .push(ParamError::new("shifts", "an empty list shifts nothing").help("write `[1, 3, 5]`"));
        }
        for (at, shift) in params.shifts.iter().enumerate() {
            if !(1..=65_536).contains(shift) {
                mistakes
                    .push(ParamError::new(format!("shifts[{at}]"), format!("{shift} is outside 1..=65536")));
            } else if params.shifts[..at].contains(shift) {
                mistakes.push(ParamError::new(format!("shifts[{at}]"), format!("{shift} is there already")));
            }
        }
        if let Some(hop) = params.hop.filter(|hop| !(1..=65_536).contains(hop)) {
            mistakes.push(ParamError::new("hop", format!("{hop} is outside 1..=65536")));
        }
        mistakes
    }

    fn inputs(params: &ConsistencyParams) -> Vec<Port> {
        let features = Port::new("features", Kind::Features);
        vec![Port::new("model", Kind::Model), features, params.subset.selector().port]
    }

    fn outputs(_: &ConsistencyParams) -> Vec<Output> {
        vec![Output::new("metrics", Kind::Metrics)]
    }

    fn run(params: &ConsistencyParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        // The file and the weights.
        io.memory(2 * io.manifest("model")?.bytes())?;
        let model = TrainedModel::load(&io.blob("model")?)?;
        model.check_features(io.meta("features")?)?;
        io.note("simd", sndpipe_linalg::simd_level());
        let judge = Judge::new(params, &model)?;
        let rows = io.open_rows("features")?;
        let chosen = params.subset.positions(&rows, "features", io)?;
        let counts: Vec<Result<Counts, StageError>> = chosen
            .par_iter()
            .with_max_len(1)
            .map(|&position| {
                io.tick()?;
                judge.clip(rows.row(position)?).map_err(|message| {
                    StageError::failed(format!("clip `{}`: {message}", &rows.ids()[position]))
                })
            })
            .collect();
        let mut all = Counts::of(params);
        let mut left_out = 0;
        for counts in counts {
            let counts = counts?;
            left_out += usize::from(counts.patches == 0);
            all.add(&counts);
        }
        let largest = judge.largest;
        if all.patches == 0 {
            let message = format!("no clip is long enough for a patch and a shift of {largest} frames");
            return Err(StageError::failed(message).help("take smaller shifts"));
        }
        if left_out > 0 {
            io.remark(format!(
                "{} {} no room for a patch and a shift of {largest} frames, left out",
                counted(left_out, "clip"),
                agree(left_out, "has", "have")
            ));
        }
        let fill = match params.fill {
            Fill::Edge => "the patch moved up by so many bands, its lowest band repeated below",
            Fill::Zero => "the patch moved up by so many bands, zeros below (after standardisation)",
        };
        let rule = json!({
            "frequency": fill,
            "time": "the patch of the same clip that starts so many frames later",
        });
        let meta = Meta::from([("shift".to_owned(), rule)]);
        io.write_table("metrics", meta, &long_table(&[], &all.rows(params))?)
    }
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    patches: usize,
    /// For each shift the patches whose best class stayed: in time, in frequency.
    same: Vec<[usize; 2]>,
}

impl Counts {
    fn of(params: &ConsistencyParams) -> Self {
        Self { patches: 0, same: vec![[0, 0]; params.shifts.len()] }
    }

    fn add(&mut self, other: &Self) {
        self.patches += other.patches;
        for (same, other) in self.same.iter_mut().zip(&other.same) {
            same[0] += other[0];
            same[1] += other[1];
        }
    }

    fn rows(&self, params: &ConsistencyParams) -> Vec<Row<String>> {
        let row = |axis: usize, name: &str, at: usize| {
            let value = self.same[at][axis] as f64 / self.patches as f64;
            let name = format!("consistency_{name}_{}", params.shifts[at]);
            (name, None, Measured { value: Some(value), n: self.patches }, Scale::FRACTION)
        };
        let shifts = 0..params.shifts.len();
        let time = shifts.clone().map(|at| row(0, "time", at));
        time.chain(shifts.map(|at| row(1, "frequency", at))).collect()
    }
}

/// What all clips share.
struct Judge<'a> {
    params: &'a ConsistencyParams,
    model: &'a TrainedModel,
    hop: usize,
    ties: TieOrder,
    /// The largest shift.
    largest: usize,
}

impl<'a> Judge<'a> {
    fn new(params: &'a ConsistencyParams, model: &'a TrainedModel) -> Result<Self, StageError> {
        let largest = params.shifts.iter().copied().max().unwrap_or_default();
        let (frames, bands) = (model.frames(), model.shape().bands);
        let least = frames.min(bands);
        if largest >= least {
            let message = format!(
                "a shift of {largest} leaves nothing of a patch of {frames} frames and {bands} bands"
            );
            return Err(StageError::failed(message).help(format!("take shifts below {least}")));
        }
        let (hop, ties) = (params.hop.unwrap_or(model.card.hop), TieOrder::of(&model.card.classes));
        Ok(Self { params, model, hop, ties, largest })
    }

    /// Counts for a clip.
    ///
    /// # Errors
    /// What is wrong with its features.
    fn clip(&self, row: RowRef<'_>) -> Result<Counts, String> {
        let (shape, patch) = (self.model.shape(), self.model.frames());
        let frames = shape.frames(row)?;
        let mut counts = Counts::of(self.params);
        // A clip that is repeated has no end.
        let last = if frames < patch { Some(0) } else { (frames - patch).checked_sub(self.largest) };
        let starts: Vec<usize> = patch::starts(frames, patch, self.hop)
            .filter(|start| last.is_some_and(|last| *start <= last))
            .collect();
        for starts in starts.chunks(AT_ONCE) {
            let cut = |by: usize| {
                let mut patches = vec![0.0; starts.len() * patch * shape.len()];
                for (start, out) in starts.iter().zip(patches.chunks_exact_mut(patch * shape.len())) {
                    patch::cut(row, shape, start + by, &self.model.card.standardisation, out);
                }
                patches
            };
            let plain = cut(0);
            let classes = self.best(&plain)?;
            let same = |inputs: &[f32]| -> Result<usize, String> {
                Ok(self.best(inputs)?.iter().zip(&classes).filter(|(one, other)| one == other).count())
            };
            counts.patches += starts.len();
            for (&shift, counts) in self.params.shifts.iter().zip(&mut counts.same) {
                counts[0] += same(&cut(shift))?;
                counts[1] += same(&raised(&plain, shape, shift, self.params.fill))?;
            }
        }
        Ok(counts)
    }

    /// The best class of each patch.
    fn best(&self, inputs: &[f32]) -> Result<Vec<Option<usize>>, String> {
        let logits = self.model.logits(inputs).map_err(|error| error.to_string())?;
        let patches = logits.chunks_exact(self.model.card.classes.len());
        Ok(patches.map(|logits| self.ties.best(logits, |_| true)).collect())
    }
}

/// Every frame moved up by some bands.
fn raised(patches: &[f32], shape: FrameShape, by: usize, fill: Fill) -> Vec<f32> {
    let mut raised = vec![0.0; patches.len()];
    for (frame, raised) in patches.chunks_exact(shape.bands).zip(raised.chunks_exact_mut(shape.bands)) {
        if fill == Fill::Edge {
            raised[..by].fill(frame[0]);
        }
        raised[by..].copy_from_slice(&frame[..shape.bands - by]);
    }
    raised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_moves_bands_up() {
        let shape = FrameShape { channels: 1, bands: 4 };
        let patch = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(raised(&patch, shape, 1, Fill::Edge), [1.0, 1.0, 2.0, 3.0, 5.0, 5.0, 6.0, 7.0]);
        assert_eq!(raised(&patch, shape, 3, Fill::Zero), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 5.0]);
    }

    #[test]
    fn mistakes_are_named() {
        let params =
            ConsistencyParams { shifts: vec![1, 0, 1], hop: Some(0), ..ConsistencyParams::default() };
        let found: Vec<String> = EvaluateConsistency::check(&params)
            .into_iter()
            .map(|error| format!("{} {}", error.path, error.message))
            .collect();
        assert_eq!(
            found,
            [
                "shifts[1] 0 is outside 1..=65536",
                "shifts[2] 1 is there already",
                "hop 0 is outside 1..=65536",
            ]
        );
    }
}
