//! `keep: false`: what only passes through goes with every byte, and nothing else does.

use sndpipe_cache::{Bucket, Digest, Named, Release, Store};
use sndpipe_engine::{Pin, PlanStatus, Record};

use super::toys::count;
use super::{Bench, Ran, Silent};

impl Ran {
    /// Whether the first output of an instance lies in the cache with its files.
    fn is_there(&self, name: &str) -> bool {
        let id = self.graph.select(name).unwrap()[0];
        let face = &self.report.faces[id].as_ref().unwrap()[0];
        self.store.manifest(&face.id).is_some_and(|manifest| self.store.is_present(&manifest))
    }

    fn key(&self, name: &str) -> Digest {
        self.report.keys[self.graph.select(name).unwrap()[0]].unwrap()
    }
}

/// Files of artefacts, shards among them, and commits of row maps.
fn files(bench: &Bench) -> usize {
    fn below(folder: &std::path::Path) -> usize {
        let Ok(entries) = fs_err::read_dir(folder) else { return 0 };
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { below(&path) } else { 1 })
            .sum()
    }
    let holds =
        |name: &str| ["files-v", "rows-v", "artefacts-v"].iter().any(|bucket| name.starts_with(bucket));
    let buckets = fs_err::read_dir(bench.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    buckets.filter(|path| holds(&path.file_name().unwrap().to_string_lossy())).map(|path| below(&path)).sum()
}

/// `b` gives what `a` gives: the same table.
const EQUAL: &str = "
stages:
  a: { uses: number, keep: false, with: { value: 7, tag: passing } }
  b: { uses: number, with: { value: 7, tag: other } }
  sum: { uses: sum, in: a, with: { tag: sum } }
";

#[test]
fn a_kept_result_of_equal_content_stays() {
    // `b` has the key of `a`; with a remark that is no parameter of its own it has another key and the same content.
    let bench = Bench::new();
    let stages = "
stages:
  a: { uses: number, keep: false, with: { value: 7 } }
  seven: { uses: sum, in: a, with: { modulo: 8 } }
  same: { uses: sum, keep: false, in: seven, with: { modulo: 9 } }
  last: { uses: sum, in: same, with: { plus: 1 } }
";
    let ran = bench.run(stages);
    assert_eq!(ran.contents()["seven"], ran.contents()["same"]);
    assert_eq!((ran.is_there("a"), ran.is_there("seven"), ran.is_there("last")), (false, true, true));
    let again = bench.run(stages);
    assert_eq!(again.statuses(), "a cached, seven cached, same cached, last cached");
    assert!(bench.plan(stages).values().all(|(status, _)| *status == PlanStatus::Cached));
    // What is changed behind a result that went makes it anew, and nothing else.
    let ran = bench.run(&stages.replace("modulo: 8", "modulo: 6"));
    assert_eq!(ran.statuses(), "a ran, seven ran, same ran, last ran");
    assert!(!ran.is_there("a") && ran.is_there("seven"));
}

#[test]
fn stages_with_one_key_keep_it_if_one_of_them_does() {
    let bench = Bench::new();
    let ran = bench.run(EQUAL);
    assert_eq!(ran.key("a"), ran.key("b"));
    assert!(ran.is_there("b"));
    assert_eq!(bench.run(EQUAL).statuses(), "a cached, b cached, sum cached");
}

#[test]
fn cells_of_equal_content_do_not_take_each_others_inputs() {
    let bench = Bench::new();
    let stages = "
matrix:
  n: [1, 2, 3, 4]
stages:
  one: { uses: number, keep: false, with: { value: 1, tag: cells } }
  zero: { uses: sum, keep: false, in: one, with: { plus: '${n}', modulo: 1, tag: cells } }
  last: { uses: sum, in: zero, with: { plus: '${n}', tag: cells } }
";
    let warnings = super::Warnings::default();
    let (graph, report) = bench.run_with(stages, |_, _| {}, &warnings);
    let ran = Ran { graph, report, store: bench.store() };
    assert_eq!(count("cells"), 9, "each runs once");
    assert_eq!(*warnings.0.lock().unwrap(), [""; 0]);
    assert!(!ran.is_there("one") && !ran.is_there("zero[n=1]") && ran.is_there("last[n=4]"));
    bench.run(stages);
    assert_eq!(count("cells"), 9);
    assert_eq!(files(&bench), 2 * 6, "what `last` gives: 1, 2, 3, 4, 6 and 8, each a manifest and a file");
}

#[test]
fn shards_and_rows_go_and_are_made_again_where_they_are_needed() {
    let bench = Bench::new();
    fs_err::create_dir(bench.path("data")).unwrap();
    for (name, text) in [("a", "x"), ("b", "yy"), ("c", "zzz")] {
        fs_err::write(bench.path("data").join(name), text).unwrap();
    }
    let stages = |scale: u32, keep: bool| {
        format!(
            "
stages:
  clips: {{ uses: files, keep: {keep}, with: {{ root: {} }} }}
  lengths: {{ uses: lengths, keep: {keep}, in: clips, with: {{ tag: passing-rows }} }}
  again: {{ uses: lengths, in: lengths, with: {{ scale: {scale}, tag: passing-again }} }}
",
            bench.path("data").display()
        )
    };
    let ran = bench.run(&stages(2, false));
    assert_eq!(ran.manifest("again").rows, 3);
    assert!(!ran.is_there("lengths") && !ran.is_there("clips"));
    // A manifest, an index, a shard and a commit, all of `again`.
    assert_eq!(files(&bench), 4);
    assert_eq!(bench.run(&stages(2, false)).statuses(), "clips cached, lengths cached, again cached");
    assert_eq!(count("passing-rows"), 3);
    let ran = bench.run(&stages(3, false));
    assert_eq!(ran.statuses(), "clips ran, lengths ran, again ran");
    assert_eq!((count("passing-rows"), files(&bench)), (6, 8));
    assert_eq!(ran.store.verify(&|_, _| {}).unwrap(), []);
    // Kept from now on, which runs nothing; and passed through again.
    assert_eq!(bench.run(&stages(3, true)).statuses(), "clips cached, lengths cached, again cached");
    bench.run(&stages(4, true));
    assert_eq!(count("passing-rows"), 9);
    assert_eq!(bench.run(&stages(5, true)).statuses(), "clips cached, lengths cached, again ran");
    assert!(files(&bench) > 16);
    let ran = bench.run(&stages(5, false));
    assert_eq!(ran.statuses(), "clips cached, lengths cached, again cached");
    assert_eq!(files(&bench), 16, "what this pipeline alone has kept goes, too");
}

#[test]
fn what_another_pipeline_or_a_pin_keeps_stays() {
    let keeps = EQUAL.replace("keep: false, ", "").replace("sum: { uses: sum", "else: { uses: sum");
    let passes = "
stages:
  a: { uses: number, keep: false, with: { value: 7 } }
  sum: { uses: sum, in: a }
";
    // The other pipeline before and after.
    for first in [true, false] {
        let bench = Bench::new();
        if first {
            bench.run_named("other", &keeps);
        }
        bench.run(passes);
        if !first {
            bench.run_named("other", &keeps);
            bench.run(passes);
        }
        let ran = bench.run_named("other", &keeps);
        assert_eq!(ran.statuses(), "a cached, b cached, else cached");
        assert!(ran.is_there("a") && ran.is_there("b"), "first: {first}");
    }
    let bench = Bench::new();
    let kept = passes.replace("keep: false, ", "");
    let key = bench.run(&kept).key("a");
    let pin = Pin { file: "toy.yaml".to_owned(), stages: vec![], keys: [key].into() };
    pin.write(&bench.store(), "paper").unwrap();
    assert!(bench.run(passes).is_there("a"));
    bench.store().remove_document(Bucket::Pins, "paper").unwrap();
    // Nothing that this run knows has changed, but another one looks again.
    let other = passes.replace("in: a }", "in: a, with: { plus: 1 } }");
    assert!(!bench.run(&other).is_there("a"));
}

#[test]
fn what_failed_readers_need_stays() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, keep: false, with: { value: 1, tag: failed-reader } }
  bad: { uses: fail, in: one, with: { how: error } }
";
    let ran = bench.run(stages);
    assert_eq!(ran.statuses(), "one ran, bad failed");
    assert!(ran.is_there("one"));
    assert_eq!(bench.run(stages).statuses(), "one cached, bad failed");
}

#[test]
fn what_is_asked_for_stays_until_a_run_that_does_not_ask() {
    let bench = Bench::new();
    let stages = "
stages:
  one: { uses: number, keep: false, with: { value: 1 } }
  two: { uses: sum, in: one }
";
    let (graph, report) =
        bench.run_with(stages, |graph, options| options.targets = graph.select("one").unwrap(), &Silent);
    let ran = Ran { graph, report, store: bench.store() };
    assert!(ran.is_there("one"));
    let ran = bench.run(stages);
    assert_eq!(ran.statuses(), "one cached, two ran");
    assert!(!ran.is_there("one"));
}

#[test]
fn what_another_process_holds_is_not_let_go() {
    let bench = Bench::new();
    let other = Store::open(&bench.path("cache")).unwrap();
    let ran = bench.run(EQUAL);
    let key = ran.key("sum");
    Record::pass(&ran.store, &ran.store.collection().unwrap().unwrap(), &[key].into()).unwrap();
    // As a process does that is about to read the result of `sum`.
    assert!(Record::read(&other, &key).is_some_and(|record| record.passing));
    let release = Release { keys: [key].into(), ..Release::default() };
    let names = |bytes: &[u8]| -> Option<Named> { Record::names(bytes) };
    let freed = ran.store.collection().unwrap().unwrap().release(&release, &names).unwrap();
    assert_eq!(freed.bytes(), 0);
    drop(other);
    let freed = ran.store.collection().unwrap().unwrap().release(&release, &names).unwrap();
    assert!(freed.bytes() > 0 && !ran.is_there("sum"));
}

#[test]
fn what_a_running_pipeline_may_keep_is_not_passed_on() {
    let bench = Bench::new();
    let passes = "
stages:
  a: { uses: number, keep: false, with: { value: 7 } }
  sum: { uses: sum, in: a }
";
    let key = bench.run(&passes.replace("keep: false, ", "")).key("a");
    // Another pipeline has found it and is at work: nothing tells yet what it keeps.
    let other = Store::open(&bench.path("cache")).unwrap();
    assert!(Record::read(&other, &key).is_some());
    assert!(bench.run(passes).is_there("a"));
    assert!(!Record::read(&bench.store(), &key).unwrap().passing);
    drop(other);
    assert!(!bench.run(&passes.replace("in: a }", "in: a, with: { plus: 1 } }")).is_there("a"));
    assert!(Record::read(&bench.store(), &key).unwrap().passing);
}
