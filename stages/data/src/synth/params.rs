//! Parameters of the stage `dataset.synth`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::SynthClass;

/// Clips with several overlapping events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenesParams {
    /// Number of scenes, 1 to 1000000; they follow the single-event clips.
    pub count: usize,
    /// Fewest events of a scene, 1 to `max_events`.
    #[serde(default = "one")]
    pub min_events: usize,
    /// Most events of a scene, at most the number of classes: all events of a scene are of different classes.
    #[serde(default = "three")]
    pub max_events: usize,
}

/// Synthesises labelled sound events from a seed: a data set that is always there, with its truth known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SynthParams {
    /// Number of classes, 2 to 12: the first so many of the list. Ignored where `class_list` is given.
    pub classes: usize,
    /// The classes by name, all different, at least one.
    pub class_list: Option<Vec<SynthClass>>,
    /// Single-event clips of every class, 0 to 1000000.
    pub clips_per_class: usize,
    /// Length of every clip in seconds, 0.5 to 60.
    pub seconds: f64,
    /// Sample rate in Hz, 8000 to 192000.
    pub sample_rate: u32,
    /// Seed of everything random, 0 to 9223372036854775807.
    pub seed: u64,
    /// Clips with several overlapping events; absent means none.
    pub scenes: Option<ScenesParams>,
    /// Number of uploaders, at least `folds`, at most 10000; each is in one fold only.
    pub uploaders: usize,
    /// Number of folds, 1 to 100.
    pub folds: usize,
    /// Lowest ratio of event to noise floor in dB, -20 to 60.
    pub min_snr_db: f64,
    /// Highest ratio of event to noise floor in dB, `min_snr_db` to 60.
    pub max_snr_db: f64,
}

fn one() -> usize {
    1
}

fn three() -> usize {
    3
}

impl Default for SynthParams {
    fn default() -> Self {
        Self {
            classes: 10,
            class_list: None,
            clips_per_class: 40,
            seconds: 2.0,
            sample_rate: 22_050,
            seed: 0,
            scenes: None,
            uploaders: 25,
            folds: 5,
            min_snr_db: 10.0,
            max_snr_db: 30.0,
        }
    }
}

impl SynthParams {
    /// Returns the vocabulary, in the order of the class indices.
    pub fn vocabulary(&self) -> Vec<SynthClass> {
        match &self.class_list {
            Some(list) => list.clone(),
            None => SynthClass::ALL.iter().copied().take(self.classes).collect(),
        }
    }

    /// Returns every value outside its range, as (field, message).
    pub fn check(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: String| wrong.push((field.to_owned(), message));
        let all = SynthClass::ALL.len();
        match &self.class_list {
            None if !(2..=all).contains(&self.classes) => {
                say("classes", format!("{} is outside 2..={all}", self.classes));
            }
            Some(list) if list.is_empty() => say("class_list", "is empty".into()),
            Some(list) => {
                if let Some(twice) = list.iter().enumerate().find(|(i, c)| list[..*i].contains(c)) {
                    say("class_list", format!("{} stands there twice", twice.1.name()));
                }
            }
            None => {}
        }
        if self.clips_per_class > 1_000_000 {
            say("clips_per_class", format!("{} is outside 0..=1000000", self.clips_per_class));
        }
        if !(0.5..=60.0).contains(&self.seconds) {
            say("seconds", format!("{} is outside 0.5..=60", self.seconds));
        }
        if !(8000..=192_000).contains(&self.sample_rate) {
            say("sample_rate", format!("{} is outside 8000..=192000", self.sample_rate));
        }
        if self.seed > i64::MAX as u64 {
            say("seed", format!("{} is outside 0..={}", self.seed, i64::MAX));
        }
        if !(1..=100).contains(&self.folds) {
            say("folds", format!("{} is outside 1..=100", self.folds));
        } else if !(self.folds..=10_000).contains(&self.uploaders) {
            say("uploaders", format!("{} is outside {}..=10000", self.uploaders, self.folds));
        }
        if !(-20.0..=60.0).contains(&self.min_snr_db) {
            say("min_snr_db", format!("{} is outside -20..=60", self.min_snr_db));
        } else if !(self.min_snr_db..=60.0).contains(&self.max_snr_db) {
            say("max_snr_db", format!("{} is outside {}..=60", self.max_snr_db, self.min_snr_db));
        }
        if let Some(scenes) = self.scenes {
            let classes = self.vocabulary().len();
            if !(1..=1_000_000).contains(&scenes.count) {
                say("scenes.count", format!("{} is outside 1..=1000000", scenes.count));
            }
            if scenes.max_events > classes || scenes.max_events == 0 {
                say("scenes.max_events", format!("{} is outside 1..={classes}", scenes.max_events));
            } else if !(1..=scenes.max_events).contains(&scenes.min_events) {
                say(
                    "scenes.min_events",
                    format!("{} is outside 1..={}", scenes.min_events, scenes.max_events),
                );
            }
        } else if self.clips_per_class == 0 {
            say("clips_per_class", "0 without scenes is an empty data set".into());
        }
        wrong
    }
}
