//! An encoder is trained without labels, then a classifier on it.

use crate::sandbox::Sandbox;

const UNLABELLED: &str = r#"version: 1
name: unlabelled
params: { temperature: 0.2 }
stages:
  clips: { uses: dataset.synth, with: { classes: 2, clips_per_class: 8, seconds: 0.5, sample_rate: 8000, seed: 3 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 8000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 16, window_ms: 32, hop_ms: 10, n_fft: 256, high_hz: 3000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.5, val: 0, seed: 1 } }
  encoder:
    uses: pretrain
    in: { features: mel, split: split }
    with:
      network: { name: mlp, hidden: [8] }
      patch: { frames: 20 }
      method: [{ method: { name: contrastive, temperature: "${temperature}" } }, { method: instance, weight: 0.5 }]
      views: [{ name: mix_back, alpha: 0.05 }, crop, { name: compression, low: 0.75 }, { name: noise, deviation: 0.01 }]
      epochs: 2
      batch: 4
  seen: { uses: views, in: { features: mel, audio: audio, split: split }, with: { patch: { frames: 20 }, waveform: [stretch], views: [mix_back, crop], clips: 2 } }
  model:
    uses: train
    in: { features: mel, audio: audio, labels: clips.labels, split: split, init: encoder }
    with:
      network: { name: mlp, hidden: [8] }
      patch: { frames: 20 }
      waveform: [time_inversion, { name: pad_crop, seconds: 0.4 }]
      augment: [spec_augment]
      standardise: init
      epochs: 2
      batch: 4
  scores: { uses: score, in: { model: model, features: mel, split: split }, with: { subset: test } }
  eval: { uses: evaluate, in: { scores: scores, labels: clips.labels } }
  vectors: { uses: embed, in: { features: mel, model: encoder }, with: { of: head } }
"#;

#[test]
fn an_encoder_without_labels_is_the_start_of_a_classifier() {
    let sandbox = Sandbox::new().file("unlabelled.yaml", UNLABELLED);
    let first = sandbox.ok("run unlabelled.yaml --format json");
    let ran: Vec<String> = first.statuses();
    assert!(ran.len() == 10 && ran.iter().all(|status| status.ends_with(" ran")), "{ran:?}");
    let history = sandbox.ok("show unlabelled.yaml encoder.history").stdout;
    for metric in ["loss", "contrastive", "instance", "rate"] {
        assert!(history.contains(metric), "no `{metric}` in\n{history}");
    }
    assert!(sandbox.ok("logs unlabelled.yaml encoder").stdout.contains("epoch 2/2: loss "));
    sandbox.ok("show unlabelled.yaml seen --export out");
    let picture = fs_err::read_to_string(sandbox.path("out/seen.picture.svg"))
        .or_else(|_| fs_err::read_to_string(sandbox.path("out/seen.svg")));
    let picture = picture.unwrap();
    assert!(picture.contains(">stretch<") && picture.contains(">mix_back<"));
    let again = sandbox.ok("run unlabelled.yaml --format json").statuses();
    assert!(again.iter().all(|status| status.ends_with(" cached")), "{again:?}");
    // Another objective trains encoder and classifier anew; what they are made of stays.
    let changed = sandbox.ok("run unlabelled.yaml --format json --set temperature=0.5").statuses();
    let ran: Vec<&str> = changed.iter().filter_map(|status| status.strip_suffix(" ran")).collect();
    assert!(["encoder", "model", "vectors"].iter().all(|stage| ran.contains(stage)), "{changed:?}");
    assert!(!["mel", "split", "seen"].iter().any(|stage| ran.contains(stage)), "{changed:?}");
    // A model without classes scores nothing.
    sandbox.edit(
        "unlabelled.yaml",
        "scores: { uses: score, in: { model: model,",
        "scores: { uses: score, in: { model: encoder,",
    );
    let refused = sandbox.ends("run unlabelled.yaml", 1);
    assert!(refused.stderr.contains("the model was trained without labels and has no classes"), "{refused}");
}
