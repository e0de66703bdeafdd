//! The structured idea generator: improves ideas by the feedback on them.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::output::Output;
use super::prompt::Brief;
use crate::error::Result;
use crate::router::Generate;

const ROLE: &str = "You improve ideas. You keep what is strong, mend what was criticised, and make the idea more concrete without turning it into another one.";
const FIELDS: &str = "\
- improved_title: at most 200 characters
- improved_description: 10 to 5000 characters; the whole improved idea, understandable without the original
- key_improvements: what became better, at least one
- implementation_steps: the first steps, in order
- differentiators: what sets it apart
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
        const TASK: &str = "Improve the idea below, using all that was said about it.";
        let client = AgentClient::new(self.router, ROLE, brief)?;
        let prompt = brief.object_prompt(TASK, &fields(std::iter::once(input)), &input.blocks());
        client.object(&input.idea, prompt).await
    }

    /// Improves every idea in one call.
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
        const TASK: &str = "Improve each idea below, using all that was said about it, and only about it.";
        let client = AgentClient::new(self.router, ROLE, brief)?;
        let prompt = |indices: &[usize]| {
            let fields = fields(indices.iter().map(|&index| &inputs[index]));
            brief.batch_prompt(TASK, &fields, indices, |index| inputs[index].blocks())
        };
        client.batch(inputs.iter().map(|input| &*input.idea), prompt).await
    }
}

/// Returns the fields of an improvement, followed by the rule for weak dimensions if one of `inputs` has any.
fn fields<'a>(mut inputs: impl Iterator<Item = &'a ImproveInput>) -> String {
    let has_weak_dimensions = inputs.any(|input| !input.weak_dimensions.trim().is_empty());
    let rule = if has_weak_dimensions { "Mend the weak dimensions first, without lowering the others.\n" } else { "" };
    format!("{FIELDS}{rule}")
}
