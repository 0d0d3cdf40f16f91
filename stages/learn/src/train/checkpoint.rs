//! What an interrupted training leaves behind, and how it goes on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sndpipe_cache::Digest;
use sndpipe_engine::{StageError, StageIo};
use sndpipe_nn::Plateau;

use super::history::{Bits, History};
use super::params::WatchedMetric;
use super::task::Learner;

/// The first bytes of a checkpoint.
const MAGIC: &[u8; 8] = b"SNDCKPT2";
/// The name of the file in the stage's working directory.
const NAME: &str = "checkpoint";

/// Everything beside weights and optimiser that the rest of a training depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What the training is a function of; a checkpoint of another one is useless.
    pub fingerprint: String,
    /// Epochs that are over, validation included.
    pub epoch: u32,
    /// Steps done in the epoch that is not over.
    pub step: usize,
    /// Sums over the samples of the epoch of what steps measure; empty before the first step.
    pub sums: Vec<Bits>,
    /// Samples of the epoch.
    pub seen: usize,
    /// What was measured.
    pub history: History,
    /// The best epoch, if one was validated.
    pub best: Option<Best>,
    /// The last value that counted as an improvement for early stopping, and the epoch it came in.
    pub improved: Option<Best>,
    /// Whether early stopping has ended the training.
    pub stopped: bool,
    /// What a schedule that waits for a plateau has seen.
    #[serde(default)]
    pub plateau: Plateau,
}

/// An epoch with the value of the watched metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// Counted from 1.
    pub epoch: u32,
    /// Its value.
    pub value: Bits,
}

impl Best {
    /// Whether a value is better by more than a margin.
    pub fn beaten_by(self, value: f64, margin: f64, metric: WatchedMetric) -> bool {
        if metric.falls() { value < self.value.get() - margin } else { value > self.value.get() + margin }
    }
}

impl State {
    /// The start of a training.
    pub fn new(fingerprint: String) -> Self {
        Self {
            fingerprint,
            epoch: 0,
            step: 0,
            sums: Vec::new(),
            seen: 0,
            history: History::default(),
            best: None,
            improved: None,
            stopped: false,
            plateau: Plateau::default(),
        }
    }
}

/// A training at a moment.
pub(crate) struct Checkpoint<L> {
    pub learner: L,
    pub state: State,
    /// The weights of the best epoch, where the model is to be that one.
    pub best_weights: Option<Vec<u8>>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Writes a checkpoint over the earlier one.
///
/// The file is the magic, the BLAKE3 of the rest, the length of the learner's bytes, these, and the best weights.
///
/// # Errors
/// [`StageError::Cache`] if the cache cannot be written.
pub(crate) fn write<L: Learner>(
    io: &StageIo<'_>,
    learner: &mut L,
    state: &State,
    best: Option<&[u8]>,
) -> Result<(), StageError> {
    let state = serde_json::to_value(state).map_err(|error| StageError::failed(error.to_string()))?;
    let learner = learner.checkpoint(&state).map_err(|error| crate::model::failed(&error))?;
    let mut body = (learner.len() as u64).to_le_bytes().to_vec();
    body.extend(learner);
    body.extend(best.unwrap_or_default());
    io.write_work(NAME, &[MAGIC, &Digest::of(&body).0, &body])
}

/// Reads the checkpoint of a directory; `None` where there is none.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn read<L: Learner>(dir: &Path, fingerprint: &str) -> Result<Option<Checkpoint<L>>, String> {
    let bytes = match fs_err::read(path(dir)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let damaged = || "it is damaged".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| "it is no checkpoint of this version".to_owned())?;
    let (digest, body) = rest.split_at_checked(32).ok_or_else(damaged)?;
    if Digest::of(body).0 != digest {
        return Err(damaged());
    }
    let (length, rest) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (learner, best) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let (learner, state) = L::resume(learner).map_err(|error| error.to_string())?;
    let state: State = serde_json::from_value(state).map_err(|error| error.to_string())?;
    if state.fingerprint != fingerprint {
        return Err("it belongs to another training".to_owned());
    }
    let best_weights = (!best.is_empty()).then(|| best.to_vec());
    Ok(Some(Checkpoint { learner, state, best_weights }))
}
