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
    insta::assert_snapshot!(said("version: 1\nstages: [\n"), @r"
    x.yaml:2:9 yaml: the file is no valid YAML: unclosed bracket '['
      `[`
      help: a bracket, a brace or a quote is not closed, or a comma is missing
    ");
    insta::assert_snapshot!(said("version: 1\nstages:\n\tclips: { uses: data }\n"), @r"
    x.yaml:3:2 yaml: the file is no valid YAML: tabs disallowed within this context (block indentation)
      `c`
      help: indent with blanks, not with tabs
    ");
    insta::assert_snapshot!(said("version: 1\nname: a: b\n"), @r"
    x.yaml:2:8 yaml: the file is no valid YAML: mapping values are not allowed in this context
      `:`
      help: text with `: ` in it needs quotes; a key needs `: ` behind it
    ");
    insta::assert_snapshot!(said("version: 1\nname: \"abc\nstages: {}\n"), @r"
    x.yaml:3:1 yaml: the file is no valid YAML: invalid indentation in multiline quoted scalar
      `s`
      help: the quote that this belongs to is not closed
    ");
    insta::assert_snapshot!(said("version: 1\nname: @x\n"), @r"
    x.yaml:2:7 yaml: the file is no valid YAML: unexpected character: `@'
      `@`
      help: put text that begins with a special character in quotes
    ");
    insta::assert_snapshot!(said("version: 1\nname: *x\n"), @r"
    x.yaml:2:7 yaml: the alias `*x` has no anchor
      `*x` defined nowhere above
      help: define it earlier in the file with `&x`, or quote it if it is text
    ");
    insta::assert_snapshot!(said("version: 1\nparams: &a { b: *a }\n"), @r"
    x.yaml:2:17 yaml: an alias stands inside of what it repeats
      `*a`
    ");
    insta::assert_snapshot!(said("version: 1\n---\nversion: 1\n"), @r"
    x.yaml:2:1 yaml: the file holds more than one document
      `---` a second document begins here
      help: a pipeline is one document: remove the `---`
    ");
    insta::assert_snapshot!(said("\u{feff}version: 1\n"), @r"
    x.yaml:1:1 yaml: the file begins with a byte order mark
      `﻿`
      help: save it as UTF-8 without a byte order mark
    ");
    insta::assert_snapshot!(said("version: 1\nname: !!int x\nparams: !odd 1\n"), @r"
    x.yaml:2:13 yaml: `x` is no `!!int`
      `x`
    ");
    insta::assert_snapshot!(said("version: 1\n? [a, b]\n: c\n"), @r"
    x.yaml:2:3 yaml: a list or a map cannot be a key
      `[a, b]`
      help: quote it if it is text
    ");
    insta::assert_snapshot!(said(&format!("version: 1\nparams: {{ a: {}1{} }}\n", "[".repeat(70), "]".repeat(70))), @r"
    x.yaml:2:77 yaml: the file is no valid YAML: recursion limit exceeded
      `[`
      help: lists and maps may nest 64 deep
    ");
    insta::assert_snapshot!(said("# nothing\n"), @r"
    x.yaml:1:1 empty: the file is empty
      ``
      help: `sndpipe init` writes a pipeline to start from
    ");
    insta::assert_snapshot!(said("- a\n- b\n"), @r"
    x.yaml:1:1 wrong_type: a pipeline is a map with `version:` and `stages:`, found a list
      `-`
    ");
}

#[test]
fn not_text() {
    let said = |bytes: &[u8]| render(&load_files(&[("x.yaml", bytes)], &[]).0.err().unwrap());
    insta::assert_snapshot!(said(b"version: 1\nname: caf\xe9\n"), @r"
    x.yaml:2:10 yaml: the file is not valid UTF-8
      `�` not UTF-8 from here
      help: save it as UTF-8
    ");
    insta::assert_snapshot!(said(b"\xff\xfev\0e\0r\0"), @r"
    x.yaml:1:1 yaml: the file is UTF-16, not UTF-8
      `�` not UTF-8 from here
      help: save it as UTF-8
    ");
    let (_, folder) = load_files(&[("x.yaml", b"a: 1")], &[]);
    let errors =
        sndpipe_engine::load(&folder.path().join("y.yaml"), &[], &super::kinds::registry()).err().unwrap();
    assert!(render(&errors).starts_with("- unreadable: cannot read the pipeline"), "{}", render(&errors));
    let errors = sndpipe_engine::load(folder.path(), &[], &super::kinds::registry()).err().unwrap();
    assert_eq!(errors.0[0].code, "unreadable");
}

#[test]
fn duplicate_keys() {
    insta::assert_snapshot!(said_of("  clips: { uses: data, with: { root: r, root: s } }"), @r"
    x.yaml:4:3 duplicate_key: the key `clips` stands twice in one map
      `clips` again here
      x.yaml:3:3 `clips` first here
      help: keep one of them
    x.yaml:4:41 duplicate_key: the key `root` stands twice in one map
      `root` again here
      x.yaml:4:32 `root` first here
      help: keep one of them
    ");
}

#[test]
fn the_top_level() {
    insta::assert_snapshot!(said("vresion: 1\nstagse: {}\n"), @r"
    x.yaml:1:1 unknown_key: a pipeline has no key `vresion`
      `vresion` unknown key
      help: did you mean `version`?
    x.yaml:2:1 unknown_key: a pipeline has no key `stagse`
      `stagse` unknown key
      help: did you mean `stages`?
    ");
    insta::assert_snapshot!(said("version: 2\nstages: {}\nname: [1]\nparams: 3\nmatrix: x\nzip: 1\nexclude: {}\n"), @r"
    x.yaml:1:10 version: version 2 is unknown
      `2`
      help: this build reads `version: 1`
    x.yaml:2:1 missing_key: the pipeline has no stages
      `stages` nothing in here
    x.yaml:3:7 wrong_type: `name` expects a text, found a list
      `[1]` expected a text
    x.yaml:4:9 wrong_type: `params` expects a map, found the number `3`
      `3` expected a map
    x.yaml:5:9 wrong_type: `matrix` expects a map, found the string `x`
      `x` expected a map
    x.yaml:6:6 wrong_type: `zip` expects a list of axes, found the number `1`
      `1` expected a list of axes
      help: write `zip: [a, b]`
    x.yaml:7:10 wrong_type: `exclude` expects a list of cells, found a map
      `{}` expected a list of cells
      help: write `exclude: [{ fold: 1, loss: lq }]`
    ");
    insta::assert_snapshot!(said("version: \"1\"\nstages: [a]\n"), @r#"
    x.yaml:1:10 version: `version` expects the number 1, found the string `1`
      `"1"`
      help: this build reads `version: 1`
    x.yaml:2:9 wrong_type: `stages` expects a map, found a list
      `[a]` expected a map
    "#);
}

#[test]
fn the_shape_of_stages() {
    insta::assert_snapshot!(said_of("  a: 3\n  b: {}\n  c-d: { uses: data }\n  e: { usse: data, with: [1], keep: no, in: 3 }"), @r"
    x.yaml:4:6 wrong_type: stage `a` expects a map with `uses:`, found the number `3`
      `3` expected a map with `uses:`
    x.yaml:5:3 missing_key: stage `b` does not say what it uses
      `b` `uses` is missing
      help: add `uses:` with the name of a stage kind; `sndpipe stages` lists them
    x.yaml:6:3 bad_name: `c-d` is no name of a stage
      `c-d`
      help: names consist of letters, digits and `_`, and do not begin with a digit
    x.yaml:7:8 unknown_key: a stage has no key `usse`
      `usse` unknown key
      help: did you mean `uses`?
    x.yaml:7:26 wrong_type: `with` expects a map of parameters, found a list
      `[1]` expected a map of parameters
    x.yaml:7:37 wrong_type: `keep` expects `true` or `false`, found the string `no`
      `no` expected `true` or `false`
    x.yaml:7:45 wrong_type: `in` expects a stage or a map of ports, found the number `3`
      `3` expected a stage or a map of ports
      help: write `in: clips`, or `in: { features: mel, labels: clips.labels }`
    ");
    insta::assert_snapshot!(said_of("  a: { uses: decode, in: { clips: { form: clips } } }\n  b: { uses: decode, in: { clips: [clips] } }\n  c: { uses: decode, in: { clips: { from: [clips], collect: 3 } } }"), @r"
    x.yaml:4:37 unknown_key: an input has no key `form`
      `form` unknown key
      help: did you mean `from`?
    x.yaml:5:35 wrong_type: input `clips` expects the name of a stage, found a list
      `[clips]` expected the name of a stage
      help: write `clips: stage`, `clips: stage.output` or `clips: { from: stage, collect: [axis] }`
    x.yaml:6:43 wrong_type: `from` expects the name of a stage, found a list
      `[clips]` expected the name of a stage
    x.yaml:6:61 wrong_type: `collect` expects the axes to gather, found the number `3`
      `3` expected the axes to gather
    ");
}

#[test]
fn unknown_stage_kind() {
    insta::assert_snapshot!(said_of("  audio: { uses: decod, in: clips }\n  other: { uses: nonsense }"), @r"
    x.yaml:4:18 unknown_stage: there is no stage kind `decod`
      `decod` unknown
      help: did you mean `decode`?
    x.yaml:5:18 unknown_stage: there is no stage kind `nonsense`
      `nonsense` unknown
      help: `sndpipe stages` describes them: `any`, `data`, `decode`, `evaluate`, `score`, `spectrogram`, `split.folds`, `table`, `train`
    ");
}

#[test]
fn parameters() {
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rat: 8000 } }"), @r"
    x.yaml:4:45 unknown_param_field: stage kind `decode` has no parameter `sample_rat`
      `sample_rat` unknown parameter
      help: did you mean `sample_rate`?
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: 5 } }"), @r"
    x.yaml:4:58 bad_param: `sample_rate` of stage `audio`: 5 is outside 1000..=192000
      `5` this value
      help: 44100 is usual
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: \"8000\" } }"), @r#"
    x.yaml:4:58 bad_param: `sample_rate` of stage `audio`: expected a whole number, at least 0, found the string `8000`
      `"8000"` this value
      help: write 8000 without quotes
    "#);
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { hop_ms: fast, bands: -1, augment: [{ kind: tim_mask }] } }"), @r"
    x.yaml:5:56 bad_param: `hop_ms` of stage `mel`: expected a number, found the string `fast`
      `fast` this value
    x.yaml:5:69 bad_param: `bands` of stage `mel`: expected a whole number, at least 0, found the number `-1`
      `-1` this value
    x.yaml:5:91 bad_param: `augment[0].kind` of stage `mel`: `tim_mask` is not one of `time_mask`, `band_mask`
      `tim_mask` this value
      help: did you mean `time_mask`?
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { bands: 9, augment: [{ kind: time_mask }, { kind: time_mask, widht: 3 }] } }"), @r"
    x.yaml:5:108 unknown_param_field: `augment[1]` of stage `mel` has no field `widht`
      `widht` unknown parameter
      help: did you mean `width`?
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio, with: { bands: 0, augment: [{ kind: time_mask }, { kind: time_mask, width: 300 }] } }"), @r"
    x.yaml:5:55 bad_param: `bands` of stage `mel`: 0 is outside 1..=1024
      `0` this value
    x.yaml:5:115 bad_param: `augment[1].width` of stage `mel`: 300 is outside 0..=100
      `300` this value
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips }\n  mel: { uses: spectrogram, in: audio }"), @r"
    x.yaml:5:16 missing_param: stage `mel` lacks the parameter `bands` of `spectrogram`
      `spectrogram` `bands` is missing
      help: add `bands:`  Number of bands.
    ");
    insta::assert_snapshot!(said_of("  more: { uses: data, with: { root: r, shuffle: yes } }"), @r"
    x.yaml:4:49 bad_param: `shuffle` of stage `more`: expected `true` or `false`, found the string `yes`
      `yes` this value
      help: in YAML 1.2 this is a text: write `true`
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips, with: { sample_rate: .inf } }\n  again: { uses: decode, in: clips, with: { sample_rate: 99999999999999999999 } }"), @r"
    x.yaml:4:58 bad_number: `.inf` is not a finite number that can be kept exactly
      `.inf`
      help: write a finite number, or quote it if it is text
    x.yaml:5:58 bad_number: `99999999999999999999` is not a finite number that can be kept exactly
      `99999999999999999999`
      help: write a finite number, or quote it if it is text
    ");
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
"#), @r#"
    x.yaml:6:56 bad_param: `sample_rate` of stage `one`: expected a whole number, at least 0, found the string `fast`
      `"${rate}"` the value comes from `${rate}`
      x.yaml:2:17 `fast` `${rate}` is defined here
    x.yaml:7:56 bad_param: `sample_rate` of stage `two`: 500000 is outside 1000..=192000
      `"${hz.rate}"` the value comes from `${hz.rate}`
      x.yaml:3:52 `500000` `${hz.rate}` is defined here
      help: 44100 is usual
    x.yaml:8:58 bad_param: `sample_rate` of stage `three`: 3 is outside 1000..=192000
      `"${deep.rate}"` the value comes from `${deep.rate}`
      x.yaml:2:37 `3` `${deep.rate}` is defined here
      help: 44100 is usual
    "#);
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
"#), @r"
    x.yaml:3:10 unknown_name: `roto` is no parameter and no axis
      `${roto}` not defined
      help: did you mean `root`?
    x.yaml:4:7 param_cycle: parameters refer to each other in a circle: a -> b -> c -> a
      `${b}` leads back to itself
    x.yaml:7:3 unused_param: nothing uses the parameter `lonely`
      `lonely` never referred to
      help: refer to it with `${lonely}` or remove it
    x.yaml:9:3 unused_param: nothing uses the parameter `cell`
      `cell` never referred to
      help: refer to it with `${cell}` or remove it
    x.yaml:9:10 axis_here: `fold` is an axis, and a parameter cannot depend on a cell
      `${fold}`
      help: use the axis in the `with:` of a stage
    x.yaml:12:3 unused_axis: no stage uses the axis `unused`
      `unused` repeats nothing
      help: use it with `${unused}` in the `with:` of a stage, or remove it
    x.yaml:16:37 unterminated: `${` is not closed
      `${open` no `}` behind this
      help: write `${name}`, or `$${` for the characters themselves
    x.yaml:17:37 bad_reference: `${}` names nothing
      `${}`
      help: write `${name}` or `${name.field}` with the name of a parameter or an axis
    x.yaml:17:53 bad_reference: `${a b}` names nothing
      `${a b}`
      help: write `${name}` or `${name.field}` with the name of a parameter or an axis
    x.yaml:18:39 unknown_name: `fodl` is no parameter and no axis
      `${fodl}` not defined
      help: did you mean `fold`?
    x.yaml:18:47 not_text: `${map}` is a map
      `${map}` does not fit into a text
      help: inside a longer text only strings, numbers, `true` and `false` can stand
    x.yaml:19:38 unknown_field: `cce` of axis `loss` has no field `q`
      `${loss.q}` no such field
      help: its fields: name
    x.yaml:19:48 unknown_field: parameter `map` has no field `y`
      `${map.y}` no such field
      help: its fields: x
    x.yaml:19:57 unknown_field: `cce` of axis `loss` has no field `nmae`
      `${loss.nmae}` no such field
      help: did you mean `name`?
    ");
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
  - {}
stages:
  clips: { uses: data, with: { root: "${a}${b}${c}${d}${e}${f}" } }
"#), @r#"
    x.yaml:4:3 empty_axis: the axis `a` has no values
      `a` empty
      help: give it at least one value, or remove it and what uses it
    x.yaml:5:15 duplicate_label: the axis `b` has the label `1` twice
      `"1"` again here
    x.yaml:5:20 wrong_type: a value in the list of axis `b` is a string, a number or a truth value, found nothing
      `~`
      help: give bundles a label: `b: { label: { … } }`
    x.yaml:5:23 wrong_type: a value in the list of axis `b` is a string, a number or a truth value, found a list
      `[2]`
      help: give bundles a label: `b: { label: { … } }`
    x.yaml:6:14 bad_name: `y,z` cannot be a label of axis `c`
      `"y,z"`
      help: labels have no `[`, `]`, `,` or `=`; name the value: `{ label: value }`
    x.yaml:7:3 duplicate_name: `p` is a parameter and an axis
      `p` an axis here
      x.yaml:2:11 `p` a parameter here
      help: rename one of them
    x.yaml:8:6 wrong_type: the axis `d` expects a list of values or a map of bundles, found the number `3`
      `3`
      help: write `d: [1, 2]` or `d: { label: { … } }`
    x.yaml:9:3 empty_axis: the axis `e` has no values
      `e` empty
      help: give it at least one value, or remove it and what uses it
    x.yaml:10:6 wrong_type: the axis `f` expects a list of values or a map of bundles, found the number `1`
      `"${p}"`
      help: write `f: [1, 2]` or `f: { label: { … } }`
    x.yaml:11:13 unknown_axis: there is no axis `nope`
      `nope` not in `matrix`
      help: the axes are: `a`, `b`, `c`, `p`, `d`, `e`, `f`
    x.yaml:14:7 unknown_axis: there is no axis `g`
      `g` not in `matrix`
      help: the axes are: `a`, `b`, `c`, `p`, `d`, `e`, `f`
    x.yaml:15:5 wrong_type: a rule of `exclude` expects a map of axes and labels, found the number `3`
      `3` expected a map of axes and labels
      help: write `exclude: [{ fold: 1, loss: lq }]`
    x.yaml:16:5 bad_exclude: a rule of `exclude` without axes would drop every cell
      `{}` names no axis
      help: write `exclude: [{ fold: 1, loss: lq }]`, or remove the rule
    "#);
    insta::assert_snapshot!(said(r#"version: 1
matrix: { a: [1, 2], b: [1, 2, 3], c: [1] }
zip: [[a, b], [c], [a, c]]
exclude: [{ a: 1 }, { a: 2 }]
stages:
  clips: { uses: data, with: { root: "${a}${b}${c}" } }
"#), @r"
    x.yaml:3:11 bad_zip: zipped axes have one length: `a` has 2 values and `b` has 3
      `b`
      x.yaml:2:11 `a` 2 values
      x.yaml:2:22 `b` 3 values
    x.yaml:3:16 bad_zip: `zip` pairs at least two axes
      `c`
      help: write `zip: [a, b]`
    x.yaml:3:21 duplicate_axis: the axis `a` is zipped twice
      `a`
    x.yaml:3:24 duplicate_axis: the axis `c` is zipped twice
      `c`
    x.yaml:6:3 no_cells: `exclude` leaves no cell of stage `clips`
      `clips`
      help: exclude less
    ");
}

#[test]
fn wiring() {
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clps }\n  b: { uses: decode, in: clips.audio }\n  c: { uses: decode, in: { clip: clips } }\n  d: { uses: data, in: clips, with: { root: r } }"), @r"
    x.yaml:4:30 unknown_reference: there is no stage `clps`
      `clps` not a stage of this file
      help: did you mean `clips`?
    x.yaml:5:32 unknown_output: stage `clips` has no output `audio`
      `audio` unknown output
      help: its outputs: `clips`, `labels`
    x.yaml:6:28 unknown_port: stage `c`: `decode` has no input `clip`
      `clip` unknown input
      help: did you mean `clips`?
    x.yaml:7:24 unknown_port: stage `d`: `data` has no inputs
      `clips` nothing reads this
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode, in: clips.labels }\n  mel: { uses: spectrogram, in: clips, with: { bands: 1 } }\n  model: { uses: train, in: { features: mel, labels: clips }, with: { loss: { name: a }, epochs: 1 } }"), @r"
    x.yaml:4:30 wrong_kind: the input `clips` of stage `audio` takes clips, and `clips.labels` is labels
      `clips.labels` this is labels
      help: did you mean `clips`?
    x.yaml:5:33 wrong_kind: the input `audio` of stage `mel` takes audio, and `clips` is clips
      `clips` this is clips
      help: audio is written by `audio`
    x.yaml:6:3 missing_input: stage `model` lacks the input `split` of `train`
      `model` reads no split
      help: no stage of this file writes split
    x.yaml:6:54 wrong_kind: the input `labels` of stage `model` takes labels, and `clips` is clips
      `clips` this is clips
      help: did you mean `clips.labels`?
    ");
    insta::assert_snapshot!(said_of("  audio: { uses: decode }\n  a: { uses: decode, in: \"clips[\" }\n  b: { uses: decode, in: \"clips.x.y\" }\n  c: { uses: decode, in: \"clips[x]\" }\n  d: { uses: decode, in: \"${clips}\" }\n  e: { uses: decode, in: \"clips[fold=1]\" }\n  f: { uses: decode, in: \"\" }"), @r"
    x.yaml:4:3 missing_input: stage `audio` lacks the input `clips` of `decode`
      `audio` reads no clips
      help: add `in: { clips: clips }`; clips is written by `clips`
    x.yaml:5:32 bad_reference: `clips[` lacks the closing `]`
      `[`
      help: write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`
    x.yaml:6:34 bad_reference: `.y` is one part too many
      `.y`
      help: write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`
    x.yaml:7:33 bad_reference: `x` is not of the form `axis=label`
      `x`
      help: write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`
    x.yaml:8:27 bad_reference: a reference to a stage is not computed: `${clips}`
      `${clips}`
      help: write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`
    x.yaml:9:33 unknown_axis: there is no axis `fold`
      `fold` not in `matrix`
    x.yaml:10:27 bad_reference: `` lacks the name of a stage
      ``
      help: write `stage`, `stage.output`, `stage[axis=label]` or `stage[axis=label].output`
    ");
}

#[test]
fn circles() {
    insta::assert_snapshot!(said_of("  a: { uses: decode, in: c }\n  b: { uses: spectrogram, in: a, with: { bands: 1 } }\n  c: { uses: decode, in: b }\n  d: { uses: decode, in: d }\n  e: { uses: spectrogram, in: a, with: { bands: x } }"), @r"
    x.yaml:4:26 cycle: stages wait for each other: a reads c reads b reads a
      `c` `a` reads `c`
      x.yaml:6:26 `b` `c` reads `b`
      x.yaml:5:31 `a` `b` reads `a`
      help: take one of these inputs away
    x.yaml:7:26 cycle: stage `d` reads itself
      `d` `d` reads `d`
      help: take one of these inputs away
    x.yaml:8:49 bad_param: `bands` of stage `e`: expected a whole number, at least 0, found the string `x`
      `x` this value
    ");
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
    insta::assert_snapshot!(said(&format!("{base}  s: {{ uses: score, in: {{ model: \"model[fold=3]\", features: audio }} }}\n")), @r"
    x.yaml:9:46 unknown_label: the axis `fold` has no label `3`
      `3` no such label
      help: its labels: `1`, `2`
    ");
    insta::assert_snapshot!(said(&format!("{base}  s: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: \"split[loss=a]\" }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @r"
    x.yaml:9:80 wrong_axis: stage `split` is not repeated along `loss`
      `loss` no axis of that stage
      help: `split` is repeated along fold
    ");
    insta::assert_snapshot!(said(&format!("{base}  t: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: \"split[fold=1]\", init: \"model[fold=2]\" }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @r#"
    x.yaml:9:96 excluded_cell: `model[fold=2,loss=b]` is not there: `exclude` drops it
      `"model[fold=2]"` read by `t`
      help: choose another cell, or exclude less
    "#);
    insta::assert_snapshot!(said(&format!("{base}  t: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: {{ from: split, collect: [fold] }}, init: {{ from: model, collect: [lsos, fold, fold] }} }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n")), @r"
    x.yaml:9:98 bad_collect: the input `split` of `train` reads one artefact and gathers none
      `fold` cannot be gathered here
      help: without `collect`, `t` is repeated along the axes of what it reads
    x.yaml:9:138 unknown_axis: there is no axis `lsos`
      `lsos` not in `matrix`
      help: did you mean `loss`?
    x.yaml:9:150 duplicate_axis: `fold` stands twice in `collect`
      `fold`
    ");
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
    insta::assert_snapshot!(text, @r"
    there is no stage kind `dta`
        Diagnostic severity: error
    Begin snippet for x.yaml starting at line 2, column 1

    snippet line 2: stages:
    snippet line 3:   a: { uses: dta }
        label at line 3, columns 14 to 16: unknown
    diagnostic help: did you mean `data`?
    diagnostic code: sndpipe::spec::unknown_stage
    ");
    let late = errors.0[0].source.error("late", errors.0[0].span.unwrap(), "it failed", None);
    assert_eq!(
        (late.code().unwrap().to_string(), late.to_string()),
        ("sndpipe::spec::late".to_owned(), "it failed".to_owned())
    );
}

/// What a program wrote may be one line of a megabyte: what stands around the mistake is quoted.
#[test]
fn long_lines_are_quoted_in_part() {
    use miette::NarratableReportHandler;
    let many: Vec<String> =
        (0..20_000).map(|at| format!("s{at}: {{ uses: data, with: {{ root: r }} }}")).collect();
    let text = format!(
        "version: 1\nstages: {{ {}, é: {{ uses: data }}, last: {{ uses: dta }} }}\n",
        many.join(", ")
    );
    let errors = load_text(&text).err().unwrap();
    let rendered: Vec<String> = errors
        .iter()
        .map(|error| {
            let mut text = String::new();
            NarratableReportHandler::new().render_report(&mut text, error).unwrap();
            text.replace(error.source.name(), "x.yaml")
        })
        .collect();
    insta::assert_snapshot!(rendered.join("\n"), @r"
    `é` is no name of a stage
        Diagnostic severity: error
    Begin snippet for x.yaml starting at line 2, column 848821

    snippet line 2: : { uses: data, with: { root: r } }, s19999: { uses: data, with: { root: r } }, é: { uses: data }, last: { uses: dta } }
        label at line 2, column 81
    diagnostic help: names consist of letters, digits and `_`, and do not begin with a digit
    diagnostic code: sndpipe::spec::bad_name

    there is no stage kind `dta`
        Diagnostic severity: error
    Begin snippet for x.yaml starting at line 2, column 848855

    snippet line 2: }, s19999: { uses: data, with: { root: r } }, é: { uses: data }, last: { uses: dta } }
        label at line 2, columns 80 to 82: unknown
    diagnostic help: did you mean `data`?
    diagnostic code: sndpipe::spec::unknown_stage
    ");
}
