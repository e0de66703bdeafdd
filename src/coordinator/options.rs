//! The options of a run.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::agents::{Inference, InferenceType, Language, LogicalInferenceEngine, MultiDimensionalEvaluator};
use crate::config::check_temperature;
use crate::error::{Error, Result};
use crate::message::Part;

use super::mode::Mode;
use super::order::Order;
use super::stage::Stage;

/// The options of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent options, each under its public name")]
pub struct Options {
    /// The topic of the ideas. Must not be blank.
    pub topic: String,
    /// Constraints and preferences; may be blank.
    pub context: String,
    /// The number of ideas selected after the evaluation, 1 to 5. Default 2.
    pub num_top_candidates: usize,
    /// Whether ideas too similar to an earlier one are removed before the evaluation. Default true.
    pub enable_novelty_filter: bool,
    /// The similarity, 0.0 to 1.0, at which two ideas count as duplicates. Default 0.8.
    pub novelty_threshold: f64,
    /// The temperatures of the stages.
    pub temperatures: Temperatures,
    /// Whether the advocacy and skepticism stages run before the improvement. Default false.
    pub enhanced_reasoning: bool,
    /// Whether the selected ideas and their improved versions are rated on seven dimensions. Default false.
    pub multi_dimensional_eval: bool,
    /// Whether the logical inference stage runs before the improvement. Default false.
    pub logical_inference: bool,
    /// The type of the inference, by name. Default `full`.
    #[serde(serialize_with = "serialize_inference_type", deserialize_with = "deserialize_inference_type")]
    pub inference_type: InferenceType,
    /// The confidence, 0.0 to 1.0, below which an inference is discarded. Default 0.5.
    pub confidence_threshold: f64,
    /// The language of the answers, by any of its names; `None`, the default, uses the language of the topic.
    #[serde(serialize_with = "serialize_language", deserialize_with = "deserialize_language")]
    pub language: Option<Language>,
    /// How the calls are grouped. Default `auto`.
    pub mode: Mode,
    /// The approximate maximum of idea tokens in one call; a stage with more makes several concurrent calls. Default
    /// 16 000.
    pub batch_tokens: u64,
    /// How the ideas of an evaluation are grouped in batch mode. Default `auto`.
    pub evaluation: EvaluationMode,
    /// The order of the candidates in the result. Default `final`.
    pub order: Order,
    /// The maximum number of output tokens of each call. Default `auto`.
    pub max_output_tokens: OutputTokens,
    /// Whether the answers may come from the response cache and are stored there. `None`, the default, means those of the
    /// stages with temperature 0.
    pub use_cache: Option<bool>,
    /// The timeout of the run in seconds. Default 1200.
    pub timeout: f64,
    /// The time of each stage in seconds.
    pub stage_timeouts: StageTimeouts,
    /// Files and URLs, for the idea generation only: the later stages work on the ideas and would pay for them again.
    #[serde(skip)]
    pub parts: Vec<Part>,
}

impl Default for Options {
    /// Not valid until a topic is set.
    fn default() -> Self {
        Self::new("", "")
    }
}

impl Options {
    /// The defaults for `topic` and `context`.
    pub fn new(topic: impl Into<String>, context: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            context: context.into(),
            num_top_candidates: 2,
            enable_novelty_filter: true,
            novelty_threshold: 0.8,
            temperatures: Temperatures::default(),
            enhanced_reasoning: false,
            multi_dimensional_eval: false,
            logical_inference: false,
            inference_type: InferenceType::Full,
            confidence_threshold: Inference::THRESHOLD,
            language: None,
            mode: Mode::Auto,
            batch_tokens: 16_000,
            evaluation: EvaluationMode::Auto,
            order: Order::Final,
            max_output_tokens: OutputTokens::default(),
            use_cache: None,
            timeout: DEFAULT_TIMEOUT,
            stage_timeouts: StageTimeouts::default(),
            parts: Vec::new(),
        }
    }

    /// The number of ideas to generate: more than are selected, so that there is a choice.
    pub fn ideas_to_generate(&self) -> usize {
        (self.num_top_candidates + 2).max(5)
    }

    /// Whether the run includes `stage`.
    pub(super) const fn includes(&self, stage: Stage) -> bool {
        match stage {
            Stage::MultiDimensional | Stage::ReMultiDimensional => self.multi_dimensional_eval,
            Stage::LogicalInference => self.logical_inference,
            Stage::Advocacy | Stage::Skepticism => self.enhanced_reasoning,
            Stage::IdeaGeneration | Stage::Evaluation | Stage::Improvement | Stage::ReEvaluation => true,
        }
    }

    /// # Errors
    ///
    /// Returns `InvalidInput` for the first field that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        if self.topic.trim().is_empty() {
            return Err(Error::invalid_input("topic must not be blank"));
        }
        if !(1..=5).contains(&self.num_top_candidates) {
            let message = format!("num_top_candidates must be between 1 and 5, not {}", self.num_top_candidates);
            return Err(Error::invalid_input(message));
        }
        for (name, value) in
            [("novelty_threshold", self.novelty_threshold), ("confidence_threshold", self.confidence_threshold)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::invalid_input(format!("{name} must be between 0.0 and 1.0, not {value}")));
            }
        }
        self.temperatures.validate()?;
        seconds("timeout", self.timeout)?;
        if matches!(self.max_output_tokens, OutputTokens::Limit(0)) {
            return Err(Error::invalid_input("max_output_tokens must be at least 1"));
        }
        for stage in Stage::ALL {
            self.stage_timeout(stage)?;
        }
        Ok(())
    }

    /// The time of `stage`: the one that is set, or its default, which grows with a longer timeout of the run.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` unless it is a positive number.
    pub(super) fn stage_timeout(&self, stage: Stage) -> Result<Duration> {
        let scaled = || StageTimeouts::default_of(stage) * (self.timeout / DEFAULT_TIMEOUT).max(1.0);
        let value = self.stage_timeouts.of(stage).unwrap_or_else(scaled);
        seconds(&format!("the timeout of {}", stage.as_str()), value)
    }
}

/// The sampling temperature of each stage, 0.0 to 2.0; `None` sends none. The improvement uses that of the idea generation, the re-evaluation
/// that of the evaluation. The rating and inference agents define their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Temperatures {
    /// The temperature from which the others were derived. `None` means that the stages with a fixed one send none.
    pub base: Option<f64>,
    /// Idea generation and improvement. Default 0.9.
    pub idea_generation: Option<f64>,
    /// Evaluation and re-evaluation. Default 0.3.
    pub evaluation: Option<f64>,
    /// Advocacy. Default 0.5.
    pub advocacy: Option<f64>,
    /// Skepticism. Default 0.5.
    pub skepticism: Option<f64>,
}

impl Default for Temperatures {
    fn default() -> Self {
        Self {
            base: Some(0.7),
            idea_generation: Some(0.9),
            evaluation: Some(0.3),
            advocacy: Some(0.5),
            skepticism: Some(0.5),
        }
    }
}

impl Temperatures {
    /// The temperature of `stage`.
    pub const fn of(&self, stage: Stage) -> Option<f64> {
        match stage {
            Stage::IdeaGeneration | Stage::Improvement => self.idea_generation,
            Stage::Evaluation | Stage::ReEvaluation => self.evaluation,
            Stage::MultiDimensional | Stage::ReMultiDimensional => self.fixed(MultiDimensionalEvaluator::TEMPERATURE),
            Stage::LogicalInference => self.fixed(LogicalInferenceEngine::TEMPERATURE),
            Stage::Advocacy => self.advocacy,
            Stage::Skepticism => self.skepticism,
        }
    }

    /// The temperature of a stage with a fixed one.
    const fn fixed(&self, temperature: f64) -> Option<f64> {
        if self.base.is_some() { Some(temperature) } else { None }
    }

    fn validate(&self) -> Result<()> {
        [self.base, self.idea_generation, self.evaluation, self.advocacy, self.skepticism]
            .into_iter()
            .flatten()
            .try_for_each(check_temperature)
    }
}

/// How the ideas of an evaluation are grouped in batch mode. Small models rank ideas at chance if they see several at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationMode {
    /// `Each` if the first target is a local server, otherwise `Together`.
    #[default]
    Auto,
    /// One call for each idea.
    Each,
    /// One call for all ideas, in an order that does not depend on their age.
    Together,
}

/// The maximum number of output tokens of each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutputTokens {
    /// This number.
    Limit(u32),
    /// A rule.
    Rule(OutputTokensRule),
}

/// A rule for the maximum number of output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputTokensRule {
    /// On a local server, the tokens of the longest answer that the stage asks for; elsewhere no limit.
    Auto,
    /// No limit besides that of the model.
    Unlimited,
}

impl Default for OutputTokens {
    fn default() -> Self {
        Self::Rule(OutputTokensRule::Auto)
    }
}

/// The timeout of a run in seconds, for which the defaults of the stages are meant.
const DEFAULT_TIMEOUT: f64 = 1200.0;

/// The time that the calls of each stage may take, in seconds; `None` means the default. The default is in proportion to the
/// timeout of the run if that is more than 1200 s. Waiting for a permit does not count. The timeout of the run also applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageTimeouts {
    /// Default 300.
    pub idea_generation: Option<f64>,
    /// Default 600.
    pub evaluation: Option<f64>,
    /// For each of the two ratings. Default 600.
    pub multi_dimensional: Option<f64>,
    /// Default 240.
    pub logical_inference: Option<f64>,
    /// Default 240.
    pub advocacy: Option<f64>,
    /// Default 240.
    pub skepticism: Option<f64>,
    /// Default 600.
    pub improvement: Option<f64>,
    /// Default 240.
    pub re_evaluation: Option<f64>,
}

impl StageTimeouts {
    const fn default_of(stage: Stage) -> f64 {
        match stage {
            Stage::IdeaGeneration => 300.0,
            Stage::Evaluation | Stage::MultiDimensional | Stage::ReMultiDimensional | Stage::Improvement => 600.0,
            Stage::LogicalInference | Stage::Advocacy | Stage::Skepticism | Stage::ReEvaluation => 240.0,
        }
    }

    /// The time that is set for `stage`.
    pub const fn of(&self, stage: Stage) -> Option<f64> {
        match stage {
            Stage::IdeaGeneration => self.idea_generation,
            Stage::Evaluation => self.evaluation,
            Stage::MultiDimensional | Stage::ReMultiDimensional => self.multi_dimensional,
            Stage::LogicalInference => self.logical_inference,
            Stage::Advocacy => self.advocacy,
            Stage::Skepticism => self.skepticism,
            Stage::Improvement => self.improvement,
            Stage::ReEvaluation => self.re_evaluation,
        }
    }
}

/// Returns `value` as a duration. Durations are capped at a year, so that every deadline is within the range of the clock.
///
/// # Errors
///
/// Returns `InvalidInput` unless `value` is a positive number.
pub(super) fn seconds(name: &str, value: f64) -> Result<Duration> {
    const YEAR: f64 = 31_536_000.0;
    if value > 0.0 {
        Ok(Duration::from_secs_f64(value.min(YEAR)))
    } else {
        Err(Error::invalid_input(format!("{name} must be a positive number of seconds, not {value}")))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn serialize_inference_type<S: Serializer>(kind: &InferenceType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

fn deserialize_inference_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InferenceType, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: Error| serde::de::Error::custom(error.message()))
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn serialize_language<S: Serializer>(language: &Option<Language>, serializer: S) -> Result<S::Ok, S::Error> {
    language.map(Language::name).serialize(serializer)
}

fn deserialize_language<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Language>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    let language = name.as_deref().map(Language::named).transpose();
    language.map_err(|error| serde::de::Error::custom(error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_rejected() {
        let is_rejected = |change: &dyn Fn(&mut Options)| {
            let mut options = Options::new("topic", "");
            change(&mut options);
            options.validate().is_err()
        };
        assert!(!is_rejected(&|_| {}));
        assert!(is_rejected(&|options| options.topic = " \n".to_owned()));
        assert!(is_rejected(&|options| options.num_top_candidates = 0));
        assert!(is_rejected(&|options| options.num_top_candidates = 6));
        assert!(is_rejected(&|options| options.novelty_threshold = 1.01));
        assert!(is_rejected(&|options| options.novelty_threshold = f64::NAN));
        assert!(is_rejected(&|options| options.confidence_threshold = -0.01));
        assert!(is_rejected(&|options| options.confidence_threshold = f64::NAN));
        assert!(is_rejected(&|options| options.timeout = 0.0));
        assert!(is_rejected(&|options| options.timeout = f64::NAN));
        assert!(is_rejected(&|options| options.stage_timeouts.advocacy = Some(-1.0)));
        assert!(is_rejected(&|options| options.temperatures.evaluation = Some(2.1)));
        assert!(!is_rejected(&|options| options.timeout = f64::INFINITY));
        assert!(!is_rejected(&|options| options.temperatures.evaluation = Some(0.0)));
    }

    #[test]
    fn the_time_of_a_stage_grows_with_that_of_the_run() {
        let options = |timeout| Options { timeout, ..Options::new("t", "") };
        let time = |timeout, stage| options(timeout).stage_timeout(stage).unwrap().as_secs();
        assert_eq!([60.0, 1200.0, 3600.0].map(|timeout| time(timeout, Stage::Advocacy)), [240, 240, 720]);
        assert_eq!(time(f64::INFINITY, Stage::Advocacy), 31_536_000);
        let mut fixed = options(3600.0);
        fixed.stage_timeouts.advocacy = Some(5.0);
        assert_eq!(fixed.stage_timeout(Stage::Advocacy).unwrap().as_secs(), 5);
    }

    #[test]
    fn the_output_tokens_are_a_number_or_a_rule() {
        for (json, tokens) in [
            ("500", OutputTokens::Limit(500)),
            ("\"auto\"", OutputTokens::default()),
            ("\"unlimited\"", OutputTokens::Rule(OutputTokensRule::Unlimited)),
        ] {
            assert_eq!(serde_json::from_str::<OutputTokens>(json).unwrap(), tokens);
            assert_eq!(serde_json::to_string(&tokens).unwrap(), json);
        }
    }

    #[test]
    fn more_ideas_are_generated_than_selected() {
        let ideas = |n| Options { num_top_candidates: n, ..Options::new("t", "") }.ideas_to_generate();
        assert_eq!([1, 2, 3, 4, 5].map(ideas), [5, 5, 5, 6, 7]);
    }
}
