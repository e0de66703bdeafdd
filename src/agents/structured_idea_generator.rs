//! The improver: a better version of every idea, from all that was said about it.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Batch};
use super::ask::Ask;
use super::output::Output;
use super::prompt::{self, Brief};
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

impl Output for Improvement {}

impl Improvement {
    /// The improved idea as one text, in the form of [`IdeaItem::text`](super::IdeaItem::text): `title: description`.
    pub fn text(&self) -> String {
        format!("{}: {}", self.improved_title, self.improved_description)
    }
}

/// An idea to improve and what was said about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImproveCase {
    /// The idea. Must not be blank.
    pub idea: String,
    /// What the critic said; may be blank.
    pub evaluation: String,
    /// What its advocate said; may be blank.
    pub advocacy: String,
    /// What the skeptic said; may be blank.
    pub skepticism: String,
    /// Where it scored low, as [`DimensionScores::weak_points`](super::DimensionScores::weak_points) tells; may be blank.
    pub weak_dimensions: String,
    /// What was concluded about it, as [`Inference::insight`](super::Inference::insight) tells; may be blank.
    pub inference: String,
}

/// Improves ideas.
#[derive(Clone, Copy)]
pub struct StructuredIdeaGenerator<'a> {
    /// Whom it asks.
    pub router: &'a dyn Generate,
}

impl std::fmt::Debug for StructuredIdeaGenerator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StructuredIdeaGenerator").finish_non_exhaustive()
    }
}

impl StructuredIdeaGenerator<'_> {
    /// Improves one idea. Fails as [`StructuredIdeaGenerator::improve_batch`] does.
    pub async fn improve(&self, case: &ImproveCase, brief: &Brief<'_>) -> Result<Answer<Improvement>> {
        brief.check()?;
        prompt::check_text("the idea", &case.idea)?;
        let system = prompt::system(ROLE);
        self.ask(&system, brief).one("Improvement", improvement_prompt(case, brief)).await
    }

    /// Improves every idea in one call.
    ///
    /// Fails with `InvalidInput` for a blank topic, no ideas or a blank idea, before anything is sent; otherwise as the
    /// router does.
    pub async fn improve_batch(&self, cases: &[ImproveCase], brief: &Brief<'_>) -> Result<Answer<Batch<Improvement>>> {
        brief.check()?;
        prompt::check_texts("ideas", cases.iter().map(|case| case.idea.as_str()))?;
        let system = prompt::system(ROLE);
        let question = |labels: &[usize]| improvement_batch_prompt(cases, brief, labels);
        self.ask(&system, brief).batch("ImprovementBatch", cases.len(), question).await
    }

    fn ask<'a>(&'a self, system: &'a str, brief: &Brief<'_>) -> Ask<'a> {
        Ask { router: self.router, system, temperature: brief.temperature, parts: &[] }
    }
}

/// What to do about weak dimensions; nothing where no case tells any.
fn weakness_line<'a>(mut cases: impl Iterator<Item = &'a ImproveCase>) -> &'static str {
    if cases.all(|case| case.weak_dimensions.trim().is_empty()) {
        return "";
    }
    "Mend the weak dimensions first, without lowering the others.\n"
}

fn improvement_prompt(case: &ImproveCase, brief: &Brief<'_>) -> String {
    format!(
        "Improve the idea below, using all that was said about it. Answer with one JSON object. Give:\n{FIELDS}{}{}\n{}{}",
        weakness_line(std::iter::once(case)),
        brief.language_line(),
        brief.fenced(),
        prompt::all_fenced(&blocks(case))
    )
}

fn improvement_batch_prompt(cases: &[ImproveCase], brief: &Brief<'_>, labels: &[usize]) -> String {
    let shown: String = labels.iter().map(|&label| prompt::labelled(label, &blocks(&cases[label]))).collect();
    format!(
        "Improve each idea below, using all that was said about it, and only about it.\n{}For each idea give:\n\
         {FIELDS}{}{}\n{}{shown}",
        prompt::label_line(labels),
        weakness_line(labels.iter().map(|&label| &cases[label])),
        brief.language_line(),
        brief.fenced()
    )
}

fn blocks(case: &ImproveCase) -> [(&'static str, &str); 6] {
    [
        ("idea", &case.idea),
        ("evaluation", &case.evaluation),
        ("advocacy", &case.advocacy),
        ("skepticism", &case.skepticism),
        ("weak_dimensions", &case.weak_dimensions),
        ("inference", &case.inference),
    ]
}
