//! How likely each vector takes another one for its neighbour.

use sndpipe_engine::StageError;
use sndpipe_metrics::neighbours::{Neighbour, Search, Vectors};

/// Neighbours of a vector, in units of the perplexity.
const REACH: f64 = 3.0;
/// Halvings of the width of a Gaussian, at most.
const STEPS: usize = 100;
/// How near the logarithm of the perplexity is met.
const TOLERANCE: f64 = 1e-5;

/// A sparse symmetric matrix of probabilities that add up to 1: rows of columns and values, columns ascending.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Affinities(pub Vec<Vec<(u32, f64)>>);

impl Affinities {
    /// The affinities of vectors: Gaussian in the distance, of such width at each that the perplexity of its neighbours is the given
    /// one; the mean of both directions.
    ///
    /// # Errors
    /// Those of `tick`.
    ///
    /// # Source
    /// Van der Maaten, *Accelerating t-SNE using Tree-Based Algorithms*, JMLR 2014.
    pub fn of(
        values: &[f32],
        size: usize,
        perplexity: f64,
        tick: &(dyn Fn() -> Result<(), StageError> + Sync),
    ) -> Result<Self, StageError> {
        let n = values.len() / size;
        let own: Vec<u32> = (0..n as u32).collect();
        let vector = |at: usize| &values[at * size..(at + 1) * size];
        let square = |at: usize| vector(at).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let halves: Vec<f32> = (0..n).map(|at| (square(at) / 2.0) as f32).collect();
        let all = Vectors { values, size, clips: &own };
        let k = ((REACH * perplexity) as usize + 1).min(n - 1);
        let rows = Search { bank: all, offsets: &halves, k, others: true }.each(
            all,
            tick,
            |query, found: &[Neighbour]| {
                // Which are nearest is known in single precision; how far they are matters more.
                let distance = |other: usize| {
                    let pairs = vector(query).iter().zip(vector(other));
                    pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
                };
                let squares: Vec<f64> = found.iter().map(|of| distance(of.at as usize)).collect();
                let shares = gaussian(&squares, perplexity);
                found.iter().map(|of| of.at).zip(shares).collect::<Vec<_>>()
            },
        )?;
        let scale = 1.0 / (2.0 * n as f64);
        let mut both: Vec<Vec<(u32, f64)>> = vec![Vec::new(); n];
        for (from, row) in rows.iter().enumerate() {
            for &(to, share) in row {
                both[from].push((to, share * scale));
                both[to as usize].push((from as u32, share * scale));
            }
        }
        for row in &mut both {
            row.sort_by_key(|(column, _)| *column);
            row.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
        }
        Ok(Self(both))
    }
}

/// Shares of neighbours at squared distances, by a Gaussian whose perplexity is the given one, or as near as neighbours allow.
fn gaussian(squares: &[f64], perplexity: f64) -> Vec<f64> {
    let nearest = squares.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut precision, mut low, mut high) = (1.0, 0.0, f64::INFINITY);
    let mut shares = Vec::new();
    for _ in 0..STEPS {
        // Less the nearest, which changes no share: the sum is at least 1.
        shares = squares.iter().map(|square| (-precision * (square - nearest)).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share: &mut f64| *share /= sum);
        let weighted: f64 =
            shares.iter().zip(squares).map(|(share, square)| share * (square - nearest)).sum();
        let off = sum.ln() + precision * weighted - perplexity.ln();
        if off.abs() <= TOLERANCE {
            break;
        }
        if off > 0.0 {
            low = precision;
            precision = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * precision };
        } else {
            high = precision;
            precision = f64::midpoint(low, high);
        }
        if !precision.is_finite() {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use sndpipe_random::Stream;

    use super::*;

    #[test]
    fn the_perplexity_is_met() {
        let squares: Vec<f64> = (1..=90).map(|at| f64::from(at * at) / 7.0).collect();
        for perplexity in [2.0, 10.0, 30.0] {
            let shares = gaussian(&squares, perplexity);
            let entropy: f64 = shares.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((entropy.exp() / perplexity - 1.0).abs() < 1e-4, "{} for {perplexity}", entropy.exp());
        }
        // Equal distances have equal shares, whatever is asked for.
        let shares = gaussian(&[4.0; 5], 3.0);
        assert!(shares.iter().all(|share| (share - 0.2).abs() < 1e-12), "{shares:?}");
    }

    #[test]
    fn affinities_are_symmetric_and_add_up_to_one() {
        let mut rng = Stream::new(1, "points").at(0, 0);
        let values: Vec<f32> = (0..200 * 3).map(|_| rng.normal() as f32).collect();
        let Affinities(rows) = Affinities::of(&values, 3, 10.0, &|| Ok(())).unwrap();
        let sum: f64 = rows.iter().flatten().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        for (from, row) in rows.iter().enumerate() {
            assert!(row.len() >= 31 && row.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for &(to, share) in row {
                assert_ne!(to as usize, from);
                let back = rows[to as usize].iter().find(|(column, _)| *column as usize == from).unwrap().1;
                assert!((back - share).abs() < 1e-15);
            }
        }
    }
}
