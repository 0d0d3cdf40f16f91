//! The metrics, on scores and truth.

/// A clip with its scores and with what is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The clip.
    pub id: String,
    /// The score of each class.
    pub scores: Vec<f32>,
    /// Whether the clip has each class; `None` where that is to be ignored.
    pub truth: Vec<Option<bool>>,
    predicted: Option<usize>,
}

/// Which of several classes with the largest score counts as predicted: the one whose name is the least, so that the order of the classes
/// does not matter. With sorted names that is the first, as NumPy's `argmax` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TieOrder(Vec<usize>);

impl TieOrder {
    /// The order of classes with these names.
    #[must_use]
    pub fn of(classes: &[String]) -> Self {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by_key(|&class| &classes[class]);
        Self(order)
    }

    /// The classes in this order.
    #[must_use]
    pub fn classes(&self) -> &[usize] {
        &self.0
    }

    /// The class with the largest score among those that stand.
    pub fn best(&self, scores: &[f32], stands: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for &class in self.0.iter().filter(|&&class| stands(class)) {
            if best.is_none_or(|best| scores[class] > scores[best]) {
                best = Some(class);
            }
        }
        best
    }
}

impl Judged {
    /// A clip with finite scores and a truth for each of the classes of `ties`.
    #[must_use]
    pub fn new(id: String, scores: Vec<f32>, truth: Vec<Option<bool>>, ties: &TieOrder) -> Self {
        let predicted = ties.best(&scores, |class| truth[class].is_some());
        Self { id, scores, truth, predicted }
    }

    /// The class with the largest score; of equals the one that [`TieOrder`] says. Ignored classes do not stand.
    #[must_use]
    pub fn predicted(&self) -> Option<usize> {
        self.predicted
    }

    /// The rank of a class, from 1: how many classes have its score or a larger one. Classes with equal scores share the worst of their
    /// ranks, so that the order of the classes does not matter. Ignored classes hold no rank.
    #[must_use]
    pub fn rank(&self, class: usize) -> usize {
        self.at_or_above(class).count()
    }

    /// The classes with at least the score of a class, itself among them; ignored ones left out.
    pub fn at_or_above(&self, class: usize) -> impl Iterator<Item = usize> + '_ {
        let score = self.scores[class];
        (0..self.scores.len())
            .filter(move |&other| self.truth[other].is_some() && self.scores[other] >= score)
    }

    /// The classes that the clip has.
    pub fn present(&self) -> impl Iterator<Item = usize> + '_ {
        self.truth.iter().enumerate().filter(|(_, truth)| **truth == Some(true)).map(|(class, _)| class)
    }

    /// Whether a class is among the first `n`; of those with a score of 0 none is.
    #[must_use]
    pub fn ranks_within(&self, class: usize, n: usize) -> bool {
        self.scores[class] > 0.0 && self.rank(class) <= n
    }

    /// Whether the predicted class is one that the clip has.
    #[must_use]
    pub fn correct(&self) -> bool {
        self.predicted().is_some_and(|class| self.truth[class] == Some(true))
    }
}

/// A metric's value with the number of things it is a mean of; no value where it is undefined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The value; `None` where it is undefined.
    pub value: Option<f64>,
    /// Clips, or classes for a mean over classes.
    pub n: usize,
}

impl Measured {
    /// The mean of values and their number.
    pub fn mean(values: impl IntoIterator<Item = f64>) -> Self {
        let (mut sum, mut n) = (0.0, 0);
        for value in values {
            sum += value;
            n += 1;
        }
        Self { value: (n > 0).then(|| sum / n as f64), n }
    }

    /// The mean of those that are defined, which it counts.
    #[must_use]
    pub fn macro_mean(of: &[Self]) -> Self {
        Self::mean(of.iter().filter_map(|measured| measured.value))
    }
}

/// Share of clips whose predicted class is right.
#[must_use]
pub fn accuracy(clips: &[Judged]) -> Measured {
    Measured::mean(clips.iter().map(|clip| f64::from(u8::from(clip.correct()))))
}

/// Share of the clips of a class whose predicted class is right; `n` counts the clips of the class.
#[must_use]
pub fn recall(clips: &[Judged], class: usize) -> Measured {
    let of_class = clips.iter().filter(|clip| clip.truth[class] == Some(true));
    Measured::mean(of_class.map(|clip| f64::from(u8::from(clip.predicted() == Some(class)))))
}

/// Share of clips with a class that is among the first `n` of their ranking.
#[must_use]
pub fn accuracy_within(clips: &[Judged], n: usize) -> Measured {
    let hit = |clip: &Judged| clip.present().any(|class| clip.ranks_within(class, n));
    Measured::mean(clips.iter().map(|clip| f64::from(u8::from(hit(clip)))))
}

/// Share of the clips of a class that have it among the first `n` of their ranking; `n` of the value counts the clips of the class.
#[must_use]
pub fn recall_within(clips: &[Judged], class: usize, n: usize) -> Measured {
    let of_class = clips.iter().filter(|clip| clip.truth[class] == Some(true));
    Measured::mean(of_class.map(|clip| f64::from(u8::from(clip.ranks_within(class, n)))))
}

/// The pairs of score and truth of a class, best score first, ignored ones left out.
fn ranked(clips: &[Judged], class: usize) -> Vec<(f32, bool)> {
    let mut pairs: Vec<(f32, bool)> =
        clips.iter().filter_map(|clip| clip.truth[class].map(|truth| (clip.scores[class], truth))).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

/// Average precision of a class, the area under its curve of precision over recall: the sum over thresholds of the gain in recall
/// times the precision, without interpolation; equal scores share a threshold. Undefined without positives. `n` counts the positives.
///
/// # Source
/// The definition of scikit-learn's `average_precision_score`.
#[must_use]
pub fn average_precision(clips: &[Judged], class: usize) -> Measured {
    area_under_precision(&ranked(clips, class))
}

/// Average precision of pairs of score and truth, best score first.
pub fn area_under_precision(pairs: &[(f32, bool)]) -> Measured {
    let positives = pairs.iter().filter(|(_, positive)| *positive).count();
    if positives == 0 {
        return Measured { value: None, n: 0 };
    }
    let (mut sum, mut seen, mut hits) = (0.0, 0, 0);
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        let gained = tied.iter().filter(|(_, positive)| *positive).count();
        seen += tied.len();
        hits += gained;
        sum += gained as f64 * (hits as f64 / seen as f64);
    }
    Measured { value: Some(sum / positives as f64), n: positives }
}

/// Area under the ROC curve of a class: the share of pairs of a positive and a negative clip that are in order, a tie
/// counting half. Undefined without positives or without negatives. `n` counts the positives.
#[must_use]
pub fn area_under_roc(clips: &[Judged], class: usize) -> Measured {
    let pairs = ranked(clips, class);
    let positives = pairs.iter().filter(|(_, positive)| *positive).count();
    let negatives = pairs.len() - positives;
    if positives == 0 || negatives == 0 {
        return Measured { value: None, n: positives };
    }
    let (mut ordered, mut below) = (0.0, negatives as f64);
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        let gained = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let lost = tied.len() as f64 - gained;
        below -= lost;
        ordered += gained * (below + lost / 2.0);
    }
    Measured { value: Some(ordered / (positives as f64 * negatives as f64)), n: positives }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(got: Measured, expected: f64, n: usize) {
        let value = got.value.unwrap();
        assert!((value - expected).abs() < 1e-6, "{value} instead of {expected}");
        assert_eq!(got.n, n);
    }

    fn clips(rows: &[(&[f32], &str)]) -> Vec<Judged> {
        let truth = |text: &str| {
            let state = |letter| match letter {
                '1' => Some(true),
                '0' => Some(false),
                _ => None,
            };
            text.chars().map(state).collect()
        };
        let clip = |(scores, text): &(&[f32], &str)| {
            let ties = TieOrder::of(&(0..scores.len()).map(|class| class.to_string()).collect::<Vec<_>>());
            Judged::new(String::new(), scores.to_vec(), truth(text), &ties)
        };
        rows.iter().map(clip).collect()
    }

    proptest::proptest! {
        /// With logits in quarters most classes tie with another one.
        #[test]
        fn the_best_class_does_not_depend_on_the_order(
            scores in proptest::collection::vec(0u8..3, 6),
            shuffled in proptest::strategy::Strategy::prop_shuffle(proptest::strategy::Just((0..6).collect::<Vec<usize>>())),
        ) {
            let best = |order: &[usize]| {
                let names: Vec<String> = order.iter().map(|class| format!("class {class}")).collect();
                let scores: Vec<f32> = order.iter().map(|&class| f32::from(scores[class]) / 4.0).collect();
                TieOrder::of(&names).best(&scores, |_| true).map(|class| order[class])
            };
            proptest::prop_assert_eq!(best(&[0, 1, 2, 3, 4, 5]), best(&shuffled));
        }
    }

    #[test]
    fn equal_scores_share_a_threshold() {
        // Thresholds: 0.9 (1 of 1), 0.5 (2 of 3 more, tied), by hand: (1 * 1 + 1 * 2/3) / 2.
        let tied = clips(&[(&[0.9], "1"), (&[0.5], "0"), (&[0.5], "1"), (&[0.1], "0")]);
        close(average_precision(&tied, 0), 5.0 / 6.0, 2);
        let turned: Vec<Judged> = tied.iter().rev().cloned().collect();
        assert_eq!(average_precision(&turned, 0), average_precision(&tied, 0));
        // Pairs: 0.9 above both; 0.5 ties one and is above the other.
        close(area_under_roc(&tied, 0), 3.5 / 4.0, 2);
    }

    #[test]
    fn a_class_without_positives_is_undefined_and_not_zero() {
        let clips = clips(&[(&[0.9, 0.1], "10"), (&[0.8, 0.3], "00")]);
        let each: Vec<Measured> = (0..2).map(|class| average_precision(&clips, class)).collect();
        assert_eq!(each[1], Measured { value: None, n: 0 });
        close(Measured::macro_mean(&each), 1.0, 1);
        assert_eq!(recall(&clips, 1), Measured { value: None, n: 0 });
    }

    #[test]
    fn ignored_pairs_do_not_count() {
        let clips =
            clips(&[(&[0.9, 0.1], "?1"), (&[0.8, 0.3], "10"), (&[0.95, 0.2], "?0"), (&[0.7, 0.2], "01")]);
        close(average_precision(&clips, 0), 1.0, 1);
        assert_eq!(clips[0].predicted(), Some(1));
        close(accuracy(&clips), 0.5, 4);
    }

    #[test]
    fn a_tie_goes_to_the_first_name() {
        for (names, first) in [(["a", "b"], 0), (["b", "a"], 1)] {
            let ties = TieOrder::of(&names.map(str::to_owned));
            let clip = |own| {
                let truth = (0..2).map(|class| Some(class == own)).collect();
                Judged::new(String::new(), vec![0.5, 0.5], truth, &ties)
            };
            let clips = [clip(0), clip(1)];
            assert_eq!(clips[1].predicted(), Some(first));
            close(recall(&clips, first), 1.0, 1);
            close(recall(&clips, 1 - first), 0.0, 1);
        }
    }

    #[test]
    fn tied_classes_are_within_the_first_only_together() {
        let clips = clips(&[(&[0.5, 0.9, 0.5, 0.5], "1000"), (&[0.5, 0.9, 0.5, 0.1], "0010")]);
        assert_eq!([clips[0].rank(0), clips[1].rank(2)], [4, 3]);
        close(accuracy_within(&clips, 3), 0.5, 2);
    }
}
