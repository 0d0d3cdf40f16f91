//! `dataset.synth`.

use std::collections::BTreeSet;

use crate::sandbox::Sandbox;

const STAGES: &str = "
stages:
  clips: { uses: dataset.synth, with: { classes: 4, clips_per_class: 6, seconds: 0.5, sample_rate: 8000, folds: 2, uploaders: 4 } }
  audio: { uses: decode, in: clips.audio, with: { sample_rate: 8000 } }
  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: 1 } }
";

#[test]
fn the_outputs_belong_together() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(STAGES);
    let ids = ran.column("clips", 0, "clip_id");
    assert_eq!(ids.len(), 24);
    assert_eq!(ran.column("clips", 1, "clip_id"), ids);
    let audio = ran.store.open_rows(&ran.manifest("clips", 2)).unwrap();
    assert_eq!(audio.ids().iter().collect::<Vec<_>>(), ids);
    let hashes: Vec<String> = (0..24).map(|at| audio.hash(at).to_string()).collect();
    assert_eq!(ran.column("clips", 0, "digest"), hashes);
    assert_eq!(audio.row(0).unwrap().frames, 4000);
    // Ids carry the name of the class; the truth about events says the same as the labels.
    let classes = ran.column("clips", 1, "class");
    assert!(ids.iter().zip(&classes).all(|(id, class)| id.starts_with(&format!("{class}-"))));
    assert_eq!(ran.column("clips", 3, "class"), classes);
    // No uploader is on both sides of the split.
    assert_eq!(
        sndpipe_stages::artefacts::columns::maybe_int(&ran.table("split", 1), "shared").unwrap(),
        [None, Some(0)]
    );
    assert_eq!(ran.manifest("audio", 0).meta["recipe"]["decode"]["normalise"], "peak");
    assert_eq!(ran.manifest("clips", 2).meta["recipe"]["decode"]["normalise"], "none");
}

#[test]
fn more_clips_leave_the_others_as_they_are() {
    let sandbox = Sandbox::new();
    let few = sandbox.run(STAGES);
    let many = sandbox.run(&STAGES.replace("clips_per_class: 6", "clips_per_class: 7"));
    let digests =
        |ran: &crate::sandbox::Ran| ran.column("clips", 0, "digest").into_iter().collect::<BTreeSet<_>>();
    assert!(digests(&many).is_superset(&digests(&few)));
    assert_eq!((many.rows("audio").computed, many.rows("audio").reused), (4, 24));
}

#[test]
fn its_clips_are_no_files() {
    let sandbox = Sandbox::new();
    let said = sandbox.refused(&STAGES.replace("in: clips.audio", "in: clips"));
    assert!(
        said.contains("the clips of `dataset.synth` are no files / read its audio: `in: STAGE.audio`"),
        "{said}"
    );
}
