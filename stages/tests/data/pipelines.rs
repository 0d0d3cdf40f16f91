//! The files in `pipelines/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sndpipe_engine::{Graph, ScanError, Sources, load};
use sndpipe_stages::registry;

use crate::dataset::esc50;
use crate::official::{
    audioset, audioset_balanced, audioset_unbalanced, dcase2013, fsd50k, fsd50k_infos, fsdnoisy18k,
    urbansound8k,
};
use crate::sandbox::{Sandbox, said};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines")
}

fn graph(file: &Path) -> Graph {
    load(file, &[], &registry()).unwrap_or_else(|errors| panic!("{}: {}", file.display(), said(&errors)))
}

/// Every pipeline file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_is_a_sound_pipeline() {
    let all = files(&folder());
    assert!(all.len() >= 3, "{all:?}");
    for file in all {
        let graph = graph(&file);
        assert_eq!(Some(graph.name.as_str()), file.file_stem().and_then(|stem| stem.to_str()));
        for name in ["clips", "audio", "mel", "split", "model", "scores", "eval", "table"] {
            assert!(graph.select(name).is_ok(), "{}: no stage `{name}`", file.display());
        }
    }
}

/// What compares rows can say that one is better: with fewer than six pairs nothing is.
#[test]
fn comparisons_have_pairs_enough_for_a_verdict() {
    let mut seen = 0;
    for file in files(&folder()) {
        let graph = graph(&file);
        for instance in &graph.instances {
            let params = instance.bound.params();
            let compares = ["baseline", "claims", "recovered"]
                .iter()
                .any(|name| params.get(name).is_some_and(|value| !value.is_null()));
            if !compares {
                continue;
            }
            let over = params["over"].as_array().unwrap_or_else(|| panic!("{}: {instance}", file.display()));
            let metrics = instance.inputs.iter().find(|input| input.port == "metrics").unwrap();
            let place = |item: &sndpipe_engine::Item| -> Vec<String> {
                let axes = item.axes.iter().filter(|(axis, _)| over.iter().any(|name| name == axis));
                axes.map(|(axis, value)| format!("{axis}={value:?}")).collect()
            };
            let pairs: BTreeSet<Vec<String>> = metrics.items.iter().map(place).collect();
            assert!(pairs.len() >= 6, "{}: {instance} has {} pairs", file.display(), pairs.len());
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn what_no_fold_changes_is_there_once() {
    for name in ["esc10", "esc50"] {
        let graph = graph(&folder().join(format!("{name}.yaml")));
        let count = |stage| graph.select(stage).unwrap().len();
        let counts = ["clips", "audio", "mel", "split", "model", "scores", "eval", "table"].map(count);
        assert_eq!(counts, [1, 1, 1, 5, 5, 5, 5, 1], "{name}");
    }
}

/// Loads a pipeline with the data of a sandbox and looks for its files; gives what is wrong with the data, if something is.
fn scan(name: &str, sandbox: &Sandbox, overrides: &[(&str, &str)]) -> Result<Graph, String> {
    let path = |value: &str| sandbox.path(value).display().to_string();
    let overrides: Vec<_> = overrides.iter().map(|(key, value)| ((*key).to_owned(), path(value))).collect();
    let file = folder().join(format!("{name}.yaml"));
    let graph =
        load(&file, &overrides, &registry()).unwrap_or_else(|errors| panic!("{name}: {}", said(&errors)));
    match Sources::scan(&graph, &sandbox.store(), &[]) {
        Ok(_) => Ok(graph),
        Err(ScanError::Spec(errors)) => Err(said(&errors)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_pipelines_of_fsd50k_plan_where_it_is_and_say_what_is_missing() {
    let sandbox = Sandbox::new();
    let baselines = || scan("fsd50k_baselines", &sandbox, &[("root", "fsd")]);
    let split = || scan("fsd50k_split", &sandbox, &[("root", "fsd"), ("ontology", "ontology.json")]);
    for missing in [baselines(), split()] {
        let said = missing.err().unwrap();
        assert!(said.contains("FSD50K: `") && said.contains("zenodo.org/records/4060432"), "{said}");
    }
    fsd50k(&sandbox);
    let graph = baselines().unwrap();
    let count = |stage| graph.select(stage).unwrap().len();
    assert_eq!(["clips", "mel", "split", "model", "table"].map(count), [1, 1, 1, 4, 1]);
    let said = split().err().unwrap();
    assert!(said.contains("ontology.json"), "{said}");
    sandbox.file("ontology.json", "[]");
    fsd50k_infos(&sandbox);
    let graph = split().unwrap();
    let count = |stage| graph.select(stage).unwrap().len();
    assert_eq!(["leaves", "mel", "official", "split", "val_eval", "eval"].map(count), [1, 1, 1, 3, 3, 3]);
    fs_err::remove_dir_all(sandbox.path("fsd/FSD50K.metadata/collection")).unwrap();
    let said = split().err().unwrap();
    assert!(said.contains("the file `FSD50K.metadata/collection/collection_dev.csv` is missing"), "{said}");
}

/// A pipeline that reads a published data set: nothing of the set is there, then all of it, then all but one of its parts.
///
/// `counts` are instances of stages where the set is there.
fn follows_its_data(
    name: &str,
    (root, from): (&str, &str),
    data: &[fn(&Sandbox)],
    counts: &[(&str, usize)],
    part: &str,
) {
    let sandbox = Sandbox::new();
    let scan = || scan(name, &sandbox, &[("root", root)]);
    let said = scan().err().unwrap_or_else(|| panic!("{name} has no data and plans"));
    assert!(said.contains(&format!("{root}` does not exist")), "{name}: {said}");
    assert!(said.contains(from), "{name} does not say where the data is from: {said}");
    data.iter().for_each(|make| make(&sandbox));
    let graph = scan().unwrap_or_else(|said| panic!("{name}: {said}"));
    for &(stage, count) in counts {
        assert_eq!(graph.select(stage).unwrap().len(), count, "{name}: {stage}");
    }
    let path = sandbox.path(&format!("{root}/{part}"));
    if path.is_dir() { fs_err::remove_dir_all(path) } else { fs_err::remove_file(path) }.unwrap();
    let said = scan().err().unwrap_or_else(|| panic!("{name} plans without {part}"));
    assert!(said.contains(&format!("`{part}` is missing")), "{name}: {said}");
    assert!(said.contains(from), "{name}: {said}");
}

#[test]
fn a_pipeline_plans_on_the_layout_of_its_data_and_says_what_is_missing() {
    let fsd = ("fsd", "zenodo.org/records/4060432");
    let counts = [("mel", 1), ("split", 1), ("model", 60), ("shifts", 60)];
    follows_its_data("shift_invariance", fsd, &[fsd50k], &counts, "FSD50K.dev_audio");

    let noisy = ("noisy", "zenodo.org/records/2529934");
    // Twenty trainings on four sets of clips, and four that treat verified clips apart; six seeds.
    let counts = [("mel", 1), ("official", 4), ("split", 4), ("model", 144)];
    follows_its_data("noisy_losses", noisy, &[fsdnoisy18k], &counts, "FSDnoisy18k.meta/test.csv");
    let counts = [("mel", 1), ("model", 66), ("first", 6), ("losses", 6), ("believed", 36), ("second", 36)];
    follows_its_data("noisy_selection", noisy, &[fsdnoisy18k], &counts, "FSDnoisy18k.audio_train");

    let segments = ("as", "research.google.com/audioset");
    let counts = [("mel", 1), ("teacher", 1), ("opinion", 1), ("enhanced", 18), ("model", 108)];
    let data: [fn(&Sandbox); 2] = [audioset, audioset_balanced];
    follows_its_data("missing_labels", segments, &data, &counts, "balanced_train_segments.csv");

    let esc = ("esc", "github.com/karolpiczak/ESC-50");
    follows_its_data("esc50", esc, &[esc50], &[("mel", 1), ("split", 5), ("model", 5)], "audio");
}

#[test]
fn a_pipeline_without_labels_plans_on_the_layout_of_its_data_and_says_what_is_missing() {
    let noisy = ("noisy", "zenodo.org/records/2529934");
    // Three networks from three starts with six seeds, each judged by two tasks and by verified clips; curves of one start; seventeen variants.
    let counts = [
        ("mel", 1),
        ("split", 1),
        ("encoder", 54),
        ("progress", 18),
        ("curve", 1),
        ("knn", 54),
        ("model", 108),
        ("verified_model", 54),
        ("variant_encoder", 102),
    ];
    for part in ["FSDnoisy18k.meta/train.csv", "FSDnoisy18k.audio_test"] {
        follows_its_data("contrastive", noisy, &[fsdnoisy18k], &counts, part);
    }

    let esc = ("esc", "github.com/karolpiczak/ESC-50");
    let counts =
        [("mel", 1), ("split", 5), ("encoder", 20), ("watched", 10), ("unlabelled_curve", 1), ("model", 20)];
    for part in ["meta/esc50.csv", "audio"] {
        follows_its_data("npid_esc", esc, &[esc50], &counts, part);
    }

    let segments = ("as", "research.google.com/audioset");
    // Five ways to make pairs with six seeds, and the one with labels.
    let counts = [
        ("mel", 1),
        ("encoder", 30),
        ("topline", 6),
        ("topline_found", 6),
        ("recovered", 1),
        ("few", 6),
        ("model", 30),
    ];
    let data: [fn(&Sandbox); 2] = [audioset, audioset_unbalanced];
    for part in ["unbalanced_train_segments.csv", "class_labels_indices.csv", "audio"] {
        follows_its_data("triplet", segments, &data, &counts, part);
    }
}

#[test]
fn an_encoder_of_several_sets_is_trained_once_for_all_folds() {
    let sandbox = Sandbox::new();
    let scan =
        || scan("npid_union", &sandbox, &[("root", "esc"), ("urbansound8k", "us"), ("dcase2013", "scenes")]);
    esc50(&sandbox);
    urbansound8k(&sandbox);
    let said = scan().err().unwrap();
    assert!(said.contains("dcase.community/challenge2013"), "{said}");
    dcase2013(&sandbox);
    let graph = scan().unwrap_or_else(|said| panic!("{said}"));
    // From scratch and pre-trained, with two seeds.
    let counts = ["all_mel", "mel", "split", "encoder", "watched", "vectors", "model", "speed"]
        .map(|stage| graph.select(stage).unwrap().len());
    assert_eq!(counts, [1, 1, 5, 4, 2, 20, 20, 1]);
}

#[test]
fn a_small_pipeline_without_labels_plans_on_its_list_of_clips_and_says_what_is_missing() {
    let folds = ("split", 2);
    for (name, counts) in [
        (
            "contrastive",
            [folds, ("encoder", 18), ("model", 18), ("linear_model", 18), ("variant_encoder", 36)],
        ),
        ("npid_esc", [folds, ("encoder", 12), ("model", 12), ("vectors", 12), ("eval", 12)]),
        ("triplet", [folds, ("encoder", 30), ("topline", 6), ("recovered", 1), ("model", 30)]),
    ] {
        let sandbox = Sandbox::new();
        let scan = || scan(&format!("small/{name}"), &sandbox, &[("manifest", "esc10/esc10.csv")]);
        let said = scan().err().unwrap_or_else(|| panic!("{name} has no data and plans"));
        assert!(
            said.contains("the CSV file `") && said.contains("esc10/esc10.csv` does not exist"),
            "{said}"
        );
        esc10(&sandbox);
        let graph = scan().unwrap_or_else(|said| panic!("{name}: {said}"));
        for (stage, count) in counts {
            assert_eq!(graph.select(stage).unwrap().len(), count, "{name}: {stage}");
        }
        fs_err::remove_file(sandbox.path("esc10/rain/2.wav")).unwrap();
        let said = scan().err().unwrap_or_else(|| panic!("{name} plans without a clip"));
        assert!(
            said.contains("1 of 4 audio files is missing") && said.contains("`rain/2.wav` (line 5)"),
            "{said}"
        );
        let list = fs_err::read_to_string(sandbox.path("esc10/esc10.csv")).unwrap();
        sandbox.file("esc10/esc10.csv", list.replace(",fold,", ",part,"));
        let said = scan().err().unwrap_or_else(|| panic!("{name} plans without folds"));
        assert!(said.contains("no column `fold`"), "{said}");
    }
}

/// Two clips of two classes, in the folds that the small pipelines test on, listed as they expect it.
fn esc10(sandbox: &Sandbox) {
    let mut text = "path,fold,target,category,uploader,license\n".to_owned();
    for (target, class) in ["dog", "rain"].into_iter().enumerate() {
        for fold in 1..=2 {
            sandbox.tone(&format!("esc10/{class}/{fold}.wav"), 300.0 * fold as f32 + 100.0 * target as f32);
            text.push_str(&format!("{class}/{fold}.wav,{fold},{target},{class},ann,CC0\n"));
        }
    }
    sandbox.file("esc10/esc10.csv", text);
}

#[test]
fn waveforms_are_changed_where_the_paper_does_it_and_not_in_the_small_one() {
    for (file, changed) in [("npid_esc.yaml", true), ("small/npid_esc.yaml", false)] {
        let graph = graph(&folder().join(file));
        for name in ["encoder", "model"] {
            for id in graph.select(name).unwrap() {
                let instance = &graph.instances[id];
                let heard =
                    instance.inputs.iter().any(|input| input.port == "audio" && !input.items.is_empty());
                assert_eq!(heard, changed, "{file}: {instance}");
                assert_eq!(instance.bound.params().get("waveform").is_some(), changed, "{file}: {instance}");
            }
        }
    }
}

#[test]
fn poolings_share_what_comes_before_the_network() {
    let graph = graph(&folder().join("small/shift_invariance.yaml"));
    let count = |stage| graph.select(stage).unwrap().len();
    let counts = ["clips", "audio", "mel", "split", "model", "shifts", "table", "time"].map(count);
    assert_eq!(counts, [1, 1, 1, 2, 30, 30, 1, 1]);
}
