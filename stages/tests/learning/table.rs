//! From several trainings to one table.

use serde_json::json;
use sndpipe_engine::Axes;
use sndpipe_stages::columns;

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
