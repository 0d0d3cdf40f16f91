//! `scenes`: clips mixed into scenes, and labels that are made wrong or hidden, in a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use sndpipe_stages::artefacts::columns;

use crate::real::data;
use crate::sandbox::{Ran, Sandbox, zip};

const STAGES: &str = "
stages:
  clips: { uses: dataset.synth, with: { classes: 4, clips_per_class: 6, seconds: 1.0, sample_rate: 8000, folds: 2, uploaders: 4 } }
  scenes:
    uses: scenes
    in: { audio: clips.audio, clips: clips, labels: clips.labels }
    with: { count: 40, seconds: 2.0, min_events: 1, max_events: 3, min_event_seconds: 0.2, max_event_seconds: 0.6, seed: 3 }
  split: { uses: split.folds, in: { clips: scenes, labels: scenes.labels }, with: { test: 1 } }
";

/// Rows of the table of events: scene, class, source, and onset, duration, level.
fn events(ran: &Ran) -> Vec<(String, String, String, [f64; 3])> {
    let text = |column| ran.column("scenes", 3, column);
    let number = |column| -> Vec<f64> {
        columns::number(&ran.table("scenes", 3), column).unwrap().into_iter().flatten().collect()
    };
    let numbers = number("onset").into_iter().zip(number("duration")).zip(number("level_db"));
    let texts = text("clip_id").into_iter().zip(text("class")).zip(text("source"));
    texts.zip(numbers).map(|(((id, class), source), ((a, b), c))| (id, class, source, [a, b, c])).collect()
}

fn folds(ran: &Ran, stage: &str) -> BTreeMap<String, i64> {
    let folds = columns::maybe_int(&ran.table(stage, 0), "fold").unwrap();
    ran.column(stage, 0, "clip_id").into_iter().zip(folds.into_iter().flatten()).collect()
}

#[test]
fn scenes_hold_what_their_truth_says() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(STAGES);
    let ids = ran.column("scenes", 0, "clip_id");
    assert_eq!(ids.len(), 40);
    let (of_scene, of_clip) = (folds(&ran, "scenes"), folds(&ran, "clips"));
    let class_of = zip(ran.column("clips", 1, "clip_id"), ran.column("clips", 1, "class"));
    let events = events(&ran);
    let mut truth: BTreeSet<(String, String)> = BTreeSet::new();
    for (scene, class, source, [onset, duration, level]) in &events {
        assert_eq!(of_scene[scene], of_clip[source], "a clip stays in its fold");
        assert_eq!(&class_of[source], class);
        assert!(*onset >= 0.0 && onset + duration <= 2.0 + 1e-9 && *duration <= 0.6 + 1e-9);
        assert!((-34.0..=-22.0).contains(level), "{level}");
        assert!(truth.insert((scene.clone(), class.clone())), "classes of a scene differ");
    }
    let labels = ran.column("scenes", 1, "clip_id").into_iter().zip(ran.column("scenes", 1, "class"));
    assert_eq!(labels.collect::<BTreeSet<_>>(), truth);
    // The level is that of the samples, where an event is alone.
    let audio = ran.store.open_rows(&ran.manifest("scenes", 2)).unwrap();
    let mut alone = 0;
    for (scene, _, _, [onset, duration, level]) in &events {
        if events.iter().filter(|(other, ..)| other == scene).count() > 1 {
            continue;
        }
        alone += 1;
        let row = audio.row(audio.position(scene).unwrap()).unwrap();
        assert_eq!(row.frames, 16_000);
        let samples = row.to_f32();
        let (from, n) = ((onset * 8000.0).round() as usize, (duration * 8000.0).round() as usize);
        let power: f64 = samples[from..from + n].iter().map(|x| f64::from(*x).powi(2)).sum();
        let rest: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() - power;
        assert!((10.0 * (power / n as f64).log10() - level).abs() < 1e-3);
        assert!(rest < 1e-9 * power, "nothing but the event");
    }
    assert!(alone > 3);
    // Scenes are a data set like any other.
    assert_eq!(ran.status("split"), "ran");
    let hashes: Vec<String> = (0..40).map(|at| audio.hash(at).to_string()).collect();
    assert_eq!(ran.column("scenes", 0, "digest"), hashes);
}

#[test]
fn more_scenes_leave_the_others_as_they_are() {
    let sandbox = Sandbox::new();
    let digests = |stages: &str| {
        let ran = sandbox.run(stages);
        zip(ran.column("scenes", 0, "clip_id"), ran.column("scenes", 0, "digest"))
    };
    let few = digests(STAGES);
    let many = digests(&STAGES.replace("count: 40", "count: 60"));
    assert_eq!(many.len(), 60);
    assert!(few.iter().all(|(id, digest)| many[id] == *digest));
    let other = digests(&STAGES.replace("seed: 3", "seed: 4"));
    assert!(few.iter().all(|(id, digest)| other[id] != *digest));
}

#[test]
fn a_split_keeps_its_sides_apart() {
    let sandbox = Sandbox::new();
    let stages = "
stages:
  clips: { uses: dataset.synth, with: { classes: 4, clips_per_class: 10, seconds: 0.5, sample_rate: 8000 } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.3, val: 0.2, seed: 1 } }
  scenes:
    uses: scenes
    in: { audio: clips.audio, clips: clips, labels: clips.labels, split: split }
    with: { count: 50, seconds: 1.0, max_events: 2, max_event_seconds: 0.5 }
";
    let ran = sandbox.run(stages);
    let of_clip = zip(ran.column("split", 0, "clip_id"), ran.column("split", 0, "subset"));
    let of_scene = zip(ran.column("scenes", 0, "clip_id"), ran.column("scenes", 0, "subset"));
    assert_eq!(of_scene.values().collect::<BTreeSet<_>>().len(), 3);
    assert!(events(&ran).iter().all(|(scene, _, source, _)| of_scene[scene] == of_clip[source]));
    let ran = sandbox.try_run(&stages.replace("max_events: 2", "max_events: 5"));
    let said = ran.failure("scenes");
    assert!(said.contains("have 4 classes, and a scene has up to 5 events of different ones"), "{said}");
}

/// Real clips, of which some are padded with digital silence: one of each class and fold.
#[test]
fn real_clips_make_scenes() {
    let Some(folder) = data("SNDPIPE_ESC10", "esc10") else { return };
    let sandbox = Sandbox::new();
    let all = fs_err::read_to_string(folder.join("esc10.csv")).unwrap();
    let mut seen = BTreeSet::new();
    let mut first = |line: &&str| {
        let cells: Vec<&str> = line.split(',').collect();
        seen.insert((cells[1].to_owned(), cells[2].to_owned()))
    };
    let lines: Vec<&str> = all.lines().filter(&mut first).collect();
    assert_eq!(lines.len(), 51, "a header and 50 clips");
    let manifest = sandbox.file("few.csv", lines.join("\n"));
    let stages = format!(
        "
stages:
  clips:
    uses: dataset.csv
    with: {{ manifest: '{}', root: '{}', path: path, class: category, target: target, fold: fold, uploader: uploader }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: 8000, normalise: none }} }}
  scenes:
    uses: scenes
    in: {{ audio: audio, clips: clips, labels: clips.labels }}
    with: {{ count: 30, seconds: 4.0 }}
",
        manifest.display(),
        folder.display()
    );
    let ran = sandbox.run(&stages);
    let (of_scene, of_clip) = (folds(&ran, "scenes"), folds(&ran, "clips"));
    let events = events(&ran);
    assert!(events.iter().all(|(scene, _, source, _)| of_scene[scene] == of_clip[source]));
    let uploader = zip(ran.column("clips", 0, "clip_id"), ran.column("clips", 0, "uploader"));
    let named = ran.column("scenes", 3, "uploader");
    assert!(events.iter().zip(&named).all(|((_, _, source, _), name)| uploader[source] == *name));
    assert_eq!(of_scene.values().collect::<BTreeSet<_>>().len(), 5);
}
