//! Embeddings judged by their neighbours, against scikit-learn, and what cannot be judged.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sndpipe_cache::{Manifest, Meta, Row, Values};
use sndpipe_engine::Written;
use sndpipe_random::Stream;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::artefacts::{Labels, State};
use sndpipe_stages::artefacts::{Split, Subset};
use sndpipe_stages::metrics::metric::TieOrder;

use crate::bench::Bench;

/// Written by `benches/peers/neighbours.py`.
const FIXTURE: &str = include_str!("neighbours.json");

fn id(clip: usize) -> String {
    format!("clip{clip:04}")
}

/// Embeddings: for each clip its vectors.
pub fn embeddings(bench: &Bench, clips: &[Vec<Vec<f32>>]) -> Manifest {
    let size = clips[0][0].len();
    let row =
        |vectors: &Vec<Vec<f32>>| Row { frames: vectors.len() as u32, values: Values::F32(vectors.concat()) };
    let rows = clips.iter().enumerate().map(|(clip, vectors)| (id(clip), row(vectors)));
    bench.rows("embeddings", Meta::from([("size".to_owned(), size.into())]), rows.collect())
}

/// Labels: for each clip the classes that it has.
pub fn labels(clips: impl IntoIterator<Item = Vec<usize>>, classes: usize) -> Labels {
    let present = |of: Vec<usize>| of.into_iter().map(|class| (class, State::Present)).collect();
    Labels {
        classes: (0..classes).map(|class| format!("class{class}")).collect(),
        clips: clips.into_iter().enumerate().map(|(clip, of)| (id(clip), present(of))).collect(),
    }
}

struct Fixture {
    value: Value,
    /// The patches of each clip.
    patches: Vec<Vec<Vec<f32>>>,
    label: Vec<usize>,
}

fn fixture() -> Fixture {
    let value: Value = serde_json::from_str(FIXTURE).unwrap();
    let read = |name: &str| serde_json::from_value::<Vec<usize>>(value[name].clone()).unwrap();
    let vectors: Vec<Vec<f32>> = serde_json::from_value(value["vectors"].clone()).unwrap();
    let label = read("label");
    let mut patches = vec![Vec::new(); label.len()];
    read("clip").into_iter().zip(vectors).for_each(|(clip, vector)| patches[clip].push(vector));
    Fixture { value, patches, label }
}

fn split(clips: usize) -> Split {
    let subset = |clip: usize| if clip % 5 >= 2 { Subset::Train } else { Subset::Test };
    Split { clips: (0..clips).map(|clip| (id(clip), subset(clip))).collect() }
}

/// The rows of `metrics`: metric and class to the value.
fn metrics(bench: &Bench, written: &Written) -> BTreeMap<(String, Option<String>), Option<f64>> {
    let table = bench.table(&written.outputs[0]);
    let classes = columns::maybe_text(&table, "class").unwrap();
    let names = columns::text(&table, "metric").unwrap().into_iter().zip(classes);
    names.zip(columns::number(&table, "value").unwrap()).collect()
}

#[track_caller]
fn close(found: Option<f64>, expected: &Value, what: &str) {
    let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() < 1e-9, "{what}: {found} instead of {expected}");
}

#[test]
fn both_protocols_agree_with_scikit_learn() {
    let (bench, fixture) = (Bench::new(), fixture());
    let vectors = embeddings(&bench, &fixture.patches);
    let labels = bench.labels(&labels(fixture.label.iter().map(|&class| vec![class]), 4));
    let split = bench.split(&split(fixture.label.len()));
    let k = &fixture.value["k"];
    let alone = json!({ "protocol": { "name": "leave_one_clip_out", "k": k }, "subset": "all" });
    let bank =
        json!({ "protocol": { "name": "memory_bank", "k": k, "temperature": fixture.value["temperature"] } });
    let wires = [("embeddings", &vectors), ("labels", &labels), ("split", &split)];
    for (name, with, wires) in [("leave_one_clip_out", alone, &wires[..2]), ("memory_bank", bank, &wires[..])]
    {
        let written = bench.run("evaluate.knn", with, wires);
        let found = metrics(&bench, &written);
        let expected = fixture.value[name].as_object().unwrap();
        assert_eq!(expected.len(), 6);
        for (metric, expected) in expected {
            close(found[&(metric.clone(), None)], expected, &format!("{name} {metric}"));
        }
        let predictions = bench.table(&written.outputs[2]);
        let right = columns::maybe_int(&predictions, "correct").unwrap();
        let share = right.iter().flatten().sum::<i64>() as f64 / right.len() as f64;
        assert!((share - expected["accuracy"].as_f64().unwrap()).abs() < 1e-12);
    }
}

#[test]
fn retrieval_agrees_with_scikit_learn() {
    let (bench, fixture) = (Bench::new(), fixture());
    let first: Vec<_> = fixture.patches.iter().map(|patches| vec![patches[0].clone()]).collect();
    let several: Vec<Vec<u8>> = serde_json::from_value(fixture.value["several"].clone()).unwrap();
    let classes = several.iter().map(|of| (0..4).filter(|&class| of[class] == 1).collect());
    let wires = [("embeddings", &embeddings(&bench, &first)), ("labels", &bench.labels(&labels(classes, 4)))];
    let written = bench.run("evaluate.retrieval", json!({ "subset": "all" }), &wires);
    let (found, expected) = (metrics(&bench, &written), &fixture.value["retrieval"]);
    close(found[&("retrieval_mAP".to_owned(), None)], &expected["mAP"], "mAP");
    for class in 0..4 {
        let of = |metric: &str| found[&(metric.to_owned(), Some(format!("class{class}")))];
        close(of("retrieval_AP"), &expected["AP"][class], "AP");
        close(of("retrieval_prior"), &expected["prior"][class], "prior");
    }
}

/// Vectors without any structure, two patches a clip.
fn noise(clips: usize) -> Vec<Vec<Vec<f32>>> {
    let stream = Stream::new(3, "noise");
    let vector = |clip: usize, patch: u32| {
        let mut rng = stream.at(patch, clip as u64);
        (0..16).map(|_| rng.normal() as f32).collect()
    };
    (0..clips).map(|clip| (0..2).map(|patch| vector(clip, patch)).collect()).collect()
}

#[test]
fn chance_is_the_prior() {
    let bench = Bench::new();
    // 240 clips of class 0 and 160 of class 1: both have 100 and 100 to draw.
    let labels = bench.labels(&labels((0..400).map(|clip| vec![usize::from(clip % 5 > 2)]), 2));
    let vectors = embeddings(&bench, &noise(400));
    let run = |seed: u64| {
        let wires = [("embeddings", &vectors), ("labels", &labels)];
        metrics(&bench, &bench.run("evaluate.retrieval", json!({ "subset": "all", "seed": seed }), &wires))
    };
    let found = run(0);
    assert_eq!(found[&("retrieval_prior".to_owned(), None)], Some(4950.0 / 14950.0));
    let value = found[&("retrieval_mAP".to_owned(), None)].unwrap();
    assert!((value - 4950.0 / 14950.0).abs() < 0.03, "{value}");
    assert_ne!(run(1)[&("retrieval_mAP".to_owned(), None)].unwrap(), value, "the seed counts");
    assert_eq!(run(0), found);
}

#[test]
fn what_is_alike_is_found() {
    let bench = Bench::new();
    // One direction a class, with a little noise.
    let mut vectors = noise(90);
    for (clip, patches) in vectors.iter_mut().enumerate() {
        patches.iter_mut().for_each(|patch| patch[clip % 3] += 40.0);
    }
    let vectors = embeddings(&bench, &vectors);
    let labels = bench.labels(&labels((0..90).map(|clip| vec![clip % 3]), 3));
    let split = bench.split(&split(90));
    let wires = [("embeddings", &vectors), ("labels", &labels), ("split", &split)];
    for (stage, with, metric) in [
        (
            "evaluate.knn",
            json!({ "protocol": { "name": "leave_one_clip_out", "k": 10 } }),
            "balanced_accuracy",
        ),
        ("evaluate.knn", json!({ "protocol": "memory_bank" }), "accuracy"),
        ("evaluate.retrieval", json!({}), "retrieval_mAP"),
    ] {
        let written = bench.run(stage, with, &wires);
        assert_eq!(bench.metric(&written.outputs[0], metric), Some(1.0), "{stage}");
    }
}

#[test]
fn what_cannot_be_judged_is_said() {
    let bench = Bench::new();
    let vectors = embeddings(&bench, &noise(4));
    let refused = |stage: &str, vectors: &Manifest, of: Labels| {
        let wires = [("embeddings", vectors), ("labels", &bench.labels(&of))];
        bench.try_run(stage, json!({ "subset": "all" }), &wires).map(|_| ()).unwrap_err().to_string()
    };
    let several = labels([vec![0], vec![0, 1], vec![1]], 2);
    let error = refused("evaluate.knn", &vectors, several.clone());
    assert_eq!(error, "clip `clip0001` has 2 classes, and a neighbour stands for one");
    assert_eq!(refused("evaluate.knn", &vectors, labels([], 2)), "no clip has embeddings and a class");
    let error = refused("evaluate.retrieval", &vectors, labels([vec![0]], 2));
    assert_eq!(error, "no class has two clips with embeddings, and others without it");
    let mut broken = noise(4);
    broken[2][0][3] = f32::NAN;
    let error = refused("evaluate.retrieval", &embeddings(&bench, &broken), several);
    assert_eq!(error, "clip `clip0002`: the embeddings are not finite");
    // A clip without a class, and one that has embeddings of zeros, are no mistakes.
    let mut zero = noise(6);
    zero[0] = vec![vec![0.0; 16]];
    let of = labels([vec![0], vec![1], vec![0], vec![1]], 2);
    let wires = [("embeddings", &embeddings(&bench, &zero)), ("labels", &bench.labels(&of))];
    let error = bench.try_run("evaluate.knn", json!({ "subset": "all" }), &wires).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the 200 nearest of 6 patches of other clips are all of them, whatever the clip"
    );
    let few = json!({ "subset": "all", "protocol": { "name": "leave_one_clip_out", "k": 5 } });
    let written = bench.run("evaluate.knn", few, &wires);
    assert_eq!(written.remarks, ["2 clips without a class, left out"]);
}

/// Seconds on two free cores, optimised: 15,000 vectors of 512 numbers with each other. What is refused is a search that takes minutes.
#[test]
fn many_vectors_are_judged_within_seconds() {
    if std::env::var_os("RUN_SLOW_TESTS").is_none() {
        eprintln!("skipped: RUN_SLOW_TESTS is not set");
        return;
    }
    let stream = Stream::new(1, "many");
    let values: Vec<f32> = (0..15_000u64)
        .flat_map(|at| {
            let mut rng = stream.at(0, at);
            (0..512).map(move |_| rng.uniform_f32() - 0.5).collect::<Vec<_>>()
        })
        .collect();
    let clips: Vec<u32> = (0..15_000).map(|at| at / 5).collect();
    let classes: Vec<u32> = (0..3000).map(|clip| clip % 50).collect();
    let vectors = sndpipe_stages::metrics::neighbours::Vectors { values: &values, size: 512, clips: &clips };
    let from = std::time::Instant::now();
    let voted = sndpipe_stages::metrics::neighbours::leave_one_clip_out(
        vectors,
        &classes,
        &TieOrder::of(&(0..50).map(|class| format!("{class:02}")).collect::<Vec<_>>()),
        200,
        &|| Ok(()),
    )
    .unwrap();
    let seconds = from.elapsed().as_secs_f64();
    eprintln!("{seconds:.1} s");
    assert_eq!(voted.scores.len(), 3000);
    assert!(seconds < 180.0, "{seconds} s");
}
