//! How neighbours are found and counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_engine::{ParamError, StageError};

use super::classed::Classed;
use super::search::Vectors;
use super::votes::{Voted, leave_one_clip_out, memory_bank};
use crate::metric::TieOrder;

/// A protocol with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Protocol {
    /// Neighbours are the patches of the other clips of the subset. A patch has the class of most of its neighbours, a clip that of most
    /// of its patches; of equals the first class. Classes that no patch has are ranked by neighbours.
    LeaveOneClipOut {
        /// Neighbours of a patch, `1..=1000000`.
        #[serde(default = "k")]
        k: usize,
    },
    /// Neighbours are the patches of the training subset. A class has the share of its neighbours in the sum of `exp(cos / temperature)`, the
    /// mean over the patches of a clip.
    MemoryBank {
        /// Neighbours of a patch, `1..=1000000`.
        #[serde(default = "k")]
        k: usize,
        /// Above 0, at most 1000.
        #[serde(default = "temperature")]
        temperature: f64,
    },
}

const fn k() -> usize {
    200
}

const fn temperature() -> f64 {
    0.07
}

impl Default for Protocol {
    fn default() -> Self {
        Self::LeaveOneClipOut { k: k() }
    }
}

impl Protocol {
    const fn k(&self) -> usize {
        let (Self::LeaveOneClipOut { k } | Self::MemoryBank { k, .. }) = self;
        *k
    }

    /// Whether neighbours are those of the training subset.
    pub const fn reads_bank(&self) -> bool {
        matches!(self, Self::MemoryBank { .. })
    }

    /// Every option out of its range; `inside` is what stands before the names of parameters, and `judges_training` whether clips of
    /// the training subset are judged.
    pub fn mistakes(&self, inside: &str, judges_training: bool) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let k = self.k();
        if !(1..=1_000_000).contains(&k) {
            let message = format!("{k} is outside 1..=1000000");
            mistakes.push(ParamError::new(format!("{inside}protocol.k"), message));
        }
        if let Self::MemoryBank { temperature, .. } = *self {
            if !(temperature > 0.0 && temperature <= 1e3) {
                let message = format!("{temperature} is outside 0 (exclusive) ..=1000");
                mistakes.push(ParamError::new(format!("{inside}protocol.temperature"), message));
            }
            if judges_training {
                let message = "clips of the training subset would be judged by themselves";
                let error = ParamError::new(format!("{inside}subset"), message);
                mistakes.push(error.help("judge `test` or `val`, or take `protocol: leave_one_clip_out`"));
            }
        }
        mistakes
    }

    /// Fails where the patches of the clips that are judged, counted by clip, are too few: where all other patches are neighbours of each
    /// one, what they say does not depend on it.
    ///
    /// # Errors
    /// [`StageError::Failed`] with the number of patches.
    pub fn check_patches(&self, patches: &[usize]) -> Result<(), StageError> {
        let Self::LeaveOneClipOut { k } = *self else { return Ok(()) };
        let others = patches.iter().sum::<usize>() - patches.iter().copied().min().unwrap_or(0);
        if k < others {
            return Ok(());
        }
        let message =
            format!("the {k} nearest of {others} patches of other clips are all of them, whatever the clip");
        Err(StageError::failed(message)
            .help("take a smaller `k`, judge another subset, or take `protocol: memory_bank`"))
    }

    /// What neighbours say about clips; `bank` gives those of the training subset where the protocol reads them.
    ///
    /// # Errors
    /// Those of `bank`, `tick` and [`check_patches`](Self::check_patches); [`StageError::Failed`] if the sizes differ.
    pub fn vote(
        &self,
        judged: &Classed,
        bank: impl FnOnce() -> Result<Classed, StageError>,
        ties: &TieOrder,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Voted, StageError> {
        let vectors = Vectors::from(&judged.embedded);
        let mut patches = vec![0; judged.classes.len()];
        vectors.clips.iter().for_each(|&clip| patches[clip as usize] += 1);
        self.check_patches(&patches)?;
        match *self {
            Self::LeaveOneClipOut { k } => leave_one_clip_out(vectors, &judged.classes, ties, k, tick),
            Self::MemoryBank { k, temperature } => {
                let bank = bank().map_err(|error| error.at("the training subset"))?;
                let bank = (Vectors::from(&bank.embedded), bank.classes.as_slice());
                memory_bank(
                    (vectors, judged.classes.len()),
                    bank,
                    ties.classes().len(),
                    (k, temperature),
                    tick,
                )
            }
        }
    }
}
