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
    assert!(sandbox.refused(&stages("clips", with)).contains("script.sh` does not exist"));
}

/// A program in a folder of its own, as a line of a shell.
fn tool(sandbox: &Sandbox, name: &str, text: &str) -> std::path::PathBuf {
    let path = sandbox.file(name, text);
    fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_changed_program_runs_again_and_is_named() {
    let sandbox = sandbox();
    let copy = "cp \"$SNDPIPE_IN_X\" \"$SNDPIPE_OUT_Y\"";
    tool(&sandbox, "interpreter", &format!("#!/bin/sh\n{copy}\n"));
    tool(&sandbox, "tool", "#!DIR/interpreter".replace("DIR", sandbox.path("").to_str().unwrap()).as_str());
    let with = "program: [DIR/tool], inputs: { x: clips }, outputs: { y: file }";
    assert_eq!(sandbox.run(&stages("clips", with)).status("ours"), "ran");
    // Where it lies does not count.
    fs_err::create_dir(sandbox.path("elsewhere")).unwrap();
    fs_err::copy(sandbox.path("tool"), sandbox.path("elsewhere/tool")).unwrap();
    assert_eq!(
        sandbox.run(&stages("clips", &with.replace("tool", "elsewhere/tool"))).status("ours"),
        "cached"
    );
    for changed in ["interpreter", "tool"] {
        let text = fs_err::read_to_string(sandbox.path(changed)).unwrap();
        fs_err::write(sandbox.path(changed), format!("{text}\n# another version\n")).unwrap();
        let again = sandbox.run(&stages("clips", with));
        let reason = again.reason("ours");
        let named = reason.starts_with(&format!(
            "{} tool",
            if changed == "tool" { "program" } else { "interpreter interpreter of" }
        ));
        assert!(named && reason.contains(" -> "), "{reason}");
    }
    fs_err::remove_file(sandbox.path("interpreter")).unwrap();
    let said = sandbox.refused(&stages("clips", with));
    assert!(said.contains("the first line of `tool` says") && said.contains("does not exist"), "{said}");
}

#[test]
fn a_listed_file_is_a_program() {
    let sandbox = sandbox();
    tool(&sandbox, "bin/tool", "#!/bin/sh\nprintf 42 > \"$SNDPIPE_OUT_Y\"\n");
    for program in ["'{file.DIR/bin/tool}'", "DIR/bin/tool", "'{file.DIR/bin}/tool'"] {
        let files = if program.contains("bin}") { "DIR/bin" } else { "DIR/bin/tool" };
        let with =
            format!("program: [{program}], files: [{files}], inputs: {{ x: clips }}, outputs: {{ y: file }}");
        let ran = sandbox.run(&stages("clips", &with));
        assert_eq!(ran.store.read_blob(&ran.manifest("ours", 0)).unwrap(), b"42", "{program}");
    }
}

#[test]
fn a_folder_and_a_pattern_are_inputs() {
    let sandbox = sandbox();
    sandbox.file("lib/a/one.txt", "1");
    sandbox.file("lib/two.txt", "2");
    let with = "program: [sh, -c, 'cat \"$0\"/a/one.txt \"$1\" > \"$SNDPIPE_OUT_Y\"', '{file.DIR/lib}', DIR/lib/two.txt], files: [FILES], inputs: { x: clips }, outputs: { y: file }";
    for entry in ["DIR/lib", "'DIR/lib/**/*.txt', DIR/lib"] {
        let with = with.replace("FILES", entry);
        let ran = sandbox.run(&stages("clips", &with));
        assert_eq!(ran.store.read_blob(&ran.manifest("ours", 0)).unwrap(), b"12", "{entry}");
    }
    let with = with.replace("FILES", "DIR/lib");
    sandbox.file("lib/a/__pycache__/one.pyc", "no source");
    assert_eq!(sandbox.run(&stages("clips", &with)).status("ours"), "cached");
    sandbox.file("lib/a/one.txt", "3");
    let again = sandbox.run(&stages("clips", &with));
    let reason = again.reason("ours");
    assert!(reason.starts_with("file ") && reason.contains("lib/a/one.txt: "), "{reason}");
    sandbox.file("lib/a/more.txt", "");
    let reason = sandbox.run(&stages("clips", &with)).reason("ours");
    assert!(reason.ends_with("lib/a/more.txt: added"), "{reason}");
    assert!(
        sandbox
            .refused(&stages("clips", &with.replace("DIR/lib]", "DIR/lib, 'DIR/*.rs']")))
            .contains("matches no file")
    );
}

#[test]
fn a_file_that_comes_into_a_listed_folder_while_the_program_runs_is_an_error() {
    let sandbox = sandbox();
    sandbox.file("lib/one.txt", "1");
    let with = "program: [sh, -c, 'echo 2 > \"$0\"/two.txt; cat \"$0\"/* > \"$SNDPIPE_OUT_Y\"', '{file.DIR/lib}'], files: [DIR/lib], inputs: { x: clips }, outputs: { y: file }";
    let failed = sandbox.try_run(&stages("clips", with)).failure("ours");
    assert!(failed.contains("lib/two.txt` was not among `files` when the run was planned"), "{failed}");
    // It is there from the start now, but the program writes to it.
    let failed = sandbox.try_run(&stages("clips", with)).failure("ours");
    assert!(failed.contains("changed while the stage ran"), "{failed}");
    let with = with.replace("echo 2 > \"$0\"/two.txt; ", "");
    let ran = sandbox.run(&stages("clips", &with));
    assert_eq!(ran.store.read_blob(&ran.manifest("ours", 0)).unwrap(), b"12\n");
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

/// Variables of this process that tests set differ by name: tests run side by side.
#[test]
fn variables_that_are_named_are_handed_on_and_count_as_declared() {
    let sandbox = sandbox();
    sandbox.file("env.sh", "printf '%s %s %s' \"$CARGO_PKG_NAME\" \"$CARGO_PKG_VERSION\" \"$CARGO_MANIFEST_DIR\" > \"$SNDPIPE_OUT_Y\"");
    let with = |lists: &str| {
        format!(
            "program: [sh, DIR/env.sh], files: [DIR/env.sh], {lists}, inputs: {{ x: clips }}, outputs: {{ y: file }}"
        )
    };
    let lists = "pass_env: [CARGO_PKG_NAME], key_env: [CARGO_PKG_VERSION]";
    let ran = sandbox.run(&stages("clips", &with(lists)));
    let text = String::from_utf8(ran.store.read_blob(&ran.manifest("ours", 0)).unwrap()).unwrap();
    assert_eq!(text, format!("{} {} ", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    // Names of what is only handed on are no part of the key.
    let more = "pass_env: [CARGO_PKG_NAME, CARGO_MANIFEST_DIR], key_env: [CARGO_PKG_VERSION]";
    assert_eq!(sandbox.run(&stages("clips", &with(more))).status("ours"), "cached");
    let again = sandbox.run(&stages("clips", &with("key_env: [CARGO_PKG_VERSION, CARGO_PKG_NAME]")));
    assert_eq!(again.reason("ours"), "variable CARGO_PKG_NAME: added");
    for (lists, want) in [
        ("pass_env: ['A=1']", "`A=1` is not the name of a variable"),
        ("pass_env: [A], key_env: [A]", "`A` is in `pass_env`, too"),
        ("pass_env: [A], env: { A: x }", "`env` gives `A` a value already"),
        ("env: { A: \"a\\0b\" }", "a variable cannot hold a zero byte"),
    ] {
        let said = sandbox.refused(&stages("clips", &with(lists)));
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn what_is_not_listed_is_told() {
    let sandbox = sandbox();
    sandbox.file("main.py", "import helper\n");
    sandbox.file("helper.py", "");
    let with = "program: [cp, '{in.x}', '{out.y}'], files: [DIR/main.py], inputs: { x: clips }, outputs: { y: file }";
    let remarks = sandbox.run(&stages("clips", with)).remarks("ours");
    assert!(
        remarks.len() == 1 && remarks[0].contains("helper.py` is imported but not among `files`"),
        "{remarks:?}"
    );
    let with = "program: [cp, DIR/helper.py, '{out.y}'], inputs: { x: clips }, outputs: { y: file }";
    let remarks = sandbox.run(&stages("clips", with)).remarks("ours");
    assert!(remarks.len() == 1 && remarks[0].contains("helper.py` is not among `files`"), "{remarks:?}");
    // Tests run in the folder of their crate.
    fails(
        "clips",
        "program: [sh, Cargo.toml], inputs: { x: clips }, outputs: { y: file }",
        "list it under `files`",
    );
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
    fails("clips", &copy("features"), "output `y` (features): not an Arrow IPC file");
    fails("clips", &copy("model"), "output `y` (model): no safetensors file");
    fails("audio", &copy("table").replace("x: clips", "x: audio"), "output `y` (table): not a Parquet file");
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
    refused(&format!("program: ['{{dir}}/x'], {io}"), "`{dir}/x` is not a program");
    refused(&format!("program: ['{{file.x}}'], {io}"), "`x` is none of `files`");
    refused(&format!("program: [cp, '{{file.*.py}}'], files: ['*.py'], {io}"), "`*.py` is a pattern");
    refused(
        &format!("program: [cp], files: [no/such.py], {io}"),
        "relative paths are taken from the current folder, `/",
    );
    refused(&format!("program: [cp, '{{nonsense}}'], {io}"), "`{nonsense}` is no placeholder");
    refused(&format!("program: [cp, '{{file.a.py}}'], {io}"), "`a.py` is none of `files`");
    refused(&format!("program: ['cp a b'], {io}"), "is not split into words: there is no shell");
    refused(&format!("program: [], {io}"), "an empty list names no program");
    refused("program: [cp], inputs: { x: clips }, outputs: {}", "a stage without outputs");
    refused("program: [cp], inputs: { x: clips }, outputs: { y: tabel }", "tabel");
    refused("program: [cp], inputs: { x: audio }, outputs: { y: table }", "takes audio");
}
