//! Matrices by hand: which instances there are and what they read.

use super::{EXAMPLE, describe, graph, load_files, render};

fn instances(text: &str) -> Vec<String> {
    graph(text).instances.iter().map(ToString::to_string).collect()
}

/// A pipeline with a matrix and stages, and the stages that each test shares.
fn with(matrix: &str, stages: &str) -> String {
    format!("version: 1\n{matrix}\nstages:\n  clips: {{ uses: data, with: {{ root: r }} }}\n{stages}\n")
}

#[test]
fn the_example_repeats_stages_only_where_they_need_it() {
    let graph = graph(EXAMPLE);
    assert_eq!(graph.name, "esc50");
    let counts: Vec<(&str, usize)> =
        graph.stages.iter().map(|(name, all)| (name.as_str(), all.len())).collect();
    assert_eq!(
        counts,
        [
            ("clips", 1),
            ("audio", 1),
            ("mel", 1),
            ("split", 5),
            ("model", 10),
            ("scores", 10),
            ("eval", 10),
            ("table", 1)
        ]
    );
    for (id, instance) in graph.instances.iter().enumerate() {
        assert!(
            instance.inputs.iter().flat_map(|input| &input.items).all(|item| item.from < id),
            "{instance}"
        );
    }
    let lines = describe(&graph);
    assert_eq!(
        lines[8],
        r#"model[fold=1,loss=cce] {"epochs":60,"loss":{"name":"cce","q":null},"seed":0} features<-mel.features labels<-clips.labels split<-split[fold=1].split init<-"#
    );
    assert_eq!(
        lines[17],
        r#"model[fold=5,loss=lq] {"epochs":60,"loss":{"name":"lq","q":0.7},"seed":0} features<-mel.features labels<-clips.labels split<-split[fold=5].split init<-"#
    );
    let table = lines.last().unwrap();
    assert!(table.contains("eval[fold=1,loss=cce].metrics (fold=1,loss=cce)+eval[fold=1,loss=lq].metrics (fold=1,loss=lq)+eval[fold=2"), "{table}");
    assert_eq!(graph.instances.last().unwrap().inputs[0].items.len(), 10);
}

#[test]
fn equal_parameters_are_bound_once() {
    let graph = graph(EXAMPLE);
    let model = |cell: &str| graph.instances[graph.select(cell).unwrap()[0]].bound.clone();
    let (one, two, other) =
        (model("model[fold=1,loss=lq]"), model("model[fold=2,loss=lq]"), model("model[fold=1,loss=cce]"));
    assert!(std::sync::Arc::ptr_eq(&one, &two));
    assert!(!std::sync::Arc::ptr_eq(&one, &other));
}

#[test]
fn collecting_one_axis_repeats_the_reader_along_the_other() {
    let text = EXAMPLE
        .replace("collect: [fold, loss]", "collect: fold")
        .replace("rows: loss, over: [fold]", "over: [fold]");
    let graph = graph(&text);
    let tables = &graph.stages.last().unwrap().1;
    let shown: Vec<String> = tables.iter().map(|&id| graph.instances[id].to_string()).collect();
    assert_eq!(shown, ["table[loss=cce]", "table[loss=lq]"]);
    let items = &graph.instances[tables[1]].inputs[0].items;
    let axes: Vec<String> = items.iter().map(|item| format!("{:?}", item.axes)).collect();
    assert_eq!(axes, (1..=5).map(|fold| format!("[(\"fold\", \"{fold}\")]")).collect::<Vec<_>>());
    assert!(
        items
            .iter()
            .all(|item| graph.instances[item.from].axes.contains(&("loss".to_owned(), "lq".to_owned())))
    );
}

#[test]
fn a_collecting_port_without_collect_reads_one_cell() {
    let text = EXAMPLE.replace("{ from: eval, collect: [fold, loss] }", "eval");
    let graph = graph(&text);
    let tables = &graph.stages.last().unwrap().1;
    assert_eq!(tables.len(), 10);
    assert_eq!(graph.instances[tables[3]].inputs[0].items.len(), 1);
    assert!(graph.instances[tables[3]].inputs[0].items[0].axes.is_empty());
}

#[test]
fn one_cell_is_chosen_in_every_spelling() {
    for reference in
        ["split[test=2].contamination", "split.contamination[test=2]", "split [ test = 2 ] . contamination"]
    {
        let text = with(
            "matrix: { test: [1, 2] }",
            &format!(
                "  split: {{ uses: split.folds, in: clips, with: {{ test: \"${{test}}\" }} }}\n  again: {{ uses: split.folds, in: clips, with: {{ test: 9 }} }}\n  model: {{ uses: train, in: {{ features: audio, labels: clips.labels, split: \"{}\" }}, with: {{ loss: {{ name: x }}, epochs: 1 }} }}\n  audio: {{ uses: decode, in: clips }}",
                reference.replace(".contamination", "").replace(" . contamination", "")
            ),
        );
        let graph = graph(&text);
        let model = graph.instances.iter().find(|instance| instance.stage == "model").unwrap();
        assert!(model.axes.is_empty());
        assert_eq!(graph.instances[model.inputs[2].items[0].from].to_string(), "split[test=2]");
        // The other output is no split.
        let errors = super::load_text(
            &text
                .replace(&reference.replace(".contamination", "").replace(" . contamination", ""), reference),
        );
        assert!(render(&errors.err().unwrap()).contains("wrong_kind"), "{reference}");
    }
}

#[test]
fn a_chosen_cell_may_depend_on_the_readers_cell() {
    let text = with(
        "matrix: { fold: [1, 2], other: [2, 1] }\nzip: [fold, other]",
        "  split: { uses: split.folds, in: clips, with: { test: \"${fold}\" } }\n  audio: { uses: decode, in: clips }\n  model: { uses: train, in: { features: audio, labels: clips.labels, split: \"split[fold=${other}]\" }, with: { loss: { name: x }, epochs: 1 } }",
    );
    let lines = describe(&graph(&text));
    let model: Vec<&String> = lines.iter().filter(|line| line.starts_with("model")).collect();
    assert!(model[0].starts_with("model[other=2]") && model[0].contains("split<-split[fold=2]"), "{model:?}");
    assert!(model[1].starts_with("model[other=1]") && model[1].contains("split<-split[fold=1]"), "{model:?}");
}

#[test]
fn zipped_axes_advance_together() {
    let text = with(
        "matrix: { rate: [8000, 16000, 32000], fold: [1, 2], bands: [32, 64, 128] }\nzip: [rate, bands]",
        "  audio: { uses: decode, in: clips, with: { sample_rate: \"${rate}\" } }\n  mel: { uses: spectrogram, in: audio, with: { bands: \"${bands}\" } }\n  split: { uses: split.folds, in: clips, with: { test: \"${fold}\" } }\n  model: { uses: train, in: { features: mel, labels: clips.labels, split: split }, with: { loss: { name: x }, epochs: 1 } }",
    );
    assert_eq!(
        instances(&text),
        [
            "clips",
            "audio[rate=8000]",
            "audio[rate=16000]",
            "audio[rate=32000]",
            "mel[rate=8000,bands=32]",
            "mel[rate=16000,bands=64]",
            "mel[rate=32000,bands=128]",
            "split[fold=1]",
            "split[fold=2]",
            "model[rate=8000,fold=1,bands=32]",
            "model[rate=8000,fold=2,bands=32]",
            "model[rate=16000,fold=1,bands=64]",
            "model[rate=16000,fold=2,bands=64]",
            "model[rate=32000,fold=1,bands=128]",
            "model[rate=32000,fold=2,bands=128]",
        ]
    );
}

#[test]
fn excluded_cells_are_not_there_and_not_collected() {
    let text =
        EXAMPLE.replace("stages:\n", "exclude:\n  - { fold: 2, loss: lq }\n  - { fold: 5 }\nstages:\n");
    let graph = graph(&text);
    let counts: Vec<usize> = graph.stages.iter().map(|(_, all)| all.len()).collect();
    assert_eq!(counts, [1, 1, 1, 4, 7, 7, 7, 1]);
    let collected: Vec<String> = graph.instances.last().unwrap().inputs[0]
        .items
        .iter()
        .map(|item| item.axes.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join("/"))
        .collect();
    assert_eq!(collected, ["1/cce", "1/lq", "2/cce", "3/cce", "3/lq", "4/cce", "4/lq"]);
}

#[test]
fn references_keep_types_or_become_text() {
    let text = r#"version: 1
params:
  base: data
  root: "${base}/ESC-$${x}-${rates.low}"
  rates: { low: 8000, high: 16000 }
  folds: [3, 4]
matrix:
  fold: "${folds}"
  rate: { low: { hz: "${rates.low}" }, high: { hz: "${rates.high}" } }
stages:
  clips: { uses: data, with: { root: "${root} of ${rate.hz}" } }
  split: { uses: split.folds, in: clips, with: { test: "${fold}" } }
  audio: { uses: decode, in: clips, with: { sample_rate: "${rate.hz}" } }
"#;
    let lines = describe(&graph(text));
    assert_eq!(lines[0], r#"clips[rate=low] {"root":"data/ESC-${x}-8000 of 8000","shuffle":false}"#);
    assert_eq!(lines[2], r#"split[fold=3,rate=low] {"test":3} clips<-clips[rate=low].clips"#);
    assert_eq!(lines[7], r#"audio[rate=high] {"sample_rate":16000} clips<-clips[rate=high].clips"#);
    assert_eq!(lines.len(), 8);
}

#[test]
fn set_replaces_parameters_with_their_types() {
    let load = |set: &[(&str, &str)]| {
        let (graph, _folder) = load_files(&[("x.yaml", EXAMPLE.as_bytes())], set);
        graph.map(|graph| describe(&graph)).map_err(|errors| render(&errors))
    };
    assert!(
        load(&[("sample_rate", "8000"), ("root", "\"1\"")]).unwrap()[1].contains(r#"{"sample_rate":8000}"#)
    );
    assert!(load(&[("sample_rate", "8000"), ("root", "\"1\"")]).unwrap()[0].contains(r#""root":"1""#));
    insta::assert_snapshot!(load(&[("sampel_rate", "1"), ("sample_rate", "abc"), ("fold", "[1]"), ("root.x", "{ a: 1, a: 2 }")]).unwrap_err(), @r#"
    x.yaml:13:59 bad_param: `sample_rate` of stage `audio`: expected a whole number, at least 0, found the string `abc`
      `"${sample_rate}"` the value comes from `${sample_rate}`
      help: --set:2:13: `${sample_rate}` is defined here
    --set:1:1 unknown_param: the pipeline has no parameter `sampel_rate`
      `sampel_rate` set here
      help: did you mean `sample_rate`?
    --set:3:1 unknown_param: the pipeline has no parameter `fold`
      `fold` set here
      help: `fold` is an axis: write `matrix: { fold: "${values}" }` and `params: { values: […] }` to set it
    --set:4:16 duplicate_key: the key `a` stands twice in one map
      `a` again here
      --set:4:10 `a` first here
      help: keep one of them
    "#);
}

/// What a shell's user writes behind `=`, and the value that it is.
#[test]
fn set_takes_text_as_it_stands() {
    let text = "version: 1\nparams: { v: x }\nstages:\n  one: { uses: any, with: { value: \"${v}\" } }\n";
    let value = |set: &str| {
        let (graph, _folder) = load_files(&[("x.yaml", text.as_bytes())], &[("v", set)]);
        let graph = graph.unwrap_or_else(|errors| panic!("{set}: {}", render(&errors)));
        graph.instances[0].bound.params()["value"].clone()
    };
    let strings = [
        "run #2",
        "#2",
        "# ",
        "a: b",
        "a:",
        ": ",
        ":",
        "- a",
        "-",
        "? a",
        "*",
        "*a",
        "&a",
        "&a 1",
        "!x",
        "!!int 3",
        "%d",
        "@home",
        "`id`",
        "|",
        ">",
        "| a",
        "--- a",
        "...",
        "",
        " ",
        "a ",
        " a",
        "a\nb",
        "a\n\nb: c\n",
        "\t",
        "'",
        "\"",
        "it's",
        "'a' b",
        "\"a\" # b",
        "\"a",
        "a\"b\"",
        "[",
        "]",
        "[1, 2",
        "[1] 2",
        "[1, # two\n 2]",
        "[1] # one",
        "{",
        "{}}",
        "{a: 1} b",
        "[*a]",
        "\u{feff}a",
        "yes",
        "1 2",
        "1,2",
        "a, b",
        "<<",
        "$",
        "${",
        "$${v}",
        "\\n",
        "C:\\x",
        "1 #2",
        "null #",
        "é",
        "=",
        "==",
    ];
    for text in strings {
        // `${` is that of a reference, wherever it stands.
        let expected = if text == "$${v}" { "${v}" } else { text };
        if text != "${" {
            assert_eq!(value(text), serde_json::json!(expected), "{text:?}");
        }
    }
    let others = [
        ("3", "3"),
        (" 3 ", "3"),
        ("-1.5", "-1.5"),
        ("1e3", "1000.0"),
        ("true", "true"),
        ("False", "false"),
        ("null", "null"),
        ("~", "null"),
        ("\"3\"", "\"3\""),
        ("'run #2'", "\"run #2\""),
        ("\"a\\nb\"", "\"a\\nb\""),
        (" 'a' ", "\"a\""),
        ("[1, a, 'b #c']", "[1,\"a\",\"b #c\"]"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("{ a: 1, b: [x y, true] }", "{\"a\":1,\"b\":[\"x y\",true]}"),
        ("[a#b]", "[\"a#b\"]"),
        ("[1,\n 2]", "[1,2]"),
        ("[&a 1, *a]", "[1,1]"),
    ];
    for (text, json) in others {
        assert_eq!(value(text).to_string(), json, "{text:?}");
    }
}

#[test]
fn set_reaches_into_maps() {
    let text = r#"version: 1
params: { loss: { name: lq, q: 0.7 } }
stages:
  clips: { uses: data, with: { root: "${loss.name}${loss.q}" } }
"#;
    let (graph, _folder) = load_files(&[("x.yaml", text.as_bytes())], &[("loss.q", "0.5")]);
    assert!(describe(&graph.unwrap())[0].contains("lq0.5"));
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    let text = r#"version: 1
params: { keep: &rates { sample_rate: 8000 } }
stages:
  clips: { uses: data, with: { root: r } }
  one: &one { uses: decode, in: clips, with: *rates }
  two: { <<: *one, with: { <<: [*rates], sample_rate: 16000 } }
  three: { uses: decode, in: clips, with: "${keep}" }
"#;
    let lines = describe(&graph(text));
    assert_eq!(lines[1], r#"one {"sample_rate":8000} clips<-clips.clips"#);
    assert_eq!(lines[2], r#"two {"sample_rate":16000} clips<-clips.clips"#);
    assert_eq!(lines[3], r#"three {"sample_rate":8000} clips<-clips.clips"#);
}

#[test]
fn the_name_is_the_files_when_none_is_given() {
    let (graph, _folder) =
        load_files(&[("my.exp.yaml", EXAMPLE.replace("name: esc50\n", "").as_bytes())], &[]);
    assert_eq!(graph.unwrap().name, "my.exp");
}
