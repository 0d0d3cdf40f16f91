//! From several trainings to one table.

use serde_json::json;
use sndpipe_engine::Axes;
use sndpipe_stages::artefacts::columns;

use crate::bench::{Bench, Run, Task, small};

#[test]
fn evaluations_of_a_matrix_become_a_table() {
    let bench = Bench::new();
    let task = Task::new(40);
    let mut cells = Vec::new();
    for loss in ["cce", "bce"] {
        for seed in [0, 1] {
            let evaluation = task.judge(
                &bench,
                small(json!({ "epochs": 2, "loss": loss, "seed": seed })),
                json!({ "subset": "val" }),
            );
            let axes: Axes =
                vec![("loss".to_owned(), loss.to_owned()), ("seed".to_owned(), seed.to_string())];
            cells.push((axes, evaluation.outputs[0].clone()));
        }
    }
    let wires = cells.iter().map(|(axes, manifest)| (axes.clone(), manifest)).collect();
    let with = json!({ "rows": "loss", "over": ["seed"], "metric": "accuracy" });
    let written = bench.run_as("table", "table", with, &[("metrics", wires)], &Run::default()).unwrap();
    let table = bench.table(&written.outputs[0]);
    assert_eq!(columns::text(&table, "loss").unwrap(), ["cce", "bce"]);
    let means = columns::number(&table, "mean").unwrap();
    for (row, mean) in means.into_iter().enumerate() {
        let of = |cell: usize| bench.metric(&cells[2 * row + cell].1, "accuracy").unwrap();
        assert!((mean.unwrap() - f64::midpoint(of(0), of(1))).abs() < 1e-12);
    }
    assert_eq!(written.outputs[0].meta["std_over"], "seed");
}

#[test]
fn rows_are_compared_with_a_baseline() {
    let bench = Bench::new();
    let mut cells = Vec::new();
    for (row, gain) in [("mp", 0.0), ("aps", 0.05), ("blur", 0.0)] {
        for fold in 0..8 {
            // What `blur` gains in one fold it loses in the next.
            let noise = if row == "blur" { [0.04, -0.04][fold % 2] } else { 0.001 * fold as f64 };
            let metrics = columns::table(vec![
                ("metric", columns::Values::Text(vec!["mAP".to_owned()])),
                ("class", columns::Values::MaybeText(vec![None])),
                ("value", columns::Values::Number(vec![Some(0.3 + 0.05 * fold as f64 + gain + noise)])),
                ("n", columns::Values::Int(vec![1])),
            ]);
            let metrics = bench.store.put_table("metrics", Default::default(), &metrics.unwrap()).unwrap();
            let axes: Axes = vec![("pool".to_owned(), row.to_owned()), ("fold".to_owned(), fold.to_string())];
            cells.push((axes, metrics));
        }
    }
    let run = |cells: &[(Axes, sndpipe_cache::Manifest)]| {
        let wires = cells.iter().map(|(axes, manifest)| (axes.clone(), manifest)).collect();
        let with = json!({ "rows": "pool", "over": "fold", "metric": "mAP", "baseline": "mp" });
        bench.run_as("compared", "table", with, &[("metrics", wires)], &Run::default())
    };
    let table = bench.table(&run(&cells).unwrap().outputs[0]);
    assert_eq!(columns::text(&table, "verdict").unwrap(), ["baseline", "better", "within noise"]);
    let difference = columns::number(&table, "difference").unwrap();
    assert!((difference[1].unwrap() - 0.05).abs() < 1e-12, "{difference:?}");
    cells.pop();
    let error = run(&cells).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "row `blur`, metric `mAP`: the row has no cell fold=7");
}
