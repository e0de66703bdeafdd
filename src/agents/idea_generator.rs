//! The idea generator: from a topic to ideas.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::answer::Answer;
use super::ask::{self, Ask};
use super::output::Output;
use super::prompt::{self, Brief};
use crate::error::{Error, Result};
use crate::message::Part;
use crate::router::Generate;

const SCHEMA: &str = "GeneratedIdeas";
const ROLE: &str = "You are an inventor who knows many fields. You propose ideas that are concrete, feasible and different from each other.";

/// One idea.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
pub struct IdeaItem {
    /// The idea's number, counting from 1.
    #[serde(deserialize_with = "number")]
    #[garde(range(min = 1))]
    pub idea_number: u32,
    /// The idea in a few words.
    #[garde(length(chars, min = 1, max = 200))]
    pub title: String,
    /// What is done, for whom, and why it works.
    #[garde(length(chars, min = 10, max = 2000))]
    pub description: String,
    /// What sets the idea apart, in short phrases.
    #[garde(skip)]
    pub key_features: Option<Vec<String>>,
    /// What kind of idea it is.
    #[garde(length(chars, max = 100))]
    pub category: Option<String>,
}

impl Output for IdeaItem {}

impl IdeaItem {
    /// The idea as one text, the form in which the workflow hands it on: `title: description`. Key features and category
    /// are left out, since the description holds what they repeat.
    pub fn text(&self) -> String {
        format!("{}: {}", self.title, self.description)
    }
}

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct GenerateIdeas<'a> {
    /// Topic, context and temperature; 0.9 by default in the workflow.
    pub brief: Brief<'a>,
    /// How many ideas to ask for; at least 1.
    pub count: usize,
    /// How many are needed: where fewer come back, the rest of `count` is asked for once more. 0 never asks again.
    pub minimum: usize,
    /// Files and web addresses that go with the topic.
    pub parts: &'a [Part],
}

/// Proposes ideas.
#[derive(Clone, Copy)]
pub struct IdeaGenerator<'a> {
    /// Whom it asks.
    pub router: &'a dyn Generate,
}

impl std::fmt::Debug for IdeaGenerator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdeaGenerator").finish_non_exhaustive()
    }
}

impl IdeaGenerator<'_> {
    /// Between 1 and `count` ideas, numbered from 1. More than `count` are cut off; an invalid one is left out.
    ///
    /// Fails with `InvalidInput` for a blank topic or a count of 0, before anything is sent; otherwise as the router
    /// does. A failed second call is no failure, as there are ideas already.
    pub async fn generate(&self, wanted: &GenerateIdeas<'_>) -> Result<Answer<Vec<IdeaItem>>> {
        wanted.brief.check()?;
        if wanted.count == 0 {
            return Err(Error::invalid_input("the number of ideas must be at least 1"));
        }
        let system = prompt::system(ROLE);
        let ask =
            Ask { router: self.router, system: &system, temperature: wanted.brief.temperature, parts: wanted.parts };
        let mut answer = ask.list(SCHEMA, wanted.count, ideas_prompt(wanted, wanted.count, &[])).await?;
        let missing = wanted.count.saturating_sub(answer.value.len());
        if answer.value.len() < wanted.minimum && missing > 0 {
            match ask.list(SCHEMA, missing, ideas_prompt(wanted, missing, &answer.value)).await {
                Ok(more) => answer = answer.joined(more),
                Err(error) if ask::is_fatal(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(kind = error.kind().as_str(), "asking for more ideas failed: {error}");
                    answer.failed(&error);
                }
            }
        }
        answer.value.truncate(wanted.count);
        for (number, idea) in (1..).zip(&mut answer.value) {
            idea.idea_number = number;
        }
        Ok(answer)
    }
}

/// Ideas are numbered anew: a wrong number, such as a first 0, must not lose an idea.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(1).max(1))
}

fn ideas_prompt(wanted: &GenerateIdeas<'_>, count: usize, existing: &[IdeaItem]) -> String {
    let titles: Vec<&str> = existing.iter().map(|idea| idea.title.as_str()).collect();
    format!(
        "Propose exactly {count} {ideas} for the topic below. Each must take an approach of its own; none may be another \
         one reworded.{existing_rule}{context_rule}{parts_rule}\n\
         Answer with a JSON array, one item for each idea. For each idea give:\n\
         - idea_number: counting from 1\n\
         - title: at most 200 characters\n\
         - description: 10 to 2000 characters; what is done, for whom, and why it works\n\
         - key_features: a few short phrases\n\
         - category: one or two words\n\
         {language}\n{fenced}{existing}",
        ideas = if count == 1 { "idea" } else { "ideas" },
        existing_rule =
            if existing.is_empty() { "" } else { " They must also differ from the existing ideas listed below." },
        context_rule =
            if wanted.brief.context.trim().is_empty() { "" } else { " Keep to the constraints in the context." },
        parts_rule = if wanted.parts.is_empty() { "" } else { " Draw on the attached material where it helps." },
        language = wanted.brief.language_line(),
        fenced = wanted.brief.fenced(),
        existing = prompt::fenced("existing_ideas", &titles.join("\n")),
    )
}
