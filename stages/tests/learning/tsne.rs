//! Embeddings in the plane.

use serde_json::{Value, json};
use sndpipe_random::Stream;
use sndpipe_stages::artefacts::columns;
use sndpipe_stages::metrics::neighbours::{Search, Vectors};

use crate::bench::Bench;
use crate::neighbours::{embeddings, labels};

/// Three clusters of clips in twenty dimensions, well apart; every tenth clip has two patches.
fn clusters(clips: usize) -> Vec<Vec<Vec<f32>>> {
    let stream = Stream::new(8, "clusters");
    let vector = |clip: usize, patch: u32| {
        let mut rng = stream.at(patch, clip as u64);
        let value = |at: usize, normal: f64| normal + if at == clip % 3 { 12.0 } else { 0.0 };
        (0..20).map(|at| value(at, rng.normal()) as f32).collect()
    };
    let patches = |clip: usize| {
        (0..if clip.is_multiple_of(10) { 2 } else { 1 }).map(|patch| vector(clip, patch)).collect()
    };
    (0..clips).map(patches).collect()
}

#[test]
fn clusters_stay_apart() {
    let bench = Bench::new();
    let vectors = embeddings(&bench, &clusters(150));
    let run = |with: Value| bench.run("tsne", with, &[("embeddings", &vectors)]).outputs.remove(0);
    let with = json!({ "subset": "all", "perplexity": 15, "iterations": 500 });
    let points = run(with.clone());
    let table = bench.table(&points);
    assert_eq!(table.num_rows(), 165);
    let ids = columns::text(&table, "clip_id").unwrap();
    let patches = columns::maybe_int(&table, "patch").unwrap();
    assert_eq!(
        (ids[0].as_str(), ids[1].as_str(), patches[0], patches[1]),
        ("clip0000", "clip0000", Some(0), Some(1))
    );
    let axis = |name: &str| columns::number(&table, name).unwrap().into_iter().map(Option::unwrap);
    let flat: Vec<f32> = axis("x").zip(axis("y")).flat_map(|(x, y)| [x as f32, y as f32]).collect();
    // Of five neighbours in the plane all are of the same cluster.
    let own: Vec<u32> = (0..165).collect();
    let halves: Vec<f32> = flat.chunks_exact(2).map(|p| (p[0] * p[0] + p[1] * p[1]) / 2.0).collect();
    let bank = Vectors { values: &flat, size: 2, clips: &own };
    let cluster = |at: usize| ids[at].trim_start_matches("clip").parse::<usize>().unwrap() % 3;
    let search = Search { bank, offsets: &halves, k: 5, others: true };
    let same = search
        .each(bank, &|| Ok(()), |at, found| {
            found.iter().filter(|of| cluster(of.at as usize) == cluster(at)).count()
        })
        .unwrap();
    assert_eq!(same.iter().sum::<usize>(), 5 * 165, "{same:?}");
    let divergence = points.meta["kl_divergence"].as_f64().unwrap();
    assert!((0.0..1.5).contains(&divergence), "{divergence}");
    // The seed alone decides.
    assert_eq!(run(with.clone()).id, points.id);
    let mut other = with;
    other["seed"] = json!(1);
    assert_ne!(run(other).id, points.id);

    let truth = bench.labels(&labels((0..150).map(|clip| vec![clip % 3]), 3));
    let wires = [("points", &points), ("labels", &truth)];
    let drawn = bench.run("scatter", json!({ "title": "clusters" }), &wires);
    let svg = String::from_utf8(bench.store.read_blob(&drawn.outputs[0]).unwrap()).unwrap();
    let marks = |at: usize| svg.matches(&format!("class=\"f{at}\"")).count();
    // The marks of the points and one in the legend for each class.
    assert_eq!(marks(0) + marks(1) + marks(2), 165 + 3);
    assert!(svg.contains(">class2</text>") && svg.contains(">clusters</text>"));
}

#[test]
fn too_few_vectors_are_refused() {
    let bench = Bench::new();
    let vectors = embeddings(&bench, &clusters(9));
    let wires = [("embeddings", &vectors)];
    let error = bench.try_run("tsne", json!({ "subset": "all" }), &wires).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "there are 10 vectors, and each would have 30 neighbours");
    // Equal vectors are no mistake.
    let equal = embeddings(&bench, &vec![vec![vec![1.0, 2.0]]; 40]);
    bench.run(
        "tsne",
        json!({ "subset": "all", "perplexity": 5, "iterations": 50 }),
        &[("embeddings", &equal)],
    );
}
