//! Finds improvements that belong to another idea than the one they were given for.

use crate::similarity::similarity;

/// An improvement at least this similar to another idea may belong to it. Unrelated texts are less similar.
const SIMILAR: f64 = 0.18;
/// It does if it is less similar to its own idea by at least this much. Versions of similar ideas differ by less.
const MARGIN: f64 = 0.12;

/// Returns whether `improvement` is one of the idea at `index` of `ideas`, not a copy or a version of another one.
pub(super) fn is_of<'a>(index: usize, improvement: &str, ideas: impl ExactSizeIterator<Item = &'a str>) -> bool {
    if ideas.len() < 2 {
        return true;
    }
    let similarities: Vec<f64> = ideas.map(|idea| similarity(idea, improvement)).collect();
    let own = similarities.get(index).copied().unwrap_or(1.0);
    let others = similarities.iter().enumerate().filter(|(other, _)| *other != index);
    let nearest = others.map(|(_, similarity)| *similarity).fold(0.0, f64::max);
    let is_copy = nearest >= 1.0 && own < 1.0;
    let is_nearer = nearest >= SIMILAR && nearest - own >= MARGIN;
    !is_copy && !is_nearer
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDEAS: [&str; 3] = [
        "Shared fridges: Neighbours leave surplus food in a public refrigerator.",
        "Roof gardens: Pupils grow vegetables above their classrooms. The kitchen cooks them.",
        "Night library: Shift workers borrow novels after midnight.",
    ];

    fn is_own(index: usize, improvement: &str) -> bool {
        is_of(index, improvement, IDEAS.into_iter())
    }

    #[test]
    fn an_improvement_of_its_own_idea_is_accepted() {
        for (index, improvement) in [
            (
                0,
                "Shared fridges with sensors: Neighbours leave surplus food in a public refrigerator that reports its temperature.",
            ),
            (1, "School roof farm: Pupils grow vegetables on the roof, and the kitchen cooks them every Friday."),
            (2, "Midnight library van: Nurses and drivers borrow novels at their place of work."),
            (2, "A new title: Something that has no word of any of them"),
        ] {
            assert!(is_own(index, improvement), "{improvement}");
        }
    }

    #[test]
    fn an_improvement_of_another_idea_is_found() {
        for (index, improvement) in [
            (0, IDEAS[1]),
            (1, IDEAS[2]),
            (0, "Better roof gardens: Pupils grow vegetables above their classrooms, and sell them on a market."),
            (1, "Night library with tea: Shift workers borrow novels after midnight and stay for a tea."),
            (2, "Shared fridges that report: Neighbours leave surplus food in a public refrigerator with a sensor."),
        ] {
            assert!(!is_own(index, improvement), "{improvement}");
        }
    }

    #[test]
    fn similar_ideas_may_have_similar_improvements() {
        let ideas = ["Bus stops with solar roofs", "Bus stops with green roofs"];
        assert!(is_of(0, "Bus stops with solar roofs and lamps", ideas.into_iter()));
        assert!(is_of(1, "Bus stops with green roofs and bees", ideas.into_iter()));
        assert!(!is_of(1, "Bus stops with solar roofs", ideas.into_iter()), "a copy of the other one");
        assert!(is_of(0, "Anything at all", ["A single idea"].into_iter()));
    }
}
