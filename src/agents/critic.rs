//! The critic: a score and a comment for every idea.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::ask::Ask;
use super::output::Output;
use super::prompt::{self, Brief};
use crate::error::Result;
use crate::router::Generate;

const SCHEMA: &str = "CriticEvaluations";
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
    fn normalised(self) -> Self {
        Self { score: (self.score * 10.0).round() / 10.0, ..self }
    }
}

/// Evaluates ideas.
#[derive(Clone, Copy)]
pub struct Critic<'a> {
    /// Whom it asks.
    pub router: &'a dyn Generate,
}

impl std::fmt::Debug for Critic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Critic").finish_non_exhaustive()
    }
}

impl Critic<'_> {
    /// Evaluates every idea in one call; an idea is a whole text, of as many lines as it likes.
    ///
    /// Fails with `InvalidInput` for a blank topic, no ideas or a blank idea, before anything is sent; otherwise as the
    /// router does.
    pub async fn evaluate(&self, ideas: &[String], brief: &Brief<'_>) -> Result<Answer<Batch<CriticEvaluation>>> {
        brief.check()?;
        prompt::check_texts("ideas", ideas.iter().map(String::as_str))?;
        let system = prompt::system(ROLE);
        let ask = Ask { router: self.router, system: &system, temperature: brief.temperature, parts: &[] };
        ask.batch(SCHEMA, ideas.len(), |labels| evaluation_prompt(ideas, brief, labels)).await
    }
}

fn evaluation_prompt(ideas: &[String], brief: &Brief<'_>, labels: &[usize]) -> String {
    let shown: String = labels.iter().map(|&label| prompt::labelled(label, &[("idea", &ideas[label])])).collect();
    format!(
        "Evaluate each idea below for the topic{context_rule}.\n\
         {label_line}\
         For each idea give:\n\
         - score: 0 to 10, at most one decimal\n\
         - comment: 10 to 5000 characters; the reasons for the score\n\
         - strengths and weaknesses: short phrases\n\
         {language}\n{fenced}{shown}",
        context_rule = if brief.context.trim().is_empty() { "" } else { " and the constraints in the context" },
        label_line = prompt::label_line(labels),
        language = brief.language_line(),
        fenced = brief.fenced(),
    )
}
