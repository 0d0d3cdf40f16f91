//! Flags for missing labels, judged by labels that were hidden.

use serde_json::json;
use sndpipe_stages::artefacts::{Labels, State};

use crate::bench::{Bench, Task};

#[test]
fn flags_are_judged_by_what_was_hidden() {
    let (bench, task) = (Bench::new(), Task::new(60));
    let truth = bench.labels(&task.labels);
    let split = bench.split(&task.split);
    let with = json!({ "share": 0.5, "seed": 1 });
    let hidden = bench.run("labels.hide", with, &[("labels", &truth), ("split", &split)]);
    let left = &hidden.outputs[0];
    let mut labels = Labels::read(&bench.table(left), &left.meta).unwrap();
    let missing: Vec<(String, usize)> = task
        .labels
        .clips
        .keys()
        .flat_map(|id| task.labels.present(id).map(|class| (id.clone(), class)))
        .filter(|(id, class)| labels.present(id).all(|of| of != *class))
        .collect();
    // 36 clips train, 12 of each class.
    assert_eq!(missing.len(), 18);
    assert_eq!(hidden.remarks, ["18 of 36 labels are hidden; 18 clips have none left"]);
    // Of the hidden ones every second is flagged; and as many that were never there.
    let mut flagged = 0;
    for (id, class) in missing.iter().step_by(2) {
        labels.clips.entry(id.clone()).or_default().insert(*class, State::Ignored);
        labels.clips.entry(id.clone()).or_default().insert((*class + 1) % 3, State::Ignored);
        flagged += 2;
    }
    let enhanced = bench.labels(&labels);
    let judged =
        bench.run("evaluate.recovery", json!({}), &[("labels", &enhanced), ("truth", &hidden.outputs[1])]);
    let metric = |name: &str| bench.metric(&judged.outputs[0], name);
    assert_eq!(flagged, 18);
    assert_eq!(metric("flag_precision"), Some(0.5));
    assert_eq!(metric("flag_recall"), Some(0.5));
    let none = bench.try_run("evaluate.recovery", json!({}), &[("labels", &truth), ("truth", &truth)]);
    assert_eq!(none.map(|_| ()).unwrap_err().to_string(), "the labels miss nothing that the truth has");
}
