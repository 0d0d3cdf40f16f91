//! Embeddings of clips.

use serde_json::json;
use sndpipe_cache::{Row, Values};
use sndpipe_engine::RowCounts;
use sndpipe_stages::artefacts::Subset;

use crate::bench::{BANDS, Bench, Task, meta, small};

#[test]
fn a_clip_is_the_mean_of_its_patches() {
    let bench = Bench::new();
    let task = Task::new(40);
    let [features, _, split] = task.put(&bench);
    let model = task.train(&bench, small(json!({ "epochs": 2 }))).outputs.remove(0);
    let wires = [("features", &features), ("model", &model), ("split", &split)];
    let clips = bench.run("embed", json!({ "subset": "test" }), &wires);
    let patches = bench.run("embed", json!({ "per": "patch" }), &wires[..2]);
    assert_eq!((&clips.outputs[0].meta["size"], &clips.outputs[0].meta["per"]), (&json!(16), &json!("clip")));
    assert_eq!(patches.outputs[0].meta["per"], json!("patch"));
    let (clips, patches) = (
        bench.store.open_rows(&clips.outputs[0]).unwrap(),
        bench.store.open_rows(&patches.outputs[0]).unwrap(),
    );
    assert_eq!(patches.len(), 40);
    assert_eq!(clips.ids().iter().collect::<Vec<_>>(), task.split.of(Subset::Test).collect::<Vec<_>>());
    for (position, id) in clips.ids().iter().enumerate() {
        let (clip, all) = (clips.row(position).unwrap(), patches.row(patches.position(id).unwrap()).unwrap());
        let frames = task.rows.iter().find(|(name, _)| name == id).unwrap().1.frames;
        // Patches of 8 frames, every 4.
        assert_eq!(all.frames, frames.saturating_sub(8) / 4 + 1);
        assert_eq!((clip.frames, clip.values.len(), all.values.len()), (1, 16, 16 * all.frames as usize));
        let all = all.to_f32();
        for (unit, found) in clip.to_f32().iter().enumerate() {
            let sum: f64 = all.iter().skip(unit).step_by(16).map(|&value| f64::from(value)).sum();
            assert!((f64::from(*found) - sum / (all.len() / 16) as f64).abs() < 1e-6);
        }
    }
    let again = bench.run("embed", json!({ "subset": "test" }), &wires);
    assert_eq!(again.rows, RowCounts { computed: 0, reused: 8, skipped: 0, remarked: 0 });
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    let task = Task::new(20);
    let model = task.train(&bench, small(json!({ "epochs": 1 }))).outputs.remove(0);
    let mut other = meta();
    other.insert("recipe".to_owned(), json!({ "name": "another" }));
    let features = bench.rows("features", other, task.rows.clone());
    let refused = |features| {
        let wires = [("features", features), ("model", &model)];
        bench.try_run("embed", json!({}), &wires).map(|_| ()).unwrap_err().to_string()
    };
    let error = refused(&features);
    assert!(error.starts_with("the model was trained on other features: `recipe` was"), "{error}");
    let broken = Row { frames: 9, values: Values::F32(vec![f32::NAN; 9 * BANDS]) };
    let error = refused(&bench.rows("features", meta(), vec![("broken".to_owned(), broken)]));
    assert!(error.contains("broken: the embeddings are not finite"), "{error}");
}
