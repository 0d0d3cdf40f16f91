//! What an encoder can learn without labels.

use serde::{Deserialize, Serialize};

use crate::NnError;
use sndpipe_random::Rng;

/// A method with its weight in the sum of losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The method.
    pub method: MethodSpec,
    /// Factor of its loss; above 0.
    pub weight: f64,
}

/// A way to learn from views of samples without labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MethodSpec {
    /// Two views of a sample are told from the views of the others: [`try_nt_xent`](crate::ops::try_nt_xent).
    Contrastive {
        /// Divides similarities; above 0.
        temperature: f64,
    },
    /// Each sample is a class of its own, compared with the memory of all: [`try_bank_softmax`](crate::ops::try_bank_softmax)
    /// or [`try_bank_nce`](crate::ops::try_bank_nce), of first views.
    Instance {
        /// Divides similarities; above 0.
        temperature: f64,
        /// Entries of the memory that a sample is compared with, drawn anew each step; 0 for all.
        negatives: usize,
        /// Share of the old entry in the new one, in [0, 1).
        momentum: f64,
    },
    /// A sample is to be nearer to its other view than to another sample: [`try_triplet_hinge`](crate::ops::try_triplet_hinge),
    /// over the number of triplets.
    Triplet {
        /// How much nearer, in squared distance; at least 0.
        margin: f64,
        /// Which other sample.
        negatives: Negatives,
    },
    /// Whether two views are of one sample is predicted from their features: [`try_coincidence`](crate::ops::try_coincidence).
    Coincidence {
        /// Units of the hidden layer over both.
        hidden: usize,
    },
}

/// Which sample of a batch is the negative of a triplet. Only other items count that are not of the same kind, and of these first
/// views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negatives {
    /// The nearest of those farther away than the positive; where none is, the farthest.
    /// Source: Schroff, Kalenichenko and Philbin 2015.
    #[default]
    SemiHard,
    /// Any, with the same probability.
    Random,
}

impl MethodSpec {
    /// The name in a pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            MethodSpec::Contrastive { .. } => "contrastive",
            MethodSpec::Instance { .. } => "instance",
            MethodSpec::Triplet { .. } => "triplet",
            MethodSpec::Coincidence { .. } => "coincidence",
        }
    }

    /// Views of a sample that it needs.
    pub fn views(&self) -> usize {
        if matches!(self, MethodSpec::Instance { .. }) { 1 } else { 2 }
    }

    /// Whether it compares what the head gives, and not features.
    pub fn reads_head(&self) -> bool {
        !matches!(self, MethodSpec::Coincidence { .. })
    }

    /// Checks ranges; names the parameter, its value and the range.
    pub fn check(&self) -> Result<(), NnError> {
        let positive = |name: &str, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(NnError::range(name, value, "positive"))
            }
        };
        match *self {
            MethodSpec::Contrastive { temperature } => positive("temperature", temperature),
            MethodSpec::Instance { momentum, .. } if !(0.0..1.0).contains(&momentum) => {
                Err(NnError::range("momentum", momentum, "in [0, 1)"))
            }
            MethodSpec::Instance { negatives, .. } if negatives > 1 << 20 => {
                Err(NnError::range("negatives", negatives, "in 0 ..= 1048576"))
            }
            MethodSpec::Instance { temperature, .. } => positive("temperature", temperature),
            MethodSpec::Triplet { margin, .. } if !(margin >= 0.0 && margin.is_finite()) => {
                Err(NnError::range("margin", margin, "not negative"))
            }
            MethodSpec::Coincidence { hidden } if hidden == 0 || hidden > 1 << 20 => {
                Err(NnError::range("hidden", hidden, "in 1 ..= 1048576"))
            }
            MethodSpec::Triplet { .. } | MethodSpec::Coincidence { .. } => Ok(()),
        }
    }
}

/// What a batch is of.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    /// The item of each place.
    pub ids: &'a [usize],
    /// Of two places whether their items are of one kind, although they differ.
    pub alike: &'a dyn Fn(usize, usize) -> bool,
}

/// The triplets of a batch: row `i` of `z` is the anchor of place `i`, row `n + i` its positive. Without an item of another kind in
/// the batch there is none.
pub(crate) fn triplets(
    z: &[f32],
    width: usize,
    items: Items<'_>,
    negatives: Negatives,
    rng: &mut Rng,
) -> Vec<[usize; 3]> {
    let n = items.ids.len();
    let row = |row: usize| &z[row * width..(row + 1) * width];
    let distance = |a: usize, b: usize| -> f64 {
        row(a).iter().zip(row(b)).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
    };
    let mut all = Vec::with_capacity(n);
    for anchor in 0..n {
        let apart = |other: &usize| items.ids[*other] != items.ids[anchor] && !(items.alike)(anchor, *other);
        let others = (0..n).filter(apart);
        let negative = match negatives {
            Negatives::Random => {
                let others: Vec<usize> = others.collect();
                // Drawn for every anchor, so that the number of draws does not depend on the others.
                let at = rng.uniform();
                others.get((at * others.len() as f64) as usize).copied()
            }
            Negatives::SemiHard => {
                let positive = distance(anchor, n + anchor);
                let others: Vec<(f64, usize)> =
                    others.map(|other| (distance(anchor, other), other)).collect();
                let farther = others.iter().filter(|(far, _)| *far > positive);
                let nearest = farther.min_by(|(a, i), (b, j)| a.total_cmp(b).then(i.cmp(j)));
                let farthest = || others.iter().max_by(|(a, i), (b, j)| a.total_cmp(b).then(j.cmp(i)));
                nearest.or_else(farthest).map(|(_, other)| *other)
            }
        };
        all.extend(negative.map(|negative| [anchor, n + anchor, negative]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_are_those_of_their_definition() {
        let mut rng = Rng::new(1, "negatives");
        let triplets = |z: &[f32], items: &[usize], negatives, rng: &mut Rng| {
            triplets(z, 1, Items { ids: items, alike: &|_, _| false }, negatives, rng)
        };
        // Anchors at 0, 1, 3 and 10 on a line, positives 2 away from each; the first two are one item.
        let z = [0.0, 1.0, 3.0, 10.0, 2.0, 3.0, 5.0, 12.0];
        let found = triplets(&z, &[7, 7, 8, 9], Negatives::SemiHard, &mut rng);
        // Of 0: 3 is the nearest beyond 2. Of 1: 3 is not beyond, 10 is. Of 3: 0 is the nearest beyond. Of 10: 3.
        assert_eq!(found, [[0, 4, 2], [1, 5, 3], [2, 6, 0], [3, 7, 2]]);
        // All nearer than the positive: the farthest of them.
        let z = [0.0, 1.0, 2.0, 9.0, 9.0, 9.0];
        let found = triplets(&z, &[0, 1, 2], Negatives::SemiHard, &mut rng);
        assert_eq!(found, [[0, 3, 2], [1, 4, 0], [2, 5, 0]]);
        let mut counts = [0; 4];
        for _ in 0..3000 {
            for [anchor, positive, negative] in
                triplets(&[0.0; 8], &[7, 7, 8, 9], Negatives::Random, &mut rng)
            {
                assert_eq!(positive, 4 + anchor);
                assert!(negative != anchor && (negative > 1 || anchor > 1));
                counts[negative] += usize::from(anchor == 2);
            }
        }
        // A third of 3000 each, five standard deviations being 129.
        assert!(counts[2] == 0 && [0, 1, 3].iter().all(|&i| counts[i].abs_diff(1000) < 129), "{counts:?}");
        assert_eq!(triplets(&[0.0; 4], &[3, 3], Negatives::Random, &mut rng), [[0; 3]; 0]);
    }

    #[test]
    fn what_is_alike_is_no_negative() {
        let mut rng = Rng::new(2, "negatives");
        let z = [0.0, 1.0, 3.0, 10.0, 2.0, 3.0, 5.0, 12.0];
        // The items at 0 and 3 are of one kind, and so are those at 1 and 10.
        let alike = |a: usize, b: usize| a % 2 == b % 2;
        let items = Items { ids: &[4, 5, 6, 7], alike: &alike };
        // Of 0: 1 and 10 are left, of which 10 is beyond 2. Of 1: 0 and 3, both within 2, and 3 the farthest. Of 3: 10 beyond.
        let found = triplets(&z, 1, items, Negatives::SemiHard, &mut rng);
        assert_eq!(found, [[0, 4, 3], [1, 5, 2], [2, 6, 3], [3, 7, 2]]);
        for _ in 0..200 {
            for [anchor, _, negative] in triplets(&z, 1, items, Negatives::Random, &mut rng) {
                assert!(!alike(anchor, negative), "{anchor} and {negative}");
            }
        }
        let all = Items { ids: &[4, 5, 6, 7], alike: &|_, _| true };
        assert_eq!(triplets(&z, 1, all, Negatives::SemiHard, &mut rng), [[0; 3]; 0]);
    }
}
