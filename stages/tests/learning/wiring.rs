//! What the planner refuses before anything runs.

use serde_json::{Value, json};
use sndpipe_engine::{BoundStage, Upstream};
use std::sync::Arc;

fn bind(stage: &str, with: Value) -> Arc<dyn BoundStage> {
    sndpipe_stages::registry().get(stage).unwrap().bind(&with).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[track_caller]
fn check(train: Value, split: (&str, Value), expected: &[&str]) {
    let split = bind(split.0, split.1);
    let wired = Upstream { port: "split", stage: &*split, output: &split.outputs()[0], items: &[] };
    let errors: Vec<String> = bind("train", train)
        .check_wiring(&[wired])
        .into_iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect();
    assert_eq!(errors, expected);
}

#[test]
fn early_stopping_needs_a_split_that_validates() {
    let stopping = json!({ "early_stopping": { "metric": "loss", "patience": 3 } });
    let refused =
        "early_stopping: a validation subset is needed, and the split keeps none (`val` of `split.folds`)";
    check(stopping.clone(), ("split.folds", json!({ "test": 1 })), &[refused]);
    check(stopping.clone(), ("split.folds", json!({ "test": 1, "val": "none" })), &[refused]);
    check(stopping.clone(), ("split.folds", json!({ "test": 1, "val": "next_fold" })), &[]);
    check(stopping.clone(), ("split.random", json!({ "test": 0.2, "val": 0.1 })), &[]);
    let refused = "select: a validation subset is needed, and the split keeps none (`val` of `split.random`)";
    check(json!({ "select": "best" }), ("split.random", json!({ "test": 0.2 })), &[refused]);
    check(json!({}), ("split.random", json!({ "test": 0.2 })), &[]);
}

#[track_caller]
fn check_init(train: Value, init: Option<(&str, Value)>, expected: &[&str]) {
    let features = bind("spectrogram", json!({ "bands": 64 }));
    let mut wired =
        vec![Upstream { port: "features", stage: &*features, output: &features.outputs()[0], items: &[] }];
    let init = init.map(|(stage, with)| bind(stage, with));
    if let Some(init) = &init {
        wired.push(Upstream { port: "init", stage: &**init, output: &init.outputs()[0], items: &[] });
    }
    let errors = bind("train", train).check_wiring(&wired);
    let errors: Vec<String> =
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
    assert_eq!(errors, expected);
}

#[test]
fn a_training_starts_from_a_model_of_its_network() {
    let import = |network: Value| {
        Some(("model.import", json!({ "file": "weights.safetensors", "bands": 64, "network": network })))
    };
    check_init(json!({ "network": "resnet18" }), import(json!("resnet18")), &[]);
    check_init(
        json!({ "network": "resnet18" }),
        import(json!("resnet50")),
        &[
            r#"network: the model behind `init` is {"attention":false,"name":"resnet50","stereo":false}, and this is {"name":"resnet18"}"#,
        ],
    );
    check_init(
        json!({ "network": { "name": "mlp", "hidden": [8] } }),
        Some(("train", json!({ "network": { "name": "mlp", "hidden": [9] } }))),
        &[
            r#"network: the model behind `init` is {"dropout":0.0,"hidden":[9],"name":"mlp"}, and this is {"dropout":0.0,"hidden":[8],"name":"mlp"}"#,
        ],
    );
    // Options that leave the parameters alone may differ.
    for (one, other) in [
        (
            json!({ "name": "vgg41", "pool": "aps", "norm": "l2" }),
            json!({ "name": "vgg41", "pool": { "blur": 3 } }),
        ),
        (
            json!({ "name": "vgg41", "pool": { "tlpf": 5 } }),
            json!({ "name": "vgg41", "pool": { "aps_tlpf": 5 } }),
        ),
        (json!({ "name": "resnet50", "stereo": true }), json!("resnet50")),
        (json!({ "name": "noisy_cnn", "dropout": 0.1 }), json!("noisy_cnn")),
        (json!({ "name": "dense_se", "dropout": 0.1 }), json!("dense_se")),
        (json!({ "name": "mlp", "dropout": 0.1 }), json!({ "name": "mlp", "dropout": 0.3 })),
    ] {
        check_init(json!({ "network": one }), import(other), &[]);
    }
    let unconnected = "nothing is connected to the input `init`";
    check_init(
        json!({ "init": "encoder", "standardise": "init" }),
        None,
        &[&format!("init: {unconnected}"), &format!("standardise: {unconnected}")],
    );
    check_init(json!({}), None, &[]);
}

#[test]
fn clean_clips_need_the_table_of_clips() {
    let clean = json!({ "clean": { "column": "verified", "is": true } });
    let refused = "clean: nothing is connected to the input `clips`";
    check(clean, ("split.random", json!({ "test": 0.2 })), &[refused]);
    let plateau = json!({ "schedule": "plateau" });
    let refused =
        "schedule: a validation subset is needed, and the split keeps none (`val` of `split.random`)";
    check(plateau.clone(), ("split.random", json!({ "test": 0.2 })), &[refused]);
    // What a pruned split validates with only a run can tell.
    check(plateau, ("split.prune", json!({ "percentile": 97 })), &[]);
}

#[track_caller]
fn check_waveform(stage: &str, with: Value, wires: &[(&str, &str, Value)], expected: &[&str]) {
    let stages: Vec<_> = wires.iter().map(|(port, stage, with)| (*port, bind(stage, with.clone()))).collect();
    let outputs: Vec<_> = stages.iter().map(|(_, stage)| stage.outputs()).collect();
    let upstream: Vec<Upstream<'_>> = stages
        .iter()
        .zip(&outputs)
        .map(|((port, stage), outputs)| Upstream { port, stage: &**stage, output: &outputs[0], items: &[] })
        .collect();
    let errors = bind(stage, with).check_wiring(&upstream);
    let errors: Vec<String> =
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
    assert_eq!(errors, expected);
}

#[test]
fn changed_waveforms_need_audio_and_a_spectrogram() {
    let features = || ("features", "spectrogram", json!({}));
    let audio = || ("audio", "decode", json!({ "sample_rate": 8000 }));
    let steps = json!({ "waveform": ["time_inversion", "stretch"] });
    for stage in ["train", "pretrain", "views"] {
        check_waveform(stage, steps.clone(), &[features(), audio()], &[]);
        check_waveform(stage, json!({}), &[features()], &[]);
        let refused = "waveform: nothing is connected to the input `audio`";
        check_waveform(stage, steps.clone(), &[features()], &[refused]);
        let refused = "waveform: the input `audio` is connected, and no step changes it";
        check_waveform(stage, json!({}), &[features(), audio()], &[refused]);
    }
    let steps = json!({ "waveform": ["stretch"], "patch": { "frames": 1 } });
    let refused = "waveform: `embed` makes no spectrogram, and one of changed waveforms is to stand for it";
    check_waveform("train", steps, &[("features", "embed", json!({})), audio()], &[refused]);
}

/// The key of a training without `init` is made of what it was made of before there was one.
#[test]
fn the_parameters_of_a_plain_training_are_unchanged() {
    let params = bind("train", json!({})).params().clone();
    let names: Vec<&String> = params.as_object().unwrap().keys().collect();
    let expected = [
        "batch",
        "clip_norm",
        "drop_last",
        "early_stopping",
        "epochs",
        "loss",
        "network",
        "optimiser",
        "patch",
        "rate",
        "schedule",
        "seed",
        "select",
        "standardise",
        "warm_up",
    ];
    assert_eq!(names, expected);
}

/// What the wiring of a stage says, with the way out.
fn wired<'a>(
    stage: &str,
    with: Value,
    split: impl Into<Option<(&'a str, Value)>>,
    labels: bool,
) -> Vec<String> {
    let split = split.into().map(|(stage, with)| bind(stage, with));
    let clips = bind("dataset.synth", json!({ "classes": 2, "clips_per_class": 2 }));
    let mut wired: Vec<Upstream<'_>> = split
        .iter()
        .map(|split| Upstream { port: "split", stage: &**split, output: &split.outputs()[0], items: &[] })
        .collect();
    let given = clips.outputs().iter().find(|output| output.kind == sndpipe_engine::Kind::Labels).unwrap();
    if labels {
        wired.push(Upstream { port: "labels", stage: &*clips, output: given, items: &[] });
    }
    let errors = bind(stage, with).check_wiring(&wired).into_iter();
    errors.map(|e| format!("{}: {} / {}", e.path, e.message, e.help.unwrap_or_default())).collect()
}

#[test]
fn labels_are_for_those_who_read_them() {
    let validates = || ("split.random", json!({ "test": 0.2, "val": 0.1 }));
    let same_class = || json!({ "samplers": ["same_class"], "method": "triplet" });
    let unconnected = "nothing is connected to the input `labels` / connect the labels of the data set: `in: { labels: clips.labels }`";
    let unread = "the input `labels` is connected, and nothing reads it / take the input away, or say what it is for by";
    let none: [&str; 0] = [];
    assert_eq!(wired("pretrain", json!({}), validates(), false), none);
    assert_eq!(wired("pretrain", json!({ "knn": {} }), validates(), true), none);
    assert_eq!(wired("pretrain", same_class(), validates(), true), none);
    assert_eq!(wired("pretrain", json!({ "knn": {} }), validates(), false), [format!("knn: {unconnected}")]);
    assert_eq!(wired("pretrain", same_class(), validates(), false), [format!("samplers: {unconnected}")]);
    let said = wired("pretrain", json!({}), validates(), true);
    assert_eq!(said, [format!("knn: {unread} `knn` or `samplers`")]);
    let seen = json!({ "samplers": ["same_class"] });
    assert_eq!(wired("views", seen.clone(), validates(), true), none);
    assert_eq!(wired("views", seen, validates(), false), [format!("samplers: {unconnected}")]);
    assert_eq!(wired("views", json!({}), validates(), true), [format!("samplers: {unread} `samplers`")]);
    let folds = || ("split.folds", json!({ "test": 1, "val": "none" }));
    let said = wired("pretrain", json!({ "knn": {} }), folds(), true);
    let kept = "knn.subset: the split keeps no validation subset (`val` of `split.folds`)";
    assert_eq!(said, [format!("{kept} / judge `test`, or give the split stage a `val`")]);
    assert_eq!(wired("pretrain", json!({ "knn": { "subset": "test" } }), folds(), true), none);
    let said = wired("pretrain", json!({ "knn": {} }), None, true);
    let all = "knn.subset: without the input `split` all clips are training clips";
    assert_eq!(said, [format!("{all} / connect a split, or judge `train` with `leave_one_clip_out`")]);
    assert_eq!(wired("pretrain", json!({ "knn": { "subset": "train" } }), None, true), none);
}

/// The key of a training without labels is made of what it was made of before anybody could look on.
#[test]
fn the_parameters_of_a_plain_pretraining_are_unchanged() {
    let params = bind("pretrain", json!({ "knn": null })).params().clone();
    let names: Vec<&String> = params.as_object().unwrap().keys().collect();
    let expected = [
        "batch",
        "clip_norm",
        "drop_last",
        "epochs",
        "head",
        "method",
        "network",
        "optimiser",
        "patch",
        "patches",
        "rate",
        "schedule",
        "seed",
        "standardise",
        "views",
        "warm_up",
    ];
    assert_eq!(names, expected);
}
