//! Pictures of views.

use serde_json::{Value, json};
use sndpipe_engine::Written;

use crate::bench::{Bench, Task};

fn draw(bench: &Bench, task: &Task, with: Value) -> Written {
    let [features, _, split] = task.put(bench);
    bench.run("views", with, &[("features", &features), ("split", &split)])
}

fn picture(with: Value) -> String {
    let bench = Bench::new();
    let written = draw(&bench, &Task::new(100), with);
    String::from_utf8(bench.model(&written)).unwrap()
}

/// Of each row the clip's id with its sampler, and the frame where the patch starts.
fn rows(svg: &str) -> Vec<(String, usize)> {
    let titles = svg.split("font-weight=\"600\">").skip(1).map(|part| part.split_once('<').unwrap().0);
    titles
        .map(|title| {
            let (id, rest) = title.split_once(", view ").unwrap();
            (id.to_owned(), rest.split_once(" from frame ").unwrap().1.parse().unwrap())
        })
        .collect()
}

/// What is drawn of each patch, without its place.
fn images(svg: &str) -> Vec<&str> {
    svg.split("<g transform")
        .skip(1)
        .map(|part| part.split_once("crispEdges\">").unwrap().1.split_once("</g>").unwrap().0)
        .collect()
}

#[test]
fn starts_are_those_that_were_asked_for() {
    let starts = |patches: Value| {
        let svg = picture(json!({ "patch": { "frames": 8 }, "patches": patches, "clips": 50 }));
        let rows = rows(&svg);
        assert_eq!(rows.len(), 100);
        rows.chunks(2).map(|pair| (pair[0].1, pair[1].1)).collect::<Vec<_>>()
    };
    // Clips have up to 25 frames.
    assert!(starts(json!("same")).iter().all(|(a, b)| a == b));
    let near = starts(json!({ "name": "near", "frames": 2 }));
    assert!(near.iter().all(|(a, b)| a.abs_diff(*b) <= 2) && near.iter().any(|(a, b)| a < b));
    assert!(near.iter().any(|(a, b)| a > b) && near.iter().any(|(a, b)| a == b && *a > 0));
    let random = starts(json!("random"));
    assert!(random.iter().any(|(a, b)| a.abs_diff(*b) > 6) && random.iter().all(|(a, b)| a.max(b) <= &17));
    // First patches are the same whatever the second ones are.
    let first = |all: &[(usize, usize)]| all.iter().map(|(a, _)| *a).collect::<Vec<_>>();
    assert_eq!(first(&near), first(&random));
}

#[test]
fn every_step_is_drawn_and_changes_something() {
    let steps = [
        "mix_back",
        "mix",
        "crop",
        "time_shift",
        "frequency_shift",
        "compression",
        "spec_augment",
        "noise",
        "blur",
    ];
    let loud = |step: &str| match step {
        "mix_back" => json!({ "name": "mix_back", "alpha": 1.0 }),
        "mix" => json!({ "name": "mix", "share": 100 }),
        "noise" => json!({ "name": "noise", "deviation": 30 }),
        "time_shift" => json!({ "name": "time_shift", "frames": 8 }),
        other => json!(other),
    };
    let views: Vec<Value> = steps.into_iter().map(loud).collect();
    let with = json!({ "patch": { "frames": 8 }, "views": views, "patches": "same", "clips": 2 });
    let svg = picture(with.clone());
    let images = images(&svg);
    assert_eq!(images.len(), 2 * 2 * (1 + steps.len()));
    for step in steps.iter().chain(&["cut"]) {
        assert_eq!(svg.matches(&format!(">{step}<")).count(), 4, "{step}");
    }
    for row in images.chunks(1 + steps.len()) {
        for (pair, step) in row.windows(2).zip(steps) {
            assert!(pair[0] != pair[1], "{step} has changed nothing");
        }
    }
    assert_eq!(svg, picture(with.clone()));
    let mut later = with;
    later["epoch"] = json!(2);
    assert_ne!(svg, picture(later));
}

#[test]
fn every_sampler_has_its_rows() {
    let samplers = ["noise", "translation", "mixing", "proximity"];
    let svg = picture(json!({ "patch": { "frames": 8 }, "samplers": samplers, "clips": 3 }));
    let rows = rows(&svg);
    assert_eq!(rows.len(), 3 * 4 * 2);
    for pair in rows.chunks(2) {
        assert_eq!(pair[0].0, pair[1].0);
        let sampler = samplers.iter().find(|name| pair[0].0.ends_with(*name)).unwrap();
        assert!(*sampler == "proximity" || pair[0].1 == pair[1].1);
    }
    // Only the second view takes the sampler's steps: noise 1, translation 2, mixing 1, proximity none.
    assert_eq!(images(&svg).len(), 3 * (4 * 2 + 1 + 2 + 1));
}

#[test]
fn without_a_split_all_clips_are_there() {
    let (bench, task) = (Bench::new(), Task::new(5));
    let [features, ..] = task.put(&bench);
    let written =
        bench.run("views", json!({ "patch": { "frames": 8 }, "clips": 9 }), &[("features", &features)]);
    let svg = String::from_utf8(bench.model(&written)).unwrap();
    assert_eq!(rows(&svg).len(), 10);
    let error = bench
        .try_run(
            "views",
            json!({ "patch": { "frames": 8 }, "views": ["mix"] }),
            &[("features", &bench.rows("features", crate::bench::meta(), task.rows[..1].to_vec()))],
        )
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.to_string(), "`mix` needs 2 training clips, and there is 1");
}
