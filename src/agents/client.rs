//! Sends an agent's prompts to its router and parses the replies.
//!
//! A reply is parsed once: the validator that the router calls keeps the parsed value for the agent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::answer::{Answer, Batch};
use super::matching::match_items;
use super::output::{self, Output};
use super::prompt::{self, Brief};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Request};
use crate::router::{CallHooks, Generate, MAX_PROMPT_CHARS, Rejection, ReplyValidator};
use crate::schema::Schema;
use crate::sync::{Mutex, lock};

/// Returns whether `error` is the caller's own failure or a defect, which a retry or a degraded result would only hide.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::External | ErrorKind::Internal | ErrorKind::InvalidInput)
}

/// A router together with what all requests of one agent call have in common.
pub(super) struct AgentClient<'a> {
    router: &'a dyn Generate,
    brief: &'a Brief<'a>,
    system: String,
    parts: &'a [Part],
}

impl<'a> AgentClient<'a> {
    /// Creates a client whose requests carry the system instruction of `role`. Fails with `InvalidInput` if the brief is invalid.
    pub(super) fn new(router: &'a dyn Generate, role: &str, brief: &'a Brief<'a>) -> Result<Self> {
        brief.check()?;
        Ok(Self { router, brief, system: prompt::system(role), parts: &[] })
    }

    /// Attaches `parts` to every request.
    pub(super) fn with_parts(self, parts: &'a [Part]) -> Self {
        Self { parts, ..self }
    }

    /// Requests one object about `idea`.
    pub(super) async fn object<T: Output>(&self, idea: &str, prompt: String) -> Result<Answer<T>> {
        prompt::check_text("the idea", idea)?;
        let mut spent = Answer::nothing();
        let value = self.send(&mut spent, output::object_schema::<T>()?, prompt, output::parse_object).await?;
        Ok(spent.map(|()| value))
    }

    /// Requests `count` items that belong to no idea. The returned list has at least one item.
    pub(super) async fn list<T: Output>(&self, count: usize, prompt: String) -> Result<Answer<Vec<T>>> {
        let mut spent = Answer::nothing();
        let schema = output::list_schema::<T>(count)?;
        let value = self.send(&mut spent, schema, prompt, |json| output::parse_list(json, count)).await?;
        Ok(spent.map(|()| value))
    }

    /// Requests one item for each of `ideas`. `prompt` writes the prompt about the ideas with the given indices.
    ///
    /// Ideas without a valid item are requested a second time, together and without the others. Fails with the error of the
    /// first round if that produced no item at all, and with any fatal error at once. Other errors become the reason why an
    /// idea has no item.
    pub(super) async fn batch<'i, T: Output>(
        &self,
        ideas: impl ExactSizeIterator<Item = &'i str> + Send,
        prompt: impl Fn(&[usize]) -> String + Send + Sync,
    ) -> Result<Answer<Batch<T>>> {
        let all: Vec<usize> = (0..ideas.len()).collect();
        prompt::check_texts("ideas", ideas)?;
        let mut spent = Answer::nothing();
        let (mut items, error) = self.request_items(&mut spent, &all, &prompt).await?;
        if let Some(error) = error.filter(|_| items.values().all(Result::is_err)) {
            return Err(error);
        }
        let missing: Vec<usize> = all.into_iter().filter(|index| items.get(index).is_none_or(Result::is_err)).collect();
        if !missing.is_empty() {
            let (retried, error) = self.request_items(&mut spent, &missing, &prompt).await?;
            for (index, item) in retried {
                let item = match (items.remove(&index), item) {
                    (Some(Err(first)), Err(second)) if error.is_some() => {
                        Err(format!("{first}; the second request failed: {second}"))
                    }
                    (_, item) => item,
                };
                items.insert(index, item);
            }
        }
        Ok(spent.map(|()| Batch::new(items.into_values().collect())))
    }

    /// Requests an item for each of `indices`: in one call, or in several if one prompt would be too long. Returns the
    /// items and the error of the last call that failed.
    async fn request_items<T: Output>(
        &self,
        spent: &mut Answer<()>,
        indices: &[usize],
        prompt: &(impl Fn(&[usize]) -> String + Send + Sync),
    ) -> Result<(BTreeMap<usize, Result<T, String>>, Option<Error>)> {
        let (mut items, mut last_error) = (BTreeMap::new(), None);
        for (group, text) in split_by_length(indices, prompt) {
            let schema = output::batch_schema::<T>(group)?;
            let parse = |json: &str| match_items(json, group)?.into_usable();
            match self.send(spent, schema, text, parse).await {
                Ok(matched) => items.extend(matched),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    items.extend(group.iter().map(|index| (*index, Err(error.to_string()))));
                    last_error = Some(error);
                }
            }
        }
        Ok((items, last_error))
    }

    /// Sends one request, adds its cost to `spent`, and returns the reply as `parse` reads it.
    async fn send<V: Send>(
        &self,
        spent: &mut Answer<()>,
        schema: Schema,
        prompt: String,
        parse: impl Fn(&str) -> Result<V, Vec<String>> + Send + Sync,
    ) -> Result<V> {
        check_length(&prompt)?;
        let request = Request {
            system: Arc::from(self.system.as_str()),
            parts: self.parts.to_vec(),
            schema: Some(Arc::new(schema)),
            temperature: self.brief.temperature,
            ..Request::new(prompt)
        };
        let parser = ReplyParser { parse, value: Mutex::new(None) };
        let response = match self.router.generate(request, CallHooks::new(&parser)).await {
            Ok(response) => response,
            Err(error) => {
                spent.failed(&error);
                return Err(error);
            }
        };
        let value = parser.value(&response.text);
        spent.answered(response);
        value.map_err(|faults| {
            let message = format!("the router returned a reply that does not fit its schema: {}", faults.join("; "));
            Error::new(ErrorKind::InvalidOutput, message)
        })
    }
}

/// Validates a reply by parsing it, and keeps the value of the reply that was accepted.
struct ReplyParser<P, V> {
    parse: P,
    value: Mutex<Option<V>>,
}

impl<V, P: Fn(&str) -> Result<V, Vec<String>>> ReplyParser<P, V> {
    /// Returns the value of the accepted reply, whose text is `json`. The reply of a router
    /// that did not validate it is parsed here.
    fn value(&self, json: &str) -> Result<V, Vec<String>> {
        let value = lock(&self.value).take();
        value.map_or_else(|| (self.parse)(json), Ok)
    }
}

impl<V: Send, P: Fn(&str) -> Result<V, Vec<String>> + Send + Sync> ReplyValidator for ReplyParser<P, V> {
    fn validate(&self, json: &str) -> Result<(), Rejection> {
        let (value, outcome) = match (self.parse)(json) {
            Ok(value) => (Some(value), Ok(())),
            Err(faults) => (None, Err(Rejection { faults })),
        };
        *lock(&self.value) = value;
        outcome
    }
}

/// Lets agents, which borrow a router, derive `Debug`. Shows nothing of the router, which may hold keys.
impl fmt::Debug for dyn Generate + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generate")
    }
}

/// Splits `indices` into as few groups as have prompts within the limit. A group of one may exceed it.
fn split_by_length<'a>(indices: &'a [usize], prompt: &impl Fn(&[usize]) -> String) -> Vec<(&'a [usize], String)> {
    let text = prompt(indices);
    if indices.len() <= 1 || text.chars().count() <= MAX_PROMPT_CHARS {
        return vec![(indices, text)];
    }
    let (first, second) = indices.split_at(indices.len() / 2);
    let mut groups = split_by_length(first, prompt);
    groups.extend(split_by_length(second, prompt));
    groups
}

/// The core's router checks the length too. This check also covers custom routers, and its message says what to shorten.
fn check_length(prompt: &str) -> Result<()> {
    let length = prompt.chars().count();
    if length <= MAX_PROMPT_CHARS {
        return Ok(());
    }
    let message = format!(
        "topic, context and ideas make a prompt of {length} characters; the limit is {MAX_PROMPT_CHARS}: shorten the \
         context, or attach it as a file"
    );
    Err(Error::new(ErrorKind::PromptTooLong, message))
}
