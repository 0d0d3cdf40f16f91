//! Parts of a graph, and what belongs to other parts.

use crate::sandbox::{Sandbox, check};

/// Two stages that need nothing, and others whose data and programs are not there.
const PARTS: &str = r#"version: 1
name: parts
stages:
  words: { uses: command, with: { program: [sh, -c, "echo words > {out.text}"], outputs: { text: file } } }
  copy: { uses: command, in: { text: words }, with: { program: [cp, "{in.text}", "{out.text}"], inputs: { text: file }, outputs: { text: file } } }
  huge: { uses: dataset.csv, with: { manifest: not/there.csv } }
  audio: { uses: decode, in: huge, with: { sample_rate: 8000 } }
  tool: { uses: command, with: { program: [no-such-tool], outputs: { text: file } } }
"#;

#[test]
fn a_part_does_not_need_the_data_of_others() {
    let sandbox = Sandbox::new().file("parts.yaml", PARTS);
    assert_eq!(
        sandbox.ok("plan parts.yaml copy --format json").statuses(),
        ["copy maybe", "words would_run"]
    );
    assert_eq!(sandbox.ok("run parts.yaml copy --dry-run --format json").statuses().len(), 2);
    assert_eq!(sandbox.ok("run parts.yaml copy --format json").statuses(), ["copy ran", "words ran"]);
    sandbox.ok("explain parts.yaml copy");
    sandbox.ok("cache verify --rerun parts.yaml copy");
    for line in ["show parts.yaml copy", "logs parts.yaml copy"] {
        let ran = sandbox.ok(line);
        assert!(!ran.stderr.contains("not/there.csv"), "{line}\n{ran}");
    }
}

#[test]
fn what_a_part_needs_is_looked_at() {
    let sandbox = Sandbox::new().file("parts.yaml", PARTS);
    for (line, culprit) in [
        ("run parts.yaml audio", "not/there.csv"),
        ("plan parts.yaml copy audio", "not/there.csv"),
        ("explain parts.yaml tool", "no-such-tool"),
        ("run parts.yaml", "not/there.csv"),
        ("run parts.yaml", "no-such-tool"),
    ] {
        let ran = sandbox.ends(line, 2);
        assert!(ran.stderr.contains(culprit), "{line}\n{ran}");
    }
    // A mistake in the file itself is one whatever is asked for.
    sandbox.edit("parts.yaml", "sample_rate", "smaple_rate");
    sandbox.ends("run parts.yaml copy", 2);
}

#[test]
fn forcing_what_is_not_asked_for_is_refused() {
    let sandbox = Sandbox::toy();
    sandbox.ok("run toy.yaml");
    check("force_idle", sandbox.ends("run toy.yaml copy --force count", 2));
    let forced = |line: &str| sandbox.ok(line).statuses();
    assert_eq!(forced("run toy.yaml copy --force words --format json"), ["copy cached", "words ran"]);
    assert_eq!(forced("run toy.yaml --force count --format json").len(), 3);
}

#[test]
fn thousands_of_mistakes_are_counted() {
    let stages: String = (0..300).map(|at| format!("  s{at}: {{ uses: wrong }}\n")).collect();
    let sandbox = Sandbox::new().file("many.yaml", &format!("version: 1\nstages:\n{stages}"));
    let ran = sandbox.ends("plan many.yaml", 2);
    assert_eq!(ran.stderr.matches("there is no stage kind").count(), 100, "{ran}");
    assert!(ran.stderr.ends_with("and 200 more mistakes\n300 mistakes; nothing ran\n"), "{ran}");
}

#[test]
fn a_value_of_the_command_line_is_text_as_it_stands() {
    let sandbox = Sandbox::toy();
    sandbox.edit("toy.yaml", "echo said ${word} >&2", "printf '[%s]' \\\"$1\\\" >&2");
    sandbox.edit("toy.yaml", ">&2\"]", ">&2\", sh, \"${word}\"]");
    sandbox.edit("toy.yaml", "echo ${word} >", "echo word >");
    for text in ["run #2", "#2", "a: b ", "*", "it's", "", "a\nb"] {
        let set = format!("word={text}");
        let ran = sandbox.run(["run", "toy.yaml", "words", "--set", &set]);
        assert_eq!(ran.code, Some(0), "{text}\n{ran}");
        let log = sandbox.run(["logs", "toy.yaml", "words", "--set", &set]);
        assert_eq!(log.stdout.trim_end_matches('\n'), format!("[{text}]"), "{log}");
    }
}

/// Every cell has a file of its own, whatever its label, and the same one whichever cells are exported with it.
#[test]
fn cells_are_exported_to_files_of_their_own() {
    let long = "x".repeat(300);
    let labels = ["a/b", "a b", "a:b", "a|b", "a*b", "a_b", "A_B", "..", ".", "é", "e\u{301}", "con", &long];
    let list = serde_json::to_string(&labels).unwrap();
    let text = format!(
        "version: 1\nname: cells\nmatrix: {{ x: {list} }}\nstages:\n  c: {{ uses: command, with: {{ program: [sh, -c, 'printf %s \"$1\" > {{out.text}}', sh, \"${{x}}\"], outputs: {{ text: file }} }} }}\n"
    );
    let sandbox = Sandbox::new().file("cells.yaml", &text);
    sandbox.ok("run cells.yaml");
    let contents = |folder: &str| {
        let files = fs_err::read_dir(sandbox.path(folder)).unwrap().map(|file| file.unwrap().path());
        let mut all: Vec<String> = files.map(|file| fs_err::read_to_string(file).unwrap()).collect();
        all.sort_unstable();
        all
    };
    let mut expected = labels.to_vec();
    expected.sort_unstable();
    sandbox.ok("show cells.yaml c --export all");
    assert_eq!(contents("all"), expected);
    sandbox.ok("show cells.yaml c --export all --overwrite");
    assert_eq!(contents("all"), expected);
    for label in labels {
        let ran = sandbox.run(["show", "cells.yaml", &format!("c[x={label}]"), "--export", "one"]);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    let names = |folder: &str| {
        let files = fs_err::read_dir(sandbox.path(folder)).unwrap();
        files.map(|file| file.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names("all"), names("one"));
}
