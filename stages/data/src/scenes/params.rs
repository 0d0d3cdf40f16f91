//! Parameters of `scenes`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::ParamError;

/// Mixes clips of a data set with one class a clip into scenes with several events, whose truth is known.
///
/// Inputs: `audio`, `clips` and `labels` of the data set, and optionally `split`. Scenes are made within a subset of the split; without
/// a split within a fold and a subset, as the columns `fold` and `subset` of the clips say, where they are there. So no clip is heard on
/// both sides.
///
/// An event is a stretch of a clip that holds at least half of the energy of its loudest stretch of that length, cut out with fades of
/// 10 ms. The events of a scene are of different classes, each class as likely. A scene depends on the seed, its group and its number
/// alone, so that a larger `count` leaves the first ones of each group as they are.
///
/// Outputs: `clips` (without files; with the `fold` and the `subset` that a scene was made within), `labels`, `audio`, and `events`:
/// `clip_id, class, onset, duration` (seconds), `level_db` (root mean square in dB of full scale, as it is in the scene), `source` (a
/// clip), `source_onset` (seconds) and `uploader`. Scenes mix uploaders, so the table of clips names none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixParams {
    /// Number of scenes, `1..=1000000`, shared out among the groups by their clips.
    pub count: usize,
    /// Length of a scene in seconds, `0.1..=600`.
    pub seconds: f64,
    /// Fewest events of a scene, `1..=max_events`.
    pub min_events: usize,
    /// Most events of a scene, at most the classes of a group.
    pub max_events: usize,
    /// Shortest event in seconds, above 0; a clip that is shorter is taken whole.
    pub min_event_seconds: f64,
    /// Longest event in seconds, `min_event_seconds..=seconds`.
    pub max_event_seconds: f64,
    /// Lowest level of an event in dB of full scale, `-120..=0`.
    pub min_level_db: f64,
    /// Highest level of an event in dB of full scale, `min_level_db..=0`. A scene that would leave full scale is made quieter.
    pub max_level_db: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for MixParams {
    fn default() -> Self {
        Self {
            count: 400,
            seconds: 5.0,
            min_events: 1,
            max_events: 3,
            min_event_seconds: 0.5,
            max_event_seconds: 3.0,
            min_level_db: -34.0,
            max_level_db: -22.0,
            seed: 0,
        }
    }
}

impl MixParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let mut within = |name: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                mistakes.push(ParamError::new(name, format!("{value} is outside {low}..={high}")));
            }
        };
        within("count", self.count as f64, 1.0, 1e6);
        within("seconds", self.seconds, 0.1, 600.0);
        within("max_events", self.max_events as f64, 1.0, 1000.0);
        within("min_events", self.min_events as f64, 1.0, self.max_events.max(1) as f64);
        within("max_event_seconds", self.max_event_seconds, 0.01, self.seconds.max(0.01));
        within("min_event_seconds", self.min_event_seconds, 0.01, self.max_event_seconds.max(0.01));
        within("max_level_db", self.max_level_db, -120.0, 0.0);
        within("min_level_db", self.min_level_db, -120.0, self.max_level_db.clamp(-120.0, 0.0));
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_are_turned_around_are_named() {
        assert_eq!(MixParams::default().mistakes(), []);
        let params = MixParams {
            count: 0,
            min_events: 4,
            max_event_seconds: 9.0,
            min_level_db: -10.0,
            ..MixParams::default()
        };
        let found: Vec<String> =
            params.mistakes().into_iter().map(|error| format!("{} {}", error.path, error.message)).collect();
        assert_eq!(
            found,
            [
                "count 0 is outside 1..=1000000",
                "min_events 4 is outside 1..=3",
                "max_event_seconds 9 is outside 0.01..=5",
                "min_level_db -10 is outside -120..=-22",
            ]
        );
    }
}
