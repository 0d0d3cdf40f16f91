//! Random pipelines, edits, kills, damage and full disks through the real program: whatever happened before, a run leaves exactly
//! what a run in an empty cache leaves.
//!
//! `SNDPIPE_CHAOS_ROUNDS` and `SNDPIPE_CHAOS_KILLS` ask for more than the few rounds of an ordinary test run, `SNDPIPE_CHAOS_SEED` for others.
//! `SNDPIPE_CHAOS_DIR` is the folder below which it happens, such as one on a file system whose times are whole seconds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod damage;
mod dice;
mod lab;
mod pipeline;
mod yaml;

use std::time::Duration;

use damage::damage;
use dice::Dice;
use lab::{Lab, number_from};
use pipeline::Experiment;

/// The property that matters most. Every round edits the pipeline or the data and then lets happen what happens: runs are killed,
/// alone or two at once, files of the cache are damaged, the disk is full. Then a run leaves exactly what one in an empty cache
/// leaves, and another one finds nothing to do. What is pinned stays, although results of equal content come and go.
#[test]
fn an_incremental_run_leaves_what_a_clean_run_leaves() {
    let rounds = number_from("SNDPIPE_CHAOS_ROUNDS", 6);
    let mut dice = Dice::new(number_from("SNDPIPE_CHAOS_SEED", 1));
    let lab = Lab::new();
    let mut experiment = Experiment::new(&lab, &mut dice);
    let mut sum = Sum::default();
    lab.write("pinned.yaml", pipeline::PINNED);
    lab.run("pinned.yaml", "cache", &[]);
    let pinned = lab.exports("pinned.yaml", "cache");
    for round in 0..rounds {
        // By name: what was damaged and is read by nobody is made again only if it is asked for.
        let stages: Vec<&str> = pinned.keys().map(String::as_str).collect();
        lab.run("pinned.yaml", "cache", &stages);
        lab.must("cache", &["cache", "pin", "paper", "pinned.yaml"]);
        let damaged = sum.damages;
        let edit = experiment.edit(&lab, &mut dice);
        experiment.write(&lab);
        let mut story = vec![edit];
        for _ in 0..dice.below(6) {
            story.extend(happen(&lab, &mut experiment, &mut dice, &mut sum));
        }
        let told = || format!("round {round}: {story:#?}; the pipeline:\n{}", lab.read("chaos.yaml"));
        let incremental = lab.contents("chaos.yaml", "cache");
        lab.remove("clean");
        let clean = lab.contents("plain.yaml", "clean");
        assert_eq!(incremental, clean, "{}", told());
        assert_eq!(lab.run("chaos.yaml", "cache", &[]).ran, 0, "{}", told());
        if sum.damages == damaged {
            // Nothing else may take away what is pinned, not even for a moment.
            assert_eq!(lab.run("pinned.yaml", "cache", &stages).ran, 0, "{}", told());
            for (stage, bytes) in &pinned {
                assert!(lab.exported("pinned.yaml", "cache", stage) == *bytes, "`{stage}`, {}", told());
            }
        }
        // What no stage had to read may still be damaged: it is found, and computed again when it is asked for.
        lab.repair("cache");
        let (ours, theirs) = (lab.exports("chaos.yaml", "cache"), lab.exports("plain.yaml", "clean"));
        assert!(ours == theirs, "other bytes, {}", told());
    }
    let Sum { kills, damages, full, collections } = sum;
    eprintln!(
        "{rounds} rounds, {kills} running programs killed, {damages} files damaged, {full} times a full disk, {collections} collections"
    );
}

/// What has happened so far.
#[derive(Default)]
struct Sum {
    kills: u64,
    damages: u64,
    full: u64,
    collections: u64,
}

/// Lets something happen to the cache and says what. What is killed has something to do most of the time.
fn happen(lab: &Lab, experiment: &mut Experiment, dice: &mut Dice, sum: &mut Sum) -> Vec<String> {
    // Mostly early, for a run of a small pipeline is soon over.
    let mut soon = || {
        let most = 20 << dice.below(4);
        Duration::from_millis(20 + dice.below(most))
    };
    let (first, second) = (soon(), soon());
    let what = dice.below(8);
    let mut story = Vec::new();
    if what < 5 {
        story.push(experiment.edit(lab, dice));
        experiment.write(lab);
    }
    story.extend(match what {
        0..=2 => {
            let hit = lab.run_and_kill("chaos.yaml", "cache", first, &[]);
            sum.kills += u64::from(hit);
            vec![format!("a run killed after {first:?}")]
        }
        3 => {
            let both = dice.below(2) == 0;
            sum.kills += lab.run_two_and_kill("chaos.yaml", "cache", [first, second], both);
            vec![format!("two runs, one killed after {first:?}, the other one {second:?} later: {both}")]
        }
        4 => {
            let spare = dice.below(400);
            let full = lab.run_on_full_disk("chaos.yaml", "cache", spare);
            sum.full += u64::from(full == Some(true));
            vec![format!("a run on a disk with {spare} KiB left: full {full:?}")]
        }
        5 => {
            sum.collections += 1;
            let ways: [&[&str]; 3] = [
                &["cache", "gc", "--keep-runs", "1"],
                &["cache", "gc", "chaos.yaml"],
                &["cache", "gc", "--max-size", "1MB"],
            ];
            let keep = dice.pick(&ways);
            // What a damaged pin keeps is not known, so that nothing is collected before it is there again.
            vec![format!("{}, done: {}", keep.join(" "), lab.collect("cache", keep))]
        }
        _ => {
            let damaged: Vec<_> =
                (0..=dice.below(4)).filter_map(|_| damage(&lab.path("cache"), dice)).collect();
            sum.damages += damaged.len() as u64;
            damaged
        }
    });
    story
}

/// A training that is killed again and again ends with the bytes of one that was left alone.
#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    let kills = number_from("SNDPIPE_CHAOS_KILLS", 3);
    let mut dice = Dice::new(number_from("SNDPIPE_CHAOS_SEED", 1));
    let lab = Lab::new();
    lab.write("train.yaml", pipeline::TRAINING);
    // What comes before training is there already, so that the kills hit the training.
    lab.run("train.yaml", "alone", &["split", "mel"]);
    lab.copy("alone", "killed");
    let (alone, seconds) = lab.timed(|| lab.run("train.yaml", "alone", &[]));
    assert!(alone.ran > 0);
    let mut hit = 0;
    for _ in 0..kills {
        let after = seconds.mul_f64(0.05 + 0.9 * dice.unit() / kills as f64 * 2.0);
        hit += u64::from(lab.run_and_kill("train.yaml", "killed", after, &[]));
    }
    lab.run("train.yaml", "killed", &[]);
    assert_eq!(lab.exported("train.yaml", "killed", "model"), lab.exported("train.yaml", "alone", "model"));
    assert_eq!(lab.contents("train.yaml", "killed"), lab.contents("train.yaml", "alone"));
    eprintln!("{hit} of {kills} kills hit a running training");
}

/// The same model bytes for one thread and for two.
#[test]
fn threads_change_no_bytes() {
    let lab = Lab::new();
    lab.write("train.yaml", pipeline::TRAINING);
    lab.run("train.yaml", "one", &["--jobs", "1"]);
    lab.run("train.yaml", "two", &["--jobs", "2"]);
    assert_eq!(lab.exported("train.yaml", "one", "model"), lab.exported("train.yaml", "two", "model"));
    assert_eq!(lab.contents("train.yaml", "one"), lab.contents("train.yaml", "two"));
}
