//! Size: thousands of stages, a hundred thousand cells. Times are printed, not judged: a busy machine may be slow.

use std::fmt::Write as _;
use std::time::Instant;

use super::{graph, load_text, render};

#[test]
fn a_thousand_stages() {
    let mut text = "version: 1\nstages:\n  s0: { uses: data, with: { root: some/where } }\n".to_owned();
    for stage in 1..1000 {
        writeln!(
            text,
            "  # stage {stage} of a long pipeline that somebody wrote by program\n  s{stage}:\n    uses: decode\n    in: s0\n    with:\n      sample_rate: {}\n    keep: true",
            8000 + stage
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.yaml");
    fs_err::write(&path, &text).unwrap();
    let registry = super::kinds::registry();
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        let graph = sndpipe_engine::load(&path, &[], &registry).unwrap();
        best = best.min(start.elapsed().as_secs_f64());
        assert_eq!(graph.instances.len(), 1000);
    }
    println!("1,000 stages, {} bytes: {:.2} ms", text.len(), best * 1e3);
}

#[test]
fn a_hundred_thousand_cells() {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nmatrix: {{ a: [{}], b: [{}] }}\nstages:\n  clips: {{ uses: data, with: {{ root: r }} }}\n  audio: {{ uses: decode, in: clips }}\n  split: {{ uses: split.folds, in: clips, with: {{ test: \"${{a}}\" }} }}\n  mel: {{ uses: spectrogram, in: audio, with: {{ bands: 5 }} }}\n  model: {{ uses: train, in: {{ features: mel, labels: clips.labels, split: split }}, with: {{ loss: {{ name: x }}, epochs: \"${{b}}\" }} }}\n",
        list(400),
        list(250)
    );
    let start = Instant::now();
    let shared = graph(&text);
    println!(
        "{} instances, 250 parameter sets: {:.0} ms",
        shared.instances.len(),
        start.elapsed().as_secs_f64() * 1e3
    );
    assert_eq!(shared.instances.len(), 100_000 + 400 + 3);
    let text = text.replace("epochs: \"${b}\"", "epochs: \"${b}\", seed: \"${a}\"");
    let start = Instant::now();
    let distinct = graph(&text);
    let seconds = start.elapsed().as_secs_f64();
    println!("{} instances, all parameters distinct: {:.0} ms", distinct.instances.len(), seconds * 1e3);
    assert_eq!(distinct.instances.len(), shared.instances.len());
}

#[test]
fn too_many_cells_are_refused_quickly() {
    let list = (1..=1000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nmatrix: {{ a: [{list}], b: [{list}], c: [{list}] }}\nstages:\n  clips: {{ uses: data, with: {{ root: \"${{a}}${{b}}${{c}}\" }} }}\n"
    );
    insta::assert_snapshot!(render(&load_text(&text).err().unwrap()), @r"
    x.yaml:4:3 too_many: the pipeline has more than 1000000 stage instances
      `clips` this stage is repeated along a 1000 x b 1000 x c 1000
      help: shorten an axis, or pair axes with `zip`
    ");
}

/// Nested aliases that would expand to 10^9 values.
#[test]
fn alias_bombs_are_refused() {
    let mut text = "version: 1\nparams:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let one = format!("*a{}", level - 1);
        writeln!(text, "  a{level}: &a{level} [{}]", vec![one; 10].join(", ")).unwrap();
    }
    text.push_str("stages: {}\n");
    insta::assert_snapshot!(render(&load_text(&text).err().unwrap()), @r"
    x.yaml:8:12 alias_bomb: aliases expand the file by more than 200000 values
      `*a4` too much by here
      help: repeat less with `*`, or write a `matrix`
    ");
}
