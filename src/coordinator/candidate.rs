//! What a run hands back for every idea it kept.

use serde::{Serialize, Serializer};

use super::gate::CandidateEdit;
use super::score::{self, Gain};
use super::stage::Stage;
use crate::agents::{CriticEvaluation, DimensionScores, Inference};

/// How much of the workflow an idea went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every stage that was asked for.
    Ok,
    /// Some stage failed; [`Candidate::problems`] tells which. What is there is real.
    Degraded,
    /// No idea of the run could be evaluated, and nothing came after.
    Failed,
}

/// A stage that failed for an idea.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which stage.
    pub stage: Stage,
    /// Why, in words.
    pub reason: String,
}

/// A kept idea and what became of it. What a failed or skipped stage would have given is `None`; nothing is invented.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The idea as one text, `title: description`.
    pub idea: String,
    /// The same text, under the name older callers use.
    pub text: String,
    /// The critic's score, 0.0 to 10.0.
    pub initial_score: Option<f64>,
    /// The critic's comment.
    pub initial_critique: Option<String>,
    /// The case for the idea, as bullet text.
    pub advocacy: Option<String>,
    /// The case against the idea, as bullet text.
    pub skepticism: Option<String>,
    /// Its scores on seven dimensions, serialized with what follows from them.
    #[serde(serialize_with = "evaluated")]
    pub multi_dimensional_evaluation: Option<DimensionScores>,
    /// The improved idea as one text, `title: description`.
    pub improved_idea: Option<String>,
    /// The critic's score of the improved idea.
    pub improved_score: Option<f64>,
    /// The critic's comment on the improved idea.
    pub improved_critique: Option<String>,
    /// The scores of the improved idea on seven dimensions.
    #[serde(serialize_with = "evaluated")]
    pub improved_multi_dimensional_evaluation: Option<DimensionScores>,
    /// Improved score minus initial score, to one decimal.
    pub score_delta: Option<f64>,
    /// Whether the improvement is worth the name; `None` where one of the scores is missing.
    pub is_meaningful_improvement: Option<bool>,
    /// How alike the idea and the improved idea are, 0.0 to 1.0.
    pub similarity_score: Option<f64>,
    /// What follows from the idea, where that is certain enough; callers find no such field otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_inference: Option<Inference>,
    /// How much of the workflow it went through.
    pub status: Status,
    /// The stages that failed for it, in order.
    pub problems: Vec<Problem>,
}

impl Candidate {
    /// An idea of which nothing is known yet.
    pub(super) fn new(idea: String) -> Self {
        Self {
            text: idea.clone(),
            idea,
            initial_score: None,
            initial_critique: None,
            advocacy: None,
            skepticism: None,
            multi_dimensional_evaluation: None,
            improved_idea: None,
            improved_score: None,
            improved_critique: None,
            improved_multi_dimensional_evaluation: None,
            score_delta: None,
            is_meaningful_improvement: None,
            similarity_score: None,
            logical_inference: None,
            status: Status::Ok,
            problems: Vec::new(),
        }
    }

    /// Notes that `stage` gave nothing for it.
    pub(super) fn lack(&mut self, stage: Stage, reason: String) {
        self.status = Status::Degraded;
        self.problems.push(Problem { stage, reason });
        self.problems.sort_by_key(|problem| problem.stage);
    }

    /// Takes the critic's view of it.
    pub(super) fn evaluate(&mut self, evaluation: CriticEvaluation) {
        self.initial_score = Some(evaluation.score);
        self.initial_critique = Some(evaluation.comment);
    }

    /// All that has been said about it and of it, which is what later prompts repeat.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let said = [&self.initial_critique, &self.advocacy, &self.skepticism, &self.improved_idea];
        let inferred = self.logical_inference.iter().flat_map(|inference| {
            let told = std::iter::once(inference.conclusion()).chain(inference.improvements());
            told.chain(inference.inference_chain().iter().map(String::as_str))
        });
        std::iter::once(self.idea.as_str()).chain(said.into_iter().flatten().map(String::as_str)).chain(inferred)
    }

    /// The critic's words on it, for the stages after.
    pub(super) fn evaluation(&self) -> String {
        match (self.initial_score, &self.initial_critique) {
            (Some(score), Some(critique)) => format!("Score: {score} of 10\n{critique}"),
            _ => String::new(),
        }
    }

    /// Takes the improved text.
    pub(super) fn improve(&mut self, improved: String) {
        self.similarity_score = Some(score::similarity(&self.idea, &improved));
        self.improved_idea = Some(improved);
    }

    /// Takes the evaluation of the improved text.
    pub(super) fn re_evaluate(&mut self, evaluation: CriticEvaluation) {
        self.improved_score = Some(evaluation.score);
        self.improved_critique = Some(evaluation.comment);
        self.compare();
    }

    /// Takes what the caller's gate made of it.
    pub(super) fn edit(&mut self, edited: CandidateEdit) {
        if edited.improved_idea != self.improved_idea || edited.idea != self.idea {
            self.similarity_score =
                edited.improved_idea.as_deref().map(|improved| score::similarity(&edited.idea, improved));
        }
        self.text.clone_from(&edited.idea);
        self.idea = edited.idea;
        self.initial_score = edited.initial_score;
        self.initial_critique = edited.initial_critique;
        self.advocacy = edited.advocacy;
        self.skepticism = edited.skepticism;
        self.improved_idea = edited.improved_idea;
        self.improved_score = edited.improved_score;
        self.improved_critique = edited.improved_critique;
        self.compare();
    }

    fn compare(&mut self) {
        let gain = match (self.initial_score, self.improved_score, self.similarity_score) {
            (Some(initial), Some(improved), Some(similarity)) => Some(Gain::new(initial, improved, similarity)),
            _ => None,
        };
        self.score_delta = gain.map(|gain| gain.delta);
        self.is_meaningful_improvement = gain.map(|gain| gain.is_meaningful);
    }
}

#[expect(clippy::ref_option, reason = "serde hands fields over by reference")]
fn evaluated<S: Serializer>(scores: &Option<DimensionScores>, serializer: S) -> Result<S::Ok, S::Error> {
    scores.as_ref().map(DimensionScores::evaluation).serialize(serializer)
}
