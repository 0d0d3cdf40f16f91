//! The engine as a whole, driven through pipeline files with stages that count how often they run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod known;
mod passing;
mod rows;
mod sources;
mod toys;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use sndpipe_cache::{Digest, Form, Store};
use sndpipe_engine::{
    Device, Event, Graph, Observer, Outcome, Plan, PlanStatus, Record, RunOptions, RunRecord, RunReport,
    Silent, Sources, load, run,
};
use toys::{count, registry};

/// A folder with a pipeline file and a cache.
struct Bench {
    dir: tempfile::TempDir,
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event<'_>) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap().push((*text).to_owned());
        }
    }
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self) -> Store {
        Store::open(&self.path("cache")).unwrap()
    }

    fn graph(&self, stages: &str) -> Graph {
        let text = format!("version: 1\nname: toy\n{stages}");
        fs_err::write(self.path("toy.yaml"), text).unwrap();
        load(&self.path("toy.yaml"), &[], &registry()).unwrap_or_else(|errors| panic!("{:?}", errors.0))
    }

    fn run_with(
        &self,
        stages: &str,
        change: impl FnOnce(&Graph, &mut RunOptions<'_>),
        observer: &dyn Observer,
    ) -> (Graph, RunReport) {
        self.run_graph(self.graph(stages), change, observer)
    }

    fn run_graph(
        &self,
        graph: Graph,
        change: impl FnOnce(&Graph, &mut RunOptions<'_>),
        observer: &dyn Observer,
    ) -> (Graph, RunReport) {
        let (store, cancel) = (self.store(), AtomicBool::new(false));
        let sources = Sources::scan(&graph, &store, &[]).unwrap();
        let mut options = RunOptions {
            read: vec![],
            targets: vec![],
            force: vec![],
            jobs: 2,
            memory: u64::MAX,
            device: Device::Cpu,
            fail_fast: false,
            overrides: vec![],
            cancel: &cancel,
        };
        change(&graph, &mut options);
        let report = run(&graph, &store, &sources, &options, observer).unwrap();
        (graph, report)
    }

    fn run(&self, stages: &str) -> Ran {
        let (graph, report) = self.run_with(stages, |_, _| {}, &Silent);
        Ran { graph, report, store: self.store() }
    }

    /// Runs a pipeline of another name and file on the same cache.
    fn run_named(&self, name: &str, stages: &str) -> Ran {
        let file = self.path(&format!("{name}.yaml"));
        fs_err::write(&file, format!("version: 1\nname: {name}\n{stages}")).unwrap();
        let graph = load(&file, &[], &registry()).unwrap_or_else(|errors| panic!("{:?}", errors.0));
        let (graph, report) = self.run_graph(graph, |_, _| {}, &Silent);
        Ran { graph, report, store: self.store() }
    }

    fn plan(&self, stages: &str) -> BTreeMap<String, (PlanStatus, Vec<String>)> {
        let (graph, store) = (self.graph(stages), self.store());
        let sources = Sources::scan(&graph, &store, &[]).unwrap();
        let plan = Plan::new(&graph, &store, &sources, &[], &[]).unwrap();
        plan.items
            .into_iter()
            .map(|item| (graph.instances[item.id].to_string(), (item.status, item.reasons)))
            .collect()
    }
}

struct Ran {
    graph: Graph,
    report: RunReport,
    store: Store,
}

impl Ran {
    fn status(&self, name: &str) -> &'static str {
        self.outcome(name).name()
    }

    fn outcome(&self, name: &str) -> &Outcome {
        let id = self.graph.select(name).unwrap()[0];
        &self.report.outcomes[&id]
    }

    fn statuses(&self) -> String {
        let words: Vec<String> = self
            .graph
            .instances
            .iter()
            .enumerate()
            .map(|(id, instance)| format!("{instance} {}", self.report.outcomes[&id].name()))
            .collect();
        words.join(", ")
    }

    fn contents(&self) -> BTreeMap<String, Vec<Digest>> {
        let name = |id: usize| self.graph.instances[id].to_string();
        let ids = |faces: &Option<sndpipe_engine::Faces>| {
            faces.as_deref().into_iter().flatten().map(|face| face.id).collect()
        };
        self.report.faces.iter().enumerate().map(|(id, faces)| (name(id), ids(faces))).collect()
    }

    fn manifest(&self, name: &str) -> sndpipe_cache::Manifest {
        let id = self.graph.select(name).unwrap()[0];
        self.store.manifest(&self.report.faces[id].as_ref().unwrap()[0].id).unwrap()
    }

    fn number(&self, name: &str) -> i64 {
        let table = self.store.read_table(&self.manifest(name), None).unwrap();
        table.column_by_name("value").unwrap().as_primitive::<Int64Type>().value(0)
    }

    fn files(&self, name: &str) -> Vec<PathBuf> {
        self.manifest(name).files().map(|file| self.store.file_path(file)).collect()
    }
}

#[test]
fn the_second_run_computes_nothing() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, with: { value: 1, tag: second } }
  two: { uses: number, with: { value: 2, tag: second } }
  sum: { uses: sum, in: { a: one, b: two }, with: { tag: second } }
";
    let first = bench.run(stages);
    assert_eq!(first.statuses(), "one ran, two ran, sum ran");
    assert_eq!(first.number("sum"), 3);
    assert_eq!(count("second"), 3);
    let second = bench.run(stages);
    assert_eq!(second.statuses(), "one cached, two cached, sum cached");
    assert_eq!(count("second"), 3);
    assert_eq!(second.contents(), first.contents());
}

#[test]
fn a_change_that_reaches_no_content_stops_there() {
    let bench = Bench::new();
    let stages = |plus: i64| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1 }} }}
  parity: {{ uses: sum, in: one, with: {{ plus: {plus}, modulo: 2 }} }}
  last: {{ uses: sum, in: parity }}
"
        )
    };
    bench.run(&stages(0));
    let plan = bench.plan(&stages(2));
    assert_eq!(plan["one"], (PlanStatus::Cached, vec![]));
    assert_eq!(plan["parity"], (PlanStatus::WouldRun, vec!["plus: 0 -> 2".to_owned()]));
    assert_eq!(plan["last"], (PlanStatus::Maybe, vec!["parity: plus: 0 -> 2".to_owned()]));
    let ran = bench.run(&stages(2));
    assert_eq!(ran.statuses(), "one cached, parity ran, last cached");
    assert_eq!(bench.run(&stages(1)).statuses(), "one cached, parity ran, last ran");
    // Back to a value seen before: nothing runs, though the last run had another.
    assert_eq!(bench.run(&stages(0)).statuses(), "one cached, parity cached, last cached");
}

#[test]
fn a_column_that_nobody_reads_reruns_nothing() {
    let bench = Bench::new();
    let stages = |remark: &str| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1, remark: {remark} }} }}
  sum: {{ uses: sum, in: one }}
"
        )
    };
    bench.run(&stages("dull"));
    assert_eq!(bench.run(&stages("bright")).statuses(), "one ran, sum cached");
}

#[test]
fn an_input_that_is_left_out_is_no_part_of_the_key() {
    let bench = Bench::new();
    let stages = |inputs: &str| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1 }} }}
  two: {{ uses: number, with: {{ value: 2 }} }}
  sum: {{ uses: sum, in: {inputs} }}
"
        )
    };
    let ports = |ran: &Ran| {
        let id = ran.graph.select("sum").unwrap()[0];
        let record = Record::read(&ran.store, &ran.report.keys[id].unwrap()).unwrap();
        record.parts.inputs.into_iter().map(|input| input.port).collect::<Vec<_>>()
    };
    assert_eq!(ports(&bench.run(&stages("one"))), ["a"]);
    let both = stages("{ a: one, b: two }");
    assert_eq!(bench.plan(&both)["sum"], (PlanStatus::WouldRun, vec!["input b: newly connected".to_owned()]));
    assert_eq!(ports(&bench.run(&both)), ["a", "b"]);
    let one = bench.plan(&stages("{ a: two }"));
    assert_eq!(one["sum"].1.last().unwrap(), "input b: no longer connected");
}

#[test]
fn an_intermediate_that_is_gone_is_rebuilt_only_if_it_is_needed() {
    let bench = Bench::new();
    let stages = |plus: i64| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1 }} }}
  two: {{ uses: sum, in: one, with: {{ plus: 5 }} }}
  three: {{ uses: sum, in: two, with: {{ plus: {plus} }} }}
"
        )
    };
    let ran = bench.run(&stages(10));
    for name in ["one", "two"] {
        for file in ran.files(name) {
            let _ = fs_err::remove_file(file);
        }
    }
    assert_eq!(bench.run(&stages(10)).statuses(), "one cached, two cached, three cached");
    let plan = bench.plan(&stages(1));
    assert_eq!(plan["two"].0, PlanStatus::WouldRun);
    assert_eq!(plan["one"].0, PlanStatus::WouldRun);
    let ran = bench.run(&stages(1));
    assert_eq!(ran.statuses(), "one ran, two ran, three ran");
    assert_eq!(ran.number("three"), 7);
}

#[test]
fn a_damaged_artefact_is_computed_again_with_a_warning() {
    let bench = Bench::new();
    let stages = |plus: i64| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 41 }} }}
  two: {{ uses: sum, in: one, with: {{ plus: {plus} }} }}
"
        )
    };
    let ran = bench.run(&stages(0));
    let file = &ran.files("one")[0];
    let mut bytes = fs_err::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs_err::write(file, bytes).unwrap();
    let warnings = Warnings::default();
    let (graph, report) = bench.run_with(&stages(1), |_, _| {}, &warnings);
    let ran = Ran { graph, report, store: bench.store() };
    assert_eq!(ran.statuses(), "one ran, two ran");
    assert_eq!(ran.number("two"), 42);
    let warnings = warnings.0.lock().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("damaged"), "{warnings:?}");
}

#[test]
fn a_failure_stops_what_needs_it_and_nothing_else() {
    for (how, message) in [
        ("error", "the glass is empty"),
        ("panic", "the glass broke"),
        ("forget", "did not write its output"),
    ] {
        let bench = Bench::new();
        let stages = format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1 }} }}
  bad: {{ uses: fail, in: one, with: {{ how: {how} }} }}
  after: {{ uses: sum, in: bad }}
  later: {{ uses: sum, in: after }}
  other: {{ uses: sum, in: one }}
"
        );
        let ran = bench.run(&stages);
        assert_eq!(ran.status("other"), "ran");
        assert_eq!(
            (ran.status("bad"), ran.status("after"), ran.status("later")),
            ("failed", "skipped", "skipped")
        );
        let Outcome::Failed { message: got, .. } = ran.outcome("bad") else { panic!() };
        assert!(got.contains(message), "{got}");
        assert_eq!(*ran.outcome("later"), Outcome::Skipped { because: "bad".to_owned() });
        assert_eq!(bench.run(&stages).status("bad"), "failed", "a failure is never remembered");
        let runs = RunRecord::all(&bench.store()).unwrap();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0].status, "failed");
    }
}

#[test]
fn cells_with_equal_inputs_wait_for_one_job() {
    let bench = Bench::new();
    let stages = "
matrix:
  n: [1, 2, 3]
stages:
  one: { uses: number, with: { value: 1, tag: shared } }
  sum: { uses: sum, in: one, with: { plus: '${n}', modulo: 1, tag: shared } }
  last: { uses: sum, in: sum, with: { tag: shared-last } }
  all: { uses: gather, in: { numbers: { from: last, collect: n } } }
";
    let ran = bench.run(&stages.replace("collect: n ", "collect: [n] "));
    assert_eq!(count("shared"), 4);
    assert_eq!(count("shared-last"), 1, "the three cells have one key");
    assert_eq!(ran.manifest("all").rows, 3);
}

#[test]
fn what_may_pass_is_tried_again_and_fails_in_the_end() {
    let bench = Bench::new();
    let stages = |failures: usize, tag: &str| {
        format!(
            "\nstages:\n  flaky: {{ uses: flaky, with: {{ failures: {failures}, times: 3, tag: {tag} }} }}\n"
        )
    };
    let warnings = Warnings::default();
    let (_, report) = bench.run_with(&stages(2, "passes"), |_, _| {}, &warnings);
    assert!(report.is_done());
    assert_eq!(count("passes"), 3);
    let said = warnings.0.lock().unwrap().clone();
    assert_eq!(
        said,
        ["`flaky`: the server is busy; try 2 of 4 in 1ms", "`flaky`: the server is busy; try 3 of 4 in 2ms"]
    );
    let ran = bench.run(&stages(9, "stays"));
    let Outcome::Failed { message, log, .. } = ran.outcome("flaky") else { panic!() };
    assert_eq!((message.as_str(), count("stays")), ("the server is busy (4 tries)", 4));
    let lines = ["attempt 1", "the server is busy; try 2 of 4 in 1ms", "attempt 2"];
    assert_eq!(log[..3], lines, "the log of all tries is kept");
    let runs = RunRecord::all(&bench.store()).unwrap();
    assert_eq!(runs[0].stages[0].log, *log);
}

#[test]
fn memory_bounds_what_runs_side_by_side_and_refuses_what_never_fits() {
    let bench = Bench::new();
    let mut stages = "\nstages:\n".to_owned();
    for n in 0..6 {
        stages.push_str(&format!("  h{n}: {{ uses: hungry, with: {{ bytes: 40, name: h{n} }} }}\n"));
    }
    stages.push_str("  huge: { uses: hungry, with: { bytes: 5000000000 } }\n");
    let limits = |_: &Graph, options: &mut RunOptions<'_>| (options.jobs, options.memory) = (6, 100);
    let (graph, report) = bench.run_with(&stages, limits, &Silent);
    let held = *toys::HELD.lock().unwrap();
    assert!(held.0 == 0 && (40..=100).contains(&held.1), "{held:?}");
    for n in 0..6 {
        assert_eq!(report.outcomes[&graph.select(&format!("h{n}")).unwrap()[0]].name(), "ran");
    }
    let huge = &report.outcomes[&graph.select("huge").unwrap()[0]];
    let Outcome::Failed { message, help, .. } = huge else { panic!() };
    assert_eq!(message, "it takes about 5.0 GB of memory, and the stages of this run may take 100 B");
    assert!(help.as_ref().unwrap().contains("--memory"));
}

#[test]
fn a_run_is_recorded_with_what_its_stages_took() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, with: { value: 1 } }
  sum: { uses: sum, in: one }
";
    bench.run(stages);
    let run = &RunRecord::all(&bench.store()).unwrap()[0];
    let [one, sum] = &run.stages[..] else { panic!("{run:?}") };
    assert_eq!(one.usage.read_bytes, 0);
    assert!(one.usage.written_bytes > 0 && sum.usage.written_bytes > 0, "{run:?}");
    assert!(sum.usage.read_bytes > 0 && sum.usage.cpu_seconds > 0.0, "{run:?}");
    if cfg!(target_os = "linux") {
        assert!(sum.usage.peak_bytes > 1 << 20, "{run:?}");
    }
    bench.run(stages);
    let run = &RunRecord::all(&bench.store()).unwrap()[0];
    assert!(run.stages.iter().all(|stage| stage.usage == Default::default()), "what is cached took nothing");
}

#[test]
fn a_file_that_changes_while_a_stage_runs_is_an_error() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    fs_err::write(data.join("a"), "before").unwrap();
    let stages = format!("\nstages:\n  clips: {{ uses: touch, with: {{ root: {} }} }}\n", data.display());
    let ran = bench.run(&stages);
    let Outcome::Failed { message, .. } = ran.outcome("clips") else { panic!() };
    assert!(message.contains("changed while the stage ran"), "{message}");
    fs_err::write(data.join("a"), "before").unwrap();
    assert_eq!(bench.plan(&stages)["clips"].0, PlanStatus::WouldRun, "nothing was recorded");
}

#[test]
fn a_stopped_run_ends_at_the_next_tick_and_goes_on_later() {
    let bench = Bench::new();
    let stages = |how: &str| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: 1, tag: stopped }} }}
  slow: {{ uses: fail, in: one, with: {{ how: {how} }} }}
  other: {{ uses: sum, in: one }}
"
        )
    };
    let (graph, store, cancel) = (bench.graph(&stages("wait")), bench.store(), AtomicBool::new(false));
    let sources = Sources::scan(&graph, &store, &[]).unwrap();
    let options = RunOptions {
        read: vec![],
        targets: vec![],
        force: vec![],
        jobs: 2,
        memory: u64::MAX,
        device: Device::Cpu,
        fail_fast: false,
        overrides: vec![],
        cancel: &cancel,
    };
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !toys::WAITS.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            cancel.store(true, Ordering::SeqCst);
        });
        run(&graph, &store, &sources, &options, &Silent).unwrap()
    });
    let slow = graph.select("slow").unwrap()[0];
    assert_eq!(report.outcomes[&slow], Outcome::Interrupted);
    let plan = bench.plan(&stages("wait"));
    assert_eq!((plan["one"].0, plan["slow"].0), (PlanStatus::Cached, PlanStatus::WouldRun));
    assert_eq!(count("stopped"), 1);
}

#[test]
fn forced_stages_run_and_what_follows_is_saved_by_early_cutoff() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, with: { value: 1, tag: forced } }
  sum: { uses: sum, in: one, with: { tag: forced-after } }
";
    bench.run(stages);
    let force = |graph: &Graph, options: &mut RunOptions<'_>| options.force = graph.select("one").unwrap();
    let (graph, report) = bench.run_with(stages, force, &Silent);
    let ran = Ran { graph, report, store: bench.store() };
    assert_eq!(ran.statuses(), "one ran, sum cached");
    assert_eq!((count("forced"), count("forced-after")), (2, 1));
}

#[test]
fn only_what_was_asked_for_runs() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, with: { value: 1 } }
  sum: { uses: sum, in: one }
  other: { uses: sum, in: one, with: { plus: 1 } }
";
    let target = |graph: &Graph, options: &mut RunOptions<'_>| options.targets = graph.select("sum").unwrap();
    let (graph, report) = bench.run_with(stages, target, &Silent);
    let other = graph.select("other").unwrap()[0];
    assert!(!report.outcomes.contains_key(&other));
    assert_eq!(report.outcomes.len(), 2);
}

#[test]
fn the_log_of_a_cached_stage_is_kept() {
    let bench = Bench::new();
    let stages = "\nstages:\n  one: { uses: number, with: { value: 7 } }\n";
    bench.run(stages);
    let ran = bench.run(stages);
    assert_eq!(ran.status("one"), "cached");
    let log = fs_err::read_to_string(ran.store.log_path(&ran.report.keys[0].unwrap())).unwrap();
    assert_eq!(log, "thinking of a number\n");
}

#[test]
fn explanations_name_the_files_that_changed() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    fs_err::write(data.join("a"), "1").unwrap();
    fs_err::write(data.join("b"), "2").unwrap();
    let stages = format!("\nstages:\n  clips: {{ uses: files, with: {{ root: {} }} }}\n", data.display());
    bench.run(&stages);
    fs_err::write(data.join("b"), "3").unwrap();
    fs_err::write(data.join("c"), "4").unwrap();
    fs_err::remove_file(data.join("a")).unwrap();
    let (two, three) = (Digest::of(b"2").to_string(), Digest::of(b"3").to_string());
    let expected = [
        format!("file b: {} -> {}", &two[..8], &three[..8]),
        "file c: added".to_owned(),
        "file a: removed".to_owned(),
    ];
    assert_eq!(bench.plan(&stages)["clips"], (PlanStatus::WouldRun, expected.to_vec()));
}

#[test]
fn a_missing_folder_is_an_error_of_the_pipeline_file() {
    let bench = Bench::new();
    let stages = format!(
        "\nstages:\n  clips: {{ uses: files, with: {{ root: {} }} }}\n",
        Path::new("/nonexistent/x").display()
    );
    let graph = bench.graph(&stages);
    let error = Sources::scan(&graph, &bench.store(), &[]).err().unwrap();
    let sndpipe_engine::ScanError::Spec(errors) = error else { panic!("{error}") };
    assert!(errors.0[0].to_string().contains("stage `clips`"), "{}", errors.0[0]);
}

#[test]
fn what_ran_before_a_failure_is_compared_with_later() {
    let bench = Bench::new();
    let stages = |value: i64| {
        format!(
            "
stages:
  one: {{ uses: number, with: {{ value: {value} }} }}
  bad: {{ uses: fail, in: one, with: {{ how: error }} }}
"
        )
    };
    bench.run(&stages(1));
    assert_eq!(bench.plan(&stages(2))["one"].1, ["value: 1 -> 2"]);
}
