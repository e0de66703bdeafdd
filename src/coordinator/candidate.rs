//! The result of a run for one idea.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::gate::CandidateEdit;
use super::score::{self, Gain};
use super::stage::Stage;
use crate::agents::{CriticEvaluation, DimensionScores, Inference};

/// The status of a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every requested stage succeeded.
    #[default]
    Ok,
    /// Some stages failed: see [`Candidate::problems`].
    Degraded,
    /// No idea of the run could be evaluated, so the later stages did not run.
    Failed,
}

/// A stage that failed for an idea.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stage.
    pub stage: Stage,
    /// Why it failed.
    pub reason: String,
}

/// An idea and the outputs of the stages for it. The output of a failed or skipped stage is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The idea as one text, `title: description`.
    pub idea: String,
    /// The same text, under the name that older callers use.
    pub text: String,
    /// The critic's score, 0.0 to 10.0.
    pub initial_score: Option<f64>,
    /// The critic's comment.
    pub initial_critique: Option<String>,
    /// The arguments for the idea, as bullet points.
    pub advocacy: Option<String>,
    /// The arguments against the idea, as bullet points.
    pub skepticism: Option<String>,
    /// The scores on seven dimensions, serialised with the values computed from them.
    #[serde(serialize_with = "serialize_scores", deserialize_with = "deserialize_scores")]
    pub multi_dimensional_evaluation: Option<DimensionScores>,
    /// The improved idea as one text, `title: description`.
    pub improved_idea: Option<String>,
    /// The critic's score of the improved idea.
    pub improved_score: Option<f64>,
    /// The critic's comment on the improved idea.
    pub improved_critique: Option<String>,
    /// The scores of the improved idea on seven dimensions.
    #[serde(serialize_with = "serialize_scores", deserialize_with = "deserialize_scores")]
    pub improved_multi_dimensional_evaluation: Option<DimensionScores>,
    /// The improved score minus the initial score, to one decimal.
    pub score_delta: Option<f64>,
    /// Whether the improvement is meaningful; `None` if a score is missing.
    pub is_meaningful_improvement: Option<bool>,
    /// The similarity of the idea and the improved idea, 0.0 to 1.0.
    pub similarity_score: Option<f64>,
    /// Whether the improved idea is the final one, as decided by the two scores: it is unless it scored lower. `None` if there
    /// is nothing to compare, because there is no improved idea or one of the scores is missing.
    pub improvement_kept: Option<bool>,
    /// The text with which the idea ended: the improved idea if it has a score that is not below the initial one, otherwise
    /// the idea itself. An improved idea that nobody scored is not final; a scored one is if the idea has no score.
    pub final_idea: String,
    /// The score of `final_idea`.
    pub final_score: Option<f64>,
    /// The conclusions from the idea, if their confidence reaches the threshold. The field is omitted otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_inference: Option<Inference>,
    /// The status of the candidate.
    pub status: Status,
    /// The failed stages, in order.
    pub problems: Vec<Problem>,
}

impl Candidate {
    /// A generated idea before its first stage.
    pub(super) fn new(idea: String) -> Self {
        Self { text: idea.clone(), final_idea: idea.clone(), idea, ..Self::default() }
    }

    /// Records that `stage` failed for the idea.
    pub(super) fn add_problem(&mut self, stage: Stage, reason: String) {
        self.status = Status::Degraded;
        self.problems.push(Problem { stage, reason });
        self.problems.sort_by_key(|problem| problem.stage);
    }

    /// Stores the evaluation of the idea.
    pub(super) fn evaluate(&mut self, evaluation: CriticEvaluation) {
        self.initial_score = Some(evaluation.score);
        self.initial_critique = Some(evaluation.comment);
        self.compare();
    }

    /// The texts that the prompts of later stages include.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let outputs = [&self.initial_critique, &self.advocacy, &self.skepticism, &self.improved_idea];
        let inference = self.logical_inference.iter().flat_map(|inference| {
            let conclusion = std::iter::once(inference.conclusion()).chain(inference.improvements());
            conclusion.chain(inference.inference_chain().iter().map(String::as_str))
        });
        std::iter::once(self.idea.as_str()).chain(outputs.into_iter().flatten().map(String::as_str)).chain(inference)
    }

    /// The evaluation as text for later stages; empty without one.
    pub(super) fn evaluation(&self) -> String {
        match (self.initial_score, &self.initial_critique) {
            (Some(score), Some(critique)) => format!("Score: {score} of 10\n{critique}"),
            _ => String::new(),
        }
    }

    /// Stores the improved idea.
    pub(super) fn improve(&mut self, improved: String) {
        self.similarity_score = Some(score::similarity(&self.idea, &improved));
        self.improved_idea = Some(improved);
    }

    /// Stores the evaluation of the improved idea.
    pub(super) fn re_evaluate(&mut self, evaluation: CriticEvaluation) {
        self.improved_score = Some(evaluation.score);
        self.improved_critique = Some(evaluation.comment);
        self.compare();
    }

    /// Applies the edit of a gate.
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

    /// Computes what follows from the two texts and their scores.
    fn compare(&mut self) {
        let improved = self.improved_idea.as_ref().zip(self.improved_score);
        let scores = self.initial_score.zip(improved.map(|(_, score)| score));
        let gain = scores
            .zip(self.similarity_score)
            .map(|((initial, improved), similarity)| Gain::new(initial, improved, similarity));
        self.score_delta = gain.map(|gain| gain.delta);
        self.is_meaningful_improvement = gain.map(|gain| gain.is_meaningful);
        self.improvement_kept = scores.map(|(initial, improved)| improved >= initial);
        (self.final_idea, self.final_score) = match improved {
            Some((text, score)) if self.improvement_kept != Some(false) => (text.clone(), Some(score)),
            _ => (self.idea.clone(), self.initial_score),
        };
    }
}

#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn serialize_scores<S: Serializer>(scores: &Option<DimensionScores>, serializer: S) -> Result<S::Ok, S::Error> {
    scores.as_ref().map(DimensionScores::evaluation).serialize(serializer)
}

fn deserialize_scores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DimensionScores>, D::Error> {
    #[derive(Deserialize)]
    struct Evaluation {
        dimension_scores: serde_json::Map<String, serde_json::Value>,
        summary: String,
    }
    let Some(Evaluation { dimension_scores: mut scores, summary }) = Option::deserialize(deserializer)? else {
        return Ok(None);
    };
    scores.insert("summary".to_owned(), summary.into());
    DimensionScores::deserialize(serde_json::Value::Object(scores)).map(Some).map_err(serde::de::Error::custom)
}
