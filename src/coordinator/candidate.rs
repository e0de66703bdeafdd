//! What a run hands back for every idea it kept.

use serde::Serialize;

use super::score::{self, Gain};
use super::stage::Stage;
use crate::agents::CriticEvaluation;

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
    /// Always `None`: this workflow has no such stage.
    pub multi_dimensional_evaluation: Option<serde_json::Value>,
    /// The improved idea as one text, `title: description`.
    pub improved_idea: Option<String>,
    /// The critic's score of the improved idea.
    pub improved_score: Option<f64>,
    /// The critic's comment on the improved idea.
    pub improved_critique: Option<String>,
    /// Always `None`: this workflow has no such stage.
    pub improved_multi_dimensional_evaluation: Option<serde_json::Value>,
    /// Improved score minus initial score, to one decimal.
    pub score_delta: Option<f64>,
    /// Whether the improvement is worth the name; `None` where one of the scores is missing.
    pub is_meaningful_improvement: Option<bool>,
    /// How alike the idea and the improved idea are, 0.0 to 1.0.
    pub similarity_score: Option<f64>,
    /// How much of the workflow it went through.
    pub status: Status,
    /// The stages that failed for it, in order.
    pub problems: Vec<Problem>,
}

impl Candidate {
    /// An idea after its evaluation.
    pub(super) fn new(idea: String, evaluation: Result<CriticEvaluation, String>) -> Self {
        let mut candidate = Self {
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
            status: Status::Ok,
            problems: Vec::new(),
        };
        match evaluation {
            Ok(evaluation) => {
                candidate.initial_score = Some(evaluation.score);
                candidate.initial_critique = Some(evaluation.comment);
            }
            Err(reason) => candidate.lack(Stage::Evaluation, reason),
        }
        candidate
    }

    /// Notes that `stage` gave nothing for it.
    pub(super) fn lack(&mut self, stage: Stage, reason: String) {
        self.status = Status::Degraded;
        self.problems.push(Problem { stage, reason });
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
        if let (Some(initial), Some(similarity)) = (self.initial_score, self.similarity_score) {
            let gain = Gain::new(initial, evaluation.score, similarity);
            self.score_delta = Some(gain.delta);
            self.is_meaningful_improvement = Some(gain.is_meaningful);
        }
        self.improved_score = Some(evaluation.score);
        self.improved_critique = Some(evaluation.comment);
    }
}
