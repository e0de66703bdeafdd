//! The critic: scores every idea and comments on it.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::{self, Brief};
use crate::error::Result;
use crate::router::Generate;

const ROLE: &str = "You are a fair and demanding critic. You judge every idea by itself, on its merits for the topic, and use the whole scale.";

/// A critic's view of one idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct CriticEvaluation {
    /// How good the idea is, from 0 (worthless) to 10 (excellent), with at most one decimal.
    #[garde(range(min = 0.0, max = 10.0))]
    pub score: f64,
    /// The reasons for the score.
    #[garde(length(chars, min = 10, max = 5000))]
    pub comment: String,
    /// What speaks for the idea, in short phrases.
    #[garde(skip)]
    pub strengths: Option<Vec<String>>,
    /// What speaks against the idea, in short phrases.
    #[garde(skip)]
    pub weaknesses: Option<Vec<String>>,
}

impl Output for CriticEvaluation {
    const BATCH: &'static str = "CriticEvaluations";

    fn normalised(self) -> Self {
        Self { score: (self.score * 10.0).round() / 10.0, ..self }
    }
}

/// Evaluates ideas.
#[derive(Debug, Clone, Copy)]
pub struct Critic<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl Critic<'_> {
    /// Evaluates every idea in one call. An idea is a whole text, which may have several lines.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn evaluate(&self, ideas: &[String], brief: &Brief<'_>) -> Result<Answer<Batch<CriticEvaluation>>> {
        let client = AgentClient::new(self.router, ROLE, brief)?;
        client.batch(ideas.iter().map(String::as_str), |indices| evaluation_prompt(ideas, brief, indices)).await
    }
}

fn evaluation_prompt(ideas: &[String], brief: &Brief<'_>, indices: &[usize]) -> String {
    format!(
        "Evaluate each idea below for the topic{context_rule}.\n\
         {items_line}\
         For each idea give:\n\
         - score: 0 to 10, at most one decimal\n\
         - comment: 10 to 5000 characters; the reasons for the score\n\
         - strengths and weaknesses: short phrases\n\
         {ending}",
        context_rule = if brief.has_context() { " and the constraints in the context" } else { "" },
        items_line = prompt::items_line(indices),
        ending = brief.ending(&prompt::ideas(indices, |index| [("idea", &ideas[index])])),
    )
}
