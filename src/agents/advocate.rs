//! The advocate: the best case for every idea.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::ask::Ask;
use super::heading::Heading;
use super::language::Language;
use super::output::{self, Output, Point};
use super::prompt::{self, Brief};
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
    fn fault(&self) -> Option<&'static str> {
        let empty = self.strengths.is_empty() && self.opportunities.is_empty() && self.addressing_concerns.is_empty();
        empty.then_some("holds no point at all")
    }
}

impl Advocacy {
    /// The case as bullet text under headings, in the language of the case where that is Arabic, Chinese, German or
    /// Japanese, otherwise in English; empty sections are left out.
    pub fn formatted(&self) -> String {
        self.formatted_in(None)
    }

    /// The same, with headings in `language` where the case is too short to tell its own.
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

/// An idea to argue for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdvocateCase {
    /// The idea. Must not be blank.
    pub idea: String,
    /// What the critic said; may be blank.
    pub evaluation: String,
}

/// Argues for ideas.
#[derive(Clone, Copy)]
pub struct Advocate<'a> {
    /// Whom it asks.
    pub router: &'a dyn Generate,
}

impl std::fmt::Debug for Advocate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Advocate").finish_non_exhaustive()
    }
}

impl Advocate<'_> {
    /// Argues for one idea. Fails as [`Advocate::advocate_batch`] does.
    pub async fn advocate(&self, case: &AdvocateCase, brief: &Brief<'_>) -> Result<Answer<Advocacy>> {
        brief.check()?;
        prompt::check_text("the idea", &case.idea)?;
        let system = prompt::system(ROLE);
        self.ask(&system, brief).one("Advocacy", advocacy_prompt(case, brief)).await
    }

    /// Argues for every idea in one call.
    ///
    /// Fails with `InvalidInput` for a blank topic, no ideas or a blank idea, before anything is sent; otherwise as the
    /// router does.
    pub async fn advocate_batch(&self, cases: &[AdvocateCase], brief: &Brief<'_>) -> Result<Answer<Batch<Advocacy>>> {
        brief.check()?;
        prompt::check_texts("ideas", cases.iter().map(|case| case.idea.as_str()))?;
        let system = prompt::system(ROLE);
        let question = |labels: &[usize]| advocacy_batch_prompt(cases, brief, labels);
        self.ask(&system, brief).batch("AdvocacyBatch", cases.len(), question).await
    }

    fn ask<'a>(&'a self, system: &'a str, brief: &Brief<'_>) -> Ask<'a> {
        Ask { router: self.router, system, temperature: brief.temperature, parts: &[] }
    }
}

fn advocacy_prompt(case: &AdvocateCase, brief: &Brief<'_>) -> String {
    format!(
        "Make the case for the idea below. Answer with one JSON object. Give:\n{FIELDS}{}\n{}{}",
        brief.language_line(),
        brief.fenced(),
        prompt::all_fenced(&blocks(case))
    )
}

fn advocacy_batch_prompt(cases: &[AdvocateCase], brief: &Brief<'_>, labels: &[usize]) -> String {
    let shown: String = labels.iter().map(|&label| prompt::labelled(label, &blocks(&cases[label]))).collect();
    format!(
        "Make the case for each idea below.\n{}For each idea give:\n{FIELDS}{}\n{}{shown}",
        prompt::label_line(labels),
        brief.language_line(),
        brief.fenced()
    )
}

fn blocks(case: &AdvocateCase) -> [(&'static str, &str); 2] {
    [("idea", &case.idea), ("evaluation", &case.evaluation)]
}
