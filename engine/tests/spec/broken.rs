//! Broken files, and what is said about them.

use super::{load_files, load_text, render};

/// What is said about a text.
#[track_caller]
fn said(text: &str) -> String {
    render(&load_text(text).err().expect("the file is broken"))
}

/// What is said about a file with a good stage `clips` and these lines.
#[track_caller]
fn said_of(stages: &str) -> String {
    said(&format!("version: 1\nstages:\n  clips: {{ uses: data, with: {{ root: r }} }}\n{stages}\n"))
}

#[test]
fn not_yaml() {
    insta::assert_snapshot!(said("version: 1\nstages: [\n"), @"");
    insta::assert_snapshot!(said("version: 1\nstages:\n\tclips: { uses: data }\n"), @"");
    insta::assert_snapshot!(said("version: 1\nname: a: b\n"), @"");
    insta::assert_snapshot!(said("version: 1\nname: \"abc\nstages: {}\n"), @"");
    insta::assert_snapshot!(said("version: 1\nname: @x\n"), @"");
    insta::assert_snapshot!(said("version: 1\nname: *x\n"), @"");
    insta::assert_snapshot!(said("version: 1\nparams: &a { b: *a }\n"), @"");
    insta::assert_snapshot!(said("version: 1\n---\nversion: 1\n"), @"");
    insta::assert_snapshot!(said("\u{feff}version: 1\n"), @"");
    insta::assert_snapshot!(said("version: 1\nname: !!int x\nparams: !odd 1\n"), @"");
    insta::assert_snapshot!(said("version: 1\n? [a, b]\n: c\n"), @"");
    insta::assert_snapshot!(said(&format!("version: 1\nparams: {{ a: {}1{} }}\n", "[".repeat(70), "]".repeat(70))), @"");
    insta::assert_snapshot!(said("# nothing\n"), @"");
    insta::assert_snapshot!(said("- a\n- b\n"), @"");
}

#[test]
fn not_text() {
    let said = |bytes: &[u8]| render(&load_files(&[("x.yaml", bytes)], &[]).0.err().unwrap());
    insta::assert_snapshot!(said(b"version: 1\nname: caf\xe9\n"), @"");
    insta::assert_snapshot!(said(b"\xff\xfev\0e\0r\0"), @"");
    let (_, folder) = load_files(&[("x.yaml", b"a: 1")], &[]);
    let errors =
        sndpipe_engine::load(&folder.path().join("y.yaml"), &[], &super::kinds::registry()).err().unwrap();
    assert!(render(&errors).starts_with("- unreadable: cannot read the pipeline"), "{}", render(&errors));
    let errors = sndpipe_engine::load(folder.path(), &[], &super::kinds::registry()).err().unwrap();
    assert_eq!(errors.0[0].code, "unreadable");
}

#[test]
fn duplicate_keys() {
    insta::assert_snapshot!(said_of("  clips: { uses: data, with: { root: r, root: s } }"), @"");
}

#[test]
fn the_top_level() {
    insta::assert_snapshot!(said("vresion: 1\nstagse: {}\n"), @"");
    insta::assert_snapshot!(said("version: 2\nstages: {}\nname: [1]\nparams: 3\nmatrix: x\nzip: 1\nexclude: {}\n"), @"");
    insta::assert_snapshot!(said("version: \"1\"\nstages: [a]\n"), @"");
}

#[test]
fn the_shape_of_stages() {
    insta::assert_snapshot!(said_of("  a: 3\n  b: {}\n  c-d: { uses: data }\n  e: { usse: data, with: [1], keep: no, in: 3 }"), @"");
    insta::assert_snapshot!(said_of("  a: { uses: decode, in: { clips: { form: clips } } }\n  b: { uses: decode, in: { clips: [clips] } }\n  c: { uses: decode, in: { clips: { from: [clips], collect: 3 } } }"), @"");
}

#[test]
fn unknown_stage_kind() {
    insta::assert_snapshot!(said_of("  audio: { uses: decod, in: clips }\n  other: { uses: nonsense }"), @"");
}

#[test]
fn parameters() {
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rat: 8000 } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: 5 } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: \"8000\" } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { hop_ms: fast, bands: -1, augment: [{ kind: tim_mask }] } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { bands: 9, augment: [{ kind: time_mask }, { kind: time_mask, widht: 3 }] } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { bands: 0, augment: [{ kind: time_mask }, { kind: time_mask, width: 300 }] } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio }"), @"");
    insta::assert_snapshot!(said_of("  more: { uses: data, with: { root: r, shuffle: yes } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: .inf } }\n  again: { uses: decode, in: clips, with: { sample_rate: 99999999999999999999 } }"), @"");
}

#[test]
fn parameters_through_references() {
    insta::assert_snapshot!(said(r#"version: 1
params: { rate: fast, deep: { rate: 3 } }
matrix: { hz: { low: { rate: 8000 }, high: { rate: 500000 } } }
stages:
  clips: { uses: data, with: { root: r } }
  one: { uses: decode, in: clips, with: { sample_rate: "${rate}" } }
  two: { uses: decode, in: clips, with: { sample_rate: "${hz.rate}" } }
  three: { uses: decode, in: clips, with: { sample_rate: "${deep.rate}" } }
"#), @"");
}

#[test]
fn references_in_values() {
    insta::assert_snapshot!(said(r#"version: 1
params:
  root: "${roto}/x"
  a: "${b}"
  b: "x${c}"
  c: "${a}"
  lonely: 1
  map: { x: 1 }
  cell: "${fold}"
matrix:
  fold: [1, 2]
  unused: [1]
  loss: { cce: { name: a }, lq: { name: b, q: 1 } }
stages:
  clips: { uses: data, with: { root: "${root}" } }
  one: { uses: data, with: { root: "${open" } }
  two: { uses: data, with: { root: "${}", shuffle: "${a b}" } }
  three: { uses: data, with: { root: "${fodl}/${map}" } }
  four: { uses: data, with: { root: "${loss.q}/${map.y}/${loss.nmae}" } }
"#), @"");
}

#[test]
fn the_matrix() {
    insta::assert_snapshot!(said(r#"version: 1
params: { p: 1, nothing: [] }
matrix:
  a: []
  b: [1, 1.0, "1", ~, [2]]
  c: { x: 1, "y,z": 2 }
  p: [1]
  d: 3
  e: "${nothing}"
  f: "${p}"
zip: [a, b, nope]
exclude:
  - { c: z }
  - { g: 1 }
  - 3
stages:
  clips: { uses: data, with: { root: "${a}${b}${c}${d}${e}${f}" } }
"#), @"");
    insta::assert_snapshot!(said(r#"version: 1
matrix: { a: [1, 2], b: [1, 2, 3], c: [1] }
zip: [[a, b], [c], [a, c]]
exclude: [{ a: 1 }, { a: 2 }]
stages:
  clips: { uses: data, with: { root: "${a}${b}${c}" } }
"#), @"");
}

#[test]
fn wiring() {
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clps }\n  b: { uses: decode, in: clips.audio }\n  c: { uses: decode, in: { clip: clips } }\n  d: { uses: data, in: clips, with: { root: r } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips.labels }\n  mel: { uses: spectrogram, in: clips, with: { bands: 1 } }\n  model: { uses: train, in: { features: mel, labels: clips }, with: { loss: { name: a }, epochs: 1 } }"), @"");
    insta::assert_snapshot!(said_of("  audio: { uses: decode }\n  a: { uses: decode, in: \"clips[\" }\n  b: { uses: decode, in: \"clips.x.y\" }\n  c: { uses: decode, in: \"clips[x]\" }\n  d: { uses: decode, in: \"${clips}\" }\n  e: { uses: decode, in: \"clips[fold=1]\" }\n  f: { uses: decode, in: \"\" }"), @"");
}

#[test]
fn circles() {
    insta::assert_snapshot!(said_of("  a: { uses: decode, in: c }\n  b: { uses: spectrogram, in: a, with: { bands: 1 } }\n  c: { uses: decode, in: b }\n  d: { uses: decode, in: d }\n  e: { uses: spectrogram, in: a, with: { bands: x } }"), @"");
}

#[test]
fn axes_of_inputs() {
    let base = r#"version: 1
matrix: { fold: [1, 2], loss: [a, b] }
exclude: [{ fold: 2, loss: b }]
stages:
  clips: { uses: data, with: { root: r } }
  audio: { uses: decode, in: clips }
  split: { uses: split.folds, in: clips, with: { test: "${fold}" } }
  model: { uses: train, in: { features: audio, labels: clips.labels, split: split }, with: { loss: { name: "${loss}" }, epochs: 1 } }
"#;
    insta::assert_snapshot!(said(&format!("{base}  s: {{ uses: score, in: {{ model: \"model[fold=3]\", features: audio }} }}\n")), @"");
    insta::assert_snapshot!(said(&format!("{base}  s: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: \"split[loss=a]\" }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @"");
    insta::assert_snapshot!(said(&format!("{base}  t: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: \"split[fold=1]\", init: \"model[fold=2]\" }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @"");
    insta::assert_snapshot!(said(&format!("{base}  t: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: {{ from: split, collect: [fold] }}, init: {{ from: model, collect: [lsos, fold, fold] }} }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @"");
}

#[test]
fn many_mistakes_are_counted_and_sorted() {
    let errors =
        load_text("version: 1\nstages:\n  b: { uses: decod }\n  a: { uses: data }\n  c: { uses: dta }\n")
            .err()
            .unwrap();
    assert!(
        errors.to_string().starts_with("3 mistakes in ") && errors.to_string().ends_with("x.yaml"),
        "{errors}"
    );
    let lines: Vec<String> = errors.iter().map(|error| error.source.place(error.span.unwrap())).collect();
    assert_eq!(
        lines.iter().map(|line| line.rsplit(':').nth(1).unwrap()).collect::<Vec<_>>(),
        ["3", "4", "5"]
    );
}

#[test]
fn errors_are_diagnostics() {
    use miette::{Diagnostic, NarratableReportHandler};
    let errors = load_text("version: 1\nstages:\n  a: { uses: dta }\n").err().unwrap();
    assert_eq!(errors.related().unwrap().count(), 1);
    let mut text = String::new();
    NarratableReportHandler::new().render_report(&mut text, &errors.0[0]).unwrap();
    let text = text.replace(errors.0[0].source.name(), "x.yaml");
    insta::assert_snapshot!(text, @"");
    let late = errors.0[0].source.error("late", errors.0[0].span.unwrap(), "it failed", None);
    assert_eq!(
        (late.code().unwrap().to_string(), late.to_string()),
        ("sndpipe::spec::late".to_owned(), "it failed".to_owned())
    );
}
