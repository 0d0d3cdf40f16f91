//! From the metrics of a matrix to a drawing.

use serde_json::json;
use sndpipe_engine::Axes;
use sndpipe_stages::artefacts::columns;

use crate::bench::{Bench, Run, Wire};

#[test]
fn metrics_of_a_matrix_become_a_drawing() {
    let bench = Bench::new();
    let mut cells = Vec::new();
    for (at, rate) in ["0", "2.5", "10"].into_iter().enumerate() {
        for seed in 0..3 {
            let metrics = columns::table(vec![
                ("metric", columns::Values::Text(vec!["mAP".to_owned()])),
                ("class", columns::Values::MaybeText(vec![None])),
                (
                    "value",
                    columns::Values::Number(vec![Some(0.5 + 0.1 * at as f64 + 0.02 * f64::from(seed))]),
                ),
                ("n", columns::Values::Int(vec![3])),
            ]);
            let metrics = bench.store.put_table("metrics", Default::default(), &metrics.unwrap()).unwrap();
            let axes: Axes =
                vec![("rate".to_owned(), rate.to_owned()), ("seed".to_owned(), seed.to_string())];
            cells.push((axes, metrics));
        }
    }
    let wires: Vec<Wire<'_>> =
        vec![("metrics", cells.iter().map(|(axes, manifest)| (axes.clone(), manifest)).collect())];
    let with = json!({ "metric": "mAP", "x": "rate", "x_label": "discarded (%)", "title": "Discarding" });
    let written = bench.run_as("plot", "plot", with, &wires, &Run::default()).unwrap();
    let svg = String::from_utf8(bench.store.read_blob(&written.outputs[0]).unwrap()).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for text in ["Discarding", "discarded (%)", "mAP (%)", "means; bars: one standard deviation over seed"] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
    assert_eq!(svg.matches("class=\"f0\"").count(), 3, "three points and no legend");
    assert!(!svg.contains("http://") || svg.matches("http").count() == 1, "nothing from elsewhere");
    let points = bench.table(&written.outputs[1]);
    assert_eq!(columns::text(&points, "x").unwrap(), ["0", "2.5", "10"]);
    let means = columns::number(&points, "mean").unwrap();
    assert!(means.iter().zip([0.52, 0.62, 0.72]).all(|(a, b)| (a.unwrap() - b).abs() < 1e-12));
    assert_eq!(written.outputs[1].meta["std_over"], "seed");
}
