//! Ctrl-C.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::Sandbox;

/// The first stage ends at once, the second one only when it is stopped.
const SLOW: &str = r#"version: 1
name: slow
stages:
  quick: { uses: command, with: { program: [sh, -c, "echo x > {out.text}"], outputs: { text: file } } }
  slow:
    uses: command
    in: { text: quick }
    with: { program: [sh, -c, "echo begun; exec sleep 600 # {out.text}"], inputs: { text: file }, outputs: { text: file } }
"#;

fn interrupt(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Starts the slow run and waits until the slow stage is said to have started.
fn start(sandbox: &Sandbox) -> (Child, BufReader<std::process::ChildStderr>) {
    start_as(sandbox.command(["run", "slow.yaml"]))
}

/// Makes programs that are started from here heed signals: what the tests were started with as ignored, as a script's `&` does, is handed
/// on, but what this process catches is not.
fn heed_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
            let always = Arc::new(AtomicBool::new(true));
            signal_hook::flag::register_conditional_shutdown(signal.as_raw(), 1, always).unwrap();
        }
    });
}

fn start_as(mut command: Command) -> (Child, BufReader<std::process::ChildStderr>) {
    heed_signals();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("> slow") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the run ended early");
    }
    (child, stderr)
}

fn stops_with_130(signal: Signal) {
    let sandbox = Sandbox::new().file("slow.yaml", SLOW);
    let (mut child, mut stderr) = start(&sandbox);
    interrupt(&child, signal);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("stopping") && rest.contains("1 not finished"), "{rest}");

    // What was finished is kept, nothing of the rest is, and the cache is whole.
    sandbox.ok("cache verify");
    assert_eq!(sandbox.ok("plan slow.yaml --format json").statuses(), ["quick cached", "slow would_run"]);
    let runs = sandbox.ok("runs --format json").json();
    assert_eq!(runs[0]["status"], "interrupted");
    sandbox.edit("slow.yaml", "exec sleep 600 #", "echo y >");
    assert_eq!(sandbox.ok("run slow.yaml --format json").statuses(), ["quick cached", "slow ran"]);
}

#[test]
fn ctrl_c_stops_a_run_in_good_order() {
    stops_with_130(Signal::INT);
}

#[test]
fn a_request_to_terminate_does_the_same() {
    stops_with_130(Signal::TERM);
}

#[test]
fn a_closed_terminal_does_the_same() {
    stops_with_130(Signal::HUP);
}

/// The program as `nohup` or a script's `&` starts it: a shell leaves the signals of its empty traps ignored.
fn ignoring(sandbox: &Sandbox, signals: &str, line: &str) -> Command {
    let program = sandbox.command([]);
    let mut shell = sandbox.command([]);
    let script = format!("trap '' {signals}; exec \"$0\" {line}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program.get_program());
    command
        .env_clear()
        .envs(shell.env("NO_COLOR", "1").get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(sandbox.path("")).stdin(Stdio::null());
    command
}

#[test]
fn what_was_to_be_ignored_stays_ignored() {
    let sandbox = Sandbox::new().file("slow.yaml", SLOW);
    sandbox.edit(
        "slow.yaml",
        "exec sleep 600 #",
        "kill -HUP $$; kill -INT $$; echo alive; sleep 1; echo x >",
    );
    let (mut child, mut stderr) = start_as(ignoring(&sandbox, "HUP INT", "run slow.yaml"));
    interrupt(&child, Signal::HUP);
    interrupt(&child, Signal::INT);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(!rest.contains("stopping"), "{rest}");
    // The programs of stages ignore the same.
    let log = sandbox.ok("logs slow.yaml slow").stdout;
    assert_eq!(log, "begun\nalive\n");
}

#[test]
fn what_was_not_to_be_ignored_still_stops_a_run() {
    let sandbox = Sandbox::new().file("slow.yaml", SLOW);
    let (mut child, mut stderr) = start_as(ignoring(&sandbox, "HUP CHLD", "run slow.yaml"));
    interrupt(&child, Signal::HUP);
    interrupt(&child, Signal::TERM);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    // Who ignores the end of children still hears how a program ended.
    assert!(rest.contains("1 ran") && rest.contains("1 not finished"), "{rest}");
}
