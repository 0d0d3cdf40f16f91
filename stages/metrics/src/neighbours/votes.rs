//! What the classes of neighbours say about clips.

use std::collections::BTreeMap;

use sndpipe_engine::StageError;

use super::search::{Neighbour, Search, Vectors};
use crate::metric::{Judged, TieOrder};

/// What the neighbours say: for each clip of the queries a score for each class, `[clips, classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Voted {
    /// Of all neighbours.
    pub scores: Vec<Vec<f32>>,
    /// Of the nearest one alone: the patches of the clip whose nearest neighbour has the class.
    pub nearest: Vec<Vec<f32>>,
}

/// What the neighbours of one patch say: the class of the nearest, and the weight of each class.
type Patch = (Option<u32>, BTreeMap<u32, f64>);

/// Judges clips by the `k` nearest patches of other clips of the same set.
///
/// Each patch goes to the class that most of its neighbours have, each clip to the class that most of its patches have; of equals
/// the one that `ties` says. The score of a class is the number of patches that go to it; of classes that no patch goes to,
/// the share of neighbours, which is below 1.
///
/// - `vectors`: of unit length, so that the nearest is the one at the smallest angle; `clips` are indices into `class_of`.
/// - `class_of`: the class of each clip, one of those of `ties`.
///
/// # Errors
/// Those of `tick`.
///
/// # Source
/// Fonseca, Ortego, McGuinness, O'Connor, Serra, *Unsupervised Contrastive Learning of Sound Event Representations*, ICASSP 2021.
pub fn leave_one_clip_out(
    vectors: Vectors<'_>,
    class_of: &[u32],
    ties: &TieOrder,
    k: usize,
    tick: &(dyn Fn() -> Result<(), StageError> + Sync),
) -> Result<Voted, StageError> {
    let classes = ties.classes().len();
    let search = Search { bank: vectors, offsets: &[], k, others: true };
    let patches = ask(&search, vectors, class_of, &|_| 1.0, tick)?;
    let (mut scores, mut shares) = (zeros(class_of.len(), classes), zeros(class_of.len(), classes));
    for (&clip, (_, votes)) in vectors.clips.iter().zip(&patches) {
        let clip = clip as usize;
        votes.iter().for_each(|(&class, &votes)| shares[clip][class as usize] += votes as f32);
        let most = votes.values().copied().fold(0.0, f64::max);
        if let Some(&class) = ties.classes().iter().find(|&&class| votes.get(&(class as u32)) == Some(&most))
        {
            scores[clip][class] += 1.0;
        }
    }
    for (scores, shares) in scores.iter_mut().zip(&shares) {
        let total: f32 = shares.iter().sum::<f32>() + 1.0;
        for (score, share) in scores.iter_mut().zip(shares).filter(|(score, _)| **score == 0.0) {
            *score = share / total;
        }
    }
    Ok(Voted { scores, nearest: nearest(vectors, &patches, class_of.len(), classes) })
}

/// Judges clips by the `k` nearest patches of a bank of other clips.
///
/// The weight of a class is the sum over its neighbours of `exp(cos / temperature)`, divided by that of all classes; the score of a
/// clip is the mean over its patches.
///
/// - `queries`, `bank`: of unit length; the clips of `queries` are below `clips`, those of `bank` are indices into `class_of`.
/// - `class_of`: the class of each clip of the bank, below `classes`.
///
/// # Errors
/// Those of `tick`; [`StageError::Failed`] if the sizes differ.
///
/// # Source
/// Wu, Xiong, Yu, Lin, *Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, CVPR 2018.
pub fn memory_bank(
    (queries, clips): (Vectors<'_>, usize),
    (bank, class_of): (Vectors<'_>, &[u32]),
    classes: usize,
    (k, temperature): (usize, f64),
    tick: &(dyn Fn() -> Result<(), StageError> + Sync),
) -> Result<Voted, StageError> {
    let search = Search { bank, offsets: &[], k, others: false };
    let patches = ask(&search, queries, class_of, &|below| (-below / temperature).exp(), tick)?;
    let mut counts = vec![0u32; clips];
    queries.clips.iter().for_each(|&clip| counts[clip as usize] += 1);
    let mut sums = vec![vec![0.0f64; classes]; clips];
    for (&clip, (_, weights)) in queries.clips.iter().zip(&patches) {
        let total: f64 = weights.values().sum();
        for (&class, weight) in weights {
            sums[clip as usize][class as usize] += weight / total;
        }
    }
    let mean = |(sums, count): (Vec<f64>, &u32)| {
        sums.into_iter().map(|sum| (sum / f64::from((*count).max(1))) as f32).collect()
    };
    let scores = sums.into_iter().zip(&counts).map(mean).collect();
    Ok(Voted { scores, nearest: nearest(queries, &patches, clips, classes) })
}

/// What the neighbours of each query say; the weight of one is a function of how far its cosine is below that of the nearest. Only ratios
/// of weights count, and so nothing overflows.
fn ask(
    search: &Search<'_>,
    queries: Vectors<'_>,
    class_of: &[u32],
    weight: &(dyn Fn(f64) -> f64 + Sync),
    tick: &(dyn Fn() -> Result<(), StageError> + Sync),
) -> Result<Vec<Patch>, StageError> {
    let class = |neighbour: &Neighbour| class_of[search.bank.clips[neighbour.at as usize] as usize];
    search.each(queries, tick, |_, neighbours| {
        let mut weights = BTreeMap::new();
        for neighbour in neighbours {
            let below = f64::from(neighbours[0].similarity) - f64::from(neighbour.similarity);
            *weights.entry(class(neighbour)).or_insert(0.0) += weight(below);
        }
        (neighbours.first().map(class), weights)
    })
}

/// For each clip the patches whose nearest neighbour has each class.
fn nearest(queries: Vectors<'_>, patches: &[Patch], clips: usize, classes: usize) -> Vec<Vec<f32>> {
    let mut counts = zeros(clips, classes);
    for (&clip, (class, _)) in queries.clips.iter().zip(patches) {
        if let Some(class) = class {
            counts[clip as usize][*class as usize] += 1.0;
        }
    }
    counts
}

fn zeros(clips: usize, classes: usize) -> Vec<Vec<f32>> {
    vec![vec![0.0; classes]; clips]
}

/// Clips with the scores of their classes and the class that each has.
#[must_use]
pub fn judged(ids: &[String], scores: Vec<Vec<f32>>, class_of: &[u32], ties: &TieOrder) -> Vec<Judged> {
    let truth = |own: u32| (0..ties.classes().len()).map(|class| Some(class as u32 == own)).collect();
    let clips = ids.iter().zip(scores).zip(class_of);
    clips.map(|((id, scores), &class)| Judged::new(id.clone(), scores, truth(class), ties)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on the unit circle, by their angles in degrees.
    fn circle(angles: &[f64]) -> Vec<f32> {
        angles
            .iter()
            .flat_map(|angle| [angle.to_radians().cos() as f32, angle.to_radians().sin() as f32])
            .collect()
    }

    #[test]
    fn a_clip_is_not_its_own_neighbour() {
        // Two clips of class 1 with two patches each, one of class 0 between them.
        let values = circle(&[0.0, 1.0, 2.5, 5.0, 90.0]);
        let vectors = Vectors { values: &values, size: 2, clips: &[0, 0, 1, 2, 2] };
        let ties = TieOrder::of(&["a", "b"].map(str::to_owned));
        let found = leave_one_clip_out(vectors, &[1, 0, 1], &ties, 1, &|| Ok(())).unwrap();
        // The nearest of clip 0 and of clip 2 is clip 1, of class 0; that of clip 1 is the patch at 1 degree.
        assert_eq!(found.scores[0], [2.0, 0.0]);
        assert_eq!(found.scores[1], [0.0, 1.0]);
        assert_eq!(found.nearest, found.scores);
    }

    #[test]
    fn ties_go_to_the_first_name_and_losers_are_ranked() {
        // One patch of clip 0 with two neighbours of class 2, two of class 1, one of class 3.
        let values = circle(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let vectors = Vectors { values: &values, size: 2, clips: &[0, 1, 2, 3, 4, 5] };
        for (names, first, other) in [("abcd", 1, 2), ("acbd", 2, 1)] {
            let ties = TieOrder::of(&names.chars().map(String::from).collect::<Vec<_>>());
            let found = leave_one_clip_out(vectors, &[0, 2, 1, 2, 1, 3], &ties, 5, &|| Ok(())).unwrap();
            let scores = &found.scores[0];
            assert_eq!(scores[first], 1.0);
            assert!(scores[other] > scores[3] && scores[3] > 0.0 && scores[other] < 1.0, "{scores:?}");
            assert_eq!(scores[0], 0.0);
        }
    }

    #[test]
    fn the_bank_weighs_by_the_cosine() {
        let (query, bank) = (circle(&[0.0, 60.0]), circle(&[0.0, 60.0, 90.0]));
        let queries = Vectors { values: &query, size: 2, clips: &[0, 0] };
        let bank = Vectors { values: &bank, size: 2, clips: &[0, 1, 2] };
        let found = memory_bank((queries, 1), (bank, &[0, 1, 1]), 2, (3, 0.5), &|| Ok(())).unwrap();
        // By hand: cosines 1, 1/2, 0 and 1/2, 1, sqrt(3)/2, each over 0.5.
        let share = |cosines: [f64; 3]| {
            let [a, b, c] = cosines.map(|cosine| (cosine / 0.5).exp());
            a / (a + b + c)
        };
        let expected = f64::midpoint(share([1.0, 0.5, 0.0]), share([0.5, 1.0, 0.75f64.sqrt()]));
        assert!((f64::from(found.scores[0][0]) - expected).abs() < 1e-6, "{found:?}");
        assert!((found.scores[0].iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(found.nearest, [[1.0, 1.0]]);
    }
}
