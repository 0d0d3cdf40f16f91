//! Parameters of `losses`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Scored;
use sndpipe_artefacts::named;
use sndpipe_engine::ParamError;

/// The loss of each clip under a model: the mean over its patches.
///
/// A large loss says that the model does not believe the label; `split.prune` drops such clips from the training subset.
/// Inputs: `features`, `model`, `labels` with one class a clip, and `split`. Output: `losses` with a row for each clip that has
/// features and a class: `clip_id, class, patches, loss`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossesParams {
    /// The loss of a patch: `cce` or `lq`, or a map with `name` and options.
    #[serde(deserialize_with = "named::deserialize")]
    #[schemars(schema_with = "named::schema::<PatchLoss>")]
    pub loss: PatchLoss,
    /// Which clips: those of one subset, or all of the split.
    pub subset: Scored,
    /// Frames between the starts of patches, `1..=65536`; only full patches count. Absent: the hop of the training.
    pub hop: Option<usize>,
}

impl Default for LossesParams {
    fn default() -> Self {
        Self { loss: PatchLoss::default(), subset: Scored::Train, hop: None }
    }
}

/// A loss that needs no batch, of the score `p` of the class that a clip is labelled with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum PatchLoss {
    /// Categorical cross entropy: `-ln p`.
    Cce {},
    /// Generalised cross entropy: `(1 - (p + 1e-8)^q) / q`.
    Lq {
        /// Above 0, at most 1.
        #[serde(default = "q")]
        q: f64,
    },
}

const fn q() -> f64 {
    0.7
}

impl Default for PatchLoss {
    fn default() -> Self {
        Self::Lq { q: q() }
    }
}

impl LossesParams {
    /// Every parameter out of its range.
    #[must_use]
    pub fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        if let PatchLoss::Lq { q } = self.loss
            && !(q > 0.0 && q <= 1.0)
        {
            mistakes.push(ParamError::new("loss.q", format!("{q} is outside 0 (exclusive) ..=1")));
        }
        if let Some(hop) = self.hop.filter(|hop| !(1..=65_536).contains(hop)) {
            mistakes.push(ParamError::new("hop", format!("{hop} is outside 1..=65536")));
        }
        mistakes
    }
}

impl PatchLoss {
    /// The loss at the logarithm of a probability.
    #[must_use]
    pub fn of(&self, log_p: f64) -> f64 {
        match self {
            Self::Cce {} => -log_p,
            Self::Lq { q } => -(q * (log_p.exp() + 1e-8).ln()).exp_m1() / q,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_have_the_values_of_the_formulas() {
        // L_q and cross entropy at 0.05, 0.5 and 0.9.
        for (p, lq7, lq5, cce) in [
            (0.05f64, 1.253_110, 1.552_786, 2.995_732),
            (0.5, 0.549_183, 0.585_786, std::f64::consts::LN_2),
            (0.9, 0.101_569, 0.102_633, 0.105_361),
        ] {
            let near = |loss: PatchLoss, expected: f64| {
                let found = loss.of(p.ln());
                assert!((found - expected).abs() < 1e-6, "{loss:?} at {p}: {found} instead of {expected}");
            };
            near(PatchLoss::Lq { q: 0.7 }, lq7);
            near(PatchLoss::Lq { q: 0.5 }, lq5);
            near(PatchLoss::Lq { q: 1e-7 }, cce);
            near(PatchLoss::Cce {}, cce);
        }
        // Far from the label, L_q stays finite.
        assert!((PatchLoss::Lq { q: 0.7 }.of(-1e4) - (1.0 - 1e-8f64.powf(0.7)) / 0.7).abs() < 1e-9);
    }

    #[test]
    fn ranges_are_checked() {
        let params = LossesParams { loss: PatchLoss::Lq { q: 1.5 }, hop: Some(0), ..LossesParams::default() };
        let paths: Vec<String> = params.mistakes().into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["loss.q", "hop"]);
        assert_eq!(LossesParams::default().mistakes(), Vec::new());
    }
}
