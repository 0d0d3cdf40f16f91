//! What other programs do wrong when something dies, fills up, changes or is damaged under them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::observe::MEASURED;
use crate::sandbox::{Ran, Sandbox, tone};

/// Three stages in a row; DIR stands for the sandbox.
fn chain(sandbox: &Sandbox, b: &str) {
    let command = |inputs: &str, script: &str, output: &str| {
        let script = script.replace("DIR", &sandbox.path("").to_string_lossy());
        format!(
            "{{ uses: command, {inputs}with: {{ program: [sh, -c, '{script}'], {}outputs: {{ {output}: file }} }} }}",
            if inputs.is_empty() { "" } else { "inputs: { x: file }, " }
        )
    };
    let text = format!(
        "version: 1\nname: chain\nstages:\n  a: {}\n  b: {}\n  c: {}\n",
        command("", "echo a >> DIR/ran-a; echo good > {out.a}", "a"),
        command("in: { x: a }, ", b, "b"),
        command("in: { x: b }, ", "tr a-z A-Z < {in.x} > {out.c}", "c"),
    );
    sandbox.write("chain.yaml", text);
}

/// What a stage wrote.
#[track_caller]
fn output(sandbox: &Sandbox, file: &str, stage: &str) -> String {
    sandbox.ok(&format!("show {file} {stage} --export out --overwrite"));
    fs_err::read_to_string(sandbox.path(&format!("out/{stage}.bin"))).unwrap()
}

fn lines(sandbox: &Sandbox, name: &str) -> usize {
    fs_err::read_to_string(sandbox.path(name)).unwrap_or_default().lines().count()
}

#[track_caller]
fn wait_for(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < Duration::from_secs(30), "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(sandbox: &Sandbox, line: &str) -> Child {
    let mut command = sandbox.command(line.split(' '));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

fn is_alive(pid: &str) -> bool {
    let stat = fs_err::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// A killed run leaves a process that goes on writing: the next run needs no unlocking, computes the stage anew from its beginning,
/// and never sees what the orphan writes.
#[test]
fn what_an_orphan_of_a_killed_run_writes_is_no_result() {
    let sandbox = Sandbox::new();
    chain(
        &sandbox,
        "echo half > {out.b}; if mkdir DIR/first; then setsid sh -c \"echo \\$\\$ > DIR/orphan; while sleep 0.01; do echo orphan >> {out.b}; done\" & sleep 600; fi; echo whole >> {out.b}",
    );
    let mut run = start(&sandbox, "run chain.yaml");
    wait_for(|| lines(&sandbox, "orphan") == 1);
    run.kill().unwrap();
    run.wait().unwrap();
    let orphan = fs_err::read_to_string(sandbox.path("orphan")).unwrap().trim().to_owned();
    assert!(is_alive(&orphan), "the orphan lives on, or there is nothing to test");

    let again = sandbox.ok("run chain.yaml --format json");
    assert_eq!(again.statuses(), ["a cached", "b ran", "c ran"]);
    assert_eq!(output(&sandbox, "chain.yaml", "b"), "half\nwhole\n");
    assert_eq!(output(&sandbox, "chain.yaml", "c"), "HALF\nWHOLE\n");
    assert!(!is_alive(&orphan), "nobody needs what it does");
    sandbox.ok("cache verify");
    let work = fs_err::read_dir(sandbox.path(".sndpipe/work-v1")).unwrap().count();
    assert_eq!(work, 0, "nothing is left of the killed run");
}

/// Two runs in one folder wait for each other where they meet, and only there.
#[test]
fn two_runs_at_once_compute_every_stage_once() {
    let sandbox = Sandbox::new();
    let command = |name: &str| {
        let script = format!(
            "echo x >> {}/ran-{name}; sleep 0.5; echo {name} > {{out.x}}",
            sandbox.path("").display()
        );
        format!(
            "  {name}: {{ uses: command, with: {{ program: [sh, -c, '{script}'], outputs: {{ x: file }} }} }}\n"
        )
    };
    let text = format!("version: 1\nname: two\nstages:\n{}{}", command("a"), command("b"));
    sandbox.write("two.yaml", text);
    let (one, two) = (start(&sandbox, "run two.yaml a"), start(&sandbox, "run two.yaml b"));
    for ran in [end(one), end(two)] {
        assert!(
            ran.code == Some(0) && !ran.stderr.contains("waits"),
            "another stage is none to wait for\n{ran}"
        );
    }
    assert_eq!((lines(&sandbox, "ran-a"), lines(&sandbox, "ran-b")), (1, 1));

    sandbox.edit("two.yaml", "sleep 0.5; echo a", "sleep 0.6; echo a");
    let runs = [(); 2].map(|()| start(&sandbox, "run two.yaml a")).map(end);
    let [one, two] = &runs;
    assert!(one.code == Some(0) && two.code == Some(0), "{one}\n{two}");
    let waited = runs.iter().filter(|ran| ran.stderr.contains("waits for another process")).count();
    assert_eq!((lines(&sandbox, "ran-a"), waited), (2, 1), "{one}\n{two}");
}

/// The file in which the output of a stage is kept.
fn kept(sandbox: &Sandbox, stage: &str) -> std::path::PathBuf {
    let shown = sandbox.ok(&format!("show chain.yaml {stage} --format json")).json();
    sandbox.path(&shown[0]["files"][0]["path"].as_str().unwrap().replace("[DIR]/", ""))
}

/// Same length, other bytes, the old times: what is damaged behind its back is computed again, and nobody is given it.
#[test]
fn a_corrupted_result_is_computed_again_and_never_handed_on() {
    let sandbox = Sandbox::new();
    chain(&sandbox, "cat {in.x} {in.x} > {out.b}");
    sandbox.ok("run chain.yaml");
    let file = kept(&sandbox, "a");
    let before = fs_err::metadata(&file).unwrap().modified().unwrap();
    fs_err::write(&file, "evil\n").unwrap();
    fs_err::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();

    let shown = sandbox.run("show chain.yaml a --export out".split(' '));
    assert!(shown.code != Some(0) && shown.stderr.contains("checksum"), "{shown}");
    assert!(!sandbox.path("out/a.bin").exists(), "it is not handed on");
    assert!(shown.stderr.contains("dropped from the cache"), "{shown}");
    let again = sandbox.ok("run chain.yaml --force b");
    assert!(again.stderr.contains("its output is gone from the cache"), "it is said\n{again}");
    assert_eq!(output(&sandbox, "chain.yaml", "b"), "good\ngood\n");
    assert_eq!((output(&sandbox, "chain.yaml", "a"), lines(&sandbox, "ran-a")), ("good\n".to_owned(), 2));
    sandbox.ok("cache verify");
}

#[test]
fn a_truncated_result_is_computed_again() {
    let sandbox = Sandbox::new();
    chain(&sandbox, "cat {in.x} {in.x} > {out.b}");
    sandbox.ok("run chain.yaml");
    fs_err::write(kept(&sandbox, "c"), "").unwrap();
    sandbox.ends("show chain.yaml c --export out", 3);
    assert_eq!(sandbox.ok("run chain.yaml --format json").statuses(), ["a cached", "b cached", "c ran"]);
    assert_eq!(output(&sandbox, "chain.yaml", "c"), "GOOD\nGOOD\n");
}

/// A disk that fills up while an output is written leaves nothing behind that keeps it full; with room the run goes on.
#[test]
fn a_full_disk_keeps_nothing_half_written() {
    let sandbox = Sandbox::new();
    fs_err::create_dir(sandbox.path("small")).unwrap();
    let program = "head -c 3000000 /dev/urandom > {out.x}";
    sandbox.write(
        "full.yaml",
        format!("version: 1\nname: full\nstages:\n  x: {{ uses: command, with: {{ program: [sh, -c, '{program}'], outputs: {{ x: file }} }} }}\n"),
    );
    // With 4 MB left the program has room and the cache has none; with 1 MB not even the program.
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs small || exit 99
         run() {{ {} --cache small/cache run full.yaml; echo \"exit $?\"; }}
         head -c 4000000 /dev/zero > small/filler; run
         head -c 7000000 /dev/zero > small/filler; run
         find small/cache -type f -size +100k
         rm small/filler; run; run",
        env!("CARGO_BIN_EXE_sndpipe")
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let Ok(output) = command.current_dir(sandbox.path(".")).env("NO_COLOR", "1").output() else {
        return skip("there is no `unshare`");
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || !stdout.contains("exit") {
        return skip("a file system of its own cannot be mounted here");
    }
    assert_eq!(stdout, "exit 3\nexit 3\nexit 0\nexit 0\n", "{stderr}");
    assert!(stderr.contains("no space is left"), "{stderr}");
    assert!(stderr.contains("1 stage: 0 ran, 1 cached"), "{stderr}");
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// A file that a stage reads changes while it does: nothing is recorded, and the next run takes the new content.
#[test]
fn an_input_that_changes_while_a_stage_runs_is_an_error() {
    let sandbox = Sandbox::new().file("in", "old\n");
    let script = "cat {file.in} > {out.x}; touch DIR/read; while [ ! -e DIR/changed ]; do sleep 0.01; done"
        .replace("DIR", &sandbox.path("").to_string_lossy());
    sandbox.write(
        "change.yaml",
        format!("version: 1\nname: change\nstages:\n  x: {{ uses: command, with: {{ program: [sh, -c, '{script}'], files: [in], outputs: {{ x: file }} }} }}\n"),
    );
    let run = start(&sandbox, "run change.yaml");
    wait_for(|| sandbox.path("read").exists());
    sandbox.write("in", "new\n");
    sandbox.write("changed", "");
    let ran = end(run);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(
        ran.stderr.contains("in changed while the stage ran") && ran.stderr.contains("help: run again"),
        "{ran}"
    );
    assert_eq!(sandbox.ok("run change.yaml --format json").statuses(), ["x ran"]);
    assert_eq!(output(&sandbox, "change.yaml", "x"), "new\n");
}

/// A file that was something else while a stage read it, and is what it was again: what the stage made belongs to neither.
#[test]
fn an_input_that_goes_and_comes_back_while_a_stage_runs_is_an_error() {
    type Step = fn(&Sandbox);
    let rewritten: [Step; 2] =
        [|sandbox| sandbox.write("in", "new\n"), |sandbox| sandbox.write("in", "old\n")];
    let moved: [Step; 2] = [
        |sandbox| {
            fs_err::rename(sandbox.path("in"), sandbox.path("aside")).unwrap();
            sandbox.write("in", "new\n");
        },
        |sandbox| fs_err::rename(sandbox.path("aside"), sandbox.path("in")).unwrap(),
    ];
    for [there, back] in [rewritten, moved] {
        let sandbox = Sandbox::new().file("in", "old\n");
        let script = "touch DIR/started; while [ ! -e DIR/changed ]; do sleep 0.01; done; cat {file.in} > {out.x}; touch DIR/read; \
                      while [ ! -e DIR/back ]; do sleep 0.01; done"
            .replace("DIR", &sandbox.path("").to_string_lossy());
        sandbox.write(
            "change.yaml",
            format!("version: 1\nname: change\nstages:\n  x: {{ uses: command, with: {{ program: [sh, -c, '{script}'], files: [in], outputs: {{ x: file }} }} }}\n"),
        );
        let run = start(&sandbox, "run change.yaml");
        wait_for(|| sandbox.path("started").exists());
        there(&sandbox);
        sandbox.write("changed", "");
        wait_for(|| sandbox.path("read").exists());
        back(&sandbox);
        sandbox.write("back", "");
        let ran = end(run);
        assert_eq!(ran.code, Some(1), "{ran}");
        assert!(ran.stderr.contains("changed while the stage ran and is the same again"), "{ran}");
        assert_eq!(sandbox.ok("run change.yaml --format json").statuses(), ["x ran"]);
        assert_eq!(output(&sandbox, "change.yaml", "x"), "old\n");
    }
}

/// A file inside a folder that a stage reads is an input like any other, whatever its times say.
#[test]
fn a_changed_file_inside_a_folder_is_seen() {
    let sandbox = Sandbox::new();
    for (name, hertz) in [("low/a", 300.0), ("low/b", 310.0), ("high/c", 2000.0)] {
        tone(&sandbox.path(&format!("data/{name}.wav")), hertz, 0.3);
    }
    sandbox.write(
        "folder.yaml",
        "version: 1\nname: folder\nstages:\n  clips: { uses: dataset.folder, with: { root: data } }\n  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }\n",
    );
    sandbox.ok("run folder.yaml");
    let file = sandbox.path("data/low/b.wav");
    let before: SystemTime = fs_err::metadata(&file).unwrap().modified().unwrap();
    tone(&file, 320.0, 0.3);
    fs_err::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
    sandbox.ends("plan folder.yaml --check", 4);
    let lines = sandbox.ok("run folder.yaml --format json").json();
    let audio = lines.iter().find(|line| line["stage"] == "audio").unwrap();
    assert_eq!((&audio["rows_computed"], &audio["rows_reused"]), (&1.into(), &2.into()), "{audio}");
}

/// A program that hangs is ended in its time with everything that it started, also what left its process group.
#[test]
fn a_hung_program_is_ended_with_all_that_it_started() {
    let sandbox = Sandbox::new();
    chain(
        &sandbox,
        "echo stuck here; setsid sh -c \"echo \\$\\$ > DIR/stray; sleep 600\" & sleep 600; cat {in.x} > {out.b}",
    );
    sandbox.edit("chain.yaml", "outputs: { b: file }", "timeout: 700ms, outputs: { b: file }");
    let ran = sandbox.ends("run chain.yaml", 1);
    assert!(ran.stderr.contains("took longer than 0.7 s") && ran.stderr.contains("| stuck here"), "{ran}");
    let stray = fs_err::read_to_string(sandbox.path("stray")).unwrap();
    wait_for(|| !is_alive(stray.trim()));
    let stages = sandbox.ok("runs show last --format json").json()[0]["stages"].clone();
    assert_eq!(stages[1]["log"], serde_json::json!(["stuck here"]));
    assert!(sandbox.ok("logs chain.yaml b").stdout.contains("stuck here\nfailed: "), "{stages}");
}

/// A failure that may pass is tried again, and what it says is no part of the key.
#[test]
fn a_program_that_fails_in_passing_is_tried_again() {
    let sandbox = Sandbox::new();
    chain(&sandbox, "echo try >> DIR/tries; [ $(wc -l < DIR/tries) -ge 3 ] || exit 75; cat {in.x} > {out.b}");
    let retry = |text: &str| {
        let old = fs_err::read_to_string(sandbox.path("chain.yaml")).unwrap();
        let line = old.lines().find(|line| line.starts_with("  b:")).unwrap();
        let bare = line.split("retry:").next().unwrap();
        let bare = if bare == line { line.split("outputs: { b").next().unwrap() } else { bare };
        sandbox.write(
            "chain.yaml",
            old.replace(line, &format!("{bare}retry: {text}, outputs: {{ b: file }} }} }}")),
        );
    };
    retry("{ times: 2, wait: 1ms, codes: [3] }");
    let ran = sandbox.ends("run chain.yaml --format json", 1);
    assert_eq!(lines(&sandbox, "tries"), 1, "another code is no passing failure\n{ran}");
    retry("{ times: 2, wait: 1ms, codes: [75] }");
    let ran = sandbox.ok("run chain.yaml");
    assert!(
        ran.stderr.contains("warning: `b`: `/usr/bin/sh` ended with status 75; try 2 of 3 in 1ms"),
        "{ran}"
    );
    assert_eq!(lines(&sandbox, "tries"), 3);
    retry("{ times: 9 }");
    sandbox.ok("plan chain.yaml --check");
    for wrong in ["{ times: 0 }", "{ times: 2, wait: soon }", "{ times: 2, codes: [700] }"] {
        retry(wrong);
        let ran = sandbox.ends("plan chain.yaml", 2);
        assert!(ran.stderr.contains("outside 1..=") || ran.stderr.contains("`soon` is no duration"), "{ran}");
    }
}

/// More than the run may take is refused before it starts; what fits only alone runs alone.
#[test]
fn memory_is_bounded_by_the_run() {
    let sandbox = Sandbox::new();
    let stage = |name: &str| {
        let script = "mkdir DIR/alone || exit 9; sleep 0.2; rmdir DIR/alone; echo x > {out.x}";
        let script = script.replace("DIR", &sandbox.path("").to_string_lossy());
        format!(
            "  {name}: {{ uses: command, with: {{ program: [sh, -c, '{script} # {name}'], memory: 3GB, outputs: {{ x: file }} }} }}\n"
        )
    };
    let text = format!("version: 1\nname: memory\nstages:\n{}{}{}", stage("a"), stage("b"), stage("c"));
    sandbox.write("memory.yaml", text);
    let ran = sandbox.ends("run memory.yaml --memory 2.5GB", 1);
    let said = "it takes about 3.0 GB of memory, and the stages of this run may take 2.5 GB";
    assert_eq!(ran.stderr.matches(said).count(), 6, "{ran}");
    assert!(ran.stderr.contains("help: raise `--memory`"), "{ran}");
    sandbox.ok("run memory.yaml --memory 5GB --jobs 3");
    // Rows that are computed take as much as may wait to be written, a training what its network and its batch take.
    sandbox.write("measured.yaml", MEASURED);
    let refused = |stage: &str| {
        let ran = sandbox.ends("run measured.yaml --memory 3kB", 1);
        let said = format!("× {stage}  it takes about ");
        assert!(ran.stderr.contains(&said) && ran.stderr.contains("may take 3.0 kB"), "{ran}");
    };
    refused("audio");
    sandbox.ok("run measured.yaml mel");
    refused("model");
    sandbox.ok("run measured.yaml --memory 3GB");
    let ran = sandbox.ends("run memory.yaml --memory much", 2);
    assert!(ran.stderr.contains("`much` is no size"), "{ran}");
}

/// A killed run says where it was in its log file and its trace.
#[test]
fn a_killed_run_leaves_log_and_trace() {
    let sandbox = Sandbox::new();
    chain(&sandbox, "touch DIR/started; exec sleep 600");
    let mut run = start(&sandbox, "run chain.yaml --log info --log-file run.log --trace run.json");
    wait_for(|| sandbox.path("started").exists());
    run.kill().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(said.all(|line| !line.unwrap().contains("INFO")), "the log goes to the file");
    run.wait().unwrap();
    let log = fs_err::read_to_string(sandbox.path("run.log")).unwrap();
    assert!(log.contains("`b` starts: never ran") && log.contains("`a` ended after"), "{log}");
    let trace = fs_err::read_to_string(sandbox.path("run.json")).unwrap();
    let events: Vec<serde_json::Value> = serde_json::from_str(&format!("{trace}]")).unwrap();
    let names: Vec<_> =
        events.iter().filter(|event| event["ph"] == "B").map(|event| &event["name"]).collect();
    assert_eq!(names, ["a", "b"]);
}

/// A source that a network file system does not give now is asked for again before it is an error. The memory of a process is a file
/// that cannot be read at its beginning, in just that way.
#[test]
fn a_source_that_cannot_be_read_is_tried_again() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "unread.yaml",
        "version: 1\nname: unread\nstages:\n  x: { uses: command, with: { program: [cp, /proc/self/mem, '{out.x}'], files: [/proc/self/mem], outputs: { x: file } } }\n",
    );
    let ran = sandbox.ends("run unread.yaml --log info", 2);
    assert_eq!(ran.stderr.matches("files that cannot be read now: 1; trying again in").count(), 3, "{ran}");
    assert!(
        ran.stderr.contains("cannot read /proc/self/mem") && ran.stderr.contains("unread.yaml:4"),
        "{ran}"
    );
}

#[test]
fn what_comes_and_goes_in_a_listed_folder_while_its_program_runs_is_told() {
    let pipeline = |what: &str| {
        format!(
            r#"version: 1
name: listed
stages:
  one: {{ uses: command, with: {{ program: [sh, -c, "cd {{file.lib}} && {what}; echo > {{out.t}}"], files: [lib], outputs: {{ t: file }} }} }}
"#
        )
    };
    let sandbox = Sandbox::new().file("lib/a.txt", "a");
    let told = |what: &str| {
        sandbox.write("listed.yaml", pipeline(what));
        sandbox.ok("run listed.yaml").stderr.contains("lib` something came or went while the program ran")
    };
    assert!(told("touch b && rm b"));
    assert!(!told("cat a.txt"));
    assert!(!told("mkdir __pycache__ && touch __pycache__/a.pyc"));
}
