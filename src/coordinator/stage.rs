//! The stages of the workflow: their order, names and weights.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::named_enum::named_enum;

named_enum! {
    /// A stage of the workflow that calls a model.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Stage {
        /// Generates ideas for the topic.
        IdeaGeneration = "idea_generation",
        /// Scores every idea.
        Evaluation = "evaluation",
        /// Rates each selected idea on seven dimensions.
        MultiDimensional = "multi_dimensional",
        /// Draws conclusions from each selected idea.
        LogicalInference = "logical_inference",
        /// Argues for each selected idea.
        Advocacy = "advocacy",
        /// Argues against each selected idea.
        Skepticism = "skepticism",
        /// Writes an improved version of each selected idea.
        Improvement = "improvement",
        /// Scores every improved version.
        ReEvaluation = "re_evaluation",
        /// Rates every improved version on seven dimensions.
        ReMultiDimensional = "re_multi_dimensional",
    }
}

impl Stage {
    /// The stages of every idea before the selection, in order.
    pub(super) const BEFORE_SELECTION: &'static [Self] = &[Self::Evaluation];

    /// The stages of the selected ideas, in order.
    pub(super) const AFTER_SELECTION: &'static [Self] = {
        let [_generation, _evaluation, after @ ..] = &Self::ALL;
        after
    };

    /// The same stages as a schedule: steps in sequence, each with branches that do not depend on each other.
    pub(super) const CONCURRENT: &'static [&'static [&'static [Self]]] = &[
        &[&[Self::MultiDimensional], &[Self::LogicalInference], &[Self::Advocacy, Self::Skepticism]],
        &[&[Self::Improvement]],
        &[&[Self::ReEvaluation], &[Self::ReMultiDimensional]],
    ];

    /// Whether the stage scores ideas in comparison with each other.
    pub(super) const fn is_evaluation(self) -> bool {
        matches!(self, Self::Evaluation | Self::ReEvaluation)
    }

    /// The agent of the stage, by the name of its module.
    pub const fn agent(self) -> &'static str {
        match self {
            Self::IdeaGeneration => "idea_generator",
            Self::Evaluation | Self::ReEvaluation => "critic",
            Self::MultiDimensional | Self::ReMultiDimensional => "multi_dimensional",
            Self::LogicalInference => "logical_inference",
            Self::Advocacy => "advocate",
            Self::Skepticism => "skeptic",
            Self::Improvement => "structured_idea_generator",
        }
    }

    /// The progress of a run at the start and at the end of the stage.
    pub(super) const fn progress_range(self) -> (f64, f64) {
        match self {
            Self::IdeaGeneration => (0.1, 0.3),
            Self::Evaluation => (0.4, 0.6),
            Self::MultiDimensional => (0.6, 0.65),
            Self::LogicalInference => (0.65, 0.7),
            Self::Advocacy => (0.72, 0.75),
            Self::Skepticism => (0.75, 0.78),
            Self::Improvement => (0.78, 0.82),
            Self::ReEvaluation => (0.82, 0.85),
            Self::ReMultiDimensional => (0.85, 0.88),
        }
    }

    /// The approximate number of output tokens for one idea, which the duration of the stage is proportional to.
    pub(super) const fn output_tokens(self) -> f64 {
        match self {
            Self::IdeaGeneration => 150.0,
            Self::Evaluation | Self::ReEvaluation => 110.0,
            Self::MultiDimensional | Self::ReMultiDimensional => 120.0,
            Self::LogicalInference => 250.0,
            Self::Advocacy | Self::Skepticism => 300.0,
            Self::Improvement => 350.0,
        }
    }
}

/// A point in time and the timeout it results from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The deadline `timeout` after `started`.
    pub(super) fn new(started: Instant, timeout: Duration) -> Self {
        Self { at: started + timeout, timeout }
    }

    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    /// The timeout in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.timeout.as_secs_f64()
    }

    /// The error of a run that reached its deadline.
    pub(super) fn run_error(&self) -> Error {
        let message = format!("the run's deadline of {} s was reached", self.seconds());
        Error::new(ErrorKind::DeadlineExceeded, message)
    }
}
