//! Consistency under shifts, against scores of patches that are shifted by hand.

use serde_json::{Value, json};
use sndpipe_cache::{Manifest, Row, Values};
use sndpipe_stages::artefacts::PatchMean;
use sndpipe_stages::artefacts::Subset;
use sndpipe_stages::learn::model::TrainedModel;

use crate::bench::{BANDS, Bench, Task, small};

const PATCH: usize = 8;
const HOP: usize = 4;

/// The frames of a stretch; beyond the end the clip begins again.
fn stretch(values: &[f32], start: usize) -> Vec<f32> {
    let frames = values.len() / BANDS;
    (start..start + PATCH).flat_map(|at| values[at % frames * BANDS..][..BANDS].to_vec()).collect()
}

/// Bands moved up; `below` gives what stands in the lowest ones of a frame.
fn raised(patch: &[f32], by: usize, below: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let frame = |frame: &[f32]| {
        let mut out = vec![below(frame); by];
        out.extend(&frame[..BANDS - by]);
        out
    };
    patch.chunks(BANDS).flat_map(frame).collect()
}

/// The share of patches whose best class stays, in time and in frequency, with their number; clips with no room are left out.
fn expected(
    task: &Task,
    model: &TrainedModel,
    shift: usize,
    largest: usize,
    zero: bool,
) -> ([f64; 2], usize) {
    let best = |patch: &[f32]| {
        let row = Row { frames: PATCH as u32, values: Values::F32(patch.to_vec()) };
        let scores = model.scores(row.as_ref(), HOP, PatchMean::Arithmetic).unwrap();
        (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
    };
    let mean = model.card.standardisation.mean[0];
    let (mut same, mut n) = ([0, 0], 0);
    for id in task.split.of(Subset::Test) {
        let (_, row) = task.rows.iter().find(|(of, _)| of == id).unwrap();
        let Values::F32(values) = &row.values else { unreachable!() };
        let frames = values.len() / BANDS;
        let starts: Vec<usize> = if frames < PATCH {
            vec![0]
        } else {
            (0..).step_by(HOP).take_while(|start| start + PATCH + largest <= frames).collect()
        };
        for start in starts {
            let patch = stretch(values, start);
            let class = best(&patch);
            n += 1;
            same[0] += usize::from(best(&stretch(values, start + shift)) == class);
            let fill = |frame: &[f32]| if zero { mean } else { frame[0] };
            same[1] += usize::from(best(&raised(&patch, shift, fill)) == class);
        }
    }
    (same.map(|same| same as f64 / n as f64), n)
}

struct Trained {
    bench: Bench,
    task: Task,
    artefacts: [Manifest; 3],
    model: Manifest,
}

impl Trained {
    fn new() -> Self {
        let (bench, task) = (Bench::new(), Task::new(100));
        let artefacts = task.put(&bench);
        // Trained a little, so that shifts do change something.
        let model =
            task.train(&bench, small(json!({ "epochs": 2, "patch": { "frames": PATCH, "hop": HOP } })));
        Self { model: model.outputs[0].clone(), bench, task, artefacts }
    }

    fn try_run(&self, with: Value) -> Result<sndpipe_engine::Written, sndpipe_engine::StageError> {
        let [features, _, split] = &self.artefacts;
        let wires = [("model", &self.model), ("features", features), ("split", split)];
        self.bench.try_run("evaluate.consistency", with, &wires)
    }
}

#[test]
fn shares_are_those_of_patches_shifted_by_hand() {
    let trained = Trained::new();
    let model = TrainedModel::load(&trained.bench.store.read_blob(&trained.model).unwrap()).unwrap();
    let mut all = Vec::new();
    for zero in [false, true] {
        let fill = if zero { "zero" } else { "edge" };
        let written = trained.try_run(json!({ "shifts": [1, 3], "fill": fill })).unwrap();
        let metrics = &written.outputs[0];
        for shift in [1, 3] {
            let (shares, n) = expected(&trained.task, &model, shift, 3, zero);
            assert!(n > 20, "{n}");
            for (axis, share) in ["time", "frequency"].into_iter().zip(shares) {
                let got = trained.bench.metric(metrics, &format!("consistency_{axis}_{shift}")).unwrap();
                assert!((got - share).abs() < 1e-12, "{axis} {shift} {fill}: {got} instead of {share}");
                all.push(got);
            }
        }
        assert!(metrics.meta["shift"]["frequency"].as_str().unwrap().contains(if zero {
            "zeros"
        } else {
            "repeated"
        }));
    }
    assert!(all.iter().any(|share| *share < 1.0) && all.iter().all(|share| *share > 0.2), "{all:?}");
}

#[test]
fn a_shift_of_everything_is_refused() {
    let trained = Trained::new();
    let error = trained.try_run(json!({ "shifts": [6] })).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "a shift of 6 leaves nothing of a patch of 8 frames and 6 bands");
}
