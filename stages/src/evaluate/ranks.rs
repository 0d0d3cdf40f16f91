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
/// or above it, the mean over all labels. Ranks go by score, of equals the first class leads. `n` counts labels; clips without
/// any do not count.
///
/// # Source
/// The metric of DCASE 2019 task 2.
#[must_use]
pub fn lwlrap(clips: &[Judged], classes: usize) -> Ranked {
    let mut values = Vec::new();
    for clip in clips {
        let mut hits = 0;
        for (rank, class) in clip.ranking().into_iter().enumerate() {
            if clip.truth[class] == Some(true) {
                hits += 1;
                values.push((class, f64::from(hits) / (rank + 1) as f64));
            }
        }
    }
    Ranked::of(&values, classes)
}

/// Mean average precision at 3, for one class a clip: 1, 1/2 or 1/3 where the clip's class is ranked first, second or third, else
/// 0. Ranks as for [`lwlrap`]; `n` counts clips.
///
/// # Source
/// The metric of DCASE 2018 task 2 (FSDKaggle2018).
#[must_use]
pub fn precision_at_3(clips: &[Judged], classes: usize) -> Ranked {
    let mut values = Vec::new();
    for clip in clips {
        let ranking = clip.ranking();
        let own = ranking.iter().enumerate().find(|(_, class)| clip.truth[**class] == Some(true));
        if let Some((rank, &class)) = own {
            values.push((class, if rank < 3 { 1.0 / (rank + 1) as f64 } else { 0.0 }));
        }
    }
    Ranked::of(&values, classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clips(rows: &[(&[f32], &[u8])]) -> Vec<Judged> {
        let state = |letter: &u8| match letter {
            b'1' => Some(true),
            b'0' => Some(false),
            _ => None,
        };
        let clip = |(scores, truth): &(&[f32], &[u8])| Judged {
            id: String::new(),
            scores: scores.to_vec(),
            truth: truth.iter().map(state).collect(),
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
            // A tie: class 0 leads.
            (&[0.4, 0.4, 0.2, 0.1], b"0100"),
        ]);
        let found = precision_at_3(&clips, 4);
        close(found.all, (1.0 + 0.5 + 1.0 / 3.0 + 0.0 + 0.5) / 5.0, 5);
        close(found.by_class[1], 0.5, 2);
        close(found.by_class[3], 0.0, 1);
    }
}
