//! Models from elsewhere, and what they are used for.

use sndpipe_engine::Outcome;
use sndpipe_stages::learn::model::TrainedModel;

use crate::sandbox::{Ran, Sandbox};

/// A small checkpoint of PyTorch; see `benches/peers/weights.py`.
fn foreign() -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../nn/tests/foreign.safetensors");
    fs_err::read(path).unwrap()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tones();
    sandbox.file("foreign.safetensors", foreign());
    sandbox
}

const NETWORK: &str = "{ name: vgg41_plain, width: 0.03125 }";
const MAPPED: &str = r#", map: [{ from: module., to: "" }], drop: [module.projector.]"#;

/// The stage alone.
fn import(more: &str) -> String {
    format!(
        "stages:\n  foreign: {{ uses: model.import, with: {{ file: 'DIR/foreign.safetensors', network: {NETWORK}, \
         bands: 12, patch: {{ frames: 17 }}{more} }} }}\n"
    )
}

/// The way from files over features to what is done with the model.
fn whole(bands: usize, more: &str) -> String {
    format!(
        "{}  clips: {{ uses: dataset.csv, with: {{ manifest: 'DIR/data/data.csv' }} }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: 8000 }} }}
  mel: {{ uses: spectrogram, in: audio, with: {{ bands: {bands}, high_hz: 4000 }} }}
  split: {{ uses: split.random, in: {{ clips: clips, labels: clips.labels }}, with: {{ test: 0.34 }} }}
{more}",
        import(MAPPED)
    )
}

const TUNED: &str = "  tuned:
    uses: train
    in: { features: mel, labels: clips.labels, split: split, init: foreign }
    with: { network: { name: vgg41_plain, width: 0.03125 }, patch: { frames: 17 }, epochs: 1, freeze: encoder }
  before: { uses: embed, in: { features: mel, model: foreign } }
  after: { uses: embed, in: { features: mel, model: tuned }, with: { subset: all, per: patch } }
  scores: { uses: score, in: { features: mel, model: foreign }, with: { subset: all } }
";

fn model(ran: &Ran) -> TrainedModel {
    TrainedModel::load(&ran.store.read_blob(&ran.manifest("foreign", 0)).unwrap()).unwrap()
}

fn remarks(ran: &Ran, stage: &str) -> Vec<String> {
    match ran.outcome(stage) {
        Outcome::Ran { remarks, .. } => remarks.clone(),
        other => panic!("{stage} {}", other.name()),
    }
}

#[test]
fn a_file_becomes_a_model() {
    let sandbox = sandbox();
    let ran = sandbox.run(&import(MAPPED));
    let card = model(&ran).card;
    assert_eq!(card.classes, ["0", "1", "2"]);
    assert_eq!((card.hop, card.features.len(), card.standardisation.mean.len()), (8, 0, 0));
    assert_eq!(
        remarks(&ran, "foreign"),
        ["1 tensor of the file was left out (the first is `module.projector.weight`)"]
    );
    assert!(ran.log("foreign").starts_with("42 tensors read\n"), "{}", ran.log("foreign"));
    // Content counts, not place.
    fs_err::rename(sandbox.path("foreign.safetensors"), sandbox.path("moved.safetensors")).unwrap();
    let moved = import(MAPPED).replace("foreign.safetensors", "moved.safetensors");
    assert_eq!(sandbox.run(&moved).status("foreign"), "cached");
    let mut bytes = foreign();
    *bytes.last_mut().unwrap() ^= 1;
    sandbox.file("moved.safetensors", bytes);
    let changed = sandbox.run(&moved);
    assert_eq!(changed.status("foreign"), "ran");
    assert_ne!(changed.ids("foreign"), ran.ids("foreign"));
    // Classes, scores and statistics as they are given.
    let given = format!("{MAPPED}, classes: [a, b, c], output: sigmoid, mean: [-4.5], std: [3]");
    let card = model(&sandbox.run(&import(&given).replace("foreign.safetensors", "moved.safetensors"))).card;
    assert_eq!((card.classes.join(" "), card.standardisation.mean), ("a b c".to_owned(), vec![-4.5]));
}

#[test]
fn statistics_of_channels_go_to_their_bands() {
    let params: sndpipe_stages::learn::import::ImportParams = serde_json::from_value(serde_json::json!({
        "file": "x", "network": "resnet18", "channels": 2, "bands": 3, "mean": [1, 2], "std": [3, 4],
    }))
    .unwrap();
    assert_eq!(params.mistakes(), []);
    let standardisation = params.standardisation();
    assert_eq!(standardisation.mean, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(standardisation.std, [3.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
}

#[test]
fn a_foreign_model_embeds_scores_and_starts_a_training() {
    let sandbox = sandbox();
    let ran = sandbox.run(&whole(12, TUNED));
    let rows = |stage: &str| ran.store.open_rows(&ran.manifest(stage, 0)).unwrap();
    let (before, after, scores) = (rows("before"), rows("after"), rows("scores"));
    assert_eq!((before.len(), after.len(), scores.len()), (6, 6, 6));
    assert_eq!(ran.manifest("before", 0).meta["size"], 8);
    for position in 0..6 {
        assert_eq!(before.row(position).unwrap().values.len(), 8);
        assert_eq!(scores.row(position).unwrap().values.len(), 3);
    }
    // Another model embeds anew; the same pipeline does nothing.
    let again = sandbox.run(&whole(12, TUNED));
    assert!(again.report.outcomes.values().all(|outcome| outcome.name() == "cached"), "{}", again.statuses());
    let other = sandbox.run(&whole(12, TUNED).replace("drop: [", "seed: 1, drop: ["));
    assert_eq!(
        (other.status("foreign"), other.status("tuned")),
        ("ran", "cached"),
        "the same model, other key"
    );
    let mut bytes = foreign();
    *bytes.last_mut().unwrap() ^= 1;
    sandbox.file("foreign.safetensors", bytes);
    let changed = sandbox.run(&whole(12, TUNED));
    assert_eq!((changed.status("tuned"), changed.status("split")), ("ran", "cached"));
    assert_eq!((changed.rows("before").computed, changed.status("mel")), (6, "cached"));
}

#[test]
fn features_of_another_shape_are_refused() {
    let sandbox = sandbox();
    let stages = "  scores: { uses: score, in: { features: mel, model: foreign }, with: { subset: all } }\n";
    let failure = sandbox.try_run(&whole(13, stages)).failure("scores");
    assert_eq!(
        failure,
        "the model reads 12 bands, the features have 13 / give features of the shape that the model reads"
    );
}

#[track_caller]
fn fails(more: &str, expected: &str) {
    let sandbox = sandbox();
    let failure = sandbox.try_run(&import(more)).failure("foreign");
    let path = sandbox.path("foreign.safetensors").display().to_string();
    let failure = failure.strip_prefix(&format!("`{path}`")).unwrap_or(&failure).to_owned();
    assert!(failure.contains(expected), "{failure}");
}

#[test]
fn what_does_not_fit_is_said_with_the_way_out() {
    fails("", " holds no `fc.weight`, which would tell the number of classes / give `classes`, or translate");
    fails(", classes: [a, b, c]", " / translate the names: `map: [{ from: module., to: \"\" }]`");
    fails(
        r#", map: [{ from: module., to: "" }]"#,
        ": the weights do not fit the network: missing [], unexpected [\"module.projector.weight\"], other shape [] \
         / leave out what is unexpected with `drop`, or translate names with `map`; go on with the tensors that both have \
         with `partial: names`",
    );
    fails(
        &format!("{MAPPED}, classes: [a, b]"),
        "\"fc.weight: network [2, 8], file [3, 8]\"] / leave out what has another shape, too, with `partial: shapes`",
    );
    let sandbox = sandbox();
    let ran = sandbox.run(&import(&format!("{MAPPED}, classes: [a, b], partial: shapes")));
    assert_eq!(
        remarks(&ran, "foreign")[0],
        "2 tensors of the network keep their initial values (the first is `fc.bias`)"
    );
    sandbox.file("foreign.safetensors", "no weights");
    let failure = sandbox.try_run(&import(MAPPED)).failure("foreign");
    assert!(failure.contains(": the weights cannot be read: its header is to have"), "{failure}");
}

/// The checkpoint with other numbers, all of one value, in the first tensor whose name ends so.
fn edited(end: &str, value: f32) -> (String, Vec<u8>) {
    let mut bytes = foreign();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let (name, of) = header.as_object().unwrap().iter().find(|(name, _)| name.ends_with(end)).unwrap();
    let at = |end: usize| 8 + length + of["data_offsets"][end].as_u64().unwrap() as usize;
    let number = match of["dtype"].as_str().unwrap() {
        "F32" => value.to_le_bytes().to_vec(),
        "BF16" => value.to_le_bytes()[2..].to_vec(),
        other => panic!("{other}"),
    };
    bytes[at(0)..at(1)].chunks_exact_mut(number.len()).for_each(|old| old.copy_from_slice(&number));
    (name.clone(), bytes)
}

#[test]
fn weights_that_no_network_can_compute_with_are_named() {
    let sandbox = sandbox();
    let (name, bytes) = edited("running_var", -0.25);
    sandbox.file("foreign.safetensors", bytes);
    let failure = sandbox.try_run(&import(MAPPED)).failure("foreign");
    let expected = format!("tensor `{name}` holds negative variances (");
    assert!(failure.contains(&expected) && failure.contains("the least is -0.25)"), "{failure}");
    // Finite, and too large to compute with: the sounds are not at fault, and nothing is remembered of them.
    sandbox.file("foreign.safetensors", edited("body.25.weight", f32::MAX).1);
    let stages = "  scores: { uses: score, in: { features: mel, model: foreign }, with: { subset: all } }
  before: { uses: embed, in: { features: mel, model: foreign } }
";
    let ran = sandbox.try_run(&whole(12, stages));
    let embeddings = ran.failure("before");
    assert!(embeddings.contains("the embeddings are not finite, although"), "{embeddings}");
    let failure = ran.failure("scores");
    assert!(
        failure.contains("the scores are not finite, although the features are: the weights of the network"),
        "{failure}"
    );
    assert!(!failure.contains("cannot be used") && !failure.contains("on_error"), "{failure}");
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let sandbox = sandbox();
    let refused = |more: &str, expected: &str| {
        let said = sandbox.refused(&import(more));
        assert!(said.contains(expected), "{said}");
    };
    refused(", channels: 0", "0 is outside 1..=1024");
    refused(", classes: [a, a]", "`a` is listed twice");
    refused(", drop: ['']", "`` leaves out every tensor");
    refused(", mean: [1, 2], std: [1, 2]", "2 numbers for 1 channel of 12 bands");
    refused(", mean: [1]", "0 numbers, and `mean` has 1");
    refused(", mean: [1], std: [0]", "0 is outside the positive numbers");
    refused(", mean: [1e300], std: [1]", "inf is no finite number");
    refused(", partial: some", "`some` is not one of `none`, `names`, `shapes`");
    let missing = import("").replace("foreign.safetensors", "absent.safetensors");
    let said = sandbox.refused(&missing);
    assert!(said.contains("there is no file") && said.contains("current directory"), "{said}");
}
