//! A training that is stopped, wherever and however often, ends with the bytes of one that never was.

use serde_json::{Value, json};
use sndpipe_cache::{Digest, Manifest};
use sndpipe_engine::{Axes, StageError, Written};

use crate::bench::{Bench, Run, Task, small};

fn with() -> Value {
    let stopping = json!({ "metric": "loss", "patience": 2, "min_delta": 0.001 });
    let network = json!({ "name": "mlp", "hidden": [16], "dropout": 0.2 });
    let mut with = small(
        json!({ "epochs": 6, "select": "best", "network": network, "schedule": "cosine", "rate": 0.03 }),
    );
    with["early_stopping"] = stopping;
    with
}

/// Runs a stage of `train`'s inputs.
fn run_stage(
    bench: &Bench,
    inputs: &[Manifest; 3],
    (stage, with): (&str, Value),
    run: &Run,
) -> Result<Written, StageError> {
    let wires = ["features", "labels", "split"].into_iter().zip(inputs);
    let wires: Vec<_> = wires.map(|(port, manifest)| (port, vec![(Axes::new(), manifest)])).collect();
    bench.run_as("one training", stage, with, &wires, run)
}

fn train(bench: &Bench, inputs: &[Manifest; 3], with: Value, run: &Run) -> Result<Written, StageError> {
    run_stage(bench, inputs, ("train", with), run)
}

fn checkpoint(bench: &Bench) -> std::path::PathBuf {
    bench.store.work_dir(&Digest::of(b"one training")).unwrap().join("checkpoint")
}

fn stopped() -> Run {
    Run { stop_at_progress: true, ..Run::default() }
}

/// Stops a training after every step; it ends with the bytes of one that was not stopped.
#[track_caller]
pub fn stop_everywhere(task: &Task, stage: &str, with: &Value) {
    let whole = Bench::new();
    let run = |bench: &Bench, inputs: &[Manifest; 3], run: &Run| {
        run_stage(bench, inputs, (stage, with.clone()), run)
    };
    let expected = run(&whole, &task.put(&whole), &Run::default()).unwrap();
    let bench = Bench::new();
    let inputs = task.put(&bench);
    let mut stops = 0;
    let written = loop {
        match run(&bench, &inputs, &stopped()) {
            Ok(written) => break written,
            Err(StageError::Interrupted) => stops += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(stops < 200, "the training makes no progress");
    };
    // 24 training clips in batches of 8: three steps an epoch, each of which was stopped after.
    assert!(stops >= 9, "{stops} stops");
    assert!(whole.model(&expected) == bench.model(&written), "{with}");
    assert_eq!(expected.outputs[1].id, written.outputs[1].id, "{with}");
}

#[test]
fn stopping_at_every_step_changes_nothing() {
    stop_everywhere(&Task::new(40), "train", &with());
}

#[test]
fn stopping_changes_nothing_for_any_option() {
    let mut task = Task::new(40);
    for labels in task.labels.clips.values_mut().step_by(3) {
        let class = *labels.keys().next().unwrap();
        labels.insert((class + 1) % 3, sndpipe_stages::artefacts::State::Ignored);
    }
    for changes in [
        json!({ "mixup": { "alpha": 0.3, "pairing": "inter", "warm_up": 1 }, "schedule": { "name": "plateau", "patience": 1 } }),
        json!({ "mixup": { "alpha": 0.3 }, "loss": "bce", "smoothing": { "epsilon": 0.1 }, "patches": "all", "drop_last": true }),
        json!({ "loss": "lq", "then": { "after": 2, "loss": { "name": "lq_percentile", "q": 0.5, "percentile": 70 } }, "decays": { "fc.weight": 0.01 } }),
    ] {
        let mut with = with();
        changes.as_object().unwrap().iter().for_each(|(name, value)| with[name] = value.clone());
        stop_everywhere(&task, "train", &with);
    }
}

#[test]
fn a_damaged_checkpoint_is_ignored() {
    let task = Task::new(40);
    let bench = Bench::new();
    let inputs = task.put(&bench);
    let whole = Bench::new();
    let expected = whole.model(&train(&whole, &task.put(&whole), with(), &Run::default()).unwrap());
    for damage in [0usize, 20, 45, 300, usize::MAX] {
        assert!(matches!(train(&bench, &inputs, with(), &stopped()), Err(StageError::Interrupted)));
        let path = checkpoint(&bench);
        let mut bytes = fs_err::read(&path).unwrap();
        match bytes.get_mut(damage) {
            Some(byte) => *byte ^= 4,
            None => bytes.truncate(bytes.len() / 2),
        }
        fs_err::write(&path, bytes).unwrap();
        let run = Run::default();
        assert!(expected == bench.model(&train(&bench, &inputs, with(), &run).unwrap()));
        let log = run.log.lock().unwrap();
        assert!(log[0].starts_with("a checkpoint was ignored: "), "{}", log[0]);
        fs_err::remove_file(&path).unwrap();
    }
}

#[test]
fn a_checkpoint_of_another_training_is_ignored() {
    let bench = Bench::new();
    let inputs = Task::new(40).put(&bench);
    assert!(matches!(train(&bench, &inputs, with(), &stopped()), Err(StageError::Interrupted)));
    let mut other = with();
    other["seed"] = json!(77);
    let run = Run::default();
    let written = train(&bench, &inputs, other.clone(), &run).unwrap();
    assert_eq!(run.log.lock().unwrap()[0], "a checkpoint was ignored: it belongs to another training");
    let clean = Bench::new();
    let expected = train(&clean, &Task::new(40).put(&clean), other, &Run::default()).unwrap();
    assert!(clean.model(&expected) == bench.model(&written));
}
