//! How a run ended.

use std::collections::BTreeMap;
use std::time::Duration;

use sndpipe_cache::Digest;

use crate::cell::InstanceId;
use crate::event::Outcome;
use crate::key::Faces;

/// How a run ended.
pub struct RunReport {
    /// The run's id.
    pub id: String,
    /// One outcome for each instance that was looked at.
    pub outcomes: BTreeMap<InstanceId, Outcome>,
    /// The outputs of each instance that is up to date now.
    pub faces: Vec<Option<Faces>>,
    /// Keys, where inputs were known.
    pub keys: Vec<Option<Digest>>,
    /// Wall time.
    pub wall: Duration,
}

impl RunReport {
    /// How many instances ended so.
    #[must_use]
    pub fn count(&self, matches: fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| matches(outcome)).count()
    }

    /// Whether everything that was asked for is up to date.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcomes.values().all(|outcome| matches!(outcome, Outcome::Ran { .. } | Outcome::Cached { .. }))
    }
}
