//! The sensitivity index d', from the area under the ROC curve.

use std::f64::consts::SQRT_2;

use super::metric::Measured;

/// d' of an area under the ROC curve: `sqrt(2)` times the standard normal quantile of the area, for an AUC in `0..=1`.
///
/// Undefined where the area is, and where it is 0 or 1, for then d' is infinite. `n` is that of the area.
///
/// # Source
/// Two normal distributions of one variance whose means lie d' standard deviations apart have this area.
#[must_use]
pub fn d_prime(area: Measured) -> Measured {
    let value = area.value.map(|area| SQRT_2 * normal_quantile(area)).filter(|value| value.is_finite());
    Measured { value, n: if value.is_some() { area.n } else { 0 } }
}

/// Where the standard normal distribution function is `p`; infinite at 0 and 1, NaN outside. Accurate to about 1e-16, relatively.
///
/// # Source
/// Wichura, *Algorithm AS 241: The Percentage Points of the Normal Distribution*, Applied Statistics 37 (1988), PPND16.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * ratio(0.180_625 - q * q, &CENTRE);
    }
    let tail = (-p.min(1.0 - p).ln()).sqrt();
    let magnitude = match tail {
        f64::INFINITY => f64::INFINITY,
        ..=5.0 => ratio(tail - 1.6, &MIDDLE),
        _ => ratio(tail - 5.0, &FAR),
    };
    magnitude.copysign(q)
}

/// Numerator and denominator of a rational approximation, lowest power first.
type Coefficients = [[f64; 8]; 2];

const CENTRE: Coefficients = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];

const MIDDLE: Coefficients = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];

const FAR: Coefficients = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_7e-15,
    ],
];

fn ratio(x: f64, [numerator, denominator]: &Coefficients) -> f64 {
    let polynomial = |of: &[f64; 8]| of.iter().rev().fold(0.0, |sum, &coefficient| sum * x + coefficient);
    polynomial(numerator) / polynomial(denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs worked out by hand; the last one is published with a model.
    #[test]
    fn d_prime_of_the_reference_pairs() {
        for (area, expected) in [
            (0.5, 0.0),
            (0.75, 0.953_873),
            (0.9, 1.812_388),
            (0.95, 2.326_174),
            (0.99, 3.289_953),
            (0.974_047, 2.749_1),
        ] {
            let got = d_prime(Measured { value: Some(area), n: 3 });
            let bound = if area == 0.974_047 { 1e-4 } else { 1e-6 };
            assert!((got.value.unwrap() - expected).abs() < bound, "{area}: {got:?}");
            assert_eq!(got.n, 3);
        }
    }

    /// Quantiles from SciPy's `norm.ppf`, one in each range of the approximation on each side.
    #[test]
    fn quantiles_agree_with_scipy() {
        for (p, expected) in [
            (1e-300, -37.047_096_299_361_2),
            (1e-6, -4.753_424_308_822_899),
            (0.02, -2.053_748_910_631_823),
            (0.07, -1.475_791_028_179_170_6),
            (0.3, -0.524_400_512_708_041),
            (0.6, 0.253_347_103_135_799_7),
            (0.925, 1.439_531_470_938_456_3),
            (0.99, 2.326_347_874_040_840_8),
            (0.999_999, 4.753_424_308_817_087),
        ] {
            let got = normal_quantile(p);
            assert!((got - expected).abs() <= 1e-14 * expected.abs(), "{p}: {got} instead of {expected}");
        }
    }

    #[test]
    fn a_perfect_class_has_no_finite_d_prime() {
        for area in [Some(0.0), Some(1.0), None] {
            assert_eq!(d_prime(Measured { value: area, n: 7 }), Measured { value: None, n: 0 });
        }
    }
}
