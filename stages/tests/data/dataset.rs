//! `dataset.csv`, `dataset.folder`, `dataset.esc50`.

use crate::real::data;
use crate::sandbox::{Sandbox, zip};

const CSV: &str = "stages:\n  clips: { uses: dataset.csv, with: { manifest: 'DIR/data/data.csv' } }\n";
const FULL: &str = "
stages:
  clips:
    uses: dataset.csv
    with: { manifest: 'DIR/data/data.csv', fold: fold, uploader: uploader, license: license }
";

#[test]
fn rows_become_clips_and_labels() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let ran = sandbox.run(FULL);
    let clips = ran.table("clips", 0);
    let names: Vec<_> = clips.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["clip_id", "path", "digest", "fold", "uploader", "license"]);
    assert_eq!(ran.column("clips", 0, "clip_id"), ["0.wav", "1.wav", "2.wav", "3.wav", "4.wav", "5.wav"]);
    let folds = sndpipe_stages::artefacts::columns::maybe_int(&clips, "fold").unwrap();
    assert_eq!(folds, [1, 2, 3, 1, 2, 3].map(Some));
    let bytes = fs_err::read(sandbox.path("data/2.wav")).unwrap();
    assert_eq!(ran.column("clips", 0, "digest")[2], sndpipe_cache::Digest::of(&bytes).to_string());
    let labels = zip(ran.column("clips", 1, "clip_id"), ran.column("clips", 1, "class"));
    assert_eq!((labels["0.wav"].as_str(), labels["5.wav"].as_str()), ("low", "high"));
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["high", "low"]));
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let first = sandbox.run(FULL);
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let turned: Vec<&str> = rows.lines().rev().collect();
    sandbox.file("data/data.csv", format!("{header}\r\n{}\r\n", turned.join("\r\n")));
    let second = sandbox.run(FULL);
    assert_eq!(second.status("clips"), "ran", "another file was read");
    assert_eq!(second.ids("clips"), first.ids("clips"));
}

#[test]
fn a_moved_data_set_is_the_same_data_set() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    sandbox.run(FULL);
    fs_err::rename(sandbox.path("data"), sandbox.path("elsewhere")).unwrap();
    assert_eq!(sandbox.run(&FULL.replace("/data/", "/elsewhere/")).status("clips"), "cached");
}

#[test]
fn links_stay_inside_the_data_set() {
    let sandbox = Sandbox::new();
    sandbox.tone("data/one/a.wav", 300.0);
    sandbox.tone("data/two/b.wav", 400.0);
    sandbox.tone("elsewhere/c.wav", 500.0);
    let link =
        |from: &str, to: &str| fs_err::os::unix::fs::symlink(sandbox.path(from), sandbox.path(to)).unwrap();
    let folder = "stages:\n  clips: { uses: dataset.folder, with: { root: 'DIR/data' } }\n";
    link("data/one/a.wav", "data/two/again.wav");
    link("data", "data-link");
    let ids = sandbox.run(folder).column("clips", 0, "clip_id");
    assert_eq!(ids, ["one/a.wav", "two/again.wav", "two/b.wav"]);
    assert_eq!(sandbox.run(&folder.replace("/data'", "/data-link'")).status("clips"), "cached");

    // A folder behind a link that leads out is not entered, and a file behind one is not read.
    link("elsewhere", "data/three");
    link("elsewhere/c.wav", "data/two/c.wav");
    let said = sandbox.refused(folder);
    for part in [
        "links lead out of the data set's folder",
        "`three` leads to",
        "`two/c.wav` leads to",
        "copy the files",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs_err::remove_file(sandbox.path("data/two/c.wav")).unwrap();
    sandbox.file("data/data.csv", "path,class\none/a.wav,x\nthree/c.wav,y\n");
    let said = sandbox.refused(CSV);
    assert!(said.contains("`three/c.wav` (line 3) leads to"), "{said}");
}

#[test]
fn the_vocabulary_has_the_order_that_was_asked_for() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.tone(&format!("data/{name}.wav"), 300.0);
    }
    sandbox.file("data/data.csv", "path,class,number\na.wav,ant,30\nb.wav,bee,2\nc.wav,cat,10\n");
    let classes = |more: &str| {
        let stages = CSV.replace(" } }", &format!(", {more} }} }}"));
        sandbox.run(&stages).manifest("clips", 1).meta["classes"].clone()
    };
    assert_eq!(classes("delimiter: ','"), serde_json::json!(["ant", "bee", "cat"]));
    assert_eq!(classes("target: number"), serde_json::json!(["bee", "cat", "ant"]));
    assert_eq!(classes("classes: [cat, dog, bee, ant]"), serde_json::json!(["cat", "dog", "bee", "ant"]));
}

#[test]
fn several_classes_a_clip_are_several_rows() {
    let sandbox = Sandbox::new();
    for name in ["a", "b"] {
        sandbox.tone(&format!("data/{name}.wav"), 300.0);
    }
    sandbox.file("data/data.csv", "path;class;mood\na.wav;rain| wind;wet\nb.wav;;\n");
    let stages = CSV.replace(" } }", ", delimiter: ';', class_separator: '|', keep: [mood] } }");
    let ran = sandbox.run(&stages);
    assert_eq!(ran.column("clips", 1, "clip_id"), ["a.wav", "a.wav"]);
    assert_eq!(ran.column("clips", 1, "class"), ["rain", "wind"]);
    assert_eq!(ran.column("clips", 0, "mood"), ["wet", "-"]);
}

#[track_caller]
fn refused(csv: &str, with: &str, expected: &str) {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.tone(&format!("data/{name}.wav"), 300.0);
    }
    sandbox.file("data/data.csv", csv);
    let said = sandbox.refused(&CSV.replace(" } }", &format!("{with} }} }}")));
    assert!(said.contains(expected), "{said}");
    assert!(said.starts_with("stage `clips`: "), "{said}");
}

#[test]
fn broken_data_sets_are_refused_by_the_plan() {
    refused("path,class\na.wav,x\nb.wav,y\na.wav,x\n", "", "`a.wav` on line 2 and line 4");
    refused("path,clas\na.wav,x\n", "", "has no column `class`");
    refused("path,class\na.wav,\n,y\n", "", "line 2: `class` is empty\n  line 3: `path` is empty");
    refused("path,class,fold\na.wav,x,one\n", ", fold: fold", "line 2: `fold` is `one`, not a whole number");
    refused("path,class\na.wav,x\nmissing.wav,y\n", "", "1 of 2 audio files is missing in `");
    refused("path,class\na.wav,x\nmissing.wav,y\n", "", "`missing.wav` (line 3)");
    refused("path,class\na.wav,x\nsub\\b.wav,y\n", "", "write paths with `/`");
    refused("path,class\na.wav,x\n.,y\n", "", "`.` (line 3) is a folder");
    refused("path,class\na.wav,xx\nb.wav,y\n", ", classes: [x, y]", "line 2: `xx`");
    refused(
        "path,class,n\na.wav,x,1\nb.wav,x,2\n",
        ", target: n",
        "line 3: the class `x` has number 2, on line 2 it has 1",
    );
    refused(
        "path,class,n\na.wav,x,1\nb.wav,y,1\n",
        ", target: n",
        "number 1 is `x` on line 2 and `y` on line 3",
    );
    refused("path,class\n", "", "has a header but no rows");
    refused("", "", "is empty");
    let sandbox = Sandbox::new();
    assert!(sandbox.refused(CSV).contains("data/data.csv` does not exist"));
    fs_err::create_dir_all(sandbox.path("data/data.csv")).unwrap();
    assert!(sandbox.refused(CSV).contains("is a folder, not a CSV file"));
}

#[test]
fn many_missing_files_are_counted() {
    let rows: String = (0..30).map(|n| format!("{n}.wav,x\n")).collect();
    let sandbox = Sandbox::new();
    sandbox.file("data/data.csv", format!("path,class\n{rows}"));
    let said = sandbox.refused(CSV);
    assert!(said.contains("30 of 30 audio files are missing") && said.contains("and 25 more"), "{said}");
}

#[test]
fn contradicting_parameters_are_refused() {
    let sandbox = Sandbox::new();
    let stages =
        CSV.replace(" } }", ", keep: [fold, x, x], classes: [a, a], target: t, class_separator: '' } }");
    let said = sandbox.refused(&stages);
    for part in [
        "`fold` is a column that the table of clips has anyway",
        "`x` is listed twice",
        "`a` is listed twice",
        "separates nothing",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_folder_for_each_class() {
    let sandbox = Sandbox::new();
    for name in ["rain/a.wav", "rain/deep/b.WAV", "dog/c.wav", "dog/.hidden.wav", ".git/d.wav"] {
        sandbox.tone(&format!("sounds/{name}"), 250.0);
    }
    sandbox.file("sounds/readme.txt", "not audio");
    fs_err::create_dir(sandbox.path("sounds/empty")).unwrap();
    let stages = "stages:\n  clips: { uses: dataset.folder, with: { root: DIR/sounds } }\n";
    let ran = sandbox.run(stages);
    assert_eq!(ran.column("clips", 0, "clip_id"), ["dog/c.wav", "rain/a.wav", "rain/deep/b.WAV"]);
    assert_eq!(ran.column("clips", 1, "class"), ["dog", "rain", "rain"]);

    sandbox.tone("sounds/stray.wav", 250.0);
    assert!(sandbox.refused(stages).contains("`stray.wav` lies in no folder of a class"));
    assert!(sandbox.refused(&stages.replace("sounds", "nowhere")).contains("nowhere` does not exist"));
    assert!(
        sandbox
            .refused(&stages.replace("DIR/sounds", "DIR/sounds/dog, extensions: [flac]"))
            .contains("holds no folder with audio files (flac)")
    );
}

/// A dog, a cow and water in three folds.
pub fn esc50(sandbox: &Sandbox) {
    let mut text = "filename,fold,target,category,esc10,src_file,take\n".to_owned();
    for (name, target, class, esc10) in
        [("1-1-A-0", 0, "dog", "True"), ("2-9-A-3", 3, "cow", "False"), ("3-5-A-38", 38, "water", "True")]
    {
        sandbox.tone(&format!("esc/audio/{name}.wav"), 400.0);
        text.push_str(&format!("{name}.wav,{},{target},{class},{esc10},5,A\n", &name[..1]));
    }
    sandbox.file("esc/meta/esc50.csv", text);
}

#[test]
fn the_official_layout_of_esc_50() {
    let sandbox = Sandbox::new();
    esc50(&sandbox);
    let stages = "stages:\n  clips: { uses: dataset.esc50, with: { root: DIR/esc } }\n";
    let ran = sandbox.run(stages);
    assert_eq!(
        ran.column("clips", 0, "path"),
        ["audio/1-1-A-0.wav", "audio/2-9-A-3.wav", "audio/3-5-A-38.wav"]
    );
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["dog", "cow", "water"]));
    let ten = sandbox.run(&stages.replace(" } }", ", subset: esc10 } }"));
    assert_eq!(ten.column("clips", 0, "clip_id"), ["1-1-A-0.wav", "3-5-A-38.wav"]);
    assert_eq!(ten.manifest("clips", 1).meta["classes"], serde_json::json!(["dog", "water"]));
    assert!(sandbox.refused(&stages.replace("esc }", "nope }")).contains("nope` does not exist"));
    fs_err::remove_file(sandbox.path("esc/audio/2-9-A-3.wav")).unwrap();
    assert!(sandbox.refused(stages).contains("1 of 3 audio files is missing"));
}

#[test]
fn the_real_esc_10_is_read() {
    let Some(esc10) = data("SNDPIPE_ESC10", "esc10") else { return };
    let sandbox = Sandbox::new();
    let stages = format!(
        "
stages:
  clips:
    uses: dataset.csv
    with: {{ manifest: '{}/esc10.csv', class: category, target: target, fold: fold, uploader: uploader, license: license }}
",
        esc10.display()
    );
    let ran = sandbox.run(&stages);
    assert_eq!((ran.manifest("clips", 0).rows, ran.manifest("clips", 1).rows), (400, 400));
    // The ten classes in the order of their numbers, which is that of ESC-50.
    assert_eq!(ran.manifest("clips", 1).meta["classes"][0], "dog_bark");
    let people: std::collections::BTreeSet<String> = ran.column("clips", 0, "uploader").into_iter().collect();
    assert_eq!(people.len(), 248);
}

#[test]
fn two_thousand_rows_are_scanned() {
    let sandbox = Sandbox::new();
    let mut text = "path,class,fold\n".to_owned();
    for n in 0..2000 {
        sandbox.file(&format!("data/{n}.wav"), n.to_string());
        text.push_str(&format!("{n}.wav,class-{},{}\n", n % 50, n % 5));
    }
    sandbox.file("data/data.csv", text);
    let (graph, store) = (sandbox.graph(CSV), sandbox.store());
    for _ in 0..2 {
        let sources = sndpipe_engine::Sources::scan(&graph, &store, &[]).unwrap();
        assert_eq!(sources.of(0).unwrap().len(), 2001);
    }
}
