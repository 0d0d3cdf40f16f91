//! The validation subset: how good the weights of an epoch are.

use rayon::prelude::*;
use sndpipe_artefacts::{OutputKind, PatchMean, Standardisation};
use sndpipe_cache::Rows;
use sndpipe_engine::StageError;
use sndpipe_metrics::metric::{self, Judged, Measured, TieOrder};
use sndpipe_nn::LossSpec;
use sndpipe_nn::{InputShape, Trainer};

use super::loss::output_of;
use super::params::WatchedMetric;
use super::samples::Samples;
use crate::model::{self};

/// Measures on the validation subset. Clips are scored as `score` does by default: the arithmetic mean over patches. A pair of a
/// clip and a class that is to be ignored is left out, as `evaluate` leaves it out.
pub(crate) struct Validation<'a> {
    pub rows: &'a Rows,
    pub samples: &'a Samples,
    pub input: InputShape,
    pub classes: &'a [String],
    pub standardisation: &'a Standardisation,
    pub hop: usize,
    pub loss: &'a LossSpec,
}

/// What was measured.
pub(crate) struct Measures(Vec<(WatchedMetric, Option<f64>)>);

impl Measures {
    /// The value of a metric; none where it was not measured or is undefined.
    pub fn get(&self, metric: WatchedMetric) -> Option<f64> {
        self.0.iter().find(|(name, _)| *name == metric).and_then(|(_, value)| *value)
    }

    /// Every metric that was measured.
    pub fn iter(&self) -> impl Iterator<Item = (WatchedMetric, Option<f64>)> + '_ {
        self.0.iter().copied()
    }
}

impl Validation<'_> {
    /// Scores every clip and gives the metrics. Sums go clip by clip, so that they are the same for any number of threads.
    pub fn measure(
        &self,
        trainer: &Trainer,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Measures, StageError> {
        let output = output_of(self.loss);
        let (classes, ties) = (self.classes.len(), TieOrder::of(self.classes));
        // All are looked at, so that the first mistake is the same for any number of threads.
        let clips = (0..self.samples.len())
            .into_par_iter()
            .map(|sample| {
                tick()?;
                let position = self.samples.positions[sample];
                let id = &self.rows.ids()[position];
                let row = self.rows.row(position)?;
                let network = |inputs: &[f32]| trainer.predict(inputs);
                let logits = model::clip_logits(row, self.input, self.hop, self.standardisation, &network)
                    .map_err(|message| StageError::failed(format!("clip `{id}`: {message}")))?;
                let mut truth = vec![Some(false); classes];
                self.samples.present[sample].iter().for_each(|&class| truth[class] = Some(true));
                self.samples.ignored[sample].iter().for_each(|&class| truth[class] = None);
                let loss = mean_loss(&logits, &truth, output);
                let scores = model::pool(&logits, classes, output, PatchMean::Arithmetic);
                Ok((Judged::new(id.to_owned(), scores, truth, &ties), loss))
            })
            .collect::<Vec<_>>();
        let clips = clips.into_iter().collect::<Result<Vec<(Judged, f64)>, StageError>>()?;
        let loss = clips.iter().map(|(_, loss)| loss).sum::<f64>() / clips.len().max(1) as f64;
        let clips: Vec<Judged> = clips.into_iter().map(|(clip, _)| clip).collect();
        let over_classes = |of: fn(&[Judged], usize) -> Measured| {
            let each: Vec<Measured> = (0..classes).map(|class| of(&clips, class)).collect();
            Measured::macro_mean(&each).value
        };
        let mut measures = vec![(WatchedMetric::Loss, Some(loss))];
        if output == OutputKind::Softmax {
            measures.push((WatchedMetric::Accuracy, metric::accuracy(&clips).value));
            measures.push((WatchedMetric::BalancedAccuracy, over_classes(metric::recall)));
        }
        measures.push((WatchedMetric::MeanAveragePrecision, over_classes(metric::average_precision)));
        Ok(Measures(measures))
    }
}

/// The mean loss of the patches of a clip, in f64. Of several classes a clip, one without truth adds nothing to the sum, which
/// is divided by all of them, as in training.
fn mean_loss(logits: &[f32], truth: &[Option<bool>], output: OutputKind) -> f64 {
    let classes = truth.len();
    let patches = logits.chunks_exact(classes);
    let count = patches.len().max(1) as f64;
    let sum: f64 = patches
        .map(|patch| {
            let pairs = patch.iter().map(|&logit| f64::from(logit)).zip(truth);
            match output {
                OutputKind::Softmax => {
                    let largest = patch.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let total: f64 = patch.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
                    let own: f64 = pairs
                        .filter(|(_, truth)| **truth == Some(true))
                        .map(|(logit, _)| logit - f64::from(largest))
                        .sum();
                    total.ln() - own
                }
                OutputKind::Sigmoid => {
                    let each = pairs.map(|(logit, truth)| match truth {
                        Some(true) => model::softplus(logit) - logit,
                        Some(false) => model::softplus(logit),
                        None => 0.0,
                    });
                    each.sum::<f64>() / classes as f64
                }
            }
        })
        .sum();
    sum / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_formulas() {
        // Cross entropy at p = 0.5 and p = 0.9 is ln 2 and 0.105361.
        let expected = f64::midpoint(std::f64::consts::LN_2, 0.105_361);
        let logits = [0.0, 0.0, 9f32.ln(), 0.0];
        let loss = mean_loss(&logits, &[Some(true), Some(false)], OutputKind::Softmax);
        assert!((loss - expected).abs() < 1e-6, "{loss}");
        // Binary: sigmoid(0) = 0.5 for a negative, sigmoid(ln 9) = 0.9 for a positive.
        let loss = mean_loss(&[9f32.ln(), 0.0], &[Some(true), Some(false)], OutputKind::Sigmoid);
        assert!((loss - expected).abs() < 1e-6, "{loss}");
        // A class without truth has no part in the sum.
        let loss = mean_loss(&[9f32.ln(), 0.0], &[Some(true), None], OutputKind::Sigmoid);
        assert!((loss - 0.105_361 / 2.0).abs() < 1e-6, "{loss}");
    }
}
