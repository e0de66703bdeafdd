//! The advocate: argues for ideas.

use std::borrow::Cow;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::client::AgentClient;
use super::heading::Heading;
use super::language::Language;
use super::output::{self, Output, Point};
use super::prompt::{Brief, Instruction};
use crate::error::Result;
use crate::router::Generate;

const INSTRUCTION: Instruction<'static> = Instruction {
    role: "You are an advocate of ideas. You make the strongest honest case for each, with arguments that fit this idea and no other.",
    task: "Make the case for the idea above.",
    batch_task: "Make the case for each idea above.",
    fields: Cow::Borrowed(FIELDS),
};
const FIELDS: &str = "\
- strengths: what is good about it as it is, each with a title and a description
- opportunities: what it could lead to, each with a title and a description
- addressing_concerns: each concern of the evaluation with your response to it
Give one to three of each. Titles have a few words; descriptions, concerns and responses one or two sentences.
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
    const NEVER_EMPTY: &'static [&'static str] = &["strengths", "opportunities", "addressing_concerns"];

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
        AgentClient::new(self.router, brief)?.object(&INSTRUCTION, &input.blocks()).await
    }

    /// Argues for every idea in one call.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn advocate_batch(&self, inputs: &[AdvocateInput], brief: &Brief<'_>) -> Result<Answer<Batch<Advocacy>>> {
        let blocks: Vec<_> = inputs.iter().map(AdvocateInput::blocks).collect();
        AgentClient::new(self.router, brief)?.batch(&INSTRUCTION, &blocks, |_, _| true).await
    }
}
