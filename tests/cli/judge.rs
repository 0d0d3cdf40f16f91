//! Embeddings judged without a classifier, and drawn: raw features beside a random encoder.

use crate::sandbox::Sandbox;

const PIPELINE: &str = r#"version: 1
name: judge
stages:
  clips: { uses: dataset.synth, with: { classes: 3, clips_per_class: 14, seconds: 0.5, sample_rate: 8000, folds: 2, uploaders: 6 } }
  mel: { uses: spectrogram, in: clips.audio, with: { kind: log_mel, bands: 16, high_hz: 4000 } }
  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: 1, val: none } }
  random:
    uses: train
    in: { features: mel, labels: clips.labels, split: split }
    with: { network: { name: mlp, hidden: [32] }, epochs: 0, patch: { frames: 16 } }
  raw: { uses: embed.raw, in: mel, with: { form: mean } }
  encoded: { uses: embed, in: { features: mel, model: random }, with: { per: patch } }
  knn: { uses: evaluate.knn, in: { embeddings: raw, labels: clips.labels, split: split }, with: { protocol: { name: memory_bank, k: 5 } } }
  found:
    uses: evaluate.retrieval
    in: { embeddings: encoded, labels: clips.labels, split: split }
    with: { segments: 5 }
  linear:
    uses: train
    in: { features: raw, labels: clips.labels, split: split }
    with: { network: { name: mlp, hidden: [] }, patch: { frames: 1 }, epochs: 3, test_curve: true }
  learnt: { uses: evaluate.history, in: linear.history, with: { metric: accuracy, subset: test, reach: [0.4] } }
  curve: { uses: plot, in: learnt, with: { metric: "accuracy_after_*", x_label: epochs } }
  plane: { uses: tsne, in: { embeddings: encoded, split: split }, with: { perplexity: 5, iterations: 100 } }
  drawn: { uses: scatter, in: { points: plane, labels: clips.labels } }
  table: { uses: table, in: knn, with: { metric: [balanced_accuracy, accuracy_1nn] } }
  retrieval: { uses: table, in: found, with: { metric: [retrieval_mAP, retrieval_prior] } }
"#;

#[test]
fn embeddings_are_judged_and_drawn() {
    let sandbox = Sandbox::new().file("judge.yaml", PIPELINE);
    sandbox.ok("run judge.yaml");
    let rows = sandbox.ok("table judge.yaml table --format json").json();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!((0.0..=1.0).contains(&row["mean"].as_f64().unwrap()), "{row}");
    }
    let rows = sandbox.ok("table judge.yaml retrieval --format json").json();
    let value =
        |metric: &str| rows.iter().find(|row| row["metric"] == metric).unwrap()["mean"].as_f64().unwrap();
    // Of each class five segments and five others: 10 pairs of 35.
    assert!((value("retrieval_prior") - 10.0 / 35.0).abs() < 1e-9, "{rows:?}");
    assert!(value("retrieval_mAP") > 0.1 && value("retrieval_mAP") <= 1.0, "{rows:?}");
    for line in ["show judge.yaml drawn --export out", "show judge.yaml curve --export out"] {
        let file = sandbox.ok(line).stdout.trim_end().to_owned();
        let svg = fs_err::read_to_string(sandbox.path(&file)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{line}: {svg}");
    }
    let again = sandbox.ok("run judge.yaml");
    assert!(again.stderr.contains(" 0 ran, "), "{again}");
    // More segments are another retrieval and nothing else.
    sandbox.edit("judge.yaml", "segments: 5", "segments: 6");
    let ran = sandbox.ok("run judge.yaml --format json").statuses();
    let ran: Vec<&String> = ran.iter().filter(|status| status.ends_with(" ran")).collect();
    assert_eq!(ran, ["found ran", "retrieval ran"]);
}
