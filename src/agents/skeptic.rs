//! The skeptic: what is wrong with every idea, in answer to its advocate.

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

const ROLE: &str = "You are a skeptic. You look for what would make an idea fail, and take the arguments made for it apart where they are weak.";
const FIELDS: &str = "\
- critical_flaws: what would make it fail, each with a title and a description
- risks_and_challenges: what makes it hard, each with a title and a description
- questionable_assumptions: each assumption with your concern about it
- missing_considerations: each aspect left out with its importance
Titles and aspects have at most 200 characters, descriptions 2000, assumptions 500, concerns and importance 1000.
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
    fn fault(&self) -> Option<&'static str> {
        let empty = self.critical_flaws.is_empty()
            && self.risks_and_challenges.is_empty()
            && self.questionable_assumptions.is_empty()
            && self.missing_considerations.is_empty();
        empty.then_some("holds no point at all")
    }
}

impl Skepticism {
    /// The case as bullet text under headings, in the language of the case where that is Arabic, Chinese, German or
    /// Japanese, otherwise in English; empty sections are left out.
    pub fn formatted(&self) -> String {
        self.formatted_in(None)
    }

    /// The same, with headings in `language` where the case is too short to tell its own.
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

/// An idea to doubt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkepticCase {
    /// The idea. Must not be blank.
    pub idea: String,
    /// What its advocate said; may be blank.
    pub advocacy: String,
}

/// Argues against ideas.
#[derive(Clone, Copy)]
pub struct Skeptic<'a> {
    /// Whom it asks.
    pub router: &'a dyn Generate,
}

impl std::fmt::Debug for Skeptic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Skeptic").finish_non_exhaustive()
    }
}

impl Skeptic<'_> {
    /// Argues against one idea. Fails as [`Skeptic::criticize_batch`] does.
    pub async fn criticize(&self, case: &SkepticCase, brief: &Brief<'_>) -> Result<Answer<Skepticism>> {
        brief.check()?;
        prompt::check_text("the idea", &case.idea)?;
        let system = prompt::system(ROLE);
        self.ask(&system, brief).one("Skepticism", skepticism_prompt(case, brief)).await
    }

    /// Argues against every idea in one call.
    ///
    /// Fails with `InvalidInput` for a blank topic, no ideas or a blank idea, before anything is sent; otherwise as the
    /// router does.
    pub async fn criticize_batch(&self, cases: &[SkepticCase], brief: &Brief<'_>) -> Result<Answer<Batch<Skepticism>>> {
        brief.check()?;
        prompt::check_texts("ideas", cases.iter().map(|case| case.idea.as_str()))?;
        let system = prompt::system(ROLE);
        let question = |labels: &[usize]| skepticism_batch_prompt(cases, brief, labels);
        self.ask(&system, brief).batch("SkepticismBatch", cases.len(), question).await
    }

    fn ask<'a>(&'a self, system: &'a str, brief: &Brief<'_>) -> Ask<'a> {
        Ask { router: self.router, system, temperature: brief.temperature, parts: &[] }
    }
}

fn skepticism_prompt(case: &SkepticCase, brief: &Brief<'_>) -> String {
    format!(
        "Make the case against the idea below; weigh what its advocate says. Answer with one JSON object. Give:\n{FIELDS}{}\n{}{}",
        brief.language_line(),
        brief.fenced(),
        prompt::all_fenced(&blocks(case))
    )
}

fn skepticism_batch_prompt(cases: &[SkepticCase], brief: &Brief<'_>, labels: &[usize]) -> String {
    let shown: String = labels.iter().map(|&label| prompt::labelled(label, &blocks(&cases[label]))).collect();
    format!(
        "Make the case against each idea below; weigh what its advocate says.\n{}For each idea give:\n{FIELDS}{}\n\
         {}{shown}",
        prompt::label_line(labels),
        brief.language_line(),
        brief.fenced()
    )
}

fn blocks(case: &SkepticCase) -> [(&'static str, &str); 2] {
    [("idea", &case.idea), ("advocacy", &case.advocacy)]
}
