//! The advocate: argues for ideas.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::heading::Heading;
use super::language::Language;
use super::output::{self, Output, Point};
use super::prompt::Brief;
use crate::error::Result;
use crate::router::Generate;

const ROLE: &str = "You are an advocate of ideas. You make the strongest honest case for each, with arguments that fit this idea and no other.";
const FIELDS: &str = "\
- strengths: what is good about it as it is, each with a title and a description
- opportunities: what it could lead to, each with a title and a description
- addressing_concerns: each concern of the evaluation with your response to it
Titles have at most 200 characters, descriptions 2000, concerns 500, responses 1000.
";

/// The case for one idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Advocacy {
    /// What is good about the idea as it is.
    #[garde(dive)]
    pub strengths: Vec<Point>,
    /// What the idea could lead to.
    #[garde(dive)]
    pub opportunities: Vec<Point>,
    /// Concerns about the idea, each answered.
    #[garde(dive)]
    pub addressing_concerns: Vec<ConcernResponse>,
}

/// A concern and what is to be said to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct ConcernResponse {
    /// The concern.
    #[garde(length(chars, min = 1, max = 500))]
    pub concern: String,
    /// The response to it.
    #[garde(length(chars, min = 1, max = 1000))]
    pub response: String,
}

impl Output for Advocacy {
    const BATCH: &'static str = "AdvocacyBatch";

    fn fault(&self) -> Option<&'static str> {
        let empty = self.strengths.is_empty() && self.opportunities.is_empty() && self.addressing_concerns.is_empty();
        empty.then_some("holds no point at all")
    }
}

impl Advocacy {
    /// Returns the argument as bullet text under headings. Empty sections are left out.
    ///
    /// The headings are in the language of the argument, or in `language` if it is too short to detect that. English replaces
    /// languages other than Arabic, Chinese, German and Japanese.
    pub fn formatted_in(&self, language: Option<Language>) -> String {
        let concerns = self.addressing_concerns.iter().map(|item| (&*item.concern, &*item.response)).collect();
        output::formatted(
            &[
                (Heading::Strengths, Point::pairs(&self.strengths)),
                (Heading::Opportunities, Point::pairs(&self.opportunities)),
                (Heading::AddressingConcerns, concerns),
            ],
            language,
        )
    }
}

/// The input of [`Advocate`] for one idea.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdvocateInput {
    /// The idea. Must not be blank.
    pub idea: String,
    /// The critic's evaluation. May be blank.
    pub evaluation: String,
}

impl AdvocateInput {
    fn blocks(&self) -> [(&'static str, &str); 2] {
        [("idea", &self.idea), ("evaluation", &self.evaluation)]
    }
}

/// Argues for ideas.
#[derive(Debug, Clone, Copy)]
pub struct Advocate<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl Advocate<'_> {
    /// Argues for one idea.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea before anything is sent, otherwise the router's errors.
    pub async fn advocate(&self, input: &AdvocateInput, brief: &Brief<'_>) -> Result<Answer<Advocacy>> {
        let client = AgentClient::new(self.router, ROLE, brief)?;
        let prompt = brief.object_prompt("Make the case for the idea below.", FIELDS, &input.blocks());
        client.object(&input.idea, prompt).await
    }

    /// Argues for every idea in one call.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn advocate_batch(&self, inputs: &[AdvocateInput], brief: &Brief<'_>) -> Result<Answer<Batch<Advocacy>>> {
        let client = AgentClient::new(self.router, ROLE, brief)?;
        let prompt = |indices: &[usize]| {
            brief.batch_prompt("Make the case for each idea below.", FIELDS, indices, |index| inputs[index].blocks())
        };
        client.batch(inputs.iter().map(|input| &*input.idea), prompt).await
    }
}
