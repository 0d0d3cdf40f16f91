//! `labels.merge`, `labels.propagate`, `labels.subset`.

use std::collections::BTreeMap;

use crate::official::fsd50k;
use crate::sandbox::{Ran, Sandbox};

const ONTOLOGY: &str = r#"[
    {"id": "/m/bicycle", "name": "Bicycle bell", "child_ids": []},
    {"id": "/m/dog", "name": "Dog", "child_ids": []},
    {"id": "/m/bell", "name": "Bell", "child_ids": ["/m/bicycle"]},
    {"id": "/m/music", "name": "Music", "child_ids": ["/m/bell"]}
]"#;

const STAGES: &str = "
stages:
  clips:  { uses: dataset.fsd50k, with: { root: DIR/fsd, collection: true } }
  merged: { uses: labels.merge, in: { labels: clips.collection, vocabulary: clips.labels }, with: { ontology: DIR/ontology.json } }
  all:    { uses: labels.propagate, in: merged, with: { ontology: DIR/ontology.json } }
  some:   { uses: labels.propagate, in: merged, with: { mode: table, pairs: DIR/pairs.csv } }
  few:    { uses: labels.subset, in: all, with: { clips_per_class: 1 } }
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fsd50k(&sandbox);
    sandbox.file("ontology.json", ONTOLOGY);
    sandbox.file("pairs.csv", "child,ancestor,fraction\nBell,Music,0.07\nDog,Music,1.0\n");
    sandbox
}

fn labels(ran: &Ran, stage: &str) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (id, class) in ran.column(stage, 0, "clip_id").into_iter().zip(ran.column(stage, 0, "class")) {
        let text = labels.entry(id).or_default();
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(&class);
    }
    labels
}

#[track_caller]
fn check(ran: &Ran, stage: &str, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(id, classes)| ((*id).to_owned(), (*classes).to_owned()));
    assert_eq!(labels(ran, stage), expected.collect::<BTreeMap<_, _>>());
}

#[test]
fn collected_labels_are_merged_and_propagated() {
    let sandbox = sandbox();
    let ran = sandbox.run(STAGES);
    check(&ran, "merged", &[("11", "Bell"), ("12", "Bell"), ("21", "Dog")]);
    assert_eq!(ran.column("merged", 1, "class"), ["Bicycle_bell"]);
    assert_eq!(ran.column("merged", 1, "became"), ["Bell"]);
    assert_eq!(ran.manifest("merged", 0).meta["classes"], serde_json::json!(["Bell", "Dog", "Music"]));
    check(&ran, "all", &[("11", "Bell Music"), ("12", "Bell Music"), ("21", "Dog")]);
    check(&ran, "some", &[("11", "Bell"), ("12", "Bell"), ("21", "Dog Music")]);
    let counts = |name| sndpipe_stages::artefacts::columns::maybe_int(&ran.table("all", 1), name).unwrap();
    assert_eq!(counts("before"), [2, 1, 0].map(Some));
    assert_eq!(counts("after"), [2, 1, 2].map(Some));
    assert_eq!(ran.manifest("few", 1).rows, labels(&ran, "few").len() as u64);
    assert_eq!(ran.column("few", 2, "class"), ["Bell", "Dog", "Music"]);
}

#[test]
fn an_edited_ontology_is_read_again() {
    let sandbox = sandbox();
    sandbox.run(STAGES);
    sandbox.file("ontology.json", ONTOLOGY.replace(r#"["/m/bell"]"#, r#"["/m/bell", "/m/dog"]"#));
    let ran = sandbox.run(STAGES);
    assert_eq!(
        (ran.status("clips"), ran.status("merged"), ran.status("all"), ran.status("some")),
        ("cached", "ran", "ran", "cached")
    );
    check(&ran, "all", &[("11", "Bell Music"), ("12", "Bell Music"), ("21", "Dog Music")]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let sandbox = sandbox();
    let refused = |from: &str, to: &str, expected: &str| {
        let said = sandbox.refused(&STAGES.replacen(from, to, 1));
        assert!(said.contains(expected), "{said}");
    };
    refused(", vocabulary: clips.labels", "", "neither `classes` nor the input `vocabulary`");
    refused(
        "ontology: DIR/ontology.json }",
        "ontology: DIR/ontology.json, classes: [Bell] }",
        "the input `vocabulary` names the classes already",
    );
    refused(
        "in: merged, with: { ontology: DIR/ontology.json }",
        "in: merged, with: {}",
        "`mode` needs the file `ontology`",
    );
    refused("pairs: DIR/pairs.csv", "pairs: DIR/pairs.csv, fraction: 0", "0 is not above 0 and at most 1");
    refused("DIR/pairs.csv", "DIR/other.csv", "other.csv");
    refused("clips_per_class: 1", "clips_per_class: 0", "0 clips are nothing to learn from");
    sandbox.file("ontology.json", ONTOLOGY.replace("Dog", "Hound").replace("/m/dog", "/m/hound"));
    let said = sandbox.try_run(STAGES).failure("merged");
    assert!(said.contains("1 of 3 classes is not in the ontology:\n  `Dog`"), "{said}");
}
