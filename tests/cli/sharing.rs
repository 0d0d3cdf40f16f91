//! Several processes on one cache: what one computes, the others wait for.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::sandbox::{Sandbox, TOY};

/// Three programs that leave a mark each time they run, and two stages that map clips.
const MARKED: &str = r#"version: 1
name: marked
params: { marks: . }
stages:
  words: { uses: command, with: { program: [sh, -c, "echo x >> ${marks}/words; sleep 0.1; echo hello > {out.text}"], outputs: { text: file } } }
  count:
    uses: command
    in: { text: words }
    with: { program: [sh, -c, "echo x >> ${marks}/count; wc -c < {in.text} > {out.number}"], inputs: { text: file }, outputs: { number: file } }
  copy:
    uses: command
    in: { text: words }
    with: { program: [sh, -c, "echo x >> ${marks}/copy; sleep 0.1; cp {in.text} {out.text}"], inputs: { text: file }, outputs: { text: file } }
  clips: { uses: dataset.folder, with: { root: a } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }
  mel: { uses: spectrogram, in: audio, with: { kind: log_mel, bands: 16, window_ms: 32, hop_ms: 16, n_fft: 256, high_hz: 4000 } }
"#;

/// One data set and what every clip of it is decoded to; another stage beside it needs nothing.
const DECODED: &str = r#"version: 1
name: decoded
params: { root: a }
stages:
  clips: { uses: dataset.folder, with: { root: "${root}" } }
  audio: { uses: decode, in: clips, with: { sample_rate: 22050 } }
  other: { uses: command, with: { program: [sh, -c, "echo ${root} > {out.text}"], outputs: { text: file } } }
"#;

/// Writes a sine as 8-bit samples at 44.1 kHz; no two clips have one frequency.
fn write_clip(sandbox: &Sandbox, folder: &str, number: u32, seconds: u32) {
    let path = sandbox.path(&format!("{folder}/tone/{number:03}.wav"));
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 8,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let step = f64::from(100 + 10 * number) / 44_100.0;
    for i in 0..seconds * 44_100 {
        writer.write_sample((100.0 * (std::f64::consts::TAU * step * f64::from(i)).sin()) as i8).unwrap();
    }
    writer.finalize().unwrap();
}

/// A run in a process of its own, whose JSON lines and messages are read later.
struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
    messages: PathBuf,
}

impl Run {
    fn start(sandbox: &Sandbox, name: &str, line: &str) -> Self {
        let messages = sandbox.path(&format!("messages-{name}"));
        let mut command = sandbox.command(line.split(' '));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(fs_err::File::create(&messages).unwrap().into_parts().0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new(), messages }
    }

    fn messages(&self) -> String {
        fs_err::read_to_string(&self.messages).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Reads until a stage has ended.
    fn until(&mut self, stage: &str) {
        while !self.seen.iter().any(|line| line["stage"] == stage) {
            let line =
                self.lines.next().unwrap_or_else(|| panic!("`{stage}` did not end: {}", self.messages()));
            self.seen.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
    }

    /// Reads to the end, which must be a good one, and gives status and computed rows of each stage.
    fn end(mut self) -> Vec<(String, String, u64)> {
        for line in self.lines.by_ref() {
            self.seen.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        assert!(self.child.wait().unwrap().success(), "{}", self.messages());
        let stages = self.seen.iter().filter(|line| line["event"] == "stage");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        stages
            .map(|line| {
                (text(&line["stage"]), text(&line["status"]), line["rows_computed"].as_u64().unwrap())
            })
            .collect()
    }
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many locks of stages are held, and how many claims of rows are held or left.
fn locks(sandbox: &Sandbox) -> (usize, usize) {
    let Ok(entries) = fs_err::read_dir(sandbox.path(".sndpipe/locks-v1")) else { return (0, 0) };
    let paths = entries.flatten().map(|entry| entry.path());
    // These two are of the whole cache.
    let paths = paths.filter(|path| !path.ends_with("gate") && !path.ends_with("collection"));
    let (claims, locks): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.extension().is_some());
    let is_held = |path: &&PathBuf| {
        let file = fs_err::OpenOptions::new().append(true).open(path);
        file.is_ok_and(|file| file.file().try_lock().is_err())
    };
    (locks.iter().filter(is_held).count(), claims.len())
}

#[track_caller]
fn every_stage_runs_once(processes: usize) {
    let sandbox = Sandbox::new().file("marked.yaml", MARKED);
    (0..12).for_each(|number| write_clip(&sandbox, "a", number, 1));
    let marks = sandbox.path("marks");
    fs_err::create_dir(&marks).unwrap();
    let line = format!("run marked.yaml --format json --set marks={}", marks.display());
    let runs: Vec<Run> = (0..processes).map(|n| Run::start(&sandbox, &n.to_string(), &line)).collect();
    let ended: Vec<_> = runs.into_iter().flat_map(Run::end).collect();
    assert_eq!(ended.len(), 6 * processes);
    for stage in ["words", "count", "copy", "clips", "audio", "mel"] {
        let of = |status: &str| ended.iter().filter(|(s, is, _)| s == stage && is == status).count();
        assert_eq!((of("ran"), of("cached")), (1, processes - 1), "{stage}");
    }
    for stage in ["words", "count", "copy"] {
        assert_eq!(fs_err::read_to_string(marks.join(stage)).unwrap(), "x\n", "{stage}");
    }
    for stage in ["audio", "mel"] {
        let rows: u64 = ended.iter().filter(|(s, ..)| s == stage).map(|(.., rows)| rows).sum();
        assert_eq!(rows, 12, "{stage}");
    }
    assert_eq!(locks(&sandbox), (0, 0));
}

#[test]
fn two_processes_run_every_stage_once() {
    every_stage_runs_once(2);
}

#[test]
fn twenty_processes_run_every_stage_once() {
    every_stage_runs_once(20);
}

/// How many rows of `audio` each of two runs computed.
fn decoded(one: Run, two: Run) -> (u64, u64) {
    let of = |run: Run| {
        let ended = run.end();
        let (_, status, rows) = ended.into_iter().find(|(stage, ..)| stage == "audio").unwrap();
        assert_eq!(status, "ran");
        rows
    };
    (of(one), of(two))
}

/// Two data sets of `count` clips that have half of them in common.
fn halves(count: u32, seconds: u32) -> Sandbox {
    let sandbox = Sandbox::new().file("decoded.yaml", DECODED);
    (0..count).for_each(|number| write_clip(&sandbox, "a", number, seconds));
    (count / 2..count / 2 + count).for_each(|number| write_clip(&sandbox, "b", number, seconds));
    sandbox
}

#[test]
fn two_pipelines_that_overlap_decode_every_clip_once() {
    let sandbox = halves(40, 1);
    let one = Run::start(&sandbox, "a", "run decoded.yaml --format json");
    let two = Run::start(&sandbox, "b", "run decoded.yaml --format json --set root=b");
    let (one, two) = decoded(one, two);
    assert_eq!(one + two, 60, "{one} and {two}");
    // No row is stored twice either.
    assert_eq!(locks(&sandbox), (0, 0));
    sandbox.ok("cache verify");
}

/// Starts a run and stops it in the middle of the rows that it has claimed, then another one that needs half of them.
fn stopped_and_waiting(sandbox: &Sandbox) -> (Run, Run) {
    let one = Run::start(sandbox, "a", "run decoded.yaml --format json --jobs 1");
    // A stage that has ended keeps its lock until its end is taken note of.
    wait_until("one stage runs, with one claim", || locks(sandbox) == (1, 1));
    one.signal(Signal::STOP);

    let mut two = Run::start(sandbox, "b", "run decoded.yaml --format json --set root=b --jobs 1");
    wait_until("it does not say that it waits", || {
        two.messages().contains("audio waits for rows that are being computed elsewhere\n")
    });
    // The slot of the waiting stage is free for another one, and all locks are those of the stopped process.
    two.until("other");
    wait_until("it holds locks", || locks(sandbox) == (1, 1));
    (one, two)
}

#[test]
fn rows_in_flight_elsewhere_are_waited_for() {
    let sandbox = halves(4, 60);
    let (one, two) = stopped_and_waiting(&sandbox);
    one.signal(Signal::CONT);
    assert_eq!(decoded(one, two), (4, 2));
}

#[test]
fn a_holder_that_dies_frees_its_rows() {
    let sandbox = halves(4, 60);
    let (mut one, two) = stopped_and_waiting(&sandbox);
    one.signal(Signal::KILL);
    one.child.wait().unwrap();
    let ended = two.end();
    assert!(ended.contains(&("audio".to_owned(), "ran".to_owned(), 4)), "{ended:?}");
    // The other one goes on where it was.
    let again = Run::start(&sandbox, "a", "run decoded.yaml --format json").end();
    assert!(again.contains(&("audio".to_owned(), "ran".to_owned(), 2)), "{again:?}");
}

#[test]
fn a_checkout_does_not_let_go_of_what_another_keeps() {
    let toy = &TOY[..TOY.find("  copy:").unwrap()];
    let sandbox = Sandbox::new().file("one/toy.yaml", toy);
    sandbox
        .write("two/toy.yaml", toy.replace("words: { uses: command", "words: { uses: command, keep: false"));
    // The files of results after runs in some checkouts, with a cache of their own.
    let files = |cache: &str, checkouts: &[&str]| -> usize {
        for checkout in checkouts {
            let mut command = sandbox.command(["run", "toy.yaml", "--cache", cache]);
            let output = command.current_dir(sandbox.path(checkout)).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let folders = fs_err::read_dir(sandbox.path("one").join(cache).join("files-v1")).unwrap();
        folders.map(|folder| fs_err::read_dir(folder.unwrap().path()).unwrap().count()).sum()
    };
    assert_eq!(files("../alone", &["two"]), 1, "what passes through goes");
    assert_eq!(files("../shared", &["one", "two"]), 2);
    assert_eq!(files("../shared", &["two", "one", "two"]), 2);
}
