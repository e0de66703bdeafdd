//! The skeptic: argues against ideas, in response to their advocate.

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
    role: "You are a skeptic. You look for what would make an idea fail, and take the arguments made for it apart where they are weak.",
    task: "Make the case against the idea above; weigh what its advocate says.",
    batch_task: "Make the case against each idea above; weigh what its advocate says.",
    fields: Cow::Borrowed(FIELDS),
};
const FIELDS: &str = "\
- critical_flaws: what would make it fail, each with a title and a description
- risks_and_challenges: what makes it hard, each with a title and a description
- questionable_assumptions: each assumption with your concern about it
- missing_considerations: each aspect left out with its importance
Give one to three of each. Titles and aspects have a few words, all other texts one or two sentences.
";

/// The case against one idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct Skepticism {
    /// What would make the idea fail.
    #[garde(dive)]
    pub critical_flaws: Vec<Point>,
    /// What makes the idea hard.
    #[garde(dive)]
    pub risks_and_challenges: Vec<Point>,
    /// What the idea takes for granted.
    #[garde(dive)]
    pub questionable_assumptions: Vec<QuestionableAssumption>,
    /// What the idea leaves out.
    #[garde(dive)]
    pub missing_considerations: Vec<MissingConsideration>,
}

/// Something taken for granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct QuestionableAssumption {
    /// The assumption.
    #[garde(length(chars, min = 1, max = 500))]
    pub assumption: String,
    /// Why it may not hold.
    #[garde(length(chars, min = 1, max = 1000))]
    pub concern: String,
}

/// Something left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct MissingConsideration {
    /// The aspect.
    #[garde(length(chars, min = 1, max = 200))]
    pub aspect: String,
    /// Why it matters.
    #[garde(length(chars, min = 1, max = 1000))]
    pub importance: String,
}

impl Output for Skepticism {
    const BATCH: &'static str = "SkepticismBatch";
    const NEVER_EMPTY: &'static [&'static str] =
        &["critical_flaws", "risks_and_challenges", "questionable_assumptions", "missing_considerations"];

    fn fault(&self) -> Option<&'static str> {
        let empty = self.critical_flaws.is_empty()
            && self.risks_and_challenges.is_empty()
            && self.questionable_assumptions.is_empty()
            && self.missing_considerations.is_empty();
        empty.then_some("holds no point at all")
    }
}

impl Skepticism {
    /// Returns the argument as bullet text under headings. Empty sections are left out.
    ///
    /// The headings are in the language of the argument, or in `language` if it is too short to detect that. English replaces
    /// languages other than Arabic, Chinese, German and Japanese.
    pub fn formatted_in(&self, language: Option<Language>) -> String {
        let assumptions =
            self.questionable_assumptions.iter().map(|item| (&*item.assumption, &*item.concern)).collect();
        let missing = self.missing_considerations.iter().map(|item| (&*item.aspect, &*item.importance)).collect();
        output::formatted(
            &[
                (Heading::CriticalFlaws, Point::pairs(&self.critical_flaws)),
                (Heading::RisksAndChallenges, Point::pairs(&self.risks_and_challenges)),
                (Heading::QuestionableAssumptions, assumptions),
                (Heading::MissingConsiderations, missing),
            ],
            language,
        )
    }
}

/// The input of [`Skeptic`] for one idea.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkepticInput {
    /// The idea. Must not be blank.
    pub idea: String,
    /// The advocate's argument. May be blank.
    pub advocacy: String,
}

impl SkepticInput {
    fn blocks(&self) -> [(&'static str, &str); 2] {
        [("idea", &self.idea), ("advocacy", &self.advocacy)]
    }
}

/// Argues against ideas.
#[derive(Debug, Clone, Copy)]
pub struct Skeptic<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl Skeptic<'_> {
    /// Argues against one idea.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea before anything is sent, otherwise the router's errors.
    pub async fn criticize(&self, input: &SkepticInput, brief: &Brief<'_>) -> Result<Answer<Skepticism>> {
        AgentClient::new(self.router, brief)?.object(&INSTRUCTION, &input.blocks()).await
    }

    /// Argues against every idea in one call.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or idea, or without ideas, before anything is sent, otherwise the router's
    /// errors.
    pub async fn criticize_batch(
        &self,
        inputs: &[SkepticInput],
        brief: &Brief<'_>,
    ) -> Result<Answer<Batch<Skepticism>>> {
        let blocks: Vec<_> = inputs.iter().map(SkepticInput::blocks).collect();
        AgentClient::new(self.router, brief)?.batch(&INSTRUCTION, &blocks, |_, _| true).await
    }
}
