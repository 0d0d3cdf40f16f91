//! Round numbers along an axis.

/// Multiples of 1, 2 or 5 times a power of ten that lie in a range, about `count` of them; never none.
///
/// `low` is below `high`, both finite.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|of| of * power >= 0.7 * raw).unwrap_or(10.0);
    // Counted, not added up, so that a tick at zero is zero.
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last.max(first)).map(|at| at as f64 * step).collect()
}

/// Numbers with the digits that tell them apart, and no more.
pub(super) fn texts(numbers: &[f64]) -> Vec<String> {
    let all = |digits: usize| -> Vec<String> {
        numbers.iter().map(|number| format!("{:.digits$}", number + 0.0)).collect()
    };
    let exact = |digits: usize| {
        let scale = 10f64.powi(digits as i32);
        numbers.iter().all(|number| (number * scale - (number * scale).round()).abs() < 1e-6 * scale.max(1.0))
    };
    all((0..6).find(|&digits| exact(digits)).unwrap_or(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(-0.3, 0.3, 3), [-0.2, 0.0, 0.2]);
        assert_eq!(ticks(71.3, 93.9, 5), [75.0, 80.0, 85.0, 90.0]);
        assert_eq!(ticks(1e-5, 3e-5, 4).len(), 5);
        assert_eq!(texts(&ticks(-0.3, 0.3, 3)), ["-0.2", "0.0", "0.2"]);
        assert_eq!(texts(&[1.0, 3.0, 5.0]), ["1", "3", "5"]);
        assert_eq!(texts(&[0.0, 0.25, 0.5]), ["0.00", "0.25", "0.50"]);
    }
}
