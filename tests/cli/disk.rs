//! Disks that are full or cannot be written: a small file system of its own, where the machine lets one be made.

use std::process::Command;

use crate::mistakes::sounds;
use crate::sandbox::Sandbox;

/// What a script printed in which `small` is a file system of some size and `$sndpipe` the program with its cache on it.
struct Told {
    stdout: String,
    stderr: String,
}

/// Runs a script; `None` where nothing can be mounted.
fn on_small_disk(sandbox: &Sandbox, size: &str, script: &str) -> Option<Told> {
    fs_err::create_dir(sandbox.path("small")).unwrap();
    let program = env!("CARGO_BIN_EXE_sndpipe");
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs small || exit 99; sndpipe='{program} --cache small/cache'\n{script}\necho end"
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let output = command.current_dir(sandbox.path(".")).env("NO_COLOR", "1").output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = Told { stdout: text(&output.stdout), stderr: text(&output.stderr) };
    (output.status.code() != Some(99) && told.stdout.ends_with("end\n")).then_some(told)
}

#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skip() {
    eprintln!("skipped: a file system of its own cannot be mounted here");
}

#[test]
fn a_full_disk_ends_with_3_and_nothing_is_lost() {
    let script = "
        $sndpipe run sounds.yaml audio mel; first=$?
        mount -o remount,size=64m small
        $sndpipe run sounds.yaml audio mel --format json; echo \"exits $first $?\"";
    let Some(Told { stdout, stderr }) = on_small_disk(&sounds(), "60k", script) else { return skip() };
    assert!(stdout.ends_with("exits 3 0\nend\n"), "{stdout}{stderr}");
    assert!(stderr.contains("no space is left") && stderr.contains("bytes are needed"), "{stderr}");
}

/// Stages whose inputs, outputs and results need more than a disk of 64 megabytes has.
const LARGE: &str = r#"version: 1
name: large
params: { bytes: 20000000 }
stages:
  one: { uses: command, with: { program: [sh, -c, "head -c ${bytes} /dev/zero | tr '\\0' 1 > {out.text}"], outputs: { text: file } } }
  two: { uses: command, in: { x: one }, with: { program: [sh, -c, "tr 1 2 < {in.x} | tail -c +1 > {out.text}"], inputs: { x: file }, outputs: { text: file } } }
  three: { uses: command, in: { x: two }, with: { program: [sh, -c, "wc -c < {in.x} > {out.n}"], inputs: { x: file }, outputs: { n: file } } }
"#;

#[test]
fn with_more_room_a_run_continues_where_it_was() {
    let sandbox = Sandbox::new().file("large.yaml", LARGE);
    let script = "
        $sndpipe run large.yaml --jobs 1 --set bytes=500000 2>/dev/null; echo \"garbage $?\"
        $sndpipe run large.yaml --jobs 1; echo \"full $?\"
        $sndpipe run large.yaml --jobs 1 --set bytes=50000000 2>told; echo \"program $?\"; grep -c 'no space is left' told
        $sndpipe cache verify 2>/dev/null; echo \"verify $?\"
        $sndpipe cache gc large.yaml --format json; echo \"gc $?\"
        mount -o remount,size=256m small
        $sndpipe run large.yaml --format json; echo \"more $?\"
        $sndpipe cache verify 2>/dev/null; echo \"verify $?\"";
    let Some(Told { stdout, stderr }) = on_small_disk(&sandbox, "64m", script) else { return skip() };
    let lines: Vec<&str> = stdout.lines().collect();
    for line in ["garbage 0", "full 3", "program 3", "gc 0", "more 0", "verify 0"] {
        assert!(lines.contains(&line), "no `{line}`: {stdout}{stderr}");
    }
    assert!(stderr.contains("20000000 bytes are needed, "), "{stderr}");
    assert!(stderr.contains(" are free") && stderr.contains("more of room"), "{stderr}");
    // On the full disk a collection has room to work.
    let freed =
        lines.iter().find(|line| line.contains("\"event\":\"done\"") && line.contains("dry_run")).unwrap();
    let freed: serde_json::Value = serde_json::from_str(freed).unwrap();
    assert!(freed["bytes"].as_u64().unwrap() > 500_000, "{freed}");
    let status = |stage: &str, status: &str| {
        let both = [format!("\"stage\":\"{stage}\""), format!("\"status\":\"{status}\"")];
        lines.iter().any(|line| both.iter().all(|part| line.contains(part)))
    };
    assert!(status("one", "cached") && status("two", "ran") && status("three", "ran"), "{stdout}");
}

#[test]
fn a_disk_that_cannot_be_written_can_be_read() {
    let script = "
        $sndpipe run sounds.yaml audio 2>/dev/null; echo \"exits $?\"
        mount -o remount,ro small
        for line in 'run sounds.yaml audio' 'plan sounds.yaml' 'cache stats' 'show sounds.yaml audio'; do $sndpipe $line; echo \"exits $?\"; done
        for line in 'run sounds.yaml' 'cache gc'; do $sndpipe $line; echo \"exits $?\"; done";
    let Some(Told { stdout, stderr }) = on_small_disk(&sounds(), "4m", script) else { return skip() };
    let exits: Vec<&str> = stdout.lines().filter(|line| line.starts_with("exits")).collect();
    assert_eq!(
        exits,
        ["exits 0", "exits 0", "exits 0", "exits 0", "exits 0", "exits 3", "exits 3"],
        "{stdout}{stderr}"
    );
    assert_eq!(stderr.matches("the cache cannot be used").count(), 2, "{stderr}");
    assert!(stderr.contains("Read-only file system") && stderr.contains("--cache DIR"), "{stderr}");
}
