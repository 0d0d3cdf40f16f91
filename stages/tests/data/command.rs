//! `command`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

/// Clips, audio and one command, whose `with:` is the argument.
fn stages(input: &str, with: &str) -> String {
    format!(
        "
stages:
  clips: {{ uses: dataset.csv, with: {{ manifest: 'DIR/data/data.csv', license: license }} }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: 8000 }} }}
  ours: {{ uses: command, in: {{ x: {input} }}, with: {{ {with} }} }}
"
    )
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.tones();
    sandbox
}

#[test]
fn what_goes_through_a_program_unchanged_keeps_its_content() {
    let sandbox = sandbox();
    for (input, source, output, kind) in [
        ("clips", "clips", 0, "clips"),
        ("clips.labels", "clips", 1, "labels"),
        ("audio", "audio", 0, "audio"),
    ] {
        let with = format!(
            "program: [cp, '{{in.x}}', '{{out.y}}'], inputs: {{ x: {kind} }}, outputs: {{ y: {kind} }}"
        );
        let ran = sandbox.run(&stages(input, &with));
        if kind == "audio" {
            // The recipe says that a program had its hands in it; the rows are the same.
            let [theirs, ours] = [ran.manifest(source, output), ran.manifest("ours", 0)];
            assert_eq!(theirs.columns, ours.columns);
            assert_eq!(ours.meta["recipe"]["command"][0], "cp");
            assert_eq!(ours.meta["sample_rate"], 8000);
        } else {
            assert_eq!(ran.ids("ours")[0], ran.ids(source)[output], "{kind}");
        }
        let work = fs_err::read_dir(sandbox.path("cache/work-v1")).unwrap().count();
        assert_eq!(work, 0, "the private directory is gone");
    }
}

#[test]
fn only_declared_columns_are_handed_over_and_count() {
    let sandbox = sandbox();
    let with = "program: [cp, '{in.x}', '{out.y}'], inputs: { x: clips }, reads: { x: [clip_id, path] }, outputs: { y: table }";
    let ran = sandbox.run(&stages("clips", with));
    let names: Vec<_> =
        ran.table("ours", 0).schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["clip_id", "path"]);
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    sandbox.file("data/data.csv", text.replace("CC0", "CC-BY"));
    assert_eq!(sandbox.run(&stages("clips", with)).status("ours"), "cached");
}

#[test]
fn a_changed_script_runs_again() {
    let sandbox = sandbox();
    let script = sandbox.file("script.sh", "echo first to say; echo second >&2; cp \"$SNDPIPE_IN_X\" \"$1\"");
    let with = "program: [sh, DIR/script.sh, '{out.y}'], files: [DIR/script.sh], inputs: { x: clips }, outputs: { y: file }";
    let ran = sandbox.run(&stages("clips", with));
    let log = ran.log("ours");
    assert!(log.contains("first to say") && log.contains("second"), "{log}");
    assert_eq!(sandbox.run(&stages("clips", with)).status("ours"), "cached");
    fs_err::write(&script, "printf 42 > \"$1\"").unwrap();
    let again = sandbox.run(&stages("clips", with));
    assert_eq!(again.status("ours"), "ran");
    assert_eq!(again.store.read_blob(&again.manifest("ours", 0)).unwrap(), b"42");
    fs_err::remove_file(&script).unwrap();
    assert!(sandbox.refused(&stages("clips", with)).contains("is no file"));
}

#[test]
fn the_environment_is_what_was_asked_for() {
    let sandbox = sandbox();
    sandbox.file("env.sh", "env > \"$SNDPIPE_OUT_Y\"; pwd >> \"$SNDPIPE_OUT_Y\"");
    let with = "program: [sh, DIR/env.sh], files: [DIR/env.sh], env: { FLAVOUR: sour }, inputs: { x: clips }, outputs: { y: file }";
    let ran = sandbox.run(&stages("clips", with));
    let text = String::from_utf8(ran.store.read_blob(&ran.manifest("ours", 0)).unwrap()).unwrap();
    assert!(
        text.contains("FLAVOUR=sour\n") && text.contains("PATH=") && text.contains("SNDPIPE_DEVICE=cpu"),
        "{text}"
    );
    assert!(!text.contains("CARGO"), "{text}");
    assert!(text.trim_end().lines().last().unwrap().contains("cache/work-v1"), "{text}");
}

#[track_caller]
fn fails(input: &str, with: &str, expected: &str) {
    let ran = sandbox().try_run(&stages(input, with));
    let message = ran.failure("ours");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_comes_back_is_checked() {
    let copy = |kind: &str| {
        format!("program: [cp, '{{in.x}}', '{{out.y}}'], inputs: {{ x: clips }}, outputs: {{ y: {kind} }}")
    };
    fails("clips", &copy("labels"), "output `y` (labels): the table has no");
    fails("clips", &copy("split"), "output `y` (split): the table has no");
    fails("clips", &copy("metrics"), "output `y` (metrics): the table has no");
    fails("clips", &copy("features"), "output `y` (features): no Arrow IPC file");
    fails("clips", &copy("model"), "output `y` (model): no safetensors file");
    fails("audio", &copy("table").replace("x: clips", "x: audio"), "output `y` (table): no Parquet file");
    fails(
        "audio",
        &copy("features").replace("x: clips", "x: audio"),
        "no column `values`; its columns are clip_id, frames, samples",
    );
    fails(
        "clips",
        "program: ['true'], inputs: { x: clips }, outputs: { y: table }",
        "the program did not write its output `y`",
    );
}

#[test]
fn a_failing_program_is_quoted() {
    let with = "program: [sh, -c, 'echo out; echo the milk is sour >&2; exit 3'], inputs: { x: clips }, outputs: { y: file }";
    fails("clips", with, "\n  the milk is sour");
    fails(
        "clips",
        "program: [sh, -c, 'kill -9 $$'], inputs: { x: clips }, outputs: { y: file }",
        "was ended by signal 9",
    );
}

/// Whether a process with this argument is alive.
fn is_alive(mark: &str) -> bool {
    fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
        let path = entry.path().join("cmdline");
        let line = fs_err::read(path).unwrap_or_default();
        let stat = fs_err::read_to_string(entry.path().join("stat")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark) && !stat.contains(") Z ")
    })
}

#[test]
fn a_slow_program_is_ended_with_its_children() {
    let with = "program: [sh, -c, 'sleep 4242.5 & sleep 4242.25'], timeout: 300ms, inputs: { x: clips }, outputs: { y: file }";
    let started = Instant::now();
    fails("clips", with, "took longer than 0.3 s");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(!is_alive("4242.5") && !is_alive("4242.25"));
}

#[test]
fn a_program_that_ignores_the_request_is_killed() {
    let with = "program: [sh, -c, 'trap \"\" TERM; while true; do sleep 0.05; done; echo 5151.5'], timeout: 200ms, inputs: { x: clips }, outputs: { y: file }";
    fails("clips", with, "took longer than 0.2 s");
    assert!(!is_alive("5151.5"));
}

#[test]
fn a_stopped_run_stops_its_program() {
    let sandbox = sandbox();
    let with =
        "program: [sh, -c, 'touch DIR/started; sleep 6161.5'], inputs: { x: clips }, outputs: { y: file }";
    let cancel = AtomicBool::new(false);
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !sandbox.path("started").exists() {
                std::thread::yield_now();
            }
            cancel.store(true, Ordering::Relaxed);
        });
        sandbox.run_until(&stages("clips", with), &cancel)
    });
    assert_eq!(ran.status("ours"), "interrupted");
    assert!(!is_alive("6161.5"));
}

#[test]
fn mistakes_are_found_by_the_plan() {
    let sandbox = sandbox();
    let refused = |with: &str, expected: &str| {
        let said = sandbox.refused(&stages("clips", with));
        assert!(said.contains(expected), "{said}");
    };
    let io = "inputs: { x: clips }, outputs: { y: table }";
    refused(&format!("program: [no-such-program], {io}"), "the program `no-such-program` is not in PATH");
    refused(&format!("program: [DIR/data/data.csv], {io}"), "is not executable");
    refused(&format!("program: [cp, '{{in.z}}'], {io}"), "there is no input `z`; the inputs are: x");
    refused(&format!("program: [cp, '{{nonsense}}'], {io}"), "`{nonsense}` is no placeholder");
    refused(&format!("program: [cp, '{{file.a.py}}'], {io}"), "`a.py` is none of `files`");
    refused(&format!("program: ['cp a b'], {io}"), "is not split into words: there is no shell");
    refused(&format!("program: [], {io}"), "an empty list names no program");
    refused("program: [cp], inputs: { x: clips }, outputs: {}", "a stage without outputs");
    refused("program: [cp], inputs: { x: clips }, outputs: { y: tabel }", "tabel");
    refused("program: [cp], inputs: { x: audio }, outputs: { y: table }", "takes audio");
}
