//! What is known before anything runs: remembered, and compared with the cache each time.

use std::fmt::Write as _;
use std::path::PathBuf;

use sndpipe_cache::Digest;
use sndpipe_engine::{PlanStatus, Record, RunRecord};

use super::{Bench, Ran, Warnings};

const STAGES: &str = "
stages:
  one: { uses: number, with: { value: 1 } }
  two: { uses: number, with: { value: 2 } }
  sum: { uses: sum, in: { a: one, b: two } }
  last: { uses: sum, in: { a: sum, b: sum.double } }
";

fn key(ran: &Ran, name: &str) -> Digest {
    ran.report.keys[ran.graph.select(name).unwrap()[0]].unwrap()
}

fn record_file(bench: &Bench, key: &Digest) -> PathBuf {
    bench.path("cache/records-v1").join(&key.to_hex()[..2]).join(key.to_hex())
}

#[test]
fn a_record_that_is_gone_or_cut_is_seen() {
    let bench = Bench::new();
    let ran = bench.run(STAGES);
    assert_eq!(bench.run(STAGES).statuses(), "one cached, two cached, sum cached, last cached");
    fs_err::remove_file(record_file(&bench, &key(&ran, "sum"))).unwrap();
    assert_eq!(bench.run(STAGES).statuses(), "one cached, two cached, sum ran, last cached");

    let file = record_file(&bench, &key(&ran, "two"));
    let bytes = fs_err::read(&file).unwrap();
    fs_err::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(bench.plan(STAGES)["two"].0, PlanStatus::WouldRun);
    assert_eq!(bench.run(STAGES).statuses(), "one cached, two ran, sum cached, last cached");
    assert_eq!(bench.run(STAGES).statuses(), "one cached, two cached, sum cached, last cached");
}

#[test]
fn a_record_that_names_something_else_now_counts() {
    let bench = Bench::new();
    let ran = bench.run(STAGES);
    let (one, two) = (key(&ran, "one"), key(&ran, "two"));
    let mut record = Record::read(&ran.store, &two).unwrap();
    record.outputs = Record::read(&ran.store, &one).unwrap().outputs;
    record.write(&ran.store, &two).unwrap();
    let ran = bench.run(STAGES);
    assert_eq!(ran.statuses(), "one cached, two cached, sum ran, last ran");
    assert_eq!(ran.number("sum"), 2);
}

#[test]
fn an_artefact_that_was_asked_for_is_looked_at_each_time() {
    let bench = Bench::new();
    let ran = bench.run(STAGES);
    for round in ["removed", "cut", "described wrongly"] {
        let file = match round {
            "described wrongly" => {
                let id = ran.manifest("last").id.to_hex();
                bench.path("cache/artefacts-v1").join(&id[..2]).join(format!("{id}.json"))
            }
            _ => ran.files("last").remove(0),
        };
        match round {
            "removed" => fs_err::remove_file(&file).unwrap(),
            "cut" => fs_err::OpenOptions::new().write(true).open(&file).unwrap().set_len(20).unwrap(),
            _ => fs_err::write(&file, "{}").unwrap(),
        }
        let (_, reasons) = bench.plan(STAGES).remove("last").unwrap();
        assert_eq!(reasons, ["its output is gone from the cache"], "{round}");
        let warnings = Warnings::default();
        let (graph, report) = bench.run_with(STAGES, |_, _| {}, &warnings);
        let again = Ran { graph, report, store: bench.store() };
        assert_eq!(again.statuses(), "one cached, two cached, sum cached, last ran", "{round}");
        assert_eq!(again.contents(), ran.contents(), "{round}");
    }
    assert_eq!(bench.run(STAGES).statuses(), "one cached, two cached, sum cached, last cached");
}

/// Keys are computed without their parts; the parts are stored beside the result.
#[test]
fn a_key_is_the_hash_of_its_parts() {
    let bench = Bench::new();
    fs_err::create_dir(bench.path("data")).unwrap();
    fs_err::write(bench.path("data/a.txt"), "a").unwrap();
    let ran = bench.run(&format!(
        "
matrix:
  n: [1, 2, 3]
stages:
  one: {{ uses: number, with: {{ value: 1 }} }}
  sum: {{ uses: sum, in: one, with: {{ plus: '${{n}}' }} }}
  both: {{ uses: sum, in: {{ a: sum, b: sum.double }} }}
  all: {{ uses: gather, in: {{ numbers: {{ from: both, collect: n }} }} }}
  files: {{ uses: files, with: {{ root: {:?} }} }}
",
        bench.path("data")
    ));
    for (instance, key) in ran.graph.instances.iter().zip(&ran.report.keys) {
        let key = key.unwrap();
        assert_eq!(Record::read(&ran.store, &key).unwrap().parts.key(), key, "{instance}");
    }
}

#[test]
fn a_run_tells_what_was_cached() {
    let bench = Bench::new();
    let stages = "
matrix:
  n: [1, 2]
stages:
  one: { uses: number, with: { value: 1 } }
  sum: { uses: sum, in: one, with: { plus: '${n}' } }
";
    bench.run(stages);
    let ran = bench.run(&stages.replace("[1, 2]", "[1, 2, 3]"));
    let run = RunRecord::read(&ran.store, &ran.report.id).unwrap();
    let mut lines: Vec<String> = run
        .stages
        .iter()
        .map(|stage| format!("{}{:?} {} {:?}", stage.stage, stage.axes, stage.status, stage.key.unwrap()))
        .collect();
    lines.sort();
    let mut expected: Vec<String> = ran
        .graph
        .instances
        .iter()
        .enumerate()
        .map(|(id, instance)| {
            let (status, key) = (ran.report.outcomes[&id].name(), ran.report.keys[id].unwrap());
            format!("{}{:?} {status} {key:?}", instance.stage, instance.axes)
        })
        .collect();
    expected.sort();
    assert_eq!(lines, expected);
    assert_eq!(lines.iter().filter(|line| line.contains("cached")).count(), 3);
}

/// Every stage but the first two has the key of the one before it, so that nearly nothing runs.
#[test]
fn a_chain_may_be_as_long_as_one_likes() {
    const LONG: usize = 20_000;
    let bench = Bench::new();
    let mut stages = "\nstages:\n  s0: { uses: number, with: { value: 0 } }\n".to_owned();
    for stage in 1..LONG {
        writeln!(stages, "  s{stage}: {{ uses: sum, in: s{}, with: {{ modulo: 1 }} }}", stage - 1).unwrap();
    }
    let ran = bench.run(&stages);
    let count = |ran: &Ran, name: &str| ran.report.outcomes.values().filter(|o| o.name() == name).count();
    assert_eq!((count(&ran, "ran"), count(&ran, "cached")), (2, LONG - 2));
    let again = bench.run(&stages);
    assert_eq!(count(&again, "cached"), LONG);
}
