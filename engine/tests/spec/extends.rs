//! `extends`.

use super::{EXAMPLE, describe, load_files, render};

fn load(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|&(name, text)| (name, text.as_bytes())).collect();
    load_files(&files, &[]).0.map(|graph| describe(&graph)).map_err(|errors| render(&errors))
}

#[test]
fn maps_merge_lists_replace_and_null_removes() {
    let over = r#"
extends: ../esc50.yaml
params: { sample_rate: 8000 }
matrix: { fold: [1, 2], loss: { cce: null } }
stages:
  model: { with: { epochs: 2, seed: null } }
  scores: { with: null }
  mel: { uses: spectrogram, with: { bands: 32 } }
"#;
    let lines = load(&[("small/x.yaml", over), ("esc50.yaml", EXAMPLE)]).unwrap();
    assert_eq!(lines.len(), 3 + 2 + 2 + 2 + 2 + 1, "{lines:#?}");
    assert!(lines[1].contains("8000"));
    assert!(lines[2].contains(r#""bands":32,"hop_ms":10.0"#), "{}", lines[2]);
    assert!(
        lines[5].starts_with(r#"model[fold=1,loss=lq] {"epochs":2,"loss":{"name":"lq","q":0.7},"seed":0}"#),
        "{}",
        lines[5]
    );
    assert!(lines[7].contains(r#"{"subset":null}"#), "{}", lines[7]);
}

#[test]
fn a_stage_of_another_kind_is_replaced_whole() {
    let over = "extends: base.yaml\nstages: { b: { uses: spectrogram, in: c, with: { bands: 1 } }, c: { uses: decode, in: a } }\n";
    let base = "version: 1\nstages:\n  a: { uses: data, with: { root: r } }\n  b: { uses: decode, in: a, with: { sample_rate: 8000 } }\n";
    let lines = load(&[("x.yaml", over), ("base.yaml", base)]).unwrap();
    assert_eq!(lines[2], r#"b {"augment":[],"bands":1,"hop_ms":10.0} audio<-c.audio"#);
}

#[test]
fn a_map_of_another_name_is_replaced_whole() {
    let with = |map: &str| {
        let over = format!("extends: esc50.yaml\nname: other\nmatrix: {{ loss: {{ lq: {map} }} }}\n");
        let lines = load(&[("x.yaml", &over), ("esc50.yaml", EXAMPLE)]).unwrap();
        lines.into_iter().find(|line| line.starts_with("model[fold=1,loss=lq]")).unwrap()
    };
    assert!(with("{ q: 0.5 }").contains(r#""loss":{"name":"lq","q":0.5}"#), "{}", with("{ q: 0.5 }"));
    let other = with("{ name: cce }");
    assert!(other.contains(r#""loss":{"name":"cce","q":null}"#), "{other}");
}

#[test]
fn mistakes_point_into_the_file_where_they_stand() {
    let over = "extends: mid.yaml\nstages:\n  audio: { with: { sample_rate: 5 } }\n";
    let mid = "extends: base.yaml\nparams:\n  root: { no: text }\n";
    let text = load(&[
        ("x.yaml", over),
        ("mid.yaml", mid),
        ("base.yaml", &EXAMPLE.replace("uses: table", "uses: tabel")),
    ])
    .unwrap_err();
    insta::assert_snapshot!(text, @r#"
    x.yaml:3:33 bad_param: `sample_rate` of stage `audio`: 5 is outside 1000..=192000
      `5` this value
      help: 44100 is usual
    base.yaml:12:39 bad_param: `root` of stage `clips`: expected a string, found a map
      `"${root}"` the value comes from `${root}`
      help: mid.yaml:3:9: `${root}` is defined here
    base.yaml:22:19 unknown_stage: there is no stage kind `tabel`
      `tabel` unknown
      help: did you mean `table`?
    "#);
}

#[test]
fn circles_and_missing_bases_are_refused() {
    insta::assert_snapshot!(load(&[("x.yaml", "extends: y.yaml\n"), ("y.yaml", "version: 1\nextends: ./x.yaml\n")]).unwrap_err(), @r"
    y.yaml:2:10 extends_cycle: the files extend each other in a circle: x.yaml -> y.yaml -> x.yaml
      `./x.yaml` leads back to a file that extends this one
      help: let one of them stand on its own
    ");
    insta::assert_snapshot!(load(&[("x.yaml", "extends: [a]\n")]).unwrap_err(), @r"
    x.yaml:1:10 wrong_type: `extends` expects the path of a pipeline file, found a list
      `[a]`
    ");
    let text = load(&[("x.yaml", "extends: nowhere.yaml\n")]).unwrap_err();
    assert!(text.starts_with("x.yaml:1:10 unreadable: cannot read the pipeline"), "{text}");
}

#[test]
fn a_chain_of_files_has_an_end() {
    let text = |next: usize| format!("extends: x{next}.yaml\nversion: 1\nstages: {{}}\n");
    let names: Vec<String> = (0..40).map(|at| format!("x{at}.yaml")).collect();
    let texts: Vec<String> = (1..=40).map(text).collect();
    let files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    insta::assert_snapshot!(render(&load_files(&files, &[]).0.err().unwrap()), @r"
    x31.yaml:1:10 too_many: more than 32 files extend each other
      `x32.yaml` one too many
      help: merge some of them
    ");
}

/// A key `name` is like any other key where it selects nothing: in maps of the user's own names, in parameters, in inputs.
#[test]
fn a_key_called_name_keeps_what_stands_beside_it() {
    let base = r#"
version: 1
params: { label: a, epochs: 3, about: { name: a, text: "${label}", size: 1 } }
matrix: { name: [1, 2], kind: { one: { name: a, size: 1 } } }
stages:
  clips: { uses: data, with: { root: "${epochs} ${kind.size}", notes: { name: a, DEBUG: "1" } } }
  any: { uses: any, with: { value: "${about}" } }
  both: { uses: any, in: { from: any }, with: { value: { name: a, n: "${name}" } } }
"#;
    let over = r#"
extends: base.yaml
name: over
params: { label: b, about: { name: b } }
matrix: { kind: { one: { name: b } } }
stages:
  clips: { with: { notes: { name: b } } }
  both: { with: { value: { name: b } } }
"#;
    insta::assert_snapshot!(load(&[("x.yaml", over), ("base.yaml", base)]).unwrap().join("\n"), @r#"
    clips[kind=one] {"notes":{"DEBUG":"1","name":"b"},"root":"3 1","shuffle":false}
    any {"value":{"name":"b","size":1,"text":"b"}} from<-
    both[name=1] {"value":{"n":1,"name":"b"}} from<-any.to
    both[name=2] {"value":{"n":2,"name":"b"}} from<-any.to
    "#);
}

/// A map that names a variant is replaced whole wherever its value comes from.
#[test]
fn a_variant_is_found_through_references() {
    let stages = r#"
stages:
  clips: { uses: data, with: { root: r } }
  audio: { uses: decode, in: clips }
  split: { uses: split.folds, in: clips, with: { test: 1 } }
  model: { uses: train, in: { features: audio, labels: clips.labels, split: split }, with: { loss: "${LOSS}", epochs: 1 } }
  any: { uses: any, with: "${whole}" }
"#;
    let base = "version: 1\nparams: { whole: { losses: { one: { name: lq, q: 1 } } }, ";
    let check = |reference: &str, base_params: &str, over_params: &str, matrix: &str| {
        let stages = stages.replace("LOSS", reference);
        let base = format!("{base}{base_params} }}\n{matrix}{stages}");
        let middle = "extends: base.yaml\nparams: { whole: { losses: { one: { name: cce } } } }\n";
        let over = format!("extends: middle.yaml\nname: over\n{over_params}");
        let lines = load(&[("x.yaml", &over), ("middle.yaml", middle), ("base.yaml", &base)]).unwrap();
        assert!(lines.iter().any(|line| line.contains(r#""one":{"name":"cce","q":null}"#)), "{lines:#?}");
        lines.into_iter().find(|line| line.starts_with("model")).unwrap()
    };
    let replaced = r#""loss":{"name":"cce","q":null}"#;
    let kept = r#""loss":{"name":"lq","q":0.5}"#;
    for (map, expected) in [("{ name: cce }", replaced), ("{ q: 0.5 }", kept), ("{ name: lq, q: 0.5 }", kept)]
    {
        let found = [
            check("loss", "loss: { name: lq, q: 0.7 }", &format!("params: {{ loss: {map} }}\n"), ""),
            check("a.b", "a: { b: { name: lq, q: 0.7 } }", &format!("params: {{ a: {{ b: {map} }} }}\n"), ""),
            check("c", "c: \"${d}\", d: { name: lq, q: 0.7 }", &format!("params: {{ d: {map} }}\n"), ""),
            check(
                "e.loss",
                "",
                &format!("matrix: {{ e: {{ x: {{ loss: {map} }} }} }}\n"),
                "matrix: { e: { x: { loss: { name: lq, q: 0.7 } } } }",
            ),
            check(
                "f",
                "all: { x: { name: lq, q: 0.7 } }",
                &format!("params: {{ all: {{ x: {map} }} }}\n"),
                "matrix: { f: \"${all}\" }",
            ),
        ];
        for line in found {
            assert!(line.contains(expected), "{map}: {line}");
        }
    }
}
