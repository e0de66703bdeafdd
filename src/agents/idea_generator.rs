//! The idea generator: proposes ideas for a topic.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::answer::Answer;
use super::bounds::Length;
use super::client::{AgentClient, is_fatal};
use super::form::ItemForm;
use super::output::Output;
use super::prompt::{self, Brief};
use crate::error::{Error, Result};
use crate::message::Part;
use crate::router::Generate;

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

impl Output for IdeaItem {
    const BATCH: &'static str = "GeneratedIdeas";
}

impl IdeaItem {
    /// Returns the idea as one text, `title: description`, which the following stages work on. Key features and category
    /// are left out, as the description covers them.
    pub fn text(&self) -> String {
        format!("{}: {}", self.title, self.description)
    }
}

/// The input of [`IdeaGenerator`].
#[derive(Debug, Clone, Copy)]
pub struct IdeaRequest<'a> {
    /// Topic, context and temperature, which the workflow sets to 0.9 by default.
    pub brief: Brief<'a>,
    /// The number of ideas to request. At least 1.
    pub count: usize,
    /// The number of ideas needed: if fewer are returned, the rest of `count` is requested once more. 0 disables that.
    pub minimum: usize,
    /// Files and web addresses that belong to the topic.
    pub parts: &'a [Part],
}

/// Proposes ideas.
#[derive(Debug, Clone, Copy)]
pub struct IdeaGenerator<'a> {
    /// The router used for requests.
    pub router: &'a dyn Generate,
}

impl IdeaGenerator<'_> {
    /// Returns between 1 and `count` ideas, numbered from 1. Invalid ideas and those beyond `count` are dropped.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for a blank topic or a count of 0 before anything is sent, otherwise the router's errors. The
    /// failure of the second call is logged but not returned, as there are ideas already.
    pub async fn generate(&self, request: &IdeaRequest<'_>) -> Result<Answer<Vec<IdeaItem>>> {
        let client = AgentClient::new(self.router, &request.brief)?.with_parts(request.parts);
        if request.count == 0 {
            return Err(Error::invalid_input("the number of ideas must be at least 1"));
        }
        let form = client.form;
        let prompt = |count, length| ideas_prompt(request, form, count, length, &[]);
        let mut answer = client.list(request.count, prompt).await?;
        let missing = request.count.saturating_sub(answer.value.len());
        if answer.value.len() < request.minimum && missing > 0 {
            let existing = &answer.value;
            let prompt = |count, length| ideas_prompt(request, form, count, length, existing);
            match client.list(missing, prompt).await {
                Ok(more) => answer = answer.joined(more),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(kind = error.kind().as_str(), "the request for more ideas failed: {error}");
                    answer.failed(&error);
                }
            }
        }
        answer.value.truncate(request.count);
        for (number, idea) in (1..).zip(&mut answer.value) {
            idea.idea_number = number;
        }
        Ok(answer)
    }
}

/// Accepts any number. Ideas are renumbered, so a wrong number, such as a first 0, must not lose an idea.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(1).max(1))
}

fn ideas_prompt(
    request: &IdeaRequest<'_>,
    form: ItemForm,
    count: usize,
    length: Length,
    existing: &[IdeaItem],
) -> String {
    let titles: Vec<&str> = existing.iter().map(|idea| idea.title.as_str()).collect();
    let instruction = format!(
        "{ROLE}\n\
         Propose exactly {count} {ideas} for the topic above. Each must take an approach of its own; none may be another \
         one reworded.{existing_rule}{context_rule}{parts_rule}\n\
         {form_line}\
         - idea_number: counting from 1\n\
         - title: a few words\n\
         - description: at most 500 characters; what is done, for whom, and why it works\n\
         - key_features: at most five short phrases\n\
         - category: one or two words\n\
         {length_line}",
        ideas = if count == 1 { "idea" } else { "ideas" },
        existing_rule =
            if existing.is_empty() { "" } else { " They must also differ from the existing ideas listed above." },
        context_rule = if request.brief.has_context() { " Keep to the constraints in the context." } else { "" },
        parts_rule = if request.parts.is_empty() { "" } else { " Draw on the attached material where it helps." },
        form_line = form.list_line(count),
        length_line = prompt::length_line(length),
    );
    request.brief.prompt(&prompt::enclosed("existing_ideas", &titles.join("\n")), &instruction)
}
