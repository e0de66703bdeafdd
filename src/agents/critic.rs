//! The critic: scores every idea and comments on it.

use std::borrow::Cow;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::{Brief, Instruction};
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
        self.request(ideas, brief, true).await
    }

    /// Evaluates every idea in one call like [`Critic::evaluate`], but for a score and a comment alone. Models rank ideas as well
    /// with these, and write less.
    ///
    /// # Errors
    ///
    /// The same as [`Critic::evaluate`].
    pub async fn score(&self, ideas: &[String], brief: &Brief<'_>) -> Result<Answer<Batch<CriticEvaluation>>> {
        self.request(ideas, brief, false).await
    }

    async fn request(
        &self,
        ideas: &[String],
        brief: &Brief<'_>,
        with_lists: bool,
    ) -> Result<Answer<Batch<CriticEvaluation>>> {
        const LISTS: &[&str] = &["strengths", "weaknesses"];
        let client = AgentClient::new(self.router, brief)?.without(if with_lists { &[] } else { LISTS });
        let context_rule = if brief.has_context() { " and the constraints in the context" } else { "" };
        let task = format!("Evaluate each idea above for the topic{context_rule}.");
        let lists = if with_lists { "- strengths and weaknesses: at most five short phrases each\n" } else { "" };
        let instruction = Instruction {
            role: ROLE,
            task: &task,
            batch_task: &task,
            fields: Cow::Owned(format!(
                "- score: 0 to 10, at most one decimal\n\
                 - comment: one to three sentences; the reasons for the score\n\
                 {lists}"
            )),
        };
        let blocks: Vec<_> = ideas.iter().map(|idea| [("idea", idea.as_str())]).collect();
        client.batch(&instruction, &blocks, |_, _| true).await
    }
}
