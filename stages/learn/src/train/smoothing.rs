//! Smoothed labels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::OutputKind;
use sndpipe_engine::{ParamError, StageError, did_you_mean};
use sndpipe_nn::ops::smooth_labels;

use crate::model::failed;

/// Takes a share of every label and spreads it evenly over all classes: a label becomes `1 - e + e / classes`, the other
/// classes get `e / classes`. With `bce` each class stands alone: `y` becomes `(1 - e) y + e / 2`.
///
/// The share may be larger for classes whose labels are known to be noisier. Labels that are `ignored`, and those of clips that
/// are `clean`, are not smoothed.
///
/// # Source
/// Szegedy et al., *Rethinking the Inception Architecture for Computer Vision*, CVPR 2016, section 7; Fonseca et al.,
/// *Model-agnostic Approaches to Handling Noisy Labels When Training Sound Event Classifiers*, WASPAA 2019.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmoothingParams {
    /// The share, `0..=1`.
    pub epsilon: f64,
    /// What the share is larger by for the classes of `noisier`, and smaller by for the others; both stay in `0..=1`.
    #[serde(default)]
    pub delta: f64,
    /// The classes with the larger share.
    #[serde(default)]
    pub noisier: Vec<String>,
}

impl SmoothingParams {
    /// Every parameter out of its range.
    pub(super) fn mistakes(&self) -> Vec<ParamError> {
        let mut mistakes = Vec::new();
        let Self { epsilon, delta, noisier } = self;
        if !(0.0..=1.0).contains(epsilon) {
            mistakes.push(ParamError::new("smoothing.epsilon", format!("{epsilon} is outside 0..=1")));
        } else if !(*delta >= 0.0 && *delta <= epsilon.min(1.0 - epsilon)) {
            let most = epsilon.min(1.0 - epsilon);
            let message = format!("{delta} is outside 0..={most} (`epsilon` +- `delta` must stay in 0..=1)");
            mistakes.push(ParamError::new("smoothing.delta", message));
        }
        if (*delta != 0.0) == noisier.is_empty() {
            let (place, message) = if noisier.is_empty() {
                ("smoothing.noisier", "no class is named that `delta` is for")
            } else {
                ("smoothing.delta", "classes are `noisier`, and 0 makes no difference")
            };
            mistakes
                .push(ParamError::new(place, message).help("give both `delta` and `noisier`, or neither"));
        }
        mistakes
    }

    /// The share of each class.
    ///
    /// # Errors
    /// [`StageError::Failed`] naming a class of `noisier` that the labels do not have.
    pub(super) fn epsilons(&self, classes: &[String]) -> Result<Vec<f64>, StageError> {
        if let Some(unknown) = self.noisier.iter().find(|name| !classes.contains(name)) {
            let near = did_you_mean(unknown, classes.iter().map(String::as_str));
            let message =
                format!("`smoothing.noisier` names `{unknown}`, which is no class of the labels{near}");
            return Err(StageError::failed(message));
        }
        let share = |class| {
            if self.noisier.contains(class) { self.epsilon + self.delta } else { self.epsilon - self.delta }
        };
        Ok(classes.iter().map(share).collect())
    }
}

/// Smooths the labels of one sample; where there is a mask, only what it leaves in.
///
/// # Errors
/// [`StageError::Failed`] if the shares do not fit the classes.
pub(super) fn smooth(
    targets: &mut [f32],
    mask: &[f32],
    epsilons: &[f64],
    output: OutputKind,
) -> Result<(), StageError> {
    if output == OutputKind::Softmax {
        return smooth_labels(targets, epsilons).map_err(|error| failed(&error));
    }
    for (class, (target, epsilon)) in targets.iter_mut().zip(epsilons).enumerate() {
        if mask.get(class).is_none_or(|&mask| mask > 0.0) {
            *target = ((1.0 - epsilon) * f64::from(*target) + epsilon / 2.0) as f32;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[track_caller]
    fn near(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let close = found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7);
        assert!(close, "{found:?} instead of {expected:?}");
    }

    #[test]
    fn labels_have_the_values_of_the_formulas() {
        let uniform = SmoothingParams { epsilon: 0.15, delta: 0.0, noisier: Vec::new() };
        let classes: Vec<String> = (0..20).map(|class| format!("c{class}")).collect();
        let mut targets = vec![0.0; 20];
        targets[7] = 1.0;
        smooth(&mut targets, &[], &uniform.epsilons(&classes).unwrap(), OutputKind::Softmax).unwrap();
        // (1 - 0.15) + 0.15 / 20 and 0.15 / 20.
        let expected: Vec<f64> = (0..20).map(|class| if class == 7 { 0.8575 } else { 0.0075 }).collect();
        near(&targets, &expected);

        let grouped = SmoothingParams { epsilon: 0.2, delta: 0.1, noisier: names(&["b"]) };
        let epsilons = grouped.epsilons(&names(&["a", "b"])).unwrap();
        near(&[epsilons[0] as f32, epsilons[1] as f32], &[0.1, 0.3]);
        let mut targets = [0.0, 1.0];
        smooth(&mut targets, &[], &epsilons, OutputKind::Softmax).unwrap();
        near(&targets, &[0.15, 0.85]);
        // Sigmoid: (1 - e) y + e / 2, and nothing where the label is ignored.
        let mut targets = [0.0, 1.0];
        smooth(&mut targets, &[], &epsilons, OutputKind::Sigmoid).unwrap();
        near(&targets, &[0.05, 0.85]);
        let mut targets = [0.0, 1.0];
        smooth(&mut targets, &[0.0, 1.0], &epsilons, OutputKind::Sigmoid).unwrap();
        near(&targets, &[0.0, 0.85]);
    }

    #[track_caller]
    fn refuse(params: &SmoothingParams, expected: &str) {
        let mistakes = params.mistakes();
        let found: Vec<String> =
            mistakes.iter().map(|error| format!("{}: {}", error.path, error.message)).collect();
        assert_eq!(found, [expected]);
    }

    #[test]
    fn shares_out_of_range_are_refused() {
        let params =
            |epsilon, delta, noisier: &[&str]| SmoothingParams { epsilon, delta, noisier: names(noisier) };
        assert_eq!(params(0.15, 0.05, &["a"]).mistakes(), Vec::new());
        refuse(&params(1.5, 0.0, &[]), "smoothing.epsilon: 1.5 is outside 0..=1");
        refuse(
            &params(0.25, 0.5, &["a"]),
            "smoothing.delta: 0.5 is outside 0..=0.25 (`epsilon` +- `delta` must stay in 0..=1)",
        );
        refuse(&params(0.15, 0.05, &[]), "smoothing.noisier: no class is named that `delta` is for");
        refuse(
            &params(0.15, 0.0, &["a"]),
            "smoothing.delta: classes are `noisier`, and 0 makes no difference",
        );
        let error =
            params(0.15, 0.05, &["Fyre"]).epsilons(&names(&["Fire", "Rain"])).unwrap_err().to_string();
        assert_eq!(
            error,
            "`smoothing.noisier` names `Fyre`, which is no class of the labels: did you mean `Fire`?"
        );
    }
}
