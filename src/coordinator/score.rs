//! What two scores and two texts say about an improvement.

use super::novelty;

/// A change of score too small to matter where the text hardly changed either.
const SMALL_CHANGE: f64 = 0.3;
/// The similarity above which a text hardly changed.
const HARDLY_CHANGED: f64 = 0.9;

/// How far an improvement got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    /// Improved score minus initial score, to one decimal.
    pub(super) delta: f64,
    /// Whether it is an improvement worth the name.
    pub(super) is_meaningful: bool,
}

impl Gain {
    /// The gain from `initial` to `improved` of texts that are `similarity` alike. A drop is never an improvement, and
    /// neither is a small change of the score for hardly any change of the text.
    pub(super) fn new(initial: f64, improved: f64, similarity: f64) -> Self {
        let delta = one_decimal(improved - initial);
        let is_small = similarity > HARDLY_CHANGED && delta.abs() < SMALL_CHANGE;
        Self { delta, is_meaningful: delta >= 0.0 && !is_small }
    }
}

/// How alike an idea and its improvement are, 0.0 to 1.0, to three decimals.
pub(super) fn similarity(original: &str, improved: &str) -> f64 {
    (novelty::similarity(original, improved) * 1000.0).round() / 1000.0
}

/// Rounds half away from zero; negative zero becomes zero.
fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_as_a_table() {
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
