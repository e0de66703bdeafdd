//! The critic: scores every idea and comments on it.

use std::borrow::Cow;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::{Brief, Instruction};
use super::shuffle;
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

/// The seed of the order in which ideas are shown.
const SEED: u64 = 7;

/// What the critic is asked for, the one place to change it. The score comes first: a model that comments first ranks worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CriticForm {
    /// Score and comment.
    Bare,
    /// Score, comment, strengths and weaknesses.
    WithLists,
}

impl CriticForm {
    const fn fields(self) -> &'static str {
        match self {
            Self::Bare => {
                "- score: an integer from 0 (worthless) to 10 (excellent)\n\
                 - comment: the reasons in one or two sentences\n"
            }
            Self::WithLists => {
                "- score: 0 to 10, at most one decimal\n\
                 - comment: one to three sentences; the reasons for the score\n\
                 - strengths and weaknesses: at most five short phrases each\n"
            }
        }
    }
}

/// Reduces the schema of an evaluation to a whole score and a short comment.
fn bare(document: &mut Value) {
    const COMMENT: u64 = 300;
    if let Some(Value::Object(properties)) = document.get_mut("properties") {
        properties.retain(|name, _| name == "score" || name == "comment");
    }
    document["properties"]["score"]["type"] = json!("integer");
    document["properties"]["score"]["minimum"] = json!(0);
    document["properties"]["score"]["maximum"] = json!(10);
    let comment = &mut document["properties"]["comment"]["maxLength"];
    *comment = json!(comment.as_u64().unwrap_or(COMMENT).min(COMMENT));
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
        self.request(ideas, brief, CriticForm::WithLists).await
    }

    /// Evaluates every idea in one call like [`Critic::evaluate`], but to rank them: for a score and a comment alone, and in an
    /// order that depends on nothing but their texts, as the place in a list shifts scores.
    ///
    /// # Errors
    ///
    /// The same as [`Critic::evaluate`].
    pub async fn score(&self, ideas: &[String], brief: &Brief<'_>) -> Result<Answer<Batch<CriticEvaluation>>> {
        self.request(ideas, brief, CriticForm::Bare).await
    }

    async fn request(
        &self,
        ideas: &[String],
        brief: &Brief<'_>,
        form: CriticForm,
    ) -> Result<Answer<Batch<CriticEvaluation>>> {
        let mut client = AgentClient::new(self.router, brief)?;
        if form == CriticForm::Bare {
            client = client.reshaped(bare).in_order(shuffle::order(ideas, SEED));
        }
        let context_rule = if brief.has_context() { " and the constraints in the context" } else { "" };
        let task = format!("Evaluate each idea above for the topic{context_rule}.");
        let instruction =
            Instruction { role: ROLE, task: &task, batch_task: &task, fields: Cow::Borrowed(form.fields()) };
        let blocks: Vec<_> = ideas.iter().map(|idea| [("idea", idea.as_str())]).collect();
        client.batch(&instruction, &blocks, |_, _| true).await
    }
}
