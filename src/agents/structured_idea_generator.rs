//! The structured idea generator: improves ideas by the feedback on them.

use std::borrow::Cow;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::{Brief, Instruction};
use super::resemblance;
use crate::error::Result;
use crate::router::Generate;

const ROLE: &str = "You improve ideas. You keep what is strong, mend what was criticised, and make the idea more concrete without turning it into another one.";
const FIELDS: &str = "\
- improved_title: a few words
- improved_description: at most 1000 characters; the whole improved idea, understandable without the original
- key_improvements: what became better, one to five short phrases
- implementation_steps: the first steps, in order, at most five
- differentiators: what sets it apart, at most five short phrases
";

/// A better version of one idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Improvement {
    /// The improved idea in a few words.
    #[garde(length(chars, min = 1, max = 200))]
    pub improved_title: String,
    /// The whole improved idea, understandable without the original.
    #[garde(length(chars, min = 10, max = 5000))]
    pub improved_description: String,
    /// What became better.
    #[garde(length(min = 1))]
    pub key_improvements: Vec<String>,
    /// The first steps, in order.
    #[garde(skip)]
    pub implementation_steps: Option<Vec<String>>,
    /// What sets the idea apart.
    #[garde(skip)]
    pub differentiators: Option<Vec<String>>,
}

impl Output for Improvement {
    const BATCH: &'static str = "ImprovementBatch";
}

impl Improvement {
    /// Returns the improved idea as one text, in the form of [`IdeaItem::text`](super::IdeaItem::text): `title: description`.
    pub fn text(&self) -> String {
        format!("{}: {}", self.improved_title, self.improved_description)
    }
}

/// The input of [`StructuredIdeaGenerator`] for one idea.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImproveInput {
    /// The idea. Must not be blank.
    pub idea: String,
    /// The critic's evaluation. May be blank.
    pub evaluation: String,
    /// The advocate's argument. May be blank.
    pub advocacy: String,
    /// The skeptic's argument. May be blank.
    pub skepticism: String,
    /// The dimensions with low scores, as [`DimensionScores::weak_points`](super::DimensionScores::weak_points) formats
    /// them. May be blank.
    pub weak_dimensions: String,
    /// The conclusion about the idea, as [`Inference::insight`](super::Inference::insight) formats it. May be blank.
    pub inference: String,
}

impl ImproveInput {
    fn blocks(&self) -> [(&'static str, &str); 6] {
        [
            ("idea", &self.idea),
            ("evaluation", &self.evaluation),
            ("advocacy", &self.advocacy),
            ("skepticism", &self.skepticism),
            ("weak_dimensions", &self.weak_dimensions),
            ("inference", &self.inference),
        ]
    }
}

/// Improves ideas.
#[derive(Debug, Clone, Copy)]
pub struct StructuredIdeaGenerator<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl StructuredIdeaGenerator<'_> {
    /// Improves one idea.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea before anything is sent, otherwise the router's errors.
    pub async fn improve(&self, input: &ImproveInput, brief: &Brief<'_>) -> Result<Answer<Improvement>> {
        let instruction = instruction(std::slice::from_ref(input));
        AgentClient::new(self.router, brief)?.object(&instruction, &input.blocks()).await
    }

    /// Improves every idea in one call. An improvement that resembles another idea more than its own is requested again
    /// alone.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn improve_batch(
        &self,
        inputs: &[ImproveInput],
        brief: &Brief<'_>,
    ) -> Result<Answer<Batch<Improvement>>> {
        let blocks: Vec<_> = inputs.iter().map(ImproveInput::blocks).collect();
        let is_own = |index: usize, improvement: &Improvement| {
            resemblance::is_of(index, &improvement.text(), inputs.iter().map(|input| &*input.idea))
        };
        AgentClient::new(self.router, brief)?.batch(&instruction(inputs), &blocks, is_own).await
    }
}

/// Returns the instruction, with a rule for weak dimensions if one of `inputs` has any.
fn instruction(inputs: &[ImproveInput]) -> Instruction<'static> {
    let has_weak_dimensions = inputs.iter().any(|input| !input.weak_dimensions.trim().is_empty());
    let rule = if has_weak_dimensions { "Mend the weak dimensions first, without lowering the others.\n" } else { "" };
    Instruction {
        role: ROLE,
        task: "Improve the idea above, using all that was said about it.",
        batch_task: "Improve each idea above, using all that was said about it, and only about it.",
        fields: Cow::Owned(format!("{FIELDS}{rule}")),
    }
}
