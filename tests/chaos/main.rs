//! Random pipelines, random edits and random kills through the real program: whatever happened before, a run leaves exactly what
//! a run in an empty cache leaves.
//!
//! `SNDPIPE_CHAOS_ROUNDS` and `SNDPIPE_CHAOS_KILLS` ask for more than the few rounds of an ordinary test run, `SNDPIPE_CHAOS_SEED` for others.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod dice;
mod lab;
mod pipeline;

use std::time::Duration;

use dice::Dice;
use lab::{Lab, number_from};
use pipeline::Experiment;

/// The property that matters most. Every round edits the pipeline or the data, kills a run at a random moment (or several),
/// runs to the end, and compares every artefact of every stage with those of a run in an empty cache.
#[test]
fn an_incremental_run_leaves_what_a_clean_run_leaves() {
    let rounds = number_from("SNDPIPE_CHAOS_ROUNDS", 6);
    let mut dice = Dice::new(number_from("SNDPIPE_CHAOS_SEED", 1));
    let lab = Lab::new();
    let mut experiment = Experiment::new(&lab, &mut dice);
    let mut kills = 0;
    for round in 0..rounds {
        let edit = experiment.edit(&lab, &mut dice);
        experiment.write(&lab);
        for _ in 0..dice.below(3) {
            let after = Duration::from_millis(dice.below(400));
            kills += u64::from(lab.run_and_kill("chaos.yaml", "cache", after, &[]));
        }
        let incremental = lab.contents("chaos.yaml", "cache");
        lab.remove("clean");
        let clean = lab.contents("chaos.yaml", "clean");
        assert_eq!(
            incremental,
            clean,
            "round {round}, after `{edit}`; the pipeline:\n{}",
            lab.read("chaos.yaml")
        );
        let again = lab.run("chaos.yaml", "cache", &[]);
        assert_eq!(again.ran, 0, "round {round}: the second run computed something");
    }
    eprintln!("{rounds} rounds, {kills} runs killed");
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
