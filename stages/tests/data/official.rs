//! Data sets in their published layouts, on tiny generated copies.

use std::collections::BTreeMap;

use crate::sandbox::{Ran, Sandbox, zip};

/// Classes of each clip.
fn classes(ran: &Ran, output: usize) -> BTreeMap<String, Vec<String>> {
    let mut classes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, class) in
        ran.column("clips", output, "clip_id").into_iter().zip(ran.column("clips", output, "class"))
    {
        classes.entry(id).or_default().push(class);
    }
    classes
}

/// A column of the clips, by clip.
fn column(ran: &Ran, name: &str) -> BTreeMap<String, String> {
    zip(ran.column("clips", 0, "clip_id"), ran.column("clips", 0, name))
}

#[track_caller]
fn check(got: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned()));
    assert_eq!(*got, expected.collect::<BTreeMap<_, _>>());
}

/// What a stage remarked.
fn remarks(ran: &Ran, name: &str) -> String {
    match ran.outcome(name) {
        sndpipe_engine::Outcome::Ran { remarks, .. } => remarks.join("\n"),
        other => panic!("{name} {}", other.name()),
    }
}

/// A bell, a bicycle bell and a dog for development, a dog for evaluation.
pub fn fsd50k(sandbox: &Sandbox) {
    let truth = "fsd/FSD50K.ground_truth";
    sandbox.file(&format!("{truth}/vocabulary.csv"), "0,Bell,/m/bell\n1,Dog,/m/dog\n2,Music,/m/music\n");
    sandbox.file(
        &format!("{truth}/dev.csv"),
        "fname,labels,mids,split\n11,\"Bell,Music\",\"/m/bell,/m/music\",train\n12,Bell,/m/bell,val\n13,Dog,/m/dog,train\n",
    );
    sandbox.file(&format!("{truth}/eval.csv"), "fname,labels,mids\n21,Dog,/m/dog\n");
    for (part, rows) in
        [("dev", "11,Bell,/m/bell\n12,Bicycle_bell,/m/bicycle\n13,,\n"), ("eval", "21,Dog,/m/dog\n")]
    {
        let name = format!("fsd/FSD50K.metadata/collection/collection_{part}.csv");
        sandbox.file(&name, format!("fname,labels,mids\n{rows}"));
    }
    for (name, hertz) in
        [("dev_audio/11", 300.0), ("dev_audio/12", 400.0), ("dev_audio/13", 500.0), ("eval_audio/21", 500.0)]
    {
        sandbox.tone(&format!("fsd/FSD50K.{name}.wav"), hertz);
    }
}

/// Says who uploaded what.
pub fn fsd50k_infos(sandbox: &Sandbox) {
    let info = |id: &str, who: &str| serde_json::json!({ id: { "title": "t", "description": "d", "tags": [], "license": "CC0", "uploader": who } });
    let mut dev = info("11", "ann");
    dev.as_object_mut().unwrap().extend(info("12", "ann").as_object().unwrap().clone());
    for (part, infos) in [("dev", dev), ("eval", info("21", "bob"))] {
        sandbox.file(&format!("fsd/FSD50K.metadata/{part}_clips_info_FSD50K.json"), infos.to_string());
    }
}

const FSD50K: &str = "stages:\n  clips: { uses: dataset.fsd50k, with: { root: DIR/fsd } }\n";

#[test]
fn fsd50k_is_read() {
    let sandbox = Sandbox::new();
    fsd50k(&sandbox);
    let ran = sandbox.run(FSD50K);
    check(&column(&ran, "subset"), &[("11", "train"), ("12", "val"), ("13", "train"), ("21", "test")]);
    assert_eq!(ran.column("clips", 0, "path")[3], "FSD50K.eval_audio/21.wav");
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["Bell", "Dog", "Music"]));
    assert_eq!(classes(&ran, 1)["11"], ["Bell", "Music"]);
    let said = remarks(&ran, "clips");
    assert!(said.contains("the uploaders are not known"), "{said}");
    assert!(said.contains("1 of them on several sides: 13 (train) and 21 (test)"), "{said}");

    fsd50k_infos(&sandbox);
    let more = FSD50K.replace("DIR/fsd }", "DIR/fsd, classes: mid, collection: true }");
    let ran = sandbox.run(&more);
    check(&column(&ran, "uploader"), &[("11", "ann"), ("12", "ann"), ("13", "-"), ("21", "bob")]);
    assert_eq!(ran.column("clips", 0, "license")[0], "CC0");
    assert_eq!(classes(&ran, 1)["21"], ["/m/dog"]);
    assert_eq!(
        ran.manifest("clips", 2).meta["classes"],
        serde_json::json!(["/m/bell", "/m/bicycle", "/m/dog"])
    );
    let collected = classes(&ran, 2);
    assert_eq!((collected["12"].as_slice(), collected.get("13")), (&["/m/bicycle".to_owned()][..], None));
    assert!(!remarks(&ran, "clips").contains("uploaders"));
}

#[test]
fn what_is_missing_of_fsd50k_is_said() {
    let sandbox = Sandbox::new();
    let said = sandbox.refused(FSD50K);
    assert!(said.contains("/fsd` does not exist") && said.contains("zenodo.org/records/4060432"), "{said}");
    fsd50k(&sandbox);
    fs_err::remove_file(sandbox.path("fsd/FSD50K.eval_audio/21.wav")).unwrap();
    let said = sandbox.refused(FSD50K);
    assert!(
        said.contains("1 of 4 audio files is missing")
            && said.contains("`FSD50K.eval_audio/21.wav` (line 2)"),
        "{said}"
    );
    assert!(said.contains("zenodo.org/records/4060432"), "{said}");
    fs_err::remove_dir_all(sandbox.path("fsd/FSD50K.eval_audio")).unwrap();
    fs_err::remove_file(sandbox.path("fsd/FSD50K.ground_truth/dev.csv")).unwrap();
    let said = sandbox.refused(FSD50K);
    assert!(said.contains("the folder `FSD50K.eval_audio` is missing\n"), "{said}");
    assert!(said.contains("the file `FSD50K.ground_truth/dev.csv` is missing"), "{said}");
}

#[test]
fn broken_lists_of_fsd50k_are_refused() {
    let refused = |from: &str, to: &str, expected: &str| {
        let sandbox = Sandbox::new();
        fsd50k(&sandbox);
        let text = fs_err::read_to_string(sandbox.path("fsd/FSD50K.ground_truth/dev.csv")).unwrap();
        sandbox.file("fsd/FSD50K.ground_truth/dev.csv", text.replacen(from, to, 1));
        let said = sandbox.refused(FSD50K);
        assert!(said.contains(expected), "{said}");
    };
    refused("Dog,/m/dog", "Dog,/m/cat", "line 4: `Dog` (/m/cat) is not in the vocabulary");
    refused("Bell,Music", "Bell", "line 2: more labels than mids, or fewer");
    refused("val", "valid", "line 3: `split` is `valid`");
    refused("13,", "../../x,", "names files outside of its folder");
    refused("13,", "12,", "clip ids appear twice");
    refused("split", "subset", "no column `split`");
}

const NOISY: &str = "
stages:
  clips: { uses: dataset.fsdnoisy18k, with: { root: DIR/noisy } }
  split: { uses: split.subsets, in: clips, with: { train_where: { verified: false } } }
";

/// Four noisy clips and a verified one; the test clip is among those that train, too.
pub fn fsdnoisy18k(sandbox: &Sandbox) {
    sandbox.file(
        "noisy/FSDnoisy18k.meta/train.csv",
        "fname,label,aso_id,manually_verified,noisy_small\n1.wav,Rain,/m/r,1,0\n2.wav,Rain,/m/r,0,1\n3.wav,Wind,/m/w,0,0\n9.wav,Wind,/m/w,0,0\n",
    );
    sandbox.file("noisy/FSDnoisy18k.meta/test.csv", "fname,label,aso_id\n9.wav,Wind,/m/w\n");
    for (name, hertz) in
        [("train/1", 300.0), ("train/2", 400.0), ("train/3", 500.0), ("train/9", 600.0), ("test/9", 600.0)]
    {
        sandbox.tone(&format!("noisy/FSDnoisy18k.audio_{name}.wav"), hertz);
    }
}

#[test]
fn fsdnoisy18k_is_read() {
    let sandbox = Sandbox::new();
    fsdnoisy18k(&sandbox);
    let ran = sandbox.run(NOISY);
    check(
        &column(&ran, "subset"),
        &[("1.wav", "train"), ("2.wav", "train"), ("3.wav", "train"), ("9.wav", "test")],
    );
    check(
        &column(&ran, "verified"),
        &[("1.wav", "true"), ("2.wav", "false"), ("3.wav", "false"), ("9.wav", "true")],
    );
    check(
        &column(&ran, "noisy_small"),
        &[("1.wav", "false"), ("2.wav", "true"), ("3.wav", "false"), ("9.wav", "false")],
    );
    check(&column(&ran, "freesound_id"), &[("1.wav", "1"), ("2.wav", "2"), ("3.wav", "3"), ("9.wav", "9")]);
    assert_eq!(remarks(&ran, "clips"), "1 clip of train is in test, too, and does not train: 9.wav");
    let split = zip(ran.column("split", 0, "clip_id"), ran.column("split", 0, "subset"));
    check(&split, &[("2.wav", "train"), ("3.wav", "train"), ("9.wav", "test")]);
    assert_eq!(remarks(&ran, "split"), "clips not used: 1 without verified false");
    let text = fs_err::read_to_string(sandbox.path("noisy/FSDnoisy18k.meta/train.csv")).unwrap();
    sandbox.file("noisy/FSDnoisy18k.meta/train.csv", text.replace("/m/r,0,1", "/m/r,no,1"));
    assert!(sandbox.refused(NOISY).contains("line 3: `manually_verified` is `no`, not 0 or 1"));
    fs_err::remove_dir_all(sandbox.path("noisy/FSDnoisy18k.audio_test")).unwrap();
    let said = sandbox.refused(NOISY);
    assert!(
        said.contains("`FSDnoisy18k.audio_test` is missing") && said.contains("records/2529934"),
        "{said}"
    );
}

#[test]
fn fsdkaggle2018_is_read() {
    let sandbox = Sandbox::new();
    let meta = "kaggle/FSDKaggle2018.meta";
    sandbox.file(
        &format!("{meta}/train_post_competition.csv"),
        "fname,label,manually_verified,freesound_id,license\na.wav,Flute,1,7,CC0\nb.wav,Bark,0,8,Attribution\n",
    );
    let test = "fname,label,usage,freesound_id,license\nc.wav,Bark,Public,9,CC0\n";
    sandbox.file(&format!("{meta}/test_post_competition.csv"), format!("{test}d.wav,None,Ignored,10,CC0\n"));
    for (name, hertz) in [("train/a", 300.0), ("train/b", 400.0), ("test/c", 500.0)] {
        sandbox.tone(&format!("kaggle/FSDKaggle2018.audio_{name}.wav"), hertz);
    }
    let stages = "stages:\n  clips: { uses: dataset.fsdkaggle2018, with: { root: DIR/kaggle } }\n";
    let ran = sandbox.run(stages);
    check(&column(&ran, "verified"), &[("a.wav", "true"), ("b.wav", "false"), ("c.wav", "true")]);
    check(&column(&ran, "usage"), &[("a.wav", "-"), ("b.wav", "-"), ("c.wav", "Public")]);
    check(&column(&ran, "freesound_id"), &[("a.wav", "7"), ("b.wav", "8"), ("c.wav", "9")]);
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["Bark", "Flute"]));
    fs_err::remove_file(sandbox.path(&format!("{meta}/test_post_competition.csv"))).unwrap();
    let said = sandbox.refused(stages);
    assert!(said.contains("the file `FSDKaggle2018.meta/test_post_competition.csv` is missing"), "{said}");
    sandbox.file(&format!("{meta}/test_post_competition_scoring_clips.csv"), test);
    let again = sandbox.run(stages);
    assert_eq!(again.ids("clips"), ran.ids("clips"), "without the rows that pad, the list is the same");
}

/// The list of UrbanSound8K: two slices of one recording, and one of another.
const SLICES: &str = "slice_file_name,fsID,start,end,salience,fold,classID,class\n\
    5-3-0-0.wav,5,0.0,1.0,1,1,3,dog_bark\n5-3-0-1.wav,5,1.0,2.0,1,2,3,dog_bark\n6-1-0-0.wav,6,0.0,1.0,2,10,1,car_horn\n";

/// Two slices of a dog and one of a horn.
pub fn urbansound8k(sandbox: &Sandbox) {
    sandbox.file("us/metadata/UrbanSound8K.csv", SLICES);
    (1..=10).for_each(|fold| fs_err::create_dir_all(sandbox.path(&format!("us/audio/fold{fold}"))).unwrap());
    for (name, hertz) in [("1/5-3-0-0", 300.0), ("2/5-3-0-1", 400.0), ("10/6-1-0-0", 500.0)] {
        sandbox.tone(&format!("us/audio/fold{name}.wav"), hertz);
    }
}

#[test]
fn urbansound8k_is_read() {
    let sandbox = Sandbox::new();
    urbansound8k(&sandbox);
    let stages = "stages:\n  clips: { uses: dataset.urbansound8k, with: { root: DIR/us } }\n";
    let ran = sandbox.run(stages);
    assert_eq!(
        sndpipe_stages::artefacts::columns::maybe_int(&ran.table("clips", 0), "fold").unwrap(),
        [1, 2, 10].map(Some)
    );
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["car_horn", "dog_bark"]));
    assert_eq!(remarks(&ran, "clips"), "clips of 1 recording are on several sides: 5 (fold 1, fold 2)");
    sandbox.file("us/metadata/UrbanSound8K.csv", SLICES.replace("1,1,3,", "1,,3,"));
    assert!(sandbox.refused(stages).contains("line 2: `5-3-0-0.wav` has no fold"));
    fs_err::remove_dir_all(sandbox.path("us/audio/fold7")).unwrap();
    assert!(sandbox.refused(stages).contains("the folder `audio/fold7` is missing"));
}

/// What stands above the rows of a list of segments.
const SEGMENTS: &str = "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=2\n# YTID, start_seconds, end_seconds, positive_labels\n";

/// Two segments for evaluation, of which one has audio.
pub fn audioset(sandbox: &Sandbox) {
    sandbox.file(
        "as/class_labels_indices.csv",
        "index,mid,display_name\n0,/m/s,\"Speech\"\n1,/m/m,\"Male speech, man speaking\"\n",
    );
    sandbox.file(
        "as/eval_segments.csv",
        format!("{SEGMENTS}--aQ_4, 0.000, 10.000, \"/m/s,/m/m\"\nbbbb, 30.000, 40.000, \"/m/s\"\n"),
    );
    sandbox.tone("as/audio/eval/--aQ_4.wav", 300.0);
}

/// Two segments for training, both with audio.
pub fn audioset_balanced(sandbox: &Sandbox) {
    let rows = "cccc, 0.000, 10.000, \"/m/s\"\ndddd, 0.000, 10.000, \"/m/m\"\n";
    sandbox.file("as/balanced_train_segments.csv", format!("{SEGMENTS}{rows}"));
    sandbox.tone("as/audio/balanced/cccc.wav", 500.0);
    sandbox.tone("as/audio/balanced/dddd.wav", 600.0);
}

/// Two segments for training of the larger list, both with audio.
pub fn audioset_unbalanced(sandbox: &Sandbox) {
    let rows = "eeee, 0.000, 10.000, \"/m/s\"\nffff, 0.000, 10.000, \"/m/s,/m/m\"\n";
    sandbox.file("as/unbalanced_train_segments.csv", format!("{SEGMENTS}{rows}"));
    sandbox.tone("as/audio/unbalanced/eeee.wav", 700.0);
    sandbox.tone("as/audio/unbalanced/ffff.wav", 800.0);
}

#[test]
fn the_audio_of_audioset_that_is_there_is_used() {
    let sandbox = Sandbox::new();
    audioset(&sandbox);
    let stages = "stages:\n  clips: { uses: dataset.audioset, with: { root: DIR/as, parts: [eval] } }\n";
    let ran = sandbox.run(stages);
    check(&column(&ran, "path"), &[("--aQ_4", "audio/eval/--aQ_4.wav")]);
    check(&column(&ran, "subset"), &[("--aQ_4", "test")]);
    assert_eq!(classes(&ran, 1)["--aQ_4"], ["Speech", "Male speech, man speaking"]);
    assert_eq!(remarks(&ran, "clips"), "1 of 2 segments has no audio and is left out");
    // More audio is more clips.
    sandbox.tone("as/audio/bbbb.wav", 400.0);
    assert_eq!(sandbox.run(stages).manifest("clips", 0).rows, 2);
    assert_eq!(classes(&sandbox.run(&stages.replace("[eval]", "[eval], classes: mid")), 1)["bbbb"], ["/m/s"]);
    let said = sandbox.refused(&stages.replace("[eval]", "[balanced, eval]"));
    assert!(said.contains("the file `balanced_train_segments.csv` is missing"), "{said}");
    sandbox.file("as/eval_segments.csv", format!("{SEGMENTS}bbbb, 0, 10, \"/m/x\"\nbbbc, 0\n"));
    let said = sandbox.refused(stages);
    assert!(
        said.contains("line 4: `/m/x` is no class") && said.contains("line 5: 2 cells instead of 4"),
        "{said}"
    );
    fs_err::remove_dir_all(sandbox.path("as/audio")).unwrap();
    assert!(sandbox.refused(stages).contains("the folder `audio` is missing"));
}

#[test]
fn gtzan_is_divided_by_lists_or_by_order() {
    let sandbox = Sandbox::new();
    for genre in ["blues", "rock"] {
        for n in 0..5 {
            sandbox.tone(&format!("gtzan/{genre}/{genre}.0000{n}.wav"), 200.0 + 100.0 * n as f32);
        }
    }
    let stages = "stages:\n  clips: { uses: dataset.gtzan, with: { root: DIR/gtzan } }\n";
    let ran = sandbox.run(stages);
    let subsets = column(&ran, "subset");
    assert_eq!(subsets.len(), 10);
    assert_eq!((&*subsets["rock/rock.00003.wav"], &*subsets["rock/rock.00004.wav"]), ("train", "test"));
    assert!(remarks(&ran, "clips").contains("5 groups of clips have the same audio"), "of each genre");
    for (name, line) in [
        ("train", "blues/blues.00001.wav"),
        ("valid", "rock/rock.00000.wav"),
        ("test", "rock/rock.00004.wav"),
    ] {
        sandbox.file(&format!("lists/{name}_filtered.txt"), format!("{line}\n"));
    }
    let listed = stages.replace("DIR/gtzan }", "DIR/gtzan, lists: DIR/lists }");
    let ran = sandbox.run(&listed);
    check(
        &column(&ran, "subset"),
        &[
            ("blues/blues.00001.wav", "train"),
            ("rock/rock.00000.wav", "val"),
            ("rock/rock.00004.wav", "test"),
        ],
    );
    fs_err::remove_file(sandbox.path("lists/test_filtered.txt")).unwrap();
    assert!(sandbox.refused(&listed).contains("test_filtered.txt` is missing"));
    assert!(
        sandbox
            .refused(&stages.replace("DIR/gtzan }", "DIR/gtzan, extension: au }"))
            .contains("no folders with `.au` files")
    );
    assert!(sandbox.refused(&stages.replace("DIR/gtzan", "DIR/nope")).contains("marsyas.info"));
}

/// Three public recordings and a private one.
pub fn dcase2013(sandbox: &Sandbox) {
    for (name, hertz) in [
        ("scenes_stereo/bus01", 300.0),
        ("scenes_stereo/bus02", 400.0),
        ("scenes_stereo/tube06", 500.0),
        ("b/bus01", 600.0),
    ] {
        sandbox.tone(&format!("scenes/{name}.wav"), hertz);
    }
}

#[test]
fn scenes_are_named_after_places() {
    let sandbox = Sandbox::new();
    dcase2013(&sandbox);
    let stages = "stages:\n  clips: { uses: dataset.dcase2013, with: { root: DIR/scenes, private: b } }\n";
    let ran = sandbox.run(stages);
    check(
        &column(&ran, "subset"),
        &[
            ("scenes_stereo/bus01.wav", "train"),
            ("scenes_stereo/bus02.wav", "train"),
            ("scenes_stereo/tube06.wav", "train"),
            ("b/bus01.wav", "test"),
        ],
    );
    let folds = sndpipe_stages::artefacts::columns::maybe_int(&ran.table("clips", 0), "fold").unwrap();
    assert_eq!(folds, [1, 1, 2, 1].map(Some));
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["bus", "tube"]));
    sandbox.tone("scenes/scenes_stereo/street.wav", 300.0);
    assert!(sandbox.refused(stages).contains("`scenes_stereo/street.wav` is not a scene and a number"));
    assert!(
        sandbox.refused(&stages.replace("private: b", "private: c")).contains("the folder `c` is missing")
    );
}

#[test]
fn clips_that_another_set_has_are_left_out() {
    let sandbox = Sandbox::new();
    fsd50k(&sandbox);
    fsdnoisy18k(&sandbox);
    let text = fs_err::read_to_string(sandbox.path("noisy/FSDnoisy18k.meta/train.csv")).unwrap();
    // Two clips of FSD50K, of development and of evaluation, are in the noisy set, too.
    sandbox.file(
        "noisy/FSDnoisy18k.meta/train.csv",
        text.replace("1.wav", "13.wav").replace("3.wav,Wind", "21.wav,Wind"),
    );
    for (from, to) in [("1", "13"), ("3", "21")] {
        let path = |name: &str| sandbox.path(&format!("noisy/FSDnoisy18k.audio_train/{name}.wav"));
        fs_err::rename(path(from), path(to)).unwrap();
    }
    let stages = "
stages:
  fsd: { uses: dataset.fsd50k, with: { root: DIR/fsd } }
  noisy: { uses: dataset.fsdnoisy18k, with: { root: DIR/noisy } }
  clips: { uses: clips.exclude, in: { clips: noisy, labels: noisy.labels, other: fsd }, with: {} }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }
";
    let ran = sandbox.run(stages);
    assert_eq!(ran.column("clips", 0, "clip_id"), ["2.wav", "9.wav"]);
    assert_eq!(ran.column("clips", 1, "clip_id"), ["2.wav", "9.wav"]);
    assert_eq!(ran.column("clips", 0, "verified"), ["false", "true"], "columns are kept");
    assert_eq!(remarks(&ran, "clips"), "2 of 4 clips are in the other data set, too, and left out");
    assert_eq!(ran.manifest("audio", 0).rows, 2);
    let some = |with: &str| stages.replace("with: {} }", &format!("with: {{ {with} }} }}"));
    let ran = sandbox.run(&some("subsets: [test]"));
    assert_eq!(ran.column("clips", 0, "clip_id"), ["13.wav", "2.wav", "9.wav"]);
    assert!(sandbox.try_run(&some("subsets: [eval]")).failure("clips").contains("it has test, train, val"));
    let digests = sandbox.run(&some("by: digest"));
    // 2.wav and 12.wav, 13.wav and 11.wav, 21.wav and 13.wav are the same tones.
    assert_eq!(digests.column("clips", 0, "clip_id"), ["9.wav"]);
    assert!(sandbox.try_run(&some("by: src")).failure("clips").contains("no column `src`"));
}

#[test]
fn several_sets_are_one() {
    let sandbox = Sandbox::new();
    urbansound8k(&sandbox);
    dcase2013(&sandbox);
    sandbox.file("list.csv", "path,class,fold\nz.wav,tube,one\n");
    sandbox.tone("z.wav", 700.0);
    let stages = "stages:
  urban:  { uses: dataset.urbansound8k, with: { root: DIR/us } }
  scenes: { uses: dataset.dcase2013, with: { root: DIR/scenes } }
  listed: { uses: dataset.csv, with: { manifest: DIR/list.csv, keep: [] } }
  clips:
    uses: clips.union
    in: { u: urban, u_labels: urban.labels, s: scenes, s_labels: scenes.labels, c: listed, c_labels: listed.labels }
    with: { sets: [u, s, c] }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }
  urban_audio: { uses: decode, in: urban, with: { sample_rate: 8000 } }
";
    let ran = sandbox.run(stages);
    let ids = [
        "c/z.wav",
        "s/scenes_stereo/bus01.wav",
        "s/scenes_stereo/bus02.wav",
        "s/scenes_stereo/tube06.wav",
        "u/5-3-0-0.wav",
        "u/5-3-0-1.wav",
        "u/6-1-0-0.wav",
    ];
    assert_eq!(ran.column("clips", 0, "clip_id"), ids);
    assert_eq!(ran.column("clips", 0, "set"), ["c", "s", "s", "s", "u", "u", "u"]);
    assert_eq!(ran.column("clips", 0, "subset"), ["-", "train", "train", "train", "-", "-", "-"]);
    let folds = sndpipe_stages::artefacts::columns::maybe_int(&ran.table("clips", 0), "fold").unwrap();
    assert_eq!(folds, [None, Some(1), Some(2), Some(1), Some(1), Some(2), Some(10)]);
    assert_eq!(
        ran.manifest("clips", 1).meta["classes"],
        serde_json::json!(["car_horn", "dog_bark", "bus", "tube"])
    );
    let of = classes(&ran, 1);
    assert_eq!(
        ids.map(|id| of[id].join("+")),
        ["tube", "bus", "bus", "tube", "dog_bark", "dog_bark", "car_horn"]
    );
    // The tones of 300, 400 and 500 Hz are in both sets.
    assert_eq!(
        remarks(&ran, "clips"),
        "3 files are in several sets; `clips.exclude` with `by: digest` leaves them out of one\nclasses of several sets: tube"
    );
    assert_eq!((ran.manifest("audio", 0).rows, ran.manifest("urban_audio", 0).rows), (7, 3));

    sandbox.file("list.csv", "path,class,set\nz.wav,tube,mine\n");
    let said = sandbox.try_run(&stages.replace("keep: []", "keep: [set]"));
    assert!(said.failure("clips").contains("the clips of `c` have a column `set` already"));
    let said = sandbox.try_run(&stages.replace("u_labels: urban.labels", "u_labels: scenes.labels"));
    let alien = "`u_labels` labels the clip `scenes_stereo/bus01.wav`, which `u` does not have";
    assert!(said.failure("clips").contains(alien), "{}", said.failure("clips"));
    for (sets, error) in [
        ("[u]", "a union is of two sets at least"),
        ("[u, s, u]", "`u` is there twice"),
        ("[u, s/c]", "`s/c` cannot be the name of a set"),
        ("[u, u_labels]", "`u_labels` is the input of another set's labels"),
        ("[u, s]", "`c`"),
        ("[u, s, c, d]", "`d`"),
    ] {
        let said = sandbox.refused(&stages.replace("[u, s, c]", sets));
        assert!(said.contains(error), "{sets}: {said}");
    }
}
