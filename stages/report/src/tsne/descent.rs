//! Points that move until near vectors are near.

use rayon::prelude::*;
use sndpipe_engine::StageError;
use sndpipe_random::Stream;

use super::affinity::Affinities;
use super::tree::{Point, Repulsion, Tree};

/// Deviation of the first places.
const START: f64 = 1e-4;
/// The smallest factor of a coordinate's rate.
const LEAST_GAIN: f64 = 0.01;
/// The smallest rate where none is given.
const LEAST_RATE: f64 = 50.0;
/// Points whose forces one task finds.
const AT_ONCE: usize = 64;

/// How points move.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Descent {
    pub iterations: u32,
    /// Iterations at the beginning in which affinities are larger and momentum is smaller.
    pub early: u32,
    /// How much larger.
    pub exaggeration: f64,
    /// Step size; none: points over four times the exaggeration.
    pub rate: Option<f64>,
    /// Largest angle under which a cell counts as one point.
    pub theta: f64,
    pub seed: u64,
}

/// Where points came to rest, and how far their neighbourhoods are from those of the vectors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rest {
    pub points: Vec<Point>,
    /// Kullback-Leibler divergence in nats.
    pub divergence: f64,
}

impl Descent {
    /// Gradient descent with momentum and a gain for each coordinate. Forces are found point by point and added in order, so that any number of
    /// threads gives the same points.
    ///
    /// # Errors
    /// Those of `tick`, which is called before each iteration with its number.
    ///
    /// # Source
    /// Van der Maaten, Hinton, *Visualizing Data using t-SNE*, JMLR 2008; Jacobs, *Increased Rates of Convergence Through Learning Rate Adaptation*,
    /// 1988 (gains); Belkina et al., Nature Communications 2019 (the rate).
    pub fn run(
        &self,
        affinities: &Affinities,
        tick: &dyn Fn(u32) -> Result<(), StageError>,
    ) -> Result<Rest, StageError> {
        let n = affinities.0.len();
        let stream = Stream::new(self.seed, "tsne");
        let first = |at: u64| {
            let mut rng = stream.at(0, at);
            [START * rng.normal(), START * rng.normal()]
        };
        let mut points: Vec<Point> = (0..n as u64).map(first).collect();
        let (mut speed, mut gains) = (vec![[0.0; 2]; n], vec![[1.0f64; 2]; n]);
        let rate = self.rate.unwrap_or((n as f64 / self.exaggeration / 4.0).max(LEAST_RATE));
        for iteration in 0..self.iterations {
            tick(iteration)?;
            let early = iteration < self.early;
            if iteration == self.early {
                // Groups that have formed start anew: what they had for larger affinities throws them out of good places.
                speed.fill([0.0; 2]);
                gains.fill([1.0; 2]);
            }
            let (exaggeration, momentum) = if early { (self.exaggeration, 0.5) } else { (1.0, 0.8) };
            let (repulsions, sum) = self.repulsions(&points);
            let gradients: Vec<Point> = (0..n)
                .into_par_iter()
                .with_min_len(AT_ONCE)
                .map(|at| {
                    let pull = attraction(&affinities.0[at], &points, at);
                    [0, 1].map(|axis| 4.0 * (exaggeration * pull[axis] - repulsions[at].force[axis] / sum))
                })
                .collect();
            let mut middle = [0.0; 2];
            for at in 0..n {
                for axis in 0..2 {
                    let (speed, gain) = (&mut speed[at][axis], &mut gains[at][axis]);
                    let gradient = gradients[at][axis];
                    *gain = if (*speed < 0.0) == (gradient < 0.0) { *gain * 0.8 } else { *gain + 0.2 };
                    *gain = gain.max(LEAST_GAIN);
                    *speed = momentum * *speed - rate * *gain * gradient;
                    points[at][axis] += *speed;
                    middle[axis] += points[at][axis] / n as f64;
                }
            }
            points.iter_mut().for_each(|point| (0..2).for_each(|axis| point[axis] -= middle[axis]));
        }
        let divergence = self.divergence(affinities, &points);
        if !divergence.is_finite() {
            return Err(
                StageError::failed("the points left the range of numbers").help("take a smaller `rate`")
            );
        }
        Ok(Rest { points, divergence })
    }

    /// What repels each point, and the sum over all pairs.
    fn repulsions(&self, points: &[Point]) -> (Vec<Repulsion>, f64) {
        let tree = Tree::new(points);
        let each: Vec<Repulsion> = (0..points.len())
            .into_par_iter()
            .with_min_len(AT_ONCE)
            .map_init(Vec::new, |stack, at| tree.repulsion(at, self.theta, stack))
            .collect();
        let sum = each.iter().map(|of| of.sum).sum::<f64>().max(f64::MIN_POSITIVE);
        (each, sum)
    }

    /// The divergence of the points' neighbourhoods from the affinities.
    fn divergence(&self, affinities: &Affinities, points: &[Point]) -> f64 {
        let (_, sum) = self.repulsions(points);
        let pairs =
            affinities.0.iter().enumerate().flat_map(|(at, row)| row.iter().map(move |entry| (at, entry)));
        pairs
            .filter(|(_, (_, p))| *p > 0.0)
            .map(|(at, &(other, p))| p * (p / (near(points[at], points[other as usize]) / sum)).ln())
            .sum()
    }
}

/// `1 / (1 + distance^2)`.
fn near(a: Point, b: Point) -> f64 {
    1.0 / (1.0 + (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2))
}

/// What pulls a point.
fn attraction(row: &[(u32, f64)], points: &[Point], at: usize) -> Point {
    row.iter().fold([0.0, 0.0], |pull, &(other, p)| {
        let (y, other) = (points[at], points[other as usize]);
        let weight = p * near(y, other);
        [pull[0] + weight * (y[0] - other[0]), pull[1] + weight * (y[1] - other[1])]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Affinities of points on a line, and some places for them.
    fn small() -> (Affinities, Vec<Point>) {
        let values: Vec<f32> = (0..24).map(|at| (at * at) as f32 / 10.0).collect();
        let mut rng = Stream::new(4, "places").at(0, 0);
        let points = (0..24).map(|_| [rng.normal(), rng.normal()]).collect();
        (Affinities::of(&values, 1, 5.0, &|| Ok(())).unwrap(), points)
    }

    fn descent(iterations: u32) -> Descent {
        Descent { iterations, early: 250, exaggeration: 12.0, rate: None, theta: 0.5, seed: 0 }
    }

    #[test]
    fn the_gradient_is_that_of_the_divergence() {
        let (affinities, points) = small();
        let descent = Descent { theta: 0.0, ..descent(0) };
        let (repulsions, sum) = descent.repulsions(&points);
        for at in [0, 7, 23] {
            let pull = attraction(&affinities.0[at], &points, at);
            for axis in 0..2 {
                let moved = |by: f64| {
                    let mut points = points.clone();
                    points[at][axis] += by;
                    descent.divergence(&affinities, &points)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                let gradient = 4.0 * (pull[axis] - repulsions[at].force[axis] / sum);
                assert!((gradient - slope).abs() < 1e-6, "{gradient} instead of {slope}");
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let mut rng = Stream::new(9, "many").at(0, 0);
        let values: Vec<f32> = (0..400 * 5).map(|_| rng.normal() as f32).collect();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let affinities = Affinities::of(&values, 5, 12.0, &|| Ok(())).unwrap();
                descent(60).run(&affinities, &|_| Ok(())).unwrap()
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn the_divergence_falls() {
        let (affinities, _) = small();
        let after = |iterations: u32| descent(iterations).run(&affinities, &|_| Ok(())).unwrap().divergence;
        let (early, late) = (after(1), after(600));
        assert!(late < 0.5 * early, "{early} then {late}");
    }
}
