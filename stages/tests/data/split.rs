//! `split.folds` and `split.random`.

use crate::real::data;
use crate::sandbox::{Sandbox, zip};

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
    let numbers = |column| sndpipe_stages::columns::maybe_int(&ran.table("split", 1), column).unwrap();
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
        sandbox.try_run(FOLDS).failure("split").contains("1 of 6 clips are in no fold, the first is `4.wav`")
    );
    let unnamed = FOLDS.replace("fold: fold, ", "");
    let graph = sandbox.graph(&unnamed);
    let sources = sndpipe_engine::Sources::scan(&graph, &sandbox.store()).unwrap();
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

/// Counted from the attribution file of ESC-50: the table of section 3.3 of the methods reference.
#[test]
fn the_contamination_of_esc_50_is_as_published() {
    let Some(metadata) = data("SNDPIPE_METADATA", "metadata") else { return };
    let sandbox = Sandbox::new();
    let text = fs_err::read_to_string(metadata.join("esc50/esc50_uploaders.csv")).unwrap();
    for line in text.lines().skip(1) {
        let name = line.split(',').next().unwrap();
        sandbox.file(&format!("esc/audio/{name}"), name);
    }
    sandbox.file("esc/meta/esc50.csv", &text);
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
        let number =
            |column, row: usize| sndpipe_stages::columns::maybe_int(&table, column).unwrap()[row].unwrap();
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
