//! The comparison of an idea with its improved version.

use crate::similarity;

/// Score changes below this are not meaningful if the text is nearly the same.
const MIN_SCORE_CHANGE: f64 = 0.3;
/// Texts above this similarity are nearly the same.
const NEARLY_THE_SAME: f64 = 0.9;

/// The gain of an improvement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    /// The improved score minus the initial score, to one decimal.
    pub(super) delta: f64,
    /// Whether the improvement is meaningful.
    pub(super) is_meaningful: bool,
}

impl Gain {
    /// Compares two scores and the similarity of their texts. A lower score is never meaningful, nor is a small score change
    /// of a nearly unchanged text.
    pub(super) fn new(initial: f64, improved: f64, similarity: f64) -> Self {
        let delta = one_decimal(improved - initial);
        let is_small = similarity > NEARLY_THE_SAME && delta.abs() < MIN_SCORE_CHANGE;
        Self { delta, is_meaningful: delta >= 0.0 && !is_small }
    }
}

/// The similarity of an idea and its improved version, 0.0 to 1.0, to three decimals.
pub(super) fn similarity(original: &str, improved: &str) -> f64 {
    (similarity::similarity(original, improved) * 1000.0).round() / 1000.0
}

/// Rounds half away from zero; negative zero becomes zero.
fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_meaningful_by_score_and_similarity() {
        for (initial, improved, similarity, delta, is_meaningful) in [
            (6.0, 8.0, 0.5, 2.0, true),
            (6.0, 8.0, 0.99, 2.0, true),
            (6.0, 6.2, 0.95, 0.2, false),
            (6.0, 6.3, 0.95, 0.3, true),
            (6.0, 6.2, 0.9, 0.2, true),
            (6.0, 6.0, 0.2, 0.0, true),
            (6.0, 5.9, 0.2, -0.1, false),
            (8.0, 2.0, 0.1, -6.0, false),
            (0.1, 0.4, 1.0, 0.3, true),
        ] {
            let gain = Gain::new(initial, improved, similarity);
            assert_eq!(gain, Gain { delta, is_meaningful }, "{initial} -> {improved} at {similarity}");
        }
    }
}
