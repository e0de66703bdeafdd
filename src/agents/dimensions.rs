//! The multi-dimensional evaluator: scores every idea on seven dimensions and summarizes it, in one call.

use std::borrow::Cow;

use garde::Validate;
use schemars::JsonSchema;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::{Brief, Instruction};
use crate::error::Result;
use crate::named_enum::named_enum;
use crate::router::Generate;

const ROLE: &str = "You are an analyst of ideas. You rate one dimension at a time, each by itself, and let no dimension colour another.";

/// Lower scores are weak.
const WEAK: f64 = 6.0;

/// The number of weak dimensions that an improvement focuses on.
const MAX_WEAK: usize = 3;

named_enum! {
    /// A dimension that ideas are scored on.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Dimension {
        /// Whether the idea can be implemented.
        Feasibility = "feasibility",
        /// Whether the idea is new.
        Innovation = "innovation",
        /// How much the idea changes.
        Impact = "impact",
        /// The benefit in relation to the cost.
        CostEffectiveness = "cost_effectiveness",
        /// Whether the idea can grow.
        Scalability = "scalability",
        /// How safe the idea is. A higher score is safer.
        RiskAssessment = "risk_assessment",
        /// How soon the idea works.
        Timeline = "timeline",
    }
}

impl Dimension {
    /// Returns the share of the weighted score. All shares add up to 1.
    pub const fn weight(self) -> f64 {
        match self {
            Self::Feasibility | Self::Impact => 0.20,
            Self::Innovation | Self::CostEffectiveness => 0.15,
            Self::Scalability | Self::RiskAssessment | Self::Timeline => 0.10,
        }
    }

    const fn question(self) -> &'static str {
        match self {
            Self::Feasibility => "can it be done with what there is?",
            Self::Innovation => "is it new?",
            Self::Impact => "how much does it change, and for how many?",
            Self::CostEffectiveness => "what does it give for its cost?",
            Self::Scalability => "can it grow?",
            Self::RiskAssessment => "how safe is it? 10 is without risk",
            Self::Timeline => "how soon does it work? 10 is at once",
        }
    }
}

/// What a model says about one idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct DimensionScores {
    /// Whether it can be done, 0 to 10.
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub feasibility: f64,
    /// Whether it is new, 0 to 10.
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub innovation: f64,
    /// What it changes, 0 to 10.
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub impact: f64,
    /// What it gives for its cost, 0 to 10.
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub cost_effectiveness: f64,
    /// Whether it can grow, 0 to 10.
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub scalability: f64,
    /// How safe it is, 0 (reckless) to 10 (without risk).
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub risk_assessment: f64,
    /// How soon it works, 0 (in decades) to 10 (at once).
    #[serde(deserialize_with = "clamped")]
    #[garde(range(min = 0.0, max = 10.0))]
    pub timeline: f64,
    /// The idea's strong and weak sides in a sentence.
    #[garde(length(chars, min = 1, max = 1000))]
    pub summary: String,
}

impl Output for DimensionScores {
    const BATCH: &'static str = "DimensionEvaluations";
}

impl DimensionScores {
    /// Returns the score of `dimension`, from 1.0 to 10.0.
    pub const fn of(&self, dimension: Dimension) -> f64 {
        match dimension {
            Dimension::Feasibility => self.feasibility,
            Dimension::Innovation => self.innovation,
            Dimension::Impact => self.impact,
            Dimension::CostEffectiveness => self.cost_effectiveness,
            Dimension::Scalability => self.scalability,
            Dimension::RiskAssessment => self.risk_assessment,
            Dimension::Timeline => self.timeline,
        }
    }

    /// Returns the mean of the seven scores.
    pub fn overall(&self) -> f64 {
        Dimension::ALL.map(|dimension| self.of(dimension)).iter().sum::<f64>() / 7.0
    }

    /// Returns the sum of the seven scores by their weights.
    pub fn weighted(&self) -> f64 {
        Dimension::ALL.map(|dimension| self.of(dimension) * dimension.weight()).iter().sum()
    }

    /// Returns how much the seven scores agree: 1 minus a 25th of their variance, and at least 0.
    pub fn confidence_interval(&self) -> f64 {
        let mean = self.overall();
        let squares = Dimension::ALL.map(|dimension| (self.of(dimension) - mean).powi(2));
        (1.0 - squares.iter().sum::<f64>() / 7.0 / 25.0).max(0.0)
    }

    /// Returns the dimensions that an improvement should focus on: at most three with scores below 6, the lowest first, and
    /// the one with the greater weight first among equals.
    pub fn weak(&self) -> Vec<Dimension> {
        let mut weak: Vec<Dimension> =
            Dimension::ALL.into_iter().filter(|dimension| self.of(*dimension) < WEAK).collect();
        weak.sort_by(|one, two| self.of(*one).total_cmp(&self.of(*two)).then(two.weight().total_cmp(&one.weight())));
        weak.truncate(MAX_WEAK);
        weak
    }

    /// Formats the weak dimensions for [`ImproveInput::weak_dimensions`](super::ImproveInput::weak_dimensions). Returns an
    /// empty text if there are none.
    pub fn weak_points(&self) -> String {
        let lines = self.weak().into_iter().map(|weak| format!("{}: {} of 10", weak.as_str(), self.of(weak)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the scores with the values derived from them, for callers.
    pub const fn evaluation(&self) -> MultiDimensionalEvaluation<'_> {
        MultiDimensionalEvaluation(self)
    }
}

/// Serializes scores for callers: `overall_score`, `weighted_score`, `confidence_interval`, `dimension_scores` by name,
/// `weak_dimensions` and `summary`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiDimensionalEvaluation<'a>(&'a DimensionScores);

impl Serialize for MultiDimensionalEvaluation<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scores = self.0;
        let by_name: serde_json::Map<_, _> = Dimension::ALL
            .into_iter()
            .map(|dimension| (dimension.as_str().to_owned(), scores.of(dimension).into()))
            .collect();
        let weak: Vec<&str> = scores.weak().into_iter().map(Dimension::as_str).collect();
        let mut map = serializer.serialize_map(Some(6))?;
        map.serialize_entry("overall_score", &scores.overall())?;
        map.serialize_entry("weighted_score", &scores.weighted())?;
        map.serialize_entry("confidence_interval", &scores.confidence_interval())?;
        map.serialize_entry("dimension_scores", &by_name)?;
        map.serialize_entry("weak_dimensions", &weak)?;
        map.serialize_entry("summary", &scores.summary)?;
        map.end()
    }
}

/// Scores ideas on seven dimensions.
#[derive(Debug, Clone, Copy)]
pub struct MultiDimensionalEvaluator<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl MultiDimensionalEvaluator<'_> {
    /// The temperature in the workflow: equal ideas should get equal scores.
    pub const TEMPERATURE: f64 = 0.0;

    /// Scores every idea in one call, summaries included.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn evaluate(&self, ideas: &[String], brief: &Brief<'_>) -> Result<Answer<Batch<DimensionScores>>> {
        let context_rule = if brief.has_context() { " and the constraints in the context" } else { "" };
        let task = format!("Rate each idea above for the topic{context_rule} on seven dimensions.");
        let scores = Dimension::ALL.map(|dimension| format!("- {}: {}\n", dimension.as_str(), dimension.question()));
        let instruction = Instruction {
            role: ROLE,
            task: &task,
            batch_task: &task,
            fields: Cow::Owned(format!(
                "{}Each of these is a score from 1 (worst) to 10 (best).\n\
                 - summary: one sentence on the strong and weak sides\n",
                scores.concat()
            )),
        };
        let blocks: Vec<_> = ideas.iter().map(|idea| [("idea", idea.as_str())]).collect();
        AgentClient::new(self.router, brief)?.batch(&instruction, &blocks, |_, _| true).await
    }
}

/// Clamps a score that is out of range. `NaN` is left for the validation to reject.
fn clamped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::deserialize(deserializer).map(|score| score.clamp(1.0, 10.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scores(values: [f64; 7]) -> DimensionScores {
        let [feasibility, innovation, impact, cost_effectiveness, scalability, risk_assessment, timeline] = values;
        let mut value = json!({
            "feasibility": feasibility, "innovation": innovation, "impact": impact,
            "cost_effectiveness": cost_effectiveness, "scalability": scalability, "risk_assessment": risk_assessment,
            "timeline": timeline,
        });
        value["summary"] = json!("Good");
        serde_json::from_value(value).unwrap()
    }

    fn near(one: f64, two: f64) -> bool {
        (one - two).abs() < 1e-9
    }

    #[test]
    fn weights_add_up_to_one() {
        let sum: f64 = Dimension::ALL.map(Dimension::weight).iter().sum();
        assert!(near(sum, 1.0), "{sum}");
    }

    #[test]
    fn overall_is_the_mean_and_confidence_decreases_with_variance() {
        let even = scores([7.0; 7]);
        assert!(near(even.overall(), 7.0) && near(even.weighted(), 7.0) && near(even.confidence_interval(), 1.0));
        // Mean 4, variance 4.
        let mixed = scores([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert!(near(mixed.overall(), 4.0) && near(mixed.confidence_interval(), 1.0 - 4.0 / 25.0));
        assert!(near(mixed.weighted(), 0.2 + 0.3 + 0.6 + 0.6 + 0.5 + 0.6 + 0.7));
    }

    #[test]
    fn out_of_range_scores_are_clamped() {
        let wild = scores([0.0, -3.0, 12.0, 10.0, 1.0, 5.5, 1e300]);
        let read = Dimension::ALL.map(|dimension| wild.of(dimension));
        assert!(read.iter().zip([1.0, 1.0, 10.0, 10.0, 1.0, 5.5, 10.0]).all(|(one, two)| near(*one, two)), "{read:?}");
    }

    #[test]
    fn the_lowest_three_below_six_are_weak() {
        let mixed = scores([5.0, 3.0, 5.0, 5.9, 6.0, 8.0, 4.0]);
        let names: Vec<&str> = mixed.weak().into_iter().map(Dimension::as_str).collect();
        assert_eq!(names, ["innovation", "timeline", "feasibility"]);
        assert_eq!(mixed.weak_points(), "innovation: 3 of 10\ntimeline: 4 of 10\nfeasibility: 5 of 10");
        let equals = scores([9.0, 2.0, 2.0, 9.0, 2.0, 9.0, 9.0]);
        assert_eq!(equals.weak(), [Dimension::Impact, Dimension::Innovation, Dimension::Scalability]);
        assert!(scores([6.0; 7]).weak_points().is_empty());
    }

    #[test]
    fn an_evaluation_contains_the_derived_values() {
        let value = serde_json::to_value(scores([7.0; 7]).evaluation()).unwrap();
        assert_eq!(value["dimension_scores"].as_object().unwrap().len(), 7);
        assert_eq!(value["summary"], "Good");
        assert_eq!(value["weak_dimensions"], json!([]));
        assert!(near(value["overall_score"].as_f64().unwrap(), 7.0), "{value}");
    }
}
