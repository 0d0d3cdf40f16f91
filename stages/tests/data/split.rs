//! Splits.

use crate::real::data;
use crate::sandbox::{Ran, Sandbox, zip};

const FOLDS: &str = "
stages:
  clips:
    uses: dataset.csv
    with: { manifest: 'DIR/data/data.csv', fold: fold, uploader: uploader, license: license }
  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: 1, val: next_fold } }
";

#[test]
fn a_fold_tests_and_the_next_validates() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let ran = sandbox.run(FOLDS);
    let split = zip(ran.column("split", 0, "clip_id"), ran.column("split", 0, "subset"));
    let subsets: Vec<&str> = split.values().map(String::as_str).collect();
    assert_eq!(subsets, ["test", "val", "train", "test", "val", "train"]);
    // Trained on: 2.wav (low, person-1) and 5.wav (high, person-2). Of the clips that test, 0.wav is of person-0
    // and 3.wav (high) of person-1; of those that validate, 1.wav is of person-0 and 4.wav (low) of person-2.
    let numbers =
        |column| sndpipe_stages::artefacts::columns::maybe_int(&ran.table("split", 1), column).unwrap();
    assert_eq!(ran.column("split", 1, "subset"), ["train", "val", "test"]);
    assert_eq!(numbers("within_class"), [None, Some(0), Some(0)]);
    assert_eq!(numbers("between_class"), [None, Some(1), Some(1)]);
    assert_eq!(numbers("clean"), [None, Some(1), Some(1)]);
    assert_eq!(numbers("uploaders"), [Some(2), Some(2), Some(2)]);
}

#[test]
fn a_changed_licence_splits_nothing_anew() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let first = sandbox.run(FOLDS);
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    sandbox.file("data/data.csv", text.replace("CC0", "CC-BY"));
    let second = sandbox.run(FOLDS);
    assert_eq!(second.statuses(), "clips ran, split cached");
    assert_ne!(second.ids("clips")[0], first.ids("clips")[0]);
}

#[test]
fn a_clip_without_a_fold_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    sandbox.file("data/data.csv", text.replace("4.wav,low,2", "4.wav,low,"));
    assert!(
        sandbox.try_run(FOLDS).failure("split").contains("1 of 6 clips is in no fold, the first is `4.wav`")
    );
    let unnamed = FOLDS.replace("fold: fold, ", "");
    let graph = sandbox.graph(&unnamed);
    let sources = sndpipe_engine::Sources::scan(&graph, &sandbox.store(), &[]).unwrap();
    assert!(sources.of(0).is_some());
}

#[test]
fn a_random_split_needs_sensible_shares() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let stages = FOLDS
        .replace("split.folds", "split.random")
        .replace("test: 1, val: next_fold", "test: 0.34, val: 0.33, seed: 1");
    let ran = sandbox.run(&stages);
    let labels = zip(ran.column("clips", 1, "clip_id"), ran.column("clips", 1, "class"));
    let subsets = ran.column("split", 0, "subset");
    for class in ["low", "high"] {
        let of_class = |subset: &str| {
            subsets.iter().zip(labels.values()).filter(|(s, c)| *s == subset && *c == class).count()
        };
        assert_eq!([of_class("train"), of_class("val"), of_class("test")], [1, 1, 1]);
    }
    assert!(sandbox.refused(&stages.replace("val: 0.33", "val: 0.7")).contains("leave nothing for training"));
}

const OFFICIAL: &str = "
stages:
  clips:
    uses: dataset.csv
    with: { manifest: 'DIR/data/data.csv', subset: subset, uploader: uploader }
  official: { uses: split.subsets, in: { clips: clips, labels: clips.labels }, with: {} }
  split: { uses: split.train_val, in: { clips: clips, labels: clips.labels }, with: { method: uploader, val: 0.5 } }
  again: { uses: split.train_val, in: { clips: clips, labels: clips.labels, split: official }, with: { method: uploader, val: 0.5 } }
  people: { uses: split.uploader, in: { clips: clips, labels: clips.labels }, with: { test: 0.34 } }
";

/// Tones with an official subset: two of three people train.
fn subsets(sandbox: &Sandbox) {
    sandbox.tones();
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    let with = |line: &str| {
        let subset = if line.contains("person-2") { "test" } else { "train" };
        if line.starts_with("path") { format!("{line},subset") } else { format!("{line},{subset}") }
    };
    sandbox.file("data/data.csv", text.lines().map(with).collect::<Vec<_>>().join("\n"));
}

#[test]
fn validation_is_separated_from_what_trains() {
    let sandbox = Sandbox::new();
    subsets(&sandbox);
    let ran = sandbox.run(OFFICIAL);
    let official = ran.column("official", 0, "subset");
    assert_eq!(official, ["train", "train", "train", "train", "test", "test"]);
    let split = ran.column("split", 0, "subset");
    // Each person has one clip of each class: half of the clips of a class is one clip.
    let count = |subset: &str| split.iter().filter(|of| *of == subset).count();
    assert_eq!(
        ([count("train"), count("val")], &split[4..]),
        ([2, 2], &["test", "test"].map(str::to_owned)[..])
    );
    assert_eq!(ran.ids("again"), ran.ids("split"), "from a split or from the column, it is the same");
    let numbers = |stage, output, name| {
        sndpipe_stages::artefacts::columns::maybe_int(&ran.table(stage, output), name).unwrap()
    };
    assert_eq!(numbers("split", 1, "within_class"), [None, Some(0), Some(0)]);
    let classes = ran.table("split", 2);
    assert_eq!(ran.column("split", 2, "class")[..3], ["high", "high", "high"]);
    assert_eq!(
        sndpipe_stages::artefacts::columns::number(&classes, "target").unwrap()[..3],
        [None, Some(1.0), None]
    );
    assert_eq!(ran.column("split", 3, "uploader"), ["person-0", "person-1", "person-2"]);
    // One of three people with a clip of each class is a third of each class.
    let people = ran.column("people", 0, "subset");
    assert_eq!(people, ["test", "test", "train", "train", "train", "train"]);
    assert_eq!(numbers("people", 1, "shared"), [None, Some(0)]);
}

#[test]
fn splits_by_uploader_need_uploaders() {
    let sandbox = Sandbox::new();
    subsets(&sandbox);
    let ran = sandbox.try_run(&OFFICIAL.replace(", uploader: uploader }", " }"));
    for stage in ["split", "people"] {
        assert!(ran.failure(stage).contains("the clips have no column `uploader`"), "{}", ran.failure(stage));
    }
    let refused = sandbox.refused(&OFFICIAL.replace("val: 0.5", "val: 1.5"));
    assert!(refused.contains("1.5 is outside 0..1"), "{refused}");
}

#[test]
fn training_sees_whether_there_is_validation() {
    let sandbox = Sandbox::new();
    subsets(&sandbox);
    let stages = format!(
        "{OFFICIAL}  audio: {{ uses: decode, in: clips, with: {{ sample_rate: 8000 }} }}
  mel: {{ uses: spectrogram, in: audio, with: {{ bands: 20, high_hz: 4000 }} }}
  model:
    uses: train
    in: {{ features: mel, labels: clips.labels, split: split }}
    with: {{ network: mlp, epochs: 1, select: best, patch: {{ frames: 8 }} }}
"
    );
    sandbox.graph(&stages);
    for (split, with) in [("people", "test: 0.34"), ("official", "{}")] {
        let stages = stages.replace(
            "split: split }\n    with: { network",
            &format!("split: {split} }}\n    with: {{ network"),
        );
        let stages = stages.replace("with: {} }", "with: { val: [] } }");
        let said = sandbox.refused(&stages);
        assert!(said.contains("validat"), "{with}: {said}");
    }
}

/// ESC-50 without its audio, with the people who uploaded it.
fn esc50() -> Option<Sandbox> {
    let metadata = data("SNDPIPE_METADATA", "metadata")?;
    let sandbox = Sandbox::new();
    let text = fs_err::read_to_string(metadata.join("esc50/esc50_uploaders.csv")).unwrap();
    for line in text.lines().skip(1) {
        let name = line.split(',').next().unwrap();
        sandbox.file(&format!("esc/audio/{name}"), name);
    }
    sandbox.file("esc/meta/esc50.csv", &text);
    Some(sandbox)
}

/// The numbers that one subset has in the report of a split.
fn contamination(ran: &Ran, stage: &str, subset: usize) -> [i64; 3] {
    let table = ran.table(stage, 1);
    ["within_class", "between_class", "clean"]
        .map(|name| sndpipe_stages::artefacts::columns::maybe_int(&table, name).unwrap()[subset].unwrap())
}

/// Where any clips validate, about 120 of 200 are contaminated, and about 225 of 400.
#[test]
fn whole_groups_validate_without_contamination() {
    let Some(sandbox) = esc50() else { return };
    let stages = "
matrix:
  method: [random, stratified, uploader]
  val: [0.1, 0.2]
stages:
  clips: { uses: dataset.esc50, with: { root: DIR/esc } }
  split:
    uses: split.train_val
    in: { clips: clips, labels: clips.labels }
    with: { method: '${method}', val: '${val}' }
";
    let ran = sandbox.run(stages);
    for (val, n, about) in [("0.1", 200, 120), ("0.2", 400, 225)] {
        for method in ["random", "stratified", "uploader"] {
            let stage = format!("split[method={method},val={val}]");
            let [within, between, clean] = contamination(&ran, &stage, 1);
            let clips = within + between + clean;
            println!("{method} {val}: {within} within, {between} between, {clean} clean");
            if method == "uploader" {
                assert_eq!(within, 0, "{stage}");
                assert!((clips - n).abs() <= n / 10, "{stage}: {clips} clips");
            } else {
                assert_eq!(clips, n, "{stage}");
                assert!((within - about).abs() <= about / 5, "{stage}: {within} within class");
            }
        }
    }
}

/// Counted from the attribution file of ESC-50.
#[test]
fn the_contamination_of_esc_50_is_as_published() {
    let Some(sandbox) = esc50() else { return };
    let stages = "
matrix:
  fold: [1, 2, 3, 4, 5]
stages:
  clips: { uses: dataset.esc50, with: { root: DIR/esc } }
  split: { uses: split.folds, in: { clips: clips, labels: clips.labels }, with: { test: '${fold}' } }
";
    let ran = sandbox.run(stages);
    let expected = [
        (74, 122, 204, 687, 179),
        (74, 134, 192, 682, 198),
        (73, 129, 198, 680, 213),
        (82, 132, 186, 678, 208),
        (56, 126, 218, 660, 214),
    ];
    for (fold, expected) in (1..).zip(expected) {
        let table = ran.table(&format!("split[fold={fold}]"), 1);
        let number = |column, row: usize| {
            sndpipe_stages::artefacts::columns::maybe_int(&table, column).unwrap()[row].unwrap()
        };
        let got = (
            number("within_class", 1),
            number("between_class", 1),
            number("clean", 1),
            number("uploaders", 0),
            number("uploaders", 1),
        );
        assert_eq!(got, expected, "fold {fold}");
    }
}
