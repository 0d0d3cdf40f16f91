//! `labels.corrupt` and `labels.hide` in a pipeline.

use std::collections::BTreeMap;

use crate::sandbox::{Ran, Sandbox, zip};

const STAGES: &str = "
params: { rate: 0.4 }
stages:
  clips: { uses: dataset.synth, with: { classes: 4, clips_per_class: 10, seconds: 0.5, sample_rate: 8000, folds: 2, uploaders: 4 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 8000 } }
  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: 1 } }
  noisy:
    uses: labels.corrupt
    in: { labels: clips.labels, split: split }
    with: { kind: symmetric, rate: \"${rate}\", seed: 2 }
  hidden:
    uses: labels.hide
    in: { labels: clips.labels, split: split }
    with: { share: \"${rate}\" }
";

fn labels(ran: &Ran, stage: &str, output: usize) -> BTreeMap<String, String> {
    zip(ran.column(stage, output, "clip_id"), ran.column(stage, output, "class"))
}

#[test]
fn labels_of_training_clips_alone_change() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(STAGES);
    let truth = labels(&ran, "clips", 1);
    let subset = zip(ran.column("split", 0, "clip_id"), ran.column("split", 0, "subset"));
    assert_eq!(ran.ids("noisy")[1], ran.ids("clips")[1], "the truth is the same artefact");
    assert_eq!(ran.ids("hidden")[1], ran.ids("clips")[1]);
    let (noisy, left) = (labels(&ran, "noisy", 0), labels(&ran, "hidden", 0));
    let (mut wrong, mut gone) = (0, 0);
    for (id, class) in &truth {
        if subset[id] == "test" {
            assert_eq!((noisy.get(id), left.get(id)), (Some(class), Some(class)));
        } else {
            wrong += usize::from(noisy[id] != *class);
            gone += usize::from(!left.contains_key(id));
        }
    }
    // Two of the five training clips of each of the four classes.
    assert_eq!((wrong, gone), (8, 8));
    let again = sandbox.run(&STAGES.replace("rate: 0.4", "rate: 0.2"));
    assert_eq!(again.statuses(), "clips cached, audio cached, split cached, noisy ran, hidden ran");
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let sandbox = Sandbox::new();
    let said = sandbox.refused(&STAGES.replace("rate: 0.4", "rate: 1.4"));
    assert!(said.contains("1.4 is outside 0..=1"), "{said}");
    let said = sandbox.refused(&STAGES.replace("kind: symmetric", "kind: symetric"));
    assert!(
        said.contains("`symetric` is not one of") && said.contains("did you mean `symmetric`?"),
        "{said}"
    );
    let said = sandbox.refused(&STAGES.replace("kind: symmetric, rate: \"${rate}\"", "kind: cyclic"));
    assert!(said.contains("is missing"), "{said}");
}

#[test]
fn labels_of_another_data_set_are_refused() {
    let sandbox = Sandbox::new();
    let other = "  other: { uses: dataset.synth, with: { classes: 2, clips_per_class: 2, folds: 2, uploaders: 2, seconds: 0.5, class_list: [trill, dyad] } }\n";
    let stages = format!("{STAGES}{other}").replace(
        "in: { labels: clips.labels, split: split }\n    with: { share",
        "in: { labels: other.labels, split: split }\n    with: { share",
    );
    let ran = sandbox.try_run(&stages);
    let said = ran.failure("hidden");
    assert!(said.contains("no clip of train has a label"), "{said}");
}
