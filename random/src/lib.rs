//! Counter-based random numbers: Philox 4x32-10 keyed by seed and stream label.
//!
//! A number depends only on (seed, label, epoch, index, position), never on what was drawn before elsewhere, so the
//! same values come out for any number of threads, any order and after any interruption.
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const WEYL_0: u32 = 0x9E37_79B9;
const WEYL_1: u32 = 0xBB67_AE85;

/// One block of Philox 4x32 with ten rounds: 128 bits of counter and 64 bits of key give 128 random bits.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..10 {
        let p0 = u64::from(MULTIPLIER_0) * u64::from(c0);
        let p1 = u64::from(MULTIPLIER_1) * u64::from(c2);
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        k0 = k0.wrapping_add(WEYL_0);
        k1 = k1.wrapping_add(WEYL_1);
    }
    [c0, c1, c2, c3]
}

/// The finaliser of splitmix64: a bijection that spreads every bit over the word.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A family of generators: one seed and one purpose, such as `"patches"` or a parameter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

impl Stream {
    /// The stream `label` of `seed`. Two labels, or two seeds, give unrelated numbers.
    pub fn new(seed: u64, label: &str) -> Stream {
        let mut hash = mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15));
        for &byte in label.as_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        let key = mix(hash ^ (label.len() as u64).rotate_left(56));
        Stream { key: [key as u32, (key >> 32) as u32] }
    }

    /// The generator of one `index` (for example a sample) in one `epoch`; its period is 2^34 numbers of 32 bits.
    pub fn at(&self, epoch: u32, index: u64) -> Rng {
        Rng { key: self.key, counter: [0, epoch, index as u32, (index >> 32) as u32], block: [0; 4], used: 4 }
    }
}

/// A sequence of random numbers, made by [`Stream::at`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Rng {
    /// The first generator of the stream `label` of `seed`: shorthand for `Stream::new(seed, label).at(0, 0)`.
    pub fn new(seed: u64, label: &str) -> Rng {
        Stream::new(seed, label).at(0, 0)
    }

    /// The same generator after `words` more calls of [`next_u32`](Rng::next_u32).
    pub fn skipped(&self, words: u64) -> Rng {
        let position = 4 * u64::from(self.counter[0]) + self.used as u64 - 4 + words;
        let [_, epoch, low, high] = self.counter;
        let mut rng = Rng { counter: [(position / 4) as u32, epoch, low, high], used: 4, ..self.clone() };
        (0..position % 4).for_each(|_| {
            rng.next_u32();
        });
        rng
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | (u64::from(self.next_u32()) << 32)
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in `[0, 1)` with 24 random bits, from one 32-bit word.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// A uniform number in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A standard normal number (Box-Muller, the cosine branch; two uniforms a number).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A number of the beta distribution with these shapes, both positive; in `[0, 1]`.
    ///
    /// A ratio of two gamma variates, taken of their logarithms: small shapes give numbers far below the smallest one.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (a, b) = (self.log_gamma(a), self.log_gamma(b));
        1.0 / (1.0 + (b - a).exp())
    }

    /// The logarithm of a number of the gamma distribution with this shape and scale 1.
    /// Source: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
    fn log_gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let power = (1.0 - self.uniform()).ln() / shape;
            return self.log_gamma(shape + 1.0) + power;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            let u = 1.0 - self.uniform();
            if v > 0.0 && u.ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return (d * v).ln();
            }
        }
    }

    /// A uniform integer in `0..bound`, without bias (Lemire's method with rejection); 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let reject = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= reject {
                return (product >> 64) as u64;
            }
        }
    }

    /// A uniform index in `0..length`; 0 where `length` is 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Shuffles in place (Fisher-Yates from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }

    /// A random order of `0..length`.
    pub fn permutation(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the reference implementation (Random123, `kat_vectors`).
    #[test]
    fn philox_gives_the_published_answers() {
        let check = |counter, key, expected| assert_eq!(philox4x32_10(counter, key), expected);
        check([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        check([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        check(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        );
    }

    #[test]
    fn every_part_of_the_address_matters() {
        let base = Stream::new(1, "patches").at(2, 3).next_u64();
        assert_eq!(base, Stream::new(1, "patches").at(2, 3).next_u64());
        assert_ne!(base, Stream::new(2, "patches").at(2, 3).next_u64());
        assert_ne!(base, Stream::new(1, "patch").at(2, 3).next_u64());
        assert_ne!(base, Stream::new(1, "patches").at(3, 3).next_u64());
        assert_ne!(base, Stream::new(1, "patches").at(2, 4).next_u64());
        assert_ne!(base, Stream::new(1, "patches").at(2, 3 + (1 << 32)).next_u64());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(7, "moments");
        let n = 200_000;
        let (mut sum, mut square) = (0.0, 0.0);
        for _ in 0..n {
            let value = rng.normal();
            sum += value;
            square += value * value;
        }
        // Standard errors: 0.0022 of the mean, 0.0032 of the variance.
        assert!((sum / f64::from(n)).abs() < 0.01);
        assert!((square / f64::from(n) - 1.0).abs() < 0.015);
        let mean: f64 = (0..n).map(|_| rng.uniform()).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 0.003);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.uniform_f32())));
    }

    #[test]
    fn moments_of_the_beta_distribution_are_those_of_its_formula() {
        for (a, b) in [(0.1, 0.1), (1.0, 1.0), (2.0, 3.0), (0.5, 4.0)] {
            let mut rng = Rng::new(9, "beta");
            let n = 100_000;
            let drawn: Vec<f64> = (0..n).map(|_| rng.beta(a, b)).collect();
            assert!(drawn.iter().all(|value| (0.0..=1.0).contains(value)));
            let mean = drawn.iter().sum::<f64>() / f64::from(n);
            let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(n);
            let expected = a * b / ((a + b).powi(2) * (a + b + 1.0));
            // Five standard errors of the mean are at most 0.008.
            assert!((mean - a / (a + b)).abs() < 0.008, "{a}, {b}: mean {mean}");
            assert!((variance - expected).abs() < 0.008, "{a}, {b}: variance {variance}, not {expected}");
        }
        // Of so small a shape numbers are at the ends.
        let mut rng = Rng::new(9, "beta");
        assert!((0..1000).map(|_| rng.beta(1e-4, 1e-4)).all(|value| !(1e-3..=0.999).contains(&value)));
    }

    #[test]
    fn skipping_is_drawing() {
        let mut rng = Rng::new(3, "skip");
        for _ in 0..11 {
            for words in 0..13 {
                let mut drawn = rng.clone();
                (0..words).for_each(|_| {
                    drawn.next_u32();
                });
                let mut skipped = rng.skipped(words);
                assert_eq!(skipped.next_u64(), drawn.next_u64(), "{words}");
            }
            rng.next_u32();
        }
    }

    #[test]
    fn bounded_integers_fill_their_range_evenly() {
        let mut rng = Rng::new(3, "below");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.index(7)] += 1;
        }
        // Five standard deviations of a binomial with n = 70,000 and p = 1/7 are 463.
        assert!(counts.iter().all(|&c| c.abs_diff(10_000) < 463), "{counts:?}");
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn a_permutation_holds_everything_once() {
        let mut order = Rng::new(5, "order").permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
