//! `labels.hide`: labels that are missing, on purpose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sndpipe_artefacts::Labels;
use sndpipe_artefacts::Subset;
use sndpipe_engine::{Kind, Output, ParamError, Port, Stage, StageError, StageIo, agree, counted};

use super::touched::{self, Touched, share_of};

/// Hides a share of the labels of every class, so that what finds missing labels can be judged by what is known.
///
/// Inputs: `labels`, and optionally `split`: then only labels of the clips in `subsets` are hidden, else of all clips. Outputs:
/// `labels`, in which a hidden label is an implicit negative like any other, and `truth`, the labels as they came. Of a class with n
/// labels round(share · n) are hidden (a half up); with one seed a larger share hides the same ones and more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HideParams {
    /// Share of the labels of each class, `0..=1`.
    pub share: f64,
    /// Which labels.
    #[serde(default)]
    pub seed: u64,
    /// The subsets of the split whose labels are hidden.
    #[serde(default = "touched::train")]
    pub subsets: Vec<Subset>,
}

/// `labels.hide`.
pub struct LabelsHide;

impl Stage for LabelsHide {
    const NAME: &'static str = "labels.hide";
    const VERSION: u32 = 1;
    type Params = HideParams;

    fn check(params: &HideParams) -> Vec<ParamError> {
        let wrong = !(0.0..=1.0).contains(&params.share);
        wrong
            .then(|| ParamError::new("share", format!("{} is outside 0..=1", params.share)))
            .into_iter()
            .collect()
    }

    fn inputs(_: &HideParams) -> Vec<Port> {
        Touched::inputs()
    }

    fn outputs(_: &HideParams) -> Vec<Output> {
        vec![Output::new("labels", Kind::Labels), Output::new("truth", Kind::Labels)]
    }

    fn run(params: &HideParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let (truth, touched) = Touched::read(&params.subsets, io)?;
        let (labels, [hidden, all]) = hide(params, &truth, &touched);
        let bare = labels.clips.keys().filter(|id| labels.present(id).next().is_none()).count();
        let bare = bare + truth.clips.len() - labels.clips.len();
        io.remark(format!(
            "{hidden} of {} {} hidden; {} {} none left",
            counted(all, "label"),
            agree(hidden, "is", "are"),
            counted(bare, "clip"),
            agree(bare, "has", "have")
        ));
        for (output, labels) in [("labels", &labels), ("truth", &truth)] {
            let (meta, table) = labels.to_table()?;
            io.write_table(output, meta, &table)?;
        }
        Ok(())
    }
}

/// The labels that are left, and how many are hidden of how many.
fn hide(params: &HideParams, truth: &Labels, touched: &Touched) -> (Labels, [usize; 2]) {
    let mut labels = truth.clone();
    let mut counts = [0, 0];
    for (class, clips) in touched.shuffled(truth, params.seed, LabelsHide::NAME).into_iter().enumerate() {
        let hidden = share_of(clips.len(), params.share);
        counts[0] += hidden;
        counts[1] += clips.len();
        for id in &clips[..hidden] {
            if let Some(states) = labels.clips.get_mut(*id) {
                states.remove(&class);
            }
        }
    }
    labels.clips.retain(|_, states| !states.is_empty());
    (labels, counts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sndpipe_artefacts::Split;
    use sndpipe_artefacts::State;

    use super::*;

    fn params(share: f64, seed: u64) -> HideParams {
        HideParams { share, seed, subsets: touched::train() }
    }

    /// 60 clips; every clip has class `n % 3`, every fourth class 3 as well.
    fn truth() -> Labels {
        let clip = |n: usize| {
            let mut states = BTreeMap::from([(n % 3, State::Present)]);
            if n.is_multiple_of(4) {
                states.insert(3, State::Present);
            }
            states.insert(4, State::ExplicitNegative);
            (format!("clip{n:02}"), states)
        };
        Labels {
            classes: ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec(),
            clips: (0..60).map(clip).collect(),
        }
    }

    fn pairs(labels: &Labels) -> Vec<(String, usize)> {
        labels.clips.keys().flat_map(|id| labels.present(id).map(|class| (id.clone(), class))).collect()
    }

    #[test]
    fn every_class_loses_its_share() {
        let truth = truth();
        let (left, counts) = hide(&params(0.1, 3), &truth, &Touched::all());
        // 20 labels of three classes, 15 of the fourth: 2 each, and 1.5 rounded up.
        assert_eq!(counts, [8, 75]);
        let of = |labels: &Labels, class| pairs(labels).iter().filter(|(_, of)| *of == class).count();
        assert_eq!([0, 1, 2, 3].map(|class| of(&truth, class) - of(&left, class)), [2, 2, 2, 2]);
        let explicit = |labels: &Labels| labels.clips.values().filter(|s| s.contains_key(&4)).count();
        assert_eq!(explicit(&left), 60, "what was checked stays");
    }

    #[test]
    fn a_larger_share_hides_the_same_and_more() {
        let truth = truth();
        let left = |share, seed| pairs(&hide(&params(share, seed), &truth, &Touched::all()).0);
        let (few, many) = (left(0.2, 0), left(0.5, 0));
        assert!(many.len() < few.len() && many.iter().all(|pair| few.contains(pair)));
        assert_ne!(left(0.5, 1), many, "the seed counts");
        assert_eq!(left(0.0, 0), pairs(&truth));
        assert_eq!(left(1.0, 0), []);
    }

    #[test]
    fn only_chosen_subsets_lose_labels() {
        let truth = truth();
        let subset = |n: usize| if n < 30 { Subset::Train } else { Subset::Test };
        let split = Split { clips: (0..60).map(|n| (format!("clip{n:02}"), subset(n))).collect() };
        let (left, _) = hide(&params(1.0, 0), &truth, &Touched::of(split, Subset::Train));
        assert!(pairs(&left).iter().all(|(id, _)| id.as_str() >= "clip30"));
        assert_eq!(pairs(&left).len(), 30 + 7);
    }
}
