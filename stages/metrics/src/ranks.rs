//! Metrics of the order in which a clip's classes are ranked.

use super::metric::{Judged, Measured};

/// A metric over all labels or clips, and of each class.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Over all.
    pub all: Measured,
    /// Of the labels or clips of each class; undefined for a class without any.
    pub by_class: Vec<Measured>,
}

impl Ranked {
    /// The means of pairs of class and value.
    fn of(values: &[(usize, f64)], classes: usize) -> Self {
        let of_class = |class| values.iter().filter(move |(of, _)| *of == class).map(|(_, value)| *value);
        Self {
            all: Measured::mean(values.iter().map(|(_, value)| *value)),
            by_class: (0..classes).map(|class| Measured::mean(of_class(class))).collect(),
        }
    }
}

/// Label-weighted label-ranking average precision: for each label of each clip the share of true labels among those ranked at
/// or above it, the mean over all labels. Ranks go by score; equal scores share the worst of their ranks. `n` counts labels; clips
/// without any do not count.
///
/// # Source
/// The metric of DCASE 2019 task 2. Of ties, scikit-learn's `label_ranking_average_precision_score` with the number of a clip's labels as its
/// weight.
#[must_use]
pub fn lwlrap(clips: &[Judged], classes: usize) -> Ranked {
    let mut values = Vec::new();
    for clip in clips {
        for class in clip.present() {
            let (mut hits, mut rank) = (0, 0);
            for other in clip.at_or_above(class) {
                rank += 1;
                hits += u32::from(clip.truth[other] == Some(true));
            }
            values.push((class, f64::from(hits) / f64::from(rank)));
        }
    }
    Ranked::of(&values, classes)
}

/// Mean average precision at 3, for one class a clip: 1, 1/2 or 1/3 where the clip's class is ranked first, second or third, else
/// 0. Equal scores share the worst of their ranks, as for [`lwlrap`]: a clip whose class ties with three others gets 0. `n` counts clips.
///
/// # Source
/// The metric of DCASE 2018 task 2 (FSDKaggle2018).
#[must_use]
pub fn precision_at_3(clips: &[Judged], classes: usize) -> Ranked {
    let mut values = Vec::new();
    for clip in clips {
        if let Some(class) = clip.present().next() {
            let rank = clip.rank(class);
            values.push((class, if rank <= 3 { 1.0 / rank as f64 } else { 0.0 }));
        }
    }
    Ranked::of(&values, classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{self, TieOrder};

    fn clips(rows: &[(&[f32], &[u8])]) -> Vec<Judged> {
        let state = |letter: &u8| match letter {
            b'1' => Some(true),
            b'0' => Some(false),
            _ => None,
        };
        let clip = |(scores, truth): &(&[f32], &[u8])| {
            let names: Vec<String> = (0..scores.len()).map(|class| format!("{class}")).collect();
            let truth = truth.iter().map(state).collect();
            Judged::new(String::new(), scores.to_vec(), truth, &TieOrder::of(&names))
        };
        rows.iter().map(clip).collect()
    }

    #[track_caller]
    fn close(got: Measured, expected: f64, n: usize) {
        assert!((got.value.unwrap() - expected).abs() < 1e-6, "{got:?} instead of {expected}");
        assert_eq!(got.n, n);
    }

    /// An example worked out by hand.
    #[test]
    fn lwlrap_of_the_reference_example() {
        let clips = clips(&[
            (&[0.9, 0.8, 0.1, 0.3], b"1010"),
            (&[0.2, 0.6, 0.7, 0.1], b"0100"),
            (&[0.5, 0.4, 0.3, 0.2], b"1101"),
        ]);
        let found = lwlrap(&clips, 4);
        close(found.all, 0.791_667, 6);
        for (class, (expected, n)) in [(1.0, 2), (0.75, 2), (0.5, 1), (0.75, 1)].into_iter().enumerate() {
            close(found.by_class[class], expected, n);
        }
    }

    /// Values of scikit-learn's `label_ranking_average_precision_score`, with the number of labels as weights: constant scores, and scores
    /// in thirds.
    #[test]
    fn lwlrap_of_ties_agrees_with_scikit_learn() {
        for labels in [[b"100", b"100", b"100", b"001"], [b"001", b"001", b"001", b"100"]] {
            let rows: Vec<(&[f32], &[u8])> =
                labels.iter().map(|labels| (&[0.5; 3][..], &labels[..])).collect();
            close(lwlrap(&clips(&rows), 3).all, 1.0 / 3.0, 4);
        }
        let thirds = clips(&[
            (&[1.0, 1.0, 0.0, 0.5], b"0110"),
            (&[0.5, 0.5, 0.5, 1.0], b"1100"),
            (&[0.0, 0.0, 0.0, 0.0], b"1111"),
            (&[0.5, 0.0, 0.5, 0.0], b"0001"),
        ]);
        close(lwlrap(&thirds, 4).all, 0.694_444_444, 9);
    }

    proptest::proptest! {
        /// With scores in quarters most classes tie with another one.
        #[test]
        fn the_order_of_the_classes_changes_nothing(
            rows in proptest::collection::vec(proptest::collection::vec((0u8..4, 0u8..5), 5), 1..8),
            shuffled in proptest::strategy::Strategy::prop_shuffle(proptest::strategy::Just((0..5).collect::<Vec<usize>>())),
        ) {
            let names: Vec<String> = (0..5).map(|class| format!("class {class}")).collect();
            let judged = |order: &[usize], one: bool| -> Vec<Judged> {
                let ties = TieOrder::of(&order.iter().map(|&class| names[class].clone()).collect::<Vec<_>>());
                let clip = |row: &Vec<(u8, u8)>| {
                    let own = usize::from(row[0].1);
                    let truth = order.iter().map(|&class| match row[class].1 {
                        _ if one => Some(class == own),
                        0 => None,
                        state => Some(state > 2),
                    });
                    let scores = order.iter().map(|&class| f32::from(row[class].0) / 4.0).collect();
                    Judged::new(String::new(), scores, truth.collect(), &ties)
                };
                rows.iter().map(clip).collect()
            };
            let same = |a: Measured, b: Measured| {
                a.n == b.n && a.value.zip(b.value).map_or(a.value == b.value, |(a, b)| (a - b).abs() < 1e-12)
            };
            let plain: Vec<usize> = (0..5).collect();
            for one in [true, false] {
                let (first, second) = (judged(&plain, one), judged(&shuffled, one));
                // mAP@3 is of clips with one class.
                let metrics: &[fn(&[Judged], usize) -> Ranked] = if one { &[lwlrap, precision_at_3] } else { &[lwlrap] };
                for metric in metrics {
                    let (a, b) = (metric(&first, 5), metric(&second, 5));
                    proptest::prop_assert!(same(a.all, b.all), "{a:?} {b:?}");
                    for (at, &class) in shuffled.iter().enumerate() {
                        proptest::prop_assert!(same(a.by_class[class], b.by_class[at]));
                    }
                }
                proptest::prop_assert!(same(metric::accuracy(&first), metric::accuracy(&second)));
                proptest::prop_assert!(same(metric::accuracy_within(&first, 3), metric::accuracy_within(&second, 3)));
                for (at, &class) in shuffled.iter().enumerate() {
                    for of in [metric::recall, metric::average_precision, metric::area_under_roc] {
                        proptest::prop_assert!(same(of(&first, class), of(&second, at)));
                    }
                }
            }
        }
    }

    #[test]
    fn ignored_labels_hold_no_rank() {
        // Without the ignored class the label is first, with it second; a class that nobody has is undefined.
        let found = lwlrap(&clips(&[(&[0.9, 0.5, 0.1], b"?10")]), 3);
        close(found.all, 1.0, 1);
        assert_eq!(found.by_class[0], Measured { value: None, n: 0 });
        assert_eq!(found.by_class[2], Measured { value: None, n: 0 });
    }

    #[test]
    fn the_first_three_ranks_count() {
        let clips = clips(&[
            (&[0.4, 0.3, 0.2, 0.1], b"1000"),
            (&[0.4, 0.3, 0.2, 0.1], b"0100"),
            (&[0.4, 0.3, 0.2, 0.1], b"0010"),
            (&[0.4, 0.3, 0.2, 0.1], b"0001"),
            // Ties share the worst rank: the second, and the fourth.
            (&[0.4, 0.4, 0.2, 0.1], b"1000"),
            (&[0.4, 0.4, 0.2, 0.1], b"0100"),
            (&[0.4, 0.4, 0.4, 0.4], b"0100"),
        ]);
        let found = precision_at_3(&clips, 4);
        close(found.all, (1.0 + 0.5 + 1.0 / 3.0 + 0.0 + 0.5 + 0.5 + 0.0) / 7.0, 7);
        close(found.by_class[0], 0.75, 2);
        close(found.by_class[1], 1.0 / 3.0, 3);
        close(found.by_class[3], 0.0, 1);
    }
}
