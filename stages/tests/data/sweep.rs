//! A sweep over discard rates shares everything that does not depend on the rate.

use crate::sandbox::Sandbox;

/// Rates in per cent, as in the published experiment: 18 between 0 and 20.
const RATES: [&str; 18] = [
    "0", "0.1", "0.25", "0.5", "0.75", "1", "1.5", "2", "3", "4", "5", "6", "7", "8", "10", "12", "15", "20",
];

fn stages(rates: &[&str]) -> String {
    format!(
        "
matrix:
  rate: [{}]
stages:
  clips: {{ uses: dataset.csv, with: {{ manifest: 'DIR/data/data.csv', fold: fold }} }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: 8000 }} }}
  mel: {{ uses: spectrogram, in: audio, with: {{ bands: 20, high_hz: 4000 }} }}
  split: {{ uses: split.folds, in: clips, with: {{ test: 1 }} }}
  teacher:
    uses: train
    in: {{ features: mel, labels: clips.labels, split: split }}
    with: &training {{ network: mlp, patch: {{ frames: 8 }}, batch: 4, epochs: 1, loss: bce }}
  opinion: {{ uses: score, in: {{ model: teacher, features: mel, split: split }}, with: {{ subset: train }} }}
  labels: {{ uses: labels.enhance, in: {{ labels: clips.labels, scores: opinion, split: split }}, with: {{ rate: '${{rate}}' }} }}
  model: {{ uses: train, in: {{ features: mel, labels: labels, split: split }}, with: *training }}
  scores: {{ uses: score, in: {{ model: model, features: mel, split: split }} }}
  eval: {{ uses: evaluate, in: {{ scores: scores, labels: clips.labels }}, with: {{ task: multi_label }} }}
",
        rates.join(", ")
    )
}

#[test]
fn eighteen_rates_have_one_teacher() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let graph = sandbox.graph(&stages(&RATES));
    let count = |stage: &str| graph.select(stage).unwrap().len();
    let names = ["clips", "audio", "mel", "split", "teacher", "opinion", "labels", "model", "scores", "eval"];
    assert_eq!(names.map(count), [1, 1, 1, 1, 1, 1, 18, 18, 18, 18]);
}

#[test]
fn a_rate_more_runs_what_depends_on_it() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    // Of each class two training clips have no label: none, one and both are marked.
    let first = sandbox.run(&stages(&["0", "100"]));
    let statuses = first.statuses();
    let cached: Vec<&str> = statuses.split(", ").filter(|status| !status.ends_with(" ran")).collect();
    // Where nothing is marked the student is the teacher, which is there already.
    assert_eq!(cached, ["model[rate=0] cached"]);
    let second = sandbox.run(&stages(&["0", "50", "100"]));
    let statuses = second.statuses();
    let ran: Vec<&str> = statuses.split(", ").filter(|status| status.ends_with(" ran")).collect();
    assert_eq!(
        ran,
        ["labels[rate=50] ran", "model[rate=50] ran", "scores[rate=50] ran", "eval[rate=50] ran"]
    );
}

#[test]
fn rows_and_axes_are_known_before_anything_runs() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let with = |last: &str| format!("{}{last}", stages(&["0", "100"]));
    let table = |with: &str| {
        format!(
            "  table: {{ uses: table, in: {{ metrics: {{ from: eval, collect: [rate] }} }}, with: {{ {with} }} }}\n"
        )
    };
    sandbox.graph(&with(&table("rows: rate, metric: mAP, baseline: '0', paper: { '100': { value: 0.5 } }")));
    let claims = |better: &str| {
        let metrics = "metrics: { from: eval, collect: [rate] }";
        let claim = format!("{{ better: '{better}', than: '0', source: figure }}");
        format!(
            "  said: {{ uses: claims, in: {{ {metrics} }}, with: {{ rows: rate, metric: mAP, claims: [{claim}] }} }}\n"
        )
    };
    sandbox.graph(&with(&claims("100")));
    let plot = |x: &str| {
        format!(
            "  curve: {{ uses: plot, in: {{ metrics: {{ from: eval, collect: [rate] }} }}, with: {{ x: {x}, metric: mAP }} }}\n"
        )
    };
    sandbox.graph(&with(&plot("rate")));
    for (stage, error) in [
        (
            table("rows: raet, metric: mAP"),
            "the metrics have no axis `raet`; the collected axes are: rate / did you mean `rate`?",
        ),
        (
            table("rows: rate, metric: mAP, over: fold"),
            "no axis `fold`; the collected axes are: rate / write `collect: [fold]`",
        ),
        (
            table("metric: mAP, over: []"),
            "the axis `rate` is collected, but is neither in `rows` nor in `columns` nor in `over`",
        ),
        (
            table("rows: rate, metric: mAP, baseline: '1'"),
            "`baseline` names the row `1`; the rows are `0`, `100`",
        ),
        (table("rows: rate, metric: mAP, paper: { '50': { value: 0.5 } }"), "`paper` names the row `50`"),
        (
            table("rows: rate, metric: mAP, paper: { '100': { value: 57.5 } }"),
            "57.5 is no fraction, as `mAP` is / write 0.575",
        ),
        (claims("50"), "`claims[0].better` names the row `50`"),
        (plot("fold"), "the metrics have no axis `fold`"),
    ] {
        let said = sandbox.refused(&with(&stage));
        assert!(said.contains(error), "{stage}: {said}");
    }
}

#[test]
fn a_misspelt_step_is_named_with_its_place_and_nothing_else_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let encoder = |views: &str| {
        let with = format!("{{ patches: same, views: {views}, knn: {{ every: 0 }} }}");
        format!(
            "{}  encoder: {{ uses: pretrain, in: {{ features: mel, split: split, labels: clips.labels }}, with: {with} }}\n",
            stages(&["0"])
        )
    };
    let said = sandbox.refused(&encoder("[noise, compresion]"));
    assert!(
        said.contains("`views[1]` of stage `encoder`: `compresion` is not one of `mix_back`, "),
        "{said}"
    );
    assert!(
        said.contains("did you mean `compression`?") && said.contains("0 is outside 1..=1000000"),
        "{said}"
    );
    assert!(!said.contains("no step changes the patch"), "{said}");
    let said = sandbox.refused(&encoder("[noise, { name: crop, aera: [0.5, 1] }]"));
    assert!(said.contains("did you mean `area`?"), "{said}");
    let said = sandbox.refused(&encoder("[]"));
    assert!(said.contains("no step changes the patch that both views are"), "{said}");
}
