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

/// Each of forty parameters is twice the one before: 2^40 words.
#[test]
fn parameters_that_double_are_refused() {
    let doubling = |first: &str, twice: fn(usize) -> String| {
        let mut text = format!("version: 1\nparams:\n  p0: {first}\n");
        for step in 1..40 {
            writeln!(text, "  p{step}: {}", twice(step - 1)).unwrap();
        }
        text + "stages:\n  clips: { uses: data, with: { root: \"${p39}\" } }\n"
    };
    let words = doubling("many words", |before| format!("\"${{p{before}}}${{p{before}}}\""));
    insta::assert_snapshot!(render(&load_text(&words).err().unwrap()), @r"
    x.yaml:26:15 too_large: references stand for more than 2000000 values (64 bytes of a text count as one)
      `${p22}` too much by here
      help: refer to large values less often, or to a part of them: `${name.field}`
    ");
    let lists = doubling("[1, 2]", |before| format!("[\"${{p{before}}}\", \"${{p{before}}}\"]"));
    let refused = load_text(&lists).err().unwrap().0;
    assert_eq!(refused.iter().map(|error| error.code).collect::<Vec<_>>(), ["too_large"]);
}

/// A thousand cells that gather a hundred thousand each.
#[test]
fn too_many_connections_are_refused_quickly() {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nmatrix: {{ a: [{}], b: [{}] }}\nstages:\n  clips: {{ uses: data, with: {{ root: r }} }}\n  labels: {{ uses: evaluate, in: {{ scores: scores, labels: clips.labels }} }}\n  scores: {{ uses: score, in: {{ model: model, features: mel }}, with: {{ subset: \"s${{a}}\" }} }}\n  mel: {{ uses: spectrogram, in: audio, with: {{ bands: 5 }} }}\n  audio: {{ uses: decode, in: clips }}\n  split: {{ uses: split.folds, in: clips, with: {{ test: 1 }} }}\n  model: {{ uses: train, in: {{ features: mel, labels: clips.labels, split: split }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n  table: {{ uses: table, in: {{ metrics: {{ from: labels, collect: [a] }} }}, with: {{ rows: \"r${{b}}\" }} }}\n",
        list(10_000),
        list(1000)
    );
    insta::assert_snapshot!(render(&load_text(&text).err().unwrap()), @r"
    x.yaml:11:48 too_many: the inputs of all stages read more than 5000000 artefacts
      `labels` gathers 10000 cells, in each of 1000 cells of `table`
      help: gather in a stage that is not repeated, or choose cells: `stage[axis=label]`
    ");
}

/// A long list, once for each of a hundred thousand cells.
#[test]
fn too_many_parameters_are_refused_quickly() {
    let list = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "version: 1\nparams: {{ long: [{}] }}\nmatrix: {{ a: [{}] }}\nstages:\n  clips: {{ uses: data, with: {{ root: [\"${{a}}\", \"${{long}}\"] }} }}\n",
        list(300),
        list(100_000)
    );
    insta::assert_snapshot!(render(&load_text(&text).err().unwrap()), @r"
    x.yaml:5:3 too_many: the parameters of all cells have more than 20000000 values (64 bytes of a text count as one)
      `clips` those of this stage have 30400000
      help: shorten an axis, or move what is the same in all cells to a stage of its own
    ");
}

#[test]
fn files_are_read_up_to_a_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.yaml");
    fs_err::File::create(&path).unwrap().set_len((16 << 20) + 1).unwrap();
    let large = sndpipe_engine::load(&path, &[], &super::kinds::registry()).err().unwrap();
    let folder = format!("{}/", folder.path().display());
    insta::assert_snapshot!(render(&large).replace(&folder, ""), @r"
    - unreadable: x.yaml has 16777217 bytes, more than a pipeline file may have (16777216)
      help: is it a data file?
    ");
    let text = format!("version: 1\nparams: {{ long: [{}1] }}\nstages: {{}}\n", "1,".repeat(2_000_000));
    let refused = load_text(&text).err().unwrap().0;
    let messages: Vec<&str> = refused.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(messages, ["the file has more than 2000000 values"]);
}

/// Parameters that refer to each other in a very long row, the last one first, and in a circle of that length.
#[test]
fn long_rows_of_parameters() {
    const LENGTH: usize = 200_000;
    let mut text = "version: 1\nparams:\n".to_owned();
    for at in 0..LENGTH {
        writeln!(text, "  p{at}: \"${{p{}}}\"", at + 1).unwrap();
    }
    let stages = "stages:\n  clips: { uses: data, with: { root: \"${p0}\" } }\n";
    let row = graph(&format!("{text}  p{LENGTH}: here\n{stages}"));
    assert_eq!(row.instances[0].bound.params()["root"], "here");
    let circle = load_text(&format!("{text}  p{LENGTH}: \"${{p7}}\"\n{stages}")).err().unwrap();
    insta::assert_snapshot!(circle.0[0].message, @"parameters refer to each other in a circle: p7 -> p8 -> p9 -> p10 -> p11 -> p12 -> … 199982 more … -> p199995 -> p199996 -> p199997 -> p199998 -> p199999 -> p200000 -> p7");
}

/// A list in a list in a list, each parameter one level deeper than the next.
#[test]
fn values_that_nest_deeply_are_refused() {
    let mut text = "version: 1\nparams:\n".to_owned();
    for at in 0..1000 {
        writeln!(text, "  p{at}: [\"${{p{}}}\"]", at + 1).unwrap();
    }
    let stages = "stages:\n  one: { uses: any, with: { value: \"${p0}\" } }\n";
    insta::assert_snapshot!(render(&load_text(&format!("{text}  p1000: here\n{stages}")).err().unwrap()), @r#"
    x.yaml:938:9 too_deep: with its references replaced, the value nests more than 64 deep
      `["${p936}"]`
      help: refer to a part of a value: `${name.field}`
    "#);
    let shallow: String = text.lines().take(2 + 60).map(|line| format!("{line}\n")).collect();
    graph(&format!("{shallow}  p60: here\n{stages}"));
}

/// Stages that read each other in a very long row, and in a circle of that length.
#[test]
fn long_rows_of_stages() {
    const LENGTH: usize = 100_000;
    let mut text = "version: 1\nstages:\n".to_owned();
    for at in 0..LENGTH {
        writeln!(text, "  s{at}: {{ uses: any, in: s{} }}", at + 1).unwrap();
    }
    let row = graph(&format!("{text}  s{LENGTH}: {{ uses: any }}\n"));
    assert_eq!(row.instances[LENGTH].stage, "s0");
    let circle = load_text(&format!("{text}  s{LENGTH}: {{ uses: any, in: s7 }}\n")).err().unwrap();
    insta::assert_snapshot!(circle.0[0].message, @"stages wait for each other: s7 reads s8 reads s9 reads s10 reads s11 reads s12 reads … 99982 more … reads s99995 reads s99996 reads s99997 reads s99998 reads s99999 reads s100000 reads s7");
    assert_eq!(circle.0.len(), 1);
}

/// Twenty thousand mistakes of each sort. A search for each of them among all names would take hours.
#[test]
fn thousands_of_mistakes() {
    const MANY: usize = 20_000;
    let lines = |line: &dyn Fn(usize) -> String| (0..MANY).map(|at| line(at) + "\n").collect::<String>();
    let good = lines(&|at| format!("  good_{at}: {{ uses: data, with: {{ root: r }} }}"));
    let many = |name: &str, text: &str| {
        let start = Instant::now();
        let errors = load_text(text).err().unwrap();
        println!("{name}: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
        assert!(start.elapsed().as_secs() < 120, "{name}");
        assert_eq!(errors.0.len(), 100, "{name}");
        assert_eq!(errors.0.len() + errors.more(), MANY, "{name}");
        let last = errors.0.iter().map(|error| error.span.unwrap()).max().unwrap();
        assert_eq!(last, errors.0[99].span.unwrap(), "{name}: the first hundred of the file");
    };
    let stages = |line: &dyn Fn(usize) -> String| format!("version: 1\nstages:\n{}", lines(line));
    let one = "stages: { one: { uses: data, with: { root: r } } }\n";
    many("kinds", &stages(&|at| format!("  s{at}: {{ uses: dtaa }}")));
    many("references", &(stages(&|at| format!("  s{at}: {{ uses: any, in: god_{at} }}")) + &good));
    many("inputs", &stages(&|at| format!("  s{at}: {{ uses: decode }}")));
    let port = |at| format!("  s{at}: {{ uses: any, in: {{ form: one }} }}");
    many("ports", &(stages(&port) + "  one: { uses: any }\n"));
    many("keys", &format!("version: 1\n{one}{}", lines(&|at| format!("stage{at}: 1"))));
    many("duplicates", &format!("version: 1\n{one}{}{}", lines(&|_| "name: x".to_owned()), "name: x\n"));
    many(
        "unknown parameters",
        &format!(
            "version: 1\nstages:\n  one:\n    uses: data\n    with:\n      root: r\n{}",
            lines(&|at| format!("      r{at}: 1"))
        ),
    );
    many(
        "wrong types",
        &format!(
            "version: 1\nstages:\n  one:\n    uses: data\n    with:\n      root: r\n      notes:\n{}",
            lines(&|at| format!("        r{at}: 1"))
        ),
    );
    many("missing parameters", &stages(&|at| format!("  s{at}: {{ uses: data }}")));
    many("unused", &format!("version: 1\n{one}params:\n{}", lines(&|at| format!("  r{at}: 1"))));
    let params = lines(&|at| format!("  param_{at}: 1"));
    many(
        "names",
        &(format!("version: 1\nparams:\n{params}")
            + &stages(&|at| format!("  s{at}: {{ uses: data, with: {{ root: \"${{parm_{at}}}\" }} }}"))
                [11..]),
    );
    many(
        "labels",
        &format!(
            "version: 1\nmatrix: {{ a: [1, 2] }}\nexclude:\n{}stages: {{ one: {{ uses: any, with: {{ value: \"${{a}}\" }} }} }}\n",
            lines(&|at| format!("  - {{ a: x{at} }}"))
        ),
    );
    many("circles", &stages(&|at| format!("  s{at}: {{ uses: any, in: s{at} }}")));
}
