//! Declared files: what becomes of a run that finds others.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sndpipe_engine::{Device, Outcome, RunOptions, Silent, Sources, run};

use super::Bench;

#[test]
fn a_digest_that_a_reader_finds_wrong_is_forgotten() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    let paths = ["a", "b"].map(|name| data.join(name));
    paths.iter().for_each(|path| fs_err::write(path, path.file_name().unwrap().as_encoded_bytes()).unwrap());
    let stages = format!(
        "
stages:
  clips: {{ uses: files, with: {{ root: {} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ tag: forgotten }} }}
",
        data.display()
    );
    let (graph, store, cancel) = (bench.graph(&stages), bench.store(), AtomicBool::new(false));
    store.put_clock_ahead(Duration::from_secs(1));
    let mut sources = Sources::scan(&graph, &store, &[]).unwrap();
    assert_eq!(store.files_hashed(), 2);
    Sources::scan(&graph, &store, &[]).unwrap();
    assert_eq!(store.files_hashed(), 2, "they are remembered");

    // As if what is remembered of `b` were wrong.
    let a = store.digests(&paths)[0].as_ref().unwrap().digest;
    sources.files.insert(a, paths[1].clone());
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
    let report = run(&graph, &store, &sources, &options, &Silent).unwrap();
    let id = graph.select("lengths").unwrap()[0];
    let Outcome::Failed { message, .. } = &report.outcomes[&id] else { panic!("{:?}", report.outcomes) };
    assert!(message.contains("clip `a`") && message.contains("b` changed while"), "{message}");
    let sources = Sources::scan(&graph, &store, &[]).unwrap();
    assert_eq!(store.files_hashed(), 3, "`b` was hashed again");
    let report = run(&graph, &store, &sources, &options, &Silent).unwrap();
    assert!(report.is_done(), "{:?}", report.outcomes);
}

#[test]
fn a_file_that_changes_between_plan_and_stage_is_an_error_before_it_runs() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    fs_err::write(data.join("a"), "before").unwrap();
    let stages = format!("\nstages:\n  clips: {{ uses: files, with: {{ root: {} }} }}\n", data.display());
    let (graph, store, cancel) = (bench.graph(&stages), bench.store(), AtomicBool::new(false));
    let options = RunOptions {
        read: vec![],
        targets: vec![],
        force: vec![],
        jobs: 1,
        memory: u64::MAX,
        device: Device::Cpu,
        fail_fast: false,
        overrides: vec![],
        cancel: &cancel,
    };
    let sources = Sources::scan(&graph, &store, &[]).unwrap();
    fs_err::write(data.join("a"), "after!").unwrap();
    let report = run(&graph, &store, &sources, &options, &Silent).unwrap();
    let id = graph.select("clips").unwrap()[0];
    let Outcome::Failed { message, .. } = &report.outcomes[&id] else { panic!("{:?}", report.outcomes) };
    assert!(message.contains("changed after the run was planned"), "{message}");

    // Only touched: the same bytes are the same input.
    let sources = Sources::scan(&graph, &store, &[]).unwrap();
    fs_err::write(data.join("a"), "after!").unwrap();
    let report = run(&graph, &store, &sources, &options, &Silent).unwrap();
    assert!(report.is_done(), "{:?}", report.outcomes);
}
