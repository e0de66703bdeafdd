//! The stages: their order, and what is known of each.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};

/// A stage of the workflow that asks a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From the topic to ideas.
    IdeaGeneration,
    /// A score for every idea.
    Evaluation,
    /// Seven scores for each kept idea.
    MultiDimensional,
    /// What follows from each.
    LogicalInference,
    /// The case for the kept ideas.
    Advocacy,
    /// The case against them.
    Skepticism,
    /// A better version of each.
    Improvement,
    /// A score for every better version.
    ReEvaluation,
    /// Seven scores for every better version.
    ReMultiDimensional,
}

impl Stage {
    /// Every stage, in the order of the workflow.
    pub const ALL: [Self; 9] = [
        Self::IdeaGeneration,
        Self::Evaluation,
        Self::MultiDimensional,
        Self::LogicalInference,
        Self::Advocacy,
        Self::Skepticism,
        Self::Improvement,
        Self::ReEvaluation,
        Self::ReMultiDimensional,
    ];

    /// What every idea goes through before the best are kept, in order.
    pub(super) const BEFORE_SELECTION: &'static [Self] = &[Self::Evaluation];

    /// What the kept ideas go through, in order.
    pub(super) const AFTER_SELECTION: &'static [Self] = &[
        Self::MultiDimensional,
        Self::LogicalInference,
        Self::Advocacy,
        Self::Skepticism,
        Self::Improvement,
        Self::ReEvaluation,
        Self::ReMultiDimensional,
    ];

    /// Which of them need nothing of each other: step by step, in each step ways that can be gone at the same time.
    pub(super) const SIDE_BY_SIDE: &'static [&'static [&'static [Self]]] = &[
        &[&[Self::MultiDimensional], &[Self::LogicalInference], &[Self::Advocacy, Self::Skepticism]],
        &[&[Self::Improvement]],
        &[&[Self::ReEvaluation], &[Self::ReMultiDimensional]],
    ];

    /// A stable snake-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdeaGeneration => "idea_generation",
            Self::Evaluation => "evaluation",
            Self::MultiDimensional => "multi_dimensional",
            Self::LogicalInference => "logical_inference",
            Self::Advocacy => "advocacy",
            Self::Skepticism => "skepticism",
            Self::Improvement => "improvement",
            Self::ReEvaluation => "re_evaluation",
            Self::ReMultiDimensional => "re_multi_dimensional",
        }
    }

    /// The agent that does it.
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

    /// How far a run is when the stage begins, and when it ends.
    pub(super) const fn span(self) -> (f64, f64) {
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

    /// About how many tokens a model writes about one idea: what the time of the stage goes by.
    pub(super) const fn weight(self) -> f64 {
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

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A moment and the limit it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    after: Duration,
}

impl Deadline {
    /// `after` from now.
    pub(super) fn new(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    /// The error of a run that has come to it.
    pub(super) fn reached(&self) -> Error {
        let message = format!("the run's deadline of {} s was reached", self.seconds());
        Error::new(ErrorKind::DeadlineExceeded, message)
    }

    /// Its length in seconds, for people.
    pub(super) fn seconds(&self) -> f64 {
        self.after.as_secs_f64()
    }
}
