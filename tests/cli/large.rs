//! Large graphs: what is printed stays short, and what is remembered of a file holds only as long as the file.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, check};

/// Thirty cells of two stages, each with a command of its own.
fn cells() -> Sandbox {
    let numbers: Vec<String> = (1..=30).map(|n| n.to_string()).collect();
    let text = format!(
        r#"version: 1
name: cells
params: {{ end: a }}
matrix: {{ n: [{}] }}
stages:
  word: {{ uses: command, with: {{ program: [sh, -c, "echo ${{n}}${{end}} > {{out.text}}"], outputs: {{ text: file }} }} }}
  copy:
    uses: command
    in: {{ text: word }}
    with: {{ program: [cp, "{{in.text}}", "{{out.text}}"], inputs: {{ text: file }}, outputs: {{ text: file }} }}
"#,
        numbers.join(", ")
    );
    Sandbox::new().file("cells.yaml", &text)
}

#[test]
fn many_cells_with_many_reasons_stay_readable() {
    let sandbox = cells();
    sandbox.ok("run cells.yaml");
    check("plan_many_reasons", sandbox.ok("plan cells.yaml --set end=b"));
    assert_eq!(sandbox.ok("plan cells.yaml --set end=b --all").stdout.lines().count(), 61);
    let lines = sandbox.ok("plan cells.yaml --set end=b --format json").json();
    assert_eq!(lines.len(), 61);
    assert!(lines[29]["reason"].as_str().unwrap().contains("30a"), "{}", lines[29]);

    let explained = sandbox.ok("explain cells.yaml word").stdout;
    let end: Vec<&str> = explained.lines().rev().take(2).collect();
    assert_eq!(end[0], "and 10 more cells; name one, as in `model[fold=1]`, or ask for `--format json`");
    assert_eq!(sandbox.ok("explain cells.yaml word --format json").json().len(), 30);
}

#[test]
fn many_failures_are_told_in_part() {
    let sandbox = cells();
    let ran = sandbox.ends("run cells.yaml --jobs 1 --set end=;false", 1);
    let lines = |start: &str| ran.stderr.lines().filter(|line| line.starts_with(start)).count();
    // Each failure stands where it happened; the first twenty once more at the end.
    assert_eq!(lines("× word"), 30 + 20, "{ran}");
    assert!(ran.stderr.contains("\nand 10 more failures, in the record of run "), "{ran}");
    assert_eq!(lines("- copy"), 20, "{ran}");
    assert_eq!(lines("- further ones are only counted"), 1, "{ran}");
    assert!(ran.stderr.contains("60 stages: 0 ran, 0 cached, 30 failed, 30 skipped"), "{ran}");
}

#[test]
fn a_remembered_file_is_compared_each_time() {
    let mut text = "version: 1\nparams: { word: hello }\nstages:\n".to_owned();
    for stage in 0..1100 {
        writeln!(
            text,
            "  s{stage}: {{ uses: command, with: {{ program: [echo, \"${{word}}\", s{stage}], outputs: {{ text: file }} }} }}"
        )
        .unwrap();
    }
    let sandbox = Sandbox::new().file("many.yaml", &text);
    let plan = |args: &str| sandbox.ok(&format!("plan many.yaml --format json{args}")).stdout;
    let (fresh, stored, recalled) = (plan(""), plan(""), plan(""));
    assert_eq!((&stored, &recalled), (&fresh, &fresh));
    let set = plan(" --set word=bye");
    assert_ne!(set, fresh);
    assert_eq!(plan(""), fresh);
    sandbox.edit("many.yaml", "hello", "bye");
    assert_eq!(plan(""), set);
    sandbox.edit("many.yaml", "s7:", "s7x:");
    assert!(plan("").contains("\"stage\":\"s7x\""));
    sandbox.edit("many.yaml", "uses: command", "uses: commend");
    assert!(sandbox.ends("plan many.yaml", 2).stderr.contains("there is no stage kind `commend`"));
}
